#include "common/log.h"

#include "common/timestamp.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 2048

static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* The one state that a process has outside its context: every function logs, and handing a logger
 * to all of them would hide what their arguments are about. */
static struct {
    const char *component;
    atomic_int level;
} process_log = {"gatehouse", LOG_LEVEL_INFO};

void log_open(const char *component)
{
    const char *wanted = getenv("GATEHOUSE_LOG");
    process_log.component = component;
    for (int level = LOG_LEVEL_ERROR; wanted && level <= LOG_LEVEL_DEBUG; level++)
        if (strcmp(wanted, level_names[level]) == 0)
            atomic_store(&process_log.level, level);
}

void log_set_level(enum log_level level)
{
    atomic_store(&process_log.level, (int)level);
}

static size_t printed(int count, size_t size)
{
    if (count < 0)
        return 0;
    return (size_t)count < size ? (size_t)count : size - 1;
}

static void write_line(enum log_level level, const char *format, va_list arguments)
{
    char line[LINE_SIZE], now[TIMESTAMP_TEXT_SIZE];
    int kept_errno = errno;
    size_t room = sizeof(line) - 1; /* for the newline */
    size_t head =
        printed(snprintf(line, room, "%s %s[%d] %s: ", timestamp_text(timestamp_now_ms(), now),
                         process_log.component, (int)getpid(), level_names[level]),
                room);
    size_t text = printed(vsnprintf(line + head, room - head, format, arguments), room - head);
    size_t length = head + utf8_scrub(line + head, text);
    line[length++] = '\n';
    while (write(STDERR_FILENO, line, length) < 0 && errno == EINTR)
        ;
    errno = kept_errno;
}

#define LOG_FUNCTION(name, at_level)                                                               \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list arguments;                                                                         \
        if (atomic_load_explicit(&process_log.level, memory_order_relaxed) < (int)(at_level))      \
            return;                                                                                \
        va_start(arguments, format);                                                               \
        write_line(at_level, format, arguments);                                                   \
        va_end(arguments);                                                                         \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

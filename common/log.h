/* Log lines of a process: "2026-01-31T12:00:00.123Z component[pid] level: text" on standard error.
 */
#ifndef GATEHOUSE_COMMON_LOG_H
#define GATEHOUSE_COMMON_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Names the process; the level comes from the environment variable GATEHOUSE_LOG (error, warning,
 * info, debug; default info). `component` must stay valid. Call once, before any thread starts. */
void log_open(const char *component);

void log_set_level(enum log_level level);

/* One line, written with one write(2); control characters in the text are replaced by '?', so that
 * hostile input cannot forge lines. Thread-safe. Never pass secrets. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

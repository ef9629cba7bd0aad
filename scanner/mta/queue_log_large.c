/* Large bodies. Their sync may take long, so another thread than the commit thread does it, and
 * passes the record on when the body is on stable storage. */
#include "scanner/mta/queue_log_private.h"

#include "common/log.h"
#include "scanner/mta/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int queue_log_large_open(struct queue_log *log, struct error *error)
{
    int fd = openat(log->large_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        error_set_errno(error, log->folder, "cannot open a file for a large body");
    return fd;
}

int queue_log_large_read(struct queue_log *log, const struct message_id *id)
{
    char name[MESSAGE_ID_TEXT_SIZE];
    return openat(log->large_fd, message_id_text(id, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

void queue_log_large_remove(struct queue_log *log, const struct message_id *id)
{
    char name[MESSAGE_ID_TEXT_SIZE];
    fault_point("large.remove");
    if (unlinkat(log->large_fd, message_id_text(id, name), 0) != 0 && errno != ENOENT)
        log_warning("queue: cannot remove large/%s: %s", name, strerror(errno));
}

static enum error_code failed(struct queue_log *log)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return ERROR_NO_SPACE;
    queue_log_give_up(log, "cannot keep a large body");
}

static enum error_code store(struct queue_log *log, const struct queue_record *record)
{
    char from[64], name[MESSAGE_ID_TEXT_SIZE];
    fault_point("large.sync");
    if (fsync(record->large_fd) != 0)
        return failed(log);
    snprintf(from, sizeof from, "/proc/self/fd/%d", record->large_fd);
    message_id_text(&record->id, name);
    fault_point("large.link");
    if (linkat(AT_FDCWD, from, log->large_fd, name, AT_SYMLINK_FOLLOW) != 0)
        return failed(log);
    fault_point("large.linked");
    return fsync(log->large_fd) == 0 ? ERROR_NONE : failed(log);
}

void *queue_log_large_main(void *argument)
{
    struct queue_log *log = argument;
    pthread_mutex_lock(&log->mutex);
    while (log->large_pending.first || !log->large_stopping) {
        struct queue_record *record = queue_record_list_take(&log->large_pending);
        if (!record) {
            pthread_cond_wait(&log->large_wake, &log->mutex);
            continue;
        }
        pthread_mutex_unlock(&log->mutex);
        if (record->result == ERROR_NONE)
            record->result = store(log, record);
        pthread_mutex_lock(&log->mutex);
        queue_log_append_pending(log, record);
    }
    pthread_mutex_unlock(&log->mutex);
    return NULL;
}

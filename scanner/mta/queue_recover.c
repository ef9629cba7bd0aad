/* From records to messages when the queue is opened. */
#include "scanner/mta/queue_private.h"

#include "common/log.h"
#include "scanner/mta/queue_record.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

static void forget(struct queue *queue, struct queue_message *message)
{
    queue_table_remove(queue, message);
    queue_segment_detach(message);
    queue_segment_release(queue, message->segment, queue_message_log_bytes(message));
    queue_message_free(message);
}

static void recover_message(struct queue *queue, const struct queue_record_view *view)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    struct queue_message *message = queue_record_get_message(view->meta, view->meta_length);
    if (!message) {
        log_error("queue: the record of message %s is whole but cannot be understood; it is "
                  "left out",
                  message_id_text(&view->id, text));
        return;
    }
    message->id = view->id;
    queue_submitted_add(queue, message);
    message->large = view->large;
    message->body_offset = view->body_offset;
    message->body_length = view->body_length;
    struct queue_message *earlier = queue_find(queue, &view->id);
    if (earlier)
        forget(queue, earlier);
    if (!message->open_recipients) {
        queue_message_free(message);
        return;
    }
    queue_table_add(queue, message);
    queue_segment_take(queue, view->segment, message);
}

/* A state record whose message is gone already is of no use any more. */
static void recover_state(struct queue *queue, const struct queue_record_view *view)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    struct queue_message *message = queue_find(queue, &view->id);
    if (!message)
        return;
    queue_count_change(queue, message, -1);
    if (!queue_record_apply(message, view->meta, view->meta_length))
        log_error("queue: a change of message %s cannot be understood",
                  message_id_text(&view->id, text));
    queue_count_change(queue, message, 1);
    if (!message->open_recipients)
        forget(queue, message);
}

void queue_recover_record(void *argument, const struct queue_record_view *view)
{
    if (view->type == QUEUE_RECORD_MESSAGE)
        recover_message(argument, view);
    else if (view->type == QUEUE_RECORD_STATE)
        recover_state(argument, view);
}

void queue_recover_large(struct queue *queue)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/large", queue->folder);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct message_id id;
        if (message_id_parse(entry->d_name, &id) && !queue_find(queue, &id))
            queue_log_large_remove(queue->log, &id);
    }
    closedir(folder);
}

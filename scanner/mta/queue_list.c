#include "scanner/mta/queue_list.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#define LIST_DEFAULT 100
#define SHOWN_LIMIT 1000 /* bytes of one text */

static const char *const directions[] = {
    [QUEUE_INBOUND] = "inbound", [QUEUE_OUTBOUND] = "outbound", [QUEUE_INTERNAL] = "internal"};
static const char *const recipient_states[] = {[QUEUE_RECIPIENT_QUEUED] = "queued",
                                               [QUEUE_RECIPIENT_DELIVERED] = "delivered",
                                               [QUEUE_RECIPIENT_BOUNCED] = "bounced",
                                               [QUEUE_RECIPIENT_DELETED] = "deleted",
                                               [QUEUE_RECIPIENT_HANDED_OVER] = "handed over"};

/* --- one message --- */

/* What peers said, made fit for JSON. */
static json_t *shown(const char *text)
{
    char clean[SHOWN_LIMIT];
    size_t length = text ? strnlen(text, sizeof clean) : 0;
    memcpy(clean, text ? text : "", length);
    return json_stringn(clean, utf8_scrub(clean, length));
}

/* "" where it is not tried by itself: it is held, waits for the Control Center, or goes as soon as it
 * is scanned. */
static json_t *time_or_none(int64_t milliseconds)
{
    char text[TIMESTAMP_TEXT_SIZE];
    return json_string(milliseconds > 0 ? timestamp_text(milliseconds, text) : "");
}

static json_t *describe_recipient(const struct queue_recipient *recipient,
                                  const struct queue_message *message)
{
    bool queued = recipient->state == QUEUE_RECIPIENT_QUEUED &&
                  message->state != QUEUE_TO_BE_HANDED_OVER;
    int64_t next = recipient->next_attempt ? recipient->next_attempt : message->received_at;
    return json_pack("{s:o,s:s,s:I,s:o,s:o,s:o}", "address", shown(recipient->address), "state",
                     recipient_states[recipient->state], "attempts",
                     (json_int_t)recipient->attempts, "next_attempt",
                     time_or_none(queued ? next : 0), "route", shown(recipient->route), "reply",
                     shown(recipient->reply));
}

static json_t *describe(const struct queue_message *message)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:I,s:o,s:I}", "id", message_id_text(&message->id, id),
                     "queue", queue_filter_queue_name(message), "direction",
                     directions[message->direction], "state", queue_filter_state_name(message),
                     "sender", shown(message->sender), "size", (json_int_t)message->body_length,
                     "received_at", time_or_none(message->received_at), "recipient_count",
                     (json_int_t)message->open_recipients);
}

static json_t *describe_for_list(const struct queue_message *message)
{
    json_t *value = describe(message), *recipients = json_array();
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        if (message->recipients[i].state != QUEUE_RECIPIENT_QUEUED)
            continue;
        json_array_append_new(recipients, describe_recipient(&message->recipients[i], message));
        if (json_array_size(recipients) == QUEUE_LIST_RECIPIENTS)
            break;
    }
    if (json_object_set_new(value, "recipients", recipients) != 0)
        abort();
    return value;
}

/* --- a list --- */

struct queue_list {
    struct queue_filter filter;
    struct queue_walk walk;
    size_t limit, count;
    struct buffer out;
    struct event *timer;
    void (*done)(void *argument, const char *text, size_t length);
    void *argument;
};

static void list_free(struct queue_list *list)
{
    queue_filter_clear(&list->filter);
    buffer_free(&list->out);
    if (list->timer)
        event_free(list->timer);
    free(list);
}

void queue_list_cancel(struct queue_list *list)
{
    list_free(list);
}

static void list_add(struct queue_list *list, const struct queue_message *message)
{
    cleanup_json json_t *value = describe_for_list(message);
    cleanup_free char *text = value ? json_text(value) : NULL;
    if (!text || !buffer_add_format(&list->out, "%s%s", list->count ? "," : "", text))
        abort();
    list->count++;
}

static void list_finish(struct queue_list *list, bool more)
{
    buffer_add_format(&list->out, "],\"more\":%s}", more ? "true" : "false");
    list->done(list->argument, buffer_text(&list->out), list->out.length);
    list_free(list);
}

static void on_slice(evutil_socket_t fd, short what, void *argument)
{
    struct queue_list *list = argument;
    struct queue_message *message;
    (void)fd;
    (void)what;
    queue_walk_slice(&list->walk);
    while ((message = queue_walk_next(&list->walk)) != NULL) {
        if (list->count == list->limit || list->out.length >= QUEUE_LIST_BYTES) {
            list_finish(list, true);
            return;
        }
        list_add(list, message);
    }
    if (list->walk.over)
        list_finish(list, false);
    else
        event_add(list->timer, &(struct timeval){0});
}

static bool list_read(struct queue_list *list, const json_t *request, struct message_id *after,
                      struct error *error)
{
    const json_t *filter;
    const char *text;
    int64_t limit;
    *after = (struct message_id){0};
    if (!json_get_object(request, NULL, "filter", false, &filter, error) ||
        !queue_filter_read(&list->filter, filter, error) ||
        !json_get_text_or(request, NULL, "after", MESSAGE_ID_TEXT_SIZE, "", &text, error) ||
        !json_get_integer_or(request, NULL, "limit", 1, QUEUE_LIST_MOST, LIST_DEFAULT, &limit,
                             error))
        return false;
    list->limit = (size_t)limit;
    return *text == '\0' || message_id_parse(text, after) ||
           error_set(error, ERROR_INVALID, "after", "must be the id of a message");
}

struct queue_list *queue_list_begin(struct queue *queue, struct event_base *base,
                                    const json_t *request,
                                    void (*done)(void *argument, const char *text, size_t length),
                                    void *argument, struct error *error)
{
    struct message_id after;
    struct queue_list *list = calloc(1, sizeof *list);
    if (!list)
        abort();
    list->done = done;
    list->argument = argument;
    if (!list_read(list, request, &after, error)) {
        list_free(list);
        return NULL;
    }
    list->timer = evtimer_new(base, on_slice, list);
    if (!list->timer || event_add(list->timer, &(struct timeval){0}) != 0)
        abort();
    buffer_add_text(&list->out, "{\"ok\":true,\"messages\":[");
    queue_walk_begin(&list->walk, queue, &list->filter, &after);
    return list;
}

/* --- one message with all that is known --- */

/* The header's lines without their line ends' CR, up to the empty line. */
static void add_header_lines(struct buffer *to, char *text, size_t length)
{
    for (char *line = text, *next; line < text + length; line = next) {
        char *end = memchr(line, '\n', (size_t)(text + length - line));
        next = end ? end + 1 : text + length;
        size_t size = (size_t)((end ? end : next) - line);
        if (size && line[size - 1] == '\r')
            size--;
        if (!size)
            return;
        /* A continuation stays one. */
        bool folded = line[0] == '\t';
        buffer_add(to, folded ? " " : "", folded);
        buffer_add(to, line + folded, utf8_scrub(line + folded, size - folded));
        buffer_add_text(to, "\n");
    }
}

static bool read_header(struct queue *queue, const struct queue_message *message,
                        struct buffer *header, struct error *error)
{
    char text[QUEUE_HEADER_BYTES];
    size_t length = 0;
    while (length < sizeof text) {
        long count =
            queue_read_body(queue, message, length, text + length, sizeof text - length, error);
        if (count < 0)
            return false;
        if (count == 0)
            break;
        length += (size_t)count;
    }
    add_header_lines(header, text, length);
    return true;
}

/* The recipients' text is bounded, not their number: the reply has to pass the agent. */
static void add_recipients(struct buffer *out, const struct queue_message *message)
{
    size_t start = out->length;
    uint32_t i = 0;
    for (; i < message->recipient_count && out->length - start < QUEUE_MESSAGE_BYTES; i++) {
        cleanup_json json_t *value = describe_recipient(&message->recipients[i], message);
        cleanup_free char *text = value ? json_text(value) : NULL;
        buffer_add_format(out, "%s%s", i ? "," : "", text ? text : "{}");
    }
    buffer_add_format(out, "],\"recipients_left_out\":%u", message->recipient_count - i);
}

bool queue_message_write(struct queue *queue, const json_t *request, struct buffer *out,
                         struct error *error)
{
    const char *text;
    struct message_id id;
    if (!json_get_text(request, NULL, "id", MESSAGE_ID_TEXT_SIZE, &text, error))
        return false;
    if (!message_id_parse(text, &id))
        return error_set(error, ERROR_INVALID, "id", "must be the id of a message");
    struct queue_message *message = queue_find(queue, &id);
    if (!message)
        return error_set(error, ERROR_NOT_FOUND, "id", "the message is not in the queue");
    struct buffer header = BUFFER_INIT;
    bool good = read_header(queue, message, &header, error);
    cleanup_json json_t *value = describe(message);
    cleanup_json json_t *header_value =
        good ? json_stringn(buffer_text(&header), header.length) : NULL;
    cleanup_free char *whole = json_text(value);
    cleanup_free char *header_json =
        header_value ? json_dumps(header_value, JSON_ENCODE_ANY) : NULL;
    buffer_free(&header);
    if (!good)
        return false;
    if (!whole || !header_json)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    /* The object's last brace makes room for what is too long to pack. */
    buffer_add_format(out, "{\"ok\":true,\"message\":%.*s,\"recipients\":[", (int)strlen(whole) - 1,
                      whole);
    add_recipients(out, message);
    return buffer_add_format(out, "},\"header\":%s}", header_json) ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

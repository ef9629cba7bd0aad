#include "scanner/mta/submission.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "common/utf8.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/control_requests.h"
#include "scanner/mta/destination.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/smtp_receive.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define REASON_LIMIT 100        /* bytes; as the audit log takes a policy */
#define ADMINISTRATOR_LIMIT 128 /* and a name */
#define TRACE_ROOM (64u << 10)  /* over the limit of a message: header fields that it got since */
#define LOOK_EVERY_MS 60000

/* A message that is coming in. */
struct upload {
    struct upload *next;
    struct message_id id;
    enum queue_direction direction;
    uint8_t flags;
    char *sender, *header, *route, *reason, *administrator;
    struct queue_draft_recipient *recipients;
    size_t recipient_count;
    bool is_eight_bit;
    struct smtp_receive content;
    int64_t forget_at; /* monotonic milliseconds */
};

/* One that is being written. */
struct ending {
    struct ending *next, **link;
    struct message_id id;
    void (*done)(void *argument, enum error_code result); /* NULL: nobody waits any more */
    void *argument;
};

struct submissions {
    struct mta *mta;
    struct upload *uploads;
    struct ending *endings;
    struct event *timer;
};

static char *copy(const char *text)
{
    char *made = text ? strdup(text) : NULL;
    if (text && !made)
        abort();
    return made;
}

/* --- uploads --- */

static void upload_free(struct upload *upload)
{
    if (!upload)
        return;
    for (size_t i = 0; i < upload->recipient_count; i++)
        free((char *)upload->recipients[i].address);
    free(upload->recipients);
    free(upload->sender);
    free(upload->header);
    free(upload->route);
    free(upload->reason);
    free(upload->administrator);
    smtp_receive_drop(&upload->content);
    free(upload);
}

/* Takes it out of the list; NULL where there is none. */
static struct upload *take_upload(struct submissions *submissions, const struct message_id *id)
{
    struct upload **link = &submissions->uploads;
    while (*link && !message_id_equal(&(*link)->id, id))
        link = &(*link)->next;
    struct upload *upload = *link;
    if (upload)
        *link = upload->next;
    return upload;
}

static struct upload *find_upload(struct submissions *submissions, const struct message_id *id)
{
    struct upload *upload = submissions->uploads;
    while (upload && !message_id_equal(&upload->id, id))
        upload = upload->next;
    return upload;
}

static void look_later(struct submissions *submissions)
{
    struct timeval interval = timestamp_interval(LOOK_EVERY_MS);
    if (submissions->uploads)
        event_add(submissions->timer, &interval);
}

static size_t forget_old(struct submissions *submissions)
{
    int64_t now = timestamp_monotonic_ms();
    size_t left = 0;
    for (struct upload **link = &submissions->uploads, *upload; (upload = *link) != NULL;) {
        if (upload->forget_at > now) {
            link = &upload->next;
            left++;
            continue;
        }
        *link = upload->next;
        upload_free(upload);
    }
    return left;
}

static void on_look(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    forget_old(argument);
    look_later(argument);
}

/* --- reading an envelope --- */

static bool read_address(const char *text, const char *where, char **to, struct error *error)
{
    const char *problem = address_check(text, strlen(text), true);
    if (problem)
        return error_set(error, ERROR_INVALID, where, "%s: %s", text, problem);
    *to = copy(text);
    return true;
}

static bool read_sender(struct upload *upload, const json_t *request, struct error *error)
{
    const char *text;
    if (!json_get_text(request, NULL, "sender", ADDRESS_SIZE - 1, &text, error))
        return false;
    if (*text)
        return read_address(text, "sender", &upload->sender, error);
    upload->sender = copy("");
    return true;
}

static bool read_recipients(struct upload *upload, const json_t *request, struct error *error)
{
    const json_t *list, *value;
    size_t index;
    if (!json_get_array(request, NULL, "recipients", true, SUBMISSION_RECIPIENTS_MOST, &list,
                        error))
        return false;
    if (json_array_size(list) == 0)
        return error_set(error, ERROR_INVALID, "recipients", "must not be empty");
    upload->recipients = calloc(json_array_size(list), sizeof(*upload->recipients));
    if (!upload->recipients)
        abort();
    json_array_foreach((json_t *)list, index, value)
    {
        char *address;
        const char *text = json_string_value(value);
        if (!read_address(text ? text : "", "recipients", &address, error))
            return false;
        upload->recipients[upload->recipient_count++] =
            (struct queue_draft_recipient){.address = address, .route = upload->route};
    }
    return true;
}

static bool read_direction(struct upload *upload, const json_t *request, struct error *error)
{
    const char *text;
    if (!json_get_text(request, NULL, "direction", 16, &text, error))
        return false;
    upload->direction = strcmp(text, "inbound") == 0 ? QUEUE_INBOUND : QUEUE_OUTBOUND;
    return upload->direction == QUEUE_INBOUND || strcmp(text, "outbound") == 0 ||
           error_set(error, ERROR_INVALID, "direction", "must be inbound or outbound");
}

static bool read_flags(struct upload *upload, const json_t *request, struct error *error)
{
    const json_t *list, *value;
    size_t index;
    if (!json_get_array(request, NULL, "flags", false, 8, &list, error))
        return false;
    json_array_foreach((json_t *)list, index, value)
    {
        const char *name = json_string_value(value);
        if (!name || strcmp(name, "require_tls") != 0)
            return error_set(error, ERROR_INVALID, "flags", "is not known: %s", name ? name : "");
        upload->flags |= QUEUE_FLAG_REQUIRE_TLS;
    }
    return true;
}

static bool read_route(struct upload *upload, const json_t *request, struct error *error)
{
    const char *route;
    if (!json_get_text_or(request, NULL, "route", DESTINATION_ROUTE_LIMIT, "", &route, error))
        return false;
    const char *problem = *route ? destination_check_route(route) : NULL;
    if (problem)
        return error_set(error, ERROR_INVALID, "route", "%s", problem);
    upload->route = *route ? copy(route) : NULL;
    return true;
}

/* Whole fields, each line ended, and no empty one: what follows is still the header. */
static bool is_header(const char *text)
{
    for (const char *line = text, *end; *line; line = end + 2) {
        end = strstr(line, "\r\n");
        if (!end || end == line || strcspn(line, "\r\n") != (size_t)(end - line))
            return false;
        const char *colon = memchr(line, ':', (size_t)(end - line));
        bool continued = *line == ' ' || *line == '\t';
        if (continued ? line == text : !colon || colon == line)
            return false;
    }
    return true;
}

static bool read_header(struct upload *upload, const json_t *request, struct error *error)
{
    const char *header;
    if (!json_get_text_or(request, NULL, "header", SUBMISSION_HEADER_BYTES, "", &header, error))
        return false;
    if (!is_header(header))
        return error_set(error, ERROR_INVALID, "header", "must be whole header fields");
    upload->header = *header ? copy(header) : NULL;
    upload->is_eight_bit = !utf8_is_ascii(header, strlen(header));
    return true;
}

static bool read_reason(struct upload *upload, const json_t *request, struct error *error)
{
    const char *reason, *administrator;
    if (!json_get_text(request, NULL, "reason", REASON_LIMIT, &reason, error) ||
        !json_get_text_or(request, NULL, "administrator", ADMINISTRATOR_LIMIT, "", &administrator,
                          error))
        return false;
    upload->reason = copy(reason);
    upload->administrator = copy(administrator);
    return true;
}

/* The addresses alone decide: what stands in the header came by mail that way, and went on so. */
static void note_utf8(struct upload *upload)
{
    bool ascii = utf8_is_ascii(upload->sender, strlen(upload->sender));
    for (size_t i = 0; i < upload->recipient_count; i++) {
        const char *address = upload->recipients[i].address;
        ascii = ascii && utf8_is_ascii(address, strlen(address));
    }
    if (!ascii)
        upload->flags |= QUEUE_FLAG_SMTPUTF8;
}

static bool read_envelope(struct upload *upload, const json_t *request, struct error *error)
{
    if (!read_sender(upload, request, error) || !read_direction(upload, request, error) ||
        !read_flags(upload, request, error) || !read_route(upload, request, error) ||
        !read_header(upload, request, error) || !read_reason(upload, request, error) ||
        !read_recipients(upload, request, error))
        return false;
    note_utf8(upload);
    return true;
}

/* --- begin --- */

static bool is_known(const struct submissions *submissions, const struct message_id *id)
{
    struct queue *queue = submissions->mta->queue;
    return queue_was_submitted(queue, id) || queue_find(queue, id);
}

static bool is_ending(const struct submissions *submissions, const struct message_id *id)
{
    for (const struct ending *ending = submissions->endings; ending; ending = ending->next)
        if (message_id_equal(&ending->id, id))
            return true;
    return false;
}

static bool may_begin(struct submissions *submissions, const struct message_id *id,
                      struct error *error)
{
    if (!submissions->mta->config)
        return error_set(error, ERROR_UNAVAILABLE, NULL,
                         "the scanner waits for its first configuration");
    if (is_ending(submissions, id))
        return error_set(error, ERROR_UNAVAILABLE, "id", "the message is being stored just now");
    upload_free(take_upload(submissions, id));
    return forget_old(submissions) < SUBMISSION_UPLOADS_MOST ||
           error_set(error, ERROR_LIMIT, NULL, "%d messages are being submitted already",
                     SUBMISSION_UPLOADS_MOST);
}

static void start(struct submissions *submissions, struct upload *upload)
{
    const struct mta *mta = submissions->mta;
    uint64_t limit = (uint64_t)mta->config->config->inbound.max_message_bytes + TRACE_ROOM;
    smtp_receive_begin(&upload->content, mta->queue, "", limit, 0, false);
    upload->forget_at = timestamp_monotonic_ms() + SUBMISSION_UPLOAD_MS;
    upload->next = submissions->uploads;
    submissions->uploads = upload;
    look_later(submissions);
}

bool submission_begin(struct submissions *submissions, const json_t *request, struct buffer *out,
                      struct error *error)
{
    struct message_id id;
    if (!control_read_id(request, &id, error))
        return false;
    if (is_known(submissions, &id))
        return buffer_add_text(out, "{\"ok\":true,\"known\":true}");
    if (!may_begin(submissions, &id, error))
        return false;
    struct upload *upload = calloc(1, sizeof(*upload));
    if (!upload)
        abort();
    upload->id = id;
    if (!read_envelope(upload, request, error)) {
        upload_free(upload);
        return false;
    }
    start(submissions, upload);
    return buffer_add_text(out, "{\"ok\":true,\"known\":false}");
}

/* --- data --- */

static bool decode(const json_t *request, struct buffer *data, struct error *error)
{
    const char *text;
    size_t most = sodium_base64_encoded_len(SUBMISSION_DATA_BYTES, sodium_base64_VARIANT_ORIGINAL);
    size_t length;
    if (!json_get_text(request, NULL, "data", most, &text, error))
        return false;
    char *to = buffer_reserve(data, SUBMISSION_DATA_BYTES);
    if (!to)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    if (sodium_base642bin((unsigned char *)to, SUBMISSION_DATA_BYTES, text, strlen(text), NULL,
                          &length, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return error_set(error, ERROR_INVALID, "data", "must be base64 of at most %u bytes",
                         SUBMISSION_DATA_BYTES);
    data->length = length;
    return true;
}

static bool check_content(const struct upload *upload, struct error *error)
{
    switch (upload->content.fault) {
    case SMTP_RECEIVE_FINE:
        return true;
    case SMTP_RECEIVE_NO_SPACE:
        return error_set(error, ERROR_NO_SPACE, NULL, "the scanner's disk is full");
    case SMTP_RECEIVE_TOO_LARGE:
        return error_set(error, ERROR_LIMIT, NULL, "the message is too large");
    default:
        return error_set(error, ERROR_INVALID, NULL, "%s",
                         smtp_receive_reply(upload->content.fault));
    }
}

static bool take_data(struct submissions *submissions, struct upload *upload, int64_t offset,
                      const struct buffer *data, struct error *error)
{
    bool ended;
    if ((uint64_t)offset != upload->content.size)
        return error_set(error, ERROR_INVALID, "offset", "there are %llu bytes so far",
                         (unsigned long long)upload->content.size);
    if (!queue_has_space(submissions->mta->queue, data->length))
        return error_set(error, ERROR_NO_SPACE, NULL, "the scanner's disk is full");
    upload->is_eight_bit = upload->is_eight_bit || !utf8_is_ascii(buffer_text(data), data->length);
    smtp_receive_data(&upload->content, buffer_text(data), data->length, &ended);
    return check_content(upload, error);
}

bool submission_data(struct submissions *submissions, const json_t *request, struct buffer *out,
                     struct error *error)
{
    struct message_id id;
    int64_t offset;
    struct buffer data = BUFFER_INIT;
    if (!control_read_id(request, &id, error) ||
        !json_get_integer(request, NULL, "offset", 0, INT64_MAX, &offset, error))
        return false;
    struct upload *upload = find_upload(submissions, &id);
    if (!upload)
        return error_set(error, ERROR_NOT_FOUND, "id", "the message was not begun");
    bool good =
        decode(request, &data, error) && take_data(submissions, upload, offset, &data, error);
    buffer_free(&data);
    return good && buffer_add_format(out, "{\"ok\":true,\"size\":%llu}",
                                     (unsigned long long)upload->content.size);
}

/* --- end --- */

static void on_stored(void *argument, enum error_code result)
{
    struct ending *ending = argument;
    *ending->link = ending->next;
    if (ending->next)
        ending->next->link = ending->link;
    if (ending->done)
        ending->done(ending->argument, result);
    free(ending);
}

static void add_events(const struct submissions *submissions, const struct upload *upload,
                       struct queue_draft *draft)
{
    const struct scanner_config *config = submissions->mta->config->config;
    struct transaction transaction = {
        .direction = QUEUE_INTERNAL, .helo = config->host_name, .protocol = "internal"};
    struct audit_envelope envelope = {.sender = draft->sender,
                                      .recipients = draft->recipients,
                                      .recipient_count = draft->recipient_count,
                                      .size = upload->content.size};
    audit_received(&draft->events, &draft->id, &transaction, &envelope);
    audit_action(&draft->events, &draft->id, "deliver", upload->reason, NULL,
                 draft->recipient_count, *upload->administrator ? upload->administrator : NULL);
}

static void store(struct submissions *submissions, struct upload *upload, struct ending *ending)
{
    struct queue_draft draft = {
        .id = upload->id,
        .direction = upload->direction,
        .state = QUEUE_TO_BE_DELIVERED,
        .flags = (uint8_t)(upload->flags | (upload->is_eight_bit ? QUEUE_FLAG_8BITMIME : 0)),
        .received_at = timestamp_now_ms(),
        .sender = upload->sender,
        .extra_header = upload->header,
        .recipients = upload->recipients,
        .recipient_count = upload->recipient_count,
        .large_fd = -1,
        .submitted = true};
    add_events(submissions, upload, &draft);
    smtp_receive_take(&upload->content, &draft);
    queue_accept(submissions->mta->queue, &draft, on_stored, ending);
}

static bool check_end(struct upload *upload, int64_t size, struct error *error)
{
    if (!upload)
        return error_set(error, ERROR_NOT_FOUND, "id", "the message was not begun");
    if (!check_content(upload, error))
        return false;
    if ((uint64_t)size != upload->content.size)
        return error_set(error, ERROR_INVALID, "size", "%llu bytes came",
                         (unsigned long long)upload->content.size);
    smtp_receive_finish(&upload->content);
    return check_content(upload, error);
}

bool submission_end(struct submissions *submissions, const json_t *request, bool *known,
                    void (*done)(void *argument, enum error_code result), void *argument,
                    struct error *error)
{
    struct message_id id;
    int64_t size;
    if (!control_read_id(request, &id, error) ||
        !json_get_integer(request, NULL, "size", 0, INT64_MAX, &size, error))
        return false;
    *known = is_known(submissions, &id);
    if (*known)
        return true;
    if (is_ending(submissions, &id))
        return error_set(error, ERROR_UNAVAILABLE, "id", "the message is being stored just now");
    struct upload *upload = take_upload(submissions, &id);
    bool good = check_end(upload, size, error);
    if (good) {
        struct ending *ending = malloc(sizeof(*ending));
        if (!ending)
            abort();
        *ending = (struct ending){submissions->endings, &submissions->endings, id, done, argument};
        if (ending->next)
            ending->next->link = &ending->next;
        submissions->endings = ending;
        store(submissions, upload, ending);
    }
    upload_free(upload);
    return good;
}

void submission_forget(struct submissions *submissions, const void *argument)
{
    for (struct ending *ending = submissions->endings; ending; ending = ending->next)
        if (ending->argument == argument)
            ending->done = NULL;
}

/* --- life --- */

struct submissions *submissions_new(struct mta *mta)
{
    struct submissions *submissions = calloc(1, sizeof(*submissions));
    if (!submissions)
        abort();
    submissions->mta = mta;
    submissions->timer = evtimer_new(mta->base, on_look, submissions);
    if (!submissions->timer)
        abort();
    return submissions;
}

/* What is being written is written, whoever waits for it. */
void submissions_free(struct submissions *submissions)
{
    if (!submissions)
        return;
    while (submissions->uploads) {
        struct upload *upload = submissions->uploads;
        submissions->uploads = upload->next;
        upload_free(upload);
    }
    for (struct ending *ending = submissions->endings, *next; ending; ending = next) {
        next = ending->next;
        *ending = (struct ending){.link = &ending->next, .id = ending->id};
    }
    event_free(submissions->timer);
    free(submissions);
}

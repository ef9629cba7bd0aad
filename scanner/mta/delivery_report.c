/* Reports to the sender of a message (RFC 3464). No message with the null sender is reported on, so
 * that reports never breed reports. */
#include "scanner/mta/delivery_private.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "common/utf8.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/bounce.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT (64u << 10) /* bytes of a header that are sent back */
#define WHOLE_LIMIT (256u << 10) /* bytes of a message that is sent back whole */
/* Holds the content with all its line ends made longer, and the most recipients. */
#define REPORT_LIMIT QUEUE_LOG_INLINE_LIMIT
#define NOT_STORED_RETRY_MS (60 * 1000) /* the disk may have room again */

/* Failures that are recorded once the report about them is on stable storage: a crash before that
 * repeats the attempt, and never loses the report. */
struct delivery_report {
    struct delivery_report *next, **link;
    struct delivery *delivery; /* NULL: it is gone, and with it the message */
    struct queue_message *message;
    struct message_id id;
    struct delivery_failure *failures;
    size_t count;
    struct buffer events;
};

/* --- content --- */

static size_t header_length(const char *content, size_t length)
{
    for (const char *line = content; line < content + length;) {
        const char *end = memchr(line, '\n', length - (size_t)(line - content));
        if (!end)
            break;
        size_t size = (size_t)(end - line);
        if (size == 0 || (size == 1 && line[0] == '\r'))
            return (size_t)(line - content);
        line = end + 1;
    }
    return length;
}

static bool read_content(struct delivery *delivery, const struct queue_message *message,
                         size_t limit, struct buffer *content)
{
    struct error error = {0};
    while (content->length < limit) {
        char *to = buffer_reserve(content, limit - content->length);
        long count = !to ? -1
                         : queue_read_body(delivery->mta->queue, message, content->length, to,
                                           limit - content->length, &error);
        if (count < 0)
            return false;
        if (count == 0)
            break;
        content->length += (size_t)count;
    }
    return true;
}

/* The whole message where its sender asked for it and it is not too long, else its header. A report
 * without content is better than none. */
static void add_content(struct delivery *delivery, const struct queue_message *message,
                        struct bounce_report *report, struct buffer *content)
{
    bool whole = report->kind == BOUNCE_FAILED && (message->flags & QUEUE_FLAG_RET_FULL) &&
                 message->body_length <= WHOLE_LIMIT;
    size_t limit = whole ? (size_t)message->body_length : HEADER_LIMIT;
    if (message->body_length < limit)
        limit = (size_t)message->body_length;
    if (!read_content(delivery, message, limit, content)) {
        log_warning("delivery: a message that was not delivered cannot be read for its report");
        buffer_clear(content);
        whole = false;
    }
    report->content = buffer_text(content);
    report->content_whole = whole;
    report->content_length =
        whole ? content->length : header_length(report->content, content->length);
}

/* --- the report as a message --- */

static void add_received_event(struct queue_draft *draft, const char *host_name)
{
    struct transaction transaction = {
        .direction = QUEUE_INTERNAL, .helo = host_name, .protocol = ""};
    struct audit_envelope envelope = {.sender = draft->sender,
                                      .recipients = draft->recipients,
                                      .recipient_count = draft->recipient_count,
                                      .size = draft->body.length};
    audit_received(&draft->events, &draft->id, &transaction, &envelope);
}

static bool needs_utf8(const struct bounce_report *report)
{
    if (!utf8_is_ascii(report->to, strlen(report->to)))
        return true;
    for (size_t i = 0; i < report->recipient_count; i++)
        if (!utf8_is_ascii(report->recipients[i].address, strlen(report->recipients[i].address)))
            return true;
    return false;
}

/* Writes the report on `message` and hands it to the queue. False where it could not be written. */
static bool send_report(struct delivery *delivery, const struct queue_message *message,
                        struct bounce_report *report,
                        void (*done)(void *argument, enum error_code result), void *argument)
{
    const struct scanner_config *config = delivery_config(delivery);
    struct buffer content = {.limit = WHOLE_LIMIT + 1};
    struct queue_draft_recipient to = {.address = message->sender, .notify = QUEUE_NOTIFY_NEVER};
    struct queue_draft draft = {.id = report->id,
                                .direction = QUEUE_INTERNAL,
                                .state = QUEUE_TO_BE_DELIVERED,
                                .sender = "",
                                .recipients = &to,
                                .recipient_count = 1,
                                .body = {.limit = REPORT_LIMIT},
                                .large_fd = -1};
    report->reporting_host = config->host_name;
    report->to = message->sender;
    report->envelope_id = message->envelope_id;
    report->arrived_at = message->received_at;
    report->now = draft.received_at = timestamp_now_ms();
    report->tried_until = message->received_at + 1000 * (int64_t)config->delivery.lifetime_seconds;
    report->utf8 = (message->flags & QUEUE_FLAG_SMTPUTF8) && needs_utf8(report);
    add_content(delivery, message, report, &content);
    bool written = bounce_write(report, &draft.body);
    buffer_free(&content);
    if (!written) {
        buffer_free(&draft.body);
        return false;
    }
    draft.flags =
        (uint8_t)((utf8_is_ascii(draft.body.data, draft.body.length) ? 0 : QUEUE_FLAG_8BITMIME) |
                  (report->utf8 ? QUEUE_FLAG_SMTPUTF8 : 0));
    add_received_event(&draft, config->host_name);
    queue_accept(delivery->mta->queue, &draft, done, argument);
    return true;
}

static bool wants(const struct queue_recipient *recipient, uint8_t what, bool otherwise)
{
    return recipient->notify == 0 ? otherwise : (recipient->notify & what) != 0;
}

/* `hop` may be NULL. */
static struct bounce_recipient describe(const struct queue_recipient *recipient, const char *reply,
                                        const struct delivery_hop *hop)
{
    bool own = strstr(reply, "[internal]") != NULL;
    return (struct bounce_recipient){.address = recipient->address,
                                     .original = recipient->original,
                                     .reply = reply,
                                     .host = hop && !own ? hop->host : NULL,
                                     .own_reason = own,
                                     .attempted_at = timestamp_now_ms()};
}

/* --- failures --- */

static void add_failed_recipients(const struct delivery_report *report,
                                  const struct delivery_hop *hop,
                                  struct bounce_recipient *recipients, size_t *count)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct queue_recipient *from =
            &report->message->recipients[report->failures[i].recipient];
        if (wants(from, QUEUE_NOTIFY_FAILURE, true))
            recipients[(*count)++] = describe(from, report->failures[i].reply, hop);
    }
}

static void report_free(struct delivery_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->failures[i].reply);
    free(report->failures);
    buffer_free(&report->events);
    free(report);
}

static void report_finish(struct delivery_report *report)
{
    struct queue *queue = report->delivery->mta->queue;
    struct queue_message *message = report->message;
    for (size_t i = 0; i < report->count; i++)
        message->recipients[report->failures[i].recipient].in_delivery = false;
    *report->link = report->next;
    if (report->next)
        report->next->link = report->link;
    report_free(report);
    queue_release_busy(queue, message);
}

static void record(struct delivery_report *report, enum queue_recipient_state state,
                   int64_t next_attempt)
{
    struct queue_change changes[DELIVERY_JOB_RECIPIENTS];
    size_t count = 0;
    for (size_t i = 0; i < report->count; i++) {
        const struct delivery_failure *failure = &report->failures[i];
        if (report->message->recipients[failure->recipient].state != QUEUE_RECIPIENT_QUEUED)
            continue; /* an administrator took it out meanwhile */
        changes[count++] = (struct queue_change){.recipient = failure->recipient,
                                                 .state = state,
                                                 .attempts = failure->attempts,
                                                 .next_attempt = next_attempt,
                                                 .reply = failure->reply};
    }
    if (count > 0)
        queue_change_recipients(report->delivery->mta->queue, report->message, changes, count,
                                &report->events);
    else
        queue_log_only(report->delivery->mta->queue, &report->message->id, &report->events, NULL,
                       NULL);
}

/* `dsn` NULL: nobody was told. */
static void record_bounced(struct delivery_report *report, const struct message_id *dsn)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct delivery_failure *failure = &report->failures[i];
        const struct queue_recipient *recipient = &report->message->recipients[failure->recipient];
        bool told = dsn && wants(recipient, QUEUE_NOTIFY_FAILURE, true);
        audit_bounced(&report->events, &report->message->id, failure->recipient, recipient->address,
                      failure->reply, told ? dsn : NULL);
    }
    record(report, QUEUE_RECIPIENT_BOUNCED, 0);
    report_finish(report);
}

static void on_stored(void *argument, enum error_code result)
{
    struct delivery_report *report = argument;
    if (!report->delivery) {
        report_free(report);
    } else if (result == ERROR_NONE) {
        record_bounced(report, &report->id);
    } else {
        log_error("delivery: a bounce could not be stored; its message is tried again");
        record(report, QUEUE_RECIPIENT_QUEUED, timestamp_now_ms() + NOT_STORED_RETRY_MS);
        report_finish(report);
    }
}

static struct delivery_report *report_new(struct delivery *delivery, struct queue_message *message)
{
    struct delivery_report *report = calloc(1, sizeof(*report));
    if (!report)
        abort();
    report->delivery = delivery;
    report->message = message;
    report->id = message_id_new();
    report->next = delivery->reports;
    report->link = &delivery->reports;
    if (report->next)
        report->next->link = &report->next;
    delivery->reports = report;
    return report;
}

void delivery_report_failures(struct delivery *delivery, struct queue_message *message,
                              struct delivery_failure *failures, size_t count,
                              struct buffer *events, const struct delivery_hop *hop)
{
    struct bounce_recipient recipients[DELIVERY_JOB_RECIPIENTS];
    struct delivery_report *report = report_new(delivery, message);
    report->failures = failures;
    report->count = count;
    report->events = *events;
    *events = (struct buffer)BUFFER_INIT;
    queue_hold_busy(delivery->mta->queue, message);
    for (size_t i = 0; i < count; i++)
        message->recipients[failures[i].recipient].in_delivery = true;
    struct bounce_report bounce = {
        .kind = BOUNCE_FAILED, .id = report->id, .recipients = recipients};
    if (message->sender[0] != '\0')
        add_failed_recipients(report, hop, recipients, &bounce.recipient_count);
    if (bounce.recipient_count == 0 || !send_report(delivery, message, &bounce, on_stored, report))
        record_bounced(report, NULL);
}

bool delivery_report_is_under_way(const struct delivery *delivery,
                                  const struct queue_message *message)
{
    for (const struct delivery_report *report = delivery->reports; report; report = report->next)
        if (report->message == message)
            return true;
    return false;
}

void delivery_reports_forget(struct delivery *delivery)
{
    while (delivery->reports) {
        struct delivery_report *report = delivery->reports;
        delivery->reports = report->next;
        report->delivery = NULL;
    }
}

/* --- delays and successes: their loss in a crash loses no mail --- */

static void on_notice_stored(void *argument, enum error_code result)
{
    (void)argument;
    if (result != ERROR_NONE)
        log_warning("delivery: a notice to a sender could not be stored");
}

static void send_notice(struct delivery *delivery, const struct queue_message *message,
                        enum bounce_kind kind, const struct bounce_recipient *recipients,
                        size_t count)
{
    struct bounce_report report = {
        .kind = kind, .id = message_id_new(), .recipients = recipients, .recipient_count = count};
    if (count > 0 && !send_report(delivery, message, &report, on_notice_stored, NULL))
        log_warning("delivery: a notice to a sender could not be written");
}

void delivery_report_delay(struct delivery *delivery, struct queue_message *message)
{
    struct bounce_recipient recipients[DELIVERY_JOB_RECIPIENTS];
    size_t count = 0;
    if (message->sender[0] == '\0')
        return;
    for (uint32_t i = 0; i < message->recipient_count && count < DELIVERY_JOB_RECIPIENTS; i++) {
        const struct queue_recipient *from = &message->recipients[i];
        if (from->state == QUEUE_RECIPIENT_QUEUED && from->reply &&
            wants(from, QUEUE_NOTIFY_DELAY, true))
            recipients[count++] = describe(from, from->reply, NULL);
    }
    queue_change_flags(delivery->mta->queue, message, message->flags | QUEUE_FLAG_DELAY_WARNED,
                       NULL);
    send_notice(delivery, message, BOUNCE_DELAYED, recipients, count);
}

void delivery_report_relayed(struct delivery_job *job, const struct delivery_hop *hop)
{
    struct bounce_recipient recipients[DELIVERY_JOB_RECIPIENTS];
    const struct smtp_transaction *transaction = &job->transaction;
    size_t count = 0;
    if (job->message->sender[0] == '\0' || transaction->peer_has_dsn || !hop)
        return;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        const struct queue_recipient *from = &job->message->recipients[job->indices[i]];
        const struct smtp_transaction_recipient *result = &transaction->recipients[i];
        if (result->code / 100 == 2 && wants(from, QUEUE_NOTIFY_SUCCESS, false))
            recipients[count++] = describe(from, result->reply ? result->reply : "250", hop);
    }
    send_notice(job->delivery, job->message, BOUNCE_RELAYED, recipients, count);
}

/* --- refusals after the 250 --- */

static size_t gather_queued(const struct queue_message *message, uint32_t *next, const char *reply,
                            struct delivery_failure *failures)
{
    size_t count = 0;
    for (; *next < message->recipient_count && count < DELIVERY_JOB_RECIPIENTS; ++*next) {
        const struct queue_recipient *recipient = &message->recipients[*next];
        if (recipient->state != QUEUE_RECIPIENT_QUEUED || recipient->in_delivery)
            continue;
        char *copy = strdup(reply);
        if (!copy)
            abort();
        failures[count++] = (struct delivery_failure){*next, recipient->attempts, copy};
    }
    return count;
}

void delivery_refuse(struct delivery *delivery, struct queue_message *message, const char *reply,
                     struct buffer *events)
{
    uint32_t next = 0;
    queue_hold_busy(delivery->mta->queue, message);
    while (next < message->recipient_count) {
        struct delivery_failure *failures = calloc(DELIVERY_JOB_RECIPIENTS, sizeof(*failures));
        if (!failures)
            abort();
        size_t count = gather_queued(message, &next, reply, failures);
        if (count > 0)
            delivery_report_failures(delivery, message, failures, count, events, NULL);
        else
            free(failures);
    }
    buffer_free(events);
    queue_release_busy(delivery->mta->queue, message);
}

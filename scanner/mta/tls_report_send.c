#include "scanner/mta/tls_report_private.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JITTER_MS (4 * 3600 * 1000) /* RFC 8460 section 4.1 */
#define DAYS_KEPT 3                 /* of reports that could not be sent */
#define AGAIN_MS (30 * 60 * 1000)   /* after a failure */
#define POST_SECONDS 60
#define POST_ANSWER_LIMIT (16u << 10)
#define MAIL_LIMIT QUEUE_LOG_INLINE_LIMIT

/* One domain's report on its way. */
struct sending {
    struct tls_reports *reports;
    json_t *policies;
    int64_t day;
    unsigned posts; /* under way */
    bool failed, mailed;
    char domain[DOMAIN_SIZE];
};

/* What was not sent is tried again, unless a part of it was. */
static void done(struct sending *sending)
{
    struct tls_reports *reports = sending->reports;
    reports->under_way--;
    if (sending->failed && !sending->mailed && reports->old_domains &&
        reports->old_day == sending->day) {
        json_object_set(reports->old_domains, sending->domain, sending->policies);
        reports->old_due_at = timestamp_now_ms() + AGAIN_MS;
    }
    /* The others are not sent again after a restart. */
    if (reports->under_way == 0 && json_object_size(reports->old_domains) > 0)
        tls_report_save(reports, reports->old_day, reports->old_domains);
    json_decref(sending->policies);
    free(sending);
}

/* --- mail --- */

static void on_stored(void *argument, enum error_code result)
{
    (void)argument;
    if (result != ERROR_NONE)
        log_warning("tls reports: a report could not be stored");
}

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

static void send_mail(struct sending *sending, const struct tls_report_document *document,
                      const char *to, const struct buffer *gzip)
{
    struct tls_reports *reports = sending->reports;
    struct queue_draft_recipient recipient = {.address = to, .notify = QUEUE_NOTIFY_NEVER};
    struct queue_draft draft = {.id = message_id_new(),
                                .direction = QUEUE_INTERNAL,
                                .state = QUEUE_TO_BE_DELIVERED,
                                .received_at = timestamp_now_ms(),
                                .sender = document->config->delivery.tls_reports.from,
                                .recipients = &recipient,
                                .recipient_count = 1,
                                .body = {.limit = MAIL_LIMIT},
                                .large_fd = -1};
    if (!tls_report_write_mail(document, to, gzip, &draft.body)) {
        buffer_free(&draft.body);
        log_warning("tls reports: the report for %s is too long", document->domain);
        return;
    }
    sending->mailed = true;
    add_received_event(&draft, document->config->host_name);
    queue_accept(reports->mta->queue, &draft, on_stored, NULL);
}

/* --- https --- */

static void on_posted(void *argument, const struct https_answer *answer)
{
    struct sending *sending = argument;
    sending->failed |= answer->status / 100 != 2;
    if (answer->status / 100 != 2)
        log_warning("tls reports: the report for %s was not taken: %ld %s", sending->domain,
                    answer->status, answer->problem ? answer->problem : "");
    if (--sending->posts == 0)
        done(sending);
}

static void post(struct sending *sending, const char *url, const struct buffer *gzip)
{
    struct https_request request = {.url = url,
                                    .content_type = "application/tlsrpt+gzip",
                                    .body = buffer_text(gzip),
                                    .body_length = gzip->length,
                                    .answer_limit = POST_ANSWER_LIMIT,
                                    .seconds = POST_SECONDS};
    sending->posts++;
    https_client_send(sending->reports->https, &request, on_posted, sending);
}

/* --- who asks --- */

/* Of several records none counts. */
static size_t find_targets(const struct resolver_answer *answer,
                           struct tls_report_target targets[TLS_REPORT_TARGETS])
{
    size_t records = 0, count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        size_t length = answer->records[i].data_length;
        const char *text = (const char *)answer->records[i].data;
        if (length < 10 || memcmp(text, "v=TLSRPTv1", 10) != 0)
            continue;
        records++;
        count = tls_report_read_record(text, length, targets);
    }
    return records == 1 ? count : 0;
}

static void on_record(void *argument, const struct resolver_answer *answer)
{
    struct sending *sending = argument;
    struct tls_reports *reports = sending->reports;
    struct tls_report_target targets[TLS_REPORT_TARGETS];
    struct buffer gzip = BUFFER_INIT;
    const struct scanner_config *config = reports->mta->config->config;
    struct tls_report_document document = {
        .config = config,
        .domain = sending->domain,
        .policies = sending->policies,
        .begin = sending->day * TLS_REPORT_DAY_MS,
        .end = (sending->day + 1) * TLS_REPORT_DAY_MS - 1000,
        .id = message_id_new(),
    };
    size_t count =
        answer->status == RESOLVER_FOUND && !reports->closing && config->delivery.tls_reports.from
            ? find_targets(answer, targets)
            : 0;
    sending->failed = answer->status == RESOLVER_NO_ANSWER;
    sending->posts++; /* stays while they are begun */
    if (count > 0 && tls_report_write(&document, &gzip))
        for (size_t i = 0; i < count; i++) {
            if (targets[i].is_mail)
                send_mail(sending, &document, targets[i].text, &gzip);
            else
                post(sending, targets[i].text, &gzip);
        }
    buffer_free(&gzip);
    if (--sending->posts == 0)
        done(sending);
}

/* --- days that are over --- */

static void begin_old_day(struct tls_reports *reports, int64_t now)
{
    int64_t day;
    if (!tls_report_find_old(reports, reports->day, &day))
        return;
    if (reports->day - day > DAYS_KEPT) {
        tls_report_remove(reports, day);
        return;
    }
    int64_t latest = (day + 1) * TLS_REPORT_DAY_MS + JITTER_MS;
    int64_t wait = latest > now ? latest - now : 0;
    reports->old_day = day;
    reports->old_domains = tls_report_load(reports, day);
    reports->old_due_at = now + (wait > 0 ? (int64_t)arc4random_uniform((uint32_t)wait) : 0);
}

static void send_one(struct tls_reports *reports)
{
    void *at = json_object_iter(reports->old_domains);
    char name[DOMAIN_SIZE + 16];
    struct sending *sending = calloc(1, sizeof(*sending));
    if (!sending)
        abort();
    sending->reports = reports;
    sending->day = reports->old_day;
    sending->policies = json_incref(json_object_iter_value(at));
    snprintf(sending->domain, sizeof(sending->domain), "%s", json_object_iter_key(at));
    json_object_del(reports->old_domains, sending->domain);
    reports->under_way++;
    snprintf(name, sizeof(name), "_smtp._tls.%s", sending->domain);
    resolver_find_text(reports->resolver, name, on_record, sending);
}

static void end_old_day(struct tls_reports *reports)
{
    tls_report_remove(reports, reports->old_day);
    json_decref(reports->old_domains);
    reports->old_domains = NULL;
}

/* A crash in the midst of it sends some reports again. */
static void send_some(struct tls_reports *reports, int64_t now)
{
    if (reports->day - reports->old_day > DAYS_KEPT) {
        end_old_day(reports);
        return;
    }
    while (now >= reports->old_due_at && reports->under_way < TLS_REPORT_AT_ONCE &&
           json_object_size(reports->old_domains) > 0)
        send_one(reports);
    if (json_object_size(reports->old_domains) == 0 && reports->under_way == 0)
        end_old_day(reports);
}

void tls_report_send_tick(struct tls_reports *reports, int64_t now)
{
    if (!reports->old_domains)
        begin_old_day(reports, now);
    if (reports->old_domains && now >= reports->old_due_at)
        send_some(reports, now);
}

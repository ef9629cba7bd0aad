#include "scanner/mta/delivery_private.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is gathered of one job before it is recorded. */
struct outcome {
    struct delivery_job *job;
    const struct delivery_hop *hop;
    int64_t now;
    struct buffer events; /* of the recipients that are delivered or deferred */
    struct queue_change changes[DELIVERY_JOB_RECIPIENTS];
    size_t change_count;
    struct buffer failure_events;
    struct delivery_failure *failures;
    size_t failure_count;
    bool any_deferred;
};

static const char no_reply[] = "451 4.3.0 [internal] no reply";

static const char *reply_of(const struct smtp_transaction_recipient *recipient)
{
    return recipient->reply ? recipient->reply : no_reply;
}

static void add_event(struct outcome *outcome, struct buffer *events, size_t at, uint32_t attempt,
                      const char *name, int64_t next_attempt)
{
    const struct delivery_hop *hop = outcome->hop;
    const struct delivery_job *job = outcome->job;
    char ip[IP_TEXT_SIZE];
    struct audit_delivery event = {
        .recipient = job->indices[at],
        .address = job->message->recipients[job->indices[at]].address,
        .attempt = attempt,
        .outcome = name,
        .host = hop ? hop->host : NULL,
        .ip = hop ? ip_text(&hop->address, ip) : NULL,
        .port = hop ? hop->port : 0,
        .reply = reply_of(&job->transaction.recipients[at]),
        .tls = hop && hop->tls[0] ? hop->tls : NULL,
        .security = hop && hop->tls[0] ? hop->security : NULL,
        .next_attempt = next_attempt,
    };
    audit_delivery(events, &job->message->id, &event);
}

static void add_change(struct outcome *outcome, size_t at, enum queue_recipient_state state,
                       uint32_t attempts, int64_t next_attempt)
{
    outcome->changes[outcome->change_count++] =
        (struct queue_change){.recipient = outcome->job->indices[at],
                              .state = state,
                              .attempts = attempts,
                              .next_attempt = next_attempt,
                              .reply = reply_of(&outcome->job->transaction.recipients[at])};
}

static void add_failure(struct outcome *outcome, size_t at, uint32_t attempts)
{
    const struct delivery_job *job = outcome->job;
    if (!outcome->failures)
        outcome->failures = calloc(job->transaction.recipient_count, sizeof(outcome->failures[0]));
    char *reply = strdup(reply_of(&job->transaction.recipients[at]));
    if (!outcome->failures || !reply)
        abort();
    outcome->failures[outcome->failure_count++] =
        (struct delivery_failure){job->indices[at], attempts, reply};
    add_event(outcome, &outcome->failure_events, at, attempts, "failed", 0);
}

static void log_deferral(const struct outcome *outcome, size_t at)
{
    const struct delivery_job *job = outcome->job;
    log_info("Temporary delivery failure, sender: %s, recipient: %s, Detail: %s",
             job->message->sender, job->message->recipients[job->indices[at]].address,
             reply_of(&job->transaction.recipients[at]));
}

static void add_deferred(struct outcome *outcome, size_t at, uint32_t attempts)
{
    const struct delivery_job *job = outcome->job;
    const struct scanner_config *config = delivery_config(job->delivery);
    int64_t next = retry_next_attempt(&config->delivery, attempts, job->message->received_at,
                                      outcome->now, arc4random());
    log_deferral(outcome, at);
    if (next == 0) {
        add_failure(outcome, at, attempts);
        return;
    }
    add_change(outcome, at, QUEUE_RECIPIENT_QUEUED, attempts, next);
    add_event(outcome, &outcome->events, at, attempts, "deferred", next);
    outcome->any_deferred = true;
}

static void add_recipient(struct outcome *outcome, size_t at)
{
    const struct queue_recipient *recipient =
        &outcome->job->message->recipients[outcome->job->indices[at]];
    int code = outcome->job->transaction.recipients[at].code;
    uint32_t attempts = recipient->attempts + 1;
    if (code / 100 == 2) {
        add_change(outcome, at, QUEUE_RECIPIENT_DELIVERED, attempts, 0);
        add_event(outcome, &outcome->events, at, attempts, "delivered", 0);
    } else if (recipient->state != QUEUE_RECIPIENT_QUEUED) {
        return; /* an administrator took it out while it was tried */
    } else if (code / 100 == 5) {
        add_failure(outcome, at, attempts);
    } else {
        add_deferred(outcome, at, attempts);
    }
}

static bool is_late(const struct outcome *outcome)
{
    const struct queue_message *message = outcome->job->message;
    int64_t limit = delivery_config(outcome->job->delivery)->delivery.delay_warning_seconds;
    return outcome->any_deferred && limit > 0 && !(message->flags & QUEUE_FLAG_DELAY_WARNED) &&
           outcome->now - message->received_at >= 1000 * limit;
}

void delivery_record(struct delivery_job *job, const struct delivery_hop *hop)
{
    struct queue_message *message = job->message;
    struct delivery *delivery = job->delivery;
    struct queue *queue = delivery->mta->queue;
    struct outcome outcome = {.job = job, .hop = hop, .now = timestamp_now_ms()};
    if (!message) { /* taken back while it waited */
        delivery_job_end(job);
        return;
    }
    queue_hold_busy(queue, message);
    for (size_t i = 0; i < job->transaction.recipient_count; i++)
        add_recipient(&outcome, i);
    delivery_report_relayed(job, hop);
    if (outcome.change_count > 0)
        queue_change_recipients(queue, message, outcome.changes, outcome.change_count,
                                &outcome.events);
    bool late = is_late(&outcome);
    delivery_job_end(job);
    if (outcome.failure_count > 0)
        delivery_report_failures(delivery, message, outcome.failures, outcome.failure_count,
                                 &outcome.failure_events, hop);
    if (late)
        delivery_report_delay(delivery, message);
    buffer_free(&outcome.events);
    buffer_free(&outcome.failure_events);
    queue_release_busy(queue, message);
}

void delivery_fail(struct delivery_job *job, int code, const char *reply)
{
    delivery_job_set_replies(job, code, reply);
    delivery_record(job, NULL);
}

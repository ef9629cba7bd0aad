#include "scanner/mta/intake_private.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/delivery.h"
#include "scanner/mta/scan_client.h"
#include "scanner/policy/groups.h"
#include "scanner/policy/malware.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESCANS_FOR_EACH_WORKER 2
#define RETRY_MS 60000 /* after the system refused a descriptor */

static size_t open_recipients(const struct queue_message *message, uint32_t *indices)
{
    size_t count = 0;
    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state == QUEUE_RECIPIENT_QUEUED)
            indices[count++] = i;
    return count;
}

static void delete_recipients(struct intake *intake, struct queue_message *message,
                              const uint32_t *recipients, size_t count, struct buffer *events)
{
    cleanup_free struct queue_change *changes = calloc(count, sizeof(*changes));
    if (!changes)
        abort();
    for (size_t i = 0; i < count; i++)
        changes[i] =
            (struct queue_change){.recipient = recipients[i], .state = QUEUE_RECIPIENT_DELETED};
    queue_change_recipients(intake->mta->queue, message, changes, count, events);
}

/* The message was accepted before it was scanned, so it cannot be refused in the session any more.
 * A virus has a forged sender as a rule: a bounce would hit somebody else. */
static const char *action_after_acceptance(const struct policy_decision *decision)
{
    if (decision->action == CONFIG_ACTION_REJECT)
        return decision->bounces ? "bounce" : "delete";
    return config_action_name(decision->action);
}

/* --- cleaned --- */

/* A clean message out of a queued one: a new message, since what is queued never changes. The old
 * one goes when the new one is on stable storage. */
struct replacement {
    struct rescan *rescan;
    struct message_id id; /* of the new one */
    struct buffer events; /* for the old one */
    const char *policy;
    char detail[POLICY_DETAIL_SIZE];
};

static void finish_rescan(struct rescan *rescan);
static void postpone(struct rescan *rescan, const struct error *error);

static void on_replaced(void *argument, enum error_code result)
{
    struct replacement *replacement = argument;
    struct rescan *rescan = replacement->rescan;
    struct queue_message *message = rescan->message;
    char detail[POLICY_DETAIL_SIZE + MESSAGE_ID_TEXT_SIZE + 40], id[MESSAGE_ID_TEXT_SIZE];
    struct error error = {0};
    cleanup_free uint32_t *recipients = calloc(message->recipient_count, sizeof(*recipients));
    if (!recipients)
        abort();
    if (result == ERROR_NONE) {
        size_t count = open_recipients(message, recipients);
        snprintf(detail, sizeof(detail), "%s; goes on without it as message %s",
                 replacement->detail, message_id_text(&replacement->id, id));
        audit_action(&replacement->events, &message->id, "delete", replacement->policy, recipients,
                     count, detail);
        delete_recipients(rescan->intake, message, recipients, count, &replacement->events);
    }
    buffer_free(&replacement->events);
    free(replacement);
    if (result == ERROR_NONE) {
        finish_rescan(rescan);
        return;
    }
    error_set(&error, result, "queue", "did not take the clean message");
    postpone(rescan, &error);
}

static void add_recipients(const struct queue_message *message, const uint32_t *indices,
                           size_t count, struct queue_draft_recipient *to)
{
    for (size_t i = 0; i < count; i++) {
        const struct queue_recipient *from = &message->recipients[indices[i]];
        to[i] = (struct queue_draft_recipient){.address = from->address,
                                               .original = from->original,
                                               .notify = from->notify,
                                               .route = from->route};
    }
}

static void announce(struct queue_draft *draft, uint64_t size, const json_t *result,
                     const struct policy_decision *decision)
{
    struct transaction transaction = {
        .direction = (enum queue_direction)draft->direction, .helo = "", .protocol = "internal"};
    struct audit_envelope envelope = {draft->sender, draft->recipients, draft->recipient_count,
                                      size};
    audit_received(&draft->events, &draft->id, &transaction, &envelope);
    audit_scanned(&draft->events, &draft->id, result);
    audit_action(&draft->events, &draft->id, config_action_name(decision->action), decision->policy,
                 NULL, draft->recipient_count, decision->detail);
}

/* False where the clean file cannot be taken; the message then stays as it is. */
static bool replace(struct rescan *rescan, const json_t *result, int cleaned,
                    const struct policy_decision *decision, struct error *error)
{
    struct queue *queue = rescan->intake->mta->queue;
    const struct queue_message *message = rescan->message;
    cleanup_free uint32_t *indices = calloc(message->recipient_count, sizeof(*indices));
    struct queue_draft draft = {.id = message_id_new(),
                                .direction = (enum queue_direction)message->direction,
                                .state = QUEUE_TO_BE_DELIVERED,
                                .flags = message->flags & (uint8_t)~QUEUE_FLAG_SUSPECT,
                                .received_at = message->received_at,
                                .sender = message->sender,
                                .envelope_id = message->envelope_id,
                                .extra_header = decision->header,
                                .large_fd = -1};
    if (!intake_take_cleaned(queue, result, cleaned, message->body_length, &draft, error))
        return false;
    cleanup_free struct queue_draft_recipient *recipients =
        calloc(message->recipient_count, sizeof(*recipients));
    struct replacement *replacement = calloc(1, sizeof(*replacement));
    if (!indices || !recipients || !replacement)
        abort();
    draft.recipient_count = open_recipients(message, indices);
    add_recipients(message, indices, draft.recipient_count, recipients);
    draft.recipients = recipients;
    *replacement =
        (struct replacement){.rescan = rescan, .id = draft.id, .policy = decision->policy};
    memcpy(replacement->detail, decision->detail, sizeof(replacement->detail));
    audit_scanned(&replacement->events, &message->id, result);
    announce(&draft, draft.large_fd >= 0 ? draft.large_length : draft.body.length, result,
             decision);
    queue_accept(queue, &draft, on_replaced, replacement);
    return true;
}

/* --- quarantine --- */

static int64_t quarantine_end(const struct queue_message *message, int hours)
{
    return message->received_at + (int64_t)hours * 3600000;
}

/* When a message in quarantine is looked at again whatever the signatures are: of which verdict it
 * is there is known by the next scan alone. 0: no policy knows quarantine any more. */
static int64_t next_look(const struct scanner_config *config, const struct queue_message *message)
{
    int hours = 0;
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++)
        if (config->malware[i].action == CONFIG_ACTION_QUARANTINE &&
            (hours == 0 || config->malware[i].hours < hours))
            hours = config->malware[i].hours;
    return hours ? quarantine_end(message, hours) : 0;
}

static void put_into_quarantine(struct rescan *rescan, const json_t *result,
                                const struct policy_decision *decision)
{
    struct queue_message *message = rescan->message;
    struct buffer events = BUFFER_INIT;
    if (message->flags & QUEUE_FLAG_SUSPECT)
        return;
    audit_scanned(&events, &message->id, result);
    audit_action(&events, &message->id, config_action_name(decision->action), decision->policy,
                 NULL, message->recipient_count, decision->detail);
    queue_change_flags(rescan->intake->mta->queue, message, message->flags | QUEUE_FLAG_SUSPECT,
                       &events);
}

/* --- the result --- */

static void apply(struct rescan *rescan, const json_t *result,
                  const struct policy_decision *decision)
{
    struct intake *intake = rescan->intake;
    struct mta *mta = intake->mta;
    struct queue_message *message = rescan->message;
    struct buffer events = BUFFER_INIT;
    cleanup_free uint32_t *recipients = calloc(message->recipient_count, sizeof(*recipients));
    if (!recipients)
        abort();
    size_t count = open_recipients(message, recipients);
    audit_scanned(&events, &message->id, result);
    audit_action(&events, &message->id, action_after_acceptance(decision), decision->policy,
                 recipients, count, decision->detail);
    if (decision->action == CONFIG_ACTION_DELIVER)
        queue_change_scanned(mta->queue, message, *decision->header ? decision->header : NULL,
                             &events);
    else if (decision->action == CONFIG_ACTION_REJECT && decision->bounces)
        delivery_refuse(mta->delivery, message, INTAKE_REJECTED_REPLY, &events);
    else
        delete_recipients(intake, message, recipients, count, &events);
}

static void start_rescans(struct intake *intake);

static void enqueue(struct intake *intake, struct queue_message *message)
{
    struct rescan *rescan = calloc(1, sizeof(*rescan));
    if (!rescan)
        abort();
    *rescan = (struct rescan){.intake = intake, .message = message};
    queue_hold_busy(intake->mta->queue, message);
    *intake->waiting_end = rescan;
    intake->waiting_end = &rescan->next;
}

static void link_to(struct rescan *rescan, struct rescan **list)
{
    rescan->next = *list;
    rescan->link = list;
    if (rescan->next)
        rescan->next->link = &rescan->next;
    *list = rescan;
}

static void end_rescan(struct rescan *rescan)
{
    *rescan->link = rescan->next;
    if (rescan->next)
        rescan->next->link = rescan->link;
    rescan->intake->rescanning--;
    queue_release_busy(rescan->intake->mta->queue, rescan->message);
    free(rescan);
}

static void finish_rescan(struct rescan *rescan)
{
    struct intake *intake = rescan->intake;
    end_rescan(rescan);
    start_rescans(intake);
}

/* The message stays in the queue, to be looked at again at `when`. */
static void put_off(struct rescan *rescan, int64_t when)
{
    struct intake *intake = rescan->intake;
    struct queue_message *message = rescan->message;
    end_rescan(rescan);
    queue_due_at(intake->mta->queue, message, when);
    start_rescans(intake);
}

/* What is wrong lies with this host, so the message waits as it is. */
static void postpone(struct rescan *rescan, const struct error *error)
{
    char text[700];
    log_warning("a queued message cannot be scanned now: %s",
                error_text(error, text, sizeof(text)));
    put_off(rescan, timestamp_now_ms() + RETRY_MS);
}

/* In quarantine until its time is over; where the signatures changed while it was scanned it is
 * scanned with the new ones at once. */
static void stay(struct rescan *rescan, const json_t *result,
                 const struct policy_decision *decision)
{
    int64_t end = rescan->message->received_at + decision->hours * INT64_C(3600000);
    bool is_outdated = rescan->signatures != rescan->intake->signature_changes;
    put_into_quarantine(rescan, result, decision);
    if (is_outdated)
        enqueue(rescan->intake, rescan->message);
    put_off(rescan, end);
}

static void clean_or_delete(struct rescan *rescan, const json_t *result, int cleaned,
                            struct policy_decision *decision)
{
    struct error error = {0};
    if (replace(rescan, result, cleaned, decision, &error))
        return; /* goes on in on_replaced */
    if (error.code != ERROR_PROTOCOL) {
        postpone(rescan, &error);
        return;
    }
    policy_refuse_cleaned(decision, error.message);
    apply(rescan, result, decision);
    finish_rescan(rescan);
}

static void on_rescanned(void *argument, const json_t *result, int cleaned)
{
    struct rescan *rescan = argument;
    struct policy_decision decision;
    if (!result || rescan->message->removed) { /* an administrator may have deleted it meanwhile */
        finish_rescan(rescan);
        return;
    }
    policy_decide(rescan->intake->mta->config->config, POLICY_DEFAULT_GROUP, POLICY_INBOUND, result,
                  timestamp_now_ms() - rescan->message->received_at, &decision);
    if (decision.action == CONFIG_ACTION_QUARANTINE) {
        stay(rescan, result, &decision);
    } else if (decision.action == CONFIG_ACTION_CLEAN) {
        clean_or_delete(rescan, result, cleaned, &decision);
    } else {
        apply(rescan, result, &decision);
        finish_rescan(rescan);
    }
}

static void start_rescan(struct rescan *rescan)
{
    struct intake *intake = rescan->intake;
    const struct scanner_config *config = intake->mta->config->config;
    struct error error = {0};
    struct scan_order order = {
        .id = rescan->message->id,
        .fd = queue_body_descriptor(intake->mta->queue, rescan->message, &error),
        .size = rescan->message->body_length,
        .seconds = config->engine.scan_seconds,
        .clean = policy_cleans(config),
    };
    intake->rescanning++;
    rescan->signatures = intake->signature_changes;
    link_to(rescan, &intake->under_way);
    if (order.fd < 0)
        postpone(rescan, &error);
    else
        scan_client_scan(intake->mta->scan_client, &order, on_rescanned, rescan);
}

static void start_rescans(struct intake *intake)
{
    int most = intake->mta->config->config->engine.workers * RESCANS_FOR_EACH_WORKER;
    if (intake->starting)
        return;
    intake->starting = true;
    while (intake->waiting && intake->rescanning < most) {
        struct rescan *rescan = intake->waiting;
        intake->waiting = rescan->next;
        if (!intake->waiting)
            intake->waiting_end = &intake->waiting;
        start_rescan(rescan);
    }
    intake->starting = false;
}

void intake_rescan(struct intake *intake, struct queue_message *message)
{
    if (message->flags & QUEUE_FLAG_SUSPECT) {
        int64_t next = next_look(intake->mta->config->config, message);
        if (next > timestamp_now_ms()) {
            queue_due_at(intake->mta->queue, message, next);
            return;
        }
    }
    enqueue(intake, message);
    start_rescans(intake);
}

static bool enqueue_suspect(void *argument, struct queue_message *message)
{
    bool suspect = (message->flags & QUEUE_FLAG_SUSPECT) && !(message->flags & QUEUE_FLAG_HELD) &&
                   message->state == QUEUE_TO_BE_SCANNED;
    if (suspect && !message->busy)
        enqueue(argument, message);
    return true;
}

static void look_at_suspects(struct intake *intake)
{
    if (!intake->mta->config)
        return;
    queue_each(intake->mta->queue, enqueue_suspect, intake);
    start_rescans(intake);
}

void intake_signatures_changed(void *argument)
{
    struct intake *intake = argument;
    intake->signature_changes++;
    look_at_suspects(intake);
}

void intake_configured(struct intake *intake, const struct scanner_config *before)
{
    const struct scanner_config *config = intake->mta->config->config;
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++) {
        const struct config_malware_policy *old = &before->malware[i], *new = &config->malware[i];
        if (old->action != new->action || old->hours != new->hours || old->then != new->then) {
            look_at_suspects(intake);
            return;
        }
    }
}

static void forget(struct rescan *rescan)
{
    while (rescan) {
        struct rescan *next = rescan->next;
        free(rescan);
        rescan = next;
    }
}

void intake_forget_rescans(struct intake *intake)
{
    forget(intake->waiting);
    forget(intake->under_way);
}

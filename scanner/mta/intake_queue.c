#include "scanner/mta/intake_private.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/retry.h"
#include "scanner/mta/scan_client.h"

#include <stdlib.h>
#include <string.h>

#define RESCANS_FOR_EACH_WORKER 2
#define RETRY_MS 60000 /* after the system refused a descriptor, or the directory an answer */

/* --- when a message is looked at again --- */

static int64_t quarantine_end(const struct queue_message *message, int hours)
{
    return message->received_at + hours * INT64_C(3600000);
}

/* Of recipients whom a filter told to come later; 0: there are none. */
static int64_t next_attempt(const struct queue_message *message)
{
    int64_t earliest = 0;
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        const struct queue_recipient *recipient = &message->recipients[i];
        if (recipient->state == QUEUE_RECIPIENT_QUEUED && recipient->next_attempt > 0 &&
            recipient->attempts > 0 && (earliest == 0 || recipient->next_attempt < earliest))
            earliest = recipient->next_attempt;
    }
    return earliest;
}

/* When a message is looked at again whatever the signatures are: of which verdict it is in
 * quarantine is known by the next scan alone. 0: now. */
static int64_t next_look(const struct scanner_config *config, const struct queue_message *message)
{
    int hours = message->flags & QUEUE_FLAG_SUSPECT ? policy_quarantine_hours(config) : 0;
    int64_t end = hours ? quarantine_end(message, hours) : 0, attempt = next_attempt(message);
    if (end == 0 || attempt == 0)
        return message->flags & QUEUE_FLAG_SUSPECT ? end : attempt;
    return attempt < end ? attempt : end;
}

static void start_rescans(struct intake *intake);

static void rescan_free(struct rescan *rescan)
{
    intake_people_free(rescan->people);
    intake_plan_free(rescan->plan);
    config_ref_drop(rescan->config);
    buffer_free(&rescan->events);
    free(rescan->recipients);
    free(rescan->indices);
    free(rescan->attempts);
    free(rescan->left_out);
    free(rescan);
}

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
    rescan_free(rescan);
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

/* --- what is decided --- */

/* What became of the recipients since the scan began. */
static void look_again(struct rescan *rescan)
{
    for (size_t i = 0; i < rescan->recipient_count; i++) {
        const struct queue_recipient *from = &rescan->message->recipients[rescan->indices[i]];
        rescan->left_out[i] = from->state != QUEUE_RECIPIENT_QUEUED;
        rescan->recipients[i].route = from->route;
        rescan->attempts[i] = from->attempts;
    }
}

static bool read_body(void *argument, struct intake_body *body, struct error *error)
{
    const struct rescan *rescan = argument;
    struct queue *queue = rescan->intake->mta->queue;
    cleanup_fd int fd = queue_body_descriptor(queue, rescan->message, error);
    return fd >= 0 && intake_body_read(queue, fd, rescan->message->body_length, body, error);
}

static struct intake_message describe(struct rescan *rescan)
{
    const struct queue_message *message = rescan->message;
    return (struct intake_message){.queue = rescan->intake->mta->queue,
                                   .config = rescan->config,
                                   .id = message->id,
                                   .direction = (enum queue_direction)message->direction,
                                   .flags = message->flags,
                                   .received_at = message->received_at,
                                   .age_ms = timestamp_now_ms() - message->received_at,
                                   .sender = message->sender,
                                   .envelope_id = message->envelope_id,
                                   .recipients = rescan->recipients,
                                   .recipient_count = rescan->recipient_count,
                                   .left_out = rescan->left_out,
                                   .indices = rescan->indices,
                                   .attempts = rescan->attempts,
                                   .size = message->body_length,
                                   .read_body = read_body,
                                   .argument = rescan};
}

/* --- what is done --- */

static enum queue_recipient_state final_state(const struct intake_unit *unit)
{
    bool fails = unit->fate == INTAKE_REJECT || unit->fate == INTAKE_BOUNCE;
    return fails && intake_unit_bounces(unit) ? QUEUE_RECIPIENT_BOUNCED : QUEUE_RECIPIENT_DELETED;
}

static struct queue_change change_of(const struct rescan *rescan, const struct intake_unit *unit,
                                     uint32_t position, bool kept)
{
    struct queue_change change = {.recipient = rescan->indices[position],
                                  .attempts = rescan->attempts[position]};
    change.state = kept ? QUEUE_RECIPIENT_QUEUED : final_state(unit);
    if (kept && unit->fate == INTAKE_DEFER)
        change.next_attempt = retry_next_attempt(
            &rescan->config->config->delivery, ++change.attempts, rescan->message->received_at,
            timestamp_now_ms(), (uint32_t)timestamp_monotonic_ms());
    return change;
}

/* Those that do not stay are final here, whatever other message they go on in. */
static void change_recipients(struct rescan *rescan)
{
    const struct intake_outcomes *outcomes = rescan->plan->outcomes;
    cleanup_free struct queue_change *changes =
        calloc(rescan->recipient_count + 1, sizeof(*changes));
    size_t count = 0;
    if (!changes)
        abort();
    for (size_t i = 0; i < outcomes->unit_count; i++) {
        const struct intake_unit *unit = &outcomes->units[i];
        bool kept = intake_plan_keeps(rescan->plan, unit);
        if (kept && unit->fate != INTAKE_DEFER)
            continue;
        for (size_t j = 0; j < unit->recipient_count; j++)
            changes[count++] = change_of(rescan, unit, unit->recipients[j], kept);
    }
    if (count > 0)
        queue_change_recipients(rescan->intake->mta->queue, rescan->message, changes, count,
                                &rescan->events);
}

static void change_flags(struct rescan *rescan, const struct intake_share *share)
{
    struct queue_message *message = rescan->message;
    uint8_t flags = share->suspect ? message->flags | QUEUE_FLAG_SUSPECT
                                   : message->flags & (uint8_t)~QUEUE_FLAG_SUSPECT;
    if (flags != message->flags)
        queue_change_flags(rescan->intake->mta->queue, message, flags, &rescan->events);
}

/* A message that waits is looked at again when its time has come; where the signatures changed
 * while it was scanned it is scanned with the new ones at once. */
static void wait_longer(struct rescan *rescan)
{
    const struct intake_share *share = &rescan->plan->outcomes->shares[rescan->plan->kept];
    int64_t end = quarantine_end(rescan->message, rescan->plan->outcomes->hours);
    bool is_outdated = rescan->signatures != rescan->intake->signature_changes;
    change_flags(rescan, share);
    if (is_outdated && share->suspect)
        enqueue(rescan->intake, rescan->message);
    int64_t attempt = next_attempt(rescan->message);
    if (!share->suspect || (attempt > 0 && attempt < end))
        end = attempt;
    put_off(rescan, end);
}

static void deliver_kept(struct rescan *rescan)
{
    const struct intake_share *share = &rescan->plan->outcomes->shares[rescan->plan->kept];
    cleanup_free char *header = intake_plan_header(share->unit);
    queue_change_scanned(rescan->intake->mta->queue, rescan->message, header, &rescan->events);
}

/* The messages that go on by themselves are on stable storage. */
static void carry_out(struct rescan *rescan)
{
    const struct intake_plan *plan = rescan->plan;
    bool stays = plan->kept != INTAKE_NO_SHARE;
    bool waits = stays && plan->outcomes->shares[plan->kept].waits;
    change_recipients(rescan);
    if (stays && !waits)
        deliver_kept(rescan);
    intake_batch_release(rescan->batch, true);
    rescan->batch = NULL;
    if (waits)
        wait_longer(rescan);
    else
        finish_rescan(rescan);
}

static void on_further_stored(void *argument, enum error_code result)
{
    struct rescan *rescan = argument;
    struct error error = {0};
    if (result == ERROR_NONE) {
        carry_out(rescan);
        return;
    }
    rescan->batch = NULL;
    if (result == ERROR_UNAVAILABLE)
        return; /* the mta ends */
    error_set(&error, result, "queue", "did not take what comes of it");
    postpone(rescan, &error);
}

/* It is in quarantine already, and stays there: that is no news. */
static bool is_no_news(const struct rescan *rescan)
{
    return (rescan->message->flags & QUEUE_FLAG_SUSPECT) &&
           intake_outcomes_all(rescan->plan->outcomes, INTAKE_QUARANTINE);
}

static void on_rescanned(void *argument, const struct scan_answer *answer)
{
    struct rescan *rescan = argument;
    struct error error = {0};
    if (!answer->result || rescan->message->removed) { /* an administrator may have deleted it */
        finish_rescan(rescan);
        return;
    }
    look_again(rescan);
    struct intake_message message = describe(rescan);
    rescan->plan = intake_plan_new(&message, rescan->people, answer, &error);
    if (!rescan->plan) {
        postpone(rescan, &error);
        return;
    }
    if (!is_no_news(rescan))
        intake_plan_write_events(rescan->plan, &message, &rescan->events);
    if (rescan->plan->further_count > 0)
        rescan->batch =
            intake_batch_store(rescan->intake->batches, rescan->plan, on_further_stored, rescan);
    else
        carry_out(rescan);
}

/* --- scanning --- */

static void gather_recipients(struct rescan *rescan)
{
    const struct queue_message *message = rescan->message;
    size_t most = message->recipient_count;
    rescan->recipients = calloc(most, sizeof(*rescan->recipients));
    rescan->indices = calloc(most, sizeof(*rescan->indices));
    rescan->attempts = calloc(most, sizeof(*rescan->attempts));
    rescan->left_out = calloc(most, sizeof(*rescan->left_out));
    if (!rescan->recipients || !rescan->indices || !rescan->attempts || !rescan->left_out)
        abort();
    for (uint32_t i = 0; i < most; i++) {
        const struct queue_recipient *from = &message->recipients[i];
        if (from->state != QUEUE_RECIPIENT_QUEUED)
            continue;
        rescan->indices[rescan->recipient_count] = i;
        rescan->recipients[rescan->recipient_count++] = (struct queue_draft_recipient){
            .address = from->address, .original = from->original, .notify = from->notify};
    }
}

static void scan(struct rescan *rescan)
{
    const struct queue_message *message = rescan->message;
    const struct scanner_config *config = rescan->config->config;
    struct mta *mta = rescan->intake->mta;
    struct error error = {0};
    struct scan_order order = {
        .id = message->id,
        .fd = queue_body_descriptor(mta->queue, message, &error),
        .size = message->body_length,
        .seconds = config->engine.scan_seconds,
        .clean = rescan->config->cleans,
        .age_ms = timestamp_now_ms() - message->received_at,
    };
    if (order.fd >= 0 && rescan->config->has_filters) {
        order.asks_policy = true;
        order.envelope = intake_people_envelope(rescan->people, &error);
    }
    if (order.fd >= 0 && order.envelope >= 0) {
        scan_client_scan(mta->scan_client, &order, on_rescanned, rescan);
        return;
    }
    if (order.fd >= 0)
        close(order.fd);
    postpone(rescan, &error);
}

static void on_people(void *argument, bool known)
{
    struct rescan *rescan = argument;
    struct error error = {0};
    if (known && !rescan->message->removed) {
        scan(rescan);
        return;
    }
    error_set(&error, ERROR_UNAVAILABLE, "directory", "does not tell the groups");
    postpone(rescan, &error);
}

static void start_rescan(struct rescan *rescan)
{
    struct intake *intake = rescan->intake;
    const struct queue_message *message = rescan->message;
    intake->rescanning++;
    rescan->signatures = intake->signature_changes;
    rescan->config = config_ref_take(intake->mta->config);
    link_to(rescan, &intake->under_way);
    gather_recipients(rescan);
    rescan->people =
        intake_people_new(rescan->config, (enum queue_direction)message->direction, message->sender,
                          rescan->recipients, rescan->recipient_count);
    if (intake_people_need_directory(rescan->people))
        intake_people_ask(rescan->people, intake->mta,
                          rescan->config->config->scan_wait_seconds * 1000, on_people, rescan);
    else
        scan(rescan);
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
    int64_t next = next_look(intake->mta->config->config, message);
    if (next > timestamp_now_ms()) {
        queue_due_at(intake->mta->queue, message, next);
        return;
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
    if (!policy_malware_same(before, intake->mta->config->config))
        look_at_suspects(intake);
}

static void forget(struct rescan *rescan)
{
    while (rescan) {
        struct rescan *next = rescan->next;
        rescan_free(rescan);
        rescan = next;
    }
}

void intake_forget_rescans(struct intake *intake)
{
    forget(intake->waiting);
    forget(intake->under_way);
}

#include "scanner/mta/intake_private.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/scan_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLY_SIZE 256
#define UNKNOWN_POLICY "recipients.unknown"
#define NO_SPACE_REPLY "452 4.3.1 Insufficient system storage"
#define FAILED_REPLY "451 4.3.0 The message could not be stored"

struct intake_job {
    struct intake *intake;
    struct config_ref *config;
    struct queue_draft draft; /* its text is behind this struct */
    void (*done)(void *argument, const char *reply);
    void *argument;
    const char *accepted; /* the reply once it is on stable storage; NULL: "queued as" */
    uint64_t size;
    struct buffer received; /* the event of that name, and those that follow it */
    struct intake_people *people;
    struct intake_plan *plan;
    struct intake_batch *batch;               /* messages that wait for this one */
    struct queue_draft_recipient *recipients; /* those that stay with this one */
    uint32_t *indices;                        /* of all of them in the audit log */
    char *header;
};

/* --- a descriptor that the engine can only read --- */

static int seal_in_memory(const struct buffer *body, struct error *error)
{
    int fd = file_memory_open("message", error);
    if (fd < 0 ||
        (file_write_all(fd, body->data, body->length, error) && file_memory_seal(fd, error)))
        return fd;
    close(fd);
    return -1;
}

static int open_read_only(int large, struct error *error)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", large);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        error_set_errno(error, path, "cannot open a large body");
    return fd;
}

static int draft_descriptor(const struct queue_draft *draft, struct error *error)
{
    return draft->large_fd >= 0 ? open_read_only(draft->large_fd, error)
                                : seal_in_memory(&draft->body, error);
}

/* --- jobs --- */

static char *keep(char **cursor, const char *text)
{
    if (!text)
        return NULL;
    size_t length = strlen(text) + 1;
    char *kept = memcpy(*cursor, text, length);
    *cursor += length;
    return kept;
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* The session may go before its message has taken its way. */
static struct intake_job *job_new(const struct queue_draft *draft, size_t recipient_count)
{
    size_t list = recipient_count * sizeof(draft->recipients[0]);
    size_t text = text_size(draft->sender) + text_size(draft->envelope_id);
    for (size_t i = 0; i < recipient_count; i++)
        text += text_size(draft->recipients[i].address) + text_size(draft->recipients[i].original) +
                text_size(draft->recipients[i].route);
    struct intake_job *job = calloc(1, sizeof(*job) + list + text);
    if (!job)
        abort();
    struct queue_draft_recipient *recipients = (struct queue_draft_recipient *)(job + 1);
    char *cursor = (char *)recipients + list;
    job->draft = *draft;
    job->draft.sender = keep(&cursor, draft->sender);
    job->draft.envelope_id = keep(&cursor, draft->envelope_id);
    job->draft.recipients = recipients;
    for (size_t i = 0; i < recipient_count; i++) {
        recipients[i].address = keep(&cursor, draft->recipients[i].address);
        recipients[i].original = keep(&cursor, draft->recipients[i].original);
        recipients[i].route = keep(&cursor, draft->recipients[i].route);
        recipients[i].notify = draft->recipients[i].notify;
    }
    return job;
}

/* Body and descriptor were handed on before, or are empty. */
static void job_end(struct intake_job *job, const char *reply)
{
    if (job->done)
        job->done(job->argument, reply);
    intake_people_free(job->people);
    intake_plan_free(job->plan);
    config_ref_drop(job->config);
    buffer_free(&job->received);
    buffer_free(&job->draft.body);
    buffer_free(&job->draft.events);
    if (job->draft.large_fd >= 0)
        close(job->draft.large_fd);
    free(job->recipients);
    free(job->indices);
    free(job->header);
    free(job);
}

void intake_forget(struct intake_job *job)
{
    job->done = NULL;
}

static void on_stored(void *argument, enum error_code result)
{
    struct intake_job *job = argument;
    char reply[REPLY_SIZE], id[MESSAGE_ID_TEXT_SIZE];
    intake_batch_release(job->batch, result == ERROR_NONE);
    if (result == ERROR_NONE && job->accepted)
        job_end(job, job->accepted);
    else if (result == ERROR_NONE) {
        snprintf(reply, sizeof(reply), "250 2.0.0 Ok: queued as %s",
                 message_id_text(&job->draft.id, id));
        job_end(job, reply);
    } else {
        job_end(job, result == ERROR_NO_SPACE ? NO_SPACE_REPLY : FAILED_REPLY);
    }
}

static void store(struct intake_job *job, struct queue_draft *draft)
{
    draft->events = job->received;
    job->received = (struct buffer)BUFFER_INIT;
    job->draft.body = (struct buffer)BUFFER_INIT;
    job->draft.large_fd = -1;
    queue_accept(job->intake->mta->queue, draft, on_stored, job);
}

/* To be scanned later, whatever is missing now. */
static void store_unscanned(struct intake_job *job)
{
    struct queue_draft draft = job->draft;
    draft.state = QUEUE_TO_BE_SCANNED;
    store(job, &draft);
}

/* The message does not enter the queue: what became of it is on record before the client hears. */
static void record_only(struct intake_job *job, const char *reply)
{
    job->accepted = reply;
    queue_log_only(job->intake->mta->queue, &job->draft.id, &job->received, on_stored, job);
}

/* --- the verdict --- */

static bool lend_body(void *argument, struct intake_body *body, struct error *error)
{
    const struct intake_job *job = argument;
    (void)error;
    *body = (struct intake_body){.memory = job->draft.body,
                                 .large_fd = job->draft.large_fd,
                                 .length = job->size,
                                 .is_borrowed = true};
    return true;
}

static struct intake_message describe(struct intake_job *job)
{
    return (struct intake_message){.queue = job->intake->mta->queue,
                                   .config = job->config,
                                   .id = job->draft.id,
                                   .direction = job->draft.direction,
                                   .flags = job->draft.flags,
                                   .received_at = job->draft.received_at,
                                   .sender = job->draft.sender,
                                   .envelope_id = job->draft.envelope_id,
                                   .recipients = job->draft.recipients,
                                   .recipient_count = job->draft.recipient_count,
                                   .indices = job->indices,
                                   .size = job->size,
                                   .in_session = true,
                                   .read_body = lend_body,
                                   .argument = job};
}

static void add_kept(struct intake_job *job, const struct intake_unit *unit, bool kept,
                     uint32_t *next)
{
    for (size_t i = 0; i < unit->recipient_count; i++) {
        uint32_t position = unit->recipients[i];
        if (kept)
            job->recipients[*next] = job->draft.recipients[position];
        job->indices[position] = (*next)++;
    }
}

/* Where others go their own ways, the recipients that stay are the first ones of the audit log, so
 * that each has the same index there and in the queue. */
static void put_kept_first(struct intake_job *job)
{
    const struct intake_outcomes *outcomes = job->plan->outcomes;
    size_t count = job->draft.recipient_count;
    uint32_t next = 0;
    if (job->plan->kept == INTAKE_NO_SHARE ||
        outcomes->shares[job->plan->kept].recipient_count == count)
        return;
    job->recipients = calloc(count, sizeof(*job->recipients));
    job->indices = calloc(count, sizeof(*job->indices));
    if (!job->recipients || !job->indices)
        abort();
    for (int kept = 1; kept >= 0; kept--)
        for (size_t i = 0; i < outcomes->unit_count; i++)
            if (intake_plan_keeps(job->plan, &outcomes->units[i]) == (kept == 1))
                add_kept(job, &outcomes->units[i], kept, &next);
    intake_reorder_received(&job->received, job->indices, count);
}

static void store_kept(struct intake_job *job)
{
    struct intake_plan *plan = job->plan;
    const struct intake_share *share = &plan->outcomes->shares[plan->kept];
    struct queue_draft draft = job->draft;
    if (!job->recipients) {
        job->recipients = calloc(draft.recipient_count, sizeof(*job->recipients));
        if (!job->recipients)
            abort();
        memcpy(job->recipients, draft.recipients, draft.recipient_count * sizeof(*job->recipients));
    }
    draft.recipients = job->recipients;
    draft.recipient_count = share->recipient_count;
    intake_plan_dress(plan, plan->kept, &draft, job->recipients, &job->header);
    struct intake_body *body = (struct intake_body *)intake_plan_body(plan, share->unit);
    if (!share->waits && body != &plan->original) {
        buffer_free(&job->draft.body);
        if (job->draft.large_fd >= 0)
            close(job->draft.large_fd);
        intake_body_move(body, &draft);
    }
    store(job, &draft);
}

static void carry_out(struct intake_job *job)
{
    const struct intake_plan *plan = job->plan;
    if (plan->is_refused)
        record_only(job, plan->reply);
    else if (plan->kept != INTAKE_NO_SHARE)
        store_kept(job);
    else
        record_only(job,
                    intake_outcomes_all(plan->outcomes, INTAKE_DELETE) ? "250 2.0.0 Ok" : NULL);
}

static void on_further_stored(void *argument, enum error_code result)
{
    struct intake_job *job = argument;
    if (result == ERROR_NONE) {
        carry_out(job);
        return;
    }
    job->batch = NULL;
    job_end(job, result == ERROR_NO_SPACE ? NO_SPACE_REPLY : FAILED_REPLY);
}

static void on_verdict(void *argument, const struct scan_answer *answer)
{
    struct intake_job *job = argument;
    struct error error = {0};
    char text[700];
    struct intake_message message = describe(job);
    if (!answer->result) {
        store_unscanned(job);
        return;
    }
    job->plan = intake_plan_new(&message, job->people, answer, &error);
    if (!job->plan) {
        log_warning("what became of a message cannot be stored, it is scanned again later: %s",
                    error_text(&error, text, sizeof(text)));
        store_unscanned(job);
        return;
    }
    put_kept_first(job);
    message.indices = job->indices;
    intake_plan_write_events(job->plan, &message, &job->received);
    if (job->plan->further_count > 0)
        job->batch = intake_batch_store(job->intake->batches, job->plan, on_further_stored, job);
    else
        carry_out(job);
}

/* --- scanning --- */

static void give_to_engine(struct intake_job *job, struct scan_order *order)
{
    struct error error = {0};
    char text[700];
    order->fd = draft_descriptor(&job->draft, &error);
    if (order->fd >= 0 && job->config->has_filters) {
        order->asks_policy = true;
        order->envelope = intake_people_envelope(job->people, &error);
    }
    if (order->fd >= 0 && order->envelope >= 0) {
        scan_client_scan(job->intake->mta->scan_client, order, on_verdict, job);
        return;
    }
    if (order->fd >= 0)
        close(order->fd);
    log_warning("no descriptor for a scan, the message is scanned later: %s",
                error_text(&error, text, sizeof(text)));
    store_unscanned(job);
}

static void scan(struct intake_job *job)
{
    const struct scanner_config *config = job->config->config;
    struct scan_order order = {
        .id = job->draft.id,
        .size = job->size,
        .seconds = config->engine.scan_seconds,
        .clean = job->config->cleans,
        .wait_ms = config->scan_wait_seconds * 1000,
    };
    give_to_engine(job, &order);
}

/* Nothing is decided with groups that may be wrong. */
static void on_people(void *argument, bool known)
{
    struct intake_job *job = argument;
    char id[MESSAGE_ID_TEXT_SIZE];
    if (known) {
        scan(job);
        return;
    }
    log_warning("message %s: the directory does not tell the groups, it is scanned later",
                message_id_text(&job->draft.id, id));
    store_unscanned(job);
}

static void begin(struct intake_job *job)
{
    job->people = intake_people_new(job->config, job->draft.direction, job->draft.sender,
                                    job->draft.recipients, job->draft.recipient_count);
    if (intake_people_need_directory(job->people))
        intake_people_ask(job->people, job->intake->mta,
                          job->config->config->scan_wait_seconds * 1000, on_people, job);
    else
        scan(job);
}

/* The received event names the dropped recipients behind the others. */
static void record_dropped(struct intake_job *job, size_t dropped)
{
    cleanup_free uint32_t *indices = calloc(dropped, sizeof(*indices));
    if (!indices)
        abort();
    for (size_t i = 0; i < dropped; i++)
        indices[i] = (uint32_t)(job->draft.recipient_count + i);
    audit_action(&job->received, &job->draft.id, config_action_name(CONFIG_ACTION_DELETE),
                 UNKNOWN_POLICY, indices, dropped, "no directory source knows the recipient");
}

struct intake_job *intake_submit(struct intake *intake, const struct transaction *transaction,
                                 struct queue_draft *draft, size_t dropped,
                                 void (*done)(void *argument, const char *reply), void *argument)
{
    struct intake_job *job = job_new(draft, draft->recipient_count + dropped);
    job->intake = intake;
    job->config = config_ref_take(intake->mta->config);
    job->done = done;
    job->argument = argument;
    job->size = draft->large_fd >= 0 ? draft->large_length : draft->body.length;
    job->draft.events = (struct buffer)BUFFER_INIT;
    draft->body = (struct buffer)BUFFER_INIT;
    draft->large_fd = -1;
    struct audit_envelope envelope = {job->draft.sender, job->draft.recipients,
                                      job->draft.recipient_count + dropped, job->size};
    audit_received(&job->received, &job->draft.id, transaction, &envelope);
    if (dropped > 0)
        record_dropped(job, dropped);
    if (job->draft.recipient_count > 0)
        begin(job);
    else
        record_only(job, NULL);
    return job;
}

/* --- life --- */

struct intake *intake_new(struct mta *mta)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    if (!intake)
        abort();
    intake->mta = mta;
    intake->batches = intake_batches_new(mta->queue);
    intake->waiting_end = &intake->waiting;
    if (mta->scan_client)
        scan_client_watch_signatures(mta->scan_client, intake_signatures_changed, intake);
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    intake_batches_free(intake->batches);
    intake_forget_rescans(intake);
    free(intake);
}

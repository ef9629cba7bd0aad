#include "scanner/mta/intake_private.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/scan_client.h"
#include "scanner/policy/groups.h"
#include "scanner/policy/malware.h"

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
    struct buffer received; /* the event of that name */
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
    config_ref_drop(job->config);
    buffer_free(&job->received);
    buffer_free(&job->draft.body);
    buffer_free(&job->draft.events);
    if (job->draft.large_fd >= 0)
        close(job->draft.large_fd);
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

static void store(struct intake_job *job, enum queue_message_state state, const char *header)
{
    struct queue_draft draft = job->draft;
    draft.state = state;
    draft.extra_header = header && *header ? header : NULL;
    draft.events = job->received;
    job->received = (struct buffer)BUFFER_INIT;
    job->draft.body = (struct buffer)BUFFER_INIT;
    job->draft.large_fd = -1;
    queue_accept(job->intake->mta->queue, &draft, on_stored, job);
}

/* The message does not enter the queue: what became of it is on record before the client hears. */
static void record_only(struct intake_job *job, const char *reply)
{
    job->accepted = reply;
    queue_log_only(job->intake->mta->queue, &job->draft.id, &job->received, on_stored, job);
}

/* False where the reason lies with this host, so that the message is to be scanned again. */
static bool replace_body(struct intake_job *job, const json_t *result, int cleaned,
                         struct policy_decision *decision)
{
    struct error error = {0};
    char text[700];
    if (intake_take_cleaned(job->intake->mta->queue, result, cleaned, job->size, &job->draft,
                            &error))
        return true;
    if (error.code == ERROR_PROTOCOL) {
        policy_refuse_cleaned(decision, error.message);
        return true;
    }
    log_warning("a clean message is not taken, it is scanned again later: %s",
                error_text(&error, text, sizeof(text)));
    return false;
}

static void store_suspect(struct intake_job *job)
{
    job->draft.flags |= QUEUE_FLAG_SUSPECT;
    store(job, QUEUE_TO_BE_SCANNED, NULL);
}

static void on_verdict(void *argument, const json_t *result, int cleaned)
{
    struct intake_job *job = argument;
    struct policy_decision decision;
    if (!result) {
        store(job, QUEUE_TO_BE_SCANNED, NULL);
        return;
    }
    policy_decide(job->config->config, POLICY_DEFAULT_GROUP, POLICY_INBOUND, result, 0, &decision);
    if (decision.action == CONFIG_ACTION_CLEAN && !replace_body(job, result, cleaned, &decision)) {
        store(job, QUEUE_TO_BE_SCANNED, NULL);
        return;
    }
    audit_scanned(&job->received, &job->draft.id, result);
    audit_action(&job->received, &job->draft.id, config_action_name(decision.action),
                 decision.policy, NULL, job->draft.recipient_count, decision.detail);
    if (decision.action == CONFIG_ACTION_REJECT)
        record_only(job, INTAKE_REJECTED_REPLY);
    else if (decision.action == CONFIG_ACTION_DELETE)
        record_only(job, "250 2.0.0 Ok");
    else if (decision.action == CONFIG_ACTION_QUARANTINE)
        store_suspect(job);
    else
        store(job, QUEUE_TO_BE_DELIVERED, decision.header);
}

static void scan(struct intake_job *job)
{
    const struct scanner_config *config = job->config->config;
    struct error error = {0};
    char text[700];
    struct scan_order order = {
        .id = job->draft.id,
        .fd = draft_descriptor(&job->draft, &error),
        .size = job->size,
        .seconds = config->engine.scan_seconds,
        .clean = policy_cleans(config),
        .wait_ms = config->scan_wait_seconds * 1000,
    };
    if (order.fd >= 0) {
        scan_client_scan(job->intake->mta->scan_client, &order, on_verdict, job);
        return;
    }
    log_warning("no descriptor for a scan, the message is scanned later: %s",
                error_text(&error, text, sizeof(text)));
    store(job, QUEUE_TO_BE_SCANNED, NULL);
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
        scan(job);
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
    intake->waiting_end = &intake->waiting;
    if (mta->scan_client)
        scan_client_watch_signatures(mta->scan_client, intake_signatures_changed, intake);
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    intake_forget_rescans(intake);
    free(intake);
}

/* The event thread: reads audit events from the mta and posts them in order.
 *
 * The Control Center's position in the stream is the only truth about what it has. It is asked for
 * at the start and after every failure, so that an answer that was lost on the way costs nothing:
 * what had arrived is passed over, what had not is sent again. Events leave the mta only after
 * `ack`. */
#include "scanner/agent/agent_private.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BATCH_MOST 1000
#define MTA_WAIT_MS 1000 /* also how soon the thread notices that it should stop */
#define MTA_TIMEOUT_MS 10000
#define POST_SECONDS 120

struct sender {
    struct agent *agent;
    struct https_client *client;
    char mta[NODE_PATH_SIZE];
    char stream[65];
    int64_t position; /* the Control Center has everything up to here */
    bool synchronised;
    int batch; /* events to ask for; halved when a batch is too large */
    struct backoff backoff;
};

static json_t *ask_mta(struct sender *sender, json_t *request, struct error *error)
{
    if (!request) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    json_t *reply = ipc_request(sender->mta, request, MTA_TIMEOUT_MS, error);
    json_decref(request);
    return reply;
}

static bool acknowledge(struct sender *sender, struct error *error)
{
    cleanup_json json_t *reply =
        ask_mta(sender,
                json_pack("{s:s,s:s,s:I}", "op", "ack", "stream", sender->stream, "seq",
                          (json_int_t)sender->position),
                error);
    return reply != NULL;
}

static void publish(struct sender *sender, const struct error *error)
{
    struct agent *agent = sender->agent;
    pthread_mutex_lock(&agent->lock);
    snprintf(agent->stream, sizeof(agent->stream), "%s", sender->stream);
    agent->sent_seq = sender->position;
    agent_note_problem("sending audit events", error, agent->event_problem);
    pthread_mutex_unlock(&agent->lock);
}

static json_t *post(struct sender *sender, const char *path, json_t *body, struct error *error)
{
    if (!body) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    json_t *answer = https_client_post(sender->client, path, body, POST_SECONDS, error);
    json_decref(body);
    return answer;
}

static bool read_position(const json_t *answer, int64_t *position, struct error *error)
{
    return answer && json_get_integer(answer, NULL, "last_seq", 0, INT64_MAX, position, error);
}

/* Finds the stream and the Control Center's position in it, and lets the mta drop what is there. */
static bool synchronise(struct sender *sender, struct error *error)
{
    const char *stream;
    cleanup_json json_t *status = ask_mta(sender, json_pack("{s:s}", "op", "status"), error);
    if (!status ||
        !json_get_text(status, NULL, "stream", sizeof(sender->stream) - 1, &stream, error))
        return false;
    snprintf(sender->stream, sizeof(sender->stream), "%s", stream);
    cleanup_json json_t *answer =
        post(sender, "/fleet/position", json_pack("{s:s}", "stream", sender->stream), error);
    if (!read_position(answer, &sender->position, error) || !acknowledge(sender, error))
        return false;
    log_info("audit events of %s are sent from %" PRId64 " on", sender->stream,
             sender->position + 1);
    sender->synchronised = true;
    return true;
}

/* A frame or a body that is too large is asked for again with fewer events. */
static bool shrink(struct sender *sender, const struct error *error)
{
    if (error->code != ERROR_LIMIT || sender->batch == 1)
        return false;
    sender->batch /= 2;
    return true;
}

static bool send_batch(struct sender *sender, json_t *events, struct error *error)
{
    int64_t before = sender->position, position;
    cleanup_json json_t *answer =
        post(sender, "/fleet/events",
             json_pack("{s:s,s:O}", "stream", sender->stream, "events", events), error);
    if (!read_position(answer, &position, error))
        return false;
    if (position <= before)
        return error_set(error, ERROR_PROTOCOL, "events",
                         "the Control Center did not take event %" PRId64, before + 1);
    sender->position = position;
    sender->batch = sender->batch > BATCH_MOST / 2 ? BATCH_MOST : sender->batch * 2;
    return acknowledge(sender, error);
}

/* Waits for events and sends them. True without events too. */
static bool step(struct sender *sender, struct error *error)
{
    const char *stream;
    const json_t *events;
    cleanup_json json_t *reply = ask_mta(sender,
                                         json_pack("{s:s,s:I,s:i,s:i}", "op", "events", "after",
                                                   (json_int_t)sender->position, "max",
                                                   sender->batch, "wait_ms", MTA_WAIT_MS),
                                         error);
    if (!reply ||
        !json_get_text(reply, NULL, "stream", sizeof(sender->stream) - 1, &stream, error) ||
        !json_get_array(reply, NULL, "events", true, BATCH_MOST, &events, error))
        return false;
    if (strcmp(stream, sender->stream) != 0) {
        sender->synchronised = false; /* the queue was replaced by another one */
        return true;
    }
    return json_array_size(events) == 0 || send_batch(sender, (json_t *)events, error);
}

static bool run_once(struct sender *sender, struct error *error)
{
    const struct agent *agent = sender->agent;
    if (!sender->client)
        sender->client = https_client_new(agent->node.url, agent->state, &agent->stop, error);
    if (!sender->client)
        return false;
    if (!sender->synchronised && !synchronise(sender, error))
        return false;
    if (step(sender, error) || shrink(sender, error))
        return true;
    sender->synchronised = false;
    return false;
}

void *event_sender_run(void *argument)
{
    struct sender sender = {.agent = argument, .batch = BATCH_MOST};
    const struct stop *stop = &sender.agent->stop;

    if (!file_join(sender.mta, sizeof(sender.mta), sender.agent->state, NODE_MTA_SOCKET, NULL))
        return NULL;
    while (!stop_requested(stop)) {
        struct error error = {0};
        if (run_once(&sender, &error)) {
            publish(&sender, NULL);
            backoff_reset(&sender.backoff);
            continue;
        }
        if (stop_requested(stop))
            break;
        publish(&sender, &error);
        stop_wait(stop, backoff_next(&sender.backoff));
    }
    https_client_free(sender.client);
    return NULL;
}

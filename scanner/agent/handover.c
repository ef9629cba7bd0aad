/* The handover thread: carries messages that are the Control Center's there, and lets the mta drop
 * each once the Control Center has all of it on stable storage.
 *
 * Nothing is remembered here. The mta keeps the messages and the Control Center how much it has of
 * each, so that after whatever has failed the transfer goes on where it ended. A message that
 * cannot be taken is passed over until all others were tried. */
#include "scanner/agent/agent_private.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"

#include <string.h>

#define LIST_MOST 50
#define MTA_WAIT_MS 1000 /* also how soon the thread notices that it should stop */
#define MTA_TIMEOUT_MS 10000
#define POST_SECONDS 120
#define CHUNK_BYTES (256 << 10)
#define CHUNKS_MOST 1000000
#define ID_SIZE 37

struct carrier {
    struct agent *agent;
    struct https_client *client;
    char mta[NODE_PATH_SIZE];
    char after[ID_SIZE];  /* the last message that was tried; "": begin with the first */
    bool passed_over;     /* one was, since the list began */
    struct error refusal; /* of that one */
    char problem[641];
    struct backoff backoff;
};

/* Takes the request over. */
static json_t *ask_mta(struct carrier *carrier, json_t *request, struct error *error)
{
    if (!request) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    json_t *reply = ipc_request(carrier->mta, request, MTA_TIMEOUT_MS, error);
    json_decref(request);
    return reply;
}

static json_t *post(struct carrier *carrier, json_t *body, struct error *error)
{
    if (!body) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    json_t *answer =
        https_client_post(carrier->client, "/fleet/messages", body, POST_SECONDS, error);
    json_decref(body);
    return answer;
}

/* --- one message --- */

/* Sends one piece; *has is then how many the Control Center has. */
static bool send_chunk(struct carrier *carrier, const char *id, int64_t number, int64_t *has,
                       struct error *error)
{
    cleanup_json json_t *content =
        ask_mta(carrier,
                json_pack("{s:s,s:s,s:I,s:i}", "op", "handover_content", "id", id, "offset",
                          (json_int_t)number * CHUNK_BYTES, "length", CHUNK_BYTES),
                error);
    if (!content)
        return false;
    cleanup_json json_t *answer =
        post(carrier,
             json_pack("{s:s,s:I,s:O}", "id", id, "number", (json_int_t)number, "data",
                       json_object_get(content, "data")),
             error);
    return answer && json_get_integer(answer, NULL, "has", 0, CHUNKS_MOST, has, error);
}

/* The first piece is sent whether it is there or not: the answer tells where to go on. */
static bool send_content(struct carrier *carrier, const char *id, int64_t size, struct error *error)
{
    int64_t count = (size + CHUNK_BYTES - 1) / CHUNK_BYTES, number = 0;
    while (number < count && !stop_requested(&carrier->agent->stop)) {
        int64_t has;
        if (!send_chunk(carrier, id, number, &has, error))
            return false;
        bool begins_anew = has == 0 && number > 0; /* it has forgotten what it had */
        if (has <= number && !begins_anew)
            return error_set(error, ERROR_PROTOCOL, id, "the Control Center did not take a piece");
        number = has;
    }
    return number >= count ||
           error_set(error, ERROR_UNAVAILABLE, NULL, "the agent is about to stop");
}

static bool finish(struct carrier *carrier, const char *id, int64_t size, const json_t *info,
                   struct error *error)
{
    cleanup_json json_t *answer =
        post(carrier,
             json_pack("{s:s,s:I,s:O}", "id", id, "size", (json_int_t)size, "info", (json_t *)info),
             error);
    if (!answer)
        return false;
    if (!json_is_true(json_object_get(answer, "taken")))
        return error_set(error, ERROR_PROTOCOL, id, "the Control Center did not take the message");
    cleanup_json json_t *reply =
        ask_mta(carrier, json_pack("{s:s,s:s}", "op", "handover_done", "id", id), error);
    return reply != NULL;
}

static bool carry(struct carrier *carrier, const json_t *message, struct error *error)
{
    const char *id;
    const json_t *info;
    int64_t size;
    if (!json_get_text(message, NULL, "id", ID_SIZE - 1, &id, error) ||
        !json_get_integer(message, NULL, "size", 0, INT64_MAX, &size, error))
        return false;
    snprintf(carrier->after, sizeof(carrier->after), "%s", id);
    if (!json_get_object(message, NULL, "info", true, &info, error) ||
        !send_content(carrier, id, size, error) || !finish(carrier, id, size, info, error))
        return false;
    log_info("message %s is handed over", id);
    return true;
}

/* --- all of them --- */

/* Whether the next message would meet the same problem. */
static bool concerns_all(const struct error *error)
{
    return error->code == ERROR_UNAVAILABLE || error->code == ERROR_DENIED ||
           error->code == ERROR_TIMEOUT || error->code == ERROR_INTERNAL;
}

static bool carry_all(struct carrier *carrier, const json_t *messages, struct error *error)
{
    const json_t *message;
    size_t index;
    json_array_foreach((json_t *)messages, index, message)
    {
        struct error local = {0};
        char text[641];
        if (stop_requested(&carrier->agent->stop))
            return true;
        if (carry(carrier, message, &local))
            continue;
        if (concerns_all(&local)) {
            carrier->after[0] = '\0';
            *error = local;
            return false;
        }
        log_warning("message %s cannot be handed over: %s", carrier->after,
                    error_text(&local, text, sizeof(text)));
        carrier->passed_over = true;
        carrier->refusal = local;
    }
    return true;
}

/* At the end of the list: what was passed over is tried again, a little later. */
static bool begin_anew(struct carrier *carrier, struct error *error)
{
    bool passed_over = carrier->passed_over;
    carrier->after[0] = '\0';
    carrier->passed_over = false;
    if (passed_over)
        *error = carrier->refusal;
    return !passed_over;
}

static bool run_once(struct carrier *carrier, struct error *error)
{
    struct agent *agent = carrier->agent;
    const json_t *messages;
    if (!carrier->client)
        carrier->client = https_client_new(agent->node.url, agent->state, &agent->stop, error);
    if (!carrier->client)
        return false;
    cleanup_json json_t *reply =
        ask_mta(carrier,
                json_pack("{s:s,s:i,s:i,s:s}", "op", "handover_list", "limit", LIST_MOST, "wait_ms",
                          MTA_WAIT_MS, "after", carrier->after),
                error);
    if (!reply || !json_get_array(reply, NULL, "messages", true, LIST_MOST, &messages, error))
        return false;
    if (json_array_size(messages) == 0)
        return begin_anew(carrier, error);
    return carry_all(carrier, messages, error);
}

void *handover_run(void *argument)
{
    static const char what[] = "handing messages over";
    struct carrier carrier = {.agent = argument};
    const struct stop *stop = &carrier.agent->stop;
    if (!file_join(carrier.mta, sizeof(carrier.mta), carrier.agent->state, NODE_MTA_SOCKET, NULL))
        return NULL;
    while (!stop_requested(stop)) {
        struct error error = {0};
        if (run_once(&carrier, &error)) {
            agent_note_problem(what, NULL, carrier.problem);
            backoff_reset(&carrier.backoff);
            continue;
        }
        if (stop_requested(stop))
            break;
        agent_note_problem(what, &error, carrier.problem);
        stop_wait(stop, backoff_next(&carrier.backoff));
    }
    https_client_free(carrier.client);
    return NULL;
}

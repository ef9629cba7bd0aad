/* The request thread: fetches what the console asks processes of this host, passes it on and
 * returns the replies. Only operations of the table are passed on. */
#include "scanner/agent/agent_private.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define WAIT_SECONDS 25
#define POST_SECONDS (WAIT_SECONDS + 30)
#define PROCESS_MS 10000         /* in which a process has to answer */
#define TRY_MS 30000             /* or to try signatures */
#define REPLY_LIMIT (4u << 20)   /* bytes of a reply that are returned */
#define REQUESTS_MOST 64         /* of one answer of the Control Center */
#define UNKNOWN_ADDRESS_MS 60000 /* between attempts at a Control Center that is too old */

struct operation {
    const char *target, *socket, *op;
    int wait_ms;
};

static const struct operation operations[] = {
    {"mta", NODE_MTA_SOCKET, "status", PROCESS_MS},
    {"mta", NODE_MTA_SOCKET, "queue_list", PROCESS_MS},
    {"mta", NODE_MTA_SOCKET, "queue_message", PROCESS_MS},
    {"mta", NODE_MTA_SOCKET, "queue_act", PROCESS_MS},
    {"mta", NODE_MTA_SOCKET, "queue_job", PROCESS_MS},
    {"mta", NODE_MTA_SOCKET, "submit_begin", PROCESS_MS},
    {"mta", NODE_MTA_SOCKET, "submit_data", PROCESS_MS},
    {"mta", NODE_MTA_SOCKET, "submit_end", PROCESS_MS},
    {"supervisor", NODE_SUPERVISOR_SOCKET, "status", PROCESS_MS},
    {"supervisor", NODE_SUPERVISOR_SOCKET, "start", PROCESS_MS},
    {"supervisor", NODE_SUPERVISOR_SOCKET, "stop", PROCESS_MS},
    {"supervisor", NODE_SUPERVISOR_SOCKET, "restart", PROCESS_MS},
    {"engine-control", NODE_ENGINE_SOCKET, "status", PROCESS_MS},
    {"engine-control", NODE_ENGINE_SOCKET, "reload", PROCESS_MS},
    {"engine-control", NODE_ENGINE_SOCKET, "try_signatures", TRY_MS},
    {"engine-control", NODE_ENGINE_SOCKET, "show_message", TRY_MS},
    {"engine-control", NODE_ENGINE_SOCKET, "dry_run", TRY_MS},
};

struct requester {
    struct agent *agent;
    struct https_client *client;
    json_t *pending; /* requests that are not passed on yet */
    json_t *answers; /* of those that are, until the Control Center has them */
    char problem[641];
    struct backoff backoff;
};

/* --- passing on --- */

static json_t *refusal(const char *text)
{
    return json_pack("{s:b,s:s}", "ok", 0, "error", text);
}

static json_t *refuse(const struct error *error)
{
    char text[640];
    return refusal(error_text(error, text, sizeof(text)));
}

static json_t *exchange(const char *path, const json_t *request, int wait_ms, struct error *error)
{
    cleanup_fd int fd = ipc_connect(path, SOCK_STREAM, error);
    if (fd < 0 || !ipc_send(fd, request, PROCESS_MS, error))
        return NULL;
    return ipc_receive(fd, wait_ms, error);
}

static const struct operation *find_operation(const char *target, const char *op)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(operations[i].target, target) == 0 && strcmp(operations[i].op, op) == 0)
            return &operations[i];
    return NULL;
}

json_t *requests_pass_on(const char *state, const char *target, const json_t *request)
{
    struct error error = {0};
    char path[NODE_PATH_SIZE];
    const char *op = json_string_value(json_object_get(request, "op"));
    const struct operation *operation = op ? find_operation(target, op) : NULL;
    if (!operation)
        return refusal("the scanner's agent does not pass this operation on");
    if (!file_join(path, sizeof(path), state, operation->socket, &error))
        return refuse(&error);
    json_t *reply = exchange(path, request, operation->wait_ms, &error);
    if (!reply)
        return refuse(&error);
    if (json_dumpb(reply, NULL, 0, JSON_COMPACT) <= REPLY_LIMIT)
        return reply;
    json_decref(reply);
    return refusal("the reply has over 4 MiB");
}

/* --- with the Control Center --- */

/* Passes the first pending request on. */
static bool pass_one_on(struct requester *requester, struct error *error)
{
    cleanup_json json_t *entry = json_incref(json_array_get(requester->pending, 0));
    const char *id, *target;
    const json_t *request;
    json_array_remove(requester->pending, 0);
    if (!json_is_object(entry))
        return error_set(error, ERROR_PROTOCOL, "requests", "must hold objects");
    if (!json_get_text(entry, NULL, "id", 36, &id, error) ||
        !json_get_text(entry, NULL, "target", 32, &target, error) ||
        !json_get_object(entry, NULL, "request", true, &request, error))
        return false;
    json_t *reply = strcmp(target, "agent") == 0
                        ? updates_request(requester->agent, request)
                        : requests_pass_on(requester->agent->state, target, request);
    json_t *answer = reply ? json_pack("{s:s,s:o}", "id", id, "reply", reply) : NULL;
    return json_array_append_new(requester->answers, answer) == 0 ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool take_requests(struct requester *requester, const json_t *answer, struct error *error)
{
    const json_t *requests;
    return json_get_array(answer, NULL, "requests", true, REQUESTS_MOST, &requests, error) &&
           (json_array_extend(requester->pending, (json_t *)requests) == 0 ||
            error_set(error, ERROR_INTERNAL, NULL, "out of memory"));
}

/* Returns the answers that are there, and waits for requests where none is pending. */
static bool post(struct requester *requester, struct error *error)
{
    int wait = json_array_size(requester->pending) ? 0 : WAIT_SECONDS;
    cleanup_json json_t *body =
        json_pack("{s:O,s:i}", "answers", requester->answers, "wait_seconds", wait);
    if (!body)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    cleanup_json json_t *answer =
        https_client_post(requester->client, "/fleet/requests", body, POST_SECONDS, error);
    /* Who asked has no use for an answer that comes after another failure. */
    json_array_clear(requester->answers);
    return answer && take_requests(requester, answer, error);
}

static bool run_once(struct requester *requester, struct error *error)
{
    const struct agent *agent = requester->agent;
    if (!requester->client)
        requester->client = https_client_new(agent->node.url, agent->state, &agent->stop, error);
    if (!requester->client)
        return false;
    while (json_array_size(requester->pending) && !json_array_size(requester->answers))
        if (!pass_one_on(requester, error))
            return false;
    return stop_requested(&agent->stop) || post(requester, error);
}

/* Waits before the next attempt. A Control Center that does not know the address yet is no problem
 * that anybody has to hear of. */
static void pause_after(struct requester *requester, const struct error *error)
{
    const struct stop *stop = &requester->agent->stop;
    json_array_clear(requester->pending);
    if (error->code == ERROR_NOT_FOUND) {
        stop_wait(stop, UNKNOWN_ADDRESS_MS);
        return;
    }
    agent_note_problem("fetching requests of the console", error, requester->problem);
    stop_wait(stop, backoff_next(&requester->backoff));
}

void *requests_run(void *argument)
{
    struct requester requester = {
        .agent = argument, .pending = json_array(), .answers = json_array()};
    const struct stop *stop = &requester.agent->stop;

    while (!stop_requested(stop)) {
        struct error error = {0};
        if (run_once(&requester, &error)) {
            agent_note_problem("fetching requests of the console", NULL, requester.problem);
            backoff_reset(&requester.backoff);
        } else if (!stop_requested(stop)) {
            pause_after(&requester, &error);
        }
    }
    https_client_free(requester.client);
    json_decref(requester.pending);
    json_decref(requester.answers);
    return NULL;
}

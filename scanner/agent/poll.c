/* The poll thread: says how this scanner is, and takes up what the Control Center answers. */
#include "scanner/agent/agent_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/agent/configuration.h"
#include "scanner/agent/status.h"

#define WAIT_SECONDS 15
#define TIMEOUT_SECONDS (WAIT_SECONDS + 30)
/* While a process that starts has not got its configuration yet, for so many polls. */
#define SHORT_WAIT_SECONDS 1
#define SHORT_WAITS 20
/* A server that answers "nothing new" at once is asked no more often than this. */
#define SHORTEST_MS 1000

struct poller {
    struct agent *agent;
    struct https_client *client;
    struct configuration configuration;
    struct backoff backoff;
    char problem[641];
};

static json_t *event_status(struct agent *agent)
{
    pthread_mutex_lock(&agent->lock);
    json_t *status = json_pack("{s:s,s:I,s:s}", "stream", agent->stream, "sent_seq",
                               (json_int_t)agent->sent_seq, "problem", agent->event_problem);
    pthread_mutex_unlock(&agent->lock);
    return status;
}

static int wait_seconds(const struct configuration *configuration)
{
    return configuration->undelivered && configuration->delivery_attempts < SHORT_WAITS
               ? SHORT_WAIT_SECONDS
               : WAIT_SECONDS;
}

static json_t *request_body(struct poller *poller)
{
    const struct configuration *configuration = &poller->configuration;
    json_t *status = status_gather(poller->agent->state);
    if (status)
        json_object_set_new(status, "events", event_status(poller->agent));
    if (status)
        json_object_set_new(status, "updates", updates_status(poller->agent));
    return json_pack("{s:I,s:I,s:s,s:s,s:i,s:o*}", "configuration_version",
                     (json_int_t)configuration->version, "failed_version",
                     (json_int_t)configuration->failed_version, "failed_reason",
                     configuration->failed_reason, "version", GATEHOUSE_VERSION, "wait_seconds",
                     wait_seconds(configuration), "status", status);
}

/* False where the answer can be of no use and asking again at once would only repeat it. */
static bool take_answer(struct poller *poller, const json_t *answer, struct error *error)
{
    const json_t *envelope;
    if (json_is_null(json_object_get(answer, "configuration")))
        return true;
    if (!json_get_object(answer, NULL, "configuration", true, &envelope, error))
        return false;
    return configuration_take(&poller->configuration, envelope, error) ||
           poller->configuration.failed_version > 0;
}

static bool poll_once(struct poller *poller, struct error *error)
{
    int64_t started = timestamp_monotonic_ms();
    configuration_deliver(&poller->configuration);
    cleanup_json json_t *body = request_body(poller);
    if (!body)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    if (stop_requested(&poller->agent->stop))
        return true;
    cleanup_json json_t *answer =
        https_client_post(poller->client, "/fleet/poll", body, TIMEOUT_SECONDS, error);
    if (!answer || !take_answer(poller, answer, error))
        return false;
    if (timestamp_monotonic_ms() - started < SHORTEST_MS &&
        json_is_null(json_object_get(answer, "configuration")))
        stop_wait(&poller->agent->stop, SHORTEST_MS);
    return true;
}

static bool open_poller(struct poller *poller, struct error *error)
{
    struct agent *agent = poller->agent;
    poller->client = https_client_new(agent->node.url, agent->state, &agent->stop, error);
    return poller->client &&
           configuration_open(&poller->configuration, agent->state, agent->node.scanner_id, error);
}

void *poll_run(void *argument)
{
    static const char what[] = "asking the Control Center for configuration";
    struct poller poller = {.agent = argument};
    const struct stop *stop = &poller.agent->stop;

    while (!stop_requested(stop)) {
        struct error error = {0};
        if ((poller.client || open_poller(&poller, &error)) && poll_once(&poller, &error)) {
            backoff_reset(&poller.backoff);
            agent_note_problem(what, NULL, poller.problem);
            continue;
        }
        if (stop_requested(stop))
            break;
        agent_note_problem(what, &error, poller.problem);
        stop_wait(stop, backoff_next(&poller.backoff));
    }
    https_client_free(poller.client);
    return NULL;
}

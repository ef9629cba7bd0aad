#include "scanner/agent/agent_private.h"

#include "common/log.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void agent_note_problem(const char *what, const struct error *error, char last[641])
{
    char text[641] = "";
    if (error)
        error_text(error, text, sizeof(text));
    if (strcmp(text, last) == 0)
        return;
    if (error)
        log_warning("%s: %s; trying again", what, text);
    else
        log_info("%s: works again", what);
    memcpy(last, text, sizeof(text));
}

static void agent_free(struct agent *agent)
{
    stop_close(&agent->stop);
    pthread_mutex_destroy(&agent->lock);
    free(agent);
}

static struct agent *agent_new(const char *state, struct error *error)
{
    struct agent *agent = calloc(1, sizeof(*agent));
    if (!agent) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    agent->stop.event = -1;
    pthread_mutex_init(&agent->lock, NULL);
    if (strlen(state) >= sizeof(agent->state)) {
        error_set(error, ERROR_LIMIT, "state", "the path is too long");
    } else if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(error, ERROR_INTERNAL, NULL, "the libraries cannot be set up");
    } else if (node_load(state, &agent->node, error) && stop_open(&agent->stop, error)) {
        snprintf(agent->state, sizeof(agent->state), "%s", state);
        updates_open(agent);
        return agent;
    }
    agent_free(agent);
    return NULL;
}

/* --- threads --- */

static void *(*const bodies[AGENT_THREADS])(void *agent) = {
    poll_run, event_sender_run, handover_run, requests_run, updates_run};

static void end_threads(struct agent *agent, size_t count)
{
    stop_request(&agent->stop);
    for (size_t i = 0; i < count; i++)
        pthread_join(agent->threads[i], NULL);
}

struct agent *agent_start(const char *state, struct error *error)
{
    struct agent *agent = agent_new(state, error);
    if (!agent)
        return NULL;
    size_t started = 0;
    while (started < AGENT_THREADS &&
           pthread_create(&agent->threads[started], NULL, bodies[started], agent) == 0)
        started++;
    if (started == AGENT_THREADS)
        return agent;
    error_set(error, ERROR_INTERNAL, NULL, "cannot start a thread");
    end_threads(agent, started);
    agent_free(agent);
    return NULL;
}

void agent_stop(struct agent *agent)
{
    if (!agent)
        return;
    end_threads(agent, AGENT_THREADS);
    agent_free(agent);
}

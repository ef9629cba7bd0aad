/* The fleet's life, its route table, and what all handlers do alike. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/json.h"
#include "common/log.h"
#include "common/message_id.h"

#include <stdlib.h>
#include <string.h>

const struct http_route fleet_routes[] = {
    {HTTP_POST, "/fleet/enroll", HTTP_PUBLIC, fleet_enroll},
    {HTTP_POST, "/fleet/poll", HTTP_PUBLIC, fleet_poll},
    {HTTP_POST, "/fleet/position", HTTP_PUBLIC, fleet_position},
    {HTTP_POST, "/fleet/events", HTTP_PUBLIC, fleet_events},
    {HTTP_POST, "/fleet/requests", HTTP_PUBLIC, fleet_requests},
    {HTTP_POST, "/fleet/messages", HTTP_PUBLIC, fleet_messages},
    {HTTP_OTHER, NULL, HTTP_PUBLIC, NULL},
};

struct fleet *fleet_new(struct store *store, const char *url)
{
    struct fleet *fleet = calloc(1, sizeof(*fleet));
    if (!fleet)
        return NULL;
    fleet->url = strdup(url);
    if (!fleet->url) {
        free(fleet);
        return NULL;
    }
    fleet->store = store;
    fleet->shared_version = -1;
    pthread_mutex_init(&fleet->lock, NULL);
    pthread_mutex_init(&fleet->shared_lock, NULL);
    pthread_mutex_init(&fleet->candidate_lock, NULL);
    return fleet;
}

void fleet_free(struct fleet *fleet)
{
    if (!fleet)
        return;
    json_decref(fleet->shared);
    json_decref(fleet->policies);
    fleet_clear_key_pair(&fleet->candidate);
    if (fleet->ca_key)
        explicit_bzero(fleet->ca_key, strlen(fleet->ca_key));
    explicit_bzero(fleet->configuration_secret, sizeof(fleet->configuration_secret));
    free(fleet->ca_key);
    free(fleet->ca_certificate);
    free(fleet->url);
    pthread_mutex_destroy(&fleet->lock);
    pthread_mutex_destroy(&fleet->shared_lock);
    pthread_mutex_destroy(&fleet->candidate_lock);
    free(fleet);
}

const char *fleet_url(const struct fleet *fleet)
{
    return fleet->url;
}

void fleet_stop(struct fleet *fleet)
{
    atomic_store(&fleet->stopping, true);
}

static int status_of(enum error_code code)
{
    switch (code) {
    case ERROR_INVALID:
        return 400;
    case ERROR_DENIED:
        return 403;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_EXISTS:
    case ERROR_PROTOCOL:
        return 409;
    case ERROR_LIMIT:
        return 413;
    case ERROR_UNAVAILABLE:
    case ERROR_TIMEOUT:
    case ERROR_NO_SPACE:
        return 503;
    default:
        return 500;
    }
}

void fleet_answer_error(struct http_response *response, const struct error *error)
{
    int status = status_of(error->code);
    char text[640];
    json_t *body;
    if (status >= 500) {
        /* What the database or the system said stays here: the peer may be anybody. */
        log_error("fleet: %s", error_text(error, text, sizeof(text)));
        body = json_pack("{s:s}", "error",
                         status == 503 ? "the Control Center's database is not available"
                                       : "internal error of the Control Center");
    } else {
        body = json_pack("{s:s}", "error", error_text(error, text, sizeof(text)));
    }
    http_json(response, status, body);
    json_decref(body);
}

void fleet_answer_scanner_error(struct http_response *response, const struct error *error)
{
    struct error removed = {0};
    error_set(&removed, ERROR_DENIED, NULL,
              "this scanner has been removed from the Control Center");
    fleet_answer_error(response, error->code == ERROR_NOT_FOUND ? &removed : error);
}

void fleet_answer(struct http_response *response, json_t *value)
{
    struct error error = {0};
    if (!value) {
        error_set(&error, ERROR_INTERNAL, NULL, "out of memory");
        fleet_answer_error(response, &error);
        return;
    }
    http_json(response, 200, value);
    json_decref(value);
}

json_t *fleet_request_body(struct http_request *request, struct http_response *response)
{
    struct error error = {0};
    json_t *body = json_parse(request->body ? request->body : "", request->body_length,
                              "request body", &error);
    if (body && json_is_object(body))
        return body;
    if (body) {
        json_decref(body);
        error_set(&error, ERROR_INVALID, "request body", "must be a JSON object");
    }
    fleet_answer_error(response, &error);
    return NULL;
}

bool fleet_identify(struct http_request *request, struct http_response *response,
                    struct store_scanner *scanner)
{
    struct fleet *fleet = request->context;
    struct message_id id;
    struct error error = {0};

    if (!request->client_name[0]) {
        error_set(&error, ERROR_DENIED, NULL, "a client certificate of the fleet is needed");
    } else if (!message_id_parse(request->client_name, &id)) {
        error_set(&error, ERROR_DENIED, NULL, "the client certificate is not that of a scanner");
    } else if (store_scanner_get(fleet->store, request->client_name, scanner, &error)) {
        return true;
    }
    fleet_answer_scanner_error(response, &error);
    return false;
}

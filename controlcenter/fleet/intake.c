/* POST /fleet/position and /fleet/events: the audit events of a scanner, each taken once. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"

#include <string.h>

#define STREAM_LIMIT 64

/* A stream is a name that a scanner made for a queue: letters, digits and hyphens. */
static bool read_stream(const json_t *body, const char **stream, struct error *error)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (!json_get_text(body, NULL, "stream", STREAM_LIMIT, stream, error))
        return false;
    if (!**stream || strspn(*stream, allowed) != strlen(*stream))
        return error_set(error, ERROR_INVALID, "stream", "must be 1 to %d letters, digits or '-'",
                         STREAM_LIMIT);
    return true;
}

static void answer_position(struct http_response *response, bool ok, int64_t last_seq,
                            const struct error *error)
{
    if (ok)
        fleet_answer(response, json_pack("{s:I}", "last_seq", (json_int_t)last_seq));
    else
        fleet_answer_error(response, error);
}

static bool position(struct fleet *fleet, const char *scanner_id, const json_t *body,
                     int64_t *last_seq, struct error *error)
{
    const char *stream;
    return read_stream(body, &stream, error) &&
           store_audit_position(fleet->store, scanner_id, stream, last_seq, error);
}

void fleet_position(struct http_request *request, struct http_response *response)
{
    struct store_scanner scanner = {0};
    struct error error = {0};
    int64_t last_seq = 0;

    if (!fleet_identify(request, response, &scanner))
        return;
    cleanup_json json_t *body = fleet_request_body(request, response);
    if (body) {
        bool ok = position(request->context, scanner.id, body, &last_seq, &error);
        answer_position(response, ok, last_seq, &error);
    }
    store_scanner_clear(&scanner);
}

static bool take_events(struct fleet *fleet, const struct store_scanner *scanner,
                        const json_t *body, int64_t *last_seq, struct error *error)
{
    const char *stream;
    const json_t *events;
    char text[640];

    if (!read_stream(body, &stream, error) ||
        !json_get_array(body, NULL, "events", true, FLEET_EVENT_BATCH_LIMIT, &events, error))
        return false;
    if (store_audit_write(fleet->store, scanner->id, stream, events, last_seq, error))
        return true;
    log_warning("events of %s (%s): %s", scanner->host_name, scanner->id,
                error_text(error, text, sizeof(text)));
    return false;
}

void fleet_events(struct http_request *request, struct http_response *response)
{
    struct store_scanner scanner = {0};
    struct error error = {0};
    int64_t last_seq = 0;

    if (!fleet_identify(request, response, &scanner))
        return;
    cleanup_json json_t *body = fleet_request_body(request, response);
    if (body) {
        bool ok = take_events(request->context, &scanner, body, &last_seq, &error);
        answer_position(response, ok, last_seq, &error);
    }
    store_scanner_clear(&scanner);
}

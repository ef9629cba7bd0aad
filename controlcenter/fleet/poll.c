/* POST /fleet/poll: a scanner says how it is and waits for a configuration that it should run. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define STATUS_LIMIT 65536 /* bytes of the status that is kept */
#define SLICE_MS 500       /* how soon a wait notices that the program stops */

struct poll {
    int64_t running; /* version that the scanner runs; 0: none */
    int64_t failed;  /* version that it, or the making of its document, refused; 0: none */
    char failed_reason[641];
    const char *software_version; /* borrowed from the body, like status */
    const json_t *status;         /* NULL: unknown */
    int64_t wait_seconds;
};

/* A status that is no object, or too large, is unknown; it is no reason to refuse the scanner. */
static const json_t *usable_status(const json_t *body)
{
    const json_t *status = json_object_get(body, "status");
    if (!json_is_object(status) || json_dumpb(status, NULL, 0, JSON_COMPACT) > STATUS_LIMIT)
        return NULL;
    return status;
}

static bool read_body(const json_t *body, struct poll *poll, struct error *error)
{
    const char *reason;
    if (!json_get_integer(body, NULL, "configuration_version", 0, INT64_MAX, &poll->running,
                          error) ||
        !json_get_integer_or(body, NULL, "failed_version", 0, INT64_MAX, 0, &poll->failed, error) ||
        !json_get_text_or(body, NULL, "failed_reason", 640, "", &reason, error) ||
        !json_get_text_or(body, NULL, "version", 32, "", &poll->software_version, error) ||
        !json_get_integer_or(body, NULL, "wait_seconds", 0, FLEET_WAIT_LIMIT_SECONDS, 0,
                             &poll->wait_seconds, error))
        return false;
    snprintf(poll->failed_reason, sizeof(poll->failed_reason), "%s", reason);
    poll->status = usable_status(body);
    return true;
}

static bool note_seen(struct fleet *fleet, const struct store_scanner *scanner,
                      const struct poll *poll, struct error *error)
{
    return store_scanner_seen(fleet->store, scanner->id, poll->running, poll->failed,
                              poll->failed_reason, poll->software_version, poll->status, error);
}

/* Makes the envelope where the scanner should have one. A document that the settings do not allow
 * is noted as failed, as if the scanner had refused it: the page shows why, and the poll goes on.
 */
static bool newer_document(struct fleet *fleet, const struct store_scanner *scanner,
                           int64_t version, struct poll *poll, json_t **envelope,
                           struct error *error)
{
    struct error local = {0};
    char text[640];
    *envelope = NULL;
    if (version == poll->running || version == poll->failed)
        return true;
    *envelope = fleet_envelope(fleet, scanner, &version, &local);
    if (*envelope)
        return true;
    if (local.code != ERROR_INVALID) {
        if (error)
            *error = local;
        return false;
    }
    poll->failed = version;
    snprintf(poll->failed_reason, sizeof(poll->failed_reason), "%s",
             error_text(&local, text, sizeof(text)));
    log_warning("configuration %" PRId64 " of %s is not valid: %s", version, scanner->host_name,
                poll->failed_reason);
    return true;
}

/* The scanner's row may change while it waits: its own settings, or its removal. */
static bool read_again(struct fleet *fleet, struct store_scanner *scanner, struct error *error)
{
    struct store_scanner fresh = {0};
    if (!store_scanner_get(fleet->store, scanner->id, &fresh, error))
        return false;
    store_scanner_clear(scanner);
    *scanner = fresh;
    return true;
}

/* Raises *version to one above it; false when the time is over or the program stops. */
static bool wait_above(struct fleet *fleet, int64_t *version, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - timestamp_monotonic_ms();
        if (left <= 0 || atomic_load(&fleet->stopping))
            return false;
        int slice = left < SLICE_MS ? (int)left : SLICE_MS;
        int64_t known = store_configuration_wait(fleet->store, *version, slice);
        if (known > *version) {
            *version = known;
            return true;
        }
    }
}

static bool serve(struct fleet *fleet, struct store_scanner *scanner, struct poll *poll,
                  json_t **envelope, struct error *error)
{
    int64_t deadline = timestamp_monotonic_ms() + poll->wait_seconds * 1000;
    int64_t version, noted;

    if (!store_configuration_version(fleet->store, &version, error) ||
        !newer_document(fleet, scanner, version, poll, envelope, error) ||
        !note_seen(fleet, scanner, poll, error))
        return false;
    noted = poll->failed;
    while (!*envelope && wait_above(fleet, &version, deadline)) {
        if (!read_again(fleet, scanner, error) ||
            !newer_document(fleet, scanner, version, poll, envelope, error))
            return false;
        if (poll->failed != noted && !note_seen(fleet, scanner, poll, error))
            return false;
        noted = poll->failed;
    }
    return true;
}

void fleet_poll(struct http_request *request, struct http_response *response)
{
    struct fleet *fleet = request->context;
    struct store_scanner scanner = {0};
    struct poll poll = {0};
    struct error error = {0};
    json_t *envelope = NULL;

    if (!fleet_identify(request, response, &scanner))
        return;
    cleanup_json json_t *body = fleet_request_body(request, response);
    if (!body)
        goto out;
    if (!read_body(body, &poll, &error) || !fleet_prepare(fleet, &error) ||
        !serve(fleet, &scanner, &poll, &envelope, &error))
        fleet_answer_scanner_error(response, &error);
    else
        fleet_answer(response, json_pack("{s:o?}", "configuration", envelope));
out:
    store_scanner_clear(&scanner);
}

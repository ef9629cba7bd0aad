/* Requests of the console to processes of scanners: fleet_ask, and POST /fleet/requests, by which a
 * scanner fetches and answers them. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/message_id.h"
#include "common/timestamp.h"
#include "controlcenter/store/requests.h"

#include <string.h>

#define SLICE_MS 500       /* how soon a wait notices that the program stops */
#define WAIT_MOST_MS 60000 /* for an answer */
#define LOOK_MS 2000       /* looks although no bell rang: the connection may be gone */
#define TAKEN_AT_ONCE 8    /* requests of one answer */
#define ANSWERS_MOST 16    /* answers of one request */

/* --- asking --- */

static bool is_target(const char *target)
{
    static const char *const targets[] = {"mta", "engine-control", "supervisor", "directory",
                                          "agent"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        if (strcmp(target, targets[i]) == 0)
            return true;
    return false;
}

/* NULL with *error also where no reply came in time (ERROR_TIMEOUT). */
static json_t *await_reply(struct fleet *fleet, struct store_bell *bell, const char *id,
                           int64_t deadline, struct error *error)
{
    int64_t look_at = timestamp_monotonic_ms() + LOOK_MS;
    for (;;) {
        int64_t now = timestamp_monotonic_ms(), left = deadline - now;
        if (left <= 0 || atomic_load(&fleet->stopping)) {
            error_set(error, ERROR_TIMEOUT, NULL, "the scanner did not answer in time");
            return NULL;
        }
        if (!store_bell_wait(bell, left < SLICE_MS ? (int)left : SLICE_MS) &&
            timestamp_monotonic_ms() < look_at && timestamp_monotonic_ms() < deadline)
            continue;
        struct error local = {0};
        json_t *reply = store_request_reply(fleet->store, id, &local);
        if (!reply && local.code == ERROR_NONE) {
            look_at = timestamp_monotonic_ms() + LOOK_MS;
            continue;
        }
        if (!reply && error)
            *error = local;
        return reply;
    }
}

/* What the process answered, or NULL where it refused. Takes the reply over. */
static json_t *check_reply(json_t *reply, struct error *error)
{
    if (json_is_true(json_object_get(reply, "ok")))
        return reply;
    const char *text = json_string_value(json_object_get(reply, "error"));
    error_set(error, ERROR_INVALID, NULL, "%s", text ? text : "refused without a reason");
    json_decref(reply);
    return NULL;
}

static json_t *ask(struct fleet *fleet, struct store_bell *bell, const char *id, int64_t deadline,
                   struct error *error)
{
    struct error local = {0};
    bool taken = false;
    json_t *reply = await_reply(fleet, bell, id, deadline, &local);
    /* What was not fetched yet is not carried out after this. */
    bool removed = store_request_remove(fleet->store, id, &taken, NULL);
    if (reply)
        return check_reply(reply, error);
    if (local.code == ERROR_TIMEOUT && removed && !taken)
        error_set(&local, ERROR_TIMEOUT, NULL,
                  "the scanner is not connected to the Control Center");
    if (error)
        *error = local;
    return NULL;
}

json_t *fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                  const json_t *request, int wait_ms, struct error *error)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    struct message_id made = message_id_new();
    int64_t wait = wait_ms < WAIT_MOST_MS ? wait_ms : WAIT_MOST_MS;
    int64_t deadline = timestamp_monotonic_ms() + wait;
    json_t *reply = NULL;
    if (!is_target(target)) {
        error_set(error, ERROR_INVALID, "target", "there is no such process");
        return NULL;
    }
    struct store_bell *bell = store_bell_open(fleet->store, message_id_text(&made, id));
    if (!bell)
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    else if (store_request_add(fleet->store, id, scanner_id, target, request, wait, error))
        reply = ask(fleet, bell, id, deadline, error);
    store_bell_close(bell);
    return reply;
}

/* --- the scanner's end --- */

static bool take_answer(struct fleet *fleet, const struct store_scanner *scanner,
                        const json_t *answer, struct error *error)
{
    struct error local = {0};
    const char *id;
    const json_t *reply;
    if (!json_get_text(answer, NULL, "id", 36, &id, error) ||
        !json_get_object(answer, NULL, "reply", true, &reply, error))
        return false;
    if (store_request_answer(fleet->store, scanner->id, id, reply, &local))
        return true;
    if (local.code == ERROR_LIMIT) { /* one that is too large must not stop those behind it */
        log_warning("an answer of %s is left out: %s", scanner->host_name, local.message);
        return true;
    }
    if (error)
        *error = local;
    return false;
}

static bool take_answers(struct fleet *fleet, const struct store_scanner *scanner,
                         const json_t *body, struct error *error)
{
    const json_t *answers, *answer;
    size_t index;
    if (!json_get_array(body, NULL, "answers", false, ANSWERS_MOST, &answers, error))
        return false;
    json_array_foreach((json_t *)answers, index, answer)
    {
        if (!json_is_object(answer))
            return error_set(error, ERROR_INVALID, "answers", "must hold objects");
        if (!take_answer(fleet, scanner, answer, error))
            return false;
    }
    return true;
}

static json_t *describe(const struct store_request *requests, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++)
        if (json_array_append_new(array, json_pack("{s:s,s:s,s:O}", "id", requests[i].id, "target",
                                                   requests[i].target, "request",
                                                   requests[i].request)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* The scanner's requests, waiting up to the deadline for one; an empty array where none came. */
static json_t *fetch(struct fleet *fleet, struct store_bell *bell, const char *scanner_id,
                     int64_t deadline, struct error *error)
{
    int64_t look_at = 0;
    for (;;) {
        int64_t now = timestamp_monotonic_ms();
        struct store_request *requests;
        size_t count = 0;
        if (now >= look_at) {
            if (!store_request_take(fleet->store, scanner_id, TAKEN_AT_ONCE, &requests, &count,
                                    error))
                return NULL;
            json_t *array = count ? describe(requests, count) : NULL;
            store_request_list_free(requests, count);
            if (count)
                return array;
            look_at = now + LOOK_MS * 5;
        }
        int64_t left = deadline - now;
        if (left <= 0 || atomic_load(&fleet->stopping))
            return json_array();
        if (store_bell_wait(bell, left < SLICE_MS ? (int)left : SLICE_MS))
            look_at = 0;
    }
}

static json_t *serve(struct fleet *fleet, const struct store_scanner *scanner, const json_t *body,
                     struct error *error)
{
    int64_t wait;
    json_t *array = NULL;
    if (!json_get_integer_or(body, NULL, "wait_seconds", 0, FLEET_WAIT_LIMIT_SECONDS, 0, &wait,
                             error) ||
        !take_answers(fleet, scanner, body, error))
        return NULL;
    struct store_bell *bell = store_bell_open(fleet->store, scanner->id);
    if (bell)
        array = fetch(fleet, bell, scanner->id, timestamp_monotonic_ms() + wait * 1000, error);
    store_bell_close(bell);
    return array;
}

void fleet_requests(struct http_request *request, struct http_response *response)
{
    struct fleet *fleet = request->context;
    struct store_scanner scanner = {0};
    struct error error = {0};
    if (!fleet_identify(request, response, &scanner))
        return;
    cleanup_json json_t *body = fleet_request_body(request, response);
    if (body) {
        json_t *requests = serve(fleet, &scanner, body, &error);
        if (requests || error.code == ERROR_NONE)
            fleet_answer(response, requests ? json_pack("{s:o}", "requests", requests) : NULL);
        else
            fleet_answer_scanner_error(response, &error);
    }
    store_scanner_clear(&scanner);
}

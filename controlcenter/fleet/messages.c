/* POST /fleet/messages: messages that a scanner hands over, in pieces. Each is the Control Center's
 * once its end is answered with "taken"; until then the scanner keeps it. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "controlcenter/store/messages.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MOST 100000 /* of a piece; the store has its own limit */

static bool decode(const char *text, unsigned char *data, size_t *length, struct error *error)
{
    return sodium_base642bin(data, STORE_MESSAGE_CHUNK, text, strlen(text), NULL, length, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 ||
           error_set(error, ERROR_INVALID, "data", "must be base64 of at most %u bytes",
                     STORE_MESSAGE_CHUNK);
}

static json_t *take_chunk(struct fleet *fleet, const char *scanner_id, const char *id,
                          const json_t *body, struct error *error)
{
    const char *text;
    int64_t number;
    size_t length = 0;
    int has = 0;
    size_t most = sodium_base64_encoded_len(STORE_MESSAGE_CHUNK, sodium_base64_VARIANT_ORIGINAL);
    cleanup_free unsigned char *data = malloc(STORE_MESSAGE_CHUNK);
    if (!data) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    if (!json_get_integer(body, NULL, "number", 0, NUMBER_MOST, &number, error) ||
        !json_get_text(body, NULL, "data", most, &text, error) ||
        !decode(text, data, &length, error) ||
        !store_message_chunk(fleet->store, id, scanner_id, (int)number, data, length, &has, error))
        return NULL;
    return json_pack("{s:i}", "has", has);
}

static json_t *take_end(struct fleet *fleet, const struct store_scanner *scanner, const char *id,
                        const json_t *body, struct error *error)
{
    const json_t *info;
    int64_t size;
    if (!json_get_integer(body, NULL, "size", 0, INT64_MAX, &size, error) ||
        !json_get_object(body, NULL, "info", true, &info, error) ||
        !store_message_complete(fleet->store, id, scanner->id, info, size, error))
        return NULL;
    log_info("message %s of %s is taken: %lld bytes", id, scanner->host_name, (long long)size);
    return json_pack("{s:b}", "taken", 1);
}

static json_t *take(struct fleet *fleet, const struct store_scanner *scanner, const json_t *body,
                    struct error *error)
{
    const char *id;
    if (!json_get_text(body, NULL, "id", 36, &id, error))
        return NULL;
    if (json_object_get(body, "data"))
        return take_chunk(fleet, scanner->id, id, body, error);
    return take_end(fleet, scanner, id, body, error);
}

void fleet_messages(struct http_request *request, struct http_response *response)
{
    struct store_scanner scanner = {0};
    struct error error = {0};
    char text[640];
    if (!fleet_identify(request, response, &scanner))
        return;
    cleanup_json json_t *body = fleet_request_body(request, response);
    if (body) {
        json_t *answer = take(request->context, &scanner, body, &error);
        if (answer || error.code == ERROR_NONE) {
            fleet_answer(response, answer);
        } else {
            log_warning("a message of %s (%s): %s", scanner.host_name, scanner.id,
                        error_text(&error, text, sizeof(text)));
            fleet_answer_error(response, &error);
        }
    }
    store_scanner_clear(&scanner);
}

/* The "signatures" member of the scanners' documents: custom signatures, and how freshclam is run.
 */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/timestamp.h"

#include <string.h>

#define TRY_MS 40000 /* a scanner takes half of it at most */

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- as it is stored --- */

/* The enabled files, but the one of that name. */
static json_t *read_custom(struct fleet *fleet, const char *but, struct error *error)
{
    struct store_signature_file *files = NULL;
    size_t count = 0;
    if (!store_signature_list(fleet->store, true, &files, &count, error))
        return NULL;
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t i = 0; i < count && ok; i++)
        ok = (but && strcmp(files[i].name, but) == 0) ||
             json_array_append_new(
                 array, json_pack("{s:s,s:s}", "name", files[i].name, "text", files[i].text)) == 0;
    store_signature_list_free(files, count);
    if (ok)
        return array;
    json_decref(array);
    out_of_memory(error);
    return NULL;
}

/* NULL without an error where there is no such setting. */
static bool read_setting(struct fleet *fleet, const char *key, json_t **value, struct error *error)
{
    struct error local = {0};
    *value = store_setting_get(fleet->store, key, &local);
    if (*value || local.code == ERROR_NOT_FOUND)
        return true;
    if (error)
        *error = local;
    return false;
}

/* Puts the password, which is stored apart, to the proxy that it belongs to. */
static bool add_password(json_t *update, const json_t *secret, struct error *error)
{
    json_t *proxy = json_object_get(update, "proxy");
    json_t *password = json_object_get(secret, "password");
    if (!proxy || !password)
        return true;
    return json_object_set(proxy, "password", password) == 0 || out_of_memory(error);
}

static bool read_update(struct fleet *fleet, json_t **update, struct error *error)
{
    json_t *secret = NULL;
    *update = NULL;
    if (!read_setting(fleet, FLEET_SIGNATURE_UPDATE, update, error) ||
        !read_setting(fleet, FLEET_SIGNATURE_PROXY_SECRET, &secret, error)) {
        json_decref(*update);
        return false;
    }
    bool ok = !*update || add_password(*update, secret, error);
    json_decref(secret);
    return ok;
}

bool fleet_read_signatures(struct fleet *fleet, json_t *shared, struct error *error)
{
    cleanup_json json_t *update = NULL;
    cleanup_json json_t *custom = read_custom(fleet, NULL, error);
    if (!custom || !read_update(fleet, &update, error))
        return false;
    return json_object_set_new(shared, "signatures",
                               json_pack("{s:O,s:O*}", "custom", custom, "update", update)) == 0 ||
           out_of_memory(error);
}

/* --- candidates --- */

bool fleet_check_signature_update(struct fleet *fleet, const json_t *update, struct error *error)
{
    cleanup_json json_t *shared =
        json_pack("{s:{s:[],s:O}}", "signatures", "custom", "update", update);
    return shared ? fleet_check_shared(fleet, shared, error) : out_of_memory(error);
}

static bool is_connected(const struct store_scanner *scanner)
{
    return scanner->seen_at > timestamp_now_ms() - FLEET_SILENT_MS;
}

/* Asks scanners until one answers. */
static json_t *ask_one(struct fleet *fleet, const json_t *request, char host[256],
                       struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    json_t *reply = NULL;
    struct error local = {0};
    if (!store_scanner_list(fleet->store, &scanners, &count, error))
        return NULL;
    error_set(&local, ERROR_UNAVAILABLE, NULL, "no scanner is connected that could try it");
    for (size_t i = 0; i < count && !reply; i++) {
        if (!is_connected(&scanners[i]))
            continue;
        local = (struct error){0};
        reply = fleet_ask(fleet, scanners[i].id, "engine-control", request, TRY_MS, &local);
        memcpy(host, scanners[i].host_name, 256);
    }
    store_scanner_list_free(scanners, count);
    if (!reply && error)
        error_set(error, ERROR_UNAVAILABLE, NULL, "%s", local.message);
    return reply;
}

static int64_t count_of(const json_t *reply, const char *name)
{
    const json_t *file;
    size_t index;
    json_array_foreach(json_object_get(reply, "files"), index, file)
    {
        const char *of = json_string_value(json_object_get(file, "name"));
        if (of && strcmp(of, name) == 0)
            return json_integer_value(json_object_get(file, "signatures"));
    }
    return 0;
}

static bool take_refusal(const json_t *refused, struct fleet_signature_trial *trial)
{
    struct error text;
    const char *name = json_string_value(json_object_get(refused, "name"));
    const char *reason = json_string_value(json_object_get(refused, "reason"));
    json_int_t line = json_integer_value(json_object_get(refused, "line"));
    if (!json_is_object(refused))
        return false;
    error_set(&text, ERROR_INVALID, name, "%s", reason ? reason : "no reason given");
    memcpy(trial->file, text.where, sizeof(trial->file));
    memcpy(trial->reason, text.message, sizeof(trial->reason));
    trial->line = line > 0 && line < 100000000 ? (int)line : 0;
    trial->refused = true;
    return true;
}

bool fleet_try_signatures(struct fleet *fleet, const char *name, const char *text,
                          struct fleet_signature_trial *trial, struct error *error)
{
    *trial = (struct fleet_signature_trial){0};
    cleanup_json json_t *files = read_custom(fleet, name, error);
    if (!files)
        return false;
    cleanup_json json_t *request = json_pack("{s:s,s:O}", "op", "try_signatures", "files", files);
    if (!request ||
        json_array_insert_new(files, 0, json_pack("{s:s,s:s}", "name", name, "text", text)) != 0)
        return out_of_memory(error);
    cleanup_json json_t *reply = ask_one(fleet, request, trial->host, error);
    if (!reply)
        return false;
    if (!take_refusal(json_object_get(reply, "refused"), trial))
        trial->signatures = count_of(reply, name);
    return true;
}

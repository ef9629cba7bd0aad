/* The "directory" member of the scanners' documents: LDAP sources and local users. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/timestamp.h"

#include <string.h>

#define USER_PAGE 1000

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- as it is stored --- */

/* What is "disabled" is kept for the administrator alone. */
static json_t *source_json(const char *name, const json_t *settings, const char *bind_password)
{
    json_t *source = json_deep_copy(settings);
    json_object_del(source, "disabled");
    if (json_object_set_new(source, "name", json_string(name)) == 0 &&
        json_object_set_new(source, "bind_password", json_string(bind_password)) == 0)
        return source;
    json_decref(source);
    return NULL;
}

static bool add_user_page(struct fleet *fleet, json_t *array, char after[ADDRESS_SIZE],
                          size_t *added, struct error *error)
{
    struct store_directory_user *users = NULL;
    bool ok = true;
    if (!store_directory_user_list(fleet->store, NULL, after, USER_PAGE, &users, added, error))
        return false;
    for (size_t i = 0; i < *added && ok; i++)
        ok = !users[i].is_enabled ||
             json_array_append_new(array, json_pack("{s:s,s:s}", "name", users[i].name,
                                                    "password_hash", users[i].password_hash)) == 0;
    if (*added)
        memcpy(after, users[*added - 1].name, ADDRESS_SIZE);
    store_directory_user_list_free(users, *added);
    return ok || out_of_memory(error);
}

static json_t *read_users(struct fleet *fleet, struct error *error)
{
    char after[ADDRESS_SIZE] = "";
    size_t added;
    cleanup_json json_t *array = json_array();
    do {
        if (!add_user_page(fleet, array, after, &added, error))
            return NULL;
    } while (added == USER_PAGE);
    return json_incref(array);
}

static json_t *read_sources(struct fleet *fleet, struct error *error)
{
    struct store_directory_source *sources = NULL;
    size_t count = 0;
    json_t *array = json_array();
    if (!store_directory_source_list(fleet->store, &sources, &count, error)) {
        json_decref(array);
        return NULL;
    }
    bool ok = array != NULL;
    for (size_t i = 0; i < count && ok; i++)
        ok = json_array_append_new(array, source_json(sources[i].name, sources[i].settings,
                                                      sources[i].bind_password)) == 0;
    store_directory_source_list_free(sources, count);
    if (ok)
        return array;
    json_decref(array);
    out_of_memory(error);
    return NULL;
}

bool fleet_read_directory(struct fleet *fleet, json_t *shared, struct error *error)
{
    cleanup_json json_t *users = read_users(fleet, error);
    cleanup_json json_t *sources = users ? read_sources(fleet, error) : NULL;
    if (!sources)
        return false;
    if (json_array_size(users) == 0 && json_array_size(sources) == 0)
        return true;
    return json_object_set_new(shared, "directory",
                               json_pack("{s:O,s:O}", "users", users, "sources", sources)) == 0 ||
           out_of_memory(error);
}

/* --- candidates --- */

/* The stored sources with the candidate in its place, or behind them. *index is that place. */
static json_t *candidate_sources(struct fleet *fleet,
                                 const struct fleet_directory_candidate *candidate, size_t *index,
                                 struct error *error)
{
    struct store_directory_source *sources = NULL;
    size_t count = 0;
    json_t *array = json_array();
    bool ok = array && store_directory_source_list(fleet->store, &sources, &count, error);
    const char *password = candidate->bind_password ? candidate->bind_password : "";
    *index = count;
    for (size_t i = 0; i < count && ok; i++) {
        const struct store_directory_source *source = &sources[i];
        bool is_own = source->id == candidate->id;
        if (is_own)
            *index = i;
        if (is_own && !candidate->bind_password)
            password = source->bind_password;
        ok = json_array_append_new(
                 array, is_own ? source_json(candidate->name, candidate->settings, password)
                               : source_json(source->name, source->settings, "")) == 0;
    }
    if (ok && *index == count)
        ok = json_array_append_new(
                 array, source_json(candidate->name, candidate->settings, password)) == 0;
    store_directory_source_list_free(sources, count);
    if (ok)
        return array;
    json_decref(array);
    if (error && !error->code)
        out_of_memory(error);
    return NULL;
}

struct scanner_config *fleet_try_directory(struct fleet *fleet,
                                           const struct fleet_directory_candidate *candidate,
                                           size_t *index, struct error *error)
{
    char id_text[MESSAGE_ID_TEXT_SIZE], now[TIMESTAMP_TEXT_SIZE];
    struct message_id id = message_id_new();
    json_t *sources = candidate_sources(fleet, candidate, index, error);
    if (!sources)
        return NULL;
    cleanup_json json_t *document =
        json_pack("{s:i,s:i,s:s,s:s,s:s,s:{s:{s:[]},s:{s:[]}},s:[],s:{s:o}}", "format",
                  CONFIG_FORMAT, "version", 1, "scanner_id", message_id_text(&id, id_text),
                  "issued_at", timestamp_text(timestamp_now_ms(), now), "host_name",
                  "candidate.invalid", "smtp", "inbound", "listeners", "outbound", "listeners",
                  "domains", "directory", "sources", sources);
    char *text = document ? json_text(document) : NULL;
    if (!text) {
        out_of_memory(error);
        return NULL;
    }
    struct scanner_config *config = config_parse(text, strlen(text), error);
    explicit_bzero(text, strlen(text)); /* passwords stand in it */
    free(text);
    return config;
}

bool fleet_check_directory(struct fleet *fleet, const struct fleet_directory_candidate *candidate,
                           struct error *error)
{
    size_t index;
    struct scanner_config *config = fleet_try_directory(fleet, candidate, &index, error);
    config_free(config);
    return config != NULL;
}

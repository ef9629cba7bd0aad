/* Settings: keys and JSON values. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"

#include <string.h>

#define KEY_LIMIT 200
#define VALUE_LIMIT (16u << 20) /* bytes of JSON text */

static const char select_value[] = "SELECT value FROM setting WHERE key = $1";
static const char lock_value[] = "SELECT value FROM setting WHERE key = $1 FOR UPDATE";
static const char upsert_value[] =
    "INSERT INTO setting (key, value) VALUES ($1, $2::jsonb)"
    " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, changed_at = now()";
static const char insert_value[] = "INSERT INTO setting (key, value) VALUES ($1, $2::jsonb)"
                                   " ON CONFLICT (key) DO NOTHING";

/* Values that the administrators' log must not hold. */
static bool is_secret(const char *key)
{
    return strncmp(key, "secret.", 7) == 0 || strcmp(key, "bounce_protection") == 0;
}

static bool check_key(const char *key, struct error *error)
{
    size_t length = strlen(key);
    return (length > 0 && length <= KEY_LIMIT) ||
           error_set(error, ERROR_INVALID, "key", "must have 1 to %d bytes", KEY_LIMIT);
}

/* The JSON text of a value, within the limit. Caller frees. */
static char *value_text(const char *key, const json_t *value, struct error *error)
{
    if (!value) {
        error_set(error, ERROR_INVALID, key, "has no value");
        return NULL;
    }
    char *text = store_json_text(value, error);
    if (text && strlen(text) > VALUE_LIMIT) {
        free(text);
        error_set(error, ERROR_LIMIT, key, "is larger than %u bytes", VALUE_LIMIT);
        return NULL;
    }
    return text;
}

json_t *store_setting_get(struct store *store, const char *key, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, key);
    PGresult *result = store_single(store, select_value, &parameters, error);
    json_t *value = NULL;
    if (result && PQntuples(result) == 0) {
        error_set(error, ERROR_NOT_FOUND, key, "there is no such setting");
    } else if (result) {
        value = store_json(result, 0, 0);
        if (!value)
            store_out_of_memory(error);
    }
    PQclear(result);
    return value;
}

static bool old_value(PGconn *connection, const char *key, json_t **value, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, key);
    PGresult *result = store_query(connection, lock_value, &parameters, error);
    *value = result && PQntuples(result) ? store_json(result, 0, 0) : NULL;
    PQclear(result);
    return result != NULL;
}

static bool put(struct store_transaction *transaction, const char *key, const json_t *value,
                const char *text, const char *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    json_t *old = NULL;
    store_add_text(&parameters, key);
    store_add_text(&parameters, text);
    if (!old_value(transaction->connection, key, &old, error))
        return false;
    struct store_log_line line = {.administrator = administrator,
                                  .action = "setting.change",
                                  .object = key,
                                  .old_value = is_secret(key) ? NULL : old,
                                  .new_value = is_secret(key) ? NULL : value};
    bool ok = store_run(transaction->connection, upsert_value, &parameters, error) &&
              store_log_write(transaction->connection, &line, error);
    json_decref(old);
    return ok;
}

bool store_setting_put(struct store *store, const char *key, const json_t *value,
                       const char *administrator, bool is_configuration, struct error *error)
{
    struct store_transaction transaction;
    if (!check_key(key, error))
        return false;
    cleanup_free char *text = value_text(key, value, error);
    if (!text || !store_begin(store, &transaction, error))
        return false;
    bool ok = put(&transaction, key, value, text, administrator, error) &&
              (!is_configuration || store_raise_version(&transaction, error));
    return store_finish(&transaction, ok, error);
}

bool store_setting_create(struct store *store, const char *key, const json_t *value, bool *created,
                          struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_transaction transaction;
    if (!check_key(key, error))
        return false;
    cleanup_free char *text = value_text(key, value, error);
    if (!text || !store_begin(store, &transaction, error))
        return false;
    store_add_text(&parameters, key);
    store_add_text(&parameters, text);
    PGresult *result = store_query(transaction.connection, insert_value, &parameters, error);
    bool inserted = result && store_changed(result) == 1;
    PQclear(result);
    if (!store_finish(&transaction, result != NULL, error))
        return false;
    *created = inserted;
    return true;
}

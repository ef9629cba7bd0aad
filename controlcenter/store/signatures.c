/* Custom signatures of the scanning engine. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"
#include "common/config_model.h"

#include <stdlib.h>
#include <string.h>

/* Length in bytes, as the configuration document limits them. */
#define COLUMNS                                                                                    \
    "SELECT id, name, octet_length(body), signatures, enabled, changed_by, to_ms(changed_at)"
static const char select_files[] = COLUMNS ", NULL FROM signature_file ORDER BY name LIMIT $1";
static const char select_file[] = COLUMNS ", NULL FROM signature_file WHERE id = $1";
static const char select_enabled[] =
    COLUMNS ", body FROM signature_file WHERE enabled ORDER BY name LIMIT $1";
static const char select_body[] = "SELECT body FROM signature_file WHERE id = $1";
/* One change at a time, so that the limits hold for all together. */
static const char lock_files[] = "LOCK TABLE signature_file IN SHARE ROW EXCLUSIVE MODE";
static const char select_others[] = "SELECT count(*), coalesce(sum(octet_length(body)), 0)::bigint"
                                    " FROM signature_file WHERE name <> $1";
static const char upsert_file[] =
    "INSERT INTO signature_file (name, body, signatures, changed_by) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (name) DO UPDATE SET body = EXCLUDED.body, signatures = EXCLUDED.signatures,"
    " changed_by = EXCLUDED.changed_by, changed_at = now(), enabled = true";
static const char enable_file[] =
    "UPDATE signature_file SET enabled = $2, changed_by = $3, changed_at = now()"
    " WHERE id = $1 RETURNING name";
static const char delete_file[] = "DELETE FROM signature_file WHERE id = $1 RETURNING name";

static bool unknown_file(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "signatures", "there is no such file");
}

/* --- reading --- */

static bool read_file(const PGresult *result, int row, struct store_signature_file *to)
{
    to->id = store_integer(result, row, 0);
    store_text(result, row, 1, to->name, sizeof(to->name));
    to->size = store_integer(result, row, 2);
    to->signatures = store_integer(result, row, 3);
    to->is_enabled = store_boolean(result, row, 4);
    store_text(result, row, 5, to->changed_by, sizeof(to->changed_by));
    to->changed_at = store_integer(result, row, 6);
    to->text = store_copy(result, row, 7);
    return to->text != NULL;
}

bool store_signature_list(struct store *store, bool for_scanners,
                          struct store_signature_file **files, size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, CONFIG_SIGNATURE_FILES);
    PGresult *result =
        store_single(store, for_scanners ? select_enabled : select_files, &parameters, error);
    if (!result)
        return false;
    *count = (size_t)PQntuples(result);
    bool ok = (*files = calloc(*count + 1, sizeof(**files))) != NULL;
    for (size_t row = 0; row < *count && ok; row++)
        ok = read_file(result, (int)row, &(*files)[row]);
    PQclear(result);
    if (ok)
        return true;
    store_signature_list_free(*files, *count);
    return store_out_of_memory(error);
}

void store_signature_list_free(struct store_signature_file *files, size_t count)
{
    for (size_t i = 0; files && i < count; i++)
        free(files[i].text);
    free(files);
}

bool store_signature_get(struct store *store, int64_t id, struct store_signature_file *file,
                         struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    PGresult *result = store_single(store, select_file, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    bool ok = found && read_file(result, 0, file);
    if (found && !ok)
        store_out_of_memory(error);
    else if (result && !found)
        unknown_file(error);
    PQclear(result);
    if (ok)
        free(file->text);
    file->text = NULL;
    return ok;
}

char *store_signature_text(struct store *store, int64_t id, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    PGresult *result = store_single(store, select_body, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    char *text = found ? store_copy(result, 0, 0) : NULL;
    if (found && !text)
        store_out_of_memory(error);
    else if (result && !found)
        unknown_file(error);
    PQclear(result);
    return text;
}

/* --- changing --- */

static bool log_change(PGconn *connection, const char *action, const char *name,
                       const json_t *value, const char *administrator, struct error *error)
{
    struct store_log_line line = {
        .administrator = administrator, .action = action, .object = name, .new_value = value};
    return store_log_write(connection, &line, error);
}

static bool check_room(PGconn *connection, const char *name, size_t length, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, name);
    PGresult *result = store_query(connection, select_others, &parameters, error);
    if (!result)
        return false;
    int64_t files = store_integer(result, 0, 0), bytes = store_integer(result, 0, 1);
    PQclear(result);
    if (files >= CONFIG_SIGNATURE_FILES)
        return error_set(error, ERROR_LIMIT, "signatures", "there are %d files already",
                         CONFIG_SIGNATURE_FILES);
    return bytes + (int64_t)length <= (int64_t)CONFIG_SIGNATURE_BYTES ||
           error_set(error, ERROR_LIMIT, "signatures",
                     "with it all files together would have over %u MiB",
                     CONFIG_SIGNATURE_BYTES >> 20);
}

static bool put(PGconn *connection, const struct store_signature_file *file,
                const char *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    cleanup_json json_t *value = json_pack("{s:I,s:I}", "size", (json_int_t)strlen(file->text),
                                           "signatures", (json_int_t)file->signatures);
    store_add_text(&parameters, file->name);
    store_add_text(&parameters, file->text);
    store_add_integer(&parameters, file->signatures);
    store_add_text(&parameters, administrator);
    return store_run(connection, lock_files, NULL, error) &&
           check_room(connection, file->name, strlen(file->text), error) &&
           store_run(connection, upsert_file, &parameters, error) &&
           log_change(connection, "signatures.upload", file->name, value, administrator, error);
}

bool store_signature_put(struct store *store, const struct store_signature_file *file,
                         const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    if (!config_signature_name_valid(file->name))
        return error_set(error, ERROR_INVALID, "name", "is no name of a signature file");
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = put(transaction.connection, file, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

/* Runs a statement that returns the name of the file that it changed, and logs it. */
static bool change(struct store *store, const char *sql, const struct store_parameters *parameters,
                   const char *action, const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    char name[sizeof(((struct store_signature_file *)NULL)->name)];
    if (!store_begin(store, &transaction, error))
        return false;
    PGresult *result = store_query(transaction.connection, sql, parameters, error);
    bool found = result && PQntuples(result) == 1;
    if (found)
        store_text(result, 0, 0, name, sizeof(name));
    else if (result)
        unknown_file(error);
    PQclear(result);
    bool ok = found &&
              log_change(transaction.connection, action, name, NULL, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

bool store_signature_enable(struct store *store, int64_t id, bool enable, const char *administrator,
                            struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    store_add_boolean(&parameters, enable);
    store_add_text(&parameters, administrator);
    return change(store, enable_file, &parameters,
                  enable ? "signatures.enable" : "signatures.disable", administrator, error);
}

bool store_signature_remove(struct store *store, int64_t id, const char *administrator,
                            struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    return change(store, delete_file, &parameters, "signatures.remove", administrator, error);
}

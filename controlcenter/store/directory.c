/* LDAP sources that scanners ask. Passwords never go to the administrators' log. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MOST 127             /* bytes */
#define PASSWORD_MOST 511         /* bytes */
#define SETTINGS_LIMIT (2u << 20) /* bytes of JSON text */

#define COLUMNS "SELECT id, name, settings, bind_password FROM directory_source"
static const char list_sources[] = COLUMNS " ORDER BY position, id";
static const char get_source[] = COLUMNS " WHERE id = $1";
static const char lock_source[] = COLUMNS " WHERE id = $1 FOR UPDATE";
static const char lock_table[] = "LOCK TABLE directory_source IN SHARE ROW EXCLUSIVE MODE";
static const char order_sources[] = "SELECT id FROM directory_source ORDER BY position, id";
static const char insert_source[] =
    "INSERT INTO directory_source (name, position, settings, bind_password)"
    " SELECT $1, coalesce(max(position), 0) + 1, $2::jsonb, coalesce($3, '')"
    " FROM directory_source";
static const char update_source[] =
    "UPDATE directory_source SET name = $1, settings = $2::jsonb,"
    " bind_password = coalesce($3, bind_password), changed_at = now() WHERE id = $4";
static const char place_source[] = "UPDATE directory_source SET position = $2 WHERE id = $1";
static const char delete_source[] = "DELETE FROM directory_source WHERE id = $1";

static bool not_found(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "id", "there is no such directory");
}

/* --- reading --- */

static void free_secret(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void store_directory_source_clear(struct store_directory_source *source)
{
    json_decref(source->settings);
    free_secret(source->bind_password);
    *source = (struct store_directory_source){0};
}

void store_directory_source_list_free(struct store_directory_source *sources, size_t count)
{
    for (size_t i = 0; sources && i < count; i++)
        store_directory_source_clear(&sources[i]);
    free(sources);
}

static bool read_row(const PGresult *result, int row, struct store_directory_source *source,
                     struct error *error)
{
    *source = (struct store_directory_source){.id = store_integer(result, row, 0)};
    store_text(result, row, 1, source->name, sizeof source->name);
    source->settings = store_json(result, row, 2);
    source->bind_password = store_copy(result, row, 3);
    if (source->settings && source->bind_password)
        return true;
    store_directory_source_clear(source);
    return store_out_of_memory(error);
}

bool store_directory_source_list(struct store *store, struct store_directory_source **sources,
                                 size_t *count, struct error *error)
{
    PGresult *result = store_single(store, list_sources, NULL, error);
    int rows = result ? PQntuples(result) : 0;
    bool ok = result != NULL;
    *count = 0;
    *sources = ok ? calloc((size_t)rows + 1, sizeof **sources) : NULL;
    if (ok && !*sources)
        ok = store_out_of_memory(error);
    for (int row = 0; row < rows && ok; row++) {
        ok = read_row(result, row, &(*sources)[row], error);
        *count += ok;
    }
    PQclear(result);
    if (ok)
        return true;
    store_directory_source_list_free(*sources, *count);
    *sources = NULL;
    *count = 0;
    return false;
}

/* Reads the one row of a result, which it clears. */
static bool take_row(PGresult *result, struct store_directory_source *source, struct error *error)
{
    bool ok = result != NULL;
    if (ok && PQntuples(result) == 0)
        ok = not_found(error);
    else if (ok)
        ok = read_row(result, 0, source, error);
    PQclear(result);
    return ok;
}

bool store_directory_source_get(struct store *store, int64_t id,
                                struct store_directory_source *source, struct error *error)
{
    struct store_parameters parameters = {0};
    *source = (struct store_directory_source){0};
    store_add_integer(&parameters, id);
    return take_row(store_single(store, get_source, &parameters, error), source, error);
}

/* --- changing --- */

static bool lock_row(PGconn *connection, int64_t id, struct store_directory_source *source,
                     struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    return take_row(store_query(connection, lock_source, &parameters, error), source, error);
}

static bool write_row(PGconn *connection, int64_t id, const char *name, const char *settings,
                      const char *bind_password, struct error *error)
{
    struct store_parameters parameters = {0};
    struct error local = {0};
    store_add_text(&parameters, name);
    store_add_text(&parameters, settings);
    store_add_text(&parameters, bind_password);
    if (id)
        store_add_integer(&parameters, id);
    if (store_run(connection, id ? update_source : insert_source, &parameters, &local))
        return true;
    if (local.code == ERROR_EXISTS)
        return error_set(error, ERROR_EXISTS, "name", "there is a directory of that name already");
    if (error)
        *error = local;
    return false;
}

static bool write_log(PGconn *connection, const struct store_directory_source *old,
                      const char *name, const json_t *settings, const char *bind_password,
                      const char *administrator, struct error *error)
{
    cleanup_json json_t *detail =
        json_pack("{s:s}", "sign_in", bind_password ? "set anew" : "as before");
    struct store_log_line line = {.administrator = administrator,
                                  .action = old->id ? "directory.change" : "directory.create",
                                  .object = name,
                                  .old_value = old->settings,
                                  .new_value = settings,
                                  .detail = detail};
    return store_log_write(connection, &line, error);
}

static bool check_source(const char *name, const json_t *settings, const char *bind_password,
                         struct error *error)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MOST)
        return error_set(error, ERROR_INVALID, "name", "must have 1 to %d bytes", NAME_MOST);
    if (!json_is_object(settings))
        return error_set(error, ERROR_INVALID, "settings", "must be an object");
    return !bind_password || strlen(bind_password) <= PASSWORD_MOST ||
           error_set(error, ERROR_INVALID, "bind_password", "must have at most %d bytes",
                     PASSWORD_MOST);
}

bool store_directory_source_put(struct store *store, int64_t id, const char *name,
                                const json_t *settings, const char *bind_password,
                                const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    struct store_directory_source old = {0};
    if (!check_source(name, settings, bind_password, error))
        return false;
    cleanup_free char *text = store_json_text(settings, error);
    if (!text)
        return false;
    if (strlen(text) > SETTINGS_LIMIT)
        return error_set(error, ERROR_LIMIT, "settings", "are larger than %u bytes",
                         SETTINGS_LIMIT);
    if (!store_begin(store, &transaction, error))
        return false;
    PGconn *connection = transaction.connection;
    bool ok = (!id || lock_row(connection, id, &old, error)) &&
              write_row(connection, id, name, text, bind_password, error) &&
              write_log(connection, &old, name, settings, bind_password, administrator, error) &&
              store_raise_version(&transaction, error);
    store_directory_source_clear(&old);
    return store_finish(&transaction, ok, error);
}

static bool remove_source(PGconn *connection, int64_t id, const char *administrator,
                          struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_directory_source old = {0};
    if (!lock_row(connection, id, &old, error))
        return false;
    struct store_log_line line = {.administrator = administrator,
                                  .action = "directory.remove",
                                  .object = old.name,
                                  .old_value = old.settings};
    store_add_integer(&parameters, id);
    bool ok = store_run(connection, delete_source, &parameters, error) &&
              store_log_write(connection, &line, error);
    store_directory_source_clear(&old);
    return ok;
}

bool store_directory_source_remove(struct store *store, int64_t id, const char *administrator,
                                   struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = remove_source(transaction.connection, id, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

/* --- the order --- */

static bool place(PGconn *connection, int64_t id, int position, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    store_add_integer(&parameters, position);
    return store_run(connection, place_source, &parameters, error);
}

/* Numbers the rows of `order` anew, with the one of the id exchanged with its neighbour. */
static bool renumber(PGconn *connection, const PGresult *order, int64_t id, bool up,
                     struct error *error)
{
    int rows = PQntuples(order), at = 0;
    while (at < rows && store_integer(order, at, 0) != id)
        at++;
    if (at == rows)
        return not_found(error);
    int other = up ? at - 1 : at + 1;
    for (int row = 0; row < rows; row++) {
        int position = row == at && other >= 0 && other < rows ? other : row == other ? at : row;
        if (!place(connection, store_integer(order, row, 0), position + 1, error))
            return false;
    }
    return true;
}

bool store_directory_source_move(struct store *store, int64_t id, bool up,
                                 const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    PGconn *connection = transaction.connection;
    cleanup_json json_t *detail =
        json_pack("{s:I,s:s}", "id", (json_int_t)id, "moved", up ? "up" : "down");
    struct store_log_line line = {
        .administrator = administrator, .action = "directory.move", .detail = detail};
    bool ok = store_run(connection, lock_table, NULL, error);
    PGresult *order = ok ? store_query(connection, order_sources, NULL, error) : NULL;
    ok = order && renumber(connection, order, id, up, error) &&
         store_log_write(connection, &line, error) && store_raise_version(&transaction, error);
    PQclear(order);
    return store_finish(&transaction, ok, error);
}

/* Users of SMTP AUTH that are known here and to no directory. */
#include "controlcenter/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#define MOST_LISTED 100000

static const char list_users[] =
    "SELECT name, enabled, to_ms(changed_at), password_hash FROM directory_user"
    " WHERE name > $1 AND ($2::text IS NULL OR strpos(name, lower($2)) > 0)"
    " ORDER BY name LIMIT $3";
static const char insert_user[] =
    "INSERT INTO directory_user (name, password_hash) VALUES ($1, $2)";
static const char set_hash[] =
    "UPDATE directory_user SET password_hash = $2, changed_at = now() WHERE name = $1";
static const char set_enabled[] =
    "UPDATE directory_user SET enabled = $2::boolean, changed_at = now() WHERE name = $1";
static const char delete_user[] = "DELETE FROM directory_user WHERE name = $1";

/* --- reading --- */

bool store_directory_user_list(struct store *store, const char *search, const char *after,
                               size_t limit, struct store_directory_user **users, size_t *count,
                               struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, after ? after : "");
    store_add_text(&parameters, search && *search ? search : NULL);
    store_add_integer(&parameters, limit < MOST_LISTED ? (int64_t)limit : MOST_LISTED);
    PGresult *result = store_single(store, list_users, &parameters, error);
    int rows = result ? PQntuples(result) : 0;
    *count = (size_t)rows;
    *users = result ? calloc(*count + 1, sizeof **users) : NULL;
    bool ok = *users || (result && store_out_of_memory(error));
    for (int row = 0; row < rows && ok; row++) {
        struct store_directory_user *user = &(*users)[row];
        store_text(result, row, 0, user->name, sizeof user->name);
        user->is_enabled = store_boolean(result, row, 1);
        user->changed_at = store_integer(result, row, 2);
        store_text(result, row, 3, user->password_hash, sizeof user->password_hash);
    }
    PQclear(result);
    return ok;
}

void store_directory_user_list_free(struct store_directory_user *users, size_t count)
{
    if (users)
        explicit_bzero(users, count * sizeof *users);
    free(users);
}

/* --- changing --- */

struct change {
    const char *name;
    const char *sql, *action; /* the statement and what the log calls it */
    const char *value;        /* $2; NULL: the statement has none */
};

static bool run_change(PGconn *connection, const struct change *change, const char *administrator,
                       struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_log_line line = {
        .administrator = administrator, .action = change->action, .object = change->name};
    store_add_text(&parameters, change->name);
    if (change->value)
        store_add_text(&parameters, change->value);
    PGresult *result = store_query(connection, change->sql, &parameters, error);
    bool ok = result != NULL;
    if (ok && store_changed(result) == 0)
        ok = error_set(error, ERROR_NOT_FOUND, "name", "there is no user %s", change->name);
    PQclear(result);
    return ok && store_log_write(connection, &line, error);
}

static bool apply(struct store *store, const struct change *change, const char *administrator,
                  struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = run_change(transaction.connection, change, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

bool store_directory_user_add(struct store *store, const char *name, const char *password_hash,
                              const char *administrator, struct error *error)
{
    struct change change = {name, insert_user, "smtp_user.create", password_hash};
    struct error local = {0};
    size_t length = strlen(name);
    if (length == 0 || length >= STORE_USER_NAME_SIZE)
        return error_set(error, ERROR_INVALID, "name", "is empty or too long");
    if (apply(store, &change, administrator, &local))
        return true;
    if (local.code == ERROR_EXISTS)
        return error_set(error, ERROR_EXISTS, "name", "there is a user of that name already");
    if (error)
        *error = local;
    return false;
}

bool store_directory_user_set_password(struct store *store, const char *name,
                                       const char *password_hash, const char *administrator,
                                       struct error *error)
{
    struct change change = {name, set_hash, "smtp_user.password", password_hash};
    return apply(store, &change, administrator, error);
}

bool store_directory_user_enable(struct store *store, const char *name, bool enable,
                                 const char *administrator, struct error *error)
{
    struct change change = {name, set_enabled, enable ? "smtp_user.enable" : "smtp_user.disable",
                            enable ? "true" : "false"};
    return apply(store, &change, administrator, error);
}

bool store_directory_user_remove(struct store *store, const char *name, const char *administrator,
                                 struct error *error)
{
    struct change change = {name, delete_user, "smtp_user.remove", NULL};
    return apply(store, &change, administrator, error);
}

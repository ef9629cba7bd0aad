/* Accounts of the console. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"

#include <string.h>

static const char count_all[] = "SELECT count(*) FROM administrator";
static const char insert_account[] =
    "INSERT INTO administrator (name, password_hash, must_change_password) VALUES ($1, $2, $3)";
static const char select_by_name[] =
    "SELECT id, name, email, password_hash, must_change_password, to_ms(locked_until),"
    " failed_sign_ins FROM administrator WHERE lower(name) = lower($1)";
static const char update_password[] =
    "UPDATE administrator SET password_hash = $2, must_change_password = $3, failed_sign_ins = 0,"
    " locked_until = NULL WHERE id = $1 RETURNING name";
static const char end_other_sessions[] =
    "DELETE FROM session WHERE administrator_id = $1 AND token_hash IS DISTINCT FROM $2";
static const char note_success[] = "UPDATE administrator SET failed_sign_ins = 0,"
                                   " locked_until = NULL, signed_in_at = now() WHERE id = $1"
                                   " RETURNING name, false";
static const char note_failure[] =
    "UPDATE administrator SET failed_sign_ins = least(failed_sign_ins, 1000000) + 1,"
    " locked_until = CASE WHEN failed_sign_ins >= 4 THEN now() + interval '15 minutes'"
    " ELSE locked_until END WHERE id = $1 RETURNING name, failed_sign_ins >= 5";

bool store_administrator_count(struct store *store, int64_t *count, struct error *error)
{
    PGresult *result = store_single(store, count_all, NULL, error);
    if (result)
        *count = store_integer(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

static bool check_account(const char *name, const char *password_hash, struct error *error)
{
    size_t length = strlen(name), hash_length = strlen(password_hash);
    if (length < 1 || length > 64)
        return error_set(error, ERROR_INVALID, "name", "must have 1 to 64 bytes");
    if (hash_length < 1 || hash_length > 128)
        return error_set(error, ERROR_INVALID, "password_hash", "must have 1 to 128 bytes");
    return true;
}

/* Nobody is signed in when the first account is made: the account itself stands in the log. */
static bool create(PGconn *connection, const char *name, const char *password_hash,
                   bool must_change_password, struct error *error)
{
    struct store_log_line line = {
        .administrator = name, .action = "administrator.create", .object = name};
    struct store_parameters parameters = {0};
    struct error local = {0};
    store_add_text(&parameters, name);
    store_add_text(&parameters, password_hash);
    store_add_boolean(&parameters, must_change_password);
    if (store_run(connection, insert_account, &parameters, &local))
        return store_log_write(connection, &line, error);
    if (local.code == ERROR_EXISTS)
        return error_set(error, ERROR_EXISTS, "name", "there is an administrator %s already", name);
    if (error)
        *error = local;
    return false;
}

bool store_administrator_create(struct store *store, const char *name, const char *password_hash,
                                bool must_change_password, struct error *error)
{
    struct store_transaction transaction;
    if (!check_account(name, password_hash, error) || !store_begin(store, &transaction, error))
        return false;
    return store_finish(
        &transaction,
        create(transaction.connection, name, password_hash, must_change_password, error), error);
}

static void read_account(const PGresult *result, struct store_administrator *to)
{
    to->id = store_integer(result, 0, 0);
    store_text(result, 0, 1, to->name, sizeof(to->name));
    store_text(result, 0, 2, to->email, sizeof(to->email));
    store_text(result, 0, 3, to->password_hash, sizeof(to->password_hash));
    to->must_change_password = store_boolean(result, 0, 4);
    to->locked_until = store_integer(result, 0, 5);
    to->failed_sign_ins = (int)store_integer(result, 0, 6);
}

bool store_administrator_by_name(struct store *store, const char *name,
                                 struct store_administrator *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, name);
    PGresult *result = store_single(store, select_by_name, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    if (found)
        read_account(result, administrator);
    else if (result)
        error_set(error, ERROR_NOT_FOUND, "name", "there is no such administrator");
    PQclear(result);
    return found;
}

/* Runs an UPDATE of one account that returns its name and, perhaps, a condition. */
static bool update(PGconn *connection, const char *sql, const struct store_parameters *parameters,
                   char name[65], bool *condition, struct error *error)
{
    PGresult *result = store_query(connection, sql, parameters, error);
    bool found = result && PQntuples(result) == 1;
    if (found) {
        store_text(result, 0, 0, name, 65);
        *condition = PQnfields(result) > 1 && store_boolean(result, 0, 1);
    } else if (result) {
        error_set(error, ERROR_NOT_FOUND, "administrator", "there is no such administrator");
    }
    PQclear(result);
    return found;
}

static bool set_password(PGconn *connection, int64_t id, const char *password_hash,
                         bool must_change_password, const char *keep_session, struct error *error)
{
    struct store_parameters account = {0}, sessions = {0};
    char name[65];
    bool unused;
    store_add_integer(&account, id);
    store_add_text(&account, password_hash);
    store_add_boolean(&account, must_change_password);
    store_add_integer(&sessions, id);
    store_add_text(&sessions, keep_session);
    if (!update(connection, update_password, &account, name, &unused, error) ||
        !store_run(connection, end_other_sessions, &sessions, error))
        return false;
    struct store_log_line line = {
        .administrator = name, .action = "administrator.password", .object = name};
    return store_log_write(connection, &line, error);
}

bool store_administrator_set_password(struct store *store, int64_t id, const char *password_hash,
                                      bool must_change_password, const char *keep_session,
                                      struct error *error)
{
    struct store_transaction transaction;
    if (!check_account("-", password_hash, error) || !store_begin(store, &transaction, error))
        return false;
    bool ok = set_password(transaction.connection, id, password_hash, must_change_password,
                           keep_session, error);
    return store_finish(&transaction, ok, error);
}

static bool sign_in_result(PGconn *connection, int64_t id, bool success, const char *peer,
                           struct error *error)
{
    struct store_parameters parameters = {0};
    char name[65];
    bool locked;
    store_add_integer(&parameters, id);
    if (!update(connection, success ? note_success : note_failure, &parameters, name, &locked,
                error))
        return false;
    struct store_log_line line = {.administrator = name,
                                  .peer = peer,
                                  .object = name,
                                  .action = success  ? "sign_in"
                                            : locked ? "sign_in.locked"
                                                     : "sign_in.failed"};
    return store_log_write(connection, &line, error);
}

bool store_administrator_sign_in_result(struct store *store, int64_t id, bool success,
                                        const char *peer, struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    return store_finish(&transaction,
                        sign_in_result(transaction.connection, id, success, peer, error), error);
}

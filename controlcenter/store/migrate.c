/* Bringing the database to the schema of this program: numbered files, each applied once. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FILES 9999
#define FILE_LIMIT (4u << 20)

struct migration {
    int number;
    char name[256];
};

struct migrations {
    struct migration *files; /* in the order of their numbers, of which some may be left out */
    size_t count;
};

/* The lock is that of the transaction: a second Control Center waits and then finds it done. */
static const char lock_schema[] = "SET LOCAL statement_timeout = 0;"
                                  "SET LOCAL lock_timeout = 0;"
                                  "SELECT pg_advisory_xact_lock(7305601120000);"
                                  "SET LOCAL lock_timeout = '30s'";
static const char create_table[] = "CREATE TABLE IF NOT EXISTS schema_migration"
                                   " (number integer PRIMARY KEY, name text NOT NULL,"
                                   " applied_at timestamptz NOT NULL DEFAULT now())";
static const char select_newest[] = "SELECT coalesce(max(number), 0) FROM schema_migration";
static const char select_applied[] = "SELECT 1 FROM schema_migration WHERE number = $1";
static const char insert_number[] = "INSERT INTO schema_migration (number, name) VALUES ($1, $2)";

/* --- the files --- */

static int number_of(const char *name)
{
    int number = 0;
    for (int i = 0; i < 4; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        number = number * 10 + (name[i] - '0');
    }
    size_t length = strlen(name);
    bool shaped = name[4] == '_' && length > 9 && strcmp(name + length - 4, ".sql") == 0;
    return shaped ? number : 0;
}

static int compare_numbers(const void *a, const void *b)
{
    return ((const struct migration *)a)->number - ((const struct migration *)b)->number;
}

static int is_migration(const struct dirent *entry)
{
    return number_of(entry->d_name) > 0;
}

static bool copy_names(struct dirent **entries, int count, struct migrations *migrations)
{
    migrations->files = calloc((size_t)count + 1, sizeof(*migrations->files));
    if (!migrations->files)
        return false;
    for (int i = 0; i < count; i++) {
        migrations->files[i].number = number_of(entries[i]->d_name);
        snprintf(migrations->files[i].name, sizeof(migrations->files[i].name), "%s",
                 entries[i]->d_name);
    }
    migrations->count = (size_t)count;
    return true;
}

static bool check_numbers(const char *folder, struct migrations *migrations, struct error *error)
{
    if (migrations->count == 0 || migrations->count > MOST_FILES)
        return error_set(error, ERROR_NOT_FOUND, folder, "there are no files 0001_NAME.sql here");
    qsort(migrations->files, migrations->count, sizeof(*migrations->files), compare_numbers);
    for (size_t i = 1; i < migrations->count; i++)
        if (migrations->files[i].number == migrations->files[i - 1].number)
            return error_set(error, ERROR_INVALID, folder, "%s and %s have the same number",
                             migrations->files[i - 1].name, migrations->files[i].name);
    return true;
}

static bool list_files(const char *folder, struct migrations *migrations, struct error *error)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_migration, NULL);
    if (count < 0)
        return error_set_errno(error, folder, "cannot read the folder");
    bool copied = copy_names(entries, count, migrations);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (!copied)
        return store_out_of_memory(error);
    return check_numbers(folder, migrations, error);
}

/* --- applying --- */

static bool newest_applied(PGconn *connection, int64_t *number, struct error *error)
{
    PGresult *result = store_query(connection, select_newest, NULL, error);
    if (result)
        *number = store_integer(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

static bool file_error(PGconn *connection, const PGresult *result, const char *name,
                       struct error *error)
{
    struct error local = {0};
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    store_query_error(connection, result, &local);
    return error_set(error, local.code, name, "%s%s%s", local.message, hint ? "; " : "",
                     hint ? hint : "");
}

/* Several statements at once, which only the simple protocol takes, for as long as they need. */
static bool run_script(PGconn *connection, const char *name, const char *text, struct error *error)
{
    PGresult *result = PQexec(connection, text);
    ExecStatusType status = PQresultStatus(result);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!ok)
        file_error(connection, result, name, error);
    PQclear(result);
    return ok;
}

static bool run_file(PGconn *connection, const char *folder, const struct migration *file,
                     struct error *error)
{
    char path[4096];
    if (!file_join(path, sizeof(path), folder, file->name, error))
        return false;
    cleanup_free char *text = file_read(path, FILE_LIMIT, NULL, error);
    if (!text || !run_script(connection, file->name, text, error))
        return false;
    if (PQtransactionStatus(connection) == PQTRANS_INTRANS)
        return true;
    return error_set(error, ERROR_INVALID, file->name, "the file ends its own transaction");
}

static bool note_file(PGconn *connection, const struct migration *file, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, file->number);
    store_add_text(&parameters, file->name);
    return store_run(connection, insert_number, &parameters, error);
}

static bool lock(PGconn *connection, struct error *error)
{
    return run_script(connection, "database", lock_schema, error) &&
           store_run(connection, create_table, NULL, error);
}

static bool is_applied(PGconn *connection, const struct migration *file, bool *applied,
                       struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, file->number);
    PGresult *result = store_query(connection, select_applied, &parameters, error);
    if (result)
        *applied = PQntuples(result) == 1;
    PQclear(result);
    return result != NULL;
}

/* The first file that the database does not have; NULL where it has all of them. */
static bool find_next(PGconn *connection, const struct migrations *migrations,
                      const struct migration **next, struct error *error)
{
    bool applied = true;
    *next = NULL;
    for (size_t i = 0; i < migrations->count && !*next; i++) {
        if (!is_applied(connection, &migrations->files[i], &applied, error))
            return false;
        *next = applied ? NULL : &migrations->files[i];
    }
    return true;
}

/* Applies the next file, if there is one. */
static bool apply_next(PGconn *connection, const char *folder, const struct migrations *migrations,
                       bool *done, struct error *error)
{
    int64_t newest, known = migrations->files[migrations->count - 1].number;
    const struct migration *file;
    if (!lock(connection, error) || !newest_applied(connection, &newest, error))
        return false;
    if (newest > known)
        return error_set(error, ERROR_INVALID, "database",
                         "its schema is number %lld, newer than this program's %lld: "
                         "install the newer program",
                         (long long)newest, (long long)known);
    if (!find_next(connection, migrations, &file, error))
        return false;
    *done = !file;
    return *done ||
           (run_file(connection, folder, file, error) && note_file(connection, file, error));
}

bool store_migrate(struct store *store, const char *folder, struct error *error)
{
    struct migrations migrations = {0};
    bool done = false;
    bool ok = list_files(folder, &migrations, error);
    while (ok && !done) {
        struct store_transaction transaction;
        ok = store_begin(store, &transaction, error) &&
             store_finish(&transaction,
                          apply_next(transaction.connection, folder, &migrations, &done, error),
                          error);
    }
    free(migrations.files);
    return ok;
}

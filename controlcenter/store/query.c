/* Statements, their errors, and transactions. */
#include "controlcenter/store/store_internal.h"

#include "common/timestamp.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* The server ends a statement first; this is for a server that does nothing at all any more. */
#define LONGEST_MS ((STORE_STATEMENT_SECONDS + 5) * 1000)

/* --- parameters --- */

static char *next_made(struct store_parameters *parameters)
{
    return parameters->made[parameters->count];
}

void store_add_text(struct store_parameters *parameters, const char *text)
{
    if (parameters->count < STORE_PARAMETERS)
        parameters->values[parameters->count++] = text;
}

void store_add_integer(struct store_parameters *parameters, int64_t value)
{
    if (parameters->count == STORE_PARAMETERS)
        return;
    char *text = next_made(parameters);
    snprintf(text, sizeof(parameters->made[0]), "%" PRId64, value);
    store_add_text(parameters, text);
}

void store_add_boolean(struct store_parameters *parameters, bool value)
{
    store_add_text(parameters, value ? "true" : "false");
}

void store_add_time(struct store_parameters *parameters, int64_t milliseconds)
{
    if (parameters->count == STORE_PARAMETERS)
        return;
    store_add_text(parameters,
                   milliseconds ? timestamp_text(milliseconds, next_made(parameters)) : NULL);
}

/* --- errors --- */

/* By the beginning of SQLSTATE; the first that fits. */
static const struct {
    const char *state;
    enum error_code code;
} codes[] = {
    {"22", ERROR_INVALID},        /* data exception */
    {"23503", ERROR_NOT_FOUND},   /* foreign key */
    {"23505", ERROR_EXISTS},      /* unique */
    {"23", ERROR_INVALID},        /* integrity */
    {"25006", ERROR_UNAVAILABLE}, /* a standby */
    {"40", ERROR_UNAVAILABLE},    /* deadlock: try again */
    {"42501", ERROR_DENIED},      /* privilege */
    {"53100", ERROR_NO_SPACE},    /* disk full */
    {"53", ERROR_UNAVAILABLE},    /* resources */
    {"54", ERROR_LIMIT},          /* program limits */
    {"55P03", ERROR_TIMEOUT},     /* lock */
    {"57014", ERROR_TIMEOUT},     /* statement_timeout */
    {"57", ERROR_UNAVAILABLE},    /* shutdown, starting up */
    {"58", ERROR_IO},             /* system */
    {"08", ERROR_UNAVAILABLE},    /* connection */
};

static enum error_code code_of(const char *state)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strncmp(state, codes[i].state, strlen(codes[i].state)) == 0)
            return codes[i].code;
    return ERROR_INTERNAL;
}

static bool is_under_way(const PGconn *connection)
{
    return PQtransactionStatus(connection) == PQTRANS_ACTIVE;
}

bool store_query_error(PGconn *connection, const PGresult *result, struct error *error)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = state ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    enum error_code code = state ? code_of(state) : ERROR_UNAVAILABLE;
    if (!result && is_under_way(connection))
        return error_set(error, ERROR_TIMEOUT, "database", "no answer within %d s",
                         LONGEST_MS / 1000);
    if (PQstatus(connection) != CONNECTION_OK)
        code = ERROR_UNAVAILABLE;
    if (!text || !*text)
        text = PQerrorMessage(connection);
    if (!*text)
        text = "the connection was lost";
    return error_set(error, code, "database", "%.*s", (int)strcspn(text, "\n"), text);
}

bool store_is_data_error(const PGresult *result)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    return state && (strncmp(state, "22", 2) == 0 || strncmp(state, "54", 2) == 0);
}

/* --- statements --- */

/* The next result of what was sent. NULL where there is none, and where the time is over: then the
 * statement is still under way, and store_give closes the connection for that. */
static PGresult *next_result(PGconn *connection)
{
    int64_t deadline = timestamp_monotonic_ms() + LONGEST_MS;
    while (PQisBusy(connection)) {
        struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
        int64_t left = deadline - timestamp_monotonic_ms();
        if (left <= 0)
            return NULL;
        /* A failure shows in the result: PQisBusy is false on a broken connection. */
        if (poll(&wait, 1, (int)left) > 0 && !PQconsumeInput(connection))
            break;
    }
    return PQgetResult(connection);
}

PGresult *store_last_result(PGconn *connection)
{
    PGresult *result = next_result(connection), *further;
    if (PQresultStatus(result) == PGRES_COPY_IN)
        return result;
    while (result && (further = next_result(connection)) != NULL)
        PQclear(further);
    return result;
}

PGresult *store_execute(PGconn *connection, const char *sql,
                        const struct store_parameters *parameters)
{
    int count = parameters ? parameters->count : 0;
    const char *const *values = parameters ? parameters->values : NULL;
    if (!PQsendQueryParams(connection, sql, count, NULL, values, NULL, NULL, 0))
        return NULL;
    return store_last_result(connection);
}

bool store_succeeded(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN;
}

PGresult *store_query(PGconn *connection, const char *sql,
                      const struct store_parameters *parameters, struct error *error)
{
    PGresult *result = store_execute(connection, sql, parameters);
    if (store_succeeded(result))
        return result;
    store_query_error(connection, result, error);
    PQclear(result);
    return NULL;
}

bool store_run(PGconn *connection, const char *sql, const struct store_parameters *parameters,
               struct error *error)
{
    PGresult *result = store_query(connection, sql, parameters, error);
    PQclear(result);
    return result != NULL;
}

PGresult *store_single(struct store *store, const char *sql,
                       const struct store_parameters *parameters, struct error *error)
{
    for (int attempt = 0;; attempt++) {
        PGconn *connection = store_take(store, error);
        if (!connection)
            return NULL;
        PGresult *result = store_query(connection, sql, parameters, error);
        bool broken = PQstatus(connection) != CONNECTION_OK;
        store_give(store, connection);
        if (result || !broken || attempt > 0)
            return result;
        store_drop_idle(store);
    }
}

bool store_expunge(struct store *store, const char *sql, int64_t before, size_t limit,
                   int64_t *removed, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_time(&parameters, before);
    store_add_integer(&parameters, (int64_t)limit);
    PGresult *result = store_single(store, sql, &parameters, error);
    *removed = result ? store_changed(result) : 0;
    PQclear(result);
    return result != NULL;
}

/* --- transactions --- */

bool store_begin(struct store *store, struct store_transaction *transaction, struct error *error)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        *transaction = (struct store_transaction){.store = store};
        transaction->connection = store_take(store, error);
        if (!transaction->connection)
            return false;
        if (store_run(transaction->connection, "BEGIN", NULL, error))
            return true;
        bool broken = PQstatus(transaction->connection) != CONNECTION_OK;
        store_give(store, transaction->connection);
        if (!broken)
            return false;
        store_drop_idle(store);
    }
    return false;
}

/* The server answers a COMMIT after a failed statement with "ROLLBACK" and no error. */
static bool commit(PGconn *connection, struct error *error)
{
    PGresult *result = store_query(connection, "COMMIT", NULL, error);
    bool ok = result && strcmp(PQcmdStatus(result), "COMMIT") == 0;
    if (result && !ok)
        error_set(error, ERROR_INTERNAL, "database", "the transaction had failed before");
    PQclear(result);
    return ok;
}

bool store_finish(struct store_transaction *transaction, bool ok, struct error *error)
{
    PGconn *connection = transaction->connection;
    if (ok)
        ok = commit(connection, error);
    else if (PQstatus(connection) == CONNECTION_OK && !is_under_way(connection))
        store_run(connection, "ROLLBACK", NULL, NULL);
    store_give(transaction->store, connection);
    if (ok && transaction->version)
        store_watch_learn(transaction->store->watch, transaction->version);
    transaction->connection = NULL;
    return ok;
}

/* What the files of this folder share; nobody else includes it. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_STORE_INTERNAL_H
#define GATEHOUSE_CONTROLCENTER_STORE_STORE_INTERNAL_H

#include "controlcenter/store/requests.h"
#include "controlcenter/store/store.h"

#include <libpq-fe.h>
#include <pthread.h>

#define STORE_STATEMENT_SECONDS 30 /* the server gives up a statement after it */
#define STORE_PARAMETERS 20        /* most of one statement */
#define STORE_CHANNEL "configuration_changed"
#define STORE_REQUEST_CHANNEL "scanner_request" /* the payload is what a bell rings for */

struct store_watch;
struct store_bells;

struct store {
    char *conninfo;
    unsigned most; /* connections */

    pthread_mutex_t lock;      /* guards the rest but `watch` */
    pthread_cond_t given_back; /* a connection became idle or was closed */
    PGconn **idle;             /* the last one was used last */
    unsigned idle_count;
    unsigned open_count; /* idle, lent and being opened */
    int64_t away_until;  /* monotonic: the database did not answer; calls fail until then */
    struct error away;

    struct store_watch *watch;
    struct store_bells *bells;
};

/* --- pool.c --- */

/* Connects with the store's defaults; NULL with ERROR_UNAVAILABLE. Close with PQfinish. */
PGconn *store_connect(const char *conninfo, struct error *error);
/* A connection that was alive a moment ago; waits up to 5 s for a free one. NULL:
 * ERROR_UNAVAILABLE. Give it back with store_give, whatever has become of it. */
PGconn *store_take(struct store *store, struct error *error);
void store_give(struct store *store, PGconn *connection);
/* Closes every idle connection: one of them was found broken, so the others probably are. */
void store_drop_idle(struct store *store);

/* --- query.c --- */

/* The values of $1, $2, ... Texts are borrowed; a zeroed struct has none. Not to be copied. */
struct store_parameters {
    int count;
    const char *values[STORE_PARAMETERS];
    char made[STORE_PARAMETERS][32];
};
void store_add_text(struct store_parameters *parameters, const char *text); /* NULL: SQL NULL */
void store_add_integer(struct store_parameters *parameters, int64_t value);
void store_add_boolean(struct store_parameters *parameters, bool value);
void store_add_time(struct store_parameters *parameters, int64_t milliseconds); /* 0: SQL NULL */

/* Runs one statement; `parameters` may be NULL. NULL with *error; otherwise PQclear the result. */
PGresult *store_query(PGconn *connection, const char *sql,
                      const struct store_parameters *parameters, struct error *error);
/* The same where no rows are wanted. */
bool store_run(PGconn *connection, const char *sql, const struct store_parameters *parameters,
               struct error *error);
/* The same on a connection of the pool, as a transaction of its own. It must do no harm twice: it
 * is tried again where the connection turns out to be broken. */
PGresult *store_single(struct store *store, const char *sql,
                       const struct store_parameters *parameters, struct error *error);
/* Removes what is older than `before` (milliseconds), $1 of the statement, and at most `limit`
 * rows, $2. *removed is how many went. */
bool store_expunge(struct store *store, const char *sql, int64_t before, size_t limit,
                   int64_t *removed, struct error *error);
/* The same as store_query with the result as it is: NULL, a failure or a success. */
PGresult *store_execute(PGconn *connection, const char *sql,
                        const struct store_parameters *parameters);
bool store_succeeded(const PGresult *result);
/* The result of what was sent by other means (the end of a COPY); for no longer than a statement
 * may take. */
PGresult *store_last_result(PGconn *connection);
/* Translates what the server or the connection says. Returns false. */
bool store_query_error(PGconn *connection, const PGresult *result, struct error *error);
/* True where the error comes from the data of the statement and would come again. */
bool store_is_data_error(const PGresult *result);

struct store_transaction {
    struct store *store;
    PGconn *connection;
    int64_t version; /* the configuration version, where this transaction raised it; or 0 */
};
bool store_begin(struct store *store, struct store_transaction *transaction, struct error *error);
/* Commits where `ok` and rolls back otherwise (then *error stays as it is); gives the connection
 * back. True only where it is committed. */
bool store_finish(struct store_transaction *transaction, bool ok, struct error *error);

/* --- values.c: columns and JSON --- */

int64_t store_integer(const PGresult *result, int row, int column); /* NULL: 0 */
bool store_boolean(const PGresult *result, int row, int column);
/* Copies the text, cut between characters; "" for NULL. */
void store_text(const PGresult *result, int row, int column, char *to, size_t size);
/* A copy for the caller; "" for NULL. NULL when memory ran out. */
char *store_copy(const PGresult *result, int row, int column);
/* The JSON value of a column; NULL for SQL NULL or when memory ran out. Caller owns. */
json_t *store_json(const PGresult *result, int row, int column);
/* Rows that a command changed. */
int64_t store_changed(const PGresult *result);

/* JSON text that jsonb takes (U+0000, which it does not take, becomes U+FFFD). NULL for a NULL
 * value and, with *error, where it cannot be written. Caller frees. */
char *store_json_text(const json_t *value, struct error *error);
/* Copies text for a column: cut between characters, control characters and bytes that are not UTF-8
 * become '?'. NULL gives "". Returns to. */
const char *store_clean(char *to, size_t size, const char *text);
/* "%text%" for ILIKE with the text's own wildcards escaped, which the caller frees; NULL for NULL
 * and "". False where it has more than `most` bytes (ERROR_INVALID at `name`), or no memory. */
bool store_pattern(const char *text, const char *name, size_t most, char **pattern,
                   struct error *error);
bool store_out_of_memory(struct error *error);
/* The canonical form of a UUID; false where it is none. */
bool store_uuid(const char *text, char canonical[37]);

/* --- log.c --- */

/* One line of the administrators' log, inside a transaction. Members may be NULL. */
struct store_log_line {
    const char *administrator, *peer, *action, *object;
    const json_t *old_value, *new_value, *detail;
};
bool store_log_write(PGconn *connection, const struct store_log_line *line, struct error *error);

/* --- version.c --- */

/* Raises the configuration version inside the transaction; every Control Center hears of it. */
bool store_raise_version(struct store_transaction *transaction, struct error *error);
/* Rings `bells` for what it hears; both are borrowed. */
struct store_watch *store_watch_new(const char *conninfo, struct store_bells *bells,
                                    struct error *error);
/* The thread starts with the first who waits: commands that only change something need none. */
void store_watch_start(struct store_watch *watch);
void store_watch_free(struct store_watch *watch);
/* This program committed that version. */
void store_watch_learn(struct store_watch *watch, int64_t version);

/* --- bells.c --- */

struct store_bells *store_bells_new(void);
void store_bells_free(struct store_bells *bells);
/* Rings for those who wait for that id; for everybody where it is NULL. */
void store_bells_ring(struct store_bells *bells, const char *id);

#endif

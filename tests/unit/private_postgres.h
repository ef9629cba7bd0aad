/* A PostgreSQL of a test's own: a new cluster in a temporary folder, on a unix socket only.
 *
 * Everything fails the test (cmocka's fail_msg) rather than returning an error. Where the test runs
 * as root the server runs as the user postgres. It ends with the process that started it. */
#ifndef GATEHOUSE_TESTS_PRIVATE_POSTGRES_H
#define GATEHOUSE_TESTS_PRIVATE_POSTGRES_H

#include "controlcenter/store/store.h"

struct private_postgres;

/* Makes the cluster and starts it; takes some seconds. With `durable` it syncs as a real one does.
 */
struct private_postgres *private_postgres_new(bool durable);
/* Stops it and removes its folder. NULL is allowed. */
void private_postgres_free(struct private_postgres *postgres);

/* For store_open and libpq; borrowed. */
const char *private_postgres_conninfo(const struct private_postgres *postgres);

/* kill -9 of the server: returns when it is gone. */
void private_postgres_kill(struct private_postgres *postgres);
/* Starts it again; returns when it takes connections. */
void private_postgres_start(struct private_postgres *postgres);
/* Stops and continues the server's first process, which then lets nobody in. */
void private_postgres_freeze(struct private_postgres *postgres);
void private_postgres_thaw(struct private_postgres *postgres);

/* A migrated store on it, with `connections`. Close with store_close. */
struct store *private_postgres_store(struct private_postgres *postgres, unsigned connections);
/* Makes the database empty and migrates it again; no store may be open. */
void private_postgres_reset(struct private_postgres *postgres);
/* Runs statements beside the store; returns the first column of the first row as a number (0 where
 * there is none). */
int64_t private_postgres_run(struct private_postgres *postgres, const char *sql);
/* The same as text; the caller frees it. NULL for no row or SQL NULL. */
char *private_postgres_text(struct private_postgres *postgres, const char *sql);

#endif

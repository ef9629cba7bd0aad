#include "private_postgres.h"

#include "common/cleanup.h"
#include "common/timestamp.h"

#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BIN "/usr/lib/postgresql/15/bin/"
#define START_MS 60000

struct private_postgres {
    char folder[64];
    char conninfo[256];
    bool durable;
    bool as_postgres; /* PostgreSQL refuses to run as root */
    uid_t user;
    gid_t group;
    pid_t pid; /* 0: not running */
};

/* --- processes --- */

/* In the child. The signal at the parent's death has to be set after the change of user. */
static void become_server_user(const struct private_postgres *postgres)
{
    if (postgres->as_postgres &&
        (setgroups(0, NULL) != 0 || setgid(postgres->group) != 0 || setuid(postgres->user) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
}

static void write_output_to(const struct private_postgres *postgres)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/log", postgres->folder);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int nothing = open("/dev/null", O_RDONLY);
    if (log < 0 || nothing < 0)
        _exit(126);
    dup2(nothing, 0);
    dup2(log, 1);
    dup2(log, 2);
    /* A descriptor that the server inherits would outlive the test. */
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
}

static pid_t start_program(const struct private_postgres *postgres, const char *const *arguments)
{
    pid_t pid = fork();
    if (pid == 0) {
        become_server_user(postgres);
        write_output_to(postgres);
        if (chdir(postgres->folder) == 0)
            execv(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    if (pid < 0)
        fail_msg("cannot start %s", arguments[0]);
    return pid;
}

static void show_log(const struct private_postgres *postgres)
{
    char path[128], line[512];
    snprintf(path, sizeof(path), "%s/log", postgres->folder);
    cleanup_file FILE *log = fopen(path, "r");
    while (log && fgets(line, sizeof(line), log))
        fputs(line, stderr);
}

/* --- the cluster --- */

static void find_user(struct private_postgres *postgres)
{
    postgres->as_postgres = geteuid() == 0;
    if (!postgres->as_postgres)
        return;
    const struct passwd *entry = getpwnam("postgres");
    if (!entry)
        fail_msg("there is no user postgres, and PostgreSQL does not run as root");
    postgres->user = entry->pw_uid;
    postgres->group = entry->pw_gid;
}

static void make_folder(struct private_postgres *postgres)
{
    strcpy(postgres->folder, "/tmp/gatehouse-postgres-XXXXXX");
    if (!mkdtemp(postgres->folder))
        fail_msg("cannot make a folder under /tmp");
    if (postgres->as_postgres && chown(postgres->folder, postgres->user, postgres->group) != 0)
        fail_msg("cannot give %s to the user postgres", postgres->folder);
    snprintf(postgres->conninfo, sizeof(postgres->conninfo),
             "host=%s user=postgres dbname=postgres", postgres->folder);
}

static void make_cluster(const struct private_postgres *postgres)
{
    char data[80];
    int status;
    snprintf(data, sizeof(data), "%s/data", postgres->folder);
    const char *const arguments[] = {BIN "initdb", "-N",       "-A",      "trust", "-U",
                                     "postgres",   "--locale", "C.UTF-8", "-E",    "UTF8",
                                     "-D",         data,       NULL};
    pid_t pid = start_program(postgres, arguments);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        show_log(postgres);
        fail_msg("initdb failed");
    }
}

static bool takes_connections(const struct private_postgres *postgres)
{
    PGconn *connection = PQconnectdb(postgres->conninfo);
    bool ok = PQstatus(connection) == CONNECTION_OK;
    PQfinish(connection);
    return ok;
}

/* After a kill -9 the first start may find the old server's memory still in use. */
static bool has_ended(struct private_postgres *postgres)
{
    if (waitpid(postgres->pid, NULL, WNOHANG) != postgres->pid)
        return false;
    postgres->pid = 0;
    return true;
}

static void launch(struct private_postgres *postgres)
{
    char data[80], sync[32];
    snprintf(data, sizeof(data), "%s/data", postgres->folder);
    snprintf(sync, sizeof(sync), "fsync=%s", postgres->durable ? "on" : "off");
    const char *const arguments[] = {BIN "postgres", "-D", data, "-k", postgres->folder, "-c",
                                     "listen_addresses=", "-c", "max_connections=60", "-c",
                                     "max_wal_size=2GB",
                                     /* not that of the store, nor that of the tests */
                                     "-c", "timezone=Asia/Tokyo", "-c", sync, NULL};
    postgres->pid = start_program(postgres, arguments);
}

void private_postgres_start(struct private_postgres *postgres)
{
    int64_t deadline = timestamp_monotonic_ms() + START_MS;
    while (timestamp_monotonic_ms() < deadline) {
        if (postgres->pid == 0)
            launch(postgres);
        usleep(50000);
        if (takes_connections(postgres))
            return;
        has_ended(postgres);
    }
    show_log(postgres);
    fail_msg("PostgreSQL does not start");
}

struct private_postgres *private_postgres_new(bool durable)
{
    struct private_postgres *postgres = calloc(1, sizeof(*postgres));
    assert_non_null(postgres);
    postgres->durable = durable;
    find_user(postgres);
    make_folder(postgres);
    make_cluster(postgres);
    private_postgres_start(postgres);
    return postgres;
}

static void end_with(struct private_postgres *postgres, int signal_number)
{
    if (postgres->pid == 0)
        return;
    kill(postgres->pid, signal_number);
    waitpid(postgres->pid, NULL, 0);
    postgres->pid = 0;
}

#define CHILDREN_MOST 128

static size_t find_children(pid_t pid, pid_t children[CHILDREN_MOST])
{
    char path[64];
    size_t count = 0;
    int child;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    while (file && count < CHILDREN_MOST && fscanf(file, "%d", &child) == 1)
        children[count++] = child;
    if (file)
        fclose(file);
    return count;
}

/* Its processes would notice the death of their parent by themselves, but on a busy machine not
 * before the next question: they die with it, as they do when the power fails. */
void private_postgres_kill(struct private_postgres *postgres)
{
    pid_t children[CHILDREN_MOST];
    size_t count = postgres->pid > 0 ? find_children(postgres->pid, children) : 0;
    end_with(postgres, SIGKILL);
    for (size_t i = 0; i < count; i++)
        kill(children[i], SIGKILL);
}

void private_postgres_freeze(struct private_postgres *postgres)
{
    kill(postgres->pid, SIGSTOP);
}

void private_postgres_thaw(struct private_postgres *postgres)
{
    kill(postgres->pid, SIGCONT);
}

void private_postgres_free(struct private_postgres *postgres)
{
    if (!postgres)
        return;
    end_with(postgres, SIGQUIT);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", postgres->folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    free(postgres);
}

const char *private_postgres_conninfo(const struct private_postgres *postgres)
{
    return postgres->conninfo;
}

/* --- its database --- */

static void migrate(struct store *store)
{
    struct error error = {0};
    char folder[512], text[640];
    const char *root = getenv("SOURCE_ROOT");
    snprintf(folder, sizeof(folder), "%s/schema", root ? root : ".");
    if (!store_migrate(store, folder, &error))
        fail_msg("migration: %s", error_text(&error, text, sizeof(text)));
}

struct store *private_postgres_store(struct private_postgres *postgres, unsigned connections)
{
    struct error error = {0};
    struct store *store = store_open(postgres->conninfo, connections, &error);
    if (!store)
        fail_msg("%s: %s", error.where, error.message);
    migrate(store);
    return store;
}

char *private_postgres_text(struct private_postgres *postgres, const char *sql)
{
    PGconn *connection = PQconnectdb(postgres->conninfo);
    PQclear(PQexec(connection, "SET timezone = 'UTC'"));
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    char *text = NULL;
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    if (PQntuples(result) > 0 && PQnfields(result) > 0 && !PQgetisnull(result, 0, 0))
        text = strdup(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
    return text;
}

int64_t private_postgres_run(struct private_postgres *postgres, const char *sql)
{
    cleanup_free char *text = private_postgres_text(postgres, sql);
    return text ? strtoll(text, NULL, 10) : 0;
}

void private_postgres_reset(struct private_postgres *postgres)
{
    private_postgres_run(postgres, "SET client_min_messages = error;"
                                   "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    store_close(private_postgres_store(postgres, 1));
}

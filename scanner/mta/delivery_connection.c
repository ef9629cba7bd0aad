#include "scanner/mta/delivery_private.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_A_CONNECTION 8 /* that are tried one after the other */
#define AVOID_MS 60000       /* a host that was not reached */
#define IN_CLEAR_MS 600000   /* to a host whose TLS failed */
#define OTHER_FAMILY_MS 5000 /* to connect, while another address is left to try */
#define JOB_REPEATS 3

/* --- lists --- */

static void list_add(struct delivery_connection **list, struct delivery_connection *connection)
{
    connection->previous = NULL;
    connection->next = *list;
    if (*list)
        (*list)->previous = connection;
    *list = connection;
}

static void list_remove(struct delivery_connection **list, struct delivery_connection *connection)
{
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        *list = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
}

static struct delivery_connection **list_of(struct delivery_connection *connection)
{
    if (!connection->ready)
        return &connection->pool->connecting;
    return connection->job || connection->leaving ? &connection->pool->busy
                                                  : &connection->pool->idle;
}

/* --- life --- */

void delivery_connection_free(struct delivery_connection *connection)
{
    struct delivery_pool *pool = connection->pool;
    list_remove(list_of(connection), connection);
    pool->connections--;
    pool->delivery->connections--;
    pool->connecting_count -= !connection->ready;
    smtp_client_free(connection->client);
    if (connection->job)
        delivery_job_end(connection->job);
    free(connection);
}

/* Into the list that fits what it does now. */
static void move(struct delivery_connection *connection, struct delivery_job *job, bool leaving)
{
    list_remove(list_of(connection), connection);
    connection->job = job;
    connection->leaving = leaving;
    list_add(list_of(connection), connection);
    if (!job)
        connection->idle_since = timestamp_monotonic_ms();
}

void delivery_connection_quit(struct delivery_connection *connection)
{
    move(connection, NULL, true);
    smtp_client_quit(connection->client);
}

/* --- jobs --- */

void delivery_connection_use(struct delivery_connection *connection)
{
    struct delivery_pool *pool = connection->pool;
    struct delivery_job *job;
    while (delivery_pool_may_send(pool) && (job = delivery_pool_take(pool)) != NULL) {
        if (delivery_job_prepare(job)) {
            delivery_pool_spend(pool);
            move(connection, job, false);
            smtp_client_send(connection->client, &job->transaction);
            return;
        }
        delivery_job_end(job);
    }
}

/* For an unused or a used connection: work, a rest, or the end. */
static void go_on(struct delivery_connection *connection)
{
    const struct config_delivery *limits = &delivery_config(connection->pool->delivery)->delivery;
    if (smtp_client_transactions(connection->client) >= (unsigned)limits->messages_per_connection)
        delivery_connection_quit(connection);
    else
        delivery_connection_use(connection);
}

static bool has_any_reply(const struct smtp_transaction *transaction)
{
    for (size_t i = 0; i < transaction->recipient_count; i++)
        if (transaction->recipients[i].code != 0)
            return true;
    return false;
}

/* A kept connection may be gone when it is used again, which says nothing about the message. */
static bool may_repeat(const struct delivery_connection *connection, const struct delivery_job *job)
{
    const struct smtp_transaction *transaction = &job->transaction;
    return smtp_client_transactions(connection->client) > 1 && !transaction->answered &&
           !has_any_reply(transaction) && job->repeats < JOB_REPEATS;
}

static void set_lost_replies(struct delivery_job *job)
{
    const struct smtp_transaction *transaction = &job->transaction;
    const char *reason = transaction->lost_reason;
    char reply[SMTP_REPLY_SIZE];
    if (transaction->lost_end == SMTP_CLIENT_REFUSED && reason[0] == '4')
        snprintf(reply, sizeof(reply), "%s", reason);
    else if (transaction->lost_end == SMTP_CLIENT_LOCAL)
        snprintf(reply, sizeof(reply), "451 4.3.0 [internal] %s", reason);
    else if (transaction->lost_end == SMTP_CLIENT_PROTOCOL)
        snprintf(reply, sizeof(reply), "451 4.5.0 [internal] %s", reason);
    else
        snprintf(reply, sizeof(reply), "421 4.4.2 [internal] %s%s", reason,
                 transaction->content_sent ? " after the message was sent" : "");
    delivery_job_set_replies(job, 421, reply);
}

static void on_done(void *argument, struct smtp_transaction *transaction)
{
    struct delivery_connection *connection = argument;
    struct delivery_job *job = connection->job;
    bool lost = transaction->lost; /* then `closed` comes next */
    const char *tls = smtp_client_tls(connection->client);
    snprintf(connection->hop.tls, sizeof(connection->hop.tls), "%s", tls ? tls : "");
    move(connection, NULL, lost);
    if (lost && may_repeat(connection, job)) {
        job->repeats++;
        delivery_pool_add_first(connection->pool, job);
        return;
    }
    if (lost && transaction->lost_end == SMTP_CLIENT_REFUSED)
        delivery_pool_narrow(connection->pool);
    if (lost)
        set_lost_replies(job);
    else
        delivery_pool_widen(connection->pool);
    struct delivery_job *overflow = lost ? NULL : delivery_job_split_overflow(job);
    if (overflow)
        delivery_pool_add_first(connection->pool, overflow);
    delivery_record(job, &connection->hop);
    if (!lost)
        go_on(connection);
}

/* --- hosts, one after the other --- */

static struct destination_host *current_host(struct delivery_connection *connection)
{
    return &connection->pool->hosts->hosts[connection->order[connection->order_at]];
}

/* Reports are about recipients' domains, and so not about relays. */
static void count_session(const struct delivery_connection *connection, const char *failure)
{
    const struct delivery_pool *pool = connection->pool;
    const struct delivery_security *security = &connection->security;
    struct ip_address own;
    bool has_own = connection->client && smtp_client_own_address(connection->client, &own);
    struct tls_report_session session = {.domain = pool->route.domain,
                                         .policy = security->policy,
                                         .sts = pool->sts_policy,
                                         .tlsa = security->tls.tlsa,
                                         .failure = failure,
                                         .host = connection->hop.host,
                                         .address = &connection->hop.address,
                                         .own_address = has_own ? &own : NULL};
    if (pool->route.kind == CONFIG_ROUTE_MX && !pool->route.unpoliced)
        tls_reports_count(pool->delivery->tls_reports, &session, timestamp_now_ms());
}

/* What would have been a failure had a policy been enforced that is being tested. */
static const char *tested_failure(const struct delivery_connection *connection)
{
    const struct delivery_security *security = &connection->security;
    const char *failure = smtp_client_tls_failure(connection->client);
    bool checked = security->policy == TLS_REPORT_STS && security->tls.demand == SMTP_TLS_TRIED;
    if (security->failure)
        return security->failure;
    return checked || !smtp_client_tls(connection->client) ? failure : NULL;
}

static void on_ready(void *argument)
{
    struct delivery_connection *connection = argument;
    struct delivery_pool *pool = connection->pool;
    if (!connection->without_tls && connection->security.tls.demand != SMTP_TLS_NEVER)
        count_session(connection, tested_failure(connection));
    current_host(connection)->avoid_until = 0;
    list_remove(list_of(connection), connection);
    connection->ready = true;
    list_add(list_of(connection), connection);
    connection->idle_since = timestamp_monotonic_ms();
    pool->connecting_count--;
    pool->failures = 0;
    pool->left_alone_until = 0;
    go_on(connection);
}

/* While another family or another host is left, a host that swallows packets costs little. */
static int connect_ms(const struct delivery_connection *connection)
{
    int most = delivery_config(connection->pool->delivery)->delivery.connect_seconds * 1000;
    bool last = connection->order_at + 1 >= connection->order_count;
    bool v6 = !ip_is_v4(&connection->hop.address);
    return v6 && !last && most > OTHER_FAMILY_MS ? OTHER_FAMILY_MS : most;
}

static void on_closed(void *argument, const struct smtp_client_result *result);

static void note_unsafe(struct delivery_connection *connection, const char *reply)
{
    connection->unsafe++;
    snprintf(connection->unsafe_reply, sizeof(connection->unsafe_reply), "%s", reply);
    current_host(connection)->avoid_until = timestamp_monotonic_ms() + AVOID_MS;
}

/* False where nothing may be sent to the current host; that is noted then. */
static bool may_connect(struct delivery_connection *connection)
{
    struct delivery_pool *pool = connection->pool;
    struct destination_host *host = current_host(connection);
    struct delivery_security *security = &connection->security;
    int64_t now = timestamp_monotonic_ms();
    snprintf(connection->hop.host, sizeof(connection->hop.host), "%s", host->name);
    connection->hop.address = host->address;
    connection->hop.port = host->port;
    delivery_security_choose(&pool->route, pool->hosts, host, pool->sts_policy, pool->delivery->tls,
                             security);
    connection->hop.security = security->name;
    if (security->tls.demand == SMTP_TLS_TRIED &&
        (connection->without_tls || host->clear_until > now))
        security->tls.demand = SMTP_TLS_NEVER;
    if (security->refusal[0] == '\0')
        return true;
    log_info("delivery: %s", security->refusal);
    count_session(connection, security->failure);
    note_unsafe(connection, security->refusal);
    return false;
}

static bool connect_current(struct delivery_connection *connection, struct error *error)
{
    struct delivery *delivery = connection->pool->delivery;
    const struct scanner_config *config = delivery_config(delivery);
    const struct destination_host *host = current_host(connection);
    struct smtp_client_options options = {
        .address = host->address,
        .port = host->port,
        .host = host->name,
        .helo_name = config->host_name,
        .connect_ms = connect_ms(connection),
        .reply_ms = config->delivery.reply_seconds * 1000,
        .security = connection->security.tls,
        .user = connection->pool->route.user,
        .password = connection->pool->route.password,
    };
    struct smtp_client_handler handler = {on_ready, on_done, on_closed, connection};
    connection->client = smtp_client_new(delivery->mta->base, &options, &handler, error);
    return connection->client != NULL;
}

static void log_failure(const struct delivery_connection *connection, const char *reason)
{
    char ip[IP_TEXT_SIZE];
    log_info("delivery: %s[%s]:%u is not reachable: %s", connection->hop.host,
             ip_text(&connection->hop.address, ip), (unsigned)connection->hop.port, reason);
}

/* Connects to the current host, or where that fails at once, to one behind it. */
static bool connect_any(struct delivery_connection *connection)
{
    struct error error = {0};
    for (; connection->order_at < connection->order_count; connection->order_at++) {
        if (!may_connect(connection))
            continue;
        if (connect_current(connection, &error))
            return true;
        if (error.code == ERROR_LIMIT) {
            log_warning("delivery: %s", error.message);
            connection->no_sockets = true;
            return false;
        }
        log_failure(connection, error.message);
        current_host(connection)->avoid_until = timestamp_monotonic_ms() + AVOID_MS;
    }
    return false;
}

/* What those who wait are told. A host that said something is quoted; else it counts whether the
 * hosts refused the connection or did not answer. */
static void give_up(struct delivery_connection *connection)
{
    struct delivery_pool *pool = connection->pool;
    if (connection->no_sockets) {
        delivery_connection_free(connection);
        delivery_pool_wait(pool);
        return;
    }
    if (connection->unsafe > 0) {
        char unsafe[SMTP_REPLY_SIZE];
        snprintf(unsafe, sizeof(unsafe), "%s", connection->unsafe_reply);
        delivery_connection_free(connection);
        delivery_pool_unsafe(pool, unsafe);
        return;
    }
    bool relays = pool->route.kind == CONFIG_ROUTE_RELAY;
    bool silent = connection->silences > 0 && connection->silences == connection->order_count;
    char reply[SMTP_REPLY_SIZE];
    bool permanent = connection->permanent_refusals == connection->order_count;
    int code = permanent ? 550 : 421;
    if (connection->refusals > 0 && (permanent || connection->refusal[0] == '4'))
        snprintf(reply, sizeof(reply), "%s", connection->refusal);
    else if (connection->refusals > 0)
        snprintf(reply, sizeof(reply), "421 4.4.0 [internal] a server refused the session: %s",
                 connection->refusal);
    else
        snprintf(reply, sizeof(reply), "%s",
                 relays || silent ? destination_no_servers : destination_no_mx);
    delivery_connection_free(connection);
    delivery_pool_unreachable(pool, code, reply);
}

static void note_failure(struct delivery_connection *connection,
                         const struct smtp_client_result *result)
{
    if (result->end == SMTP_CLIENT_UNSAFE)
        count_session(connection, result->tls_failure);
    if (result->end == SMTP_CLIENT_UNSAFE || result->end == SMTP_CLIENT_AUTH) {
        log_info("delivery: %s", result->reason);
        note_unsafe(connection, result->reason);
        return;
    }
    log_failure(connection, result->reason);
    current_host(connection)->avoid_until = timestamp_monotonic_ms() + AVOID_MS;
    if (result->end == SMTP_CLIENT_REFUSED) {
        connection->refusals++;
        connection->permanent_refusals += result->code >= 500;
        snprintf(connection->refusal, sizeof(connection->refusal), "%s", result->reason);
    }
    if (result->end == SMTP_CLIENT_TIMEOUT || result->end == SMTP_CLIENT_LOST)
        connection->silences++;
}

static void on_not_ready(struct delivery_connection *connection,
                         const struct smtp_client_result *result)
{
    if (result->end == SMTP_CLIENT_TLS && !connection->without_tls) {
        /* Better in clear than not at all: the peer's certificate would not have been checked. */
        log_failure(connection, "the TLS handshake failed; it is tried in clear");
        count_session(connection, result->tls_failure);
        current_host(connection)->clear_until = timestamp_monotonic_ms() + IN_CLEAR_MS;
        connection->without_tls = true;
    } else {
        note_failure(connection, result);
        connection->without_tls = false;
        connection->order_at++;
    }
    smtp_client_free(connection->client);
    connection->client = NULL;
    if (connect_any(connection))
        return;
    struct delivery_pool *pool = connection->pool;
    give_up(connection);
    delivery_pool_pump(pool);
}

static void on_closed(void *argument, const struct smtp_client_result *result)
{
    struct delivery_connection *connection = argument;
    struct delivery_pool *pool = connection->pool;
    if (!connection->ready) {
        on_not_ready(connection, result);
        return;
    }
    delivery_connection_free(connection);
    delivery_pool_pump(pool);
}

void delivery_connection_open(struct delivery_pool *pool)
{
    struct delivery_connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        abort();
    connection->pool = pool;
    connection->order_count =
        pool->hosts->count < HOSTS_A_CONNECTION ? pool->hosts->count : HOSTS_A_CONNECTION;
    destination_order(pool->hosts, timestamp_monotonic_ms(), connection->order);
    list_add(list_of(connection), connection);
    pool->connections++;
    pool->connecting_count++;
    pool->delivery->connections++;
    if (!connect_any(connection))
        give_up(connection);
}

#include "scanner/mta/delivery_private.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_START 5   /* connections to a destination that is not known yet */
#define SLOW_GROWTH 8    /* successes for each connection, for one more */
#define IDLE_MS 5000     /* after which a connection is given up */
#define FORGET_MS 600000 /* after which an unused destination is forgotten */
#define HOSTS_LEAST_MS 1000
#define REOPEN_MS 1000  /* after a failed connection beside others that live */
#define FAILURES_MOST 5 /* in a row, until a destination is left alone */
#define LEFT_ALONE_MS 60000
#define LEFT_ALONE_MOST_MS 300000

static const char too_many_failures[] =
    "451 4.4.1 [internal] No valid hosts (too many connection failures)";

/* --- table --- */

static struct delivery_pool **bucket_of(struct delivery *delivery, const char *key)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return &delivery->buckets[(hash ^ hash >> 16) & (DELIVERY_BUCKETS - 1)];
}

static unsigned window_most(const struct delivery *delivery)
{
    return (unsigned)delivery_config(delivery)->delivery.max_connections;
}

/* The configuration that the route was made from may go before the destination does. */
static void keep_credentials(struct delivery_pool *pool)
{
    if (!pool->route.user)
        return;
    pool->user = strdup(pool->route.user);
    pool->password = strdup(pool->route.password ? pool->route.password : "");
    if (!pool->user || !pool->password)
        abort();
    pool->route.user = pool->user;
    pool->route.password = pool->password;
}

struct delivery_pool *delivery_pool_find(struct delivery *delivery,
                                         const struct destination_route *route)
{
    char *key = destination_key(route);
    if (!key)
        abort();
    struct delivery_pool **bucket = bucket_of(delivery, key);
    for (struct delivery_pool *pool = *bucket; pool; pool = pool->hash_next) {
        if (strcmp(pool->key, key) == 0) {
            free(key);
            return pool;
        }
    }
    struct delivery_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        abort();
    pool->delivery = delivery;
    pool->key = key;
    pool->route = *route;
    keep_credentials(pool);
    pool->last = &pool->first;
    pool->window = WINDOW_START;
    pool->last_used = timestamp_monotonic_ms();
    pool->hash_next = *bucket;
    *bucket = pool;
    pool->next = delivery->pools;
    delivery->pools = pool;
    return pool;
}

static void unlink_from_bucket(struct delivery_pool *pool)
{
    struct delivery_pool **link = bucket_of(pool->delivery, pool->key);
    while (*link != pool)
        link = &(*link)->hash_next;
    *link = pool->hash_next;
}

static void free_connections(struct delivery_connection *list)
{
    while (list) {
        struct delivery_connection *next = list->next;
        delivery_connection_free(list);
        list = next;
    }
}

void delivery_pool_free(struct delivery_pool *pool)
{
    free_connections(pool->idle);
    free_connections(pool->busy);
    free_connections(pool->connecting);
    for (struct delivery_job *job; (job = delivery_pool_take(pool)) != NULL;)
        delivery_job_end(job);
    destination_hosts_free(pool->hosts);
    mta_sts_policy_drop(pool->sts_policy);
    free(pool->left_alone_reply);
    free(pool->user);
    free(pool->password);
    free(pool->key);
    free(pool);
}

/* --- jobs that wait --- */

void delivery_pool_add(struct delivery_pool *pool, struct delivery_job *job)
{
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    pool->waiting++;
}

void delivery_pool_add_first(struct delivery_pool *pool, struct delivery_job *job)
{
    job->begun = false;
    job->next = pool->first;
    pool->first = job;
    if (!job->next)
        pool->last = &job->next;
    pool->waiting++;
}

struct delivery_job *delivery_pool_take(struct delivery_pool *pool)
{
    struct delivery_job *job = pool->first;
    if (!job)
        return NULL;
    pool->first = job->next;
    if (!pool->first)
        pool->last = &pool->first;
    pool->waiting--;
    return job;
}

static void fail_waiting(struct delivery_pool *pool, int code, const char *reply)
{
    for (size_t left = pool->waiting; left > 0; left--)
        delivery_fail(delivery_pool_take(pool), code, reply);
}

/* --- hosts --- */

/* What was learnt of a host outlives the lookup. */
static void carry_over(struct destination_hosts *to, const struct destination_hosts *from)
{
    for (size_t i = 0; from && i < to->count; i++) {
        for (size_t j = 0; j < from->count; j++) {
            const struct destination_host *known = &from->hosts[j];
            if (known->port != to->hosts[i].port ||
                memcmp(&known->address, &to->hosts[i].address, sizeof(known->address)) != 0)
                continue;
            to->hosts[i].avoid_until = known->avoid_until;
            to->hosts[i].clear_until = known->clear_until;
        }
    }
}

/* Answers that are not to be kept (a TTL of 0) are good for those who wait all the same. */
static void hosts_are_known(struct delivery_pool *pool)
{
    int64_t least = timestamp_monotonic_ms() + HOSTS_LEAST_MS;
    if (pool->hosts->expires < least)
        pool->hosts->expires = least;
    pool->looking_up = false;
    if (!pool->delivery->closing)
        delivery_pool_pump(pool);
}

static void count_problem(struct delivery_pool *pool, const char *problem)
{
    struct tls_report_session session = {
        .domain = pool->route.domain, .policy = TLS_REPORT_STS, .failure = problem};
    tls_reports_count(pool->delivery->tls_reports, &session, timestamp_now_ms());
}

static void on_policy(void *argument, const struct mta_sts_answer *answer)
{
    struct delivery_pool *pool = argument;
    mta_sts_policy_drop(pool->sts_policy);
    pool->sts_policy = answer->policy ? mta_sts_policy_take(answer->policy) : NULL;
    if (answer->expires < pool->hosts->expires)
        pool->hosts->expires = answer->expires;
    if (answer->problem)
        count_problem(pool, answer->problem);
    hosts_are_known(pool);
}

static void on_hosts(void *argument, struct destination_hosts *hosts)
{
    struct delivery_pool *pool = argument;
    struct delivery *delivery = pool->delivery;
    carry_over(hosts, pool->hosts);
    destination_hosts_free(pool->hosts);
    pool->hosts = hosts;
    bool wanted = hosts->code == 0 && !delivery->closing &&
                  delivery_security_wants_sts(delivery_config(delivery), &pool->route);
    if (wanted) {
        mta_sts_find(delivery->sts, pool->route.domain, on_policy, pool);
        return;
    }
    mta_sts_policy_drop(pool->sts_policy);
    pool->sts_policy = NULL;
    hosts_are_known(pool);
}

/* Whether it is known where to connect to; else a lookup is under way, or those who wait failed. */
static bool has_hosts(struct delivery_pool *pool, int64_t now)
{
    bool fresh = pool->hosts && (now < pool->hosts->expires || pool->connecting_count > 0);
    if (!fresh && !pool->looking_up) {
        pool->looking_up = true;
        destination_find_hosts(pool->delivery->resolver, delivery_config(pool->delivery),
                               &pool->route, on_hosts, pool);
    }
    if (pool->looking_up)
        return false;
    if (pool->hosts->code != 0)
        fail_waiting(pool, pool->hosts->code, pool->hosts->reply);
    return pool->hosts->code == 0;
}

/* --- how much at a time --- */

/* A tenth of what a minute allows may begin at once. */
static double allowance_most(int rate)
{
    return rate < 10 ? 1 : (double)rate / 10;
}

static int rate_of(const struct delivery_pool *pool)
{
    return delivery_config(pool->delivery)->delivery.messages_per_minute;
}

bool delivery_pool_may_send(struct delivery_pool *pool)
{
    int64_t now = timestamp_monotonic_ms();
    int rate = rate_of(pool);
    if (rate == 0)
        return true;
    double most = allowance_most(rate);
    if (pool->allowance_at == 0)
        pool->allowance = most;
    else
        pool->allowance += (double)(now - pool->allowance_at) * rate / 60000;
    if (pool->allowance > most)
        pool->allowance = most;
    pool->allowance_at = now;
    return pool->allowance >= 1;
}

void delivery_pool_spend(struct delivery_pool *pool)
{
    if (rate_of(pool) > 0)
        pool->allowance -= 1;
}

/* Fast up to half of what failed, and then slowly: a server that takes no more is asked for more
 * now and then, not all the time. */
void delivery_pool_widen(struct delivery_pool *pool)
{
    bool fast = pool->steady == 0 || pool->window < pool->steady;
    if (pool->window >= window_most(pool->delivery) ||
        (!fast && ++pool->successes < SLOW_GROWTH * pool->window))
        return;
    pool->successes = 0;
    pool->window++;
}

void delivery_pool_narrow(struct delivery_pool *pool)
{
    unsigned most = window_most(pool->delivery);
    unsigned window = pool->window < most ? pool->window : most;
    pool->window = pool->steady = window > 1 ? window / 2 : 1;
    pool->successes = 0;
}

/* --- connections --- */

static bool may_open(struct delivery_pool *pool, int64_t now)
{
    unsigned most = window_most(pool->delivery);
    unsigned window = pool->window < most ? pool->window : most;
    if (pool->waiting <= pool->connecting_count || pool->connections >= window ||
        !delivery_pool_may_send(pool) || now < pool->open_after ||
        pool->delivery->connections >= DELIVERY_CONNECTIONS)
        return false;
    if (pool->connections == 0 && now < pool->left_alone_until) {
        fail_waiting(pool, 451,
                     pool->left_alone_reply ? pool->left_alone_reply : too_many_failures);
        return false;
    }
    return has_hosts(pool, now);
}

void delivery_pool_pump(struct delivery_pool *pool)
{
    int64_t now = timestamp_monotonic_ms();
    if (pool->pumping)
        return;
    pool->pumping = true;
    if (pool->first)
        pool->last_used = now;
    while (pool->first && pool->idle && delivery_pool_may_send(pool))
        delivery_connection_use(pool->idle);
    while (pool->first && may_open(pool, now))
        delivery_connection_open(pool);
    pool->pumping = false;
}

/* Whoever comes meanwhile gets the reply at once. */
static void leave_alone(struct delivery_pool *pool, int64_t now, const char *reply)
{
    char label[DOMAIN_SIZE + 8];
    int64_t wait = LEFT_ALONE_MS * (int64_t)(pool->failures - FAILURES_MOST + 1);
    free(pool->left_alone_reply);
    pool->left_alone_reply = reply ? strdup(reply) : NULL;
    pool->left_alone_until = now + (wait < LEFT_ALONE_MOST_MS ? wait : LEFT_ALONE_MOST_MS);
    log_warning("destination %s is left alone for a while: %u failed connections in a row",
                destination_label(&pool->route, label), pool->failures);
}

void delivery_pool_wait(struct delivery_pool *pool)
{
    pool->open_after = timestamp_monotonic_ms() + REOPEN_MS;
}

void delivery_pool_unsafe(struct delivery_pool *pool, const char *reply)
{
    if (pool->connections > 0) {
        delivery_pool_wait(pool);
        return;
    }
    /* Else a wrong password would be tried with every message, and lock the account. */
    if (++pool->failures >= FAILURES_MOST)
        leave_alone(pool, timestamp_monotonic_ms(), reply);
    fail_waiting(pool, 451, reply);
}

void delivery_pool_unreachable(struct delivery_pool *pool, int code, const char *reply)
{
    int64_t now = timestamp_monotonic_ms();
    if (now >= pool->open_after) /* else it failed beside the one that led to that */
        delivery_pool_narrow(pool);
    if (pool->connections > 0) { /* perhaps it takes no more than these */
        delivery_pool_wait(pool);
        return;
    }
    if (++pool->failures >= FAILURES_MOST)
        leave_alone(pool, now, NULL);
    fail_waiting(pool, code, reply);
}

void delivery_retry(struct delivery *delivery)
{
    for (struct delivery_pool *pool = delivery->pools; pool; pool = pool->next) {
        pool->left_alone_until = pool->open_after = 0;
        pool->failures = 0;
    }
}

/* --- sweep --- */

static void quit_idle(struct delivery_pool *pool, int64_t now)
{
    bool crowded = pool->delivery->connections >= DELIVERY_CONNECTIONS;
    for (struct delivery_connection *connection = pool->idle, *next; connection;
         connection = next) {
        next = connection->next;
        if (crowded || now - connection->idle_since >= IDLE_MS)
            delivery_connection_quit(connection);
    }
}

static bool is_forgettable(const struct delivery_pool *pool, int64_t now)
{
    return !pool->first && !pool->looking_up && pool->connections == 0 &&
           now > pool->left_alone_until && now - pool->last_used > FORGET_MS;
}

void delivery_pools_sweep(struct delivery *delivery)
{
    int64_t now = timestamp_monotonic_ms();
    for (struct delivery_pool **link = &delivery->pools, *pool; (pool = *link) != NULL;) {
        quit_idle(pool, now);
        if (pool->first)
            delivery_pool_pump(pool);
        if (!is_forgettable(pool, now)) {
            link = &pool->next;
            continue;
        }
        *link = pool->next;
        unlink_from_bucket(pool);
        delivery_pool_free(pool);
    }
}

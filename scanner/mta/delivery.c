#include "scanner/mta/delivery_private.h"

#include "common/file.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 1024

const struct scanner_config *delivery_config(const struct delivery *delivery)
{
    return delivery->mta->config->config;
}

/* --- due messages --- */

/* Addresses were checked when they came in; even so nothing else may become part of a command. */
static bool is_sendable(const char *address)
{
    for (; *address; address++)
        if ((unsigned char)*address < ' ' || *address == 0x7f)
            return false;
    return true;
}

struct taking {
    struct delivery *delivery;
    struct queue_message *message;
    struct delivery_pool *gathered; /* those that have a job that is not full yet */
};

static void fail_alone(struct taking *taking, uint32_t index, const char *reply)
{
    struct delivery_job *job = delivery_job_new(taking->delivery, taking->message);
    delivery_job_add(job, index);
    delivery_fail(job, atoi(reply), reply);
}

static struct delivery_job *job_for(struct taking *taking, struct delivery_pool *pool)
{
    if (pool->gathered && !delivery_job_is_full(pool->gathered))
        return pool->gathered;
    if (pool->gathered) {
        delivery_pool_add(pool, pool->gathered);
    } else {
        pool->next_gathered = taking->gathered;
        taking->gathered = pool;
    }
    pool->gathered = delivery_job_new(taking->delivery, taking->message);
    return pool->gathered;
}

/* Reports about TLS that fails go out whatever it fails at (RFC 8460 section 3). */
static bool is_tls_report(const struct delivery *delivery, const struct queue_message *message)
{
    const char *from = delivery_config(delivery)->delivery.tls_reports.from;
    return message->direction == QUEUE_INTERNAL && from && strcmp(message->sender, from) == 0;
}

static void take_recipient(struct taking *taking, uint32_t index)
{
    static const char bad_address[] = "553 5.1.3 [internal] the address cannot be sent";
    const struct queue_message *message = taking->message;
    const struct queue_recipient *recipient = &message->recipients[index];
    struct destination_route route;
    const char *refusal = bad_address;
    if (is_sendable(recipient->address) && is_sendable(message->sender))
        refusal = destination_find_route(delivery_config(taking->delivery), recipient, &route);
    if (refusal) {
        fail_alone(taking, index, refusal);
        return;
    }
    if ((message->flags & QUEUE_FLAG_REQUIRE_TLS) && route.tls < CONFIG_DELIVERY_TLS_REQUIRED)
        route.tls = CONFIG_DELIVERY_TLS_REQUIRED;
    route.unpoliced = is_tls_report(taking->delivery, message);
    delivery_job_add(job_for(taking, delivery_pool_find(taking->delivery, &route)), index);
}

static bool is_due(const struct queue_recipient *recipient, int64_t now)
{
    return recipient->state == QUEUE_RECIPIENT_QUEUED && !recipient->in_delivery &&
           recipient->next_attempt <= now;
}

void delivery_take(struct delivery *delivery, struct queue_message *message)
{
    struct taking taking = {.delivery = delivery, .message = message};
    struct queue *queue = delivery->mta->queue;
    int64_t now = timestamp_now_ms();
    queue_hold_busy(queue, message); /* whatever becomes of the first recipients */
    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (is_due(&message->recipients[i], now))
            take_recipient(&taking, i);
    for (struct delivery_pool *pool = taking.gathered, *next; pool; pool = next) {
        next = pool->next_gathered;
        delivery_pool_add(pool, pool->gathered);
        pool->gathered = NULL;
        delivery_pool_pump(pool);
    }
    queue_release_busy(queue, message);
}

bool delivery_withdraw(struct delivery *delivery, struct queue_message *message)
{
    struct queue *queue = delivery->mta->queue;
    for (const struct delivery_job *job = message->jobs; job; job = job->message_next)
        if (job->begun)
            return false;
    if (message->busy && delivery_report_is_under_way(delivery, message))
        return false;
    queue_hold_busy(queue, message); /* not due before all of it is back */
    while (message->jobs)
        delivery_job_withdraw(message->jobs);
    queue_release_busy(queue, message);
    return true;
}

/* --- life --- */

static void on_sweep(evutil_socket_t fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    struct delivery *delivery = argument;
    delivery_pools_sweep(delivery);
    tls_reports_tick(delivery->tls_reports, timestamp_now_ms());
}

static bool open_policies(struct delivery *delivery, struct error *error)
{
    char sts[PATH_SIZE], reports[PATH_SIZE];
    const char *state = delivery->mta->state;
    if (!file_join(sts, sizeof(sts), state, "mta-sts", error) ||
        !file_join(reports, sizeof(reports), state, "tls-reports", error))
        return false;
    delivery->https = https_client_new(delivery->mta->base, delivery->resolver, error);
    if (!delivery->https)
        return false;
    delivery->sts = mta_sts_new(delivery->resolver, delivery->https, sts);
    delivery->tls_reports =
        tls_reports_new(delivery->mta, delivery->resolver, delivery->https, reports);
    return true;
}

struct delivery *delivery_new(struct mta *mta, struct error *error)
{
    const struct config_delivery *limits = &mta->config->config->delivery;
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    if (!delivery)
        abort();
    delivery->mta = mta;
    delivery->sweep_timer = event_new(mta->base, -1, EV_PERSIST, on_sweep, delivery);
    delivery->resolver =
        resolver_new(mta->base, limits->dns_servers, limits->dns_server_count, error);
    if (delivery->resolver)
        delivery->tls = delivery_security_context(limits, error);
    if (!delivery->tls || !open_policies(delivery, error)) {
        delivery_free(delivery);
        return NULL;
    }
    event_add(delivery->sweep_timer, &(struct timeval){.tv_sec = 1});
    return delivery;
}

void delivery_configured(struct delivery *delivery)
{
    const struct config_delivery *limits = &delivery_config(delivery)->delivery;
    struct error error = {0};
    char text[sizeof(error)];
    if (!resolver_set_servers(delivery->resolver, limits->dns_servers, limits->dns_server_count,
                              &error))
        log_error("delivery: the DNS servers stay as they were: %s",
                  error_text(&error, text, sizeof(text)));
    SSL_CTX *tls = delivery_security_context(limits, &error);
    if (tls) {
        SSL_CTX_free(delivery->tls);
        delivery->tls = tls;
    } else {
        log_error("delivery: the trusted certificates stay as they were: %s",
                  error_text(&error, text, sizeof(text)));
    }
}

void delivery_free(struct delivery *delivery)
{
    if (!delivery)
        return;
    delivery->closing = true;
    if (delivery->sts)
        mta_sts_close(delivery->sts);
    if (delivery->tls_reports)
        tls_reports_close(delivery->tls_reports);
    https_client_close(delivery->https);
    resolver_free(delivery->resolver);
    https_client_free(delivery->https);
    mta_sts_free(delivery->sts);
    tls_reports_free(delivery->tls_reports);
    delivery_reports_forget(delivery);
    for (struct delivery_pool *pool = delivery->pools, *next; pool; pool = next) {
        next = pool->next;
        delivery_pool_free(pool);
    }
    if (delivery->sweep_timer)
        event_free(delivery->sweep_timer);
    SSL_CTX_free(delivery->tls);
    free(delivery);
}

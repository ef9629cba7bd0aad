/* What the files of the delivery share; nobody else.
 *   delivery.c             takes due messages and makes jobs of them
 *   delivery_job.c         one transaction: recipients of a message for one destination
 *   delivery_pool.c        destinations: which job goes when, how many connections there are
 *   delivery_connection.c  one connection: host after host until one answers, then jobs
 *   delivery_result.c      what came out of a job: state, events, next attempt
 *   delivery_security.c    what a connection to a host must show
 *   delivery_report.c      reports to the sender (bounces) */
#ifndef GATEHOUSE_SCANNER_MTA_DELIVERY_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_DELIVERY_PRIVATE_H

#include "scanner/mta/delivery.h"
#include "scanner/mta/delivery_security.h"
#include "scanner/mta/destination.h"
#include "scanner/mta/https_client.h"
#include "scanner/mta/mta_sts.h"
#include "scanner/mta/resolver.h"
#include "scanner/mta/smtp_client.h"
#include "scanner/mta/tls_report.h"

#define DELIVERY_JOB_RECIPIENTS 100 /* every server takes as many (RFC 5321 section 4.5.3.1.8) */
#define DELIVERY_CONNECTIONS 2000   /* in all */
#define DELIVERY_BUCKETS 4096       /* a power of two */

/* One transaction. Holds its message busy and its recipients `in_delivery`. */
struct delivery_job {
    struct delivery_job *next;
    struct delivery *delivery;
    struct queue_message *message;                     /* NULL: it was taken back from the line */
    struct delivery_job *message_next, **message_link; /* in message->jobs */
    bool begun;                                        /* it is on the wire */
    unsigned repeats; /* begun again because a kept connection was gone */
    uint32_t capacity;
    char tagged_sender[ADDRESS_SIZE];
    struct smtp_transaction transaction;
    uint32_t *indices; /* of the transaction's recipients in the message */
};

/* Where a reply came from. */
struct delivery_hop {
    char host[DOMAIN_SIZE];
    struct ip_address address;
    uint16_t port;
    char tls[SMTP_TLS_NAME_SIZE]; /* "" in clear */
    const char *security;         /* that was demanded (delivery_security.h) */
};

struct delivery_connection {
    struct delivery_connection *next, *previous; /* in one of the destination's lists */
    struct delivery_pool *pool;
    struct smtp_client *client;
    struct delivery_job *job;
    struct delivery_hop hop;
    bool ready, without_tls;
    bool leaving;                     /* QUIT was said */
    bool no_sockets;                  /* this host has no more of them */
    int64_t idle_since;               /* monotonic milliseconds */
    uint8_t order[DESTINATION_HOSTS]; /* while it connects */
    size_t order_count, order_at;
    /* How the hosts that were tried failed. */
    size_t refusals, permanent_refusals, silences, unsafe;
    char refusal[SMTP_REPLY_SIZE];
    char unsafe_reply[SMTP_REPLY_SIZE]; /* of one that did not meet the demanded TLS, or AUTH */
    struct delivery_security security;  /* of the current host */
};

/* A destination: its hosts, the jobs that wait for it, and its connections. */
struct delivery_pool {
    struct delivery *delivery;
    struct delivery_pool *hash_next, *next;
    char *key;
    struct destination_route route;
    struct destination_hosts *hosts; /* NULL: not looked up yet */
    bool looking_up;
    struct mta_sts_policy *sts_policy; /* NULL: none that counts */
    char *user, *password;             /* the route's */
    struct delivery_job *first, **last;
    size_t waiting;
    struct delivery_job *gathered; /* the message that is being taken */
    struct delivery_pool *next_gathered;
    struct delivery_connection *idle, *busy, *connecting;
    unsigned connections, connecting_count;
    unsigned window;    /* most connections at present */
    unsigned steady;    /* the window at which growth becomes slow; 0: it never failed yet */
    unsigned successes; /* since the window grew, where it grows slowly */
    unsigned failures;  /* in a row: no host was reached, or met the demanded security */
    bool pumping;
    double allowance; /* messages that may begin now, where there is a limit */
    int64_t allowance_at;
    int64_t open_after; /* monotonic milliseconds, as all that follow */
    int64_t left_alone_until;
    char *left_alone_reply; /* NULL: the usual one */
    int64_t last_used;
};

struct delivery {
    struct mta *mta;
    struct resolver *resolver;
    SSL_CTX *tls;
    struct https_client *https;
    struct mta_sts *sts;
    struct tls_reports *tls_reports;
    struct event *sweep_timer;
    struct delivery_pool *buckets[DELIVERY_BUCKETS];
    struct delivery_pool *pools;
    unsigned connections;
    struct delivery_report *reports; /* on their way to stable storage */
    bool closing;
};

const struct scanner_config *delivery_config(const struct delivery *delivery);

/* delivery_job.c */
struct delivery_job *delivery_job_new(struct delivery *delivery, struct queue_message *message);
void delivery_job_add(struct delivery_job *job, uint32_t index);
bool delivery_job_is_full(const struct delivery_job *job);
/* Fills the transaction in from the message as it is now; recipients that were taken from it
 * meanwhile are left out. False where nothing is to be sent any more (the job is then over: call
 * delivery_job_end). */
bool delivery_job_prepare(struct delivery_job *job);
/* Where the server took some recipients and said 452 to others, as one does that takes fewer at
 * once (RFC 5321 section 4.5.3.1.10): a job of its own for those others, else NULL. */
struct delivery_job *delivery_job_split_overflow(struct delivery_job *job);
/* Lets go of message and recipients while the job stays in line, where it is passed over. */
void delivery_job_withdraw(struct delivery_job *job);
/* Lets go of message and recipients and frees the job. */
void delivery_job_end(struct delivery_job *job);
/* Gives every recipient without a reply this one. */
void delivery_job_set_replies(struct delivery_job *job, int code, const char *reply);

/* delivery_pool.c */
struct delivery_pool *delivery_pool_find(struct delivery *delivery,
                                         const struct destination_route *route);
void delivery_pool_add(struct delivery_pool *pool, struct delivery_job *job);
void delivery_pool_add_first(struct delivery_pool *pool, struct delivery_job *job);
struct delivery_job *delivery_pool_take(struct delivery_pool *pool);
/* Starts what can be started now. */
void delivery_pool_pump(struct delivery_pool *pool);
/* Opens no further connection for a moment. */
void delivery_pool_wait(struct delivery_pool *pool);
/* Whether the limit of messages a minute lets one begin now; and one that begins. */
bool delivery_pool_may_send(struct delivery_pool *pool);
void delivery_pool_spend(struct delivery_pool *pool);
/* Further and fewer connections at a time, after a success and after a failure. */
void delivery_pool_widen(struct delivery_pool *pool);
void delivery_pool_narrow(struct delivery_pool *pool);
/* No host met the demanded security over one connection, which says nothing of their load. */
void delivery_pool_unsafe(struct delivery_pool *pool, const char *reply);
/* No host could be reached over one connection; `reply` is for those who wait. */
void delivery_pool_unreachable(struct delivery_pool *pool, int code, const char *reply);
void delivery_pool_free(struct delivery_pool *pool);
/* Once a second. */
void delivery_pools_sweep(struct delivery *delivery);

/* delivery_connection.c */
void delivery_connection_open(struct delivery_pool *pool);
/* The next waiting job for an idle connection. */
void delivery_connection_use(struct delivery_connection *connection);
void delivery_connection_quit(struct delivery_connection *connection);
void delivery_connection_free(struct delivery_connection *connection);

/* delivery_result.c: each ends the job. `hop` NULL: no host took part. */
void delivery_record(struct delivery_job *job, const struct delivery_hop *hop);
void delivery_fail(struct delivery_job *job, int code, const char *reply);

/* delivery_report.c */

/* A recipient that failed for good, by its index in the message. */
struct delivery_failure {
    uint32_t recipient, attempts;
    char *reply;
};

/* Tells the sender, where that is to be done, and then records BOUNCED with `events` (taken over)
 * and `failures` (taken over, replies too). The message is held busy until then. */
void delivery_report_failures(struct delivery *delivery, struct queue_message *message,
                              struct delivery_failure *failures, size_t count,
                              struct buffer *events, const struct delivery_hop *hop);
/* One warning for each message that is late: for every recipient that waits. */
void delivery_report_delay(struct delivery *delivery, struct queue_message *message);
/* What these recipients asked for with NOTIFY=SUCCESS, to be called before they are recorded as
 * delivered; the peer does not report itself. */
void delivery_report_relayed(struct delivery_job *job, const struct delivery_hop *hop);
/* Whether a report about failed recipients of the message is on its way to stable storage. */
bool delivery_report_is_under_way(const struct delivery *delivery,
                                  const struct queue_message *message);
void delivery_reports_forget(struct delivery *delivery);

#endif

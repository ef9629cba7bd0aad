#include "scanner/mta/delivery_private.h"

#include "common/timestamp.h"
#include "common/utf8.h"
#include "scanner/mta/bounce_protection.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_PIECE (16u << 10)
#define HEADER_LIMIT (256u << 10) /* no header that is meant to be read is longer */

struct delivery_job *delivery_job_new(struct delivery *delivery, struct queue_message *message)
{
    struct delivery_job *job = calloc(1, sizeof(*job));
    if (!job)
        abort();
    job->delivery = delivery;
    job->message = message;
    job->message_next = message->jobs;
    job->message_link = &message->jobs;
    if (job->message_next)
        job->message_next->message_link = &job->message_next;
    message->jobs = job;
    queue_hold_busy(delivery->mta->queue, message);
    return job;
}

static void grow(struct delivery_job *job)
{
    struct smtp_transaction *transaction = &job->transaction;
    job->capacity = job->capacity ? job->capacity * 4 : 1;
    transaction->recipients =
        realloc(transaction->recipients, job->capacity * sizeof(transaction->recipients[0]));
    job->indices = realloc(job->indices, job->capacity * sizeof(job->indices[0]));
    if (!transaction->recipients || !job->indices)
        abort();
}

void delivery_job_add(struct delivery_job *job, uint32_t index)
{
    size_t at = job->transaction.recipient_count;
    if (at == job->capacity)
        grow(job);
    job->transaction.recipients[at] = (struct smtp_transaction_recipient){0};
    job->indices[at] = index;
    job->transaction.recipient_count++;
    job->message->recipients[index].in_delivery = true;
}

bool delivery_job_is_full(const struct delivery_job *job)
{
    return job->transaction.recipient_count >= DELIVERY_JOB_RECIPIENTS;
}

/* --- what is sent --- */

static long read_body(void *source, uint64_t offset, void *data, size_t length, struct error *error)
{
    struct delivery_job *job = source;
    return queue_read_body(job->delivery->mta->queue, job->message, offset, data, length, error);
}

/* Bytes of the piece that belong to the header: up to an empty line. `*last` are the bytes before
 * the piece that matter. */
static size_t header_part(const char *piece, size_t length, bool *line_empty, bool *over)
{
    for (size_t i = 0; i < length; i++) {
        if (piece[i] == '\n' && *line_empty) {
            *over = true;
            return i;
        }
        if (piece[i] != '\r')
            *line_empty = piece[i] == '\n';
    }
    return length;
}

static bool header_is_ascii(struct delivery_job *job)
{
    char piece[HEADER_PIECE];
    bool line_empty = true, over = false;
    for (uint64_t offset = 0; offset < HEADER_LIMIT && !over; offset += sizeof(piece)) {
        long count = read_body(job, offset, piece, sizeof(piece), NULL);
        if (count <= 0)
            return count == 0;
        if (!utf8_is_ascii(piece, header_part(piece, (size_t)count, &line_empty, &over)))
            return false;
    }
    return true;
}

static bool addresses_are_ascii(const struct smtp_transaction *transaction)
{
    if (!utf8_is_ascii(transaction->sender, strlen(transaction->sender)))
        return false;
    for (size_t i = 0; i < transaction->recipient_count; i++)
        if (!utf8_is_ascii(transaction->recipients[i].address,
                           strlen(transaction->recipients[i].address)))
            return false;
    return true;
}

/* Text that goes into a command as an argument. */
static const char *argument(const char *text, bool utf8)
{
    for (const char *at = text; text && *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f || (!utf8 && (unsigned char)*at >= 0x80))
            return NULL;
    return text;
}

/* Recipients that an administrator took out of the message meanwhile need no transaction. */
static void keep_queued(struct delivery_job *job)
{
    struct smtp_transaction *transaction = &job->transaction;
    size_t kept = 0;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        struct queue_recipient *recipient = &job->message->recipients[job->indices[i]];
        if (recipient->state == QUEUE_RECIPIENT_QUEUED)
            job->indices[kept++] = job->indices[i];
        else
            recipient->in_delivery = false;
    }
    transaction->recipient_count = kept;
}

static void fill_recipients(struct delivery_job *job, bool utf8)
{
    for (size_t i = 0; i < job->transaction.recipient_count; i++) {
        const struct queue_recipient *from = &job->message->recipients[job->indices[i]];
        struct smtp_transaction_recipient *to = &job->transaction.recipients[i];
        *to = (struct smtp_transaction_recipient){.address = from->address,
                                                  .original = argument(from->original, utf8),
                                                  .notify = from->notify};
    }
}

/* Bounces of mail that local users send shall be known (bounce_protection.h); what reports tell the
 * sender stays as it was. */
static const char *sender_of(struct delivery_job *job)
{
    const struct queue_message *message = job->message;
    bool tagged = message->direction == QUEUE_OUTBOUND &&
                  bounce_tag(delivery_config(job->delivery), message->sender, timestamp_now_ms(),
                             job->tagged_sender);
    return tagged ? job->tagged_sender : message->sender;
}

bool delivery_job_prepare(struct delivery_job *job)
{
    struct queue_message *message = job->message;
    struct smtp_transaction *transaction = &job->transaction;
    if (!message || message->removed || (message->flags & QUEUE_FLAG_HELD) ||
        queue_is_paused(job->delivery->mta->queue, message->direction))
        return false;
    keep_queued(job);
    if (transaction->recipient_count == 0)
        return false;
    transaction->utf8 = message->flags & QUEUE_FLAG_SMTPUTF8;
    fill_recipients(job, transaction->utf8);
    transaction->sender = sender_of(job);
    transaction->envelope_id = argument(message->envelope_id, false);
    transaction->return_full = message->flags & QUEUE_FLAG_RET_FULL;
    transaction->return_headers = message->flags & QUEUE_FLAG_RET_HDRS;
    transaction->eight_bit = message->flags & QUEUE_FLAG_8BITMIME;
    transaction->require_tls = message->flags & QUEUE_FLAG_REQUIRE_TLS;
    transaction->prefix = message->extra_header;
    transaction->body_length = message->body_length;
    transaction->size =
        message->body_length + (message->extra_header ? strlen(message->extra_header) : 0);
    transaction->read = read_body;
    transaction->source = job;
    transaction->utf8_needed =
        !addresses_are_ascii(transaction) || (transaction->utf8 && !header_is_ascii(job));
    job->begun = true;
    return true;
}

/* --- ends --- */

static bool is_overflow(const struct smtp_transaction_recipient *recipient)
{
    return recipient->code == 452 && !recipient->accepted;
}

struct delivery_job *delivery_job_split_overflow(struct delivery_job *job)
{
    struct smtp_transaction *transaction = &job->transaction;
    size_t delivered = 0, overflow = 0, kept = 0;
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        delivered += transaction->recipients[i].code / 100 == 2;
        overflow += is_overflow(&transaction->recipients[i]);
    }
    /* Each further transaction delivers to some, so this comes to an end. */
    if (delivered == 0 || overflow == 0)
        return NULL;
    struct delivery_job *other = delivery_job_new(job->delivery, job->message);
    for (size_t i = 0; i < transaction->recipient_count; i++) {
        if (is_overflow(&transaction->recipients[i])) {
            delivery_job_add(other, job->indices[i]);
            free(transaction->recipients[i].reply);
            continue;
        }
        transaction->recipients[kept] = transaction->recipients[i];
        job->indices[kept++] = job->indices[i];
    }
    transaction->recipient_count = kept;
    return other;
}

void delivery_job_set_replies(struct delivery_job *job, int code, const char *reply)
{
    for (size_t i = 0; i < job->transaction.recipient_count; i++) {
        struct smtp_transaction_recipient *recipient = &job->transaction.recipients[i];
        if (recipient->code != 0)
            continue;
        recipient->code = code;
        recipient->reply = strdup(reply);
    }
}

void delivery_job_withdraw(struct delivery_job *job)
{
    struct queue_message *message = job->message;
    for (size_t i = 0; i < job->transaction.recipient_count; i++) {
        message->recipients[job->indices[i]].in_delivery = false;
        free(job->transaction.recipients[i].reply);
    }
    job->transaction.recipient_count = 0;
    *job->message_link = job->message_next;
    if (job->message_next)
        job->message_next->message_link = job->message_link;
    job->message = NULL;
    queue_release_busy(job->delivery->mta->queue, message);
}

void delivery_job_end(struct delivery_job *job)
{
    if (job->message)
        delivery_job_withdraw(job);
    free(job->transaction.recipients);
    free(job->indices);
    free(job);
}

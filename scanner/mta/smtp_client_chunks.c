/* The content of a message in chunks (BDAT, RFC 3030): no dots are doubled, and a message of one
 * chunk goes with its commands in one group where the peer has PIPELINING. */
#include "scanner/mta/smtp_client_private.h"

#include <string.h>

#define CHUNK_BYTES (256u << 10)
#define PIECE_BYTES (64u << 10)

/* A chunk that goes before the recipients are known to be taken is sent in vain where none is. */
static bool is_short(const struct smtp_client *client)
{
    return client->transaction->size <= PIECE_BYTES;
}

void smtp_chunks_start(struct smtp_client *client)
{
    client->content.chunked = true;
    client->chunks_sent = client->chunks_replied = 0;
}

bool smtp_chunks_has_content(const struct smtp_client *client)
{
    if (client->sent.step != STEP_CHUNKS)
        return false;
    if (client->replied.step == STEP_CHUNKS)
        return client->extensions.pipelining || client->chunks_sent == client->chunks_replied;
    return client->extensions.pipelining && client->chunks_sent == 0 && is_short(client);
}

/* Fills `chunk` up to CHUNK_BYTES or the end; false where the message cannot be read. */
static bool fill(struct smtp_client *client, struct buffer *chunk, bool *last, struct error *error)
{
    char piece[PIECE_BYTES];
    struct smtp_transaction *transaction = client->transaction;
    if (!client->prefix_sent && transaction->prefix)
        smtp_content_add(&client->content, transaction->prefix, strlen(transaction->prefix), chunk);
    client->prefix_sent = true;
    while (!*last && chunk->length < CHUNK_BYTES) {
        long count = transaction->read(transaction->source, client->body_offset, piece,
                                       sizeof(piece), error);
        if (count < 0)
            return false;
        smtp_content_add(&client->content, piece, (size_t)count, chunk);
        client->body_offset += (uint64_t)count;
        *last = count == 0 || client->body_offset >= transaction->body_length;
    }
    if (*last)
        smtp_content_end(&client->content, chunk);
    return !chunk->failed || error_set(error, ERROR_INTERNAL, NULL, "no memory for a delivery");
}

void smtp_chunks_feed(struct smtp_client *client)
{
    struct buffer chunk = BUFFER_INIT;
    struct error error = {0};
    bool last = false;
    if (!fill(client, &chunk, &last, &error)) {
        buffer_free(&chunk);
        smtp_client_end(client, SMTP_CLIENT_LOCAL, 0, error.message);
        return;
    }
    buffer_add_format(&client->stream.output, "BDAT %zu%s\r\n", chunk.length, last ? " LAST" : "");
    buffer_add(&client->stream.output, buffer_text(&chunk), chunk.length);
    buffer_free(&chunk);
    client->chunks_sent++;
    if (last) {
        client->transaction->content_sent = true;
        client->sent.step = STEP_END;
    }
}

void smtp_chunks_reply(struct smtp_client *client)
{
    const struct smtp_reply *reply = &client->reply;
    bool good = reply->code / 100 == 2;
    client->chunks_replied++;
    bool nothing_waits = smtp_stream_waiting(&client->stream) == 0;
    bool none_under_way = client->chunks_sent == client->chunks_replied && nothing_waits;
    bool over = client->transaction->content_sent && client->chunks_sent == client->chunks_replied;
    if (reply->code / 100 == 3 || (good && over && !nothing_waits)) {
        smtp_transaction_end_unexpected(client);
    } else if (!smtp_transaction_any_accepted(client->transaction)) {
        smtp_transaction_end_refused(client, good);
    } else if (!good || over) {
        smtp_transaction_set_accepted(client->transaction, reply->code, reply->text);
        if (none_under_way)
            smtp_transaction_finish(client, !over || !good);
        else /* refused in the middle: what was not answered cannot be taken back */
            smtp_client_end(client, SMTP_CLIENT_REFUSED, reply->code, reply->text);
    }
}

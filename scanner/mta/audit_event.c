#include "scanner/mta/audit_event.h"

#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#define USUAL_BYTES 400 /* of an event; so much is reserved at once */
#define TEXT_LIMIT 4000 /* bytes of one value; what the Control Center keeps is shorter */

static const char *const direction_names[] = {
    [QUEUE_INBOUND] = "inbound", [QUEUE_OUTBOUND] = "outbound", [QUEUE_INTERNAL] = "internal"};

/* --- writing: by hand, since several of these are made for every message --- */

static void add(struct buffer *out, const char *text)
{
    buffer_add_text(out, text);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static void add_escaped(struct buffer *out, const char *text, size_t length)
{
    size_t from = 0;
    for (size_t at = 0; at < length; at++) {
        unsigned char c = (unsigned char)text[at];
        if (is_plain(c))
            continue;
        buffer_add(out, text + from, at - from);
        buffer_add_format(out, "\\u%04x", c);
        from = at + 1;
    }
    buffer_add(out, text + from, length - from);
}

static void line_breaks_to_spaces(char *text, size_t length)
{
    for (size_t at = 0; at < length; at++)
        if (text[at] == '\r' || text[at] == '\n' || text[at] == '\t')
            text[at] = ' ';
}

static void add_string(struct buffer *out, const char *text)
{
    char clean[TEXT_LIMIT];
    size_t length = strnlen(text, sizeof(clean));
    memcpy(clean, text, length);
    line_breaks_to_spaces(clean, length);
    length = utf8_scrub(clean, length);
    add(out, "\"");
    add_escaped(out, clean, length);
    add(out, "\"");
}

static void add_name(struct buffer *out, const char *name)
{
    add(out, ",\"");
    add(out, name);
    add(out, "\":");
}

static void add_text_member(struct buffer *out, const char *name, const char *text)
{
    add_name(out, name);
    if (text)
        add_string(out, text);
    else
        add(out, "null");
}

static void add_number_member(struct buffer *out, const char *name, uint64_t number)
{
    char digits[20], *at = digits + sizeof(digits);
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    add_name(out, name);
    buffer_add(out, at, (size_t)(digits + sizeof(digits) - at));
}

static void begin(struct buffer *out, const char *type, const struct message_id *id)
{
    char at[TIMESTAMP_TEXT_SIZE], text[MESSAGE_ID_TEXT_SIZE];
    buffer_reserve(out, USUAL_BYTES);
    add(out, "{\"at\":\"");
    add(out, timestamp_text(timestamp_now_ms(), at));
    add(out, "\",\"type\":\"");
    add(out, type);
    add(out, "\",\"id\":\"");
    add(out, message_id_text(id, text));
    add(out, "\"");
}

static void end(struct buffer *out)
{
    add(out, "}\n");
}

/* --- transactions --- */

static void add_recipients(struct buffer *out, const struct audit_envelope *envelope)
{
    add(out, ",\"recipients\":[");
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        if (i > 0)
            add(out, ",");
        add_string(out, envelope->recipients[i].address);
    }
    add(out, "]");
}

static void add_transaction(struct buffer *out, const char *type, const struct message_id *id,
                            const struct transaction *transaction,
                            const struct audit_envelope *envelope)
{
    char ip[IP_TEXT_SIZE];
    begin(out, type, id);
    add_text_member(out, "direction", direction_names[transaction->direction]);
    bool from_peer =
        transaction->direction != QUEUE_INTERNAL && strcmp(transaction->protocol, "internal") != 0;
    if (from_peer) {
        add_text_member(out, "peer_ip", ip_text(&transaction->peer, ip));
        add_number_member(out, "peer_port", transaction->peer_port);
    }
    add_text_member(out, "helo", transaction->helo);
    add_text_member(out, "protocol", transaction->protocol);
    add_text_member(out, "tls", transaction->tls);
    if (transaction->user)
        add_text_member(out, "user", transaction->user);
    add_text_member(out, "sender", envelope->sender);
    add_recipients(out, envelope);
    add_number_member(out, "size", envelope->size);
}

void audit_received(struct buffer *out, const struct message_id *id,
                    const struct transaction *transaction, const struct audit_envelope *envelope)
{
    add_transaction(out, "received", id, transaction, envelope);
    end(out);
}

void audit_aborted(struct buffer *out, const struct message_id *id,
                   const struct transaction *transaction, const struct audit_envelope *envelope)
{
    add_transaction(out, "aborted", id, transaction, envelope);
    end(out);
}

void audit_refused(struct buffer *out, const struct message_id *id,
                   const struct transaction *transaction, const struct audit_envelope *envelope,
                   const char *reply)
{
    add_transaction(out, "refused", id, transaction, envelope);
    add_text_member(out, "reply", reply);
    end(out);
}

/* --- verdicts and actions --- */

void audit_scanned(struct buffer *out, const struct message_id *id, const json_t *result)
{
    static const char *const texts[] = {"verdict", "reason", "subject", "from", "message_id"};
    static const char *const numbers[] = {"parts", "elapsed_us"};
    const json_t *threats = json_object_get(result, "threats");
    begin(out, "scanned", id);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        add_text_member(out, texts[i], json_string_value(json_object_get(result, texts[i])));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        json_int_t number = json_integer_value(json_object_get(result, numbers[i]));
        add_number_member(out, numbers[i], number > 0 ? (uint64_t)number : 0);
    }
    char *list = json_is_array(threats) ? json_dumps(threats, JSON_COMPACT) : NULL;
    add(out, ",\"threats\":");
    add(out, list ? list : "[]");
    free(list);
    end(out);
}

static void add_indices(struct buffer *out, const uint32_t *recipients, size_t count)
{
    add(out, ",\"recipients\":[");
    for (size_t i = 0; i < count; i++)
        buffer_add_format(out, "%s%zu", i > 0 ? "," : "", recipients ? (size_t)recipients[i] : i);
    add(out, "]");
}

void audit_action(struct buffer *out, const struct message_id *id, const char *action,
                  const char *policy, const uint32_t *recipients, size_t count, const char *detail)
{
    begin(out, "action", id);
    add_text_member(out, "action", action);
    add_text_member(out, "policy", policy);
    add_indices(out, recipients, count);
    add_text_member(out, "detail", detail);
    end(out);
}

void audit_queue(struct buffer *out, const struct message_id *id, const char *action,
                 const char *administrator, const uint32_t *recipients, size_t count,
                 const char *route)
{
    begin(out, "queue", id);
    add_text_member(out, "action", action);
    add_text_member(out, "administrator", administrator);
    add_indices(out, recipients, count);
    if (route)
        add_text_member(out, "route", route);
    end(out);
}

void audit_members(struct buffer *out, const struct message_id *id, const char *type,
                   const json_t *members)
{
    char *text = json_dumps(members, JSON_COMPACT);
    if (!text)
        abort();
    begin(out, type, id);
    if (strlen(text) > 2) { /* {} has none */
        add(out, ",");
        buffer_add(out, text + 1, strlen(text) - 2);
    }
    free(text);
    end(out);
}

/* --- delivery --- */

static void add_recipient(struct buffer *out, uint32_t recipient, const char *address)
{
    add_number_member(out, "recipient", recipient);
    add_text_member(out, "address", address);
}

void audit_delivery(struct buffer *out, const struct message_id *id,
                    const struct audit_delivery *delivery)
{
    char next[TIMESTAMP_TEXT_SIZE];
    begin(out, "delivery", id);
    add_recipient(out, delivery->recipient, delivery->address);
    add_number_member(out, "attempt", delivery->attempt);
    add_text_member(out, "outcome", delivery->outcome);
    add_text_member(out, "host", delivery->host);
    add_text_member(out, "ip", delivery->ip);
    if (delivery->port > 0)
        add_number_member(out, "port", delivery->port);
    add_text_member(out, "reply", delivery->reply);
    add_text_member(out, "tls", delivery->tls);
    add_text_member(out, "security", delivery->security);
    if (delivery->next_attempt > 0)
        add_text_member(out, "next_attempt", timestamp_text(delivery->next_attempt, next));
    end(out);
}

void audit_bounced(struct buffer *out, const struct message_id *id, uint32_t recipient,
                   const char *address, const char *reply, const struct message_id *dsn)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    begin(out, "bounced", id);
    add_recipient(out, recipient, address);
    add_text_member(out, "reply", reply);
    add_text_member(out, "dsn", dsn ? message_id_text(dsn, text) : NULL);
    end(out);
}

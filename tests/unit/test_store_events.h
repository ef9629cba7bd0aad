/* Audit events as a scanner makes them. */
#ifndef GATEHOUSE_TESTS_TEST_STORE_EVENTS_H
#define GATEHOUSE_TESTS_TEST_STORE_EVENTS_H

#include "test_store_scene.h"

#define SCANNER "0190a0b0-0000-7000-8000-00000000000a"
#define OTHER_SCANNER "0190a0b0-0000-7000-8000-00000000000b"

/* A batch that is being made: each event takes the next seq. */
struct batch {
    json_t *events;
    int64_t seq; /* of the last one */
};

/* The identifier of a message of that time. */
static inline void id_at(int64_t milliseconds, char id[37])
{
    struct message_id made = message_id_new();
    for (int i = 0; i < 6; i++)
        made.bytes[i] = (uint8_t)(milliseconds >> (40 - 8 * i));
    message_id_text(&made, id);
}

static inline void new_id(char id[37])
{
    id_at(timestamp_now_ms(), id);
}

/* Adds an event with the members of `more`, which it takes over. Returns it, borrowed. */
static inline json_t *add(struct batch *batch, const char *type, const char *id, json_t *more)
{
    char at[TIMESTAMP_TEXT_SIZE];
    json_t *event = json_pack("{s:I,s:s,s:s,s:s}", "seq", (json_int_t)++batch->seq, "at",
                              timestamp_text(timestamp_now_ms(), at), "type", type, "id", id);
    if (!batch->events)
        batch->events = json_array();
    if (more)
        json_object_update(event, more);
    json_decref(more);
    json_array_append_new(batch->events, event);
    return event;
}

static inline json_t *received_members(const char *sender, const char *first, const char *second)
{
    json_t *members =
        json_pack("{s:s,s:s,s:i,s:s,s:s,s:n,s:s,s:[s],s:i}", "direction", "inbound", "peer_ip",
                  "192.0.2.1", "peer_port", 40000, "helo", "client.example", "protocol", "ESMTP",
                  "tls", "sender", sender, "recipients", first, "size", 1234);
    if (second)
        json_array_append_new(json_object_get(members, "recipients"), json_string(second));
    return members;
}

static inline void add_received(struct batch *batch, const char *id, const char *sender,
                                const char *first, const char *second)
{
    add(batch, "received", id, received_members(sender, first, second));
}

static inline void add_scanned(struct batch *batch, const char *id, const char *verdict,
                               const char *subject)
{
    add(batch, "scanned", id,
        json_pack("{s:s,s:[],s:s,s:s,s:s,s:s,s:i,s:i}", "verdict", verdict, "threats", "reason", "",
                  "subject", subject, "from", "\"A\" <a@example.org>", "message_id",
                  "<1@example.org>", "parts", 2, "elapsed_us", 900));
}

static inline void add_action(struct batch *batch, const char *id, const char *action, int first,
                              int second)
{
    json_t *members = json_pack("{s:s,s:s,s:[i],s:n}", "action", action, "policy", "malware.virus",
                                "recipients", first, "detail");
    if (second >= 0)
        json_array_append_new(json_object_get(members, "recipients"), json_integer(second));
    add(batch, "action", id, members);
}

static inline void add_delivery(struct batch *batch, const char *id, int recipient,
                                const char *address, const char *outcome, const char *reply)
{
    char next[TIMESTAMP_TEXT_SIZE];
    json_t *members =
        json_pack("{s:i,s:s,s:i,s:s,s:s,s:s,s:i,s:s,s:s}", "recipient", recipient, "address",
                  address, "attempt", 1, "outcome", outcome, "host", "mx.example.com", "ip",
                  "198.51.100.7", "port", 25, "reply", reply, "tls", "TLSv1.3");
    if (strcmp(outcome, "deferred") == 0)
        json_object_set_new(members, "next_attempt",
                            json_string(timestamp_text(timestamp_now_ms() + 300000, next)));
    add(batch, "delivery", id, members);
}

/* Writes the batch, which is empty afterwards; returns the position. */
static inline int64_t write_batch(struct store *store, const char *stream, struct batch *batch)
{
    int64_t last = -1;
    ok(store_audit_write(store, SCANNER, stream, batch->events, &last, &error));
    json_decref(batch->events);
    batch->events = NULL;
    return last;
}

static inline void drop_batch(struct batch *batch)
{
    json_decref(batch->events);
    batch->events = NULL;
}

static inline const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "(none)";
}

static inline json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static inline json_t *message_of(struct scene *scene, const char *id)
{
    struct error problem = {0};
    json_t *whole = store_audit_message(scene->store, id, &problem);
    if (!whole)
        fail_msg("%s: %s", problem.where, problem.message);
    return whole;
}

static inline const char *state_of(const json_t *whole, size_t recipient)
{
    return text_of(json_array_get(json_object_get(whole, "recipients"), recipient), "state");
}

static inline void assert_state(struct scene *scene, const char *id, size_t recipient,
                                const char *state)
{
    cleanup_json json_t *whole = message_of(scene, id);
    assert_string_equal(state_of(whole, recipient), state);
}

static inline int64_t position_of(struct scene *scene, const char *stream)
{
    int64_t last = -1;
    ok(store_audit_position(scene->store, SCANNER, stream, &last, &error));
    return last;
}

static inline void add_many(struct batch *batch, int count)
{
    char id[37];
    for (int i = 0; i < count; i++) {
        new_id(id);
        add_received(batch, id, "a@example.org", "b@example.com", NULL);
    }
}

struct sender {
    struct store *store;
    const char *stream;
    const json_t *events;
    int refused;
    pthread_t thread;
};

/* Sends the events from the position on, in pieces of 7, as an agent does. */
static inline void *send_all(void *argument)
{
    struct sender *sender = argument;
    int64_t position = 0, size = (int64_t)json_array_size(sender->events);
    while (position < size) {
        cleanup_json json_t *piece = json_array();
        for (int64_t i = position; i < position + 7 && i < size; i++)
            json_array_append_new(piece, json_copy(json_array_get(sender->events, (size_t)i)));
        if (!store_audit_write(sender->store, SCANNER, sender->stream, piece, &position, NULL)) {
            sender->refused++;
            usleep(20000);
            if (sender->refused > 500)
                break;
        }
    }
    return NULL;
}

#endif

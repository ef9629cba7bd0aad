/* run/mta.sock: messages that the Control Center takes, and those that it submits. */
#include "test_mta_line.h"

#include <sodium.h>

#define INFO "{\"kind\":\"incident\",\"folder\":\"legal\"}"
#define LARGE (3u << 20)

/* --- asking --- */

static json_t *ask(struct line *line, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    struct buffer out = BUFFER_INIT;
    add_request(&out, text);
    for (size_t at = 0; at < out.length;) {
        ssize_t count = send(line->fd, out.data + at, out.length - at, MSG_DONTWAIT);
        assert_true(count > 0 || errno == EAGAIN);
        at += count > 0 ? (size_t)count : 0;
        scene_run(&line->scene, 1);
    }
    buffer_free(&out);
    free(text);
    json_decref(request);
    return hear(line);
}

static json_t *good(json_t *reply)
{
    if (!json_is_true(json_object_get(reply, "ok")))
        fail_msg("%s", json_dumps(reply, 0));
    return reply;
}

static void refused(json_t *reply, const char *part)
{
    const char *text = json_string_value(json_object_get(reply, "error"));
    if (!text || !strstr(text, part))
        fail_msg("%s", json_dumps(reply, 0));
    json_decref(reply);
}

static json_t *ask_of(struct line *line, const char *op, const char *id)
{
    return ask(line, json_pack("{s:s,s:s}", "op", op, "id", id));
}

/* --- handing over --- */

static char *large_body(void)
{
    char *body = malloc(LARGE + 1);
    for (size_t i = 0; i < LARGE; i++)
        body[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : (char)('a' + i * 7 % 26);
    memcpy(body + LARGE - 2, "\r\n", 3);
    return body;
}

static void on_accepted(void *argument, enum error_code result)
{
    unsigned *accepted = argument;
    assert_int_equal(result, ERROR_NONE);
    ++*accepted;
}

static struct message_id wait_for_handover(struct line *line, const char *body)
{
    struct queue_draft_recipient recipients[] = {{.address = "a@relay.example"},
                                                 {.address = "b@relay.example"}};
    unsigned accepted = 0;
    struct queue_draft draft = {.id = message_id_new(),
                                .state = QUEUE_TO_BE_HANDED_OVER,
                                .sender = "from@sender.example",
                                .extra_header = INFO,
                                .recipients = recipients,
                                .recipient_count = 2,
                                .large_fd = -1};
    struct message_id id = draft.id;
    if (strlen(body) > QUEUE_LOG_INLINE_LIMIT) {
        struct error error = {0};
        draft.large_fd = queue_log_large_open(queue_log_of(line->scene.mta.queue), &error);
        draft.large_length = strlen(body);
        assert_int_equal(write(draft.large_fd, body, strlen(body)), strlen(body));
    } else {
        buffer_add_text(&draft.body, body);
    }
    queue_accept(line->scene.mta.queue, &draft, on_accepted, &accepted);
    scene_await_number(&line->scene, &accepted, 1);
    return id;
}

static json_t *list(struct line *line, const char *after, int limit, int wait_ms)
{
    return good(ask(line, json_pack("{s:s,s:s,s:i,s:i}", "op", "handover_list", "after", after,
                                    "limit", limit, "wait_ms", wait_ms)));
}

static void assert_listed(struct line *line, const char *after, const char *const *ids)
{
    cleanup_json json_t *reply = list(line, after, 100, 0);
    const json_t *messages = json_object_get(reply, "messages");
    size_t count = 0;
    for (; ids[count]; count++)
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(messages, count), "id")), ids[count]);
    assert_int_equal(json_array_size(messages), count);
}

static void what_waits_is_listed_in_order_and_taken_once(void **state)
{
    struct line *line = *state;
    char first[MESSAGE_ID_TEXT_SIZE], second[MESSAGE_ID_TEXT_SIZE];
    struct message_id one = wait_for_handover(line, "Subject: one\r\n\r\n1\r\n");
    struct message_id two = wait_for_handover(line, "Subject: two\r\n\r\n2\r\n");
    message_id_text(&one, first);
    message_id_text(&two, second);
    assert_listed(line, "", (const char *[]){first, second, NULL});
    assert_listed(line, first, (const char *[]){second, NULL});
    cleanup_json json_t *reply = list(line, "", 1, 0);
    const json_t *message = json_array_get(json_object_get(reply, "messages"), 0);
    assert_int_equal(json_integer_value(json_object_get(message, "size")), 19);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(message, "info"), "folder")), "legal");
    json_decref(good(ask_of(line, "handover_done", first)));
    json_decref(good(ask_of(line, "handover_done", first)));
    assert_listed(line, first, (const char *[]){second, NULL});
    assert_null(queue_find(line->scene.mta.queue, &one));
    json_decref(good(ask_of(line, "handover_done", second)));
    assert_listed(line, second, (const char *[]){NULL});
}

static void who_waits_for_a_message_gets_it_as_soon_as_it_is_there(void **state)
{
    struct line *line = *state;
    int64_t begun = timestamp_monotonic_ms();
    say(line, (const char *const[]){"{\"op\":\"handover_list\",\"wait_ms\":4000}", NULL});
    scene_run(&line->scene, 50);
    wait_for_handover(line, "Subject: one\r\n\r\n1\r\n");
    cleanup_json json_t *reply = hear(line);
    assert_int_equal(json_array_size(json_object_get(reply, "messages")), 1);
    assert_true(timestamp_monotonic_ms() < begun + 2000);
}

static void who_waits_in_vain_gets_an_empty_list(void **state)
{
    struct line *line = *state;
    int64_t begun = timestamp_monotonic_ms();
    cleanup_json json_t *reply = list(line, "", 10, 200);
    assert_int_equal(json_array_size(json_object_get(reply, "messages")), 0);
    assert_true(timestamp_monotonic_ms() >= begun + 200);
}

static void a_large_message_comes_in_pieces(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE], *body = large_body();
    unsigned char *part = malloc(300000);
    struct message_id sent = wait_for_handover(line, body);
    message_id_text(&sent, id);
    size_t at = 0;
    for (;;) {
        cleanup_json json_t *reply =
            good(ask(line, json_pack("{s:s,s:s,s:I,s:i}", "op", "handover_content", "id", id,
                                     "offset", (json_int_t)at, "length", 300000)));
        const char *data = json_string_value(json_object_get(reply, "data"));
        size_t length;
        assert_int_equal(sodium_base642bin(part, 300000, data, strlen(data), NULL, &length, NULL,
                                           sodium_base64_VARIANT_ORIGINAL),
                         0);
        if (length == 0)
            break;
        assert_memory_equal(part, body + at, length);
        at += length;
    }
    assert_int_equal(at, LARGE);
    free(part);
    free(body);
}

static void only_what_waits_for_a_handover_is_given_out(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    struct message_id sent = scene_send_to(&line->scene, "a@relay.example");
    message_id_text(&sent, id);
    refused(ask(line, json_pack("{s:s,s:s,s:i,s:i}", "op", "handover_content", "id", id, "offset",
                                0, "length", 10)),
            "does not wait");
    refused(ask_of(line, "handover_done", id), "not one to be handed over");
    refused(ask_of(line, "handover_done", "x"), "must be the id");
    assert_non_null(queue_find(line->scene.mta.queue, &sent));
}

static json_t *act(struct line *line, const char *action)
{
    cleanup_json json_t *started =
        good(ask(line, json_pack("{s:s,s:s,s:{},s:s}", "op", "queue_act", "action", action,
                                 "filter", "administrator", "ada")));
    scene_run(&line->scene, 100);
    return good(ask(
        line, json_pack("{s:s,s:O}", "op", "queue_job", "job", json_object_get(started, "job"))));
}

static void an_administrator_can_delete_what_waits_and_nothing_else(void **state)
{
    static const char *const others[] = {"flush", "hold", "release", "bounce"};
    struct line *line = *state;
    struct message_id id = wait_for_handover(line, "Subject: one\r\n\r\n1\r\n");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        cleanup_json json_t *job = act(line, others[i]);
        assert_int_equal(json_integer_value(json_object_get(job, "changed")), 0);
        assert_int_equal(json_integer_value(json_object_get(job, "failed")), 1);
    }
    cleanup_json json_t *found =
        good(ask(line, json_pack("{s:s,s:{s:s,s:s}}", "op", "queue_list", "filter", "state",
                                 "handover", "queue", "delivery")));
    assert_int_equal(json_array_size(json_object_get(found, "messages")), 1);
    cleanup_json json_t *job = act(line, "delete");
    assert_int_equal(json_integer_value(json_object_get(job, "changed")), 1);
    assert_null(queue_find(line->scene.mta.queue, &id));
    assert_listed(line, "", (const char *[]){NULL});
}

/* --- submitting --- */

static json_t *envelope(const char *id)
{
    return json_pack("{s:s,s:s,s:s,s:[s],s:s,s:s,s:s,s:s}", "op", "submit_begin", "id", id,
                     "sender", "from@sender.example", "recipients", "a@relay.example", "direction",
                     "inbound", "header", "X-Released: yes\r\n", "reason", "incident.approve",
                     "administrator", "ada");
}

static json_t *piece(const char *id, size_t offset, const char *data, size_t length)
{
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(size);
    sodium_bin2base64(text, size, (const unsigned char *)data, length,
                      sodium_base64_VARIANT_ORIGINAL);
    json_t *request = json_pack("{s:s,s:s,s:I,s:s}", "op", "submit_data", "id", id, "offset",
                                (json_int_t)offset, "data", text);
    free(text);
    return request;
}

static json_t *end(const char *id, size_t size)
{
    return json_pack("{s:s,s:s,s:I}", "op", "submit_end", "id", id, "size", (json_int_t)size);
}

/* In pieces of at most 1 MiB; true where it was known before. */
static bool submit(struct line *line, const char *id, const char *body)
{
    size_t size = strlen(body);
    cleanup_json json_t *begun = good(ask(line, envelope(id)));
    if (json_is_true(json_object_get(begun, "known")))
        return true;
    for (size_t at = 0; at < size; at += 1u << 20) {
        size_t length = size - at < 1u << 20 ? size - at : 1u << 20;
        json_decref(good(ask(line, piece(id, at, body + at, length))));
    }
    json_decref(good(ask(line, end(id, size))));
    return false;
}

static const char *new_id(char text[MESSAGE_ID_TEXT_SIZE])
{
    struct message_id id = message_id_new();
    return message_id_text(&id, text);
}

static void a_submitted_message_is_delivered_as_it_is_and_told_of(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    line->scene.holding = false;
    assert_false(submit(line, new_id(id), "Subject: one\r\n\r\n.1\r\n"));
    json_t *received = scene_await(&line->scene, "received", 1);
    assert_string_equal(scene_text(received, "protocol"), "internal");
    assert_string_equal(scene_text(received, "id"), id);
    json_t *action = scene_await(&line->scene, "action", 1);
    assert_string_equal(scene_text(action, "action"), "deliver");
    assert_string_equal(scene_text(action, "policy"), "incident.approve");
    assert_string_equal(scene_text(action, "detail"), "ada");
    scene_await(&line->scene, "delivery", 1);
    scene_assert_contains(buffer_text(&line->scene.peer.message),
                          "X-Released: yes\nSubject: one\n\n..1\n");
}

static void the_same_message_submitted_again_is_delivered_once(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    line->scene.holding = false;
    assert_false(submit(line, new_id(id), "Subject: one\r\n\r\n1\r\n"));
    assert_true(submit(line, id, "Subject: one\r\n\r\n1\r\n"));
    scene_await(&line->scene, "delivery", 1);
    assert_true(submit(line, id, "Subject: one\r\n\r\n1\r\n"));
    json_decref(good(ask(line, end(id, 1))));
    scene_run(&line->scene, 100);
    assert_int_equal(scene_count(&line->scene, "received"), 1);
    assert_int_equal(scene_count(&line->scene, "delivery"), 1);
}

static void a_large_message_may_be_submitted_in_pieces(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE], *body = large_body();
    struct message_id parsed;
    struct error error = {0};
    assert_false(submit(line, new_id(id), body));
    message_id_parse(id, &parsed);
    struct queue_message *message = queue_find(line->scene.mta.queue, &parsed);
    assert_non_null(message);
    assert_int_equal(message->body_length, LARGE);
    char *read = malloc(LARGE);
    for (size_t at = 0; at < LARGE;) {
        long count =
            queue_read_body(line->scene.mta.queue, message, at, read + at, LARGE - at, &error);
        assert_true(count > 0);
        at += (size_t)count;
    }
    assert_memory_equal(read, body, LARGE);
    free(read);
    free(body);
}

static void a_piece_out_of_place_is_refused_and_the_message_may_begin_anew(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    json_decref(good(ask(line, envelope(new_id(id)))));
    json_decref(good(ask(line, piece(id, 0, "Subject: x", 10))));
    refused(ask(line, piece(id, 0, "Subject: x", 10)), "10 bytes so far");
    refused(ask(line, piece(id, 11, "y", 1)), "10 bytes so far");
    json_decref(good(ask(line, envelope(id))));
    json_decref(good(ask(line, piece(id, 0, "Subject: y\r\n\r\n", 14))));
    refused(ask(line, end(id, 13)), "14 bytes came");
    refused(ask(line, end(id, 14)), "not begun");
    assert_int_equal(queue_count(line->scene.mta.queue).delivery, 0);
}

static void content_that_mail_may_not_have_is_refused(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    json_decref(good(ask(line, envelope(new_id(id)))));
    refused(ask(line, piece(id, 0, "Subject: x\n.\n", 13)), "5");
    refused(ask(line, end(id, 13)), "5");
    assert_int_equal(queue_count(line->scene.mta.queue).delivery, 0);
}

static void envelopes_that_break_a_rule_are_refused_with_the_member(void **state)
{
    static const char *const wrong[][3] = {
        {"sender", "\"no address\"", "sender"},
        {"recipients", "[]", "recipients"},
        {"recipients", "[\"a@relay.example\", 7]", "recipients"},
        {"direction", "\"sideways\"", "direction"},
        {"flags", "[\"fast\"]", "flags"},
        {"header", "\"X-A: 1\"", "header"},
        {"header", "\"X-A: 1\\r\\n\\r\\nbody\"", "header"},
        {"header", "\" folded: 1\\r\\n\"", "header"},
        {"header", "\"X-A: 1\\nX-B: 2\\r\\n\"", "header"},
        {"route", "\"no such: route\"", "route"},
        {"id", "\"x\"", "id"},
    };
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        json_t *request = envelope(new_id(id));
        json_object_set_new(request, wrong[i][0], json_loads(wrong[i][1], JSON_DECODE_ANY, NULL));
        refused(ask(line, request), wrong[i][2]);
    }
}

static void only_so_many_messages_are_submitted_at_once(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    for (int i = 0; i < 16; i++)
        json_decref(good(ask(line, envelope(new_id(id)))));
    json_decref(good(ask(line, envelope(id)))); /* begins anew: not one more */
    refused(ask(line, envelope(new_id(id))), "16 messages");
}

/* Who goes away while its message is written takes nothing along. */
static void a_client_may_go_while_its_message_is_stored(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE], path[128], *text;
    struct error error = {0};
    json_decref(good(ask(line, envelope(new_id(id)))));
    json_decref(good(ask(line, piece(id, 0, "Subject: y\r\n\r\n", 14))));
    cleanup_json json_t *request = end(id, 14);
    text = json_dumps(request, JSON_COMPACT);
    say(line, (const char *const[]){text, NULL});
    free(text);
    close(line->fd);
    scene_run(&line->scene, 100);
    snprintf(path, sizeof(path), "%s/mta.sock", line->scene.folder);
    line->fd = ipc_connect(path, SOCK_STREAM, &error);
    cleanup_json json_t *begun = good(ask(line, envelope(id)));
    assert_true(json_is_true(json_object_get(begun, "known")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_waits_is_listed_in_order_and_taken_once),
        TEST(who_waits_for_a_message_gets_it_as_soon_as_it_is_there),
        TEST(who_waits_in_vain_gets_an_empty_list),
        TEST(a_large_message_comes_in_pieces),
        TEST(only_what_waits_for_a_handover_is_given_out),
        TEST(an_administrator_can_delete_what_waits_and_nothing_else),
        TEST(a_submitted_message_is_delivered_as_it_is_and_told_of),
        TEST(the_same_message_submitted_again_is_delivered_once),
        TEST(a_large_message_may_be_submitted_in_pieces),
        TEST(a_piece_out_of_place_is_refused_and_the_message_may_begin_anew),
        TEST(content_that_mail_may_not_have_is_refused),
        TEST(envelopes_that_break_a_rule_are_refused_with_the_member),
        TEST(only_so_many_messages_are_submitted_at_once),
        TEST(a_client_may_go_while_its_message_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

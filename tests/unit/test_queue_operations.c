/* What administrators see of the queue and do to it, over a real queue and delivery. */
#include "test_delivery_scene.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/mta/queue_list.h"
#include "scanner/mta/queue_operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUTE_SIZE 64

/* --- asking --- */

struct desk {
    struct scene scene;
    struct queue_operations *operations;
    json_t *list; /* that came last */
};

static json_t *parse(const char *text, size_t length)
{
    struct error error = {0};
    json_t *value = json_parse(text, length, NULL, &error);
    if (!value)
        fail_msg("%s in %s", error.message, text);
    return value;
}

static void on_list(void *argument, const char *text, size_t length)
{
    struct desk *desk = argument;
    desk->list = parse(text, length);
}

static json_t *request(const char *format, ...) __attribute__((format(printf, 1, 2)));
static json_t *request(const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return parse(text, strlen(text));
}

/* The list for a request; borrowed until the next one. */
static json_t *list(struct desk *desk, const char *filter, const char *after, int limit)
{
    struct error error = {0};
    cleanup_json json_t *asked =
        request("{\"filter\":{%s},\"after\":\"%s\",\"limit\":%d}", filter, after, limit);
    json_decref(desk->list);
    desk->list = NULL;
    if (!queue_list_begin(desk->scene.mta.queue, desk->scene.mta.base, asked, on_list, desk,
                          &error))
        fail_msg("%s: %s", error.where, error.message);
    while (!desk->list)
        event_base_loop(desk->scene.mta.base, EVLOOP_ONCE);
    return json_object_get(desk->list, "messages");
}

static size_t found(struct desk *desk, const char *filter)
{
    return json_array_size(list(desk, filter, "", 1000));
}

static const char *text_of(const json_t *value, const char *member)
{
    const char *text = json_string_value(json_object_get(value, member));
    return text ? text : "";
}

static int64_t number_of(const json_t *value, const char *member)
{
    return json_integer_value(json_object_get(value, member));
}

static json_t *recipient_of(struct desk *desk, const char *filter)
{
    json_t *messages = list(desk, filter, "", 10);
    assert_int_equal(json_array_size(messages), 1);
    return json_array_get(json_object_get(json_array_get(messages, 0), "recipients"), 0);
}

static json_t *job(struct desk *desk, const char *id)
{
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    cleanup_json json_t *asked = request("{\"job\":\"%s\"}", id);
    if (!queue_operations_job(desk->operations, asked, &out, &error))
        fail_msg("%s", error.message);
    json_t *reply = parse(out.data, out.length);
    buffer_free(&out);
    return reply;
}

/* `members` are those of the request beside the administrator. The id of the job, or "" with
 * *error. */
static void start(struct desk *desk, const char *members, char id[MESSAGE_ID_TEXT_SIZE],
                  struct error *error)
{
    struct buffer out = BUFFER_INIT;
    cleanup_json json_t *asked = request("{\"administrator\":\"ada\",%s}", members);
    id[0] = '\0';
    if (queue_operations_act(desk->operations, asked, &out, error)) {
        cleanup_json json_t *reply = parse(out.data, out.length);
        snprintf(id, MESSAGE_ID_TEXT_SIZE, "%s", text_of(reply, "job"));
    }
    buffer_free(&out);
}

/* Waits for the job's end; the caller owns its figures. */
static json_t *await_job(struct desk *desk, const char *id)
{
    int64_t end = timestamp_monotonic_ms() + 60000;
    for (;;) {
        json_t *reply = job(desk, id);
        if (json_is_true(json_object_get(reply, "done")))
            return reply;
        if (timestamp_monotonic_ms() > end)
            fail_msg("the job does not end: %s", json_dumps(reply, 0));
        json_decref(reply);
        scene_run(&desk->scene, 2);
    }
}

static json_t *act(struct desk *desk, const char *members)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    struct error error = {0};
    start(desk, members, id, &error);
    if (!id[0])
        fail_msg("%s: %s", error.where, error.message);
    return await_job(desk, id);
}

static void assert_figures(json_t *reply, int64_t matched, int64_t changed, int64_t failed)
{
    assert_int_equal(number_of(reply, "matched"), matched);
    assert_int_equal(number_of(reply, "changed"), changed);
    assert_int_equal(number_of(reply, "failed"), failed);
    json_decref(reply);
}

static void refuse(struct desk *desk, const char *members, enum error_code code)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    struct error error = {0};
    start(desk, members, id, &error);
    assert_string_equal(id, "");
    assert_int_equal(error.code, code);
}

/* --- the scene --- */

static const struct scene_options retry_late = {.delivery = "\"retry_seconds\":[3600]"};

static int open_desk(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    scene_open(&desk->scene, &retry_late);
    desk->operations = queue_operations_new(&desk->scene.mta);
    *state = desk;
    return 0;
}

static int close_desk(void **state)
{
    struct desk *desk = *state;
    queue_operations_free(desk->operations);
    json_decref(desk->list);
    scene_close(&desk->scene);
    free(desk);
    return 0;
}

static void restart(struct desk *desk)
{
    queue_operations_free(desk->operations);
    scene_restart(&desk->scene, &retry_late);
    desk->operations = queue_operations_new(&desk->scene.mta);
}

/* Queues a message whose first attempt is over. */
static struct message_id defer(struct desk *desk, const char *recipient)
{
    size_t before = scene_count_outcome(&desk->scene, "deferred");
    desk->scene.peer.rcpt = "451 4.2.0 later\r\n";
    struct message_id id = scene_send_to(&desk->scene, recipient);
    scene_await(&desk->scene, "delivery", before + 1);
    desk->scene.peer.rcpt = NULL;
    return id;
}

static const json_t *last_event(struct desk *desk, const char *type)
{
    size_t count = scene_count(&desk->scene, type);
    return scene_await(&desk->scene, type, count ? count : 1);
}

/* --- lists --- */

static void lists_in_order_of_the_ids_page_by_page(void **state)
{
    struct desk *desk = *state;
    char after[MESSAGE_ID_TEXT_SIZE] = "";
    desk->scene.holding = true;
    scene_send_many(&desk->scene, "a@relay.example", 250);
    size_t count = 0;
    bool more = true;
    while (more) {
        json_t *messages = list(desk, "", after, 40);
        size_t index;
        json_t *message;
        json_array_foreach(messages, index, message)
        {
            assert_true(strcmp(text_of(message, "id"), after) > 0);
            snprintf(after, sizeof(after), "%s", text_of(message, "id"));
            count++;
        }
        more = json_is_true(json_object_get(desk->list, "more"));
        assert_true(more == (count < 250));
    }
    assert_int_equal(count, 250);
    assert_int_equal(json_array_size(list(desk, "", after, 40)), 0);
}

static void finds_by_each_condition(void **state)
{
    struct desk *desk = *state;
    char id[MESSAGE_ID_TEXT_SIZE], filter[128];
    desk->scene.holding = true;
    struct message_id first = scene_send(
        &desk->scene, &(struct scene_message){.sender = "Anna@One.Example",
                                              .recipients = {"x@relay.example", "y@b.example"}});
    scene_send(&desk->scene, &(struct scene_message){.sender = "bert@two.example",
                                                     .recipients = {"z@c.example"}});
    message_id_text(&first, id);
    assert_int_equal(found(desk, ""), 2);
    assert_int_equal(found(desk, "\"sender\":\"anna@one\""), 1);
    assert_int_equal(found(desk, "\"recipient\":\"Y@B\""), 1);
    assert_int_equal(found(desk, "\"domain\":\"B.example\""), 1);
    assert_int_equal(found(desk, "\"domain\":\"example\""), 0);
    assert_int_equal(found(desk, "\"text\":\"two.ex\""), 1);
    assert_int_equal(found(desk, "\"text\":\"y@b\""), 1);
    assert_int_equal(found(desk, "\"recipient\":\"x@relay\",\"domain\":\"b.example\""), 0);
    assert_int_equal(found(desk, "\"queue\":\"delivery\",\"state\":\"waiting\""), 2);
    assert_int_equal(found(desk, "\"queue\":\"inbound\""), 0);
    assert_int_equal(found(desk, "\"state\":\"held\""), 0);
    assert_int_equal(found(desk, "\"sender\":\"\",\"domain\":\"\""), 2);
    snprintf(filter, sizeof(filter), "\"id\":\"%s\"", id);
    assert_int_equal(found(desk, filter), 1);
    assert_string_equal(text_of(json_array_get(json_object_get(desk->list, "messages"), 0), "id"),
                        id);
    snprintf(filter, sizeof(filter), "\"id\":\"%s\",\"sender\":\"bert\"", id);
    assert_int_equal(found(desk, filter), 0);
}

/* A condition with a slip in its name must not let an action loose on everything. */
static void refuses_conditions_that_it_does_not_know(void **state)
{
    struct desk *desk = *state;
    static const char *const wrong[] = {"{\"filter\":{\"sendr\":\"a\"}}",
                                        "{\"filter\":{\"state\":\"lost\"}}",
                                        "{\"filter\":{\"queue\":1}}",
                                        "{\"filter\":{\"id\":\"x\"}}",
                                        "{\"filter\":[]}",
                                        "{\"limit\":1001}",
                                        "{\"limit\":0}",
                                        "{\"after\":\"x\"}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error error = {0};
        cleanup_json json_t *asked = parse(wrong[i], strlen(wrong[i]));
        assert_null(queue_list_begin(desk->scene.mta.queue, desk->scene.mta.base, asked, on_list,
                                     desk, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
    refuse(desk, "\"action\":\"delete\",\"filter\":{\"sendr\":\"a\"}", ERROR_INVALID);
}

static void shows_attempts_and_the_next_one(void **state)
{
    struct desk *desk = *state;
    int64_t next;
    defer(desk, "a@relay.example");
    json_t *recipient = recipient_of(desk, "");
    assert_string_equal(text_of(recipient, "address"), "a@relay.example");
    assert_int_equal(number_of(recipient, "attempts"), 1);
    assert_string_equal(text_of(recipient, "reply"), "451 4.2.0 later");
    assert_true(timestamp_parse(text_of(recipient, "next_attempt"), &next));
    assert_true(next > timestamp_now_ms() + 1000000);
}

static void shows_one_message_with_its_header(void **state)
{
    struct desk *desk = *state;
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    char id[MESSAGE_ID_TEXT_SIZE];
    desk->scene.holding = true;
    struct message_id sent = scene_send(
        &desk->scene, &(struct scene_message){
                          .recipients = {"x@relay.example", "y@relay.example"},
                          .body = "Subject: caf\xe9\r\n\tfolded\r\nX: \x01\r\n\r\nsecret\r\n"});
    cleanup_json json_t *asked = request("{\"id\":\"%s\"}", message_id_text(&sent, id));
    assert_true(queue_message_write(desk->scene.mta.queue, asked, &out, &error));
    cleanup_json json_t *reply = parse(out.data, out.length);
    buffer_free(&out);
    const json_t *message = json_object_get(reply, "message");
    assert_int_equal(json_array_size(json_object_get(message, "recipients")), 2);
    assert_int_equal(number_of(message, "recipients_left_out"), 0);
    assert_string_equal(text_of(message, "sender"), "from@sender.example");
    const char *header = text_of(reply, "header");
    assert_non_null(strstr(header, "Subject: caf"));
    assert_non_null(strstr(header, "\n folded\n"));
    assert_null(strstr(header, "secret"));
    cleanup_json json_t *unknown = request("{\"id\":\"0190a5d8-0000-7000-8000-000000000001\"}");
    assert_false(queue_message_write(desk->scene.mta.queue, unknown, &out, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

/* --- actions --- */

static void flush_tries_again_at_once_and_keeps_the_attempts(void **state)
{
    struct desk *desk = *state;
    defer(desk, "a@relay.example");
    assert_figures(act(desk, "\"action\":\"flush\",\"filter\":{}"), 1, 1, 0);
    scene_await_empty(&desk->scene);
    const json_t *event = scene_await(&desk->scene, "delivery", 2);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_int_equal(number_of(event, "attempt"), 2);
    event = last_event(desk, "queue");
    assert_string_equal(text_of(event, "action"), "flush");
    assert_string_equal(text_of(event, "administrator"), "ada");
    assert_int_equal(json_array_size(json_object_get(event, "recipients")), 1);
}

static void hold_and_release_outlive_a_restart(void **state)
{
    struct desk *desk = *state;
    defer(desk, "a@relay.example");
    assert_figures(act(desk, "\"action\":\"hold\",\"filter\":{}"), 1, 1, 0);
    assert_figures(act(desk, "\"action\":\"hold\",\"filter\":{}"), 1, 0, 0);
    assert_int_equal(found(desk, "\"state\":\"held\""), 1);
    restart(desk);
    assert_int_equal(found(desk, "\"state\":\"held\""), 1);
    /* One that is held stays so. */
    assert_figures(act(desk, "\"action\":\"flush\",\"filter\":{}"), 1, 0, 0);
    scene_run(&desk->scene, 100);
    assert_int_equal(desk->scene.peer.messages, 0);
    assert_figures(act(desk, "\"action\":\"release\",\"filter\":{}"), 1, 1, 0);
    restart(desk);
    assert_int_equal(found(desk, "\"state\":\"waiting\""), 1);
    assert_figures(act(desk, "\"action\":\"flush\",\"filter\":{}"), 1, 1, 0);
    scene_await_empty(&desk->scene);
    assert_int_equal(desk->scene.peer.messages, 1);
}

static void delete_takes_the_message_and_names_the_administrator(void **state)
{
    struct desk *desk = *state;
    char members[128], id[MESSAGE_ID_TEXT_SIZE];
    struct message_id gone = defer(desk, "a@relay.example");
    defer(desk, "b@relay.example");
    snprintf(members, sizeof(members), "\"action\":\"delete\",\"ids\":[\"%s\"]",
             message_id_text(&gone, id));
    assert_figures(act(desk, members), 1, 1, 0);
    assert_int_equal(found(desk, ""), 1);
    const json_t *event = last_event(desk, "action");
    assert_string_equal(text_of(event, "action"), "delete");
    assert_string_equal(text_of(event, "policy"), "administrator");
    scene_assert_contains(text_of(event, "detail"), "ada");
    assert_figures(act(desk, members), 1, 0, 1); /* it is gone */
    restart(desk);
    assert_int_equal(found(desk, ""), 1);
    assert_int_equal(desk->scene.peer.messages, 0);
}

static void bounce_tells_the_sender(void **state)
{
    struct desk *desk = *state;
    desk->scene.peer.bad_recipient = "a@relay.example";
    desk->scene.peer.bad_reply = "451 4.2.0 later\r\n";
    scene_send(&desk->scene, &(struct scene_message){.sender = "from@relay.example",
                                                     .recipients = {"a@relay.example"}});
    scene_await(&desk->scene, "delivery", 1);
    assert_figures(act(desk, "\"action\":\"bounce\",\"filter\":{}"), 1, 1, 0);
    scene_await_empty(&desk->scene);
    const json_t *event = last_event(desk, "bounced");
    assert_true(json_is_string(json_object_get(event, "dsn")));
    scene_assert_contains(text_of(event, "reply"), "returned this message");
    assert_int_equal(desk->scene.peer.messages, 1);
    scene_assert_contains(buffer_text(&desk->scene.peer.message), "returned this message");
    assert_string_equal(text_of(last_event(desk, "action"), "action"), "bounce");
}

static void reroute_takes_mail_that_goes_by_mx_to_another_host(void **state)
{
    struct desk *desk = *state;
    struct peer other;
    char members[160];
    peer_open(&other, desk->scene.mta.base, NULL);
    desk->scene.holding = true; /* an attempt would find that there is no such domain */
    scene_send_to(&desk->scene, "b@elsewhere.example");
    snprintf(members, sizeof(members),
             "\"action\":\"reroute\",\"route\":\"127.0.0.1:%u\",\"filter\":{\"domain\":"
             "\"elsewhere.example\"}",
             other.port);
    assert_figures(act(desk, members), 1, 1, 0);
    desk->scene.holding = false;
    scene_await_number(&desk->scene, &other.messages, 1);
    snprintf(members, sizeof(members), "127.0.0.1:%u", other.port);
    assert_string_equal(text_of(last_event(desk, "queue"), "route"), members);
    peer_close(&other);
}

static void an_own_route_can_be_taken_away_again(void **state)
{
    struct desk *desk = *state;
    defer(desk, "a@relay.example");
    desk->scene.holding = true;
    assert_figures(act(desk, "\"action\":\"reroute\",\"route\":\"[::1]:2525\",\"filter\":{}"), 1, 1,
                   0);
    assert_string_equal(text_of(recipient_of(desk, ""), "route"), "[::1]:2525");
    restart(desk);
    assert_string_equal(text_of(recipient_of(desk, ""), "route"), "[::1]:2525");
    assert_figures(act(desk, "\"action\":\"reroute\",\"route\":\"\",\"filter\":{}"), 1, 1, 0);
    assert_string_equal(text_of(recipient_of(desk, ""), "route"), "");
    desk->scene.holding = false;
    scene_await_empty(&desk->scene);
    assert_int_equal(desk->scene.peer.messages, 1);
}

/* What the directory says about a recipient comes with the message. */
static void a_route_that_came_with_the_message_outlives_a_restart(void **state)
{
    struct desk *desk = *state;
    struct queue_draft_recipient recipients[] = {
        {.address = "a@relay.example", .route = "[::1]:2525"}, {.address = "b@relay.example"}};
    desk->scene.holding = true;
    scene_send_draft(&desk->scene, recipients, 2);
    for (int i = 0; i < 2; i++) {
        const json_t *listed =
            json_object_get(json_array_get(list(desk, "", "", 10), 0), "recipients");
        assert_string_equal(text_of(json_array_get(listed, 0), "route"), "[::1]:2525");
        assert_string_equal(text_of(json_array_get(listed, 1), "route"), "");
        restart(desk);
    }
}

static void nothing_is_changed_where_the_request_is_wrong(void **state)
{
    struct desk *desk = *state;
    defer(desk, "a@relay.example");
    size_t before = scene_count(&desk->scene, "queue");
    refuse(desk, "\"action\":\"reroute\",\"filter\":{}", ERROR_INVALID);
    refuse(desk, "\"action\":\"reroute\",\"route\":\"a b\",\"filter\":{}", ERROR_INVALID);
    refuse(desk, "\"action\":\"reroute\",\"route\":\"host:99999\",\"filter\":{}", ERROR_INVALID);
    refuse(desk, "\"action\":\"reroute\",\"route\":\"[::1:25\",\"filter\":{}", ERROR_INVALID);
    refuse(desk, "\"action\":\"explode\",\"filter\":{}", ERROR_INVALID);
    refuse(desk, "\"action\":\"hold\"", ERROR_INVALID);
    refuse(desk, "\"action\":\"hold\",\"filter\":{},\"ids\":[]", ERROR_INVALID);
    refuse(desk, "\"action\":\"hold\",\"ids\":[\"x\"]", ERROR_INVALID);
    refuse(desk, "\"action\":\"hold\",\"ids\":[7]", ERROR_INVALID);
    assert_int_equal(scene_count(&desk->scene, "queue"), before);
    assert_int_equal(found(desk, "\"state\":\"waiting\""), 1);
    struct error error = {0};
    struct buffer out = BUFFER_INIT;
    cleanup_json json_t *unknown = request("{\"job\":\"0190a5d8-0000-7000-8000-000000000001\"}");
    assert_false(queue_operations_job(desk->operations, unknown, &out, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

/* --- messages that are in delivery --- */

/* What is on the wire is not taken away under it: it is delivered or deleted, never both. */
static void an_attempt_under_way_is_waited_for(void **state)
{
    struct desk *desk = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    struct error error = {0};
    desk->scene.peer.content = PEER_SILENT;
    scene_send_to(&desk->scene, "a@relay.example");
    scene_await_number(&desk->scene, &desk->scene.peer.messages, 1);
    assert_int_equal(found(desk, "\"state\":\"active\""), 1);
    start(desk, "\"action\":\"delete\",\"filter\":{}", id, &error);
    scene_run(&desk->scene, 300);
    json_t *reply = job(desk, id);
    assert_true(json_is_false(json_object_get(reply, "done")));
    assert_int_equal(number_of(reply, "busy"), 1);
    json_decref(reply);
    assert_int_equal(scene_count(&desk->scene, "action"), 0);
    peer_close(&desk->scene.peer); /* the attempt ends without a reply */
    assert_figures(await_job(desk, id), 1, 1, 0);
    assert_int_equal(scene_count_outcome(&desk->scene, "delivered"), 0);
    assert_int_equal(found(desk, ""), 0);
    peer_open(&desk->scene.peer, desk->scene.mta.base, NULL);
}

/* Those that wait in line behind a host that hangs go to the new host at once, each once. */
static void reroute_takes_messages_out_of_the_line_of_a_host_that_hangs(void **state)
{
    struct desk *desk = *state;
    struct peer other;
    char members[160];
    desk->scene.peer.greeting = PEER_SILENT;
    peer_open(&other, desk->scene.mta.base, NULL);
    scene_send_many(&desk->scene, "a@relay.example", 100);
    scene_await_number(&desk->scene, &desk->scene.peer.connections, 1);
    scene_run(&desk->scene, 100); /* until all of them stand in line */
    assert_int_equal(found(desk, "\"state\":\"active\""), 100);
    snprintf(members, sizeof(members),
             "\"action\":\"reroute\",\"route\":\"127.0.0.1:%u\",\"filter\":{}", other.port);
    assert_figures(act(desk, members), 100, 100, 0);
    scene_await_empty(&desk->scene);
    scene_await(&desk->scene, "delivery", 100);
    assert_int_equal(other.messages, 100);
    assert_int_equal(scene_count_outcome(&desk->scene, "delivered"), 100);
    assert_int_equal(desk->scene.peer.messages, 0);
    peer_close(&other);
}

static void hold_and_delete_take_messages_out_of_the_line(void **state)
{
    struct desk *desk = *state;
    desk->scene.peer.greeting = PEER_SILENT;
    scene_send_many(&desk->scene, "a@relay.example", 20);
    scene_await_number(&desk->scene, &desk->scene.peer.connections, 1);
    scene_run(&desk->scene, 100); /* until all of them stand in line */
    assert_figures(act(desk, "\"action\":\"hold\",\"filter\":{}"), 20, 20, 0);
    assert_int_equal(found(desk, "\"state\":\"held\""), 20);
    assert_figures(act(desk, "\"action\":\"release\",\"filter\":{}"), 20, 20, 0);
    scene_run(&desk->scene, 50);
    assert_int_equal(found(desk, "\"state\":\"active\""), 20);
    assert_figures(act(desk, "\"action\":\"delete\",\"filter\":{}"), 20, 20, 0);
    assert_int_equal(found(desk, ""), 0);
    scene_run(&desk->scene, 50);
    assert_int_equal(scene_count(&desk->scene, "delivery"), 0);
}

static void only_a_few_jobs_run_at_once(void **state)
{
    struct desk *desk = *state;
    char ids[QUEUE_JOBS_RUNNING][MESSAGE_ID_TEXT_SIZE];
    struct error error = {0};
    for (int i = 0; i < QUEUE_JOBS_RUNNING; i++)
        start(desk, "\"action\":\"hold\",\"filter\":{}", ids[i], &error);
    refuse(desk, "\"action\":\"hold\",\"filter\":{}", ERROR_LIMIT);
    for (int i = 0; i < QUEUE_JOBS_RUNNING; i++)
        json_decref(await_job(desk, ids[i]));
    assert_figures(act(desk, "\"action\":\"hold\",\"filter\":{}"), 0, 0, 0);
    json_decref(await_job(desk, ids[0])); /* it can still be asked for */
}

/* --- pausing --- */

static void a_paused_direction_waits_and_goes_on_in_order(void **state)
{
    struct desk *desk = *state;
    queue_pause(desk->scene.mta.queue, QUEUE_INBOUND, true);
    scene_send_many(&desk->scene, "a@relay.example", 600);
    scene_run(&desk->scene, 300);
    assert_int_equal(desk->scene.peer.messages, 0);
    assert_int_equal(found(desk, "\"state\":\"waiting\""), 600);
    /* Another direction is not concerned. */
    queue_pause(desk->scene.mta.queue, QUEUE_OUTBOUND, true);
    queue_pause(desk->scene.mta.queue, QUEUE_OUTBOUND, false);
    scene_run(&desk->scene, 100);
    assert_int_equal(desk->scene.peer.messages, 0);
    /* Neither are those that are tried now by an administrator. */
    assert_figures(act(desk, "\"action\":\"flush\",\"filter\":{}"), 600, 600, 0);
    scene_run(&desk->scene, 100);
    assert_int_equal(desk->scene.peer.messages, 0);
    queue_pause(desk->scene.mta.queue, QUEUE_INBOUND, false);
    scene_await_empty(&desk->scene);
    assert_int_equal(desk->scene.peer.messages, 600);
}

/* What waits in line when delivery is paused is not begun any more. */
static void a_pause_stops_those_that_wait_in_line(void **state)
{
    struct desk *desk = *state;
    desk->scene.peer.content = PEER_SILENT;
    scene_send_many(&desk->scene, "a@relay.example", 30);
    scene_await_number(&desk->scene, &desk->scene.peer.messages, 1);
    scene_run(&desk->scene, 50);
    unsigned begun = desk->scene.peer.messages;
    assert_true(begun < 30);
    queue_pause(desk->scene.mta.queue, QUEUE_INBOUND, true);
    desk->scene.peer.content = NULL;
    scene_run(&desk->scene, 500);
    assert_int_equal(desk->scene.peer.messages, begun);
}

/* --- many --- */

#define MANY 50000

struct tick {
    struct event *event;
    int64_t last, longest;
};

/* Of this thread's own time: others use the machine as well. */
static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* How long the loop was kept at most between two turns of it. */
static void on_tick(evutil_socket_t fd, short what, void *argument)
{
    struct tick *tick = argument;
    int64_t now = now_us();
    (void)fd;
    (void)what;
    if (tick->last && now - tick->last > tick->longest)
        tick->longest = now - tick->last;
    tick->last = now;
    event_add(tick->event, &(struct timeval){0});
}

static void a_long_queue_does_not_hold_up_the_loop(void **state)
{
    struct desk *desk = *state;
    struct tick tick = {0};
    desk->scene.holding = true;
    for (int i = 0; i < MANY; i += 5000)
        scene_send_many(&desk->scene, "a@relay.example", 5000);
    queue_pause(desk->scene.mta.queue, QUEUE_INBOUND, true);
    tick.event = evtimer_new(desk->scene.mta.base, on_tick, &tick);
    event_add(tick.event, &(struct timeval){0});
    int64_t begun = timestamp_monotonic_ms();
    assert_int_equal(found(desk, "\"sender\":\"nobody\""), 0);
    print_message("%d messages searched in %lld ms\n", MANY,
                  (long long)(timestamp_monotonic_ms() - begun));
    begun = timestamp_monotonic_ms();
    assert_figures(act(desk, "\"action\":\"reroute\",\"route\":\"127.0.0.1:1\",\"filter\":{}"),
                   MANY, MANY, 0);
    print_message("%d messages rerouted in %lld ms, the loop was kept for %lld us at most\n", MANY,
                  (long long)(timestamp_monotonic_ms() - begun), (long long)tick.longest);
    assert_true(tick.longest < 50000);
    event_free(tick.event);
    restart(desk);
    assert_int_equal(queue_count(desk->scene.mta.queue).delivery, MANY);
    desk->scene.holding = true;
    assert_string_equal(
        text_of(json_array_get(
                    json_object_get(json_array_get(list(desk, "", "", 1), 0), "recipients"), 0),
                "route"),
        "127.0.0.1:1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_desk, close_desk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_in_order_of_the_ids_page_by_page),
        TEST(finds_by_each_condition),
        TEST(refuses_conditions_that_it_does_not_know),
        TEST(shows_attempts_and_the_next_one),
        TEST(shows_one_message_with_its_header),
        TEST(flush_tries_again_at_once_and_keeps_the_attempts),
        TEST(hold_and_release_outlive_a_restart),
        TEST(delete_takes_the_message_and_names_the_administrator),
        TEST(bounce_tells_the_sender),
        TEST(reroute_takes_mail_that_goes_by_mx_to_another_host),
        TEST(an_own_route_can_be_taken_away_again),
        TEST(a_route_that_came_with_the_message_outlives_a_restart),
        TEST(nothing_is_changed_where_the_request_is_wrong),
        TEST(an_attempt_under_way_is_waited_for),
        TEST(reroute_takes_messages_out_of_the_line_of_a_host_that_hangs),
        TEST(hold_and_delete_take_messages_out_of_the_line),
        TEST(only_a_few_jobs_run_at_once),
        TEST(a_paused_direction_waits_and_goes_on_in_order),
        TEST(a_pause_stops_those_that_wait_in_line),
        TEST(a_long_queue_does_not_hold_up_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

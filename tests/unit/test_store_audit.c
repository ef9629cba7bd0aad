/* Intake of audit events: what becomes of a message, and that each event is taken once. */
#include "controlcenter/store/store_internal.h"
#include "test_store_events.h"

#include <unistd.h>

static json_t *message_of(struct scene *scene, const char *id)
{
    struct error problem = {0};
    json_t *whole = store_audit_message(scene->store, id, &problem);
    if (!whole)
        fail_msg("%s: %s", problem.where, problem.message);
    return whole;
}

static const char *state_of(const json_t *whole, size_t recipient)
{
    return text_of(json_array_get(json_object_get(whole, "recipients"), recipient), "state");
}

static void assert_state(struct scene *scene, const char *id, size_t recipient, const char *state)
{
    cleanup_json json_t *whole = message_of(scene, id);
    assert_string_equal(state_of(whole, recipient), state);
}

/* --- what becomes of a message --- */

static void a_message_is_followed_from_receipt_to_delivery(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37];
    new_id(id);
    add_received(&batch, id, "a@example.org", "b@example.com", "c@example.com");
    write_batch(scene->store, "s", &batch);
    assert_state(scene, id, 0, "to be scanned");
    add_scanned(&batch, id, "clean", "Grüße 日本");
    add_action(&batch, id, "deliver", 0, 1);
    write_batch(scene->store, "s", &batch);
    assert_state(scene, id, 1, "queued");
    add_delivery(&batch, id, 0, "b@example.com", "delivered", "250 2.0.0 ok");
    add_delivery(&batch, id, 1, "c@example.com", "deferred", "451 4.7.1 later");
    write_batch(scene->store, "s", &batch);

    cleanup_json json_t *whole = message_of(scene, id);
    const json_t *message = json_object_get(whole, "message");
    const json_t *recipients = json_object_get(whole, "recipients");
    const json_t *first = json_array_get(recipients, 0), *second = json_array_get(recipients, 1);
    assert_string_equal(text_of(message, "id"), id);
    assert_string_equal(text_of(message, "scanner_id"), SCANNER);
    assert_string_equal(text_of(message, "sender"), "a@example.org");
    assert_string_equal(text_of(message, "subject"), "Grüße 日本");
    assert_string_equal(text_of(message, "peer_ip"), "192.0.2.1");
    assert_string_equal(text_of(message, "verdict"), "clean");
    assert_string_equal(text_of(message, "action"), "deliver");
    assert_string_equal(text_of(message, "message_id"), "<1@example.org>");
    assert_int_equal(number_of(message, "size"), 1234);
    assert_int_equal(json_array_size(recipients), 2);
    assert_string_equal(text_of(first, "state"), "delivered");
    assert_string_equal(text_of(first, "reply"), "250 2.0.0 ok");
    assert_string_equal(text_of(first, "host"), "mx.example.com");
    assert_true(json_is_null(json_object_get(first, "next_attempt")));
    assert_string_equal(text_of(second, "state"), "deferred");
    assert_string_equal(text_of(second, "address"), "c@example.com");
    assert_true(number_of(second, "next_attempt") > timestamp_now_ms());
    assert_int_equal(json_array_size(json_object_get(whole, "events")), 5);
    assert_string_equal(text_of(json_array_get(json_object_get(whole, "events"), 4), "reply"),
                        "451 4.7.1 later");
}

static void one_batch_gives_the_same_as_many(void **argument)
{
    struct scene *scene = *argument;
    struct batch one = {0}, many = {0};
    char first[37], second[37];
    new_id(first);
    new_id(second);
    struct batch *const batches[] = {&one, &many};
    const char *const ids[] = {first, second};
    for (int i = 0; i < 2; i++) {
        add_received(batches[i], ids[i], "a@example.org", "b@example.com", "c@example.com");
        add_scanned(batches[i], ids[i], "clean", "x");
        add_action(batches[i], ids[i], "deliver", 0, 1);
        add_delivery(batches[i], ids[i], 1, "c@example.com", "deferred", "451 later");
        add_delivery(batches[i], ids[i], 1, "c@example.com", "failed", "550 no");
        add(batches[i], "bounced", ids[i],
            json_pack("{s:i,s:s,s:s,s:s}", "recipient", 1, "address", "c@example.com", "reply",
                      "550 no", "dsn", SCANNER));
    }
    write_batch(scene->store, "one", &one);
    size_t i;
    json_t *event;
    json_array_foreach(many.events, i, event)
    {
        cleanup_json json_t *single = json_pack("[O]", event);
        int64_t last;
        ok(store_audit_write(scene->store, SCANNER, "many", single, &last, &error));
    }
    drop_batch(&many);
    cleanup_json json_t *a = message_of(scene, first), *b = message_of(scene, second);
    for (size_t recipient = 0; recipient < 2; recipient++) {
        json_t *left = json_array_get(json_object_get(a, "recipients"), recipient);
        json_t *right = json_array_get(json_object_get(b, "recipients"), recipient);
        json_object_del(left, "changed_at");
        json_object_del(right, "changed_at");
        assert_true(json_equal(left, right));
    }
    assert_string_equal(state_of(a, 1), "bounced");
    assert_string_equal(text_of(json_array_get(json_object_get(a, "recipients"), 1), "dsn"),
                        SCANNER);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(a, "recipients"), 1), "next_attempt")));
}

static void actions_set_the_state_of_their_recipients(void **argument)
{
    struct scene *scene = *argument;
    static const char *const states[][2] = {{"delete", "deleted"},
                                            {"reject", "rejected"},
                                            {"bounce", "bounced"},
                                            {"deliver", "queued"},
                                            {"something_new", "to be scanned"}};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct batch batch = {.seq = (int64_t)i * 3};
        char id[37];
        new_id(id);
        add_received(&batch, id, "a@example.org", "b@example.com", "c@example.com");
        add_scanned(&batch, id, "virus", "x");
        add_action(&batch, id, states[i][0], 1, -1);
        write_batch(scene->store, "s", &batch);
        cleanup_json json_t *whole = message_of(scene, id);
        assert_string_equal(state_of(whole, 0), "to be scanned");
        assert_string_equal(state_of(whole, 1), states[i][1]);
        assert_string_equal(text_of(json_object_get(whole, "message"), "action"), states[i][0]);
        assert_string_equal(text_of(json_object_get(whole, "message"), "policy"), "malware.virus");
    }
}

/* What becomes of the others is told by another action. */
static void unknown_recipients_that_are_deleted_say_nothing_of_the_message(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37];
    new_id(id);
    add_received(&batch, id, "a@example.org", "b@example.com", "c@example.com");
    add(&batch, "action", id,
        json_pack("{s:s,s:s,s:[i]}", "action", "delete", "policy", "recipients.unknown",
                  "recipients", 1));
    add(&batch, "action", id,
        json_pack("{s:s,s:n,s:[i]}", "action", "deliver", "policy", "recipients", 0));
    write_batch(scene->store, "s", &batch);
    cleanup_json json_t *whole = message_of(scene, id);
    assert_string_equal(state_of(whole, 0), "queued");
    assert_string_equal(state_of(whole, 1), "deleted");
    assert_string_equal(text_of(json_object_get(whole, "message"), "action"), "deliver");
    assert_true(json_is_null(json_object_get(json_object_get(whole, "message"), "policy")));
}

static void an_aborted_message_says_so(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char aborted[37], refused[37];
    new_id(aborted);
    new_id(refused);
    add(&batch, "aborted", aborted, received_members("a@example.org", "b@example.com", NULL));
    json_t *event = add(&batch, "refused", refused, received_members("", "b@example.com", NULL));
    json_object_set_new(event, "reply", json_string("550 5.7.1 no"));
    write_batch(scene->store, "s", &batch);
    cleanup_json json_t *first = message_of(scene, aborted), *second = message_of(scene, refused);
    assert_string_equal(text_of(json_object_get(first, "message"), "action"), "message aborted");
    assert_string_equal(state_of(first, 0), "aborted");
    assert_string_equal(text_of(json_object_get(second, "message"), "action"), "refused");
    assert_string_equal(text_of(json_object_get(second, "message"), "reply"), "550 5.7.1 no");
    assert_string_equal(text_of(json_object_get(second, "message"), "sender"), "");
    assert_string_equal(state_of(second, 0), "refused");
}

static void events_of_an_unknown_message_make_it(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37], other[37];
    new_id(id);
    new_id(other);
    add_delivery(&batch, id, 3, "d@example.com", "delivered", "250 ok");
    add(&batch, "released", other, json_pack("{s:s}", "by", "anna"));
    write_batch(scene->store, "s", &batch);
    cleanup_json json_t *whole = message_of(scene, id), *bare = message_of(scene, other);
    const json_t *recipient = json_array_get(json_object_get(whole, "recipients"), 0);
    assert_int_equal(number_of(recipient, "index"), 3);
    assert_string_equal(text_of(recipient, "address"), "d@example.com");
    assert_string_equal(text_of(recipient, "state"), "delivered");
    assert_string_equal(text_of(json_array_get(json_object_get(bare, "events"), 0), "by"), "anna");
}

static void a_late_receipt_does_not_undo_what_came_before(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37], together[37];
    new_id(id);
    new_id(together);
    add_delivery(&batch, id, 0, "b@example.com", "delivered", "250 ok");
    add_delivery(&batch, together, 0, "b@example.com", "delivered", "250 ok");
    add_received(&batch, together, "a@example.org", "b@example.com", NULL);
    write_batch(scene->store, "s", &batch);
    add_received(&batch, id, "a@example.org", "b@example.com", "c@example.com");
    write_batch(scene->store, "s", &batch);
    assert_state(scene, id, 0, "delivered");
    assert_state(scene, id, 1, "to be scanned");
    assert_state(scene, together, 0, "delivered");
    cleanup_json json_t *whole = message_of(scene, id);
    assert_string_equal(text_of(json_object_get(whole, "message"), "sender"), "a@example.org");
}

/* --- each seq once --- */

static int64_t position_of(struct scene *scene, const char *stream)
{
    int64_t last = -1;
    ok(store_audit_position(scene->store, SCANNER, stream, &last, &error));
    return last;
}

static void add_many(struct batch *batch, int count)
{
    char id[37];
    for (int i = 0; i < count; i++) {
        new_id(id);
        add_received(batch, id, "a@example.org", "b@example.com", NULL);
    }
}

static void events_that_come_again_are_passed_over(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    int64_t last;
    assert_int_equal(position_of(scene, "s"), 0);
    add_many(&batch, 10);
    for (int i = 0; i < 3; i++) {
        ok(store_audit_write(scene->store, SCANNER, "s", batch.events, &last, &error));
        assert_int_equal(last, 10);
    }
    add_many(&batch, 5);
    json_array_append(batch.events, json_array_get(batch.events, 3));
    json_array_append(batch.events, json_array_get(batch.events, 14));
    assert_int_equal(write_batch(scene->store, "s", &batch), 15);
    assert_int_equal(position_of(scene, "s"), 15);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 15);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message"), 15);
    assert_int_equal(count_of(scene, "SELECT sum(received) FROM audit_hour"), 15);
}

static void a_gap_writes_nothing(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    int64_t last = -7;
    add_many(&batch, 3);
    batch.seq++;
    add_many(&batch, 2);
    fails(ERROR_PROTOCOL,
          store_audit_write(scene->store, SCANNER, "s", batch.events, &last, &error));
    assert_int_equal(last, -7);
    assert_int_equal(position_of(scene, "s"), 0);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 0);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message"), 0);
    drop_batch(&batch);
    batch.seq = 1;
    add_many(&batch, 1);
    fails(ERROR_PROTOCOL,
          store_audit_write(scene->store, SCANNER, "s", batch.events, &last, &error));
    drop_batch(&batch);
}

static void streams_and_scanners_count_for_themselves(void **argument)
{
    struct scene *scene = *argument;
    int64_t last;
    for (int i = 0; i < 3; i++) {
        struct batch batch = {0};
        add_many(&batch, 2);
        ok(store_audit_write(scene->store, i == 2 ? OTHER_SCANNER : SCANNER, i == 1 ? "b" : "a",
                             batch.events, &last, &error));
        assert_int_equal(last, 2);
        drop_batch(&batch);
    }
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 6);
}

static void an_empty_batch_tells_the_position(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    int64_t last = -1;
    cleanup_json json_t *none = json_array();
    add_many(&batch, 4);
    write_batch(scene->store, "s", &batch);
    ok(store_audit_write(scene->store, SCANNER, "s", none, &last, &error));
    assert_int_equal(last, 4);
}

static void sources_and_batches_out_of_bounds_are_refused(void **argument)
{
    struct scene *scene = *argument;
    char longer[100];
    int64_t last;
    cleanup_json json_t *events = json_array(), *object = json_object(), *many = json_array();
    memset(longer, 's', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    for (int i = 0; i < 10001; i++)
        json_array_append(many, object);
    fails(ERROR_INVALID, store_audit_write(scene->store, "x", "s", events, &last, &error));
    fails(ERROR_INVALID, store_audit_write(scene->store, SCANNER, "", events, &last, &error));
    fails(ERROR_INVALID, store_audit_write(scene->store, SCANNER, longer, events, &last, &error));
    fails(ERROR_INVALID, store_audit_write(scene->store, SCANNER, "s", object, &last, &error));
    fails(ERROR_INVALID, store_audit_write(scene->store, SCANNER, "s", NULL, &last, &error));
    fails(ERROR_INVALID, store_audit_write(scene->store, SCANNER, "s", many, &last, &error));
    fails(ERROR_INVALID, store_audit_position(scene->store, "x", "s", &last, &error));
    count_of(scene, "INSERT INTO audit_stream (scanner_id, stream) SELECT '" SCANNER "',"
                    " 'x' || n FROM generate_series(1, 1000) n");
    fails(ERROR_LIMIT, store_audit_write(scene->store, SCANNER, "s", events, &last, &error));
    ok(store_audit_write(scene->store, SCANNER, "x7", events, &last, &error));
}

struct sender {
    struct store *store;
    const char *stream;
    const json_t *events;
    int refused;
    pthread_t thread;
};

/* Sends the events from the position on, in pieces of 7, as an agent does. */
static void *send_all(void *argument)
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

static void assert_each_once(struct scene *scene, int count)
{
    char sql[300];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM generate_series(1, %d) s WHERE 1 <>"
             " (SELECT count(*) FROM audit_event WHERE stream = 'shared' AND seq = s)",
             count);
    assert_int_equal(count_of(scene, sql), 0);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), count);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message"), count);
    assert_int_equal(count_of(scene, "SELECT sum(received) FROM audit_hour"), count);
}

static void control_centers_that_take_the_same_stream_write_each_seq_once(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    struct sender senders[4];
    add_many(&batch, 400);
    for (int i = 0; i < 4; i++) {
        /* json_copy changes reference counts, which are atomic; the values are only read. */
        senders[i] = (struct sender){.store = private_postgres_store(scene->postgres, 1),
                                     .stream = "shared",
                                     .events = batch.events};
        pthread_create(&senders[i].thread, NULL, send_all, &senders[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(senders[i].thread, NULL);
        store_close(senders[i].store);
    }
    drop_batch(&batch);
    assert_each_once(scene, 400);
}

static void kills_of_the_database_lose_and_repeat_no_event(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    add_many(&batch, 1500);
    struct sender sender = {.store = scene->store, .stream = "shared", .events = batch.events};
    pthread_create(&sender.thread, NULL, send_all, &sender);
    for (int i = 0; i < 4; i++) {
        usleep(120000);
        private_postgres_kill(scene->postgres);
        usleep(50000);
        private_postgres_start(scene->postgres);
    }
    pthread_join(sender.thread, NULL);
    drop_batch(&batch);
    assert_true(sender.refused > 0);
    assert_each_once(scene, 1500);
}

/* --- hostile values --- */

static void events_that_break_the_form_are_kept_aside(void **argument)
{
    struct scene *scene = *argument;
    static const char *const changes[] = {
        "{\"id\":\"no uuid\"}",
        "{\"id\":null}",
        "{\"id\":\"ffffffff-ffff-7fff-bfff-ffffffffffff\"}",
        "{\"id\":\"00000000-0000-7000-8000-000000000000\"}",
        "{\"at\":\"yesterday\"}",
        "{\"at\":\"2001-01-01T00:00:00.000Z\"}",
        "{\"at\":7}",
        "{\"type\":\"\"}",
        "{\"type\":\"DROP TABLE\"}",
        "{\"type\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
        "{\"type\":[]}",
        "{\"peer_ip\":\"999.1.1.1\"}",
        "{\"sender\":5}",
        "{\"size\":-1}",
        "{\"size\":1.5}",
        "{\"peer_port\":65536}",
        "{\"recipients\":null}",
        "{\"recipients\":[7]}",
        "{\"recipients\":\"b@example.com\"}",
        "{\"tls\":[]}",
        "{\"type\":\"scanned\"}",
        "{\"type\":\"scanned\",\"verdict\":\"clean\",\"threats\":{}}",
        "{\"type\":\"action\",\"action\":\"delete\",\"recipients\":[-1]}",
        "{\"type\":\"action\",\"action\":\"delete\",\"recipients\":[100000]}",
        "{\"type\":\"action\"}",
        "{\"type\":\"delivery\",\"recipient\":0,\"outcome\":\"lost\"}",
        "{\"type\":\"delivery\",\"outcome\":\"delivered\"}",
        "{\"type\":\"delivery\",\"outcome\":\"deferred\",\"recipient\":0,\"next_attempt\":\"x\"}",
        "{\"type\":\"bounced\",\"recipient\":0,\"dsn\":\"x\"}",
    };
    const int broken = sizeof(changes) / sizeof(changes[0]);
    struct batch batch = {0};
    char id[37];
    for (int i = 0; i < broken; i++) {
        new_id(id);
        json_t *event = add(&batch, "received", id, received_members("a@example.org", "b@x", NULL));
        json_t *change = json_loads(changes[i], 0, NULL);
        assert_non_null(change);
        json_object_update(event, change);
        json_decref(change);
        add_many(&batch, 1);
    }
    assert_int_equal(write_batch(scene->store, "s", &batch), 2 * broken);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message"), broken);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), broken);
    assert_int_equal(count_of(scene, "SELECT count(DISTINCT seq) FROM audit_rejected"
                                     " WHERE seq % 2 = 1 AND reason <> '' AND event LIKE '{%}'"),
                     broken);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected WHERE reason ="
                                     " 'peer_ip: must be an IP address'"),
                     1);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_day"), 1);
}

static void elements_that_are_no_events_are_kept_aside_in_their_place(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    int64_t last;
    add_many(&batch, 1);
    json_array_append_new(batch.events, json_string("not an object"));
    json_array_append_new(batch.events, json_null());
    json_array_append_new(batch.events, json_pack("{s:s}", "seq", "four"));
    batch.seq = 4;
    add_many(&batch, 1);
    assert_int_equal(write_batch(scene->store, "s", &batch), 5);
    assert_int_equal(count_of(scene, "SELECT sum(seq) FROM audit_rejected"), 2 + 3 + 4);
    cleanup_json json_t *first = json_pack("[{s:s}]", "seq", "x");
    fails(ERROR_INVALID, store_audit_write(scene->store, SCANNER, "s", first, &last, &error));
}

static void hostile_text_goes_in_and_comes_out(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37], other[37], longer[5000];
    new_id(id);
    new_id(other);
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    json_t *event = add(&batch, "received", id,
                        received_members("'); DROP TABLE audit_message; --\\.\t\n\\N",
                                         "<script>@x\"{},\\", longer));
    json_object_set_new(event, "helo", json_stringn("a\0b", 3));
    json_object_set_new(event, "extra\t\\", json_string("\\.\n\\N\ttab \\u0000"));
    add_scanned(&batch, id, "virus", "line\r\nX-Forged: 1 \xf0\x9f\x93\xa7");
    add_scanned(&batch, other, "clean", longer);
    assert_int_equal(write_batch(scene->store, "s", &batch), 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected"), 0);
    cleanup_json json_t *whole = message_of(scene, id);
    const json_t *message = json_object_get(whole, "message");
    assert_string_equal(text_of(message, "sender"), "'); DROP TABLE audit_message; --\\.  \\N");
    assert_string_equal(text_of(message, "subject"), "line  X-Forged: 1 \xf0\x9f\x93\xa7");
    const json_t *recipients = json_object_get(whole, "recipients");
    assert_string_equal(text_of(json_array_get(recipients, 0), "address"), "<script>@x\"{},\\");
    assert_int_equal(strlen(text_of(json_array_get(recipients, 1), "address")), 1000);
    const json_t *first = json_array_get(json_object_get(whole, "events"), 0);
    assert_string_equal(text_of(first, "helo"), "a\xef\xbf\xbd"
                                                "b");
    assert_string_equal(text_of(first, "extra\t\\"), "\\.\n\\N\ttab \\u0000");
}

static void what_the_database_does_not_take_is_found_and_kept_aside(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    json_t *event;
    add_many(&batch, 40);
    event = json_array_get(batch.events, 17);
    json_object_set_new(event, "more", json_string_nocheck("\xff\xfe"));
    event = json_array_get(batch.events, 33);
    json_object_set_new(event, "more", json_string_nocheck("\xc0\x80"));
    assert_int_equal(write_batch(scene->store, "s", &batch), 40);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message"), 38);
    assert_int_equal(count_of(scene, "SELECT sum(received) FROM audit_hour"), 38);
    assert_int_equal(count_of(scene, "SELECT sum(seq) FROM audit_rejected"), 18 + 34);
}

static void deep_and_large_events_are_taken(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37], address[32];
    json_t *deep = json_array(), *event;
    for (int i = 0; i < 2040; i++)
        deep = json_pack("[o]", deep);
    add_many(&batch, 1);
    json_object_set_new(json_array_get(batch.events, 0), "deep", deep);
    new_id(id);
    event = add(&batch, "received", id, received_members("a@example.org", "b@x", NULL));
    json_t *recipients = json_object_get(event, "recipients");
    for (int i = 1; i < 30000; i++) {
        snprintf(address, sizeof(address), "r%d@example.com", i);
        json_array_append_new(recipients, json_string(address));
    }
    add_many(&batch, 1);
    assert_int_equal(write_batch(scene->store, "s", &batch), 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_recipient"), 30002);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event") +
                         count_of(scene, "SELECT count(*) FROM audit_rejected"),
                     3);
}

static void an_event_of_absurd_length_is_kept_aside(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    const size_t size = 5u << 20;
    char *text = malloc(size), address[32];
    memset(text, 'x', size);
    add_many(&batch, 4);
    json_object_set_new(json_array_get(batch.events, 0), "helo", json_stringn(text, size));
    json_object_set_new(json_array_get(batch.events, 1), "more", json_stringn(text, 255u << 10));
    json_object_set_new(json_array_get(batch.events, 2), "recipients",
                        json_pack("[o]", json_stringn(text, size)));
    json_t *many = json_object_get(json_array_get(batch.events, 3), "recipients");
    for (int i = 1; i < 20000; i++) {
        snprintf(address, sizeof(address), "r%d@example.com", i);
        json_array_append_new(many, json_string(address));
    }
    add_many(&batch, 1);
    json_object_set_new(json_array_get(batch.events, 4), "recipients", json_copy(many));
    json_object_set_new(json_array_get(batch.events, 4), "helo", json_stringn(text, size));
    free(text);
    assert_int_equal(write_batch(scene->store, "s", &batch), 5);
    assert_int_equal(count_of(scene, "SELECT sum(1 << seq::integer) FROM audit_rejected"),
                     1 << 1 | 1 << 3 | 1 << 5);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected WHERE reason LIKE"
                                     " '%256 KiB%' OR reason LIKE 'recipients: %1000 bytes%'"),
                     3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 2);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_recipient"), 20001);
}

/* --- whose messages --- */

static int64_t write_as_other(struct scene *scene, struct batch *batch)
{
    int64_t last = -1;
    ok(store_audit_write(scene->store, OTHER_SCANNER, "other", batch->events, &last, &error));
    drop_batch(batch);
    return last;
}

static void a_scanner_cannot_change_the_message_of_another(void **argument)
{
    struct scene *scene = *argument;
    struct batch own = {0}, foreign = {0};
    char id[37], mine[37];
    new_id(id);
    new_id(mine);
    add_received(&own, id, "a@example.org", "b@example.com", NULL);
    add_scanned(&own, id, "virus", "x");
    write_batch(scene->store, "s", &own);
    cleanup_json json_t *before = message_of(scene, id);

    add_received(&foreign, mine, "a@example.org", "b@example.com", NULL);
    add_received(&foreign, id, "forged@example.org", "forged@example.com", "more@example.com");
    add_scanned(&foreign, id, "clean", "forged");
    add_action(&foreign, id, "deliver", 0, 5);
    add_scanned(&foreign, mine, "clean", "y");
    add_delivery(&foreign, id, 0, "forged@example.com", "delivered", "250 ok");
    add(&foreign, "bounced", id, json_pack("{s:i,s:s}", "recipient", 7, "address", "f@x"));
    add(&foreign, "released", id, json_pack("{s:s}", "by", "nobody"));
    assert_int_equal(write_as_other(scene, &foreign), 8);
    /* Alone too, where nothing of the run is taken. */
    add_delivery(&foreign, id, 0, "forged@example.com", "delivered", "250 ok");
    assert_int_equal(write_as_other(scene, &foreign), 9);

    cleanup_json json_t *after = message_of(scene, id);
    assert_true(json_equal(before, after));
    cleanup_json json_t *taken = message_of(scene, mine);
    assert_string_equal(text_of(json_object_get(taken, "message"), "subject"), "y");
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_recipient"), 2);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 4);
    assert_int_equal(count_of(scene, "SELECT sum(received) FROM audit_hour"), 2);
    assert_int_equal(count_of(scene, "SELECT sum(delivered) FROM audit_hour"), 0);
    assert_int_equal(
        count_of(scene, "SELECT count(DISTINCT seq) FROM audit_rejected WHERE reason ="
                        " 'id: the message is another scanner''s' AND scanner_id = '" OTHER_SCANNER
                        "' AND seq IN (2, 3, 4, 6, 7, 8, 9)"),
        7);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected"), 7);
}

static void foreign_events_are_found_beside_what_the_database_does_not_take(void **argument)
{
    struct scene *scene = *argument;
    struct batch own = {0}, foreign = {0};
    char id[37];
    new_id(id);
    add_received(&own, id, "a@example.org", "b@example.com", NULL);
    write_batch(scene->store, "s", &own);
    add_scanned(&foreign, id, "clean", "forged");
    add_many(&foreign, 3);
    json_object_set_new(json_array_get(foreign.events, 2), "more", json_string_nocheck("\xff\xfe"));
    assert_int_equal(write_as_other(scene, &foreign), 4);
    assert_int_equal(count_of(scene, "SELECT sum(seq) FROM audit_rejected"), 1 + 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected"), 2);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 3);
}

struct rival {
    struct store *store;
    const char *scanner;
    const json_t *events;
    bool written;
    pthread_t thread;
};

static void *write_as_rival(void *argument)
{
    struct rival *rival = argument;
    int64_t last = -1;
    rival->written =
        store_audit_write(rival->store, rival->scanner, "s", rival->events, &last, NULL) &&
        last == (int64_t)json_array_size(rival->events);
    return NULL;
}

static void the_first_of_two_scanners_that_write_a_message_owns_it(void **argument)
{
    struct scene *scene = *argument;
    struct store_transaction first;
    struct batch batch = {0}, day = {0};
    char id[37], sql[300];
    add_many(&day, 1); /* its partitions, which would otherwise be made by both */
    write_batch(scene->store, "day", &day);
    new_id(id);
    add_received(&batch, id, "a@example.org", "b@example.com", NULL);
    add_delivery(&batch, id, 0, "b@example.com", "delivered", "250 ok");
    add_many(&batch, 1);
    ok(store_begin(scene->store, &first, &error));
    snprintf(sql, sizeof(sql),
             "INSERT INTO audit_message (at, id, scanner_id) VALUES (to_timestamp(('x' ||"
             " left(replace('%s', '-', ''), 12))::bit(48)::bigint / 1000.0), '%s', '" SCANNER "')",
             id, id);
    ok(store_run(first.connection, sql, NULL, &error));
    struct rival rival = {.store = scene->store, .scanner = OTHER_SCANNER, .events = batch.events};
    pthread_create(&rival.thread, NULL, write_as_rival, &rival);
    usleep(300000);
    ok(store_finish(&first, true, &error));
    pthread_join(rival.thread, NULL);
    drop_batch(&batch);
    assert_true(rival.written);
    assert_int_equal(count_of(scene, "SELECT sum(seq) FROM audit_rejected"), 1 + 2);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_recipient"), 2);
    assert_int_equal(
        count_of(scene,
                 "SELECT count(*) FROM audit_message WHERE scanner_id = '" OTHER_SCANNER "'"),
        1);
}

static void scanners_that_write_the_same_messages_at_once_share_none(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    struct rival rivals[2];
    add_many(&batch, 1000);
    for (int i = 0; i < 2; i++) {
        rivals[i] = (struct rival){.store = private_postgres_store(scene->postgres, 1),
                                   .scanner = i ? OTHER_SCANNER : SCANNER,
                                   .events = batch.events};
        pthread_create(&rivals[i].thread, NULL, write_as_rival, &rivals[i]);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(rivals[i].thread, NULL);
        assert_true(rivals[i].written);
        store_close(rivals[i].store);
    }
    drop_batch(&batch);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message"), 1000);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event e JOIN audit_message m"
                                     " ON m.id = e.message_id AND m.scanner_id = e.scanner_id"),
                     1000);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 1000);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected"), 1000);
    assert_int_equal(count_of(scene, "SELECT sum(received) FROM audit_hour"), 1000);
}

/* --- partitions --- */

#define DAY 86400000LL

static void each_day_has_its_partition(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37];
    int64_t midnight = timestamp_now_ms() / DAY * DAY;
    const int64_t times[] = {midnight, midnight - 1, midnight - DAY, midnight - 40 * DAY, midnight};
    for (int i = 0; i < 5; i++) {
        id_at(times[i], id);
        add_received(&batch, id, "a@example.org", "b@example.com", NULL);
    }
    write_batch(scene->store, "s", &batch);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_day"), 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message"), 5);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM pg_inherits i JOIN pg_class c"
                                     " ON c.oid = i.inhrelid WHERE c.relkind = 'r'"),
                     9);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_message WHERE tableoid::regclass"
                                     "::text <> 'audit_message_' || to_char(at, 'YYYYMMDD')"),
                     0);
}

static void control_centers_make_a_new_day_together(void **argument)
{
    struct scene *scene = *argument;
    struct batch batches[4] = {{0}};
    struct sender senders[4];
    static const char *const streams[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++) {
        char id[37];
        for (int day = 0; day < 5; day++) {
            id_at(timestamp_now_ms() - day * DAY, id);
            add_received(&batches[i], id, "a@example.org", "b@example.com", NULL);
        }
        senders[i] = (struct sender){.store = private_postgres_store(scene->postgres, 1),
                                     .stream = streams[i],
                                     .events = batches[i].events};
    }
    for (int i = 0; i < 4; i++)
        pthread_create(&senders[i].thread, NULL, send_all, &senders[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(senders[i].thread, NULL);
        assert_int_equal(senders[i].refused, 0);
        store_close(senders[i].store);
        drop_batch(&batches[i]);
    }
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_day"), 5);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_event"), 20);
}

static void a_new_day_waits_for_no_reader(void **argument)
{
    struct scene *scene = *argument;
    struct store_transaction reader;
    struct batch batch = {0};
    char id[37];
    add_many(&batch, 1);
    write_batch(scene->store, "s", &batch);
    ok(store_begin(scene->store, &reader, &error));
    ok(store_run(reader.connection, "SELECT count(*) FROM audit_message", NULL, &error));
    id_at(timestamp_now_ms() - DAY, id);
    add_received(&batch, id, "a@example.org", "b@example.com", NULL);
    int64_t started = timestamp_monotonic_ms();
    write_batch(scene->store, "s", &batch);
    assert_true(timestamp_monotonic_ms() - started < 3000);
    ok(store_finish(&reader, true, &error));
}

/* --- figures --- */

static void the_dashboard_counts(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char ids[6][37];
    for (int i = 0; i < 6; i++)
        new_id(ids[i]);
    for (int i = 0; i < 5; i++)
        add_received(&batch, ids[i], "a@example.org", "b@example.com", "c@example.com");
    add(&batch, "refused", ids[5], received_members("a@example.org", "b@example.com", NULL));
    add_scanned(&batch, ids[0], "virus", "x");
    add_action(&batch, ids[0], "delete", 0, 1);
    add_scanned(&batch, ids[1], "virus", "x");
    add_action(&batch, ids[1], "reject", 0, 1);
    add_scanned(&batch, ids[2], "spam", "x");
    add_delivery(&batch, ids[3], 0, "b@example.com", "delivered", "250 ok");
    add_delivery(&batch, ids[3], 1, "c@example.com", "deferred", "451 no");
    add_delivery(&batch, ids[4], 0, "b@example.com", "deferred", "451 no");
    write_batch(scene->store, "s", &batch);
    add_delivery(&batch, ids[4], 0, "b@example.com", "delivered", "250 ok");
    write_batch(scene->store, "s", &batch);

    struct error problem = {0};
    cleanup_json json_t *summary = store_audit_summary(scene->store, 24, &problem);
    assert_non_null(summary);
    assert_int_equal(number_of(summary, "received"), 5);
    assert_int_equal(number_of(summary, "delivered"), 2);
    assert_int_equal(number_of(summary, "virus"), 2);
    assert_int_equal(number_of(summary, "spam"), 1);
    assert_int_equal(number_of(summary, "rejected"), 2);
    assert_int_equal(number_of(summary, "deferred"), 1);
    const json_t *hours = json_object_get(summary, "by_hour"), *hour;
    size_t i;
    json_int_t received = 0, before = 0;
    assert_int_equal(json_array_size(hours), 24);
    json_array_foreach(hours, i, hour)
    {
        assert_true(i == 0 || number_of(hour, "at") == before + 3600000);
        before = number_of(hour, "at");
        received += number_of(hour, "received");
    }
    assert_int_equal(received, 5);
    fails(ERROR_INVALID, store_audit_summary(scene->store, 0, &error));
    fails(ERROR_INVALID, store_audit_summary(scene->store, 100000, &error));
}

static void a_message_that_is_not_there_is_not_found(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    new_id(id);
    fails(ERROR_NOT_FOUND, store_audit_message(scene->store, id, &error));
    fails(ERROR_NOT_FOUND, store_audit_message(scene->store, "' OR true --", &error));
    fails(ERROR_NOT_FOUND,
          store_audit_message(scene->store, "ffffffff-ffff-7fff-bfff-ffffffffffff", &error));
    fails(ERROR_NOT_FOUND,
          store_audit_message(scene->store, "00000000-0000-7000-8000-000000000000", &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_message_is_followed_from_receipt_to_delivery),
        scene_test(one_batch_gives_the_same_as_many),
        scene_test(actions_set_the_state_of_their_recipients),
        scene_test(unknown_recipients_that_are_deleted_say_nothing_of_the_message),
        scene_test(an_aborted_message_says_so),
        scene_test(events_of_an_unknown_message_make_it),
        scene_test(a_late_receipt_does_not_undo_what_came_before),
        scene_test(events_that_come_again_are_passed_over),
        scene_test(a_gap_writes_nothing),
        scene_test(streams_and_scanners_count_for_themselves),
        scene_test(an_empty_batch_tells_the_position),
        scene_test(sources_and_batches_out_of_bounds_are_refused),
        scene_test(control_centers_that_take_the_same_stream_write_each_seq_once),
        scene_test(kills_of_the_database_lose_and_repeat_no_event),
        scene_test(events_that_break_the_form_are_kept_aside),
        scene_test(elements_that_are_no_events_are_kept_aside_in_their_place),
        scene_test(hostile_text_goes_in_and_comes_out),
        scene_test(what_the_database_does_not_take_is_found_and_kept_aside),
        scene_test(deep_and_large_events_are_taken),
        scene_test(an_event_of_absurd_length_is_kept_aside),
        scene_test(a_scanner_cannot_change_the_message_of_another),
        scene_test(foreign_events_are_found_beside_what_the_database_does_not_take),
        scene_test(the_first_of_two_scanners_that_write_a_message_owns_it),
        scene_test(scanners_that_write_the_same_messages_at_once_share_none),
        scene_test(each_day_has_its_partition),
        scene_test(control_centers_make_a_new_day_together),
        scene_test(a_new_day_waits_for_no_reader),
        scene_test(the_dashboard_counts),
        scene_test(a_message_that_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

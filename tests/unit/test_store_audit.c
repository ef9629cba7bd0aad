/* Intake of audit events: what becomes of a message, and what is counted. */
#include "controlcenter/store/store_internal.h"
#include "test_store_events.h"

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

static void an_action_on_the_queue_stands_in_the_timeline_alone(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37];
    new_id(id);
    add_received(&batch, id, "a@example.org", "b@example.com", "c@example.com");
    add(&batch, "action", id,
        json_pack("{s:s,s:s,s:[ii]}", "action", "deliver", "policy", "none", "recipients", 0, 1));
    add(&batch, "queue", id,
        json_pack("{s:s,s:s,s:[i],s:s}", "action", "reroute", "administrator", "ada", "recipients",
                  1, "route", "[::1]:25"));
    write_batch(scene->store, "s", &batch);
    cleanup_json json_t *whole = message_of(scene, id);
    const json_t *event = json_array_get(json_object_get(whole, "events"), 2);
    assert_string_equal(text_of(event, "type"), "queue");
    assert_string_equal(text_of(event, "administrator"), "ada");
    assert_string_equal(text_of(event, "route"), "[::1]:25");
    assert_string_equal(state_of(whole, 1), "queued");
    assert_string_equal(text_of(json_object_get(whole, "message"), "action"), "deliver");
}

/* The filters' own event changes nothing: actions tell what becomes of the recipients. */
static void what_filters_say_stands_in_the_timeline_alone(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37], other[37];
    new_id(id);
    new_id(other);
    add_received(&batch, id, "a@example.org", "b@example.com", "c@example.com");
    add(&batch, "filters", id,
        json_pack("{s:[{s:[i],s:s,s:[{s:s,s:s}],s:[s]}],s:[],s:[],s:i}", "outcomes", "recipients", 1,
                  "disposition", "hold", "filters", "id", "pay", "name", "Payroll", "copies", other,
                  "finds", "notify", "configuration_version", 3));
    write_batch(scene->store, "s", &batch);
    assert_state(scene, id, 1, "to be scanned");
    add(&batch, "incident", id,
        json_pack("{s:s,s:s,s:b,s:[],s:[i],s:s}", "folder", "legal", "folder_name", "Legal",
                  "quarantine", 1, "filters", "recipients", 1, "copy", other));
    add_action(&batch, id, "hold", 1, -1);
    add_action(&batch, id, "move", 0, -1);
    write_batch(scene->store, "s", &batch);
    assert_state(scene, id, 0, "moved");
    assert_state(scene, id, 1, "held");
    cleanup_json json_t *whole = message_of(scene, id);
    const json_t *event = json_array_get(json_object_get(whole, "events"), 1);
    const json_t *outcome = json_array_get(json_object_get(event, "outcomes"), 0);
    assert_string_equal(text_of(outcome, "disposition"), "hold");
}

static void filters_and_incidents_without_their_form_are_kept_aside(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37];
    new_id(id);
    add(&batch, "filters", id,
        json_pack("{s:[{s:[s]}],s:[],s:[]}", "outcomes", "recipients", "b", "finds", "notify"));
    add(&batch, "filters", id, json_pack("{s:i}", "outcomes", 1));
    add(&batch, "incident", id, json_pack("{s:s,s:[i]}", "folder", "legal", "recipients", 0));
    write_batch(scene->store, "s", &batch);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected"), 3);
}

static void an_action_on_the_queue_without_its_form_is_kept_aside(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char id[37];
    new_id(id);
    add(&batch, "queue", id, json_pack("{s:s,s:[]}", "action", "hold", "recipients"));
    add(&batch, "queue", id, json_pack("{s:s,s:[]}", "administrator", "ada", "recipients"));
    add(&batch, "queue", id, json_pack("{s:s,s:s}", "action", "hold", "administrator", "ada"));
    add(&batch, "queue", id,
        json_pack("{s:s,s:s,s:[s]}", "action", "hold", "administrator", "ada", "recipients", "b"));
    write_batch(scene->store, "s", &batch);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_rejected"), 4);
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
        scene_test(an_action_on_the_queue_stands_in_the_timeline_alone),
        scene_test(what_filters_say_stands_in_the_timeline_alone),
        scene_test(filters_and_incidents_without_their_form_are_kept_aside),
        scene_test(an_action_on_the_queue_without_its_form_is_kept_aside),
        scene_test(the_dashboard_counts),
        scene_test(a_message_that_is_not_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

/* Intake of audit events: what breaks the form, and hostile values. */
#include "controlcenter/store/store_internal.h"
#include "test_store_events.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(events_that_break_the_form_are_kept_aside),
        scene_test(elements_that_are_no_events_are_kept_aside_in_their_place),
        scene_test(hostile_text_goes_in_and_comes_out),
        scene_test(what_the_database_does_not_take_is_found_and_kept_aside),
        scene_test(deep_and_large_events_are_taken),
        scene_test(an_event_of_absurd_length_is_kept_aside),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

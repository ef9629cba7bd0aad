/* Intake of audit events: a message is that scanner's whose event of it came first. */
#include "controlcenter/store/store_internal.h"
#include "test_store_events.h"

#include <unistd.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_scanner_cannot_change_the_message_of_another),
        scene_test(foreign_events_are_found_beside_what_the_database_does_not_take),
        scene_test(the_first_of_two_scanners_that_write_a_message_owns_it),
        scene_test(scanners_that_write_the_same_messages_at_once_share_none),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

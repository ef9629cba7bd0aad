/* Intake of audit events: each is taken once, whoever sends it, and each day has its partitions. */
#include "controlcenter/store/store_internal.h"
#include "test_store_events.h"

#include <unistd.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(events_that_come_again_are_passed_over),
        scene_test(a_gap_writes_nothing),
        scene_test(streams_and_scanners_count_for_themselves),
        scene_test(an_empty_batch_tells_the_position),
        scene_test(sources_and_batches_out_of_bounds_are_refused),
        scene_test(control_centers_that_take_the_same_stream_write_each_seq_once),
        scene_test(kills_of_the_database_lose_and_repeat_no_event),
        scene_test(each_day_has_its_partition),
        scene_test(control_centers_make_a_new_day_together),
        scene_test(a_new_day_waits_for_no_reader),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

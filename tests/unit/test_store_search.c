/* Search over the audit trail: what is found, in which order, page by page, and by which way. */
#include "test_store_events.h"

#include <unistd.h>

#define DAY 86400000LL

struct found {
    struct store_audit_message *messages;
    size_t count;
};

static struct found search(struct scene *scene, struct store_audit_query query)
{
    struct found found = {0};
    if (query.limit == 0)
        query.limit = 1000;
    ok(store_audit_search(scene->store, &query, &found.messages, &found.count, &error));
    return found;
}

static void clear(struct found *found)
{
    store_audit_list_free(found->messages, found->count);
}

static size_t count_found(struct scene *scene, struct store_audit_query query)
{
    struct found found = search(scene, query);
    clear(&found);
    return found.count;
}

#define finds(scene, expected, ...)                                                                \
    assert_int_equal(count_found((scene), (struct store_audit_query){__VA_ARGS__}), (expected))

/* Three messages: one delivered and deferred, one with a virus, one of another day and host. */
static void write_three(struct scene *scene, char ids[3][37])
{
    struct batch batch = {0}, other = {0};
    int64_t last;
    id_at(timestamp_now_ms() - 1000, ids[0]);
    add_received(&batch, ids[0], "Anna.Berg@Example.ORG", "carl@example.com", "dora@example.net");
    add_scanned(&batch, ids[0], "clean", "Rechnung Nr. 100%_sicher");
    add_action(&batch, ids[0], "deliver", 0, 1);
    add_delivery(&batch, ids[0], 0, "carl@example.com", "delivered", "250 ok");
    add_delivery(&batch, ids[0], 1, "dora@example.net", "deferred", "451 later");
    new_id(ids[1]);
    add_received(&batch, ids[1], "evil@spam.example", "carl@example.com", NULL);
    add_scanned(&batch, ids[1], "virus", "会議の議事録を送ります");
    add_action(&batch, ids[1], "delete", 0, -1);
    write_batch(scene->store, "s", &batch);
    id_at(timestamp_now_ms() - 3 * DAY, ids[2]);
    json_t *event = add(&other, "received", ids[2], received_members("", "erik@example.com", NULL));
    json_object_set_new(event, "peer_ip", json_string("2001:db8::25"));
    ok(store_audit_write(scene->store, OTHER_SCANNER, "s", other.events, &last, &error));
    drop_batch(&other);
}

static void each_condition_finds_its_messages(void **argument)
{
    struct scene *scene = *argument;
    char ids[3][37];
    write_three(scene, ids);
    finds(scene, 3, .limit = 10);
    finds(scene, 1, .sender = "anna.berg");
    finds(scene, 1, .sender = "EXAMPLE.org");
    finds(scene, 0, .sender = "nobody");
    finds(scene, 3, .sender = "");
    finds(scene, 2, .recipient = "carl@");
    finds(scene, 3, .recipient = "example.com");
    finds(scene, 1, .recipient = "DORA");
    finds(scene, 1, .subject = "rechnung");
    finds(scene, 1, .subject = "議事録");
    finds(scene, 1, .message_id = ids[1]);
    finds(scene, 2, .message_id = "<1@example.org>");
    finds(scene, 2, .message_id = "1@example.org");
    finds(scene, 0, .message_id = "@example.org");
    finds(scene, 2, .peer_ip = "192.0.2.1");
    finds(scene, 1, .peer_ip = "2001:DB8:0::25");
    finds(scene, 1, .verdict = "virus");
    finds(scene, 0, .verdict = "vir");
    finds(scene, 1, .outcome = "delivered");
    finds(scene, 1, .outcome = "deferred");
    finds(scene, 1, .outcome = "deleted");
    finds(scene, 1, .outcome = "to be scanned");
    finds(scene, 2, .scanner_id = SCANNER);
    finds(scene, 1, .scanner_id = OTHER_SCANNER);
}

static void conditions_hold_together(void **argument)
{
    struct scene *scene = *argument;
    char ids[3][37];
    write_three(scene, ids);
    finds(scene, 1, .recipient = "carl", .verdict = "virus");
    finds(scene, 0, .recipient = "dora", .verdict = "virus");
    finds(scene, 1, .recipient = "dora", .outcome = "deferred");
    /* One recipient has to fit both. */
    finds(scene, 0, .recipient = "carl", .outcome = "deferred");
    finds(scene, 1, .sender = "anna", .subject = "sicher", .recipient = "carl",
          .outcome = "delivered", .scanner_id = SCANNER, .peer_ip = "192.0.2.1",
          .message_id = "<1@example.org>", .verdict = "clean");
    finds(scene, 0, .message_id = ids[0], .verdict = "virus");
}

static void wildcards_and_quotes_are_plain_text(void **argument)
{
    struct scene *scene = *argument;
    char ids[3][37];
    write_three(scene, ids);
    finds(scene, 1, .subject = "100%_s");
    finds(scene, 0, .subject = "100_s");
    finds(scene, 0, .sender = "%");
    finds(scene, 0, .sender = "_");
    finds(scene, 0, .sender = "\\");
    finds(scene, 0, .sender = "' OR '1'='1");
    finds(scene, 0, .verdict = "'; DROP TABLE audit_message; --");
    finds(scene, 0, .outcome = "x' OR true --");
    finds(scene, 3, .limit = 10);
}

static void conditions_that_make_no_sense_are_refused(void **argument)
{
    struct scene *scene = *argument;
    struct found found;
    char longer[1200];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    const struct store_audit_query wrong[] = {
        {.peer_ip = "not an address", .limit = 1},
        {.scanner_id = "x", .limit = 1},
        {.before_time = 1, .before_id = "x", .limit = 1},
        {.sender = longer, .limit = 1},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        fails(ERROR_INVALID,
              store_audit_search(scene->store, &wrong[i], &found.messages, &found.count, &error));
    char ids[3][37];
    write_three(scene, ids);
    const struct store_audit_query bytes = {.sender = "\xff\xfe", .limit = 1};
    fails(ERROR_INVALID,
          store_audit_search(scene->store, &bytes, &found.messages, &found.count, &error));
}

static void rows_tell_what_the_list_shows(void **argument)
{
    struct scene *scene = *argument;
    struct batch batch = {0};
    char ids[3][37], id[37];
    count_of(scene,
             "INSERT INTO scanner (id, host_name, smtp) VALUES ('" SCANNER "', 'mx1', '{}')");
    write_three(scene, ids);
    struct found found = search(scene, (struct store_audit_query){.limit = 10});
    assert_int_equal(found.count, 3);
    const struct store_audit_message *newest = &found.messages[0], *second = &found.messages[1];
    assert_string_equal(newest->id, ids[1]);
    assert_string_equal(second->id, ids[0]);
    assert_string_equal(found.messages[2].id, ids[2]);
    assert_string_equal(newest->verdict, "virus");
    assert_string_equal(newest->action, "delete");
    assert_string_equal(newest->outcomes, "1 deleted");
    assert_string_equal(second->scanner_host, "mx1");
    assert_string_equal(second->direction, "inbound");
    assert_string_equal(second->peer_ip, "192.0.2.1");
    assert_string_equal(second->sender, "Anna.Berg@Example.ORG");
    assert_string_equal(second->subject, "Rechnung Nr. 100%_sicher");
    assert_string_equal(second->recipients, "carl@example.com, dora@example.net");
    assert_string_equal(second->outcomes, "1 deferred, 1 delivered");
    assert_int_equal(second->size, 1234);
    assert_int_equal(second->recipient_count, 2);
    assert_string_equal(found.messages[2].scanner_host, "");
    assert_string_equal(found.messages[2].verdict, "");
    clear(&found);

    new_id(id);
    batch.seq = 8;
    json_t *event = add(&batch, "received", id, received_members("x@x", "r0@x", "r1@x"));
    for (int i = 2; i < 40; i++)
        json_array_append_new(json_object_get(event, "recipients"), json_string("more@x"));
    add_delivery(&batch, id, 39, "more@x", "delivered", "250");
    write_batch(scene->store, "s", &batch);
    found = search(scene, (struct store_audit_query){.sender = "x@x"});
    assert_int_equal(found.count, 1);
    assert_string_equal(found.messages[0].recipients, "r0@x, r1@x, more@x and 37 more");
    assert_string_equal(found.messages[0].outcomes, "39 to be scanned, 1 delivered");
    assert_int_equal(found.messages[0].recipient_count, 40);
    clear(&found);
}

static void times_bound_the_search(void **argument)
{
    struct scene *scene = *argument;
    char ids[3][37];
    int64_t now = timestamp_now_ms();
    write_three(scene, ids);
    finds(scene, 2, .from = now - DAY);
    finds(scene, 1, .until = now - DAY);
    finds(scene, 3, .from = now - 4 * DAY, .until = now + DAY);
    finds(scene, 0, .from = now - 2 * DAY, .until = now - DAY);
    finds(scene, 0, .from = now + DAY, .until = now - DAY);
    finds(scene, 1, .before_time = now - DAY);
    struct found found = search(scene, (struct store_audit_query){.limit = 1});
    finds(scene, 2, .before_time = found.messages[0].at, .before_id = found.messages[0].id);
    finds(scene, 1, .from = found.messages[0].at);
    finds(scene, 2, .until = found.messages[0].at);
    clear(&found);
    finds(scene, 0, .from = 1, .until = 2);
    finds(scene, 3, .from = INT64_MIN / 2, .until = INT64_MAX / 2);
}

/* --- pages --- */

/* 5,000 messages over 12 days, of which many share a millisecond. */
static void write_many(struct scene *scene)
{
    struct batch batch = {0};
    char id[37], sender[40];
    int64_t now = timestamp_now_ms();
    for (int i = 0; i < 5000; i++) {
        id_at(now - (i % 12) * DAY - i / 50, id);
        snprintf(sender, sizeof(sender), "user%04d@bulk.example", i);
        add_received(&batch, id, sender, "a@example.com", i % 7 ? NULL : "b@example.com");
        if (i % 1000 == 999)
            write_batch(scene->store, "many", &batch);
    }
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void pages_give_each_message_once(void **argument)
{
    struct scene *scene = *argument;
    static char ids[5001][37];
    static const size_t limits[] = {1000, 333, 5000};
    write_many(scene);
    for (int round = 0; round < 3; round++) {
        struct store_audit_query query = {.limit = limits[round]};
        struct found found;
        char before[37];
        size_t total = 0;
        do {
            found = search(scene, query);
            assert_true(found.count <= 1000);
            for (size_t i = 0; i < found.count; i++) {
                const struct store_audit_message *row = &found.messages[i];
                assert_true(total == 0 || query.before_time == 0 || row->at <= query.before_time);
                assert_true(i == 0 || row->at < row[-1].at ||
                            (row->at == row[-1].at && strcmp(row->id, row[-1].id) < 0));
                assert_true(total < 5000);
                strcpy(ids[total++], row->id);
                query.before_time = row->at;
                strcpy(before, row->id);
            }
            query.before_id = before;
            clear(&found);
        } while (found.count > 0);
        assert_int_equal(total, 5000);
        qsort(ids, total, sizeof(ids[0]), compare_text);
        for (size_t i = 1; i < total; i++)
            assert_string_not_equal(ids[i - 1], ids[i]);
    }
}

static void recipients_do_not_count_as_messages(void **argument)
{
    struct scene *scene = *argument;
    write_many(scene);
    finds(scene, 1000, .recipient = "example.com");
    finds(scene, 715, .recipient = "b@example.com");
    finds(scene, 0, .limit = 1, .recipient = "nobody@");
}

/* --- the way to the rows --- */

/* How often indexes whose name has this text were used. */
static int64_t uses_of(struct scene *scene, const char *text)
{
    char sql[300];
    snprintf(sql, sizeof(sql),
             "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes"
             " WHERE indexrelname LIKE '%%%s%%'",
             text);
    return count_of(scene, sql);
}

static void assert_uses(struct scene *scene, const char *index, struct store_audit_query query)
{
    int64_t before = uses_of(scene, index);
    for (int i = 0; i < 30; i++) {
        assert_true(count_found(scene, query) > 0);
        if (uses_of(scene, index) > before)
            return;
        usleep(200000); /* a server process tells its figures once a second */
    }
    fail_msg("no index named like %s was used", index);
}

/* Rows by the hundred thousand, written beside intake, whose figures are measured elsewhere. */
static void fill_days(struct scene *scene, int days)
{
    char sql[1500];
    snprintf(sql, sizeof(sql),
             "SELECT audit_create_days(array(SELECT (now() AT TIME ZONE 'UTC')::date - n"
             " FROM generate_series(1, %d) n));"
             "INSERT INTO audit_message (at, id, scanner_id, sender, subject, verdict, peer_ip)"
             " SELECT date_trunc('day', now()) - interval '1 day' * (n %% %d + 1) + interval '1 ms'"
             " * (n / %d), gen_random_uuid(), '" SCANNER "', 'user' || n || '@host' || n %% 977 ||"
             " '.example', 'subject number ' || md5(n::text), 'clean', '10.0.0.1'::inet + n %% 5000"
             " FROM generate_series(1, 20000 * %d) n;"
             "INSERT INTO audit_recipient (message_at, message_id, idx, address, state, changed_at)"
             " SELECT at, id, 0, 'r' || substr(md5(sender), 1, 12) || '@example.com',"
             " CASE WHEN sender LIKE 'user1234%%5@%%' THEN 'deferred' ELSE 'delivered' END, at"
             " FROM audit_message",
             days, days, days, days);
    count_of(scene, sql);
    /* As autovacuum does: statistics, and the indexes' lists of what is not sorted in yet. */
    count_of(scene, "VACUUM ANALYZE audit_message, audit_recipient");
}

static void rare_substrings_are_found_through_the_indexes_of_each_day(void **argument)
{
    struct scene *scene = *argument;
    fill_days(scene, 5);
    int64_t started = timestamp_monotonic_ms();
    finds(scene, 1, .sender = "ser87654@");
    finds(scene, 0, .sender = "zebra@zoo.example");
    finds(scene, 0, .recipient = "zebra@zoo.example", .limit = 50);
    finds(scene, 0, .subject = "no such subject", .limit = 50);
    finds(scene, 0, .peer_ip = "203.0.113.9");
    finds(scene, 0, .verdict = "virus", .limit = 50);
    finds(scene, 0, .message_id = "<nobody@example>");
    int64_t rare = timestamp_monotonic_ms() - started;
    started = timestamp_monotonic_ms();
    finds(scene, 50, .sender = "user", .limit = 50);
    finds(scene, 50, .limit = 50);
    int64_t common = timestamp_monotonic_ms() - started;
    print_message("100,000 messages: 7 rare searches %lld ms, 2 common ones %lld ms\n",
                  (long long)rare, (long long)common);
    assert_true(rare < 1500);
    assert_true(common < 500);
    assert_uses(scene, "sender_subject", (struct store_audit_query){.sender = "ser87654@"});
    assert_uses(scene, "address", (struct store_audit_query){.recipient = "r00000", .limit = 50});
    assert_uses(scene, "state_message_at", (struct store_audit_query){.outcome = "deferred"});
    assert_uses(scene, "peer_ip", (struct store_audit_query){.peer_ip = "10.0.0.77"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(each_condition_finds_its_messages),
        scene_test(conditions_hold_together),
        scene_test(wildcards_and_quotes_are_plain_text),
        scene_test(conditions_that_make_no_sense_are_refused),
        scene_test(rows_tell_what_the_list_shows),
        scene_test(times_bound_the_search),
        scene_test(pages_give_each_message_once),
        scene_test(recipients_do_not_count_as_messages),
        scene_test(rare_substrings_are_found_through_the_indexes_of_each_day),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

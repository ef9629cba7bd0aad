/* Incidents in the database: insertion, search, history, folders, what leaves them. */
#include "test_store_scene.h"

#include "controlcenter/store/incidents.h"
#include "controlcenter/store/incidents_internal.h"

#define SCANNER "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"
#define MANY 100000    /* GATEHOUSE_INCIDENTS says another number */
#define SEARCH_MS 2000 /* far above what it takes, far below what a walk over all would */

static void new_id(char id[MESSAGE_ID_TEXT_SIZE])
{
    struct message_id made = message_id_new();
    message_id_text(&made, id);
}

static json_t *info_of(const char *folder, const char *sender, const char *subject)
{
    json_t *info = json_pack(
        "{s:s,s:s,s:s,s:b,s:s,s:[{s:s,s:s}],s:[{s:s,s:s,s:s}],s:s,s:[s,s],s:s,s:s,s:s,s:s,s:s,s:s}",
        "kind", "incident", "folder", folder, "folder_name", "Held for review", "quarantine", 1,
        "message", "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4aff", "filters", "id", "payroll", "name",
        "Payroll data", "finds", "filter", "payroll", "part", "body", "text", "salary", "sender",
        sender, "recipients", "rose@example.com", "lily@example.com", "subject", subject, "from",
        "Boss <boss@example.org>", "direction", "inbound", "host", "mx1", "received_at",
        "2026-01-31T12:00:00.000Z", "verdict", "clean");
    assert_non_null(info);
    return info;
}

static bool insert(struct scene *scene, const char *id, json_t *info, int64_t size)
{
    struct store_transaction transaction;
    struct error error = {0};
    if (!store_begin(scene->store, &transaction, &error))
        return false;
    bool done = store_finish(
        &transaction,
        store_incident_insert(transaction.connection, id, SCANNER, info, size, &error), &error);
    json_decref(info);
    if (!done)
        print_message("%s: %s\n", error.where, error.message);
    return done;
}

static int64_t add(struct scene *scene, const char *folder, const char *sender, const char *subject,
                   int64_t size)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    new_id(id);
    assert_true(insert(scene, id, info_of(folder, sender, subject), size));
    return count_of(scene, "SELECT max(number) FROM incident");
}

static size_t found(struct scene *scene, const struct store_incident_query *query, int64_t *first)
{
    struct store_incident *incidents;
    size_t count;
    ok(store_incident_search(scene->store, query, &incidents, &count, &error));
    if (first)
        *first = count ? incidents[0].number : 0;
    store_incident_list_free(incidents, count);
    return count;
}

static void an_incident_has_what_the_scanner_said(void **state)
{
    struct scene *scene = *state;
    struct store_incident incident;
    int64_t number = add(scene, "held", "boss@example.org", "The salaries", 1234);
    ok(store_incident_get(scene->store, number, &incident, &error));
    assert_string_equal(incident.folder, "held");
    assert_string_equal(incident.folder_name, "Held for review");
    assert_true(incident.quarantine);
    assert_string_equal(incident.state, "open");
    assert_string_equal(incident.sender, "boss@example.org");
    assert_string_equal(incident.recipients_text, "rose@example.com, lily@example.com");
    assert_int_equal(json_array_size(incident.recipients), 2);
    assert_string_equal(incident.filters_text, "Payroll data");
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(incident.finds, 0), "text")), "salary");
    assert_int_equal(incident.received_at, 1769860800000);
    assert_int_equal(incident.size, 1234);
    assert_string_equal(incident.message_id, "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4aff");
    store_incident_clear(&incident);
    fails(ERROR_NOT_FOUND, store_incident_get(scene->store, number + 1, &incident, &error));
}

static void a_message_handed_over_twice_is_one_incident(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    struct store_incident incident;
    new_id(id);
    assert_true(insert(scene, id, info_of("held", "a@example.org", "Once"), 10));
    assert_true(insert(scene, id, info_of("held", "a@example.org", "Once"), 10));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident"), 1);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident_history"), 1);
    assert_int_equal(count_of(scene, "SELECT open FROM incident_folder"), 1);
    ok(store_incident_by_handover(scene->store, id, &incident, &error));
    assert_string_equal(incident.handover_id, id);
    store_incident_clear(&incident);
}

static void no_form_of_the_info_loses_a_message(void **state)
{
    struct scene *scene = *state;
    static const char *const texts[] = {
        "{}",
        "{\"folder\":7,\"recipients\":\"no list\",\"finds\":[1,2],\"filters\":[[]],"
        "\"received_at\":\"once\",\"message\":\"none\",\"quarantine\":\"yes\"}",
        "{\"subject\":\"a\\u0001b\\nc\",\"sender\":\"\\u0000\",\"recipients\":[null,5,\"x\"]}",
    };
    char id[MESSAGE_ID_TEXT_SIZE];
    for (size_t i = 0; i < 3; i++) {
        new_id(id);
        json_t *info = json_loads(texts[i], JSON_ALLOW_NUL, NULL);
        assert_non_null(info);
        assert_true(insert(scene, id, info, 1));
    }
    assert_int_equal(count_of(scene,
                              "SELECT count(*) FROM incident WHERE folder = 'unknown'"
                              " AND quarantine AND received_at > now() - interval '1 minute'"),
                     3);
}

static void a_search_finds_by_each_condition(void **state)
{
    struct scene *scene = *state;
    int64_t first = add(scene, "held", "boss@example.org", "The salaries", 1);
    int64_t second = add(scene, "noted", "joe_x@example.net", "100% free", 1), number;
    struct store_incident_query all = {.limit = 10}, query;
    assert_int_equal(found(scene, &all, &number), 2);
    assert_int_equal(number, second);
    const struct store_incident_query queries[] = {
        {.limit = 10, .folder = "held"},
        {.limit = 10, .text = "BOSS@"},
        {.limit = 10, .text = "alarie"},
        {.limit = 10, .folder = "held", .text = "lily@"},
        {.limit = 10, .before_time = 1769860800000, .before_number = second},
    };
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        assert_int_equal(found(scene, &queries[i], &number), 1);
        assert_int_equal(number, first);
    }
    query = (struct store_incident_query){.limit = 10, .text = "100% f"};
    assert_int_equal(found(scene, &query, &number), 1);
    query.text = "e_s"; /* no wildcard: "the salaries" is not meant */
    assert_int_equal(found(scene, &query, NULL), 0);
    query = (struct store_incident_query){.limit = 10, .filter = "payroll"};
    assert_int_equal(found(scene, &query, NULL), 2);
    query = (struct store_incident_query){.limit = 10, .state = "open"};
    assert_int_equal(found(scene, &query, NULL), 2);
    query.state = "closed";
    assert_int_equal(found(scene, &query, NULL), 0);
    query = (struct store_incident_query){.limit = 10, .until = 1769860800000};
    assert_int_equal(found(scene, &query, NULL), 0);
    query = (struct store_incident_query){.limit = 10, .from = 1769860800000};
    assert_int_equal(found(scene, &query, NULL), 2);
    cleanup_free char *large = calloc(1, 1100);
    memset(large, 'x', 1001);
    query = (struct store_incident_query){.limit = 10, .text = large};
    struct store_incident *incidents;
    size_t count;
    fails(ERROR_INVALID, store_incident_search(scene->store, &query, &incidents, &count, &error));
}

static void a_hidden_folder_is_left_out_of_each_way_to_search(void **state)
{
    struct scene *scene = *state;
    struct store_incident_folder *folders = NULL;
    size_t count = 0;
    int64_t number = 0, seen = add(scene, "noted", "boss@example.org", "The salaries", 1);
    add(scene, "held", "boss@example.org", "The salaries", 1);
    add(scene, "secret\"x", "boss@example.org", "The salaries", 1);
    cleanup_json json_t *hidden = json_pack("[s,s,s]", "held", "secret\"x", "never there");
    cleanup_json json_t *none = json_array();
    const struct store_incident_query queries[] = {
        {.limit = 10, .hidden = hidden},
        {.limit = 10, .hidden = hidden, .state = "open"},
        {.limit = 10, .hidden = hidden, .text = "salaries"},
        {.limit = 10, .hidden = hidden, .state = "open", .filter = "payroll"},
        {.limit = 1, .hidden = hidden, .text = "boss"},
    };
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        assert_int_equal(found(scene, &queries[i], &number), 1);
        assert_int_equal(number, seen);
    }
    struct store_incident_query query = {.limit = 10, .hidden = hidden, .folder = "held"};
    assert_int_equal(found(scene, &query, NULL), 0);
    query.hidden = none;
    assert_int_equal(found(scene, &query, NULL), 1);
    ok(store_incident_folders(scene->store, hidden, &folders, &count, &error));
    assert_int_equal(count, 1);
    assert_string_equal(folders[0].id, "noted");
    free(folders);
    ok(store_incident_folders(scene->store, none, &folders, &count, &error));
    assert_int_equal(count, 3);
    free(folders);
}

static void comments_and_assignment_stand_in_the_history(void **state)
{
    struct scene *scene = *state;
    int64_t number = add(scene, "held", "boss@example.org", "The salaries", 1);
    struct store_incident_line *lines;
    struct store_incident incident;
    size_t count;
    ok(store_administrator_create(scene->store, "Anna", "hash", false, &error));
    ok(store_incident_comment(scene->store, number, "joe", "Looks\nodd", &error));
    ok(store_incident_assign(scene->store, number, "anna", "joe", &error));
    fails(ERROR_INVALID, store_incident_assign(scene->store, number, "eve", "joe", &error));
    fails(ERROR_NOT_FOUND, store_incident_assign(scene->store, 99, "anna", "joe", &error));
    fails(ERROR_NOT_FOUND, store_incident_comment(scene->store, 99, "joe", "x", &error));
    fails(ERROR_INVALID, store_incident_comment(scene->store, number, "joe", "", &error));
    ok(store_incident_get(scene->store, number, &incident, &error));
    assert_string_equal(incident.assigned_to, "Anna");
    store_incident_clear(&incident);
    ok(store_incident_history(scene->store, number, &lines, &count, &error));
    assert_int_equal(count, 3);
    assert_string_equal(lines[0].what, "created");
    assert_string_equal(lines[0].detail, "Payroll data");
    assert_string_equal(lines[1].comment, "Looks\nodd");
    assert_string_equal(lines[2].detail, "Anna");
    assert_string_equal(lines[2].who, "joe");
    store_incident_history_free(lines, count);
}

static void a_folder_counts_what_is_in_it(void **state)
{
    struct scene *scene = *state;
    struct store_incident_folder *folders;
    size_t count;
    add(scene, "held", "a@example.org", "One", 100);
    add(scene, "held", "a@example.org", "Two", 200);
    add(scene, "noted", "a@example.org", "Three", 400);
    count_of(scene, "WITH changed AS (UPDATE incident SET state = 'approved' WHERE subject = 'Two'"
                    " RETURNING 1) SELECT count(*) FROM changed");
    ok(store_incident_folders(scene->store, NULL, &folders, &count, &error));
    assert_int_equal(count, 2);
    assert_string_equal(folders[0].id, "held");
    assert_int_equal(folders[0].open, 1);
    assert_int_equal(folders[0].closed, 1);
    assert_int_equal(folders[0].bytes, 300);
    assert_int_equal(folders[0].oldest_at, 1769860800000);
    free(folders);
    count_of(scene, "WITH gone AS (DELETE FROM incident RETURNING 1) SELECT count(*) FROM gone");
    assert_int_equal(count_of(scene, "SELECT sum(open + closed + bytes) FROM incident_folder"), 0);
}

static void what_is_held_and_open_is_never_expunged(void **state)
{
    struct scene *scene = *state;
    int64_t removed, numbers[10];
    size_t count;
    int64_t held = add(scene, "held", "a@example.org", "Held", 1000);
    add(scene, "held", "a@example.org", "Decided", 1000);
    add(scene, "held", "a@example.org", "Noted", 1000);
    count_of(scene, "WITH changed AS (UPDATE incident SET state = 'approved' WHERE subject ="
                    " 'Decided' RETURNING 1) SELECT count(*) FROM changed");
    count_of(scene, "WITH changed AS (UPDATE incident SET quarantine = false WHERE subject ="
                    " 'Noted' RETURNING 1) SELECT count(*) FROM changed");
    ok(store_incident_expunge(scene->store, "held", 1769860800000, 10, &removed, &error));
    assert_int_equal(removed, 0); /* none is older than that */
    ok(store_incident_expunge_over(scene->store, "held", 3000, 10, &removed, &error));
    assert_int_equal(removed, 0);
    ok(store_incident_expunge_over(scene->store, "held", 2500, 10, &removed, &error));
    assert_int_equal(removed, 1);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident WHERE subject = 'Decided'"), 0);
    ok(store_incident_expunge_over(scene->store, "held", 0, 10, &removed, &error));
    assert_int_equal(removed, 1);
    add(scene, "held", "a@example.org", "Decided", 1000);
    count_of(scene, "WITH changed AS (UPDATE incident SET state = 'approved' WHERE subject ="
                    " 'Decided' RETURNING 1) SELECT count(*) FROM changed");
    ok(store_incident_expunge(scene->store, "held", 1769860800001, 10, &removed, &error));
    assert_int_equal(removed, 1);
    ok(store_incident_overdue(scene->store, "held", 1769860800001, 10, numbers, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(numbers[0], held);
}

static void timed(struct scene *scene, const char *what, const struct store_incident_query *query,
                  size_t expected)
{
    int64_t started = timestamp_monotonic_ms();
    assert_int_equal(found(scene, query, NULL), expected);
    int64_t took = timestamp_monotonic_ms() - started;
    print_message("%-28s %lld ms\n", what, (long long)took);
    assert_true(took < SEARCH_MS);
}

static void many_incidents_are_searched_quickly(void **state)
{
    struct scene *scene = *state;
    char sql[1500];
    struct store_incident_folder *folders;
    size_t count;
    const char *given = getenv("GATEHOUSE_INCIDENTS");
    int many = given ? atoi(given) : MANY;
    count_of(scene, "DROP INDEX incident_words; SELECT 1");
    snprintf(sql, sizeof(sql),
             "SET synchronous_commit = off; WITH made AS (INSERT INTO incident (handover_id,"
             " scanner_id, folder, quarantine, received_at, sender, recipients, recipients_text,"
             " subject, header_from, direction, host, verdict, filters, filters_text, finds, size,"
             " state)"
             " SELECT gen_random_uuid(), '" SCANNER "', 'folder' || n %% 7, n %% 2 = 0,"
             " '2026-01-01'::timestamptz + n * interval '1 second', md5(n::text) || '@example.org',"
             " '[\"a@example.com\"]', md5((n + 7)::text) || '@example.com',"
             " 'Invoice ' || md5((n + 3)::text) || CASE WHEN n = 5 THEN ' needle' ELSE '' END, '',"
             " 'inbound', 'mx1', 'clean', '[{\"id\":\"f\",\"name\":\"Rare\"}]',"
             " CASE WHEN n %% 100 = 0 THEN 'Payroll' ELSE 'Invoices' END, '[]', 1000,"
             " CASE WHEN n %% 10 = 0 THEN 'open' ELSE 'approved' END"
             " FROM generate_series(1, %d) n RETURNING 1) SELECT count(*) FROM made",
             many);
    assert_int_equal(count_of(scene, sql), many);
    count_of(scene, "SET maintenance_work_mem = '512MB'; CREATE INDEX incident_words ON incident"
                    " USING gin (sender gin_trgm_ops, recipients_text gin_trgm_ops,"
                    " subject gin_trgm_ops, filters_text gin_trgm_ops); ANALYZE incident;"
                    " SELECT 1");
    timed(scene, "newest", &(struct store_incident_query){.limit = 100}, 100);
    timed(scene, "open ones of a folder",
          &(struct store_incident_query){.limit = 100, .folder = "folder3", .state = "open"}, 100);
    timed(scene, "a word in most", &(struct store_incident_query){.limit = 100, .text = "invoice"},
          100);
    timed(scene, "a word in one", &(struct store_incident_query){.limit = 100, .text = "needle"},
          1);
    timed(scene, "a word in none", &(struct store_incident_query){.limit = 100, .text = "nowhere"},
          0);
    timed(scene, "a filter in the open ones",
          &(struct store_incident_query){.limit = 100, .state = "open", .filter = "payroll"}, 100);
    timed(scene, "a page in the middle",
          &(struct store_incident_query){
              .limit = 100, .before_time = 1767225600000 + many * 500LL, .before_number = many / 2},
          100);
    cleanup_json json_t *hidden = json_pack("[s,s]", "folder1", "folder2");
    timed(scene, "without two folders",
          &(struct store_incident_query){.limit = 100, .hidden = hidden}, 100);
    timed(scene, "a word in none, without them",
          &(struct store_incident_query){.limit = 100, .hidden = hidden, .text = "nowhere"}, 0);
    int64_t started = timestamp_monotonic_ms();
    ok(store_incident_folders(scene->store, NULL, &folders, &count, &error));
    assert_int_equal(count, 7);
    print_message("%-28s %lld ms\n", "folders", (long long)(timestamp_monotonic_ms() - started));
    assert_true(timestamp_monotonic_ms() - started < SEARCH_MS);
    free(folders);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        scene_test(an_incident_has_what_the_scanner_said),
        scene_test(a_message_handed_over_twice_is_one_incident),
        scene_test(no_form_of_the_info_loses_a_message),
        scene_test(a_search_finds_by_each_condition),
        scene_test(a_hidden_folder_is_left_out_of_each_way_to_search),
        scene_test(comments_and_assignment_stand_in_the_history),
        scene_test(a_folder_counts_what_is_in_it),
        scene_test(what_is_held_and_open_is_never_expunged),
        scene_test(many_incidents_are_searched_quickly),
    };
    return cmocka_run_group_tests_name("store: incidents", tests, open_group, close_group);
}

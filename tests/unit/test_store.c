/* The store's connections, migrations, settings, versions: what everything else of it stands on. */
#include "controlcenter/store/store_internal.h"
#include "test_store_scene.h"

#include <sys/stat.h>
#include <unistd.h>

/* --- opening --- */

static void a_malformed_connection_string_is_refused(void **argument)
{
    (void)argument;
    fails(ERROR_INVALID, store_open("host = = x", 4, &error));
    fails(ERROR_INVALID, store_open("no_such_option=1", 4, &error));
    fails(ERROR_INVALID, store_open("host=/tmp", 0, &error));
    fails(ERROR_INVALID, store_open("host=/tmp", 1001, &error));
}

static void a_store_opens_while_the_database_is_away(void **argument)
{
    (void)argument;
    struct store *store = store_open("host=/tmp/gatehouse-nobody-listens-here", 2, NULL);
    assert_non_null(store);
    int64_t started = timestamp_monotonic_ms();
    fails(ERROR_UNAVAILABLE, store_ping(store, &error));
    assert_true(timestamp_monotonic_ms() - started < 500);
    store_close(store);
    store_close(NULL);
}

/* --- the pool --- */

struct caller {
    struct store *store;
    int failures;
    pthread_t thread;
};

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    int64_t version;
    for (int i = 0; i < 100; i++)
        caller->failures += !store_configuration_version(caller->store, &version, NULL);
    return NULL;
}

static void many_threads_share_few_connections(void **argument)
{
    struct scene *scene = *argument;
    struct caller callers[12];
    struct store *store = private_postgres_store(scene->postgres, 2);
    for (int i = 0; i < 12; i++) {
        callers[i] = (struct caller){.store = store};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < 12; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].failures, 0);
    }
    assert_int_equal(store->open_count, 2);
    assert_int_equal(store->idle_count, 2);
    store_close(store);
}

static void a_busy_pool_is_waited_for_and_then_given_up(void **argument)
{
    struct scene *scene = *argument;
    struct store *store = private_postgres_store(scene->postgres, 1);
    PGconn *connection = store_take(store, NULL);
    assert_non_null(connection);
    int64_t started = timestamp_monotonic_ms();
    fails(ERROR_UNAVAILABLE, store_ping(store, &error));
    assert_in_range(timestamp_monotonic_ms() - started, 4900, 6000);
    store_give(store, connection);
    ok(store_ping(store, &error));
    store_close(store);
}

struct holder {
    struct store *store;
    PGconn *connection;
};

static void *give_soon(void *argument)
{
    struct holder *holder = argument;
    usleep(300000);
    store_give(holder->store, holder->connection);
    return NULL;
}

static void a_connection_that_is_given_back_goes_to_who_waits(void **argument)
{
    struct scene *scene = *argument;
    pthread_t thread;
    struct store *store = private_postgres_store(scene->postgres, 1);
    struct holder holder = {store, store_take(store, NULL)};
    int64_t started = timestamp_monotonic_ms();
    pthread_create(&thread, NULL, give_soon, &holder);
    ok(store_ping(store, &error));
    assert_in_range(timestamp_monotonic_ms() - started, 250, 2000);
    pthread_join(thread, NULL);
    store_close(store);
}

static void connections_that_the_server_ended_are_replaced_unnoticed(void **argument)
{
    struct scene *scene = *argument;
    ok(store_ping(scene->store, &error));
    assert_true(count_of(scene, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                " WHERE application_name = 'gatehouse-controlcenter'") >= 1);
    usleep(100000);
    ok(store_ping(scene->store, &error));
    assert_int_equal(version_of(scene), 1);
}

static void a_connection_that_breaks_in_a_transaction_is_not_used_again(void **argument)
{
    struct scene *scene = *argument;
    struct store_transaction transaction;
    ok(store_begin(scene->store, &transaction, &error));
    count_of(scene, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE application_name = 'gatehouse-controlcenter'");
    fails(ERROR_UNAVAILABLE, store_run(transaction.connection, "SELECT 1", NULL, &error));
    fails(ERROR_UNAVAILABLE, store_finish(&transaction, true, &error));
    assert_int_equal(scene->store->open_count, scene->store->idle_count);
    ok(store_ping(scene->store, &error));
}

static void a_commit_after_a_failed_statement_is_an_error(void **argument)
{
    struct scene *scene = *argument;
    struct store_transaction transaction;
    ok(store_begin(scene->store, &transaction, &error));
    fails(ERROR_INVALID, store_run(transaction.connection, "SELECT 1 / 0", NULL, &error));
    fails(ERROR_INTERNAL, store_finish(&transaction, true, &error));
}

static void a_transaction_that_is_not_finished_well_leaves_nothing(void **argument)
{
    struct scene *scene = *argument;
    struct store_transaction transaction;
    ok(store_begin(scene->store, &transaction, &error));
    ok(store_run(transaction.connection, "INSERT INTO setting VALUES ('k', '1')", NULL, &error));
    assert_false(store_finish(&transaction, false, NULL));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM setting"), 0);
}

static void a_statement_that_takes_too_long_is_a_timeout(void **argument)
{
    struct scene *scene = *argument;
    struct store_transaction transaction;
    ok(store_begin(scene->store, &transaction, &error));
    ok(store_run(transaction.connection, "SET LOCAL statement_timeout = 100", NULL, &error));
    fails(ERROR_TIMEOUT, store_run(transaction.connection, "SELECT pg_sleep(9)", NULL, &error));
    assert_false(store_finish(&transaction, false, NULL));
    cleanup_free char *limit = NULL;
    PGresult *result = store_single(scene->store, "SHOW statement_timeout", NULL, NULL);
    limit = store_copy(result, 0, 0);
    PQclear(result);
    assert_string_equal(limit, "30s");
}

static void a_killed_database_fails_calls_at_once_and_comes_back_by_itself(void **argument)
{
    struct scene *scene = *argument;
    ok(store_ping(scene->store, &error));
    private_postgres_kill(scene->postgres);
    for (int i = 0; i < 20; i++) {
        int64_t started = timestamp_monotonic_ms();
        fails(ERROR_UNAVAILABLE, store_ping(scene->store, &error));
        assert_true(timestamp_monotonic_ms() - started < 500);
    }
    private_postgres_start(scene->postgres);
    ok(store_ping(scene->store, &error));
    assert_true(scene->store->open_count <= 4);
}

static void a_restart_between_two_calls_is_not_noticed(void **argument)
{
    struct scene *scene = *argument;
    struct store_transaction transaction;
    for (int i = 0; i < 3; i++) {
        ok(store_ping(scene->store, &error));
        private_postgres_kill(scene->postgres);
        private_postgres_start(scene->postgres);
        ok(store_begin(scene->store, &transaction, &error));
        ok(store_finish(&transaction, true, &error));
    }
}

static void a_database_that_does_not_answer_delays_one_call_only(void **argument)
{
    struct scene *scene = *argument;
    store_drop_idle(scene->store);
    private_postgres_freeze(scene->postgres);
    int64_t started = timestamp_monotonic_ms();
    fails(ERROR_UNAVAILABLE, store_ping(scene->store, &error));
    int64_t first = timestamp_monotonic_ms() - started;
    started = timestamp_monotonic_ms();
    fails(ERROR_UNAVAILABLE, store_ping(scene->store, &error));
    int64_t second = timestamp_monotonic_ms() - started;
    private_postgres_thaw(scene->postgres);
    assert_in_range(first, 1500, 6000);
    assert_true(second < 200);
    usleep(2200000);
    ok(store_ping(scene->store, &error));
}

/* --- migrations --- */

struct folder {
    char path[64];
};

static void make_folder(struct folder *folder)
{
    strcpy(folder->path, "/tmp/gatehouse-schema-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static void put_file(const struct folder *folder, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    cleanup_file FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
}

static void remove_folder(const struct folder *folder)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder->path);
    assert_int_equal(system(command), 0);
}

static const char *schema_folder(void)
{
    static _Thread_local char path[512];
    const char *root = getenv("SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/schema", root ? root : ".");
    return path;
}

static void migrating_again_changes_nothing(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *value = json_integer(5);
    ok(store_setting_put(scene->store, "kept", value, "test", false, &error));
    ok(store_migrate(scene->store, schema_folder(), &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM setting"), 1);
    assert_true(count_of(scene, "SELECT max(number) FROM schema_migration") >= 2);
}

static void *migrate_once(void *argument)
{
    struct caller *caller = argument;
    caller->failures = !store_migrate(caller->store, schema_folder(), NULL);
    return NULL;
}

static void control_centers_that_start_together_migrate_once(void **argument)
{
    struct scene *scene = *argument;
    struct caller callers[3];
    count_of(scene, "SET client_min_messages = error;"
                    "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    for (int i = 0; i < 3; i++) {
        callers[i] = (struct caller){
            .store = store_open(private_postgres_conninfo(scene->postgres), 2, NULL)};
        pthread_create(&callers[i].thread, NULL, migrate_once, &callers[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].failures, 0);
        store_close(callers[i].store);
    }
    assert_int_equal(count_of(scene, "SELECT count(*) FROM configuration_version"), 1);
}

static void a_newer_database_is_refused(void **argument)
{
    struct scene *scene = *argument;
    count_of(scene, "INSERT INTO schema_migration VALUES (9000, 'from the future')");
    fails(ERROR_INVALID, store_migrate(scene->store, schema_folder(), &error));
}

static void a_file_that_fails_leaves_nothing_and_says_its_name(void **argument)
{
    struct scene *scene = *argument;
    struct folder folder;
    struct error problem = {0};
    make_folder(&folder);
    count_of(scene, "DELETE FROM schema_migration");
    put_file(&folder, "0001_good.sql", "CREATE TABLE first (a integer);");
    put_file(&folder, "0002_bad.sql", "CREATE TABLE second (a integer); SELECT no_such();");
    put_file(&folder, "README", "not a migration");
    assert_false(store_migrate(scene->store, folder.path, &problem));
    assert_string_equal(problem.where, "0002_bad.sql");
    assert_non_null(strstr(problem.message, "no_such"));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM schema_migration"), 1);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM pg_class WHERE relname = 'second'"), 0);
    put_file(&folder, "0002_bad.sql", "CREATE TABLE second (a integer);");
    ok(store_migrate(scene->store, folder.path, &error));
    remove_folder(&folder);
}

static void a_file_may_not_end_its_transaction(void **argument)
{
    struct scene *scene = *argument;
    struct folder folder;
    make_folder(&folder);
    count_of(scene, "DELETE FROM schema_migration");
    put_file(&folder, "0001_commit.sql", "CREATE TABLE first (a integer); COMMIT;");
    fails(ERROR_INVALID, store_migrate(scene->store, folder.path, &error));
    remove_folder(&folder);
}

static void a_number_that_comes_later_is_applied_once(void **argument)
{
    struct scene *scene = *argument;
    struct folder folder;
    make_folder(&folder);
    fails(ERROR_NOT_FOUND, store_migrate(scene->store, folder.path, &error));
    count_of(scene, "DELETE FROM schema_migration");
    put_file(&folder, "0001_a.sql", "CREATE TABLE a (n integer)");
    put_file(&folder, "0003_c.sql", "CREATE TABLE c (n integer)");
    ok(store_migrate(scene->store, folder.path, &error));
    put_file(&folder, "0002_b.sql", "CREATE TABLE b (n integer)");
    ok(store_migrate(scene->store, folder.path, &error));
    ok(store_migrate(scene->store, folder.path, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM schema_migration"), 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM b"), 0);
    put_file(&folder, "0002_again.sql", "SELECT 1");
    fails(ERROR_INVALID, store_migrate(scene->store, folder.path, &error));
    remove_folder(&folder);
    fails(ERROR_IO, store_migrate(scene->store, folder.path, &error));
}

static void a_missing_right_to_create_the_extension_is_said_so(void **argument)
{
    struct scene *scene = *argument;
    struct error error = {0};
    char conninfo[300];
    count_of(scene, "SET client_min_messages = error; DROP SCHEMA public CASCADE;"
                    "CREATE ROLE plain LOGIN; CREATE SCHEMA public AUTHORIZATION plain");
    snprintf(conninfo, sizeof(conninfo), "%s user=plain",
             private_postgres_conninfo(scene->postgres));
    struct store *store = store_open(conninfo, 1, &error);
    assert_false(store_migrate(store, schema_folder(), &error));
    store_close(store);
    count_of(scene, "SET client_min_messages = error; DROP SCHEMA public CASCADE;"
                    "DROP ROLE plain; CREATE SCHEMA public");
    assert_int_equal(error.code, ERROR_DENIED);
    assert_string_equal(error.where, "0002_audit.sql");
    assert_non_null(strstr(error.message, "pg_trgm is needed"));
    assert_non_null(strstr(error.message, "CREATE EXTENSION pg_trgm"));
}

/* --- settings --- */

static void a_missing_setting_is_not_found(void **argument)
{
    struct scene *scene = *argument;
    fails(ERROR_NOT_FOUND, store_setting_get(scene->store, "nothing", &error));
}

static void a_setting_comes_back_as_it_was_put(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *value =
        json_pack("{s:s,s:[i,b,n,f],s:{s:s}}", "text", "日本語 \\ \" ' $1 \t\n", "list", -5, 1, 0.5,
                  "inner", "empty", "");
    ok(store_setting_put(scene->store, "a key; DROP TABLE setting --", value, "o'neill", false,
                         &error));
    cleanup_json json_t *read =
        store_setting_get(scene->store, "a key; DROP TABLE setting --", NULL);
    assert_true(json_equal(read, value));
    cleanup_json json_t *text = json_string("only text");
    ok(store_setting_put(scene->store, "text", text, "t", false, &error));
    cleanup_json json_t *read_text = store_setting_get(scene->store, "text", NULL);
    assert_string_equal(json_string_value(read_text), "only text");
}

static void a_nul_in_a_setting_is_replaced(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *value = json_stringn("a\0b\\u0000c", 10);
    ok(store_setting_put(scene->store, "k", value, "t", false, &error));
    cleanup_json json_t *read = store_setting_get(scene->store, "k", NULL);
    assert_string_equal(json_string_value(read), "a\xef\xbf\xbd"
                                                 "b\\u0000c");
}

static void wrong_keys_and_values_are_refused(void **argument)
{
    struct scene *scene = *argument;
    char key[300];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    cleanup_json json_t *value = json_true();
    cleanup_json json_t *broken = json_string_nocheck("\xff\xfe");
    fails(ERROR_INVALID, store_setting_put(scene->store, key, value, "t", false, &error));
    fails(ERROR_INVALID, store_setting_put(scene->store, "", value, "t", false, &error));
    fails(ERROR_INVALID, store_setting_put(scene->store, "k", NULL, "t", false, &error));
    fails(ERROR_INVALID, store_setting_put(scene->store, "k", broken, "t", false, &error));
    fails(ERROR_INVALID, store_setting_put(scene->store, "\xff", value, "t", false, &error));
    ok(store_ping(scene->store, &error));
}

static void a_change_is_logged_with_old_and_new_value(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *one = json_pack("{s:i}", "n", 1), *two = json_pack("{s:i}", "n", 2);
    ok(store_setting_put(scene->store, "policy.malware", one, "anna", true, &error));
    ok(store_setting_put(scene->store, "policy.malware", two, "bernd", true, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log"), 2);
    assert_int_equal(
        count_of(scene, "SELECT count(*) FROM administrator_log WHERE administrator = 'bernd' AND"
                        " action = 'setting.change' AND object = 'policy.malware' AND"
                        " old_value = '{\"n\":1}' AND new_value = '{\"n\":2}' AND"
                        " at > now() - interval '1 minute'"),
        1);
}

static void secrets_are_logged_without_values(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *value = json_string("hush-hush");
    ok(store_setting_put(scene->store, "secret.ca_key", value, "anna", false, &error));
    ok(store_setting_put(scene->store, "secret.ca_key", value, "anna", false, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log l"
                                     " WHERE l::text LIKE '%hush%'"),
                     0);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log"), 2);
}

static void only_configuration_raises_the_version(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *value = json_integer(1);
    int64_t before = version_of(scene);
    ok(store_setting_put(scene->store, "console", value, "t", false, &error));
    assert_int_equal(version_of(scene), before);
    ok(store_setting_put(scene->store, "smtp.common", value, "t", true, &error));
    assert_int_equal(version_of(scene), before + 1);
}

static void a_setting_is_created_once(void **argument)
{
    struct scene *scene = *argument;
    bool created = false;
    cleanup_json json_t *one = json_integer(1), *two = json_integer(2);
    ok(store_setting_create(scene->store, "ca", one, &created, &error));
    assert_true(created);
    ok(store_setting_create(scene->store, "ca", two, &created, &error));
    assert_false(created);
    cleanup_json json_t *read = store_setting_get(scene->store, "ca", NULL);
    assert_int_equal(json_integer_value(read), 1);
}

/* --- versions --- */

static void a_wait_ends_at_once_where_the_version_is_higher(void **argument)
{
    struct scene *scene = *argument;
    int64_t started = timestamp_monotonic_ms();
    assert_int_equal(store_configuration_wait(scene->store, 0, 20000), 1);
    assert_true(timestamp_monotonic_ms() - started < 2000);
}

static void a_wait_ends_when_its_time_is_over(void **argument)
{
    struct scene *scene = *argument;
    int64_t started = timestamp_monotonic_ms();
    assert_true(store_configuration_wait(scene->store, 1, 300) <= 1);
    assert_in_range(timestamp_monotonic_ms() - started, 295, 1500);
    assert_true(store_configuration_wait(scene->store, 1, 0) <= 1);
    assert_true(store_configuration_wait(scene->store, 1, -5) <= 1);
}

struct waiter {
    struct store *store;
    int64_t above, version, took;
    pthread_t thread;
};

static void *wait_for_version(void *argument)
{
    struct waiter *waiter = argument;
    int64_t started = timestamp_monotonic_ms();
    waiter->version = store_configuration_wait(waiter->store, waiter->above, 20000);
    waiter->took = timestamp_monotonic_ms() - started;
    return NULL;
}

static void change_something(struct store *store)
{
    cleanup_json json_t *value = json_integer(timestamp_now_ms());
    ok(store_setting_put(store, "smtp.common", value, "t", true, &error));
}

static void a_change_by_another_control_center_wakes_every_waiter(void **argument)
{
    struct scene *scene = *argument;
    struct waiter waiters[8];
    struct store *other = private_postgres_store(scene->postgres, 1);
    for (int i = 0; i < 8; i++) {
        waiters[i] = (struct waiter){.store = scene->store, .above = 1};
        pthread_create(&waiters[i].thread, NULL, wait_for_version, &waiters[i]);
    }
    usleep(500000);
    change_something(other);
    for (int i = 0; i < 8; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].version, 2);
        assert_in_range(waiters[i].took, 400, 2000);
    }
    store_close(other);
}

static void a_change_while_the_listener_was_cut_off_is_found(void **argument)
{
    struct scene *scene = *argument;
    struct waiter waiter = {.store = scene->store, .above = 2};
    struct store *other = private_postgres_store(scene->postgres, 1);
    assert_int_equal(store_configuration_wait(scene->store, 0, 5000), 1);
    private_postgres_kill(scene->postgres);
    private_postgres_start(scene->postgres);
    change_something(other);
    assert_int_equal(store_configuration_wait(scene->store, 1, 5000), 2);
    pthread_create(&waiter.thread, NULL, wait_for_version, &waiter);
    usleep(200000);
    change_something(other);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.version, 3);
    assert_true(waiter.took < 3000);
    store_close(other);
}

static void a_change_of_our_own_is_known_without_the_listener(void **argument)
{
    struct scene *scene = *argument;
    struct store *store = private_postgres_store(scene->postgres, 2);
    change_something(store);
    private_postgres_kill(scene->postgres);
    assert_int_equal(store_configuration_wait(store, 1, 5000), 2);
    store_close(store);
    private_postgres_start(scene->postgres);
}

static void a_store_closes_soon_while_its_database_is_away(void **argument)
{
    struct scene *scene = *argument;
    struct store *store = private_postgres_store(scene->postgres, 2);
    store_configuration_wait(store, 0, 2000);
    private_postgres_kill(scene->postgres);
    int64_t started = timestamp_monotonic_ms();
    store_close(store);
    assert_true(timestamp_monotonic_ms() - started < 1000);
    private_postgres_start(scene->postgres);
}

/* --- the log --- */

static void log_lines_keep_what_they_are_given(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *detail = json_pack("{s:s}", "what", "x'); DROP TABLE administrator; --");
    ok(store_log_add(scene->store, "anna", "192.0.2.1", "backup.start", detail, &error));
    ok(store_log_add(scene->store, "forged\nline \xff", NULL, "a", NULL, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " peer = '192.0.2.1' AND detail->>'what' LIKE 'x%--'"),
                     1);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " administrator = 'forged?line ?' AND detail IS NULL"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_malformed_connection_string_is_refused),
        cmocka_unit_test(a_store_opens_while_the_database_is_away),
        scene_test(many_threads_share_few_connections),
        scene_test(a_busy_pool_is_waited_for_and_then_given_up),
        scene_test(a_connection_that_is_given_back_goes_to_who_waits),
        scene_test(connections_that_the_server_ended_are_replaced_unnoticed),
        scene_test(a_connection_that_breaks_in_a_transaction_is_not_used_again),
        scene_test(a_commit_after_a_failed_statement_is_an_error),
        scene_test(a_transaction_that_is_not_finished_well_leaves_nothing),
        scene_test(a_statement_that_takes_too_long_is_a_timeout),
        scene_test(a_killed_database_fails_calls_at_once_and_comes_back_by_itself),
        scene_test(a_restart_between_two_calls_is_not_noticed),
        scene_test(a_database_that_does_not_answer_delays_one_call_only),
        scene_test(migrating_again_changes_nothing),
        scene_test(control_centers_that_start_together_migrate_once),
        scene_test(a_newer_database_is_refused),
        scene_test(a_file_that_fails_leaves_nothing_and_says_its_name),
        scene_test(a_file_may_not_end_its_transaction),
        scene_test(a_number_that_comes_later_is_applied_once),
        scene_test(a_missing_right_to_create_the_extension_is_said_so),
        scene_test(a_missing_setting_is_not_found),
        scene_test(a_setting_comes_back_as_it_was_put),
        scene_test(a_nul_in_a_setting_is_replaced),
        scene_test(wrong_keys_and_values_are_refused),
        scene_test(a_change_is_logged_with_old_and_new_value),
        scene_test(secrets_are_logged_without_values),
        scene_test(only_configuration_raises_the_version),
        scene_test(a_setting_is_created_once),
        scene_test(a_wait_ends_at_once_where_the_version_is_higher),
        scene_test(a_wait_ends_when_its_time_is_over),
        scene_test(a_change_by_another_control_center_wakes_every_waiter),
        scene_test(a_change_while_the_listener_was_cut_off_is_found),
        scene_test(a_change_of_our_own_is_known_without_the_listener),
        scene_test(a_store_closes_soon_while_its_database_is_away),
        scene_test(log_lines_keep_what_they_are_given),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

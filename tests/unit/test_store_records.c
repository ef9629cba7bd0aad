/* Accounts, sessions, scanners and domains, and that every function fails where the database is
 * away. */
#include "test_store_scene.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/timestamp.h"

#include <pthread.h>
#include <unistd.h>

static int64_t new_account(struct scene *scene, const char *name)
{
    struct store_administrator account;
    ok(store_administrator_create(scene->store, name, "$argon2id$hash", true, &error));
    ok(store_administrator_by_name(scene->store, name, &account, &error));
    return account.id;
}

static struct store_administrator account_of(struct scene *scene, const char *name)
{
    struct store_administrator account;
    ok(store_administrator_by_name(scene->store, name, &account, &error));
    return account;
}

/* --- administrators --- */

static void an_account_is_found_whatever_the_case_of_its_name(void **argument)
{
    struct scene *scene = *argument;
    int64_t count = -1;
    ok(store_administrator_count(scene->store, &count, &error));
    assert_int_equal(count, 0);
    new_account(scene, "Admin");
    struct store_administrator account = account_of(scene, "aDMIN");
    assert_string_equal(account.name, "Admin");
    assert_string_equal(account.password_hash, "$argon2id$hash");
    assert_true(account.must_change_password);
    assert_int_equal(account.locked_until, 0);
    fails(ERROR_EXISTS,
          store_administrator_create(scene->store, "ADMIN", "$argon2id$hash", true, &error));
    ok(store_administrator_count(scene->store, &count, &error));
    assert_int_equal(count, 1);
}

static void names_are_data_and_never_statements(void **argument)
{
    struct scene *scene = *argument;
    const char *name = "x' OR '1'='1'; DROP TABLE administrator; --";
    struct store_administrator account;
    new_account(scene, "admin");
    fails(ERROR_NOT_FOUND, store_administrator_by_name(scene->store, name, &account, &error));
    new_account(scene, name);
    assert_string_equal(account_of(scene, name).name, name);
    fails(ERROR_INVALID, store_administrator_by_name(scene->store, "\xff", &account, &error));
}

static void accounts_out_of_bounds_are_refused(void **argument)
{
    struct scene *scene = *argument;
    char longer[130];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    fails(ERROR_INVALID, store_administrator_create(scene->store, "", "h", true, &error));
    fails(ERROR_INVALID, store_administrator_create(scene->store, longer, "h", true, &error));
    fails(ERROR_INVALID, store_administrator_create(scene->store, "a", longer, true, &error));
    fails(ERROR_INVALID, store_administrator_create(scene->store, "a", "", true, &error));
    fails(ERROR_NOT_FOUND,
          store_administrator_set_password(scene->store, 999, "h", true, NULL, &error));
    fails(ERROR_NOT_FOUND,
          store_administrator_sign_in_result(scene->store, 999, false, "", &error));
}

static void the_fifth_failure_in_a_row_locks_for_a_quarter_of_an_hour(void **argument)
{
    struct scene *scene = *argument;
    int64_t id = new_account(scene, "admin");
    for (int i = 1; i <= 4; i++)
        ok(store_administrator_sign_in_result(scene->store, id, false, "192.0.2.1", &error));
    assert_int_equal(account_of(scene, "admin").locked_until, 0);
    ok(store_administrator_sign_in_result(scene->store, id, false, "192.0.2.1", &error));
    int64_t left = account_of(scene, "admin").locked_until - timestamp_now_ms();
    assert_in_range(left, 14 * 60000, 15 * 60000 + 1000);
    assert_int_equal(account_of(scene, "admin").failed_sign_ins, 5);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " action = 'sign_in.failed' AND peer = '192.0.2.1'"),
                     4);
    assert_int_equal(
        count_of(scene, "SELECT count(*) FROM administrator_log WHERE action = 'sign_in.locked'"),
        1);
}

static void a_success_forgets_the_failures(void **argument)
{
    struct scene *scene = *argument;
    int64_t id = new_account(scene, "admin");
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++)
            ok(store_administrator_sign_in_result(scene->store, id, false, "", &error));
        ok(store_administrator_sign_in_result(scene->store, id, true, "", &error));
    }
    struct store_administrator account = account_of(scene, "admin");
    assert_int_equal(account.failed_sign_ins, 0);
    assert_int_equal(account.locked_until, 0);
}

static void a_new_password_ends_the_other_sessions_and_the_lock(void **argument)
{
    struct scene *scene = *argument;
    struct store_session session;
    int64_t id = new_account(scene, "admin"), other = new_account(scene, "other");
    ok(store_session_create(scene->store, "kept", "csrf", id, "p", &error));
    ok(store_session_create(scene->store, "ended", "csrf", id, "p", &error));
    ok(store_session_create(scene->store, "others", "csrf", other, "p", &error));
    for (int i = 0; i < 6; i++)
        ok(store_administrator_sign_in_result(scene->store, id, false, "", &error));
    ok(store_administrator_set_password(scene->store, id, "new hash", false, "kept", &error));
    struct store_administrator account = account_of(scene, "admin");
    assert_string_equal(account.password_hash, "new hash");
    assert_false(account.must_change_password);
    assert_int_equal(account.locked_until, 0);
    ok(store_session_get(scene->store, "kept", &session, &error));
    assert_false(session.must_change_password);
    ok(store_session_get(scene->store, "others", &session, &error));
    fails(ERROR_NOT_FOUND, store_session_get(scene->store, "ended", &session, &error));
    ok(store_administrator_set_password(scene->store, id, "third", true, NULL, &error));
    fails(ERROR_NOT_FOUND, store_session_get(scene->store, "kept", &session, &error));
    assert_true(account_of(scene, "admin").must_change_password);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log l WHERE"
                                     " l::text LIKE '%hash%' OR l::text LIKE '%third%'"),
                     0);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " action = 'administrator.password'"),
                     2);
}

/* --- sessions --- */

static void a_session_is_found_and_seen(void **argument)
{
    struct scene *scene = *argument;
    struct store_session session;
    int64_t id = new_account(scene, "admin");
    ok(store_session_create(scene->store, "hash", "csrf-token", id, "192.0.2.1", &error));
    count_of(scene, "UPDATE session SET seen_at = now() - interval '29 minutes'");
    ok(store_session_get(scene->store, "hash", &session, &error));
    assert_int_equal(session.administrator_id, id);
    assert_string_equal(session.administrator_name, "admin");
    assert_string_equal(session.csrf, "csrf-token");
    assert_string_equal(session.peer, "192.0.2.1");
    assert_true(session.must_change_password);
    assert_in_range(session.seen_at, timestamp_now_ms() - 5000, timestamp_now_ms() + 1000);
    assert_in_range(session.created_at, timestamp_now_ms() - 5000, timestamp_now_ms() + 1000);
    ok(store_session_end(scene->store, "hash", &error));
    fails(ERROR_NOT_FOUND, store_session_get(scene->store, "hash", &session, &error));
    ok(store_session_end(scene->store, "hash", &error));
}

static void idle_and_old_sessions_have_ended(void **argument)
{
    struct scene *scene = *argument;
    struct store_session session;
    int64_t id = new_account(scene, "admin");
    ok(store_session_create(scene->store, "idle", "c", id, "", &error));
    count_of(scene, "UPDATE session SET seen_at = now() - interval '31 minutes'");
    fails(ERROR_NOT_FOUND, store_session_get(scene->store, "idle", &session, &error));
    ok(store_session_create(scene->store, "old", "c", id, "", &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM session"), 1);
    count_of(scene, "UPDATE session SET created_at = now() - interval '11 hours 59 minutes'");
    ok(store_session_get(scene->store, "old", &session, &error));
    count_of(scene, "UPDATE session SET created_at = now() - interval '12 hours 1 minute'");
    fails(ERROR_NOT_FOUND, store_session_get(scene->store, "old", &session, &error));
}

static void sessions_out_of_bounds_are_refused(void **argument)
{
    struct scene *scene = *argument;
    struct store_session session;
    char longer[200];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    int64_t id = new_account(scene, "admin");
    fails(ERROR_NOT_FOUND, store_session_create(scene->store, "h", "c", 12345, "", &error));
    fails(ERROR_INVALID, store_session_create(scene->store, "", "c", id, "", &error));
    fails(ERROR_INVALID, store_session_create(scene->store, longer, "c", id, "", &error));
    fails(ERROR_INVALID, store_session_create(scene->store, "h", longer, id, "", &error));
    fails(ERROR_INVALID, store_session_get(scene->store, "\xc3", &session, &error));
    ok(store_session_create(scene->store, "h", "c", id, longer, &error));
    fails(ERROR_EXISTS, store_session_create(scene->store, "h", "c", id, "", &error));
}

/* --- scanners --- */

static json_t *some_smtp(void)
{
    return json_pack("{s:{s:[]}}", "inbound", "listeners");
}

static void new_scanner(struct scene *scene, const char *hash, const char *name, char id[37])
{
    char host_name[256];
    cleanup_json json_t *smtp = some_smtp();
    ok(store_enrolment_create(scene->store, hash, name, timestamp_now_ms() + 60000, "anna",
                              &error));
    ok(store_enrolment_use(scene->store, hash, smtp, id, host_name, &error));
    assert_string_equal(host_name, name);
}

static void a_token_makes_one_scanner(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0};
    char id[37], again[37], host_name[256];
    cleanup_json json_t *smtp = some_smtp();
    new_scanner(scene, "hash", "mx1.example.com", id);
    fails(ERROR_DENIED, store_enrolment_use(scene->store, "hash", smtp, again, host_name, &error));
    fails(ERROR_DENIED,
          store_enrolment_use(scene->store, "unknown", smtp, again, host_name, &error));
    ok(store_scanner_get(scene->store, id, &scanner, &error));
    assert_string_equal(scanner.id, id);
    assert_string_equal(scanner.host_name, "mx1.example.com");
    assert_in_range(scanner.enrolled_at, timestamp_now_ms() - 5000, timestamp_now_ms() + 1000);
    assert_int_equal(scanner.seen_at, 0);
    assert_int_equal(scanner.configuration_version, 0);
    assert_int_equal(scanner.wanted_version, version_of(scene));
    assert_null(scanner.status);
    assert_true(json_equal(scanner.smtp, smtp));
    store_scanner_clear(&scanner);
    assert_int_equal(
        count_of(scene, "SELECT count(*) FROM administrator_log WHERE administrator = 'anna' AND"
                        " object = 'mx1.example.com' AND action IN ('scanner.token',"
                        " 'scanner.enrol')"),
        2);
}

static void an_expired_token_makes_none(void **argument)
{
    struct scene *scene = *argument;
    char id[37], host_name[256];
    cleanup_json json_t *smtp = some_smtp();
    ok(store_enrolment_create(scene->store, "old", "a", timestamp_now_ms() - 1, "t", &error));
    ok(store_enrolment_create(scene->store, "never", "a", 0, "t", &error));
    fails(ERROR_DENIED, store_enrolment_use(scene->store, "old", smtp, id, host_name, &error));
    fails(ERROR_DENIED, store_enrolment_use(scene->store, "never", smtp, id, host_name, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM scanner"), 0);
}

struct enroller {
    struct store *store;
    bool enrolled;
    pthread_t thread;
};

static void *enrol(void *argument)
{
    struct enroller *enroller = argument;
    char id[37], host_name[256];
    cleanup_json json_t *smtp = some_smtp();
    enroller->enrolled = store_enrolment_use(enroller->store, "race", smtp, id, host_name, NULL);
    return NULL;
}

static void of_two_that_use_a_token_at_once_one_succeeds(void **argument)
{
    struct scene *scene = *argument;
    struct enroller enrollers[4];
    int enrolled = 0;
    ok(store_enrolment_create(scene->store, "race", "a", timestamp_now_ms() + 60000, "t", &error));
    for (int i = 0; i < 4; i++) {
        enrollers[i] = (struct enroller){.store = scene->store};
        pthread_create(&enrollers[i].thread, NULL, enrol, &enrollers[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(enrollers[i].thread, NULL);
        enrolled += enrollers[i].enrolled;
    }
    assert_int_equal(enrolled, 1);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM scanner"), 1);
}

static void names_that_are_no_scanner_are_not_found(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0};
    static const char *const names[] = {"", "Gatehouse Control Center", "' OR true --", "\xff",
                                        "0190a0b0-0000-7000-8000-000000000000"};
    cleanup_json json_t *smtp = some_smtp();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        fails(ERROR_NOT_FOUND, store_scanner_get(scene->store, names[i], &scanner, &error));
        fails(ERROR_NOT_FOUND,
              store_scanner_seen(scene->store, names[i], 1, 0, "", "1", NULL, &error));
        fails(ERROR_NOT_FOUND, store_scanner_set_smtp(scene->store, names[i], smtp, "t", &error));
        fails(ERROR_NOT_FOUND, store_scanner_remove(scene->store, names[i], "t", &error));
    }
    fails(ERROR_INVALID, store_enrolment_create(scene->store, "h", "", 1, "t", &error));
    fails(ERROR_INVALID, store_scanner_set_smtp(scene->store, names[4], NULL, "t", &error));
    assert_int_equal(version_of(scene), 1);
}

static void a_poll_is_noted(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0};
    char id[37], reason[3000] = "";
    new_scanner(scene, "h", "mx", id);
    for (int i = 0; i < 900; i++)
        strcat(reason, "\xc3\xa4");
    cleanup_json json_t *status = json_pack("{s:{s:s%}}", "mta", "queue", "a\0b", (size_t)3);
    ok(store_scanner_seen(scene->store, id, 7, 8, reason, "0.1.0 with a name that is far too long",
                          status, &error));
    ok(store_scanner_get(scene->store, id, &scanner, &error));
    assert_int_equal(scanner.configuration_version, 7);
    assert_int_equal(scanner.failed_version, 8);
    assert_int_equal(strlen(scanner.failed_reason), 640);
    assert_int_equal(strlen(scanner.software_version), 32);
    assert_true(scanner.seen_at > timestamp_now_ms() - 5000);
    assert_non_null(json_object_get(scanner.status, "mta"));
    store_scanner_clear(&scanner);
}

static void a_status_that_cannot_be_kept_is_unknown(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0};
    char id[37], large[300000];
    new_scanner(scene, "h", "mx", id);
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    json_t *const statuses[] = {json_string("fine"), json_pack("{s:s}", "mta", large),
                                json_pack("{s:o}", "mta", json_string_nocheck("\xff")), NULL};
    for (int i = 0; i < 4; i++) {
        ok(store_scanner_seen(scene->store, id, 1, 0, "\xff\n", NULL, statuses[i], &error));
        ok(store_scanner_get(scene->store, id, &scanner, &error));
        assert_null(scanner.status);
        assert_string_equal(scanner.failed_reason, "??");
        store_scanner_clear(&scanner);
        json_decref(statuses[i]);
    }
}

static void own_settings_and_removal_raise_the_version_and_are_logged(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0}, *scanners;
    char id[37], other[37];
    size_t count;
    cleanup_json json_t *smtp = json_pack("{s:i}", "scan_wait_seconds", 5);
    new_scanner(scene, "h1", "mx2", id);
    new_scanner(scene, "h2", "mx1", other);
    int64_t version = version_of(scene);
    ok(store_scanner_set_smtp(scene->store, id, smtp, "anna", &error));
    assert_int_equal(version_of(scene), version + 1);
    ok(store_scanner_get(scene->store, id, &scanner, &error));
    assert_true(json_equal(scanner.smtp, smtp));
    assert_int_equal(scanner.wanted_version, version + 1);
    store_scanner_clear(&scanner);
    ok(store_scanner_list(scene->store, &scanners, &count, &error));
    assert_int_equal(count, 2);
    assert_string_equal(scanners[0].host_name, "mx1");
    assert_string_equal(scanners[1].host_name, "mx2");
    store_scanner_list_free(scanners, count);
    ok(store_scanner_remove(scene->store, id, "anna", &error));
    assert_int_equal(version_of(scene), version + 2);
    fails(ERROR_NOT_FOUND, store_scanner_get(scene->store, id, &scanner, &error));
    fails(ERROR_NOT_FOUND, store_scanner_seen(scene->store, id, 1, 0, "", "", NULL, &error));
    fails(ERROR_NOT_FOUND, store_scanner_remove(scene->store, id, "anna", &error));
    ok(store_scanner_list(scene->store, &scanners, &count, &error));
    assert_int_equal(count, 1);
    store_scanner_list_free(scanners, count);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE action ="
                                     " 'scanner.change' AND new_value->>'scan_wait_seconds' = '5'"
                                     " AND old_value ? 'inbound'"),
                     1);
    assert_int_equal(
        count_of(scene, "SELECT count(*) FROM administrator_log WHERE action = 'scanner.remove'"),
        1);
}

/* --- domains --- */

static json_t *relay(const char *host)
{
    return json_pack("{s:s,s:[{s:s,s:i}]}", "kind", "relay", "relays", "host", host, "port", 25);
}

static void put_domain(struct scene *scene, const char *name, const char *host)
{
    cleanup_json json_t *route = relay(host);
    ok(store_domain_put(scene->store, name, route, false, "anna", &error));
}

static void domains_are_created_changed_and_removed_with_a_trace(void **argument)
{
    struct scene *scene = *argument;
    struct store_domain *domains;
    size_t count;
    int64_t total, version = version_of(scene);
    cleanup_json json_t *first = relay("10.0.0.1"), *second = relay("10.0.0.2");
    ok(store_domain_put(scene->store, "Example.COM", first, false, "anna", &error));
    fails(ERROR_EXISTS,
          store_domain_put(scene->store, "example.com", second, false, "anna", &error));
    ok(store_domain_put(scene->store, "example.com", second, true, "bernd", &error));
    ok(store_domain_list(scene->store, NULL, NULL, 10, &domains, &count, &error));
    assert_int_equal(count, 1);
    assert_string_equal(domains[0].name, "example.com");
    assert_true(json_equal(domains[0].route, second));
    store_domain_list_free(domains, count);
    ok(store_domain_remove(scene->store, "EXAMPLE.com", "carl", &error));
    fails(ERROR_NOT_FOUND, store_domain_remove(scene->store, "example.com", "carl", &error));
    ok(store_domain_count(scene->store, &total, &error));
    assert_int_equal(total, 0);
    assert_int_equal(version_of(scene), version + 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " (action, administrator) IN (('domain.create', 'anna'),"
                                     " ('domain.change', 'bernd'), ('domain.remove', 'carl'))"
                                     " AND (action = 'domain.create') = (old_value IS NULL)"
                                     " AND (action = 'domain.remove') = (new_value IS NULL)"),
                     3);
}

static void domains_that_are_none_are_refused(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *route = relay("h"), *text = json_string("mx");
    static const char *const names[] = {"", "bad domain", "a..b", "x'; --", "\xff.example"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        fails(ERROR_INVALID, store_domain_put(scene->store, names[i], route, true, "t", &error));
    fails(ERROR_INVALID, store_domain_put(scene->store, "a.example", text, true, "t", &error));
    fails(ERROR_INVALID, store_domain_put(scene->store, "a.example", NULL, true, "t", &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM domain"), 0);
    assert_int_equal(version_of(scene), 1);
}

static void pages_of_domains_give_each_once(void **argument)
{
    struct scene *scene = *argument;
    char after[256] = "";
    size_t count, total = 0;
    count_of(scene, "INSERT INTO domain (name, route) SELECT 'd' || n || '.example',"
                    " '{\"kind\":\"mx\"}' FROM generate_series(1, 250) n");
    do {
        struct store_domain *domains;
        ok(store_domain_list(scene->store, "", *after ? after : NULL, 100, &domains, &count,
                             &error));
        for (size_t i = 0; i < count; i++, total++) {
            assert_true(strcmp(domains[i].name, after) > 0);
            strcpy(after, domains[i].name);
        }
        store_domain_list_free(domains, count);
    } while (count == 100);
    assert_int_equal(total, 250);
}

static size_t found(struct scene *scene, const char *search)
{
    struct store_domain *domains;
    size_t count;
    ok(store_domain_list(scene->store, search, NULL, 100, &domains, &count, &error));
    store_domain_list_free(domains, count);
    return count;
}

/* --- the lists of addresses --- */

static void put_entry(struct scene *scene, enum store_list list, const char *key, json_t *value)
{
    assert_non_null(value);
    ok(store_entry_put(scene->store, list, key, value, true, "anna", &error));
    json_decref(value);
}

static json_t *domain_value(const char *alias_of)
{
    return json_pack("{s:{s:s},s:s,s:s*}", "route", "kind", "mx", "recipients", "drop", "alias_of",
                     alias_of);
}

static void lists_keep_what_their_entries_say(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *alias = json_pack("{s:[s,s]}", "to", "a@x.example", "B@y.example");
    cleanup_json json_t *masquerade = json_pack("{s:s}", "to", "@example.com");
    put_entry(scene, STORE_DOMAINS, "main.example", domain_value(NULL));
    put_entry(scene, STORE_DOMAINS, "old.example", domain_value("main.example"));
    ok(store_entry_put(scene->store, STORE_ALIASES, "all@x.example", alias, false, "a", &error));
    ok(store_entry_put(scene->store, STORE_MASQUERADES, "@.x.example", masquerade, false, "a",
                       &error));
    cleanup_json json_t *domain = store_entry_get(scene->store, STORE_DOMAINS, "old.example", NULL);
    cleanup_json json_t *wanted = domain_value("main.example");
    assert_true(json_equal(domain, wanted));
    cleanup_json json_t *to = store_entry_get(scene->store, STORE_ALIASES, "all@x.example", NULL);
    assert_true(json_equal(to, alias));
    cleanup_json json_t *as = store_entry_get(scene->store, STORE_MASQUERADES, "@.x.example", NULL);
    assert_true(json_equal(as, masquerade));
    fails(ERROR_NOT_FOUND,
          store_entry_get(scene->store, STORE_ALIASES, "nobody@x.example", &error) != NULL);
}

static void a_domain_that_another_stands_for_must_be_there(void **argument)
{
    struct scene *scene = *argument;
    cleanup_json json_t *alias = domain_value("main.example");
    fails(ERROR_INVALID,
          store_entry_put(scene->store, STORE_DOMAINS, "old.example", alias, true, "anna", &error));
    put_entry(scene, STORE_DOMAINS, "main.example", domain_value(NULL));
    put_entry(scene, STORE_DOMAINS, "old.example", domain_value("main.example"));
    fails(ERROR_DENIED,
          store_entry_remove(scene->store, STORE_DOMAINS, "main.example", "anna", &error));
    ok(store_entry_remove(scene->store, STORE_DOMAINS, "old.example", "anna", &error));
    ok(store_entry_remove(scene->store, STORE_DOMAINS, "main.example", "anna", &error));
}

static void an_unchanged_entry_raises_no_version(void **argument)
{
    struct scene *scene = *argument;
    put_entry(scene, STORE_DOMAINS, "main.example", domain_value(NULL));
    int64_t version = version_of(scene);
    put_entry(scene, STORE_DOMAINS, "main.example", domain_value(NULL));
    assert_int_equal(version_of(scene), version);
}

static void a_file_is_taken_in_as_one_change(void **argument)
{
    static const char rows[] = "[{\"key\":\"b@x.example\",\"value\":{\"to\":[\"new@x.example\"]}},"
                               "{\"key\":\"c@x.example\",\"value\":{\"to\":[\"c2@x.example\"]}},"
                               "{\"key\":\"d@x.example\",\"value\":{\"to\":[\"d2@x.example\"]}}]";
    struct scene *scene = *argument;
    struct store_change counts;
    int64_t total;
    put_entry(scene, STORE_ALIASES, "a@x.example", json_pack("{s:[s]}", "to", "a2@x.example"));
    put_entry(scene, STORE_ALIASES, "b@x.example", json_pack("{s:[s]}", "to", "b2@x.example"));
    put_entry(scene, STORE_ALIASES, "c@x.example", json_pack("{s:[s]}", "to", "c2@x.example"));
    int64_t version = version_of(scene);
    ok(store_entry_import(scene->store, STORE_ALIASES, rows, true, true, "bernd", &counts, &error));
    assert_int_equal(counts.added, 1);
    assert_int_equal(counts.changed, 1);
    assert_int_equal(counts.removed, 1);
    assert_int_equal(version_of(scene), version);
    ok(store_entry_import(scene->store, STORE_ALIASES, rows, false, false, "bernd", &counts,
                          &error));
    assert_int_equal(counts.removed, 0);
    assert_int_equal(version_of(scene), version + 1);
    ok(store_entry_import(scene->store, STORE_ALIASES, rows, true, false, "carl", &counts, &error));
    assert_int_equal(counts.added + counts.changed, 0);
    assert_int_equal(counts.removed, 1);
    ok(store_entry_count(scene->store, STORE_ALIASES, &total, &error));
    assert_int_equal(total, 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " (action, administrator, object) IN"
                                     " (('alias.create', 'bernd', 'd@x.example'),"
                                     " ('alias.change', 'bernd', 'b@x.example'),"
                                     " ('alias.remove', 'carl', 'a@x.example'))"),
                     3);
}

static void an_import_that_leaves_an_alias_without_its_domain_changes_nothing(void **argument)
{
    static const char rows[] = "[{\"key\":\"old.example\",\"value\":{\"route\":{\"kind\":\"mx\"},"
                               "\"alias_of\":\"main.example\",\"recipients\":\"any\"}}]";
    struct scene *scene = *argument;
    struct store_change counts;
    int64_t total;
    put_entry(scene, STORE_DOMAINS, "main.example", domain_value(NULL));
    fails(ERROR_INVALID,
          store_entry_import(scene->store, STORE_DOMAINS, rows, true, false, "a", &counts, &error));
    ok(store_entry_count(scene->store, STORE_DOMAINS, &total, &error));
    assert_int_equal(total, 1);
    ok(store_entry_import(scene->store, STORE_DOMAINS, rows, false, false, "a", &counts, &error));
}

static void passwords_of_routes_are_not_logged(void **argument)
{
    static const char rows[] =
        "[{\"key\":\"x.example\",\"value\":{\"recipients\":\"any\",\"route\":{\"kind\":\"relay\","
        "\"user\":\"u\",\"password\":\"topsecret\"}}}]";
    struct scene *scene = *argument;
    struct store_change counts;
    cleanup_json json_t *route = json_pack("{s:s,s:s}", "kind", "relay", "password", "topsecret");
    ok(store_entry_import(scene->store, STORE_DOMAINS, rows, false, false, "a", &counts, &error));
    ok(store_setting_put(scene->store, "default_route", route, "a", true, &error));
    ok(store_entry_remove(scene->store, STORE_DOMAINS, "x.example", "a", &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log"), 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log WHERE"
                                     " administrator_log::text LIKE '%topsecret%'"),
                     0);
}

static void a_draft_is_its_administrators_for_an_hour(void **argument)
{
    struct scene *scene = *argument;
    int64_t id;
    ok(store_draft_create(scene->store, STORE_ALIASES, "[]", "anna", &id, &error));
    cleanup_free char *rows = store_draft_get(scene->store, STORE_ALIASES, id, "anna", NULL);
    assert_string_equal(rows, "[]");
    assert_null(store_draft_get(scene->store, STORE_ALIASES, id, "bernd", NULL));
    assert_null(store_draft_get(scene->store, STORE_DOMAINS, id, "anna", NULL));
    count_of(scene, "UPDATE import_draft SET created_at = now() - interval '61 minutes'");
    assert_null(store_draft_get(scene->store, STORE_ALIASES, id, "anna", NULL));
    ok(store_draft_create(scene->store, STORE_ALIASES, "[]", "anna", &id, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM import_draft"), 1);
}

static void ten_thousand_domains_are_taken_in_within_seconds(void **argument)
{
    struct scene *scene = *argument;
    struct buffer rows = BUFFER_INIT;
    struct store_change counts;
    for (int i = 0; i < 10000; i++)
        buffer_add_format(&rows,
                          "%s{\"key\":\"d%05d.example\",\"value\":{\"route\":{\"kind\":\"mx\"},"
                          "\"recipients\":\"any\"}}",
                          i ? "," : "[", i);
    buffer_add_text(&rows, "]");
    int64_t begun = timestamp_monotonic_ms();
    ok(store_entry_import(scene->store, STORE_DOMAINS, rows.data, true, false, "a", &counts,
                          &error));
    int64_t took = timestamp_monotonic_ms() - begun;
    print_message("10,000 domains in %d ms\n", (int)took);
    assert_int_equal(counts.added, 10000);
    assert_true(took < 10000);
    buffer_free(&rows);
}

static void domains_are_searched_by_substring(void **argument)
{
    struct scene *scene = *argument;
    put_domain(scene, "alpha.example", "h");
    put_domain(scene, "beta.example", "h");
    put_domain(scene, "xn--bcher-kva.example", "h");
    assert_int_equal(found(scene, "LPH"), 1);
    assert_int_equal(found(scene, ".exam"), 3);
    assert_int_equal(found(scene, "%"), 0);
    assert_int_equal(found(scene, "a_example"), 0);
    assert_int_equal(found(scene, "' OR true --"), 0);
}

/* --- a database that is away --- */

static void every_function_fails_where_the_database_is_away(void **argument)
{
    (void)argument;
    struct store *store = store_open("host=/tmp/gatehouse-nobody-listens-here", 2, NULL);
    struct store_administrator account;
    struct store_session session;
    struct store_scanner scanner = {0}, *scanners;
    struct store_domain *domains;
    struct store_audit_message *messages;
    struct store_audit_query query = {.limit = 10};
    char id[37], host[256];
    const char *uuid = "0190a0b0-0000-7000-8000-000000000000";
    size_t count;
    int64_t number;
    bool created;
    cleanup_json json_t *value = relay("h"), *events = json_array();
    fails(ERROR_UNAVAILABLE, store_ping(store, &error));
    fails(ERROR_UNAVAILABLE, store_setting_get(store, "k", &error));
    fails(ERROR_UNAVAILABLE, store_setting_put(store, "k", value, "t", true, &error));
    fails(ERROR_UNAVAILABLE, store_setting_create(store, "k", value, &created, &error));
    fails(ERROR_UNAVAILABLE, store_administrator_count(store, &number, &error));
    fails(ERROR_UNAVAILABLE, store_administrator_create(store, "a", "h", true, &error));
    fails(ERROR_UNAVAILABLE, store_administrator_by_name(store, "a", &account, &error));
    fails(ERROR_UNAVAILABLE, store_administrator_set_password(store, 1, "h", true, "", &error));
    fails(ERROR_UNAVAILABLE, store_administrator_sign_in_result(store, 1, true, "", &error));
    fails(ERROR_UNAVAILABLE, store_session_create(store, "h", "c", 1, "", &error));
    fails(ERROR_UNAVAILABLE, store_session_get(store, "h", &session, &error));
    fails(ERROR_UNAVAILABLE, store_session_end(store, "h", &error));
    fails(ERROR_UNAVAILABLE, store_enrolment_create(store, "h", "a", 1, "t", &error));
    fails(ERROR_UNAVAILABLE, store_enrolment_use(store, "h", value, id, host, &error));
    fails(ERROR_UNAVAILABLE, store_scanner_list(store, &scanners, &count, &error));
    fails(ERROR_UNAVAILABLE, store_scanner_get(store, uuid, &scanner, &error));
    fails(ERROR_UNAVAILABLE, store_scanner_seen(store, uuid, 1, 0, "", "", NULL, &error));
    fails(ERROR_UNAVAILABLE, store_scanner_set_smtp(store, uuid, value, "t", &error));
    fails(ERROR_UNAVAILABLE, store_scanner_remove(store, uuid, "t", &error));
    fails(ERROR_UNAVAILABLE, store_domain_list(store, NULL, NULL, 9, &domains, &count, &error));
    fails(ERROR_UNAVAILABLE, store_domain_count(store, &number, &error));
    fails(ERROR_UNAVAILABLE, store_domain_put(store, "a.example", value, true, "t", &error));
    fails(ERROR_UNAVAILABLE, store_domain_remove(store, "a.example", "t", &error));
    fails(ERROR_UNAVAILABLE, store_configuration_version(store, &number, &error));
    fails(ERROR_UNAVAILABLE, store_audit_write(store, uuid, "s", events, &number, &error));
    fails(ERROR_UNAVAILABLE, store_audit_position(store, uuid, "s", &number, &error));
    fails(ERROR_UNAVAILABLE, store_audit_search(store, &query, &messages, &count, &error));
    fails(ERROR_UNAVAILABLE, store_audit_message(store, uuid, &error));
    fails(ERROR_UNAVAILABLE, store_audit_summary(store, 24, &error));
    fails(ERROR_UNAVAILABLE, store_log_add(store, "a", "", "x", NULL, &error));
    assert_int_equal(store_configuration_wait(store, 0, 100), 0);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(an_account_is_found_whatever_the_case_of_its_name),
        scene_test(names_are_data_and_never_statements),
        scene_test(accounts_out_of_bounds_are_refused),
        scene_test(the_fifth_failure_in_a_row_locks_for_a_quarter_of_an_hour),
        scene_test(a_success_forgets_the_failures),
        scene_test(a_new_password_ends_the_other_sessions_and_the_lock),
        scene_test(a_session_is_found_and_seen),
        scene_test(idle_and_old_sessions_have_ended),
        scene_test(sessions_out_of_bounds_are_refused),
        scene_test(a_token_makes_one_scanner),
        scene_test(an_expired_token_makes_none),
        scene_test(of_two_that_use_a_token_at_once_one_succeeds),
        scene_test(names_that_are_no_scanner_are_not_found),
        scene_test(a_poll_is_noted),
        scene_test(a_status_that_cannot_be_kept_is_unknown),
        scene_test(own_settings_and_removal_raise_the_version_and_are_logged),
        scene_test(domains_are_created_changed_and_removed_with_a_trace),
        scene_test(domains_that_are_none_are_refused),
        scene_test(pages_of_domains_give_each_once),
        scene_test(lists_keep_what_their_entries_say),
        scene_test(a_domain_that_another_stands_for_must_be_there),
        scene_test(an_unchanged_entry_raises_no_version),
        scene_test(a_file_is_taken_in_as_one_change),
        scene_test(an_import_that_leaves_an_alias_without_its_domain_changes_nothing),
        scene_test(passwords_of_routes_are_not_logged),
        scene_test(a_draft_is_its_administrators_for_an_hour),
        scene_test(ten_thousand_domains_are_taken_in_within_seconds),
        scene_test(domains_are_searched_by_substring),
        cmocka_unit_test(every_function_fails_where_the_database_is_away),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

/* The pages of directories and SMTP users, and what of them goes to scanners. */
#include "test_pages_scene.h"

#define SECRET "the-bind-secret"
#define SOURCE                                                                                     \
    "name=People&server=ldap://192.0.2.1&alternate=ldap://192.0.2.1&base_dn=dc=example"            \
    "&bind_dn=cn=reader&recipients=on&recipients_filter=(mail=%25s)&groups_filter=(member=%25D)"

static void add_source(struct console *console, const char *fields)
{
    get(console, "/directory/new");
    post(console, "/directory/new", fields);
    assert_leads_to(console, "/directory?done=added");
}

/* --- sources --- */

static void a_directory_is_added_changed_and_removed(void **state)
{
    struct console *console = *state;
    int64_t version = version_of(console->scene);
    add_source(console, SOURCE "&bind_password=" SECRET);
    assert_true(version_of(console->scene) > version);
    get(console, "/directory/source/1");
    assert_shows(console, "value=\"ldap://192.0.2.1\"");
    assert_shows(console, "value=\"(mail=%s)\"");
    assert_shows(console, "value=\"(member=%D)\""); /* groups are off, but not forgotten */
    post(console, "/directory/source/1", SOURCE "&groups=on&cache_seconds=30");
    assert_leads_to(console, "/directory?done=saved");
    assert_int_equal(count_of(console->scene,
                              "SELECT (settings->>'cache_seconds')::int FROM directory_source"
                              " WHERE settings->'groups'->>'filter' = '(member=%D)'"),
                     30);
    post(console, "/directory/source/1/remove", "");
    assert_leads_to(console, "/directory?done=removed");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_source"), 0);
}

static void a_bind_password_is_kept_and_never_shown_nor_logged(void **state)
{
    struct console *console = *state;
    add_source(console, SOURCE "&bind_password=" SECRET);
    get(console, "/directory/source/1");
    assert_hides(console, SECRET);
    assert_shows(console, "the stored one stays");
    post(console, "/directory/source/1", SOURCE "&bind_password=");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_source"
                                              " WHERE bind_password = '" SECRET "'"),
                     1);
    post(console, "/directory/source/1", SOURCE "&bind_password=" SECRET "&cache_seconds=many");
    assert_status(console, 422);
    assert_hides(console, SECRET);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM administrator_log"
                                              " WHERE administrator_log::text LIKE '%" SECRET "%'"),
                     0);
    /* Without a bind DN nobody signs in, and the password is of no use any more. */
    post(console, "/directory/source/1", SOURCE "&bind_dn=&name=Other");
    add_source(console, "name=Anonymous&server=ldap://192.0.2.2&bind_password=" SECRET);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_source"
                                              " WHERE name = 'Anonymous' AND bind_password = ''"),
                     1);
}

static void what_no_scanner_would_take_is_refused_beside_its_field(void **state)
{
    static const struct {
        const char *fields, *shown;
    } cases[] = {
        {"name=&server=ldap://a", "Write a name."},
        {"name=A&server=", "Write the primary server."},
        {"name=A&server=http://a", "id=\"error-server\""},
        {"name=A&server=ldap://a&alternate=nothing", "id=\"error-alternate\""},
        {"name=A&server=ldap://a&ca=none", "id=\"error-ca\""},
        {"name=A&server=ldap://a&timeout_seconds=61", "id=\"error-timeout_seconds\""},
        {"name=A&server=ldap://a&cache_seconds=x", "id=\"error-cache_seconds\""},
        {"name=A&server=ldap://a&domains=good.example%0abad..example", "Line 2 "},
        {"name=A&server=ldap://a&recipients=on", "id=\"error-recipients_filter\""},
        {"name=A&server=ldap://a&recipients=on&recipients_filter=(mail=%25x)",
         "id=\"error-recipients_filter\""},
        {"name=A&server=ldap://a&routing=on&routing_filter=(mail=%25s)",
         "id=\"error-routing_filter\""},
        {"name=A&server=ldap://a&groups=on&groups_filter=(a=%25D)&groups_name=c+n",
         "id=\"error-groups_name\""},
    };
    struct console *console = *state;
    get(console, "/directory/new");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        post(console, "/directory/new", cases[i].fields);
        assert_status(console, 422);
        assert_shows(console, cases[i].shown);
    }
    add_source(console, SOURCE);
    post(console, "/directory/new", SOURCE);
    assert_status(console, 422);
    assert_shows(console, "id=\"error-name\"");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_source"), 1);
}

static void directories_change_places(void **state)
{
    struct console *console = *state;
    add_source(console, "name=First&server=ldap://192.0.2.1");
    add_source(console, "name=Second&server=ldap://192.0.2.2");
    add_source(console, "name=Third&server=ldap://192.0.2.3");
    post(console, "/directory/source/3/move", "direction=up");
    assert_leads_to(console, "/directory?done=saved");
    post(console, "/directory/source/1/move", "direction=up"); /* it is the first already */
    get(console, "/directory");
    const char *first = strstr(body_of(console), ">First<");
    const char *second = strstr(body_of(console), ">Second<");
    const char *third = strstr(body_of(console), ">Third<");
    assert_true(first && third && second && first < third && third < second);
    post(console, "/directory/source/99/move", "direction=up");
    assert_status(console, 404);
}

static void a_preset_fills_the_filters_in(void **state)
{
    struct console *console = *state;
    get(console, "/directory/new");
    post(console, "/directory/new", "name=A&server=ldap://a&do=preset&preset=active_directory");
    assert_status(console, 200);
    assert_shows(console, "proxyAddresses=smtp:%s");
    assert_shows(console, "value=\"ldap://a\"");
    post(console, "/directory/new", "name=A&server=ldap://a&do=preset&preset=other");
    assert_status(console, 422);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_source"), 0);
}

static void a_test_of_a_server_that_is_away_says_so_and_saves_nothing(void **state)
{
    struct console *console = *state;
    get(console, "/directory/new");
    post(console, "/directory/new",
         "name=A&server=ldap://127.0.0.1:1&do=test&address=a@example.com");
    assert_status(console, 200);
    assert_shows(console, "Not everything works");
    assert_shows(console, "Connect: <span class=\"tag tag-bad\">fails</span>");
    assert_hides(console, "What scanners would make of");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_source"), 0);
}

static void more_directories_than_scanners_take_are_refused(void **state)
{
    struct console *console = *state;
    char fields[128];
    for (int i = 0; i < 16; i++) {
        snprintf(fields, sizeof fields, "name=D%d&server=ldap://192.0.2.1", i);
        add_source(console, fields);
    }
    post(console, "/directory/new", "name=D16&server=ldap://192.0.2.1");
    assert_status(console, 422);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_source"), 16);
}

/* --- users --- */

static void a_user_is_added_disabled_and_removed(void **state)
{
    struct console *console = *state;
    get(console, "/directory/users");
    post(console, "/directory/users", "name=Ann@Example.com&password=" PASSWORD "&again=" PASSWORD);
    assert_leads_to(console, "/directory/users?done=added");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_user WHERE enabled"
                                              " AND name = 'ann@example.com'"
                                              " AND password_hash LIKE '$argon2id$%'"),
                     1);
    get(console, "/directory/users?search=ANN");
    assert_shows(console, "/directory/users/ann@example.com");
    assert_hides(console, "argon2id");
    post(console, "/directory/users/ann@example.com", "do=disable");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_user WHERE enabled"),
                     0);
    post(console, "/directory/users/ann@example.com", "do=remove");
    assert_leads_to(console, "/directory/users?done=removed");
    get(console, "/directory/users/ann@example.com");
    assert_status(console, 404);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM administrator_log"
                                              " WHERE administrator_log::text LIKE '%argon2id%'"),
                     0);
}

static void a_new_password_takes_the_place_of_the_old_one(void **state)
{
    struct console *console = *state;
    get(console, "/directory/users");
    post(console, "/directory/users", "name=ann&password=" PASSWORD "&again=" PASSWORD);
    post(console, "/directory/users/ann", "do=password&password=another-good-one&again=other");
    assert_status(console, 422);
    assert_hides(console, "another-good-one");
    post(console, "/directory/users/ann",
         "do=password&password=another-good-one&again=another-good-one");
    assert_leads_to(console, "/directory/users?done=saved");
    struct store_directory_user *users = NULL;
    size_t count = 0;
    ok(store_directory_user_list(console->scene->store, NULL, NULL, 10, &users, &count, &error));
    assert_int_equal(count, 1);
    ok(password_verify(&console->application, users[0].password_hash, "another-good-one", &error));
    store_directory_user_list_free(users, count);
}

static void a_name_that_cannot_be_typed_safely_is_refused(void **state)
{
    static const char *const names[] = {"", "a b", "a/b", "%3Cb%3E", ".a", "a%22b"};
    struct console *console = *state;
    char fields[256];
    get(console, "/directory/users");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(fields, sizeof fields, "name=%s&password=%s&again=%s", names[i], PASSWORD,
                 PASSWORD);
        post(console, "/directory/users", fields);
        assert_status(console, 422);
        assert_shows(console, "id=\"error-name\"");
    }
    post(console, "/directory/users", "name=ann&password=short&again=short");
    assert_status(console, 422);
    assert_shows(console, "at least 12 characters");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM directory_user"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        signed_in_page_test(a_directory_is_added_changed_and_removed),
        signed_in_page_test(a_bind_password_is_kept_and_never_shown_nor_logged),
        signed_in_page_test(what_no_scanner_would_take_is_refused_beside_its_field),
        signed_in_page_test(directories_change_places),
        signed_in_page_test(a_preset_fills_the_filters_in),
        signed_in_page_test(a_test_of_a_server_that_is_away_says_so_and_saves_nothing),
        signed_in_page_test(more_directories_than_scanners_take_are_refused),
        signed_in_page_test(a_user_is_added_disabled_and_removed),
        signed_in_page_test(a_new_password_takes_the_place_of_the_old_one),
        signed_in_page_test(a_name_that_cannot_be_typed_safely_is_refused),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

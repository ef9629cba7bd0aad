/* The pages of custom signatures, over a scanner whose answers are given here. */
#include "test_pages_ask.h"

#define PAGE "/malware/signatures"
#define UPDATES                                                                                    \
    "{\"updates\":{\"program\":true,\"running\":false,\"last_run\":\"2026-01-31T12:00:00.000Z\","  \
    "\"version\":\"27000\",\"error\":\"Can't <b>download</b> it\"}}"

static int open_signatures(void **state)
{
    char id[37];
    scanner.reply = "{\"ok\":true,\"files\":[{\"name\":\"a.ndb\",\"signatures\":12}],"
                    "\"refused\":null}";
    scanner.asked = 0;
    if (open_signed_in_console(state) != 0)
        return -1;
    add_scanner(*state, "mx1.example", UPDATES, id);
    return 0;
}

static int close_signatures(void **state)
{
    json_decref(scanner.request);
    scanner.request = NULL;
    return close_console(state);
}

#define signature_test(function)                                                                   \
    cmocka_unit_test_setup_teardown(function, open_signatures, close_signatures)

static int64_t files_in(struct console *console)
{
    return count_of(console->scene, "SELECT count(*) FROM signature_file");
}

static void what_a_scanner_takes_is_kept(void **state)
{
    struct console *console = *state;
    post(console, PAGE, "name=a.ndb&text=A%3A0%3A*%3A61");
    assert_leads_to(console, PAGE "?done=added");
    assert_string_equal(scanner.target, "engine-control");
    get(console, PAGE);
    assert_shows(console, ">a.ndb<");
    assert_shows(console, "<td class=\"number\">12</td>");
    assert_shows(console, "by " NAME);
    /* The next one is tried beside it. */
    post(console, PAGE, "name=b.ndb&text=B%3A0%3A*%3A62");
    assert_int_equal(json_array_size(json_object_get(scanner.request, "files")), 2);
    /* In its own place it is tried once. */
    post(console, PAGE, "name=a.ndb&text=A%3A0%3A*%3A63");
    assert_int_equal(json_array_size(json_object_get(scanner.request, "files")), 2);
    assert_int_equal(files_in(console), 2);
}

static void what_a_scanner_refuses_is_said_at_the_field(void **state)
{
    struct console *console = *state;
    scanner.reply = "{\"ok\":true,\"files\":[],\"refused\":{\"name\":\"a.ndb\",\"line\":7,"
                    "\"reason\":\"<i>no</i> signature\"}}";
    post(console, PAGE, "name=a.ndb&text=x");
    assert_status(console, 422);
    assert_shows(console, "mx1.example tried it and refused line 7: &lt;i&gt;no");
    assert_shows(console, "id=\"error-text\"");
    assert_int_equal(files_in(console), 0);
    scanner.reply = "{\"ok\":true,\"files\":[],\"refused\":{\"name\":\"other.yar\",\"line\":0,"
                    "\"reason\":\"duplicate\"}}";
    post(console, PAGE, "name=a.ndb&text=x");
    assert_shows(console, "With it other.yar cannot be loaded any more: duplicate");
    scanner.reply = NULL;
    post(console, PAGE, "name=a.ndb&text=x");
    assert_status(console, 422);
    assert_shows(console, "could not be tried, so it was not taken: the scanner did not answer");
    assert_int_equal(files_in(console), 0);
}

static void what_cannot_be_a_file_is_not_tried(void **state)
{
    static const char *const forms[] = {"name=a.exe&text=x", "name=..%2Fa.ndb&text=x",
                                        "name=.ndb&text=x", "name=a.ndb&text=", "text=x"};
    struct console *console = *state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        post(console, PAGE, forms[i]);
        assert_status(console, 422);
    }
    assert_int_equal(scanner.asked, 0);
}

static void one_that_is_off_is_tried_again_before_it_is_on(void **state)
{
    struct console *console = *state;
    char path[64];
    post(console, PAGE, "name=a.ndb&text=x");
    snprintf(path, sizeof path, PAGE "/%lld",
             (long long)count_of(console->scene, "SELECT id FROM signature_file"));
    scanner.asked = 0;
    post(console, path, "to=off");
    assert_leads_to(console, PAGE "?done=saved");
    assert_int_equal(scanner.asked, 0);
    scanner.reply = NULL;
    post(console, path, "to=on");
    assert_status(console, 422);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM signature_file WHERE enabled"),
                     0);
    post(console, PAGE "/999", "to=off");
    assert_status(console, 404);
    ask(console, "POST", path, "to=off", NULL);
    assert_status(console, 403);
}

static void what_came_of_an_update_is_shown(void **state)
{
    struct console *console = *state;
    get(console, PAGE);
    assert_shows(console, "2026-01-31 12:00:00");
    assert_shows(console, "Can&#39;t &lt;b&gt;download");
    const char *at = strstr(body_of(console), PAGE "/updates/");
    assert_non_null(at);
    char path[128];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(at, "\""), at);
    post(console, path, "");
    assert_leads_to(console, PAGE "?done=update_asked");
    assert_string_equal(scanner.target, "agent");
    scanner.reply = NULL;
    post(console, path, "");
    assert_status(console, 422);
    assert_shows(console, "The update could not be asked for");
}

static void the_password_of_the_proxy_is_stored_apart(void **state)
{
    struct console *console = *state;
    get(console, PAGE "/updates");
    post(console, PAGE "/updates",
         "hours=2&official=yes&proxy_host=p.example&proxy_user=me&proxy_password=hush-hush");
    assert_leads_to(console, PAGE "?done=saved");
    assert_int_equal(count_of(console->scene,
                              "SELECT count(*) FROM setting WHERE key = 'signatures.update'"
                              " AND value::text LIKE '%hush%'"),
                     0);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM administrator_log l"
                                              " WHERE l::text LIKE '%hush%'"),
                     0);
    get(console, PAGE "/updates");
    assert_shows(console, "One is stored");
    assert_hides(console, "hush");
    assert_shows(console, "value=\"p.example\"");
    post(console, PAGE "/updates", "hours=2&proxy_host=p.example&proxy_user=me");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM setting"
                                              " WHERE value->>'password' = 'hush-hush'"),
                     1);
    post(console, PAGE "/updates", "hours=2&proxy_host=&proxy_user=");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM setting"
                                              " WHERE value->>'password' = 'hush-hush'"),
                     0);
}

static void what_freshclam_must_not_read_is_refused_at_its_field(void **state)
{
    static const struct {
        const char *form, *field;
    } cases[] = {
        {"hours=-1", "hours"},
        {"hours=much", "hours"},
        {"mirror=http%3A%2F%2Fa%20b", "mirror"},
        {"urls=http%3A%2F%2Fa%2Fb.ndb%0Afile%3A%2F%2F%2Fetc%2Fpasswd", "urls"},
        {"proxy_host=a&proxy_port=0", "proxy_port"},
        {"proxy_host=a&proxy_user=me&proxy_password=a%20b", "proxy_password"},
    };
    struct console *console = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "id=\"error-%s\"", cases[i].field);
        post(console, PAGE "/updates", cases[i].form);
        assert_status(console, 422);
        assert_shows(console, expected);
    }
    assert_int_equal(
        count_of(console->scene, "SELECT count(*) FROM setting WHERE key LIKE '%signatures%'"), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        signature_test(what_a_scanner_takes_is_kept),
        signature_test(what_a_scanner_refuses_is_said_at_the_field),
        signature_test(what_cannot_be_a_file_is_not_tried),
        signature_test(one_that_is_off_is_tried_again_before_it_is_on),
        signature_test(what_came_of_an_update_is_shown),
        signature_test(the_password_of_the_proxy_is_stored_apart),
        signature_test(what_freshclam_must_not_read_is_refused_at_its_field),
    };
    return cmocka_run_group_tests_name("pages: signatures", tests, open_group, close_group);
}

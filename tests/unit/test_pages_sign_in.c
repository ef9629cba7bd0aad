/* Signing in to the console, passwords, and how sessions end. */
#include "test_pages_scene.h"

static void the_right_password_opens_the_page_that_was_asked_for(void **state)
{
    struct console *console = *state;
    add_administrator(console, NAME, false);
    get(console, "/sign-in?next=%2Fhosts");
    post(console, "/sign-in", "name=" NAME "&password=" PASSWORD "&next=%2Fhosts");
    assert_leads_to(console, "/hosts");
    const char *cookie = header_of(console, "Set-Cookie");
    assert_non_null(cookie);
    assert_int_equal(strncmp(cookie, SESSION_COOKIE "=", sizeof SESSION_COOKIE), 0);
    assert_non_null(strstr(cookie, "Secure"));
    assert_non_null(strstr(cookie, "HttpOnly"));
    get(console, "/hosts");
    assert_status(console, 200);
    assert_shows(console, NAME);
}

static void after_the_sign_in_no_other_site_opens(void **state)
{
    struct console *console = *state;
    static const char *const targets[] = {"//evil.example/", "https://evil.example/",
                                          "/%5Cevil.example", "evil"};
    add_administrator(console, NAME, false);
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char fields[256];
        get(console, "/sign-in");
        snprintf(fields, sizeof fields, "name=" NAME "&password=" PASSWORD "&next=%s", targets[i]);
        post(console, "/sign-in", fields);
        assert_leads_to(console, "/");
    }
}

static void a_wrong_password_and_an_unknown_name_are_refused_alike(void **state)
{
    struct console *console = *state;
    add_administrator(console, NAME, false);
    try_sign_in(console, NAME, "wrong");
    assert_status(console, 403);
    assert_shows(console, "Name or password is not right");
    assert_shows(console, "value=\"" NAME "\"");
    assert_hides(console, "value=\"wrong\"");
    assert_string_equal(console->session, "");
    try_sign_in(console, "nobody", PASSWORD);
    assert_status(console, 403);
    assert_shows(console, "Name or password is not right");
    assert_string_equal(console->session, "");
}

static void five_wrong_passwords_lock_the_account(void **state)
{
    struct console *console = *state;
    add_administrator(console, NAME, false);
    for (int i = 0; i < 5; i++)
        try_sign_in(console, NAME, "wrong");
    try_sign_in(console, NAME, PASSWORD);
    assert_status(console, 403);
    assert_shows(console, "Name or password is not right");
    count_of(console->scene, "UPDATE administrator SET locked_until = now() - interval '1 s'");
    try_sign_in(console, NAME, PASSWORD);
    assert_leads_to(console, "/");
}

static void a_one_time_password_gives_nothing_but_its_change(void **state)
{
    struct console *console = *state;
    add_administrator(console, NAME, true);
    try_sign_in(console, NAME, PASSWORD);
    assert_leads_to(console, "/account/password");
    get(console, "/account/password");
    assert_status(console, 200);
    assert_shows(console, "one-time password");
    get(console, "/audit");
    assert_leads_to(console, "/account/password");
    post(console, "/domains/new", "name=example.com&kind=mx");
    assert_leads_to(console, "/account/password");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM domain"), 0);
}

static void a_changed_password_ends_every_other_session(void **state)
{
    struct console *console = *state;
    char other[SECRET_TEXT_SIZE], before[SECRET_TEXT_SIZE];
    add_administrator(console, NAME, true);
    try_sign_in(console, NAME, PASSWORD);
    memcpy(other, console->session, sizeof other);
    console->session[0] = '\0';
    try_sign_in(console, NAME, PASSWORD);
    memcpy(before, console->session, sizeof before);
    get(console, "/account/password");
    post(console, "/account/password",
         "current=" PASSWORD "&password=an+entirely+new+one&repeat=an+entirely+new+one");
    assert_leads_to(console, "/?done=password_changed");
    assert_string_not_equal(console->session, before);
    get(console, "/?done=password_changed");
    assert_status(console, 200);
    assert_shows(console, "The password is changed");
    memcpy(console->session, other, sizeof other);
    get(console, "/");
    assert_leads_to(console, "/sign-in");
    memcpy(console->session, before, sizeof before);
    get(console, "/");
    assert_leads_to(console, "/sign-in");
    try_sign_in(console, NAME, PASSWORD);
    assert_status(console, 403);
}

static void a_new_password_that_is_no_good_is_refused_with_the_reason(void **state)
{
    struct console *console = *state;
    static const struct {
        const char *fields, *reason;
    } cases[] = {
        {"current=wrong&password=an+entirely+new+one&repeat=an+entirely+new+one",
         "This is not your present password."},
        {"current=" PASSWORD "&password=short&repeat=short", "at least 12 characters"},
        {"current=" PASSWORD "&password=" PASSWORD "&repeat=" PASSWORD, "same as the present one"},
        {"current=" PASSWORD "&password=aaaaaaaaaaaaaaaa&repeat=aaaaaaaaaaaaaaaa",
         "one character over and over"},
        {"current=" PASSWORD "&password=an+entirely+new+one&repeat=an+entirely+other+one",
         "are not the same"},
    };
    sign_in(console);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        get(console, "/account/password");
        post(console, "/account/password", cases[i].fields);
        assert_status(console, 422);
        assert_shows(console, cases[i].reason);
    }
    try_sign_in(console, NAME, PASSWORD);
    assert_leads_to(console, "/");
}

static void a_session_that_ended_leads_to_the_sign_in(void **state)
{
    struct console *console = *state;
    char token[SECRET_TEXT_SIZE];
    sign_in(console);
    memcpy(token, console->session, sizeof token);
    post(console, "/sign-out", "");
    assert_leads_to(console, "/sign-in?done=signed_out");
    assert_string_equal(console->session, "");
    get(console, "/sign-in?done=signed_out");
    assert_shows(console, "You are signed out.");
    memcpy(console->session, token, sizeof token);
    get(console, "/hosts");
    assert_leads_to(console, "/sign-in?next=%2Fhosts");
}

static void an_idle_session_ends_by_itself(void **state)
{
    struct console *console = *state;
    sign_in(console);
    count_of(console->scene, "UPDATE session SET seen_at = now() - interval '29 minutes'");
    get(console, "/");
    assert_status(console, 200);
    count_of(console->scene, "UPDATE session SET seen_at = now() - interval '31 minutes'");
    get(console, "/");
    assert_leads_to(console, "/sign-in");
}

static void a_sign_in_that_another_site_sends_is_refused(void **state)
{
    struct console *console = *state;
    add_administrator(console, NAME, false);
    ask(console, "POST", "/sign-in", "name=" NAME "&password=" PASSWORD, NULL);
    assert_status(console, 403);
    get(console, "/sign-in");
    console->form[0] = '\0';
    post(console, "/sign-in", "name=" NAME "&password=" PASSWORD);
    assert_status(console, 403);
    assert_string_equal(console->session, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        page_test(the_right_password_opens_the_page_that_was_asked_for),
        page_test(after_the_sign_in_no_other_site_opens),
        page_test(a_wrong_password_and_an_unknown_name_are_refused_alike),
        page_test(five_wrong_passwords_lock_the_account),
        page_test(a_one_time_password_gives_nothing_but_its_change),
        page_test(a_changed_password_ends_every_other_session),
        page_test(a_new_password_that_is_no_good_is_refused_with_the_reason),
        page_test(a_session_that_ended_leads_to_the_sign_in),
        page_test(an_idle_session_ends_by_itself),
        page_test(a_sign_in_that_another_site_sends_is_refused),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

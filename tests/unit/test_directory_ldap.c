/* Directory sources against a real OpenLDAP server. */
#include "slapd_scene.h"

#include "common/cleanup.h"
#include "common/ldap/ldap_filter.h"
#include "common/ldap/ldap_source.h"
#include "common/timestamp.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FOREVER (INT64_C(1) << 60)
#define MAIL "(|(mail=%s)(mailLocalAddress=%s))"

static struct slapd_scene slapd;

/* One source, asked as a thread of the directory process does. */
struct asked {
    struct scanner_config *config;
    struct ldap_source *source;
    struct ldap_session *session;
};

/* The JSON of a source with one server or two; the caller owns it. */
static json_t *source_json(const char *first, const char *second)
{
    json_t *servers = json_pack("[s,s*]", first, second);
    json_t *source =
        json_pack("{s:s,s:o,s:s,s:s,s:s,s:i,s:{s:s},s:{s:s},s:{s:s,s:s,s:s},s:{s:s}}", "name",
                  "ours", "servers", servers, "bind_dn", SLAPD_READER, "bind_password",
                  SLAPD_READER_PASSWORD, "base_dn", SLAPD_BASE, "timeout_seconds", 2,
                  "authentication", "filter", "(|(uid=%s)(mail=%s))", "recipients", "filter", MAIL,
                  "routing", "filter", MAIL, "host_attribute", "mailHost", "address_attribute",
                  "mailRoutingAddress", "groups", "filter", "(member=%D)");
    assert_non_null(source);
    return source;
}

/* Takes over `source`. */
static struct asked open_source(json_t *source)
{
    cleanup_json json_t *list = json_pack("[o]", source);
    cleanup_free char *text = json_dumps(list, 0);
    struct asked asked = {.config = slapd_scene_config(text)};
    asked.source = ldap_source_new(&asked.config->directory.sources[0]);
    asked.session = ldap_session_new(asked.source);
    assert_non_null(asked.session);
    return asked;
}

static struct asked open_usual(void)
{
    return open_source(source_json(slapd.uri, NULL));
}

static void close_source(struct asked *asked)
{
    ldap_session_free(asked->session);
    ldap_source_free(asked->source);
    config_free(asked->config);
}

static enum ldap_answer recipient(struct asked *asked, const char *address)
{
    struct error error = {0};
    enum ldap_answer answer = ldap_session_recipient(asked->session, address, FOREVER, &error);
    assert_true((answer == LDAP_ANSWER_UNAVAILABLE) == (error.code != ERROR_NONE));
    return answer;
}

static enum ldap_answer password(struct asked *asked, const char *user, const char *given,
                                 char name[ADDRESS_SIZE])
{
    struct error error = {0};
    return ldap_session_password(asked->session, user, given, FOREVER, name, &error);
}

#define assert_recipient(asked, address, answer)                                                   \
    assert_int_equal(recipient(asked, address), LDAP_ANSWER_##answer)
#define assert_password(asked, user, given, answer)                                                \
    assert_int_equal(password(asked, user, given, (char[ADDRESS_SIZE]){0}), LDAP_ANSWER_##answer)

/* --- recipients --- */

static void recipients_are_known_by_any_address_and_others_unknown(void **state)
{
    struct asked asked = open_usual();
    (void)state;
    assert_recipient(&asked, "alice@example.com", KNOWN);
    assert_recipient(&asked, "ALICE@example.com", KNOWN);
    assert_recipient(&asked, "a.smith@example.com", KNOWN);
    assert_recipient(&asked, "twin@example.com", KNOWN);
    assert_recipient(&asked, "mallory@example.com", UNKNOWN);
    assert_true(ldap_source_answers(asked.source));
    close_source(&asked);
}

static void no_address_widens_the_filter(void **state)
{
    static const char *const addresses[] = {
        "*",
        "*@example.com",
        "a*@example.com",
        "alice@example.com)(uid=*",
        "x)(|(mail=*",
        "alice\\40example.com",
        "\\2a@example.com",
        "alice@example.com\\",
        "()*\\@example.com",
        "alice@example.com\\00",
        "al\xc3\xa9@example.com",
    };
    struct asked asked = open_usual();
    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        assert_recipient(&asked, addresses[i], UNKNOWN);
    close_source(&asked);
}

static void values_are_escaped_in_every_place(void **state)
{
    struct error error = {0};
    char *filter;
    (void)state;
    assert_int_equal(ldap_filter_expand("(&(a=%s)(b=%u)(c=%d)(d=%D)(e=100%%))", "*(\\)@x\xc3\xa9",
                                        "cn=a\\2C (b)*", &filter, &error),
                     LDAP_FILTER_MADE);
    assert_string_equal(filter, "(&(a=\\2a\\28\\5c\\29@x\\c3\\a9)(b=\\2a\\28\\5c\\29)(c=x\\c3\\a9)"
                                "(d=cn=a\\5c2C \\28b\\29\\2a)(e=100%))");
    free(filter);
}

static void a_part_that_is_missing_matches_nothing(void **state)
{
    struct error error = {0};
    char *filter;
    (void)state;
    assert_int_equal(ldap_filter_expand("(mail=*@%d*)", "alice", NULL, &filter, &error),
                     LDAP_FILTER_EMPTY_VALUE);
    assert_null(filter);
    assert_int_equal(ldap_filter_expand("(uid=%u*)", "@example.com", NULL, &filter, &error),
                     LDAP_FILTER_EMPTY_VALUE);
    assert_int_equal(ldap_filter_expand("(member=%D)", "alice", NULL, &filter, &error),
                     LDAP_FILTER_EMPTY_VALUE);
}

static void a_search_that_is_refused_says_nothing_about_a_recipient(void **state)
{
    json_t *wrong_base = source_json(slapd.uri, NULL), *wrong_filter = source_json(slapd.uri, NULL);
    json_t *anonymous = source_json(slapd.uri, NULL);
    (void)state;
    json_object_set_new(wrong_base, "base_dn", json_string("dc=example,dc=org"));
    json_object_set_new(wrong_filter, "recipients", json_pack("{s:s}", "filter", "(&(mail=%s)!)"));
    json_object_del(anonymous, "bind_dn");
    json_t *sources[] = {wrong_base, wrong_filter, anonymous};
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct asked asked = open_source(sources[i]);
        assert_recipient(&asked, "mallory@example.com", UNAVAILABLE);
        assert_false(ldap_source_answers(asked.source));
        close_source(&asked);
    }
}

/* --- routing --- */

static void routing_is_read_from_the_only_entry(void **state)
{
    struct asked asked = open_usual();
    struct ldap_routing routing;
    struct error error = {0};
    (void)state;
    assert_int_equal(
        ldap_session_routing(asked.session, "alice@example.com", FOREVER, &routing, &error),
        LDAP_ANSWER_KNOWN);
    assert_string_equal(routing.route, "mail1.example.net");
    assert_string_equal(routing.address, "");
    assert_int_equal(
        ldap_session_routing(asked.session, "bob@example.com", FOREVER, &routing, &error),
        LDAP_ANSWER_KNOWN);
    assert_string_equal(routing.route, "[2001:db8::25]:2525");
    assert_string_equal(routing.address, "robert@internal.example.net");
    assert_int_equal(
        ldap_session_routing(asked.session, "mallory@example.com", FOREVER, &routing, &error),
        LDAP_ANSWER_UNKNOWN);
    assert_string_equal(routing.route, "");
    close_source(&asked);
}

static void routing_that_cannot_be_used_is_told_and_never_guessed(void **state)
{
    struct asked asked = open_usual();
    struct ldap_routing routing;
    struct error error = {0};
    (void)state;
    assert_int_equal(
        ldap_session_routing(asked.session, "lost@example.com", FOREVER, &routing, &error),
        LDAP_ANSWER_UNAVAILABLE);
    assert_non_null(strstr(error.message, "no host at all"));
    assert_int_equal(
        ldap_session_routing(asked.session, "twin@example.com", FOREVER, &routing, &error),
        LDAP_ANSWER_UNAVAILABLE);
    close_source(&asked);
}

/* --- passwords --- */

static void only_the_right_password_is_taken(void **state)
{
    struct asked asked = open_usual();
    (void)state;
    assert_password(&asked, "alice", "wonderland", KNOWN);
    assert_password(&asked, "alice", "Wonderland", UNKNOWN);
    assert_password(&asked, "alice", "", UNKNOWN);
    assert_password(&asked, "alice", " ", UNKNOWN);
    assert_password(&asked, "bob", "p(a*s)s\\word", KNOWN);
    assert_password(&asked, "bob", "p(a*s)s", UNKNOWN);
    assert_password(&asked, "jo", "jo", KNOWN);
    assert_password(&asked, "nobody", "x", UNKNOWN);
    assert_password(&asked, "nobody", "", UNKNOWN);
    assert_password(&asked, "mallory", "x", UNKNOWN);
    assert_password(&asked, "", "wonderland", UNKNOWN);
    close_source(&asked);
}

static void no_user_name_widens_the_filter(void **state)
{
    static const char *const names[] = {"*", "ali*", "alice)(uid=*", "*)(|(uid=alice", "\\61lice"};
    struct asked asked = open_usual();
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_password(&asked, names[i], "wonderland", UNKNOWN);
    close_source(&asked);
}

static void a_name_of_two_entries_signs_nobody_in(void **state)
{
    struct asked asked = open_usual();
    (void)state;
    assert_password(&asked, "twin@example.com", "twin", UNKNOWN);
    close_source(&asked);
}

static void who_signed_in_has_one_name_however_it_was_typed(void **state)
{
    static const char *const typed[] = {"alice", "ALICE", "alice@example.com", " alice "};
    struct asked asked = open_usual();
    (void)state;
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        char name[ADDRESS_SIZE];
        assert_int_equal(password(&asked, typed[i], "wonderland", name), LDAP_ANSWER_KNOWN);
        assert_string_equal(name, "alice");
    }
    close_source(&asked);
}

/* --- groups --- */

static bool has_group(const struct ldap_groups *groups, const char *name)
{
    for (size_t i = 0; i < groups->count; i++)
        if (strcmp(groups->names[i], name) == 0)
            return true;
    return false;
}

static void groups_are_those_of_the_entry_of_the_address(void **state)
{
    struct asked asked = open_usual();
    struct ldap_groups groups;
    struct error error = {0};
    (void)state;
    assert_int_equal(
        ldap_session_groups(asked.session, "a.smith@example.com", FOREVER, &groups, &error),
        LDAP_ANSWER_KNOWN);
    assert_int_equal(groups.count, 2);
    assert_true(has_group(&groups, "sales") && has_group(&groups, "staff"));
    ldap_groups_free(&groups);
    /* Her entry's name has a comma, brackets and a star in it. */
    assert_int_equal(ldap_session_groups(asked.session, "jo@example.com", FOREVER, &groups, &error),
                     LDAP_ANSWER_KNOWN);
    assert_int_equal(groups.count, 1);
    assert_true(has_group(&groups, "sales"));
    ldap_groups_free(&groups);
    assert_int_equal(
        ldap_session_groups(asked.session, "mallory@example.com", FOREVER, &groups, &error),
        LDAP_ANSWER_UNKNOWN);
    assert_int_equal(groups.count, 0);
    close_source(&asked);
}

/* --- servers --- */

static json_t *with_port(const char *scheme, uint16_t port, const char *second)
{
    char uri[64];
    snprintf(uri, sizeof(uri), "%s://127.0.0.1:%u", scheme, port);
    return source_json(uri, second);
}

static void the_alternate_answers_where_the_primary_is_dead(void **state)
{
    struct asked asked = open_source(with_port("ldap", slapd_scene_free_port(), slapd.uri));
    (void)state;
    assert_recipient(&asked, "alice@example.com", KNOWN);
    assert_recipient(&asked, "mallory@example.com", UNKNOWN);
    assert_password(&asked, "alice", "wonderland", KNOWN);
    close_source(&asked);
}

static void the_alternate_answers_where_the_primary_keeps_silent(void **state)
{
    uint16_t port;
    cleanup_fd int silent = slapd_scene_silent_server(&port);
    struct asked asked = open_source(with_port("ldap", port, slapd.uri));
    int64_t began = timestamp_monotonic_ms();
    (void)state;
    assert_recipient(&asked, "alice@example.com", KNOWN);
    assert_in_range(timestamp_monotonic_ms() - began, 500, 1900);
    ldap_session_free(asked.session); /* a new connection does not try it first again */
    asked.session = ldap_session_new(asked.source);
    began = timestamp_monotonic_ms();
    assert_recipient(&asked, "bob@example.com", KNOWN);
    assert_in_range(timestamp_monotonic_ms() - began, 0, 400);
    close_source(&asked);
}

static void the_same_server_twice_is_asked_once(void **state)
{
    uint16_t port;
    cleanup_fd int silent = slapd_scene_silent_server(&port);
    char uri[64];
    (void)state;
    struct asked alive = open_source(source_json(slapd.uri, slapd.uri));
    assert_recipient(&alive, "alice@example.com", KNOWN);
    close_source(&alive);

    snprintf(uri, sizeof(uri), "ldap://127.0.0.1:%u", slapd_scene_free_port());
    struct asked dead = open_source(source_json(uri, uri));
    int64_t began = timestamp_monotonic_ms();
    assert_recipient(&dead, "alice@example.com", UNAVAILABLE);
    assert_in_range(timestamp_monotonic_ms() - began, 0, 400);
    close_source(&dead);

    snprintf(uri, sizeof(uri), "ldap://127.0.0.1:%u", port);
    struct asked mute = open_source(source_json(uri, uri));
    began = timestamp_monotonic_ms();
    assert_recipient(&mute, "alice@example.com", UNAVAILABLE);
    assert_in_range(timestamp_monotonic_ms() - began, 1900, 2600);
    close_source(&mute);
}

static void a_silent_server_costs_one_question_its_time_and_not_the_next(void **state)
{
    uint16_t port;
    cleanup_fd int silent = slapd_scene_silent_server(&port);
    static const char *const schemes[] = {"ldap", "ldaps"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct asked asked = open_source(with_port(schemes[i], port, NULL));
        int64_t began = timestamp_monotonic_ms();
        assert_recipient(&asked, "alice@example.com", UNAVAILABLE);
        assert_in_range(timestamp_monotonic_ms() - began, 1900, 2600);
        began = timestamp_monotonic_ms();
        assert_recipient(&asked, "bob@example.com", UNAVAILABLE);
        assert_password(&asked, "alice", "wonderland", UNAVAILABLE);
        assert_in_range(timestamp_monotonic_ms() - began, 0, 300);
        close_source(&asked);
    }
}

static void a_kept_connection_that_died_is_made_again(void **state)
{
    struct asked asked = open_usual();
    (void)state;
    assert_recipient(&asked, "alice@example.com", KNOWN);
    slapd_scene_stop(&slapd);
    assert_recipient(&asked, "alice@example.com", UNAVAILABLE);
    assert_password(&asked, "alice", "wonderland", UNAVAILABLE);
    slapd_scene_start(&slapd);
    assert_recipient(&asked, "alice@example.com", KNOWN);
    slapd_scene_stop(&slapd);
    slapd_scene_start(&slapd);
    assert_recipient(&asked, "mallory@example.com", UNKNOWN);
    close_source(&asked);
}

/* --- servers that mean harm --- */

static const char bind_done[] = "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
static const char reference[] = "\x30\x0c\x02\x01\x02\x73\x07\x04\x05ldap:";
static const char huge[] = "\x30\x84\x7f\xff\xff\xff\x02\x01\x02\x64";
static const char garbage[] = "220 mail.example.com ESMTP\r\n\xff\xfe\x00\x30\x80";
static const char no_result[] = "\x30\x05\x02\x01\x01\x61\x00";

static void say(int fd, const char *text, size_t length)
{
    if (send(fd, text, length, MSG_NOSIGNAL) < 0)
        _exit(0);
}

static void say_garbage(int fd)
{
    say(fd, garbage, sizeof(garbage) - 1);
    pause();
}

static void say_a_byte_now_and_then(int fd)
{
    for (size_t i = 0; i < sizeof(bind_done) - 2; i++, usleep(400000))
        say(fd, bind_done + i, 1);
    pause();
}

static void say_no_result(int fd)
{
    say(fd, no_result, sizeof(no_result) - 1);
    pause();
}

static void announce_two_gigabytes(int fd)
{
    say(fd, bind_done, sizeof(bind_done) - 1);
    say(fd, huge, sizeof(huge) - 1);
    for (char block[4096] = "";;)
        say(fd, block, sizeof(block));
}

static void refer_without_end(int fd)
{
    say(fd, bind_done, sizeof(bind_done) - 1);
    for (;;)
        say(fd, reference, sizeof(reference) - 1);
}

static void hang_up_at_once(int fd)
{
    (void)fd;
    _exit(0);
}

/* Serves one connection in a process of its own. */
static pid_t serve_harm(int listener, void (*harm)(int fd))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    harm(accept(listener, NULL, NULL));
    _exit(0);
}

static void a_server_that_means_harm_costs_its_time_and_no_more(void **state)
{
    static void (*const harms[])(int fd) = {
        say_garbage,       say_a_byte_now_and_then, say_no_result, announce_two_gigabytes,
        refer_without_end, hang_up_at_once,
    };
    (void)state;
    for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
        uint16_t port;
        cleanup_fd int listener = slapd_scene_silent_server(&port);
        pid_t server = serve_harm(listener, harms[i]);
        struct asked asked = open_source(with_port("ldap", port, NULL));
        int64_t began = timestamp_monotonic_ms();
        assert_recipient(&asked, "alice@example.com", UNAVAILABLE);
        assert_in_range(timestamp_monotonic_ms() - began, 0, 2600);
        close_source(&asked);
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
}

/* --- TLS --- */

static struct asked open_tls(const char *uri, bool start_tls, const char *ca)
{
    json_t *source = source_json(uri, NULL);
    json_object_set_new(source, "start_tls", json_boolean(start_tls));
    if (ca)
        json_object_set_new(source, "ca", json_string(ca));
    return open_source(source);
}

static void start_tls_and_ldaps_work_with_the_right_authority(void **state)
{
    struct asked started = open_tls(slapd.uri, true, slapd.ca);
    struct asked secure = open_tls(slapd.tls_uri, false, slapd.ca);
    (void)state;
    assert_recipient(&started, "alice@example.com", KNOWN);
    assert_password(&started, "alice", "wonderland", KNOWN);
    assert_recipient(&secure, "alice@example.com", KNOWN);
    assert_password(&secure, "alice", "wonderland", KNOWN);
    assert_password(&secure, "alice", "wrong", UNKNOWN);
    close_source(&started);
    close_source(&secure);
}

static void a_certificate_of_another_authority_is_refused(void **state)
{
    const char *const authorities[] = {slapd.other_ca, NULL};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct asked started = open_tls(slapd.uri, true, authorities[i]);
        struct asked secure = open_tls(slapd.tls_uri, false, authorities[i]);
        assert_recipient(&started, "alice@example.com", UNAVAILABLE);
        assert_password(&started, "alice", "wonderland", UNAVAILABLE);
        assert_recipient(&secure, "alice@example.com", UNAVAILABLE);
        close_source(&started);
        close_source(&secure);
    }
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    char uri[64];
    (void)state;
    snprintf(uri, sizeof(uri), "ldaps://localhost:%u", slapd.tls_port);
    struct asked asked = open_tls(uri, false, slapd.ca);
    assert_recipient(&asked, "alice@example.com", UNAVAILABLE);
    close_source(&asked);
}

/* --- the test for people --- */

static json_t *report_of(json_t *source, const char *address)
{
    struct asked asked = open_source(source);
    json_t *report = NULL;
    struct error error = {0};
    assert_true(ldap_source_test(&asked.config->directory.sources[0], address, &report, &error));
    close_source(&asked);
    return report;
}

static const json_t *find_step(const json_t *report, size_t server, const char *name)
{
    const json_t *servers = json_object_get(report, "servers"), *step;
    size_t i;
    json_array_foreach(json_object_get(json_array_get(servers, server), "steps"), i, step)
    {
        if (strcmp(json_string_value(json_object_get(step, "step")), name) == 0)
            return step;
    }
    return NULL;
}

static void assert_step(const json_t *report, size_t server, const char *name, bool good, int count)
{
    const json_t *step = find_step(report, server, name);
    if (!step)
        fail_msg("there is no step %s", name);
    if (json_is_true(json_object_get(step, "ok")) != good)
        fail_msg("%s: %s", name, json_string_value(json_object_get(step, "detail")));
    assert_true(good || *json_string_value(json_object_get(step, "detail")));
    if (count >= 0)
        assert_int_equal(json_integer_value(json_object_get(step, "count")), count);
}

static void the_report_names_each_step_that_works(void **state)
{
    json_t *source = source_json(slapd.uri, slapd.uri);
    (void)state;
    json_object_set_new(source, "start_tls", json_true());
    json_object_set_new(source, "ca", json_string(slapd.ca));
    cleanup_json json_t *report = report_of(source, "alice@example.com");
    assert_true(json_is_true(json_object_get(report, "ok")));
    assert_int_equal(json_array_size(json_object_get(report, "servers")), 1);
    static const char *const opening[] = {"connect", "tls", "bind", "base"};
    for (size_t i = 0; i < 4; i++)
        assert_step(report, 0, opening[i], true, -1);
    assert_step(report, 0, "recipients", true, 1);
    assert_step(report, 0, "routing", true, 1);
    assert_step(report, 0, "authentication", true, 1);
    assert_step(report, 0, "groups", true, 2);
}

static void the_report_names_the_step_that_fails(void **state)
{
    char dead[64];
    (void)state;
    snprintf(dead, sizeof(dead), "ldap://127.0.0.1:%u", slapd_scene_free_port());
    cleanup_json json_t *connecting = report_of(source_json(slapd.uri, dead), "");
    assert_true(json_is_false(json_object_get(connecting, "ok")));
    assert_step(connecting, 0, "base", true, 1);
    assert_null(find_step(connecting, 0, "recipients"));
    assert_step(connecting, 1, "connect", false, -1);
    assert_null(find_step(connecting, 1, "bind"));

    json_t *source = source_json(slapd.tls_uri, NULL);
    json_object_set_new(source, "ca", json_string(slapd.other_ca));
    cleanup_json json_t *tls = report_of(source, NULL);
    assert_step(tls, 0, "connect", true, -1);
    assert_step(tls, 0, "tls", false, -1);

    source = source_json(slapd.uri, NULL);
    json_object_set_new(source, "bind_password", json_string("guess"));
    cleanup_json json_t *bind = report_of(source, NULL);
    assert_step(bind, 0, "connect", true, -1);
    assert_step(bind, 0, "bind", false, -1);
    cleanup_free char *text = json_dumps(bind, 0);
    assert_null(strstr(text, "guess"));

    source = source_json(slapd.uri, NULL);
    json_object_set_new(source, "base_dn", json_string("dc=example,dc=org"));
    cleanup_json json_t *base = report_of(source, "alice@example.com");
    assert_step(base, 0, "bind", true, -1);
    assert_step(base, 0, "base", false, -1);
}

static void an_address_that_is_not_found_is_no_failure_of_the_test(void **state)
{
    cleanup_json json_t *report = report_of(source_json(slapd.uri, NULL), "mallory@example.com");
    (void)state;
    assert_true(json_is_true(json_object_get(report, "ok")));
    assert_step(report, 0, "recipients", true, 0);
    assert_step(report, 0, "groups", true, 0);
}

/* --- */

static int open_group(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    slapd_scene_open(&slapd);
    slapd_scene_start(&slapd);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    slapd_scene_close(&slapd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipients_are_known_by_any_address_and_others_unknown),
        cmocka_unit_test(no_address_widens_the_filter),
        cmocka_unit_test(values_are_escaped_in_every_place),
        cmocka_unit_test(a_part_that_is_missing_matches_nothing),
        cmocka_unit_test(a_search_that_is_refused_says_nothing_about_a_recipient),
        cmocka_unit_test(routing_is_read_from_the_only_entry),
        cmocka_unit_test(routing_that_cannot_be_used_is_told_and_never_guessed),
        cmocka_unit_test(only_the_right_password_is_taken),
        cmocka_unit_test(no_user_name_widens_the_filter),
        cmocka_unit_test(a_name_of_two_entries_signs_nobody_in),
        cmocka_unit_test(who_signed_in_has_one_name_however_it_was_typed),
        cmocka_unit_test(groups_are_those_of_the_entry_of_the_address),
        cmocka_unit_test(the_alternate_answers_where_the_primary_is_dead),
        cmocka_unit_test(the_alternate_answers_where_the_primary_keeps_silent),
        cmocka_unit_test(the_same_server_twice_is_asked_once),
        cmocka_unit_test(a_silent_server_costs_one_question_its_time_and_not_the_next),
        cmocka_unit_test(a_kept_connection_that_died_is_made_again),
        cmocka_unit_test(a_server_that_means_harm_costs_its_time_and_no_more),
        cmocka_unit_test(start_tls_and_ldaps_work_with_the_right_authority),
        cmocka_unit_test(a_certificate_of_another_authority_is_refused),
        cmocka_unit_test(a_certificate_for_another_name_is_refused),
        cmocka_unit_test(the_report_names_each_step_that_works),
        cmocka_unit_test(the_report_names_the_step_that_fails),
        cmocka_unit_test(an_address_that_is_not_found_is_no_failure_of_the_test),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

/* Aliases, masquerading, and masquerading in the header. */
#include "scanner/mta/address_rewrite.h"

#include "common/cleanup.h"
#include "scanner/mta/address_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char document_head[] =
    "{\"format\":1,\"version\":1,\"scanner_id\":\"018f0000-0000-7000-8000-000000000000\","
    "\"issued_at\":\"2026-01-01T00:00:00.000Z\",\"host_name\":\"gate.example\","
    "\"smtp\":{\"inbound\":{\"listeners\":[]},\"outbound\":{\"listeners\":[]}}";

/* A configuration of those domains, aliases and masquerades. */
static struct scanner_config *configuration(const char *domains, const char *aliases,
                                            const char *masquerades)
{
    struct error error = {0};
    struct buffer text = BUFFER_INIT;
    assert_true(buffer_add_format(&text,
                                  "%s,\"domains\":[%s],\"aliases\":[%s],\"masquerades\":[%s]}",
                                  document_head, domains, aliases, masquerades));
    struct scanner_config *config = config_parse(text.data, text.length, &error);
    if (!config)
        fail_msg("%s: %s", error.where, error.message);
    buffer_free(&text);
    return config;
}

/* --- keys --- */

static void expect_key(const char *address, const char *wanted)
{
    char key[ADDRESS_SIZE];
    assert_true(address_key(address, key));
    assert_string_equal(key, wanted);
}

static void one_mailbox_has_one_key(void **state)
{
    char key[ADDRESS_SIZE];
    (void)state;
    expect_key("User@Example.COM", "user@example.com");
    expect_key("\"User\"@example.com", "user@example.com");
    expect_key("\"u\\ser\"@example.com", "user@example.com");
    expect_key("\"a b\"@example.com", "\"a b\"@example.com");
    expect_key("\"a@b\"@example.com", "\"a@b\"@example.com");
    expect_key("\"\"@example.com", "\"\"@example.com");
    expect_key("\xe7\x94\xa8@b\xc3\xbc"
               "cher.example",
               "\xe7\x94\xa8@xn--bcher-kva.example");
    expect_key("user@[192.0.2.1]", "user@[192.0.2.1]");
    assert_false(address_key("", key));
    assert_false(address_key("postmaster", key));
    assert_false(address_key("a@-b-", key));
}

/* --- aliases --- */

/* What `address` becomes, separated by spaces; "too many" where it is refused. */
static const char *expanded(const struct scanner_config *config, const char *address)
{
    static char text[1024];
    struct address_list list = {0};
    if (!address_expand(config, address, &list)) {
        assert_int_equal(list.count, 0);
        return "too many";
    }
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < list.count && length < sizeof(text); i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", i ? " " : "",
                                   list.addresses[i]);
    address_list_free(&list);
    return text;
}

static void an_address_without_an_alias_stays_as_it_was_written(void **state)
{
    struct scanner_config *config = configuration("", "", "");
    (void)state;
    assert_string_equal(expanded(config, "Some.One@Example.COM"), "Some.One@Example.COM");
    assert_string_equal(expanded(config, "postmaster"), "postmaster");
    assert_string_equal(expanded(config, "\"a b\"@x.example"), "\"a b\"@x.example");
    assert_false(address_is_alias(config, "a@example.com"));
    config_free(config);
}

static void aliases_are_followed_whatever_the_case(void **state)
{
    struct scanner_config *config = configuration(
        "",
        "{\"address\":\"Sales@Example.com\",\"to\":[\"Ann@a.example\",\"team@example.com\"]},"
        "{\"address\":\"team@example.com\",\"to\":[\"bob@b.example\",\"ANN@A.example\"]},"
        "{\"address\":\"@whole.example\",\"to\":[\"one@example.com\"]},"
        "{\"address\":\"own@whole.example\",\"to\":[\"two@example.com\"]}",
        "");
    (void)state;
    assert_string_equal(expanded(config, "SALES@example.COM"), "Ann@a.example bob@b.example");
    assert_string_equal(expanded(config, "\"sales\"@example.com"), "Ann@a.example bob@b.example");
    assert_string_equal(expanded(config, "anyone@Whole.example"), "one@example.com");
    assert_string_equal(expanded(config, "\"x y\"@whole.example"), "one@example.com");
    assert_string_equal(expanded(config, "own@whole.example"), "two@example.com");
    assert_string_equal(expanded(config, "a@sub.whole.example"), "a@sub.whole.example");
    assert_true(address_is_alias(config, "SALES@example.com"));
    assert_true(address_is_alias(config, "anyone@whole.example"));
    assert_false(address_is_alias(config, "ann@a.example"));
    config_free(config);
}

static void international_addresses_have_aliases(void **state)
{
    struct scanner_config *config = configuration("",
                                                  "{\"address\":\"\xe7\x94\xa8@b\xc3\xbc"
                                                  "cher.example\",\"to\":[\"yong@example.com\"]}",
                                                  "");
    (void)state;
    assert_string_equal(expanded(config, "\xe7\x94\xa8@B\xc3\x9c"
                                         "CHER.example"),
                        "yong@example.com");
    assert_string_equal(expanded(config, "\xe7\x94\xa8@xn--bcher-kva.example"), "yong@example.com");
    config_free(config);
}

static const char domain_aliases[] =
    "{\"name\":\"main.example\",\"route\":{\"kind\":\"mx\"}},"
    "{\"name\":\"old.example\",\"route\":{\"kind\":\"mx\"},\"alias_of\":\"main.example\"}";

static void a_domain_that_is_an_alias_moves_its_recipients_first(void **state)
{
    struct scanner_config *config =
        configuration(domain_aliases,
                      "{\"address\":\"info@main.example\",\"to\":[\"ann@main.example\"]},"
                      "{\"address\":\"back@main.example\",\"to\":[\"Bob@old.example\"]}",
                      "");
    (void)state;
    assert_string_equal(expanded(config, "Some.One@OLD.example"), "Some.One@main.example");
    assert_string_equal(expanded(config, "info@old.example"), "ann@main.example");
    assert_string_equal(expanded(config, "back@main.example"), "Bob@main.example");
    assert_true(address_is_alias(config, "info@old.example"));
    assert_false(address_is_alias(config, "ann@old.example"));
    config_free(config);
}

static void loops_end_and_lose_no_mail(void **state)
{
    struct scanner_config *config = configuration(
        "",
        "{\"address\":\"self@x.example\",\"to\":[\"self@x.example\",\"copy@x.example\"]},"
        "{\"address\":\"a@x.example\",\"to\":[\"b@x.example\"]},"
        "{\"address\":\"b@x.example\",\"to\":[\"a@x.example\",\"c@x.example\"]},"
        "{\"address\":\"d@x.example\",\"to\":[\"e@x.example\",\"f@x.example\"]},"
        "{\"address\":\"e@x.example\",\"to\":[\"g@x.example\"]},"
        "{\"address\":\"f@x.example\",\"to\":[\"e@x.example\",\"g@x.example\"]},"
        "{\"address\":\"@all.example\",\"to\":[\"box@all.example\"]}",
        "");
    (void)state;
    assert_string_equal(expanded(config, "self@x.example"), "self@x.example copy@x.example");
    assert_string_equal(expanded(config, "a@x.example"), "a@x.example c@x.example");
    assert_string_equal(expanded(config, "b@x.example"), "b@x.example c@x.example");
    assert_string_equal(expanded(config, "d@x.example"), "g@x.example");
    assert_string_equal(expanded(config, "any@all.example"), "box@all.example");
    assert_string_equal(expanded(config, "box@all.example"), "box@all.example");
    config_free(config);
}

/* Adds an alias "NAME@x.example" for `count` addresses "NAMEn@x.example" from `first` on. */
static void add_wide(struct buffer *text, const char *name, int first, int count)
{
    buffer_add_format(text, "%s{\"address\":\"%s@x.example\",\"to\":[", text->length ? "," : "",
                      name);
    for (int i = 0; i < count; i++)
        buffer_add_format(text, "%s\"%.1s%d@x.example\"", i ? "," : "", name, first + i);
    buffer_add_text(text, "]}");
}

static void more_than_a_thousand_addresses_are_refused(void **state)
{
    struct buffer text = BUFFER_INIT;
    char name[32];
    (void)state;
    add_wide(&text, "w", 0, 10); /* w0 to w9 for 100 each: 1000 in all */
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "w%d", i);
        add_wide(&text, name, 1000 + 100 * i, 100);
    }
    buffer_add_text(&text, ",{\"address\":\"more@x.example\",\"to\":[\"w@x.example\","
                           "\"w1000@x.example\",\"one.more@x.example\"]}");
    struct scanner_config *config = configuration("", text.data, "");
    struct address_list list = {0};
    assert_true(address_expand(config, "w@x.example", &list));
    assert_int_equal(list.count, 1000);
    address_list_free(&list);
    assert_string_equal(expanded(config, "more@x.example"), "too many");
    config_free(config);
    buffer_free(&text);
}

static void an_endless_chain_is_refused(void **state)
{
    struct buffer text = BUFFER_INIT;
    (void)state;
    for (int i = 0; i < 5000; i++)
        buffer_add_format(&text, "%s{\"address\":\"c%d@x.example\",\"to\":[\"c%d@x.example\"]}",
                          i ? "," : "", i, i + 1);
    struct scanner_config *config = configuration("", text.data, "");
    assert_string_equal(expanded(config, "c0@x.example"), "too many");
    assert_string_equal(expanded(config, "c4950@x.example"), "c5000@x.example");
    config_free(config);
    buffer_free(&text);
}

/* --- masquerading --- */

static const char rules[] = "{\"from\":\"ann@mail.example.com\",\"to\":\"Ann.Smith@example.com\"},"
                            "{\"from\":\"@mail.example.com\",\"to\":\"@example.com\"},"
                            "{\"from\":\"@.in.example.com\",\"to\":\"@example.com\"},"
                            "{\"from\":\"@.deep.in.example.com\",\"to\":\"@deep.example\"},"
                            "{\"from\":\"robot@in.example.com\",\"to\":\"noreply@example.com\"}";

static const char *masked(const struct scanner_config *config, const char *address)
{
    static char to[ADDRESS_SIZE];
    return address_masquerade(config, address, to) ? to : "none";
}

static void the_nearest_rule_masquerades(void **state)
{
    struct scanner_config *config = configuration("", "", rules);
    (void)state;
    assert_string_equal(masked(config, "Ann@Mail.Example.com"), "ann.smith@example.com");
    assert_string_equal(masked(config, "Bob.B@MAIL.example.com"), "Bob.B@example.com");
    assert_string_equal(masked(config, "\"b b\"@mail.example.com"), "\"b b\"@example.com");
    assert_string_equal(masked(config, "x@host.in.example.com"), "x@example.com");
    assert_string_equal(masked(config, "x@a.b.in.example.com"), "x@example.com");
    assert_string_equal(masked(config, "x@a.deep.in.example.com"), "x@deep.example");
    assert_string_equal(masked(config, "x@in.example.com"), "none");
    assert_string_equal(masked(config, "x@a.mail.example.com"), "none");
    assert_string_equal(masked(config, "x@example.com"), "none");
    assert_string_equal(masked(config, "x@[192.0.2.1]"), "none");
    assert_string_equal(masked(config, ""), "none");
    assert_string_equal(masked(config, "postmaster"), "none");
    config_free(config);
}

static void masquerading_makes_no_address_that_cannot_be_sent(void **state)
{
    char address[ADDRESS_SIZE], rule[1024];
    char domain[256];
    (void)state;
    memset(domain, 'd', 240);
    for (size_t i = 60; i < 240; i += 61)
        domain[i] = '.';
    domain[240] = '\0';
    snprintf(rule, sizeof(rule),
             "{\"from\":\"@s.example\",\"to\":\"@%s\"},"
             "{\"from\":\"@ascii.example\",\"to\":\"\xe7\x94\xa8@example.com\"}",
             domain);
    struct scanner_config *config = configuration("", "", rule);
    snprintf(address, sizeof(address), "%.*s@s.example", 13, "aaaaaaaaaaaaaaaaaaaa");
    assert_string_not_equal(masked(config, address), "none");
    snprintf(address, sizeof(address), "%.*s@s.example", 14, "aaaaaaaaaaaaaaaaaaaa");
    assert_string_equal(masked(config, address), "none");
    assert_string_equal(masked(config, "user@ascii.example"), "none");
    assert_string_equal(masked(config, "\xe5\xad\x90@ascii.example"), "\xe7\x94\xa8@example.com");
    config_free(config);
}

/* --- headers --- */

#define BODY "\r\nFrom: ann@mail.example.com\r\n"

/* Masquerades `header` with the rules; it must become `wanted` (NULL: stay). */
static void expect_header(const char *header, const char *wanted)
{
    struct scanner_config *config = configuration("", "", rules);
    struct buffer message = BUFFER_INIT, out = BUFFER_INIT;
    size_t header_length = 12345;
    buffer_add_text(&out, "before:");
    buffer_add_text(&message, header);
    buffer_add_text(&message, BODY);
    bool changed = header_masquerade(config, message.data, message.length, &out, &header_length);
    if (changed != (wanted != NULL))
        fail_msg("%s is %s: %s", header, changed ? "changed" : "not changed", buffer_text(&out));
    if (wanted) {
        assert_int_equal(header_length, strlen(header));
        assert_string_equal(buffer_text(&out) + strlen("before:"), wanted);
    } else {
        assert_string_equal(buffer_text(&out), "before:");
    }
    buffer_free(&message);
    buffer_free(&out);
    config_free(config);
}

static void the_fields_with_addresses_are_rewritten_and_no_others(void **state)
{
    static const char *const fields[] = {
        "From",      "sender",        "REPLY-TO",        "To",  "Cc",   "Resent-From", "Resent-To",
        "Resent-Cc", "Resent-Sender", "Resent-Reply-To", "Bcc", "From "};
    static const char *const others[] = {"Subject",     "Received",   "X-From",
                                         "Froms",       "Message-ID", "Return-Path",
                                         "Resent-Date", "Resent-",    "Resent-Subject"};
    char text[256], wanted[256];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        snprintf(text, sizeof(text), "%s: <bob@mail.example.com>\r\nSubject: x\r\n", fields[i]);
        snprintf(wanted, sizeof(wanted), "%s: <bob@example.com>\r\nSubject: x\r\n", fields[i]);
        expect_header(text, wanted);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        snprintf(text, sizeof(text), "%s: <bob@mail.example.com>\r\n", others[i]);
        expect_header(text, NULL);
    }
}

static void names_comments_and_folding_stay(void **state)
{
    (void)state;
    expect_header("From: \"Smith, Ann <ann@mail.example.com>\" <ann@mail.example.com>\r\n",
                  "From: \"Smith, Ann <ann@mail.example.com>\" <ann.smith@example.com>\r\n");
    expect_header("From:bob@mail.example.com (Bob (ann@mail.example.com) \\) x)\r\n",
                  "From:bob@example.com (Bob (ann@mail.example.com) \\) x)\r\n");
    expect_header("To: Bob\r\n\t<bob@mail.example.com>\r\n ,\r\n ann@mail.example.com\r\n",
                  "To: Bob\r\n\t<bob@example.com>\r\n ,\r\n ann.smith@example.com\r\n");
    expect_header("To: x@y.example, , <bob@mail.example.com>,q@z.example\r\n",
                  "To: x@y.example, , <bob@example.com>,q@z.example\r\n");
    expect_header("To: =?utf-8?Q?B=C3=B6b?= <bob@mail.example.com>,\r\n"
                  " =?utf-8?Q?bob@mail.example.com?= <x@y.example>\r\n",
                  "To: =?utf-8?Q?B=C3=B6b?= <bob@example.com>,\r\n"
                  " =?utf-8?Q?bob@mail.example.com?= <x@y.example>\r\n");
    expect_header("To: J. Doe <bob@mail.example.com>\r\n", "To: J. Doe <bob@example.com>\r\n");
    expect_header("To: \xe7\x94\xa8 <\xe7\x94\xa8@mail.example.com>\r\n",
                  "To: \xe7\x94\xa8 <\xe7\x94\xa8@example.com>\r\n");
    expect_header("To: \"b b\"@mail.example.com\r\n", "To: \"b b\"@example.com\r\n");
    expect_header("To: \"ann\"@mail.example.com\r\n", "To: ann.smith@example.com\r\n");
}

static void groups_are_looked_into(void **state)
{
    (void)state;
    expect_header("To: Team: bob@mail.example.com, A <ann@mail.example.com>;, x@y.example\r\n",
                  "To: Team: bob@example.com, A <ann.smith@example.com>;, x@y.example\r\n");
    expect_header("Cc: undisclosed-recipients:;\r\n", NULL);
    expect_header("Cc: bob@mail.example.com: x@y.example;\r\n", NULL);
}

static void obsolete_forms_are_understood(void **state)
{
    (void)state;
    expect_header("To: bob (c) @ (d) mail . example\r\n (e) . com (f)\r\n",
                  "To: bob (c) @ (d)   \r\n (e)  example.com (f)\r\n");
    expect_header("To: <@a.example,@b.example:bob@mail.example.com>\r\n",
                  "To: <@a.example,@b.example:bob@example.com>\r\n");
    expect_header("To: ann\r\n @mail.example.com\r\n", "To: ann.smith\r\n @example.com\r\n");
}

static void what_is_broken_stays(void **state)
{
    static const char *const broken[] = {
        "From: \"Bob <bob@mail.example.com>\r\n",
        "From: Bob (x <bob@mail.example.com>\r\n",
        "From: bob@mail.example.com (x\\\r\n",
        "From: <bob@mail.example.com\r\n",
        "From: <bob@mail.example.com> Bob\r\n",
        "From: <bob@mail.example.com> <x@y.example>\r\n",
        "From: bob@mail.example.com Bob\r\n",
        "From: bob@@mail.example.com\r\n",
        "From: a@bob@mail.example.com\r\n",
        "From: bob@mail.example.com.\r\n",
        "From: bob..b@mail.example.com\r\n",
        "From: @mail.example.com\r\n",
        "From: <>\r\n",
        "From: bob@[mail.example.com\r\n",
        "From: bob@mail.example.com\x01\r\n",
        "From: bob@mail.example.com\rx\r\n",
        "From: bob@mail.example.com\nTo: x\r\n",
        "From: mail.example.com\r\n",
        "From:\r\n",
        "From: \"a\".\"b\"@mail.example.com\r\n",
        ": bob@mail.example.com\r\n",
        " From: bob@mail.example.com\r\n",
        "",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++)
        expect_header(broken[i], NULL);
}

static void the_header_ends_where_lines_are_no_fields(void **state)
{
    static const char *const messages[] = {
        "Not a field\r\nFrom: bob@mail.example.com\r\n\r\n",
        "From bob@mail.example.com Mon Jan 1\r\nFrom: bob@mail.example.com\r\n\r\n",
        "From: bob@mail.example.com",
        "\r\n",
        "",
    };
    static const char cut[] = "From: bob@mail.example.com\r\nTo: bob@mail.example.com";
    struct scanner_config *config = configuration("", "", rules);
    struct buffer out = BUFFER_INIT;
    size_t length;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(messages); i++)
        assert_false(header_masquerade(config, messages[i], strlen(messages[i]), &out, &length));
    assert_true(header_masquerade(config, cut, strlen(cut), &out, &length));
    assert_string_equal(buffer_text(&out), "From: bob@example.com\r\n");
    assert_int_equal(length, 28);
    buffer_free(&out);
    config_free(config);
}

static void one_broken_field_spares_no_other(void **state)
{
    (void)state;
    expect_header("To: \"x <bob@mail.example.com>\r\nFrom: a@b@c, <bob@mail.example.com>\r\n",
                  "To: \"x <bob@mail.example.com>\r\nFrom: a@b@c, <bob@example.com>\r\n");
}

/* Doubling the size of what makes a slow parser slow must not take more than linear time: 1 MiB
 * each, which a quadratic one would not end in an hour. */
static void huge_headers_take_linear_time(void **state)
{
    static const char *const parts[] = {"(", "\"", "<",      ",",   "a@",
                                        "@", "a.", "x\r\n ", "\\(", "bob@mail.example.com,",
                                        ":", "[",  "()"};
    struct scanner_config *config = configuration("", "", rules);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        struct buffer message = BUFFER_INIT, out = BUFFER_INIT;
        size_t length = 0;
        buffer_add_text(&message, "To: ");
        while (message.length < 1u << 20)
            buffer_add_text(&message, parts[i]);
        buffer_add_text(&message, "\r\n\r\n");
        bool changed = header_masquerade(config, message.data, message.length, &out, &length);
        assert_int_equal(changed, strncmp(parts[i], "bob", 3) == 0);
        buffer_free(&message);
        buffer_free(&out);
    }
    config_free(config);
}

static void a_header_that_does_not_fit_stays(void **state)
{
    static const char message[] = "From: bob@mail.example.com\r\n\r\n";
    struct scanner_config *config = configuration("", "", rules);
    struct buffer out = {.limit = 16};
    size_t length;
    (void)state;
    buffer_add_text(&out, "old");
    assert_false(header_masquerade(config, message, strlen(message), &out, &length));
    assert_int_equal(out.length, 3);
    assert_string_equal(buffer_text(&out), "old");
    buffer_free(&out);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_mailbox_has_one_key),
        cmocka_unit_test(an_address_without_an_alias_stays_as_it_was_written),
        cmocka_unit_test(aliases_are_followed_whatever_the_case),
        cmocka_unit_test(international_addresses_have_aliases),
        cmocka_unit_test(a_domain_that_is_an_alias_moves_its_recipients_first),
        cmocka_unit_test(loops_end_and_lose_no_mail),
        cmocka_unit_test(more_than_a_thousand_addresses_are_refused),
        cmocka_unit_test(an_endless_chain_is_refused),
        cmocka_unit_test(the_nearest_rule_masquerades),
        cmocka_unit_test(masquerading_makes_no_address_that_cannot_be_sent),
        cmocka_unit_test(the_fields_with_addresses_are_rewritten_and_no_others),
        cmocka_unit_test(names_comments_and_folding_stay),
        cmocka_unit_test(groups_are_looked_into),
        cmocka_unit_test(obsolete_forms_are_understood),
        cmocka_unit_test(what_is_broken_stays),
        cmocka_unit_test(the_header_ends_where_lines_are_no_fields),
        cmocka_unit_test(one_broken_field_spares_no_other),
        cmocka_unit_test(huge_headers_take_linear_time),
        cmocka_unit_test(a_header_that_does_not_fit_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

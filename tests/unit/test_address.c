/* Mail addresses, domains, IP addresses and networks. */
#include "common/address.h"
#include "common/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool accepted(const char *text, bool utf8)
{
    return address_check(text, strlen(text), utf8) == NULL;
}

static void expect(const char *text, bool utf8, bool wanted)
{
    if (accepted(text, utf8) != wanted)
        fail_msg("%s is %s: %s", text, wanted ? "refused" : "accepted",
                 wanted ? address_check(text, strlen(text), utf8) : "it should not be");
}

/* --- addresses --- */

static void addresses_of_the_rfc_5321_grammar_are_accepted(void **state)
{
    static const char *const good[] = {"a@b",
                                       "user@example.com",
                                       "first.last@example.com",
                                       "USER@EXAMPLE.COM",
                                       "user+tag@example.com",
                                       "!#$%&'*+-/=?^_`{|}~@example.com",
                                       "1@2.3",
                                       "a@xn--bcher-kva.example",
                                       "a@a-b--c.example",
                                       "\"\"@example.com",
                                       "\"a b\"@example.com",
                                       "\"a@b\"@example.com",
                                       "\"a\\\"b\"@example.com",
                                       "\"\\\\\"@example.com",
                                       "\".a..b.\"@example.com",
                                       "\"<>[]:;,\"@example.com",
                                       "user@[192.0.2.1]",
                                       "user@[IPv6:2001:db8::1]",
                                       "user@[ipv6:::1]",
                                       "user@[IPv6:::ffff:192.0.2.1]",
                                       "\"x\"@[127.0.0.1]"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        expect(good[i], false, true);
        expect(good[i], true, true);
    }
}

static void addresses_outside_the_grammar_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "@",
                                      "user",
                                      "user@",
                                      "@example.com",
                                      "a@b@c",
                                      ".a@example.com",
                                      "a.@example.com",
                                      "a..b@example.com",
                                      "a b@example.com",
                                      " a@example.com",
                                      "a@example.com ",
                                      "a@ example.com",
                                      "a@example.com\n",
                                      "a\r\n@example.com",
                                      "a@example..com",
                                      "a@.example.com",
                                      "a@example.com.",
                                      "a@-example.com",
                                      "a@example-.com",
                                      "a@exa_mple.com",
                                      "a@_dmarc.example",
                                      "a@exam ple.com",
                                      "a@example.com>",
                                      "<a@example.com>",
                                      "a(b)@example.com",
                                      "a,b@example.com",
                                      "a;b@example.com",
                                      "a:b@example.com",
                                      "a<b@example.com",
                                      "a[b]@example.com",
                                      "a\\b@example.com",
                                      "a\"b@example.com",
                                      "\"a\"b@example.com",
                                      "\"a@example.com",
                                      "\"@x",
                                      "\"a\"",
                                      "\"a\\\"@x",
                                      "\"a\tb\"@x",
                                      "\"a\\\tb\"@x",
                                      "\"a\nb\"@x",
                                      "\"\x7f\"@x",
                                      "\x7f@x",
                                      "a@[]",
                                      "a@[1.2.3]",
                                      "a@[1.2.3.256]",
                                      "a@[1.2.3.4",
                                      "a@1.2.3.4]",
                                      "a@[1.2.3.4]x",
                                      "a@[IPv6:1.2.3.4]",
                                      "a@[2001:db8::1]",
                                      "a@[IPv6:]",
                                      "a@[IPv6:2001:db8::1::2]",
                                      "a@[",
                                      "a@[IPv6:fe80::1%eth0]",
                                      "a@[tag:content]",
                                      "@a,@b:c@d",
                                      "a@b/c",
                                      "a@b:25"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        expect(bad[i], false, false);
        expect(bad[i], true, false);
    }
}

static void a_nul_inside_an_address_is_refused(void **state)
{
    (void)state;
    assert_non_null(address_check("a\0b@example.com", 15, true));
    assert_non_null(address_check("a@exa\0mple.com", 14, true));
    assert_non_null(address_check("a@ex\xc3\xa9\0le.com", 14, true));
    assert_non_null(address_check("\"a\0b\"@example.com", 17, true));
    assert_non_null(address_check("a@[127.0.0.1\0]", 14, true));
    assert_null(address_check("a@b.cXYZ", 5, false));
}

/* `local` bytes, "@", and labels of 63 bytes until the whole has `total` bytes. */
static size_t make_address(char *text, size_t local, size_t total)
{
    memset(text, 'a', local);
    text[local] = '@';
    for (size_t i = local + 1; i < total; i++)
        text[i] = (i - local) % 64 == 0 && i + 1 < total ? '.' : 'd';
    text[total] = '\0';
    return total;
}

static void the_lengths_of_rfc_5321_are_limits(void **state)
{
    char text[400];
    (void)state;
    assert_null(address_check(text, make_address(text, 64, 100), false));
    assert_non_null(address_check(text, make_address(text, 65, 100), false));
    assert_null(address_check(text, make_address(text, 1, 254), false));
    assert_non_null(address_check(text, make_address(text, 1, 255), false));
    assert_non_null(address_check(text, make_address(text, 64, 320), false));
    memset(text, 'd', 70);
    memcpy(text, "a@", 2);
    assert_null(address_check(text, 2 + 63, false));
    assert_non_null(address_check(text, 2 + 64, false));
    memset(text, 'x', sizeof(text));
    text[0] = '"';
    memcpy(text + 63, "\"@b", 3);
    assert_null(address_check(text, 66, false));
    memcpy(text + 63, "x\"@b", 4);
    assert_non_null(address_check(text, 67, false));
}

static void letters_outside_ascii_need_smtputf8(void **state)
{
    static const char *const international[] = {
        "m\xc3\xbcller@example.com", "a@m\xc3\xbcnchen.example",
        "\"\xe6\x97\xa5 \xe6\x9c\xac\"@example.com",
        "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.\xe5\xb9\xbf\xe5\x91\x8a"};
    static const char *const broken[] = {"\xff@example.com", "a@\xff.example",   "\xc0\xaf@x",
                                         "\xed\xa0\x80@x",   "a\xc3@x",          "\xc2\x85@x",
                                         "\"\xc2\x9b\"@x",   "\"\xe2\x82\"@x",   "a@\xc3\xbc.",
                                         "a@x..\xc3\xbc",    "a@\xe2\x98\x83_x", "a@\xc2\xa0.x"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(international); i++) {
        expect(international[i], false, false);
        expect(international[i], true, true);
    }
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        expect(broken[i], false, false);
        expect(broken[i], true, false);
    }
}

static void the_domain_is_what_stands_after_the_last_at_sign(void **state)
{
    (void)state;
    assert_string_equal(address_domain("a@b.c"), "b.c");
    assert_string_equal(address_domain("\"a@b\"@c.d"), "c.d");
    assert_string_equal(address_domain("a@[192.0.2.1]"), "[192.0.2.1]");
    assert_string_equal(address_domain(""), "");
    assert_string_equal(address_domain("postmaster"), "");
}

/* --- domains --- */

static void expect_domain(const char *text, const char *wanted)
{
    char normal[DOMAIN_SIZE] = "";
    const char *reason = domain_normalise(text, true, normal);
    if (reason)
        fail_msg("%s: %s", text, reason);
    assert_string_equal(normal, wanted);
}

static void domains_become_lower_case_a_labels(void **state)
{
    (void)state;
    expect_domain("Example.COM", "example.com");
    expect_domain("localhost", "localhost");
    expect_domain("XN--BCHER-KVA.Example", "xn--bcher-kva.example");
    expect_domain("b\xc3\xbc"
                  "cher.example",
                  "xn--bcher-kva.example");
    expect_domain("B\xc3\x9c"
                  "CHER.Example",
                  "xn--bcher-kva.example");
    expect_domain("bu\xcc\x88"
                  "cher.example",
                  "xn--bcher-kva.example");
    expect_domain("\xef\xbd\x85xample\xe3\x80\x82"
                  "com",
                  "example.com");
    expect_domain("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.jp", "xn--wgv71a119e.jp");
    /* Nontransitional: the sharp s stays what it is. */
    expect_domain("fa\xc3\x9f.de", "xn--fa-hia.de");
}

static void what_is_no_domain_is_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {"",
                                      ".",
                                      "a.",
                                      ".a",
                                      "a..b",
                                      "-a",
                                      "a-",
                                      "a.-b",
                                      "a_b",
                                      "a b",
                                      "a/b",
                                      "a@b",
                                      "[1.2.3.4]",
                                      "a\n",
                                      "\xff",
                                      "\xc3",
                                      "a.\xe2\x80\x8f",
                                      "\xc3\xbc_.x",
                                      "\xe2\x80\x8d.x",
                                      "\xd7\x90"
                                      "a.x",
                                      "\xc3\xbc.\xc2\xa0x"};
    char normal[DOMAIN_SIZE] = "untouched", text[400];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (!domain_normalise(bad[i], true, normal))
            fail_msg("%s is accepted as %s", bad[i], normal);
        assert_string_equal(normal, "untouched");
    }
    assert_non_null(domain_normalise("b\xc3\xbc"
                                     "cher.example",
                                     false, normal));
    make_address(text, 1, 2 + 253);
    assert_null(domain_normalise(text + 2, false, normal));
    make_address(text, 1, 2 + 254);
    assert_non_null(domain_normalise(text + 2, false, normal));
}

static void a_domain_whose_a_labels_are_too_long_is_refused(void **state)
{
    char text[256] = "", normal[DOMAIN_SIZE];
    (void)state;
    for (int i = 0; i < 40; i++)
        strcat(text, "\xc3\xbc.x.");
    strcat(text, "x");
    assert_int_equal(strlen(text) <= 255, true);
    assert_non_null(domain_normalise(text, true, normal));
}

/* --- IP addresses --- */

static void expect_ip(const char *text, const char *wanted)
{
    struct ip_address address;
    char back[IP_TEXT_SIZE];
    assert_true(ip_parse(text, &address));
    assert_string_equal(ip_text(&address, back), wanted);
}

static void ip_addresses_have_one_text_form(void **state)
{
    struct ip_address address;
    (void)state;
    expect_ip("192.0.2.1", "192.0.2.1");
    expect_ip("::ffff:192.0.2.1", "192.0.2.1");
    expect_ip("2001:DB8:0:0::1", "2001:db8::1");
    expect_ip("::", "::");
    expect_ip("::1", "::1");
    static const char *const bad[] = {"",         "1.2.3", "1.2.3.4.5", "256.1.1.1",
                                      "1.2.3.4 ", " ::1",  "::1%lo",    "[::1]",
                                      "01.2.3.4", "1:2",   "localhost", "0x7f.1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(ip_parse(bad[i], &address));
}

static void socket_addresses_keep_address_and_port(void **state)
{
    static const char *const texts[] = {"192.0.2.1", "2001:db8::1"};
    static const int families[] = {AF_INET, AF_INET6};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct ip_address address, back;
        struct sockaddr_storage storage;
        uint16_t port = 0;
        assert_true(ip_parse(texts[i], &address));
        socklen_t length = ip_to_sockaddr(&address, 2525, &storage);
        assert_int_equal(length, i ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
        assert_int_equal(storage.ss_family, families[i]);
        assert_true(ip_from_sockaddr((struct sockaddr *)&storage, &back, &port));
        assert_memory_equal(&address, &back, sizeof(back));
        assert_int_equal(port, 2525);
        assert_true(ip_from_sockaddr((struct sockaddr *)&storage, &back, NULL));
    }
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct ip_address address;
    assert_false(ip_from_sockaddr(&other, &address, NULL));
}

static bool contains(const char *network_text, const char *address_text)
{
    struct ip_network network;
    struct ip_address address;
    assert_true(ip_network_parse(network_text, &network));
    assert_true(ip_parse(address_text, &address));
    return ip_network_contains(&network, &address);
}

static void networks_contain_their_addresses_only(void **state)
{
    (void)state;
    assert_true(contains("192.0.2.0/24", "192.0.2.255"));
    assert_false(contains("192.0.2.0/24", "192.0.3.0"));
    assert_true(contains("192.0.2.128/25", "192.0.2.129"));
    assert_false(contains("192.0.2.128/25", "192.0.2.127"));
    assert_true(contains("10.0.0.0/7", "11.255.255.255"));
    assert_false(contains("10.0.0.0/7", "12.0.0.0"));
    assert_true(contains("192.0.2.1", "192.0.2.1"));
    assert_false(contains("192.0.2.1", "192.0.2.2"));
    assert_true(contains("0.0.0.0/0", "203.0.113.9"));
    assert_true(contains("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(contains("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(contains("::1", "::1"));
}

static void all_of_ipv6_is_not_all_of_ipv4(void **state)
{
    (void)state;
    assert_true(contains("::/0", "2001:db8::1"));
    assert_false(contains("::/0", "192.0.2.1"));
    assert_false(contains("0.0.0.0/0", "2001:db8::1"));
}

static void texts_that_are_no_networks_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "/",
                                      "/24",
                                      "192.0.2.0/",
                                      "192.0.2.0/33",
                                      "192.0.2.0/-1",
                                      "192.0.2.0/024",
                                      "192.0.2.0/+8",
                                      "192.0.2.0/24 ",
                                      "192.0.2.1/24",
                                      "2001:db8::/129",
                                      "2001:db8::1/64",
                                      "192.0.2/24",
                                      "192.0.2.0/24/8",
                                      "192.0.2.0/99999999999999999999",
                                      "192.0.2.0/255.255.255.0"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct ip_network network;
        if (ip_network_parse(bad[i], &network))
            fail_msg("%s is accepted", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_the_rfc_5321_grammar_are_accepted),
        cmocka_unit_test(addresses_outside_the_grammar_are_refused),
        cmocka_unit_test(a_nul_inside_an_address_is_refused),
        cmocka_unit_test(the_lengths_of_rfc_5321_are_limits),
        cmocka_unit_test(letters_outside_ascii_need_smtputf8),
        cmocka_unit_test(the_domain_is_what_stands_after_the_last_at_sign),
        cmocka_unit_test(domains_become_lower_case_a_labels),
        cmocka_unit_test(what_is_no_domain_is_refused_with_a_reason),
        cmocka_unit_test(a_domain_whose_a_labels_are_too_long_is_refused),
        cmocka_unit_test(ip_addresses_have_one_text_form),
        cmocka_unit_test(socket_addresses_keep_address_and_port),
        cmocka_unit_test(networks_contain_their_addresses_only),
        cmocka_unit_test(all_of_ipv6_is_not_all_of_ipv4),
        cmocka_unit_test(texts_that_are_no_networks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is read of the network before and beside commands: PROXY headers, AUTH responses, XCLIENT.
 */
#include "scanner/mta/proxy_protocol.h"
#include "scanner/mta/smtp_auth.h"
#include "scanner/mta/smtp_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV4_HEADER SIGNATURE "\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x30\x39\0\x19"

/* --- PROXY --- */

/* Gives `size` bytes at a time, never more than are wanted. False where it is no header. */
static bool give(struct proxy_header *header, const char *bytes, size_t length, size_t size)
{
    size_t used = 0, wants;
    memset(header, 0, sizeof(*header));
    while (proxy_header_wants(header, &wants)) {
        if (wants == 0)
            return used == length;
        size_t part = wants < size ? wants : size;
        if (part > length - used)
            return false;
        proxy_header_add(header, bytes + used, part);
        used += part;
    }
    return false;
}

static void a_header_reads_alike_in_pieces_of_any_size(void **state)
{
    static const char bytes[] = IPV4_HEADER;
    (void)state;
    for (size_t size = 1; size < sizeof(bytes); size++) {
        struct proxy_header header;
        enum proxy_source source;
        struct ip_address client;
        uint16_t port;
        char text[IP_TEXT_SIZE];
        assert_true(give(&header, bytes, sizeof(bytes) - 1, size));
        assert_true(proxy_header_read(&header, &source, &client, &port));
        assert_int_equal(source, PROXY_CLIENT);
        assert_string_equal(ip_text(&client, text), "192.0.2.7");
        assert_int_equal(port, 12345);
    }
}

static void what_follows_the_addresses_is_counted_and_not_kept(void **state)
{
    struct proxy_header header;
    enum proxy_source source;
    struct ip_address client;
    uint16_t port;
    char bytes[PROXY_HEAD_SIZE + 65535];
    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    memcpy(bytes, IPV4_HEADER, sizeof(IPV4_HEADER) - 1);
    bytes[14] = bytes[15] = (char)0xff;
    assert_true(give(&header, bytes, sizeof(bytes), 1000));
    assert_true(proxy_header_read(&header, &source, &client, &port));
    assert_int_equal(port, 12345);
}

static void another_beginning_is_known_at_once(void **state)
{
    static const char *const others[] = {"E", "PROXY ", "\r\n\r\nx", "\r\n\r\n\0\r\nQUIT\r"};
    static const size_t lengths[] = {1, 6, 5, 12};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct proxy_header header = {0};
        size_t wants;
        proxy_header_add(&header, others[i], lengths[i]);
        assert_false(proxy_header_wants(&header, &wants));
    }
}

static bool reads(const char *bytes, size_t length)
{
    struct proxy_header header;
    enum proxy_source source;
    struct ip_address client;
    uint16_t port;
    return give(&header, bytes, length, length) &&
           proxy_header_read(&header, &source, &client, &port);
}

static void only_tcp_over_ip_and_local_are_taken(void **state)
{
    (void)state;
    assert_true(reads(SIGNATURE "\x20\0\0\0", 16));
    assert_true(reads(SIGNATURE "\x20\x11\0\x02zz", 18));
    assert_false(reads(SIGNATURE "\x21\0\0\0", 16));
    assert_false(reads(SIGNATURE "\x21\x11\0\0", 16));
    assert_false(reads(SIGNATURE "\x21\x12\0\x0cxxxxxxxxxxxx", 28));
    assert_false(reads(SIGNATURE "\x21\x21\0\x0cxxxxxxxxxxxx", 28));
    assert_false(reads(SIGNATURE "\x11\x11\0\x0cxxxxxxxxxxxx", 28));
}

/* --- AUTH --- */

static void encode(const void *text, size_t length, char *to, size_t size)
{
    assert_non_null(sodium_bin2base64(to, size, text, length, sodium_base64_VARIANT_ORIGINAL));
}

static enum smtp_auth_result plain(const char *text, size_t length,
                                   struct smtp_credentials *credentials)
{
    char response[8192];
    encode(text, length, response, sizeof(response));
    memset(credentials, 0, sizeof(*credentials));
    return smtp_auth_plain(response, credentials);
}

static void plain_has_name_and_password(void **state)
{
    struct smtp_credentials credentials;
    (void)state;
    assert_int_equal(plain("\0alice\0secret", 13, &credentials), SMTP_AUTH_READ);
    assert_string_equal(credentials.user, "alice");
    assert_string_equal(credentials.password, "secret");
    assert_int_equal(plain("alice\0alice\0x", 13, &credentials), SMTP_AUTH_READ);
    assert_int_equal(plain("bob\0alice\0x", 11, &credentials), SMTP_AUTH_FOREIGN);
    assert_int_equal(plain("\0alice", 6, &credentials), SMTP_AUTH_MALFORMED);
    assert_int_equal(plain("\0alice\0", 7, &credentials), SMTP_AUTH_MALFORMED);
    assert_int_equal(plain("\0\0secret", 8, &credentials), SMTP_AUTH_MALFORMED);
    assert_int_equal(plain("\0al\tice\0x", 9, &credentials), SMTP_AUTH_MALFORMED);
    assert_int_equal(plain("\0alice\0a\0b", 10, &credentials), SMTP_AUTH_MALFORMED);
    assert_int_equal(plain("\0al\xffice\0x", 9, &credentials), SMTP_AUTH_MALFORMED);
}

static void names_and_passwords_have_a_limit(void **state)
{
    struct smtp_credentials credentials;
    char text[4096] = "";
    (void)state;
    memset(text + 1, 'a', 319);
    text[320] = '\0';
    memset(text + 321, 'p', 1023);
    assert_int_equal(plain(text, 321 + 1023, &credentials), SMTP_AUTH_READ);
    assert_int_equal(strlen(credentials.password), 1023);
    memset(text + 321, 'p', 1024);
    assert_int_equal(plain(text, 321 + 1024, &credentials), SMTP_AUTH_MALFORMED);
    memset(text + 321, 'p', 3000);
    assert_int_equal(plain(text, 3321, &credentials), SMTP_AUTH_MALFORMED);
    memset(text + 1, 'a', 320);
    text[321] = '\0';
    assert_int_equal(plain(text, 325, &credentials), SMTP_AUTH_MALFORMED);
}

static void only_whole_base64_is_read(void **state)
{
    static const char *const wrong[] = {
        "", "YWxpY2U", "YWxpY2U==", "YWxp Y2U=", "=", "YWx*", "YWxpY2U=YWxp"};
    struct smtp_credentials credentials;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(smtp_auth_user(wrong[i], &credentials), SMTP_AUTH_MALFORMED);
    assert_int_equal(smtp_auth_user("YWxpY2U=", &credentials), SMTP_AUTH_READ);
    assert_int_equal(smtp_auth_password("c2VjcmV0", &credentials), SMTP_AUTH_READ);
    smtp_credentials_wipe(&credentials);
    for (size_t i = 0; i < sizeof(credentials); i++)
        assert_int_equal(((const char *)&credentials)[i], 0);
}

/* --- XCLIENT --- */

static void xclient_reads_every_attribute(void **state)
{
    char line[] =
        "ADDR=IPV6:2001:db8::7 PORT=25 NAME=mail.example HELO=spike+2Eexample PROTO=esmtp "
        "LOGIN=al+20ice";
    struct smtp_xclient xclient;
    char reply[SMTP_REPLY_SIZE], text[IP_TEXT_SIZE];
    (void)state;
    assert_true(smtp_xclient_parse(line, &xclient, reply));
    assert_true(xclient.has_address && xclient.has_port && xclient.has_login && xclient.extended);
    assert_string_equal(ip_text(&xclient.address, text), "2001:db8::7");
    assert_int_equal(xclient.port, 25);
    assert_string_equal(xclient.helo, "spike.example");
    assert_string_equal(xclient.login, "al ice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_reads_alike_in_pieces_of_any_size),
        cmocka_unit_test(what_follows_the_addresses_is_counted_and_not_kept),
        cmocka_unit_test(another_beginning_is_known_at_once),
        cmocka_unit_test(only_tcp_over_ip_and_local_are_taken),
        cmocka_unit_test(plain_has_name_and_password),
        cmocka_unit_test(names_and_passwords_have_a_limit),
        cmocka_unit_test(only_whole_base64_is_read),
        cmocka_unit_test(xclient_reads_every_attribute),
    };
    return cmocka_run_group_tests_name("smtp_words", tests, NULL, NULL);
}

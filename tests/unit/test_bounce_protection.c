/* Bounce address tags (BATV, prvs). */
#include "scanner/mta/bounce_protection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY INT64_C(86400000)
#define NOW (20000 * DAY + 5) /* day 0 modulo 1000 */
#define SECRET "0123456789abcdef"

static struct config_domain domains[] = {{.name = "example.com"},
                                         {.name = "xn--bcher-kva.example"}};

static struct scanner_config configuration(void)
{
    struct scanner_config config = {.domains = domains, .domain_count = 2};
    config.bounce_protection = (struct config_bounce_protection){
        .mode = CONFIG_BOUNCE_ENFORCE,
        .days = 7,
        .keys = {{.number = 3, .length = 16, .secret = SECRET},
                 {.number = 0, .length = 16, .secret = "fedcba9876543210"}},
        .key_count = 2};
    return config;
}

static void a_tag_is_made_as_the_draft_says(void **state)
{
    struct scanner_config config = configuration();
    char tagged[ADDRESS_SIZE], wanted[ADDRESS_SIZE];
    unsigned char hash[EVP_MAX_MD_SIZE];
    (void)state;
    assert_true(bounce_tag(&config, "user@example.com", NOW, tagged));
    HMAC(EVP_sha1(), SECRET, 16, (const unsigned char *)"3007user@example.com", 20, hash, NULL);
    snprintf(wanted, sizeof(wanted), "prvs=3007%02x%02x%02x=user@example.com", hash[0], hash[1],
             hash[2]);
    assert_string_equal(tagged, wanted);
}

static void expect_no_tag(const struct scanner_config *config, const char *sender)
{
    char tagged[ADDRESS_SIZE] = "untouched";
    if (bounce_tag(config, sender, NOW, tagged))
        fail_msg("%s becomes %s", sender, tagged);
    assert_string_equal(tagged, "untouched");
}

static void senders_that_need_no_tag_get_none(void **state)
{
    struct scanner_config config = configuration();
    char longest[ADDRESS_SIZE], tagged[ADDRESS_SIZE];
    (void)state;
    expect_no_tag(&config, "");
    expect_no_tag(&config, "postmaster");
    expect_no_tag(&config, "user@other.example");
    expect_no_tag(&config, "user@sub.example.com");
    expect_no_tag(&config, "user@[192.0.2.1]");
    expect_no_tag(&config, "prvs=3007abcdef=user@example.com");
    snprintf(longest, sizeof(longest), "%048d@example.com", 1);
    assert_true(bounce_tag(&config, longest, NOW, tagged));
    assert_null(address_check(tagged, strlen(tagged), false));
    snprintf(longest, sizeof(longest), "%049d@example.com", 1);
    expect_no_tag(&config, longest);
    config.bounce_protection.mode = CONFIG_BOUNCE_OFF;
    expect_no_tag(&config, "user@example.com");
    config.bounce_protection.mode = CONFIG_BOUNCE_TAG;
    assert_true(bounce_tag(&config, "user@example.com", NOW, tagged));
    config.bounce_protection.key_count = 0;
    expect_no_tag(&config, "user@example.com");
}

static void expect_state(const struct scanner_config *config, const char *recipient, int64_t now,
                         enum bounce_tag_state wanted, const char *wanted_plain)
{
    char plain[ADDRESS_SIZE] = "untouched";
    enum bounce_tag_state tag = bounce_check(config, recipient, now, plain);
    if (tag != wanted)
        fail_msg("%s on day %d: state %d", recipient, (int)(now / DAY), (int)tag);
    if (wanted_plain)
        assert_string_equal(plain, wanted_plain);
}

/* The senders come back, in any case of letters, and are what they were. */
static void a_tag_is_valid_for_its_days_and_expired_afterwards(void **state)
{
    static const char *const senders[] = {"user@example.com", "First.Last@Example.COM",
                                          "\"a b\"@example.com", "\"a@b\"@example.com",
                                          "\xe7\x94\xa8@b\xc3\xbc"
                                          "cher.example"};
    struct scanner_config config = configuration();
    char tagged[ADDRESS_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
        assert_true(bounce_tag(&config, senders[i], NOW, tagged));
        assert_null(address_check(tagged, strlen(tagged), true));
        expect_state(&config, tagged, NOW, BOUNCE_TAG_VALID, senders[i]);
        expect_state(&config, tagged, NOW + 7 * DAY, BOUNCE_TAG_VALID, senders[i]);
        expect_state(&config, tagged, NOW + 8 * DAY, BOUNCE_TAG_EXPIRED, senders[i]);
        expect_state(&config, tagged, NOW + 500 * DAY, BOUNCE_TAG_EXPIRED, senders[i]);
    }
}

static void the_case_of_letters_does_not_matter(void **state)
{
    struct scanner_config config = configuration();
    char tagged[ADDRESS_SIZE];
    (void)state;
    assert_true(bounce_tag(&config, "User@Example.com", NOW, tagged));
    for (char *at = tagged; *at; at++)
        *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at);
    expect_state(&config, tagged, NOW, BOUNCE_TAG_VALID, "USER@EXAMPLE.COM");
    for (char *at = tagged; *at; at++)
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
    expect_state(&config, tagged, NOW, BOUNCE_TAG_VALID, "user@example.com");
}

static void days_wrap_around_after_a_thousand(void **state)
{
    struct scanner_config config = configuration();
    char tagged[ADDRESS_SIZE];
    int64_t now = 20997 * DAY;
    (void)state;
    assert_true(bounce_tag(&config, "user@example.com", now, tagged));
    assert_memory_equal(tagged, "prvs=3004", 9);
    for (int day = 0; day <= 7; day++)
        expect_state(&config, tagged, now + day * DAY, BOUNCE_TAG_VALID, NULL);
    expect_state(&config, tagged, now + 8 * DAY, BOUNCE_TAG_EXPIRED, NULL);
    expect_state(&config, tagged, now - 24 * DAY, BOUNCE_TAG_EXPIRED, NULL);
}

static void a_tag_outlives_a_shorter_setting_and_a_new_key(void **state)
{
    struct scanner_config config = configuration();
    struct config_bounce_key first = config.bounce_protection.keys[0];
    char tagged[ADDRESS_SIZE];
    (void)state;
    config.bounce_protection.days = 30;
    assert_true(bounce_tag(&config, "user@example.com", NOW, tagged));
    config.bounce_protection.days = 1;
    config.bounce_protection.keys[0] = config.bounce_protection.keys[1];
    config.bounce_protection.keys[1] = first;
    expect_state(&config, tagged, NOW + 30 * DAY, BOUNCE_TAG_VALID, NULL);
    expect_state(&config, tagged, NOW + 31 * DAY, BOUNCE_TAG_EXPIRED, NULL);
    config.bounce_protection.key_count = 1;
    expect_state(&config, tagged, NOW, BOUNCE_TAG_FORGED, "user@example.com");
}

static void a_changed_tag_is_forged(void **state)
{
    struct scanner_config config = configuration();
    char tagged[ADDRESS_SIZE];
    (void)state;
    assert_true(bounce_tag(&config, "user@example.com", NOW, tagged));
    for (size_t at = 5; at < 15; at++) { /* key number, day, hash */
        char other[ADDRESS_SIZE];
        memcpy(other, tagged, sizeof(other));
        other[at] = other[at] == '0' ? '1' : '0';
        expect_state(&config, other, NOW, BOUNCE_TAG_FORGED, "user@example.com");
    }
    tagged[17] = 'x';
    expect_state(&config, tagged, NOW, BOUNCE_TAG_FORGED, "uxer@example.com");
}

static void what_is_no_tag_of_ours_is_none(void **state)
{
    static const char *const none[] = {"user@example.com",
                                       "",
                                       "postmaster",
                                       "prvs=3007abcdef=user@other.example",
                                       "prvs=3007abcdef@example.com",
                                       "prvs=3007abcde=user@example.com",
                                       "prvs=3007abcdeg=user@example.com",
                                       "prvs=x007abcdef=user@example.com",
                                       "prvs=3-07abcdef=user@example.com",
                                       "prvs=3007abcdef=@example.com",
                                       "prvs=3007abcdef=a..b@example.com",
                                       "prvs=@example.com",
                                       "prvs=user/3007abcdef@example.com",
                                       "btv1==3007abcdef==user@example.com"};
    struct scanner_config config = configuration();
    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        expect_state(&config, none[i], NOW, BOUNCE_TAG_NONE, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_made_as_the_draft_says),
        cmocka_unit_test(senders_that_need_no_tag_get_none),
        cmocka_unit_test(a_tag_is_valid_for_its_days_and_expired_afterwards),
        cmocka_unit_test(the_case_of_letters_does_not_matter),
        cmocka_unit_test(days_wrap_around_after_a_thousand),
        cmocka_unit_test(a_tag_outlives_a_shorter_setting_and_a_new_key),
        cmocka_unit_test(a_changed_tag_is_forged),
        cmocka_unit_test(what_is_no_tag_of_ours_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* From what a scan says to what becomes of the message. */
#include "common/cleanup.h"
#include "scanner/policy/groups.h"
#include "scanner/policy/malware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)

static struct scanner_config config;

static int reset(void **state)
{
    (void)state;
    config = (struct scanner_config){0};
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++)
        config.malware[i] = (struct config_malware_policy){
            config_verdict_usual_action((enum config_verdict)i), 6, CONFIG_ACTION_DELETE, false};
    return 0;
}

static void set(enum config_verdict verdict, enum config_action action)
{
    config.malware[verdict].action = action;
}

static struct policy_decision decide_at(const char *text, int64_t age_ms)
{
    struct policy_decision decision;
    cleanup_json json_t *result = json_loads(text, 0, NULL);
    assert_non_null(result);
    policy_decide(&config, POLICY_DEFAULT_GROUP, POLICY_INBOUND, result, age_ms, &decision);
    return decision;
}

static struct policy_decision decide(const char *text)
{
    return decide_at(text, 0);
}

#define VIRUS                                                                                      \
    "\"verdict\":\"virus\",\"threats\":[{\"name\":\"Eicar\",\"part\":\"a.zip/b.com\","             \
    "\"verdict\":\"virus\"}]"
#define VIRUS_AND_LOCK                                                                             \
    "{\"verdict\":\"virus\",\"verdicts\":[\"virus\",\"encrypted_attachment\"],\"threats\":["       \
    "{\"name\":\"Eicar\",\"part\":\"a.zip\",\"verdict\":\"virus\"},"                               \
    "{\"name\":\"Encrypted.Archive\",\"part\":\"b.zip\",\"verdict\":\"encrypted_attachment\"}],"   \
    "\"cleaned\":{\"size\":100}}"

static void a_clean_message_needs_no_policy(void **state)
{
    (void)state;
    struct policy_decision decision = decide("{\"verdict\":\"clean\",\"threats\":[]}");
    assert_int_equal(decision.action, CONFIG_ACTION_DELIVER);
    assert_null(decision.policy);
    assert_string_equal(decision.header, "");
}

static void every_verdict_has_its_own_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++) {
        char text[100], policy[64];
        reset(NULL);
        for (size_t k = 0; k < CONFIG_VERDICT_COUNT; k++)
            set((enum config_verdict)k, k == i ? CONFIG_ACTION_REJECT : CONFIG_ACTION_DELIVER);
        const char *name = config_verdict_name((enum config_verdict)i);
        snprintf(text, sizeof(text), "{\"verdict\":\"%s\"}", name);
        snprintf(policy, sizeof(policy), "malware.%s", name);
        struct policy_decision decision = decide(text);
        assert_int_equal(decision.action, CONFIG_ACTION_REJECT);
        assert_string_equal(decision.policy, policy);
        assert_int_equal(decision.bounces, i != CONFIG_VERDICT_VIRUS && i != CONFIG_VERDICT_WORM);
    }
}

static void an_unknown_verdict_counts_as_unscannable(void **state)
{
    (void)state;
    set(CONFIG_VERDICT_UNSCANNABLE, CONFIG_ACTION_REJECT);
    assert_string_equal(decide("{\"verdict\":\"fine\"}").policy, "malware.unscannable");
    assert_string_equal(decide("{\"verdict\":7}").policy, "malware.unscannable");
    assert_string_equal(decide("{}").policy, "malware.unscannable");
    assert_int_equal(decide("{\"verdict\":\"virus\",\"verdicts\":[7,null,{}]}").action,
                     CONFIG_ACTION_DELETE);
}

/* In this order each action goes before all that follow it. */
static void the_strictest_action_of_all_verdicts_counts(void **state)
{
    static const enum config_action order[] = {CONFIG_ACTION_DELETE, CONFIG_ACTION_REJECT,
                                               CONFIG_ACTION_QUARANTINE, CONFIG_ACTION_CLEAN,
                                               CONFIG_ACTION_DELIVER};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = i + 1; k < 5; k++) {
            set(CONFIG_VERDICT_VIRUS, order[k]);
            set(CONFIG_VERDICT_ENCRYPTED_ATTACHMENT, order[i]);
            struct policy_decision decision = decide(VIRUS_AND_LOCK);
            assert_int_equal(decision.action, order[i]);
            assert_int_equal(decision.verdict, CONFIG_VERDICT_ENCRYPTED_ATTACHMENT);
            assert_non_null(strstr(decision.detail, "Encrypted.Archive in b.zip"));
        }
    }
}

static void of_equal_actions_the_worst_verdict_gives_the_reason(void **state)
{
    (void)state;
    set(CONFIG_VERDICT_ENCRYPTED_ATTACHMENT, CONFIG_ACTION_DELETE);
    assert_string_equal(decide(VIRUS_AND_LOCK).policy, "malware.virus");
}

static void a_cleaned_message_says_what_was_removed(void **state)
{
    (void)state;
    set(CONFIG_VERDICT_VIRUS, CONFIG_ACTION_CLEAN);
    struct policy_decision decision = decide("{" VIRUS ",\"cleaned\":{\"size\":100}}");
    assert_int_equal(decision.action, CONFIG_ACTION_CLEAN);
    assert_string_equal(decision.header,
                        "X-Gatehouse-Verdict: virus removed; Eicar in a.zip/b.com\r\n");
}

static void what_cannot_be_cleaned_is_deleted_with_the_reason(void **state)
{
    (void)state;
    set(CONFIG_VERDICT_VIRUS, CONFIG_ACTION_CLEAN);
    struct policy_decision decision = decide("{" VIRUS ",\"not_cleaned\":\"it is too deep\"}");
    assert_int_equal(decision.action, CONFIG_ACTION_DELETE);
    assert_string_equal(decision.header, "");
    assert_string_equal(decision.detail,
                        "Eicar in a.zip/b.com; it could not be cleaned: it is too deep");
    decision = decide("{" VIRUS "}");
    assert_int_equal(decision.action, CONFIG_ACTION_DELETE);
    assert_non_null(strstr(decision.detail, "the engine did not do it"));
}

static void the_time_in_quarantine_ends_as_the_policy_says(void **state)
{
    (void)state;
    config.malware[CONFIG_VERDICT_VIRUS] =
        (struct config_malware_policy){CONFIG_ACTION_QUARANTINE, 2, CONFIG_ACTION_DELIVER, false};
    struct policy_decision decision = decide_at("{" VIRUS "}", 2 * HOUR - 1);
    assert_int_equal(decision.action, CONFIG_ACTION_QUARANTINE);
    assert_int_equal(decision.hours, 2);
    assert_string_equal(decision.header, "");
    decision = decide_at("{" VIRUS "}", 2 * HOUR);
    assert_int_equal(decision.action, CONFIG_ACTION_DELIVER);
    assert_string_equal(decision.header, "X-Gatehouse-Verdict: virus; Eicar in a.zip/b.com\r\n");
    config.malware[CONFIG_VERDICT_VIRUS].then = CONFIG_ACTION_DELETE;
    assert_int_equal(decide_at("{" VIRUS "}", 2 * HOUR).action, CONFIG_ACTION_DELETE);
    assert_int_equal(decide_at("{" VIRUS "}", -HOUR).action, CONFIG_ACTION_QUARANTINE);
}

/* A locked archive that may go on after its time takes no virus with it. */
static void the_end_of_one_quarantine_lets_no_other_verdict_pass(void **state)
{
    (void)state;
    set(CONFIG_VERDICT_VIRUS, CONFIG_ACTION_CLEAN);
    config.malware[CONFIG_VERDICT_ENCRYPTED_ATTACHMENT] =
        (struct config_malware_policy){CONFIG_ACTION_QUARANTINE, 1, CONFIG_ACTION_DELIVER, false};
    assert_int_equal(decide(VIRUS_AND_LOCK).action, CONFIG_ACTION_QUARANTINE);
    struct policy_decision decision = decide_at(VIRUS_AND_LOCK, HOUR);
    assert_int_equal(decision.action, CONFIG_ACTION_CLEAN);
    assert_string_equal(decision.policy, "malware.virus");
}

static void the_shortest_of_two_quarantines_is_looked_at_first(void **state)
{
    (void)state;
    config.malware[CONFIG_VERDICT_VIRUS] =
        (struct config_malware_policy){CONFIG_ACTION_QUARANTINE, 48, CONFIG_ACTION_DELETE, false};
    config.malware[CONFIG_VERDICT_ENCRYPTED_ATTACHMENT] =
        (struct config_malware_policy){CONFIG_ACTION_QUARANTINE, 3, CONFIG_ACTION_DELIVER, false};
    assert_int_equal(decide(VIRUS_AND_LOCK).hours, 3);
    struct policy_decision decision = decide_at(VIRUS_AND_LOCK, 3 * HOUR);
    assert_int_equal(decision.action, CONFIG_ACTION_QUARANTINE);
    assert_int_equal(decision.hours, 48);
}

/* Names come from signatures and from mail; they must not write header fields of their own. */
static void a_name_cannot_break_out_of_the_header_field(void **state)
{
    char text[4096], name[2000];
    (void)state;
    set(CONFIG_VERDICT_VIRUS, CONFIG_ACTION_DELIVER);
    struct policy_decision decision =
        decide("{\"verdict\":\"virus\",\"threats\":[{\"name\":\"x\\r\\nBcc: a\","
               "\"part\":\"\\u00fc\\u0001\",\"verdict\":\"virus\"}]}");
    assert_ptr_equal(strchr(decision.header, '\r'), decision.header + strlen(decision.header) - 2);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    snprintf(text, sizeof(text),
             "{\"verdict\":\"virus\",\"threats\":[{\"name\":\"%s\",\"verdict\":\"virus\"}]}", name);
    decision = decide(text);
    assert_true(strlen(decision.header) < POLICY_HEADER_SIZE);
    assert_string_equal(decision.header + strlen(decision.header) - 2, "\r\n");
}

static void the_engine_is_told_what_is_to_be_cleaned(void **state)
{
    (void)state;
    assert_int_equal(policy_cleans(&config), 0);
    set(CONFIG_VERDICT_WORM, CONFIG_ACTION_CLEAN);
    set(CONFIG_VERDICT_VIRUS, CONFIG_ACTION_CLEAN);
    assert_int_equal(policy_cleans(&config),
                     1u << CONFIG_VERDICT_VIRUS | 1u << CONFIG_VERDICT_WORM);
}

#define policy_test(function) cmocka_unit_test_setup(function, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        policy_test(a_clean_message_needs_no_policy),
        policy_test(every_verdict_has_its_own_policy),
        policy_test(an_unknown_verdict_counts_as_unscannable),
        policy_test(the_strictest_action_of_all_verdicts_counts),
        policy_test(of_equal_actions_the_worst_verdict_gives_the_reason),
        policy_test(a_cleaned_message_says_what_was_removed),
        policy_test(what_cannot_be_cleaned_is_deleted_with_the_reason),
        policy_test(the_time_in_quarantine_ends_as_the_policy_says),
        policy_test(the_end_of_one_quarantine_lets_no_other_verdict_pass),
        policy_test(the_shortest_of_two_quarantines_is_looked_at_first),
        policy_test(a_name_cannot_break_out_of_the_header_field),
        policy_test(the_engine_is_told_what_is_to_be_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Which policy group somebody is in, and whose malware policy counts. */
#include "common/cleanup.h"
#include "common/json.h"
#include "scanner/policy/groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

static struct policy_set *parse(const char *text)
{
    struct error error = {0};
    cleanup_json json_t *policies = json_loads(text, 0, NULL);
    assert_non_null(policies);
    struct policy_set *set = policy_set_parse(policies, NULL, &error);
    if (!set)
        fail_msg("%s: %s", error.where, error.message);
    return set;
}

static size_t find(const struct policy_set *set, const char *address, const char *directory_group)
{
    struct policy_groups *groups = policy_groups_new(set);
    assert_non_null(groups);
    size_t found = policy_groups_find(groups, address, &directory_group, directory_group ? 1 : 0);
    policy_groups_free(groups);
    return found;
}

static const char members[] =
    "{\"groups\":[{\"id\":\"a\",\"name\":\"a\",\"members\":[\"ann@example.com\"]},"
    "{\"id\":\"b\",\"name\":\"b\",\"members\":[\"@example.com\",\"group:Sales\"]},"
    "{\"id\":\"c\",\"name\":\"c\",\"members\":[\"@.example.com\",\"ann@example.com\"],"
    "\"malware\":{\"inbound\":{\"virus\":{\"action\":\"deliver\",\"bypass_content\":true}}}}]}";

static void the_first_group_with_a_fitting_member_counts(void **state)
{
    struct policy_set *set = parse(members);
    (void)state;
    assert_int_equal(find(set, "ann@example.com", NULL), 0);
    assert_int_equal(find(set, "bob@example.com", NULL), 1);
    assert_int_equal(find(set, "bob@eu.example.com", NULL), 2);
    assert_int_equal(find(set, "bob@a.b.example.com", NULL), 2);
    assert_int_equal(find(set, "bob@eu.example.com", "sales"), 1);
    assert_int_equal(find(set, "bob@notexample.com", NULL), POLICY_DEFAULT_GROUP);
    assert_int_equal(find(set, "bob@example.org", "Legal"), POLICY_DEFAULT_GROUP);
    assert_int_equal(find(set, "", NULL), POLICY_DEFAULT_GROUP);
    policy_set_free(set);
}

static void the_directory_is_needed_where_a_group_of_it_is_named(void **state)
{
    static const char *const needing[] = {
        members, "{\"filters\":[{\"id\":\"f\",\"name\":\"f\",\"conditions\":[{\"field\":\"sender\","
                 "\"op\":\"group\",\"values\":[\"Sales\"]}],\"actions\":[],\"then\":\"stop\"}]}"};
    (void)state;
    for (size_t i = 0; i <= 2; i++) {
        struct policy_set *set = parse(i < 2 ? needing[i] : "{}");
        struct policy_groups *groups = policy_groups_new(set);
        assert_int_equal(policy_groups_need_directory(groups), i < 2);
        policy_groups_free(groups);
        policy_set_free(set);
    }
}

static void a_group_without_an_own_policy_has_the_general_one(void **state)
{
    struct scanner_config config = {.policy = parse(members)};
    (void)state;
    config.malware[CONFIG_VERDICT_VIRUS].action = CONFIG_ACTION_DELETE;
    config.malware[CONFIG_VERDICT_WORM].action = CONFIG_ACTION_REJECT;
    struct config_malware_policy own =
        policy_malware(&config, 2, POLICY_INBOUND, CONFIG_VERDICT_VIRUS);
    assert_int_equal(own.action, CONFIG_ACTION_DELIVER);
    assert_int_equal(own.hours, 6);
    assert_true(own.bypass_content);
    assert_int_equal(policy_malware(&config, 2, POLICY_OUTBOUND, CONFIG_VERDICT_VIRUS).action,
                     CONFIG_ACTION_DELETE);
    assert_int_equal(policy_malware(&config, 2, POLICY_INBOUND, CONFIG_VERDICT_WORM).action,
                     CONFIG_ACTION_REJECT);
    assert_int_equal(
        policy_malware(&config, POLICY_DEFAULT_GROUP, POLICY_INBOUND, CONFIG_VERDICT_VIRUS).action,
        CONFIG_ACTION_DELETE);
    policy_set_free(config.policy);
}

/* Nanoseconds a look-up in so many groups of ten members. */
static double measure(size_t count)
{
    char text[64];
    cleanup_json json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *people = json_array();
        snprintf(text, sizeof(text), "g%zu", i);
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:o}", "id", text, "name", text, "members", people));
        for (size_t j = 0; j < 10; j++) {
            snprintf(text, sizeof(text), "user%zu@g%zu.example", j, i);
            json_array_append_new(people, json_string(text));
        }
    }
    cleanup_json json_t *policies = json_pack("{s:O}", "groups", list);
    struct policy_set *set = policy_set_parse(policies, NULL, NULL);
    struct policy_groups *groups = policy_groups_new(set);
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(policy_groups_find(groups, "user9@g0.example", NULL, 0), 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    policy_groups_free(groups);
    policy_set_free(set);
    return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
           100000;
}

static void a_look_up_costs_the_same_among_many_groups(void **state)
{
    (void)state;
    double few = measure(1), many = measure(1000);
    print_message("%.0f ns among 1 group, %.0f ns among 1000\n", few, many);
    assert_true(many < few * 10 + 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_group_with_a_fitting_member_counts),
        cmocka_unit_test(the_directory_is_needed_where_a_group_of_it_is_named),
        cmocka_unit_test(a_group_without_an_own_policy_has_the_general_one),
        cmocka_unit_test(a_look_up_costs_the_same_among_many_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

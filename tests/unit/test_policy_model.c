/* The policies of the configuration document: what they become, and where they are refused. */
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/json.h"
#include "common/policy_model.h"
#include "common/policy_premium.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quoted_json.h"

#include <stdio.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct policy_set *parse(const char *text, struct error *error)
{
    struct json_place place = {.name = "policies"};
    cleanup_json json_t *policies = read_quoted(text);
    return policy_set_parse(policies, &place, error);
}

static struct policy_set *parse_good(const char *text)
{
    struct error error = {0};
    struct policy_set *set = parse(text, &error);
    if (!set)
        fail_msg("%s: %s", error.where, error.message);
    return set;
}

#define PARTS                                                                                      \
    "'groups':[{'id':'g','name':'Staff','members':['Ann@Example.COM','@example.net',"              \
    "'@.Example.org','group:Sales'],'malware':{'outbound':{'virus':{'action':'reject',"            \
    "'bypass_content':true}}}}],"                                                                  \
    "'lists':[{'id':'l','name':'Plans','names':['Plan*.DWG'],'extensions':['DWG'],"                \
    "'types':['flag:macros']}],"                                                                   \
    "'dictionaries':[{'id':'d','name':'Words','words':[{'text':'Orion','weight':3},"               \
    "{'text':'vega'}],'whole_words':false}],"                                                      \
    "'patterns':[{'id':'p','name':'Part numbers','expression':'X-[0-9]+','check':'luhn'}],"        \
    "'annotations':[{'id':'a','name':'Footer','text':'Bye','place':'top'}],"                       \
    "'folders':[{'id':'f','name':'Legal','quarantine':true}],"                                     \
    "'templates':[{'id':'t','name':'Held'}]"

static void each_part_becomes_what_it_says(void **state)
{
    (void)state;
    struct policy_set *set = parse_good("{" PARTS "}");
    const struct policy_group *group = &set->groups[0];
    assert_int_equal(group->members.count, 4);
    assert_string_equal(group->members.items[0], "ann@example.com");
    assert_string_equal(group->members.items[2], "@.example.org");
    assert_string_equal(group->members.items[3], "group:Sales");
    const struct policy_group_malware *malware = &group->malware[POLICY_OUTBOUND];
    assert_true(malware->set[CONFIG_VERDICT_VIRUS]);
    assert_int_equal(malware->action[CONFIG_VERDICT_VIRUS], CONFIG_ACTION_REJECT);
    assert_int_equal(malware->hours[CONFIG_VERDICT_VIRUS], 6);
    assert_true(malware->bypass_content[CONFIG_VERDICT_VIRUS]);
    assert_false(malware->set[CONFIG_VERDICT_WORM]);
    assert_false(group->malware[POLICY_INBOUND].set[CONFIG_VERDICT_VIRUS]);
    assert_string_equal(set->lists[0].names.items[0], "plan*.dwg");
    assert_string_equal(set->lists[0].extensions.items[0], "dwg");
    assert_string_equal(set->lists[0].types.items[0], "flag:macros");
    assert_int_equal(set->dictionaries[0].words[0].weight, 3);
    assert_int_equal(set->dictionaries[0].words[1].weight, 1);
    assert_false(set->dictionaries[0].whole_words);
    assert_int_equal(set->patterns[0].check, POLICY_CHECK_LUHN);
    assert_true(set->annotations[0].top);
    assert_null(set->annotations[0].html);
    assert_true(set->folders[0].quarantine);
    assert_string_equal(set->templates[0].name, "Held");
    policy_set_free(set);
}

static void a_filter_becomes_what_it_says(void **state)
{
    (void)state;
    struct policy_set *set = parse_good(
        "{" PARTS ",'filters':[{'id':'one','name':'One','directions':['outbound'],"
        "'groups':['g','default'],'match':'any','conditions':["
        "{'field':'body','op':'contains','values':['Alpha'],'at_least':2,'tags':true,'not':true},"
        "{'field':'to','op':'address','values':['@B\xc3\xbc"
        "cher.example']},"
        "{'field':'attachment','op':'in_list','id':'premium.executables','every':true},"
        "{'field':'message_size','op':'above','number':1048576},"
        "{'field':'header','name':'Reply-To','op':'exists'},"
        "{'field':'verdict','values':['clean','virus']}],"
        "'actions':[{'action':'incident','folder':'f'},"
        "{'action':'strip','which':'list','id':'l','note':'gone'},"
        "{'action':'notify','template':'t','to':['sender','ann@example.com']},"
        "{'action':'route','host':'[192.0.2.1]:2525'}],'then':'stop'}]}");
    const struct policy_filter *filter = &set->filters[0];
    assert_true(filter->enabled && filter->any);
    assert_false(filter->directions[POLICY_INBOUND]);
    assert_true(filter->directions[POLICY_OUTBOUND]);
    assert_int_equal(filter->then, POLICY_STOP);
    assert_int_equal(filter->condition_count, 6);
    const struct policy_condition *conditions = filter->conditions;
    assert_string_equal(conditions[0].values.items[0], "Alpha");
    assert_true(conditions[0].negated && conditions[0].tags);
    assert_int_equal(conditions[0].number, 2);
    assert_string_equal(conditions[1].values.items[0], "@xn--bcher-kva.example");
    assert_string_equal(conditions[2].id, "premium.executables");
    assert_true(conditions[2].every);
    assert_int_equal(conditions[3].number, 1048576);
    assert_string_equal(conditions[4].header, "Reply-To");
    assert_int_equal(conditions[5].operation, POLICY_IS);
    assert_string_equal(filter->actions[0].id, "f");
    assert_string_equal(filter->actions[1].value, "gone");
    assert_int_equal(filter->actions[2].to.count, 2);
    assert_string_equal(filter->actions[3].address, "[192.0.2.1]:2525");
    policy_set_free(set);
}

static void no_policies_are_an_empty_set(void **state)
{
    (void)state;
    struct error error;
    struct policy_set *set = policy_set_parse(NULL, NULL, &error);
    assert_non_null(set);
    assert_int_equal(set->filter_count, 0);
    policy_set_free(set);
}

struct refusal {
    const char *text, *where;
};

static void refuse(const char *text, const char *where)
{
    struct error error = {0};
    struct policy_set *set = parse(text, &error);
    if (set)
        fail_msg("taken: %s", text);
    if (error.code != ERROR_INVALID || strcmp(error.where, where) != 0)
        fail_msg("%s: refused at %s: %s", text, error.where, error.message);
}

static void what_is_wrong_in_a_part_is_named_with_its_place(void **state)
{
    static const struct refusal cases[] = {
        {"{'filter':[]}", "policies.filter"},
        {"{'groups':{}}", "policies.groups"},
        {"{'groups':[{'name':'x'}]}", "policies.groups[0].id"},
        {"{'groups':[{'id':'a b','name':'x'}]}", "policies.groups[0].id"},
        {"{'groups':[{'id':'default','name':'x'}]}", "policies.groups[0].id"},
        {"{'groups':[{'id':'premium.x','name':'x'}]}", "policies.groups[0].id"},
        {"{'groups':[{'id':'a','name':''}]}", "policies.groups[0].name"},
        {"{'groups':[{'id':'a','name':'x\\n'}]}", "policies.groups[0].name"},
        {"{'groups':[{'id':'a','name':'x'},{'id':'a','name':'y'}]}", "policies.groups[1].id"},
        {"{'groups':[{'id':'a','name':'x','members':['ann']}]}", "policies.groups[0].members[0]"},
        {"{'groups':[{'id':'a','name':'x','members':['a@b',7]}]}", "policies.groups[0].members[1]"},
        {"{'groups':[{'id':'a','name':'x','members':['group:']}]}",
         "policies.groups[0].members[0]"},
        {"{'groups':[{'id':'a','name':'x','members':['@.']}]}", "policies.groups[0].members[0]"},
        {"{'groups':[{'id':'a','name':'x','malware':{'both':{}}}]}",
         "policies.groups[0].malware.both"},
        {"{'groups':[{'id':'a','name':'x','malware':{'inbound':{'flu':{}}}}]}",
         "policies.groups[0].malware.inbound.flu"},
        {"{'groups':[{'id':'a','name':'x','malware':{'inbound':{'virus':{'hours':0}}}}]}",
         "policies.groups[0].malware.inbound.virus.hours"},
        {"{'groups':[{'id':'a','name':'x','spam':{}}]}", "policies.groups[0].spam"},
        {"{'lists':[{'id':'a','name':'x','extensions':['.exe']}]}",
         "policies.lists[0].extensions[0]"},
        {"{'lists':[{'id':'a','name':'x','names':['']}]}", "policies.lists[0].names[0]"},
        {"{'lists':[{'id':'a','name':'x','types':['flag:big']}]}", "policies.lists[0].types[0]"},
        {"{'lists':[{'id':'a','name':'x','lists':['a']}]}", "policies.lists[0].lists"},
        {"{'dictionaries':[{'id':'a','name':'x'}]}", "policies.dictionaries[0].words"},
        {"{'dictionaries':[{'id':'a','name':'x','words':[{'text':''}]}]}",
         "policies.dictionaries[0].words[0].text"},
        {"{'dictionaries':[{'id':'a','name':'x','words':[{'text':'a'},{'text':'b','weight':0}]}]}",
         "policies.dictionaries[0].words[1].weight"},
        {"{'patterns':[{'id':'a','name':'x','expression':'(a'}]}",
         "policies.patterns[0].expression"},
        {"{'patterns':[{'id':'a','name':'x','expression':'(a+)+b'}]}",
         "policies.patterns[0].expression"},
        {"{'patterns':[{'id':'a','name':'x','expression':'a','check':'luck'}]}",
         "policies.patterns[0].check"},
        {"{'annotations':[{'id':'a','name':'x','text':''}]}", "policies.annotations[0].text"},
        {"{'annotations':[{'id':'a','name':'x','text':'x','place':'left'}]}",
         "policies.annotations[0].place"},
        {"{'folders':[{'id':'a','name':'x'}]}", "policies.folders[0].quarantine"},
        {"{'folders':[{'id':'a','name':'x','quarantine':true,'days':1}]}",
         "policies.folders[0].days"},
        {"{'templates':[{'id':'a','name':'x','subject':'y'}]}", "policies.templates[0].subject"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        refuse(cases[i].text, cases[i].where);
}

static void what_is_wrong_in_a_condition_is_named_with_its_place(void **state)
{
    static const struct refusal cases[] = {
        {"{}", ".field"},
        {"{'field':'colour'}", ".field"},
        {"{'field':'subject'}", ".op"},
        {"{'field':'subject','op':'exists'}", ".op"},
        {"{'field':'from','op':'group','values':['a']}", ".op"},
        {"{'field':'subject','op':'contains'}", ".values"},
        {"{'field':'subject','op':'contains','values':[]}", ".values"},
        {"{'field':'subject','op':'contains','values':['a','']}", ".values[1]"},
        {"{'field':'subject','op':'matches','values':['a','b','[']}", ".values[2]"},
        {"{'field':'subject','op':'matches','values':['(x|x)*y']}", ".values[0]"},
        {"{'field':'subject','op':'contains','values':['a'],'tags':true}", ".tags"},
        {"{'field':'subject','op':'contains','values':['a'],'name':'To'}", ".name"},
        {"{'field':'subject','op':'contains','values':['a'],'at_least':0}", ".at_least"},
        {"{'field':'subject','op':'contains','values':['a'],'not':1}", ".not"},
        {"{'field':'subject','op':'dictionary','id':'nothing'}", ".id"},
        {"{'field':'subject','op':'dictionary','id':'d','values':['a']}", ".values"},
        {"{'field':'subject','op':'pattern','id':'d'}", ".id"},
        {"{'field':'header','op':'exists'}", ".name"},
        {"{'field':'header','op':'exists','name':'Reply To'}", ".name"},
        {"{'field':'header','op':'exists','name':'Reply:'}", ".name"},
        {"{'field':'sender','op':'address','values':['group:x']}", ".values[0]"},
        {"{'field':'attachment','op':'in_list','id':'p'}", ".id"},
        {"{'field':'attachment','op':'contains','values':['a']}", ".op"},
        {"{'field':'attachment','op':'type','values':['flag:macros']}", ".values[0]"},
        {"{'field':'attachment','op':'extension','values':['*.exe']}", ".values[0]"},
        {"{'field':'message_size','op':'above'}", ".number"},
        {"{'field':'message_size','op':'above','number':-1}", ".number"},
        {"{'field':'message_size','op':'above','number':1,'values':['1']}", ".values"},
        {"{'field':'language','values':['eng']}", ".values[0]"},
        {"{'field':'language','op':'contains','values':['en']}", ".op"},
        {"{'field':'verdict','values':['ill']}", ".values[0]"},
        {"{'field':'direction','values':['inbound','up']}", ".values[1]"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[2048], where[128];
        snprintf(text, sizeof(text),
                 "{" PARTS ",'filters':[{'id':'a','name':'x','conditions':[%s],"
                 "'actions':[{'action':'deliver'}]}]}",
                 cases[i].text);
        snprintf(where, sizeof(where), "policies.filters[0].conditions[0]%s", cases[i].where);
        refuse(text, where);
    }
}

static void what_is_wrong_in_an_action_is_named_with_its_place(void **state)
{
    static const struct refusal cases[] = {
        {"{}", ".action"},
        {"{'action':'explode'}", ".action"},
        {"{'action':'delete','text':'x'}", ".text"},
        {"{'action':'reject','text':'a\\r\\nb'}", ".text"},
        {"{'action':'reject','text':'\xe3\x81\x82'}", ".text"},
        {"{'action':'bounce','text':'a\\nb'}", ".text"},
        {"{'action':'incident'}", ".folder"},
        {"{'action':'incident','folder':'x'}", ".folder"},
        {"{'action':'add_header','name':'A','value':'a\\r\\nB: c'}", ".value"},
        {"{'action':'add_header','name':'A b','value':'a'}", ".name"},
        {"{'action':'add_header','name':'A'}", ".value"},
        {"{'action':'remove_header','name':'A','value':'b'}", ".value"},
        {"{'action':'subject','text':'a\\nb','place':'begin'}", ".text"},
        {"{'action':'subject','text':'a','place':'middle'}", ".place"},
        {"{'action':'subject','text':'a'}", ".place"},
        {"{'action':'annotate','id':'x'}", ".id"},
        {"{'action':'strip','which':'some'}", ".which"},
        {"{'action':'strip','which':'list'}", ".id"},
        {"{'action':'strip','which':'all','id':'l'}", ".id"},
        {"{'action':'add_recipient','address':'@example.com'}", ".address"},
        {"{'action':'bcc','address':'a@b\\r\\nDATA'}", ".address"},
        {"{'action':'route','host':'two words'}", ".host"},
        {"{'action':'route','host':'mx:192.0.2.1'}", ".host"},
        {"{'action':'route','host':'a.example:0'}", ".host"},
        {"{'action':'require_tls','host':'a'}", ".host"},
        {"{'action':'notify','template':'x','to':['sender']}", ".template"},
        {"{'action':'notify','template':'t','to':[]}", ".to"},
        {"{'action':'notify','template':'t','to':['sender','everybody']}", ".to[1]"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[2048], where[128];
        snprintf(text, sizeof(text),
                 "{" PARTS ",'filters':[{'id':'a','name':'x','conditions':[],"
                 "'actions':[{'action':'deliver'},%s]}]}",
                 cases[i].text);
        snprintf(where, sizeof(where), "policies.filters[0].actions[1]%s", cases[i].where);
        refuse(text, where);
    }
}

static void what_is_wrong_in_a_filter_is_named_with_its_place(void **state)
{
    static const struct refusal cases[] = {
        {"'conditions':[]", ".actions"},
        {"'conditions':[],'actions':[]", ".actions"},
        {"'conditions':[],'match':'any','actions':[{'action':'deliver'}]", ".conditions"},
        {"'actions':[{'action':'deliver'}]", ".conditions"},
        {"'conditions':[],'actions':[],'then':'leave'", ".then"},
        {"'conditions':[],'actions':[],'directions':[]", ".directions"},
        {"'conditions':[],'actions':[],'directions':['in']", ".directions[0]"},
        {"'conditions':[],'actions':[],'groups':['g','h']", ".groups[1]"},
        {"'conditions':[],'actions':[],'enabled':'yes'", ".enabled"},
        {"'conditions':[],'actions':[],'priority':1", ".priority"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[2048], where[128];
        snprintf(text, sizeof(text), "{" PARTS ",'filters':[{'id':'a','name':'x',%s}]}",
                 cases[i].text);
        snprintf(where, sizeof(where), "policies.filters[0]%s", cases[i].where);
        refuse(text, where);
    }
}

static void more_words_than_a_million_are_refused(void **state)
{
    (void)state;
    struct json_place place = {.name = "policies"};
    struct error error = {0};
    cleanup_json json_t *words = json_array();
    for (size_t i = 0; i < 500001; i++)
        json_array_append_new(words, json_pack("{s:s}", "text", "w"));
    cleanup_json json_t *policies =
        json_pack("{s:[{s:s,s:s,s:O},{s:s,s:s,s:O}]}", "dictionaries", "id", "a", "name", "a",
                  "words", words, "id", "b", "name", "b", "words", words);
    assert_null(policy_set_parse(policies, &place, &error));
    assert_string_equal(error.where, "policies.dictionaries[1].words");
}

static void a_mistake_in_an_expression_has_its_character(void **state)
{
    (void)state;
    struct error error = {0};
    assert_false(policy_expression_check("\xe3\x81\x82[b", &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.message, "character 4"));
    assert_false(policy_expression_check("", &error));
    assert_false(policy_expression_check("\\C", &error));
}

static void expressions_that_explode_are_refused(void **state)
{
    static const char *const bad[] = {
        "(a+)+$",
        "(a|aa)+$",
        "(.*)*x",
        "([a-z]+)*1",
        "(x+x+)+y",
        "(foo|foo)+bar",
        "(\\w+\\s?)+:",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(?:\\d+)*-x",
        "(.*)(.*)(.*)(.*)(.*)z",
        "(?i)(?:[^a]+|b){2,}c",
        "((a+)b?)*c",
        "(?<n>a*)+b",
        "(a+){20}b",
        "(\\x{61}+)+b",
        "[]a]*([]a]+)*b",
        "\\(?(a+)+\\)b",
        "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaaaaaaaaaaaaaz{90}"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct error error = {0};
        if (policy_expression_check(bad[i], &error))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(error.code, ERROR_LIMIT);
    }
}

static void usual_expressions_are_taken(void **state)
{
    static const char *const good[] = {"invoice",
                                       "^(Re|Fwd?|Aw): ",
                                       "\\b[A-Z]{2}\\d{6}[A-D]?\\b",
                                       "(?i)pass(word|phrase)\\s*[:=]",
                                       ".*foo.*bar.*",
                                       "https?://[^\\s/]+/[^\\s]*\\.exe",
                                       "[\\p{Han}\\p{Hiragana}]+",
                                       "(\\d{3}-){2}\\d{4}",
                                       "^$"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct error error = {0};
        if (!policy_expression_check(good[i], &error))
            fail_msg("%s: %s", good[i], error.message);
    }
}

/* They are looked for by what the configuration takes: each must pass as a custom one would. */
static void premium_ones_keep_the_rules_of_custom_ones(void **state)
{
    size_t count;
    struct error error;
    static const struct policy_set none;
    (void)state;
    const struct policy_pattern *patterns = policy_premium_patterns(&count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        if (!policy_expression_check(patterns[i].expression, &error))
            fail_msg("%s: %s", patterns[i].id, error.message);
        assert_ptr_equal(policy_find_pattern(&none, patterns[i].id), &patterns[i]);
    }
    const struct policy_list *lists = policy_premium_lists(&count);
    assert_int_equal(count, 9);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(policy_find_list(&none, lists[i].id), &lists[i]);
        for (size_t j = 0; j < lists[i].extensions.count; j++)
            assert_null(strpbrk(lists[i].extensions.items[j], ".*? ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    }
    const struct policy_dictionary *dictionaries = policy_premium_dictionaries(&count);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(policy_find_dictionary(&none, dictionaries[i].id), &dictionaries[i]);
    assert_null(policy_find_list(&none, "premium.nothing"));
}

static void names_lead_back_to_what_they_name(void **state)
{
    (void)state;
    for (int i = 0; i < POLICY_FIELDS; i++) {
        size_t taken = 0;
        for (int j = 0; j < POLICY_OPERATIONS; j++)
            taken += policy_field_takes((enum policy_field)i, (enum policy_operation)j);
        assert_non_null(policy_field_name((enum policy_field)i));
        assert_true(taken > 0);
    }
    for (int i = 0; i < POLICY_OPERATIONS; i++)
        assert_non_null(policy_operation_name((enum policy_operation)i));
    for (int i = 0; i < POLICY_ACTIONS; i++)
        assert_non_null(policy_action_kind_name((enum policy_action_kind)i));
    assert_string_equal(policy_check_name(POLICY_CHECK_EMAIL), "email");
    assert_string_equal(policy_operation_name(POLICY_IN_DICTIONARY), "dictionary");
    assert_true(policy_field_takes(POLICY_SENDER, POLICY_IN_GROUP));
    assert_false(policy_field_takes(POLICY_FROM, POLICY_IN_GROUP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_becomes_what_it_says),
        cmocka_unit_test(a_filter_becomes_what_it_says),
        cmocka_unit_test(no_policies_are_an_empty_set),
        cmocka_unit_test(what_is_wrong_in_a_part_is_named_with_its_place),
        cmocka_unit_test(what_is_wrong_in_a_condition_is_named_with_its_place),
        cmocka_unit_test(what_is_wrong_in_an_action_is_named_with_its_place),
        cmocka_unit_test(what_is_wrong_in_a_filter_is_named_with_its_place),
        cmocka_unit_test(more_words_than_a_million_are_refused),
        cmocka_unit_test(a_mistake_in_an_expression_has_its_character),
        cmocka_unit_test(expressions_that_explode_are_refused),
        cmocka_unit_test(usual_expressions_are_taken),
        cmocka_unit_test(premium_ones_keep_the_rules_of_custom_ones),
        cmocka_unit_test(names_lead_back_to_what_they_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

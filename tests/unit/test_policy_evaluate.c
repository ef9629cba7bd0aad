/* The content filters: what each condition asks, and what comes of the filters together. */
#include "common/buffer.h"
#include "common/config_model.h"
#include "common/json.h"
#include "scanner/policy/evaluate.h"
#include "scanner/policy/groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define NO_LIMIT INT64_MAX

/* What the filters refer to. Apostrophes stand for quotation marks. */
static const char resources[] =
    "'groups':[{'id':'sales','name':'Sales','members':['@sales.example.com']},"
    " {'id':'board','name':'Board','members':['group:board']}],"
    "'lists':[{'id':'office','name':'Office','names':['*secret*'],'extensions':['docx','tar.gz'],"
    "  'media_types':['application/vnd.*'],'types':['application/pdf','flag:macros']}],"
    "'dictionaries':[{'id':'words','name':'Words','words':[{'text':'merger','weight':3},"
    "   {'text':'take over'},{'text':'take'},{'text':'機密','weight':5}]},"
    "  {'id':'parts','name':'Parts','whole_words':false,'words':[{'text':'erg'}]},"
    "  {'id':'exact','name':'Exact','match_case':true,'words':[{'text':'Merger'}]}],"
    "'patterns':[{'id':'number','name':'Number','expression':'[0-9]{4}'},"
    "  {'id':'card','name':'Card','expression':'\\\\b[0-9](?:[ -]?[0-9]){12,18}\\\\b',"
    "   'check':'luhn'}],"
    "'folders':[{'id':'hold','name':'Hold','quarantine':true},"
    "  {'id':'note','name':'Note','quarantine':false}],"
    "'templates':[{'id':'told','name':'Told'}]";

/* The set with these filters ("{...},{...}"); fails the test where it is wrong. */
static struct policy_set *parse(const char *filters)
{
    char *text = NULL;
    struct error error = {0};
    assert_true(asprintf(&text, "{%s,'filters':[%s]}", resources, filters) > 0);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_parse(text, strlen(text), "test", &error);
    if (!json)
        fail_msg("%s in %s", error.message, text);
    struct policy_set *set = policy_set_parse(json, NULL, &error);
    if (!set)
        fail_msg("%s: %s in %s", error.where, error.message, filters);
    json_decref(json);
    free(text);
    return set;
}

struct scene {
    struct policy_set *set;
    struct policy_program *program;
    struct policy_result *result;
};

static struct scene evaluate_until(const char *filters, const struct policy_message *message,
                                   int64_t stop_us, bool trace)
{
    struct error error = {0};
    struct scene scene = {.set = parse(filters)};
    scene.program = policy_compile(scene.set, &error);
    if (!scene.program)
        fail_msg("%s: %s", error.where, error.message);
    scene.result = policy_evaluate(scene.program, message, stop_us, trace);
    assert_non_null(scene.result);
    return scene;
}

static struct scene evaluate(const char *filters, const struct policy_message *message)
{
    return evaluate_until(filters, message, NO_LIMIT, false);
}

static void end(struct scene *scene)
{
    policy_result_free(scene->result);
    policy_program_free(scene->program);
    policy_set_free(scene->set);
}

/* --- the message that most cases ask about --- */

static const char body_seen[] =
    "Dear Bob,\nthe merger and the MERGER take over 1234, then 5678.\n機密事項 Straße STRASSE";
static const char body_tags[] = "<p>Dear <b>Bob</b></p><script>evil()</script>";
static const char sheet_text[] = "attached merger plan 4111 1111 1111 1111 and 4111 1111 1111 1112";

static const struct policy_header headers[] = {
    {"Subject", "Quarterly Invoice, invoice 4711"},
    {"From", "\"Doe, Alice\" <Alice@Example.NET> (work)"},
    {"To", "Team: bob@example.com, <carol@Sales.Example.COM>;"},
    {"Cc", "dave@example.org"},
    {"X-Tag", "one"},
    {"x-tag", "two"},
};

static const struct policy_node nodes[] = {
    {.path = "body",
     .type = "text/html",
     .declared_type = "text/html",
     .size = 200,
     .flags = POLICY_NODE_BODY,
     .visible = body_seen,
     .visible_length = sizeof body_seen - 1,
     .with_tags = body_tags,
     .with_tags_length = sizeof body_tags - 1},
    {.path = "plan.ZIP",
     .name = "plan.ZIP",
     .type = "application/zip",
     .declared_type = "Application/Zip; name=plan.zip",
     .size = 5000,
     .flags = POLICY_NODE_ATTACHMENT},
    {.path = "plan.ZIP/dir/run.pdf.exe",
     .name = "dir/run.pdf.exe",
     .type = "application/x-dosexec",
     .size = 90000,
     .flags = POLICY_NODE_MEMBER | POLICY_NODE_ENCRYPTED},
    {.path = "plan.xlsm",
     .name = "plan.xlsm",
     .type = "application/x-ole",
     .declared_type = "application/octet-stream",
     .size = 7000,
     .flags = POLICY_NODE_ATTACHMENT | POLICY_NODE_MACROS,
     .visible = sheet_text,
     .visible_length = sizeof sheet_text - 1},
};

static const char *const sender_groups[] = {"Partners"};
static const char *const board_groups[] = {"staff", "board"};

static const struct policy_person recipients[] = {
    {.address = "bob@example.com", .group = POLICY_DEFAULT_GROUP},
    {.address = "carol@sales.example.com", .group = 0},
    {.address = "dave@example.org",
     .group = 1,
     .directory_groups = board_groups,
     .directory_group_count = 2},
};

static struct policy_message usual_message(void)
{
    return (struct policy_message){.direction = POLICY_INBOUND,
                                   .sender = {.address = "alice@example.net",
                                              .directory_groups = sender_groups,
                                              .directory_group_count = 1,
                                              .group = POLICY_DEFAULT_GROUP},
                                   .recipients = recipients,
                                   .recipient_count = COUNT_OF(recipients),
                                   .size = 100000,
                                   .headers = headers,
                                   .header_count = COUNT_OF(headers),
                                   .nodes = nodes,
                                   .node_count = COUNT_OF(nodes),
                                   .language = "en",
                                   .verdicts = 1u << CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT};
}

/* For whom the filter with that condition is met: letters of the recipients, "-" for nobody. */
struct condition_case {
    const char *condition, *met;
};

static void check_cases(const struct condition_case *cases, size_t count)
{
    struct policy_message message = usual_message();
    for (size_t i = 0; i < count; i++) {
        char filter[1024], met[8] = "";
        snprintf(filter, sizeof filter,
                 "{'id':'f','name':'F','conditions':[%s],'actions':[{'action':'delete'}]}",
                 cases[i].condition);
        struct scene scene = evaluate(filter, &message);
        for (size_t r = 0; r < message.recipient_count; r++)
            for (size_t o = 0; o < scene.result->outcome_count; o++) {
                const struct policy_outcome *outcome = &scene.result->outcomes[o];
                for (size_t n = 0; n < outcome->recipient_count; n++)
                    if (outcome->recipients[n] == r && outcome->filter_count > 0)
                        strncat(met, recipients[r].address, 1);
            }
        if (strcmp(met[0] ? met : "-", cases[i].met) != 0)
            fail_msg("%s: met for %s, not for %s", cases[i].condition, met[0] ? met : "nobody",
                     cases[i].met);
        end(&scene);
    }
}

static void texts_are_looked_for_in_the_field_they_name(void **state)
{
    static const struct condition_case cases[] = {
        {"{'field':'subject','op':'contains','values':['nothing','INVOICE']}", "bcd"},
        {"{'field':'subject','op':'contains','values':['merger']}", "-"},
        {"{'field':'body','op':'contains','values':['merger']}", "bcd"},
        {"{'field':'body','op':'contains','values':['plan']}", "-"},
        {"{'field':'body','op':'contains','values':['<script>']}", "-"},
        {"{'field':'body','op':'contains','values':['<SCRIPT>'],'tags':true}", "bcd"},
        {"{'field':'body','op':'contains','values':['1234'],'tags':true}", "-"},
        {"{'field':'attachment_text','op':'contains','values':['plan']}", "bcd"},
        {"{'field':'attachment_text','op':'contains','values':['dear']}", "-"},
        {"{'field':'any_text','op':'contains','values':['quarterly']}", "bcd"},
        {"{'field':'any_text','op':'contains','values':['dear']}", "bcd"},
        {"{'field':'any_text','op':'contains','values':['attached']}", "bcd"},
        {"{'field':'any_text','op':'contains','values':['evil()']}", "-"},
        {"{'field':'any_text','op':'contains','values':['evil()'],'tags':true}", "bcd"},
        {"{'field':'any_text','op':'contains','values':['attached'],'tags':true}", "bcd"},
        {"{'field':'header','name':'X-Tag','op':'contains','values':['tw']}", "bcd"},
        {"{'field':'header','name':'X-Tag','op':'contains','values':['dear']}", "-"},
        {"{'field':'header','name':'x-TAG','op':'exists'}", "bcd"},
        {"{'field':'header','name':'x-tag','op':'exists','at_least':3}", "-"},
        {"{'field':'header','name':'x-missing','op':'exists'}", "-"},
        {"{'field':'header','name':'x-missing','op':'exists','not':true}", "bcd"},
        {"{'field':'header','name':'subject','op':'begins','values':['quarter']}", "bcd"},
        {"{'field':'attachment_name','op':'contains','values':['dir/run']}", "bcd"},
        {"{'field':'attachment_name','op':'ends','values':['.exe']}", "bcd"},
        {"{'field':'attachment_name','op':'equals','values':['plan.zip']}", "bcd"},
        {"{'field':'attachment_name','op':'equals','values':['plan']}", "-"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void operations_count_case_and_occurrences(void **state)
{
    static const struct condition_case cases[] = {
        {"{'field':'subject','op':'contains','values':['invoice'],'match_case':true}", "bcd"},
        {"{'field':'subject','op':'contains','values':['INVOICE'],'match_case':true}", "-"},
        {"{'field':'subject','op':'contains','values':['invoice'],'at_least':2}", "bcd"},
        {"{'field':'subject','op':'contains','values':['invoice'],'at_least':3}", "-"},
        {"{'field':'subject','op':'contains','values':['invoice','Invoice'],'at_least':3}", "-"},
        {"{'field':'any_text','op':'contains','values':['merger'],'at_least':3}", "bcd"},
        {"{'field':'any_text','op':'contains','values':['merger'],'at_least':4}", "-"},
        {"{'field':'subject','op':'equals','values':['quarterly invoice, INVOICE 4711']}", "bcd"},
        {"{'field':'subject','op':'equals','values':['quarterly invoice']}", "-"},
        {"{'field':'subject','op':'begins','values':['invoice','QUART']}", "bcd"},
        {"{'field':'subject','op':'begins','values':['QUART'],'match_case':true}", "-"},
        {"{'field':'subject','op':'ends','values':['4711']}", "bcd"},
        {"{'field':'subject','op':'ends','values':['471']}", "-"},
        {"{'field':'subject','op':'matches','values':['^quarterly\\\\s+inv']}", "bcd"},
        {"{'field':'subject','op':'matches','values':['^quarterly'],'match_case':true}", "-"},
        {"{'field':'body','op':'matches','values':['^the merger']}", "bcd"},
        {"{'field':'body','op':'matches','values':['[0-9]{4}'],'at_least':2}", "bcd"},
        {"{'field':'body','op':'matches','values':['[0-9]{4}'],'at_least':3}", "-"},
        {"{'field':'body','op':'matches','values':['(?<=over )[0-9]+','\\\\bDear\\\\b'],"
         "'at_least':2}",
         "bcd"},
        {"{'field':'body','op':'matches','values':['(\\\\w)\\\\1RASSE']}", "-"},
        {"{'field':'body','op':'matches','values':['(e)\\\\w*\\\\1r']}", "bcd"},
        {"{'field':'body','op':'contains','values':['STRASSE'],'at_least':2}", "-"},
        {"{'field':'body','op':'contains','values':['straße'],'not':true}", "-"},
        {"{'field':'subject','op':'contains','values':['merger'],'not':true}", "bcd"},
        {"{'field':'subject','op':'contains','values':['invoice'],'at_least':3,'not':true}", "bcd"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void dictionaries_weigh_whole_words(void **state)
{
    static const struct condition_case cases[] = {
        /* body: merger 3, merger 3, take over 1, 機密 5 */
        {"{'field':'body','op':'dictionary','id':'words','at_least':12}", "bcd"},
        {"{'field':'body','op':'dictionary','id':'words','at_least':13}", "-"},
        {"{'field':'any_text','op':'dictionary','id':'words','at_least':15}", "bcd"},
        {"{'field':'any_text','op':'dictionary','id':'words','at_least':16}", "-"},
        {"{'field':'subject','op':'dictionary','id':'words'}", "-"},
        {"{'field':'subject','op':'dictionary','id':'words','not':true}", "bcd"},
        {"{'field':'body','op':'dictionary','id':'parts','at_least':2}", "bcd"},
        {"{'field':'body','op':'dictionary','id':'parts','at_least':3}", "-"},
        {"{'field':'body','op':'dictionary','id':'exact'}", "-"},
        {"{'field':'subject','op':'dictionary','id':'premium.confidential_en'}", "-"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void patterns_are_checked(void **state)
{
    static const struct condition_case cases[] = {
        {"{'field':'body','op':'pattern','id':'number','at_least':2}", "bcd"},
        {"{'field':'body','op':'pattern','id':'number','at_least':3}", "-"},
        {"{'field':'attachment_text','op':'pattern','id':'card'}", "bcd"},
        {"{'field':'attachment_text','op':'pattern','id':'card','at_least':2}", "-"},
        {"{'field':'attachment_text','op':'pattern','id':'premium.payment_card'}", "bcd"},
        {"{'field':'body','op':'pattern','id':'premium.payment_card'}", "-"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void addresses_fit_by_mailbox_domain_and_group(void **state)
{
    static const struct condition_case cases[] = {
        {"{'field':'sender','op':'address','values':['alice@example.net']}", "bcd"},
        {"{'field':'sender','op':'address','values':['x@example.net','@example.net']}", "bcd"},
        {"{'field':'sender','op':'address','values':['@example.com']}", "-"},
        {"{'field':'sender','op':'address','values':['@.example.net']}", "-"},
        {"{'field':'sender','op':'address','values':['@example.com'],'not':true}", "bcd"},
        {"{'field':'sender','op':'group','values':['partners']}", "bcd"},
        {"{'field':'sender','op':'group','values':['staff']}", "-"},
        {"{'field':'sender','op':'contains','values':['ALICE@']}", "bcd"},
        {"{'field':'recipient','op':'address','values':['@.example.com']}", "c"},
        {"{'field':'recipient','op':'address','values':['bob@example.com','@example.org']}", "bd"},
        {"{'field':'recipient','op':'address','values':['@example.com'],'not':true}", "cd"},
        {"{'field':'recipient','op':'group','values':['board']}", "d"},
        {"{'field':'recipient','op':'ends','values':['.COM']}", "bc"},
        {"{'field':'recipient','op':'matches','values':['^[bc]']}", "bc"},
        {"{'field':'from','op':'address','values':['@example.net']}", "bcd"},
        {"{'field':'from','op':'equals','values':['alice@example.net']}", "bcd"},
        {"{'field':'from','op':'contains','values':['doe']}", "-"},
        {"{'field':'to','op':'address','values':['@sales.example.com']}", "bcd"},
        {"{'field':'to','op':'address','values':['@example.org']}", "bcd"},
        {"{'field':'to','op':'address','values':['@.com','@.org'],'at_least':3}", "bcd"},
        {"{'field':'to','op':'address','values':['@.com','@.org'],'at_least':4}", "-"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void attachments_fit_by_list_type_and_extension(void **state)
{
    static const struct condition_case cases[] = {
        {"{'field':'attachment','op':'extension','values':['exe']}", "bcd"},
        {"{'field':'attachment','op':'extension','values':['pdf']}", "-"},
        {"{'field':'attachment','op':'extension','values':['pdf.exe']}", "bcd"},
        {"{'field':'attachment','op':'extension','values':['zip','xlsm'],'every':true}", "bcd"},
        {"{'field':'attachment','op':'extension','values':['zip','exe'],'every':true}", "-"},
        {"{'field':'attachment','op':'type','values':['application/x-*exec']}", "bcd"},
        {"{'field':'attachment','op':'type','values':['application/z?p']}", "bcd"},
        {"{'field':'attachment','op':'type','values':['application/z?']}", "-"},
        {"{'field':'attachment','op':'media_type','values':['application/zip']}", "bcd"},
        {"{'field':'attachment','op':'media_type','values':['text/*']}", "-"},
        {"{'field':'attachment','op':'encrypted'}", "bcd"},
        {"{'field':'attachment','op':'encrypted','every':true}", "-"},
        {"{'field':'attachment','op':'in_list','id':'office'}", "bcd"},
        {"{'field':'attachment','op':'in_list','id':'office','every':true}", "-"},
        {"{'field':'attachment','op':'in_list','id':'office','every':true,'not':true}", "bcd"},
        {"{'field':'attachment','op':'in_list','id':'premium.executables'}", "bcd"},
        {"{'field':'attachment','op':'in_list','id':'premium.encrypted'}", "bcd"},
        {"{'field':'attachment','op':'in_list','id':'premium.office_macros'}", "bcd"},
        {"{'field':'attachment','op':'in_list','id':'premium.media'}", "-"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void numbers_and_codes_are_compared(void **state)
{
    static const struct condition_case cases[] = {
        {"{'field':'message_size','op':'above','number':99999}", "bcd"},
        {"{'field':'message_size','op':'above','number':100000}", "-"},
        {"{'field':'message_size','op':'below','number':100001}", "bcd"},
        {"{'field':'attachment_size','op':'above','number':6999}", "bcd"},
        {"{'field':'attachment_size','op':'above','number':7000}", "-"},
        {"{'field':'attachment_count','op':'above','number':1}", "bcd"},
        {"{'field':'attachment_count','op':'above','number':2}", "-"},
        {"{'field':'recipient_count','op':'below','number':4}", "bcd"},
        {"{'field':'recipient_count','op':'below','number':3}", "-"},
        {"{'field':'language','values':['de','en']}", "bcd"},
        {"{'field':'language','values':['ja']}", "-"},
        {"{'field':'verdict','values':['suspicious_attachment']}", "bcd"},
        {"{'field':'verdict','values':['clean','virus']}", "-"},
        {"{'field':'verdict','values':['clean'],'not':true}", "bcd"},
        {"{'field':'direction','values':['inbound']}", "bcd"},
        {"{'field':'direction','values':['outbound']}", "-"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

#define NEVER "{'field':'subject','op':'contains','values':['zzz']}"
#define ALWAYS "{'field':'subject','op':'contains','values':['invoice']}"
#define TO_BOB "{'field':'recipient','op':'address','values':['bob@example.com']}"

/* --- filters together --- */

/* "bc:0,1;d:2 reject by 1" in the order of the outcomes. */
static void check_outcomes(const char *filters, const struct policy_message *message,
                           const char *expected)
{
    static const char *const names[] = {"deliver", "delete", "reject", "bounce", "defer", "hold"};
    struct scene scene = evaluate(filters, message);
    struct buffer told = BUFFER_INIT;
    for (size_t o = 0; o < scene.result->outcome_count; o++) {
        const struct policy_outcome *outcome = &scene.result->outcomes[o];
        buffer_add_text(&told, o ? "; " : "");
        for (size_t i = 0; i < outcome->recipient_count; i++)
            buffer_add(&told, message->recipients[outcome->recipients[i]].address, 1);
        buffer_add_format(&told, " %s", names[outcome->disposition]);
        if (outcome->decided_by != SIZE_MAX)
            buffer_add_format(&told, " by %zu", outcome->decided_by);
        for (size_t i = 0; i < outcome->filter_count; i++)
            buffer_add_format(&told, "%s%zu", i ? "," : " of ", outcome->filters[i]);
        for (size_t i = 0; i < outcome->fired_count; i++)
            buffer_add_format(&told, " %zu.%zu", outcome->fired[i].filter,
                              outcome->fired[i].action);
    }
    assert_string_equal(buffer_text(&told), expected);
    buffer_free(&told);
    end(&scene);
}

#define FILTER(id, more) "{'id':'" id "','name':'" id "'," more "}"
#define ADD "{'action':'add_header','name':'X-A','value':'1'}"

static void all_or_any_of_the_conditions_are_needed(void **state)
{
    struct policy_message message = usual_message();
    (void)state;
    check_outcomes(FILTER("a", "'conditions':[" ALWAYS "," NEVER "],'actions':[" ADD "]"), &message,
                   "bcd deliver");
    check_outcomes(
        FILTER("a", "'match':'any','conditions':[" ALWAYS "," NEVER "],'actions':[" ADD "]"),
        &message, "bcd deliver of 0 0.0");
    check_outcomes(
        FILTER("a", "'match':'any','conditions':[" NEVER "," NEVER "],'actions':[" ADD "]"),
        &message, "bcd deliver");
    check_outcomes(
        FILTER("a", "'match':'any','conditions':[" NEVER "," TO_BOB "],'actions':[" ADD "]"),
        &message, "b deliver of 0 0.0; cd deliver");
    check_outcomes(FILTER("a", "'conditions':[" ALWAYS "," TO_BOB "],'actions':[" ADD "]"),
                   &message, "b deliver of 0 0.0; cd deliver");
    check_outcomes(FILTER("a", "'conditions':[],'actions':[" ADD "]"), &message,
                   "bcd deliver of 0 0.0");
}

static void a_filter_that_stops_hides_the_following_ones_from_its_recipients(void **state)
{
    struct policy_message message = usual_message();
    (void)state;
    check_outcomes(FILTER("a", "'conditions':[" TO_BOB "],'actions':[],'then':'stop'") "," FILTER(
                       "b", "'conditions':[" ALWAYS "],'actions':[" ADD "]"),
                   &message, "b deliver of 0; cd deliver of 1 1.0");
    check_outcomes(FILTER("a", "'conditions':[" NEVER "],'actions':[],'then':'stop'") "," FILTER(
                       "b", "'conditions':[" ALWAYS "],'actions':[" ADD "]"),
                   &message, "bcd deliver of 1 1.0");
}

static void groups_and_directions_limit_a_filter(void **state)
{
    struct policy_message message = usual_message();
    (void)state;
    static const char sales[] =
        FILTER("a", "'groups':['sales'],'conditions':[" ALWAYS "],'actions':[" ADD "]");
    static const char others[] =
        FILTER("a", "'groups':['board','default'],'conditions':[" ALWAYS "],'actions':[" ADD "]");
    static const char outbound[] =
        FILTER("a", "'directions':['outbound'],'conditions':[" ALWAYS "],'actions':[" ADD "]");
    static const char off[] =
        FILTER("a", "'enabled':false,'conditions':[" ALWAYS "],'actions':[" ADD "]");
    check_outcomes(sales, &message, "bd deliver; c deliver of 0 0.0");
    check_outcomes(others, &message, "bd deliver of 0 0.0; c deliver");
    check_outcomes(outbound, &message, "bcd deliver");
    check_outcomes(off, &message, "bcd deliver");
    message.direction = POLICY_OUTBOUND; /* the sender's group counts for all */
    check_outcomes(sales, &message, "bcd deliver");
    check_outcomes(others, &message, "bcd deliver of 0 0.0");
    check_outcomes(outbound, &message, "bcd deliver of 0 0.0");
}

#define DO(id, actions) FILTER(id, "'conditions':[" ALWAYS "],'actions':[" actions "]")
#define HOLD "{'action':'incident','folder':'hold'}"
#define NOTE "{'action':'incident','folder':'note'}"
#define TELL "{'action':'notify','template':'told','to':['sender']}"

static void the_strictest_disposition_counts(void **state)
{
    struct policy_message message = usual_message();
    (void)state;
    check_outcomes(DO("a", "{'action':'deliver'}") "," DO("b", HOLD) "," DO(
                       "c", "{'action':'defer'}") "," DO("d", "{'action':'bounce'}"),
                   &message, "bcd bounce by 3 of 0,1,2,3 3.0");
    check_outcomes(DO("a", HOLD "," TELL) "," DO("b", "{'action':'reject'}," ADD) "," DO(
                       "c", NOTE "," HOLD) "," DO("d", "{'action':'reject'}"),
                   &message, "bcd reject by 1 of 0,1,2,3 0.1 1.0 1.1 2.0");
    check_outcomes(DO("a", NOTE "," HOLD) "," DO("b", HOLD), &message,
                   "bcd hold by 0 of 0,1 0.0 0.1");
    check_outcomes(DO("a", NOTE), &message, "bcd deliver of 0 0.0");
    check_outcomes(DO("a", "{'action':'delete'}"), &message, "bcd delete by 0 of 0 0.0");
}

static void recipients_that_are_excluded_meet_no_filter(void **state)
{
    struct policy_message message = usual_message();
    struct policy_person people[3];
    (void)state;
    memcpy(people, recipients, sizeof people);
    people[1].excluded = true;
    message.recipients = people;
    check_outcomes(DO("a", ADD), &message, "bd deliver of 0 0.0; c deliver");
    people[0].excluded = people[2].excluded = true;
    check_outcomes(DO("a", ADD), &message, "bcd deliver");
    message.recipient_count = 0;
    check_outcomes(DO("a", ADD), &message, "");
}

/* --- finds, trace, limits --- */

static void finds_tell_where_a_condition_was_met(void **state)
{
    struct policy_message message = usual_message();
    struct scene scene = evaluate(
        FILTER("a", "'conditions':[{'field':'body','op':'contains','values':['merger']},"
                    "{'field':'attachment','op':'extension','values':['exe']},"
                    "{'field':'header','name':'X-Tag','op':'equals','values':['TWO']},"
                    "{'field':'subject','op':'contains','values':['zzz'],'not':true}],"
                    "'actions':[" ADD
                    "]") "," FILTER("b", "'conditions':[" ALWAYS "," NEVER "],'actions':[" ADD "]"),
        &message);
    const struct policy_find *finds = scene.result->finds;
    (void)state;
    assert_int_equal(scene.result->find_count, 4);
    assert_string_equal(finds[0].part, "body");
    assert_string_equal(finds[0].field, "body");
    assert_string_equal(finds[0].text, "merger");
    assert_int_equal(finds[0].offset, strstr(body_seen, "merger") - body_seen);
    assert_int_equal(finds[0].length, 6);
    assert_string_equal(finds[1].text, "MERGER");
    assert_string_equal(finds[2].part, "plan.ZIP/dir/run.pdf.exe");
    assert_string_equal(finds[2].field, "attachment");
    assert_int_equal(finds[2].condition, 1);
    assert_string_equal(finds[3].field, "header X-Tag");
    assert_string_equal(finds[3].text, "two");
    end(&scene);
}

static void folding_keeps_the_places_of_the_text(void **state)
{
    /* U+212A folds to k (3 bytes to 1), U+023A to U+2C65 (2 to 3). */
    static const char text[] = "\xe2\x84\xaa\xc8\xba KEY \xc3\x84pfel";
    static const struct policy_header subject[] = {{"Subject", text}};
    struct policy_message message = usual_message();
    (void)state;
    message.headers = subject;
    message.header_count = 1;
    struct scene scene = evaluate(
        FILTER("a", "'conditions':[{'field':'subject','op':'contains','values':['k\xe2\xb1\xa5',"
                    "'key','\xc3\xa4PF']}],'actions':[" ADD "]"),
        &message);
    const struct policy_find *finds = scene.result->finds;
    assert_int_equal(scene.result->find_count, 3);
    assert_string_equal(finds[0].text, "\xe2\x84\xaa\xc8\xba");
    assert_string_equal(finds[1].text, "KEY");
    assert_int_equal(finds[1].offset, 6);
    assert_string_equal(finds[2].text, "\xc3\x84pf");
    assert_int_equal(finds[2].offset, strstr(text, "\xc3\x84") - text);
    end(&scene);
}

static void finds_are_bounded(void **state)
{
    char *text = malloc(100001);
    char filters[4096] = "";
    struct policy_header subject[] = {{"Subject", text}};
    struct policy_message message = usual_message();
    (void)state;
    memset(text, 'a', 100000);
    text[100000] = '\0';
    message.headers = subject;
    message.header_count = 1;
    for (int i = 0; i < 9; i++)
        snprintf(filters + strlen(filters), sizeof filters - strlen(filters),
                 "%s{'id':'f%d','name':'F','conditions':[{'field':'subject','op':'matches',"
                 "'values':['a{%d}']}],'actions':[" ADD "]}",
                 i ? "," : "", i, i == 0 ? 500 : 1);
    struct scene scene = evaluate(filters, &message);
    assert_int_equal(scene.result->find_count, 100);
    assert_int_equal(strlen(scene.result->finds[0].text), 200);
    assert_int_equal(scene.result->finds[0].length, 500);
    assert_int_equal(scene.result->finds[99].filter, 4);
    end(&scene);
    free(text);
}

static void the_trace_tells_every_filter_and_condition(void **state)
{
    struct policy_message message = usual_message();
    struct scene scene = evaluate_until(
        FILTER("a",
               "'conditions':[" NEVER "," ALWAYS "," TO_BOB "],'actions':[" ADD
               "]") "," FILTER("b",
                               "'groups':['sales'],'conditions':[" ALWAYS
                               "],'actions':[],'then':'stop'") "," FILTER("c",
                                                                          "'conditions':[" ALWAYS
                                                                          "],'actions':[" ADD "]"),
        &message, NO_LIMIT, true);
    const struct policy_trace *trace = scene.result->trace;
    static const struct {
        bool applies, met;
        unsigned char conditions[3];
    } expected[] = {
        {true, false, {0, 1, 1}}, {true, false, {0, 1, 0}}, {true, false, {0, 1, 0}},
        {false, false, {2}},      {true, true, {1}},        {false, false, {2}},
        {true, true, {1}},        {true, false, {2}},       {true, true, {1}},
    };
    (void)state;
    assert_int_equal(scene.result->trace_count, COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_int_equal(trace[i].filter, i / 3);
        assert_int_equal(trace[i].recipient, i % 3);
        assert_int_equal(trace[i].applies, expected[i].applies);
        assert_int_equal(trace[i].met, expected[i].met);
        assert_memory_equal(trace[i].conditions, expected[i].conditions, trace[i].condition_count);
    }
    end(&scene);
}

static void a_condition_without_time_left_counts_as_not_found(void **state)
{
    struct policy_message message = usual_message();
    struct scene scene = evaluate_until(
        FILTER("a", "'conditions':[{'field':'subject','op':'contains','values':['zzz'],"
                    "'not':true}],'actions':[{'action':'delete'}]"),
        &message, 1, true);
    (void)state;
    assert_int_equal(scene.result->outcomes[0].filter_count, 0);
    assert_int_equal(scene.result->trace[0].conditions[0], 3);
    assert_non_null(scene.result->problem);
    assert_non_null(strstr(scene.result->problem, "(a), condition 1"));
    end(&scene);
}

static void an_expression_that_explodes_on_a_text_counts_as_not_found(void **state)
{
    struct policy_condition condition = {
        .field = POLICY_SUBJECT, .operation = POLICY_MATCHES, .negated = true, .number = 1};
    char *values[] = {"^(a+)+\\1b"};
    struct policy_action action = {.kind = POLICY_ACTION_DELETE};
    struct policy_filter filter = {.id = "f",
                                   .name = "F",
                                   .enabled = true,
                                   .directions = {true, true},
                                   .conditions = &condition,
                                   .condition_count = 1,
                                   .actions = &action,
                                   .action_count = 1};
    struct policy_set set = {.filters = &filter, .filter_count = 1};
    struct policy_header subject[] = {{"Subject", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac b"}};
    struct policy_message message = usual_message();
    struct error error = {0};
    (void)state;
    condition.values = (struct policy_texts){values, 1};
    message.headers = subject;
    message.header_count = 1;
    struct policy_program *program = policy_compile(&set, &error);
    assert_non_null(program);
    struct policy_result *result = policy_evaluate(program, &message, NO_LIMIT, false);
    assert_int_equal(result->outcomes[0].filter_count, 0);
    assert_non_null(result->problem);
    policy_result_free(result);
    policy_program_free(program);
}

static void text_that_is_not_utf8_is_looked_at_all_the_same(void **state)
{
    static const struct policy_header subject[] = {{"Subject", "\xff\xfeinvoice\xc3"}};
    struct policy_message message = usual_message();
    (void)state;
    message.headers = subject;
    message.header_count = 1;
    check_outcomes(DO("a", ADD), &message, "bcd deliver of 0 0.0");
    check_outcomes(FILTER("a", "'conditions':[{'field':'subject','op':'matches','values':"
                               "['INVOICE']}],'actions':[" ADD "]"),
                   &message, "bcd deliver of 0 0.0");
}

static void needs_tell_what_the_filters_look_at(void **state)
{
    struct policy_message message = usual_message();
    struct scene scene = evaluate(DO("a", ADD), &message);
    struct policy_needs needs = policy_needs(scene.program);
    (void)state;
    assert_false(needs.visible_text || needs.text_with_tags || needs.attachment_text ||
                 needs.language || needs.attachments);
    end(&scene);
    scene = evaluate(FILTER("a", "'match':'any','conditions':[{'field':'any_text','op':'contains',"
                                 "'values':['x'],'tags':true},{'field':'language','values':['en']},"
                                 "{'field':'attachment_count','op':'above','number':1}],"
                                 "'actions':[" ADD "]"),
                     &message);
    needs = policy_needs(scene.program);
    assert_true(needs.text_with_tags && needs.attachment_text && needs.language &&
                needs.attachments);
    assert_false(needs.visible_text);
    end(&scene);
}

static void a_forked_process_evaluates_with_its_parents_program(void **state)
{
    struct policy_message message = usual_message();
    struct scene scene = evaluate(DO("a", ADD), &message);
    (void)state;
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct policy_result *result =
                policy_evaluate(scene.program, &message, NO_LIMIT, false);
            _exit(result && result->outcomes[0].filter_count == 1 ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_looked_for_in_the_field_they_name),
        cmocka_unit_test(operations_count_case_and_occurrences),
        cmocka_unit_test(dictionaries_weigh_whole_words),
        cmocka_unit_test(patterns_are_checked),
        cmocka_unit_test(addresses_fit_by_mailbox_domain_and_group),
        cmocka_unit_test(attachments_fit_by_list_type_and_extension),
        cmocka_unit_test(numbers_and_codes_are_compared),
        cmocka_unit_test(all_or_any_of_the_conditions_are_needed),
        cmocka_unit_test(a_filter_that_stops_hides_the_following_ones_from_its_recipients),
        cmocka_unit_test(groups_and_directions_limit_a_filter),
        cmocka_unit_test(the_strictest_disposition_counts),
        cmocka_unit_test(recipients_that_are_excluded_meet_no_filter),
        cmocka_unit_test(finds_tell_where_a_condition_was_met),
        cmocka_unit_test(folding_keeps_the_places_of_the_text),
        cmocka_unit_test(finds_are_bounded),
        cmocka_unit_test(the_trace_tells_every_filter_and_condition),
        cmocka_unit_test(a_condition_without_time_left_counts_as_not_found),
        cmocka_unit_test(an_expression_that_explodes_on_a_text_counts_as_not_found),
        cmocka_unit_test(text_that_is_not_utf8_is_looked_at_all_the_same),
        cmocka_unit_test(needs_tell_what_the_filters_look_at),
        cmocka_unit_test(a_forked_process_evaluates_with_its_parents_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

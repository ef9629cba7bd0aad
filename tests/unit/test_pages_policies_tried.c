/* The page that tries a message on the draft: what a scanner is asked, and how its answer reads. */
#include "test_pages_ask.h"

#include "controlcenter/pages/policy_person.h"
#include "controlcenter/store/policies.h"

#define DRAFT                                                                                      \
    "{\"groups\":[{\"id\":\"g\",\"name\":\"Sales\",\"members\":[\"@example.com\",\"group:board\"]" \
    "}],\"folders\":[{\"id\":\"f\",\"name\":\"Legal\",\"quarantine\":true,\"retention_days\":9}]," \
    "\"filters\":[{\"id\":\"p\",\"name\":\"Payroll\",\"conditions\":[{\"field\":\"subject\","      \
    "\"op\":\"contains\",\"values\":[\"salary\"]}],\"actions\":[{\"action\":\"incident\","         \
    "\"folder\":\"f\"}],\"then\":\"stop\"}]}"

static void put_draft(struct console *console)
{
    int64_t revision;
    struct error problem = {0};
    cleanup_json json_t *before = store_policy_draft(console->scene->store, &revision, &problem);
    cleanup_json json_t *draft = json_loads(DRAFT, 0, NULL);
    assert_non_null(before);
    ok(store_policy_draft_put(console->scene->store, draft, revision, "test", NAME, &error));
}

static void try_message(struct console *console, const char *fields)
{
    char id[37], body[1000];
    put_draft(console);
    add_scanner(console, "mx1.example", "{}", id);
    get(console, "/policies/test");
    assert_status(console, 200);
    snprintf(body, sizeof body, "scanner=%s&direction=inbound&%s", id, fields);
    post(console, "/policies/test", body);
}

static void a_scanner_is_asked_with_the_draft_and_people_in_their_groups(void **state)
{
    struct console *console = *state;
    scanner.reply = "{\"ok\":true}";
    try_message(console,
                "sender=a@b.example&recipients=anna@example.com%0Abo@other.example%20group:"
                "board%0Acy@other.example&text=Subject:%20x%0A%0Ahello");
    assert_status(console, 200);
    assert_string_equal(scanner.target, "engine-control");
    const json_t *envelope = json_object_get(scanner.request, "envelope");
    static const char *const groups[] = {"g", "g", "default"};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(
            json_string_value(json_object_get(
                json_array_get(json_object_get(envelope, "recipients"), i), "group")),
            groups[i]);
    assert_string_equal(json_string_value(json_object_get(scanner.request, "message")),
                        "U3ViamVjdDogeA0KDQpoZWxsbw==");
    const json_t *folder =
        json_array_get(json_object_get(json_object_get(scanner.request, "policies"), "folders"), 0);
    assert_null(json_object_get(folder, "retention_days"));
    assert_non_null(json_object_get(folder, "quarantine"));
}

static void the_answer_says_what_becomes_of_each_recipient_and_why(void **state)
{
    struct console *console = *state;
    scanner.reply =
        "{\"ok\":true,\"result\":{\"verdict\":\"clean\"},\"problem\":\"\",\"answer\":{\"outcomes\":"
        "[{\"recipients\":[0],\"disposition\":\"hold\",\"decided_by\":\"p\",\"actions\":[{"
        "\"action\":"
        "\"incident\",\"folder\":\"f\",\"folder_name\":\"Legal\"}]},{\"recipients\":[1],"
        "\"disposition\":\"deliver\"}]},\"trace\":[{\"filter\":\"p\",\"recipient\":0,\"applies\":"
        "true,"
        "\"met\":true,\"conditions\":[\"met\"]},{\"filter\":\"p\",\"recipient\":1,\"applies\":"
        "false,"
        "\"met\":false,\"conditions\":[\"skipped\"]}]}";
    try_message(console, "recipients=anna@example.com%0Acy@other.example&text=x");
    assert_status(console, 200);
    assert_shows(console, "It is held as an incident");
    assert_shows(console, "The filter Payroll decides.");
    assert_shows(console, "<li>create an incident in Legal</li>");
    assert_shows(console, "the subject contains “salary” <span class=\"tag tag-warn\">met</span>");
    assert_shows(console, "It is delivered");
    assert_shows(console, "not for this message");
    assert_shows(console, "<span class=\"tag tag-good\">clean</span>");
}

static void what_cannot_be_tried_is_refused_at_its_field(void **state)
{
    static const struct {
        const char *fields, *shown;
    } cases[] = {
        {"text=x", "id=\"error-recipients\""},
        {"recipients=a@example.com%0Anobody&text=x", "Line 2"},
        {"recipients=a@example.com%20board&text=x", "id=\"error-recipients\""},
        {"recipients=a@example.com&sender=nobody&text=x", "id=\"error-sender\""},
        {"recipients=a@example.com", "id=\"error-file\""},
        {"recipients=a@example.com&text=x", "the scanner did not answer in time"},
    };
    struct console *console = *state;
    scanner.reply = NULL;
    try_message(console, cases[0].fields);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[400];
        snprintf(body, sizeof body, "scanner=x&direction=inbound&%s", cases[i].fields);
        post(console, "/policies/test", body);
        assert_status(console, 422);
        assert_shows(console, cases[i].shown);
    }
}

static void a_person_is_in_the_first_group_with_a_fitting_member(void **state)
{
    static const struct {
        const char *line, *group;
    } cases[] = {
        {"ann@one.example", "exact"},    {"ANN@One.Example", "exact"},
        {"bob@one.example", "domain"},   {"bob@x.one.example", "below"},
        {"bob@none.example", "default"}, {"x@none.example group:Staff", "staff"},
        {"bob@xone.example", "default"},
    };
    (void)state;
    const char *reason;
    cleanup_json json_t *document = json_loads(
        "{\"groups\":[{\"id\":\"exact\",\"members\":[\"ann@one.example\"]},{\"id\":\"domain\","
        "\"members\":[\"@one.example\"]},{\"id\":\"below\",\"members\":[\"@.one.example\"]},"
        "{\"id\":\"staff\",\"members\":[\"group:staff\"]}]}",
        0, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_json json_t *person = policy_person(document, cases[i].line, &reason);
        assert_non_null(person);
        assert_string_equal(json_string_value(json_object_get(person, "group")), cases[i].group);
    }
    assert_null(policy_person(document, "@one.example", &reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_person_is_in_the_first_group_with_a_fitting_member),
        signed_in_page_test(a_scanner_is_asked_with_the_draft_and_people_in_their_groups),
        signed_in_page_test(the_answer_says_what_becomes_of_each_recipient_and_why),
        signed_in_page_test(what_cannot_be_tried_is_refused_at_its_field),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

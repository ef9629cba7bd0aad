/* The pages of incidents: lists, one with its message, decisions, and the folders' settings. */
#include "test_pages_scene.h"

#include "controlcenter/store/incidents_internal.h"
#include "controlcenter/store/messages.h"
#include "controlcenter/store/policies.h"

static const char reply[] =
    "{\"ok\":true,\"parts\":[{\"path\":\"body\",\"kind\":\"part\",\"type\":\"text/plain\","
    "\"bytes\":40,\"text\":\"the Salary of <b>Rose</b>, salary\"},{\"path\":\"pay.csv\","
    "\"kind\":\"part\",\"type\":\"text/csv\",\"bytes\":2048,\"attachment\":true}],"
    "\"text_cut\":false,\"parts_left_out\":0}";

static bool scanner_answers = true;

json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem);
json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem)
{
    (void)fleet, (void)scanner_id, (void)wait_ms;
    assert_string_equal(target, "engine-control");
    assert_string_equal(json_string_value(json_object_get(request, "op")), "show_message");
    if (scanner_answers)
        return json_loads(reply, 0, NULL);
    error_set(problem, ERROR_TIMEOUT, NULL, "no answer");
    return NULL;
}

/* --- what is there --- */

static char scanner_id[37];

/* An incident as it comes from a scanner; returns its number. */
static int add_incident(struct console *console, const char *folder, const char *subject)
{
    char id[37], text[300], sql[100];
    int has = 0;
    new_id(id);
    cleanup_json json_t *info = json_pack(
        "{s:s,s:s,s:s,s:b,s:[{s:s,s:s}],s:[{s:s,s:s,s:s,s:s}],s:s,s:[s],s:s,s:s,s:s}", "kind",
        "incident", "folder", folder, "folder_name", "Held for review", "quarantine", 1, "filters",
        "id", "pay", "name", "Payroll", "finds", "filter", "pay", "name", "Payroll", "part", "body",
        "text", "salary", "sender", "boss@example.org", "recipients", "rose@example.com", "subject",
        subject, "direction", "inbound", "verdict", "clean");
    snprintf(text, sizeof(text), "Subject: %s\r\nX-Odd: <b>\r\n\tfolded\r\n\r\nthe Salary\r\n",
             subject);
    struct store *store = console->scene->store;
    if (!*scanner_id)
        add_scanner(console, "mx1.example.org", "{}", scanner_id);
    ok(store_message_chunk(store, id, scanner_id, 0, text, strlen(text), &has, &error));
    ok(store_message_complete(store, id, scanner_id, info, (int64_t)strlen(text), &error));
    snprintf(sql, sizeof(sql), "SELECT max(number) FROM incident");
    return (int)count_of(console->scene, sql);
}

static int open_incidents(void **state)
{
    *scanner_id = '\0';
    scanner_answers = true;
    return open_signed_in_console(state);
}

static const char *path_of(int number, const char *after)
{
    static char path[64];
    snprintf(path, sizeof(path), "/incidents/%d%s", number, after);
    return path;
}

/* --- pages --- */

static void the_list_shows_and_finds(void **state)
{
    struct console *console = *state;
    get(console, "/incidents");
    assert_shows(console, "No incident yet");
    add_incident(console, "held", "First <one>");
    add_incident(console, "held", "Second one");
    get(console, "/incidents");
    assert_shows(console, "First &lt;one&gt;");
    assert_shows(console, "Second one");
    assert_shows(console, "boss@example.org");
    get(console, "/incidents?text=second&folder=held&state=open");
    assert_shows(console, "Second one");
    assert_hides(console, "First &lt;one&gt;");
    get(console, "/incidents?state=closed");
    assert_shows(console, "No incident is like this");
    get(console, "/incidents?state=wrong");
    assert_status(console, 422);
    get(console, "/incidents?from=2026-99-99");
    assert_status(console, 422);
}

static void a_message_is_shown_as_text_with_what_matched(void **state)
{
    struct console *console = *state;
    int number = add_incident(console, "held", "Pay");
    get(console, path_of(number, ""));
    assert_status(console, 200);
    assert_shows(console, "X-Odd: &lt;b&gt;\n folded\n");
    assert_shows(console, "<mark title=\"Payroll\">Salary</mark>");
    assert_shows(console, "<mark title=\"Payroll\">salary</mark>");
    assert_shows(console, "&lt;b&gt;Rose&lt;/b&gt;");
    assert_hides(console, "<b>Rose");
    assert_shows(console, "pay.csv");
    assert_shows(console, "Approve");
    get(console, path_of(number + 1, ""));
    assert_status(console, 404);
}

static void without_a_scanner_the_header_is_shown_all_the_same(void **state)
{
    struct console *console = *state;
    int number = add_incident(console, "held", "Pay");
    scanner_answers = false;
    get(console, path_of(number, ""));
    assert_status(console, 200);
    assert_shows(console, "X-Odd: &lt;b&gt;");
    assert_shows(console, "cannot be shown now: no answer");
}

static void the_source_is_a_file_and_never_a_page(void **state)
{
    struct console *console = *state;
    int number = add_incident(console, "held", "Pay");
    get(console, path_of(number, "/source"));
    assert_status(console, 200);
    assert_string_equal(console->response.content_type, "message/rfc822");
    assert_non_null(strstr(header_of(console, "Content-Disposition"), "attachment"));
    assert_shows(console, "X-Odd: <b>\r\n");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM administrator_log"
                                              " WHERE action = 'incident.download'"),
                     1);
}

static void an_approved_message_goes_to_its_recipients_once(void **state)
{
    struct console *console = *state;
    char fields[100];
    int number = add_incident(console, "held", "Pay");
    get(console, path_of(number, ""));
    snprintf(fields, sizeof(fields), "n=%d&action=approve&comment=It+is+fine", number);
    post(console, "/incidents/act", fields);
    assert_status(console, 303);
    get(console, path_of(number, ""));
    assert_shows(console, "It is fine");
    assert_shows(console, "approved");
    assert_hides(console, "Comment on the decision");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM outbox"), 1);
    post(console, "/incidents/act", fields);
    assert_status(console, 409);
    assert_shows(console, "decided already: Approve, by " NAME);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM outbox"), 1);
}

static void a_rejected_message_is_told_to_its_sender(void **state)
{
    struct console *console = *state;
    char fields[100];
    int number = add_incident(console, "held", "Pay");
    get(console, path_of(number, ""));
    snprintf(fields, sizeof(fields), "n=%d&action=reject", number);
    post(console, "/incidents/act", fields);
    assert_status(console, 303);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM outbox"), 1);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM incident"
                                              " WHERE state = 'rejected'"),
                     1);
}

static void several_are_decided_after_a_confirmation(void **state)
{
    struct console *console = *state;
    char fields[100];
    int first = add_incident(console, "held", "One"), second = add_incident(console, "held", "Two");
    get(console, "/incidents");
    post(console, "/incidents/confirm", "action=delete");
    assert_status(console, 422);
    snprintf(fields, sizeof(fields), "action=delete&n=%d&n=%d", first, second);
    post(console, "/incidents/confirm", fields);
    assert_shows(console, "Decide over 2 incidents");
    snprintf(fields, sizeof(fields), "action=delete&n=%d&n=%d&n=999", first, second);
    post(console, "/incidents/act", fields);
    assert_status(console, 200);
    assert_shows(console, "Done for 2 incidents");
    assert_shows(console, "/incidents/999");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM outbox"), 0);
    snprintf(fields, sizeof(fields), "action=nothing&n=%d", add_incident(console, "held", "3"));
    post(console, "/incidents/act", fields);
    assert_shows(console, "no action of that name");
}

static void comments_and_assignment_are_kept(void **state)
{
    struct console *console = *state;
    int number = add_incident(console, "held", "Pay");
    get(console, path_of(number, ""));
    post(console, path_of(number, "/comment"), "comment=");
    assert_status(console, 422);
    post(console, path_of(number, "/comment"), "comment=Ask+%3CJoe%3E");
    assert_status(console, 303);
    post(console, path_of(number, "/assign"), "assigned=" NAME);
    assert_status(console, 303);
    post(console, path_of(number, "/assign"), "assigned=eve");
    assert_status(console, 422);
    get(console, path_of(number, ""));
    assert_shows(console, "Ask &lt;Joe&gt;");
    assert_shows(console, "Assigned to " NAME);
    get(console, "/incidents?assigned=me");
    assert_shows(console, "assigned to " NAME);
}

/* --- folders --- */

static void publish(struct console *console)
{
    int64_t revision, version;
    struct store *store = console->scene->store;
    cleanup_json json_t *draft = NULL;
    ok((draft = store_policy_draft(store, &revision, &error)) != NULL);
    ok(store_policy_publish(store, revision, "", NAME, &version, &error));
}

static void a_folder_is_made_and_its_own_action_carried_out(void **state)
{
    struct console *console = *state;
    char fields[200];
    get(console, "/incidents/folders");
    assert_shows(console, "Add the usual folders");
    post(console, "/incidents/folders/usual", "");
    assert_leads_to(console, "/incidents/folders?done=kept");
    get(console, "/incidents/folders");
    assert_shows(console, "Held for review");
    assert_shows(console, "Informational");
    get(console, "/incidents/folders/named/held");
    assert_shows(console, "id=\"field-use_approve\" name=\"use_approve\" value=\"1\" checked");
    post(console, "/incidents/folders/named/held",
         "name=Held&kind=quarantine&expiry=deliver&retention_days=7&quota_megabytes=10"
         "&use_route=1&value_route=no+host+at+all&rejection=bounce");
    assert_status(console, 422);
    post(console, "/incidents/folders/named/held",
         "name=Held&kind=quarantine&expiry=deliver&retention_days=7&quota_megabytes=10"
         "&use_approve=1&rejection=bounce&own1_name=Release+and+copy&own1_decision=deliver"
         "&own1_archive=legal@example.com");
    assert_leads_to(console, "/incidents/folders?done=kept");
    get(console, "/incidents/folders");
    assert_shows(console, "Release and copy");
    publish(console);
    int number = add_incident(console, "held", "Pay");
    get(console, path_of(number, ""));
    assert_shows(console, "Release and copy");
    assert_hides(console, ">Reject</button>");
    const char *value = strstr(body_of(console), "name=\"action\" value=\"release");
    assert_non_null(value);
    snprintf(fields, sizeof(fields), "n=%d&action=%.*s", number, (int)strcspn(value + 21, "\""),
             value + 21);
    post(console, "/incidents/act", fields);
    assert_status(console, 303);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM outbox"), 2);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM incident WHERE state = 'done'"
                                              " AND action = 'Release and copy'"),
                     1);
}

/* --- rights --- */

/* Puts a folder of "Private papers" in force for those whose names are given (JSON text). */
static void give_rights(struct console *console, const char *names)
{
    int64_t revision;
    struct store *store = console->scene->store;
    cleanup_json json_t *old = NULL;
    ok((old = store_policy_draft(store, &revision, &error)) != NULL);
    cleanup_json json_t *administrators = json_loads(names, JSON_DECODE_ANY, NULL);
    cleanup_json json_t *draft =
        json_pack("{s:[{s:s,s:s,s:b,s:O},{s:s,s:s,s:b}]}", "folders", "id", "private", "name",
                  "Private papers", "quarantine", 1, "administrators", administrators, "id", "held",
                  "name", "Held", "quarantine", 1);
    ok(store_policy_draft_put(store, draft, revision, "test", NAME, &error));
    publish(console);
}

static void a_folder_of_others_is_not_there(void **state)
{
    struct console *console = *state;
    char fields[120];
    static const char *const nobody_else[] = {"[\"eve\"]", "\"everybody\"", "[7]"};
    int hidden = add_incident(console, "private", "Secret one");
    int seen = add_incident(console, "held", "Plain one");
    get(console, "/incidents");
    assert_shows(console, "Secret one");
    for (size_t i = 0; i < sizeof(nobody_else) / sizeof(nobody_else[0]); i++) {
        give_rights(console, nobody_else[i]);
        static const char *const lists[] = {"/incidents", "/incidents?text=one",
                                            "/incidents?folder=private",
                                            "/incidents?folder=private&state=open"};
        for (size_t j = 0; j < sizeof(lists) / sizeof(lists[0]); j++) {
            get(console, lists[j]);
            assert_status(console, 200);
            assert_hides(console, "Secret one");
            assert_hides(console, "Private papers");
        }
        get(console, path_of(hidden, ""));
        assert_status(console, 404);
        get(console, path_of(hidden, "/source"));
        assert_status(console, 404);
        assert_hides(console, "Salary");
        get(console, "/incidents");
        assert_shows(console, "Plain one");
        post(console, path_of(hidden, "/comment"), "comment=Hello");
        assert_status(console, 404);
        post(console, path_of(hidden, "/assign"), "assigned=" NAME);
        assert_status(console, 404);
        snprintf(fields, sizeof(fields), "n=%d&action=delete", hidden);
        post(console, "/incidents/act", fields);
        assert_status(console, 409);
        assert_shows(console, "there is no such incident");
    }
    snprintf(fields, sizeof(fields), "n=%d&n=%d&action=delete", hidden, seen);
    post(console, "/incidents/act", fields);
    assert_shows(console, "Done for 1 incident");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM incident_history"
                                              " WHERE what <> 'created'"),
                     1);
    get(console, "/incidents/folders");
    assert_shows(console, "not yours to see");
}

static void those_who_are_named_decide_and_are_assigned(void **state)
{
    struct console *console = *state;
    char fields[100];
    int number = add_incident(console, "private", "Secret one");
    add_administrator(console, "eve", false);
    give_rights(console, "[]");
    get(console, path_of(number, ""));
    assert_shows(console, "<option value=\"eve\"");
    give_rights(console, "[\"" NAME "\"]");
    get(console, path_of(number, ""));
    assert_status(console, 200);
    assert_hides(console, "<option value=\"eve\"");
    post(console, path_of(number, "/assign"), "assigned=eve");
    assert_status(console, 422);
    assert_shows(console, "who may see this folder");
    post(console, path_of(number, "/assign"), "assigned=" NAME);
    assert_status(console, 303);
    post(console, path_of(number, "/assign"), "assigned=");
    assert_status(console, 303);
    snprintf(fields, sizeof(fields), "n=%d&action=delete", number);
    post(console, "/incidents/act", fields);
    assert_status(console, 303);
}

static void rights_are_chosen_in_the_draft_and_count_when_in_force(void **state)
{
    struct console *console = *state;
    static const char form[] = "name=Held&kind=quarantine&expiry=delete&retention_days=7"
                               "&quota_megabytes=0&rejection=bounce&use_delete=1";
    char fields[300];
    add_administrator(console, "eve", false);
    add_incident(console, "held", "Secret one");
    get(console, "/incidents/folders");
    post(console, "/incidents/folders/usual", "");
    snprintf(fields, sizeof(fields), "%s&administrator=nobody+known", form);
    post(console, "/incidents/folders/named/held", fields);
    assert_status(console, 422);
    assert_shows(console, "There is no administrator nobody known.");
    snprintf(fields, sizeof(fields), "%s&administrator=eve", form);
    post(console, "/incidents/folders/named/held", fields);
    assert_leads_to(console, "/incidents/folders?done=kept");
    get(console, "/incidents/folders/named/held");
    assert_shows(console, "name=\"administrator\" value=\"eve\" checked");
    assert_hides(console, "name=\"administrator\" value=\"" NAME "\" checked");
    get(console, "/incidents");
    assert_shows(console, "Secret one");
    publish(console);
    get(console, "/incidents");
    assert_hides(console, "Secret one");
    get(console, "/incidents/folders");
    assert_shows(console, "<span class=\"tag\">eve</span>");
}

static void a_folder_in_use_stays_and_says_where(void **state)
{
    struct console *console = *state;
    int64_t revision;
    struct store *store = console->scene->store;
    cleanup_json json_t *draft = json_loads(
        "{\"folders\":[{\"id\":\"held\",\"name\":\"Held\",\"quarantine\":true}],\"filters\":[{"
        "\"id\":\"f\",\"name\":\"Payroll leaves\",\"conditions\":[],\"actions\":[{\"action\":"
        "\"incident\",\"folder\":\"held\"}]}]}",
        0, NULL);
    cleanup_json json_t *old = NULL;
    ok((old = store_policy_draft(store, &revision, &error)) != NULL);
    ok(store_policy_draft_put(store, draft, revision, "test", NAME, &error));
    get(console, "/incidents/folders/named/held");
    assert_shows(console, "Payroll leaves");
    post(console, "/incidents/folders/named/held/remove", "");
    assert_status(console, 409);
    get(console, "/incidents/folders");
    assert_shows(console, "/incidents/folders/named/held");
    get(console, "/incidents/folders/named/none");
    assert_status(console, 404);
}

#define incidents_test(function)                                                                   \
    cmocka_unit_test_setup_teardown(function, open_incidents, close_console)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        incidents_test(the_list_shows_and_finds),
        incidents_test(a_message_is_shown_as_text_with_what_matched),
        incidents_test(without_a_scanner_the_header_is_shown_all_the_same),
        incidents_test(the_source_is_a_file_and_never_a_page),
        incidents_test(an_approved_message_goes_to_its_recipients_once),
        incidents_test(a_rejected_message_is_told_to_its_sender),
        incidents_test(several_are_decided_after_a_confirmation),
        incidents_test(comments_and_assignment_are_kept),
        incidents_test(a_folder_is_made_and_its_own_action_carried_out),
        incidents_test(a_folder_of_others_is_not_there),
        incidents_test(those_who_are_named_decide_and_are_assigned),
        incidents_test(rights_are_chosen_in_the_draft_and_count_when_in_force),
        incidents_test(a_folder_in_use_stays_and_says_where),
    };
    return cmocka_run_group_tests_name("pages: incidents", tests, open_group, close_group);
}

/* The pages of content filters, and what of them is kept in the draft. */
#include "test_pages_scene.h"

#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/store/policies.h"

#define SIMPLE                                                                                     \
    "name=Payroll&enabled=on&direction_inbound=on&direction_outbound=on&match=all&conditions=1"    \
    "&c0_field=subject&c0_op=contains&c0_values=salary%0Apayslip&actions=1&a0_action=add_header"   \
    "&a0_name=X-Payroll&a0_value=yes&then=stop&do=save"

static json_t *draft_of(struct console *console)
{
    struct error error = {0};
    int64_t revision;
    json_t *draft = store_policy_draft(console->scene->store, &revision, &error);
    assert_non_null(draft);
    return draft;
}

static void id_of(struct console *console, const char *section, const char *name, char id[65])
{
    json_t *draft = draft_of(console), *object;
    size_t i;
    id[0] = '\0';
    json_array_foreach(json_object_get(draft, section), i, object)
    {
        if (strcmp(json_text_of(object, "name"), name) == 0)
            snprintf(id, 65, "%s", json_text_of(object, "id"));
    }
    json_decref(draft);
    if (!*id)
        fail_msg("there is no %s in %s", name, section);
}

static void add_filter(struct console *console, const char *fields)
{
    get(console, "/policies/filters/new");
    post(console, "/policies/filters/new", fields);
    assert_leads_to(console, "/policies/filters?done=kept");
}

static void open_filter(struct console *console, const char *name, char path[160])
{
    char id[65];
    id_of(console, "filters", name, id);
    snprintf(path, 160, "/policies/filters/named/%s", id);
    get(console, path);
    assert_status(console, 200);
}

static void act(struct console *console, const char *name, const char *what, const char *fields)
{
    char path[160];
    open_filter(console, name, path);
    strcat(path, what);
    post(console, path, fields);
}

static void a_filter_is_kept_in_the_draft_and_read_in_plain_words(void **state)
{
    struct console *console = *state;
    add_filter(console, SIMPLE);
    get(console, "/policies/filters?done=kept");
    assert_shows(console,
                 "If the subject contains “salary” or “payslip”, then add the header field "
                 "X-Payroll: yes and stop.");
    assert_shows(console, "1 change is not in force yet.");
    json_t *draft = draft_of(console);
    json_t *filter = json_array_get(json_object_get(draft, "filters"), 0);
    assert_string_equal(json_text_of(filter, "name"), "Payroll");
    assert_int_equal(json_array_size(json_object_get(filter, "conditions")), 1);
    json_decref(draft);
}

static void what_is_wrong_is_named_at_its_field_and_nothing_is_lost(void **state)
{
    static const struct {
        const char *fields, *shown;
    } cases[] = {
        {"name=&conditions=0&actions=0&then=stop&direction_inbound=on", "id=\"error-name\""},
        {"name=A&conditions=0&actions=0&then=stop", "id=\"error-directions\""},
        {"name=A&conditions=0&actions=0&match=any&then=stop&direction_inbound=on",
         "id=\"error-conditions\""},
        {"name=A&conditions=0&actions=0&direction_inbound=on", "id=\"error-actions\""},
        {"name=A&conditions=1&c0_field=body&c0_op=contains&c0_tags=on&then=stop"
         "&direction_inbound=on",
         "id=\"error-c0_values\""},
        {"name=A&conditions=2&c0_field=subject&c0_op=contains&c0_values=a&c1_field=sender"
         "&c1_op=address&c1_values=@example.com%0Anonsense&then=stop&direction_inbound=on",
         "id=\"error-c1_values\""},
        {"name=A&conditions=1&c0_field=subject&c0_op=matches&c0_values=a(b&then=stop"
         "&direction_inbound=on",
         "id=\"error-c0_values\""},
        {"name=A&conditions=1&c0_field=attachment&c0_op=in_list&then=stop&direction_inbound=on",
         "id=\"error-c0_id\""},
        {"name=A&conditions=1&c0_field=message_size&c0_op=above&c0_number=big&then=stop"
         "&direction_inbound=on",
         "value=\"big\""},
        {"name=A&conditions=1&c0_field=header&c0_op=exists&then=stop&direction_inbound=on",
         "id=\"error-c0_name\""},
        {"name=A&conditions=0&actions=1&a0_action=incident&then=stop&direction_inbound=on",
         "id=\"error-a0_folder\""},
        {"name=A&conditions=0&actions=1&a0_action=bcc&a0_address=nobody&then=stop"
         "&direction_inbound=on",
         "id=\"error-a0_address\""},
        {"name=A&conditions=0&actions=1&a0_action=add_header&a0_name=X%20Y&a0_value=1&then=stop"
         "&direction_inbound=on",
         "id=\"error-a0_name\""},
        {"name=A&conditions=0&actions=1&a0_action=route&a0_host=a+b&then=stop"
         "&direction_inbound=on",
         "id=\"error-a0_host\""},
    };
    struct console *console = *state;
    get(console, "/policies/filters/new");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        post(console, "/policies/filters/new", cases[i].fields);
        assert_status(console, 422);
        assert_shows(console, cases[i].shown);
    }
    json_t *draft = draft_of(console);
    assert_int_equal(json_array_size(json_object_get(draft, "filters")), 0);
    json_decref(draft);
}

static void rows_come_and_go_without_a_script(void **state)
{
    struct console *console = *state;
    get(console, "/policies/filters/new");
    post(console, "/policies/filters/new",
         "name=A&direction_inbound=on&conditions=1&c0_field=attachment&c0_op=contains&actions=0"
         "&do=refresh");
    assert_status(console, 200);
    assert_shows(console, "<option value=\"in_list\" selected>");
    assert_hides(console, "<option value=\"contains\"");
    post(console, "/policies/filters/new",
         "name=A&direction_inbound=on&conditions=1&c0_values=kept&actions=0&do=add_condition");
    assert_shows(console, "name=\"c1_field\"");
    assert_shows(console, "kept</textarea>");
    post(console, "/policies/filters/new",
         "name=A&direction_inbound=on&conditions=2&c0_values=goes&c1_values=stays&actions=0"
         "&do=remove_condition_0");
    assert_hides(console, "name=\"c1_field\"");
    assert_shows(console, "stays</textarea>");
    assert_shows(console, "For inbound mail: if the subject contains “stays”, then go on with the");
}

static void filters_change_places_and_are_switched_copied_and_removed(void **state)
{
    struct console *console = *state;
    char id[65], fields[128];
    add_filter(console, SIMPLE);
    add_filter(console, "name=Second&conditions=0&actions=0&then=stop&direction_inbound=on");
    act(console, "Second", "/move", "direction=up");
    assert_leads_to(console, "/policies/filters?done=moved");
    json_t *draft = draft_of(console);
    assert_string_equal(json_text_of(json_array_get(json_object_get(draft, "filters"), 0), "name"),
                        "Second");
    json_decref(draft);
    act(console, "Second", "/move", "before=");
    id_of(console, "filters", "Second", id);
    snprintf(fields, sizeof fields, "before=%s", id);
    act(console, "Payroll", "/switch", "enabled=no");
    act(console, "Payroll", "/copy", "");
    act(console, "Payroll (copy)", "/move", fields);
    get(console, "/policies/filters");
    const char *first = strstr(body_of(console), ">Payroll<");
    const char *copy = strstr(body_of(console), ">Payroll (copy)<");
    const char *second = strstr(body_of(console), ">Second<");
    assert_true(first && copy && second && first < copy && copy < second);
    assert_shows(console, "<span class=\"tag\">disabled</span>");
    act(console, "Payroll", "/remove", "");
    assert_leads_to(console, "/policies/filters?done=removed");
    post(console, "/policies/filters/named/none/remove", "");
    assert_status(console, 404);
}

/* By which the form knows a change of somebody else. */
static void take_was(struct console *console, char was[POLICY_HASH_SIZE])
{
    static const char field[] = "name=\"was\" value=\"";
    const char *found = strstr(body_of(console), field);
    assert_non_null(found);
    snprintf(was, POLICY_HASH_SIZE, "%s", found + strlen(field));
}

static void two_administrators_lose_nothing(void **state)
{
    struct console *console = *state;
    char path[160], was[POLICY_HASH_SIZE], fields[700];
    add_filter(console, SIMPLE);
    open_filter(console, "Payroll", path);
    take_was(console, was);
    act(console, "Payroll", "/switch", "enabled=no"); /* the other one */
    snprintf(fields, sizeof fields, "%s&was=%s", SIMPLE, was);
    post(console, path, fields);
    assert_status(console, 409);
    assert_shows(console, "Somebody else has changed this since you opened it.");
    assert_shows(console, "salary\npayslip</textarea>");
    take_was(console, was);
    snprintf(fields, sizeof fields, "%s&was=%s", SIMPLE, was);
    post(console, path, fields);
    assert_leads_to(console, "/policies/filters?done=kept");
}

static void what_was_removed_meanwhile_is_told_and_can_still_be_kept(void **state)
{
    struct console *console = *state;
    char id[65], path[160], remove[180], was[POLICY_HASH_SIZE], fields[200];
    get(console, "/policies/annotations/new");
    post(console, "/policies/annotations/new", "name=Note&text=Hello");
    assert_leads_to(console, "/policies/annotations?done=kept");
    id_of(console, "annotations", "Note", id);
    snprintf(path, sizeof path, "/policies/annotations/named/%s", id);
    snprintf(remove, sizeof remove, "%s/remove", path);
    get(console, path);
    take_was(console, was);
    post(console, remove, ""); /* the other one */
    assert_leads_to(console, "/policies/annotations?done=removed");
    snprintf(fields, sizeof fields, "name=Note&text=Hello&was=%s", was);
    post(console, path, fields);
    assert_status(console, 409);
    assert_shows(console, "Somebody else has removed this since you opened it.");
    take_was(console, was);
    snprintf(fields, sizeof fields, "name=Note&text=Hello&was=%s", was);
    post(console, path, fields);
    assert_leads_to(console, "/policies/annotations?done=kept");
}

/* --- review, history --- */

/* The value of a hidden field of the page that is shown. */
static void hidden(const struct console *console, const char *name, char *value, size_t size)
{
    char field[80];
    snprintf(field, sizeof field, "name=\"%s\" value=\"", name);
    const char *found = strstr(body_of(console), field);
    if (!found)
        fail_msg("there is no field %s in %s", name, body_of(console));
    found += strlen(field);
    snprintf(value, size, "%.*s", (int)strcspn(found, "\""), found);
}

static void put_in_force(struct console *console, const char *comment)
{
    char revision[32], fields[128];
    get(console, "/policies/review");
    assert_status(console, 200);
    hidden(console, "revision", revision, sizeof revision);
    snprintf(fields, sizeof fields, "comment=%s&revision=%s", comment, revision);
    post(console, "/policies/review", fields);
    assert_leads_to(console, "/policies/history?done=in_force");
}

static void a_draft_is_reviewed_put_in_force_and_gone_back_from(void **state)
{
    struct console *console = *state;
    char revision[32], fields[128];
    add_filter(console, SIMPLE);
    get(console, "/policies/review");
    assert_shows(console, "<ins>the subject contains “salary” or “payslip”</ins>");
    int64_t version = version_of(console->scene);
    put_in_force(console, "First");
    assert_true(version_of(console->scene) > version);
    get(console, "/policies/filters");
    assert_hides(console, "not in force yet");
    act(console, "Payroll", "/switch", "enabled=no");
    get(console, "/policies/review");
    assert_shows(console, "<del>enabled</del><ins>disabled</ins>");
    put_in_force(console, "Second");
    get(console, "/policies/history");
    assert_shows(console, "<strong>First</strong>");
    assert_shows(console, "disabled filter Payroll");
    get(console, "/policies/history/compare?from=2&to=1");
    assert_shows(console, "<del>disabled</del><ins>enabled</ins>");
    get(console, "/policies/history/1");
    hidden(console, "revision", revision, sizeof revision);
    snprintf(fields, sizeof fields, "revision=%s", revision);
    post(console, "/policies/history/1/revert", fields);
    assert_leads_to(console, "/policies/review?done=reverted");
    get(console, "/policies/review");
    assert_shows(console, "<del>disabled</del><ins>enabled</ins>");
    post(console, "/policies/history/1/revert", fields); /* of a draft that is gone */
    assert_status(console, 409);
    get(console, "/policies/history/3");
    assert_status(console, 404);
}

static void only_the_draft_that_was_seen_is_put_in_force_or_discarded(void **state)
{
    struct console *console = *state;
    char revision[32], fields[128];
    add_filter(console, SIMPLE);
    get(console, "/policies/review");
    hidden(console, "revision", revision, sizeof revision);
    act(console, "Payroll", "/switch", "enabled=no"); /* somebody else */
    snprintf(fields, sizeof fields, "comment=Mine&revision=%s", revision);
    post(console, "/policies/review", fields);
    assert_status(console, 409);
    assert_shows(console, "Somebody else has changed the draft since you looked at it.");
    assert_shows(console, "value=\"Mine\"");
    post(console, "/policies/discard", fields);
    assert_status(console, 409);
    hidden(console, "revision", revision, sizeof revision);
    snprintf(fields, sizeof fields, "revision=%s", revision);
    post(console, "/policies/discard", fields);
    assert_leads_to(console, "/policies/filters?done=discarded");
    get(console, "/policies/filters");
    assert_shows(console, "No filter yet");
}

static void a_move_is_one_change_of_the_filter_that_moved(void **state)
{
    struct console *console = *state;
    add_filter(console, SIMPLE);
    add_filter(console, "name=Second&conditions=0&actions=0&then=stop&direction_inbound=on");
    add_filter(console, "name=Third&conditions=0&actions=0&then=stop&direction_inbound=on");
    put_in_force(console, "");
    act(console, "Payroll", "/move", "before=");
    get(console, "/policies/filters");
    assert_shows(console, "1 change is not in force yet");
    get(console, "/policies/review");
    assert_shows(console, "It stands behind Third now.");
}

/* --- groups --- */

static void every_wrong_member_of_a_group_is_named(void **state)
{
    struct console *console = *state;
    get(console, "/policies/groups/new");
    post(console, "/policies/groups/new",
         "name=Sales&members=anna@example.com%0Anobody%0A@example.org%0Agroup:%0A@.example.net"
         "%0Agroup:sales");
    assert_status(console, 422);
    assert_shows(console, "Line 2, <q>nobody</q>");
    assert_shows(console, "Line 4, <q>group:</q>");
    assert_hides(console, "Line 3");
    post(console, "/policies/groups/new",
         "name=Sales&members=@example.org&inbound_virus=quarantine&inbound_virus_hours=900");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-inbound_virus_hours\"");
}

static void a_group_in_use_is_not_removed_and_says_where(void **state)
{
    struct console *console = *state;
    char id[65], path[160], fields[400];
    get(console, "/policies/groups/new");
    post(console, "/policies/groups/new",
         "name=Sales&members=@example.org&inbound_virus=quarantine&inbound_virus_hours=48"
         "&inbound_virus_then=deliver&outbound_worm=reject&outbound_worm_bypass=on");
    assert_leads_to(console, "/policies/groups?done=kept");
    id_of(console, "groups", "Sales", id);
    snprintf(path, sizeof path, "/policies/groups/named/%s", id);
    get(console, path);
    assert_shows(console, "name=\"inbound_virus_hours\" value=\"48\"");
    get(console, "/policies/review");
    assert_shows(console, "inbound viruses: quarantine for 48 hours, then deliver");
    assert_shows(console, "outbound mass-mailing worms: reject, without content filters");
    snprintf(fields, sizeof fields,
             "name=For%%20Sales&direction_inbound=on&direction_outbound=on&group_%s=on"
             "&conditions=0&actions=0&then=stop",
             id);
    add_filter(console, fields);
    get(console, "/policies/filters");
    assert_shows(console, "For mail of the group Sales: always stop.");
    strcat(path, "/remove");
    post(console, path, "");
    assert_status(console, 409);
    assert_shows(console, "<li>For Sales</li>");
    act(console, "For Sales", "/remove", "");
    post(console, path, "");
    assert_leads_to(console, "/policies/groups?done=removed");
}

/* --- files --- */

static void import(struct console *console, const char *text)
{
    char revision[32], fields[4000];
    struct buffer encoded = BUFFER_INIT;
    get(console, "/policies/import");
    hidden(console, "revision", revision, sizeof revision);
    http_encode(&encoded, text);
    snprintf(fields, sizeof fields, "revision=%s&text=%s", revision, buffer_text(&encoded));
    buffer_free(&encoded);
    post(console, "/policies/import", fields);
}

static void an_export_is_imported_again_and_is_the_same(void **state)
{
    struct console *console = *state;
    add_filter(console, SIMPLE);
    get(console, "/policies/export");
    assert_shows(console, "{\n  \"gatehouse_policies\": 1,\n");
    char *first = strdup(body_of(console));
    act(console, "Payroll", "/remove", "");
    import(console, first);
    assert_leads_to(console, "/policies/review?done=imported");
    get(console, "/policies/export");
    assert_string_equal(body_of(console), first);
    free(first);
}

static void a_fault_in_a_file_is_named_by_filter_and_field(void **state)
{
#define FILE_OF(conditions)                                                                        \
    "{\"gatehouse_policies\":1,\"filters\":[{\"id\":\"a\",\"name\":\"Payroll\",\"conditions\":"    \
    "[{\"field\":\"subject\",\"op\":\"contains\",\"values\":[\"a\"]}," conditions                  \
    "],\"actions\":[],\"then\":\"stop\"}]}"
    static const struct {
        const char *file, *shown;
    } cases[] = {
        {FILE_OF("{\"field\":\"subject\",\"op\":\"matches\",\"values\":[\"a(b\"]}"),
         "Filter “Payroll”, condition 2, value 1: "},
        {FILE_OF("{\"field\":\"colour\"}"), "Filter “Payroll”, condition 2, field: "},
        {"{\"gatehouse_policies\":1,\"groups\":[{\"id\":\"a\",\"name\":\"\"}]}",
         "Policy group 1, name: "},
        {"{\"gatehouse_policies\":1,\"rules\":[]}", "rules"},
        {"{\"filters\":[]}", "is no file of policies"},
        {"{\"gatehouse_policies\":1", "line 1"},
        {"[1]", "is no file of policies"},
    };
    struct console *console = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        import(console, cases[i].file);
        assert_status(console, 422);
        assert_shows(console, cases[i].shown);
    }
    get(console, "/policies/filters");
    assert_shows(console, "No filter yet");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        signed_in_page_test(a_filter_is_kept_in_the_draft_and_read_in_plain_words),
        signed_in_page_test(what_is_wrong_is_named_at_its_field_and_nothing_is_lost),
        signed_in_page_test(rows_come_and_go_without_a_script),
        signed_in_page_test(filters_change_places_and_are_switched_copied_and_removed),
        signed_in_page_test(two_administrators_lose_nothing),
        signed_in_page_test(what_was_removed_meanwhile_is_told_and_can_still_be_kept),
        signed_in_page_test(a_draft_is_reviewed_put_in_force_and_gone_back_from),
        signed_in_page_test(only_the_draft_that_was_seen_is_put_in_force_or_discarded),
        signed_in_page_test(a_move_is_one_change_of_the_filter_that_moved),
        signed_in_page_test(every_wrong_member_of_a_group_is_named),
        signed_in_page_test(a_group_in_use_is_not_removed_and_says_where),
        signed_in_page_test(an_export_is_imported_again_and_is_the_same),
        signed_in_page_test(a_fault_in_a_file_is_named_by_filter_and_field),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

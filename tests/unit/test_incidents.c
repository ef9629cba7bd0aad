/* What is done about incidents: mails, their text, the marks, and the end of their time. */
#include "test_store_events.h"

#include "controlcenter/incidents/act.h"
#include "controlcenter/incidents/compose.h"
#include "controlcenter/incidents/expunger.h"
#include "controlcenter/incidents/view.h"
#include "controlcenter/store/incidents.h"
#include "controlcenter/store/messages.h"
#include "controlcenter/store/policies.h"

#define DAY_MS 86400000LL

static const char body[] = "From: boss@example.org\r\nSubject: Pay\r\n\r\nThe salaries\r\n";

static void publish(struct scene *scene, const char *folder)
{
    int64_t revision, version;
    cleanup_json json_t *draft = json_pack("{s:[o]}", "folders", json_loads(folder, 0, NULL));
    cleanup_json json_t *old = store_policy_draft(scene->store, &revision, NULL);
    assert_non_null(draft);
    assert_non_null(old);
    ok(store_policy_draft_put(scene->store, draft, revision, "test", "anna", &error));
    ok(store_policy_publish(scene->store, revision + 1, "", "anna", &version, &error));
}

static int64_t add_incident(struct scene *scene, const char *folder, const char *sender,
                            bool quarantine, int64_t age_ms)
{
    char id[37], at[TIMESTAMP_TEXT_SIZE];
    int has = 0;
    new_id(id);
    cleanup_json json_t *info = json_pack(
        "{s:s,s:s,s:s,s:b,s:s,s:[s,s],s:s,s:s,s:s,s:s}", "header", "X-Policy: yes\r\n", "kind",
        "incident", "folder", folder, "quarantine", quarantine, "sender", sender, "recipients",
        "rose@example.com", "lily@example.com", "subject", "Pay", "direction", "inbound", "host",
        "mx1.example.com", "received_at", timestamp_text(timestamp_now_ms() - age_ms, at));
    assert_non_null(info);
    ok(store_message_chunk(scene->store, id, SCANNER, 0, body, sizeof(body) - 1, &has, &error));
    ok(store_message_complete(scene->store, id, SCANNER, info, sizeof(body) - 1, &error));
    return count_of(scene, "SELECT max(number) FROM incident");
}

static const char held[] =
    "{\"id\":\"held\",\"name\":\"Held\",\"quarantine\":true,\"retention_days\":3,"
    "\"actions\":[{\"id\":\"approve\",\"name\":\"Approve\",\"steps\":[{\"do\":\"deliver\"}]},"
    "{\"id\":\"legal\",\"name\":\"To legal\",\"steps\":[{\"do\":\"forward\",\"address\":"
    "\"legal@example.com\"},{\"do\":\"archive\",\"address\":\"archive@example.com\"}]},"
    "{\"id\":\"bounce\",\"name\":\"Bounce\",\"steps\":[{\"do\":\"bounce\",\"text\":\"No\"}]}]}";

static void an_action_that_decides_nothing_leaves_it_open(void **state)
{
    struct scene *scene = *state;
    struct store_incident incident;
    publish(scene, held);
    int64_t number = add_incident(scene, "held", "boss@example.org", true, 0);
    ok(incident_act(scene->store, number, "legal", "anna", "look", &error));
    ok(store_incident_get(scene->store, number, &incident, &error));
    assert_string_equal(incident.state, "open");
    store_incident_clear(&incident);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox"), 2);
    ok(incident_act(scene->store, number, "approve", "anna", NULL, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox"), 3);
    /* the fields of the filters go with what is delivered, and with that alone */
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox WHERE header = 'X-Policy: yes' ||"
                                     " chr(13) || chr(10) AND jsonb_array_length(recipients) = 2"),
                     1);
    fails(ERROR_EXISTS, incident_act(scene->store, number, "legal", "anna", NULL, &error));
    fails(ERROR_EXISTS, incident_act(scene->store, number, "approve", "anna", NULL, &error));
    fails(ERROR_NOT_FOUND, incident_act(scene->store, 99, "approve", "anna", NULL, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox"), 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident_history"), 3);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log"
                                     " WHERE action LIKE 'incident.%' AND administrator = 'anna'"),
                     2);
}

static void what_the_folder_does_not_offer_is_not_done(void **state)
{
    struct scene *scene = *state;
    publish(scene, held);
    int64_t number = add_incident(scene, "held", "boss@example.org", true, 0);
    fails(ERROR_NOT_FOUND, incident_act(scene->store, number, "delete", "anna", NULL, &error));
    assert_int_equal(count_of(scene, "SELECT open FROM incident_folder"), 1);
    /* a folder that is gone from the policies has the usual three */
    number = add_incident(scene, "gone", "boss@example.org", true, 0);
    ok(incident_act(scene->store, number, "delete", "anna", NULL, &error));
}

static void nobody_is_told_where_there_is_no_sender(void **state)
{
    struct scene *scene = *state;
    publish(scene, held);
    int64_t number = add_incident(scene, "held", "", true, 0);
    ok(incident_act(scene->store, number, "bounce", "anna", NULL, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox"), 0);
}

static void a_message_that_went_on_is_not_delivered_again(void **state)
{
    struct scene *scene = *state;
    publish(scene, held);
    int64_t number = add_incident(scene, "held", "boss@example.org", false, 0);
    ok(incident_act(scene->store, number, "approve", "anna", NULL, &error));
    number = add_incident(scene, "held", "boss@example.org", false, 0);
    ok(incident_act(scene->store, number, "bounce", "anna", NULL, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox"), 0);
    assert_int_equal(count_of(scene, "SELECT closed FROM incident_folder"), 2);
}

static void a_bounce_tells_what_was_said_and_breaks_no_line(void **state)
{
    struct scene *scene = *state;
    struct store_incident incident;
    struct buffer text = BUFFER_INIT, mail = BUFFER_INIT;
    publish(scene, held);
    int64_t number = add_incident(scene, "held", "boss@example.org", true, 0);
    ok(store_incident_get(scene->store, number, &incident, &error));
    free(incident.sender);
    incident.sender = strdup("boss@example.org\r\nBcc: eve@example.net");
    ok(incident_read_body(scene->store, &incident, SIZE_MAX, &text, &error));
    assert_true(incident_compose_bounce(&incident, &text, "Not this\nway", &mail));
    assert_non_null(strstr(mail.data, "report-type=delivery-status"));
    assert_non_null(strstr(mail.data, "Not this\r\nway\r\n"));
    assert_non_null(strstr(mail.data, "Final-Recipient: rfc822; lily@example.com\r\n"));
    assert_non_null(strstr(mail.data, "Subject: Pay\r\n"));
    assert_null(strstr(mail.data, "The salaries"));
    assert_null(strstr(mail.data, "\nBcc:"));
    buffer_clear(&mail);
    assert_true(incident_compose_forward(&incident, &text, "legal@example.com", &mail));
    assert_non_null(strstr(mail.data, "Content-Type: message/rfc822"));
    assert_non_null(strstr(mail.data, "The salaries"));
    buffer_free(&mail);
    buffer_free(&text);
    store_incident_clear(&incident);
}

/* What the marked pieces and the others are, as [marked]other. */
static void expect_marks(const char *text, const char *finds, const char *expected)
{
    struct store_incident incident = {.finds = json_loads(finds, 0, NULL)};
    char shown[400] = "";
    const json_t *piece;
    size_t index;
    assert_non_null(incident.finds);
    cleanup_json json_t *pieces = incident_mark(text, "body", &incident);
    json_array_foreach(pieces, index, piece)
    {
        bool marked = json_is_true(json_object_get(piece, "is_marked"));
        snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), marked ? "[%s]" : "%s",
                 text_of(piece, "text"));
    }
    assert_string_equal(shown, expected);
    json_decref(incident.finds);
}

static void what_was_found_is_marked_wherever_it_stands(void **state)
{
    (void)state;
    expect_marks("a Salary, salary", "[{\"part\":\"body\",\"text\":\"salary\"}]",
                 "a [Salary], [salary]");
    expect_marks("abcabc",
                 "[{\"part\":\"body\",\"text\":\"ab\"},{\"part\":\"body\",\"text\":"
                 "\"abc\"},{\"part\":\"other\",\"text\":\"c\"}]",
                 "[abc][abc]");
    expect_marks("abc", "[{\"part\":\"body\",\"text\":\"\"},{\"part\":\"body\"},7]", "abc");
    expect_marks("", "[{\"part\":\"body\",\"text\":\"x\"}]", "");
}

static void the_end_of_its_time_is_carried_out_and_told(void **state)
{
    struct scene *scene = *state;
    bool work_left;
    publish(scene, held);
    add_incident(scene, "held", "boss@example.org", true, 2 * DAY_MS);
    int64_t old = add_incident(scene, "held", "boss@example.org", true, 4 * DAY_MS);
    ok(expunge_incidents(scene->store, &work_left, &error));
    /* expired and, as it is decided and old now, gone as well */
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident"), 1);
    assert_int_equal(count_of(scene, "SELECT open FROM incident_folder"), 1);
    assert_true(old > 0);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM administrator_log"
                                     " WHERE action = 'incident.expired'"),
                     1);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox"), 0);
}

static void a_folder_may_deliver_at_the_end(void **state)
{
    struct scene *scene = *state;
    bool work_left;
    publish(scene, "{\"id\":\"held\",\"name\":\"Held\",\"quarantine\":true,\"retention_days\":1,"
                   "\"expiry\":\"deliver\"}");
    add_incident(scene, "held", "boss@example.org", true, 2 * DAY_MS);
    ok(expunge_incidents(scene->store, &work_left, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM outbox"), 1);
}

static void settings_of_a_folder_are_checked(void **state)
{
    static const char *const wrong[] = {
        "{\"name\":\"x\"}",
        "{\"id\":\"x\",\"name\":\"x\",\"retention_days\":0}",
        "{\"id\":\"x\",\"name\":\"x\",\"expiry\":\"keep\"}",
        "{\"id\":\"x\",\"name\":\"x\",\"actions\":[{\"id\":\"a\",\"name\":\"A\",\"steps\":[]}]}",
        "{\"id\":\"x\",\"name\":\"x\",\"actions\":[{\"id\":\"a\",\"name\":\"A\",\"steps\":"
        "[{\"do\":\"route\"}]}]}",
        "{\"id\":\"x\",\"name\":\"x\",\"actions\":[{\"id\":\"a\",\"name\":\"A\",\"steps\":"
        "[{\"do\":\"explode\"}]}]}",
    };
    struct incident_folder *folder = calloc(1, sizeof(*folder));
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cleanup_json json_t *value = json_loads(wrong[i], 0, NULL);
        fails(ERROR_INVALID, incident_folder_read(value, folder, &error));
    }
    fails(ERROR_INVALID, incident_step_check(INCIDENT_FORWARD, "no address", &error));
    fails(ERROR_INVALID, incident_step_check(INCIDENT_ROUTE, "no host at all", &error));
    ok(incident_step_check(INCIDENT_ARCHIVE, "archive@example.com", &error));
    ok(incident_step_check(INCIDENT_ROUTE, "mx:example.com", &error));
    free(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        scene_test(an_action_that_decides_nothing_leaves_it_open),
        scene_test(what_the_folder_does_not_offer_is_not_done),
        scene_test(nobody_is_told_where_there_is_no_sender),
        scene_test(a_message_that_went_on_is_not_delivered_again),
        scene_test(a_bounce_tells_what_was_said_and_breaks_no_line),
        cmocka_unit_test(what_was_found_is_marked_wherever_it_stands),
        scene_test(the_end_of_its_time_is_carried_out_and_told),
        scene_test(a_folder_may_deliver_at_the_end),
        cmocka_unit_test(settings_of_a_folder_are_checked),
    };
    return cmocka_run_group_tests_name("incidents", tests, open_group, close_group);
}

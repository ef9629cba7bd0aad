/* Mailed links: who holds one, what it shows, and that it acts once; and the pages of what filters
 * refer to. */
#include "test_pages_scene.h"

#include "controlcenter/mail/mailed_link.h"
#include "controlcenter/store/messages.h"
#include "controlcenter/store/notifications.h"
#include "controlcenter/store/notifications_internal.h"
#include "controlcenter/store/policies.h"

#include <pthread.h>
#include <stdatomic.h>

#define SUBJECT "Salaries of March"
#define DAY_MS INT64_C(86400000)

json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem);
json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem)
{
    (void)fleet, (void)scanner_id, (void)target, (void)request, (void)wait_ms;
    error_set(problem, ERROR_TIMEOUT, NULL, "no answer");
    return NULL;
}

static const char *one_text(struct scene *scene, const char *sql, char text[200])
{
    PGconn *connection = store_take(scene->store, NULL);
    PGresult *result = PQexec(connection, sql);
    snprintf(text, 200, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    store_give(scene->store, connection);
    return text;
}

/* --- an incident with links --- */

struct mailed {
    char scanner_id[37];
    int64_t incident;
};

static void add_incident(struct console *console, struct mailed *mailed)
{
    static const char text[] = "Subject: " SUBJECT "\r\n\r\nthe salary\r\n";
    char id[37];
    int has = 0;
    new_id(id);
    add_scanner(console, "mx1.example.org", "{}", mailed->scanner_id);
    cleanup_json json_t *info =
        json_pack("{s:s,s:s,s:s,s:b,s:[{s:s,s:s}],s:[],s:s,s:[s],s:s,s:s}", "kind", "incident",
                  "folder", "held", "folder_name", "Held for review", "quarantine", 1, "filters",
                  "id", "pay", "name", "Payroll", "finds", "sender", "boss@example.org",
                  "recipients", "rose@example.com", "subject", SUBJECT, "direction", "inbound");
    struct store *store = console->scene->store;
    ok(store_message_chunk(store, id, mailed->scanner_id, 0, text, strlen(text), &has, &error));
    ok(store_message_complete(store, id, mailed->scanner_id, info, (int64_t)strlen(text), &error));
    mailed->incident = count_of(console->scene, "SELECT max(number) FROM incident");
}

/* Sends a notification with one link, and gives the link's path. */
static void mail_link(struct console *console, const struct mailed *mailed, const char *action,
                      int64_t expires_at, char path[100])
{
    struct store *store = console->scene->store;
    struct store_transaction transaction;
    struct store_notification *list;
    struct mailed_link_key key;
    char token[MAILED_LINK_SIZE], message[37];
    size_t count;
    new_id(message);
    cleanup_json json_t *notify = json_pack("[{s:s,s:s,s:[s],s:[i]}]", "template", "t", "filter",
                                            "pay", "to", "legal@example.com", "recipients", 0);
    ok(store_begin(store, &transaction, &error));
    ok(store_finish(&transaction,
                    store_notification_insert(transaction.connection, mailed->scanner_id, message,
                                              notify, &error),
                    &error));
    ok(store_notification_take(store, 60, 10, &list, &count, &error));
    assert_int_equal(count, 1);
    ok(mailed_link_key_read(store, &key, &error));
    mailed_link_make(&key, token);
    struct store_link_new link = {.incident = mailed->incident,
                                  .action = action,
                                  .mailed_to = "legal@example.com",
                                  .expires_at = expires_at};
    mailed_link_hash(token, link.token_hash);
    ok(store_notification_sent(store, list[0].id, NULL, 0, &link, 1, &error));
    fails(ERROR_EXISTS, store_notification_sent(store, list[0].id, NULL, 0, &link, 1, &error));
    store_notification_list_free(list, count);
    snprintf(path, 100, "/link/%s", token);
}

static int64_t tomorrow(void)
{
    return timestamp_now_ms() + DAY_MS;
}

static void looking_changes_nothing_however_often(void **state)
{
    struct console *console = *state;
    struct mailed mailed;
    char path[100], text[200];
    add_incident(console, &mailed);
    mail_link(console, &mailed, "view", tomorrow(), path);
    for (int i = 0; i < 3; i++) {
        get(console, path);
        assert_status(console, 200);
        assert_shows(console, SUBJECT);
        assert_hides(console, "<form method=\"post\" action=\"/link/");
    }
    post(console, path, "");
    assert_status(console, 403); /* no form was shown, so there is no secret */
    assert_string_equal(one_text(console->scene, "SELECT state FROM incident", text), "open");
    assert_int_equal(
        count_of(console->scene, "SELECT count(*) FROM mailed_link_use WHERE what = 'looked'"), 3);
}

/* Those who send a link's form at the same moment. */
struct crowd {
    struct store *store;
    int64_t link;
    atomic_int used, late;
};

static void *use_often(void *argument)
{
    struct crowd *crowd = argument;
    for (int i = 0; i < 63; i++) {
        struct error problem = {0};
        if (store_link_use(crowd->store, crowd->link, "192.0.2.1", &problem))
            atomic_fetch_add(&crowd->used, 1);
        else if (problem.code == ERROR_EXISTS)
            atomic_fetch_add(&crowd->late, 1);
    }
    return NULL;
}

static void of_a_thousand_at_once_one_uses_a_link(void **state)
{
    struct console *console = *state;
    struct mailed mailed;
    char path[100];
    pthread_t threads[16];
    add_incident(console, &mailed);
    mail_link(console, &mailed, "approve", tomorrow(), path);
    struct crowd crowd = {.store = console->scene->store,
                          .link = count_of(console->scene, "SELECT max(id) FROM mailed_link")};
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_often, &crowd), 0);
    for (size_t i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.used), 1);
    assert_int_equal(atomic_load(&crowd.late), 16 * 63 - 1);
}

/* Rights are the administrators'; who holds a link needs none. */
static void a_link_is_not_bound_by_the_rights_of_its_folder(void **state)
{
    struct console *console = *state;
    struct store *store = console->scene->store;
    struct mailed mailed;
    int64_t revision, version;
    char path[100], text[200];
    cleanup_json json_t *old = NULL;
    cleanup_json json_t *draft =
        json_pack("{s:[{s:s,s:s,s:b,s:[s]}]}", "folders", "id", "held", "name", "Held",
                  "quarantine", 1, "administrators", "eve");
    add_incident(console, &mailed);
    mail_link(console, &mailed, "approve", tomorrow(), path);
    ok((old = store_policy_draft(store, &revision, &error)) != NULL);
    ok(store_policy_draft_put(store, draft, revision, "test", NAME, &error));
    cleanup_json json_t *put = NULL;
    ok((put = store_policy_draft(store, &revision, &error)) != NULL);
    ok(store_policy_publish(store, revision, "", NAME, &version, &error));
    get(console, path);
    assert_status(console, 200);
    assert_shows(console, SUBJECT);
    post(console, path, "comment=it+is+fine");
    assert_status(console, 200);
    assert_string_equal(one_text(console->scene, "SELECT state FROM incident", text), "approved");
}

static void acting_asks_first_and_works_once(void **state)
{
    struct console *console = *state;
    struct mailed mailed;
    char path[100], text[200];
    add_incident(console, &mailed);
    mail_link(console, &mailed, "approve", tomorrow(), path);
    get(console, path);
    assert_status(console, 200);
    assert_shows(console, "Nothing has been done yet");
    assert_string_equal(one_text(console->scene, "SELECT state FROM incident", text), "open");
    post(console, path, "comment=it+is+fine");
    assert_status(console, 200);
    assert_shows(console, "done");
    assert_string_equal(one_text(console->scene, "SELECT state FROM incident", text), "approved");
    assert_string_equal(one_text(console->scene, "SELECT decided_by FROM incident", text),
                        "legal@example.com");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM outbox"), 1);
    get(console, path);
    assert_status(console, 410);
    assert_shows(console, "used already");
    post(console, path, "");
    assert_status(console, 410);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM outbox"), 1);
}

static void who_was_slower_is_told_who_decided(void **state)
{
    struct console *console = *state;
    struct mailed mailed;
    char approve[100], reject[100];
    add_incident(console, &mailed);
    mail_link(console, &mailed, "approve", tomorrow(), approve);
    mail_link(console, &mailed, "reject", tomorrow(), reject);
    get(console, approve);
    post(console, approve, "");
    assert_status(console, 200);
    get(console, reject);
    assert_status(console, 410);
    assert_shows(console, "by legal@example.com");
}

static void what_is_over_is_removed_a_few_at_a_time(void **state)
{
    struct console *console = *state;
    struct store *store = console->scene->store;
    struct mailed mailed;
    char path[100];
    int64_t removed, later = tomorrow() + DAY_MS;
    add_incident(console, &mailed);
    for (int i = 0; i < 3; i++)
        mail_link(console, &mailed, "view", tomorrow(), path);
    ok(store_link_expunge(store, timestamp_now_ms(), 2, &removed, &error));
    assert_int_equal(removed, 0);
    ok(store_link_expunge(store, later, 2, &removed, &error));
    assert_int_equal(removed, 2);
    ok(store_link_expunge(store, later, 2, &removed, &error));
    assert_int_equal(removed, 1);
    ok(store_notification_expunge(store, later, 2, &removed, &error));
    assert_int_equal(removed, 2);
    ok(store_notification_expunge(store, later, 2, &removed, &error));
    assert_int_equal(removed, 1);
}

static void what_is_no_link_any_more_says_so(void **state)
{
    struct console *console = *state;
    struct mailed mailed;
    char path[100];
    add_incident(console, &mailed);
    mail_link(console, &mailed, "approve", timestamp_now_ms() - 1000, path);
    get(console, path);
    assert_status(console, 410);
    assert_shows(console, "Its time is over");
    mail_link(console, &mailed, "approve", tomorrow(), path);
    path[10] = path[10] == 'A' ? 'B' : 'A';
    get(console, path);
    assert_status(console, 404);
    assert_shows(console, "was changed on the way");
    get(console, "/link/x");
    assert_status(console, 404);
    mail_link(console, &mailed, "no-such-action", tomorrow(), path);
    get(console, path);
    assert_status(console, 410);
    assert_shows(console, "does not offer this action");
    assert_int_equal(
        count_of(console->scene,
                 "SELECT count(*) FROM administrator_log WHERE action = 'link.refused'"),
        2);
}

static void made_up_links_do_not_fill_the_log(void **state)
{
    struct console *console = *state;
    for (int i = 0; i < 200; i++)
        get(console, "/link/made-up");
    assert_status(console, 404);
    assert_in_range(
        count_of(console->scene,
                 "SELECT count(*) FROM administrator_log WHERE action = 'link.refused'"),
        1, 120);
}

/* --- what filters refer to --- */

static void own_things_are_kept_and_shown(void **state)
{
    static const struct {
        const char *path, *fields, *shown;
    } cases[] = {
        {"/policies/lists",
         "name=Drawings&extensions=dwg%0Adxf&names=&media_types=&types=", "dwg, dxf"},
        {"/policies/dictionaries", "name=Secrets&words=top+secret+%7C+5%0Aproject+x&whole_words=on",
         ">(2)<"},
        {"/policies/patterns", "name=Badge&expression=%5CbB%5Cd%7B6%7D%5Cb&check=none",
         "\\bB\\d{6}\\b"},
        {"/policies/annotations", "name=Footer&text=Sent+by+us&html=&place=bottom", "Sent by us"},
        {"/policies/templates",
         "name=Notice&language=en&subject=Held%3A+%7B%7Bsubject%7D%7D&text=See+%7B%7Blink_view%7D%"
         "7D"
         "&html=",
         "Held: {{subject}}"},
    };
    struct console *console = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[100], kept[120];
        snprintf(path, sizeof(path), "%s/new", cases[i].path);
        get(console, path);
        assert_status(console, 200);
        post(console, path, cases[i].fields);
        snprintf(kept, sizeof(kept), "%s?done=kept", cases[i].path);
        assert_leads_to(console, kept);
        get(console, cases[i].path);
        assert_shows(console, cases[i].shown);
        post(console, path, cases[i].fields);
        assert_status(console, 422); /* the name is taken */
        assert_shows(console, "id=\"error-name\"");
    }
}

static void mistakes_are_named_at_their_field(void **state)
{
    static const struct {
        const char *path, *fields, *shown;
    } cases[] = {
        {"/policies/lists/new", "name=A", "id=\"error-extensions\""},
        {"/policies/dictionaries/new", "name=A&words=", "id=\"error-words\""},
        {"/policies/dictionaries/new", "name=A&words=a+%7C+many", "Line 1, “a”"},
        {"/policies/patterns/new", "name=A&expression=a(b&check=none", "id=\"error-expression\""},
        {"/policies/annotations/new", "name=A&text=", "id=\"error-text\""},
        {"/policies/templates/new", "name=A&subject=x&text=%7B%7Bnothing%7D%7D",
         "there is no value &quot;nothing&quot;"},
        {"/policies/templates/new", "name=A&subject=&text=x", "id=\"error-subject\""},
        {"/policies/notifications", "url=http%3A%2F%2Fa&from=&days=3", "id=\"error-url\""},
        {"/policies/notifications", "url=&from=nobody&days=3", "id=\"error-from\""},
        {"/policies/notifications", "url=&from=&days=0", "id=\"error-days\""},
    };
    struct console *console = *state;
    get(console, "/policies/lists/new");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        continue;
        post(console, cases[i].path, cases[i].fields);
        assert_status(console, 422);
        assert_shows(console, cases[i].shown);
    }
}

static void gatehouses_own_are_shown_and_copied(void **state)
{
    struct console *console = *state;
    get(console, "/policies/lists");
    assert_shows(console, "Premium");
    get(console, "/policies/lists/premium/premium.executables");
    assert_status(console, 200);
    assert_shows(console, "readonly");
    post(console, "/policies/lists/named/premium.executables/copy", "");
    assert_leads_to(console, "/policies/lists?done=copied");
    get(console, "/policies/lists");
    assert_shows(console, "(copy)");
    get(console, "/policies/lists/premium/premium.nothing");
    assert_status(console, 404);
    post(console, "/policies/lists/named/premium.executables/remove", "");
    assert_status(console, 404);
}

static void what_is_in_use_stays_and_says_where(void **state)
{
    struct console *console = *state;
    char id[200], path[300], fields[500];
    get(console, "/policies/annotations/new");
    post(console, "/policies/annotations/new", "name=Footer&text=x&html=&place=bottom");
    one_text(console->scene, "SELECT document->'annotations'->0->>'id' FROM policy_draft", id);
    snprintf(fields, sizeof(fields),
             "name=Uses+it&enabled=on&direction_inbound=on&match=all&conditions=0&actions=1"
             "&a0_action=annotate&a0_id=%s&a0_annotation=%s&then=continue&do=save",
             id, id);
    post(console, "/policies/filters/new", fields);
    assert_leads_to(console, "/policies/filters?done=kept");
    snprintf(path, sizeof(path), "/policies/annotations/named/%s/remove", id);
    get(console, path);
    assert_shows(console, "Uses it");
    post(console, path, "");
    assert_status(console, 409);
    assert_shows(console, "Uses it");
}

static void a_template_is_previewed_without_being_kept(void **state)
{
    struct console *console = *state;
    get(console, "/policies/templates/new");
    assert_shows(console, "{{link_approve}}");
    post(console, "/policies/templates/new",
         "name=N&language=en&subject=About+%7B%7Bsubject%7D%7D&text=t&html=&preview=on");
    assert_status(console, 200);
    assert_shows(console, "About [subject]");
    get(console, "/policies/templates");
    assert_shows(console, "There is none yet");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        signed_in_page_test(looking_changes_nothing_however_often),
        signed_in_page_test(of_a_thousand_at_once_one_uses_a_link),
        signed_in_page_test(a_link_is_not_bound_by_the_rights_of_its_folder),
        signed_in_page_test(acting_asks_first_and_works_once),
        signed_in_page_test(who_was_slower_is_told_who_decided),
        signed_in_page_test(what_is_over_is_removed_a_few_at_a_time),
        signed_in_page_test(what_is_no_link_any_more_says_so),
        signed_in_page_test(own_things_are_kept_and_shown),
        signed_in_page_test(made_up_links_do_not_fill_the_log),
        signed_in_page_test(mistakes_are_named_at_their_field),
        signed_in_page_test(gatehouses_own_are_shown_and_copied),
        signed_in_page_test(what_is_in_use_stays_and_says_where),
        signed_in_page_test(a_template_is_previewed_without_being_kept),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

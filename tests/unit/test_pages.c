/* The console's pages over a real database. */
#include "test_pages_scene.h"

#include <unistd.h>

#define HEALTHY                                                                                    \
    "{\"mta\":{\"queues\":{\"i_qmsgs\":3,\"o_qmsgs\":1,\"d_qmsgs\":1204},\"sessions\":2},"         \
    "\"engine\":{\"signatures\":{\"source\":\"clamav\",\"version\":27000,\"count\":8000000,"       \
    "\"built_at\":\"2999-01-01T00:00:00.000Z\"},\"workers\":{\"count\":2,\"busy\":0},"             \
    "\"loading\":false,\"problem\":\"\"},"                                                         \
    "\"supervisor\":{\"services\":{\"mta\":{\"state\":\"running\",\"pid\":7}}}}"

/* Entries of the lists of addresses are named in the query. */
static const char *entry_of(const char *path)
{
    const char *last = strrchr(path, '/');
    bool names_one = strcmp(last, "/edit") == 0 || strcmp(last, "/remove") == 0;
    return !names_one                               ? ""
           : strncmp(path, "/aliases", 8) == 0      ? "?key=all%40example.com"
           : strncmp(path, "/masquerades", 12) == 0 ? "?key=%40in.example.com"
                                                    : "";
}

/* A path for a route: what is captured names something that is there. */
static void path_of(const struct http_route *route, const char *host, const char *message,
                    char path[256])
{
    const char *colon = strchr(route->path, ':');
    const char *value = strncmp(route->path, "/hosts", 6) == 0           ? host
                        : strncmp(route->path, "/audit", 6) == 0         ? message
                        : strncmp(route->path, "/certificates", 13) == 0 ? "1"
                        : strncmp(route->path, "/directory/s", 12) == 0  ? "1"
                        : strncmp(route->path, "/malware/s", 10) == 0    ? "1"
                                                                         : "example.com";
    if (colon)
        snprintf(path, 256, "%.*s%s%s", (int)(colon - route->path), route->path, value,
                 colon + strcspn(colon, "/"));
    else
        snprintf(path, 256, "%s%s", route->path, entry_of(route->path));
}

/* --- who asks --- */

static void without_a_session_every_page_leads_to_the_sign_in(void **state)
{
    struct console *console = *state;
    char path[256];
    for (const struct http_route *route = page_routes; route->path; route++) {
        if (route->access == HTTP_PUBLIC)
            continue;
        path_of(route, SCANNER, SCANNER, path);
        ask(console, route->method == HTTP_GET ? "GET" : "POST", path, NULL, NULL);
        assert_status(console, 303);
        if (strncmp(header_of(console, "Location"), "/sign-in", 8) != 0)
            fail_msg("%s leads to %s", path, header_of(console, "Location"));
    }
    get(console, "/audit?sender=a%26b");
    assert_leads_to(console, "/sign-in?next=%2Faudit%3Fsender%3Da%2526b");
}

static void forms_without_their_secret_are_refused(void **state)
{
    struct console *console = *state;
    char path[256], host[37];
    static const char wrong[] = "0000000000000000000000000000000000000000000000000000000000000000";
    sign_in(console);
    add_scanner(console, "mx1.example.com", HEALTHY, host);
    for (const struct http_route *route = page_routes; route->path; route++) {
        if (route->method != HTTP_POST)
            continue;
        path_of(route, host, SCANNER, path);
        ask(console, "POST", path, "name=example.com&kind=mx&virus=deliver", NULL);
        assert_status(console, 403);
        ask(console, "POST", path, "name=example.com&kind=mx&virus=deliver", wrong);
        assert_status(console, 403);
        assert_shows(console, "Nothing was changed");
    }
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM domain"), 0);
    get(console, "/");
    ask(console, "POST", "/domains/new", "name=example.com&kind=mx", console->csrf);
    assert_leads_to(console, "/domains?done=added");
}

/* --- every page --- */

static const char *const code_marks[] = {"<style",  " style=",   "<script>",    " onclick",
                                         " onload", " onsubmit", "javascript:", NULL};

static void check_page(const struct console *console)
{
    static const char *const headers[] = {"Content-Security-Policy", "Strict-Transport-Security",
                                          "X-Content-Type-Options", "Referrer-Policy"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (!header_of(console, headers[i]))
            fail_msg("%s has no %s", console->request.path, headers[i]);
    assert_string_equal(header_of(console, "Cache-Control"), "no-store");
    assert_non_null(strstr(header_of(console, "Content-Security-Policy"), "default-src 'self'"));
    assert_null(strstr(header_of(console, "Content-Security-Policy"), "unsafe"));
    for (size_t i = 0; code_marks[i]; i++)
        assert_hides(console, code_marks[i]);
    assert_shows(console, "<!doctype html>");
    assert_shows(console, "<main id=\"main\"");
    assert_shows(console, "</html>");
    assert_hides(console, "{{");
}

/* What a scanner must be asked for, and what needs things of the draft or an incident: those pages
 * have test programs of their own. A template's page names values as they are written. */
static bool is_tested_elsewhere(const char *path)
{
    static const char *const starts[] = {"/queues/:",
                                         "/link/",
                                         "/incidents/:",
                                         "/policies/templates/new",
                                         "/policies/history/compare",
                                         NULL};
    for (size_t i = 0; starts[i]; i++)
        if (strncmp(path, starts[i], strlen(starts[i])) == 0)
            return true;
    return strchr(path, ':') &&
           (strncmp(path, "/policies/", 10) == 0 || strncmp(path, "/incidents/", 11) == 0);
}

static void every_page_answers_with_the_headers_of_safety(void **state)
{
    struct console *console = *state;
    struct batch batch = {0};
    char path[256], host[37], message[37], text[] = "Test.Name:0:*:6162636465666768\n";
    const struct store_signature_file signatures = {
        .name = "own.ndb", .text = text, .size = sizeof text - 1, .signatures = 1};
    int pages = 0;
    sign_in(console);
    add_scanner(console, "mx1.example.com", HEALTHY, host);
    post(console, "/domains/new", "name=example.com&kind=relay&relays=192.0.2.1%0a[2001:db8::1]");
    post(console, "/delivery-security/policies", "policy_domain=example.com&policy_tls=verified");
    assert_leads_to(console, "/delivery-security?done=added");
    post(console, "/certificates/new", "kind=request&names=mx1.example.com&days=30");
    assert_leads_to(console, "/certificates/1?done=request_made");
    post(console, "/aliases/new", "key=all@example.com&to=a@example.com");
    post(console, "/masquerades/new", "key=@in.example.com&to=@example.com");
    post(console, "/directory/new", "name=People&server=ldap://192.0.2.1");
    assert_leads_to(console, "/directory?done=added");
    post(console, "/directory/users", "name=example.com&password=" PASSWORD "&again=" PASSWORD);
    assert_leads_to(console, "/directory/users?done=added");
    ok(store_signature_put(console->scene->store, &signatures, NAME, &error));
    new_id(message);
    add_received(&batch, message, "a@example.org", "b@example.com", NULL);
    add_scanned(&batch, message, "clean", "Figures");
    add_delivery(&batch, message, 0, "b@example.com", "delivered", "250 2.0.0 Ok");
    write_batch(console->scene->store, "s", &batch);
    for (const struct http_route *route = page_routes; route->path; route++) {
        if (route->method != HTTP_GET || is_tested_elsewhere(route->path))
            continue;
        path_of(route, host, message, path);
        get(console, path);
        assert_status(console, 200);
        if (strncmp(console->response.content_type, "text/html", 9) != 0)
            continue;
        check_page(console);
        pages++;
    }
    assert_true(pages >= 15);
}

static void what_does_not_exist_is_said_by_a_page(void **state)
{
    struct console *console = *state;
    static const char *const paths[] = {"/nothing",          "/audit/" SCANNER,
                                        "/audit/no-id",      "/hosts/" SCANNER,
                                        "/hosts/x/settings", "/domains/named/nowhere.example"};
    sign_in(console);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        get(console, paths[i]);
        assert_status(console, 404);
        check_page(console);
        assert_shows(console, "Nothing here");
    }
    ask(console, "PUT", "/hosts", NULL, console->csrf);
    assert_status(console, 405);
    assert_shows(console, "That did not work");
}

/* --- hostile text --- */

#define ATTACK "\"><script>alert(1)</script>'&{{csrf}}<img src=x onerror=alert(1)>"

static void add_hostile_message(struct console *console, char id[37])
{
    struct batch batch = {0};
    new_id(id);
    json_t *received = received_members(ATTACK "@example.org", ATTACK "@example.com", NULL);
    json_object_set_new(received, "helo", json_string(ATTACK));
    json_object_set_new(received, "protocol", json_string("<b>ESMTP</b>"));
    json_object_set_new(received, "tls", json_string("<b>TLS</b>"));
    add(&batch, "received", id, received);
    add_scanned(&batch, id, "virus", ATTACK);
    json_t *scanned = json_array_get(batch.events, 1);
    json_object_set_new(scanned, "threats",
                        json_pack("[{s:s,s:s}]", "name", ATTACK, "part", ATTACK));
    json_object_set_new(scanned, "reason", json_string(ATTACK));
    json_object_set_new(scanned, "from", json_string(ATTACK));
    json_object_set_new(scanned, "message_id", json_string(ATTACK));
    add_delivery(&batch, id, 0, ATTACK "@example.com", "failed", "550 " ATTACK);
    json_object_set_new(json_array_get(batch.events, 2), "host", json_string(ATTACK));
    write_batch(console->scene->store, "s", &batch);
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM audit_rejected"), 0);
}

static void assert_harmless(const struct console *console)
{
    assert_status(console, 200);
    assert_hides(console, "<script>alert");
    assert_hides(console, "<img src=x");
    assert_hides(console, "<b>");
    assert_shows(console, "&lt;script&gt;alert(1)&lt;/script&gt;");
}

static void a_deferral_is_told_as_the_log_of_the_scanner_does(void **state)
{
    static const char reply[] =
        "451 4.4.1 [internal] No valid hosts (too many connection failures)";
    struct console *console = *state;
    struct batch batch = {0};
    char id[37], path[64];
    sign_in(console);
    new_id(id);
    add_received(&batch, id, "a@example.org", "b@example.com", NULL);
    add_delivery(&batch, id, 0, "b@example.com", "deferred", reply);
    json_object_set_new(json_array_get(batch.events, 1), "security", json_string("mta-sts"));
    write_batch(console->scene->store, "s", &batch);
    snprintf(path, sizeof path, "/audit/%s", id);
    get(console, path);
    assert_shows(console, "Temporary delivery failure, sender: a@example.org, recipient: "
                          "b@example.com, Detail: 451 4.4.1 [internal] No valid hosts (too many "
                          "connection failures)");
    assert_shows(console, "demanded: mta-sts");
}

static void what_content_filters_found_is_told(void **state)
{
    struct console *console = *state;
    struct batch batch = {0};
    char id[37], other[37], path[128], detail[100];
    sign_in(console);
    new_id(id);
    new_id(other);
    add_received(&batch, id, "a@example.org", "b@example.com", "c@example.com");
    add(&batch, "filters", id,
        json_pack("{s:[{s:[i],s:s,s:[{s:s,s:s}],s:s,s:[s]}],s:[{s:s,s:s,s:s,s:s}],"
                  "s:[{s:s,s:[s],s:[i]}]}",
                  "outcomes", "recipients", 1, "disposition", "hold", "filters", "id", "pay",
                  "name", "Payroll", "decided_by", "pay", "copies", other, "finds", "name",
                  "Payroll", "part", "list.xlsx", "field", "body", "text", "<b>salary", "notify",
                  "template", "t1", "to", "sender", "recipients", 1));
    add(&batch, "incident", id,
        json_pack("{s:s,s:s,s:b,s:[i],s:s}", "folder", "legal", "folder_name", "Legal",
                  "quarantine", 1, "recipients", 1, "copy", other));
    snprintf(detail, sizeof detail, "goes on as message %s", other);
    add(&batch, "action", id,
        json_pack("{s:s,s:s,s:[i],s:s}", "action", "move", "policy", "filter: Payroll",
                  "recipients", 0, "detail", detail));
    write_batch(console->scene->store, "s", &batch);
    snprintf(path, sizeof path, "/audit/%s", id);
    get(console, path);
    assert_status(console, 200);
    assert_shows(console, "<p>hold as an incident");
    assert_shows(console, "<span class=\"tag\">Payroll (decided)</span>");
    assert_shows(console, "Payroll, body, in list.xlsx: <mark>&lt;b&gt;salary</mark>");
    assert_shows(console, "Held in the folder Legal");
    assert_shows(console, "goes on as another message");
    snprintf(path, sizeof path, "<a href=\"/audit/%s\">The other message</a>", other);
    assert_shows(console, path);
}

static void hostile_text_is_shown_as_text(void **state)
{
    struct console *console = *state;
    char id[37], path[64];
    sign_in(console);
    add_hostile_message(console, id);
    get(console, "/audit");
    assert_harmless(console);
    snprintf(path, sizeof path, "/audit/%s", id);
    get(console, path);
    assert_harmless(console);
    get(console, "/audit?subject=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
    assert_harmless(console);
    get(console, "/domains?search=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
    assert_status(console, 200);
    assert_hides(console, "<script>alert");
    get(console, "/?done=%3Cscript%3Ealert(1)%3C/script%3E");
    assert_hides(console, "<script>alert");
}

static void a_host_that_lies_about_itself_breaks_no_page(void **state)
{
    struct console *console = *state;
    static const char *const statuses[] = {
        "{\"mta\":\"unknown\",\"engine\":\"unknown\",\"supervisor\":\"unknown\"}",
        "{}",
        "{\"mta\":[],\"engine\":{\"signatures\":7,\"workers\":[1]},\"supervisor\":{\"services\":[]}"
        "}",
        "{\"mta\":{\"queues\":{\"i_qmsgs\":-1,\"o_qmsgs\":1e99,\"d_qmsgs\":\"<b>9\"},"
        "\"disk_free_bytes\":true},\"supervisor\":{\"services\":{\"<b>x\":{\"state\":\"<b>y\","
        "\"since\":9,\"restarts\":-4},\"y\":null}},"
        "\"engine\":{\"problem\":\"<b>\\u0007z\",\"signatures\":{\"source\":\"clamav\","
        "\"built_at\":\"soon\"}},\"events\":{\"problem\":{}}}",
    };
    sign_in(console);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char id[37], path[64], host[32];
        snprintf(host, sizeof host, "mx%zu.example.com", i);
        add_scanner(console, host, statuses[i], id);
        snprintf(path, sizeof path, "/hosts/%s", id);
        get(console, path);
        assert_status(console, 200);
        assert_hides(console, "<b>");
        assert_shows(console, "<dt>Delivery queue</dt><dd><span class=\"none\">unknown</span>");
    }
    get(console, "/hosts");
    assert_status(console, 200);
    assert_hides(console, "<b>");
    get(console, "/");
    assert_status(console, 200);
    assert_hides(console, "<b>");
    assert_shows(console, "<dt>Delivery</dt><dd><span class=\"none\">unknown</span>");
}

static void a_host_page_names_the_directory_that_does_not_answer(void **state)
{
    struct console *console = *state;
    char id[37], path[64];
    sign_in(console);
    add_scanner(console, "mx1.example.com",
                "{\"mta\":{},\"engine\":{\"signatures\":{\"source\":\"clamav\"}},"
                "\"directory\":{\"sources\":[{\"name\":\"People\",\"answers\":true,\"asked\":12},"
                "{\"name\":\"<b>Branch\",\"answers\":false,\"asked\":5,\"failed\":4},7]},"
                "\"supervisor\":{\"services\":{}}}",
                id);
    snprintf(path, sizeof path, "/hosts/%s", id);
    get(console, path);
    assert_shows(console, "Directories");
    assert_shows(console, "The directory <q>&lt;b&gt;Branch</q> does not answer");
    assert_hides(console, "The directory <q>People</q>");
    assert_hides(console, "<b>Branch");
}

/* --- the dashboard --- */

static void the_dashboard_says_that_signatures_are_missing(void **state)
{
    struct console *console = *state;
    char id[37];
    sign_in(console);
    add_scanner(console, "mx1.example.com", HEALTHY, id);
    get(console, "/");
    assert_hides(console, "Needs attention");
    assert_shows(console, "1,204");
    add_scanner(console, "mx2.example.com",
                "{\"mta\":{\"queues\":{\"i_qmsgs\":0,\"o_qmsgs\":0,\"d_qmsgs\":0}},"
                "\"engine\":{\"signatures\":{\"source\":\"builtin\",\"version\":1,\"count\":1,"
                "\"built_at\":\"2026-01-01T00:00:00.000Z\"}},\"supervisor\":{\"services\":{}}}",
                id);
    get(console, "/");
    assert_shows(console, "Needs attention");
    assert_shows(console, "Virus signatures are missing.");
}

static void the_dashboard_names_a_host_that_went_silent_or_refused_its_configuration(void **state)
{
    struct console *console = *state;
    char id[37];
    int64_t version = 0;
    sign_in(console);
    add_scanner(console, "mx1.example.com", HEALTHY, id);
    ok(store_configuration_version(console->scene->store, &version, &error));
    cleanup_json json_t *status = json_loads(HEALTHY, 0, NULL);
    ok(store_scanner_seen(console->scene->store, id, 0, version, "port 25 is <taken>", "0.1.0",
                          status, &error));
    get(console, "/");
    assert_shows(console, "push failed");
    assert_shows(console, "port 25 is &lt;taken&gt;");
    count_of(console->scene, "UPDATE scanner SET seen_at = now() - interval '5 minutes'");
    get(console, "/");
    assert_shows(console, "It has been silent since");
    assert_hides(console, "1,204");
}

/* --- settings --- */

static void a_domain_is_added_changed_and_removed(void **state)
{
    struct console *console = *state;
    sign_in(console);
    int64_t before = version_of(console->scene);
    post(console, "/domains/new",
         "name=Example.COM&kind=relay&relays=192.0.2.1%0d%0amx.example:2525");
    assert_leads_to(console, "/domains?done=added");
    get(console, "/domains?done=added");
    assert_shows(console, "/domains/named/example.com");
    assert_shows(console, "192.0.2.1:25");
    assert_shows(console, "mx.example:2525");
    assert_true(version_of(console->scene) > before);
    get(console, "/domains/named/example.com");
    assert_shows(console, "192.0.2.1:25\nmx.example:2525");
    post(console, "/domains/named/example.com", "kind=mx");
    assert_leads_to(console, "/domains?done=saved");
    get(console, "/domains");
    assert_hides(console, "192.0.2.1:25");
    post(console, "/domains/named/example.com/remove", "");
    assert_leads_to(console, "/domains?done=removed");
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM domain"), 0);
}

static void a_refused_form_keeps_what_was_typed_and_names_the_field(void **state)
{
    struct console *console = *state;
    char id[37], path[64];
    sign_in(console);
    post(console, "/domains/new", "name=bad+domain&kind=relay&relays=a%0ab%3A99999");
    assert_status(console, 422);
    assert_shows(console, "<title>Error: ");
    assert_shows(console, "value=\"bad domain\"");
    assert_shows(console, "<a href=\"#field-name\">");
    assert_shows(console, "id=\"error-relays\">Line 2 is not a host");
    assert_shows(console, "a\nb:99999</textarea>");
    post(console, "/hosts/new", "host_name=mx1.example.com&inbound=localhost&outbound=0.0.0.0:587");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-inbound\"");
    add_scanner(console, "mx1.example.com", HEALTHY, id);
    snprintf(path, sizeof path, "/hosts/%s/settings", id);
    post(console, path,
         "inbound_listeners=0.0.0.0:25&outbound_listeners=0.0.0.0:587&inbound_errors=many"
         "&outbound_networks=10.0.0.0/8%0a10.0.0.1/8");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-inbound_errors\">Write a number.");
    post(console, path,
         "inbound_listeners=0.0.0.0:25&outbound_listeners=0.0.0.0:587"
         "&outbound_networks=10.0.0.0/8%0a10.0.0.1/8");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-outbound_networks\">Line 2 ");
}

static void the_settings_of_a_host_are_saved(void **state)
{
    struct console *console = *state;
    char id[37], path[64], saved[80];
    sign_in(console);
    add_scanner(console, "mx1.example.com", HEALTHY, id);
    snprintf(path, sizeof path, "/hosts/%s/settings", id);
    snprintf(saved, sizeof saved, "/hosts/%s?done=saved", id);
    post(console, path,
         "inbound_listeners=0.0.0.0:25%0a[::]:25&outbound_listeners=&inbound_megabytes=0.5"
         "&retries=60%0a120");
    assert_leads_to(console, saved);
    get(console, path);
    assert_shows(console, "0.0.0.0:25\n[::]:25");
    assert_shows(console, "value=\"0.5\"");
    assert_shows(console, "60\n120");
    get(console, saved);
    assert_shows(console, "on its way");
}

static void an_enrolment_command_is_shown_with_its_token(void **state)
{
    struct console *console = *state;
    sign_in(console);
    post(console, "/hosts/new", "host_name=mx1.example.com&inbound=0.0.0.0:25&outbound=[::]:587");
    assert_status(console, 200);
    assert_shows(console, "gatehouse-scanner enroll --state /var/lib/gatehouse --url "
                          "https://console.example:8444 --token gh1.");
    assert_shows(console, "24 hours");
}

static void the_malware_policy_is_saved_and_shown_again(void **state)
{
    struct console *console = *state;
    sign_in(console);
    get(console, "/malware/policy");
    assert_shows(console, "value=\"delete\" checked aria-describedby=\"virus-delete-help\"");
    post(console, "/malware/policy", "virus=reject&unscannable=delete");
    assert_leads_to(console, "/malware/policy?done=saved");
    get(console, "/malware/policy?done=saved");
    assert_shows(console, "value=\"reject\" checked aria-describedby=\"virus-reject-help\"");
    assert_shows(console, "Saved.");
    post(console, "/malware/policy", "virus=explode&unscannable=delete");
    assert_status(console, 422);
    assert_shows(console, "Choose what happens to these messages.");
}

static void every_verdict_offers_its_actions_and_names_the_usual_one(void **state)
{
    static const char *const actions[] = {"delete", "reject", "clean", "quarantine", "deliver"};
    struct console *console = *state;
    sign_in(console);
    get(console, "/malware/policy");
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++) {
        const char *verdict = config_verdict_name((enum config_verdict)i);
        const char *usual = config_action_name(config_verdict_usual_action((enum config_verdict)i));
        for (size_t k = 0; k < sizeof actions / sizeof *actions; k++) {
            char input[160];
            bool senseless = i == CONFIG_VERDICT_UNSCANNABLE && strcmp(actions[k], "clean") == 0;
            snprintf(input, sizeof input, "name=\"%s\" id=\"%s-%s\" value=\"%s\"%s aria", verdict,
                     verdict, actions[k], actions[k],
                     strcmp(actions[k], usual) == 0 ? " checked" : "");
            if (senseless)
                assert_hides(console, "unscannable-clean");
            else
                assert_shows(console, input);
        }
    }
}

static void quarantine_takes_its_time_and_its_end(void **state)
{
    struct console *console = *state;
    sign_in(console);
    get(console, "/malware/policy");
    post(console, "/malware/policy",
         "suspicious_attachment=quarantine&suspicious_attachment_hours=48"
         "&suspicious_attachment_then=deliver&virus=clean");
    assert_leads_to(console, "/malware/policy?done=saved");
    assert_int_equal(
        count_of(console->scene,
                 "SELECT count(*) FROM setting WHERE key = 'policy.malware' AND value @> "
                 "'{\"suspicious_attachment\":{\"action\":\"quarantine\",\"hours\":48,"
                 "\"then\":\"deliver\"},\"virus\":{\"action\":\"clean\"}}'"),
        1);
    get(console, "/malware/policy");
    assert_shows(console, "name=\"suspicious_attachment_hours\" value=\"48\"");
    post(console, "/malware/policy", "worm=quarantine&worm_hours=721");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-worm_hours\"");
    assert_shows(console, "name=\"worm_hours\" value=\"721\"");
    post(console, "/malware/policy", "worm=quarantine&worm_then=reject");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-worm_then\"");
    post(console, "/malware/policy", "unscannable=clean");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-unscannable\"");
}

static void a_verdict_may_bypass_content_filtering(void **state)
{
    struct console *console = *state;
    sign_in(console);
    get(console, "/malware/policy");
    assert_shows(console, "id=\"field-worm_bypass\" value=\"on\" aria");
    post(console, "/malware/policy", "worm=clean&worm_bypass=on&virus=delete");
    get(console, "/malware/policy");
    assert_shows(console, "id=\"field-worm_bypass\" value=\"on\" checked");
    assert_shows(console, "id=\"field-virus_bypass\" value=\"on\" aria");
    assert_int_equal(count_of(console->scene,
                              "SELECT count(*) FROM setting WHERE key = 'policy.malware' AND"
                              " value @> '{\"worm\":{\"bypass_content\":true}}'"),
                     1);
    post(console, "/malware/policy", "worm=clean");
    get(console, "/malware/policy");
    assert_shows(console, "id=\"field-worm_bypass\" value=\"on\" aria");
}

static void the_limits_of_a_scan_are_saved_within_their_ranges(void **state)
{
    struct console *console = *state;
    sign_in(console);
    get(console, "/malware/limits");
    assert_shows(console, "name=\"depth\" value=\"\" placeholder=\"20\"");
    assert_shows(console, "name=\"memory_megabytes\" value=\"\" placeholder=\"2048\"");
    post(console, "/malware/limits", "depth=3&workers=4&ratio=");
    assert_leads_to(console, "/malware/limits?done=saved");
    assert_int_equal(count_of(console->scene,
                              "SELECT count(*) FROM setting WHERE key = 'engine' AND value = "
                              "'{\"workers\":4,\"limits\":{\"depth\":3}}'"),
                     1);
    get(console, "/malware/limits");
    assert_shows(console, "name=\"depth\" value=\"3\"");
    post(console, "/malware/limits", "depth=101");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-depth\"");
    post(console, "/malware/limits", "parts=many");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-parts\"");
}

/* --- the audit log --- */

static int count_rows(const struct console *console)
{
    int rows = 0;
    for (const char *at = body_of(console); (at = strstr(at, "<td class=\"subject\">")); at++)
        rows++;
    return rows;
}

static void next_page_of(const struct console *console, char path[1024])
{
    static const char end[] = "\" rel=\"next\"";
    const char *found = strstr(body_of(console), end);
    assert_non_null(found);
    const char *start = found;
    while (start[-1] != '"')
        start--;
    size_t length = 0;
    for (; start < found && length < 1023; start++) {
        path[length++] = *start;
        if (strncmp(start, "&amp;", 5) == 0)
            start += 4;
    }
    path[length] = '\0';
}

static void the_audit_log_goes_on_where_a_page_ended(void **state)
{
    struct console *console = *state;
    struct batch batch = {0};
    char id[37], next[1024];
    int64_t now = timestamp_now_ms();
    sign_in(console);
    for (int i = 0; i < 130; i++) {
        id_at(now - i, id);
        add_received(&batch, id, i % 2 ? "a@example.org" : "A&B@example.org", "b@example.com",
                     "c@example.com");
        add_scanned(&batch, id, "clean", "Figures");
    }
    write_batch(console->scene->store, "s", &batch);
    get(console, "/audit?subject=fig");
    assert_status(console, 200);
    assert_int_equal(count_rows(console), 100);
    next_page_of(console, next);
    get(console, next);
    assert_status(console, 200);
    assert_int_equal(count_rows(console), 30);
    assert_hides(console, "rel=\"next\"");
    get(console, "/audit?sender=a%26b");
    assert_int_equal(count_rows(console), 65);
    assert_shows(console, "value=\"a&amp;b\"");
    get(console, "/audit?sender=nobody");
    assert_int_equal(count_rows(console), 0);
    assert_shows(console, "No message is like this");
}

static void a_search_for_what_cannot_be_is_refused(void **state)
{
    struct console *console = *state;
    sign_in(console);
    get(console, "/audit?ip=1.2&from=yesterday&verdict=ill&host=none");
    assert_status(console, 422);
    assert_shows(console, "Write a whole IP address");
    assert_shows(console, "Write a date");
    assert_shows(console, "Choose one of those in the list.");
    get(console, "/audit?from=2026-02-01&until=2026-01-01");
    assert_status(console, 422);
    assert_shows(console, "before its beginning");
}

/* --- without the database --- */

static void without_the_database_a_page_says_so(void **state)
{
    struct console *console = *state;
    sign_in(console);
    private_postgres_kill(console->scene->postgres);
    get(console, "/hosts");
    assert_status(console, 503);
    check_page(console);
    assert_shows(console, "Not available at the moment");
    try_sign_in(console, NAME, PASSWORD);
    assert_status(console, 503);
    get(console, "/static/console.css");
    assert_status(console, 200);
    private_postgres_start(console->scene->postgres);
    int64_t deadline = timestamp_monotonic_ms() + 15000;
    do {
        usleep(100000);
        get(console, "/hosts");
    } while (console->response.status == 503 && timestamp_monotonic_ms() < deadline);
    assert_status(console, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        page_test(without_a_session_every_page_leads_to_the_sign_in),
        page_test(forms_without_their_secret_are_refused),
        page_test(every_page_answers_with_the_headers_of_safety),
        page_test(what_does_not_exist_is_said_by_a_page),
        page_test(a_deferral_is_told_as_the_log_of_the_scanner_does),
        page_test(what_content_filters_found_is_told),
        page_test(hostile_text_is_shown_as_text),
        page_test(a_host_that_lies_about_itself_breaks_no_page),
        page_test(a_host_page_names_the_directory_that_does_not_answer),
        page_test(the_dashboard_says_that_signatures_are_missing),
        page_test(the_dashboard_names_a_host_that_went_silent_or_refused_its_configuration),
        page_test(a_domain_is_added_changed_and_removed),
        page_test(a_refused_form_keeps_what_was_typed_and_names_the_field),
        page_test(the_settings_of_a_host_are_saved),
        page_test(an_enrolment_command_is_shown_with_its_token),
        page_test(the_malware_policy_is_saved_and_shown_again),
        page_test(every_verdict_offers_its_actions_and_names_the_usual_one),
        page_test(quarantine_takes_its_time_and_its_end),
        page_test(a_verdict_may_bypass_content_filtering),
        page_test(the_limits_of_a_scan_are_saved_within_their_ranges),
        page_test(the_audit_log_goes_on_where_a_page_ended),
        page_test(a_search_for_what_cannot_be_is_refused),
        page_test(without_the_database_a_page_says_so),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

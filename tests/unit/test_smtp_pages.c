/* The pages of the SMTP settings, the mail flow, certificates, delivery security and bounce
 * protection, over a real database. */
#include "test_pages_scene.h"

#include "common/x509_bundle.h"

#define LISTENERS "inbound_listeners=0.0.0.0:25&outbound_listeners=0.0.0.0:587"

struct host {
    char id[37];
    char page[64], settings[80], flow[64], saved[80];
};

static void add_host(struct console *console, struct host *host)
{
    add_scanner(console, "mx1.example.com", "{}", host->id);
    snprintf(host->page, sizeof host->page, "/hosts/%s", host->id);
    snprintf(host->settings, sizeof host->settings, "/hosts/%s/settings", host->id);
    snprintf(host->flow, sizeof host->flow, "/hosts/%s/flow", host->id);
    snprintf(host->saved, sizeof host->saved, "/hosts/%s?done=saved", host->id);
}

static json_t *smtp_of(const struct console *console, const struct host *host)
{
    struct store_scanner scanner = {0};
    ok(store_scanner_get(console->scene->store, host->id, &scanner, &error));
    json_t *smtp = json_incref(scanner.smtp);
    store_scanner_clear(&scanner);
    return smtp;
}

static json_t *setting_of(const struct console *console, const char *key)
{
    json_t *value = NULL;
    ok((value = store_setting_get(console->scene->store, key, &error)) != NULL);
    return value;
}

static int64_t integer_at(const json_t *smtp, const char *server, const char *object,
                          const char *member)
{
    const json_t *at = json_object_get(smtp, server);
    at = object ? json_object_get(at, object) : at;
    return json_integer_value(json_object_get(at, member));
}

/* --- the settings of a host, and of all --- */

static void every_member_of_a_server_is_saved_and_shown_again(void **state)
{
    struct console *console = *state;
    struct host host;
    add_host(console, &host);
    post(console, host.settings,
         "inbound_listeners=0.0.0.0:25+proxy%0a[::]:465+TLS+proxy&outbound_listeners=0.0.0.0:587"
         "&inbound_tls=required&outbound_auth=required&inbound_proxies=10.0.0.0/8"
         "&inbound_xclient=192.0.2.1/32&inbound_messages_per_minute=30&inbound_block_seconds=60"
         "&inbound_unknown_recipients=0&ip_preference=ipv4_only&dns_validates=yes"
         "&messages_per_minute=5");
    assert_leads_to(console, host.saved);
    cleanup_json json_t *smtp = smtp_of(console, &host);
    const json_t *listener =
        json_array_get(json_object_get(json_object_get(smtp, "inbound"), "listeners"), 1);
    assert_true(json_is_true(json_object_get(listener, "implicit_tls")));
    assert_true(json_is_true(json_object_get(listener, "proxy_protocol")));
    assert_int_equal(integer_at(smtp, "inbound", "rates", "messages_per_minute"), 30);
    assert_int_equal(integer_at(smtp, "inbound", "harvest", "block_seconds"), 60);
    assert_int_equal(integer_at(smtp, "delivery", NULL, "messages_per_minute"), 5);
    get(console, host.settings);
    assert_shows(console, "0.0.0.0:25 proxy\n[::]:465 tls proxy</textarea>");
    assert_shows(console, "<option value=\"required\" selected>Required: no mail without it");
    assert_shows(console, "<option value=\"ipv4_only\" selected>");
}

static void an_empty_field_takes_the_default(void **state)
{
    struct console *console = *state;
    struct host host;
    add_host(console, &host);
    post(console, host.settings, LISTENERS "&inbound_messages_per_minute=30&inbound_tls=off");
    assert_leads_to(console, host.saved);
    post(console, host.settings, LISTENERS);
    assert_leads_to(console, host.saved);
    cleanup_json json_t *smtp = smtp_of(console, &host);
    const json_t *inbound = json_object_get(smtp, "inbound");
    assert_null(json_object_get(inbound, "rates"));
    assert_null(json_object_get(inbound, "tls"));
    get(console, host.settings);
    assert_shows(console, "default: optional");
}

static void a_listener_with_other_words_is_refused(void **state)
{
    struct console *console = *state;
    struct host host;
    static const char *const lines[] = {"0.0.0.0:25+ssl", "0.0.0.0:25+tls+tls", "0.0.0.0", "x:25+"};
    add_host(console, &host);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char fields[256];
        snprintf(fields, sizeof fields, "inbound_listeners=%s&outbound_listeners=", lines[i]);
        post(console, host.settings, fields);
        assert_status(console, 422);
        assert_shows(console, "id=\"error-inbound_listeners\">Line 1 ");
    }
}

static void a_value_that_no_scanner_takes_is_refused_at_its_field(void **state)
{
    struct console *console = *state;
    struct host host;
    add_host(console, &host);
    post(console, host.settings, LISTENERS "&inbound_window_seconds=0");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-inbound_window_seconds\"");
    post(console, host.settings, LISTENERS "&outbound_tls=maybe");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-outbound_tls\"");
    post(console, host.settings, LISTENERS "&dns_validates=maybe");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-dns_validates\"");
}

static void the_settings_of_all_hosts_stand_behind_a_hosts_own(void **state)
{
    struct console *console = *state;
    struct host host;
    add_host(console, &host);
    post(console, "/smtp", "inbound_errors=7&lifetime=3600");
    assert_leads_to(console, "/smtp?done=saved");
    get(console, host.settings);
    assert_shows(console, "placeholder=\"7\"");
    assert_shows(console, "from all hosts: 7");
    post(console, host.settings, LISTENERS "&inbound_errors=9");
    assert_leads_to(console, host.saved);
    get(console, host.settings);
    assert_shows(console, "own value of this host");
    get(console, "/smtp");
    assert_shows(console, "value=\"7\"");
    assert_shows(console, "set for all hosts");
    post(console, "/smtp", "inbound_errors=0");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-inbound_errors\"");
}

/* --- mail flow --- */

static void the_mail_flow_is_a_part_of_the_configuration_and_told_everywhere(void **state)
{
    struct console *console = *state;
    struct host host;
    add_host(console, &host);
    int64_t before = version_of(console->scene);
    post(console, host.flow, "inbound=no_accept&outbound=stopped");
    assert_leads_to(console, host.saved);
    assert_true(version_of(console->scene) > before);
    cleanup_json json_t *smtp = smtp_of(console, &host);
    const json_t *inbound = json_object_get(smtp, "inbound");
    assert_true(json_is_false(json_object_get(inbound, "accept")));
    assert_null(json_object_get(inbound, "deliver"));
    static const char *const pages[] = {"/", "/hosts"};
    for (size_t i = 0; i < 2; i++) {
        get(console, pages[i]);
        assert_shows(console, "inbound not accepted");
        assert_shows(console, "outbound stopped");
    }
    get(console, host.page);
    assert_shows(console, "value=\"no_accept\" checked");
    post(console, host.settings, LISTENERS);
    get(console, "/hosts");
    assert_shows(console, "inbound not accepted");
    post(console, host.flow, "inbound=normal&outbound=normal");
    get(console, "/hosts");
    assert_hides(console, "inbound not accepted");
    cleanup_json json_t *normal = smtp_of(console, &host);
    assert_null(json_object_get(json_object_get(normal, "inbound"), "accept"));
}

static void an_unknown_flow_changes_nothing(void **state)
{
    struct console *console = *state;
    struct host host;
    add_host(console, &host);
    int64_t before = version_of(console->scene);
    post(console, host.flow, "inbound=sideways&outbound=stopped");
    assert_leads_to(console, host.page);
    assert_true(version_of(console->scene) == before);
}

/* --- certificates --- */

/* Sends a form with a file, as browsers do. */
static void post_file(struct console *console, const char *target, const char *fields,
                      const void *data, size_t length)
{
    struct buffer body = BUFFER_INIT;
    buffer_add_format(&body, "--X\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n%s\r\n%s",
                      console->csrf, fields);
    buffer_add_text(&body,
                    "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n"
                    "Content-Type: application/octet-stream\r\n\r\n");
    buffer_add(&body, data, length);
    buffer_add_text(&body, "\r\n--X--\r\n");
    http_request_clear(&console->request);
    http_response_clear(&console->response);
    console->request = (struct http_request){0};
    http_response_init(&console->response);
    console->request.method = HTTP_POST;
    snprintf(console->request.peer, sizeof console->request.peer, "192.0.2.77");
    assert_int_equal(http_request_set_target(&console->request, target), 0);
    add_cookies(console);
    add_header(console, "Content-Type", "multipart/form-data; boundary=X");
    console->request.body_length = body.length;
    console->request.body = buffer_take(&body);
    assert_int_equal(http_request_read_cookies(&console->request), 0);
    assert_int_equal(http_request_finish(&console->request), 0);
    http_router_serve(console->router, &console->request, &console->response);
    keep_cookies(console);
    keep_csrf(console);
}

static void a_self_signed_certificate_is_made_chosen_and_kept_while_in_use(void **state)
{
    struct console *console = *state;
    struct host host;
    add_host(console, &host);
    post(console, "/certificates/new",
         "kind=self_signed&names=mail.example.com%0a192.0.2.1&days=20");
    assert_leads_to(console, "/certificates/1?done=certificate_made");
    get(console, "/certificates/1");
    assert_shows(console, "mail.example.com");
    assert_shows(console, "192.0.2.1");
    assert_shows(console, "self-signed certificate");
    get(console, "/");
    assert_hides(console, "The certificate ends soon");
    get(console, host.settings);
    assert_shows(console, "mail.example.com (does not name this host)");
    post(console, host.settings, LISTENERS "&certificate=1");
    assert_leads_to(console, host.saved);
    get(console, "/");
    assert_shows(console, "The certificate ends soon");
    post(console, "/certificates/1/remove", "");
    assert_status(console, 422);
    assert_shows(console, "It is still in use: the host mx1.example.com uses it.");
    post(console, host.settings, LISTENERS "&certificate=");
    post(console, "/certificates/1/remove", "");
    assert_leads_to(console, "/certificates?done=removed");
    post(console, host.settings, LISTENERS "&certificate=1");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-certificate\"");
}

static void no_private_key_ever_comes_back(void **state)
{
    struct console *console = *state;
    static const char *const pages[] = {"/certificates", "/certificates/1",
                                        "/certificates/1/remove"};
    post(console, "/certificates/new", "kind=request&names=mail.example.com&key=rsa");
    assert_leads_to(console, "/certificates/1?done=request_made");
    for (size_t i = 0; i < 3; i++) {
        get(console, pages[i]);
        assert_status(console, 200);
        assert_hides(console, "PRIVATE KEY");
    }
    get(console, "/certificates/1");
    assert_shows(console, "-----BEGIN CERTIFICATE REQUEST-----");
    assert_int_equal(
        count_of(console->scene,
                 "SELECT count(*) FROM administrator_log WHERE"
                 " old_value::text LIKE '%PRIVATE%' OR new_value::text LIKE '%PRIVATE%'"),
        0);
}

static void the_answer_to_a_request_has_to_belong_to_its_key(void **state)
{
    struct console *console = *state;
    const char *names[] = {"mail.example.com"};
    cleanup_free char *ca_key = x509_new_key(NULL), *ca = x509_new_ca(ca_key, "CA", 30, NULL);
    cleanup_free char *other_key = x509_new_key(NULL);
    cleanup_free char *other =
        x509_new_self_signed(other_key, "mail.example.com", names, 1, 30, NULL);
    post(console, "/certificates/new", "kind=request&names=mail.example.com");
    struct store_certificate waiting = {0};
    ok(store_certificate_get(console->scene->store, 1, &waiting, &error));
    cleanup_free char *answer = x509_sign_request(waiting.request, ca_key, ca, "mail.example.com",
                                                  X509_USE_SERVER, names, 1, 20, NULL);
    assert_non_null(answer);
    store_certificate_clear(&waiting);
    get(console, "/certificates/1");
    post_file(console, "/certificates/1/answer", "", other, strlen(other));
    assert_status(console, 422);
    assert_shows(console, "the private key belongs to none of the certificates");
    post_file(console, "/certificates/1/answer", "", answer, strlen(answer));
    assert_leads_to(console, "/certificates/1?done=certificate_made");
    get(console, "/certificates/1");
    assert_shows(console, "CN = CA");
    assert_hides(console, "CERTIFICATE REQUEST");
}

static void a_form_with_a_file_needs_its_secret(void **state)
{
    struct console *console = *state;
    get(console, "/certificates/import");
    console->csrf[0] = 'x';
    post_file(console, "/certificates/import", "", "a", 1);
    assert_status(console, 403);
}

static void an_import_needs_its_key(void **state)
{
    struct console *console = *state;
    const char *names[] = {"mail.example.com"};
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *certificate =
        x509_new_self_signed(key, "mail.example.com", names, 1, 30, NULL);
    get(console, "/certificates/import");
    post_file(console, "/certificates/import", "", certificate, strlen(certificate));
    assert_status(console, 422);
    assert_shows(console, "The private key is missing");
    struct buffer both = BUFFER_INIT;
    buffer_add_format(&both, "%s%s", key, certificate);
    post_file(console, "/certificates/import", "", both.data, both.length);
    assert_leads_to(console, "/certificates/1?done=certificate_made");
    buffer_free(&both);
    get(console, "/certificates/import");
    post_file(console, "/certificates/import", "", "\x30\x03\x02\x01\x00", 5);
    assert_status(console, 422);
    assert_shows(console, "it is no PKCS#12 file");
}

/* --- delivery security, bounce protection --- */

static void delivery_security_is_saved_beside_the_other_settings(void **state)
{
    struct console *console = *state;
    post(console, "/smtp", "lifetime=3600");
    post(console, "/delivery-security",
         "tls=required&dane=no&reports_from=tls@example.com&reports_organization=Example"
         "&reports_contact=postmaster@example.com");
    assert_leads_to(console, "/delivery-security?done=saved");
    cleanup_json json_t *common = setting_of(console, "smtp.common");
    const json_t *delivery = json_object_get(common, "delivery");
    assert_string_equal(json_string_value(json_object_get(delivery, "tls")), "required");
    assert_int_equal(integer_at(common, "delivery", NULL, "lifetime_seconds"), 3600);
    post(console, "/delivery-security", "reports_from=tls@example.com");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-reports_from\"");
    post(console, "/delivery-security", "trusted=no+certificate");
    assert_status(console, 422);
    assert_shows(console,
                 "id=\"error-trusted\">This cannot be used: there is no certificate in it");
}

static void a_tls_policy_is_kept_once_by_domain(void **state)
{
    struct console *console = *state;
    post(console, "/delivery-security/policies", "policy_domain=.Example.COM&policy_tls=verified");
    assert_leads_to(console, "/delivery-security?done=added");
    post(console, "/delivery-security/policies", "policy_domain=.example.com&policy_tls=off");
    assert_status(console, 422);
    assert_shows(console, "already in the list");
    post(console, "/delivery-security/policies", "policy_domain=a+b&policy_tls=off");
    assert_status(console, 422);
    post(console, "/delivery-security/policies", "policy_domain=example.com&policy_tls=maybe");
    assert_status(console, 422);
    post(console, "/delivery-security/policies/.example.com", "policy_tls=required");
    assert_leads_to(console, "/delivery-security?done=saved");
    get(console, "/delivery-security?search=EXAMPLE");
    assert_shows(console, "<td>required");
    get(console, "/delivery-security/policies/example.com");
    assert_status(console, 404);
    post(console, "/delivery-security", "tls=off");
    get(console, "/delivery-security");
    assert_shows(console, "/delivery-security/policies/.example.com");
    post(console, "/delivery-security/policies/.example.com/remove", "");
    get(console, "/delivery-security");
    assert_hides(console, "/delivery-security/policies/.example.com");
}

static void keys_of_bounce_protection_rotate_and_stay_secret(void **state)
{
    struct console *console = *state;
    post(console, "/bounce-protection", "mode=enforce&days=10");
    assert_leads_to(console, "/bounce-protection?done=saved");
    for (int i = 0; i < 9; i++)
        post(console, "/bounce-protection/keys", "");
    get(console, "/bounce-protection");
    post(console, "/bounce-protection/keys", "");
    assert_status(console, 422);
    assert_shows(console, "There are 10 keys already");
    post(console, "/bounce-protection/keys/9/remove", "");
    assert_status(console, 422);
    assert_shows(console, "This key signs");
    post(console, "/bounce-protection/keys/3/remove", "");
    assert_leads_to(console, "/bounce-protection?done=removed");
    cleanup_json json_t *protection = setting_of(console, "bounce_protection");
    const json_t *keys = json_object_get(protection, "keys");
    assert_int_equal(json_array_size(keys), 9);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(keys, 0), "number")), 9);
    get(console, "/bounce-protection");
    size_t index;
    json_t *key;
    json_array_foreach((json_t *)keys, index, key)
    {
        assert_hides(console, json_string_value(json_object_get(key, "secret")));
    }
    assert_int_equal(count_of(console->scene, "SELECT count(*) FROM administrator_log"
                                              " WHERE new_value::text LIKE '%secret%'"),
                     0);
    post(console, "/bounce-protection", "mode=enforce&days=99");
    assert_status(console, 422);
    assert_shows(console, "id=\"error-days\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        signed_in_page_test(every_member_of_a_server_is_saved_and_shown_again),
        signed_in_page_test(an_empty_field_takes_the_default),
        signed_in_page_test(a_listener_with_other_words_is_refused),
        signed_in_page_test(a_value_that_no_scanner_takes_is_refused_at_its_field),
        signed_in_page_test(the_settings_of_all_hosts_stand_behind_a_hosts_own),
        signed_in_page_test(the_mail_flow_is_a_part_of_the_configuration_and_told_everywhere),
        signed_in_page_test(an_unknown_flow_changes_nothing),
        signed_in_page_test(a_self_signed_certificate_is_made_chosen_and_kept_while_in_use),
        signed_in_page_test(no_private_key_ever_comes_back),
        signed_in_page_test(the_answer_to_a_request_has_to_belong_to_its_key),
        signed_in_page_test(a_form_with_a_file_needs_its_secret),
        signed_in_page_test(an_import_needs_its_key),
        signed_in_page_test(delivery_security_is_saved_beside_the_other_settings),
        signed_in_page_test(a_tls_policy_is_kept_once_by_domain),
        signed_in_page_test(keys_of_bounce_protection_rotate_and_stay_secret),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

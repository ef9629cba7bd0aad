/* The Control Center's end of the fleet over a real database: enrolment, documents, polls, events.
 */
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/policy_model.h"
#include "common/signing.h"
#include "common/timestamp.h"
#include "common/x509.h"
#include "controlcenter/fleet/fleet.h"
#include "controlcenter/fleet/fleet_private.h"
#include "controlcenter/http/request.h"
#include "controlcenter/store/policies.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "private_postgres.h"

struct scene {
    struct store *store;
    struct fleet *fleet;
    struct http_router *router;
};

/* --- requests --- */

/* Posts `text` as the scanner `client` ("" for nobody) and returns the answer. */
static json_t *post_text(struct scene *scene, const char *path, const char *client,
                         const char *text, int *status)
{
    struct http_request request = {0};
    struct http_response response;
    request.method = HTTP_POST;
    assert_int_equal(http_request_set_target(&request, path), 0);
    assert_int_equal(http_request_add_header(&request, "Content-Type", 12, "application/json", 16),
                     0);
    request.body = strdup(text);
    request.body_length = strlen(text);
    assert_int_equal(http_request_finish(&request), 0);
    snprintf(request.peer, sizeof(request.peer), "127.0.0.1");
    snprintf(request.client_name, sizeof(request.client_name), "%s", client);
    http_response_init(&response);
    http_router_serve(scene->router, &request, &response);
    *status = response.status;
    json_t *answer = json_loads(buffer_text(&response.body), 0, NULL);
    http_response_clear(&response);
    http_request_clear(&request);
    return answer;
}

/* Takes over `body`. */
static json_t *post(struct scene *scene, const char *path, const char *client, json_t *body,
                    int *status)
{
    cleanup_free char *text = json_text(body);
    assert_non_null(text);
    json_decref(body);
    return post_text(scene, path, client, text, status);
}

static char *new_request(void)
{
    cleanup_free char *key = x509_new_key(NULL);
    char *request = x509_new_request(key, "whatever", NULL);
    assert_non_null(request);
    return request;
}

static json_t *enroll(struct scene *scene, const char *token, const char *csr, int *status)
{
    return post(scene, "/fleet/enroll", "",
                json_pack("{s:s,s:s,s:s,s:s}", "token", token, "csr", csr, "host_name", "box",
                          "version", "0.1.0"),
                status);
}

/* A new scanner's id. */
static void new_scanner(struct scene *scene, char id[37])
{
    char token[FLEET_TOKEN_SIZE];
    int status;
    struct error error = {0};
    cleanup_free char *csr = new_request();
    if (!fleet_create_token(scene->fleet, "mx.example.com", NULL, "test", token, &error))
        fail_msg("%s: %s", error.where, error.message);
    cleanup_json json_t *answer = enroll(scene, token, csr, &status);
    assert_int_equal(status, 200);
    snprintf(id, 37, "%s", json_string_value(json_object_get(answer, "scanner_id")));
}

static json_t *poll_as(struct scene *scene, const char *id, int64_t running, int64_t failed,
                       const char *reason, int wait, int *status)
{
    return post(scene, "/fleet/poll", id,
                json_pack("{s:I,s:I,s:s,s:i,s:s,s:{s:s}}", "configuration_version",
                          (json_int_t)running, "failed_version", (json_int_t)failed,
                          "failed_reason", reason, "wait_seconds", wait, "version", "0.1.0",
                          "status", "mta", "unknown"),
                status);
}

/* The document in an answer, parsed after its signature was checked; NULL where there is none. */
static struct scanner_config *read_document(struct scene *scene, const json_t *answer)
{
    struct error error = {0};
    json_t *envelope = json_object_get(answer, "configuration");
    if (!json_is_object(envelope))
        return NULL;
    cleanup_json json_t *key = store_setting_get(scene->store, "configuration_key", &error);
    cleanup_free char *text = json_text(envelope);
    cleanup_free char *document = signing_open(text, strlen(text), json_string_value(key), &error);
    struct scanner_config *config =
        document ? config_parse(document, strlen(document), &error) : NULL;
    if (!config)
        fail_msg("%s: %s", error.where, error.message);
    return config;
}

static int64_t current_version(struct scene *scene)
{
    int64_t version = 0;
    assert_true(store_configuration_version(scene->store, &version, NULL));
    return version;
}

static const char *error_of(const json_t *answer)
{
    const char *text = json_string_value(json_object_get(answer, "error"));
    return text ? text : "";
}

/* --- keys --- */

static void control_centers_on_one_database_share_the_key_material(void **argument)
{
    struct scene *scene = *argument;
    struct fleet *other = fleet_new(scene->store, "https://other:8444");
    assert_true(fleet_prepare(scene->fleet, NULL));
    assert_true(fleet_prepare(other, NULL));
    assert_string_equal(fleet_ca_certificate(other), fleet_ca_certificate(scene->fleet));
    assert_string_equal(other->configuration_key, scene->fleet->configuration_key);
    assert_string_equal(other->configuration_secret, scene->fleet->configuration_secret);
    fleet_free(other);
}

static void the_console_certificate_is_made_once_and_kept(void **argument)
{
    struct scene *scene = *argument;
    const char *const names[] = {"localhost", "127.0.0.1"};
    char *key[2], *certificate[2];
    for (int i = 0; i < 2; i++)
        assert_true(
            fleet_console_certificate(scene->store, names, 2, &key[i], &certificate[i], NULL));
    assert_string_equal(key[0], key[1]);
    assert_string_equal(certificate[0], certificate[1]);
    for (int i = 0; i < 2; i++) {
        free(key[i]);
        free(certificate[i]);
    }
}

/* --- enrolment --- */

static void a_token_enrols_once(void **argument)
{
    struct scene *scene = *argument;
    char token[FLEET_TOKEN_SIZE];
    int status;
    struct store_scanner scanner = {0};
    cleanup_free char *csr = new_request();

    assert_true(fleet_create_token(scene->fleet, "MX1.example.com", NULL, "test", token, NULL));
    cleanup_json json_t *first = enroll(scene, token, csr, &status);
    assert_int_equal(status, 200);
    const char *id = json_string_value(json_object_get(first, "scanner_id"));
    assert_string_equal(json_string_value(json_object_get(first, "ca_certificate")),
                        fleet_ca_certificate(scene->fleet));
    assert_true(store_scanner_get(scene->store, id, &scanner, NULL));
    assert_string_equal(scanner.host_name, "mx1.example.com");
    store_scanner_clear(&scanner);

    cleanup_json json_t *second = enroll(scene, token, csr, &status);
    assert_int_equal(status, 403);
    assert_true(strlen(error_of(second)) > 0);
}

static void an_expired_token_is_refused(void **argument)
{
    struct scene *scene = *argument;
    unsigned char secret[32] = {1, 2, 3};
    char token[FLEET_TOKEN_SIZE], fingerprint_text[44], secret_text[44], hash[65];
    int status;
    cleanup_free char *csr = new_request();

    assert_true(fleet_prepare(scene->fleet, NULL));
    fleet_token_hash(secret, hash);
    assert_true(store_enrolment_create(scene->store, hash, "old.example.com",
                                       timestamp_now_ms() - 1000, "test", NULL));
    sodium_bin2base64(fingerprint_text, sizeof(fingerprint_text), scene->fleet->ca_fingerprint, 32,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_bin2base64(secret_text, sizeof(secret_text), secret, 32,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(token, sizeof(token), "gh1.%s.%s", fingerprint_text, secret_text);
    cleanup_json json_t *answer = enroll(scene, token, csr, &status);
    assert_int_equal(status, 403);
    assert_true(strlen(error_of(answer)) > 0);
}

static void wrong_tokens_are_refused_with_the_reason(void **argument)
{
    struct scene *scene = *argument;
    char token[FLEET_TOKEN_SIZE];
    int status;
    cleanup_free char *csr = new_request();
    assert_true(fleet_create_token(scene->fleet, "mx.example.com", NULL, "test", token, NULL));

    char other_ca[FLEET_TOKEN_SIZE];
    snprintf(other_ca, sizeof(other_ca), "%s", token);
    other_ca[10] = other_ca[10] == 'A' ? 'B' : 'A';
    json_t *answer = enroll(scene, other_ca, csr, &status);
    assert_int_equal(status, 403);
    assert_non_null(strstr(error_of(answer), "another Control Center"));
    json_decref(answer);

    char other_secret[FLEET_TOKEN_SIZE];
    snprintf(other_secret, sizeof(other_secret), "%s", token);
    other_secret[60] = other_secret[60] == 'A' ? 'B' : 'A';
    json_decref(enroll(scene, other_secret, csr, &status));
    assert_int_equal(status, 403);

    json_decref(enroll(scene, "gh1.short", csr, &status));
    assert_int_equal(status, 400);
}

static void a_request_that_cannot_be_signed_does_not_use_up_the_token(void **argument)
{
    struct scene *scene = *argument;
    char token[FLEET_TOKEN_SIZE];
    int status;
    cleanup_free char *csr = new_request();
    assert_true(fleet_create_token(scene->fleet, "mx.example.com", NULL, "test", token, NULL));
    cleanup_json json_t *refused = enroll(scene, token, "not a request", &status);
    assert_int_equal(status, 400);
    assert_non_null(strstr(error_of(refused), "csr"));
    json_decref(enroll(scene, token, csr, &status));
    assert_int_equal(status, 200);
}

static void the_settings_of_a_token_become_those_of_the_scanner(void **argument)
{
    struct scene *scene = *argument;
    char token[FLEET_TOKEN_SIZE];
    int status;
    cleanup_free char *csr = new_request();
    cleanup_json json_t *smtp = fleet_smtp_settings("127.0.0.1:2525", "[::1]:2587", NULL);
    assert_non_null(smtp);
    assert_true(fleet_create_token(scene->fleet, "mx.example.com", smtp, "test", token, NULL));
    cleanup_json json_t *answer = enroll(scene, token, csr, &status);
    assert_int_equal(status, 200);
    cleanup_json json_t *polled = poll_as(
        scene, json_string_value(json_object_get(answer, "scanner_id")), 0, 0, "", 0, &status);
    struct scanner_config *config = read_document(scene, polled);
    assert_non_null(config);
    assert_int_equal(config->inbound.listeners[0].port, 2525);
    assert_int_equal(config->outbound.listeners[0].port, 2587);
    assert_false(ip_is_v4(&config->outbound.listeners[0].address));
    config_free(config);
}

static void malformed_listeners_and_host_names_are_refused(void **argument)
{
    struct scene *scene = *argument;
    static const char *const wrong[] = {
        "127.0.0.1",      "127.0.0.1:0", "127.0.0.1:65536", "::1:25",        "[127.0.0.1]:25",
        "example.com:25", ":25",         "[]:25",           "127.0.0.1:25x", ""};
    char token[FLEET_TOKEN_SIZE];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error error = {0};
        assert_null(fleet_smtp_settings(wrong[i], NULL, &error));
        assert_string_equal(error.where, "inbound");
    }
    struct error error = {0};
    assert_false(fleet_create_token(scene->fleet, "no spaces", NULL, "test", token, &error));
    assert_string_equal(error.where, "host_name");
}

/* --- polls --- */

static void a_poll_without_a_scanners_certificate_is_refused(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    int status;
    json_decref(poll_as(scene, "", 0, 0, "", 0, &status));
    assert_int_equal(status, 403);
    json_decref(poll_as(scene, "Gatehouse Control Center", 0, 0, "", 0, &status));
    assert_int_equal(status, 403);
    json_decref(poll_as(scene, "0190a0b0-0000-7000-8000-000000000000", 0, 0, "", 0, &status));
    assert_int_equal(status, 403);
    new_scanner(scene, id);
    assert_true(store_scanner_remove(scene->store, id, "test", NULL));
    cleanup_json json_t *answer = poll_as(scene, id, 0, 0, "", 0, &status);
    assert_int_equal(status, 403);
    assert_non_null(strstr(error_of(answer), "removed"));
}

static void a_scanner_gets_its_document_once(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    int status;
    new_scanner(scene, id);
    cleanup_json json_t *first = poll_as(scene, id, 0, 0, "", 0, &status);
    assert_int_equal(status, 200);
    struct scanner_config *config = read_document(scene, first);
    assert_non_null(config);
    assert_string_equal(config->scanner_id, id);
    assert_string_equal(config->host_name, "mx.example.com");
    assert_int_equal(config->version, current_version(scene));
    cleanup_json json_t *second = poll_as(scene, id, config->version, 0, "", 0, &status);
    assert_int_equal(status, 200);
    assert_true(json_is_null(json_object_get(second, "configuration")));
    config_free(config);
}

static void a_document_carries_domains_routes_policies_and_common_settings(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    int status;
    new_scanner(scene, id);
    cleanup_json json_t *route =
        json_pack("{s:s,s:[{s:s,s:i}]}", "kind", "relay", "relays", "host", "10.0.0.1", "port", 26);
    cleanup_json json_t *policy = json_pack("{s:{s:s}}", "virus", "action", "reject");
    cleanup_json json_t *common =
        json_pack("{s:{s:i},s:i}", "inbound", "max_recipients", 77, "scan_wait_seconds", 9);
    assert_true(store_domain_put(scene->store, "b.example", route, true, "test", NULL));
    assert_true(store_setting_put(scene->store, "default_route", route, "test", true, NULL));
    assert_true(store_setting_put(scene->store, "policy.malware", policy, "test", true, NULL));
    assert_true(store_setting_put(scene->store, "smtp.common", common, "test", true, NULL));
    cleanup_json json_t *answer = poll_as(scene, id, 0, 0, "", 0, &status);
    struct scanner_config *config = read_document(scene, answer);
    assert_non_null(config);
    const struct config_domain *domain = config_find_domain(config, "b.example");
    assert_non_null(domain);
    assert_int_equal(domain->route.relays[0].port, 26);
    assert_int_equal(config->default_route.kind, CONFIG_ROUTE_RELAY);
    assert_int_equal(config->malware[CONFIG_VERDICT_VIRUS].action, CONFIG_ACTION_REJECT);
    assert_int_equal(config->inbound.max_recipients, 77);
    assert_int_equal(config->inbound.listeners[0].port, 25);
    assert_int_equal(config->scan_wait_seconds, 9);
    config_free(config);
}

static void put_in_force(struct scene *scene, const char *text)
{
    int64_t revision, version;
    struct error error = {0};
    cleanup_json json_t *draft = json_loads(text, 0, NULL);
    json_decref(store_policy_draft(scene->store, &revision, &error));
    if (!fleet_check_policies(scene->fleet, draft, &error) ||
        !store_policy_draft_put(scene->store, draft, revision, "x", "test", &error))
        fail_msg("%s: %s", error.where, error.message);
    assert_true(store_policy_publish(scene->store, revision + 1, "x", "test", &version, &error));
}

static void a_document_carries_the_policies_in_force_without_what_scanners_need_not(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    int status;
    new_scanner(scene, id);
    cleanup_json json_t *malware = json_pack("{s:{s:s}}", "virus", "action", "reject");
    assert_true(store_setting_put(scene->store, "policy.malware", malware, "test", true, NULL));
    put_in_force(
        scene, "{\"folders\":[{\"id\":\"f\",\"name\":\"Legal\",\"quarantine\":true,"
               "\"retention_days\":30}],"
               "\"templates\":[{\"id\":\"t\",\"name\":\"Held\",\"subject\":\"x\",\"text\":\"y\"}],"
               "\"dictionaries\":[{\"id\":\"d\",\"name\":\"D\",\"words\":[{\"text\":\"w\"}]}],"
               "\"filters\":[{\"id\":\"one\",\"name\":\"One\",\"conditions\":[{\"field\":\"body\","
               "\"op\":\"dictionary\",\"id\":\"d\"}],\"actions\":[{\"action\":\"incident\","
               "\"folder\":\"f\"}]}]}");
    cleanup_json json_t *answer = poll_as(scene, id, 0, 0, "", 0, &status);
    struct scanner_config *config = read_document(scene, answer);
    assert_non_null(config);
    assert_int_equal(config->malware[CONFIG_VERDICT_VIRUS].action, CONFIG_ACTION_REJECT);
    assert_int_equal(config->policy->filter_count, 1);
    assert_int_equal(config->policy->dictionaries[0].word_count, 1);
    assert_true(config->policy->folders[0].quarantine);
    config_free(config);
}

static void policies_are_checked_with_the_place_named(void **argument)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"{\"malware\":{}}", "policies.malware"},
        {"{\"folders\":{}}", "policies.folders"},
        {"{\"folders\":[7]}", "policies.folders[0]"},
        {"{\"folders\":[{\"id\":\"f\",\"retention_days\":1}]}", "policies.folders[0].name"},
        {"{\"dictionaries\":[{\"id\":\"d\",\"name\":\"D\",\"words\":{\"hash\":\"x\",\"count\":"
         "1000001}}]}",
         "policies.dictionaries"},
        {"{\"filters\":[{\"id\":\"a\",\"name\":\"A\",\"conditions\":[{\"field\":\"subject\","
         "\"op\":\"matches\",\"values\":[\"a\",\"(\"]}]}]}",
         "policies.filters[0].conditions[0].values[1]"},
    };
    struct scene *scene = *argument;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        cleanup_json json_t *document = json_loads(cases[i].text, 0, NULL);
        assert_non_null(document);
        assert_false(fleet_check_policies(scene->fleet, document, &error));
        assert_string_equal(error.where, cases[i].where);
    }
}

struct change {
    struct scene *scene;
    const char *domain;
};

static void *change_soon(void *argument)
{
    struct change *change = argument;
    cleanup_json json_t *route = json_pack("{s:s}", "kind", "mx");
    usleep(300000);
    store_domain_put(change->scene->store, change->domain, route, true, "test", NULL);
    return NULL;
}

static void a_waiting_poll_is_answered_when_something_changes(void **argument)
{
    struct scene *scene = *argument;
    struct change change = {scene, "soon.example"};
    pthread_t thread;
    char id[37];
    int status;
    new_scanner(scene, id);
    int64_t version = current_version(scene), started = timestamp_monotonic_ms();
    assert_int_equal(pthread_create(&thread, NULL, change_soon, &change), 0);
    cleanup_json json_t *answer = poll_as(scene, id, version, 0, "", 20, &status);
    pthread_join(thread, NULL);
    int64_t took = timestamp_monotonic_ms() - started;
    struct scanner_config *config = read_document(scene, answer);
    assert_non_null(config);
    assert_non_null(config_find_domain(config, "soon.example"));
    assert_in_range(took, 250, 1300);
    config_free(config);
}

static void a_version_that_failed_is_not_sent_again_and_its_reason_is_kept(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0};
    char id[37];
    int status;
    new_scanner(scene, id);
    int64_t version = current_version(scene);
    cleanup_json json_t *answer =
        poll_as(scene, id, 0, version, "mta: port 25 is taken", 0, &status);
    assert_int_equal(status, 200);
    assert_true(json_is_null(json_object_get(answer, "configuration")));
    assert_true(store_scanner_get(scene->store, id, &scanner, NULL));
    assert_int_equal(scanner.failed_version, version);
    assert_string_equal(scanner.failed_reason, "mta: port 25 is taken");
    assert_string_equal(scanner.software_version, "0.1.0");
    store_scanner_clear(&scanner);

    struct change change = {scene, "newer.example"};
    change_soon(&change);
    cleanup_json json_t *newer =
        poll_as(scene, id, 0, version, "mta: port 25 is taken", 0, &status);
    struct scanner_config *config = read_document(scene, newer);
    assert_non_null(config);
    assert_true(config->version > version);
    config_free(config);
}

static void settings_that_make_no_valid_document_are_not_sent_and_shown(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0};
    char id[37];
    int status;
    new_scanner(scene, id);
    cleanup_json json_t *wrong = json_pack("{s:{s:[{s:s,s:i}]}}", "inbound", "listeners", "address",
                                           "127.0.0.1", "port", 70000);
    assert_true(store_scanner_set_smtp(scene->store, id, wrong, "test", NULL));
    cleanup_json json_t *answer = poll_as(scene, id, 0, 0, "", 0, &status);
    assert_int_equal(status, 200);
    assert_true(json_is_null(json_object_get(answer, "configuration")));
    assert_true(store_scanner_get(scene->store, id, &scanner, NULL));
    assert_int_equal(scanner.failed_version, current_version(scene));
    assert_non_null(strstr(scanner.failed_reason, "smtp.inbound.listeners[0].port"));
    store_scanner_clear(&scanner);
    assert_true(store_scanner_remove(scene->store, id, "test", NULL));
}

static void a_status_that_is_no_object_is_unknown(void **argument)
{
    struct scene *scene = *argument;
    struct store_scanner scanner = {0};
    char id[37], large[70000];
    int status;
    new_scanner(scene, id);
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    json_decref(post(scene, "/fleet/poll", id,
                     json_pack("{s:i,s:s}", "configuration_version", 0, "status", "fine"),
                     &status));
    assert_int_equal(status, 200);
    json_decref(post(scene, "/fleet/poll", id,
                     json_pack("{s:i,s:{s:s}}", "configuration_version", 0, "status", "mta", large),
                     &status));
    assert_int_equal(status, 200);
    assert_true(store_scanner_get(scene->store, id, &scanner, NULL));
    assert_null(scanner.status);
    assert_true(scanner.seen_at > 0);
    store_scanner_clear(&scanner);
}

static void malformed_bodies_are_refused_with_the_member(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    int status;
    new_scanner(scene, id);
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{",
                                         "{}",
                                         "{\"configuration_version\":-1}",
                                         "{\"configuration_version\":\"1\"}",
                                         "{\"configuration_version\":1,\"wait_seconds\":61}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        cleanup_json json_t *answer = post_text(scene, "/fleet/poll", id, bodies[i], &status);
        assert_int_equal(status, 400);
        assert_true(strlen(error_of(answer)) > 0);
    }
}

static void *stop_soon(void *argument)
{
    usleep(200000);
    fleet_stop(argument);
    return NULL;
}

static void stopping_ends_waiting_polls(void **argument)
{
    struct scene *scene = *argument;
    pthread_t thread;
    char id[37];
    int status;
    new_scanner(scene, id);
    int64_t started = timestamp_monotonic_ms();
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, scene->fleet), 0);
    json_decref(poll_as(scene, id, current_version(scene), 0, "", 30, &status));
    pthread_join(thread, NULL);
    assert_int_equal(status, 200);
    assert_true(timestamp_monotonic_ms() - started < 2000);
}

/* --- events --- */

static json_t *event(int64_t seq)
{
    char now[TIMESTAMP_TEXT_SIZE], text[MESSAGE_ID_TEXT_SIZE];
    struct message_id id = message_id_new();
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:b,s:s,s:[s],s:i}", "seq",
                     (json_int_t)seq, "at", timestamp_text(timestamp_now_ms(), now), "type",
                     "received", "id", message_id_text(&id, text), "direction", "inbound",
                     "peer_ip", "192.0.2.1", "peer_port", 40000, "helo", "client.example",
                     "protocol", "ESMTP", "tls", 0, "sender", "a@example.org", "recipients",
                     "b@example.com", "size", 100);
}

static json_t *events(int64_t first, int64_t last)
{
    json_t *array = json_array();
    for (int64_t seq = first; seq <= last; seq++)
        json_array_append_new(array, event(seq));
    return array;
}

static int64_t send_events(struct scene *scene, const char *id, const char *stream, int64_t first,
                           int64_t last, int *status)
{
    cleanup_json json_t *answer =
        post(scene, "/fleet/events", id,
             json_pack("{s:s,s:o}", "stream", stream, "events", events(first, last)), status);
    return json_integer_value(json_object_get(answer, "last_seq"));
}

static size_t count_messages(struct scene *scene, const char *id)
{
    struct store_audit_query query = {.scanner_id = id, .limit = 1000};
    struct store_audit_message *messages;
    size_t count = 0;
    assert_true(store_audit_search(scene->store, &query, &messages, &count, NULL));
    store_audit_list_free(messages, count);
    return count;
}

static void events_are_taken_once_and_in_order(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    int status;
    new_scanner(scene, id);
    assert_int_equal(send_events(scene, id, "stream-1", 1, 10, &status), 10);
    assert_int_equal(status, 200);
    assert_int_equal(send_events(scene, id, "stream-1", 8, 12, &status), 12);
    assert_int_equal(count_messages(scene, id), 12);
    send_events(scene, id, "stream-1", 14, 15, &status);
    assert_int_equal(status, 409);
    assert_int_equal(count_messages(scene, id), 12);
    cleanup_json json_t *answer =
        post(scene, "/fleet/position", id, json_pack("{s:s}", "stream", "stream-1"), &status);
    assert_int_equal(json_integer_value(json_object_get(answer, "last_seq")), 12);
}

static void batches_and_streams_out_of_bounds_are_refused(void **argument)
{
    struct scene *scene = *argument;
    char id[37];
    int status;
    new_scanner(scene, id);
    send_events(scene, id, "s", 1, FLEET_EVENT_BATCH_LIMIT + 1, &status);
    assert_int_equal(status, 400);
    send_events(scene, id, "", 1, 1, &status);
    assert_int_equal(status, 400);
    send_events(scene, id, "../x", 1, 1, &status);
    assert_int_equal(status, 400);
    send_events(scene, "", "s", 1, 1, &status);
    assert_int_equal(status, 403);
    assert_int_equal(count_messages(scene, id), 0);
}

/* --- candidates --- */

static void proposed_values_are_checked_with_the_field_named(void **argument)
{
    struct scene *scene = *argument;
    struct fleet *fleet = scene->fleet;
    struct error error = {0};
    cleanup_json json_t *good = json_pack("{s:{s:s}}", "virus", "action", "delete");
    cleanup_json json_t *bad = json_pack("{s:{s:s}}", "virus", "action", "burn");
    cleanup_json json_t *mx = json_pack("{s:s}", "kind", "mx");
    cleanup_json json_t *pigeon = json_pack("{s:s}", "kind", "pigeon");
    cleanup_json json_t *none = json_pack("{s:i}", "scan_wait_seconds", 5);
    cleanup_json json_t *smtp = fleet_smtp_settings(NULL, NULL, NULL);

    assert_true(fleet_check_setting(fleet, "policy.malware", good, NULL));
    assert_false(fleet_check_setting(fleet, "policy.malware", bad, &error));
    assert_string_equal(error.where, "policies.malware.virus.action");
    assert_true(fleet_check_setting(fleet, "default_route", mx, NULL));
    assert_false(fleet_check_setting(fleet, "default_route", pigeon, &error));
    assert_string_equal(error.where, "default_route.kind");
    assert_false(fleet_check_setting(fleet, "secret.ca_key", mx, &error));
    assert_true(fleet_check_domain(fleet, "example.com", mx, NULL));
    assert_false(fleet_check_domain(fleet, "bad domain", mx, &error));
    assert_string_equal(error.where, "domains[0].name");
    assert_true(fleet_check_smtp(fleet, smtp, NULL));
    assert_false(fleet_check_smtp(fleet, pigeon, &error));
    assert_string_equal(error.where, "smtp.kind");
    assert_true(fleet_check_setting(fleet, "smtp.common", none, NULL));
}

static void common_settings_are_checked_against_every_scanner(void **argument)
{
    struct scene *scene = *argument;
    struct error error = {0};
    char id[37];
    new_scanner(scene, id);
    cleanup_json json_t *own =
        json_pack("{s:{s:[{s:s,s:i}]},s:{s:i}}", "inbound", "listeners", "address", "127.0.0.1",
                  "port", 25, "delivery", "lifetime_seconds", 3600);
    assert_true(store_scanner_set_smtp(scene->store, id, own, "test", NULL));
    cleanup_json json_t *wrong = json_pack("{s:{s:s}}", "delivery", "retry_seconds", "never");
    assert_false(fleet_check_setting(scene->fleet, "smtp.common", wrong, &error));
    assert_non_null(strstr(error.where, "smtp.delivery.retry_seconds"));
}

/* --- scenes: a fleet and its router over the group's database --- */

static struct store *shared_store;
static struct private_postgres *postgres;

static int open_database(void **argument)
{
    (void)argument;
    postgres = private_postgres_new(false);
    shared_store = private_postgres_store(postgres, 16);
    return 0;
}

static int close_database(void **argument)
{
    (void)argument;
    store_close(shared_store);
    private_postgres_free(postgres);
    return 0;
}

static int open_scene(void **argument)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->store = shared_store;
    scene->fleet = fleet_new(scene->store, "https://localhost:8444");
    scene->router = http_router_new(fleet_routes, NULL, NULL, scene->fleet);
    *argument = scene;
    return scene->fleet && scene->router ? 0 : -1;
}

static int close_scene(void **argument)
{
    struct scene *scene = *argument;
    http_router_free(scene->router);
    fleet_free(scene->fleet);
    free(scene);
    return 0;
}

#define scene_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(control_centers_on_one_database_share_the_key_material),
        scene_test(the_console_certificate_is_made_once_and_kept),
        scene_test(a_token_enrols_once),
        scene_test(an_expired_token_is_refused),
        scene_test(wrong_tokens_are_refused_with_the_reason),
        scene_test(a_request_that_cannot_be_signed_does_not_use_up_the_token),
        scene_test(the_settings_of_a_token_become_those_of_the_scanner),
        scene_test(malformed_listeners_and_host_names_are_refused),
        scene_test(a_poll_without_a_scanners_certificate_is_refused),
        scene_test(a_scanner_gets_its_document_once),
        scene_test(a_document_carries_domains_routes_policies_and_common_settings),
        scene_test(a_document_carries_the_policies_in_force_without_what_scanners_need_not),
        scene_test(policies_are_checked_with_the_place_named),
        scene_test(a_waiting_poll_is_answered_when_something_changes),
        scene_test(a_version_that_failed_is_not_sent_again_and_its_reason_is_kept),
        scene_test(settings_that_make_no_valid_document_are_not_sent_and_shown),
        scene_test(a_status_that_is_no_object_is_unknown),
        scene_test(malformed_bodies_are_refused_with_the_member),
        scene_test(stopping_ends_waiting_polls),
        scene_test(events_are_taken_once_and_in_order),
        scene_test(batches_and_streams_out_of_bounds_are_refused),
        scene_test(proposed_values_are_checked_with_the_field_named),
        scene_test(common_settings_are_checked_against_every_scanner),
    };
    return cmocka_run_group_tests(tests, open_database, close_database);
}

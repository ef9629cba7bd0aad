/* Which certificate a scanner's SMTP servers get, over a real database. */
#include "test_store_scene.h"

#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "common/x509_bundle.h"
#include "controlcenter/fleet/fleet_private.h"

#define HOST "mx1.example.com"

/* A scanner as enrolment makes it. */
static void add_scanner(struct scene *scene, const char *host, char id[37])
{
    static int number;
    char hash[65], taken[256];
    snprintf(hash, sizeof hash, "%064d", ++number);
    cleanup_json json_t *smtp = fleet_smtp_settings(NULL, NULL, NULL);
    ok(store_enrolment_create(scene->store, hash, host, timestamp_now_ms() + 60000, "t", &error));
    ok(store_enrolment_use(scene->store, hash, smtp, id, taken, &error));
}

static struct fleet *open_fleet(struct scene *scene)
{
    struct fleet *fleet = fleet_new(scene->store, "https://center.example:8444");
    ok(fleet_prepare(fleet, &error));
    return fleet;
}

/* The document that the scanner is sent. */
static struct scanner_config *document_of(struct scene *scene, struct fleet *fleet, const char *id)
{
    struct store_scanner scanner = {0};
    struct scanner_config *config = NULL;
    int64_t version;
    ok(store_scanner_get(scene->store, id, &scanner, &error));
    cleanup_json json_t *envelope = fleet_envelope(fleet, &scanner, &version, NULL);
    assert_non_null(envelope);
    const char *text = json_string_value(json_object_get(envelope, "document"));
    ok((config = config_parse(text, strlen(text), &error)) != NULL);
    store_scanner_clear(&scanner);
    return config;
}

static int64_t add_certificate(struct scene *scene, const char *name)
{
    int64_t id = 0;
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *certificate = x509_new_self_signed(key, name, &name, 1, 20, NULL);
    struct store_new_certificate new = {.name = name,
                                        .certificate = certificate,
                                        .key = key,
                                        .expires_at = timestamp_now_ms() + 20 * 86400000LL};
    ok(store_certificate_add(scene->store, &new, "anna", &id, &error));
    return id;
}

static void a_scanner_gets_a_certificate_of_its_name_once(void **state)
{
    struct scene *scene = *state;
    struct x509_details details = {0};
    char id[37];
    struct fleet *one = open_fleet(scene), *other = open_fleet(scene);
    add_scanner(scene, HOST, id);
    struct scanner_config *first = document_of(scene, one, id);
    struct scanner_config *second = document_of(scene, other, id);
    assert_string_equal(first->tls_certificate, second->tls_certificate);
    assert_int_equal(first->inbound.tls, CONFIG_TLS_OPTIONAL);
    ok(x509_describe(first->tls_certificate, &details, &error));
    assert_string_equal(details.names, HOST "\n");
    x509_details_clear(&details);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM certificate"), 1);
    config_free(first);
    config_free(second);
    fleet_free(one);
    fleet_free(other);
}

static void a_host_name_that_is_longer_than_a_common_name_gets_one_too(void **state)
{
    struct scene *scene = *state;
    static const char host[] = "a-host-of-a-name-that-has-more-than-sixty-four-characters"
                               ".and-a-domain.example.com";
    char id[37];
    struct fleet *fleet = open_fleet(scene);
    add_scanner(scene, host, id);
    struct scanner_config *config = document_of(scene, fleet, id);
    assert_non_null(config->tls_certificate);
    config_free(config);
    fleet_free(fleet);
}

static void the_chosen_certificate_goes_into_the_document(void **state)
{
    struct scene *scene = *state;
    struct x509_details details = {0};
    char id[37];
    struct fleet *fleet = open_fleet(scene);
    add_scanner(scene, HOST, id);
    int64_t certificate = add_certificate(scene, "mail.example.com"), before = version_of(scene);
    ok(store_scanner_set_certificate(scene->store, id, certificate, "anna", &error));
    assert_true(version_of(scene) > before);
    assert_int_equal(count_of(scene, "SELECT (new_value->>'certificate_id')::bigint FROM"
                                     " administrator_log WHERE action = 'scanner.certificate'"),
                     certificate);
    struct scanner_config *config = document_of(scene, fleet, id);
    ok(x509_describe(config->tls_certificate, &details, &error));
    assert_string_equal(details.names, "mail.example.com\n");
    x509_details_clear(&details);
    config_free(config);
    fails(ERROR_EXISTS, store_certificate_remove(scene->store, certificate, "anna", &error));
    ok(store_scanner_set_certificate(scene->store, id, 0, "anna", &error));
    ok(store_certificate_remove(scene->store, certificate, "anna", &error));
    fails(ERROR_NOT_FOUND,
          store_scanner_set_certificate(scene->store, id, certificate, "anna", &error));
    fleet_free(fleet);
}

static void one_of_another_scanner_or_without_an_answer_cannot_be_chosen(void **state)
{
    struct scene *scene = *state;
    char first[37], second[37];
    int64_t waiting = 0;
    struct fleet *fleet = open_fleet(scene);
    add_scanner(scene, HOST, first);
    add_scanner(scene, "mx2.example.com", second);
    config_free(document_of(scene, fleet, first));
    int64_t own = count_of(scene, "SELECT id FROM certificate");
    struct store_new_certificate new = {.name = "w", .key = "k", .request = "r"};
    ok(store_certificate_add(scene->store, &new, "anna", &waiting, &error));
    fails(ERROR_NOT_FOUND, store_scanner_set_certificate(scene->store, second, own, "t", &error));
    fails(ERROR_NOT_FOUND,
          store_scanner_set_certificate(scene->store, second, waiting, "t", &error));
    fleet_free(fleet);
}

static void a_removed_scanner_takes_its_own_key_along(void **state)
{
    struct scene *scene = *state;
    char id[37], other[37];
    struct fleet *fleet = open_fleet(scene);
    add_scanner(scene, HOST, id);
    add_scanner(scene, "mx2.example.com", other);
    config_free(document_of(scene, fleet, id));
    int64_t shared = add_certificate(scene, "mail.example.com");
    ok(store_scanner_set_certificate(scene->store, other, shared, "anna", &error));
    ok(store_scanner_remove(scene->store, id, "anna", &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM certificate"), 1);
    ok(store_scanner_remove(scene->store, other, "anna", &error));
    ok(store_certificate_remove(scene->store, shared, "anna", &error));
    fleet_free(fleet);
}

static void those_in_use_that_end_soon_are_found(void **state)
{
    struct scene *scene = *state;
    struct store_certificate *found = NULL;
    size_t count = 9;
    char id[37];
    int64_t soon = timestamp_now_ms() + 30 * 86400000LL;
    add_scanner(scene, HOST, id);
    int64_t certificate = add_certificate(scene, "mail.example.com");
    ok(store_certificate_expiring(scene->store, soon, 10, &found, &count, &error));
    assert_int_equal(count, 0);
    store_certificate_list_free(found, count);
    ok(store_scanner_set_certificate(scene->store, id, certificate, "anna", &error));
    ok(store_certificate_expiring(scene->store, soon, 10, &found, &count, &error));
    assert_int_equal(count, 1);
    assert_string_equal(found[0].name, "mail.example.com");
    assert_int_equal(json_array_size(found[0].hosts), 1);
    store_certificate_list_free(found, count);
}

static void settings_that_need_a_certificate_are_allowed(void **state)
{
    struct scene *scene = *state;
    struct fleet *fleet = open_fleet(scene);
    cleanup_json json_t *common = json_pack("{s:{s:s},s:{s:s}}", "inbound", "tls", "required",
                                            "outbound", "auth", "required");
    cleanup_json json_t *bad = json_pack("{s:{s:s}}", "inbound", "tls", "maybe");
    ok(fleet_check_setting(fleet, "smtp.common", common, &error));
    fails(ERROR_INVALID, fleet_check_setting(fleet, "smtp.common", bad, &error));
    fleet_free(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_scanner_gets_a_certificate_of_its_name_once),
        scene_test(a_host_name_that_is_longer_than_a_common_name_gets_one_too),
        scene_test(the_chosen_certificate_goes_into_the_document),
        scene_test(one_of_another_scanner_or_without_an_answer_cannot_be_chosen),
        scene_test(a_removed_scanner_takes_its_own_key_along),
        scene_test(those_in_use_that_end_soon_are_found),
        scene_test(settings_that_need_a_certificate_are_allowed),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

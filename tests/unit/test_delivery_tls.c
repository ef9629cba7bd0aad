/* What TLS is demanded of next hops: by the administrator, by DANE, and AUTH within it. */
#include "test_delivery_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MX "mx.secure.example"

/* secure.example goes to `mx` by a relay route, whose host has a name that certificates can have;
 * plain.example by its MX record. */
struct tls_scene {
    struct scene scene;
    struct peer mx;
    struct authority authority;
    char domains[900], port[16], tlsa_name[64], tlsa[TLSA_TEXT_SIZE];
    char *delivery;
    struct dns_record records[12];
};

static void add_record(struct tls_scene *at, const char *name, const char *type, const char *data)
{
    size_t i = 0;
    while (at->records[i].name)
        i++;
    at->records[i] = (struct dns_record){name, type, 10, data, 0};
}

/* Members of smtp.delivery, with the authority trusted. */
static char *delivery_members(const struct tls_scene *at, const char *members)
{
    char *pem = authority_pem(&at->authority);
    json_t *object = json_object();
    json_object_set_new(object, "trusted_certificates", json_string(pem));
    char *text = json_dumps(object, JSON_COMPACT);
    size_t size = strlen(text) + strlen(members) + 16;
    char *all = malloc(size);
    assert_non_null(all);
    text[strlen(text) - 1] = '\0';
    snprintf(all, size, "%s%s%s", text + 1, *members ? "," : "", members);
    free(text);
    free(pem);
    json_decref(object);
    return all;
}

/* `route`: further members of secure.example's route. */
static void prepare(struct tls_scene *at, const char *delivery, const char *route)
{
    memset(at, 0, sizeof(*at));
    authority_open(&at->authority);
    at->delivery = delivery_members(at, delivery);
    scene_open_on(&at->scene, event_base_new());
    peer_open(&at->mx, at->scene.mta.base, NULL);
    snprintf(at->domains, sizeof(at->domains),
             ",{\"name\":\"secure.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
             "[{\"host\":\"" MX "\",\"port\":%u}]%s%s}}",
             (unsigned)at->mx.port, *route ? "," : "", route);
    snprintf(at->tlsa_name, sizeof(at->tlsa_name), "_%u._tcp." MX, (unsigned)at->mx.port);
    add_record(at, MX, "A", "127.0.0.1");
}

static void open_prepared(struct tls_scene *at)
{
    scene_start(&at->scene, &(struct scene_options){.delivery = at->delivery,
                                                    .domains = at->domains,
                                                    .records = at->records});
}

static void open_scene(struct tls_scene *at, const char *delivery, const char *route)
{
    prepare(at, delivery, route);
    open_prepared(at);
}

static void close_scene(struct tls_scene *at)
{
    peer_close(&at->mx);
    scene_close(&at->scene);
    SSL_CTX_free(at->mx.tls);
    authority_close(&at->authority);
    free(at->delivery);
}

static json_t *send_one(struct tls_scene *at, const char *recipient)
{
    size_t before = scene_count(&at->scene, "delivery");
    scene_send_to(&at->scene, recipient);
    return scene_await(&at->scene, "delivery", before + 1);
}

static void check_delivered(struct tls_scene *at, const char *security)
{
    json_t *event = send_one(at, "to@secure.example");
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    scene_assert_contains(scene_text(event, "tls"), "TLSv1.3 ");
    assert_string_equal(scene_text(event, "security"), security);
}

/* Nothing was sent, and the reply says why. */
static void check_deferred(struct tls_scene *at, const char *reply)
{
    json_t *event = send_one(at, "to@secure.example");
    scene_assert_event(event, "deferred", reply);
    assert_int_equal(at->mx.messages, 0);
    assert_null(strstr(buffer_text(&at->mx.commands), "MAIL"));
}

/* --- the administrator's policies --- */

static void test_a_trusted_certificate_for_the_name_is_verified(void **state)
{
    struct tls_scene at;
    (void)state;
    open_scene(&at, "\"tls\":\"verified\"", "");
    at.mx.tls = authority_issue(&at.authority, MX, 10);
    check_delivered(&at, "verified");
    close_scene(&at);
}

static void check_distrusted(SSL_CTX *(*make)(const struct authority *authority),
                             const char *reason)
{
    struct tls_scene at;
    char reply[300];
    open_scene(&at, "\"tls\":\"verified\"", "");
    at.mx.tls = make(&at.authority);
    snprintf(reply, sizeof(reply),
             "451 4.7.5 [internal] the certificate of " MX " is not trusted: %s", reason);
    check_deferred(&at, reply);
    close_scene(&at);
}

static SSL_CTX *make_other_name(const struct authority *authority)
{
    return authority_issue(authority, "other.example", 10);
}

static SSL_CTX *make_expired(const struct authority *authority)
{
    return authority_issue(authority, MX, -1);
}

static SSL_CTX *make_self_signed(const struct authority *authority)
{
    (void)authority;
    return peer_tls_new();
}

static SSL_CTX *make_foreign(const struct authority *authority)
{
    struct authority other;
    (void)authority;
    authority_open(&other);
    SSL_CTX *context = authority_issue(&other, MX, 10);
    authority_close(&other);
    return context;
}

static void test_certificates_that_prove_nothing_are_refused(void **state)
{
    (void)state;
    check_distrusted(make_other_name, "hostname mismatch");
    check_distrusted(make_expired, "certificate has expired");
    check_distrusted(make_self_signed, "self-signed certificate");
    check_distrusted(make_foreign, "self-signed certificate in certificate chain");
}

static void test_a_server_without_starttls_gets_nothing_where_tls_is_needed(void **state)
{
    static const char *const policies[] = {"\"tls\":\"required\"", "\"tls\":\"verified\""};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_scene at;
        open_scene(&at, policies[i], "");
        check_deferred(&at, "451 4.7.4 [internal] " MX " does not offer TLS (STARTTLS)");
        close_scene(&at);
    }
}

static void test_a_server_that_breaks_the_handshake_gets_nothing_where_tls_is_needed(void **state)
{
    struct tls_scene at;
    (void)state;
    open_scene(&at, "\"tls\":\"required\"", "");
    at.mx.tls = peer_tls_new();
    at.mx.break_tls = true;
    check_deferred(&at, "451 4.7.5 [internal] the TLS handshake with " MX " failed");
    close_scene(&at);
}

static void test_required_tls_takes_any_certificate(void **state)
{
    struct tls_scene at;
    (void)state;
    open_scene(&at, "\"tls\":\"required\"", "");
    at.mx.tls = peer_tls_new();
    check_delivered(&at, "required");
    close_scene(&at);
}

static void test_policies_go_by_domain_and_route(void **state)
{
    struct tls_scene at;
    (void)state;
    open_scene(&at, "\"tls_policies\":[{\"domain\":\"secure.example\",\"tls\":\"off\"}]", "");
    at.mx.tls = peer_tls_new();
    json_t *event = send_one(&at, "to@secure.example");
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "tls"), "");
    assert_string_equal(scene_text(event, "security"), "");
    close_scene(&at);
    open_scene(&at, "\"tls_policies\":[{\"domain\":\"secure.example\",\"tls\":\"off\"}]",
               "\"tls\":\"required\"");
    at.mx.tls = peer_tls_new();
    check_delivered(&at, "required");
    close_scene(&at);
}

static void test_the_next_host_is_tried_where_one_is_not_trusted(void **state)
{
    struct tls_scene at;
    struct peer second;
    (void)state;
    prepare(&at, "\"tls\":\"verified\"", "");
    peer_open(&second, at.scene.mta.base, NULL);
    add_record(&at, "mx2.secure.example", "A", "127.0.0.1");
    snprintf(at.domains, sizeof(at.domains),
             ",{\"name\":\"secure.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
             "[{\"host\":\"" MX "\",\"port\":%u},{\"host\":\"mx2.secure.example\",\"port\":%u}]}}",
             (unsigned)at.mx.port, (unsigned)second.port);
    open_prepared(&at);
    at.mx.tls = authority_issue(&at.authority, "other.example", 10);
    second.tls = authority_issue(&at.authority, "mx2.secure.example", 10);
    check_delivered(&at, "verified");
    assert_int_equal(second.messages, 1);
    assert_int_equal(at.mx.messages, 0);
    peer_close(&second);
    SSL_CTX_free(second.tls);
    close_scene(&at);
}

/* Both domains have the same relay; a connection in clear for one is no way for the other. */
static void test_connections_of_other_demands_are_not_shared(void **state)
{
    struct tls_scene at;
    char domains[900];
    (void)state;
    prepare(&at,
            "\"tls\":\"off\",\"tls_policies\":[{\"domain\":\"secure.example\","
            "\"tls\":\"verified\"}]",
            "");
    snprintf(domains, sizeof(domains),
             "%s,{\"name\":\"clear.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
             "[{\"host\":\"" MX "\",\"port\":%u}]}}",
             at.domains, (unsigned)at.mx.port);
    memcpy(at.domains, domains, sizeof(domains));
    open_prepared(&at);
    at.mx.tls = authority_issue(&at.authority, MX, 10);
    json_t *event = send_one(&at, "to@clear.example");
    assert_string_equal(scene_text(event, "tls"), "");
    check_delivered(&at, "verified");
    assert_int_equal(at.mx.connections, 2);
    close_scene(&at);
}

/* The sanitizers see what a reload leaves behind. */
static void test_a_reload_keeps_what_is_trusted(void **state)
{
    struct tls_scene at;
    (void)state;
    open_scene(&at, "\"tls\":\"verified\"", "");
    at.mx.tls = authority_issue(&at.authority, MX, 10);
    for (int i = 0; i < 20; i++) {
        delivery_configured(at.scene.mta.delivery);
        if (i % 5 == 0)
            check_delivered(&at, "verified");
    }
    close_scene(&at);
}

/* --- DANE --- */

#define DANE "\"dns_validates\":true"

static void open_dane(struct tls_scene *at, const char *data)
{
    prepare(at, DANE, "");
    at->mx.tls = authority_issue(&at->authority, MX, 10);
    if (data)
        snprintf(at->tlsa, sizeof(at->tlsa), "%s", data);
}

static void start_dane(struct tls_scene *at, bool secure)
{
    add_record(at, at->tlsa_name, "TLSA", at->tlsa);
    open_prepared(at);
    at->scene.dns.secure = secure;
}

static void check_dane(int usage, int selector, bool of_authority)
{
    struct tls_scene at;
    open_dane(&at, NULL);
    X509 *certificate =
        of_authority ? at.authority.certificate : SSL_CTX_get0_certificate(at.mx.tls);
    tlsa_text(certificate, usage, selector, at.tlsa);
    start_dane(&at, true);
    check_delivered(&at, "dane");
    close_scene(&at);
}

static void test_a_certificate_that_fits_its_record_is_trusted(void **state)
{
    (void)state;
    check_dane(3, 1, false);
    check_dane(3, 0, false);
    check_dane(2, 0, true);
    check_dane(2, 1, true);
}

static void check_no_match(int usage, int selector)
{
    struct tls_scene at;
    struct authority other;
    open_dane(&at, NULL);
    authority_open(&other);
    tlsa_text(other.certificate, usage, selector, at.tlsa);
    start_dane(&at, true);
    json_t *event = send_one(&at, "to@secure.example");
    assert_string_equal(scene_text(event, "outcome"), "deferred");
    scene_assert_contains(scene_text(event, "reply"),
                          "451 4.7.5 [internal] the certificate of " MX " is not trusted: ");
    assert_int_equal(at.mx.messages, 0);
    authority_close(&other);
    close_scene(&at);
}

static void test_a_certificate_that_does_not_fit_its_record_is_refused(void **state)
{
    (void)state;
    check_no_match(3, 1);
    check_no_match(2, 0);
}

static void test_a_downgrade_is_refused_where_there_is_a_record(void **state)
{
    struct tls_scene at;
    (void)state;
    open_dane(&at, NULL);
    tlsa_text(SSL_CTX_get0_certificate(at.mx.tls), 3, 1, at.tlsa);
    start_dane(&at, true);
    at.mx.ehlo = PEER_EHLO_ALL; /* without STARTTLS */
    check_deferred(&at, "451 4.7.4 [internal] " MX " does not offer TLS (STARTTLS)");
    close_scene(&at);
}

static void test_records_that_are_not_validated_do_not_count(void **state)
{
    struct tls_scene at;
    (void)state;
    open_dane(&at, "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    start_dane(&at, false);
    check_delivered(&at, "opportunistic");
    close_scene(&at);
    open_dane(&at, "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    start_dane(&at, true);
    at.scene.dns.insecure_name = MX; /* an address that anybody may have forged */
    check_delivered(&at, "opportunistic");
    close_scene(&at);
}

static void test_unusable_records_still_demand_tls(void **state)
{
    static const char usage_of_the_web[] =
        "1 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    struct tls_scene at;
    (void)state;
    open_dane(&at, usage_of_the_web);
    start_dane(&at, true);
    check_delivered(&at, "required");
    close_scene(&at);
    open_dane(&at, usage_of_the_web);
    start_dane(&at, true);
    at.mx.ehlo = PEER_EHLO_ALL;
    check_deferred(&at, "451 4.7.4 [internal] " MX " does not offer TLS (STARTTLS)");
    close_scene(&at);
}

static void test_a_host_whose_records_are_bogus_is_left_out(void **state)
{
    struct tls_scene at;
    (void)state;
    prepare(&at, DANE, "");
    at.mx.tls = authority_issue(&at.authority, MX, 10);
    add_record(&at, at.tlsa_name, "FAIL", "");
    open_prepared(&at);
    at.scene.dns.secure = true;
    check_deferred(&at, "451 4.7.5 [internal] the TLSA records of " MX
                        " cannot be looked up at this time");
    assert_int_equal(at.mx.connections, 0);
    close_scene(&at);
}

static void test_a_host_that_is_an_alias_has_its_records_at_either_name(void **state)
{
    static const char *const names[] = {"real.example", "alias.example"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_scene at;
        open_dane(&at, NULL);
        tlsa_text(SSL_CTX_get0_certificate(at.mx.tls), 3, 1, at.tlsa);
        snprintf(at.domains, sizeof(at.domains),
                 ",{\"name\":\"secure.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
                 "[{\"host\":\"alias.example\",\"port\":%u}]}}",
                 (unsigned)at.mx.port);
        snprintf(at.tlsa_name, sizeof(at.tlsa_name), "_%u._tcp.%s", (unsigned)at.mx.port, names[i]);
        add_record(&at, "alias.example", "CNAME", "real.example");
        add_record(&at, "real.example", "A", "127.0.0.1");
        start_dane(&at, true);
        check_delivered(&at, "dane");
        close_scene(&at);
    }
}

/* --- AUTH --- */

#define ACCOUNT "\"user\":\"gate\",\"password\":\"secret\""
#define EHLO_AUTH(mechanisms) "250-peer\r\n250-AUTH " mechanisms "\r\n250 PIPELINING\r\n"

/* Loopback addresses may be told the password in clear, which lets the commands be looked at. */
static void check_auth(const char *ehlo, const char *commands)
{
    struct tls_scene at;
    open_scene(&at, "", ACCOUNT);
    at.mx.ehlo = ehlo;
    scene_assert_event(send_one(&at, "to@secure.example"), "delivered", "250 2.0.0 taken");
    scene_assert_contains(buffer_text(&at.mx.commands), commands);
    close_scene(&at);
}

static void test_a_smarthost_is_signed_in_at(void **state)
{
    (void)state;
    check_auth(EHLO_AUTH("LOGIN PLAIN"), "EHLO gate.example\nAUTH PLAIN AGdhdGUAc2VjcmV0\nMAIL");
    check_auth(EHLO_AUTH("CRAM-MD5 LOGIN"), "AUTH LOGIN\nZ2F0ZQ==\nc2VjcmV0\nMAIL");
}

static void check_auth_fails(const char *ehlo, const char *answer, const char *reply)
{
    struct tls_scene at;
    open_scene(&at, "", ACCOUNT);
    at.mx.ehlo = ehlo;
    at.mx.auth = answer;
    check_deferred(&at, reply);
    close_scene(&at);
}

static void test_a_smarthost_that_lets_nobody_in_defers(void **state)
{
    (void)state;
    check_auth_fails(EHLO_AUTH("PLAIN"), "535 5.7.8 bad credentials\r\n",
                     "451 4.7.8 [internal] " MX " does not accept the route's user name and "
                     "password: 535 5.7.8 bad credentials");
    check_auth_fails(EHLO_AUTH("PLAIN"), "454 4.7.0 later\r\n",
                     "451 4.7.8 [internal] " MX " does not let the route's user sign in at this "
                     "time: 454 4.7.0 later");
    check_auth_fails(EHLO_AUTH("CRAM-MD5"), NULL,
                     "451 4.7.8 [internal] " MX " offers neither AUTH PLAIN nor AUTH LOGIN");
}

static void test_a_refused_password_is_not_tried_with_every_message(void **state)
{
    struct tls_scene at;
    (void)state;
    open_scene(&at, "", ACCOUNT);
    at.mx.ehlo = EHLO_AUTH("PLAIN");
    at.mx.auth = "535 5.7.8 bad credentials\r\n";
    for (int i = 0; i < 8; i++)
        check_deferred(&at, "451 4.7.8 [internal] " MX " does not accept the route's user name and "
                            "password: 535 5.7.8 bad credentials");
    assert_int_equal(at.mx.connections, 5);
    at.mx.auth = NULL; /* an administrator sees to it, and flushes the queue */
    delivery_retry(at.scene.mta.delivery);
    scene_assert_event(send_one(&at, "to@secure.example"), "delivered", "250 2.0.0 taken");
    close_scene(&at);
}

static void test_a_server_that_repeats_the_password_is_not_quoted(void **state)
{
    (void)state;
    check_auth_fails(EHLO_AUTH("PLAIN"), "500 what is AUTH PLAIN AGdhdGUAc2VjcmV0\r\n",
                     "451 4.7.8 [internal] " MX " does not accept the route's user name and "
                     "password: 500");
    check_auth_fails(EHLO_AUTH("PLAIN"), "535 secret is wrong\r\n",
                     "451 4.7.8 [internal] " MX " does not accept the route's user name and "
                     "password: 535");
}

static void test_signing_in_goes_by_what_is_offered_within_tls(void **state)
{
    struct tls_scene at;
    (void)state;
    open_scene(&at, "\"tls\":\"verified\"", ACCOUNT);
    at.mx.tls = authority_issue(&at.authority, MX, 10);
    check_deferred(&at, "451 4.7.8 [internal] " MX " offers neither AUTH PLAIN nor AUTH LOGIN");
    at.mx.ehlo = "250-peer\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";
    check_delivered(&at, "verified");
    scene_assert_contains(buffer_text(&at.mx.commands),
                          "STARTTLS\nEHLO gate.example\nAUTH PLAIN AGdhdGUAc2VjcmV0\nMAIL");
    close_scene(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_trusted_certificate_for_the_name_is_verified),
        cmocka_unit_test(test_certificates_that_prove_nothing_are_refused),
        cmocka_unit_test(test_a_server_without_starttls_gets_nothing_where_tls_is_needed),
        cmocka_unit_test(test_a_server_that_breaks_the_handshake_gets_nothing_where_tls_is_needed),
        cmocka_unit_test(test_required_tls_takes_any_certificate),
        cmocka_unit_test(test_policies_go_by_domain_and_route),
        cmocka_unit_test(test_the_next_host_is_tried_where_one_is_not_trusted),
        cmocka_unit_test(test_connections_of_other_demands_are_not_shared),
        cmocka_unit_test(test_a_reload_keeps_what_is_trusted),
        cmocka_unit_test(test_a_certificate_that_fits_its_record_is_trusted),
        cmocka_unit_test(test_a_certificate_that_does_not_fit_its_record_is_refused),
        cmocka_unit_test(test_a_downgrade_is_refused_where_there_is_a_record),
        cmocka_unit_test(test_records_that_are_not_validated_do_not_count),
        cmocka_unit_test(test_unusable_records_still_demand_tls),
        cmocka_unit_test(test_a_host_whose_records_are_bogus_is_left_out),
        cmocka_unit_test(test_a_host_that_is_an_alias_has_its_records_at_either_name),
        cmocka_unit_test(test_a_smarthost_is_signed_in_at),
        cmocka_unit_test(test_a_smarthost_that_lets_nobody_in_defers),
        cmocka_unit_test(test_a_refused_password_is_not_tried_with_every_message),
        cmocka_unit_test(test_a_server_that_repeats_the_password_is_not_quoted),
        cmocka_unit_test(test_signing_in_goes_by_what_is_offered_within_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

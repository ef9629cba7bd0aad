/* JSON getters and the configuration document. */
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/json.h"
#include "common/x509.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- JSON --- */

static void a_syntax_error_tells_line_and_column(void **state)
{
    struct error error = {0};
    (void)state;
    assert_null(json_parse("{\"a\":1,\n x}", 11, "current.json", &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_string_equal(error.where, "current.json");
    assert_non_null(strstr(error.message, "line 2"));
}

static void ambiguous_json_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "{}{}",
                                      "{} x",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":\"\\u0000\"}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":NaN}",
                                      "{\"a\":01}",
                                      "1",
                                      "null",
                                      "{\"a\":9223372036854775808}"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        json_t *value = json_parse(bad[i], strlen(bad[i]), NULL, NULL);
        if (value)
            fail_msg("%s is accepted", bad[i]);
    }
    assert_null(json_parse("{}\0", 3, NULL, NULL));
}

static void deep_nesting_is_refused_and_does_not_crash(void **state)
{
    size_t length = 1000000;
    cleanup_free char *text = malloc(length);
    (void)state;
    memset(text, '[', length);
    assert_null(json_parse(text, length, NULL, NULL));
}

static void json_text_is_compact(void **state)
{
    (void)state;
    cleanup_json json_t *value = json_parse("{ \"a\" : [ 1, true ] }", 21, NULL, NULL);
    cleanup_free char *text = json_text(value);
    assert_string_equal(text, "{\"a\":[1,true]}");
}

static void getters_check_types_and_ranges_and_name_the_place(void **state)
{
    struct json_place list = {.name = "listeners"};
    struct json_place place = {.parent = &list, .index = 3};
    struct error error = {0};
    const char *text;
    int64_t number;
    bool flag;
    const json_t *member;
    (void)state;
    cleanup_json json_t *o =
        json_pack("{s:s,s:i,s:b,s:{},s:[i,i]}", "s", "abc", "n", 5, "b", 1, "o", "a", 1, 2);

    assert_true(json_get_text(o, &place, "s", 3, &text, &error));
    assert_string_equal(text, "abc");
    assert_false(json_get_text(o, &place, "s", 2, &text, &error));
    assert_string_equal(error.where, "listeners[3].s");
    assert_string_equal(error.message, "must have at most 2 bytes");
    assert_false(json_get_text(o, &place, "n", 9, &text, &error));
    assert_false(json_get_text(o, &place, "missing", 9, &text, &error));
    assert_string_equal(error.where, "listeners[3].missing");
    assert_string_equal(error.message, "is missing");
    assert_true(json_get_text_or(o, &place, "missing", 9, "fallback", &text, &error));
    assert_string_equal(text, "fallback");
    assert_false(json_get_text_or(o, &place, "n", 9, "fallback", &text, &error));

    assert_true(json_get_integer(o, &place, "n", 5, 5, &number, &error));
    assert_int_equal(number, 5);
    assert_false(json_get_integer(o, &place, "n", 6, 9, &number, &error));
    assert_string_equal(error.message, "must be from 6 to 9");
    assert_false(json_get_integer(o, &place, "n", 1, 4, &number, &error));
    assert_false(json_get_integer(o, &place, "s", 1, 4, &number, &error));
    assert_false(json_get_integer(o, &place, "missing", 1, 4, &number, &error));
    assert_true(json_get_integer_or(o, &place, "missing", 1, 4, 99, &number, &error));
    assert_int_equal(number, 99);
    assert_false(json_get_integer_or(o, &place, "n", 1, 4, 99, &number, &error));

    assert_true(json_get_bool_or(o, &place, "b", false, &flag, &error) && flag);
    assert_true(json_get_bool_or(o, &place, "missing", true, &flag, &error) && flag);
    assert_false(json_get_bool_or(o, &place, "n", true, &flag, &error));

    assert_true(json_get_object(o, &place, "o", true, &member, &error) && member);
    assert_true(json_get_object(o, &place, "missing", false, &member, &error) && !member);
    assert_false(json_get_object(o, &place, "missing", true, &member, &error));
    assert_false(json_get_object(o, &place, "a", true, &member, &error));
    assert_true(json_get_array(o, &place, "a", true, 2, &member, &error) && member);
    assert_false(json_get_array(o, &place, "a", true, 1, &member, &error));
    assert_string_equal(error.message, "must have at most 1 elements");
    assert_false(json_get_array(o, &place, "o", true, 2, &member, &error));
    assert_true(json_get_array(o, &place, "missing", false, 2, &member, &error) && !member);
    assert_false(json_get_text(member, &place, "s", 3, &text, &error));
    assert_string_equal(error.where, "listeners[3]");
}

static void a_very_deep_place_is_cut_and_stays_text(void **state)
{
    struct json_place places[60] = {{.name = "\xc3\xbc\xc3\xbc\xc3\xbc"}};
    struct error error = {0};
    (void)state;
    for (size_t i = 1; i < COUNT_OF(places); i++)
        places[i] = (struct json_place){.parent = &places[i - 1], .name = "\xc3\xbc\xc3\xbc"};
    assert_false(json_place_error(&places[COUNT_OF(places) - 1], "x", &error, "wrong"));
    assert_memory_equal(error.where, "\xc3\xbc\xc3\xbc\xc3\xbc.\xc3\xbc", 9);
    assert_null(strchr(error.where, '?'));
    assert_true(strlen(error.where) >= 125);
}

/* --- documents --- */

static const char complete[] =
    "{'format':1,'version':7,'scanner_id':'0190163D-8694-739B-AEA5-966C26F8AD91',"
    "'issued_at':'2026-01-31T12:00:00.123Z','host_name':'MX.Example.com',"
    "'smtp':{'inbound':{'listeners':[{'address':'192.0.2.1','port':25},{'address':'::1','port':25}]"
    ","
    "'max_message_bytes':1048576,'max_recipients':10,'max_sessions':20,'max_sessions_per_ip':3,"
    "'max_errors':4,'idle_seconds':5,'allowed_networks':[]},"
    "'outbound':{'listeners':[{'address':'192.0.2.1','port':587}],"
    "'allowed_networks':['10.0.0.0/8','2001:db8::/32']},"
    "'scan_wait_seconds':9,"
    "'delivery':{'retry_seconds':[1,2,3],'lifetime_seconds':100,'delay_warning_seconds':0,"
    "'connect_seconds':11,'reply_seconds':12,'max_connections':13,'messages_per_connection':14,"
    "'dns_servers':['127.0.0.53']}},"
    "'domains':[{'name':'zeta.example','route':{'kind':'relay','relays':["
    "{'host':'Mail.Zeta.Example','port':2526},{'host':'192.0.2.9'}]}},"
    "{'name':'Alpha.Example','route':{'kind':'mx'}},"
    "{'name':'b\xc3\xbc"
    "cher.example','route':{'kind':'mx'}}],"
    "'default_route':{'kind':'relay','relays':[{'host':'smart.example'}]},"
    "'policies':{'malware':{'virus':{'action':'reject'},'unscannable':{'action':'delete'}}},"
    "'engine':{'workers':3,'scan_seconds':33}}";

static const char smallest[] =
    "{'format':1,'version':1,'scanner_id':'0190163d-8694-739b-aea5-966c26f8ad91',"
    "'issued_at':'2026-01-31T12:00:00Z','host_name':'mx.example.com',"
    "'smtp':{'inbound':{'listeners':[]},'outbound':{'listeners':[]}},'domains':[]}";

/* Documents stand here with ' for ". */
static struct scanner_config *parse(const char *text, struct error *error)
{
    cleanup_free char *document = strdup(text);
    for (char *at = document; *at; at++)
        if (*at == '\'')
            *at = '"';
    return config_parse(document, strlen(document), error);
}

static void a_complete_document_becomes_typed_values(void **state)
{
    struct error error = {0};
    char text[IP_TEXT_SIZE];
    (void)state;
    struct scanner_config *c = parse(complete, &error);
    if (!c)
        fail_msg("%s: %s", error.where, error.message);
    assert_int_equal(c->version, 7);
    assert_string_equal(c->scanner_id, "0190163d-8694-739b-aea5-966c26f8ad91");
    assert_string_equal(c->host_name, "mx.example.com");
    assert_int_equal(c->inbound.listener_count, 2);
    assert_string_equal(ip_text(&c->inbound.listeners[1].address, text), "::1");
    assert_int_equal(c->inbound.listeners[1].port, 25);
    assert_int_equal(c->inbound.max_message_bytes, 1048576);
    assert_int_equal(c->inbound.max_recipients, 10);
    assert_int_equal(c->inbound.max_sessions, 20);
    assert_int_equal(c->inbound.max_sessions_per_ip, 3);
    assert_int_equal(c->inbound.max_errors, 4);
    assert_int_equal(c->inbound.idle_seconds, 5);
    assert_int_equal(c->outbound.allowed_network_count, 2);
    assert_int_equal(c->outbound.allowed_networks[1].prefix, 32);
    assert_int_equal(c->scan_wait_seconds, 9);
    assert_int_equal(c->delivery.retry_count, 3);
    assert_int_equal(c->delivery.retry_seconds[2], 3);
    assert_int_equal(c->delivery.lifetime_seconds, 100);
    assert_int_equal(c->delivery.delay_warning_seconds, 0);
    assert_int_equal(c->delivery.connect_seconds, 11);
    assert_int_equal(c->delivery.reply_seconds, 12);
    assert_int_equal(c->delivery.max_connections, 13);
    assert_int_equal(c->delivery.messages_per_connection, 14);
    assert_int_equal(c->delivery.dns_server_count, 1);
    assert_int_equal(c->malware[CONFIG_VERDICT_VIRUS].action, CONFIG_ACTION_REJECT);
    assert_int_equal(c->malware[CONFIG_VERDICT_UNSCANNABLE].action, CONFIG_ACTION_DELETE);
    assert_int_equal(c->engine.workers, 3);
    assert_int_equal(c->engine.scan_seconds, 33);
    assert_int_equal(c->default_route.kind, CONFIG_ROUTE_RELAY);
    assert_string_equal(c->default_route.relays[0].host, "smart.example");
    assert_int_equal(c->default_route.relays[0].port, 25);
    config_free(c);
}

static void the_fingerprint_of_policies_changes_with_them_alone(void **state)
{
    static const char *const documents[] = {"'malware':{'virus':{'action':'reject'}}",
                                            "'malware':{'virus':{'action':'delete'}}",
                                            "'malware':{'virus':{'action':'reject'}},'groups':[]"};
    uint64_t fingerprints[2][COUNT_OF(documents)];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(documents) * 2; i++) {
        char text[4096];
        snprintf(text, sizeof(text), "%.*s,'engine':{'workers':%d},'policies':{%s}}",
                 (int)(strlen(smallest) - 1), smallest, 1 + (int)(i / COUNT_OF(documents)),
                 documents[i % COUNT_OF(documents)]);
        struct error error = {0};
        struct scanner_config *c = parse(text, &error);
        if (!c)
            fail_msg("%s: %s", error.where, error.message);
        fingerprints[i / COUNT_OF(documents)][i % COUNT_OF(documents)] = c->policy_fingerprint;
        config_free(c);
    }
    assert_memory_equal(fingerprints[0], fingerprints[1], sizeof(fingerprints[0]));
    assert_true(fingerprints[0][0] != fingerprints[0][1]);
    assert_true(fingerprints[0][0] != fingerprints[0][2]);
}

static void domains_are_sorted_and_found_by_their_a_labels(void **state)
{
    (void)state;
    struct scanner_config *c = parse(complete, NULL);
    assert_int_equal(c->domain_count, 3);
    assert_string_equal(c->domains[0].name, "alpha.example");
    const struct config_domain *zeta = config_find_domain(c, "zeta.example");
    assert_int_equal(zeta->route.relay_count, 2);
    assert_string_equal(zeta->route.relays[0].host, "mail.zeta.example");
    assert_int_equal(zeta->route.relays[0].port, 2526);
    assert_string_equal(zeta->route.relays[1].host, "192.0.2.9");
    assert_non_null(config_find_domain(c, "xn--bcher-kva.example"));
    assert_null(config_find_domain(c, "example"));
    assert_null(config_find_domain(c, ""));
    config_free(c);
}

static void the_smallest_document_takes_every_default(void **state)
{
    struct error error = {0};
    (void)state;
    struct scanner_config *c = parse(smallest, &error);
    if (!c)
        fail_msg("%s: %s", error.where, error.message);
    const struct config_smtp_server *servers[] = {&c->inbound, &c->outbound};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(servers[i]->max_message_bytes, 52428800);
        assert_int_equal(servers[i]->max_recipients, 1000);
        assert_int_equal(servers[i]->max_sessions, 1000);
        assert_int_equal(servers[i]->max_sessions_per_ip, 50);
        assert_int_equal(servers[i]->max_errors, 20);
        assert_int_equal(servers[i]->idle_seconds, 300);
        assert_int_equal(servers[i]->allowed_network_count, 0);
    }
    static const int retries[] = {300, 900, 1800, 3600};
    assert_int_equal(c->delivery.retry_count, 4);
    assert_memory_equal(c->delivery.retry_seconds, retries, sizeof(retries));
    assert_int_equal(c->delivery.lifetime_seconds, 432000);
    assert_int_equal(c->delivery.delay_warning_seconds, 14400);
    assert_int_equal(c->delivery.connect_seconds, 30);
    assert_int_equal(c->delivery.reply_seconds, 300);
    assert_int_equal(c->delivery.max_connections, 20);
    assert_int_equal(c->delivery.messages_per_connection, 100);
    assert_int_equal(c->delivery.dns_server_count, 0);
    assert_int_equal(c->scan_wait_seconds, 30);
    assert_int_equal(c->default_route.kind, CONFIG_ROUTE_MX);
    assert_int_equal(c->malware[CONFIG_VERDICT_VIRUS].action, CONFIG_ACTION_DELETE);
    assert_int_equal(c->malware[CONFIG_VERDICT_UNSCANNABLE].action, CONFIG_ACTION_DELIVER);
    assert_int_equal(c->engine.workers, 2);
    assert_int_equal(c->engine.scan_seconds, 60);
    assert_null(config_find_domain(c, "a.example"));
    config_free(c);
}

/* The document with a certificate of its own, and `inbound` put into smtp.inbound. */
static struct scanner_config *parse_with_tls(const char *certificate, const char *key,
                                             const char *inbound, struct error *error)
{
    json_t *document =
        json_pack("{s:i,s:i,s:s,s:s,s:s,s:{s:{s:[]},s:{s:[{s:s,s:i}]},s:{s:s,s:s}},s:[]}", "format",
                  1, "version", 1, "scanner_id", "0190163d-8694-739b-aea5-966c26f8ad91",
                  "issued_at", "2026-01-31T12:00:00Z", "host_name", "mx.example.com", "smtp",
                  "outbound", "listeners", "inbound", "listeners", "address", "::1", "port", 465,
                  "tls", "certificate", certificate, "key", key, "domains");
    json_t *more = json_loads(inbound, 0, NULL);
    assert_non_null(more);
    json_object_update(json_object_get(json_object_get(document, "smtp"), "inbound"), more);
    cleanup_free char *text = json_text(document);
    json_decref(more);
    json_decref(document);
    return config_parse(text, strlen(text), error);
}

static void a_certificate_makes_tls_optional_unless_told_otherwise(void **state)
{
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *certificate = x509_new_self_signed(key, "mx", NULL, 0, 1, NULL);
    static const char implicit[] =
        "{\"tls\":\"required\",\"listeners\":[{\"address\":\"::1\",\"port\":465,"
        "\"implicit_tls\":true}]}";
    struct error error = {0};
    (void)state;
    struct scanner_config *c = parse_with_tls(certificate, key, "{}", &error);
    if (!c)
        fail_msg("%s: %s", error.where, error.message);
    assert_string_equal(c->tls_certificate, certificate);
    assert_string_equal(c->tls_key, key);
    assert_int_equal(c->inbound.tls, CONFIG_TLS_OPTIONAL);
    assert_int_equal(c->outbound.tls, CONFIG_TLS_OPTIONAL);
    assert_false(c->inbound.listeners[0].implicit_tls);
    config_free(c);
    c = parse_with_tls(certificate, key, implicit, &error);
    if (!c)
        fail_msg("%s: %s", error.where, error.message);
    assert_int_equal(c->inbound.tls, CONFIG_TLS_REQUIRED);
    assert_true(c->inbound.listeners[0].implicit_tls);
    config_free(c);
}

static void a_certificate_and_a_key_that_do_not_fit_are_refused(void **state)
{
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *other = x509_new_key(NULL);
    cleanup_free char *certificate = x509_new_self_signed(key, "mx", NULL, 0, 1, NULL);
    struct error error = {0};
    (void)state;
    assert_null(parse_with_tls(certificate, other, "{}", &error));
    assert_string_equal(error.where, "smtp.tls.key");
    assert_null(parse_with_tls(certificate, "no key", "{}", &error));
    assert_string_equal(error.where, "smtp.tls.key");
    assert_null(parse_with_tls("no certificate", key, "{}", &error));
    assert_string_equal(error.where, "smtp.tls.certificate");
    assert_null(parse_with_tls(certificate, key, "{\"tls\":\"perhaps\"}", &error));
    assert_string_equal(error.where, "smtp.inbound.tls");
}

/* One piece of the complete document replaced by another, and the place that must be blamed. */
static const struct {
    const char *from, *to, *where;
} broken[] = {
    {"'format':1", "'format':2", "format"},
    {"'format':1,", "", "format"},
    {"'version':7", "'version':0", "version"},
    {"'version':7", "'version':'7'", "version"},
    {"'version':7", "'version':7.0", "version"},
    {"0190163D-", "0190163D", "scanner_id"},
    {"'scanner_id':'", "'scanner_id':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "scanner_id"},
    {"2026-01-31T", "2026-02-30T", "issued_at"},
    {"MX.Example.com", "mx_1.example.com", "host_name"},
    {"MX.Example.com", "", "host_name"},
    {"'engine':{", "'motor':{", "motor"},
    {"'inbound':{", "'inbound':{'tls':true,", "smtp.inbound.tls"},
    {"'delivery':{", "'delivery':{'speed':1,", "smtp.delivery.speed"},
    {"'smtp':{", "'smtp':{'relay':{},", "smtp.relay"},
    {"{'kind':'relay','relays':[{'host':'smart.example'}]}", "[]", "default_route"},
    {"{'action':'delete'}", "'delete'", "policies.malware.unscannable"},
    {"{'workers':3,'scan_seconds':33}", "[]", "engine"},
    {"'port':25}", "'port':0}", "smtp.inbound.listeners[0].port"},
    {"'port':25}", "'port':65536}", "smtp.inbound.listeners[0].port"},
    {"'port':25}", "'port':true}", "smtp.inbound.listeners[0].port"},
    {"'port':25}", "'port':25,'tls':1}", "smtp.inbound.listeners[0].tls"},
    {"'port':25}", "'port':25,'implicit_tls':1}", "smtp.inbound.listeners[0].implicit_tls"},
    {"'port':25}", "'port':25,'implicit_tls':true}", "smtp.inbound.listeners[0].implicit_tls"},
    {"'max_errors':4", "'max_errors':4,'tls':'required'", "smtp.inbound.tls"},
    {"'max_errors':4", "'max_errors':4,'tls':'optional'", "smtp.inbound.tls"},
    {"'scan_wait_seconds':9", "'scan_wait_seconds':9,'tls':{}", "smtp.tls.certificate"},
    {"'scan_wait_seconds':9", "'scan_wait_seconds':9,'tls':1", "smtp.tls"},
    {"{'address':'192.0.2.1','port':25}", "7", "smtp.inbound.listeners[0]"},
    {"{'address':'::1','port':25}", "{'port':25}", "smtp.inbound.listeners[1].address"},
    {"'::1'", "'::g'", "smtp.inbound.listeners[1].address"},
    {"'::1'", "'192.0.2.1'", "smtp.inbound.listeners[1]"},
    {"'port':587", "'port':25", "smtp.outbound.listeners[0]"},
    {"'max_message_bytes':1048576", "'max_message_bytes':0", "smtp.inbound.max_message_bytes"},
    {"'max_message_bytes':1048576", "'max_message_bytes':1073741825",
     "smtp.inbound.max_message_bytes"},
    {"'max_recipients':10", "'max_recipients':4294967306", "smtp.inbound.max_recipients"},
    {"'max_sessions':20", "'max_sessions':-1", "smtp.inbound.max_sessions"},
    {"'max_sessions_per_ip':3", "'max_sessions_per_ip':0", "smtp.inbound.max_sessions_per_ip"},
    {"'max_errors':4", "'max_errors':null", "smtp.inbound.max_errors"},
    {"'idle_seconds':5", "'idle_seconds':'5'", "smtp.inbound.idle_seconds"},
    {"10.0.0.0/8", "10.0.0.1/8", "smtp.outbound.allowed_networks[0]"},
    {"2001:db8::/32", "10.0.0.0/8", "smtp.outbound.allowed_networks[1]"},
    {"'2001:db8::/32'", "{}", "smtp.outbound.allowed_networks[1]"},
    {"'scan_wait_seconds':9", "'scan_wait_seconds':601", "smtp.scan_wait_seconds"},
    {"[1,2,3]", "[]", "smtp.delivery.retry_seconds"},
    {"[1,2,3]", "[1,0]", "smtp.delivery.retry_seconds[1]"},
    {"[1,2,3]", "[1,2.5]", "smtp.delivery.retry_seconds[1]"},
    {"[1,2,3]", "3", "smtp.delivery.retry_seconds"},
    {"'lifetime_seconds':100", "'lifetime_seconds':0", "smtp.delivery.lifetime_seconds"},
    {"'delay_warning_seconds':0", "'delay_warning_seconds':-1",
     "smtp.delivery.delay_warning_seconds"},
    {"'connect_seconds':11", "'connect_seconds':0", "smtp.delivery.connect_seconds"},
    {"'reply_seconds':12", "'reply_seconds':0", "smtp.delivery.reply_seconds"},
    {"'max_connections':13", "'max_connections':0", "smtp.delivery.max_connections"},
    {"'messages_per_connection':14", "'messages_per_connection':0",
     "smtp.delivery.messages_per_connection"},
    {"127.0.0.53", "localhost", "smtp.delivery.dns_servers[0]"},
    {"['127.0.0.53']", "['127.0.0.53','127.0.0.53']", "smtp.delivery.dns_servers[1]"},
    {"'domains':[", "'domains':[7,", "domains[0]"},
    {"zeta.example'", "zeta_.example'", "domains[0].name"},
    {"zeta.example'", "192.0.2.1'", "domains[0].name"},
    {"zeta.example'", "ALPHA.example'", "domains[1].name"},
    {"Alpha.Example", "XN--bcher-kva.EXAMPLE", "domains[2].name"},
    {"'name':'Alpha.Example',", "", "domains[1].name"},
    {"'name':'Alpha.Example',", "'name':'Alpha.Example','x':1,", "domains[1].x"},
    {"'name':'Alpha.Example','route':{'kind':'mx'}", "'name':'Alpha.Example'", "domains[1].route"},
    {"'route':{'kind':'mx'}", "'route':'mx'", "domains[1].route"},
    {"'kind':'mx'", "'kind':'dns'", "domains[1].route.kind"},
    {"'kind':'mx'", "'kind':'mx','relays':[]", "domains[1].route.relays"},
    {"'kind':'mx'", "'kind':'relay'", "domains[1].route.relays"},
    {"'kind':'mx'", "'kind':'relay','relays':[]", "domains[1].route.relays"},
    {"'port':2526", "'port':2526,'tls':1", "domains[0].route.relays[0].tls"},
    {"Mail.Zeta.Example", "[192.0.2.8]", "domains[0].route.relays[0].host"},
    {"'host':'192.0.2.9'", "'host':''", "domains[0].route.relays[1].host"},
    {"'host':'192.0.2.9'", "'host':'mail.zeta.example','port':2526", "domains[0].route.relays[1]"},
    {"'host':'smart.example'", "'name':'smart.example'", "default_route.relays[0].host"},
    {"'default_route':{", "'default_route':{'x':1,", "default_route.x"},
    {"'default_route':", "'default_route':[],'x':", "x"},
    {"'action':'reject'", "'action':'forward'", "policies.malware.virus.action"},
    {"'action':'reject'", "'action':1", "policies.malware.virus.action"},
    {"'action':'reject'", "'do':'reject'", "policies.malware.virus.do"},
    {"'virus':{", "'trojan':{", "policies.malware.trojan"},
    {"'malware':{", "'spam':{", "policies.spam"},
    {"'workers':3", "'workers':65", "engine.workers"},
    {"'scan_seconds':33", "'scan_seconds':0", "engine.scan_seconds"},
    {"'version':7", "'version':7,'version':8", "configuration"},
    {"'workers':3", "'workers':3,'workers':3", "configuration"},
};

static char *replaced(const char *text, const char *from, const char *to)
{
    struct buffer out = BUFFER_INIT;
    const char *at = strstr(text, from);
    assert_non_null(at);
    buffer_add(&out, text, (size_t)(at - text));
    buffer_add_text(&out, to);
    buffer_add_text(&out, at + strlen(from));
    return buffer_take(&out);
}

static void every_mistake_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct error error = {0};
        cleanup_free char *text = replaced(complete, broken[i].from, broken[i].to);
        struct scanner_config *config = parse(text, &error);
        if (config)
            fail_msg("%s is accepted", broken[i].to);
        assert_int_equal(error.code, ERROR_INVALID);
        if (strcmp(error.where, broken[i].where) != 0)
            fail_msg("%s: %s: %s", broken[i].to, error.where, error.message);
        assert_true(error.message[0]);
    }
}

static void every_member_without_a_default_must_be_there(void **state)
{
    static const char *const names[] = {"format",    "version", "scanner_id", "issued_at",
                                        "host_name", "smtp",    "domains"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct error error = {0};
        cleanup_free char *quoted = strdup(smallest);
        for (char *at = quoted; *at; at++)
            if (*at == '\'')
                *at = '"';
        cleanup_json json_t *document = json_loads(quoted, 0, NULL);
        assert_int_equal(json_object_del(document, names[i]), 0);
        cleanup_free char *text = json_text(document);
        assert_null(config_parse(text, strlen(text), &error));
        assert_string_equal(error.where, names[i]);
        assert_string_equal(error.message, "is missing");
    }
}

static void a_duplicate_domain_names_both_places(void **state)
{
    struct error error = {0};
    (void)state;
    cleanup_free char *text = replaced(complete,
                                       "'name':'b\xc3\xbc"
                                       "cher.example'",
                                       "'name':'ZETA.example'");
    assert_null(parse(text, &error));
    assert_string_equal(error.where, "domains[2].name");
    assert_string_equal(error.message, "zeta.example is also domains[0]");
}

static void a_document_that_is_too_large_is_refused_unread(void **state)
{
    struct error error = {0};
    (void)state;
    assert_null(config_parse("", (size_t)CONFIG_DOCUMENT_LIMIT + 1, &error));
    assert_string_equal(error.where, "configuration");
    assert_null(config_parse("[]", 2, &error));
    assert_null(config_parse("", 0, &error));
}

/* Domains in an order that a sort has to work on, every second one with a relay of its own. */
static char *document_with_domains(int count)
{
    struct buffer out = BUFFER_INIT;
    cleanup_free char *head = replaced(smallest, "'domains':[]}", "'domains':[");
    buffer_add_text(&out, head);
    for (int i = 0; i < count; i++) {
        buffer_add_format(&out, "%s{'name':'customer-%d.mail.example','route':", i ? "," : "",
                          (int)((i * 7919LL) % count));
        if (i % 2)
            buffer_add_text(&out, "{'kind':'mx'}}");
        else
            buffer_add_format(&out, "{'kind':'relay','relays':[{'host':'mx%d.example'}]}}", i);
    }
    buffer_add_text(&out, "]}");
    for (size_t i = 0; i < out.length; i++)
        if (out.data[i] == '\'')
            out.data[i] = '"';
    return buffer_take(&out);
}

static double processor_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The figure is printed; the bound only tells sorting from comparing each with each. */
static void ten_thousand_domains_take_no_quadratic_time(void **state)
{
    struct error error = {0};
    double best = 1e9;
    (void)state;
    cleanup_free char *text = document_with_domains(10000);
    for (int i = 0; i < 5; i++) {
        double before = processor_ms();
        struct scanner_config *config = config_parse(text, strlen(text), &error);
        double took = processor_ms() - before;
        if (!config)
            fail_msg("%s: %s", error.where, error.message);
        assert_int_equal(config->domain_count, 10000);
        for (size_t j = 1; j < config->domain_count; j++)
            assert_true(strcmp(config->domains[j - 1].name, config->domains[j].name) < 0);
        assert_non_null(config_find_domain(config, "customer-4711.mail.example"));
        config_free(config);
        best = took < best ? took : best;
    }
    print_message("10,000 domains: %.1f ms\n", best);
    assert_true(best < 5000);
}

static void actions_have_names(void **state)
{
    static const char *const names[] = {"deliver", "delete", "reject"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        enum config_action action;
        assert_true(config_action_parse(names[i], &action));
        assert_string_equal(config_action_name(action), names[i]);
    }
    enum config_action action = CONFIG_ACTION_REJECT;
    assert_false(config_action_parse("Delete", &action));
    assert_false(config_action_parse("", &action));
    assert_int_equal(action, CONFIG_ACTION_REJECT);
    config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syntax_error_tells_line_and_column),
        cmocka_unit_test(ambiguous_json_is_refused),
        cmocka_unit_test(deep_nesting_is_refused_and_does_not_crash),
        cmocka_unit_test(json_text_is_compact),
        cmocka_unit_test(getters_check_types_and_ranges_and_name_the_place),
        cmocka_unit_test(a_very_deep_place_is_cut_and_stays_text),
        cmocka_unit_test(a_complete_document_becomes_typed_values),
        cmocka_unit_test(the_fingerprint_of_policies_changes_with_them_alone),
        cmocka_unit_test(domains_are_sorted_and_found_by_their_a_labels),
        cmocka_unit_test(the_smallest_document_takes_every_default),
        cmocka_unit_test(a_certificate_makes_tls_optional_unless_told_otherwise),
        cmocka_unit_test(a_certificate_and_a_key_that_do_not_fit_are_refused),
        cmocka_unit_test(every_mistake_is_refused_with_its_place),
        cmocka_unit_test(every_member_without_a_default_must_be_there),
        cmocka_unit_test(a_duplicate_domain_names_both_places),
        cmocka_unit_test(a_document_that_is_too_large_is_refused_unread),
        cmocka_unit_test(ten_thousand_domains_take_no_quadratic_time),
        cmocka_unit_test(actions_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

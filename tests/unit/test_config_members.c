/* The members of the configuration document, each as a change of a small one: what it becomes, or
 * where it is refused. */
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quoted_json.h"

#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char base[] =
    "{'format':1,'version':1,'scanner_id':'0190163d-8694-739b-aea5-966c26f8ad91',"
    "'issued_at':'2026-01-31T12:00:00Z','host_name':'mx.example.com',"
    "'smtp':{'inbound':{'listeners':[{'address':'::1','port':25}]},'outbound':{'listeners':[]}},"
    "'domains':[{'name':'example.com','route':{'kind':'mx'}},"
    "{'name':'example.net','route':{'kind':'mx'}}]}";

/* The small document with the members of `change` merged in. */
static struct scanner_config *parse(const char *change, struct error *error)
{
    cleanup_json json_t *document = read_quoted(base);
    cleanup_json json_t *patch = read_quoted(change);
    assert_int_equal(json_object_update_recursive(document, patch), 0);
    cleanup_free char *text = json_text(document);
    return config_parse(text, strlen(text), error);
}

static struct scanner_config *parse_good(const char *change)
{
    struct error error = {0};
    struct scanner_config *config = parse(change, &error);
    if (!config)
        fail_msg("%s: %s", error.where, error.message);
    return config;
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
    static const struct {
        const char *change, *where;
    } cases[] = {
        {"{'smtp':{'inbound':{'listeners':[{'address':'::1','port':25,'proxy_protocol':1}]}}}",
         "smtp.inbound.listeners[0].proxy_protocol"},
        {"{'smtp':{'inbound':{'proxy_networks':['10.0.0.1/8']}}}",
         "smtp.inbound.proxy_networks[0]"},
        {"{'smtp':{'outbound':{'xclient_networks':['::1/128','::1/128']}}}",
         "smtp.outbound.xclient_networks[1]"},
        {"{'smtp':{'inbound':{'auth':'off'}}}", "smtp.inbound.auth"},
        {"{'smtp':{'outbound':{'harvest':{}}}}", "smtp.outbound.harvest"},
        {"{'smtp':{'outbound':{'auth':'optional'}}}", "smtp.outbound.auth"},
        {"{'smtp':{'outbound':{'auth':'maybe'}}}", "smtp.outbound.auth"},
        {"{'smtp':{'inbound':{'accept':'no'}}}", "smtp.inbound.accept"},
        {"{'smtp':{'inbound':{'rates':{'messages_per_minute':-1}}}}",
         "smtp.inbound.rates.messages_per_minute"},
        {"{'smtp':{'inbound':{'rates':{'messages':1}}}}", "smtp.inbound.rates.messages"},
        {"{'smtp':{'inbound':{'harvest':{'window_seconds':0}}}}",
         "smtp.inbound.harvest.window_seconds"},
        {"{'smtp':{'delivery':{'ip_preference':'both'}}}", "smtp.delivery.ip_preference"},
        {"{'smtp':{'delivery':{'tls':'on'}}}", "smtp.delivery.tls"},
        {"{'smtp':{'delivery':{'tls_policies':[{'domain':'a b','tls':'off'}]}}}",
         "smtp.delivery.tls_policies[0].domain"},
        {"{'smtp':{'delivery':{'tls_policies':[{'domain':'a.example'}]}}}",
         "smtp.delivery.tls_policies[0].tls"},
        {"{'smtp':{'delivery':{'tls_policies':[{'domain':'a.example','tls':'off'},"
         "{'domain':'A.example','tls':'off'}]}}}",
         "smtp.delivery.tls_policies[1].domain"},
        {"{'smtp':{'delivery':{'trusted_certificates':'x'}}}",
         "smtp.delivery.trusted_certificates"},
        {"{'smtp':{'delivery':{'tls_reports':{'from':'a@example.com'}}}}",
         "smtp.delivery.tls_reports"},
        {"{'smtp':{'delivery':{'tls_reports':{'from':'a','organization':'b','contact':'c'}}}}",
         "smtp.delivery.tls_reports.from"},
        {"{'default_route':{'kind':'relay','relays':[{'host':'a.example'}],'user':'u'}}",
         "default_route.user"},
        {"{'default_route':{'kind':'relay','relays':[{'host':'a.example'}],'balance':'x'}}",
         "default_route.balance"},
        {"{'default_route':{'kind':'relay','relays':[{'host':'a.example'}],'user':'u',"
         "'password':'p','tls':'off'}}",
         "default_route.tls"},
        {"{'default_route':{'kind':'mx','mx':true}}", "default_route.mx"},
        {"{'domains':[{'name':'a.example','route':{'kind':'mx'},'recipients':'none'}]}",
         "domains[0].recipients"},
        {"{'domains':[{'name':'b.example','route':{'kind':'mx'}},{'name':'a.example',"
         "'route':{'kind':'mx'},'alias_of':'c.example'}]}",
         "domains[1].alias_of"},
        {"{'domains':[{'name':'a.example','route':{'kind':'mx'},'alias_of':'a.example'}]}",
         "domains[0].alias_of"},
        {"{'aliases':[{'address':'a.example','to':['b@example.com']}]}", "aliases[0].address"},
        {"{'aliases':[{'address':'@.a.example','to':['b@example.com']}]}", "aliases[0].address"},
        {"{'aliases':[{'address':'a@a.example','to':[]}]}", "aliases[0].to"},
        {"{'aliases':[{'address':'a@a.example','to':['b']}]}", "aliases[0].to[0]"},
        {"{'aliases':[{'address':'B@a.example','to':['b@b.example']},"
         "{'address':'b@A.example','to':['b@b.example']}]}",
         "aliases[1].address"},
        {"{'masquerades':[{'from':'@a.example','to':'@A.example'}]}", "masquerades[0].to"},
        {"{'masquerades':[{'from':'@a.example','to':'@.b.example'}]}", "masquerades[0].to"},
        {"{'bounce_protection':{'mode':'tag'}}", "bounce_protection.keys"},
        {"{'bounce_protection':{'keys':[{'number':1,'secret':'c2hvcnQ='}]}}",
         "bounce_protection.keys[0].secret"},
        {"{'bounce_protection':{'keys':[{'number':10,'secret':'c2hvcnQ='}]}}",
         "bounce_protection.keys[0].number"},
        {"{'directory':{'users':[{'name':'a','password_hash':'plain'}]}}",
         "directory.users[0].password_hash"},
        {"{'directory':{'users':[{'name':'a','password_hash':'$argon2id$x'},"
         "{'name':'A','password_hash':'$argon2id$x'}]}}",
         "directory.users[1].name"},
        {"{'directory':{'sources':[{'name':'a','servers':[]}]}}", "directory.sources[0].servers"},
        {"{'directory':{'sources':[{'name':'a','servers':['http://a']}]}}",
         "directory.sources[0].servers[0]"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a/b?c']}]}}",
         "directory.sources[0].servers[0]"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],'ca':'x'}]}}",
         "directory.sources[0].ca"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],'recipients':{}}]}}",
         "directory.sources[0].recipients.filter"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],"
         "'recipients':{'filter':'(mail=%x)'}}]}}",
         "directory.sources[0].recipients.filter"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],"
         "'recipients':{'filter':'(mail=%s))('}}]}}",
         "directory.sources[0].recipients.filter"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],"
         "'recipients':{'filter':'(mail=%s)(a=b)'}}]}}",
         "directory.sources[0].recipients.filter"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],"
         "'routing':{'filter':'(mail=%s)'}}]}}",
         "directory.sources[0].routing"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],"
         "'groups':{'filter':'(m=%D)','name_attribute':'a b'}}]}}",
         "directory.sources[0].groups.name_attribute"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a']},"
         "{'name':'a','servers':['ldap://b']}]}}",
         "directory.sources[1].name"},
        {"{'directory':{'sources':[{'name':'a','servers':['ldap://a'],'timeout_seconds':61}]}}",
         "directory.sources[0].timeout_seconds"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error error = {0};
        struct scanner_config *config = parse(cases[i].change, &error);
        if (config)
            fail_msg("accepted: %s", cases[i].change);
        if (error.code != ERROR_INVALID || strcmp(error.where, cases[i].where) != 0)
            fail_msg("%s\n  is refused at %s: %s", cases[i].change, error.where, error.message);
    }
}

static void what_is_not_said_takes_safe_defaults(void **state)
{
    (void)state;
    struct scanner_config *c = parse_good("{}");
    assert_true(c->inbound.accept && c->inbound.deliver && c->outbound.accept);
    assert_int_equal(c->outbound.auth, CONFIG_AUTH_OFF);
    assert_int_equal(c->inbound.harvest.unknown_recipients, 20);
    assert_int_equal(c->inbound.rates.messages_per_minute, 0);
    assert_int_equal(c->inbound.proxies.count, 0);
    assert_int_equal(c->delivery.tls, CONFIG_DELIVERY_TLS_OPPORTUNISTIC);
    assert_true(c->delivery.dane && c->delivery.mta_sts && !c->delivery.dns_validates);
    assert_null(c->delivery.tls_reports.from);
    assert_null(c->domains[0].alias_of);
    assert_int_equal(c->domains[0].recipients, CONFIG_RECIPIENTS_ANY);
    assert_int_equal(c->bounce_protection.mode, CONFIG_BOUNCE_OFF);
    assert_int_equal(config_find_tls(c, "any.example"), CONFIG_DELIVERY_TLS_OPPORTUNISTIC);
    assert_null(config_find_alias(c, "a@example.com"));
    assert_null(config_find_masquerade(c, "@example.com"));
    config_free(c);
}

static void servers_keep_what_they_are_told(void **state)
{
    (void)state;
    struct scanner_config *c = parse_good(
        "{'smtp':{'inbound':{'listeners':[{'address':'::1','port':26,'proxy_protocol':true}],"
        "'proxy_networks':['10.0.0.0/8'],'accept':false,"
        "'rates':{'connections_per_minute':1,'recipient_messages_per_hour':6},"
        "'harvest':{'unknown_recipients':3,'window_seconds':4,'block_seconds':5}},"
        "'outbound':{'xclient_networks':['::1/128'],'deliver':false}}}");
    assert_true(c->inbound.listeners[0].proxy_protocol);
    assert_int_equal(c->inbound.proxies.count, 1);
    assert_int_equal(c->inbound.proxies.networks[0].prefix, 96 + 8);
    assert_false(c->inbound.accept);
    assert_true(c->outbound.accept);
    assert_int_equal(c->inbound.rates.connections_per_minute, 1);
    assert_int_equal(c->inbound.rates.recipient_messages_per_hour, 6);
    assert_int_equal(c->inbound.harvest.unknown_recipients, 3);
    assert_int_equal(c->inbound.harvest.block_seconds, 5);
    assert_int_equal(c->outbound.xclient.count, 1);
    assert_false(c->outbound.deliver);
    config_free(c);
}

static void the_nearest_tls_policy_is_taken(void **state)
{
    (void)state;
    struct scanner_config *c =
        parse_good("{'smtp':{'delivery':{'tls':'required','tls_policies':["
                   "{'domain':'.Partner.example','tls':'verified'},{'domain':'old.partner.example',"
                   "'tls':'off'},{'domain':'.lab.partner.example','tls':'opportunistic'}]}}}");
    assert_int_equal(config_find_tls(c, "partner.example"), CONFIG_DELIVERY_TLS_REQUIRED);
    assert_int_equal(config_find_tls(c, "a.partner.example"), CONFIG_DELIVERY_TLS_VERIFIED);
    assert_int_equal(config_find_tls(c, "old.partner.example"), CONFIG_DELIVERY_TLS_OFF);
    assert_int_equal(config_find_tls(c, "b.old.partner.example"), CONFIG_DELIVERY_TLS_VERIFIED);
    assert_int_equal(config_find_tls(c, "x.lab.partner.example"),
                     CONFIG_DELIVERY_TLS_OPPORTUNISTIC);
    assert_int_equal(config_find_tls(c, "example"), CONFIG_DELIVERY_TLS_REQUIRED);
    config_free(c);
}

static void names_of_tls_demands_read_back(void **state)
{
    enum config_delivery_tls tls;
    (void)state;
    for (int i = CONFIG_DELIVERY_TLS_OFF; i <= CONFIG_DELIVERY_TLS_VERIFIED; i++) {
        assert_true(config_delivery_tls_parse(config_delivery_tls_name(i), &tls));
        assert_int_equal(tls, i);
    }
    assert_string_equal(config_delivery_tls_name(CONFIG_DELIVERY_TLS_INHERIT), "");
    assert_false(config_delivery_tls_parse("", &tls));
}

static void a_route_keeps_its_balance_and_password(void **state)
{
    (void)state;
    struct scanner_config *c = parse_good(
        "{'default_route':{'kind':'relay','relays':[{'host':'a.example'}],'balance':'share',"
        "'mx':true,'user':'u','password':'p','tls':'verified'}}");
    assert_true(c->default_route.share && c->default_route.mx);
    assert_string_equal(c->default_route.user, "u");
    assert_string_equal(c->default_route.password, "p");
    assert_int_equal(c->default_route.tls, CONFIG_DELIVERY_TLS_VERIFIED);
    config_free(c);
}

static void addresses_are_normalised_and_found(void **state)
{
    (void)state;
    struct scanner_config *c = parse_good(
        "{'domains':[{'name':'old.example','route':{'kind':'mx'},'alias_of':'Example.com',"
        "'recipients':'drop'},{'name':'example.com','route':{'kind':'mx'},"
        "'recipients':'reject'}],"
        "'aliases':[{'address':'Sales@Example.com','to':['a@example.com','b@elsewhere.example']},"
        "{'address':'@old.example','to':['all@example.com']}],"
        "'masquerades':[{'from':'@.Example.com','to':'@example.com'},"
        "{'from':'Root@host.example.com','to':'ops@example.com'}],"
        "'bounce_protection':{'mode':'enforce','days':3,"
        "'keys':[{'number':4,'secret':'MDEyMzQ1Njc4OWFiY2RlZg=='}]}}");
    assert_string_equal(config_find_domain(c, "old.example")->alias_of, "example.com");
    assert_int_equal(config_find_domain(c, "old.example")->recipients, CONFIG_RECIPIENTS_DROP);
    assert_int_equal(config_find_domain(c, "example.com")->recipients, CONFIG_RECIPIENTS_REJECT);
    const struct config_alias *sales = config_find_alias(c, "sales@example.com");
    assert_non_null(sales);
    assert_int_equal(sales->to_count, 2);
    assert_string_equal(sales->to[1], "b@elsewhere.example");
    assert_non_null(config_find_alias(c, "@old.example"));
    assert_string_equal(config_find_masquerade(c, "@.example.com")->to, "@example.com");
    assert_string_equal(config_find_masquerade(c, "root@host.example.com")->to, "ops@example.com");
    assert_int_equal(c->bounce_protection.mode, CONFIG_BOUNCE_ENFORCE);
    assert_int_equal(c->bounce_protection.keys[0].length, 16);
    assert_memory_equal(c->bounce_protection.keys[0].secret, "0123456789abcdef", 16);
    config_free(c);
}

static void a_directory_keeps_its_sources_in_order(void **state)
{
    (void)state;
    struct scanner_config *c = parse_good(
        "{'directory':{'users':[{'name':'Zoe','password_hash':'$argon2id$z'},"
        "{'name':'amy','password_hash':'$argon2id$a'}],"
        "'sources':[{'name':'main','servers':['ldap://127.0.0.1:3890','ldap://127.0.0.1:3890'],"
        "'start_tls':true,'bind_dn':'cn=a','bind_password':'b','base_dn':'dc=x',"
        "'domains':['Example.com'],'timeout_seconds':3,'recipients':{'filter':'(mail=%s)'},"
        "'routing':{'filter':'(&(mail=%s)(a=%u%%%d))','host_attribute':'mailHost'},"
        "'groups':{'filter':'(member=%D)'}},"
        "{'name':'other','servers':['ldaps://[::1]'],'authentication':{'filter':'(uid=%s)'}}]}}");
    const struct config_directory *directory = &c->directory;
    assert_int_equal(directory->user_count, 2);
    assert_string_equal(directory->users[0].name, "amy");
    assert_string_equal(directory->users[1].name, "zoe");
    assert_int_equal(directory->source_count, 2);
    const struct config_directory_source *main = &directory->sources[0];
    assert_string_equal(main->name, "main");
    assert_int_equal(main->server_count, 2);
    assert_true(main->start_tls);
    assert_string_equal(main->domains[0], "example.com");
    assert_int_equal(main->timeout_seconds, 3);
    assert_int_equal(main->cache_seconds, 600);
    assert_string_equal(main->recipients_filter, "(mail=%s)");
    assert_string_equal(main->routing_host_attribute, "mailHost");
    assert_string_equal(main->routing_address_attribute, "");
    assert_string_equal(main->groups_name_attribute, "cn");
    assert_null(main->authentication_filter);
    assert_string_equal(directory->sources[1].authentication_filter, "(uid=%s)");
    assert_string_equal(directory->sources[1].bind_dn, "");
    config_free(c);
}

static void signatures_keep_what_they_are_told(void **state)
{
    (void)state;
    struct scanner_config *c = parse_good(
        "{'signatures':{'custom':[{'name':'b.ndb','text':'B:0:*:61'},{'name':'a.yar','text':'x'}],"
        "'update':{'hours':0,'official':false,'mirror':'http://127.0.0.1:1',"
        "'proxy':{'host':'::1','user':'u','password':'p'},'urls':['https://a.example/x.ndb']}}}");
    const struct config_signatures *signatures = &c->signatures;
    assert_true(signatures->has_custom);
    assert_int_equal(signatures->custom_count, 2);
    assert_string_equal(signatures->custom[0].name, "a.yar");
    assert_string_equal(signatures->custom[1].text, "B:0:*:61");
    assert_int_equal(signatures->update.hours, 0);
    assert_false(signatures->update.official);
    assert_string_equal(signatures->update.mirror, "http://127.0.0.1:1");
    assert_string_equal(signatures->update.proxy_host, "::1");
    assert_int_equal(signatures->update.proxy_port, 3128);
    assert_string_equal(signatures->update.proxy_password, "p");
    assert_int_equal(signatures->update.url_count, 1);
    config_free(c);
    c = parse_good("{}");
    assert_false(c->signatures.has_custom);
    assert_int_equal(c->signatures.update.hours, 4);
    assert_true(c->signatures.update.official);
    assert_null(c->signatures.update.proxy_host);
    config_free(c);
}

/* freshclam's configuration has an option a line: a value must not bring another one. */
static void signatures_that_could_do_harm_are_refused(void **state)
{
    static const struct {
        const char *change, *where;
    } cases[] = {
        {"{'custom':[{'name':'../a.ndb','text':''}]}", "signatures.custom[0].name"},
        {"{'custom':[{'name':'.ndb','text':''}]}", "signatures.custom[0].name"},
        {"{'custom':[{'name':'a.cbc','text':''}]}", "signatures.custom[0].name"},
        {"{'custom':[{'name':'a.ndb'}]}", "signatures.custom[0].text"},
        {"{'custom':[{'name':'a.ndb','text':''},{'name':'a.ndb','text':''}]}",
         "signatures.custom[1].name"},
        {"{'update':{'hours':-1}}", "signatures.update.hours"},
        {"{'update':{'mirror':'ftp://a'}}", "signatures.update.mirror"},
        {"{'update':{'mirror':'http://a\\nOnUpdateExecute /bin/sh'}}", "signatures.update.mirror"},
        {"{'update':{'urls':['file:///etc/passwd']}}", "signatures.update.urls[0]"},
        {"{'update':{'urls':['http://a.example']}}", "signatures.update.urls[0]"},
        {"{'update':{'proxy':{'port':1}}}", "signatures.update.proxy.host"},
        {"{'update':{'proxy':{'host':'a','password':'a b'}}}", "signatures.update.proxy.password"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct error error = {0};
        char change[512];
        snprintf(change, sizeof(change), "{'signatures':%s}", cases[i].change);
        assert_null(parse(change, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_string_equal(error.where, cases[i].where);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(what_is_not_said_takes_safe_defaults),
        cmocka_unit_test(servers_keep_what_they_are_told),
        cmocka_unit_test(the_nearest_tls_policy_is_taken),
        cmocka_unit_test(names_of_tls_demands_read_back),
        cmocka_unit_test(a_route_keeps_its_balance_and_password),
        cmocka_unit_test(addresses_are_normalised_and_found),
        cmocka_unit_test(a_directory_keeps_its_sources_in_order),
        cmocka_unit_test(signatures_keep_what_they_are_told),
        cmocka_unit_test(signatures_that_could_do_harm_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

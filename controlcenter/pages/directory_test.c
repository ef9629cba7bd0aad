#include "controlcenter/pages/directory_test.h"

#include "common/cleanup.h"
#include "common/ldap/ldap_source.h"
#include "common/timestamp.h"

#include <string.h>

#define OUTCOME_MS 15000 /* for all questions about the address */

static const char *const steps[] = {
    "connect", "tls", "bind", "base", "recipients", "routing", "authentication", "groups", NULL};

/* --- the servers, step by step --- */

static void put_step(struct page *page, json_t *rows, const json_t *from)
{
    json_t *row = page_add_object(page, rows);
    const json_t *count = json_object_get(from, "count");
    page_put_word(page, row, "step", json_string_value(json_object_get(from, "step")), steps);
    page_put(page, row, "step_ok", json_boolean(json_is_true(json_object_get(from, "ok"))));
    page_put_text(page, row, "detail", json_string_value(json_object_get(from, "detail")));
    if (json_is_integer(count) && json_integer_value(count) >= 0)
        page_put_count(page, row, "entries", json_integer_value(count));
}

static bool put_servers(struct page *page, json_t *test, const json_t *report)
{
    const json_t *server, *step;
    size_t index, step_index;
    bool any = false;
    json_t *rows = page_put_array(page, test, "servers");
    json_array_foreach(json_object_get(report, "servers"), index, server)
    {
        bool good = json_is_true(json_object_get(server, "ok"));
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "server", json_string_value(json_object_get(server, "server")));
        page_put(page, row, "server_ok", json_boolean(good));
        json_t *list = page_put_array(page, row, "steps");
        json_array_foreach(json_object_get(server, "steps"), step_index, step)
            put_step(page, list, step);
        any = any || good;
    }
    return any;
}

/* --- what a scanner would make of the address --- */

static const char *answer_name(enum ldap_answer answer)
{
    return answer == LDAP_ANSWER_KNOWN     ? "known"
           : answer == LDAP_ANSWER_UNKNOWN ? "unknown"
                                           : "unavailable";
}

static json_t *put_outcome(struct page *page, json_t *test, const char *name,
                           enum ldap_answer answer, const struct error *error)
{
    json_t *to = page_put_object(page, test, name);
    page_put_true(page, to, answer_name(answer));
    if (answer == LDAP_ANSWER_UNAVAILABLE)
        page_put_text(page, to, "reason", error->message);
    return to;
}

static void try_recipient(struct page *page, json_t *test, struct ldap_session *session,
                          const char *address, int64_t until)
{
    struct error error = {0};
    put_outcome(page, test, "recipient", ldap_session_recipient(session, address, until, &error),
                &error);
}

static void try_routing(struct page *page, json_t *test, struct ldap_session *session,
                        const char *address, int64_t until)
{
    struct error error = {0};
    struct ldap_routing routing = {0};
    enum ldap_answer answer = ldap_session_routing(session, address, until, &routing, &error);
    json_t *to = put_outcome(page, test, "routing", answer, &error);
    page_put_text(page, to, "address", routing.address);
    page_put_text(page, to, "route", routing.route);
}

static void try_groups(struct page *page, json_t *test, struct ldap_session *session,
                       const char *address, int64_t until)
{
    struct error error = {0};
    struct ldap_groups groups = {0};
    enum ldap_answer answer = ldap_session_groups(session, address, until, &groups, &error);
    json_t *rows = page_put_array(page, put_outcome(page, test, "groups", answer, &error), "names");
    for (size_t i = 0; i < groups.count; i++)
        page_put_text(page, page_add_object(page, rows), "name", groups.names[i]);
    ldap_groups_free(&groups);
}

static void try_address(struct page *page, json_t *test,
                        const struct config_directory_source *config, const char *address)
{
    struct ldap_source *source = ldap_source_new(config);
    struct ldap_session *session = source ? ldap_session_new(source) : NULL;
    int64_t until = timestamp_monotonic_ms() + OUTCOME_MS;
    page->failed = page->failed || !session;
    page_put_text(page, test, "address", address);
    if (session && config->recipients_filter)
        try_recipient(page, test, session, address, until);
    if (session && config->routing_filter)
        try_routing(page, test, session, address, until);
    if (session && config->groups_filter)
        try_groups(page, test, session, address, until);
    ldap_session_free(session);
    ldap_source_free(source);
}

bool directory_test(struct page *page, const struct fleet_directory_candidate *candidate,
                    const char *address, struct error *error)
{
    size_t index;
    cleanup_json json_t *report = NULL;
    struct scanner_config *config =
        fleet_try_directory(page->application->fleet, candidate, &index, error);
    if (!config)
        return false;
    const struct config_directory_source *source = &config->directory.sources[index];
    bool ok = ldap_source_test(source, address, &report, error);
    if (ok) {
        json_t *test = page_put_object(page, page->data, "test");
        page_put(page, test, "all_ok", json_boolean(json_is_true(json_object_get(report, "ok"))));
        if (put_servers(page, test, report) && *address)
            try_address(page, test, source, address);
    }
    config_free(config);
    return ok;
}

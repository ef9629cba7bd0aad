#include "common/ldap/ldap_filter.h"
#include "common/ldap/ldap_source_private.h"

#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define SERVER_SECONDS_MOST 10
#define COUNT_MOST 100 /* entries that are counted */

struct trial {
    const struct config_directory_source *config;
    struct ldap_connection *connection;
    const char *address;
    int64_t until;
    json_t *steps;
    bool good;
};

static void add_step(struct trial *trial, const char *name, bool good, int count,
                     const char *detail)
{
    json_t *step = json_pack("{s:s,s:b,s:s}", "step", name, "ok", good, "detail", detail);
    if (count >= 0)
        json_object_set_new(step, "count", json_integer(count));
    json_array_append_new(trial->steps, step);
    trial->good = trial->good && good;
}

/* The steps of opening a connection that were gone through, the last of them perhaps failed. */
static void add_opening(struct trial *trial, const char *server, enum ldap_stage stage,
                        const struct error *error)
{
    const struct config_directory_source *config = trial->config;
    const struct {
        enum ldap_stage stage;
        const char *name;
        bool used;
    } steps[] = {
        {LDAP_STAGE_CONNECT, "connect", true},
        {LDAP_STAGE_TLS, "tls", config->start_tls || strncasecmp(server, "ldaps:", 6) == 0},
        {LDAP_STAGE_BIND, "bind", config->bind_dn && *config->bind_dn}};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i].stage == stage)
            add_step(trial, steps[i].name, false, -1, error->message);
        else if (steps[i].stage < stage && steps[i].used)
            add_step(trial, steps[i].name, true, -1, "");
    }
}

static void try_base(struct trial *trial)
{
    struct ldap_search search = {
        .base = trial->config->base_dn, .filter = "(objectClass=*)", .base_alone = true, .most = 1};
    struct ldap_entries entries;
    struct error error = {0};
    bool good = ldap_connection_search(trial->connection, &search, trial->until, &entries, &error);
    bool found = entries.count > 0;
    add_step(trial, "base", good && found, (int)entries.count,
             !good    ? error.message
             : !found ? "the base DN cannot be read"
                      : "");
    ldap_entries_free(&entries);
}

static void try_search(struct trial *trial, const char *name, const char *pattern, const char *dn)
{
    struct ldap_search search = {.base = trial->config->base_dn, .most = COUNT_MOST};
    struct ldap_entries entries = {0};
    struct error error = {0};
    char *filter = NULL;
    enum ldap_filter_result made = ldap_filter_expand(pattern, trial->address, dn, &filter, &error);
    bool good = made != LDAP_FILTER_REFUSED;
    search.filter = filter;
    if (made == LDAP_FILTER_MADE)
        good = ldap_connection_search(trial->connection, &search, trial->until, &entries, &error);
    add_step(trial, name, good, good ? (int)entries.count : -1,
             good && entries.count > 0 ? entries.list[0].dn : error.message);
    ldap_entries_free(&entries);
    free(filter);
}

/* The DN of the entry whose groups are looked for; NULL where there is none. The caller frees. */
static char *find_entry(struct trial *trial, const char *pattern)
{
    struct ldap_search search = {.base = trial->config->base_dn, .most = 1};
    struct ldap_entries entries = {0};
    char *filter = NULL, *dn = NULL;
    if (pattern &&
        ldap_filter_expand(pattern, trial->address, NULL, &filter, NULL) == LDAP_FILTER_MADE) {
        search.filter = filter;
        if (ldap_connection_search(trial->connection, &search, trial->until, &entries, NULL) &&
            entries.count > 0)
            dn = strdup(entries.list[0].dn);
    }
    ldap_entries_free(&entries);
    free(filter);
    return dn;
}

static void try_groups(struct trial *trial)
{
    const struct config_directory_source *config = trial->config;
    char *dn = NULL;
    if (ldap_filter_uses_dn(config->groups_filter))
        dn = find_entry(trial, config->recipients_filter ? config->recipients_filter
                               : config->routing_filter  ? config->routing_filter
                                                         : config->authentication_filter);
    try_search(trial, "groups", config->groups_filter, dn);
    free(dn);
}

static void try_searches(struct trial *trial)
{
    const struct config_directory_source *config = trial->config;
    try_base(trial);
    if (!trial->good || !trial->address || !*trial->address)
        return;
    if (config->recipients_filter)
        try_search(trial, "recipients", config->recipients_filter, NULL);
    if (config->routing_filter)
        try_search(trial, "routing", config->routing_filter, NULL);
    if (config->authentication_filter)
        try_search(trial, "authentication", config->authentication_filter, NULL);
    if (config->groups_filter)
        try_groups(trial);
}

static bool try_server(const struct config_directory_source *config, const char *server,
                       const char *address, json_t *servers)
{
    int seconds = config->timeout_seconds < SERVER_SECONDS_MOST ? config->timeout_seconds
                                                                : SERVER_SECONDS_MOST;
    struct trial trial = {.config = config,
                          .address = address,
                          .until = timestamp_monotonic_ms() + (int64_t)seconds * 1000,
                          .steps = json_array(),
                          .good = true};
    struct error error = {0};
    enum ldap_stage stage;
    trial.connection = ldap_connection_open(config, server, trial.until, &stage, &error);
    add_opening(&trial, server, stage, &error);
    if (trial.connection)
        try_searches(&trial);
    ldap_connection_close(trial.connection);
    json_array_append_new(servers, json_pack("{s:s,s:b,s:o}", "server", server, "ok", trial.good,
                                             "steps", trial.steps));
    return trial.good;
}

bool ldap_source_test(const struct config_directory_source *config, const char *address,
                      json_t **report, struct error *error)
{
    const char *uris[LDAP_SERVERS_MOST];
    size_t count = ldap_source_distinct(config, uris);
    json_t *servers = json_array();
    bool good = count > 0;
    for (size_t i = 0; i < count; i++)
        good = try_server(config, uris[i], address, servers) && good;
    *report = json_pack("{s:b,s:o}", "ok", good, "servers", servers);
    return *report || error_set(error, ERROR_INTERNAL, config->name, "out of memory");
}

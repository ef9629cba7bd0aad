/* The questions that a source is asked, each a filter of the configuration. */
#include "common/ldap/ldap_filter.h"
#include "common/ldap/ldap_source_private.h"

#include "common/ip.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_ENTRIES_MOST 10 /* whose groups are looked for */

/* Searches with a pattern. UNKNOWN where nothing is found or nothing may match. */
static enum ldap_answer find(struct ldap_session *session, const char *pattern, const char *value,
                             const char *dn, struct ldap_search *search, int64_t until,
                             struct ldap_entries *entries, struct error *error)
{
    char *filter = NULL;
    enum ldap_answer answer = LDAP_ANSWER_UNAVAILABLE;
    *entries = (struct ldap_entries){0};
    switch (ldap_filter_expand(pattern, value, dn, &filter, error)) {
    case LDAP_FILTER_EMPTY_VALUE:
        return LDAP_ANSWER_UNKNOWN;
    case LDAP_FILTER_REFUSED:
        return LDAP_ANSWER_UNAVAILABLE;
    case LDAP_FILTER_MADE:
        break;
    }
    search->filter = filter;
    search->base = ldap_source_config(session->source)->base_dn;
    if (ldap_session_search(session, search, until, entries, error))
        answer = entries->count > 0 ? LDAP_ANSWER_KNOWN : LDAP_ANSWER_UNKNOWN;
    free(filter);
    return answer;
}

enum ldap_answer ldap_session_recipient(struct ldap_session *session, const char *address,
                                        int64_t until, struct error *error)
{
    struct ldap_search search = {.most = 1};
    struct ldap_entries entries;
    const char *pattern = ldap_source_config(session->source)->recipients_filter;
    enum ldap_answer answer =
        find(session, pattern, address, NULL, &search, until, &entries, error);
    ldap_entries_free(&entries);
    return answer;
}

/* --- routing --- */

/* The only value of an attribute; "" where there is none, NULL where there are several. */
static const char *only_value(const struct ldap_entry *entry, size_t attribute)
{
    const char *found = "";
    for (size_t i = 0; i < entry->value_count; i++) {
        if (entry->values[i].attribute != attribute)
            continue;
        if (*found)
            return NULL;
        found = entry->values[i].text;
    }
    return found;
}

static bool is_port(const char *text)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    unsigned long port = strtoul(text, &end, 10);
    return !*end && port > 0 && port <= 65535;
}

static bool is_ip(const char *host, int *family)
{
    unsigned char address[sizeof(struct in6_addr)];
    *family = AF_INET;
    if (inet_pton(AF_INET, host, address) == 1)
        return true;
    *family = AF_INET6;
    return inet_pton(AF_INET6, host, address) == 1;
}

/* "HOST", "HOST:PORT", "[IP]", "[IP]:PORT" or an IPv6 address alone. */
static bool read_route(const char *text, char route[DOMAIN_SIZE + 8])
{
    char host[DOMAIN_SIZE], name[DOMAIN_SIZE];
    int family;
    bool bracketed = *text == '[';
    bool alone = is_ip(text, &family);
    const char *start = text + (bracketed ? 1 : 0);
    size_t length = alone ? strlen(text) : strcspn(start, bracketed ? "]" : ":");
    const char *rest = start + length;
    if (length == 0 || length >= sizeof(host) || (bracketed && *rest++ != ']') ||
        (*rest && (*rest != ':' || !is_port(rest + 1))))
        return false;
    memcpy(host, start, length);
    host[length] = '\0';
    if (is_ip(host, &family))
        snprintf(name, sizeof(name), family == AF_INET6 ? "[%s]" : "%s", host);
    else if (bracketed || domain_normalise(host, true, name))
        return false;
    return snprintf(route, DOMAIN_SIZE + 8, "%s%s", name, rest) < DOMAIN_SIZE + 8;
}

static bool read_address(const char *text, char address[ADDRESS_SIZE])
{
    size_t length = strlen(text);
    if (length >= ADDRESS_SIZE || address_check(text, length, true))
        return false;
    memcpy(address, text, length + 1);
    return true;
}

static bool read_routing(const struct ldap_entry *entry, const char *const *attributes,
                         struct ldap_routing *routing, struct error *error)
{
    for (size_t i = 0; attributes[i]; i++) {
        const char *value = only_value(entry, i);
        bool is_host = i == 0;
        if (!value)
            return error_set(error, ERROR_INVALID, entry->dn, "%s has more than one value",
                             attributes[i]);
        if (*value &&
            !(is_host ? read_route(value, routing->route) : read_address(value, routing->address)))
            return error_set(error, ERROR_INVALID, entry->dn, "%s is no %s: %s", attributes[i],
                             is_host ? "host" : "address", value);
    }
    return true;
}

/* An attribute that nothing can have stands for one that the configuration leaves out. */
static const char *attribute_or_none(const char *name)
{
    return name && *name ? name : "1.1";
}

enum ldap_answer ldap_session_routing(struct ldap_session *session, const char *address,
                                      int64_t until, struct ldap_routing *routing,
                                      struct error *error)
{
    const struct config_directory_source *config = ldap_source_config(session->source);
    const char *const attributes[] = {attribute_or_none(config->routing_host_attribute),
                                      attribute_or_none(config->routing_address_attribute), NULL};
    struct ldap_search search = {.attributes = attributes, .most = 2};
    struct ldap_entries entries;
    *routing = (struct ldap_routing){0};
    enum ldap_answer answer =
        find(session, config->routing_filter, address, NULL, &search, until, &entries, error);
    if (answer == LDAP_ANSWER_KNOWN && entries.count > 1) {
        error_set(error, ERROR_INVALID, config->name,
                  "more than one entry says where mail to %s goes", address);
        answer = LDAP_ANSWER_UNAVAILABLE;
    } else if (answer == LDAP_ANSWER_KNOWN &&
               !read_routing(&entries.list[0], attributes, routing, error)) {
        answer = LDAP_ANSWER_UNAVAILABLE;
    }
    ldap_entries_free(&entries);
    return answer;
}

/* --- passwords --- */

static void lower_case(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
}

/* The first value of the first attribute that the entry has, else what was typed. */
static void take_name(const struct ldap_entry *entry, const char *typed, char name[ADDRESS_SIZE])
{
    const struct ldap_value *best = NULL;
    for (size_t i = 0; i < entry->value_count; i++)
        if (strlen(entry->values[i].text) < ADDRESS_SIZE &&
            (!best || entry->values[i].attribute < best->attribute))
            best = &entry->values[i];
    snprintf(name, ADDRESS_SIZE, "%s", best ? best->text : typed);
    lower_case(name);
}

static enum ldap_answer try_password(struct ldap_session *session, const struct ldap_entry *entry,
                                     const char *password, int64_t until, struct error *error)
{
    const struct config_directory_source *config = ldap_source_config(session->source);
    switch (
        ldap_connection_try_password(config, session->server, entry->dn, password, until, error)) {
    case LDAP_BIND_DONE:
        return LDAP_ANSWER_KNOWN;
    case LDAP_BIND_WRONG:
        return LDAP_ANSWER_UNKNOWN;
    case LDAP_BIND_FAILED:
        break;
    }
    return LDAP_ANSWER_UNAVAILABLE;
}

enum ldap_answer ldap_session_password(struct ldap_session *session, const char *user,
                                       const char *password, int64_t until, char name[ADDRESS_SIZE],
                                       struct error *error)
{
    const struct config_directory_source *config = ldap_source_config(session->source);
    const char *attributes[LDAP_FILTER_ATTRIBUTES + 1] = {0};
    char names[LDAP_FILTER_ATTRIBUTES][LDAP_ATTRIBUTE_SIZE];
    size_t count = ldap_filter_attributes(config->authentication_filter, names);
    struct ldap_search search = {.attributes = count > 0 ? attributes : NULL, .most = 2};
    struct ldap_entries entries;
    int64_t most = timestamp_monotonic_ms() + (int64_t)config->timeout_seconds * 1000;
    until = until < most ? until : most;
    *name = '\0';
    if (!*password || !*user)
        return LDAP_ANSWER_UNKNOWN;
    for (size_t i = 0; i < count; i++)
        attributes[i] = names[i];
    enum ldap_answer answer =
        find(session, config->authentication_filter, user, NULL, &search, until, &entries, error);
    if (answer == LDAP_ANSWER_KNOWN && entries.count != 1)
        answer = LDAP_ANSWER_UNKNOWN;
    if (answer == LDAP_ANSWER_KNOWN)
        answer = try_password(session, &entries.list[0], password, until, error);
    if (answer == LDAP_ANSWER_KNOWN)
        take_name(&entries.list[0], user, name);
    ldap_entries_free(&entries);
    return answer;
}

/* --- groups --- */

static bool has_group(const struct ldap_groups *groups, const char *name)
{
    for (size_t i = 0; i < groups->count; i++)
        if (strcmp(groups->names[i], name) == 0)
            return true;
    return false;
}

static bool add_group(struct ldap_groups *groups, const char *name)
{
    if (groups->count >= LDAP_GROUPS_MOST || strlen(name) > LDAP_GROUP_NAME_MOST ||
        has_group(groups, name))
        return true;
    char *copy = strdup(name);
    char **grown = copy ? realloc(groups->names, (groups->count + 1) * sizeof(*grown)) : NULL;
    if (!grown) {
        free(copy);
        return false;
    }
    groups->names = grown;
    groups->names[groups->count++] = copy;
    return true;
}

void ldap_groups_free(struct ldap_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        free(groups->names[i]);
    free(groups->names);
    *groups = (struct ldap_groups){0};
}

/* Adds the groups of one entry (`dn`), or of the address where the filter needs no DN. */
static enum ldap_answer add_groups(struct ldap_session *session, const char *address,
                                   const char *dn, int64_t until, struct ldap_groups *groups,
                                   struct error *error)
{
    const struct config_directory_source *config = ldap_source_config(session->source);
    const char *const attributes[] = {config->groups_name_attribute &&
                                              *config->groups_name_attribute
                                          ? config->groups_name_attribute
                                          : "cn",
                                      NULL};
    struct ldap_search search = {.attributes = attributes, .most = LDAP_GROUPS_MOST};
    struct ldap_entries entries;
    bool good = true;
    enum ldap_answer answer =
        find(session, config->groups_filter, address, dn, &search, until, &entries, error);
    for (size_t i = 0; i < entries.count; i++)
        for (size_t j = 0; j < entries.list[i].value_count && good; j++)
            good = add_group(groups, entries.list[i].values[j].text);
    ldap_entries_free(&entries);
    if (good)
        return answer;
    error_set(error, ERROR_INTERNAL, config->name, "out of memory");
    return LDAP_ANSWER_UNAVAILABLE;
}

static enum ldap_answer add_groups_of_entries(struct ldap_session *session, const char *address,
                                              int64_t until, struct ldap_groups *groups,
                                              struct error *error)
{
    const struct config_directory_source *config = ldap_source_config(session->source);
    const char *pattern = config->recipients_filter ? config->recipients_filter
                          : config->routing_filter  ? config->routing_filter
                                                    : config->authentication_filter;
    struct ldap_search search = {.most = GROUP_ENTRIES_MOST};
    struct ldap_entries entries;
    if (!pattern) {
        error_set(error, ERROR_INVALID, config->name,
                  "the groups' filter needs an entry, and no other filter finds one");
        return LDAP_ANSWER_UNAVAILABLE;
    }
    enum ldap_answer answer =
        find(session, pattern, address, NULL, &search, until, &entries, error);
    for (size_t i = 0; i < entries.count && answer != LDAP_ANSWER_UNAVAILABLE; i++)
        if (add_groups(session, address, entries.list[i].dn, until, groups, error) ==
            LDAP_ANSWER_UNAVAILABLE)
            answer = LDAP_ANSWER_UNAVAILABLE;
    ldap_entries_free(&entries);
    return answer;
}

enum ldap_answer ldap_session_groups(struct ldap_session *session, const char *address,
                                     int64_t until, struct ldap_groups *groups, struct error *error)
{
    const struct config_directory_source *config = ldap_source_config(session->source);
    *groups = (struct ldap_groups){0};
    enum ldap_answer answer = ldap_filter_uses_dn(config->groups_filter)
                                  ? add_groups_of_entries(session, address, until, groups, error)
                                  : add_groups(session, address, NULL, until, groups, error);
    if (answer == LDAP_ANSWER_UNAVAILABLE)
        ldap_groups_free(groups);
    else
        answer = groups->count > 0 ? LDAP_ANSWER_KNOWN : LDAP_ANSWER_UNKNOWN;
    return answer;
}

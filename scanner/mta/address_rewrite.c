#include "scanner/mta/address_rewrite.h"

#include "common/utf8.h"
#include "scanner/mta/address_key.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAILBOX_LIMIT 254 /* RFC 5321's path of 256 without its angle brackets */
/* Aliases of aliases. Real ones are a few deep; a chain that is longer is refused like one that
 * becomes too many addresses. */
#define DEPTH_MOST 100
/* Addresses looked at for one recipient, those that became others included. */
#define VISITS_MOST (10 * ADDRESS_REWRITE_MOST)

/* --- lists --- */

void address_list_free(struct address_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->addresses[i]);
    free(list->addresses);
    *list = (struct address_list){0};
}

static void list_add(struct address_list *list, const char *address)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 4;
        list->addresses = reallocarray(list->addresses, list->capacity, sizeof(*list->addresses));
        if (!list->addresses)
            abort();
    }
    list->addresses[list->count] = strdup(address);
    if (!list->addresses[list->count++])
        abort();
}

/* --- aliases --- */

/* The address in the domain that its domain is an alias of; false where it is none. */
static bool move_domain(const struct scanner_config *config, const char *address, const char *key,
                        char moved[ADDRESS_SIZE])
{
    const struct config_domain *domain = config_find_domain(config, address_domain(key));
    if (!domain || !domain->alias_of)
        return false;
    int length = snprintf(moved, ADDRESS_SIZE, "%.*s@%s", (int)address_local_length(address),
                          address, domain->alias_of);
    return length < ADDRESS_SIZE;
}

/* An address's own alias goes before that of its whole domain. */
static const struct config_alias *find_alias(const struct scanner_config *config, const char *key)
{
    if (config->alias_count == 0)
        return NULL;
    const struct config_alias *alias = config_find_alias(config, key);
    return alias ? alias : config_find_alias(config, key + address_local_length(key));
}

/* An address that was met. It is `open` while what it stands for is being looked for: to meet it
 * again then is a loop. */
struct visit {
    bool open;
    bool listed;
    char key[];
};

struct expansion {
    const struct scanner_config *config;
    struct address_list *list;
    void *visits; /* a tree of struct visit, see search.h */
    size_t visit_count;
};

static int compare_visits(const void *a, const void *b)
{
    return strcmp(((const struct visit *)a)->key, ((const struct visit *)b)->key);
}

/* The visit of that key; a new one has neither mark. */
static struct visit *visit_of(struct expansion *expansion, const char *key, bool *is_new)
{
    size_t size = strlen(key) + 1;
    struct visit *visit = calloc(1, sizeof(*visit) + size);
    if (!visit)
        abort();
    memcpy(visit->key, key, size);
    struct visit **found = tsearch(visit, &expansion->visits, compare_visits);
    if (!found)
        abort();
    *is_new = *found == visit;
    if (!*is_new)
        free(visit);
    return *found;
}

static bool list_final(struct expansion *expansion, struct visit *visit, const char *address)
{
    if (visit->listed)
        return true;
    if (expansion->list->count == ADDRESS_REWRITE_MOST)
        return false;
    visit->listed = true;
    list_add(expansion->list, address);
    return true;
}

static bool expand(struct expansion *expansion, const char *address, int depth);

static bool expand_alias(struct expansion *expansion, const struct config_alias *alias, int depth)
{
    for (size_t i = 0; i < alias->to_count; i++)
        if (!expand(expansion, alias->to[i], depth))
            return false;
    return true;
}

/* What closes a loop stands for itself: "info" may name "info" and a second reader, and two aliases
 * for each other lose no mail. */
static bool expand(struct expansion *expansion, const char *address, int depth)
{
    char key[ADDRESS_SIZE], moved[ADDRESS_SIZE];
    const struct config_alias *alias = NULL;
    bool is_new, fits;
    if (!address_key(address, key)) {
        if (strlen(address) >= sizeof(key))
            return false;
        memcpy(key, address, strlen(address) + 1);
    }
    struct visit *visit = visit_of(expansion, key, &is_new);
    if (!is_new)
        return !visit->open || list_final(expansion, visit, address);
    if (++expansion->visit_count > VISITS_MOST || depth > DEPTH_MOST)
        return false;
    visit->open = true;
    if (move_domain(expansion->config, address, key, moved))
        fits = expand(expansion, moved, depth + 1);
    else if ((alias = find_alias(expansion->config, key)))
        fits = expand_alias(expansion, alias, depth + 1);
    else
        fits = list_final(expansion, visit, address);
    visit->open = false;
    return fits;
}

bool address_expand(const struct scanner_config *config, const char *address,
                    struct address_list *list)
{
    struct expansion expansion = {.config = config, .list = list};
    bool fits = expand(&expansion, address, 0);
    tdestroy(expansion.visits, free);
    if (!fits)
        address_list_free(list);
    return fits;
}

bool address_is_alias(const struct scanner_config *config, const char *address)
{
    char key[ADDRESS_SIZE], moved[ADDRESS_SIZE];
    if (!address_key(address, key))
        return false;
    for (int i = 0; i < DEPTH_MOST && move_domain(config, key, key, moved); i++)
        memcpy(key, moved, strlen(moved) + 1);
    return find_alias(config, key) != NULL;
}

/* --- masquerading --- */

/* The nearest rule: of the address, of its domain, of the smallest domain that it is under. */
static const struct config_masquerade *find_masquerade(const struct scanner_config *config,
                                                       const char *key)
{
    size_t local = address_local_length(key);
    char parent[DOMAIN_SIZE + 2] = "@";
    const struct config_masquerade *rule = config_find_masquerade(config, key);
    if (!rule)
        rule = config_find_masquerade(config, key + local);
    const char *dot = key[local + 1] == '[' ? NULL : strchr(key + local + 1, '.');
    for (; !rule && dot; dot = strchr(dot + 1, '.')) {
        memcpy(parent + 1, dot, strlen(dot) + 1);
        rule = config_find_masquerade(config, parent);
    }
    return rule;
}

bool address_masquerade(const struct scanner_config *config, const char *address,
                        char to[ADDRESS_SIZE])
{
    char key[ADDRESS_SIZE];
    if (config->masquerade_count == 0 || !address_key(address, key))
        return false;
    const struct config_masquerade *rule = find_masquerade(config, key);
    if (!rule)
        return false;
    size_t local = rule->to[0] == '@' ? address_local_length(address) : 0;
    char changed[ADDRESS_SIZE];
    int length = snprintf(changed, sizeof(changed), "%.*s%s", (int)local, address, rule->to);
    if (length > MAILBOX_LIMIT)
        return false;
    /* A message that needed no SMTPUTF8 shall not need it now. */
    if (utf8_is_ascii(address, strlen(address)) && !utf8_is_ascii(changed, (size_t)length))
        return false;
    if (strcmp(changed, address) == 0)
        return false;
    memcpy(to, changed, (size_t)length + 1);
    return true;
}

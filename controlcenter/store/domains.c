/* Domains that mail is taken for, for those that look at their routes alone. */
#include "controlcenter/store/store_internal.h"

#include "common/address.h"
#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

bool store_domain_list(struct store *store, const char *search, const char *after, size_t limit,
                       struct store_domain **domains, size_t *count, struct error *error)
{
    struct store_entry *entries = NULL;
    if (!store_entry_list(store, STORE_DOMAINS, search, after, limit, &entries, count, error))
        return false;
    *domains = calloc(*count + 1, sizeof(**domains));
    for (size_t i = 0; *domains && i < *count; i++) {
        memcpy((*domains)[i].name, entries[i].key, strnlen(entries[i].key, DOMAIN_SIZE - 1));
        (*domains)[i].route = json_incref(json_object_get(entries[i].value, "route"));
    }
    store_entry_list_free(entries, *count);
    return *domains || store_out_of_memory(error);
}

void store_domain_list_free(struct store_domain *domains, size_t count)
{
    for (size_t i = 0; domains && i < count; i++)
        json_decref(domains[i].route);
    free(domains);
}

bool store_domain_count(struct store *store, int64_t *count, struct error *error)
{
    return store_entry_count(store, STORE_DOMAINS, count, error);
}

static bool check_name(const char *name, char normal[DOMAIN_SIZE], struct error *error)
{
    const char *reason = domain_normalise(name, true, normal);
    return !reason || error_set(error, ERROR_INVALID, "name", "must be a domain: %s", reason);
}

/* What a domain says beside its route, or the defaults of a new one. */
static json_t *present_value(struct store *store, const char *name, struct error *error)
{
    struct error local = {0};
    json_t *value = store_entry_get(store, STORE_DOMAINS, name, &local);
    if (!value && local.code == ERROR_NOT_FOUND)
        value = json_pack("{s:s}", "recipients", "any");
    else if (!value && error)
        *error = local;
    return value;
}

bool store_domain_put(struct store *store, const char *name, const json_t *route, bool replace,
                      const char *administrator, struct error *error)
{
    char normal[DOMAIN_SIZE];
    if (!check_name(name, normal, error))
        return false;
    if (!json_is_object(route))
        return error_set(error, ERROR_INVALID, "route", "must be an object");
    cleanup_json json_t *value = present_value(store, normal, error);
    if (!value)
        return false;
    if (json_object_set(value, "route", (json_t *)route) != 0)
        return store_out_of_memory(error);
    return store_entry_put(store, STORE_DOMAINS, normal, value, replace, administrator, error);
}

bool store_domain_remove(struct store *store, const char *name, const char *administrator,
                         struct error *error)
{
    char normal[DOMAIN_SIZE];
    return check_name(name, normal, error) &&
           store_entry_remove(store, STORE_DOMAINS, normal, administrator, error);
}

/* The lists in every document: domains, aliases and masquerades. There may be 100,000 of each, and
 * they are the same for all scanners: they are written and checked once for each version. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/address.h"
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"

#include <string.h>

#define PAGE 1000

static const struct {
    enum store_list list;
    const char *member; /* of the document */
    const char *key;    /* member of an element that names it */
} lists[] = {
    {STORE_DOMAINS, "domains", "name"},
    {STORE_ALIASES, "aliases", "address"},
    {STORE_MASQUERADES, "masquerades", "from"},
};
#define LIST_COUNT (sizeof(lists) / sizeof(lists[0]))

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static json_t *element(size_t list, const char *key, const json_t *value)
{
    json_t *object = json_pack("{s:s}", lists[list].key, key);
    if (object && json_object_update(object, (json_t *)value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* --- all of them --- */

static bool add_element(struct buffer *text, size_t list, const struct store_entry *entry,
                        bool is_first)
{
    cleanup_json json_t *object = element(list, entry->key, entry->value);
    cleanup_free char *written = object ? json_text(object) : NULL;
    return written && buffer_add_text(text, is_first ? "" : ",") && buffer_add_text(text, written);
}

static bool add_page(struct fleet *fleet, size_t list, char after[ADDRESS_SIZE],
                     struct buffer *text, size_t *added, struct error *error)
{
    struct store_entry *entries = NULL;
    bool ok = true;
    if (!store_entry_list(fleet->store, lists[list].list, NULL, after, PAGE, &entries, added,
                          error))
        return false;
    for (size_t i = 0; i < *added && ok; i++)
        ok = add_element(text, list, &entries[i], i == 0 && !*after);
    if (*added)
        memcpy(after, entries[*added - 1].key, ADDRESS_SIZE);
    store_entry_list_free(entries, *added);
    return ok || out_of_memory(error);
}

char *fleet_lists_text(struct fleet *fleet, struct error *error)
{
    struct buffer text = BUFFER_INIT;
    bool ok = true;
    for (size_t list = 0; list < LIST_COUNT && ok; list++) {
        char after[ADDRESS_SIZE] = "";
        size_t added = PAGE;
        ok = buffer_add_format(&text, "%s\"%s\":[", list ? "," : "", lists[list].member) ||
             out_of_memory(error);
        while (ok && added == PAGE)
            ok = add_page(fleet, list, after, &text, &added, error);
        ok = ok && (buffer_add_text(&text, "]") || out_of_memory(error));
    }
    char *taken = ok ? buffer_take(&text) : NULL;
    if (ok && !taken)
        out_of_memory(error);
    buffer_free(&text);
    return taken;
}

/* --- some of them --- */

static bool has_name(const json_t *array, const char *name)
{
    size_t index;
    const json_t *domain;
    json_array_foreach(array, index, domain)
    {
        const char *text = json_string_value(json_object_get(domain, "name"));
        if (text && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* Domains that others stand for are in the store, or will be; here they are only named. */
static bool add_targets(json_t *domains)
{
    size_t count = json_array_size(domains);
    for (size_t i = 0; i < count; i++) {
        const char *target =
            json_string_value(json_object_get(json_array_get(domains, i), "alias_of"));
        const char *name = json_string_value(json_object_get(json_array_get(domains, i), "name"));
        if (!target || !name || strcmp(name, target) == 0 || has_name(domains, target))
            continue;
        if (json_array_append_new(
                domains, json_pack("{s:s,s:{s:s}}", "name", target, "route", "kind", "mx")) != 0)
            return false;
    }
    return true;
}

bool fleet_check_entries(enum store_list list, const struct store_entry *entries, size_t count,
                         struct error *error)
{
    cleanup_json json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, element(list, entries[i].key, entries[i].value)) != 0)
            return out_of_memory(error);
    if (!array || (list == STORE_DOMAINS && !add_targets(array)))
        return out_of_memory(error);
    cleanup_free char *elements = json_dumps(array, JSON_COMPACT);
    struct buffer text = BUFFER_INIT;
    bool ok = elements && buffer_add_format(&text, "\"%s\":%s%s", lists[list].member, elements,
                                            list == STORE_DOMAINS ? "" : ",\"domains\":[]");
    ok = ok ? fleet_check_lists(text.data, error) : out_of_memory(error);
    buffer_free(&text);
    return ok;
}

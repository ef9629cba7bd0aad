/* What differs between two policy documents: which objects. */
#include "controlcenter/pages/policy_difference.h"

#include "controlcenter/pages/policy_fields.h"
#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* Two documents that are compared, list by list. Without a page the differences are only counted.
 */
struct comparison {
    struct page *page;
    json_t *rows;
    const json_t *before, *after; /* the documents */
    const char *section;
    size_t count;
};

/* The objects of a list by identity; borrowed objects in a new value. */
static json_t *by_id(const json_t *document, const char *section)
{
    json_t *map = json_object(), *object;
    size_t i;
    json_array_foreach(json_object_get(document, section), i, object)
    {
        json_object_set(map, json_text_of(object, "id"), object);
    }
    return map;
}

static json_t *add_row(struct comparison *comparison, const json_t *object, const char *what)
{
    struct page *page = comparison->page;
    comparison->count++;
    if (!page)
        return NULL;
    json_t *row = page_add_object(page, comparison->rows);
    page_put_true(page, page_put_object(page, row, "section"), comparison->section);
    page_put_text(page, row, "name", json_text_of(object, "name"));
    page_put_true(page, row, what);
    return row;
}

static void put_fields(struct comparison *comparison, json_t *row, const json_t *before,
                       const json_t *after)
{
    if (!row)
        return;
    cleanup_json json_t *old =
        policy_fields(comparison->page, comparison->before, comparison->section, before);
    cleanup_json json_t *new =
        policy_fields(comparison->page, comparison->after, comparison->section, after);
    policy_fields_put(comparison->page, row, old, new);
}

/* --- what was moved --- */

/* Marks those of `count` places, which are all different, that need not move for the others to be
 * in order: a longest rising sequence. */
static bool mark_unmoved(const size_t *places, size_t count, bool *unmoved)
{
    size_t *last = calloc(count + 1, sizeof *last), *previous = calloc(count + 1, sizeof *previous);
    size_t length = 0;
    for (size_t i = 0; last && previous && i < count; i++) {
        size_t low = 0, high = length;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (places[last[middle]] < places[i])
                low = middle + 1;
            else
                high = middle;
        }
        previous[i] = low > 0 ? last[low - 1] : count;
        last[low] = i;
        length = low == length ? length + 1 : length;
    }
    bool ok = last && previous;
    for (size_t i = ok && length > 0 ? last[length - 1] : count; i < count; i = previous[i])
        unmoved[i] = true;
    free(last);
    free(previous);
    return ok;
}

static void compare_order(struct comparison *comparison, const json_t *list, const json_t *old)
{
    size_t size = json_array_size(list), count = 0;
    size_t *places = calloc(size + 1, sizeof *places), *indices = calloc(size + 1, sizeof *indices);
    bool *unmoved = calloc(size + 1, sizeof *unmoved);
    for (size_t i = 0; places && indices && i < size; i++) {
        const char *id = json_text_of(json_array_get(list, i), "id");
        if (!json_object_get(old, id) ||
            !policy_find(comparison->before, comparison->section, id, &places[count]))
            continue;
        indices[count++] = i;
    }
    bool ok = places && indices && unmoved && mark_unmoved(places, count, unmoved);
    for (size_t i = 0; ok && i < count; i++) {
        if (unmoved[i])
            continue;
        const json_t *behind = indices[i] > 0 ? json_array_get(list, indices[i] - 1) : NULL;
        json_t *row = add_row(comparison, json_array_get(list, indices[i]), "is_moved");
        if (row && behind)
            page_put_text(comparison->page, row, "behind", json_text_of(behind, "name"));
    }
    free(places);
    free(indices);
    free(unmoved);
}

/* --- whole lists --- */

static void compare_section(struct comparison *comparison)
{
    const json_t *list = json_object_get(comparison->after, comparison->section);
    const json_t *old_list = json_object_get(comparison->before, comparison->section);
    cleanup_json json_t *old = by_id(comparison->before, comparison->section);
    cleanup_json json_t *new = by_id(comparison->after, comparison->section);
    const json_t *object;
    size_t i;
    json_array_foreach(list, i, object)
    {
        const json_t *was = json_object_get(old, json_text_of(object, "id"));
        if (!was)
            put_fields(comparison, add_row(comparison, object, "is_added"), NULL, object);
        else if (!json_equal(was, object))
            put_fields(comparison, add_row(comparison, object, "is_changed"), was, object);
    }
    json_array_foreach(old_list, i, object)
    {
        if (!json_object_get(new, json_text_of(object, "id")))
            put_fields(comparison, add_row(comparison, object, "is_removed"), object, NULL);
    }
    compare_order(comparison, list, old);
}

static void compare(struct comparison *comparison)
{
    for (size_t i = 0; policy_sections[i]; i++) {
        comparison->section = policy_sections[i];
        if (!json_equal(json_object_get(comparison->before, policy_sections[i]),
                        json_object_get(comparison->after, policy_sections[i])))
            compare_section(comparison);
    }
}

size_t policy_difference_count(const json_t *before, const json_t *after)
{
    struct comparison comparison = {.before = before, .after = after};
    compare(&comparison);
    return comparison.count;
}

void policy_difference_put(struct page *page, const json_t *before, const json_t *after)
{
    struct comparison comparison = {.page = page, .before = before, .after = after};
    comparison.rows = page_put_array(page, page->data, "differences");
    compare(&comparison);
    page_put(page, page->data, "has_differences", json_boolean(comparison.count > 0));
}

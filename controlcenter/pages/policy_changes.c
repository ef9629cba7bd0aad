/* Small changes of the policy document, each of which holds whatever the rest of it is. */
#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"

#include <string.h>

static bool missing(const struct policy_place *place, struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, place->section, "there is no %s of that identity",
                     place->word);
}

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* Moves the element of a list to the index that it will have. */
static bool move_to(json_t *list, size_t from, size_t to, struct error *error)
{
    json_t *element = json_incref(json_array_get(list, from));
    if (json_array_remove(list, from) == 0 && json_array_insert_new(list, to, element) == 0)
        return true;
    return out_of_memory(error);
}

bool policy_change_move(json_t *document, const void *argument, struct buffer *what,
                        struct error *error)
{
    const struct policy_place *place = argument;
    size_t from, to;
    json_t *list = policy_section(document, place->section);
    const json_t *object = policy_find(document, place->section, place->id, &from);
    if (!object)
        return missing(place, error);
    if (!*place->before)
        to = json_array_size(list);
    else if (!policy_find(document, place->section, place->before, &to))
        return missing(place, error);
    buffer_add_format(what, "moved %s %s", place->word, json_text_of(object, "name"));
    return move_to(list, from, to > from ? to - 1 : to, error);
}

bool policy_change_step(json_t *document, const void *argument, struct buffer *what,
                        struct error *error)
{
    const struct policy_place *place = argument;
    size_t from;
    json_t *list = policy_section(document, place->section);
    const json_t *object = policy_find(document, place->section, place->id, &from);
    if (!object)
        return missing(place, error);
    bool at_end = place->step < 0 ? from == 0 : from + 1 == json_array_size(list);
    buffer_add_format(what, "moved %s %s", place->word, json_text_of(object, "name"));
    return at_end || move_to(list, from, place->step < 0 ? from - 1 : from + 1, error);
}

bool policy_change_enabled(json_t *document, const void *argument, struct buffer *what,
                           struct error *error)
{
    const struct policy_place *place = argument;
    json_t *object = policy_find(document, place->section, place->id, NULL);
    if (!object)
        return missing(place, error);
    buffer_add_format(what, "%s %s %s", place->enabled ? "enabled" : "disabled", place->word,
                      json_text_of(object, "name"));
    return json_object_set_new(object, "enabled", json_boolean(place->enabled)) == 0 ||
           out_of_memory(error);
}

bool policy_change_copy(json_t *document, const void *argument, struct buffer *what,
                        struct error *error)
{
    const struct policy_place *place = argument;
    char id[POLICY_ID_SIZE];
    size_t index;
    struct buffer name = BUFFER_INIT;
    const json_t *object = policy_find(document, place->section, place->id, &index);
    if (!object)
        return missing(place, error);
    policy_copy_name(document, place->section, json_text_of(object, "name"), &name);
    policy_new_id(buffer_text(&name), id);
    json_t *copy = json_deep_copy(object);
    json_object_set_new(copy, "id", json_string(id));
    json_object_set_new(copy, "name", json_string(buffer_text(&name)));
    if (strcmp(place->section, "filters") == 0)
        json_object_set_new(copy, "enabled", json_false());
    buffer_add_format(what, "copied %s %s", place->word, json_text_of(object, "name"));
    buffer_free(&name);
    return json_array_insert_new(policy_section(document, place->section), index + 1, copy) == 0 ||
           out_of_memory(error);
}

bool policy_change_remove(json_t *document, const void *argument, struct buffer *what,
                          struct error *error)
{
    const struct policy_place *place = argument;
    size_t index;
    const json_t *object = policy_find(document, place->section, place->id, &index);
    if (!object)
        return missing(place, error);
    cleanup_json json_t *users = policy_users(document, place->section, place->id);
    if (json_array_size(users) > 0)
        return error_set(error, ERROR_DENIED, place->section, "filters refer to it");
    buffer_add_format(what, "removed %s %s", place->word, json_text_of(object, "name"));
    return json_array_remove(policy_section(document, place->section), index) == 0 ||
           out_of_memory(error);
}

#include "scanner/engine/envelope.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "scanner/engine/given_file.h"
#include "scanner/policy/groups.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_ID_BYTES 64
#define DIRECTORY_GROUP_BYTES 1024

struct reader {
    GHashTable *groups; /* id: index + 1 */
    size_t groups_left; /* directory groups that may still come */
    struct error *error;
};

static GHashTable *index_groups(const struct policy_set *set)
{
    GHashTable *groups = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; set && i < set->group_count; i++)
        g_hash_table_insert(groups, set->groups[i].id, GSIZE_TO_POINTER(i + 1));
    return groups;
}

/* --- persons --- */

static bool read_directory_groups(struct reader *reader, const json_t *person,
                                  const struct json_place *place, struct policy_person *out)
{
    const json_t *array, *value;
    size_t index, count;
    if (!json_get_array(person, place, "directory_groups", false, reader->groups_left, &array,
                        reader->error))
        return false;
    count = json_array_size(array);
    reader->groups_left -= count;
    const char **names = count ? calloc(count, sizeof(*names)) : NULL;
    out->directory_groups = names;
    if (count && !names)
        return error_set(reader->error, ERROR_INTERNAL, "envelope", "out of memory");
    json_array_foreach((json_t *)array, index, value)
    {
        if (!json_is_string(value) || json_string_length(value) > DIRECTORY_GROUP_BYTES)
            return json_place_error(place, "directory_groups", reader->error,
                                    "must be names of at most %d bytes", DIRECTORY_GROUP_BYTES);
        names[index] = json_string_value(value);
    }
    out->directory_group_count = count;
    return true;
}

static bool read_person(struct reader *reader, const json_t *person, const struct json_place *place,
                        struct policy_person *out)
{
    const char *group;
    if (!json_is_object(person))
        return json_place_error(place, NULL, reader->error, "must be an object");
    if (!json_get_text(person, place, "address", ADDRESS_SIZE - 1, &out->address, reader->error) ||
        !json_get_text_or(person, place, "group", GROUP_ID_BYTES, "default", &group,
                          reader->error) ||
        !json_get_bool_or(person, place, "bypass", false, &out->excluded, reader->error))
        return false;
    size_t found = GPOINTER_TO_SIZE(g_hash_table_lookup(reader->groups, group));
    out->group = found ? found - 1 : POLICY_DEFAULT_GROUP;
    return read_directory_groups(reader, person, place, out);
}

static bool read_recipients(struct reader *reader, const json_t *array, struct envelope *envelope)
{
    const struct json_place list = {.name = "recipients"};
    size_t count = json_array_size(array);
    if (count == 0)
        return error_set(reader->error, ERROR_INVALID, "recipients", "has nobody in it");
    envelope->recipients = calloc(count, sizeof(*envelope->recipients));
    if (!envelope->recipients)
        return error_set(reader->error, ERROR_INTERNAL, "envelope", "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct json_place place = {.parent = &list, .index = i};
        envelope->recipient_count = i + 1;
        if (!read_person(reader, json_array_get(array, i), &place, &envelope->recipients[i]))
            return false;
    }
    return true;
}

/* --- all --- */

static bool read_direction(const json_t *document, enum policy_direction *direction,
                           struct error *error)
{
    const char *text;
    if (!json_get_text(document, NULL, "direction", 16, &text, error))
        return false;
    *direction = strcmp(text, "outbound") == 0 ? POLICY_OUTBOUND : POLICY_INBOUND;
    return *direction == POLICY_OUTBOUND || strcmp(text, "inbound") == 0 ||
           error_set(error, ERROR_INVALID, "direction", "must be inbound or outbound");
}

bool envelope_parse(json_t *document, const struct policy_set *set, struct envelope *envelope,
                    struct error *error)
{
    const struct json_place sender_place = {.name = "sender"};
    struct reader reader = {index_groups(set), ENVELOPE_GROUPS, error};
    const json_t *sender, *recipients;
    *envelope = (struct envelope){.document = json_incref(document)};
    bool read = read_direction(document, &envelope->direction, error) &&
                json_get_object(document, NULL, "sender", true, &sender, error) &&
                read_person(&reader, sender, &sender_place, &envelope->sender) &&
                json_get_array(document, NULL, "recipients", true, ENVELOPE_RECIPIENTS, &recipients,
                               error) &&
                read_recipients(&reader, recipients, envelope);
    g_hash_table_destroy(reader.groups);
    if (!read)
        envelope_free(envelope);
    return read;
}

bool envelope_read(int fd, const struct policy_set *set, struct envelope *envelope,
                   struct error *error)
{
    struct error local = {0};
    size_t length;
    cleanup_free char *text = given_file_read(fd, ENVELOPE_BYTES, &length, &local);
    if (!text)
        return error_set(error, local.code, "envelope", "%s", local.message);
    cleanup_json json_t *document = json_parse(text, length, "envelope", error);
    return document && envelope_parse(document, set, envelope, error);
}

void envelope_free(struct envelope *envelope)
{
    free((void *)envelope->sender.directory_groups);
    for (size_t i = 0; i < envelope->recipient_count; i++)
        free((void *)envelope->recipients[i].directory_groups);
    free(envelope->recipients);
    json_decref(envelope->document);
    *envelope = (struct envelope){0};
}

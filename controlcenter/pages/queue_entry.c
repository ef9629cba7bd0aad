#include "controlcenter/pages/queue_entry.h"

#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MOST (INT64_C(1) << 53)
#define TIME_MOST INT64_C(253402300799999) /* the end of the year 9999 */

const char *const queue_names[] = {"inbound", "outbound", "delivery", NULL};
const char *const queue_states[] = {"waiting", "active", "held", "suspect", "handover", NULL};
const char *const queue_directions[] = {"inbound", "outbound", "internal", NULL};

/* --- single values --- */

int64_t queue_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    json_int_t number = json_integer_value(value);
    return json_is_integer(value) && number >= 0 && number <= NUMBER_MOST ? number : -1;
}

/* A text of one line, cut to size. Returns false, and "", for what is no text. */
static bool take_text(const json_t *object, const char *name, char *text, size_t size)
{
    const char *value = json_string_value(json_object_get(object, name));
    size_t length = value ? strnlen(value, size - 1) : 0;
    while (length > 0 && ((unsigned char)value[length] & 0xc0) == 0x80)
        length--;
    if (length > 0)
        memcpy(text, value, length);
    text[utf8_scrub(text, length)] = '\0';
    return value != NULL;
}

/* The word of the list that the member is, or NULL. */
static const char *word(const json_t *object, const char *name, const char *const *known)
{
    const char *value = json_string_value(json_object_get(object, name));
    for (size_t i = 0; value && known[i]; i++)
        if (strcmp(value, known[i]) == 0)
            return known[i];
    return NULL;
}

static int64_t time_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    int64_t time = 0;
    if (!text || !timestamp_parse(text, &time) || time < 0 || time > TIME_MOST)
        return 0;
    return time;
}

/* --- messages --- */

static void read_recipient(const json_t *from, struct queue_entry_recipient *to)
{
    take_text(from, "address", to->address, sizeof to->address);
    take_text(from, "reply", to->reply, sizeof to->reply);
    take_text(from, "route", to->route, sizeof to->route);
    to->state = word(from, "state", page_states);
    to->attempts = queue_number(from, "attempts");
    to->next_attempt = time_of(from, "next_attempt");
}

static bool read_recipients(const json_t *from, size_t most, struct queue_entry *entry)
{
    const json_t *array = json_object_get(from, "recipients");
    size_t there = json_array_size(array);
    entry->kept = there < most ? there : most;
    entry->recipient_count = queue_number(from, "recipient_count");
    /* A list counts those that are still open; a whole message brings the others too. */
    if (json_is_array(array) && entry->recipient_count < (int64_t)there)
        entry->recipient_count = (int64_t)there;
    if (queue_number(from, "recipients_left_out") > 0)
        entry->recipient_count = (int64_t)there + queue_number(from, "recipients_left_out");
    entry->recipients = calloc(entry->kept + 1, sizeof *entry->recipients);
    if (!entry->recipients)
        return false;
    for (size_t i = 0; i < entry->kept; i++)
        read_recipient(json_array_get(array, i), &entry->recipients[i]);
    return true;
}

bool queue_entry_read(const json_t *from, size_t recipients_most, struct queue_entry *entry)
{
    struct message_id id;
    const char *text = json_string_value(json_object_get(from, "id"));
    *entry = (struct queue_entry){0};
    if (!text || !message_id_parse(text, &id))
        return false;
    message_id_text(&id, entry->id);
    entry->queue = word(from, "queue", queue_names);
    entry->direction = word(from, "direction", queue_directions);
    entry->state = word(from, "state", queue_states);
    entry->has_sender = take_text(from, "sender", entry->sender, sizeof entry->sender);
    entry->size = queue_number(from, "size");
    entry->received_at = time_of(from, "received_at");
    return read_recipients(from, recipients_most, entry);
}

void queue_entry_clear(struct queue_entry *entry)
{
    free(entry->recipients);
    *entry = (struct queue_entry){0};
}

#define LISTED_RECIPIENTS 10

struct queue_entry *queue_entries_read(const json_t *reply, const char *after, size_t most,
                                       size_t *count)
{
    const json_t *array = json_object_get(reply, "messages"), *value;
    struct queue_entry *entries = calloc(most + 1, sizeof *entries);
    size_t index;
    *count = 0;
    if (!entries)
        return NULL;
    json_array_foreach((json_t *)array, index, value)
    {
        struct queue_entry *entry = &entries[*count];
        if (*count == most)
            break;
        if (!queue_entry_read(value, LISTED_RECIPIENTS, entry))
            continue;
        if (strcmp(entry->id, after) > 0) {
            after = entry->id;
            (*count)++;
        } else {
            queue_entry_clear(entry);
        }
    }
    return entries;
}

void queue_entries_free(struct queue_entry *entries, size_t count)
{
    for (size_t i = 0; entries && i < count; i++)
        queue_entry_clear(&entries[i]);
    free(entries);
}

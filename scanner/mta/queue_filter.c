#include "scanner/mta/queue_filter.h"

#include "common/address.h"
#include "common/json.h"
#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_LIMIT 1000
#define LOOK_AT_CLOCK_EVERY 16 /* messages; one may have 100,000 recipients */

static const char *const queue_names[] = {[QUEUE_FILTER_ANY_QUEUE] = "",
                                          [QUEUE_FILTER_INBOUND] = "inbound",
                                          [QUEUE_FILTER_OUTBOUND] = "outbound",
                                          [QUEUE_FILTER_DELIVERY] = "delivery"};
static const char *const state_names[] = {[QUEUE_FILTER_ANY_STATE] = "",
                                          [QUEUE_FILTER_WAITING] = "waiting",
                                          [QUEUE_FILTER_ACTIVE] = "active",
                                          [QUEUE_FILTER_HELD] = "held",
                                          [QUEUE_FILTER_SUSPECT] = "suspect",
                                          [QUEUE_FILTER_HANDOVER] = "handover"};

/* --- reading --- */

static const struct json_place place = {.name = "filter"};

static bool check_members(const json_t *value, struct error *error)
{
    static const char *const known[] = {"queue", "sender", "recipient", "domain",
                                        "id",    "state",  "text"};
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(name, known[i]) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return json_place_error(&place, name, error, "is no condition");
    }
    return true;
}

static bool read_text(const json_t *value, const char *name, char **text, struct error *error)
{
    const char *given;
    if (!json_get_text_or(value, &place, name, TEXT_LIMIT, "", &given, error))
        return false;
    if (*given && !(*text = strdup(given)))
        abort();
    return true;
}

static bool read_name(const json_t *value, const char *member, const char *const *names,
                      size_t count, unsigned *index, struct error *error)
{
    const char *given;
    if (!json_get_text_or(value, &place, member, TEXT_LIMIT, "", &given, error))
        return false;
    for (*index = 0; *index < count; ++*index)
        if (strcmp(given, names[*index]) == 0)
            return true;
    return json_place_error(&place, member, error, "is not known: %s", given);
}

static bool read_id(const json_t *value, struct queue_filter *filter, struct error *error)
{
    const char *given;
    if (!json_get_text_or(value, &place, "id", TEXT_LIMIT, "", &given, error))
        return false;
    filter->has_id = *given != '\0';
    return !filter->has_id || message_id_parse(given, &filter->id) ||
           json_place_error(&place, "id", error, "must be the id of a message (a UUID)");
}

bool queue_filter_read(struct queue_filter *filter, const json_t *value, struct error *error)
{
    unsigned queue, state;
    *filter = (struct queue_filter){0};
    if (!value)
        return true;
    if (!check_members(value, error) ||
        !read_name(value, "queue", queue_names, sizeof queue_names / sizeof *queue_names, &queue,
                   error) ||
        !read_name(value, "state", state_names, sizeof state_names / sizeof *state_names, &state,
                   error))
        return false;
    filter->queue = (enum queue_filter_queue)queue;
    filter->state = (enum queue_filter_state)state;
    return read_id(value, filter, error) && read_text(value, "sender", &filter->sender, error) &&
           read_text(value, "recipient", &filter->recipient, error) &&
           read_text(value, "domain", &filter->domain, error) &&
           read_text(value, "text", &filter->text, error);
}

void queue_filter_clear(struct queue_filter *filter)
{
    free(filter->sender);
    free(filter->recipient);
    free(filter->domain);
    free(filter->text);
    *filter = (struct queue_filter){0};
}

/* --- matching --- */

static enum queue_filter_queue queue_of(const struct queue_message *message)
{
    if (message->state != QUEUE_TO_BE_SCANNED)
        return QUEUE_FILTER_DELIVERY;
    return message->direction == QUEUE_INBOUND ? QUEUE_FILTER_INBOUND : QUEUE_FILTER_OUTBOUND;
}

static enum queue_filter_state state_of(const struct queue_message *message)
{
    if (message->state == QUEUE_TO_BE_HANDED_OVER)
        return QUEUE_FILTER_HANDOVER;
    if (message->flags & QUEUE_FLAG_HELD)
        return QUEUE_FILTER_HELD;
    if ((message->flags & QUEUE_FLAG_SUSPECT) && message->state == QUEUE_TO_BE_SCANNED)
        return QUEUE_FILTER_SUSPECT;
    return message->busy ? QUEUE_FILTER_ACTIVE : QUEUE_FILTER_WAITING;
}

const char *queue_filter_queue_name(const struct queue_message *message)
{
    return queue_names[queue_of(message)];
}

const char *queue_filter_state_name(const struct queue_message *message)
{
    return state_names[state_of(message)];
}

static bool has(const char *address, const char *part)
{
    return !part || strcasestr(address, part);
}

static bool recipient_matches(const struct queue_filter *filter,
                              const struct queue_recipient *recipient, bool text_found)
{
    return recipient->state == QUEUE_RECIPIENT_QUEUED &&
           has(recipient->address, filter->recipient) &&
           (!filter->domain ||
            strcasecmp(address_domain(recipient->address), filter->domain) == 0) &&
           (text_found || has(recipient->address, filter->text));
}

static bool matches(const struct queue_filter *filter, const struct queue_message *message)
{
    if ((filter->queue && filter->queue != queue_of(message)) ||
        (filter->state && filter->state != state_of(message)) ||
        (filter->has_id && !message_id_equal(&filter->id, &message->id)) ||
        !has(message->sender, filter->sender))
        return false;
    bool text_found = has(message->sender, filter->text);
    if (text_found && !filter->recipient && !filter->domain)
        return true;
    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (recipient_matches(filter, &message->recipients[i], text_found))
            return true;
    return false;
}

/* --- walking --- */

void queue_walk_begin(struct queue_walk *walk, struct queue *queue,
                      const struct queue_filter *filter, const struct message_id *after)
{
    *walk = (struct queue_walk){.queue = queue, .filter = filter, .after = *after};
}

void queue_walk_slice(struct queue_walk *walk)
{
    walk->batch_count = walk->batch_at = 0;
    walk->until = timestamp_monotonic_ms() + QUEUE_WALK_SLICE_MS;
}

static struct queue_message *find_one(struct queue_walk *walk)
{
    struct queue_message *message = queue_find(walk->queue, &walk->filter->id);
    bool is_above = memcmp(walk->filter->id.bytes, walk->after.bytes, sizeof walk->after.bytes) > 0;
    walk->after = walk->filter->id;
    walk->over = !message || !is_above || !matches(walk->filter, message);
    return walk->over ? NULL : message;
}

/* Another batch; false at the end of the queue. */
static bool fill(struct queue_walk *walk)
{
    walk->batch_at = 0;
    walk->batch_count = queue_next(walk->queue, &walk->after, walk->batch, QUEUE_WALK_BATCH);
    walk->over = walk->batch_count == 0;
    return !walk->over;
}

struct queue_message *queue_walk_next(struct queue_walk *walk)
{
    if (walk->filter->has_id)
        return find_one(walk);
    for (;;) {
        if (walk->batch_at % LOOK_AT_CLOCK_EVERY == 0 && timestamp_monotonic_ms() >= walk->until)
            return NULL;
        if (walk->batch_at == walk->batch_count && !fill(walk))
            return NULL;
        struct queue_message *message = walk->batch[walk->batch_at++];
        walk->after = message->id;
        if (!message->removed && matches(walk->filter, message))
            return message;
    }
}

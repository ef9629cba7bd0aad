/* The form of audit events (docs/architecture.md): checks one and turns it into columns. */
#include "controlcenter/store/audit_internal.h"

#include "common/cleanup.h"
#include "common/ip.h"
#include "common/message_id.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000LL
#define MOST_DAYS_BACK                                                                             \
    400 /* each day has its partitions: a wrong clock must not make thousands                      \
         */
#define MOST_DAYS_AHEAD 7
#define MOST_RECIPIENTS 100000
#define TEXT_LIMIT 2000 /* bytes of the longest column */
#define THREATS_LIMIT (64u << 10)
#define EVENT_LIMIT (256u << 10) /* bytes of an event's JSON, its recipients aside */
#define RECIPIENT_ROOM 1000      /* bytes that each recipient may take beside that */

enum field_kind {
    FIELD_TEXT,   /* cut after `most` bytes */
    FIELD_NUMBER, /* 0 to `most` */
    FIELD_IP,
    FIELD_UUID,
    FIELD_TIME,
    FIELD_TLS, /* text, true or false */
    FIELD_LIST,
};

struct field {
    const char *member, *column;
    enum field_kind kind;
    int64_t most;
    bool required;
};

static const struct field transaction_fields[] = {
    {"direction", "direction", FIELD_TEXT, 8, false},
    {"peer_ip", "peer_ip", FIELD_IP, 0, false},
    {"peer_port", "peer_port", FIELD_NUMBER, 65535, false},
    {"helo", "helo", FIELD_TEXT, 255, false},
    {"protocol", "protocol", FIELD_TEXT, 32, false},
    {"tls", "tls", FIELD_TLS, 255, false},
    {"sender", "sender", FIELD_TEXT, 1000, false},
    {"size", "size", FIELD_NUMBER, INT64_MAX, false},
    {"reply", "reply", FIELD_TEXT, TEXT_LIMIT, false},
    {0},
};

static const struct field scanned_fields[] = {
    {"verdict", "verdict", FIELD_TEXT, 32, true},
    {"reason", "reason", FIELD_TEXT, 1000, false},
    {"threats", "threats", FIELD_LIST, 0, false},
    {"subject", "subject", FIELD_TEXT, 1000, false},
    {"from", "header_from", FIELD_TEXT, 1000, false},
    {"message_id", "header_message_id", FIELD_TEXT, 998, false},
    {"parts", "parts", FIELD_NUMBER, INT32_MAX, false},
    {"elapsed_us", "elapsed_us", FIELD_NUMBER, INT64_MAX, false},
    {0},
};

static const struct field action_fields[] = {
    {"action", "action", FIELD_TEXT, 32, true},
    {"policy", "policy", FIELD_TEXT, 100, false},
    {"detail", "detail", FIELD_TEXT, 1000, false},
    {0},
};

static const struct field recipient_action_fields[] = {
    {"action", "action", FIELD_TEXT, 32, true},
    {"policy", "policy", FIELD_TEXT, 100, false},
    {0},
};

static const struct field delivery_fields[] = {
    {"recipient", "idx", FIELD_NUMBER, MOST_RECIPIENTS - 1, true},
    {"address", "address", FIELD_TEXT, 1000, false},
    {"attempt", "attempts", FIELD_NUMBER, INT32_MAX, false},
    {"next_attempt", "next_attempt", FIELD_TIME, 0, false},
    {"host", "host", FIELD_TEXT, 255, false},
    {"ip", "ip", FIELD_IP, 0, false},
    {"port", "port", FIELD_NUMBER, 65535, false},
    {"tls", "tls", FIELD_TLS, 255, false},
    {"reply", "reply", FIELD_TEXT, TEXT_LIMIT, false},
    {0},
};

/* Only checked: what an administrator did to the queue stands in the event alone. */
static const struct field queue_fields[] = {
    {"action", "action", FIELD_TEXT, 32, true},
    {"administrator", "administrator", FIELD_TEXT, 128, true},
    {"route", "route", FIELD_TEXT, 300, false},
    {0},
};

/* Only checked: the incident itself comes with its message. */
static const struct field incident_fields[] = {
    {"folder", "folder", FIELD_TEXT, 64, true},
    {"folder_name", "folder_name", FIELD_TEXT, 200, true},
    {"copy", "copy", FIELD_UUID, 0, true},
    {0},
};

static const struct field bounced_fields[] = {
    {"recipient", "idx", FIELD_NUMBER, MOST_RECIPIENTS - 1, true},
    {"address", "address", FIELD_TEXT, 1000, false},
    {"reply", "reply", FIELD_TEXT, TEXT_LIMIT, false},
    {"dsn", "dsn", FIELD_UUID, 0, false},
    {0},
};

static bool broken(struct error *error, const char *member, const char *what)
{
    return error_set(error, ERROR_INVALID, member, "%s", what);
}

/* --- single values; each returns a new value, or NULL with the reason --- */

static json_t *text_value(const char *text, size_t most)
{
    /* Longer than what is kept, so that store_clean sees where the last character ends. */
    char line[TEXT_LIMIT + 8], clean[TEXT_LIMIT + 1];
    size_t length = strnlen(text, sizeof(line) - 1);
    memcpy(line, text, length);
    line[length] = '\0';
    /* Replies have several lines; other control characters are nobody's intent. */
    for (char *at = line; *at; at++)
        if (*at == '\n' || *at == '\r' || *at == '\t')
            *at = ' ';
    return json_string(
        store_clean(clean, most + 1 < sizeof(clean) ? most + 1 : sizeof(clean), line));
}

static json_t *read_text(const struct field *field, const json_t *value, struct error *error)
{
    if (json_is_string(value))
        return text_value(json_string_value(value), (size_t)field->most);
    broken(error, field->member, "must be text");
    return NULL;
}

static json_t *read_number(const struct field *field, const json_t *value, struct error *error)
{
    json_int_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= 0 && number <= field->most)
        return json_integer(number);
    broken(error, field->member, "must be a whole number within its range");
    return NULL;
}

static json_t *read_ip(const struct field *field, const json_t *value, struct error *error)
{
    struct ip_address address;
    char text[IP_TEXT_SIZE];
    if (json_is_string(value) && ip_parse(json_string_value(value), &address))
        return json_string(ip_text(&address, text));
    broken(error, field->member, "must be an IP address");
    return NULL;
}

static json_t *read_uuid(const struct field *field, const json_t *value, struct error *error)
{
    char canonical[37];
    if (json_is_string(value) && store_uuid(json_string_value(value), canonical))
        return json_string(canonical);
    broken(error, field->member, "must be a UUID");
    return NULL;
}

static json_t *read_time(const struct field *field, const json_t *value, struct error *error)
{
    char text[TIMESTAMP_TEXT_SIZE];
    int64_t time;
    if (json_is_string(value) && timestamp_parse(json_string_value(value), &time))
        return json_string(timestamp_text(time, text));
    broken(error, field->member, "must be a time (ISO 8601, UTC)");
    return NULL;
}

static json_t *read_tls(const struct field *field, const json_t *value, struct error *error)
{
    if (json_is_boolean(value))
        return json_string(json_is_true(value) ? "yes" : "");
    return read_text(field, value, error);
}

static json_t *read_list(const struct field *field, const json_t *value, struct error *error)
{
    cleanup_free char *text = json_is_array(value) ? json_dumps(value, JSON_COMPACT) : NULL;
    if (text && strlen(text) <= THREATS_LIMIT)
        return json_deep_copy(value);
    broken(error, field->member, "must be an array of at most 64 KiB");
    return NULL;
}

static json_t *(*const readers[])(const struct field *, const json_t *, struct error *) = {
    [FIELD_TEXT] = read_text, [FIELD_NUMBER] = read_number, [FIELD_IP] = read_ip,
    [FIELD_UUID] = read_uuid, [FIELD_TIME] = read_time,     [FIELD_TLS] = read_tls,
    [FIELD_LIST] = read_list,
};

/* Members that are missing or null leave their column out. */
static bool read_fields(const struct field *fields, const json_t *value, json_t *columns,
                        struct error *error)
{
    for (const struct field *field = fields; field->member; field++) {
        const json_t *member = json_object_get(value, field->member);
        if (!member || json_is_null(member)) {
            if (field->required)
                return broken(error, field->member, "is missing");
            continue;
        }
        json_t *column = readers[field->kind](field, member, error);
        if (!column || json_object_set_new(columns, field->column, column) != 0)
            return false;
    }
    return true;
}

/* --- recipients --- */

static json_t *add_recipient(struct audit_event *event, size_t index)
{
    json_t *columns = json_pack("{s:I}", "idx", (json_int_t)index);
    return json_array_append_new(event->recipients, columns) == 0 ? columns : NULL;
}

/* A recipient's state changes: when, and an earlier plan for the next attempt is void. */
static bool set_state(const struct audit_event *event, json_t *columns, const char *state)
{
    char at[TIMESTAMP_TEXT_SIZE];
    if (!json_object_get(columns, "next_attempt") &&
        json_object_set_new(columns, "next_attempt", json_null()) != 0)
        return false;
    return json_object_set_new(columns, "state", json_string(state)) == 0 &&
           json_object_set_new(columns, "changed_at", json_string(timestamp_text(event->at, at))) ==
               0;
}

static const json_t *recipient_array(const json_t *value, struct error *error)
{
    const json_t *array = json_object_get(value, "recipients");
    if (json_is_array(array) && json_array_size(array) <= MOST_RECIPIENTS)
        return array;
    broken(error, "recipients", "must be an array of at most 100000");
    return NULL;
}

/* The addresses of a transaction; `state` is NULL where it is not over with it. */
static bool read_addresses(struct audit_event *event, const char *state, struct error *error)
{
    static const struct field address_field = {"recipients", "address", FIELD_TEXT, 1000, true};
    const json_t *array = recipient_array(event->value, error), *value;
    size_t index;
    if (!array)
        return false;
    json_array_foreach(array, index, value)
    {
        json_t *columns = add_recipient(event, index);
        json_t *address = read_text(&address_field, value, error);
        if (!address || json_object_set_new(columns, "address", address) != 0 ||
            (state && !set_state(event, columns, state)))
            return false;
    }
    return true;
}

/* --- types --- */

static bool set_message(struct audit_event *event, const char *column, const char *text)
{
    return json_object_set_new(event->message, column, json_string(text)) == 0;
}

static bool read_transaction(struct audit_event *event, struct error *error)
{
    char at[TIMESTAMP_TEXT_SIZE];
    return read_fields(transaction_fields, event->value, event->message, error) &&
           set_message(event, "received_at", timestamp_text(event->at, at));
}

static bool read_received(struct audit_event *event, struct error *error)
{
    event->figure = "received";
    return read_transaction(event, error) && read_addresses(event, NULL, error);
}

static bool read_aborted(struct audit_event *event, struct error *error)
{
    return read_transaction(event, error) && set_message(event, "action", "message aborted") &&
           read_addresses(event, AUDIT_ABORTED, error);
}

static bool read_refused(struct audit_event *event, struct error *error)
{
    event->figure = "rejected";
    return read_transaction(event, error) && set_message(event, "action", "refused") &&
           read_addresses(event, AUDIT_REFUSED, error);
}

static bool column_is(const json_t *columns, const char *column, const char *text)
{
    const char *value = json_string_value(json_object_get(columns, column));
    return value && strcmp(value, text) == 0;
}

static bool read_scanned(struct audit_event *event, struct error *error)
{
    if (!read_fields(scanned_fields, event->value, event->message, error))
        return false;
    if (column_is(event->message, "verdict", "virus"))
        event->figure = "virus";
    else if (column_is(event->message, "verdict", "spam"))
        event->figure = "spam";
    return true;
}

/* NULL: an action that does not change where the recipient stands. */
static const char *state_of_action(const char *action)
{
    static const char *const states[][2] = {
        {"deliver", AUDIT_QUEUED}, {"clean", AUDIT_QUEUED},    {"quarantine", AUDIT_QUARANTINED},
        {"delete", AUDIT_DELETED}, {"reject", AUDIT_REJECTED}, {"bounce", AUDIT_BOUNCED},
        {"defer", AUDIT_DEFERRED}, {"hold", AUDIT_HELD},       {"move", AUDIT_MOVED}};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(action, states[i][0]) == 0)
            return states[i][1];
    return NULL;
}

static bool check_index(const json_t *index, struct error *error)
{
    json_int_t number = json_integer_value(index);
    return (json_is_integer(index) && number >= 0 && number < MOST_RECIPIENTS) ||
           broken(error, "recipients", "must hold the indices of recipients");
}

static bool read_action_recipient(struct audit_event *event, const json_t *index, const char *state,
                                  struct error *error)
{
    json_int_t number = json_integer_value(index);
    if (!check_index(index, error))
        return false;
    json_t *columns = add_recipient(event, (size_t)number);
    return columns && read_fields(recipient_action_fields, event->value, columns, error) &&
           (!state || set_state(event, columns, state));
}

/* Unknown recipients that are deleted stand behind the others: where the first one is not among
 * them the message has others, and what becomes of it is told by another action. */
static bool concerns_message(const json_t *value, const json_t *recipients)
{
    const char *policy = json_string_value(json_object_get(value, "policy"));
    return !policy || strcmp(policy, "recipients.unknown") != 0 ||
           json_integer_value(json_array_get(recipients, 0)) == 0;
}

static bool read_action(struct audit_event *event, struct error *error)
{
    const json_t *index;
    size_t i;
    const json_t *array = recipient_array(event->value, error);
    cleanup_json json_t *aside = json_object();
    if (!array || !aside)
        return false;
    json_t *columns = concerns_message(event->value, array) ? event->message : aside;
    if (!read_fields(action_fields, event->value, columns, error))
        return false;
    const char *action = json_string_value(json_object_get(columns, "action"));
    json_array_foreach(array, i,
                       index) if (!read_action_recipient(event, index, state_of_action(action),
                                                         error)) return false;
    if (strcmp(action, "reject") == 0)
        event->figure = "rejected";
    return true;
}

/* One recipient by the member "recipient", which becomes `state`. */
static bool read_one_recipient(struct audit_event *event, const struct field *fields,
                               const char *state, struct error *error)
{
    json_t *columns = add_recipient(event, 0);
    return columns && read_fields(fields, event->value, columns, error) &&
           set_state(event, columns, state);
}

static bool read_delivery(struct audit_event *event, struct error *error)
{
    const char *outcome = json_string_value(json_object_get(event->value, "outcome"));
    if (!outcome || (strcmp(outcome, AUDIT_DELIVERED) != 0 &&
                     strcmp(outcome, AUDIT_DEFERRED) != 0 && strcmp(outcome, AUDIT_FAILED) != 0))
        return broken(error, "outcome", "must be delivered, deferred or failed");
    if (strcmp(outcome, AUDIT_DELIVERED) == 0)
        event->figure = "delivered";
    return read_one_recipient(event, delivery_fields, outcome, error);
}

static bool check_indices(const json_t *object, struct error *error)
{
    const json_t *array = recipient_array(object, error), *index;
    size_t i;
    if (!array)
        return false;
    json_array_foreach((json_t *)array, i, index)
    {
        if (!check_index(index, error))
            return false;
    }
    return true;
}

static bool read_queue(struct audit_event *event, struct error *error)
{
    cleanup_json json_t *columns = json_object();
    return read_fields(queue_fields, event->value, columns, error) &&
           check_indices(event->value, error);
}

/* Objects with the recipients that they are about. */
static bool check_parts(const struct audit_event *event, const char *member, struct error *error)
{
    const json_t *array = json_object_get(event->value, member), *part;
    size_t i;
    if (!json_is_array(array))
        return broken(error, member, "must be an array");
    json_array_foreach((json_t *)array, i, part)
    {
        if (!check_indices(part, error))
            return false;
    }
    return true;
}

/* Only checked: what becomes of the recipients is told by actions. */
static bool read_filters(struct audit_event *event, struct error *error)
{
    return (json_is_array(json_object_get(event->value, "finds")) ||
            broken(error, "finds", "must be an array")) &&
           check_parts(event, "outcomes", error) && check_parts(event, "notify", error);
}

static bool read_incident(struct audit_event *event, struct error *error)
{
    cleanup_json json_t *columns = json_object();
    return read_fields(incident_fields, event->value, columns, error) &&
           check_indices(event->value, error);
}

static bool read_bounced(struct audit_event *event, struct error *error)
{
    return read_one_recipient(event, bounced_fields, AUDIT_BOUNCED, error);
}

static const struct {
    const char *type;
    bool (*read)(struct audit_event *event, struct error *error);
} types[] = {
    {"received", read_received}, {"aborted", read_aborted}, {"refused", read_refused},
    {"scanned", read_scanned},   {"action", read_action},   {"delivery", read_delivery},
    {"bounced", read_bounced},   {"queue", read_queue},     {"filters", read_filters},
    {"incident", read_incident},
};

/* A type that is not known (a newer scanner's) is kept as an event and changes nothing. */
static bool read_by_type(struct audit_event *event, struct error *error)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(event->type, types[i].type) == 0)
            return types[i].read(event, error);
    return true;
}

/* --- what every event has --- */

static bool is_in_range(int64_t time, int64_t now)
{
    return time >= now - MOST_DAYS_BACK * DAY_MS && time <= now + MOST_DAYS_AHEAD * DAY_MS;
}

static bool read_id(struct audit_event *event, int64_t now, struct error *error)
{
    struct message_id id;
    const char *text = json_string_value(json_object_get(event->value, "id"));
    if (!text || !message_id_parse(text, &id))
        return broken(error, "id", "must be a UUID");
    message_id_text(&id, event->id);
    event->message_at = message_id_time_ms(&id);
    return is_in_range(event->message_at, now) ||
           broken(error, "id", "holds a time over 400 days back or 7 days ahead");
}

static bool read_at(struct audit_event *event, int64_t now, struct error *error)
{
    const char *text = json_string_value(json_object_get(event->value, "at"));
    if (!text || !timestamp_parse(text, &event->at))
        return broken(error, "at", "must be a time (ISO 8601, UTC)");
    return is_in_range(event->at, now) ||
           broken(error, "at", "is over 400 days back or 7 days ahead");
}

static bool read_type(struct audit_event *event, struct error *error)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz_";
    event->type = json_string_value(json_object_get(event->value, "type"));
    size_t length = event->type ? strlen(event->type) : 0;
    return (length > 0 && length <= AUDIT_TYPE_LIMIT && strspn(event->type, allowed) == length) ||
           broken(error, "type", "must be 1 to 32 small letters or underscores");
}

/* 0 where it cannot be written as JSON, which shows when it is. */
static size_t json_size(const json_t *value)
{
    return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* The event is kept whole beside its columns, which are cut; so its own size has to be bounded. */
static bool check_size(const json_t *value, struct error *error)
{
    size_t whole = json_size(value);
    if (whole <= EVENT_LIMIT)
        return true;
    const json_t *array = json_object_get(value, "recipients");
    size_t count = json_array_size(array), recipients = json_is_array(array) ? json_size(array) : 0;
    if (count > MOST_RECIPIENTS)
        count = MOST_RECIPIENTS;
    if (recipients > EVENT_LIMIT + count * RECIPIENT_ROOM)
        return broken(error, "recipients", "must have at most 1000 bytes each");
    return whole - recipients <= EVENT_LIMIT ||
           broken(error, NULL, "an event must have at most 256 KiB, its recipients aside");
}

static bool read_event(struct audit_event *event, int64_t now, struct error *error)
{
    if (!json_is_object(event->value))
        return broken(error, NULL, "an event must be an object");
    if (!check_size(event->value, error))
        return false;
    return read_id(event, now, error) && read_at(event, now, error) && read_type(event, error) &&
           read_by_type(event, error);
}

bool audit_event_read(struct audit_event *event, const json_t *value, int64_t now,
                      struct error *error)
{
    struct error reason = {0};
    char text[640];
    event->value = value;
    event->message = json_object();
    event->recipients = json_array();
    if (!event->message || !event->recipients)
        return store_out_of_memory(error);
    if (read_event(event, now, &reason))
        return true;
    if (reason.code == ERROR_NONE)
        return store_out_of_memory(error);
    event->reason = strdup(error_text(&reason, text, sizeof(text)));
    return event->reason || store_out_of_memory(error);
}

void audit_event_clear(struct audit_event *event)
{
    json_decref(event->message);
    json_decref(event->recipients);
    free(event->reason);
}

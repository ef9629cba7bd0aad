/* The incident of a message that was handed over: whatever the scanner says, none is lost. */
#include "controlcenter/store/incidents_internal.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"

#include <string.h>

#define LINE_SIZE 1001 /* bytes of a subject or an address that are kept, with the NUL */
#define NAME_SIZE 201  /* of a name */
#define RECIPIENTS_MOST 100000
#define FILTERS_MOST 1000
#define FINDS_MOST 100
#define SEARCHED_BYTES (16u << 10) /* of all recipients, or all filters, together */
#define FINDS_BYTES (64u << 10)

static const char insert_incident[] =
    "INSERT INTO incident (handover_id, message_id, scanner_id, folder, quarantine, received_at,"
    " sender, recipients, recipients_text, subject, header_from, direction, host, verdict,"
    " filters, filters_text, finds, size)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13, $14, $15::jsonb, $16,"
    " $17::jsonb, $18) ON CONFLICT (handover_id) DO NOTHING RETURNING number";
static const char name_folder[] =
    "UPDATE incident_folder SET name = $2 WHERE folder = $1 AND name <> $2";
static const char insert_line[] =
    "INSERT INTO incident_history (incident, who, what, detail) VALUES ($1, '', 'created', $2)";

/* What is written, clean. */
struct entry {
    char message_id[37], folder[65], folder_name[NAME_SIZE];
    char sender[LINE_SIZE], subject[LINE_SIZE], from[LINE_SIZE];
    char direction[9], host[256], verdict[33];
    int64_t received_at;
    bool quarantine;
    struct buffer recipients_text, filters_text;
    char *recipients, *filters, *finds; /* JSON */
};

static void take_text(const json_t *info, const char *name, char *to, size_t size)
{
    store_clean(to, size, json_text_of(info, name));
}

static int64_t take_time(const json_t *info)
{
    const json_t *value = json_object_get(info, "received_at");
    int64_t time = json_integer_value(value), now = timestamp_now_ms();
    if (json_is_string(value) && !timestamp_parse(json_string_value(value), &time))
        time = 0;
    return time > 0 && time < now ? time : now;
}

/* Joins what is searched, as far as there is room. */
static void join(struct buffer *text, const char *part)
{
    if (text->length + strlen(part) + 2 > SEARCHED_BYTES)
        return;
    if (text->length > 0)
        buffer_add_text(text, ", ");
    buffer_add_text(text, part);
}

static json_t *take_recipients(const json_t *info, struct buffer *text)
{
    char address[LINE_SIZE];
    const json_t *value;
    size_t index;
    json_t *array = json_array();
    json_array_foreach(json_object_get(info, "recipients"), index, value)
    {
        if (!json_is_string(value) || index >= RECIPIENTS_MOST)
            continue;
        store_clean(address, sizeof(address), json_string_value(value));
        json_array_append_new(array, json_string(address));
        join(text, address);
    }
    return array;
}

static json_t *take_filters(const json_t *info, struct buffer *text)
{
    char id[65], name[NAME_SIZE];
    const json_t *value;
    size_t index;
    json_t *array = json_array();
    json_array_foreach(json_object_get(info, "filters"), index, value)
    {
        if (!json_is_object(value) || index >= FILTERS_MOST)
            continue;
        take_text(value, "id", id, sizeof(id));
        take_text(value, "name", name, sizeof(name));
        json_array_append_new(array, json_pack("{s:s,s:s}", "id", id, "name", name));
        join(text, *name ? name : id);
    }
    return array;
}

/* Those that have the form, until there are too many bytes of them. */
static json_t *take_finds(const json_t *info)
{
    const json_t *value;
    size_t index, bytes = 0;
    json_t *array = json_array();
    json_array_foreach(json_object_get(info, "finds"), index, value)
    {
        bytes += json_dumpb(value, NULL, 0, JSON_COMPACT);
        if (!json_is_object(value) || index >= FINDS_MOST || bytes > FINDS_BYTES)
            break;
        json_array_append(array, (json_t *)value);
    }
    return array;
}

static bool write_json(json_t *value, char **text, struct error *error)
{
    *text = store_json_text(value, error);
    if (!value)
        store_out_of_memory(error);
    json_decref(value);
    return *text != NULL;
}

static bool read_info(const json_t *info, struct entry *entry, struct error *error)
{
    if (!store_uuid(json_text_of(info, "message"), entry->message_id))
        *entry->message_id = '\0';
    take_text(info, "folder", entry->folder, sizeof(entry->folder));
    if (!*entry->folder)
        memcpy(entry->folder, "unknown", sizeof("unknown"));
    take_text(info, "folder_name", entry->folder_name, sizeof(entry->folder_name));
    if (!*entry->folder_name)
        memcpy(entry->folder_name, entry->folder, sizeof(entry->folder));
    take_text(info, "sender", entry->sender, sizeof(entry->sender));
    take_text(info, "subject", entry->subject, sizeof(entry->subject));
    take_text(info, "from", entry->from, sizeof(entry->from));
    take_text(info, "direction", entry->direction, sizeof(entry->direction));
    take_text(info, "host", entry->host, sizeof(entry->host));
    take_text(info, "verdict", entry->verdict, sizeof(entry->verdict));
    entry->received_at = take_time(info);
    /* What does not say that it went on is held. */
    entry->quarantine = !json_is_false(json_object_get(info, "quarantine"));
    return write_json(take_recipients(info, &entry->recipients_text), &entry->recipients, error) &&
           write_json(take_filters(info, &entry->filters_text), &entry->filters, error) &&
           write_json(take_finds(info), &entry->finds, error);
}

static void clear_entry(struct entry *entry)
{
    buffer_free(&entry->recipients_text);
    buffer_free(&entry->filters_text);
    free(entry->recipients);
    free(entry->filters);
    free(entry->finds);
}

/* *number is 0 where it is there already. */
static bool insert(PGconn *connection, const char *message_id, const char *scanner_id,
                   const struct entry *entry, int64_t size, int64_t *number, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, message_id);
    store_add_text(&parameters, *entry->message_id ? entry->message_id : NULL);
    store_add_text(&parameters, scanner_id);
    store_add_text(&parameters, entry->folder);
    store_add_boolean(&parameters, entry->quarantine);
    store_add_time(&parameters, entry->received_at);
    store_add_text(&parameters, entry->sender);
    store_add_text(&parameters, entry->recipients);
    store_add_text(&parameters, buffer_text(&entry->recipients_text));
    store_add_text(&parameters, entry->subject);
    store_add_text(&parameters, entry->from);
    store_add_text(&parameters, entry->direction);
    store_add_text(&parameters, entry->host);
    store_add_text(&parameters, entry->verdict);
    store_add_text(&parameters, entry->filters);
    store_add_text(&parameters, buffer_text(&entry->filters_text));
    store_add_text(&parameters, entry->finds);
    store_add_integer(&parameters, size);
    PGresult *result = store_query(connection, insert_incident, &parameters, error);
    *number = result && PQntuples(result) == 1 ? store_integer(result, 0, 0) : 0;
    PQclear(result);
    return result != NULL;
}

static bool begin_history(PGconn *connection, int64_t number, const struct entry *entry,
                          struct error *error)
{
    struct store_parameters names = {0}, line = {0};
    store_add_text(&names, entry->folder);
    store_add_text(&names, entry->folder_name);
    store_add_integer(&line, number);
    store_add_text(&line, buffer_text(&entry->filters_text));
    return store_run(connection, name_folder, &names, error) &&
           store_run(connection, insert_line, &line, error);
}

bool store_incident_insert(PGconn *connection, const char *message_id, const char *scanner_id,
                           const json_t *info, int64_t size, struct error *error)
{
    struct entry entry = {.recipients_text = BUFFER_INIT, .filters_text = BUFFER_INIT};
    int64_t number = 0;
    bool ok = read_info(info, &entry, error) &&
              insert(connection, message_id, scanner_id, &entry, size, &number, error) &&
              (number == 0 || begin_history(connection, number, &entry, error));
    clear_entry(&entry);
    return ok;
}

#include "controlcenter/incidents/view.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "common/utf8.h"
#include "controlcenter/incidents/compose.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES (11u << 20) /* of a message that a scanner is asked about */
#define HEADER_MOST (16u << 10) /* bytes of the header that are shown */
#define WAIT_MS 25000
#define MARKS_MOST 1000 /* of one part */
#define FINDS_SHOWN 100

/* --- the header --- */

/* Whatever is no text becomes '?'; line ends stay. */
static char *header_text(const struct buffer *body)
{
    struct buffer text = BUFFER_INIT;
    const char *at = body->data ? body->data : "";
    size_t left = body->length < HEADER_MOST ? body->length : HEADER_MOST;
    while (left > 0) {
        const char *end = memchr(at, '\n', left);
        size_t line = end ? (size_t)(end - at) + 1 : left, kept = line, start = text.length;
        while (kept > 0 && (at[kept - 1] == '\n' || at[kept - 1] == '\r'))
            kept--;
        if (kept == 0)
            break;
        buffer_add(&text, at, kept);
        if (!text.failed) {
            for (size_t i = start; i < text.length; i++)
                text.data[i] = text.data[i] == '\t' ? ' ' : text.data[i];
            text.length = start + utf8_scrub(text.data + start, kept);
        }
        buffer_add(&text, "\n", 1);
        at += line;
        left -= line;
    }
    return buffer_take(&text);
}

/* --- marking --- */

struct mark {
    size_t begin, end;
    const char *filter;
};

static int compare_marks(const void *a, const void *b)
{
    const struct mark *left = a, *right = b;
    return left->begin < right->begin   ? -1
           : left->begin > right->begin ? 1
           : left->end > right->end     ? -1
                                        : left->end < right->end;
}

/* The name of the filter of a find. */
static const char *filter_of(const json_t *find)
{
    const char *name = json_text_of(find, "name");
    return *name ? name : json_text_of(find, "filter");
}

static bool is_in_part(const json_t *find, const char *path)
{
    const char *part = json_text_of(find, "part");
    return strcmp(part, path) == 0 && *json_text_of(find, "text");
}

static size_t add_marks(const char *text, const json_t *find, struct mark *marks, size_t count)
{
    const char *what = json_text_of(find, "text");
    size_t length = strlen(what);
    for (const char *at = strcasestr(text, what); at && count < MARKS_MOST;
         at = strcasestr(at + length, what))
        marks[count++] =
            (struct mark){(size_t)(at - text), (size_t)(at - text) + length, filter_of(find)};
    return count;
}

static void add_piece(json_t *pieces, const char *text, size_t begin, size_t end,
                      const char *filter)
{
    if (begin == end)
        return;
    json_t *piece = json_pack("{s:s%,s:b,s:s}", "text", text + begin, end - begin, "is_marked",
                              filter != NULL, "filter", filter ? filter : "");
    if (piece)
        json_array_append_new(pieces, piece);
}

json_t *incident_mark(const char *text, const char *path, const struct store_incident *incident)
{
    struct mark *marks = calloc(MARKS_MOST, sizeof(*marks));
    size_t count = 0, at = 0, index;
    const json_t *find;
    json_t *pieces = json_array();
    json_array_foreach(incident->finds, index, find)
    {
        if (marks && is_in_part(find, path))
            count = add_marks(text, find, marks, count);
    }
    if (count > 0)
        qsort(marks, count, sizeof(*marks), compare_marks);
    for (size_t i = 0; i < count; i++) {
        if (marks[i].begin < at)
            continue;
        add_piece(pieces, text, at, marks[i].begin, NULL);
        add_piece(pieces, text, marks[i].begin, marks[i].end, marks[i].filter);
        at = marks[i].end;
    }
    add_piece(pieces, text, at, strlen(text), NULL);
    free(marks);
    return pieces;
}

/* --- the finds --- */

static json_t *list_finds(const struct store_incident *incident)
{
    const json_t *find;
    size_t index;
    json_t *rows = json_array();
    json_array_foreach(incident->finds, index, find)
    {
        if (index >= FINDS_SHOWN)
            break;
        json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:s}", "filter", filter_of(find),
                                              "part", json_text_of(find, "part"), "field",
                                              json_text_of(find, "field"), "text",
                                              json_text_of(find, "text")));
    }
    return rows;
}

/* --- asking a scanner --- */

static json_t *make_request(const struct buffer *body)
{
    size_t size = sodium_base64_ENCODED_LEN(body->length, sodium_base64_VARIANT_ORIGINAL);
    cleanup_free char *base64 = malloc(size);
    if (!base64)
        return NULL;
    sodium_bin2base64(base64, size, (const unsigned char *)body->data, body->length,
                      sodium_base64_VARIANT_ORIGINAL);
    return json_pack("{s:s,s:s}", "op", "show_message", "message", base64);
}

static bool is_connected(const struct store_scanner *scanner)
{
    return scanner->seen_at > timestamp_now_ms() - FLEET_SILENT_MS;
}

/* The scanner that the message came by first, where it is there. */
static json_t *ask(struct store *store, struct fleet *fleet, const char *first,
                   const json_t *request, struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    json_t *reply = NULL;
    if (!store_scanner_list(store, &scanners, &count, error))
        return NULL;
    error_set(error, ERROR_UNAVAILABLE, NULL, "no scanner is connected that could read it");
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < count && !reply; i++)
            if (is_connected(&scanners[i]) && (strcmp(scanners[i].id, first) != 0) == others)
                reply = fleet_ask(fleet, scanners[i].id, "engine-control", request, WAIT_MS, error);
    store_scanner_list_free(scanners, count);
    return reply;
}

/* --- parts --- */

static json_t *show_part(const json_t *part, const struct store_incident *incident)
{
    const char *type = json_text_of(part, "type"), *path = json_text_of(part, "path");
    json_t *row = json_pack("{s:s,s:s,s:s,s:I,s:b,s:b,s:b,s:b}", "path", path, "name",
                            json_text_of(part, "name"), "type",
                            *type ? type : json_text_of(part, "declared_type"), "bytes",
                            json_integer_value(json_object_get(part, "bytes")), "is_attachment",
                            json_is_true(json_object_get(part, "attachment")) ||
                                strcmp(json_text_of(part, "kind"), "member") == 0,
                            "is_message", strcmp(json_text_of(part, "kind"), "message") == 0,
                            "encrypted", json_is_true(json_object_get(part, "encrypted")),
                            "damaged", json_is_true(json_object_get(part, "damaged")));
    const char *text = json_string_value(json_object_get(part, "text"));
    if (row && text && *text)
        json_object_set_new(row, "pieces", incident_mark(text, path, incident));
    return row;
}

static void take_reply(json_t *content, const json_t *reply, const struct store_incident *incident)
{
    const json_t *part;
    size_t index;
    json_t *rows = json_array();
    json_array_foreach(json_object_get(reply, "parts"), index, part)
    {
        json_t *row = json_is_object(part) ? show_part(part, incident) : NULL;
        if (row)
            json_array_append_new(rows, row);
    }
    json_object_set_new(content, "parts", rows);
    json_object_set_new(content, "text_cut",
                        json_boolean(json_is_true(json_object_get(reply, "text_cut"))));
    json_object_set_new(content, "parts_left_out",
                        json_integer(json_integer_value(json_object_get(reply, "parts_left_out"))));
}

json_t *incident_content(struct store *store, struct fleet *fleet,
                         const struct store_incident *incident, struct error *error)
{
    struct buffer body = BUFFER_INIT;
    struct error local = {0};
    if (!incident_read_body(store, incident, SHOWN_BYTES, &body, error)) {
        buffer_free(&body);
        return NULL;
    }
    cleanup_free char *header = header_text(&body);
    cleanup_json json_t *request = make_request(&body);
    buffer_free(&body);
    json_t *content = json_pack("{s:s*,s:o,s:b}", "header", header, "finds", list_finds(incident),
                                "message_cut", incident->size > (int64_t)SHOWN_BYTES);
    cleanup_json json_t *reply =
        request ? ask(store, fleet, incident->scanner_id, request, &local) : NULL;
    if (content && reply)
        take_reply(content, reply, incident);
    else if (content)
        json_object_set_new(content, "problem", json_string(local.message));
    else
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return content;
}

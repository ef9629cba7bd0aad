/* Columns of results and JSON, both ways. */
#include "controlcenter/store/store_internal.h"

#include "common/buffer.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

bool store_out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

bool store_uuid(const char *text, char canonical[37])
{
    struct message_id id;
    if (!text || !message_id_parse(text, &id))
        return false;
    message_id_text(&id, canonical);
    return true;
}

/* --- columns --- */

int64_t store_integer(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

bool store_boolean(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

void store_text(const PGresult *result, int row, int column, char *to, size_t size)
{
    const char *text = PQgetvalue(result, row, column);
    size_t length = strlen(text);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(to, text, length);
    to[length] = '\0';
}

char *store_copy(const PGresult *result, int row, int column)
{
    return strdup(PQgetvalue(result, row, column));
}

json_t *store_json(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    const char *text = PQgetvalue(result, row, column);
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    /* PostgreSQL writes 1e99, which anyone may have sent, as a whole number of a hundred digits. */
    return value ? value : json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
}

int64_t store_changed(const PGresult *result)
{
    return strtoll(PQcmdTuples((PGresult *)result), NULL, 10);
}

/* --- text and JSON for columns --- */

/* In JSON text U+0000 can only stand as the escape \u0000, where the backslash is not itself
 * escaped. */
static void replace_nul(char *text)
{
    for (char *at = strchr(text, '\\'); at; at = strchr(at + 2, '\\'))
        if (strncmp(at, "\\u0000", 6) == 0)
            memcpy(at + 2, "fffd", 4);
}

char *store_json_text(const json_t *value, struct error *error)
{
    if (!value)
        return NULL;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        replace_nul(text);
    else
        error_set(error, ERROR_INVALID, NULL, "the value cannot be written as JSON");
    return text;
}

const char *store_clean(char *to, size_t size, const char *text)
{
    size_t length = text ? strnlen(text, size) : 0;
    if (length == size) {
        length--;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    if (length > 0)
        memcpy(to, text, length);
    to[utf8_scrub(to, length)] = '\0';
    return to;
}

bool store_pattern(const char *text, const char *name, size_t most, char **pattern,
                   struct error *error)
{
    struct buffer made = BUFFER_INIT;
    *pattern = NULL;
    if (!text || !*text)
        return true;
    if (strlen(text) > most)
        return error_set(error, ERROR_INVALID, name, "has more than %zu bytes", most);
    buffer_add_text(&made, "%");
    for (; *text; text++) {
        if (strchr("%_\\", *text))
            buffer_add_text(&made, "\\");
        buffer_add(&made, text, 1);
    }
    buffer_add_text(&made, "%");
    *pattern = buffer_take(&made);
    return *pattern || store_out_of_memory(error);
}

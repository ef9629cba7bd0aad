#include "controlcenter/pages/smtp_values.h"
#include "controlcenter/pages/endpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_SIZE 320
#define LINES_MOST 2000
#define MEGABYTE 1048576.0

bool smtp_kind_is_list(enum smtp_kind kind)
{
    return kind == SMTP_LISTENERS || kind == SMTP_TEXTS || kind == SMTP_NUMBERS;
}

/* --- writing --- */

static void add_listener(struct buffer *text, const json_t *listener)
{
    char line[ENDPOINT_TEXT_SIZE];
    const char *address = json_string_value(json_object_get(listener, "address"));
    if (!address)
        return;
    buffer_add_text(
        text,
        endpoint_text(address, (int)json_integer_value(json_object_get(listener, "port")), line));
    if (json_is_true(json_object_get(listener, "implicit_tls")))
        buffer_add_text(text, " tls");
    if (json_is_true(json_object_get(listener, "proxy_protocol")))
        buffer_add_text(text, " proxy");
    buffer_add_text(text, "\n");
}

static void add_line(struct buffer *text, enum smtp_kind kind, const json_t *value)
{
    if (kind == SMTP_LISTENERS)
        add_listener(text, value);
    else if (kind == SMTP_TEXTS && json_is_string(value))
        buffer_add_format(text, "%s\n", json_string_value(value));
    else if (kind == SMTP_NUMBERS && json_is_integer(value))
        buffer_add_format(text, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
}

void smtp_value_text(enum smtp_kind kind, const json_t *value, struct buffer *text)
{
    const json_t *element;
    size_t index;
    if (smtp_kind_is_list(kind)) {
        json_array_foreach((json_t *)value, index, element) add_line(text, kind, element);
    } else if (kind == SMTP_NUMBER && json_is_integer(value)) {
        buffer_add_format(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (kind == SMTP_MEGABYTES && json_is_integer(value)) {
        buffer_add_format(text, "%.9g", (double)json_integer_value(value) / MEGABYTE);
    } else if (kind == SMTP_SWITCH && json_is_boolean(value)) {
        buffer_add_text(text, json_is_true(value) ? "yes" : "no");
    } else if (json_is_string(value)) {
        buffer_add_text(text, json_string_value(value));
    }
}

/* --- reading --- */

static json_t *read_whole_number(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 15 || strspn(text, "0123456789") != length)
        return NULL;
    return json_integer(strtoll(text, NULL, 10));
}

static json_t *read_megabytes(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 15 || strspn(text, "0123456789.") != length)
        return NULL;
    char *end;
    double size = strtod(text, &end);
    return *end ? NULL : json_integer(llround(size * MEGABYTE));
}

/* Puts one of the words behind a listener's port; false for any other, and for one that comes
 * twice. */
static bool set_mark(json_t *listener, const char *word, size_t length)
{
    static const struct {
        const char *word, *member;
    } marks[] = {{"tls", "implicit_tls"}, {"proxy", "proxy_protocol"}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strlen(marks[i].word) == length && strncasecmp(word, marks[i].word, length) == 0)
            return !json_object_get(listener, marks[i].member) &&
                   json_object_set_new(listener, marks[i].member, json_true()) == 0;
    return false;
}

static json_t *read_listener(const char *line)
{
    struct endpoint endpoint;
    char first[LINE_SIZE];
    size_t length = strcspn(line, " ");
    memcpy(first, line, length);
    first[length] = '\0';
    if (!endpoint_parse(first, 0, &endpoint))
        return NULL;
    json_t *listener = json_pack("{s:s,s:i}", "address", endpoint.host, "port", endpoint.port);
    for (const char *word = line + length; listener && *word; word += length) {
        word += strspn(word, " ");
        length = strcspn(word, " ");
        if (length > 0 && !set_mark(listener, word, length)) {
            json_decref(listener);
            return NULL;
        }
    }
    return listener;
}

static json_t *read_line(enum smtp_kind kind, const char *line)
{
    if (kind == SMTP_LISTENERS)
        return read_listener(line);
    return kind == SMTP_NUMBERS ? read_whole_number(line) : json_string(line);
}

/* NULL where a line was refused. */
static json_t *read_list(struct form *form, const char *field, enum smtp_kind kind,
                         const char *text)
{
    char line[LINE_SIZE];
    int number = 0;
    json_t *array = json_array();
    while ((text = form_next_line(text, line, sizeof line))) {
        json_t *value = ++number <= LINES_MOST ? read_line(kind, line) : NULL;
        if (json_array_append_new(array, value) == 0)
            continue;
        const char *key = kind == SMTP_LISTENERS ? "listener_form" : "number_in_line";
        form_refuse(form, field, key, json_pack("{s:i}", "line", number));
        json_decref(array);
        return NULL;
    }
    return array;
}

static json_t *read_single(enum smtp_kind kind, const char *text)
{
    if (kind == SMTP_NUMBER)
        return read_whole_number(text);
    if (kind == SMTP_MEGABYTES)
        return read_megabytes(text);
    if (kind != SMTP_SWITCH)
        return json_string(text);
    if (strcmp(text, "yes") == 0)
        return json_true();
    return strcmp(text, "no") == 0 ? json_false() : NULL;
}

json_t *smtp_value_take(struct form *form, const char *field, enum smtp_kind kind)
{
    bool lines = smtp_kind_is_list(kind) || kind == SMTP_LINES;
    const char *text = lines ? form_take_lines(form, field) : form_take(form, field);
    if (smtp_kind_is_list(kind))
        return *text || kind == SMTP_LISTENERS ? read_list(form, field, kind, text) : NULL;
    if (!*text)
        return NULL;
    json_t *value = read_single(kind, text);
    if (!value)
        form_refuse(form, field, kind == SMTP_SWITCH ? "choose_listed" : "number", NULL);
    return value;
}

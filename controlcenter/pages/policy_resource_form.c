/* One of what filters refer to, in a form. */
#include "controlcenter/pages/policy_resource.h"

#include "controlcenter/mail/notification_text.h"
#include "controlcenter/pages/policy_objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 4200
#define WEIGHT_DIGITS 6

/* --- from an object --- */

void resource_add_word(struct buffer *text, const json_t *word)
{
    json_int_t weight = json_integer_value(json_object_get(word, "weight"));
    buffer_add_text(text, json_text_of(word, "text"));
    if (weight > 1)
        buffer_add_format(text, " | %" JSON_INTEGER_FORMAT, weight);
}

static void put_array(struct form *form, const struct resource_field *field, const json_t *array)
{
    struct buffer text = BUFFER_INIT;
    const json_t *item;
    size_t i;
    if (json_is_object(array)) { /* words that stay in the store */
        page_put_count(form->page, form->page->data, "too_many",
                       json_integer_value(json_object_get(array, "count")));
        return;
    }
    json_array_foreach(array, i, item)
    {
        if (field->input == RESOURCE_WORDS)
            resource_add_word(&text, item);
        else
            buffer_add_text(&text, json_string_value(item));
        buffer_add_text(&text, "\n");
    }
    form_set(form, field->name, buffer_text(&text));
    buffer_free(&text);
}

static void put_field(struct form *form, const struct resource_field *field, const json_t *object)
{
    const json_t *value = json_object_get(object, field->name);
    const char *text = json_text_of(object, field->name);
    switch (field->input) {
    case RESOURCE_LINE:
    case RESOURCE_TEXT:
        form_set(form, field->name, text);
        break;
    case RESOURCE_LINES:
    case RESOURCE_WORDS:
        put_array(form, field, value);
        break;
    case RESOURCE_CHECK:
        form_select(form, field->name, (value ? json_is_true(value) : field->usual) ? "on" : "off");
        break;
    case RESOURCE_WORD:
        form_select(form, field->name, *text ? text : field->words[0]);
        break;
    }
}

void resource_form_put(struct form *form, const struct resource_kind *kind, const json_t *object)
{
    form_set(form, "name", json_text_of(object, "name"));
    for (size_t i = 0; i < kind->field_count; i++)
        put_field(form, &kind->fields[i], object);
}

/* --- to an object --- */

/* "word | 3" has the weight 3. */
static json_t *read_word(char *line, bool *valid)
{
    int weight = 1;
    char *bar = strrchr(line, '|');
    if (bar) {
        const char *number = bar + 1 + strspn(bar + 1, " ");
        size_t digits = strspn(number, "0123456789");
        *valid = digits > 0 && digits <= WEIGHT_DIGITS && !number[digits];
        weight = atoi(number);
        while (bar > line && bar[-1] == ' ')
            bar--;
        *bar = 0;
    }
    return json_pack("{s:s,s:i}", "text", line, "weight", weight);
}

static void refuse_line(struct form *form, const char *field, size_t number, const char *line)
{
    form_refuse(form, field, "resource_weight_wrong",
                json_pack("{s:I,s:s}", "number", (json_int_t)number, "line", line));
}

static json_t *read_lines(struct form *form, const struct resource_field *field, const char *text)
{
    json_t *array = json_array();
    char line[LINE_SIZE];
    while ((text = form_next_line(text, line, sizeof(line)))) {
        bool valid = true;
        json_t *item = field->input == RESOURCE_WORDS ? read_word(line, &valid) : json_string(line);
        json_array_append_new(array, item);
        if (!valid)
            refuse_line(form, field->name, json_array_size(array), line);
    }
    return array;
}

/* A file, where one was chosen, takes the place of what stands in the form; words that are too many
 * to stand there stay as they are. */
static json_t *read_words(struct form *form, const struct resource_field *field, json_t *stored)
{
    const struct http_file *file = http_file(form->page->request, "file");
    const char *typed = form_take_lines(form, field->name);
    if (!file && http_form(form->page->request, "keep_words") && stored)
        return json_incref(stored);
    if (!file)
        return read_lines(form, field, typed);
    json_t *text = json_stringn(file->data, file->length);
    if (!text) {
        form_refuse(form, field->name, "resource_file_text", NULL);
        return json_array();
    }
    struct buffer lines = BUFFER_INIT;
    for (const char *at = json_string_value(text); *at; at++)
        if (*at != '\r')
            buffer_add(&lines, *at == '\t' ? " " : at, 1);
    json_t *array = read_lines(form, field, buffer_text(&lines));
    buffer_free(&lines);
    json_decref(text);
    return array;
}

static void check_template_text(struct form *form, const struct resource_kind *kind,
                                const struct resource_field *field, const char *text)
{
    struct error error = {0};
    if (strcmp(kind->section, "templates") == 0 && !notification_check(text, field->name, &error))
        form_refuse_reason(form, field->name, 0, error.message);
}

static void read_field(struct form *form, const struct resource_kind *kind,
                       const struct resource_field *field, const json_t *stored, json_t *object)
{
    const char *text;
    json_t *value = NULL;
    switch (field->input) {
    case RESOURCE_LINE:
    case RESOURCE_TEXT:
        text = field->input == RESOURCE_LINE ? form_take(form, field->name)
                                             : form_take_lines(form, field->name);
        check_template_text(form, kind, field, text);
        value = json_string(text);
        break;
    case RESOURCE_LINES:
        value = read_lines(form, field, form_take_lines(form, field->name));
        break;
    case RESOURCE_WORDS:
        value = read_words(form, field, json_object_get(stored, field->name));
        break;
    case RESOURCE_CHECK:
        value = json_boolean(strcmp(form_take(form, field->name), "on") == 0);
        break;
    case RESOURCE_WORD:
        text = form_take_word(form, field->name, field->words);
        value = json_string(text ? text : field->words[0]);
        break;
    }
    page_put(form->page, object, field->name, value);
}

/* What has to be there. */
static void check_filled(struct form *form, const struct resource_kind *kind, const json_t *object)
{
    size_t entries = 0;
    if (strcmp(kind->section, "lists") == 0) {
        for (size_t i = 0; i < kind->field_count; i++)
            entries += json_array_size(json_object_get(object, kind->fields[i].name));
        if (entries == 0)
            form_refuse(form, "extensions", "resource_list_empty", NULL);
    } else if (strcmp(kind->section, "dictionaries") == 0) {
        const json_t *words = json_object_get(object, "words");
        if (!json_is_object(words) && json_array_size(words) == 0)
            form_refuse(form, "words", "resource_words_empty", NULL);
    } else {
        const char *needed = strcmp(kind->section, "patterns") == 0 ? "expression" : "text";
        if (!*json_text_of(object, needed))
            form_refuse(form, needed, "policy_text_missing", NULL);
        if (strcmp(kind->section, "templates") == 0 && !*json_text_of(object, "subject"))
            form_refuse(form, "subject", "policy_text_missing", NULL);
    }
}

json_t *resource_form_read(struct form *form, const struct resource_kind *kind,
                           const json_t *document, const char *id)
{
    const char *name = form_take(form, "name");
    const json_t *stored = policy_find(document, kind->section, id, NULL);
    json_t *object = json_pack("{s:s,s:s}", "id", id, "name", name);
    if (!*name)
        form_refuse(form, "name", "policy_text_missing", NULL);
    else if (policy_name_is_taken(document, kind->section, name, id))
        form_refuse(form, "name", "policy_name_there", NULL);
    for (size_t i = 0; i < kind->field_count; i++)
        read_field(form, kind, &kind->fields[i], stored, object);
    if (!form->wrong)
        check_filled(form, kind, object);
    return object;
}

/* --- refusals of the document --- */

void resource_form_refuse(struct form *form, const struct resource_kind *kind, size_t index,
                          const struct error *error)
{
    char place[100], text[700];
    int length = snprintf(place, sizeof(place), "policies.%s[%zu].", kind->section, index);
    bool is_here = strncmp(error->where, place, (size_t)length) == 0;
    for (size_t i = 0; is_here && i < kind->field_count; i++) {
        const char *field = kind->fields[i].name;
        const char *behind = error->where + length + strlen(field);
        if (strncmp(error->where + length, field, strlen(field)) == 0 &&
            (*behind == 0 || *behind == '[')) {
            form_refuse_reason(form, field, *behind ? atoi(behind + 1) + 1 : 0, error->message);
            return;
        }
    }
    if (is_here)
        form_refuse_reason(form, "name", 0, error->message);
    else
        form_refuse(form, "name", "policy_elsewhere",
                    json_pack("{s:s}", "reason", error_text(error, text, sizeof(text))));
}

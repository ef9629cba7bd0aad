/* Forms: what was typed is shown again, and every refusal names its field. */
#include "controlcenter/pages/pages.h"

#include <stdlib.h>
#include <string.h>

void form_open(struct form *form, struct page *page)
{
    *form = (struct form){.page = page};
    form->values = page_put_object(page, page->data, "values");
    form->error = page_put_object(page, page->data, "error");
    form->errors = page_put_array(page, page->data, "errors");
}

void form_set_purpose(struct form *form, const char *purpose)
{
    page_put_true(form->page, page_put_object(form->page, form->page->data, "purpose"), purpose);
}

static const char *keep(struct form *form, const char *field, const char *text)
{
    size_t start = text ? strspn(text, " \n") : 0;
    size_t length = text ? strlen(text) : 0;
    while (length > start && (text[length - 1] == ' ' || text[length - 1] == '\n'))
        length--;
    page_put(form->page, form->values, field,
             text ? json_stringn(text + start, length - start) : json_string(""));
    const char *kept = json_string_value(json_object_get(form->values, field));
    return kept ? kept : "";
}

const char *form_take(struct form *form, const char *field)
{
    return keep(form, field, http_form(form->page->request, field));
}

const char *form_take_lines(struct form *form, const char *field)
{
    return keep(form, field, http_form_lines(form->page->request, field));
}

const char *form_take_query(struct form *form, const char *field)
{
    return keep(form, field, http_query(form->page->request, field));
}

void form_set(struct form *form, const char *field, const char *text)
{
    keep(form, field, text);
}

void form_select(struct form *form, const char *field, const char *word)
{
    json_t *selected = json_object_get(form->page->data, "selected");
    if (!selected)
        selected = page_put_object(form->page, form->page->data, "selected");
    page_put_true(form->page, page_put_object(form->page, selected, field), word);
}

const char *form_take_word(struct form *form, const char *field, const char *const *words)
{
    const char *sent = form_take(form, field);
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(sent, words[i]) != 0 && (*sent || i > 0))
            continue;
        form_select(form, field, words[i]);
        return words[i];
    }
    form_refuse(form, field, "choose_listed", NULL);
    return NULL;
}

static void refuse(struct form *form, const char *field, const struct buffer *text)
{
    if (!form->wrong)
        page_put_true(form->page, form->page->data, "wrong");
    form->wrong = true;
    if (json_object_get(form->error, field))
        return;
    page_put(form->page, form->error, field, json_string(buffer_text(text)));
    json_t *entry = page_add_object(form->page, form->errors);
    page_put_text(form->page, entry, "field", field);
    page_put_text(form->page, entry, "message", buffer_text(text));
}

void form_refuse(struct form *form, const char *field, const char *key, json_t *arguments)
{
    struct buffer text = BUFFER_INIT;
    page_message(form->page, key, arguments, &text);
    refuse(form, field, &text);
    buffer_free(&text);
}

void form_refuse_reason(struct form *form, const char *field, int line, const char *reason)
{
    if (line > 0)
        form_refuse(form, field, "reason_in_line",
                    json_pack("{s:i,s:s}", "line", line, "reason", reason));
    else
        form_refuse(form, field, "reason", json_pack("{s:s}", "reason", reason));
}

static size_t cut_between_characters(const char *text, size_t length)
{
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

const char *form_next_line(const char *text, char *line, size_t size)
{
    while (*text) {
        size_t start = strspn(text, " "), end = strcspn(text, "\n");
        size_t length = end > start ? end - start : 0;
        const char *next = text[end] ? text + end + 1 : text + end;
        const char *first = text + start;
        while (length > 0 && first[length - 1] == ' ')
            length--;
        text = next;
        if (length == 0)
            continue;
        length = length < size ? length : cut_between_characters(first, size - 1);
        memcpy(line, first, length);
        line[length] = '\0';
        return next;
    }
    return NULL;
}

/* The text of a PDF's pages, forms and notes, line by line as its operators place it. */
#include "scanner/engine/text_pdf.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OPERANDS 8           /* the last ones before an operator */
#define FORM_DEPTH 8         /* forms drawn by forms */
#define PARENTS 32           /* of a page, up to the one with its resources */
#define TOKEN_LIMIT 20000000 /* of all contents */
#define FONTS_LIMIT 2000
#define SPACE_KERNING (-180) /* thousandths of the font size that look like a space */
#define SAME_LINE 0.5

struct used_font {
    const char *dictionary; /* where it stands: its identity */
    struct pdf_font *font;
};

struct reader {
    struct pdf pdf;
    struct text *text;
    struct used_font *fonts;
    size_t font_count;
    long tokens;
    struct pdf_font *font; /* the current one; NULL: none was set */
    double y, shown_y;     /* of the current line, of the last shown */
    bool moved;            /* since something was shown */
    struct buffer piece;
};

struct content {
    struct pdf_span span, resources;
    int depth;
};

static void read_content(struct reader *reader, struct content content);

/* --- showing --- */

static void show(struct reader *reader, struct pdf_span token)
{
    size_t length;
    if (*token.at != '(' && *token.at != '<')
        return;
    g_autofree char *bytes = pdf_string(token, &length);
    buffer_clear(&reader->piece);
    pdf_font_add(reader->font, bytes, length, &reader->piece);
    if (reader->piece.length == 0)
        return;
    if (fabs(reader->y - reader->shown_y) > SAME_LINE)
        text_break(reader->text);
    else if (reader->moved)
        text_space(reader->text);
    reader->moved = false;
    reader->shown_y = reader->y;
    text_add(reader->text, buffer_text(&reader->piece), reader->piece.length);
}

static double number(struct pdf_span token)
{
    char text[32];
    size_t length = MIN((size_t)(token.end - token.at), sizeof(text) - 1);
    memcpy(text, token.at, length);
    text[length] = '\0';
    return g_ascii_strtod(text, NULL);
}

/* TJ: strings and how far to move between them. */
static void show_array(struct reader *reader, struct pdf_span array)
{
    struct pdf_span token;
    if (*array.at != '[')
        return;
    array.at++;
    while (pdf_next(&array, &token)) {
        if (*token.at == '(' || *token.at == '<')
            show(reader, token);
        else if (number(token) < SPACE_KERNING)
            text_space(reader->text);
    }
}

/* --- fonts and forms --- */

static struct pdf_font *find_font(struct reader *reader, struct pdf_span dictionary)
{
    for (size_t i = 0; i < reader->font_count; i++)
        if (reader->fonts[i].dictionary == dictionary.at)
            return reader->fonts[i].font;
    if (reader->font_count >= FONTS_LIMIT)
        return NULL;
    reader->fonts = g_renew(struct used_font, reader->fonts, reader->font_count + 1);
    struct used_font *used = &reader->fonts[reader->font_count++];
    used->dictionary = dictionary.at;
    used->font = pdf_font_new(&reader->pdf, dictionary);
    return used->font;
}

static char *key_of(struct pdf_span name)
{
    return g_strndup(name.at, (size_t)(name.end - name.at));
}

static void set_font(struct reader *reader, const struct content *content, struct pdf_span name)
{
    struct pdf_span fonts, dictionary;
    reader->font = NULL;
    if (*name.at != '/' || !pdf_get(&reader->pdf, content->resources, "/Font", &fonts))
        return;
    g_autofree char *key = key_of(name);
    if (pdf_get(&reader->pdf, fonts, key, &dictionary))
        reader->font = find_font(reader, dictionary);
}

static void draw_form(struct reader *reader, const struct content *content, struct pdf_span name)
{
    struct pdf_span objects, value;
    struct content form = {.depth = content->depth + 1, .resources = content->resources};
    char *data;
    size_t length;
    if (*name.at != '/' || form.depth > FORM_DEPTH ||
        !pdf_get(&reader->pdf, content->resources, "/XObject", &objects))
        return;
    g_autofree char *key = key_of(name);
    const struct pdf_object *object = pdf_get_object(&reader->pdf, objects, key);
    if (!object || !pdf_get(&reader->pdf, object->value, "/Subtype", &value) ||
        !pdf_is(value, "/Form") || !pdf_unpack(&reader->pdf, object, &data, &length))
        return;
    if (pdf_get(&reader->pdf, object->value, "/Resources", &value))
        form.resources = value;
    form.span = (struct pdf_span){data, data + length};
    read_content(reader, form);
    g_free(data);
}

/* --- operators --- */

/* Behind an image that stands in the content: "EI" between blanks. */
static void skip_image(struct pdf_span *span)
{
    const char *at = span->at;
    while ((at = memmem(at, (size_t)(span->end - at), "EI", 2))) {
        bool before = at > span->at && g_ascii_isspace(at[-1]);
        bool after = at + 2 == span->end || g_ascii_isspace(at[2]);
        at += 2;
        if (before && after) {
            span->at = at;
            return;
        }
    }
    span->at = span->end;
}

static void move(struct reader *reader, double y, bool absolute)
{
    reader->y = absolute ? y : reader->y + y;
    reader->moved = true;
}

/* Operators that show or place text; `operands` are the last ones, the newest last. */
static void run_text(struct reader *reader, struct pdf_span operator, const struct pdf_span * last,
                     size_t count)
{
    if (count >= 1 && pdf_is(operator, "Tj"))
        show(reader, last[-1]);
    else if (count >= 1 && pdf_is(operator, "TJ"))
        show_array(reader, last[-1]);
    else if (count >= 1 && (pdf_is(operator, "'") || pdf_is(operator, "\""))) {
        text_break(reader->text);
        show(reader, last[-1]);
    } else if (count >= 2 && (pdf_is(operator, "Td") || pdf_is(operator, "TD")))
        move(reader, number(last[-1]), false);
    else if (count >= 6 && pdf_is(operator, "Tm"))
        move(reader, number(last[-1]), true);
    else if (pdf_is(operator, "T*"))
        text_break(reader->text);
    else if (pdf_is(operator, "BT"))
        move(reader, 0, true);
}

static bool is_operand(struct pdf_span token)
{
    return strchr("/(<[+-.0123456789", *token.at) != NULL;
}

static void read_content(struct reader *reader, struct content content)
{
    struct pdf_span operands[OPERANDS], token;
    size_t count = 0;
    while (pdf_next(&content.span, &token) && ++reader->tokens < TOKEN_LIMIT) {
        if (reader->tokens % 256 == 0 && !text_goes_on(reader->text))
            return;
        if (is_operand(token)) {
            if (count == OPERANDS)
                memmove(operands, operands + 1, --count * sizeof(*operands));
            operands[count++] = token;
            continue;
        }
        if (count >= 2 && pdf_is(token, "Tf"))
            set_font(reader, &content, operands[count - 2]);
        else if (count >= 1 && pdf_is(token, "Do"))
            draw_form(reader, &content, operands[count - 1]);
        else if (pdf_is(token, "ID"))
            skip_image(&content.span);
        else
            run_text(reader, token, operands + count, count);
        count = 0;
    }
}

/* --- pages --- */

static struct pdf_span resources_of(const struct reader *reader, struct pdf_span page)
{
    struct pdf_span value, none = {"", ""};
    for (int i = 0; i < PARENTS; i++) {
        if (pdf_get(&reader->pdf, page, "/Resources", &value))
            return value;
        const struct pdf_object *parent = pdf_get_object(&reader->pdf, page, "/Parent");
        if (!parent)
            break;
        page = parent->value;
    }
    return none;
}

static void append_stream(struct reader *reader, const struct pdf_object *object, GString *all)
{
    char *data;
    size_t length;
    if (!object || all->len > PDF_STREAM_LIMIT || !pdf_unpack(&reader->pdf, object, &data, &length))
        return;
    g_string_append_len(all, data, (gssize)length);
    g_string_append_c(all, '\n');
    g_free(data);
}

/* The contents of a page are one stream, or several that are read as one. */
static void collect_contents(struct reader *reader, struct pdf_span page, GString *all)
{
    struct pdf_span array, number_token, rest;
    const struct pdf_object *object = pdf_get_object(&reader->pdf, page, "/Contents");
    if (object && object->stream.at) {
        append_stream(reader, object, all);
        return;
    }
    if (!pdf_get(&reader->pdf, page, "/Contents", &array) || *array.at != '[')
        return;
    array.at++;
    for (rest = array; text_goes_on(reader->text) && pdf_next(&array, &number_token);
         rest = array) {
        const struct pdf_object *stream = pdf_reference(&reader->pdf, rest);
        append_stream(reader, stream, all);
        if (stream) {
            pdf_next(&array, &number_token);
            pdf_next(&array, &number_token);
        }
    }
}

static void read_page(struct reader *reader, struct pdf_span page)
{
    GString *all = g_string_new(NULL);
    collect_contents(reader, page, all);
    if (all->len > 0) {
        struct content content = {.span = {all->str, all->str + all->len},
                                  .resources = resources_of(reader, page)};
        text_break(reader->text);
        reader->font = NULL;
        read_content(reader, content);
    }
    g_string_free(all, TRUE);
}

/* --- notes, fields and links --- */

/* Text outside of contents: UTF-16 with its mark, or about windows-1252. */
static void add_own_text(struct reader *reader, struct pdf_span dictionary, const char *key)
{
    struct pdf_span value;
    size_t length;
    if (!pdf_get(&reader->pdf, dictionary, key, &value) || (*value.at != '(' && *value.at != '<') ||
        (value.end - value.at > 1 && value.at[1] == '<'))
        return;
    g_autofree char *bytes = pdf_string(value, &length);
    g_autofree char *utf8 = text_decode(bytes, length, "windows-1252");
    text_break(reader->text);
    text_add(reader->text, utf8, strlen(utf8));
}

static void add_links(struct reader *reader, struct pdf_span value)
{
    const char *at = value.at;
    while ((at = memmem(at, (size_t)(value.end - at), "/URI", 4))) {
        struct pdf_span rest = {at + 4, value.end}, token;
        at += 4;
        if (!pdf_next(&rest, &token) || (*token.at != '(' && *token.at != '<'))
            continue;
        size_t length;
        g_autofree char *bytes = pdf_string(token, &length);
        text_add_url(reader->text, bytes, length);
        at = token.end;
    }
}

static void read_objects(struct reader *reader)
{
    for (size_t i = 0; i < reader->pdf.count && text_goes_on(reader->text); i++) {
        struct pdf_span value = reader->pdf.objects[i].value;
        add_links(reader, value);
        if (value.end - value.at < 2 || memcmp(value.at, "<<", 2) != 0)
            continue;
        read_page(reader, value);
        add_own_text(reader, value, "/Contents");
        add_own_text(reader, value, "/V");
    }
}

void text_of_pdf(const struct tree_node *node, struct text *text)
{
    struct reader reader = {.text = text};
    size_t begin = text->content.length;
    if (pdf_open(&reader.pdf, node->data, node->length, text))
        read_objects(&reader);
    else
        text->unreadable = true;
    for (size_t i = 0; i < reader.font_count; i++)
        pdf_font_free(reader.fonts[i].font);
    g_free(reader.fonts);
    buffer_free(&reader.piece);
    pdf_close(&reader.pdf);
    text_break(text);
    if (text->content.length > begin)
        text_find_urls(text, text->content.data + begin, text->content.length - begin);
}

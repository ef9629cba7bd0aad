#include "controlcenter/pages/csv.h"

#include "common/utf8.h"

#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

void csv_open(struct csv_reader *reader, const char *text, size_t length)
{
    size_t mark = sizeof byte_order_mark - 1;
    *reader = (struct csv_reader){.at = text, .end = text + length, .line = 1};
    reader->row.limit = CSV_ROW_LIMIT;
    if (length >= mark && memcmp(text, byte_order_mark, mark) == 0)
        reader->at += mark;
}

void csv_close(struct csv_reader *reader)
{
    buffer_free(&reader->row);
}

/* Where the row that begins at `at` ends: a line end outside quotes, or the end. */
static const char *row_end(const struct csv_reader *reader)
{
    bool quoted = false;
    for (const char *at = reader->at; at < reader->end; at++) {
        if (*at == '"')
            quoted = !quoted;
        else if (*at == '\n' && !quoted)
            return at;
    }
    return reader->end;
}

static int count_lines(const char *at, const char *end)
{
    int lines = 0;
    for (; at < end; at++)
        lines += *at == '\n';
    return lines;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Behind apostrophes, which are doubled by one more so that every field can be told from another.
 */
static bool is_formula(const char *field)
{
    field += strspn(field, "'");
    return *field && strchr("=+-", *field);
}

/* --- fields --- */

/* Reads "..." at *at into the row's buffer. Returns NULL or the reason. */
static const char *read_quoted(struct buffer *to, const char **at, const char *end)
{
    for ((*at)++; *at < end; (*at)++) {
        if (**at != '"') {
            buffer_add(to, *at, 1);
        } else if (*at + 1 < end && (*at)[1] == '"') {
            buffer_add(to, *at, 1);
            (*at)++;
        } else {
            (*at)++;
            return NULL;
        }
    }
    return "has quotes that are not closed";
}

static const char *read_plain(struct buffer *to, const char **at, const char *end)
{
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma ? comma : end, *last = stop;
    while (last > *at && is_blank(last[-1]))
        last--;
    buffer_add(to, *at, (size_t)(last - *at));
    *at = stop;
    return NULL;
}

static const char *read_field(struct buffer *to, const char **at, const char *end)
{
    while (*at < end && is_blank(**at))
        (*at)++;
    if (*at == end || **at != '"')
        return read_plain(to, at, end);
    const char *reason = read_quoted(to, at, end);
    while (*at < end && is_blank(**at))
        (*at)++;
    if (!reason && *at < end && **at != ',')
        reason = "has text behind closed quotes";
    return reason;
}

static bool has_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' && !is_blank(text[i]) && text[i] != '\r' &&
            text[i] != '\n')
            return true;
    return memchr(text, 0x7f, length) != NULL;
}

static const char *read_fields(struct csv_reader *reader, const char *end, struct csv_row *row)
{
    size_t starts[CSV_FIELDS_MOST];
    const char *at = reader->at;
    size_t length = (size_t)(end - at);
    if (length > CSV_ROW_LIMIT / 2)
        return "is too long";
    if (!utf8_valid(at, length) || has_control(at, length))
        return "has characters that are no UTF-8 text";
    for (;;) {
        if (row->count == CSV_FIELDS_MOST)
            return "has too many fields";
        starts[row->count++] = reader->row.length;
        const char *reason = read_field(&reader->row, &at, end);
        buffer_add(&reader->row, "", 1);
        if (reason)
            return reason;
        if (at == end)
            break;
        at++;
    }
    for (size_t i = 0; i < row->count; i++) {
        const char *field = reader->row.data + starts[i];
        row->fields[i] = field + (field[0] == '\'' && is_formula(field));
    }
    return reader->row.failed ? "is too long" : NULL;
}

bool csv_next(struct csv_reader *reader, struct csv_row *row)
{
    while (reader->at < reader->end) {
        const char *stop = row_end(reader), *end = stop;
        if (end > reader->at && end[-1] == '\r')
            end--;
        *row = (struct csv_row){.line = reader->line};
        bool empty = end == reader->at;
        buffer_clear(&reader->row);
        if (!empty)
            row->reason = read_fields(reader, end, row);
        reader->line += 1 + count_lines(reader->at, stop);
        reader->at = stop < reader->end ? stop + 1 : stop;
        if (!empty)
            return true;
    }
    return false;
}

/* --- writing --- */

bool csv_add(struct buffer *text, const char *field, bool is_first)
{
    bool plain = !strpbrk(field, ",\"\r\n") && !is_blank(field[0]) &&
                 (!*field || !is_blank(field[strlen(field) - 1]));
    const char *guard = is_formula(field) ? "'" : "";
    bool ok = is_first || buffer_add_text(text, ",");
    if (plain)
        return ok && buffer_add_text(text, guard) && buffer_add_text(text, field);
    ok = ok && buffer_add_text(text, "\"") && buffer_add_text(text, guard);
    for (const char *at = field; *at && ok; at++)
        ok = buffer_add_text(text, *at == '"' ? "\"" : "") && buffer_add(text, at, 1);
    return ok && buffer_add_text(text, "\"");
}

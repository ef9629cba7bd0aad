/* One header field: RFC 2047 encoded words where text is not ASCII, folded at white space. */
#include "scanner/engine/rewrite_private.h"

#include <string.h>

#define WORD_LIMIT 75       /* of an encoded word, RFC 2047 section 2 */
#define WORD_FRAME 12       /* of it "=?utf-8?B?" and "?=" */
#define LEAST_ROOM 32       /* what a word is not worth beginning a line's rest for */
#define PLAIN_WORD_MOST 900 /* a longer one is encoded, so that it can be folded */

struct folder {
    struct buffer *out;
    size_t column;
};

char *rewrite_plain_line(const char *text)
{
    char *line = g_utf8_make_valid(text, -1);
    for (char *at = line; *at; at++)
        if ((*at > 0 && *at < ' ') || *at == 0x7f)
            *at = ' ';
    return line;
}

static void add(struct folder *folder, const char *text, size_t length)
{
    buffer_add(folder->out, text, length);
    folder->column += length;
}

static void fold(struct folder *folder)
{
    buffer_add_text(folder->out, "\r\n");
    folder->column = 0;
}

/* --- encoded words --- */

/* What stands for itself in an encoded word wherever it is, RFC 2047 section 5 (3). */
static bool is_safe(char c)
{
    return g_ascii_isalnum(c) || strchr("!*+-/", c);
}

static size_t quoted_size(const char *text, size_t length)
{
    size_t size = 0;
    for (size_t i = 0; i < length; i++)
        size += text[i] == ' ' || is_safe(text[i]) ? 1 : 3;
    return size;
}

static size_t base64_size(size_t length)
{
    return (length + 2) / 3 * 4;
}

static void add_word(struct folder *folder, const char *text, size_t length, bool quoted)
{
    size_t before = folder->out->length;
    buffer_add_text(folder->out, quoted ? "=?utf-8?Q?" : "=?utf-8?B?");
    for (size_t i = 0; quoted && i < length; i++) {
        if (text[i] == ' ' || is_safe(text[i]))
            buffer_add(folder->out, text[i] == ' ' ? "_" : &text[i], 1);
        else
            buffer_add_format(folder->out, "=%02X", (unsigned char)text[i]);
    }
    if (!quoted) {
        g_autofree char *encoded = g_base64_encode((const guchar *)text, length);
        buffer_add_text(folder->out, encoded);
    }
    buffer_add_text(folder->out, "?=");
    folder->column += folder->out->length - before;
}

/* How many bytes of the text, whole characters, fit into `room`; at least one character. */
static size_t fitting(const char *text, size_t length, size_t room, bool quoted)
{
    size_t used = 0;
    while (used < length) {
        size_t next = used + (size_t)(g_utf8_next_char(text + used) - (text + used));
        size_t size = quoted ? quoted_size(text, next) : base64_size(next);
        if (next > length || (used > 0 && size + WORD_FRAME > room))
            break;
        used = next;
    }
    return used;
}

/* White space between two encoded words does not count, so that text may be cut anywhere. */
static void add_encoded(struct folder *folder, const char *text, size_t length)
{
    bool quoted = quoted_size(text, length) <= base64_size(length);
    while (length > 0) {
        size_t room = folder->column < REWRITE_LINE ? REWRITE_LINE - folder->column : 0;
        size_t used = fitting(text, length, MIN(room, WORD_LIMIT), quoted);
        add_word(folder, text, used, quoted);
        text += used;
        length -= used;
        if (length > 0) {
            fold(folder);
            add(folder, " ", 1);
        }
    }
}

/* --- words --- */

struct word {
    const char *begin; /* with the spaces before it */
    size_t spaces, length;
    bool encoded;
};

static bool must_encode(const char *text, size_t length)
{
    if (length > PLAIN_WORD_MOST || memmem(text, length, "=?", 2))
        return true;
    for (size_t i = 0; i < length; i++)
        if (text[i] & 0x80)
            return true;
    return false;
}

static bool read_word(const char **at, struct word *word)
{
    word->begin = *at;
    word->spaces = strspn(*at, " ");
    word->length = strcspn(*at + word->spaces, " ");
    word->encoded = must_encode(*at + word->spaces, word->length);
    *at += word->spaces + word->length;
    return word->length > 0;
}

/* Neighbouring words that are encoded become one, with the spaces between them. */
static void join_words(const char **at, struct word *word)
{
    struct word next;
    for (const char *from = *at; word->encoded && read_word(&from, &next) && next.encoded;
         *at = from)
        word->length += next.spaces + next.length;
}

static void add_next_word(struct folder *folder, const struct word *word, bool first)
{
    size_t spaces = word->spaces > 0 ? word->spaces : 1;
    size_t room = word->encoded ? MIN(word->length + WORD_FRAME, LEAST_ROOM) : word->length;
    size_t line = first && !word->encoded ? REWRITE_LONG_LINE : REWRITE_LINE;
    if (folder->column + spaces + room > line)
        fold(folder);
    if (word->spaces > 0)
        add(folder, word->begin, word->spaces);
    else
        add(folder, " ", 1);
    if (word->encoded)
        add_encoded(folder, word->begin + word->spaces, word->length);
    else
        add(folder, word->begin + word->spaces, word->length);
}

size_t rewrite_add_words(struct buffer *out, const char *text, size_t column)
{
    struct folder folder = {out, column};
    g_autofree char *line = rewrite_plain_line(text);
    struct word word;
    g_strstrip(line);
    for (const char *at = line; read_word(&at, &word);) {
        bool first = word.begin == line;
        join_words(&at, &word);
        add_next_word(&folder, &word, first);
    }
    return folder.column;
}

size_t rewrite_add_run(struct buffer *out, const char *text, size_t column)
{
    struct folder folder = {out, column};
    g_autofree char *line = rewrite_plain_line(text);
    struct word word = {.begin = line, .length = strlen(line), .encoded = true};
    add_next_word(&folder, &word, false);
    return folder.column;
}

static bool is_field_name(const char *name)
{
    if (!*name || strlen(name) > REWRITE_LINE - 2)
        return false;
    for (; *name; name++)
        if (*name <= ' ' || *name >= 0x7f || *name == ':')
            return false;
    return true;
}

bool rewrite_add_field(struct buffer *out, const char *name, const char *text, struct error *error)
{
    if (!is_field_name(name))
        return error_set(error, ERROR_INVALID, "header", "%s cannot be the name of a field", name);
    buffer_add_format(out, "%s:", name);
    rewrite_add_words(out, text, strlen(name) + 1);
    return buffer_add_text(out, "\r\n") ||
           error_set(error, ERROR_LIMIT, "header", "the header is too long");
}

/* RTF (Rich Text Format Specification 1.9.1): the text of the document, its fields' results and
 * addresses. */
#include "scanner/engine/text_private.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_LIMIT 1000 /* in each other; deeper ones share the state of the last */
#define WORD_SIZE 33
#define FONT_LIMIT 512
#define RUN_SIZE 4096 /* bytes of one charset that are converted together */

struct group {
    bool hidden;      /* a destination that is no text */
    bool invisible;   /* characters that are not shown */
    bool fonts;       /* in the font table */
    bool instruction; /* of a field: HYPERLINK "..." */
    int skip;         /* characters after \u that repeat it for old readers */
    const char *charset;
};

struct rtf {
    const char *at, *end;
    struct text *text;
    struct group groups[GROUP_LIMIT];
    size_t depth; /* open groups; may be more than GROUP_LIMIT */
    const char *document_charset;
    const char *font_charsets[FONT_LIMIT]; /* by the number of the font */
    int font;                              /* that the font table describes */
    bool optional;                         /* "\*" stands before the control word */
    int skipping;                          /* characters still to be left out after \u */
    gunichar high;                         /* first half of a surrogate pair */
    char run[RUN_SIZE];
    size_t run_length;
    struct buffer instruction;
};

static struct group *group(struct rtf *rtf)
{
    size_t depth = rtf->depth < GROUP_LIMIT ? rtf->depth : GROUP_LIMIT - 1;
    return &rtf->groups[depth];
}

/* --- text --- */

static void end_run(struct rtf *rtf)
{
    const char *charset = group(rtf)->charset ? group(rtf)->charset : rtf->document_charset;
    if (rtf->run_length == 0)
        return;
    g_autofree char *utf8 = text_decode(rtf->run, rtf->run_length, charset);
    rtf->run_length = 0;
    if (group(rtf)->instruction)
        buffer_add_text(&rtf->instruction, utf8);
    else
        text_add(rtf->text, utf8, strlen(utf8));
}

static bool is_left_out(struct rtf *rtf)
{
    if (rtf->skipping > 0) {
        rtf->skipping--;
        return true;
    }
    return (group(rtf)->hidden || group(rtf)->invisible) && !group(rtf)->instruction;
}

static void add_byte(struct rtf *rtf, char byte)
{
    if (is_left_out(rtf))
        return;
    if (rtf->run_length == RUN_SIZE)
        end_run(rtf);
    rtf->run[rtf->run_length++] = byte;
}

static void add_utf8(struct rtf *rtf, const char *utf8, size_t length)
{
    end_run(rtf);
    if (group(rtf)->instruction)
        buffer_add(&rtf->instruction, utf8, length);
    else if (!group(rtf)->hidden && !group(rtf)->invisible)
        text_add(rtf->text, utf8, length);
}

/* \uN: UTF-16, a signed number of 16 bits. */
static void add_unicode(struct rtf *rtf, int number)
{
    gunichar unit = (gunichar)number & 0xffff;
    char utf8[6];
    rtf->skipping = group(rtf)->skip;
    if (unit >= 0xd800 && unit < 0xdc00) {
        rtf->high = unit;
        return;
    }
    if (unit >= 0xdc00 && unit < 0xe000)
        unit = rtf->high ? 0x10000 + ((rtf->high - 0xd800) << 10) + (unit - 0xdc00) : 0xfffd;
    rtf->high = 0;
    if (unit == 0)
        return;
    add_utf8(rtf, utf8, (size_t)g_unichar_to_utf8(unit, utf8));
}

static void add_line_end(struct rtf *rtf)
{
    end_run(rtf);
    if (!group(rtf)->hidden)
        text_break(rtf->text);
}

/* --- groups --- */

static void open_group(struct rtf *rtf)
{
    end_run(rtf);
    struct group outer = *group(rtf);
    rtf->depth++;
    *group(rtf) = outer;
    rtf->optional = false;
}

static void end_instruction(struct rtf *rtf)
{
    text_find_urls(rtf->text, buffer_text(&rtf->instruction), rtf->instruction.length);
    buffer_clear(&rtf->instruction);
}

static void close_group(struct rtf *rtf)
{
    end_run(rtf);
    bool instruction = group(rtf)->instruction;
    if (rtf->depth > 0)
        rtf->depth--;
    if (instruction && !group(rtf)->instruction)
        end_instruction(rtf);
    rtf->skipping = 0;
    rtf->optional = false;
}

/* --- control words --- */

static const char *code_page(int number)
{
    static const struct {
        int number;
        const char *charset;
    } pages[] = {{437, "CP437"},         {850, "CP850"},         {852, "CP852"},
                 {866, "CP866"},         {874, "windows-874"},   {932, "CP932"},
                 {936, "GB18030"},       {949, "UHC"},           {950, "CP950"},
                 {1250, "windows-1250"}, {1251, "windows-1251"}, {1252, "windows-1252"},
                 {1253, "windows-1253"}, {1254, "windows-1254"}, {1255, "windows-1255"},
                 {1256, "windows-1256"}, {1257, "windows-1257"}, {1258, "windows-1258"},
                 {10000, "macintosh"},   {65001, "UTF-8"}};
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
        if (pages[i].number == number)
            return pages[i].charset;
    return NULL;
}

static bool is_destination(const char *word)
{
    static const char *const words[] = {"fonttbl",
                                        "colortbl",
                                        "stylesheet",
                                        "info",
                                        "pict",
                                        "object",
                                        "objdata",
                                        "themedata",
                                        "datastore",
                                        "xmlnstbl",
                                        "listtable",
                                        "rsidtbl",
                                        "generator",
                                        "fldinst",
                                        "latentstyles",
                                        "listoverridetable",
                                        "filetbl",
                                        "revtbl",
                                        "bkmkstart",
                                        "bkmkend",
                                        "nonshppict",
                                        "blipuid",
                                        "sn",
                                        "sv",
                                        "colorschememapping",
                                        "xe",
                                        "tc",
                                        "private",
                                        "panose",
                                        "falt"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* Destinations behind "\*" that readers show nevertheless. */
static bool is_shown(const char *word)
{
    static const char *const words[] = {"shppict",    "shptxt", "shpinst",  "htmltag",
                                        "annotation", "atnid",  "atnauthor"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static bool add_character_of(struct rtf *rtf, const char *word)
{
    static const struct {
        const char *word, *utf8;
    } characters[] = {{"tab", "\t"},
                      {"emdash", "\xe2\x80\x94"},
                      {"endash", "\xe2\x80\x93"},
                      {"bullet", "\xe2\x80\xa2"},
                      {"lquote", "\xe2\x80\x98"},
                      {"rquote", "\xe2\x80\x99"},
                      {"ldblquote", "\xe2\x80\x9c"},
                      {"rdblquote", "\xe2\x80\x9d"},
                      {"cell", " "},
                      {"emspace", " "},
                      {"enspace", " "}};
    for (size_t i = 0; i < G_N_ELEMENTS(characters); i++)
        if (strcmp(word, characters[i].word) == 0) {
            add_utf8(rtf, characters[i].utf8, strlen(characters[i].utf8));
            return true;
        }
    return false;
}

static bool ends_line(const char *word)
{
    return strcmp(word, "par") == 0 || strcmp(word, "line") == 0 || strcmp(word, "row") == 0 ||
           strcmp(word, "sect") == 0 || strcmp(word, "page") == 0;
}

/* \fcharsetN of the font table. */
static const char *font_charset(int number)
{
    static const struct {
        int number;
        const char *charset;
    } charsets[] = {{0, "windows-1252"},   {77, "macintosh"},     {128, "CP932"},
                    {129, "UHC"},          {134, "GB18030"},      {136, "CP950"},
                    {161, "windows-1253"}, {162, "windows-1254"}, {163, "windows-1258"},
                    {177, "windows-1255"}, {178, "windows-1256"}, {186, "windows-1257"},
                    {204, "windows-1251"}, {222, "windows-874"},  {238, "windows-1250"}};
    for (size_t i = 0; i < G_N_ELEMENTS(charsets); i++)
        if (charsets[i].number == number)
            return charsets[i].charset;
    return NULL;
}

static void use_font(struct rtf *rtf, int number)
{
    if (number < 0 || number >= FONT_LIMIT)
        return;
    if (group(rtf)->fonts) {
        rtf->font = number;
        return;
    }
    end_run(rtf);
    group(rtf)->charset = rtf->font_charsets[number];
}

static void set_charset(struct rtf *rtf, const char *word, int number)
{
    if (strcmp(word, "f") == 0)
        use_font(rtf, number);
    else if (strcmp(word, "fcharset") == 0 && group(rtf)->fonts)
        rtf->font_charsets[rtf->font] = font_charset(number);
    else if (strcmp(word, "plain") == 0)
        group(rtf)->invisible = false;
    else if (strcmp(word, "ansicpg") == 0 && code_page(number))
        rtf->document_charset = code_page(number);
    else if (strcmp(word, "mac") == 0)
        rtf->document_charset = "macintosh";
    else if (strcmp(word, "pc") == 0)
        rtf->document_charset = "CP437";
}

static void begin_destination(struct rtf *rtf, const char *word)
{
    if (strcmp(word, "fldinst") == 0)
        group(rtf)->instruction = true;
    if (strcmp(word, "fonttbl") == 0)
        group(rtf)->fonts = true;
    group(rtf)->hidden = true;
}

static void obey(struct rtf *rtf, const char *word, bool has_number, int number)
{
    bool optional = rtf->optional;
    rtf->optional = false;
    if (strcmp(word, "u") == 0 && has_number)
        add_unicode(rtf, number);
    else if (strcmp(word, "uc") == 0)
        group(rtf)->skip = CLAMP(number, 0, 16);
    else if (strcmp(word, "v") == 0)
        group(rtf)->invisible = !has_number || number != 0;
    else if (ends_line(word))
        add_line_end(rtf);
    else if (is_destination(word) || (optional && !is_shown(word)))
        begin_destination(rtf, word);
    else if (!add_character_of(rtf, word))
        set_charset(rtf, word, number);
}

/* --- reading --- */

/* \binN: that many bytes are no RTF. */
static void skip_binary(struct rtf *rtf, int number)
{
    size_t left = (size_t)(rtf->end - rtf->at);
    rtf->at += number > 0 ? MIN((size_t)number, left) : 0;
}

static void read_word(struct rtf *rtf)
{
    char word[WORD_SIZE];
    size_t length = 0;
    long number = 0;
    bool negative = false, has_number = false;
    for (; rtf->at < rtf->end && g_ascii_isalpha(*rtf->at); rtf->at++)
        if (length + 1 < sizeof(word))
            word[length++] = *rtf->at;
    word[length] = '\0';
    if (rtf->at + 1 < rtf->end && *rtf->at == '-' && g_ascii_isdigit(rtf->at[1])) {
        negative = true;
        rtf->at++;
    }
    for (; rtf->at < rtf->end && g_ascii_isdigit(*rtf->at); rtf->at++) {
        has_number = true;
        number = number > 100000000 ? number : number * 10 + (*rtf->at - '0');
    }
    if (rtf->at < rtf->end && *rtf->at == ' ')
        rtf->at++;
    if (strcmp(word, "bin") == 0)
        skip_binary(rtf, (int)number);
    else
        obey(rtf, word, has_number, (int)(negative ? -number : number));
}

static void read_byte(struct rtf *rtf)
{
    if (rtf->end - rtf->at < 2)
        return;
    int high = g_ascii_xdigit_value(rtf->at[0]), low = g_ascii_xdigit_value(rtf->at[1]);
    if (high < 0 || low < 0)
        return;
    rtf->at += 2;
    add_byte(rtf, (char)(high << 4 | low));
}

static void read_control(struct rtf *rtf)
{
    char c = *rtf->at;
    if (g_ascii_isalpha(c)) {
        read_word(rtf);
        return;
    }
    rtf->at++;
    if (c == '\'')
        read_byte(rtf);
    else if (c == '*')
        rtf->optional = true;
    else if (c == '~')
        add_utf8(rtf, " ", 1);
    else if (c == '\n' || c == '\r')
        add_line_end(rtf);
    else if (strchr("\\{}", c))
        add_byte(rtf, c);
}

static void read_piece(struct rtf *rtf)
{
    char c = *rtf->at++;
    if (c == '{')
        open_group(rtf);
    else if (c == '}')
        close_group(rtf);
    else if (c == '\\' && rtf->at < rtf->end)
        read_control(rtf);
    else if (c != '\r' && c != '\n' && c != '\\')
        add_byte(rtf, c);
}

void text_of_rtf(const struct tree_node *node, struct text *text)
{
    size_t length = MIN(node->length, TEXT_INPUT_LIMIT);
    struct rtf *rtf = g_new0(struct rtf, 1);
    rtf->at = node->data;
    rtf->end = node->data + length;
    rtf->text = text;
    rtf->document_charset = "windows-1252";
    rtf->groups[0].skip = 1;
    buffer_init(&rtf->instruction, RUN_SIZE * 4);
    for (unsigned count = 0; rtf->at < rtf->end; count++) {
        if (count % 1024 == 0 && !text_goes_on(text))
            break;
        read_piece(rtf);
    }
    end_run(rtf);
    buffer_free(&rtf->instruction);
    g_free(rtf);
    text->cut |= length < node->length;
    text_break(text);
}

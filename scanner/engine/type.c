#include "scanner/engine/type.h"

#include <glib.h>
#include <magic.h>
#include <string.h>

#define TEXT_LOOK (64u << 10) /* bytes that must be text for a file to count as such */
#define MAGIC_LOOK (256u << 10)

/* Loaded once before workers are forked; each worker uses its own copy. */
static magic_t magic;

/* What mail holds most often, told without the database: it costs more than a scan of small text.
 */
static const struct {
    size_t offset;
    const char *bytes;
    size_t length;
    const char *type;
} signatures[] = {
    {0, "PK\3\4", 4, "application/zip"},
    {0, "PK\5\6", 4, "application/zip"},
    {0, "PK00PK\3\4", 8, "application/zip"},
    {0, "%PDF-", 5, "application/pdf"},
    {0, "\xff\xd8\xff", 3, "image/jpeg"},
    {0, "\x89PNG\r\n\x1a\n", 8, "image/png"},
    {0, "GIF8", 4, "image/gif"},
    {0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "application/x-ole-storage"},
    {0, "7z\xbc\xaf\x27\x1c", 6, "application/x-7z-compressed"},
    {0, "Rar!\x1a\x07", 6, "application/x-rar"},
    {0, "\x1f\x8b\x08", 3, "application/gzip"},
    {0, "BZh", 3, "application/x-bzip2"},
    {0,
     "\xfd"
     "7zXZ\0",
     6, "application/x-xz"},
    {0, "\x28\xb5\x2f\xfd", 4, "application/zstd"},
    {0, "\x5d\0\0\x80\0", 5, "application/x-lzma"},
    {0, "LZIP", 4, "application/x-lzip"},
    {0, "\x1f\x9d", 2, "application/x-compress"},
    {0, "MSCF\0\0\0\0", 8, "application/vnd.ms-cab-compressed"},
    {0, "\x78\x9f\x3e\x22", 4, "application/vnd.ms-tnef"},
    {0, "xar!", 4, "application/x-xar"},
    {0, "!<arch>\n", 8, "application/x-archive"},
    {0, "{\\rtf", 5, "text/rtf"},
    {0,
     "\x7f"
     "ELF",
     4, "application/x-executable"},
    {0, "070701", 6, "application/x-cpio"},
    {0, "070707", 6, "application/x-cpio"},
    {2, "-lh", 3, "application/x-lzh-compressed"},
    {257, "ustar", 5, "application/x-tar"},
    {32769, "CD001", 5, "application/x-iso9660-image"},
};

bool type_preload(struct error *error)
{
    const size_t look = MAGIC_LOOK;
    if (magic)
        return true;
    magic = magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_APPTYPE);
    if (magic && magic_load(magic, NULL) == 0) {
        magic_setparam(magic, MAGIC_PARAM_BYTES_MAX, &look);
        return true;
    }
    error_set(error, ERROR_INTERNAL, "libmagic", "the database of file types cannot be loaded: %s",
              magic && magic_error(magic) ? magic_error(magic) : "out of memory");
    type_release();
    return false;
}

void type_release(void)
{
    if (magic)
        magic_close(magic);
    magic = NULL;
}

static const char *by_signature(const char *data, size_t length)
{
    for (size_t i = 0; i < G_N_ELEMENTS(signatures); i++)
        if (length >= signatures[i].offset + signatures[i].length &&
            memcmp(data + signatures[i].offset, signatures[i].bytes, signatures[i].length) == 0)
            return signatures[i].type;
    return NULL;
}

/* A program for Windows: the old header's pointer leads to the new one. */
static bool is_windows_program(const unsigned char *data, size_t length)
{
    if (length < 64 || data[0] != 'M' || data[1] != 'Z')
        return false;
    size_t at =
        (size_t)data[60] | (size_t)data[61] << 8 | (size_t)data[62] << 16 | (size_t)data[63] << 24;
    return at + 4 <= length && memcmp(data + at, "PE\0\0", 4) == 0;
}

static bool is_html(const char *data, size_t length)
{
    static const char *const marks[] = {"<html",  "<!doctype html", "<head",   "<body", "<script",
                                        "<table", "<div",           "<iframe", "<meta"};
    size_t at = 0;
    while (at < length && at < 4096 && g_ascii_isspace(data[at]))
        at++;
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
        if (length - at >= strlen(marks[i]) &&
            g_ascii_strncasecmp(data + at, marks[i], strlen(marks[i])) == 0)
            return true;
    return false;
}

static bool is_control(unsigned char c)
{
    return c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b;
}

/* The database takes each file that begins with 0x8c for a program of DOS, and so text in Shift_JIS
 * with one of 188 kanji at its beginning. Programs have bytes that no text has. */
static bool is_japanese_text(const char *data, size_t length, const char *type)
{
    size_t look = length < TEXT_LOOK ? length : TEXT_LOOK;
    if (!type || strcmp(type, "application/x-dosexec") != 0 || data[0] != '\x8c')
        return false;
    for (size_t i = 0; i < look; i++)
        if (is_control((unsigned char)data[i]))
            return false;
    return true;
}

/* Text that needs no closer look: nothing in it but characters of one of the usual charsets. What
 * begins like a script, a markup or a mail is left to the database. */
static bool is_plain_text(const char *data, size_t length)
{
    size_t look = length < TEXT_LOOK ? length : TEXT_LOOK;
    if (length > 0 && strchr("<#%{@", data[0]))
        return false;
    for (size_t i = 0; i < look; i++) {
        unsigned char c = (unsigned char)data[i];
        if (is_control(c))
            return false;
        if (c >= 0x80 || c == 0x7f)
            return g_utf8_validate(data, (gssize)look, NULL);
    }
    return true;
}

const char *type_of(const void *data, size_t length)
{
    if (length == 0)
        return g_intern_static_string("inode/x-empty");
    const char *type = by_signature(data, length);
    if (!type && is_windows_program(data, length))
        type = "application/vnd.microsoft.portable-executable";
    if (!type && is_html(data, length))
        type = "text/html";
    if (!type && is_plain_text(data, length))
        type = "text/plain";
    if (type)
        return g_intern_string(type);
    type = magic ? magic_buffer(magic, data, length) : NULL;
    if (is_japanese_text(data, length, type))
        type = "text/plain";
    return g_intern_string(type && *type ? type : "application/octet-stream");
}

/* Archives and messages with files in them, made in memory by libarchive. Freed with g_free. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_ENGINE_ARCHIVES_H
#define GATEHOUSE_TESTS_UNIT_TEST_ENGINE_ARCHIVES_H

#include "scanner/engine/type.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmime/gmime.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* --- the libraries, as the engine sets them up: group setup and teardown --- */

__attribute__((unused)) static int load_types(void **state)
{
    (void)state;
    g_mime_init();
    setlocale(LC_CTYPE, "C.UTF-8");
    return type_preload(NULL) ? 0 : -1;
}

__attribute__((unused)) static int release_types(void **state)
{
    (void)state;
    type_release();
    return 0;
}

/* --- making archives --- */

struct bytes {
    char *data;
    size_t length;
};

struct member {
    const char *name;
    struct bytes content;
};

__attribute__((unused)) static struct bytes text(const char *content)
{
    return (struct bytes){(char *)content, strlen(content)};
}

typedef int (*writer)(struct archive *);

__attribute__((unused)) static la_ssize_t append_bytes(struct archive *archive, void *argument,
                                                       const void *data, size_t length)
{
    (void)archive;
    g_byte_array_append(argument, data, (guint)length);
    return (la_ssize_t)length;
}

__attribute__((unused)) static struct bytes finish(GByteArray *array)
{
    struct bytes bytes = {.length = array->len};
    bytes.data = (char *)g_byte_array_free(array, FALSE);
    return bytes;
}

__attribute__((unused)) static struct bytes pack(writer format, writer filter, const char *options,
                                                 const struct member *members, size_t count)
{
    struct archive *archive = archive_write_new();
    GByteArray *array = g_byte_array_new();
    assert_true(format(archive) == ARCHIVE_OK);
    if (filter)
        assert_true(filter(archive) == ARCHIVE_OK);
    if (options)
        assert_int_equal(archive_write_set_options(archive, options), ARCHIVE_OK);
    if (options && strstr(options, "encryption"))
        archive_write_set_passphrase(archive, "secret");
    archive_write_set_bytes_per_block(archive, 0);
    assert_int_equal(archive_write_open(archive, array, NULL, append_bytes, NULL), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, members[i].name);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)members[i].content.length);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        archive_write_data(archive, members[i].content.data, members[i].content.length);
        archive_entry_free(entry);
    }
    archive_write_close(archive);
    archive_write_free(archive);
    return finish(array);
}

__attribute__((unused)) static struct bytes pack_one(writer format, writer filter, const char *name,
                                                     struct bytes content)
{
    struct member member = {name, content};
    return pack(format, filter, NULL, &member, 1);
}

__attribute__((unused)) static struct bytes zip_of(const char *name, struct bytes content)
{
    return pack_one(archive_write_set_format_zip, NULL, name, content);
}

/* What libarchive both writes and reads, with the usual name of such a file. */
__attribute__((unused)) static const struct {
    const char *name;
    writer format, filter;
} archive_formats[] = {
    {"a.zip", archive_write_set_format_zip, NULL},
    {"a.7z", archive_write_set_format_7zip, NULL},
    {"a.tar", archive_write_set_format_ustar, NULL},
    {"a.tar.gz", archive_write_set_format_pax, archive_write_add_filter_gzip},
    {"a.tar.bz2", archive_write_set_format_pax, archive_write_add_filter_bzip2},
    {"a.tar.xz", archive_write_set_format_pax, archive_write_add_filter_xz},
    {"a.tar.zst", archive_write_set_format_pax, archive_write_add_filter_zstd},
    {"a.tar.lzma", archive_write_set_format_pax, archive_write_add_filter_lzma},
    {"a.tar.lz", archive_write_set_format_pax, archive_write_add_filter_lzip},
    {"a.tar.Z", archive_write_set_format_pax, archive_write_add_filter_compress},
    {"a.cpio", archive_write_set_format_cpio_newc, NULL},
    {"a.ar", archive_write_set_format_ar_svr4, NULL},
    {"a.xar", archive_write_set_format_xar, NULL},
    {"a.iso", archive_write_set_format_iso9660, NULL},
};

/* A RAR file with its members as they are, since nothing free writes one: the marker, the archive's
 * header, then for each member a header and its bytes, then the end. Each header begins with the
 * lower half of the CRC-32 of what follows in it. */
__attribute__((unused)) static void rar_number(GByteArray *array, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        guint8 byte = (guint8)(value >> (8 * i));
        g_byte_array_append(array, &byte, 1);
    }
}

__attribute__((unused)) static void rar_header(GByteArray *array, const GByteArray *header)
{
    rar_number(array, crc32(0, header->data, header->len) & 0xFFFF, 2);
    g_byte_array_append(array, header->data, header->len);
}

__attribute__((unused)) static void rar_member(GByteArray *array, const struct member *member)
{
    GByteArray *header = g_byte_array_new();
    size_t name = strlen(member->name), length = member->content.length;
    rar_number(header, 0x74, 1);
    rar_number(header, 0x8000, 2); /* bytes follow the header */
    rar_number(header, 32 + name, 2);
    rar_number(header, length, 4);
    rar_number(header, length, 4);
    rar_number(header, 3, 1); /* Unix */
    rar_number(header, crc32(0, (const Bytef *)member->content.data, (uInt)length), 4);
    rar_number(header, 0x4A210000, 4); /* a time */
    rar_number(header, 20, 1);
    rar_number(header, 0x30, 1); /* not compressed */
    rar_number(header, name, 2);
    rar_number(header, 0100644, 4);
    g_byte_array_append(header, (const guint8 *)member->name, (guint)name);
    rar_header(array, header);
    g_byte_array_append(array, (const guint8 *)member->content.data, (guint)length);
    g_byte_array_free(header, TRUE);
}

__attribute__((unused)) static struct bytes rar_of(const struct member *members, size_t count)
{
    static const guint8 marker[] = {'R', 'a', 'r', '!', 0x1a, 7, 0};
    GByteArray *array = g_byte_array_new(), *header = g_byte_array_new();
    g_byte_array_append(array, marker, sizeof(marker));
    rar_number(header, 0x73, 1);
    rar_number(header, 0, 2);
    rar_number(header, 13, 2);
    rar_number(header, 0, 6);
    rar_header(array, header);
    for (size_t i = 0; i < count; i++)
        rar_member(array, &members[i]);
    g_byte_array_set_size(header, 0);
    rar_number(header, 0x7b, 1);
    rar_number(header, 0x4000, 2);
    rar_number(header, 7, 2);
    rar_header(array, header);
    g_byte_array_free(header, TRUE);
    return finish(array);
}

/* --- making messages --- */

__attribute__((unused)) static struct bytes mail_with(const char *name, const char *type,
                                                      struct bytes content)
{
    GString *mail = g_string_new(
        "From: a@example.com\r\nSubject: files\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
        "Here it is.\r\n--b\r\n");
    g_autofree char *encoded = g_base64_encode((const guchar *)content.data, content.length);
    g_string_append_printf(mail,
                           "Content-Type: %s; name=\"%s\"\r\n"
                           "Content-Disposition: attachment; filename=\"%s\"\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\n",
                           type, name, name);
    for (size_t at = 0, length = strlen(encoded); at < length; at += 76)
        g_string_append_printf(mail, "%.76s\r\n", encoded + at);
    g_string_append(mail, "--b--\r\n");
    struct bytes bytes = {.length = mail->len};
    bytes.data = g_string_free(mail, FALSE);
    return bytes;
}

#endif

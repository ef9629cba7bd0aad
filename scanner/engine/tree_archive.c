/* Archives and compressed files. The formats that are tried are those that the content's type
 * names, so that a file has one meaning alone. */
#include "scanner/engine/tree_private.h"

#include "scanner/engine/charset.h"
#include "scanner/engine/clean_private.h"

#include <archive.h>
#include <archive_entry.h>
#include <glib.h>
#include <string.h>

typedef int (*support)(struct archive *);

static const struct {
    const char *type;
    support format;
    support filter; /* NULL: none */
} formats[] = {
    {"application/zip", archive_read_support_format_zip_seekable, NULL},
    {"application/x-7z-compressed", archive_read_support_format_7zip, NULL},
    {"application/x-rar", archive_read_support_format_rar, NULL},
    {"application/x-tar", archive_read_support_format_tar, NULL},
    {"application/vnd.ms-cab-compressed", archive_read_support_format_cab, NULL},
    {"application/x-iso9660-image", archive_read_support_format_iso9660, NULL},
    {"application/x-lzh-compressed", archive_read_support_format_lha, NULL},
    {"application/x-cpio", archive_read_support_format_cpio, NULL},
    {"application/x-archive", archive_read_support_format_ar, NULL},
    {"application/x-xar", archive_read_support_format_xar, NULL},
    {"application/gzip", NULL, archive_read_support_filter_gzip},
    {"application/x-bzip2", NULL, archive_read_support_filter_bzip2},
    {"application/x-xz", NULL, archive_read_support_filter_xz},
    {"application/zstd", NULL, archive_read_support_filter_zstd},
    {"application/x-lzma", NULL, archive_read_support_filter_lzma},
    {"application/x-lzip", NULL, archive_read_support_filter_lzip},
    {"application/x-compress", NULL, archive_read_support_filter_compress},
};

/* Suffixes that a compressed file's name loses when it is unpacked. */
static const char *const compressed_suffixes[] = {".gz",   ".bz2", ".xz", ".zst",
                                                  ".lzma", ".lz",  ".Z",  ".z"};

/* A ZIP file by another name is read as one. */
static size_t find_format(const char *type)
{
    size_t i = 0;
    while (i < G_N_ELEMENTS(formats) && strcmp(formats[i].type, type) != 0)
        i++;
    return i;
}

static bool is_archive(const char *type)
{
    return find_format(type) < G_N_ELEMENTS(formats);
}

static struct archive *open_archive(const struct tree_node *node)
{
    bool zip = node->length > 4 && memcmp(node->data, "PK", 2) == 0;
    size_t i = find_format(zip ? "application/zip" : node->type);
    struct archive *archive = i < G_N_ELEMENTS(formats) ? archive_read_new() : NULL;
    if (!archive)
        return NULL;
    if (formats[i].format) {
        formats[i].format(archive);
        if (formats[i].format == archive_read_support_format_rar)
            archive_read_support_format_rar5(archive);
        if (formats[i].format == archive_read_support_format_zip_seekable)
            archive_read_support_format_zip_streamable(archive);
    } else {
        formats[i].filter(archive);
        archive_read_support_format_tar(archive);
        archive_read_support_format_cpio(archive);
        archive_read_support_format_raw(archive);
    }
    return archive;
}

/* "report.tar" of "report.tar.gz"; the whole name where it has no such suffix. */
static char *name_without_suffix(const char *name)
{
    if (!name)
        return NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(compressed_suffixes); i++)
        if (g_str_has_suffix(name, compressed_suffixes[i]) &&
            strlen(name) > strlen(compressed_suffixes[i]))
            return g_strndup(name, strlen(name) - strlen(compressed_suffixes[i]));
    if (g_str_has_suffix(name, ".tgz"))
        return g_strdup_printf("%.*s.tar", (int)strlen(name) - 4, name);
    return g_strdup(name);
}

static char *member_name(struct archive *archive, struct archive_entry *entry,
                         const struct tree_node *container)
{
    if ((archive_format(archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_RAW)
        return name_without_suffix(container->name);
    const char *name = archive_entry_pathname_utf8(entry);
    if (name)
        return g_strdup(name);
    name = archive_entry_pathname(entry);
    return name ? charset_to_utf8(name, strlen(name), NULL) : NULL;
}

/* False where reading must end: a limit, or the archive is broken (which it then says). */
static bool read_member(struct archive *archive, struct tree_content *content, bool *broken)
{
    const void *block;
    size_t length;
    la_int64_t offset;
    for (;;) {
        int code = archive_read_data_block(archive, &block, &length, &offset);
        if (code == ARCHIVE_EOF)
            return true;
        if (code == ARCHIVE_RETRY)
            continue;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
            *broken = true;
            return true;
        }
        if (!tree_has_time(content->tree, content->container) ||
            !tree_content_add(content, block, length))
            return false;
    }
}

static bool take_member(struct tree *tree, size_t index, struct archive *archive,
                        struct archive_entry *entry, uint64_t *from_container)
{
    struct tree_content content = {tree, index, from_container, NULL, 0, 0};
    bool broken = false, more = true;
    bool encrypted = archive_entry_is_encrypted(entry) > 0;
    if (archive_entry_filetype(entry) == AE_IFDIR)
        return true;
    g_autofree char *name = member_name(archive, entry, &tree->nodes[index]);
    if (!encrypted)
        more = read_member(archive, &content, &broken);
    if (!tree_add_member(tree, index, name, &content))
        return false;
    struct tree_node *member = &tree->nodes[tree->count - 1];
    member->encrypted = encrypted;
    member->damaged = broken;
    if (encrypted)
        tree->nodes[index].encrypted = true;
    if (broken)
        tree->nodes[index].damaged = true;
    return more;
}

/* A compressed file that is no archive is one member without an end of its own: what stands behind
 * it may be anything. */
static void read_archive(struct tree *tree, size_t index, struct archive *archive)
{
    struct archive_entry *entry;
    uint64_t from_container = 0;
    for (;;) {
        int code = archive_read_next_header(archive, &entry);
        if (code == ARCHIVE_EOF)
            return;
        if (code == ARCHIVE_RETRY)
            continue;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            break;
        if (!tree_has_time(tree, index) ||
            !take_member(tree, index, archive, entry, &from_container))
            return;
    }
    if (archive_read_has_encrypted_entries(archive) > 0)
        tree->nodes[index].encrypted = true;
    else
        tree->nodes[index].damaged = true;
}

struct archive *tree_archive_read(const struct tree_node *node)
{
    struct archive *archive = open_archive(node);
    if (!archive)
        return NULL;
    if (archive_read_open_memory(archive, node->data, node->length) == ARCHIVE_OK)
        return archive;
    archive_read_free(archive);
    return NULL;
}

bool tree_open_archive(struct tree *tree, size_t index)
{
    if (!is_archive(tree->nodes[index].type))
        return false;
    struct archive *archive = tree_archive_read(&tree->nodes[index]);
    if (archive)
        read_archive(tree, index, archive);
    else
        tree->nodes[index].damaged = true;
    archive_read_free(archive);
    return true;
}

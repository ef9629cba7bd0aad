/* Archives without their infected members. */
#include "scanner/engine/clean_private.h"

#include <archive_entry.h>
#include <glib.h>
#include <string.h>

typedef int (*writer)(struct archive *);

/* Formats that can be written; for compressed files the filter, whose content is a tar file or one
 * file alone. */
static const struct {
    const char *type;
    writer format, filter;
} formats[] = {
    {"application/x-7z-compressed", archive_write_set_format_7zip, NULL},
    {"application/x-tar", archive_write_set_format_pax_restricted, NULL},
    {"application/x-cpio", archive_write_set_format_cpio_newc, NULL},
    {"application/x-archive", archive_write_set_format_ar_svr4, NULL},
    {"application/gzip", NULL, archive_write_add_filter_gzip},
    {"application/x-bzip2", NULL, archive_write_add_filter_bzip2},
    {"application/x-xz", NULL, archive_write_add_filter_xz},
    {"application/zstd", NULL, archive_write_add_filter_zstd},
    {"application/x-lzma", NULL, archive_write_add_filter_lzma},
    {"application/x-lzip", NULL, archive_write_add_filter_lzip},
    {"application/x-compress", NULL, archive_write_add_filter_compress},
};
/* These are ZIP files by another name, and stay so. */
static bool is_zip(const char *type)
{
    return strcmp(type, "application/zip") == 0 ||
           g_str_has_prefix(type, "application/vnd.openxmlformats") ||
           g_str_has_prefix(type, "application/vnd.oasis.opendocument") ||
           g_str_has_prefix(type, "application/vnd.ms-excel.sheet.binary") ||
           strcmp(type, "application/java-archive") == 0 ||
           strcmp(type, "application/vnd.android.package-archive") == 0 ||
           strcmp(type, "application/epub+zip") == 0;
}

/* --- writing --- */

static la_ssize_t append(struct archive *archive, void *argument, const void *data, size_t length)
{
    (void)archive;
    return buffer_add(argument, data, length) ? (la_ssize_t)length : -1;
}

static struct archive *open_writer(const struct tree_node *node, bool raw, struct buffer *out,
                                   bool *as_zip)
{
    struct archive *archive = archive_write_new();
    size_t i = 0;
    while (i < G_N_ELEMENTS(formats) && strcmp(formats[i].type, node->type) != 0)
        i++;
    *as_zip = i == G_N_ELEMENTS(formats) && !is_zip(node->type);
    int code;
    if (i == G_N_ELEMENTS(formats)) {
        code = archive_write_set_format_zip(archive);
    } else if (formats[i].format) {
        code = formats[i].format(archive);
    } else {
        code = formats[i].filter(archive);
        if (code == ARCHIVE_OK)
            code = raw ? archive_write_set_format_raw(archive)
                       : archive_write_set_format_pax_restricted(archive);
    }
    archive_write_set_bytes_in_last_block(archive, 1);
    if (code == ARCHIVE_OK && archive_write_open(archive, out, NULL, append, NULL) == ARCHIVE_OK)
        return archive;
    archive_write_free(archive);
    return NULL;
}

static bool write_entry(struct archive *archive, struct archive_entry *entry, const char *data,
                        size_t length)
{
    archive_entry_set_size(entry, (la_int64_t)length);
    if (archive_write_header(archive, entry) < ARCHIVE_WARN)
        return false;
    return length == 0 || archive_write_data(archive, data, length) == (la_ssize_t)length;
}

static void rename_entry(struct archive_entry *entry, const char *name)
{
    archive_entry_set_pathname(entry, name);
    archive_entry_update_pathname_utf8(entry, name);
}

static const char *entry_name(const struct tree_node *member)
{
    return member->name ? member->name : "unnamed";
}

static bool write_note(struct archive *archive, struct archive_entry *entry, const char *name,
                       const struct buffer *note)
{
    g_autofree char *text_name = g_strdup_printf("%s.txt", name);
    rename_entry(entry, text_name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    return write_entry(archive, entry, buffer_text(note), note->length);
}

/* --- members --- */

static bool write_changed(const struct cleaner *cleaner, size_t index, struct archive *archive,
                          struct archive_entry *entry)
{
    const struct tree_node *member = &cleaner->tree->nodes[index];
    struct buffer content = BUFFER_INIT, note = BUFFER_INIT;
    char renamed[CLEAN_NAME_SIZE] = "";
    bool written;
    if (!cleaner->threats[index] && clean_container(cleaner, index, &content, renamed)) {
        if (*renamed)
            rename_entry(entry, renamed);
        written = write_entry(archive, entry, buffer_text(&content), content.length);
    } else {
        clean_note_removed(cleaner, index, &note);
        written = write_note(archive, entry, entry_name(member), &note);
    }
    buffer_free(&content);
    buffer_free(&note);
    return written;
}

static bool write_member(const struct cleaner *cleaner, size_t index, struct archive *archive,
                         struct archive_entry *entry)
{
    const struct tree_node *member = &cleaner->tree->nodes[index];
    if (cleaner->changed[index])
        return write_changed(cleaner, index, archive, entry);
    if (member->encrypted && member->length == 0)
        return false; /* its content is not known, so it would be lost */
    return write_entry(archive, entry, member->data, member->length);
}

static size_t next_member(const struct tree *tree, size_t container, size_t after)
{
    for (size_t i = after + 1; i < tree->count; i++)
        if (tree->nodes[i].parent == container)
            return i;
    return tree->count;
}

/* Entries and members go side by side: each entry that is no folder is one member. */
static bool copy_entries(const struct cleaner *cleaner, size_t index, struct archive *from,
                         struct archive *to)
{
    struct archive_entry *entry;
    size_t member = index;
    int code;
    while ((code = archive_read_next_header(from, &entry)) == ARCHIVE_OK || code == ARCHIVE_WARN) {
        bool written;
        if (archive_entry_filetype(entry) == AE_IFDIR) {
            written = archive_write_header(to, entry) >= ARCHIVE_WARN;
        } else {
            member = next_member(cleaner->tree, index, member);
            written = member < cleaner->tree->count && write_member(cleaner, member, to, entry);
        }
        if (!written)
            return false;
    }
    return code == ARCHIVE_EOF;
}

/* What has no entries of its own to copy (TNEF): a plain entry for each member. */
static bool write_members(const struct cleaner *cleaner, size_t index, struct archive *to)
{
    const struct tree *tree = cleaner->tree;
    bool written = true;
    for (size_t i = next_member(tree, index, index); i < tree->count && written;
         i = next_member(tree, index, i)) {
        struct archive_entry *entry = archive_entry_new();
        rename_entry(entry, entry_name(&tree->nodes[i]));
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        written = write_member(cleaner, i, to, entry);
        archive_entry_free(entry);
    }
    return written;
}

static bool write_repacked_note(const struct cleaner *cleaner, size_t index, struct archive *to)
{
    struct buffer note = BUFFER_INIT;
    struct archive_entry *entry = archive_entry_new();
    clean_note_repacked(cleaner, index, &note);
    bool written = write_note(to, entry, "READ ME", &note);
    archive_entry_free(entry);
    buffer_free(&note);
    return written;
}

/* --- the archive --- */

/* "report.rar" becomes "report.zip". */
static void zip_name(const struct tree_node *node, char renamed[CLEAN_NAME_SIZE])
{
    const char *name = node->name ? node->name : "archive";
    const char *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
    size_t length =
        dot && dot > name && (!slash || dot > slash) ? (size_t)(dot - name) : strlen(name);
    g_snprintf(renamed, CLEAN_NAME_SIZE, "%.*s.zip", (int)length, name);
}

/* A compressed file that is no archive has one member, whose entry says so. */
static bool is_raw(const struct tree_node *node)
{
    struct archive *from = tree_archive_read(node);
    struct archive_entry *entry;
    if (!from)
        return false;
    int code = archive_read_next_header(from, &entry);
    bool raw = (code == ARCHIVE_OK || code == ARCHIVE_WARN) &&
               (archive_format(from) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_RAW;
    archive_read_free(from);
    return raw;
}

static bool removes_all(const struct cleaner *cleaner, size_t index)
{
    size_t member = next_member(cleaner->tree, index, index);
    return member == cleaner->tree->count || cleaner->threats[member];
}

bool clean_archive(const struct cleaner *cleaner, size_t index, struct buffer *out,
                   char renamed[CLEAN_NAME_SIZE])
{
    const struct tree_node *node = &cleaner->tree->nodes[index];
    bool raw = is_raw(node), as_zip;
    if (node->damaged || (raw && removes_all(cleaner, index)))
        return false;
    struct archive *from = tree_archive_read(node);
    struct archive *to = open_writer(node, raw, out, &as_zip);
    bool written = to != NULL;
    if (written)
        written = from ? copy_entries(cleaner, index, from, to) : write_members(cleaner, index, to);
    if (written && as_zip)
        written = write_repacked_note(cleaner, index, to);
    if (to && archive_write_close(to) != ARCHIVE_OK)
        written = false;
    if (to)
        archive_write_free(to);
    if (from)
        archive_read_free(from);
    renamed[0] = '\0';
    if (written && as_zip)
        zip_name(node, renamed);
    return written && !out->failed;
}

/* Loads a folder of templates and links their partials. */
#include "controlcenter/http/template_private.h"

#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_LIMIT (1u << 20)
#define COUNT_LIMIT 2000
#define FOLDER_DEPTH_LIMIT 8

struct template_set {
    struct template *templates; /* sorted by name once loaded */
    size_t count;
    size_t capacity;
};

/* A folder that is being read, and the names of what is in it. */
struct folder {
    const char *path;   /* on disk, for errors */
    const char *prefix; /* "" or "audit/" */
    unsigned depth;
};

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), wanted = strlen(ending);
    return length > wanted && strcmp(text + length - wanted, ending) == 0;
}

static bool read_source(struct template *template, int fd, size_t size, const char *file,
                        struct error *error)
{
    template->source = malloc(size + 1);
    if (!template->source)
        return error_set(error, ERROR_INTERNAL, file, "memory ran out");
    size_t length = 0;
    while (length < size) {
        ssize_t got = read(fd, template->source + length, size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, file, "the template cannot be read");
        if (got == 0)
            return error_set(error, ERROR_IO, file, "the template changed while it was read");
        length += (size_t)got;
    }
    template->source[length] = '\0';
    if (memchr(template->source, '\0', length))
        return error_set(error, ERROR_INVALID, file, "the template has NUL bytes");
    return true;
}

static struct template *add_template(struct template_set *set, const char *file,
                                     struct error *error)
{
    if (set->count == COUNT_LIMIT) {
        error_set(error, ERROR_LIMIT, file, "more than %d templates", COUNT_LIMIT);
        return NULL;
    }
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 32;
        struct template *templates = realloc(set->templates, capacity * sizeof *templates);
        if (!templates) {
            error_set(error, ERROR_INTERNAL, file, "memory ran out");
            return NULL;
        }
        set->templates = templates;
        set->capacity = capacity;
    }
    struct template *template = &set->templates[set->count++];
    *template = (struct template){0};
    return template;
}

static bool load_file(struct template_set *set, const struct folder *folder, int fd,
                      const char *name, const struct stat *status, struct error *error)
{
    char file[sizeof error->where];
    snprintf(file, sizeof file, "%s%s", folder->prefix, name);
    bool is_html = ends_with(name, ".html");
    size_t length = strlen(file) - (is_html ? strlen(".html") : 0);
    if (length >= TEMPLATE_NAME_LIMIT || strlen(folder->prefix) + strlen(name) >= sizeof file)
        return error_set(error, ERROR_LIMIT, file, "the name of the template is too long");
    if (status->st_size > (off_t)FILE_LIMIT)
        return error_set(error, ERROR_LIMIT, file, "the template is larger than %u bytes",
                         FILE_LIMIT);
    struct template *template = add_template(set, file, error);
    if (!template)
        return false;
    memcpy(template->name, file, length);
    template->is_html = is_html;
    return read_source(template, fd, (size_t)status->st_size, file, error) &&
           template_compile(template, (size_t)status->st_size, file, error);
}

static bool load_folder(struct template_set *set, const struct folder *folder, int fd,
                        struct error *error);

static bool load_entry(struct template_set *set, const struct folder *folder, int at,
                       const char *name, struct error *error)
{
    struct stat status;
    if (name[0] == '.')
        return true;
    if (fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(error, name, "the template cannot be read");
    bool is_folder = S_ISDIR(status.st_mode);
    bool wanted = is_folder || ends_with(name, ".html") || ends_with(name, ".txt");
    if (!wanted || (!is_folder && !S_ISREG(status.st_mode)))
        return true;
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (is_folder ? O_DIRECTORY : 0));
    if (fd < 0)
        return error_set_errno(error, name, "the template cannot be opened");
    if (!is_folder) {
        bool ok = load_file(set, folder, fd, name, &status, error);
        close(fd);
        return ok;
    }
    char prefix[TEMPLATE_NAME_LIMIT];
    int length = snprintf(prefix, sizeof prefix, "%s%s/", folder->prefix, name);
    if (length >= (int)sizeof prefix || folder->depth == FOLDER_DEPTH_LIMIT) {
        close(fd);
        return error_set(error, ERROR_LIMIT, name, "the folders of templates are too deep");
    }
    struct folder inner = {folder->path, prefix, folder->depth + 1};
    return load_folder(set, &inner, fd, error);
}

/* Takes over fd. */
static bool load_folder(struct template_set *set, const struct folder *folder, int fd,
                        struct error *error)
{
    DIR *entries = fdopendir(fd);
    if (!entries) {
        close(fd);
        return error_set_errno(error, folder->path, "the folder of templates cannot be read");
    }
    bool ok = true;
    const struct dirent *entry;
    while (ok && (entry = readdir(entries)))
        ok = load_entry(set, folder, dirfd(entries), entry->d_name, error);
    closedir(entries);
    return ok;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct template *)a)->name, ((const struct template *)b)->name);
}

static bool link_partials(struct template_set *set, struct template *template, struct error *error)
{
    for (size_t i = 0; i < template->node_count; i++) {
        struct template_node *node = &template->nodes[i];
        if (node->kind != TEMPLATE_PARTIAL)
            continue;
        struct template_span name = node->parts[0];
        node->partial = template_find(set, name.text, name.length);
        /* Text is not escaped, so that a page must not take it in. */
        bool mixed = node->partial && template->is_html && !node->partial->is_html;
        if (node->partial && !mixed)
            continue;
        char where[sizeof error->where];
        snprintf(where, sizeof where, "%.90s%s:%u", template->name,
                 template->is_html ? ".html" : "", node->line);
        return error_set(error, ERROR_INVALID, where, "%s: %.*s",
                         mixed ? "a page cannot take in plain text" : "there is no such partial",
                         (int)name.length, name.text);
    }
    return true;
}

struct template_set *template_set_load(const char *folder, struct error *error)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(error, folder, "the folder of templates cannot be opened");
        return NULL;
    }
    struct template_set *set = calloc(1, sizeof *set);
    if (!set) {
        close(fd);
        error_set(error, ERROR_INTERNAL, folder, "memory ran out");
        return NULL;
    }
    struct folder top = {folder, "", 0};
    bool ok = load_folder(set, &top, fd, error);
    if (ok && set->count > 0)
        qsort(set->templates, set->count, sizeof *set->templates, compare_names);
    for (size_t i = 0; ok && i < set->count; i++)
        ok = link_partials(set, &set->templates[i], error);
    if (!ok) {
        template_set_free(set);
        return NULL;
    }
    return set;
}

void template_set_free(struct template_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++) {
        free(set->templates[i].source);
        free(set->templates[i].nodes);
    }
    free(set->templates);
    free(set);
}

const struct template *template_find(const struct template_set *set, const char *name,
                                     size_t length)
{
    struct template key = {0};
    if (length >= sizeof key.name || set->count == 0)
        return NULL;
    memcpy(key.name, name, length);
    return bsearch(&key, set->templates, set->count, sizeof key, compare_names);
}

#include "controlcenter/pages/list_file.h"

#include "common/cleanup.h"
#include "controlcenter/fleet/fleet.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LINES 100000
#define TOGETHER 100 /* entries that are checked at once */

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

void list_file_free(struct list_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        json_decref(file->lines[i].entry.value);
        free(file->lines[i].reason);
    }
    free(file->lines);
    *file = (struct list_file){0};
}

/* --- reading --- */

static struct list_line *add_line(struct list_file *file, int number)
{
    if (file->count == file->capacity) {
        size_t capacity = file->capacity ? 2 * file->capacity : 256;
        struct list_line *lines = reallocarray(file->lines, capacity, sizeof *lines);
        if (!lines)
            return NULL;
        file->lines = lines;
        file->capacity = capacity;
    }
    struct list_line *line = &file->lines[file->count++];
    *line = (struct list_line){.line = number};
    return line;
}

static void refuse(struct list_file *file, struct list_line *line, const char *reason)
{
    if (line->reason)
        return;
    line->reason = strdup(reason);
    file->wrong++;
}

static bool read_line(struct list_file *file, const struct list_kind *kind, struct store *store,
                      const struct list_columns *columns, const struct csv_row *row,
                      struct error *error)
{
    char reason[LIST_REASON_SIZE];
    if (file->count == MOST_LINES)
        return error_set(error, ERROR_LIMIT, "file", "has more than %d lines", MOST_LINES);
    struct list_line *line = add_line(file, row->line);
    if (!line)
        return out_of_memory(error);
    if (row->reason)
        refuse(file, line, row->reason);
    else if (!list_row_read(kind, store, columns, row, &line->entry, reason))
        refuse(file, line, reason);
    return true;
}

/* A head that is not understood is the only line: what the others say cannot be told. */
static bool read_lines(struct list_file *file, const struct list_kind *kind, struct store *store,
                       struct csv_reader *reader, struct error *error)
{
    struct list_columns columns;
    struct csv_row row;
    char reason[LIST_REASON_SIZE] = "";
    list_columns_usual(kind, &columns);
    for (bool is_first = true; csv_next(reader, &row); is_first = false) {
        if (is_first && list_columns_read(kind, &row, &columns, reason)) {
            struct list_line *head = *reason ? add_line(file, row.line) : NULL;
            if (head)
                refuse(file, head, reason);
            if (*reason)
                return head || out_of_memory(error);
            continue;
        }
        if (!read_line(file, kind, store, &columns, &row, error))
            return false;
    }
    return true;
}

/* --- checking --- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct list_line *)a)->entry.key,
                  ((const struct list_line *)b)->entry.key);
}

static void keep(void *line)
{
    (void)line; /* the file owns it */
}

static struct list_line *find_line(void *tree, const char *key)
{
    struct list_line wanted = {0};
    snprintf(wanted.entry.key, sizeof wanted.entry.key, "%s", key);
    struct list_line **found = tfind(&wanted, &tree, compare_keys);
    return found ? *found : NULL;
}

static bool refuse_repeated(struct list_file *file, void **tree, struct error *error)
{
    char reason[64];
    for (size_t i = 0; i < file->count; i++) {
        struct list_line *line = &file->lines[i];
        if (line->reason)
            continue;
        struct list_line **found = tsearch(line, tree, compare_keys);
        if (!found)
            return out_of_memory(error);
        if (*found == line)
            continue;
        snprintf(reason, sizeof reason, "stands already in line %d", (*found)->line);
        refuse(file, line, reason);
    }
    return true;
}

/* Checks some entries together. A refusal marks the line that it names and takes it out of `lines`;
 * the others are then to be checked again. False with *error where it is not a line's fault. */
static bool check_some(struct list_file *file, const struct list_kind *kind,
                       struct list_line **lines, size_t *count, bool *again, struct error *error)
{
    struct store_entry entries[TOGETHER];
    struct error refused = {0};
    char reason[800];
    for (size_t i = 0; i < *count; i++)
        entries[i] = lines[i]->entry;
    *again = !fleet_check_entries(kind->list, entries, *count, &refused);
    if (!*again)
        return true;
    const char *bracket = strchr(refused.where, '[');
    size_t index = bracket ? (size_t)strtoul(bracket + 1, NULL, 10) : 0;
    const char *member = bracket ? strchr(bracket, '.') : NULL;
    if (refused.code != ERROR_INVALID || index >= *count) {
        *error = refused;
        return false;
    }
    snprintf(reason, sizeof reason, "%s%s%s", member ? member + 1 : "", member ? ": " : "",
             refused.message);
    refuse(file, lines[index], reason);
    (*count)--;
    memmove(lines + index, lines + index + 1, (*count - index) * sizeof *lines);
    return true;
}

static bool check_entries(struct list_file *file, const struct list_kind *kind, struct error *error)
{
    struct list_line *lines[TOGETHER];
    size_t count = 0;
    for (size_t i = 0; i < file->count; i++) {
        if (!file->lines[i].reason)
            lines[count++] = &file->lines[i];
        if (count < TOGETHER && i + 1 < file->count)
            continue;
        for (bool again = count > 0; again && count > 0;)
            if (!check_some(file, kind, lines, &count, &again, error))
                return false;
        count = 0;
    }
    return true;
}

/* 1: the domain is there, 0: it is not, -1: *error. */
static int is_stored(struct store *store, const char *domain, struct error *error)
{
    struct error local = {0};
    cleanup_json json_t *value = store_entry_get(store, STORE_DOMAINS, domain, &local);
    if (value || local.code == ERROR_NOT_FOUND)
        return value != NULL;
    *error = local;
    return -1;
}

/* Domains that others stand for must be in the file or, where it replaces nothing, in the store. A
 * line that is refused may leave another one without its domain, so this goes on until it ends. */
static bool check_targets(struct list_file *file, struct store *store, void *tree, bool replace_all,
                          struct error *error)
{
    size_t before;
    do {
        before = file->wrong;
        for (size_t i = 0; i < file->count; i++) {
            struct list_line *line = &file->lines[i];
            const char *target = json_string_value(json_object_get(line->entry.value, "alias_of"));
            if (line->reason || !target)
                continue;
            const struct list_line *found = find_line(tree, target);
            int stored = found && !found->reason ? 1
                         : replace_all           ? 0
                                                 : is_stored(store, target, error);
            if (stored < 0)
                return false;
            if (!stored)
                refuse(file, line, "alias_of: is not in the list of domains");
        }
    } while (file->wrong > before);
    return true;
}

bool list_file_read(struct list_file *file, const struct list_kind *kind, struct store *store,
                    const char *text, size_t length, bool replace_all, struct error *error)
{
    struct csv_reader reader;
    void *tree = NULL;
    *file = (struct list_file){0};
    csv_open(&reader, text, length);
    bool ok = read_lines(file, kind, store, &reader, error) &&
              refuse_repeated(file, &tree, error) && check_entries(file, kind, error) &&
              (kind->list != STORE_DOMAINS || check_targets(file, store, tree, replace_all, error));
    tdestroy(tree, keep);
    csv_close(&reader);
    return ok;
}

char *list_file_rows(const struct list_file *file)
{
    struct buffer text = BUFFER_INIT;
    bool is_first = true;
    buffer_add_text(&text, "[");
    for (size_t i = 0; i < file->count; i++) {
        const struct list_line *line = &file->lines[i];
        if (line->reason)
            continue;
        cleanup_json json_t *row =
            json_pack("{s:s,s:O}", "key", line->entry.key, "value", line->entry.value);
        cleanup_free char *written = row ? json_dumps(row, JSON_COMPACT) : NULL;
        if (!written)
            text.failed = true;
        else
            buffer_add_format(&text, "%s%s", is_first ? "" : ",", written);
        is_first = false;
    }
    buffer_add_text(&text, "]");
    char *taken = buffer_take(&text);
    buffer_free(&text);
    return taken;
}

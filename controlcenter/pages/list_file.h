/* A file of domains, aliases or masquerades: its lines checked as every scanner would. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_LIST_FILE_H
#define GATEHOUSE_CONTROLCENTER_PAGES_LIST_FILE_H

#include "controlcenter/pages/list_rows.h"

struct list_line {
    int line;
    struct store_entry entry;
    char *reason; /* why it is not taken, or NULL */
};

struct list_file {
    struct list_line *lines;
    size_t count, capacity;
    size_t wrong; /* lines with a reason */
};

/* Reads all lines. `replace_all` says that nothing but them will be in the store. False with *error
 * only where memory or the database is the matter, or there are too many lines (ERROR_LIMIT); free
 * the file in either case. */
bool list_file_read(struct list_file *file, const struct list_kind *kind, struct store *store,
                    const char *text, size_t length, bool replace_all, struct error *error);
void list_file_free(struct list_file *file);
/* The lines that are right, as store_entry_import takes them. NULL where memory ran out; the caller
 * frees the text. */
char *list_file_rows(const struct list_file *file);

#endif

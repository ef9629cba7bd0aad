/* The lists of addresses as people write them: in forms, and in files of comma-separated values. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_LIST_ROWS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_LIST_ROWS_H

#include "common/address.h"
#include "controlcenter/pages/csv.h"
#include "controlcenter/store/store.h"

#define LIST_COLUMNS_MOST 10
#define LIST_REASON_SIZE 256

struct list_kind {
    enum store_list list;
    const char *place;  /* in the navigation; templates see it as list.PLACE */
    const char *path;   /* of its pages */
    const char *member; /* that names an entry, such as "address" */
    bool subdomains;    /* "@.example.com" is allowed there */
    const char *columns[LIST_COLUMNS_MOST + 1];
};

/* The list that the path of a page belongs to. */
const struct list_kind *list_of_path(const char *path);

/* "user@example.com", "@example.com" or (where `subdomains`) "@.example.com" in the form that is
 * kept. NULL, or the reason why it is none. */
const char *list_normalise(const char *text, bool subdomains, char normal[ADDRESS_SIZE]);

/* The addresses of a text that spaces, line ends, commas or semicolons separate; quoted local parts
 * may hold these. The caller owns the array of texts, which are not checked. */
json_t *list_split(const char *text);
/* The same array as text, one a line or separated by `separator`. */
void list_join(const json_t *addresses, const char *separator, struct buffer *text);

/* Where the columns of a file stand: index of each column of the kind, or -1. */
struct list_columns {
    int at[LIST_COLUMNS_MOST];
};
/* The columns in the order of the kind, for files without a head. */
void list_columns_usual(const struct list_kind *kind, struct list_columns *columns);
/* Whether the row is a head, which begins with the name of a column. *reason (LIST_REASON_SIZE
 * bytes) is "" or says which column is unknown or missing. */
bool list_columns_read(const struct list_kind *kind, const struct csv_row *row,
                       struct list_columns *columns, char *reason);

/* Fills an entry from a row; false with the reason. A route's password that is not written is the
 * one in the store. The caller owns entry->value. */
bool list_row_read(const struct list_kind *kind, struct store *store,
                   const struct list_columns *columns, const struct csv_row *row,
                   struct store_entry *entry, char reason[LIST_REASON_SIZE]);
/* Adds the line of an entry; passwords are left empty. */
bool list_row_write(const struct list_kind *kind, const struct store_entry *entry,
                    struct buffer *text);

#endif

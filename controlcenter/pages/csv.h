/* Files of comma-separated values (RFC 4180): lines end in CRLF or LF, a field in double quotes may
 * hold commas, line ends and doubled quotes, and a byte order mark may stand at the beginning.
 *
 * A spreadsheet takes a field that begins with "=", "+" or "-" for a formula and carries it out,
 * and addresses may begin so. Such a field is written with an apostrophe before it, which is left
 * out where the file is read again. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_CSV_H
#define GATEHOUSE_CONTROLCENTER_PAGES_CSV_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

#define CSV_FIELDS_MOST 32
#define CSV_ROW_LIMIT 65536 /* bytes */

struct csv_reader {
    const char *at, *end;
    int line; /* that the next row begins in, from 1 on */
    struct buffer row;
};

struct csv_row {
    int line; /* that it begins in */
    size_t count;
    const char *fields[CSV_FIELDS_MOST]; /* borrowed until the next row is read */
    const char *reason;                  /* why it cannot be read, or NULL */
};

/* Borrows the text. */
void csv_open(struct csv_reader *reader, const char *text, size_t length);
void csv_close(struct csv_reader *reader);
/* The next row that is not empty; white space around fields without quotes is left out. False at
 * the end. */
bool csv_next(struct csv_reader *reader, struct csv_row *row);

/* Adds a field, in quotes where it needs them; `is_first` says that no comma goes before it. */
bool csv_add(struct buffer *text, const char *field, bool is_first);

#endif

/* Files of comma-separated values: what can be read is written so that it is read the same again.
 */
#include "controlcenter/pages/csv.h"
#include "controlcenter/pages/list_rows.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_row(const struct csv_row *row)
{
    struct buffer text = BUFFER_INIT;
    struct csv_reader reader;
    struct csv_row again;
    check(row->count > 0);
    if (row->count == 1 && !*row->fields[0])
        return; /* it would be an empty line */
    buffer_add_text(&text, "head\n"); /* behind which a byte order mark is text */
    for (size_t i = 0; i < row->count; i++)
        check(csv_add(&text, row->fields[i], i == 0));
    csv_open(&reader, text.data, text.length);
    check(csv_next(&reader, &again) && csv_next(&reader, &again));
    check(!again.reason && again.count == row->count);
    for (size_t i = 0; i < row->count; i++)
        check(strcmp(again.fields[i], row->fields[i]) == 0);
    check(!csv_next(&reader, &again));
    csv_close(&reader);
    buffer_free(&text);
}

static void check_addresses(const char *text)
{
    struct buffer joined = BUFFER_INIT;
    json_t *addresses = list_split(text);
    check(addresses != NULL);
    list_join(addresses, " ", &joined);
    json_decref(addresses);
    buffer_free(&joined);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv_reader reader;
    struct csv_row row;
    struct store_entry entry;
    struct list_columns columns;
    char reason[LIST_REASON_SIZE];
    const struct list_kind *kind = list_of_path(size % 2 ? "/aliases" : "/masquerades");
    int line = 0;
    list_columns_usual(kind, &columns);
    csv_open(&reader, (const char *)data, size);
    while (csv_next(&reader, &row)) {
        check(row.line > line);
        line = row.line;
        if (row.reason)
            continue;
        check_row(&row);
        check_addresses(row.fields[0]);
        if (list_row_read(kind, NULL, &columns, &row, &entry, reason))
            json_decref(entry.value);
        else
            check(reason[0] != '\0');
    }
    csv_close(&reader);
    return 0;
}

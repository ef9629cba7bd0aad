/* Addresses of a row in a list. */
#include "controlcenter/pages/address_rows.h"

void address_rows_put(struct page *page, json_t *row, const json_t *addresses, const char *name,
                      size_t most, const char *more)
{
    json_t *rows = page_put_array(page, row, name);
    size_t count = json_array_size(addresses);
    for (size_t i = 0; i < count && i < most; i++)
        page_put_text(page, page_add_object(page, rows), "address",
                      json_string_value(json_array_get(addresses, i)));
    if (count > most)
        page_put_count(page, row, more, (int64_t)(count - most));
}

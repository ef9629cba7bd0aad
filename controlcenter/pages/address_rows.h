/* Addresses of a row in a list: the first ones, and how many more there are. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_ADDRESS_ROWS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_ADDRESS_ROWS_H

#include "controlcenter/pages/pages.h"

/* Puts an array of texts as the array `name` of objects with an `address`, at most `most` of them;
 * where there are more, `more` is how many. */
void address_rows_put(struct page *page, json_t *row, const json_t *addresses, const char *name,
                      size_t most, const char *more);

#endif

/* Bytes (bytea) in statements and results; private to the store. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_BYTES_H
#define GATEHOUSE_CONTROLCENTER_STORE_BYTES_H

#include "controlcenter/store/store_internal.h"

/* "\x..." as the database takes bytes; the caller frees it. NULL when memory ran out. */
char *store_bytes_text(const void *data, size_t length);
/* The bytes of a column, with a NUL behind them that does not count; free them with free().
 * NULL when memory ran out; "" for NULL. */
char *store_bytes(const PGresult *result, int row, int column, size_t *length);

#endif

/* The policy document as a file that people read, compare and edit. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_FILE_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_FILE_H

#include "common/error.h"

#include <jansson.h>
#include <stddef.h>

/* Indented JSON whose members always stand in the same order: the same document makes the same
 * file. The caller frees it; NULL only when memory ran out. */
char *policy_file_write(const json_t *document);
/* The document of such a file, not checked further than its form. NULL with *error (ERROR_INVALID,
 * with line and column where it is no JSON). The caller owns it. */
json_t *policy_file_read(const char *text, size_t length, struct error *error);

#endif

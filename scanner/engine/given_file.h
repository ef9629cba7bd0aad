/* Files whose descriptors come from another process. */
#ifndef GATEHOUSE_SCANNER_ENGINE_GIVEN_FILE_H
#define GATEHOUSE_SCANNER_ENGINE_GIVEN_FILE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Whether it is a regular file that nobody changes through this descriptor: opened read-only, or a
 * memfd that is sealed against writing. Fills *status. */
bool given_file_is_safe(int fd, struct stat *status);

/* Reads a safe file of at most `most` bytes; the caller frees the text, which ends in a NUL that
 * does not count. NULL with *error (ERROR_INVALID, ERROR_LIMIT, ERROR_IO). */
char *given_file_read(int fd, size_t most, size_t *length, struct error *error);

#endif

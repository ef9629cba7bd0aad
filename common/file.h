/* Files, whole and atomic. */
#ifndef GATEHOUSE_COMMON_FILE_H
#define GATEHOUSE_COMMON_FILE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads a regular file of at most `limit` bytes. The caller frees the returned, NUL-terminated
 * text; *length (may be NULL) is its size without the NUL. NULL with *error set: ERROR_NOT_FOUND,
 * ERROR_LIMIT or ERROR_IO. */
char *file_read(const char *path, size_t limit, size_t *length, struct error *error);

/* Replaces `path` with `data` by writing a temporary file beside it, fsync, rename and fsync of the
 * folder: after true the content is on stable storage, after false the old file is as it was (or,
 * where only the last fsync failed, the new one is there and may not outlive a crash). The mode is
 * exact, whatever the umask. */
bool file_write_atomic(const char *path, const void *data, size_t length, mode_t mode,
                       struct error *error);

/* Creates a folder where it is missing (parents too) with exactly `mode`; folders that are there
 * already keep theirs. ERROR_EXISTS: something else is in the place. */
bool file_make_folder(const char *path, mode_t mode, struct error *error);

/* Joins folder and name into `path`; false (ERROR_LIMIT) where it does not fit. */
bool file_join(char *path, size_t size, const char *folder, const char *name, struct error *error);

/* An empty file in memory that can be sealed; close-on-exec. -1 with *error. */
int file_memory_open(const char *name, struct error *error);
/* From now on nobody can write it, make it longer or shorter, or take this back: fit for a process
 * that shall only read it. */
bool file_memory_seal(int fd, struct error *error);

/* Writes all of data to fd, over short writes and EINTR. */
bool file_write_all(int fd, const void *data, size_t length, struct error *error);

#endif

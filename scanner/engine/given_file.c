#include "scanner/engine/given_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool given_file_is_safe(int fd, struct stat *status)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, status) != 0 || !S_ISREG(status->st_mode) || status->st_size < 0)
        return false;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return true;
    int seals = fcntl(fd, F_GET_SEALS);
    return (flags & O_ACCMODE) == O_RDWR && seals >= 0 && (seals & F_SEAL_WRITE);
}

static bool read_whole(int fd, char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        ssize_t count = pread(fd, text + at, length - at, (off_t)at);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        at += (size_t)count;
    }
    return true;
}

char *given_file_read(int fd, size_t most, size_t *length, struct error *error)
{
    struct stat status;
    *length = 0;
    if (fd < 0 || !given_file_is_safe(fd, &status)) {
        error_set(error, ERROR_INVALID, NULL, "is not a read-only file");
        return NULL;
    }
    if ((uint64_t)status.st_size > most) {
        error_set(error, ERROR_LIMIT, NULL, "is larger than %zu bytes", most);
        return NULL;
    }
    char *text = malloc((size_t)status.st_size + 1);
    if (!text) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    if (!read_whole(fd, text, (size_t)status.st_size)) {
        error_set(error, ERROR_IO, NULL, "cannot be read");
        free(text);
        return NULL;
    }
    *length = (size_t)status.st_size;
    text[*length] = '\0';
    return text;
}

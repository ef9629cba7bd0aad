#include "common/file.h"

#include "common/buffer.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_STEP 65536

static int open_regular(const char *path, size_t limit, off_t *size, struct error *error)
{
    struct stat status;
    /* A FIFO in the place of the file must not block the open. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            error_set(error, ERROR_NOT_FOUND, path, "no such file");
        else
            error_set_errno(error, path, "cannot open");
        return -1;
    }
    if (fstat(fd, &status) != 0)
        error_set_errno(error, path, "cannot read");
    else if (!S_ISREG(status.st_mode))
        error_set(error, ERROR_IO, path, "is not a regular file");
    else if ((uint64_t)status.st_size > limit)
        error_set(error, ERROR_LIMIT, path, "is larger than %zu bytes", limit);
    else {
        *size = status.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

/* Reads on to the end even where the size changed since: files in /proc say 0, logs grow. */
static bool read_to_end(int fd, size_t limit, struct buffer *content, const char *path,
                        struct error *error)
{
    for (;;) {
        size_t left = limit - content->length;
        size_t step = content->capacity > content->length + 1
                          ? content->capacity - content->length - 1
                          : READ_STEP;
        char extra;
        if (step > left)
            step = left;
        char *to = step ? buffer_reserve(content, step) : &extra;
        if (!to)
            return error_set(error, ERROR_INTERNAL, path, "out of memory");
        ssize_t count = read(fd, to, step ? step : 1);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, path, "cannot read");
        if (count == 0)
            return true;
        if (step == 0)
            return error_set(error, ERROR_LIMIT, path, "is larger than %zu bytes", limit);
        content->length += (size_t)count;
    }
}

char *file_read(const char *path, size_t limit, size_t *length, struct error *error)
{
    struct buffer content;
    off_t size = 0;
    cleanup_fd int fd = open_regular(path, limit, &size, error);
    if (fd < 0)
        return NULL;
    buffer_init(&content, limit ? limit : 1);
    if (!buffer_reserve(&content, (size_t)size)) {
        error_set(error, ERROR_INTERNAL, path, "out of memory");
        return NULL;
    }
    if (!read_to_end(fd, limit, &content, path, error)) {
        buffer_free(&content);
        return NULL;
    }
    if (length)
        *length = content.length;
    return buffer_take(&content);
}

bool file_write_all(int fd, const void *data, size_t length, struct error *error)
{
    const char *from = data;
    while (length > 0) {
        ssize_t count = write(fd, from, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(error, NULL, "cannot write");
        from += count;
        length -= (size_t)count;
    }
    return true;
}

static bool sync_folder_of(const char *path, struct error *error)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (length >= sizeof(folder))
        return error_set(error, ERROR_LIMIT, path, "the path is too long");
    memcpy(folder, path, length);
    folder[length] = '\0';
    if (length == 0)
        memcpy(folder, slash ? "/" : ".", 2);
    cleanup_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_set_errno(error, folder, "cannot sync the folder");
    return true;
}

static bool fill_file(int fd, const char *path, const void *data, size_t length, mode_t mode,
                      struct error *error)
{
    struct error local = {0};
    if (fchmod(fd, mode) != 0)
        return error_set_errno(error, path, "cannot set the mode");
    if (!file_write_all(fd, data, length, &local))
        return error_set(error, local.code, path, "%s", local.message);
    if (fsync(fd) != 0)
        return error_set_errno(error, path, "cannot sync");
    return true;
}

bool file_write_atomic(const char *path, const void *data, size_t length, mode_t mode,
                       struct error *error)
{
    char temporary[PATH_MAX];
    int size = snprintf(temporary, sizeof(temporary), "%s.new-XXXXXX", path);
    if (size < 0 || (size_t)size >= sizeof(temporary))
        return error_set(error, ERROR_LIMIT, path, "the path is too long");
    cleanup_fd int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, path, "cannot create a file beside it");
    if (!fill_file(fd, path, data, length, mode, error)) {
        unlink(temporary);
        return false;
    }
    if (rename(temporary, path) != 0) {
        error_set_errno(error, path, "cannot replace");
        unlink(temporary);
        return false;
    }
    return sync_folder_of(path, error);
}

/* The exact mode is set on what this call made only, whatever the umask; what is there stays. */
static bool make_one(const char *path, mode_t mode, struct error *error)
{
    struct stat status;
    if (mkdir(path, mode) == 0)
        return chmod(path, mode) == 0 || error_set_errno(error, path, "cannot set the mode");
    if (errno != EEXIST)
        return error_set_errno(error, path, "cannot create the folder");
    if (stat(path, &status) != 0)
        return error_set_errno(error, path, "cannot look at");
    return S_ISDIR(status.st_mode) ||
           error_set(error, ERROR_EXISTS, path, "is there and is not a folder");
}

bool file_make_folder(const char *path, mode_t mode, struct error *error)
{
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof(part))
        return error_set(error, ERROR_LIMIT, path, "not a usable path");
    memcpy(part, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (part[i] != '/' || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        if (!make_one(part, mode, error))
            return false;
        part[i] = '/';
    }
    return make_one(part, mode, error);
}

bool file_join(char *path, size_t size, const char *folder, const char *name, struct error *error)
{
    size_t length = strlen(folder);
    const char *between = length > 0 && folder[length - 1] == '/' ? "" : "/";
    int written = snprintf(path, size, "%s%s%s", folder, between, name);
    if (written < 0 || (size_t)written >= size)
        return error_set(error, ERROR_LIMIT, folder, "the path with %.100s is too long", name);
    return true;
}

int file_memory_open(const char *name, struct error *error)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        error_set_errno(error, name, "no file in memory");
    return fd;
}

bool file_memory_seal(int fd, struct error *error)
{
    int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    return fcntl(fd, F_ADD_SEALS, seals) == 0 ||
           error_set_errno(error, NULL, "cannot seal a file in memory");
}

#include "scanner/mta/samples.h"

#include "common/cleanup.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (64u << 10)
#define SUFFIX ".eml"

/* Ids are UUIDv7: the order of the names is that of time. */
static int is_sample(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > strlen(SUFFIX) &&
           strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static uint64_t size_of(int folder, const char *name)
{
    struct stat status;
    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)status.st_size : 0;
}

/* Removes the oldest until one more of `size` bytes has its place. */
static bool make_room(const char *path, int folder, uint64_t size, struct error *error)
{
    struct dirent **entries;
    uint64_t bytes = size;
    int count = scandir(path, &entries, is_sample, alphasort);
    if (count < 0)
        return error_set_errno(error, path, "cannot be read");
    for (int i = 0; i < count; i++)
        bytes += size_of(folder, entries[i]->d_name);
    for (int i = 0; i < count; i++) {
        if (count - i >= SAMPLES_LIMIT || bytes > SAMPLES_BYTES) {
            bytes -= size_of(folder, entries[i]->d_name);
            unlinkat(folder, entries[i]->d_name, 0);
        }
        free(entries[i]);
    }
    free(entries);
    return true;
}

static bool copy(int from, int to, uint64_t size, struct error *error)
{
    cleanup_free char *block = malloc(BLOCK);
    for (uint64_t at = 0; block && at < size;) {
        size_t wanted = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
        ssize_t got = pread(from, block, wanted, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, "samples", "the message cannot be read");
        if (got == 0)
            break;
        if (!file_write_all(to, block, (size_t)got, error))
            return false;
        at += (uint64_t)got;
    }
    return block || error_set(error, ERROR_INTERNAL, "samples", "out of memory");
}

bool samples_keep(const char *folder, const struct message_id *id, int fd, uint64_t size,
                  struct error *error)
{
    char text[MESSAGE_ID_TEXT_SIZE], name[MESSAGE_ID_TEXT_SIZE + sizeof(SUFFIX)];
    uint64_t kept = size < SAMPLES_LARGEST ? size : SAMPLES_LARGEST;
    if (!file_make_folder(folder, 0700, error))
        return false;
    cleanup_fd int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return error_set_errno(error, folder, "cannot be opened");
    if (!make_room(folder, directory, kept, error))
        return false;
    snprintf(name, sizeof(name), "%s%s", message_id_text(id, text), SUFFIX);
    cleanup_fd int file =
        openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return error_set_errno(error, folder, "cannot take a message");
    if (copy(fd, file, kept, error))
        return true;
    unlinkat(directory, name, 0);
    return false;
}

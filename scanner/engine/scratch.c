#include "scanner/engine/scratch.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_LIMIT 64 /* a worker can nest folders as it likes; each level holds a descriptor */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void clear_folder(int fd, int depth);

static void remove_entry(int folder, const char *name, int depth)
{
    if (unlinkat(folder, name, 0) == 0 || (errno != EISDIR && errno != EPERM))
        return;
    if (depth < DEPTH_LIMIT) {
        int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0)
            clear_folder(inner, depth + 1);
    }
    unlinkat(folder, name, AT_REMOVEDIR);
}

/* Takes the descriptor over. */
static void clear_folder(int fd, int depth)
{
    DIR *folder = fdopendir(fd);
    const struct dirent *entry;
    if (!folder) {
        close(fd);
        return;
    }
    while ((entry = readdir(folder)))
        if (!is_dots(entry->d_name))
            remove_entry(dirfd(folder), entry->d_name, depth);
    closedir(folder);
}

void scratch_clear(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        clear_folder(fd, 0);
}

static bool scratch_path(const char *state, pid_t pid, char path[ENGINE_PATH_SIZE],
                         struct error *error)
{
    char name[48];
    snprintf(name, sizeof(name), "scratch/%ld", (long)pid);
    return file_join(path, ENGINE_PATH_SIZE, state, name, error);
}

bool scratch_make(const char *state, pid_t pid, char path[ENGINE_PATH_SIZE], struct error *error)
{
    if (!scratch_path(state, pid, path, error) || !file_make_folder(path, 0700, error))
        return false;
    scratch_clear(path);
    return true;
}

static void remove_folder(const char *path)
{
    scratch_clear(path);
    if (rmdir(path) != 0 && errno != ENOENT)
        log_warning("%s: cannot be removed: %s", path, strerror(errno));
}

void scratch_remove(const char *state, pid_t pid)
{
    char path[ENGINE_PATH_SIZE];
    if (scratch_path(state, pid, path, NULL))
        remove_folder(path);
}

static bool is_number(const char *name)
{
    return *name && strspn(name, "0123456789") == strlen(name);
}

static bool is_gone(const char *name)
{
    return kill((pid_t)strtol(name, NULL, 10), 0) != 0 && errno == ESRCH;
}

void scratch_sweep(const char *state, bool all)
{
    char folder_path[ENGINE_PATH_SIZE], path[ENGINE_PATH_SIZE];
    const struct dirent *entry;
    DIR *folder = NULL;
    if (file_join(folder_path, sizeof(folder_path), state, "scratch", NULL))
        folder = opendir(folder_path);
    if (!folder)
        return;
    while ((entry = readdir(folder)))
        if (is_number(entry->d_name) && (all || is_gone(entry->d_name)) &&
            file_join(path, sizeof(path), folder_path, entry->d_name, NULL))
            remove_folder(path);
    closedir(folder);
}

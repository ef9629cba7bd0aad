#include "scanner/engine/custom_signatures.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool has_content(const char *folder, const struct config_signature_file *file)
{
    char path[ENGINE_PATH_SIZE];
    size_t length = 0;
    cleanup_free char *text = file_join(path, sizeof(path), folder, file->name, NULL)
                                  ? file_read(path, CONFIG_SIGNATURE_BYTES, &length, NULL)
                                  : NULL;
    return text && length == strlen(file->text) && memcmp(text, file->text, length) == 0;
}

static size_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    size_t count = 0;
    if (!folder)
        return 0;
    while ((entry = readdir(folder)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}

static bool is_same(const char *folder, const struct config_signatures *signatures)
{
    if (count_entries(folder) != signatures->custom_count)
        return false;
    for (size_t i = 0; i < signatures->custom_count; i++)
        if (!has_content(folder, &signatures->custom[i]))
            return false;
    return true;
}

static bool fill(const char *folder, const struct config_signatures *signatures,
                 struct error *error)
{
    char path[ENGINE_PATH_SIZE];
    for (size_t i = 0; i < signatures->custom_count; i++) {
        const struct config_signature_file *file = &signatures->custom[i];
        if (!file_join(path, sizeof(path), folder, file->name, error) ||
            !file_write_atomic(path, file->text, strlen(file->text), 0640, error))
            return false;
    }
    return true;
}

static void remove_folder(const char *path)
{
    scratch_clear(path);
    rmdir(path);
}

/* A generation that loads at this moment sees the old files or the new ones, or fails and is
 * followed by the next one. */
static bool exchange(const char *made, const char *folder, struct error *error)
{
    if (renameat2(AT_FDCWD, made, AT_FDCWD, folder, RENAME_EXCHANGE) == 0)
        return true;
    return (errno == ENOENT && rename(made, folder) == 0) ||
           error_set_errno(error, folder, "cannot be replaced");
}

bool custom_signatures_write(const char *state, const struct config_signatures *signatures,
                             struct error *error)
{
    char folder[ENGINE_PATH_SIZE], made[ENGINE_PATH_SIZE];
    if (!signatures->has_custom)
        return true;
    if (!file_join(folder, sizeof(folder), state, "signatures/custom", error) ||
        !file_join(made, sizeof(made), state, "signatures/custom.new", error))
        return false;
    if (is_same(folder, signatures))
        return true;
    remove_folder(made);
    bool ok = file_make_folder(made, 0750, error) && fill(made, signatures, error) &&
              exchange(made, folder, error);
    remove_folder(made);
    return ok;
}

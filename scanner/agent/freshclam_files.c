#include "scanner/agent/freshclam_files.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "scanner/agent/freshclam.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIGURATION_LIMIT (256u << 10)

static const char *const official[] = {"main", "daily", "bytecode"};
#define OFFICIAL_COUNT (sizeof(official) / sizeof(official[0]))

/* --- its configuration --- */

/* Where it is started by root it changes to this user, which shall be the one that it has. */
static void add_owner(struct buffer *text)
{
    const struct passwd *user = getpwuid(geteuid());
    if (user)
        buffer_add_format(text, "DatabaseOwner %s\n", user->pw_name);
}

static void add_sources(struct buffer *text, const struct config_signature_update *update)
{
    if (update->mirror)
        buffer_add_format(text, "PrivateMirror %s\n", update->mirror);
    else
        buffer_add_format(text, "DatabaseMirror database.clamav.net\n");
    for (size_t i = 0; i < OFFICIAL_COUNT && !update->official; i++)
        buffer_add_format(text, "ExcludeDatabase %s\n", official[i]);
    if (!update->official)
        buffer_add_text(text, "DNSDatabaseInfo no\n");
    for (size_t i = 0; i < update->url_count; i++)
        buffer_add_format(text, "DatabaseCustomURL %s\n", update->urls[i]);
}

static void add_proxy(struct buffer *text, const struct config_signature_update *update)
{
    if (!update->proxy_host)
        return;
    buffer_add_format(text, "HTTPProxyServer %s\nHTTPProxyPort %d\n", update->proxy_host,
                      update->proxy_port);
    if (update->proxy_user)
        buffer_add_format(text, "HTTPProxyUsername %s\n", update->proxy_user);
    if (update->proxy_user && update->proxy_password)
        buffer_add_format(text, "HTTPProxyPassword %s\n", update->proxy_password);
}

static bool write_configuration(const struct freshclam_files *files,
                                const struct config_signature_update *update, struct error *error)
{
    struct buffer text = {.limit = CONFIGURATION_LIMIT};
    buffer_add_format(&text, "DatabaseDirectory %s\n", files->folder);
    add_owner(&text);
    add_sources(&text, update);
    add_proxy(&text, update);
    buffer_add_text(&text, "TestDatabases yes\nMaxAttempts 1\nConnectTimeout 20\n"
                           "ReceiveTimeout 120\n");
    bool ok = !text.failed || error_set(error, ERROR_LIMIT, NULL, "out of memory");
    ok = ok && file_write_atomic(files->configuration, text.data, text.length, 0600, error);
    if (text.data)
        explicit_bzero(text.data, text.length);
    buffer_free(&text);
    return ok;
}

/* --- its folder --- */

static bool is_official(const char *name)
{
    static const char *const endings[] = {".cvd", ".cld", ".cud", ".cvd.sign", ".cld.sign"};
    char known[32];
    for (size_t i = 0; i < OFFICIAL_COUNT; i++)
        for (size_t j = 0; j < sizeof(endings) / sizeof(endings[0]); j++) {
            snprintf(known, sizeof(known), "%s%s", official[i], endings[j]);
            if (strcmp(name, known) == 0)
                return true;
        }
    return false;
}

static bool is_asked_for(const char *name, const struct config_signature_update *update)
{
    if (strcmp(name, "freshclam.dat") == 0 || (update->official && is_official(name)))
        return true;
    for (size_t i = 0; i < update->url_count; i++)
        if (strcmp(strrchr(update->urls[i], '/') + 1, name) == 0)
            return true;
    return false;
}

static void remove_others(const char *path, const struct config_signature_update *update)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    if (!folder)
        return;
    while ((entry = readdir(folder)))
        if (!is_asked_for(entry->d_name, update))
            unlinkat(dirfd(folder), entry->d_name, 0); /* folders stay: they are its own */
    closedir(folder);
}

bool freshclam_files_prepare(const char *state, const struct config_signature_update *update,
                             struct freshclam_files *files, struct error *error)
{
    if (!file_join(files->configuration, NODE_PATH_SIZE, state, "agent/freshclam.conf", error) ||
        !file_join(files->folder, NODE_PATH_SIZE, state, NODE_SIGNATURES_FOLDER, error) ||
        !file_make_folder(files->folder, 0750, error))
        return false;
    remove_others(files->folder, update);
    return write_configuration(files, update, error);
}

/* --- its version --- */

/* The head of a database is "ClamAV-VDB:DATE:VERSION:..." (512 bytes). */
static bool read_version(const char *path, char version[32])
{
    char head[513] = "";
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, head, sizeof(head) - 1) : 0;
    const char *at = length > 0 && strncmp(head, "ClamAV-VDB:", 11) == 0 ? head + 11 : NULL;
    at = at ? strchr(at, ':') : NULL;
    size_t digits = at ? strspn(at + 1, "0123456789") : 0;
    if (digits == 0 || digits >= 32)
        return false;
    memcpy(version, at + 1, digits);
    version[digits] = '\0';
    return true;
}

void freshclam_version(const char *state, char version[32])
{
    static const char *const names[] = {NODE_SIGNATURES_FOLDER "/daily.cld",
                                        NODE_SIGNATURES_FOLDER "/daily.cvd"};
    char path[NODE_PATH_SIZE];
    version[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (file_join(path, sizeof(path), state, names[i], NULL) && read_version(path, version))
            return;
}

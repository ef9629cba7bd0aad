#include "controlcenter/http/static_files.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ETAG_SIZE (2 * 16 + 3) /* 16 bytes in hexadecimal, two quotes, NUL */

int static_files_open(const char *webroot, struct error *error)
{
    if (sodium_init() < 0) {
        error_set(error, ERROR_INTERNAL, webroot, "libsodium cannot start");
        return -1;
    }
    int fd = open(webroot, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        error_set_errno(error, webroot, "the folder of static files cannot be opened");
    return fd;
}

/* Walks segment by segment, so that neither a link nor a dot can lead out of the folder. */
static int open_below(int folder, const char *name)
{
    cleanup_fd int held = -1;
    int at = folder;
    for (;;) {
        char segment[256];
        size_t length = strcspn(name, "/");
        if (length == 0 || length >= sizeof segment || name[0] == '.')
            return -1;
        memcpy(segment, name, length);
        segment[length] = '\0';
        bool last = name[length] == '\0';
        /* Non-blocking, because opening a FIFO would wait for its writer. */
        int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY);
        int next = openat(at, segment, flags);
        if (next < 0 || last)
            return next;
        if (held >= 0)
            close(held);
        held = at = next;
        name += length + 1;
    }
}

static bool read_whole(int fd, size_t size, struct buffer *body)
{
    char *to = buffer_reserve(body, size);
    size_t length = 0;
    while (to && length < size) {
        ssize_t got = read(fd, to + length, size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        length += (size_t)got;
    }
    if (!to)
        return false;
    body->length = length;
    body->data[length] = '\0';
    return true;
}

static void content_etag(const struct buffer *body, char etag[ETAG_SIZE])
{
    unsigned char hash[16];
    char hex[2 * sizeof hash + 1];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)buffer_text(body), body->length,
                       NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    snprintf(etag, ETAG_SIZE, "\"%s\"", hex);
}

/* The weak comparison of a list of entity tags. */
static bool none_match_fails(const char *list, const char *etag)
{
    size_t length = strlen(etag);
    if (!list)
        return false;
    for (list += strspn(list, " ,"); *list; list += strspn(list, " ,")) {
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (*list != '"')
            return false;
        if (strncmp(list, etag, length) == 0)
            return true;
        const char *end = strchr(list + 1, '"');
        if (!end)
            return false;
        list = end + 1;
    }
    return false;
}

static const char *content_type(const char *name)
{
    static const struct {
        const char *ending;
        const char *type;
    } types[] = {
        {".css", "text/css; charset=utf-8"},
        {".gif", "image/gif"},
        {".html", "text/html; charset=utf-8"},
        {".ico", "image/x-icon"},
        {".jpg", "image/jpeg"},
        {".js", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".png", "image/png"},
        {".svg", "image/svg+xml"},
        {".txt", "text/plain; charset=utf-8"},
        {".webmanifest", "application/manifest+json"},
        {".webp", "image/webp"},
        {".woff", "font/woff"},
        {".woff2", "font/woff2"},
    };
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && i < sizeof types / sizeof *types; i++)
        if (strcmp(ending, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

void static_file_serve(int webroot, const char *name, const struct http_request *request,
                       struct http_response *response)
{
    struct stat status;
    cleanup_fd int fd = open_below(webroot, name);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_size > (off_t)STATIC_FILE_LIMIT) {
        response->status = 404;
        return;
    }
    if (!read_whole(fd, (size_t)status.st_size, &response->body)) {
        response->status = 500;
        return;
    }
    char etag[ETAG_SIZE];
    content_etag(&response->body, etag);
    http_add_header(response, "ETag", etag);
    http_add_header(response, "Cache-Control", "public, max-age=3600");
    snprintf(response->content_type, sizeof response->content_type, "%s", content_type(name));
    if (none_match_fails(http_header(request, "If-None-Match"), etag))
        response->status = 304;
}

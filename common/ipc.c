#include "common/ipc.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define STALE_TRIES 10
#define STALE_PAUSE_US 50000
#define NO_DEADLINE INT64_MAX

/* --- sockets --- */

static bool socket_address(const char *path, struct sockaddr_un *address, struct error *error)
{
    size_t length = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length == 0 || length >= sizeof(address->sun_path))
        return error_set(error, ERROR_LIMIT, path,
                         "the path of a socket must have 1 to %zu bytes; use a shorter folder",
                         sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, length + 1);
    return true;
}

/* The connection is made without waiting: a full backlog means that the peer does not answer. */
static int connect_now(const struct sockaddr_un *address, int type)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
        fcntl(fd, F_SETFL, 0) == 0)
        return fd;
    int number = errno;
    close(fd);
    errno = number;
    return -1;
}

int ipc_connect(const char *path, int type, struct error *error)
{
    struct sockaddr_un address;
    char text[128];
    if (!socket_address(path, &address, error))
        return -1;
    int fd = connect_now(&address, type);
    if (fd < 0)
        error_set(error, ERROR_UNAVAILABLE, path, "cannot connect: %s",
                  strerror_r(errno, text, sizeof(text)));
    return fd;
}

static bool somebody_listens(const struct sockaddr_un *address, int type)
{
    int fd = connect_now(address, type);
    if (fd < 0)
        return errno != ECONNREFUSED && errno != ENOENT;
    close(fd);
    return true;
}

/* The children of a killed process may hold its socket for a moment longer, hence the tries. */
static bool clear_path(const char *path, const struct sockaddr_un *address, int type,
                       struct error *error)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return errno == ENOENT || error_set_errno(error, path, "cannot look at");
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, ERROR_EXISTS, path, "is there and is not a socket");
    for (int attempt = 0; somebody_listens(address, type); attempt++) {
        if (attempt >= STALE_TRIES)
            return error_set(error, ERROR_EXISTS, path, "another process listens there");
        usleep(STALE_PAUSE_US);
    }
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set_errno(error, path, "cannot remove the stale socket");
    return true;
}

/* Linux gives a bound socket the mode of its descriptor (less the umask): set before bind, there is
 * no moment at which others may connect. The mode is made exact before anybody can. */
static bool bind_and_listen(int fd, const char *path, const struct sockaddr_un *address,
                            unsigned mode, struct error *error)
{
    if (fchmod(fd, mode) != 0)
        return error_set_errno(error, path, "cannot set the mode");
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
        return error_set_errno(error, path, "cannot bind");
    if (chmod(path, mode) != 0)
        return error_set_errno(error, path, "cannot set the mode");
    if (listen(fd, SOMAXCONN) != 0)
        return error_set_errno(error, path, "cannot listen");
    return true;
}

int ipc_listen(const char *path, int type, unsigned mode, struct error *error)
{
    struct sockaddr_un address;
    if (!socket_address(path, &address, error) || !clear_path(path, &address, type, error))
        return -1;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set_errno(error, path, "cannot make a socket");
        return -1;
    }
    if (!bind_and_listen(fd, path, &address, mode, error)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* --- stream frames --- */

static int64_t deadline_in(int timeout_ms)
{
    return timeout_ms < 0 ? NO_DEADLINE : timestamp_monotonic_ms() + timeout_ms;
}

static int milliseconds_to(int64_t deadline)
{
    if (deadline == NO_DEADLINE)
        return -1;
    int64_t left = deadline - timestamp_monotonic_ms();
    return left > 0 ? (int)left : 0;
}

static bool wait_for(int fd, short events, int64_t deadline, struct error *error)
{
    struct pollfd ready = {.fd = fd, .events = events};
    for (;;) {
        int count = poll(&ready, 1, milliseconds_to(deadline));
        if (count > 0)
            return true;
        if (count == 0)
            return error_set(error, ERROR_TIMEOUT, NULL, "the peer did not answer in time");
        if (errno != EINTR)
            return error_set_errno(error, NULL, "cannot wait for the peer");
    }
}

static bool peer_gone(struct error *error)
{
    return error_set(error, ERROR_UNAVAILABLE, NULL, "the peer closed the connection");
}

static bool transfer_error(const char *what, struct error *error)
{
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
        return peer_gone(error);
    return error_set_errno(error, NULL, what);
}

static bool send_all(int fd, const void *data, size_t length, int64_t deadline, struct error *error)
{
    const char *from = data;
    while (length > 0) {
        ssize_t count = send(fd, from, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            from += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(fd, POLLOUT, deadline, error))
                return false;
        } else if (errno != EINTR) {
            return transfer_error("cannot send", error);
        }
    }
    return true;
}

static bool receive_all(int fd, void *data, size_t length, int64_t deadline, struct error *error)
{
    char *to = data;
    while (length > 0) {
        ssize_t count = recv(fd, to, length, MSG_DONTWAIT);
        if (count == 0)
            return peer_gone(error);
        if (count > 0) {
            to += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(fd, POLLIN, deadline, error))
                return false;
        } else if (errno != EINTR) {
            return transfer_error("cannot receive", error);
        }
    }
    return true;
}

/* The text of a frame of at most `limit` bytes; the caller frees it. */
static char *frame_text(const json_t *value, size_t limit, size_t *length, struct error *error)
{
    char *text = json_is_object(value) ? json_text(value) : NULL;
    if (!text) {
        error_set(error, ERROR_INTERNAL, NULL, "a frame could not be written as JSON");
        return NULL;
    }
    *length = strlen(text);
    if (*length <= limit)
        return text;
    free(text);
    error_set(error, ERROR_LIMIT, NULL, "a frame must have at most %zu bytes", limit);
    return NULL;
}

static json_t *parse_frame(const char *text, size_t length, struct error *error)
{
    struct error local = {0};
    json_t *value = json_parse(text, length, NULL, &local);
    if (value && json_is_object(value))
        return value;
    error_set(error, ERROR_PROTOCOL, NULL, "the peer sent a bad frame: %s",
              value ? "not an object" : local.message);
    json_decref(value);
    return NULL;
}

void ipc_head_write(unsigned char head[IPC_HEAD_SIZE], size_t length)
{
    for (int i = 0; i < IPC_HEAD_SIZE; i++)
        head[i] = (unsigned char)(length >> (8 * (IPC_HEAD_SIZE - 1 - i)));
}

size_t ipc_head_read(const unsigned char head[IPC_HEAD_SIZE])
{
    size_t length = 0;
    for (int i = 0; i < IPC_HEAD_SIZE; i++)
        length = length << 8 | head[i];
    return length;
}

static bool send_frame(int fd, const json_t *value, int64_t deadline, struct error *error)
{
    size_t length;
    cleanup_free char *text = frame_text(value, IPC_FRAME_LIMIT, &length, error);
    if (!text)
        return false;
    unsigned char head[IPC_HEAD_SIZE];
    ipc_head_write(head, length);
    return send_all(fd, head, sizeof(head), deadline, error) &&
           send_all(fd, text, length, deadline, error);
}

static json_t *receive_frame(int fd, int64_t deadline, struct error *error)
{
    unsigned char head[IPC_HEAD_SIZE];
    if (!receive_all(fd, head, sizeof(head), deadline, error))
        return NULL;
    size_t length = ipc_head_read(head);
    if (length == 0 || length > IPC_FRAME_LIMIT) {
        error_set(error, ERROR_PROTOCOL, NULL, "the peer announced a frame of %zu bytes", length);
        return NULL;
    }
    cleanup_free char *text = malloc(length);
    if (!text) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    return receive_all(fd, text, length, deadline, error) ? parse_frame(text, length, error) : NULL;
}

bool ipc_send(int fd, const json_t *value, int timeout_ms, struct error *error)
{
    return send_frame(fd, value, deadline_in(timeout_ms), error);
}

json_t *ipc_receive(int fd, int timeout_ms, struct error *error)
{
    return receive_frame(fd, deadline_in(timeout_ms), error);
}

/* --- requests --- */

static bool check_reply(const char *path, const json_t *reply, struct error *error)
{
    const json_t *ok = json_object_get(reply, "ok");
    const char *text = json_string_value(json_object_get(reply, "error"));
    if (!json_is_boolean(ok))
        return error_set(error, ERROR_PROTOCOL, path, "the reply does not say whether it is ok");
    if (json_is_true(ok))
        return true;
    return error_set(error, ERROR_INVALID, path, "%s", text ? text : "refused without a reason");
}

static json_t *exchange(int fd, const json_t *request, int64_t deadline, struct error *error)
{
    return send_frame(fd, request, deadline, error) ? receive_frame(fd, deadline, error) : NULL;
}

json_t *ipc_request(const char *path, const json_t *request, int timeout_ms, struct error *error)
{
    struct error local = {0};
    int64_t deadline = deadline_in(timeout_ms);
    cleanup_fd int fd = ipc_connect(path, SOCK_STREAM, error);
    if (fd < 0)
        return NULL;
    json_t *reply = exchange(fd, request, deadline, &local);
    if (!reply) {
        error_set(error, local.code, path, "%s", local.message);
        return NULL;
    }
    if (check_reply(path, reply, error))
        return reply;
    json_decref(reply);
    return NULL;
}

#include "scanner/engine/control.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_MS 30000
#define CHUNK (64u << 10) /* bytes that are read at a time */

struct client {
    int fd; /* -1: free */
    struct buffer in, out;
    uint64_t wait_for; /* 0: none */
    int64_t idle_at_ms;
};

struct control {
    char path[108];
    int fd;
    control_handler handler;
    void *context;
    struct client clients[CONTROL_CLIENTS];
};

struct control *control_new(const char *path, control_handler handler, void *context,
                            struct error *error)
{
    struct control *control = calloc(1, sizeof(*control));
    if (!control || strlen(path) >= sizeof(control->path)) {
        error_set(error, control ? ERROR_LIMIT : ERROR_INTERNAL, path,
                  control ? "the path of the socket is too long" : "out of memory");
        free(control);
        return NULL;
    }
    memcpy(control->path, path, strlen(path) + 1);
    control->handler = handler;
    control->context = context;
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        control->clients[i].fd = -1;
    control->fd = ipc_listen(path, SOCK_STREAM, 0660, error);
    if (control->fd < 0 || fcntl(control->fd, F_SETFL, O_NONBLOCK) != 0) {
        free(control);
        return NULL;
    }
    return control;
}

static void close_client(struct client *client)
{
    close(client->fd);
    buffer_free(&client->in);
    buffer_free(&client->out);
    *client = (struct client){.fd = -1};
}

void control_free(struct control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        if (control->clients[i].fd >= 0)
            close_client(&control->clients[i]);
    close(control->fd);
    unlink(control->path);
    free(control);
}

/* --- frames --- */

static void write_pending(struct client *client)
{
    while (client->out.length > 0) {
        ssize_t count =
            send(client->fd, client->out.data, client->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (count < 0) {
            close_client(client);
            return;
        }
        buffer_consume(&client->out, (size_t)count);
    }
}

static void reply(struct client *client, const json_t *value)
{
    cleanup_free char *text = value ? json_text(value) : NULL;
    size_t length = text ? strlen(text) : 0;
    unsigned char head[IPC_HEAD_SIZE];
    ipc_head_write(head, length);
    client->wait_for = 0;
    client->idle_at_ms = timestamp_monotonic_ms() + IDLE_MS;
    if (!text || !buffer_add(&client->out, head, IPC_HEAD_SIZE) ||
        !buffer_add(&client->out, text, length)) {
        close_client(client);
        return;
    }
    write_pending(client);
}

static void answer(struct control *control, struct client *client, const char *text, size_t length)
{
    struct error error = {0};
    uint64_t wait_for = 0;
    cleanup_json json_t *request = json_parse(text, length, NULL, &error);
    cleanup_json json_t *value = request ? control->handler(request, &wait_for, control->context)
                                         : json_pack("{s:b,s:s}", "ok", 0, "error", error.message);
    if (value || wait_for == 0)
        reply(client, value);
    else
        client->wait_for = wait_for;
}

/* One frame at a time; the next one waits until this is answered. */
static void take_frames(struct control *control, struct client *client)
{
    while (client->fd >= 0 && client->wait_for == 0 && client->in.length >= IPC_HEAD_SIZE) {
        size_t length = ipc_head_read((const unsigned char *)client->in.data);
        if (length == 0 || length > CONTROL_REQUEST_LIMIT) {
            close_client(client);
            return;
        }
        if (client->in.length < IPC_HEAD_SIZE + length)
            return;
        cleanup_free char *text = malloc(length);
        if (!text) {
            close_client(client);
            return;
        }
        memcpy(text, client->in.data + IPC_HEAD_SIZE, length);
        buffer_consume(&client->in, IPC_HEAD_SIZE + length);
        answer(control, client, text, length);
    }
}

/* --- sockets --- */

static void accept_clients(struct control *control)
{
    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd >= 0)
            continue;
        int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        *client = (struct client){.fd = fd, .idle_at_ms = timestamp_monotonic_ms() + IDLE_MS};
        buffer_init(&client->in, CONTROL_REQUEST_LIMIT + CHUNK + IPC_HEAD_SIZE);
        buffer_init(&client->out, CONTROL_REPLY_LIMIT);
    }
}

static void read_client(struct control *control, struct client *client)
{
    char chunk[CHUNK];
    ssize_t count = recv(client->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (count <= 0 || !buffer_add(&client->in, chunk, (size_t)count)) {
        close_client(client);
        return;
    }
    client->idle_at_ms = timestamp_monotonic_ms() + IDLE_MS;
    take_frames(control, client);
}

static bool is_full(const struct control *control)
{
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        if (control->clients[i].fd < 0)
            return false;
    return true;
}

size_t control_poll(const struct control *control, struct pollfd *fds)
{
    size_t count = 0;
    if (!is_full(control))
        fds[count++] = (struct pollfd){.fd = control->fd, .events = POLLIN};
    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        const struct client *client = &control->clients[i];
        short events = POLLIN | (client->out.length > 0 ? POLLOUT : 0);
        if (client->fd >= 0)
            fds[count++] = (struct pollfd){.fd = client->fd, .events = events};
    }
    return count;
}

static void handle_client(struct control *control, struct client *client, short events)
{
    if (events & POLLOUT)
        write_pending(client);
    if (client->fd >= 0 && events & (POLLIN | POLLHUP | POLLERR))
        read_client(control, client);
}

void control_handle(struct control *control, const struct pollfd *fds, size_t count)
{
    int64_t now = timestamp_monotonic_ms();
    bool incoming = false;
    for (size_t i = 0; i < count; i++) {
        incoming |= fds[i].fd == control->fd && fds[i].revents;
        for (size_t j = 0; fds[i].revents && j < CONTROL_CLIENTS; j++)
            if (control->clients[j].fd == fds[i].fd)
                handle_client(control, &control->clients[j], fds[i].revents);
    }
    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd >= 0 && client->wait_for == 0 && client->idle_at_ms <= now)
            close_client(client);
    }
    if (incoming)
        accept_clients(control);
}

void control_generation_ended(struct control *control, uint64_t number, const json_t *value)
{
    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd < 0 || client->wait_for == 0 || client->wait_for > number)
            continue;
        reply(client, value);
        if (client->fd >= 0)
            take_frames(control, client);
    }
}

void control_answer(struct control *control, uint64_t number, const json_t *value)
{
    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &control->clients[i];
        if (client->fd < 0 || client->wait_for != number)
            continue;
        reply(client, value);
        if (client->fd >= 0)
            take_frames(control, client);
        return;
    }
}

#include "scanner/supervisor/control.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool control_open(struct control *control, const char *path, gid_t group, control_handler handler,
                  void *context, struct error *error)
{
    control->handler = handler;
    control->context = context;
    for (size_t i = 0; i < CONTROL_CLIENT_MOST; i++)
        control->clients[i].fd = -1;
    control->listener = ipc_listen(path, SOCK_STREAM, 0660, error);
    if (control->listener < 0)
        return false;
    if (lchown(path, (uid_t)-1, group) != 0)
        return error_set_errno(error, path, "cannot be given to the group");
    return fcntl(control->listener, F_SETFL, O_NONBLOCK) == 0 ||
           error_set_errno(error, path, "cannot be set up");
}

static void drop(struct control_client *client)
{
    close(client->fd);
    client->fd = -1;
    buffer_free(&client->input);
    buffer_free(&client->output);
}

void control_close(struct control *control)
{
    for (size_t i = 0; i < CONTROL_CLIENT_MOST; i++)
        if (control->clients[i].fd >= 0)
            drop(&control->clients[i]);
    if (control->listener >= 0)
        close(control->listener);
    control->listener = -1;
}

size_t control_poll_entries(struct control *control, struct pollfd *entries)
{
    size_t count = 0;
    entries[count++] = (struct pollfd){.fd = control->listener, .events = POLLIN};
    for (size_t i = 0; i < CONTROL_CLIENT_MOST; i++) {
        const struct control_client *client = &control->clients[i];
        if (client->fd >= 0)
            entries[count++] = (struct pollfd){.fd = client->fd,
                                               .events = client->output.length ? POLLOUT : POLLIN};
    }
    return count;
}

/* --- one client --- */

static bool answer(struct control *control, struct control_client *client, const char *text,
                   size_t length)
{
    struct error error = {0};
    char message[640];
    cleanup_json json_t *request = json_parse(text, length, "request", &error);
    cleanup_json json_t *reply = request ? control->handler(control->context, request, client->peer)
                                         : json_pack("{s:b,s:s}", "ok", 0, "error",
                                                     error_text(&error, message, sizeof(message)));
    cleanup_free char *reply_text = reply ? json_text(reply) : NULL;
    if (!reply_text)
        return false;
    size_t size = strlen(reply_text);
    unsigned char prefix[IPC_HEAD_SIZE];
    ipc_head_write(prefix, size);
    return buffer_add(&client->output, prefix, IPC_HEAD_SIZE) &&
           buffer_add(&client->output, reply_text, size);
}

/* Serves the first complete frame; one at a time, so that replies cannot pile up. */
static bool serve_frame(struct control *control, struct control_client *client)
{
    const unsigned char *data = (const unsigned char *)client->input.data;
    if (client->input.length < IPC_HEAD_SIZE || client->output.length)
        return true;
    size_t size = ipc_head_read(data);
    if (size > CONTROL_FRAME_LIMIT)
        return false;
    if (client->input.length < IPC_HEAD_SIZE + size)
        return true;
    bool ok = answer(control, client, client->input.data + IPC_HEAD_SIZE, size);
    buffer_consume(&client->input, IPC_HEAD_SIZE + size);
    return ok;
}

static bool receive(struct control *control, struct control_client *client)
{
    char data[4096];
    ssize_t length = read(client->fd, data, sizeof(data));
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    return length > 0 && buffer_add(&client->input, data, (size_t)length) &&
           serve_frame(control, client);
}

static bool transmit(struct control *control, struct control_client *client)
{
    ssize_t length =
        send(client->fd, client->output.data, client->output.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    buffer_consume(&client->output, (size_t)length);
    return serve_frame(control, client);
}

static void serve_client(struct control *control, struct control_client *client, short events)
{
    client->idle_at = timestamp_monotonic_ms() + CONTROL_IDLE_MS;
    bool ok = events & POLLOUT ? transmit(control, client) : receive(control, client);
    if (!ok)
        drop(client);
}

static void accept_client(struct control *control)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    for (size_t i = 0; i < CONTROL_CLIENT_MOST; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0)
            continue;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
            break;
        *client = (struct control_client){.fd = fd, .peer = peer.uid};
        client->idle_at = timestamp_monotonic_ms() + CONTROL_IDLE_MS;
        buffer_init(&client->input, IPC_HEAD_SIZE + CONTROL_FRAME_LIMIT + 4096);
        buffer_init(&client->output, IPC_HEAD_SIZE + CONTROL_FRAME_LIMIT);
        return;
    }
    close(fd);
}

static struct control_client *find_client(struct control *control, int fd)
{
    for (size_t i = 0; i < CONTROL_CLIENT_MOST; i++)
        if (control->clients[i].fd == fd)
            return &control->clients[i];
    return NULL;
}

int64_t control_serve(struct control *control, const struct pollfd *entries, size_t count)
{
    int64_t now = timestamp_monotonic_ms(), next = INT64_MAX;
    for (size_t i = 1; i < count; i++) {
        struct control_client *client =
            entries[i].revents ? find_client(control, entries[i].fd) : NULL;
        if (client)
            serve_client(control, client, entries[i].revents);
    }
    for (size_t i = 0; i < CONTROL_CLIENT_MOST; i++) {
        struct control_client *client = &control->clients[i];
        if (client->fd >= 0 && client->idle_at <= now)
            drop(client);
        else if (client->fd >= 0 && client->idle_at < next)
            next = client->idle_at;
    }
    if (entries[0].revents)
        accept_client(control);
    return next;
}

#include "scanner/directory/control.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_MODE 0660
#define CLIENTS_MOST 16
#define REQUEST_MOST 4096
#define IDLE_SECONDS 30

struct client {
    TAILQ_ENTRY(client) next;
    struct control *control;
    struct bufferevent *bufferevent;
};

struct control {
    struct event_base *base;
    struct evconnlistener *listener;
    TAILQ_HEAD(client_list, client) clients;
    size_t count;
    char *path;
    control_handler handler;
    void *argument;
};

static void client_free(struct client *client)
{
    TAILQ_REMOVE(&client->control->clients, client, next);
    client->control->count--;
    bufferevent_free(client->bufferevent);
    free(client);
}

static void answer(struct client *client, const char *text, size_t length)
{
    struct control *control = client->control;
    struct error error = {0};
    unsigned char head[IPC_HEAD_SIZE];
    cleanup_json json_t *request = json_parse(text, length, "request", &error);
    cleanup_json json_t *reply = request ? control->handler(control->argument, request)
                                         : json_pack("{s:b,s:s}", "ok", 0, "error", error.message);
    cleanup_free char *line = reply ? json_text(reply) : NULL;
    if (!line)
        abort();
    ipc_head_write(head, strlen(line));
    bufferevent_write(client->bufferevent, head, IPC_HEAD_SIZE);
    bufferevent_write(client->bufferevent, line, strlen(line));
}

static void on_readable(struct bufferevent *bufferevent, void *argument)
{
    struct client *client = argument;
    struct evbuffer *input = bufferevent_get_input(bufferevent);
    unsigned char head[IPC_HEAD_SIZE];
    char text[REQUEST_MOST];
    while (evbuffer_copyout(input, head, IPC_HEAD_SIZE) == IPC_HEAD_SIZE) {
        size_t length = ipc_head_read(head);
        if (length == 0 || length > REQUEST_MOST) {
            client_free(client);
            return;
        }
        if (evbuffer_get_length(input) < IPC_HEAD_SIZE + length)
            return;
        evbuffer_drain(input, IPC_HEAD_SIZE);
        evbuffer_remove(input, text, length);
        answer(client, text, length);
    }
}

static void on_end(struct bufferevent *bufferevent, short what, void *argument)
{
    (void)bufferevent;
    (void)what;
    client_free(argument);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int length, void *argument)
{
    struct control *control = argument;
    const struct timeval idle = {.tv_sec = IDLE_SECONDS};
    (void)listener;
    (void)address;
    (void)length;
    struct client *client = control->count < CLIENTS_MOST ? calloc(1, sizeof(*client)) : NULL;
    if (!client) {
        close(fd);
        return;
    }
    client->control = control;
    client->bufferevent = bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client->bufferevent)
        abort();
    TAILQ_INSERT_TAIL(&control->clients, client, next);
    control->count++;
    bufferevent_setcb(client->bufferevent, on_readable, NULL, on_end, client);
    bufferevent_setwatermark(client->bufferevent, EV_READ, 0, 2 * REQUEST_MOST);
    bufferevent_set_timeouts(client->bufferevent, &idle, &idle);
    bufferevent_enable(client->bufferevent, EV_READ | EV_WRITE);
}

struct control *control_open(struct event_base *base, const char *path, control_handler handler,
                             void *argument, struct error *error)
{
    int fd = ipc_listen(path, SOCK_STREAM, SOCKET_MODE, error);
    if (fd < 0)
        return NULL;
    struct control *control = calloc(1, sizeof(*control));
    if (!control || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        abort();
    control->base = base;
    control->handler = handler;
    control->argument = argument;
    control->path = strdup(path);
    TAILQ_INIT(&control->clients);
    control->listener = evconnlistener_new(base, on_connection, control,
                                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!control->path || !control->listener)
        abort();
    return control;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    while (!TAILQ_EMPTY(&control->clients))
        client_free(TAILQ_FIRST(&control->clients));
    evconnlistener_free(control->listener);
    unlink(control->path);
    free(control->path);
    free(control);
}

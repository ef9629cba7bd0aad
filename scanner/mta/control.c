#include "scanner/mta/control.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/control_handover.h"
#include "scanner/mta/control_requests.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/queue_list.h"
#include "scanner/mta/queue_operations.h"
#include "scanner/mta/submission.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_MOST 32
#define IDLE_SECONDS 120

struct client {
    struct control *control;
    struct client *next, **link;
    struct bufferevent *bufferevent;
    bool waits; /* for events */
    bool waits_for_reload;
    bool waits_for_handover;
    bool waits_for_storage; /* of the message that it submitted */
    struct control_events events;
    struct control_handover handover;
    struct queue_list *list; /* that is being gathered for it */
};

struct control {
    struct mta *mta;
    struct queue_operations *operations;
    struct submissions *submissions;
    struct evconnlistener *listener;
    struct event *patience; /* the first of those that wait for events or messages gets an empty
                               answer */
    struct client *clients;
    size_t client_count;
    char *path;
    control_reload reload;
    void *argument;
};

static void client_free(struct client *client)
{
    struct control *control = client->control;
    *client->link = client->next;
    if (client->next)
        client->next->link = client->link;
    control->client_count--;
    if (client->list)
        queue_list_cancel(client->list);
    submission_forget(control->submissions, client);
    bufferevent_free(client->bufferevent);
    free(client);
}

/* --- replies --- */

static void send_text(struct client *client, const char *text, size_t length)
{
    unsigned char head[IPC_HEAD_SIZE];
    ipc_head_write(head, length);
    bufferevent_write(client->bufferevent, head, IPC_HEAD_SIZE);
    bufferevent_write(client->bufferevent, text, length);
}

static void send_error(struct client *client, const struct error *error)
{
    char text[700];
    cleanup_json json_t *reply =
        json_pack("{s:b,s:s}", "ok", 0, "error", error_text(error, text, sizeof(text)));
    cleanup_free char *line = reply ? json_text(reply) : NULL;
    if (line)
        send_text(client, line, strlen(line));
}

/* The answer that the client waited for is sent: what it asked for meanwhile comes next. */
static void read_on(struct client *client)
{
    bufferevent_trigger(client->bufferevent, EV_READ, BEV_OPT_DEFER_CALLBACKS);
}

static void send_events(struct client *client)
{
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    buffer_init(&out, IPC_FRAME_LIMIT);
    client->waits = false;
    if (control_write_events(client->control->mta, &client->events, &out, &error))
        send_text(client, out.data, out.length);
    else
        send_error(client, &error);
    buffer_free(&out);
    read_on(client);
}

/* --- requests --- */

/* Sends what was written where it is good. */
static bool send_reply(struct client *client, struct buffer *out, bool good)
{
    if (good)
        send_text(client, out->data, out->length);
    buffer_free(out);
    return good;
}

static bool do_status(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    (void)request;
    return send_reply(client, &out, control_status(client->control->mta, &out, error));
}

static bool do_reload(struct client *client, const json_t *request, struct error *error)
{
    struct control *control = client->control;
    (void)request;
    (void)error;
    client->waits_for_reload = true;
    control->reload(control->argument);
    return true;
}

static void send_version(struct client *client)
{
    struct buffer out = BUFFER_INIT;
    buffer_add_format(&out, "{\"ok\":true,\"version\":%lld}",
                      (long long)client->control->mta->config->config->version);
    send_text(client, out.data, out.length);
    buffer_free(&out);
}

void control_reloaded(struct control *control, const struct error *error)
{
    for (struct client *client = control->clients; client; client = client->next) {
        if (!client->waits_for_reload)
            continue;
        client->waits_for_reload = false;
        if (error)
            send_error(client, error);
        else
            send_version(client);
        read_on(client);
    }
}

static bool do_ack(struct client *client, const json_t *request, struct error *error)
{
    static const char reply[] = "{\"ok\":true}";
    if (!control_ack(client->control->mta, request, error))
        return false;
    send_text(client, reply, sizeof(reply) - 1);
    return true;
}

static void send_handover(struct client *client)
{
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    buffer_init(&out, IPC_FRAME_LIMIT);
    client->waits_for_handover = false;
    if (control_handover_write(client->control->mta, &client->handover, &out, &error))
        send_text(client, out.data, out.length);
    else
        send_error(client, &error);
    buffer_free(&out);
    read_on(client);
}

/* Answers the client where there is something for it, or where its time has come; else that time,
 * and INT64_MAX for one that does not wait. */
static int64_t serve_client(struct client *client)
{
    const struct mta *mta = client->control->mta;
    if (client->waits) {
        if (!control_events_due(mta, &client->events))
            return client->events.until;
        send_events(client);
    } else if (client->waits_for_handover) {
        if (!control_handover_due(mta, &client->handover))
            return client->handover.until;
        send_handover(client);
    }
    return INT64_MAX;
}

/* Serves those who wait for events or messages. */
static void serve_waiting(struct control *control)
{
    int64_t next = INT64_MAX;
    for (struct client *client = control->clients; client; client = client->next) {
        int64_t until = serve_client(client);
        next = until < next ? until : next;
    }
    if (next == INT64_MAX)
        return;
    struct timeval interval = timestamp_interval(next - timestamp_monotonic_ms() + 1);
    event_add(control->patience, &interval);
}

static void on_synced(void *argument)
{
    serve_waiting(argument);
}

static void on_patience_over(int fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    serve_waiting(argument);
}

static bool do_events(struct client *client, const json_t *request, struct error *error)
{
    if (!control_read_events(request, &client->events, error))
        return false;
    client->waits = true;
    serve_waiting(client->control);
    return true;
}

static void on_list(void *argument, const char *text, size_t length)
{
    struct client *client = argument;
    client->list = NULL;
    send_text(client, text, length);
    read_on(client);
}

static bool do_queue_list(struct client *client, const json_t *request, struct error *error)
{
    const struct mta *mta = client->control->mta;
    client->list = queue_list_begin(mta->queue, mta->base, request, on_list, client, error);
    return client->list != NULL;
}

static bool do_queue_message(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    buffer_init(&out, IPC_FRAME_LIMIT);
    return send_reply(client, &out,
                      queue_message_write(client->control->mta->queue, request, &out, error));
}

static bool do_queue_act(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    return send_reply(client, &out,
                      queue_operations_act(client->control->operations, request, &out, error));
}

static bool do_queue_job(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    return send_reply(client, &out,
                      queue_operations_job(client->control->operations, request, &out, error));
}

static bool do_handover_list(struct client *client, const json_t *request, struct error *error)
{
    if (!control_handover_read(request, &client->handover, error))
        return false;
    client->waits_for_handover = true;
    serve_waiting(client->control);
    return true;
}

static bool do_handover_content(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    return send_reply(client, &out,
                      control_handover_content(client->control->mta, request, &out, error));
}

static bool do_handover_done(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    return send_reply(client, &out,
                      control_handover_done(client->control->mta, request, &out, error));
}

static bool do_submit_begin(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    return send_reply(client, &out,
                      submission_begin(client->control->submissions, request, &out, error));
}

static bool do_submit_data(struct client *client, const json_t *request, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    return send_reply(client, &out,
                      submission_data(client->control->submissions, request, &out, error));
}

static void send_stored(struct client *client)
{
    static const char reply[] = "{\"ok\":true}";
    send_text(client, reply, sizeof(reply) - 1);
}

static void on_stored(void *argument, enum error_code result)
{
    struct client *client = argument;
    struct error error = {0};
    client->waits_for_storage = false;
    error_set(&error, result, NULL,
              result == ERROR_NO_SPACE ? "the scanner's disk is full"
                                       : "the message breaks a limit of the queue");
    if (result == ERROR_NONE)
        send_stored(client);
    else
        send_error(client, &error);
    read_on(client);
}

static bool do_submit_end(struct client *client, const json_t *request, struct error *error)
{
    bool known;
    if (!submission_end(client->control->submissions, request, &known, on_stored, client, error))
        return false;
    client->waits_for_storage = !known;
    if (known)
        send_stored(client);
    return true;
}

static const struct {
    const char *op;
    bool (*run)(struct client *client, const json_t *request, struct error *error);
} operations[] = {
    {"status", do_status},
    {"reload", do_reload},
    {"events", do_events},
    {"ack", do_ack},
    {"queue_list", do_queue_list},
    {"queue_message", do_queue_message},
    {"queue_act", do_queue_act},
    {"queue_job", do_queue_job},
    {"handover_list", do_handover_list},
    {"handover_content", do_handover_content},
    {"handover_done", do_handover_done},
    {"submit_begin", do_submit_begin},
    {"submit_data", do_submit_data},
    {"submit_end", do_submit_end},
};
#define OPERATION_COUNT (sizeof(operations) / sizeof(operations[0]))

static void answer(struct client *client, const char *text, size_t length)
{
    struct error error = {0};
    const char *op;
    cleanup_json json_t *request = json_parse(text, length, NULL, &error);
    bool good = request && json_get_text(request, NULL, "op", 64, &op, &error);
    size_t i = 0;
    while (good && i < OPERATION_COUNT && strcmp(op, operations[i].op) != 0)
        i++;
    if (good && i == OPERATION_COUNT)
        good = error_set(&error, ERROR_INVALID, "op", "there is no such operation");
    else if (good)
        good = operations[i].run(client, request, &error);
    if (!good)
        send_error(client, &error);
}

/* --- connections --- */

static bool waits(const struct client *client)
{
    return client->waits || client->list || client->waits_for_reload ||
           client->waits_for_handover || client->waits_for_storage;
}

/* One request at a time: the next one waits until this is answered. */
static void on_readable(struct bufferevent *bufferevent, void *argument)
{
    struct client *client = argument;
    struct evbuffer *input = bufferevent_get_input(bufferevent);
    unsigned char head[IPC_HEAD_SIZE];
    while (!waits(client) && evbuffer_copyout(input, head, IPC_HEAD_SIZE) == IPC_HEAD_SIZE) {
        size_t length = ipc_head_read(head);
        if (length == 0 || length > CONTROL_REQUEST_LIMIT) {
            client_free(client);
            return;
        }
        if (evbuffer_get_length(input) < IPC_HEAD_SIZE + length)
            return;
        evbuffer_drain(input, IPC_HEAD_SIZE);
        const char *text = (const char *)evbuffer_pullup(input, (ev_ssize_t)length);
        cleanup_free char *copy = strndup(text, length);
        evbuffer_drain(input, length);
        if (!copy)
            abort();
        answer(client, copy, strlen(copy));
    }
}

static void on_end(struct bufferevent *bufferevent, short what, void *argument)
{
    struct client *client = argument;
    (void)bufferevent;
    if (!(what & BEV_EVENT_TIMEOUT) || !waits(client))
        client_free(client);
    else
        bufferevent_enable(client->bufferevent, EV_READ);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int length, void *argument)
{
    struct control *control = argument;
    const struct timeval idle = {.tv_sec = IDLE_SECONDS};
    (void)listener;
    (void)address;
    (void)length;
    struct client *client = control->client_count < CLIENT_MOST ? calloc(1, sizeof(*client)) : NULL;
    if (!client) {
        close(fd);
        return;
    }
    client->control = control;
    client->bufferevent = bufferevent_socket_new(control->mta->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client->bufferevent)
        abort();
    client->next = control->clients;
    client->link = &control->clients;
    if (client->next)
        client->next->link = &client->next;
    control->clients = client;
    control->client_count++;
    bufferevent_setcb(client->bufferevent, on_readable, NULL, on_end, client);
    bufferevent_setwatermark(client->bufferevent, EV_READ, 0, 2 * CONTROL_REQUEST_LIMIT);
    bufferevent_set_timeouts(client->bufferevent, &idle, &idle);
    bufferevent_enable(client->bufferevent, EV_READ | EV_WRITE);
}

/* --- life --- */

struct control *control_open(struct mta *mta, const char *path, control_reload reload,
                             void *argument, struct error *error)
{
    int fd = ipc_listen(path, SOCK_STREAM, 0660, error);
    if (fd < 0)
        return NULL;
    struct control *control = calloc(1, sizeof(*control));
    if (!control || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        abort();
    *control =
        (struct control){.mta = mta, .path = strdup(path), .reload = reload, .argument = argument};
    control->operations = queue_operations_new(mta);
    control->submissions = submissions_new(mta);
    control->patience = evtimer_new(mta->base, on_patience_over, control);
    control->listener = evconnlistener_new(mta->base, on_connection, control,
                                           LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!control->path || !control->patience || !control->listener)
        abort();
    queue_log_watch(queue_log_of(mta->queue), on_synced, control);
    return control;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    while (control->clients)
        client_free(control->clients);
    queue_operations_free(control->operations);
    submissions_free(control->submissions);
    evconnlistener_free(control->listener);
    queue_log_watch(queue_log_of(control->mta->queue), NULL, NULL);
    event_free(control->patience);
    unlink(control->path);
    free(control->path);
    free(control);
}

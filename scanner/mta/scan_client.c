#include "scanner/mta/scan_client.h"

#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/samples.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_LIMIT 64
#define SCAN_TRIES 2          /* a worker that died over a message gets it once more */
#define ANSWER_MARGIN_MS 5000 /* over the scan's own limit, then the worker is given up */
#define HELLO_MS 60000        /* a worker accepts when it has finished another connection's scan */
#define RECONNECT_MS 200
#define WATCH_MS 1000 /* without work: until the engine that is away is looked for again */
#define RESEND_MS 5   /* the workers of a reload take over */
#define DIED_TWICE "the scanning process ended twice over this message"

struct scan_request {
    struct scan_client *client;
    struct scan_request *next, **link; /* in client->waiting; link is NULL while it is scanned */
    struct scan_order order;
    struct event *patience; /* NULL: no limit */
    int tries;
    scan_done done;
    void *argument;
};

enum connection_state { CONNECTION_CLOSED, CONNECTION_GREETED, CONNECTION_READY, CONNECTION_BUSY };

struct connection {
    struct scan_client *client;
    enum connection_state state; /* GREETED: waits for the hello */
    int fd;
    struct event *event;
    struct scan_request *request; /* NULL while busy: nobody waits for the answer any more */
    unsigned signatures;          /* of the client when the hello came */
};

struct scan_client {
    struct event_base *base;
    char *path;
    char *samples;      /* folder; NULL: none are kept */
    struct event *work; /* hands out requests, and connects again */
    struct scan_request *waiting, **waiting_end;
    int connection_count;
    bool away;        /* said so already */
    char *signatures; /* as the last hello described them; NULL: none yet */
    unsigned changes; /* of them */
    void (*changed)(void *argument);
    void *changed_argument;
    struct connection connections[CONNECTIONS_LIMIT];
};

/* --- requests --- */

static void wake(struct scan_client *client, int milliseconds)
{
    struct timeval time = timestamp_interval(milliseconds);
    if (milliseconds == 0)
        event_active(client->work, EV_TIMEOUT, 0);
    else if (!event_pending(client->work, EV_TIMEOUT, NULL))
        event_add(client->work, &time);
}

static void enqueue(struct scan_request *request)
{
    struct scan_client *client = request->client;
    request->next = NULL;
    request->link = client->waiting_end;
    *client->waiting_end = request;
    client->waiting_end = &request->next;
}

/* A request whose worker died comes before those that were never tried. */
static void enqueue_first(struct scan_request *request)
{
    struct scan_client *client = request->client;
    request->next = client->waiting;
    request->link = &client->waiting;
    if (client->waiting)
        client->waiting->link = &request->next;
    else
        client->waiting_end = &request->next;
    client->waiting = request;
}

static void dequeue(struct scan_request *request)
{
    *request->link = request->next;
    if (request->next)
        request->next->link = request->link;
    else
        request->client->waiting_end = request->link;
    request->link = NULL;
}

static void request_free(struct scan_request *request)
{
    if (request->patience)
        event_free(request->patience);
    close(request->order.fd);
    if (request->order.asks_policy)
        close(request->order.envelope);
    free(request);
}

static void finish(struct scan_request *request, const struct scan_answer *answer)
{
    scan_done done = request->done;
    void *argument = request->argument;
    request_free(request);
    done(argument, answer);
}

static void finish_without_files(struct scan_request *request, const json_t *result)
{
    const struct scan_answer answer = {.result = result, .cleaned = -1, .policy = -1};
    finish(request, &answer);
}

static void keep_sample(const struct scan_request *request, const char *id)
{
    struct error error = {0};
    char text[700];
    const char *folder = request->client->samples;
    if (!folder)
        return;
    if (samples_keep(folder, &request->order.id, request->order.fd, request->order.size, &error))
        log_info("message %s is kept in %s to find out why", id, folder);
    else
        log_warning("message %s cannot be kept: %s", id, error_text(&error, text, sizeof(text)));
}

static void finish_unscannable(struct scan_request *request)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    cleanup_json json_t *result =
        json_pack("{s:s,s:s,s:[],s:s}", "id", message_id_text(&request->order.id, id), "verdict",
                  "unscannable", "threats", "reason", DIED_TWICE);
    log_error("message %s: %s", id, DIED_TWICE);
    keep_sample(request, id);
    if (!result)
        abort();
    finish_without_files(request, result);
}

/* --- connections --- */

static void close_connection(struct connection *connection)
{
    if (connection->event)
        event_free(connection->event);
    if (connection->fd >= 0)
        close(connection->fd);
    connection->event = NULL;
    connection->fd = -1;
    connection->state = CONNECTION_CLOSED;
    connection->request = NULL;
}

/* The worker is gone or not to be trusted: the message in it is tried once more. */
static void lose_connection(struct connection *connection)
{
    struct scan_client *client = connection->client;
    struct scan_request *request = connection->request;
    close_connection(connection);
    wake(client, RECONNECT_MS);
    if (!request)
        return;
    if (++request->tries >= SCAN_TRIES)
        finish_unscannable(request);
    else
        enqueue_first(request);
}

static bool is_result_for(const struct connection *connection, const json_t *result)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    const char *given = json_string_value(json_object_get(result, "id"));
    const char *verdict = json_string_value(json_object_get(result, "verdict"));
    if (!given || !verdict)
        return false;
    return !connection->request ||
           strcmp(given, message_id_text(&connection->request->order.id, id)) == 0;
}

/* The files come in this order: the clean one, the policy's answer, the new bodies. */
static struct scan_answer sort_files(const json_t *result, const int *files, size_t count)
{
    struct scan_answer answer = {.result = result, .cleaned = -1, .policy = -1};
    size_t at = 0;
    if (json_object_get(result, "cleaned") && at < count)
        answer.cleaned = files[at++];
    if (json_is_true(json_object_get(result, "policy")) && at < count)
        answer.policy = files[at++];
    answer.bodies = files + at;
    answer.body_count = count - at;
    return answer;
}

static void take_result(struct connection *connection, const json_t *frame, const int *files,
                        size_t count)
{
    const json_t *result = json_object_get(frame, "result");
    struct scan_request *request = connection->request;
    if (!is_result_for(connection, result)) {
        log_error("engine: an answer that does not belong to the message");
        lose_connection(connection);
        return;
    }
    connection->request = NULL;
    connection->state = CONNECTION_READY;
    event_remove_timer(connection->event);
    wake(connection->client, 0);
    if (connection->signatures != connection->client->changes)
        close_connection(connection);
    struct scan_answer answer = sort_files(result, files, count);
    if (request)
        finish(request, &answer);
}

/* Workers with the signatures from before get nothing more: they are about to end. */
static void drop_idle(struct scan_client *client)
{
    for (int i = 0; i < CONNECTIONS_LIMIT; i++) {
        struct connection *connection = &client->connections[i];
        if (connection->state == CONNECTION_READY && connection->signatures != client->changes)
            close_connection(connection);
    }
}

static void take_hello(struct connection *connection, const json_t *frame)
{
    struct scan_client *client = connection->client;
    const json_t *hello = json_object_get(frame, "hello");
    char *signatures = json_dumps(json_object_get(hello, "signatures"), JSON_SORT_KEYS);
    bool changed =
        signatures && (!client->signatures || strcmp(signatures, client->signatures) != 0);
    client->changes += changed;
    connection->signatures = client->changes;
    if (!changed) {
        free(signatures);
        return;
    }
    free(client->signatures);
    client->signatures = signatures;
    drop_idle(client);
    if (client->changed)
        client->changed(client->changed_argument);
}

void scan_client_watch_signatures(struct scan_client *client, void (*changed)(void *argument),
                                  void *argument)
{
    client->changed = changed;
    client->changed_argument = argument;
    wake(client, 0);
}

void scan_client_keep_samples(struct scan_client *client, const char *folder)
{
    free(client->samples);
    client->samples = strdup(folder);
    if (!client->samples)
        abort();
}

static void take_frame(struct connection *connection, const json_t *frame, const int *files,
                       size_t count)
{
    if (connection->state == CONNECTION_BUSY) {
        take_result(connection, frame, files, count);
        return;
    }
    if (connection->state != CONNECTION_GREETED) {
        lose_connection(connection);
        return;
    }
    connection->state = CONNECTION_READY;
    connection->client->away = false;
    event_remove_timer(connection->event);
    wake(connection->client, 0);
    take_hello(connection, frame);
}

static void on_readable(int fd, short events, void *argument)
{
    struct connection *connection = argument;
    struct error error = {0};
    int files[IPC_PACKET_DESCRIPTORS];
    size_t count = 0;
    if (events & EV_TIMEOUT) {
        log_warning("engine: no answer in time");
        lose_connection(connection);
        return;
    }
    cleanup_json json_t *frame =
        ipc_packet_receive_descriptors(fd, files, IPC_PACKET_DESCRIPTORS, &count, &error);
    if (frame)
        take_frame(connection, frame, files, count);
    else if (error.code != ERROR_TIMEOUT)
        lose_connection(connection);
    for (size_t i = 0; i < count; i++)
        close(files[i]);
}

static void note_away(struct scan_client *client, const struct error *error)
{
    char text[700];
    if (!client->away)
        log_warning("the engine is away, messages wait: %s", error_text(error, text, sizeof(text)));
    client->away = true;
}

static bool open_connection(struct connection *connection)
{
    struct scan_client *client = connection->client;
    struct error error = {0};
    struct timeval time = {.tv_sec = HELLO_MS / 1000};
    connection->fd = ipc_connect(client->path, SOCK_SEQPACKET, &error);
    if (connection->fd < 0 || fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0) {
        note_away(client, &error);
        close_connection(connection);
        return false;
    }
    connection->event =
        event_new(client->base, connection->fd, EV_READ | EV_PERSIST, on_readable, connection);
    if (!connection->event)
        abort();
    event_add(connection->event, &time);
    connection->state = CONNECTION_GREETED;
    return true;
}

/* --- handing out --- */

static json_t *verdict_names(uint32_t bits)
{
    json_t *array = bits ? json_array() : NULL;
    for (size_t i = 0; array && i < CONFIG_VERDICT_COUNT; i++)
        if (bits & 1u << i)
            json_array_append_new(array, json_string(config_verdict_name((enum config_verdict)i)));
    return array;
}

static bool send_order(struct connection *connection, const struct scan_order *order)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    const int files[] = {order->fd, order->envelope};
    cleanup_json json_t *frame = json_pack(
        "{s:{s:s,s:I,s:i,s:o*}}", "scan", "id", message_id_text(&order->id, id), "size",
        (json_int_t)order->size, "seconds", order->seconds, "clean", verdict_names(order->clean));
    if (!order->asks_policy)
        return ipc_packet_send(connection->fd, frame, order->fd, NULL);
    json_t *scan = json_object_get(frame, "scan");
    if (json_object_set_new(scan, "age_ms", json_integer(order->age_ms)) != 0 ||
        json_object_set_new(scan, "envelope", json_true()) != 0)
        abort();
    return ipc_packet_send_descriptors(connection->fd, frame, files, 2, NULL);
}

static void give(struct connection *connection, struct scan_request *request)
{
    int64_t patience = (int64_t)request->order.seconds * 1000 + ANSWER_MARGIN_MS;
    struct timeval time = timestamp_interval(patience);
    if (!send_order(connection, &request->order)) { /* nothing was taken: no failed scan */
        close_connection(connection);
        wake(connection->client, RESEND_MS);
        return;
    }
    dequeue(request);
    connection->request = request;
    connection->state = CONNECTION_BUSY;
    event_add(connection->event, &time);
}

/* One connection stands without work too: only its end and the next hello tell that the engine has
 * other signatures. */
static bool is_wanted(const struct scan_client *client, int connection)
{
    return client->waiting || (client->changed && connection == 0);
}

static void on_work(int fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    struct scan_client *client = argument;
    bool tried = false;
    for (int i = 0; i < client->connection_count && is_wanted(client, i); i++) {
        struct connection *connection = &client->connections[i];
        if (connection->state == CONNECTION_READY && client->waiting)
            give(connection, client->waiting);
        else if (connection->state == CONNECTION_CLOSED && !tried)
            tried = !open_connection(connection);
    }
    for (int i = client->connection_count; i < CONNECTIONS_LIMIT; i++)
        if (client->connections[i].state == CONNECTION_READY)
            close_connection(&client->connections[i]);
    if (tried)
        wake(client, client->waiting ? RECONNECT_MS : WATCH_MS);
}

static void on_patience_over(int fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    struct scan_request *request = argument;
    struct scan_client *client = request->client;
    if (request->link)
        dequeue(request);
    else
        for (int i = 0; i < CONNECTIONS_LIMIT; i++)
            if (client->connections[i].request == request)
                client->connections[i].request = NULL;
    finish_without_files(request, NULL);
}

static void set_patience(struct scan_request *request)
{
    int milliseconds = request->order.wait_ms;
    struct timeval time = timestamp_interval(milliseconds);
    if (milliseconds <= 0)
        return;
    request->patience = evtimer_new(request->client->base, on_patience_over, request);
    if (!request->patience)
        abort();
    event_add(request->patience, &time);
}

struct scan_request *scan_client_scan(struct scan_client *client, const struct scan_order *order,
                                      scan_done done, void *argument)
{
    struct scan_request *request = calloc(1, sizeof(*request));
    if (!request)
        abort();
    *request = (struct scan_request){
        .client = client, .order = *order, .done = done, .argument = argument};
    set_patience(request);
    enqueue(request);
    wake(client, 0);
    return request;
}

/* --- life --- */

void scan_client_set_connections(struct scan_client *client, int connections)
{
    client->connection_count = connections < CONNECTIONS_LIMIT ? connections : CONNECTIONS_LIMIT;
    wake(client, 0);
}

struct scan_client *scan_client_new(struct event_base *base, const char *socket_path,
                                    int connections)
{
    struct scan_client *client = calloc(1, sizeof(*client));
    if (!client)
        abort();
    client->base = base;
    client->path = strdup(socket_path);
    client->work = event_new(base, -1, 0, on_work, client);
    if (!client->path || !client->work)
        abort();
    client->waiting_end = &client->waiting;
    for (int i = 0; i < CONNECTIONS_LIMIT; i++)
        client->connections[i] = (struct connection){.client = client, .fd = -1};
    scan_client_set_connections(client, connections);
    return client;
}

void scan_client_free(struct scan_client *client)
{
    if (!client)
        return;
    for (int i = 0; i < CONNECTIONS_LIMIT; i++) {
        if (client->connections[i].request)
            request_free(client->connections[i].request);
        close_connection(&client->connections[i]);
    }
    while (client->waiting) {
        struct scan_request *request = client->waiting;
        dequeue(request);
        request_free(request);
    }
    event_free(client->work);
    free(client->path);
    free(client->samples);
    free(client->signatures);
    free(client);
}

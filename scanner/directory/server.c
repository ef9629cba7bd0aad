#include "scanner/directory/server.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_MODE 0660
#define CLIENTS_MOST 32
#define ASKED_MOST 2000 /* questions and unsent answers of one client; then it is not read */
#define PACKETS_AT_ONCE 64

/* One question of a client, until its answer is sent. */
struct asked {
    TAILQ_ENTRY(asked) next;
    struct client *client;
    json_int_t id;
    struct question *question; /* NULL: answered */
    char *answer;              /* what the socket did not take at once */
};

struct client {
    TAILQ_ENTRY(client) next;
    struct server *server;
    int fd;
    struct event *readable, *writable;
    TAILQ_HEAD(asked_list, asked) asked; /* without an answer */
    struct asked_list unsent;            /* with one */
    size_t count;                        /* of both */
    bool is_broken;                      /* to be closed where it is safe */
};

struct server {
    struct event_base *base;
    struct questions *questions;
    int fd;
    struct event *listener;
    char *path;
    TAILQ_HEAD(client_list, client) clients;
    size_t client_count;
    unsigned char packet[IPC_PACKET_LIMIT]; /* wiped after use: passwords come in it */
};

/* --- clients --- */

static void asked_free(struct asked *asked, struct asked_list *list)
{
    TAILQ_REMOVE(list, asked, next);
    asked->client->count--;
    if (asked->question)
        question_cancel(asked->question);
    free(asked->answer);
    free(asked);
}

static void client_free(struct client *client)
{
    struct asked *asked;
    while ((asked = TAILQ_FIRST(&client->asked)))
        asked_free(asked, &client->asked);
    while ((asked = TAILQ_FIRST(&client->unsent)))
        asked_free(asked, &client->unsent);
    TAILQ_REMOVE(&client->server->clients, client, next);
    client->server->client_count--;
    event_free(client->readable);
    event_free(client->writable);
    close(client->fd);
    free(client);
}

/* Reads no more from one that has asked much and takes no answers. */
static void update_events(struct client *client)
{
    if (client->count < ASKED_MOST)
        event_add(client->readable, NULL);
    else
        event_del(client->readable);
    if (!TAILQ_EMPTY(&client->unsent) || client->is_broken)
        event_add(client->writable, NULL);
}

/* --- answers --- */

static void set_text(json_t *object, const char *name, const char *text)
{
    if (*text)
        json_object_set_new(object, name, json_string(text));
}

static char *answer_text(json_int_t id, const struct question_answer *answer)
{
    static const char *const names[] = {[QUESTION_KNOWN] = "known",
                                        [QUESTION_UNKNOWN] = "unknown",
                                        [QUESTION_NOT_ASKED] = "not_asked",
                                        [QUESTION_UNAVAILABLE] = "unavailable"};
    cleanup_json json_t *frame =
        json_pack("{s:{s:I,s:s}}", "answer", "id", id, "status", names[answer->status]);
    json_t *object = json_object_get(frame, "answer");
    json_t *groups = answer->groups.count > 0 ? json_array() : NULL;
    if (answer->status == QUESTION_UNAVAILABLE)
        set_text(object, "reason", answer->reason);
    else
        set_text(object, "address", answer->routing.address);
    if (answer->status != QUESTION_UNAVAILABLE)
        set_text(object, "route", answer->routing.route);
    set_text(object, "user", answer->user);
    for (size_t i = 0; i < answer->groups.count; i++)
        json_array_append_new(groups, json_string(answer->groups.names[i]));
    if (groups)
        json_object_set_new(object, "groups", groups);
    return frame ? json_text(frame) : NULL;
}

/* False where the socket takes no more at this time, or never. */
static bool send_answer(struct client *client, const char *text)
{
    ssize_t sent;
    do
        sent = send(client->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        client->is_broken = true;
    return sent >= 0;
}

static void on_answer(void *argument, const struct question_answer *answer)
{
    struct asked *asked = argument;
    struct client *client = asked->client;
    asked->question = NULL;
    asked->answer = answer_text(asked->id, answer);
    if (!asked->answer)
        abort();
    if (TAILQ_EMPTY(&client->unsent) && send_answer(client, asked->answer)) {
        asked_free(asked, &client->asked);
    } else {
        TAILQ_REMOVE(&client->asked, asked, next);
        TAILQ_INSERT_TAIL(&client->unsent, asked, next);
    }
    update_events(client);
}

static void on_writable(int fd, short events, void *argument)
{
    struct client *client = argument;
    struct asked *asked;
    (void)fd;
    (void)events;
    while (!client->is_broken && (asked = TAILQ_FIRST(&client->unsent)) &&
           send_answer(client, asked->answer))
        asked_free(asked, &client->unsent);
    if (client->is_broken)
        client_free(client);
    else
        update_events(client);
}

/* --- questions --- */

static bool read_question(struct client *client, const json_t *frame, struct asked *asked,
                          struct error *error)
{
    static const char *const kinds[] = {"recipient", "password", "groups"};
    struct questions *questions = client->server->questions;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct json_place place = {.name = kinds[i]};
        const json_t *object;
        const char *name, *password;
        int64_t id;
        if (!json_get_object(frame, NULL, kinds[i], false, &object, error))
            return false;
        if (!object)
            continue;
        if (!json_get_integer(object, &place, "id", 1, INT64_MAX, &id, error) ||
            !json_get_text(object, &place, i == 1 ? "user" : "address", QUESTION_TEXT_MOST, &name,
                           error) ||
            !json_get_text_or(object, &place, "password", QUESTION_TEXT_MOST, "", &password, error))
            return false;
        asked->id = id;
        if (i == 0)
            question_recipient(questions, name, &asked->question, on_answer, asked);
        else if (i == 1)
            question_password(questions, name, password, &asked->question, on_answer, asked);
        else
            question_groups(questions, name, &asked->question, on_answer, asked);
        return true;
    }
    return error_set(error, ERROR_PROTOCOL, NULL, "a packet asks nothing that is known");
}

static bool take_question(struct client *client, const json_t *frame, struct error *error)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    if (!asked)
        abort();
    asked->client = client;
    TAILQ_INSERT_TAIL(&client->asked, asked, next);
    client->count++;
    if (read_question(client, frame, asked, error))
        return true; /* it may be answered and gone */
    asked_free(asked, &client->asked);
    return false;
}

/* False where nothing more is to be read now; broken clients are marked. */
static bool take_packet(struct client *client)
{
    struct server *server = client->server;
    struct error error = {0};
    char text[700];
    ssize_t length;
    do
        length = recv(client->fd, server->packet, sizeof(server->packet), MSG_DONTWAIT | MSG_TRUNC);
    while (length < 0 && errno == EINTR);
    if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (length <= 0) {
        client->is_broken = true;
        return false;
    }
    size_t size = (size_t)length <= sizeof(server->packet) ? (size_t)length : 0;
    cleanup_json json_t *frame = json_parse((char *)server->packet, size, "question", &error);
    explicit_bzero(server->packet, size);
    if (frame && take_question(client, frame, &error))
        return true;
    log_error("a process does not keep to the protocol: %s",
              error_text(&error, text, sizeof(text)));
    client->is_broken = true;
    return false;
}

static void on_readable(int fd, short events, void *argument)
{
    struct client *client = argument;
    (void)fd;
    (void)events;
    for (int i = 0; i < PACKETS_AT_ONCE && client->count < ASKED_MOST && !client->is_broken; i++)
        if (!take_packet(client))
            break;
    if (client->is_broken)
        client_free(client);
    else
        update_events(client);
}

static void on_connection(int fd, short events, void *argument)
{
    struct server *server = argument;
    (void)events;
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0)
        return;
    struct client *client = server->client_count < CLIENTS_MOST ? calloc(1, sizeof(*client)) : NULL;
    if (!client) {
        close(connection);
        return;
    }
    client->server = server;
    client->fd = connection;
    TAILQ_INIT(&client->asked);
    TAILQ_INIT(&client->unsent);
    TAILQ_INSERT_TAIL(&server->clients, client, next);
    server->client_count++;
    client->readable =
        event_new(server->base, connection, EV_READ | EV_PERSIST, on_readable, client);
    client->writable = event_new(server->base, connection, EV_WRITE, on_writable, client);
    if (!client->readable || !client->writable)
        abort();
    update_events(client);
}

/* --- life --- */

struct server *server_open(struct event_base *base, struct questions *questions, const char *path,
                           struct error *error)
{
    int fd = ipc_listen(path, SOCK_SEQPACKET, SOCKET_MODE, error);
    if (fd < 0)
        return NULL;
    struct server *server = calloc(1, sizeof(*server));
    if (!server || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        abort();
    server->base = base;
    server->questions = questions;
    server->fd = fd;
    server->path = strdup(path);
    TAILQ_INIT(&server->clients);
    server->listener = event_new(base, fd, EV_READ | EV_PERSIST, on_connection, server);
    if (!server->path || !server->listener || event_add(server->listener, NULL) != 0)
        abort();
    return server;
}

void server_close(struct server *server)
{
    if (!server)
        return;
    while (!TAILQ_EMPTY(&server->clients))
        client_free(TAILQ_FIRST(&server->clients));
    event_free(server->listener);
    close(server->fd);
    unlink(server->path);
    free(server->path);
    free(server);
}

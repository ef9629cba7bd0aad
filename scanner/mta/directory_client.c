#include "scanner/mta/directory_client.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define QUESTIONS_MOST 10000
#define BUCKETS 1024
#define ANSWER_MS 65000  /* a source's longest timeout is 60 s */
#define AWAY_MS 2000     /* the process may be starting again */
#define RECONNECT_MS 100 /* between tries to connect */
#define PACKETS_AT_ONCE 64
#define TEXT_MOST 1024 /* bytes of a user name or a password */
#define GROUPS_MOST 4096
#define FRAME_SIZE (2 * 6 * TEXT_MOST + 128)

struct directory_question {
    struct directory_client *client;
    struct directory_question *next, **link;      /* by age: all times are alike */
    struct directory_question *same, **same_link; /* of one bucket */
    uint64_t id;
    int64_t asked_at;
    char *frame; /* NULL: sent, and not to be sent again */
    size_t frame_length;
    bool is_password;
    bool is_refused; /* it could not be asked at all */
    bool is_sent, was_lost;
    directory_callback callback;
    void *argument;
};

struct directory_client {
    struct event_base *base;
    char *path;
    int fd; /* -1: not connected */
    struct event *readable, *writable;
    struct event *work; /* sends, connects and gives up what is due */
    struct directory_question *first, **end;
    struct directory_question *buckets[BUCKETS];
    size_t count;
    uint64_t last_id;
    bool is_away; /* and that was logged */
};

/* --- questions --- */

static void wipe_frame(struct directory_question *question)
{
    if (question->frame)
        explicit_bzero(question->frame, question->frame_length);
    free(question->frame);
    question->frame = NULL;
}

static void question_free(struct directory_question *question)
{
    struct directory_client *client = question->client;
    *question->link = question->next;
    if (question->next)
        question->next->link = question->link;
    else
        client->end = question->link;
    *question->same_link = question->same;
    if (question->same)
        question->same->same_link = question->same_link;
    client->count--;
    wipe_frame(question);
    free(question);
}

static void finish(struct directory_question *question, const struct directory_answer *answer)
{
    directory_callback callback = question->callback;
    void *argument = question->argument;
    question_free(question);
    callback(argument, answer);
}

static void give_up(struct directory_question *question)
{
    const struct directory_answer answer = {.status = DIRECTORY_UNAVAILABLE};
    finish(question, &answer);
}

static void enqueue(struct directory_client *client, struct directory_question *question)
{
    struct directory_question **bucket = &client->buckets[question->id % BUCKETS];
    question->link = client->end;
    *client->end = question;
    client->end = &question->next;
    question->same = *bucket;
    question->same_link = bucket;
    if (question->same)
        question->same->same_link = &question->same;
    *bucket = question;
    client->count++;
}

static struct directory_question *find_question(struct directory_client *client, uint64_t id)
{
    struct directory_question *question = client->buckets[id % BUCKETS];
    while (question && question->id != id)
        question = question->same;
    return question;
}

/* --- frames --- */

struct frame {
    char text[FRAME_SIZE];
    size_t length;
};

static void add_text(struct frame *frame, const char *text)
{
    size_t length = strlen(text);
    memcpy(frame->text + frame->length, text, length);
    frame->length += length;
}

/* Written here and not by the JSON library, which would leave copies of a password in memory. */
static void add_member(struct frame *frame, const char *name, const char *value)
{
    static const char digits[] = "0123456789abcdef";
    add_text(frame, ",\"");
    add_text(frame, name);
    add_text(frame, "\":\"");
    for (; *value; value++) {
        unsigned char byte = (unsigned char)*value;
        char escape[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15], '\0'};
        if (byte < ' ' || byte == '"' || byte == '\\')
            add_text(frame, escape);
        else
            frame->text[frame->length++] = *value;
        explicit_bzero(escape, sizeof(escape));
    }
    add_text(frame, "\"");
}

static void begin_frame(struct frame *frame, const char *kind, uint64_t id)
{
    frame->length = (size_t)snprintf(frame->text, sizeof(frame->text), "{\"%s\":{\"id\":%llu", kind,
                                     (unsigned long long)id);
}

static bool is_fit(const char *text)
{
    size_t length = strlen(text);
    return length <= TEXT_MOST && utf8_valid(text, length);
}

static void keep_frame(struct directory_question *question, struct frame *frame)
{
    add_text(frame, "}}");
    question->frame = malloc(frame->length);
    if (!question->frame)
        abort();
    memcpy(question->frame, frame->text, frame->length);
    question->frame_length = frame->length;
    explicit_bzero(frame, sizeof(*frame));
}

/* --- the connection --- */

static void wake(struct directory_client *client, int64_t milliseconds)
{
    const struct timeval time = timestamp_interval(milliseconds > 0 ? milliseconds : 0);
    event_add(client->work, &time);
}

static void hang_up(struct directory_client *client)
{
    if (client->readable)
        event_free(client->readable);
    if (client->writable)
        event_free(client->writable);
    if (client->fd >= 0)
        close(client->fd);
    client->readable = client->writable = NULL;
    client->fd = -1;
}

/* Questions that were under way are asked once more, but for passwords, of which nothing is left.
 */
static void lose_connection(struct directory_client *client)
{
    hang_up(client);
    for (struct directory_question *question = client->first; question; question = question->next) {
        if (!question->is_sent)
            continue;
        question->is_sent = false;
        question->is_refused = question->is_refused || question->was_lost || !question->frame;
        question->was_lost = true;
    }
    wake(client, 0);
}

static bool read_status(const char *text, enum directory_status *status)
{
    static const char *const names[] = {[DIRECTORY_KNOWN] = "known",
                                        [DIRECTORY_UNKNOWN] = "unknown",
                                        [DIRECTORY_NOT_ASKED] = "not_asked",
                                        [DIRECTORY_UNAVAILABLE] = "unavailable"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *status = (enum directory_status)i;
        return true;
    }
    return false;
}

static bool read_answer(const json_t *frame, uint64_t *id, struct directory_answer *answer,
                        struct error *error)
{
    const struct json_place place = {.name = "answer"};
    const json_t *object;
    const char *status, *address, *route, *user;
    int64_t number;
    if (!json_get_object(frame, NULL, "answer", true, &object, error) ||
        !json_get_integer(object, &place, "id", 1, INT64_MAX, &number, error) ||
        !json_get_text(object, &place, "status", 32, &status, error) ||
        !json_get_text_or(object, &place, "address", sizeof(answer->address) - 1, "", &address,
                          error) ||
        !json_get_text_or(object, &place, "route", sizeof(answer->route) - 1, "", &route, error) ||
        !json_get_text_or(object, &place, "user", sizeof(answer->user) - 1, "", &user, error))
        return false;
    *id = (uint64_t)number;
    *answer = (struct directory_answer){0};
    snprintf(answer->address, sizeof(answer->address), "%s", address);
    snprintf(answer->route, sizeof(answer->route), "%s", route);
    snprintf(answer->user, sizeof(answer->user), "%s", user);
    return read_status(status, &answer->status) ||
           error_set(error, ERROR_PROTOCOL, "answer.status", "is none that is known");
}

/* The names of the groups, borrowed from the frame; NULL where there are none. */
static bool read_groups(const json_t *frame, const char ***groups, size_t *count,
                        struct error *error)
{
    const struct json_place place = {.name = "answer"};
    const json_t *object = json_object_get(frame, "answer"), *array, *value;
    size_t index;
    if (!json_get_array(object, &place, "groups", false, GROUPS_MOST, &array, error))
        return false;
    *groups = array ? calloc(json_array_size(array) + 1, sizeof(**groups)) : NULL;
    if (array && !*groups)
        abort();
    json_array_foreach((json_t *)array, index, value)
    {
        if (!json_is_string(value))
            return error_set(error, ERROR_PROTOCOL, "answer.groups", "must hold texts");
        (*groups)[(*count)++] = json_string_value(value);
    }
    return true;
}

/* False where the connection is over. */
static bool take_packet(struct directory_client *client, bool *more)
{
    struct error error = {0};
    struct directory_answer answer;
    char text[700];
    uint64_t id;
    int none = -1;
    cleanup_json json_t *frame = ipc_packet_receive(client->fd, &none, &error);
    if (none >= 0)
        close(none);
    *more = frame != NULL;
    if (!frame)
        return error.code == ERROR_TIMEOUT;
    cleanup_free const char **groups = NULL;
    size_t group_count = 0;
    if (!read_answer(frame, &id, &answer, &error) ||
        !read_groups(frame, &groups, &group_count, &error)) {
        log_error("directory: %s", error_text(&error, text, sizeof(text)));
        return false;
    }
    answer.groups = groups;
    answer.group_count = group_count;
    struct directory_question *question = find_question(client, id);
    if (question && question->is_sent)
        finish(question, &answer);
    return true;
}

static void on_readable(int fd, short events, void *argument)
{
    struct directory_client *client = argument;
    bool more = true;
    (void)fd;
    (void)events;
    for (int i = 0; i < PACKETS_AT_ONCE && more; i++)
        if (!take_packet(client, &more)) {
            lose_connection(client);
            return;
        }
}

static void on_writable(int fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    wake(argument, 0);
}

static bool open_connection(struct directory_client *client)
{
    struct error error = {0};
    char text[700];
    client->fd = ipc_connect(client->path, SOCK_SEQPACKET, &error);
    if (client->fd < 0 || fcntl(client->fd, F_SETFL, O_NONBLOCK) != 0) {
        if (!client->is_away)
            log_warning("the directory process is away: %s",
                        error_text(&error, text, sizeof(text)));
        client->is_away = true;
        hang_up(client);
        return false;
    }
    client->is_away = false;
    client->readable =
        event_new(client->base, client->fd, EV_READ | EV_PERSIST, on_readable, client);
    client->writable = event_new(client->base, client->fd, EV_WRITE, on_writable, client);
    if (!client->readable || !client->writable)
        abort();
    event_add(client->readable, NULL);
    return true;
}

/* --- what is due --- */

static int64_t patience(const struct directory_question *question)
{
    if (question->is_refused)
        return 0;
    return question->client->fd >= 0 ? ANSWER_MS : AWAY_MS;
}

static void give_up_late(struct directory_client *client)
{
    struct directory_question *question = client->first;
    while (question) {
        int64_t age = timestamp_monotonic_ms() - question->asked_at;
        if (age < patience(question)) {
            question = question->next;
            continue;
        }
        give_up(question);
        question = client->first; /* the callback may have changed the list */
    }
}

/* False where the socket takes no more at this time. */
static bool send_question(struct directory_client *client, struct directory_question *question)
{
    ssize_t sent;
    do
        sent =
            send(client->fd, question->frame, question->frame_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        event_add(client->writable, NULL);
        return false;
    }
    if (sent < 0) {
        lose_connection(client);
        return false;
    }
    question->is_sent = true;
    if (question->is_password)
        wipe_frame(question);
    return true;
}

static void send_waiting(struct directory_client *client)
{
    for (struct directory_question *question = client->first; question; question = question->next)
        if (!question->is_sent && question->frame && !question->is_refused &&
            !send_question(client, question))
            return;
}

static bool has_waiting(const struct directory_client *client)
{
    for (const struct directory_question *question = client->first; question;
         question = question->next)
        if (!question->is_sent)
            return true;
    return false;
}

static void on_work(int fd, short events, void *argument)
{
    struct directory_client *client = argument;
    (void)fd;
    (void)events;
    give_up_late(client);
    bool waiting = has_waiting(client);
    if (waiting && (client->fd >= 0 || open_connection(client)))
        send_waiting(client);
    if (client->first)
        wake(client, waiting && has_waiting(client) ? RECONNECT_MS : 1000);
}

/* --- asking --- */

static struct directory_question *question_new(struct directory_client *client,
                                               directory_callback callback, void *argument)
{
    struct directory_question *question = calloc(1, sizeof(*question));
    if (!question)
        abort();
    question->client = client;
    question->id = ++client->last_id;
    question->asked_at = timestamp_monotonic_ms();
    question->callback = callback;
    question->argument = argument;
    question->is_refused = client->count >= QUESTIONS_MOST;
    enqueue(client, question);
    wake(client, 0);
    return question;
}

static struct directory_question *ask_about(struct directory_client *client, const char *kind,
                                            const char *address, directory_callback callback,
                                            void *argument)
{
    struct directory_question *question = question_new(client, callback, argument);
    struct frame frame;
    question->is_refused = question->is_refused || !is_fit(address);
    if (question->is_refused)
        return question;
    begin_frame(&frame, kind, question->id);
    add_member(&frame, "address", address);
    keep_frame(question, &frame);
    return question;
}

struct directory_question *directory_ask_recipient(struct directory_client *client,
                                                   const char *address, directory_callback callback,
                                                   void *argument)
{
    return ask_about(client, "recipient", address, callback, argument);
}

struct directory_question *directory_ask_groups(struct directory_client *client,
                                                const char *address, directory_callback callback,
                                                void *argument)
{
    return ask_about(client, "groups", address, callback, argument);
}

struct directory_question *directory_ask_password(struct directory_client *client, const char *user,
                                                  const char *password, directory_callback callback,
                                                  void *argument)
{
    struct directory_question *question = question_new(client, callback, argument);
    struct frame frame;
    question->is_password = true;
    question->is_refused = question->is_refused || !is_fit(user) || !is_fit(password);
    if (question->is_refused)
        return question;
    begin_frame(&frame, "password", question->id);
    add_member(&frame, "user", user);
    add_member(&frame, "password", password);
    keep_frame(question, &frame);
    return question;
}

void directory_forget(struct directory_question *question)
{
    question_free(question);
}

/* --- life --- */

struct directory_client *directory_client_new(struct event_base *base, const char *path)
{
    struct directory_client *client = calloc(1, sizeof(*client));
    if (!client)
        abort();
    client->base = base;
    client->path = strdup(path);
    client->fd = -1;
    client->end = &client->first;
    client->work = evtimer_new(base, on_work, client);
    if (!client->path || !client->work)
        abort();
    return client;
}

void directory_client_free(struct directory_client *client)
{
    if (!client)
        return;
    while (client->first)
        question_free(client->first);
    hang_up(client);
    event_free(client->work);
    free(client->path);
    free(client);
}

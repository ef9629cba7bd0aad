#include "smtp_scene.h"

#include "common/ip.h"
#include "common/timestamp.h"
#include "common/x509.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/intake.h"
#include "scanner/mta/queue.h"
#include "smtp_scene_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define END_MS 8000 /* in which sessions end with the scene */

static struct scene *current; /* the doubles have no argument to find it by */

/* --- doubles --- */

struct intake_job {
    struct intake_job *next, **link;
    struct event *event;
    void (*done)(void *argument, const char *reply);
    void *argument;
    char reply[512];
};

static struct intake_job *jobs;
static struct intake_job *spare; /* so that the speed of the test is not that of malloc */

static const char *const directions[] = {"inbound", "outbound", "internal"};

static void add_flags(struct buffer *text, uint8_t flags)
{
    static const struct {
        uint8_t bit;
        const char *name;
    } names[] = {{QUEUE_FLAG_8BITMIME, "8BITMIME"},
                 {QUEUE_FLAG_SMTPUTF8, "SMTPUTF8"},
                 {QUEUE_FLAG_RET_FULL, "RET=FULL"},
                 {QUEUE_FLAG_RET_HDRS, "RET=HDRS"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].bit)
            buffer_add_format(text, " %s", names[i].name);
}

static void add_recipients(struct buffer *text, const struct queue_draft_recipient *recipients,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_add_format(text, " to=<%s>", recipients[i].address);
        if (recipients[i].notify)
            buffer_add_format(text, " NOTIFY=%s%s%s%s",
                              recipients[i].notify & QUEUE_NOTIFY_NEVER ? "N" : "",
                              recipients[i].notify & QUEUE_NOTIFY_SUCCESS ? "S" : "",
                              recipients[i].notify & QUEUE_NOTIFY_FAILURE ? "F" : "",
                              recipients[i].notify & QUEUE_NOTIFY_DELAY ? "D" : "");
        if (recipients[i].original)
            buffer_add_format(text, " ORCPT=%s", recipients[i].original);
        if (recipients[i].route)
            buffer_add_format(text, " route=%s", recipients[i].route);
    }
}

static char *describe(const struct transaction *transaction, const struct queue_draft *draft,
                      size_t dropped)
{
    struct buffer text = BUFFER_INIT;
    assert_int_equal(transaction->direction, draft->direction);
    buffer_add_format(&text, "%s %s%s", directions[draft->direction], transaction->protocol,
                      transaction->tls ? " tls" : "");
    if (transaction->user)
        buffer_add_format(&text, " user=%s", transaction->user);
    buffer_add_format(&text, " helo=%s from=<%s>", transaction->helo, draft->sender);
    add_recipients(&text, draft->recipients, draft->recipient_count);
    if (dropped > 0)
        buffer_add_text(&text, " dropped");
    add_recipients(&text, draft->recipients + draft->recipient_count, dropped);
    add_flags(&text, draft->flags);
    if (draft->envelope_id)
        buffer_add_format(&text, " ENVID=%s", draft->envelope_id);
    return buffer_take(&text);
}

static void read_large(struct scene_message *message, const struct queue_draft *draft)
{
    assert_int_equal(draft->body.length, 0);
    assert_int_equal(lseek(draft->large_fd, 0, SEEK_END), (off_t)draft->large_length);
    char *room = buffer_reserve(&message->body, draft->large_length);
    assert_int_equal(pread(draft->large_fd, room, draft->large_length, 0),
                     (ssize_t)draft->large_length);
    message->body.length = draft->large_length;
    message->large = true;
}

static void keep_message(const struct transaction *transaction, struct queue_draft *draft,
                         size_t dropped)
{
    struct scene_message *message = calloc(1, sizeof(*message));
    message->envelope = describe(transaction, draft, dropped);
    if (draft->large_fd >= 0)
        read_large(message, draft);
    else
        buffer_add(&message->body, draft->body.data, draft->body.length);
    *current->messages_end = message;
    current->messages_end = &message->next;
}

static void end_job(struct intake_job *job)
{
    *job->link = job->next;
    if (job->next)
        job->next->link = job->link;
    job->next = spare;
    spare = job;
}

static void on_job(evutil_socket_t fd, short what, void *argument)
{
    struct intake_job *job = argument;
    (void)fd;
    (void)what;
    end_job(job);
    if (job->done)
        job->done(job->argument, job->reply);
}

static struct intake_job *new_job(void)
{
    struct intake_job *job = spare;
    if (job) {
        spare = job->next;
    } else {
        job = calloc(1, sizeof(*job));
        job->event = event_new(current->mta.base, -1, 0, on_job, job);
    }
    job->next = jobs;
    job->link = &jobs;
    if (jobs)
        jobs->link = &job->next;
    jobs = job;
    return job;
}

struct intake_job *intake_submit(struct intake *intake, const struct transaction *transaction,
                                 struct queue_draft *draft, size_t dropped,
                                 void (*done)(void *argument, const char *reply), void *argument)
{
    struct intake_job *job = new_job();
    char id[MESSAGE_ID_TEXT_SIZE];
    (void)intake;
    current->message_count++;
    if (current->keep)
        keep_message(transaction, draft, dropped);
    job->done = done;
    job->argument = argument;
    snprintf(job->reply, sizeof(job->reply), "%s", current->reply);
    if (!job->reply[0])
        snprintf(job->reply, sizeof(job->reply), "250 2.0.0 Ok: queued as %s",
                 message_id_text(&draft->id, id));
    buffer_free(&draft->body);
    if (draft->large_fd >= 0)
        close(draft->large_fd);
    if (!current->hold)
        event_active(job->event, EV_TIMEOUT, 0);
    return job;
}

void intake_forget(struct intake_job *job)
{
    job->done = NULL;
}

struct queue_log *queue_log_of(struct queue *queue)
{
    (void)queue;
    return NULL;
}

bool queue_has_space(struct queue *queue, uint64_t bytes)
{
    (void)queue;
    (void)bytes;
    return !current->full;
}

int queue_log_large_open(struct queue_log *log, struct error *error)
{
    (void)log;
    if (current->large_fails) {
        error_set(error, ERROR_NO_SPACE, NULL, "no space is left");
        return -1;
    }
    return memfd_create("large", MFD_CLOEXEC);
}

void queue_log_only(struct queue *queue, const struct message_id *id, struct buffer *events,
                    void (*done)(void *argument, enum error_code result), void *argument)
{
    struct scene_event *event = calloc(1, sizeof(*event));
    (void)queue;
    (void)id;
    (void)argument;
    assert_null(done);
    event->text = buffer_take(events);
    current->event_count++;
    *current->events_end = event;
    current->events_end = &event->next;
}

static void add_peer(struct buffer *out, const char *type, const struct transaction *transaction)
{
    char text[IP_TEXT_SIZE];
    buffer_add_format(out, "%s %s", type, directions[transaction->direction]);
    if (strcmp(ip_text(&transaction->peer, text), "127.0.0.1") != 0)
        buffer_add_format(out, " peer=%s:%u", text, (unsigned)transaction->peer_port);
    if (transaction->user)
        buffer_add_format(out, " user=%s", transaction->user);
}

void audit_aborted(struct buffer *out, const struct message_id *id,
                   const struct transaction *transaction, const struct audit_envelope *envelope)
{
    (void)id;
    add_peer(out, "aborted", transaction);
    buffer_add_format(out, " from=<%s>", envelope->sender);
    add_recipients(out, envelope->recipients, envelope->recipient_count);
    buffer_add_format(out, " size=%llu", (unsigned long long)envelope->size);
}

void audit_refused(struct buffer *out, const struct message_id *id,
                   const struct transaction *transaction, const struct audit_envelope *envelope,
                   const char *reply)
{
    (void)id;
    add_peer(out, "refused", transaction);
    if (envelope->sender)
        buffer_add_format(out, " from=<%s>", envelope->sender);
    add_recipients(out, envelope->recipients, envelope->recipient_count);
    buffer_add_format(out, " %s", reply);
}

/* --- the scene --- */

static unsigned free_port(int family)
{
    struct sockaddr_storage address;
    struct ip_address loopback;
    uint16_t port = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ip_parse(family == AF_INET ? "127.0.0.1" : "::1", &loopback);
    socklen_t size = ip_to_sockaddr(&loopback, 0, &address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        fail_msg("no free port: %s", strerror(errno));
    ip_from_sockaddr((struct sockaddr *)&address, &loopback, &port);
    close(fd);
    return port;
}

static json_t *new_certificate(void)
{
    char *key = x509_new_key(NULL);
    char *certificate = x509_new_self_signed(key, "mx.example.org", NULL, 0, 1, NULL);
    json_t *pair = json_pack("{s:s,s:s}", "certificate", certificate, "key", key);
    free(key);
    free(certificate);
    assert_non_null(pair);
    return pair;
}

static json_t *base_document(const struct scene *scene)
{
    json_error_t problem;
    json_t *document = json_pack_ex(
        &problem, 0,
        "{s:i,s:i,s:s,s:s,s:s,s:{s:{s:[{s:s,s:i},{s:s,s:i}]},s:{s:[{s:s,s:i}]}},"
        "s:[{s:s,s:{s:s}},{s:s,s:{s:s}},{s:s,s:{s:s}}]}",
        "format", 1, "version", 1, "scanner_id", "01890000-0000-7000-8000-000000000000",
        "issued_at", "2026-01-31T12:00:00.000Z", "host_name", "mx.example.org", "smtp", "inbound",
        "listeners", "address", "127.0.0.1", "port", (int)scene->inbound, "address", "::1", "port",
        (int)scene->inbound6, "outbound", "listeners", "address", "127.0.0.1", "port",
        (int)scene->outbound, "domains", "name", "example.org", "route", "kind", "mx", "name",
        "example.net", "route", "kind", "mx", "name", "xn--bcher-kva.example", "route", "kind",
        "mx");
    if (!document)
        fail_msg("%s", problem.text);
    return document;
}

json_t *scene_document(const struct scene *scene)
{
    return json_deep_copy(scene->document);
}

bool scene_configure(struct scene *scene, json_t *document, struct error *error)
{
    char *text = json_dumps(document, 0);
    struct config_ref *before = scene->mta.config;
    struct scanner_config *config = config_parse(text, strlen(text), error);
    json_decref(document);
    free(text);
    if (!config)
        return false;
    scene->mta.config = config_ref_new(config);
    if (!smtp_server_configure(scene->mta.smtp_server, error)) {
        config_ref_drop(scene->mta.config);
        scene->mta.config = before;
        return false;
    }
    config_ref_drop(before);
    return true;
}

struct scene *scene_new(void)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct error error = {0};
    signal(SIGPIPE, SIG_IGN);
    current = scene;
    scene->keep = true;
    scene->messages_end = &scene->messages;
    scene->events_end = &scene->events;
    scene->mta.base = event_base_new();
    scene_directory_begin(scene->mta.base);
    scene->inbound = free_port(AF_INET);
    scene->inbound6 = free_port(AF_INET6);
    do {
        scene->outbound = free_port(AF_INET);
    } while (scene->outbound == scene->inbound);
    scene->mta.smtp_server = smtp_server_new(&scene->mta);
    scene->document = base_document(scene);
    scene->certificate = new_certificate();
    if (!scene_configure(scene, scene_document(scene), &error))
        fail_msg("%s: %s", error.where, error.message);
    return scene;
}

void scene_restart(struct scene *scene)
{
    smtp_server_free(scene->mta.smtp_server);
    scene->mta.smtp_server = smtp_server_new(&scene->mta);
}

void scene_clear(struct scene *scene)
{
    while (scene->messages) {
        struct scene_message *next = scene->messages->next;
        free(scene->messages->envelope);
        buffer_free(&scene->messages->body);
        free(scene->messages);
        scene->messages = next;
    }
    while (scene->events) {
        struct scene_event *next = scene->events->next;
        free(scene->events->text);
        free(scene->events);
        scene->events = next;
    }
    scene->messages_end = &scene->messages;
    scene->events_end = &scene->events;
}

size_t scene_held(const struct scene *scene)
{
    size_t count = 0;
    (void)scene;
    for (struct intake_job *job = jobs; job; job = job->next)
        count++;
    return count;
}

void scene_answer(struct scene *scene)
{
    scene->hold = false;
    for (struct intake_job *job = jobs; job; job = job->next)
        event_active(job->event, EV_TIMEOUT, 0);
}

void scene_turn(struct scene *scene)
{
    event_base_loop(scene->mta.base, EVLOOP_NONBLOCK);
}

void scene_free(struct scene *scene)
{
    smtp_server_free(scene->mta.smtp_server);
    scene_answer(scene);
    scene_turn(scene);
    scene_directory_end();
    while (spare) {
        struct intake_job *next = spare->next;
        event_free(spare->event);
        free(spare);
        spare = next;
    }
    config_ref_drop(scene->mta.config);
    json_decref(scene->document);
    json_decref(scene->certificate);
    scene_clear(scene);
    event_base_free(scene->mta.base);
    free(scene);
    current = NULL;
}

/* --- the client --- */

void client_open(struct scene_client *client, struct scene *scene, unsigned port, bool v6)
{
    struct sockaddr_storage to, own;
    struct ip_address address;
    char text[IP_TEXT_SIZE];
    uint16_t own_port;
    ip_parse(v6 ? "::1" : "127.0.0.1", &address);
    socklen_t size = ip_to_sockaddr(&address, (uint16_t)port, &to);
    *client = (struct scene_client){.scene = scene};
    client->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&to, size) != 0)
        fail_msg("cannot connect to port %u: %s", port, strerror(errno));
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    size = sizeof(own);
    getsockname(client->fd, (struct sockaddr *)&own, &size);
    ip_from_sockaddr((struct sockaddr *)&own, &address, &own_port);
    snprintf(client->place, sizeof(client->place), v6 ? "[%s]:%u" : "%s:%u",
             ip_text(&address, text), (unsigned)own_port);
}

static ssize_t read_some(struct scene_client *client, char *room, size_t size)
{
    if (!client->ssl)
        return recv(client->fd, room, size, 0);
    int count = SSL_read(client->ssl, room, (int)size);
    if (count > 0)
        return count;
    int reason = SSL_get_error(client->ssl, count);
    errno = EAGAIN;
    return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static void receive(struct scene_client *client)
{
    while (!client->closed) {
        char *room = buffer_reserve(&client->input, 65536);
        ssize_t count = read_some(client, room, 65536);
        if (count > 0)
            client->input.length += (size_t)count;
        else if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            client->closed = true;
        else
            return;
    }
}

/* A turn of the server, then what it sent; a short sleep where nothing happened. */
static void advance(struct scene_client *client)
{
    size_t before = client->input.length;
    scene_turn(client->scene);
    receive(client);
    if (client->input.length == before && !client->closed) {
        struct pollfd wait = {.fd = client->fd, .events = POLLIN};
        poll(&wait, 1, 1);
    }
}

static ssize_t write_some(struct scene_client *client, const char *data, size_t length)
{
    if (!client->ssl)
        return send(client->fd, data, length, MSG_NOSIGNAL);
    int count = SSL_write(client->ssl, data, (int)length);
    errno = EAGAIN;
    return count > 0 ? count : -1;
}

void client_send(struct scene_client *client, const char *data, size_t length)
{
    int64_t end = timestamp_monotonic_ms() + END_MS;
    while (length > 0 && timestamp_monotonic_ms() < end) {
        ssize_t count = write_some(client, data, length);
        if (count > 0) {
            data += count;
            length -= (size_t)count;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
            return;
        } else {
            scene_turn(client->scene);
        }
    }
    assert_int_equal(length, 0);
}

bool client_line(struct scene_client *client, char *line, size_t size, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    char *start, *lf;
    for (;;) {
        start = client->input.data ? client->input.data + client->used : NULL;
        lf = start ? memchr(start, '\n', client->input.length - client->used) : NULL;
        if (lf || client->closed || timestamp_monotonic_ms() > end)
            break;
        advance(client);
    }
    if (!lf)
        return false;
    size_t length = (size_t)(lf - start);
    if (length == 0 || start[length - 1] != '\r' || memchr(start, '\r', length - 1))
        fail_msg("a reply does not end in CRLF: %.*s", (int)length, start);
    snprintf(line, size, "%.*s", (int)length - 1, start);
    client->used += length + 1;
    return true;
}

bool client_closed(struct scene_client *client, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    while (!client->closed && timestamp_monotonic_ms() < end &&
           client->input.length == client->used)
        advance(client);
    return client->closed && client->input.length == client->used;
}

bool client_tls(struct scene_client *client)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    int64_t end = timestamp_monotonic_ms() + END_MS;
    int result;
    client->ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(client->ssl, client->fd);
    while ((result = SSL_connect(client->ssl)) != 1 && timestamp_monotonic_ms() < end) {
        int reason = SSL_get_error(client->ssl, result);
        if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)
            break;
        scene_turn(client->scene);
    }
    return result == 1;
}

void client_close(struct scene_client *client)
{
    SSL_free(client->ssl);
    if (client->fd >= 0)
        close(client->fd);
    buffer_free(&client->input);
    *client = (struct scene_client){.scene = client->scene, .fd = -1};
}

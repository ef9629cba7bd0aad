#include "test_delivery_scene.h"

#include "common/file.h"
#include "common/timestamp.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

static struct scanner_config *make_config(const struct scene *scene,
                                          const struct scene_options *options)
{
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    char reason[sizeof(error)];
    buffer_add_format(
        &text,
        "{\"format\":1,\"version\":1,\"scanner_id\":\"0190a5d8-0000-7000-8000-000000000001\","
        "\"issued_at\":\"2026-01-01T00:00:00Z\",\"host_name\":\"gate.example\",\"smtp\":{"
        "\"inbound\":{\"listeners\":[%s]},\"outbound\":{\"listeners\":[]},"
        "\"delivery\":{\"dns_servers\":[\"127.0.0.1\"]%s%s}},"
        "\"domains\":[{\"name\":\"relay.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
        "[{\"host\":\"127.0.0.1\",\"port\":%u}]}}%s]%s}",
        options->listeners ? options->listeners : "",
        options->delivery && *options->delivery ? "," : "",
        options->delivery ? options->delivery : "", (unsigned)scene->peer.port,
        options->domains ? options->domains : "", options->members ? options->members : "");
    struct scanner_config *config = config_parse(text.data, text.length, &error);
    if (!config)
        fail_msg("%s", error_text(&error, reason, sizeof(reason)));
    buffer_free(&text);
    return config;
}

static void on_due(void *argument, struct queue_message *message)
{
    struct scene *scene = argument;
    if (!scene->holding)
        delivery_take(scene->mta.delivery, message);
}

static void start(struct scene *scene, const struct scene_options *options)
{
    struct error error = {0};
    char path[128];
    struct queue_hooks hooks = {.due = on_due, .argument = scene};
    snprintf(path, sizeof(path), "%s/queue", scene->folder);
    scene->mta.config = config_ref_new(make_config(scene, options));
    scene->mta.queue = queue_open(path, scene->mta.base, &hooks, &error);
    if (!scene->mta.queue)
        fail_msg("%s", error.message);
    scene->mta.delivery = delivery_new(&scene->mta, &error);
    if (!scene->mta.delivery)
        fail_msg("%s", error.message);
}

static void stop(struct scene *scene)
{
    delivery_free(scene->mta.delivery);
    queue_close(scene->mta.queue);
    config_ref_drop(scene->mta.config);
}

void scene_open_on(struct scene *scene, struct event_base *base)
{
    scene_open_in(scene, base, "");
}

void scene_open_in(struct scene *scene, struct event_base *base, const char *folder)
{
    memset(scene, 0, sizeof(*scene));
    signal(SIGPIPE, SIG_IGN);
    snprintf(scene->folder, sizeof(scene->folder), "%s",
             *folder ? folder : "/tmp/gatehouse-delivery-XXXXXX");
    if (!*folder)
        assert_non_null(mkdtemp(scene->folder));
    assert_non_null(base);
    scene->mta.base = base;
    scene->mta.state = scene->folder;
    scene->events = json_array();
    peer_open(&scene->peer, base, NULL);
}

void scene_start(struct scene *scene, const struct scene_options *options)
{
    static const struct dns_record none[] = {{.name = NULL}};
    dns_open(&scene->dns, scene->mta.base, options->records ? options->records : none);
    start(scene, options);
}

void scene_open(struct scene *scene, const struct scene_options *options)
{
    scene_open_on(scene, event_base_new());
    scene_start(scene, options);
}

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    char name[512];
    struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (lstat(name, &status) == 0 && S_ISDIR(status.st_mode))
            remove_folder(name);
        else
            unlink(name);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

void scene_close(struct scene *scene)
{
    stop(scene);
    peer_close(&scene->peer);
    dns_close(&scene->dns);
    event_base_free(scene->mta.base);
    json_decref(scene->events);
    remove_folder(scene->folder);
}

void scene_restart(struct scene *scene, const struct scene_options *options)
{
    stop(scene);
    start(scene, options);
}

/* --- sending --- */

static void on_accepted(void *argument, enum error_code result)
{
    struct scene *scene = argument;
    assert_int_equal(result, ERROR_NONE);
    scene->accepted++;
}

/* Hands a draft over that lacks its body and events. */
static void hand_over(struct scene *scene, struct queue_draft *draft, const char *body)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    draft->direction = scene->direction;
    draft->state = QUEUE_TO_BE_DELIVERED;
    draft->large_fd = -1;
    buffer_add_text(&draft->body, body ? body : "Subject: test\r\n\r\nHello.\r\n");
    buffer_add_format(&draft->events, "{\"type\":\"received\",\"id\":\"%s\"}\n",
                      message_id_text(&draft->id, id));
    queue_accept(scene->mta.queue, draft, on_accepted, scene);
}

struct message_id scene_send(struct scene *scene, const struct scene_message *message)
{
    struct queue_draft_recipient recipients[8];
    unsigned before = scene->accepted;
    struct queue_draft draft = {.id = message_id_new(),
                                .flags = message->flags,
                                .received_at = timestamp_now_ms() - message->age_ms,
                                .sender = message->sender ? message->sender : "from@sender.example",
                                .envelope_id = message->envelope_id,
                                .extra_header = message->extra_header,
                                .recipients = recipients};
    for (; draft.recipient_count < 8 && message->recipients[draft.recipient_count];
         draft.recipient_count++)
        recipients[draft.recipient_count] =
            (struct queue_draft_recipient){.address = message->recipients[draft.recipient_count],
                                           .original = message->original,
                                           .notify = message->notify};
    struct message_id id = draft.id;
    hand_over(scene, &draft, message->body);
    scene_await_number(scene, &scene->accepted, before + 1);
    return id;
}

void scene_send_draft(struct scene *scene, const struct queue_draft_recipient *recipients,
                      size_t count)
{
    unsigned before = scene->accepted;
    struct queue_draft draft = {.id = message_id_new(),
                                .received_at = timestamp_now_ms(),
                                .sender = "from@sender.example",
                                .recipients = recipients,
                                .recipient_count = count};
    hand_over(scene, &draft, NULL);
    scene_await_number(scene, &scene->accepted, before + 1);
}

void scene_send_many(struct scene *scene, const char *recipient, unsigned count)
{
    struct queue_draft_recipient to = {.address = recipient};
    unsigned before = scene->accepted;
    for (unsigned i = 0; i < count; i++) {
        struct queue_draft draft = {.id = message_id_new(),
                                    .received_at = timestamp_now_ms(),
                                    .sender = "from@sender.example",
                                    .recipients = &to,
                                    .recipient_count = 1};
        hand_over(scene, &draft, NULL);
    }
    scene_await_number(scene, &scene->accepted, before + count);
}

struct message_id scene_send_to(struct scene *scene, const char *recipient)
{
    return scene_send(scene, &(struct scene_message){.recipients = {recipient}});
}

/* --- waiting --- */

static void on_nothing(evutil_socket_t fd, short events, void *argument)
{
    (void)fd;
    (void)events;
    (void)argument;
}

static void turn(struct scene *scene)
{
    event_base_once(scene->mta.base, -1, EV_TIMEOUT, on_nothing, NULL,
                    &(struct timeval){.tv_usec = 2000});
    event_base_loop(scene->mta.base, EVLOOP_ONCE);
}

static void take_events(struct scene *scene)
{
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    size_t count = 0;
    const json_t *last = json_array_get(scene->events, json_array_size(scene->events) - 1);
    uint64_t after = (uint64_t)json_integer_value(json_object_get(last, "seq"));
    buffer_add_text(&text, "[");
    if (!queue_log_events(queue_log_of(scene->mta.queue), after, 10000, 8u << 20, &text, &count,
                          &error))
        fail_msg("%s", error.message);
    buffer_add_text(&text, "]");
    if (count > 0) {
        json_error_t where;
        json_t *more = json_loadb(text.data, text.length, 0, &where);
        if (!more)
            fail_msg("%s in %s", where.text, text.data);
        json_array_extend(scene->events, more);
        json_decref(more);
    }
    buffer_free(&text);
}

static json_t *find(struct scene *scene, const char *type, size_t *count)
{
    json_t *event, *last = NULL;
    size_t index;
    *count = 0;
    json_array_foreach(scene->events, index, event)
    {
        if (strcmp(scene_text(event, "type"), type) != 0)
            continue;
        last = event;
        ++*count;
    }
    return last;
}

json_t *scene_await(struct scene *scene, const char *type, size_t count)
{
    int64_t end = timestamp_monotonic_ms() + PATIENCE_MS;
    size_t seen = 0;
    for (;;) {
        take_events(scene);
        json_t *last = find(scene, type, &seen);
        if (seen >= count)
            return last;
        if (timestamp_monotonic_ms() > end)
            fail_msg("only %zu of %zu \"%s\" events came: %s", seen, count, type,
                     json_dumps(scene->events, JSON_INDENT(1)));
        turn(scene);
    }
}

size_t scene_count(struct scene *scene, const char *type)
{
    size_t count;
    take_events(scene);
    find(scene, type, &count);
    return count;
}

size_t scene_count_outcome(struct scene *scene, const char *outcome)
{
    size_t count = 0, index;
    json_t *event;
    take_events(scene);
    json_array_foreach(scene->events, index, event) count +=
        strcmp(scene_text(event, "outcome"), outcome) == 0;
    return count;
}

void scene_run(struct scene *scene, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    while (timestamp_monotonic_ms() < end)
        turn(scene);
}

void scene_await_number(struct scene *scene, const unsigned *value, unsigned count)
{
    int64_t end = timestamp_monotonic_ms() + PATIENCE_MS;
    while (*value < count) {
        if (timestamp_monotonic_ms() > end)
            fail_msg("%u instead of %u", *value, count);
        turn(scene);
    }
}

void scene_await_empty(struct scene *scene)
{
    int64_t end = timestamp_monotonic_ms() + PATIENCE_MS;
    while (queue_count(scene->mta.queue).delivery > 0) {
        if (timestamp_monotonic_ms() > end)
            fail_msg("the queue does not become empty");
        turn(scene);
    }
}

const char *scene_text(const json_t *event, const char *member)
{
    const char *text = json_string_value(json_object_get(event, member));
    return text ? text : "";
}

void scene_assert_event(const json_t *event, const char *outcome, const char *reply)
{
    assert_string_equal(scene_text(event, "reply"), reply);
    assert_string_equal(scene_text(event, "outcome"), outcome);
}

void scene_assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

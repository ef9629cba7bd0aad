#include "intake_scene.h"

#include "common/cleanup.h"
#include "common/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct scene scene;

struct scan_request *__wrap_scan_client_scan(struct scan_client *client,
                                             const struct scan_order *order, scan_done done,
                                             void *argument);
struct scan_request *__wrap_scan_client_scan(struct scan_client *client,
                                             const struct scan_order *order, scan_done done,
                                             void *argument)
{
    (void)client;
    close(order->fd);
    assert_true(scene.asked_count < SCANS_MOST);
    struct asked *asked = &scene.asked[scene.asked_count++];
    *asked = (struct asked){.id = order->id,
                            .clean = order->clean,
                            .asks_policy = order->asks_policy,
                            .done = done,
                            .argument = argument};
    if (order->asks_policy) {
        assert_true(pread(order->envelope, asked->envelope, sizeof(asked->envelope) - 1, 0) > 0);
        close(order->envelope);
    }
    scene.scans++;
    return NULL;
}

/* A refusal as one of the disk that is full: with others of the same call on stable storage. */
struct refusal {
    void (*done)(void *argument, enum error_code result);
    void *argument;
};

static void on_refused(int fd, short events, void *argument)
{
    struct refusal refusal = *(struct refusal *)argument;
    (void)fd;
    (void)events;
    free(argument);
    refusal.done(refusal.argument, ERROR_NO_SPACE);
}

void __real_queue_accept(struct queue *queue, struct queue_draft *draft,
                         void (*done)(void *argument, enum error_code result), void *argument);
void __wrap_queue_accept(struct queue *queue, struct queue_draft *draft,
                         void (*done)(void *argument, enum error_code result), void *argument);
void __wrap_queue_accept(struct queue *queue, struct queue_draft *draft,
                         void (*done)(void *argument, enum error_code result), void *argument)
{
    const struct timeval soon = {.tv_usec = 1000};
    if (scene.refuse_at == 0 || --scene.refuse_at > 0) {
        __real_queue_accept(queue, draft, done, argument);
        return;
    }
    struct refusal *refusal = malloc(sizeof(*refusal));
    assert_non_null(refusal);
    *refusal = (struct refusal){done, argument};
    buffer_free(&draft->body);
    buffer_free(&draft->events);
    assert_int_equal(event_base_once(scene.mta.base, -1, EV_TIMEOUT, on_refused, refusal, &soon),
                     0);
}

/* --- the scene --- */

static void on_due(void *argument, struct queue_message *message)
{
    (void)argument;
    if (message->state == QUEUE_TO_BE_SCANNED) {
        intake_rescan(scene.mta.intake, message);
        return;
    }
    scene.due++;
    queue_due_at(scene.mta.queue, message, timestamp_now_ms() + HOUR);
}

void configure(const char *malware)
{
    char policies[1024];
    snprintf(policies, sizeof(policies), "\"malware\":{%s}", malware);
    configure_policies(policies);
}

void configure_policies(const char *policies)
{
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    buffer_add_format(
        &text,
        "{\"format\":1,\"version\":1,\"scanner_id\":\"0190a5d8-0000-7000-8000-000000000001\","
        "\"issued_at\":\"2026-01-01T00:00:00Z\",\"host_name\":\"gate.example\",\"smtp\":{"
        "\"inbound\":{\"listeners\":[]},\"outbound\":{\"listeners\":[]}},\"domains\":[],"
        "\"policies\":{%s},\"engine\":{\"workers\":1}}",
        policies);
    struct scanner_config *config = config_parse(text.data, text.length, &error);
    if (!config)
        fail_msg("%s: %s", error.where, error.message);
    buffer_free(&text);
    config_ref_drop(scene.mta.config);
    scene.mta.config = config_ref_new(config);
}

void start(void)
{
    struct error error = {0};
    char path[128];
    struct queue_hooks hooks = {.due = on_due};
    snprintf(path, sizeof(path), "%s/queue", scene.folder);
    scene.mta.queue = queue_open(path, scene.mta.base, &hooks, &error);
    if (!scene.mta.queue)
        fail_msg("%s", error.message);
    scene.mta.intake = intake_new(&scene.mta);
}

void stop(void)
{
    intake_free(scene.mta.intake);
    queue_close(scene.mta.queue);
    scene.asked_count = 0;
}

int open_scene(void **state)
{
    (void)state;
    scene = (struct scene){.folder = "/tmp/gatehouse-intake-XXXXXX", .events = json_array()};
    assert_non_null(mkdtemp(scene.folder));
    scene.mta.base = event_base_new();
    configure("\"virus\":{\"action\":\"quarantine\"}");
    start();
    return 0;
}

int close_scene(void **state)
{
    char command[128];
    (void)state;
    stop();
    config_ref_drop(scene.mta.config);
    event_base_free(scene.mta.base);
    json_decref(scene.events);
    snprintf(command, sizeof(command), "rm -rf %s", scene.folder);
    return system(command);
}

void turn(int milliseconds)
{
    struct timeval time = timestamp_interval(milliseconds);
    event_base_loopexit(scene.mta.base, &time);
    event_base_dispatch(scene.mta.base);
}

void await_scan(size_t count)
{
    int64_t end = timestamp_monotonic_ms() + 20000;
    while (scene.asked_count < count && timestamp_monotonic_ms() < end)
        turn(5);
    assert_int_equal(scene.asked_count, count);
}

void await_answers(unsigned count)
{
    int64_t end = timestamp_monotonic_ms() + 20000;
    while (scene.answers < count && timestamp_monotonic_ms() < end)
        turn(5);
    assert_int_equal(scene.answers, count);
}

/* --- mail --- */

static void on_accepted(void *argument, enum error_code result)
{
    (void)argument;
    assert_int_equal(result, ERROR_NONE);
    scene.answers++;
}

static const struct queue_draft_recipient recipients[] = {
    {.address = "a@example.test", .original = "rfc822;a@example.test", .notify = 4},
    {.address = "b@example.test", .route = "127.0.0.1:2525"},
};

struct queue_draft new_draft(int64_t age_ms)
{
    struct queue_draft draft = {.id = message_id_new(),
                                .state = QUEUE_TO_BE_SCANNED,
                                .received_at = timestamp_now_ms() - age_ms,
                                .sender = "from@sender.example",
                                .envelope_id = "env1",
                                .recipients = recipients,
                                .recipient_count = 2,
                                .large_fd = -1};
    buffer_add_text(&draft.body, BODY);
    return draft;
}

/* A message that waits in the queue to be scanned. */
struct message_id queue_one(int64_t age_ms)
{
    struct queue_draft draft = new_draft(age_ms);
    struct message_id id = draft.id;
    char text[MESSAGE_ID_TEXT_SIZE];
    buffer_add_format(&draft.events, "{\"type\":\"received\",\"id\":\"%s\"}\n",
                      message_id_text(&id, text));
    unsigned before = scene.answers;
    queue_accept(scene.mta.queue, &draft, on_accepted, NULL);
    await_answers(before + 1);
    return id;
}

static void on_reply(void *argument, const char *reply)
{
    (void)argument;
    snprintf(scene.reply, sizeof(scene.reply), "%s", reply);
    scene.answers++;
}

/* A message that a session has just received. */
struct message_id submit_to(const struct queue_draft_recipient *to, size_t count)
{
    struct transaction transaction = {.helo = "client.test", .protocol = "ESMTP"};
    struct queue_draft draft = new_draft(0);
    struct message_id id = draft.id;
    draft.recipients = to;
    draft.recipient_count = count;
    intake_submit(scene.mta.intake, &transaction, &draft, 0, on_reply, NULL);
    return id;
}

struct message_id submit_one(void)
{
    struct transaction transaction = {.helo = "client.test", .protocol = "ESMTP"};
    struct queue_draft draft = new_draft(0);
    struct message_id id = draft.id;
    intake_submit(scene.mta.intake, &transaction, &draft, 0, on_reply, NULL);
    await_scan(1);
    return id;
}

/* Answers the scan that was asked for first. */
void answer(const char *text, int cleaned)
{
    struct asked asked = scene.asked[0];
    cleanup_json json_t *result = json_loads(text, 0, NULL);
    assert_non_null(result);
    assert_true(scene.asked_count > 0);
    memmove(scene.asked, scene.asked + 1, --scene.asked_count * sizeof(scene.asked[0]));
    const struct scan_answer told = {.result = result, .cleaned = cleaned, .policy = -1};
    asked.done(asked.argument, &told);
    if (cleaned >= 0)
        close(cleaned);
}

void answer_filters(const char *text, const char *policy, const char *const *bodies)
{
    struct asked asked = scene.asked[0];
    cleanup_json json_t *result = json_loads(text, 0, NULL);
    int files[16];
    struct scan_answer told = {.result = result,
                               .cleaned = -1,
                               .policy = policy ? file_with(policy) : -1,
                               .bodies = files};
    assert_non_null(result);
    assert_true(scene.asked_count > 0);
    memmove(scene.asked, scene.asked + 1, --scene.asked_count * sizeof(scene.asked[0]));
    for (; bodies && bodies[told.body_count]; told.body_count++)
        files[told.body_count] = file_with(bodies[told.body_count]);
    asked.done(asked.argument, &told);
    for (size_t i = 0; i < told.body_count; i++)
        close(files[i]);
    if (told.policy >= 0)
        close(told.policy);
}

int file_with(const char *text)
{
    int fd = file_memory_open("cleaned", NULL);
    assert_true(fd >= 0);
    assert_true(file_write_all(fd, text, strlen(text), NULL));
    return fd;
}

const char *virus_cleaned(long size)
{
    static char text[512];
    snprintf(text, sizeof(text), VIRUS ",\"cleaned\":{\"size\":%ld}}", size);
    return text;
}

bool is_suspect(const struct message_id *id)
{
    const struct queue_message *message = queue_find(scene.mta.queue, id);
    return message && (message->flags & QUEUE_FLAG_SUSPECT) &&
           message->state == QUEUE_TO_BE_SCANNED;
}

bool is_going_out(const struct message_id *id)
{
    const struct queue_message *message = queue_find(scene.mta.queue, id);
    return message && message->state == QUEUE_TO_BE_DELIVERED;
}

static void read_events(void)
{
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    size_t count = 0;
    turn(100);
    buffer_add_text(&text, "[");
    assert_true(
        queue_log_events(queue_log_of(scene.mta.queue), 0, 10000, 8u << 20, &text, &count, &error));
    buffer_add_text(&text, "]");
    json_decref(scene.events);
    scene.events = json_loadb(text.data, text.length, 0, NULL);
    assert_non_null(scene.events);
    buffer_free(&text);
}

static bool concerns(const json_t *event, int recipient)
{
    const json_t *list = json_object_get(event, "recipients"), *value;
    size_t index;
    const json_t *one = json_object_get(event, "recipient");
    if (recipient < 0 || (one && json_integer_value(one) == recipient))
        return true;
    json_array_foreach((json_t *)list, index, value)
    {
        if (json_integer_value(value) == recipient)
            return true;
    }
    return false;
}

static bool is_about(const json_t *event, const char *type, const struct message_id *id)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    return strcmp(json_string_value(json_object_get(event, "type")), type) == 0 &&
           (!id || strcmp(json_string_value(json_object_get(event, "id")),
                          message_id_text(id, text)) == 0);
}

static const json_t *find_event(const char *type, const struct message_id *id, int recipient)
{
    read_events();
    for (size_t i = json_array_size(scene.events); i-- > 0;) {
        const json_t *event = json_array_get(scene.events, i);
        if (is_about(event, type, id) && concerns(event, recipient))
            return event;
    }
    return NULL;
}

/* Events are told when they are on stable storage. */
const json_t *last_event_of(const char *type, const struct message_id *id, int recipient)
{
    char text[MESSAGE_ID_TEXT_SIZE] = "any";
    int64_t end = timestamp_monotonic_ms() + 10000;
    const json_t *event;
    while (!(event = find_event(type, id, recipient)) && timestamp_monotonic_ms() < end)
        turn(20);
    if (!event)
        fail_msg("there is no event %s of %s", type, id ? message_id_text(id, text) : text);
    return event;
}

const json_t *last_event(const char *type, const struct message_id *id)
{
    return last_event_of(type, id, -1);
}

size_t count_events(const char *type, const struct message_id *id)
{
    size_t count = 0;
    read_events();
    for (size_t i = 0; i < json_array_size(scene.events); i++)
        count += is_about(json_array_get(scene.events, i), type, id);
    return count;
}

void assert_action(const struct message_id *id, const char *action, const char *detail)
{
    const json_t *event = last_event("action", id);
    const char *told = json_string_value(json_object_get(event, "detail"));
    assert_string_equal(json_string_value(json_object_get(event, "action")), action);
    if (!told || !strstr(told, detail))
        fail_msg("the detail is: %s", told ? told : "none");
}

void expect_body(const struct queue_message *message, const char *text)
{
    char body[200];
    struct error error = {0};
    long length = queue_read_body(scene.mta.queue, message, 0, body, sizeof(body), &error);
    assert_int_equal(length, (long)strlen(text));
    assert_memory_equal(body, text, strlen(text));
}

/* What becomes of messages by what the engine says, over a real queue; the engine is the test. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/timestamp.h"
#include "scanner/mta/config_ref.h"
#include "scanner/mta/intake_private.h"
#include "scanner/mta/scan_client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define BODY "Subject: test\r\n\r\nHello.\r\n"
#define CLEAN_BODY "Subject: test\r\n\r\nThis was removed.\r\n"
#define SCANS_MOST 64

/* A scan that intake asked for and that nobody has answered yet. */
struct asked {
    struct message_id id;
    uint32_t clean;
    scan_done done;
    void *argument;
};

struct scene {
    char folder[64];
    struct mta mta;
    struct asked asked[SCANS_MOST];
    size_t asked_count, scans; /* waiting, and so far */
    unsigned due;              /* messages that were to be delivered */
    unsigned answers;          /* of the intake, or accepted by the queue */
    char reply[256];
    json_t *events;
};

static struct scene scene;

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
    scene.asked[scene.asked_count++] = (struct asked){order->id, order->clean, done, argument};
    scene.scans++;
    return NULL;
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

static void configure(const char *malware)
{
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    buffer_add_format(
        &text,
        "{\"format\":1,\"version\":1,\"scanner_id\":\"0190a5d8-0000-7000-8000-000000000001\","
        "\"issued_at\":\"2026-01-01T00:00:00Z\",\"host_name\":\"gate.example\",\"smtp\":{"
        "\"inbound\":{\"listeners\":[]},\"outbound\":{\"listeners\":[]}},\"domains\":[],"
        "\"policies\":{\"malware\":{%s}},\"engine\":{\"workers\":1}}",
        malware);
    struct scanner_config *config = config_parse(text.data, text.length, &error);
    if (!config)
        fail_msg("%s: %s", error.where, error.message);
    buffer_free(&text);
    config_ref_drop(scene.mta.config);
    scene.mta.config = config_ref_new(config);
}

static void start(void)
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

static void stop(void)
{
    intake_free(scene.mta.intake);
    queue_close(scene.mta.queue);
    scene.asked_count = 0;
}

static int open_scene(void **state)
{
    (void)state;
    scene = (struct scene){.folder = "/tmp/gatehouse-intake-XXXXXX", .events = json_array()};
    assert_non_null(mkdtemp(scene.folder));
    scene.mta.base = event_base_new();
    configure("\"virus\":{\"action\":\"quarantine\"}");
    start();
    return 0;
}

static int close_scene(void **state)
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

static void turn(int milliseconds)
{
    struct timeval time = timestamp_interval(milliseconds);
    event_base_loopexit(scene.mta.base, &time);
    event_base_dispatch(scene.mta.base);
}

static void await_scan(size_t count)
{
    int64_t end = timestamp_monotonic_ms() + 20000;
    while (scene.asked_count < count && timestamp_monotonic_ms() < end)
        turn(5);
    assert_int_equal(scene.asked_count, count);
}

static void await_answers(unsigned count)
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

static struct queue_draft new_draft(int64_t age_ms)
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
static struct message_id queue_one(int64_t age_ms)
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
static struct message_id submit_one(void)
{
    struct transaction transaction = {.helo = "client.test", .protocol = "ESMTP"};
    struct queue_draft draft = new_draft(0);
    struct message_id id = draft.id;
    intake_submit(scene.mta.intake, &transaction, &draft, 0, on_reply, NULL);
    await_scan(1);
    return id;
}

/* Answers the scan that was asked for first. */
static void answer(const char *text, int cleaned)
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

#define CLEAN "{\"verdict\":\"clean\",\"verdicts\":[],\"threats\":[]}"
#define VIRUS                                                                                      \
    "{\"verdict\":\"virus\",\"verdicts\":[\"virus\"],\"threats\":[{\"name\":\"Eicar\","            \
    "\"part\":\"a.zip/b.com\",\"verdict\":\"virus\"}]"

static int file_with(const char *text)
{
    int fd = file_memory_open("cleaned", NULL);
    assert_true(fd >= 0);
    assert_true(file_write_all(fd, text, strlen(text), NULL));
    return fd;
}

static const char *virus_cleaned(long size)
{
    static char text[512];
    snprintf(text, sizeof(text), VIRUS ",\"cleaned\":{\"size\":%ld}}", size);
    return text;
}

static bool is_suspect(const struct message_id *id)
{
    const struct queue_message *message = queue_find(scene.mta.queue, id);
    return message && (message->flags & QUEUE_FLAG_SUSPECT) &&
           message->state == QUEUE_TO_BE_SCANNED;
}

static bool is_going_out(const struct message_id *id)
{
    const struct queue_message *message = queue_find(scene.mta.queue, id);
    return message && message->state == QUEUE_TO_BE_DELIVERED;
}

/* The last event of the type about the message (NULL: about any); fails where there is none. */
static const json_t *last_event(const char *type, const struct message_id *id)
{
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    char id_text[MESSAGE_ID_TEXT_SIZE] = "";
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
    if (id)
        message_id_text(id, id_text);
    for (size_t i = json_array_size(scene.events); i-- > 0;) {
        const json_t *event = json_array_get(scene.events, i);
        const char *event_id = json_string_value(json_object_get(event, "id"));
        if (strcmp(json_string_value(json_object_get(event, "type")), type) == 0 &&
            (!id || strcmp(event_id, id_text) == 0))
            return event;
    }
    fail_msg("there is no event %s of %s", type, id_text);
    return NULL;
}

static void assert_action(const struct message_id *id, const char *action, const char *detail)
{
    const json_t *event = last_event("action", id);
    const char *told = json_string_value(json_object_get(event, "detail"));
    assert_string_equal(json_string_value(json_object_get(event, "action")), action);
    if (!told || !strstr(told, detail))
        fail_msg("the detail is: %s", told ? told : "none");
}

/* --- quarantine --- */

static void a_suspect_message_waits_and_is_on_record(void **state)
{
    (void)state;
    struct message_id id = submit_one();
    answer(VIRUS "}", -1);
    await_answers(1);
    assert_memory_equal(scene.reply, "250 ", 4);
    turn(1300); /* the queue hands it out, and again a second later at the latest */
    assert_true(is_suspect(&id));
    assert_int_equal(scene.scans, 1);
    assert_int_equal(scene.due, 0);
    assert_action(&id, "quarantine", "Eicar in a.zip/b.com");
}

static void a_message_that_was_queued_unscanned_can_become_suspect(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    assert_false(is_suspect(&id));
    answer(VIRUS "}", -1);
    turn(50);
    assert_true(is_suspect(&id));
    assert_action(&id, "quarantine", "Eicar");
    assert_int_equal(scene.asked_count, 0);
}

static void new_signatures_let_a_clean_message_go(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    intake_signatures_changed(scene.mta.intake);
    await_scan(1);
    answer(CLEAN, -1);
    turn(50);
    assert_true(is_going_out(&id));
    assert_null(queue_find(scene.mta.queue, &id)->extra_header);
    assert_int_equal(scene.due, 1);
    assert_action(&id, "deliver", "");
}

static void other_policies_are_for_those_in_quarantine_too(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    struct config_ref *before = config_ref_take(scene.mta.config);
    configure("\"virus\":{\"action\":\"quarantine\"}");
    intake_configured(scene.mta.intake, before->config);
    turn(50);
    assert_int_equal(scene.asked_count, 0);
    configure("\"virus\":{\"action\":\"deliver\"}");
    intake_configured(scene.mta.intake, before->config);
    config_ref_drop(before);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_true(is_going_out(&id));
}

static void signatures_that_change_during_a_scan_make_another_one(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    intake_signatures_changed(scene.mta.intake);
    answer(VIRUS "}", -1);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_int_equal(scene.asked_count, 0);
    assert_true(is_suspect(&id));
}

static void when_its_time_is_over_it_is_deleted_by_default(void **state)
{
    (void)state;
    struct message_id id = queue_one(6 * HOUR + 1000);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_action(&id, "delete", "Eicar");
}

static void when_its_time_is_over_it_is_delivered_where_the_policy_says_so(void **state)
{
    (void)state;
    configure("\"virus\":{\"action\":\"quarantine\",\"hours\":1,\"then\":\"deliver\"}");
    struct message_id id = queue_one(HOUR + 1000);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_true(is_going_out(&id));
    assert_non_null(strstr(queue_find(scene.mta.queue, &id)->extra_header,
                           "X-Gatehouse-Verdict: virus; Eicar in a.zip/b.com"));
}

static void the_end_comes_by_itself(void **state)
{
    (void)state;
    struct message_id id = queue_one(6 * HOUR - 1500);
    await_scan(1);
    answer(VIRUS "}", -1);
    assert_true(is_suspect(&id));
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_null(queue_find(scene.mta.queue, &id));
}

static void a_suspect_message_outlives_a_restart_without_being_scanned_at_once(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(100);
    stop();
    start();
    turn(1300);
    assert_true(is_suspect(&id));
    assert_int_equal(scene.asked_count, 0);
    intake_signatures_changed(scene.mta.intake); /* as the first worker's greeting says */
    await_scan(1);
}

static void a_held_message_is_not_looked_at_again(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    queue_change_flags(scene.mta.queue, message, message->flags | QUEUE_FLAG_HELD, NULL);
    intake_signatures_changed(scene.mta.intake);
    turn(50);
    assert_int_equal(scene.asked_count, 0);
}

static void what_is_deleted_while_it_is_scanned_stays_deleted(void **state)
{
    struct queue_change deleted[2] = {{.recipient = 0, .state = QUEUE_RECIPIENT_DELETED},
                                      {.recipient = 1, .state = QUEUE_RECIPIENT_DELETED}};
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    queue_change_recipients(scene.mta.queue, queue_find(scene.mta.queue, &id), deleted, 2, NULL);
    answer(CLEAN, -1);
    turn(50);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_int_equal(scene.due, 0);
}

static void only_a_few_scans_are_asked_for_at_a_time(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        queue_one(0);
    turn(100);
    assert_int_equal(scene.asked_count, 2); /* two for each worker */
    while (scene.asked_count > 0)
        answer(CLEAN, -1);
    assert_int_equal(scene.scans, 20);
}

/* The sanitizers tell whether anything is left. */
static void a_stop_in_the_midst_of_scans_leaves_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        queue_one(0);
    await_scan(2);
    stop();
    start();
    await_scan(2);
}

/* --- cleaning --- */

static void expect_body(const struct queue_message *message, const char *text)
{
    char body[200];
    struct error error = {0};
    long length = queue_read_body(scene.mta.queue, message, 0, body, sizeof(body), &error);
    assert_int_equal(length, (long)strlen(text));
    assert_memory_equal(body, text, strlen(text));
}

static void a_clean_body_takes_the_place_of_the_one_that_came(void **state)
{
    (void)state;
    configure("\"virus\":{\"action\":\"clean\"}");
    struct message_id id = submit_one();
    assert_int_equal(scene.asked[0].clean, 1u << CONFIG_VERDICT_VIRUS);
    answer(virus_cleaned(strlen(CLEAN_BODY)), file_with(CLEAN_BODY));
    await_answers(1);
    assert_true(is_going_out(&id));
    expect_body(queue_find(scene.mta.queue, &id), CLEAN_BODY);
    assert_non_null(strstr(queue_find(scene.mta.queue, &id)->extra_header, "virus removed"));
    assert_action(&id, "clean", "Eicar in a.zip/b.com");
}

static void a_queued_message_goes_on_as_a_clean_new_one(void **state)
{
    struct queue_change delivered = {.recipient = 0, .state = QUEUE_RECIPIENT_DELIVERED};
    (void)state;
    configure("\"virus\":{\"action\":\"clean\"}");
    struct message_id id = queue_one(HOUR), new_id;
    await_scan(1);
    queue_change_recipients(scene.mta.queue, queue_find(scene.mta.queue, &id), &delivered, 1, NULL);
    answer(virus_cleaned(strlen(CLEAN_BODY)), file_with(CLEAN_BODY));
    turn(200);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_action(&id, "move", "goes on without it as message ");
    const char *detail = json_string_value(json_object_get(last_event("action", &id), "detail"));
    assert_true(message_id_parse(strstr(detail, "as message ") + 11, &new_id));
    const struct queue_message *message = queue_find(scene.mta.queue, &new_id);
    assert_non_null(message);
    expect_body(message, CLEAN_BODY);
    assert_int_equal(message->recipient_count, 1);
    assert_string_equal(message->recipients[0].address, "b@example.test");
    assert_string_equal(message->recipients[0].route, "127.0.0.1:2525");
    assert_string_equal(message->envelope_id, "env1");
    assert_true(message->received_at <= timestamp_now_ms() - HOUR);
    assert_action(&new_id, "clean", "Eicar");
}

/* What an engine could say that somebody took over. */
static void no_lie_about_a_clean_file_gets_a_message_through(void **state)
{
    long size = strlen(CLEAN_BODY);
    const struct {
        long told;
        int file;
    } lies[] = {
        {size, -1},
        {size + 1, file_with(CLEAN_BODY)},
        {size - 1, file_with(CLEAN_BODY)},
        {0, file_with("")},
        {-1, file_with(CLEAN_BODY)},
        {1L << 40, file_with(CLEAN_BODY)},
        {size, open("/dev/zero", O_RDONLY)},
        {size, open("/", O_RDONLY)},
    };
    (void)state;
    configure("\"virus\":{\"action\":\"clean\"}");
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct message_id id = submit_one();
        int again = lies[i].file >= 0 ? dup(lies[i].file) : -1;
        answer(virus_cleaned(lies[i].told), lies[i].file);
        await_answers(2 * (unsigned)i + 1);
        assert_string_equal(scene.reply, "250 2.0.0 Ok");
        assert_action(&id, "delete", "it could not be cleaned: ");
        id = queue_one(0);
        await_scan(1);
        answer(virus_cleaned(lies[i].told), again);
        turn(50);
        assert_null(queue_find(scene.mta.queue, &id));
        assert_action(&id, "delete", "it could not be cleaned: ");
    }
    assert_int_equal(scene.due, 0);
}

/* A file of /sys says that it is larger than what can be read of it, as one that is cut meanwhile.
 */
static void a_clean_file_that_ends_early_is_not_taken(void **state)
{
    struct stat status;
    struct intake_body body = INTAKE_BODY_INIT;
    struct error error = {0};
    cleanup_fd int file = open("/sys/kernel/uevent_seqnum", O_RDONLY);
    (void)state;
    if (file < 0 || fstat(file, &status) != 0)
        skip();
    cleanup_json json_t *result = json_loads(virus_cleaned(status.st_size), 0, NULL);
    assert_false(
        intake_body_read_cleaned(scene.mta.queue, result, file, strlen(BODY), &body, &error));
    assert_int_equal(error.code, ERROR_PROTOCOL);
    assert_string_equal(error.message, "the clean file ends early");
    assert_int_equal(body.memory.length, 0);
}

#define intake_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        intake_test(a_suspect_message_waits_and_is_on_record),
        intake_test(a_message_that_was_queued_unscanned_can_become_suspect),
        intake_test(new_signatures_let_a_clean_message_go),
        intake_test(other_policies_are_for_those_in_quarantine_too),
        intake_test(signatures_that_change_during_a_scan_make_another_one),
        intake_test(when_its_time_is_over_it_is_deleted_by_default),
        intake_test(when_its_time_is_over_it_is_delivered_where_the_policy_says_so),
        intake_test(the_end_comes_by_itself),
        intake_test(a_suspect_message_outlives_a_restart_without_being_scanned_at_once),
        intake_test(a_held_message_is_not_looked_at_again),
        intake_test(what_is_deleted_while_it_is_scanned_stays_deleted),
        intake_test(only_a_few_scans_are_asked_for_at_a_time),
        intake_test(a_stop_in_the_midst_of_scans_leaves_nothing),
        intake_test(a_clean_body_takes_the_place_of_the_one_that_came),
        intake_test(a_queued_message_goes_on_as_a_clean_new_one),
        intake_test(no_lie_about_a_clean_file_gets_a_message_through),
        intake_test(a_clean_file_that_ends_early_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

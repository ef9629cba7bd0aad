/* The queue under kill -9 at any point: a child accepts, changes and finishes messages and dies at
 * each fault point in turn, or at a random time; what it wrote down in a ledger must be true
 * afterwards. */
#include "test_queue.h"

#include "common/timestamp.h"
#include "scanner/mta/fault.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define SEGMENT_BYTES (128u << 10)
#define HANDOVER_INFO "{\"kind\":\"incident\"}"

/* The child's part */

static int ledger_fd;

static void ledger_write(const char *line)
{
    if (write(ledger_fd, line, strlen(line)) < 0)
        _exit(1);
}

static void ledger_note(char what, const struct message_id *id)
{
    char line[64], text[MESSAGE_ID_TEXT_SIZE];
    snprintf(line, sizeof line, "%c %s\n", what, message_id_text(id, text));
    ledger_write(line);
}

struct accepting {
    struct queue_scene *scene;
    struct message_id id;
};

static void on_accepted(void *argument, enum error_code result)
{
    struct accepting *accepting = argument;
    if (result != ERROR_NONE)
        _exit(2);
    ledger_note('A', &accepting->id); /* the mta would answer 250 now */
    accepting->scene->waiting--;
    free(accepting);
}

static void accept_one(struct queue_scene *scene, size_t length, enum queue_message_state state)
{
    struct accepting *accepting = malloc(sizeof *accepting);
    accepting->scene = scene;
    accepting->id = message_id_new();
    struct queue_draft_recipient recipient = {.address = "alice@example.org"};
    struct queue_draft draft = scene_draft(scene, &accepting->id, &recipient, 1, length);
    draft.state = state;
    if (state == QUEUE_TO_BE_HANDED_OVER)
        draft.extra_header = HANDOVER_INFO;
    scene->waiting++;
    queue_accept(scene->queue, &draft, on_accepted, accepting);
}

static bool defer_one(void *argument, struct queue_message *message)
{
    struct queue_scene *scene = argument;
    if (message->state == QUEUE_TO_BE_HANDED_OVER)
        return true;
    if (message->state == QUEUE_TO_BE_SCANNED)
        queue_change_scanned(scene->queue, message, "X-Scanned: yes\r\n",
                             scene_event("scanned", &message->id));
    struct queue_change change = {
        0, QUEUE_RECIPIENT_QUEUED, 1, timestamp_now_ms() + 1000000, "451", NULL};
    queue_change_recipients(scene->queue, message, &change, 1, NULL);
    return true;
}

static bool finish_some(void *argument, struct queue_message *message)
{
    struct queue_scene *scene = argument;
    if (++scene->visited % 4 == 0)
        return true;
    ledger_note('F', &message->id);
    scene_finish(scene, message,
                 message->state == QUEUE_TO_BE_HANDED_OVER ? QUEUE_RECIPIENT_HANDED_OVER
                                                           : QUEUE_RECIPIENT_DELIVERED);
    return true;
}

/* Takes all events as the agent does: the Control Center has them before they are acknowledged. */
static void take_events(struct queue_scene *scene)
{
    struct queue_log *log = queue_log_of(scene->queue);
    for (;;) {
        struct buffer out = BUFFER_INIT;
        size_t count;
        struct error error;
        buffer_add(&out, "[", 1);
        if (!queue_log_events(log, queue_log_acked(log), 50, 1 << 20, &out, &count, &error))
            _exit(3);
        if (!count) {
            buffer_free(&out);
            return;
        }
        buffer_add(&out, "]\n", 2);
        ledger_write(buffer_text(&out));
        queue_log_ack(log, queue_log_acked(log) + count);
        buffer_free(&out);
    }
}

static void work(struct queue_scene *scene, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 12; i++)
            accept_one(scene, i == 5 || i == 9 ? (1 << 20) + 4097 : (size_t)(i * i * 300),
                       i % 3 ? QUEUE_TO_BE_SCANNED : QUEUE_TO_BE_HANDED_OVER);
        scene_wait(scene);
        queue_each(scene->queue, defer_one, scene);
        queue_each(scene->queue, finish_some, scene);
        scene_settle(scene);
        ledger_write("S\n");
        take_events(scene);
        queue_compact(scene->queue);
        scene_settle(scene);
        scene_run(scene, 1);
    }
}

static pid_t start_child(const char *folder, int rounds, const char *fault)
{
    fflush(NULL);
    pid_t child = fork();
    if (child)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct queue_scene scene = {.segment_bytes = SEGMENT_BYTES};
    char path[128];
    snprintf(scene.folder, sizeof scene.folder, "%s", folder);
    snprintf(path, sizeof path, "%s/ledger", folder);
    ledger_fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    log_set_level(LOG_LEVEL_ERROR);
    ledger_write("N\n"); /* a new life: what the last one began may not have come to pass */
    fault_arm(fault);
    scene.base = event_base_new();
    scene_open(&scene);
    take_events(&scene);
    work(&scene, rounds);
    queue_close(scene.queue);
    event_base_free(scene.base);
    _exit(0);
}

/* The parent's part */

struct ledger_entry {
    struct message_id id;
    bool accepted;
    bool asked, finishing, finished; /* ever, in this child's life, and known to be synced */
    int received, delivered, scanned, found;
};

struct ledger {
    struct ledger_entry *entries;
    size_t count;
    uint64_t last_seq;
};

static struct ledger_entry *ledger_entry(struct ledger *ledger, const char *text)
{
    struct message_id id;
    assert_true(message_id_parse(text, &id));
    for (size_t i = ledger->count; i-- > 0;)
        if (message_id_equal(&ledger->entries[i].id, &id))
            return &ledger->entries[i];
    ledger->entries = realloc(ledger->entries, (ledger->count + 1) * sizeof *ledger->entries);
    ledger->entries[ledger->count] = (struct ledger_entry){.id = id};
    return &ledger->entries[ledger->count++];
}

static void ledger_events(struct ledger *ledger, const char *text)
{
    json_error_t error;
    json_t *list = json_loads(text, 0, &error);
    if (!list)
        fail_msg("%s", error.text);
    size_t index;
    json_t *event;
    json_array_foreach(list, index, event)
    {
        uint64_t seq = (uint64_t)json_integer_value(json_object_get(event, "seq"));
        /* The Control Center takes each once; what it was sent before the crash may come again. */
        if (seq <= ledger->last_seq)
            continue;
        assert_int_equal(seq, ledger->last_seq + 1);
        ledger->last_seq = seq;
        struct ledger_entry *entry =
            ledger_entry(ledger, json_string_value(json_object_get(event, "id")));
        const char *type = json_string_value(json_object_get(event, "type"));
        assert_string_not_equal(type, "lost");
        entry->received += strcmp(type, "received") == 0;
        entry->delivered += strcmp(type, "delivery") == 0;
        entry->scanned += strcmp(type, "scanned") == 0;
    }
    json_decref(list);
}

static void ledger_line(struct ledger *ledger, char *line)
{
    line[strcspn(line, "\n")] = 0;
    if (line[0] == 'S') {
        for (size_t i = 0; i < ledger->count; i++)
            ledger->entries[i].finished |= ledger->entries[i].finishing;
    } else if (line[0] == 'N') {
        for (size_t i = 0; i < ledger->count; i++)
            ledger->entries[i].finishing = false;
    } else if (line[0] == '[') {
        ledger_events(ledger, line);
    } else {
        struct ledger_entry *entry = ledger_entry(ledger, line + 2);
        entry->accepted |= line[0] == 'A';
        entry->asked |= line[0] == 'F';
        entry->finishing |= line[0] == 'F';
    }
}

/* A line that the child could not end was never said. */
static struct ledger read_ledger(const char *folder)
{
    struct ledger ledger = {0};
    char path[128], *line = NULL;
    size_t capacity = 0;
    off_t whole = 0;
    snprintf(path, sizeof path, "%s/ledger", folder);
    FILE *file = fopen(path, "r");
    for (ssize_t length; file && (length = getline(&line, &capacity, file)) > 0;) {
        if (line[length - 1] != '\n')
            break;
        whole += length;
        ledger_line(&ledger, line);
    }
    if (file) {
        fclose(file);
        assert_int_equal(truncate(path, whole), 0);
    }
    free(line);
    return ledger;
}

static bool note_found(void *argument, struct queue_message *message)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    ledger_entry(argument, message_id_text(&message->id, text))->found++;
    return true;
}

static void check_entry(struct queue_scene *scene, const struct ledger_entry *entry)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    message_id_text(&entry->id, text);
    if (entry->found > 1 || entry->received > 1 || entry->delivered > 1 || entry->scanned > 1)
        fail_msg("%s: found %d, received %d, delivered %d, scanned %d times", text, entry->found,
                 entry->received, entry->delivered, entry->scanned);
    if (entry->accepted && !entry->received)
        fail_msg("%s: was acknowledged, but its event is lost", text);
    if (entry->received && entry->found == entry->delivered)
        fail_msg("%s: is %s", text, entry->found ? "delivered and still there" : "lost");
    if (entry->finished && entry->found)
        fail_msg("%s: its final state was undone", text);
    if (entry->delivered && !entry->asked)
        fail_msg("%s: is finished but nobody asked for that", text);
    struct queue_message *message = queue_find(scene->queue, &entry->id);
    if (!message)
        return;
    assert_int_equal(message->state == QUEUE_TO_BE_DELIVERED, entry->scanned);
    if (message->state == QUEUE_TO_BE_HANDED_OVER)
        assert_string_equal(message->extra_header, HANDOVER_INFO);
    scene_check_body(scene, message, message->body_length);
}

/* Opens what the child left and compares. Leaves the queue open. */
static void check(struct queue_scene *scene)
{
    struct ledger ledger = read_ledger(scene->folder);
    scene_open(scene);
    struct queue_log *log = queue_log_of(scene->queue);
    while (ledger.last_seq < queue_log_last_seq(log)) {
        struct buffer out = BUFFER_INIT;
        size_t count;
        struct error error;
        buffer_add(&out, "[", 1);
        assert_true(queue_log_events(log, ledger.last_seq, 1000, 1 << 20, &out, &count, &error));
        buffer_add(&out, "]", 1);
        ledger_events(&ledger, buffer_text(&out));
        buffer_free(&out);
    }
    queue_each(scene->queue, note_found, &ledger);
    int large = 0, handovers = 0, listed = 0;
    for (size_t i = 0; i < ledger.count; i++) {
        check_entry(scene, &ledger.entries[i]);
        struct queue_message *message = queue_find(scene->queue, &ledger.entries[i].id);
        large += message && message->large;
        handovers += message && message->state == QUEUE_TO_BE_HANDED_OVER;
    }
    for (struct queue_message *each = NULL; (each = queue_handover_next(scene->queue, each));)
        listed++;
    assert_int_equal(listed, handovers);
    assert_int_equal(scene_large_files(scene), large);
    free(ledger.entries);
}

static int run_until_fault(const char *folder, int number)
{
    char fault[32];
    int status;
    snprintf(fault, sizeof fault, "*:%d", number);
    pid_t child = start_child(folder, 4, fault);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* In memory, where there is some, because each of so many runs syncs often; what dies here is the
 * process, not the disk. */
static void loses_nothing_when_killed_at_any_fault_point(void **state)
{
    (void)state;
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    int number = 0, status;
    do {
        struct queue_scene scene = {.segment_bytes = SEGMENT_BYTES};
        snprintf(scene.folder, sizeof scene.folder, "%s/gatehouse-queue-XXXXXX", parent);
        assert_non_null(mkdtemp(scene.folder));
        status = run_until_fault(scene.folder, ++number);
        if (status != 0)
            assert_int_equal(status, FAULT_STATUS);
        scene.base = event_base_new();
        check(&scene);
        queue_close(scene.queue);
        event_base_free(scene.base);
        scene_remove(scene.folder);
    } while (status == FAULT_STATUS);
    print_message("%d fault points\n", number - 1);
    assert_true(number > 50);
}

/* Dying while it recovers, again and again, is no different. */
static void loses_nothing_when_killed_again_and_again_in_one_folder(void **state)
{
    (void)state;
    struct queue_scene scene = {.segment_bytes = SEGMENT_BYTES, .base = event_base_new()};
    snprintf(scene.folder, sizeof scene.folder, "/tmp/gatehouse-queue-XXXXXX");
    assert_non_null(mkdtemp(scene.folder));
    srandom((unsigned)time(NULL));
    for (int i = 0; i < 20; i++) {
        int status;
        pid_t child = start_child(scene.folder, 100000, NULL);
        usleep((useconds_t)(random() % 150000));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check(&scene);
        queue_close(scene.queue);
    }
    event_base_free(scene.base);
    scene_remove(scene.folder);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loses_nothing_when_killed_at_any_fault_point),
        cmocka_unit_test(loses_nothing_when_killed_again_and_again_in_one_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

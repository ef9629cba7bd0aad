/* The queue's log: torn and damaged files, events, trimming, moving messages, and odd sizes. */
#include "test_queue.h"

#include "scanner/mta/crc32c.h"
#include "scanner/mta/queue_log_format.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SMALL_SEGMENT (64u << 10)

static int small_setup(void **state)
{
    scene_setup(state);
    struct queue_scene *scene = *state;
    queue_close(scene->queue);
    scene_remove(scene->folder);
    scene->segment_bytes = SMALL_SEGMENT;
    scene_open(scene);
    return 0;
}

static void segment_path(const struct queue_scene *scene, uint64_t id, char path[128])
{
    snprintf(path, 128, "%s/log-%016llx", scene->folder, (unsigned long long)id);
}

static char *segment_read(const struct queue_scene *scene, uint64_t id, size_t *length)
{
    char path[128];
    struct stat status;
    segment_path(scene, id, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    *length = (size_t)status.st_size;
    char *data = malloc(*length);
    assert_int_equal(read(fd, data, *length), *length);
    close(fd);
    return data;
}

static void segment_write(const struct queue_scene *scene, uint64_t id, const char *data,
                          size_t length, size_t offset)
{
    char path[128];
    segment_path(scene, id, path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, length, (off_t)offset), length);
    close(fd);
}

static void segment_flip(const struct queue_scene *scene, uint64_t id, size_t offset)
{
    size_t length;
    char *data = segment_read(scene, id, &length);
    assert_true(offset < length);
    data[offset] ^= 0x40;
    segment_write(scene, id, data + offset, 1, offset);
    free(data);
}

static uint64_t last_segment(struct queue_scene *scene)
{
    struct queue_segment *segment = queue_log_segments(queue_log_of(scene->queue));
    while (segment->next)
        segment = segment->next;
    return segment->id;
}

static int segment_count(struct queue_scene *scene)
{
    int count = 0;
    for (struct queue_segment *segment = queue_log_segments(queue_log_of(scene->queue)); segment;
         segment = segment->next)
        count++;
    return count;
}

static void computes_the_checksum_of_rfc_3720_with_and_without_the_instruction(void **state)
{
    (void)state;
    unsigned char data[300];
    memset(data, 0, 32);
    assert_int_equal(crc32c(0, data, 32), 0x8a9136aa); /* RFC 3720 appendix B.4 */
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37 + i / 7);
    for (size_t length = 0; length <= sizeof data; length++)
        assert_int_equal(crc32c_portable(1, data, length), crc32c(1, data, length));
}

/* Torn and damaged files */

struct stored {
    struct message_id id;
    uint64_t segment, end; /* of its record */
};

static struct stored store(struct queue_scene *scene, size_t length)
{
    struct stored stored = {.id = scene_accept(scene, "alice@example.org", 1, length, 0)};
    struct queue_message *message = queue_find(scene->queue, &stored.id);
    stored.segment = message->segment->id;
    stored.end = message->body_offset + message->body_length;
    return stored;
}

static void recovers_all_before_the_place_where_a_power_failure_tore_the_log(void **state)
{
    struct queue_scene *scene = *state;
    struct stored stored[6];
    for (size_t i = 0; i < 6; i++)
        stored[i] = store(scene, i * 40);
    queue_close(scene->queue);
    size_t length;
    char *whole = segment_read(scene, 1, &length), *torn = malloc(length);
    size_t end = stored[5].end + 16;
    for (size_t cut = sizeof(struct log_segment_header); cut < end; cut += 11) {
        memcpy(torn, whole, length);
        memset(torn + cut, cut % 2 ? 0 : 0xa5, end - cut);
        segment_write(scene, 1, torn, length, 0);
        scene_open(scene);
        uint64_t left = 0;
        for (size_t i = 0; i < 6; i++) {
            bool there = queue_find(scene->queue, &stored[i].id) != NULL;
            assert_int_equal(there, stored[i].end <= cut);
            left += there;
        }
        assert_int_equal(scene_check_events(scene), left);
        struct message_id more = scene_accept(scene, "bob@example.org", 1, 10, 0);
        scene_reopen(scene);
        assert_non_null(queue_find(scene->queue, &more));
        assert_int_equal(scene_check_events(scene), left + 1);
        queue_close(scene->queue);
    }
    free(whole);
    free(torn);
    scene_open(scene);
}

static size_t count_lost(struct queue_scene *scene, uint64_t expected)
{
    struct buffer out = BUFFER_INIT;
    size_t count, lost = 0;
    struct error error;
    assert_int_equal(queue_log_last_seq(queue_log_of(scene->queue)), expected);
    assert_true(
        queue_log_events(queue_log_of(scene->queue), 0, 1000, 1 << 20, &out, &count, &error));
    assert_int_equal(count, expected);
    for (const char *at = out.data; (at = strstr(at, "\"type\":\"lost\"")); at++)
        lost++;
    buffer_free(&out);
    assert_int_equal(scene_check_events(scene), expected);
    return lost;
}

static void passes_over_a_place_that_went_bad_after_it_was_synced(void **state)
{
    struct queue_scene *scene = *state;
    struct stored stored[10];
    for (size_t i = 0; i < 10; i++)
        stored[i] = store(scene, 500);
    queue_close(scene->queue);
    segment_flip(scene, 1, stored[3].end - 510); /* in its events */
    segment_flip(scene, 1, stored[5].end - 10);  /* in its body */
    scene_open(scene);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(queue_find(scene->queue, &stored[i].id) != NULL, i != 3 && i != 5);
    assert_int_equal(count_lost(scene, 10), 1);
}

/* The disk may have written the later ones of several records, but not the earlier ones. */
static void drops_what_stands_behind_a_record_that_was_torn_before_it_was_synced(void **state)
{
    struct queue_scene *scene = *state;
    struct stored first = store(scene, 500);
    for (int i = 0; i < 5; i++) {
        struct message_id id = message_id_new();
        queue_log_only(scene->queue, &id, scene_event("refused", &id), NULL, NULL);
    }
    queue_close(scene->queue);
    uint64_t second = log_align(first.end) + sizeof(struct log_record_header) + 80;
    segment_flip(scene, 1, log_align(second) + 20);
    scene_open(scene);
    assert_non_null(queue_find(scene->queue, &first.id));
    uint64_t left = scene_check_events(scene);
    assert_in_range(left, 1, 4);
    assert_int_equal(count_lost(scene, left), 0);
    scene_accept(scene, "bob@example.org", 1, 10, 0);
    assert_int_equal(count_lost(scene, left + 1), 0);
}

static void passes_over_a_damaged_place_in_an_older_segment(void **state)
{
    struct queue_scene *scene = *state;
    struct stored stored[20];
    for (size_t i = 0; i < 20; i++)
        stored[i] = store(scene, 9000);
    assert_true(stored[19].segment > 2);
    queue_close(scene->queue);
    size_t last = 0; /* of the first segment */
    while (stored[last + 1].segment == 1)
        last++;
    segment_flip(scene, 1, stored[2].end - 9010);
    segment_flip(scene, 1, stored[last].end - 9010);
    segment_flip(scene, 2, 20); /* its header */
    scene_open(scene);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(queue_find(scene->queue, &stored[i].id) != NULL, i != 2 && i != last);
    assert_int_equal(count_lost(scene, 20), 2);
}

static void refuses_a_segment_of_another_queue(void **state)
{
    struct queue_scene *scene = *state;
    store(scene, 10);
    queue_close(scene->queue);
    char path[128];
    snprintf(path, sizeof path, "%s/stream", scene->folder);
    assert_int_equal(unlink(path), 0);
    struct queue_hooks hooks = {scene_due, scene};
    struct error error;
    assert_null(queue_open(scene->folder, scene->base, &hooks, &error));
    assert_non_null(strstr(error.message, "belongs to another queue"));
    scene_remove(scene->folder);
    scene_open(scene);
}

/* A body that holds what looks like a record of a message, whatever the key may be. */
static void forge(struct buffer *body, uint64_t key, const struct message_id *id)
{
    static const char meta[] =
        "\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
        "\x01\0\0\0\x03\0\0\0a@b\xff\xff\xff\xff\xff\xff\xff\xff"
        "\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct log_record_header header = {.magic = LOG_RECORD_MAGIC,
                                       .type = QUEUE_RECORD_MESSAGE,
                                       .meta_length = sizeof meta,
                                       .synced = 60000,
                                       .seq = 99,
                                       .key = key};
    memcpy(header.id, id->bytes, sizeof header.id);
    header.crc = crc32c(crc32c(0, (char *)&header + 8, sizeof header - 8), meta, sizeof meta);
    for (int shift = 0; shift < 8; shift++) {
        buffer_add(body, &header, sizeof header);
        buffer_add(body, meta, sizeof meta);
        while (body->length % 8 != (unsigned)(shift + 1) % 8)
            buffer_add(body, " ", 1);
    }
}

static bool forged_is_found(struct queue_scene *scene, uint64_t key)
{
    scene_remove(scene->folder);
    scene_open(scene);
    store(scene, 10);
    struct message_id id = message_id_new(), forged = message_id_new();
    struct queue_draft_recipient recipient = {.address = "a@example.org"};
    struct queue_draft draft = scene_draft(scene, &id, &recipient, 1, 0);
    if (key == 0)
        key = queue_log_segments(queue_log_of(scene->queue))->key;
    forge(&draft.body, key, &forged);
    scene->waiting++;
    queue_accept(scene->queue, &draft, scene_answered, scene);
    scene_wait(scene);
    struct queue_message *message = queue_find(scene->queue, &id);
    uint64_t offset = message->body_offset;
    store(scene, 10);
    queue_close(scene->queue);
    segment_flip(scene, 1, offset - 3);
    scene_open(scene);
    assert_null(queue_find(scene->queue, &id));
    bool found = queue_find(scene->queue, &forged) != NULL;
    queue_close(scene->queue);
    return found;
}

static void takes_no_record_out_of_a_body_whose_sender_cannot_know_the_key(void **state)
{
    struct queue_scene *scene = *state;
    queue_close(scene->queue);
    assert_false(forged_is_found(scene, 1));
    assert_true(forged_is_found(scene, 0)); /* so it is the key that decides */
    scene_open(scene);
}

/* Odd sizes */

static void keeps_more_events_in_one_record_than_sixteen_bits_count(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = message_id_new();
    struct buffer events = BUFFER_INIT;
    for (int i = 0; i < 70000; i++)
        buffer_add_format(&events, "{\"type\":\"delivery\",\"recipient\":%d}\n", i);
    queue_log_only(scene->queue, &id, &events, NULL, NULL);
    scene_accept(scene, "alice@example.org", 1, 100, 0);
    assert_int_equal(queue_log_last_seq(queue_log_of(scene->queue)), 70001);
    scene_reopen(scene);
    assert_int_equal(scene_check_events_after(scene, 69000), 70001);
}

static enum error_code accept_recipients(struct queue_scene *scene, size_t count,
                                         struct message_id *id)
{
    struct queue_draft_recipient *list = calloc(count, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i].address = "somebody@example.org";
    *id = message_id_new();
    struct queue_draft draft = scene_draft(scene, id, list, count, 100);
    scene->result = ERROR_NONE;
    scene->waiting++;
    queue_accept(scene->queue, &draft, scene_answered, scene);
    scene_wait(scene);
    free(list);
    return scene->result;
}

static void takes_as_many_recipients_as_the_configuration_allows(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id, other;
    assert_int_equal(accept_recipients(scene, 100001, &other), ERROR_LIMIT);
    assert_int_equal(accept_recipients(scene, 0, &other), ERROR_LIMIT);
    assert_int_equal(accept_recipients(scene, 100000, &id), ERROR_NONE);
    scene_reopen(scene);
    assert_null(queue_find(scene->queue, &other));
    struct queue_message *message = queue_find(scene->queue, &id);
    assert_non_null(message);
    assert_int_equal(message->open_recipients, 100000);
    struct queue_change *changes = calloc(100000, sizeof *changes);
    for (uint32_t i = 0; i < 100000; i++)
        changes[i] = (struct queue_change){i, QUEUE_RECIPIENT_DELETED, 1, 0, "550 no", NULL};
    queue_change_recipients(scene->queue, message, changes, 100000, NULL);
    free(changes);
    scene_reopen(scene);
    assert_null(queue_find(scene->queue, &id));
}

static void keeps_the_beginning_of_a_long_reply(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, 100, 0);
    char reply[3001];
    memset(reply, 'r', 3000);
    reply[3000] = 0;
    struct queue_change change = {0, QUEUE_RECIPIENT_QUEUED, 1, 5, reply, NULL};
    struct queue_message *message = queue_find(scene->queue, &id);
    queue_change_recipients(scene->queue, message, &change, 1, NULL);
    assert_int_equal(strlen(message->recipients[0].reply), 500);
    scene_reopen(scene);
    assert_int_equal(strlen(queue_find(scene->queue, &id)->recipients[0].reply), 500);
}

/* Trimming and moving */

static void keeps_segments_until_their_events_are_acknowledged(void **state)
{
    struct queue_scene *scene = *state;
    for (int i = 0; i < 40; i++)
        scene_accept(scene, "alice@example.org", 1, 8000, 0);
    queue_each(scene->queue, scene_deliver, scene);
    scene_settle(scene);
    assert_true(segment_count(scene) > 4);
    assert_int_equal(scene_check_events(scene), 80);
    scene_reopen(scene);
    assert_true(segment_count(scene) > 4);
    scene_acknowledge_all(scene);
    assert_int_equal(segment_count(scene), 1);
    scene_reopen(scene);
    assert_int_equal(queue_log_last_seq(queue_log_of(scene->queue)), 80);
    uint64_t gone = queue_log_acked(queue_log_of(scene->queue));
    assert_true(gone > 20);
    assert_int_equal(scene_check_events_after(scene, gone), 80);
    assert_int_equal(scene_check_events_after(scene, 0), 80); /* those that are gone as lost */
}

static void reads_on_when_the_segment_being_read_has_gone(void **state)
{
    struct queue_scene *scene = *state;
    struct queue_log *log = queue_log_of(scene->queue);
    for (int i = 0; i < 40; i++)
        scene_accept(scene, "alice@example.org", 1, 8000, 0);
    queue_each(scene->queue, scene_deliver, scene);
    scene_settle(scene);
    int before = segment_count(scene);
    for (uint64_t after = 0; after < 80; after += 4) {
        struct buffer out = BUFFER_INIT;
        size_t count;
        struct error error;
        char expected[32];
        assert_true(queue_log_events(log, after, 4, 1 << 20, &out, &count, &error));
        assert_int_equal(count, 4);
        snprintf(expected, sizeof expected, "{\"seq\":%d,", (int)after + 4);
        assert_non_null(strstr(out.data, expected));
        assert_null(strstr(out.data, "lost"));
        buffer_free(&out);
        queue_log_ack(log, after + 4);
    }
    assert_true(segment_count(scene) < before);
}

static void does_not_trim_before_a_final_state_is_on_stable_storage(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, (1 << 20) + 1, 0);
    for (int i = 0; i < 20; i++)
        scene_accept(scene, "alice@example.org", 1, 8000, 0);
    queue_log_ack(queue_log_of(scene->queue), 21);
    int before = segment_count(scene);
    queue_each(scene->queue, scene_deliver, scene);
    queue_log_trim(queue_log_of(scene->queue));
    assert_int_equal(segment_count(scene), before);
    assert_int_equal(scene_large_files(scene), 1);
    scene_acknowledge_all(scene);
    assert_int_equal(segment_count(scene), 1);
    assert_int_equal(scene_large_files(scene), 0);
    assert_null(queue_find(scene->queue, &id));
}

static void moves_messages_that_stay_so_that_the_log_stays_small(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id small = scene_accept(scene, "alice@example.org", 2, 700, 0);
    struct message_id large = scene_accept(scene, "alice@example.org", 1, 2 << 20, 0);
    struct queue_change change = {1, QUEUE_RECIPIENT_QUEUED, 7, 12345, "451 x", "relay:25"};
    queue_change_scanned(scene->queue, queue_find(scene->queue, &small), "X-Header: y\r\n", NULL);
    queue_change_recipients(scene->queue, queue_find(scene->queue, &small), &change, 1, NULL);
    queue_hold_busy(scene->queue, queue_find(scene->queue, &small));
    for (int i = 0; i < 300; i++) {
        struct message_id id = scene_accept(scene, "bob@example.org", 1, 8000, 0);
        scene_finish(scene, queue_find(scene->queue, &id), QUEUE_RECIPIENT_DELIVERED);
        scene_acknowledge_all(scene);
        queue_compact(scene->queue);
    }
    scene_settle(scene);
    assert_true(segment_count(scene) <= 8);
    struct queue_message *message = queue_find(scene->queue, &small);
    assert_true(message->segment->id > 1);
    scene_check_body(scene, message, 700);
    queue_release_busy(scene->queue, message);
    scene_reopen(scene);
    message = queue_find(scene->queue, &small);
    assert_non_null(message);
    scene_check_body(scene, message, 700);
    assert_int_equal(message->state, QUEUE_TO_BE_DELIVERED);
    assert_string_equal(message->extra_header, "X-Header: y\r\n");
    assert_int_equal(message->recipients[1].attempts, 7);
    assert_string_equal(message->recipients[1].reply, "451 x");
    assert_string_equal(message->recipients[1].route, "relay:25");
    message = queue_find(scene->queue, &large);
    assert_non_null(message);
    scene_check_body(scene, message, 2 << 20);
}

static void forgets_a_message_that_was_removed_while_it_was_being_moved(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, 700, 0);
    for (int i = 0; i < 60; i++) {
        struct message_id other = scene_accept(scene, "bob@example.org", 1, 8000, 0);
        scene_finish(scene, queue_find(scene->queue, &other), QUEUE_RECIPIENT_DELIVERED);
    }
    scene_acknowledge_all(scene);
    queue_compact(scene->queue);
    assert_int_equal(scene->queue->moves_in_flight, 1);
    scene_finish(scene, queue_find(scene->queue, &id), QUEUE_RECIPIENT_DELIVERED);
    scene_acknowledge_all(scene);
    assert_int_equal(scene->queue->moves_in_flight, 0);
    assert_int_equal(segment_count(scene), 1);
    assert_int_equal(scene->queue->live_bytes, 0);
    scene_reopen(scene);
    assert_null(queue_find(scene->queue, &id));
    assert_true(last_segment(scene) > 1);
}

#define log_test(name) cmocka_unit_test_setup_teardown(name, small_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_the_checksum_of_rfc_3720_with_and_without_the_instruction),
        log_test(recovers_all_before_the_place_where_a_power_failure_tore_the_log),
        log_test(passes_over_a_place_that_went_bad_after_it_was_synced),
        log_test(drops_what_stands_behind_a_record_that_was_torn_before_it_was_synced),
        log_test(passes_over_a_damaged_place_in_an_older_segment),
        log_test(refuses_a_segment_of_another_queue),
        log_test(takes_no_record_out_of_a_body_whose_sender_cannot_know_the_key),
        log_test(keeps_more_events_in_one_record_than_sixteen_bits_count),
        log_test(takes_as_many_recipients_as_the_configuration_allows),
        log_test(keeps_the_beginning_of_a_long_reply),
        log_test(keeps_segments_until_their_events_are_acknowledged),
        log_test(reads_on_when_the_segment_being_read_has_gone),
        log_test(does_not_trim_before_a_final_state_is_on_stable_storage),
        log_test(moves_messages_that_stay_so_that_the_log_stays_small),
        log_test(forgets_a_message_that_was_removed_while_it_was_being_moved),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

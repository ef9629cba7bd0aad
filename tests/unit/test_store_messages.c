/* Messages that scanners hand over: pieces, the whole, and what becomes of bodies. */
#include "test_store_scene.h"

#include "controlcenter/store/incidents.h"
#include "controlcenter/store/messages.h"
#include "controlcenter/store/outbox.h"

#define SCANNER "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"
#define OTHER "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5c"

static void new_id(char id[MESSAGE_ID_TEXT_SIZE])
{
    struct message_id made = message_id_new();
    message_id_text(&made, id);
}

static json_t *incident_info(void)
{
    return json_pack("{s:s,s:s,s:s,s:[s],s:s}", "kind", "incident", "folder", "legal", "sender",
                     "a@example.org", "recipients", "b@example.com", "subject", "Salaries");
}

/* Content that compresses badly and has every byte. */
static char *content(size_t size)
{
    char *data = malloc(size + 1);
    uint32_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (char)(state >> 24);
    }
    return data;
}

static int put(struct scene *scene, const char *id, int number, const char *data, size_t length)
{
    int has = -1;
    ok(store_message_chunk(scene->store, id, SCANNER, number, data, length, &has, &error));
    return has;
}

static void put_all(struct scene *scene, const char *id, const char *data, size_t size)
{
    int number = 0;
    for (size_t at = 0; at < size; at += STORE_MESSAGE_CHUNK, number++) {
        size_t length = size - at < STORE_MESSAGE_CHUNK ? size - at : STORE_MESSAGE_CHUNK;
        assert_int_equal(put(scene, id, number, data + at, length), number + 1);
    }
}

static void complete(struct scene *scene, const char *id, size_t size)
{
    cleanup_json json_t *info = incident_info();
    ok(store_message_complete(scene->store, id, SCANNER, info, (int64_t)size, &error));
}

struct reader {
    const char *expected;
    size_t at, most;
};

static bool compare(void *argument, const void *data, size_t length)
{
    struct reader *reader = argument;
    assert_memory_equal(data, reader->expected + reader->at, length);
    reader->at += length;
    return reader->at < reader->most;
}

static void assert_body(struct scene *scene, const char *id, const char *data, size_t size)
{
    struct reader reader = {.expected = data, .most = SIZE_MAX};
    ok(store_message_read(scene->store, id, compare, &reader, &error));
    assert_int_equal(reader.at, size);
}

static void a_message_is_read_as_it_was_handed_over(void **state)
{
    static const size_t sizes[] = {0, 1, STORE_MESSAGE_CHUNK, STORE_MESSAGE_CHUNK + 1,
                                   5 * STORE_MESSAGE_CHUNK + 77};
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE], *data = content(sizes[4]);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        new_id(id);
        put_all(scene, id, data, sizes[i]);
        complete(scene, id, sizes[i]);
        assert_body(scene, id, data, sizes[i]);
    }
    struct reader reader = {.expected = data, .most = 1};
    ok(store_message_read(scene->store, id, compare, &reader, &error));
    assert_int_equal(reader.at, STORE_MESSAGE_CHUNK);
    json_t *info = store_message_info(scene->store, id, NULL);
    assert_string_equal(json_string_value(json_object_get(info, "subject")), "Salaries");
    json_decref(info);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident"), 5);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM message_upload"), 0);
    free(data);
}

static void a_broken_transfer_goes_on_where_it_ended(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    new_id(id);
    assert_int_equal(put(scene, id, 0, "first ", 6), 1);
    assert_int_equal(put(scene, id, 1, "second ", 7), 2);
    assert_int_equal(put(scene, id, 0, "first ", 6), 2);
    assert_int_equal(put(scene, id, 3, "fourth ", 7), 2); /* a gap is not filled */
    assert_int_equal(put(scene, id, 2, "third", 5), 3);
    complete(scene, id, 18);
    assert_body(scene, id, "first second third", 18);
}

static void done_twice_is_done_once(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    new_id(id);
    put(scene, id, 0, "body", 4);
    complete(scene, id, 4);
    complete(scene, id, 4);
    assert_int_equal(put(scene, id, 0, "body", 4), 1);
    assert_int_equal(put(scene, id, 1, "more", 4), 1);
    complete(scene, id, 4);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident"), 1);
    assert_body(scene, id, "body", 4);
}

static void an_end_before_all_is_there_is_refused(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    cleanup_json json_t *info = incident_info();
    new_id(id);
    put(scene, id, 0, "body", 4);
    fails(ERROR_PROTOCOL, store_message_complete(scene->store, id, SCANNER, info, 5, &error));
    fails(ERROR_NOT_FOUND, store_message_read(scene->store, id, compare, NULL, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident"), 0);
    complete(scene, id, 4);
}

static void what_it_is_for_must_be_known(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    cleanup_json json_t *info = json_pack("{s:s}", "kind", "parcel");
    new_id(id);
    put(scene, id, 0, "body", 4);
    fails(ERROR_INVALID, store_message_complete(scene->store, id, SCANNER, info, 4, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM message"), 0);
    complete(scene, id, 4);
}

static void a_scanner_has_no_hand_in_the_messages_of_another(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    int has;
    cleanup_json json_t *info = incident_info();
    new_id(id);
    put(scene, id, 0, "body", 4);
    fails(ERROR_DENIED, store_message_chunk(scene->store, id, OTHER, 1, "more", 4, &has, &error));
    fails(ERROR_DENIED, store_message_complete(scene->store, id, OTHER, info, 4, &error));
    complete(scene, id, 4);
    fails(ERROR_DENIED, store_message_complete(scene->store, id, OTHER, info, 4, &error));
}

static void sizes_and_numbers_are_bounded(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE], *data = content(STORE_MESSAGE_CHUNK + 1);
    int has;
    new_id(id);
    fails(ERROR_LIMIT, store_message_chunk(scene->store, id, SCANNER, 0, data,
                                           STORE_MESSAGE_CHUNK + 1, &has, &error));
    fails(ERROR_LIMIT, store_message_chunk(scene->store, id, SCANNER, 0, data, 0, &has, &error));
    fails(ERROR_LIMIT, store_message_chunk(scene->store, id, SCANNER, -1, data, 1, &has, &error));
    fails(ERROR_LIMIT,
          store_message_chunk(scene->store, id, SCANNER, 1000000, data, 1, &has, &error));
    fails(ERROR_INVALID, store_message_chunk(scene->store, "x", SCANNER, 0, data, 1, &has, &error));
    count_of(scene, "WITH added AS (INSERT INTO message_upload (id, scanner_id)"
                    " SELECT gen_random_uuid(), '" SCANNER "' FROM generate_series(1, 1000)"
                    " RETURNING 1) SELECT count(*) FROM added");
    new_id(id);
    fails(ERROR_UNAVAILABLE,
          store_message_chunk(scene->store, id, SCANNER, 0, data, 1, &has, &error));
    ok(store_message_chunk(scene->store, id, OTHER, 0, data, 1, &has, &error));
    free(data);
}

static int expunge(struct scene *scene)
{
    int removed;
    ok(store_message_expunge(scene->store, 10, &removed, &error));
    return removed;
}

static void a_body_goes_when_neither_incident_nor_outbox_need_it(void **state)
{
    static const char *const recipients[] = {"b@example.com"};
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE], mail[37];
    new_id(id);
    put(scene, id, 0, "body", 4);
    complete(scene, id, 4);
    assert_int_equal(expunge(scene), 0);
    struct store_outbox_new new = {.sender = "",
                                   .recipients = recipients,
                                   .recipient_count = 1,
                                   .message_id = id,
                                   .inbound = true,
                                   .reason = "incident.approve",
                                   .administrator = ""};
    ok(store_outbox_add(scene->store, &new, mail, &error));
    count_of(scene, "WITH gone AS (DELETE FROM incident RETURNING 1) SELECT count(*) FROM gone");
    assert_int_equal(expunge(scene), 0);
    assert_body(scene, id, "body", 4);
    struct store_outbox_mail sent = {.administrator = (char *)""};
    memcpy(sent.id, mail, sizeof(sent.id));
    ok(store_outbox_sent(scene->store, &sent, SCANNER, &error));
    assert_int_equal(expunge(scene), 1);
    assert_int_equal(expunge(scene), 0);
    fails(ERROR_NOT_FOUND, store_message_read(scene->store, id, compare, NULL, &error));
    assert_int_equal(count_of(scene, "SELECT count(*) FROM message_chunk"), 0);
    /* It is still known, so that it does not become an incident again. */
    complete(scene, id, 4);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM incident"), 0);
}

static void what_a_scanner_left_unfinished_goes_after_days(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    new_id(id);
    put(scene, id, 0, "body", 4);
    expunge(scene);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM message_chunk"), 1);
    count_of(scene, "WITH old AS (UPDATE message_upload SET begun_at = now() - interval '3 days'"
                    " RETURNING 1) SELECT count(*) FROM old");
    expunge(scene);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM message_chunk"), 0);
    assert_int_equal(put(scene, id, 0, "body", 4), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_message_is_read_as_it_was_handed_over),
        scene_test(a_broken_transfer_goes_on_where_it_ended),
        scene_test(done_twice_is_done_once),
        scene_test(an_end_before_all_is_there_is_refused),
        scene_test(what_it_is_for_must_be_known),
        scene_test(a_scanner_has_no_hand_in_the_messages_of_another),
        scene_test(sizes_and_numbers_are_bounded),
        scene_test(a_body_goes_when_neither_incident_nor_outbox_need_it),
        scene_test(what_a_scanner_left_unfinished_goes_after_days),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

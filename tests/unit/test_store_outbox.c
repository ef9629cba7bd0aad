/* The outbox: who may send a mail, to whom, and until when it stays. */
#include "test_store_scene.h"

#include "controlcenter/store/outbox.h"
#include "controlcenter/store/requests.h"

#include <unistd.h>

#define SCANNER "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"
#define OTHER "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5c"
#define TEXT "Subject: x\r\n\r\n\xff\x01 text\r\n"

static const char *const recipients[] = {"b@example.com", "c@example.com"};
static const struct store_outbox_new notice = {.sender = "",
                                               .recipients = recipients,
                                               .recipient_count = 2,
                                               .message = TEXT,
                                               .message_length = sizeof(TEXT) - 1,
                                               .reason = "notify",
                                               .administrator = "ada",
                                               .scanner_id = SCANNER};

static size_t take(struct scene *scene, struct store_outbox_mail **mails)
{
    size_t count;
    ok(store_outbox_take(scene->store, 10, mails, &count, &error));
    return count;
}

static size_t take_and_drop(struct scene *scene)
{
    struct store_outbox_mail *mails;
    size_t count = take(scene, &mails);
    store_outbox_list_free(mails, count);
    return count;
}

static void make_due(struct scene *scene)
{
    count_of(scene, "WITH due AS (UPDATE outbox SET next_attempt = now() RETURNING 1)"
                    " SELECT count(*) FROM due");
}

static void a_mail_is_given_out_as_it_was_put_in_and_to_one_at_a_time(void **state)
{
    struct scene *scene = *state;
    struct store_outbox_mail *mails;
    char id[37];
    ok(store_outbox_add(scene->store, &notice, id, &error));
    assert_int_equal(take(scene, &mails), 1);
    assert_string_equal(mails[0].id, id);
    assert_string_equal(mails[0].sender, "");
    assert_int_equal(mails[0].message_length, notice.message_length);
    assert_memory_equal(mails[0].message, TEXT, notice.message_length);
    assert_string_equal(mails[0].scanner_id, SCANNER);
    assert_string_equal(mails[0].bound_to, "");
    assert_string_equal(json_string_value(json_array_get(mails[0].recipients, 1)), recipients[1]);
    assert_int_equal(mails[0].attempts, 1);
    assert_int_equal(take_and_drop(scene), 0);
    make_due(scene); /* whoever had it died */
    assert_int_equal(take_and_drop(scene), 1);
    ok(store_outbox_sent(scene->store, &mails[0], SCANNER, &error));
    make_due(scene);
    assert_int_equal(take_and_drop(scene), 0);
    assert_int_equal(
        count_of(scene, "SELECT count(*) FROM administrator_log WHERE action = 'mail.submit'"), 1);
    ok(store_outbox_sent(scene->store, &mails[0], SCANNER, &error));
    assert_int_equal(
        count_of(scene, "SELECT count(*) FROM administrator_log WHERE action = 'mail.submit'"), 1);
    store_outbox_list_free(mails, 1);
}

static void only_one_scanner_is_ever_asked_to_store_it(void **state)
{
    struct scene *scene = *state;
    struct store_outbox_mail *mails;
    char id[37];
    ok(store_outbox_add(scene->store, &notice, id, &error));
    ok(store_outbox_bind(scene->store, id, SCANNER, &error));
    ok(store_outbox_bind(scene->store, id, SCANNER, &error));
    fails(ERROR_EXISTS, store_outbox_bind(scene->store, id, OTHER, &error));
    assert_int_equal(take(scene, &mails), 1);
    assert_string_equal(mails[0].bound_to, SCANNER);
    ok(store_outbox_bind(scene->store, id, "", &error));
    ok(store_outbox_bind(scene->store, id, OTHER, &error));
    ok(store_outbox_sent(scene->store, &mails[0], OTHER, &error));
    fails(ERROR_NOT_FOUND, store_outbox_bind(scene->store, id, OTHER, &error));
    store_outbox_list_free(mails, 1);
}

static void a_failure_is_kept_and_the_mail_comes_again_later(void **state)
{
    struct scene *scene = *state;
    struct store_outbox_waiting *waiting;
    size_t count;
    char id[37];
    ok(store_outbox_add(scene->store, &notice, id, &error));
    assert_int_equal(take_and_drop(scene), 1);
    ok(store_outbox_failed(scene->store, id, "no scanner\nis connected", 1, &error));
    assert_int_equal(take_and_drop(scene), 0);
    ok(store_outbox_waiting(scene->store, NULL, 10, &waiting, &count, &error));
    assert_int_equal(count, 1);
    assert_string_equal(waiting[0].problem, "no scanner?is connected");
    assert_int_equal(waiting[0].attempts, 1);
    assert_string_equal(waiting[0].administrator, "ada");
    store_outbox_waiting_free(waiting, count);
    usleep(1100000);
    assert_int_equal(take_and_drop(scene), 1);
    ok(store_outbox_retry(scene->store, &error)); /* somebody is at it: it stays with that one */
    assert_int_equal(take_and_drop(scene), 0);
    ok(store_outbox_failed(scene->store, id, "again", 100, &error));
    assert_int_equal(take_and_drop(scene), 0);
    ok(store_outbox_retry(scene->store, &error));
    assert_int_equal(take_and_drop(scene), 1);
}

static void a_mail_needs_a_recipient_and_one_content(void **state)
{
    struct scene *scene = *state;
    struct store_outbox_new wrong = notice;
    char id[37];
    wrong.recipient_count = 0;
    fails(ERROR_INVALID, store_outbox_add(scene->store, &wrong, id, &error));
    wrong = notice;
    wrong.message_id = SCANNER;
    fails(ERROR_INVALID, store_outbox_add(scene->store, &wrong, id, &error));
    wrong.message = NULL;
    wrong.message_id = "x";
    fails(ERROR_INVALID, store_outbox_add(scene->store, &wrong, id, &error));
    wrong.message_id = NULL;
    fails(ERROR_INVALID, store_outbox_add(scene->store, &wrong, id, &error));
}

static void a_bell_rings_when_a_mail_is_put_in(void **state)
{
    struct scene *scene = *state;
    char id[37];
    struct store_bell *bell = store_bell_open(scene->store, STORE_OUTBOX_BELL);
    assert_non_null(bell);
    for (int i = 0; i < 10 && store_bell_wait(bell, 500); i++)
        continue; /* it rings when the connection is there */
    ok(store_outbox_add(scene->store, &notice, id, &error));
    assert_true(store_bell_wait(bell, 5000));
    store_bell_close(bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(a_mail_is_given_out_as_it_was_put_in_and_to_one_at_a_time),
        scene_test(only_one_scanner_is_ever_asked_to_store_it),
        scene_test(a_failure_is_kept_and_the_mail_comes_again_later),
        scene_test(a_mail_needs_a_recipient_and_one_content),
        scene_test(a_bell_rings_when_a_mail_is_put_in),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

/* The outbox against stand-in scanners: which one is asked, and that what goes wrong on the way
 * neither loses a mail nor sends it twice. */
#include "test_store_scene.h"

#include "common/buffer.h"

#include "controlcenter/mail/outbox.h"
#include "controlcenter/store/messages.h"
#include "controlcenter/store/outbox.h"

#include <pthread.h>
#include <sodium.h>
#include <unistd.h>

#define SMALL "Subject: x\r\n\r\nsmall\r\n"
#define LARGE (2u * STORE_MESSAGE_CHUNK * 5 + 77)
#define SCANNERS 3

struct scanner {
    char id[37];
    bool away;          /* answers nothing */
    bool forgets_reply; /* stores the next mail, and its answer is lost */
    int begun, ended;
    char known[37]; /* the mail that it has */
    struct buffer content;
};

static struct {
    pthread_mutex_t lock;
    struct scanner scanners[SCANNERS];
    struct store *store;
    struct outbox *outbox;
} field = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- the scanners --- */

static json_t *timed_out(struct error *error)
{
    error_set(error, ERROR_TIMEOUT, NULL, "the scanner did not answer in time");
    return NULL;
}

static json_t *answer_data(struct scanner *scanner, const json_t *request)
{
    const char *text = json_string_value(json_object_get(request, "data"));
    size_t length, most = strlen(text);
    assert_int_equal(json_integer_value(json_object_get(request, "offset")),
                     scanner->content.length);
    char *to = buffer_reserve(&scanner->content, most);
    assert_int_equal(sodium_base642bin((unsigned char *)to, most, text, strlen(text), NULL, &length,
                                       NULL, sodium_base64_VARIANT_ORIGINAL),
                     0);
    assert_true(length <= 1u << 20);
    scanner->content.length += length;
    return json_pack("{s:b}", "ok", 1);
}

static json_t *answer_end(struct scanner *scanner, const json_t *request, struct error *error)
{
    scanner->ended++;
    assert_int_equal(json_integer_value(json_object_get(request, "size")), scanner->content.length);
    snprintf(scanner->known, sizeof(scanner->known), "%s",
             json_string_value(json_object_get(request, "id")));
    if (!scanner->forgets_reply)
        return json_pack("{s:b}", "ok", 1);
    scanner->forgets_reply = false;
    return timed_out(error);
}

static json_t *answer(struct scanner *scanner, const json_t *request, struct error *error)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *id = json_string_value(json_object_get(request, "id"));
    if (scanner->away)
        return timed_out(error);
    if (strcmp(op, "submit_data") == 0)
        return answer_data(scanner, request);
    if (strcmp(op, "submit_end") == 0)
        return answer_end(scanner, request, error);
    assert_string_equal(op, "submit_begin");
    scanner->begun++;
    buffer_clear(&scanner->content);
    return json_pack("{s:b,s:b}", "ok", 1, "known", strcmp(id, scanner->known) == 0);
}

json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *error);
json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *error)
{
    json_t *reply = NULL;
    (void)fleet;
    (void)wait_ms;
    assert_string_equal(target, "mta");
    pthread_mutex_lock(&field.lock);
    for (int i = 0; i < SCANNERS; i++)
        if (strcmp(scanner_id, field.scanners[i].id) == 0)
            reply = answer(&field.scanners[i], request, error);
    pthread_mutex_unlock(&field.lock);
    return reply;
}

static int total(int (*count)(const struct scanner *scanner))
{
    int sum = 0;
    pthread_mutex_lock(&field.lock);
    for (int i = 0; i < SCANNERS; i++)
        sum += count(&field.scanners[i]);
    pthread_mutex_unlock(&field.lock);
    return sum;
}

static int ends(const struct scanner *scanner)
{
    return scanner->ended;
}

static int begins(const struct scanner *scanner)
{
    return scanner->begun;
}

/* --- the scene --- */

/* Enrols one that has just polled. */
static void add_scanner(struct scene *scene, struct scanner *scanner, const char *name)
{
    char hash[65], host[256];
    cleanup_json json_t *smtp = json_object();
    cleanup_json json_t *status = json_pack("{s:{s:i}}", "mta", "sessions", 0);
    snprintf(hash, sizeof(hash), "%064d", name[0]);
    ok(store_enrolment_create(scene->store, hash, name, timestamp_now_ms() + 100000, "test",
                              &error));
    ok(store_enrolment_use(scene->store, hash, smtp, scanner->id, host, &error));
    ok(store_scanner_seen(scene->store, scanner->id, 1, 0, "", "1", status, &error));
}

static int open_field(void **argument)
{
    static const char *const names[SCANNERS] = {"a.test", "b.test", "c.test"};
    int status = open_scene(argument);
    struct scene *scene = *argument;
    memset(field.scanners, 0, sizeof(field.scanners));
    for (int i = 0; i < SCANNERS; i++)
        add_scanner(scene, &field.scanners[i], names[i]);
    field.store = scene->store;
    field.outbox = NULL;
    return status;
}

static int close_field(void **argument)
{
    outbox_stop(field.outbox);
    for (int i = 0; i < SCANNERS; i++)
        buffer_free(&field.scanners[i].content);
    return close_scene(argument);
}

static void start(void)
{
    ok((field.outbox = outbox_start(field.store, NULL, &error)));
}

static void add_mail(const char *scanner_id, const char *message_id)
{
    static const char *const recipients[] = {"b@example.com"};
    struct store_outbox_new mail = {.sender = "",
                                    .recipients = recipients,
                                    .recipient_count = 1,
                                    .message = message_id ? NULL : SMALL,
                                    .message_length = sizeof(SMALL) - 1,
                                    .message_id = message_id,
                                    .reason = "notify",
                                    .administrator = "",
                                    .scanner_id = scanner_id};
    char id[37];
    ok(store_outbox_add(field.store, &mail, id, &error));
}

static void await(struct scene *scene, const char *sql, int64_t value)
{
    int64_t end = timestamp_monotonic_ms() + 10000;
    while (count_of(scene, sql) != value) {
        if (timestamp_monotonic_ms() > end)
            fail_msg("%s never is %lld", sql, (long long)value);
        usleep(10000);
    }
}

static void make_due(struct scene *scene)
{
    count_of(scene, "WITH due AS (UPDATE outbox SET next_attempt = now() RETURNING 1),"
                    " rung AS (SELECT pg_notify('scanner_request', '" STORE_OUTBOX_BELL "'))"
                    " SELECT count(*) FROM due, rung");
}

#define LEFT "SELECT count(*) FROM outbox"
#define FAILED "SELECT count(*) FROM outbox WHERE problem <> ''"

/* --- the tests --- */

static void a_mail_goes_at_once_to_the_scanner_that_should_send_it(void **state)
{
    struct scene *scene = *state;
    start();
    for (int i = 0; i < 4; i++) {
        add_mail(field.scanners[1].id, NULL);
        await(scene, LEFT, 0);
    }
    assert_int_equal(field.scanners[1].ended, 4);
    assert_int_equal(total(ends), 4);
    assert_int_equal(field.scanners[1].content.length, sizeof(SMALL) - 1);
    assert_memory_equal(field.scanners[1].content.data, SMALL, sizeof(SMALL) - 1);
}

static void another_sends_it_where_that_one_is_silent(void **state)
{
    struct scene *scene = *state;
    count_of(scene, "WITH old AS (UPDATE scanner SET seen_at = now() - interval '5 minutes'"
                    " WHERE host_name IN ('a.test', 'b.test') RETURNING 1)"
                    " SELECT count(*) FROM old");
    add_mail(field.scanners[1].id, NULL);
    start();
    await(scene, LEFT, 0);
    assert_int_equal(field.scanners[2].ended, 1);
}

static void a_large_message_goes_in_pieces(void **state)
{
    struct scene *scene = *state;
    char id[MESSAGE_ID_TEXT_SIZE];
    struct message_id made = message_id_new();
    cleanup_free char *data = malloc(LARGE);
    cleanup_json json_t *info = json_pack("{s:s}", "kind", "incident");
    int has;
    message_id_text(&made, id);
    for (size_t i = 0; i < LARGE; i++)
        data[i] = (char)(i * 7 + i / 251);
    for (size_t at = 0, number = 0; at < LARGE; at += STORE_MESSAGE_CHUNK, number++) {
        size_t length = LARGE - at < STORE_MESSAGE_CHUNK ? LARGE - at : STORE_MESSAGE_CHUNK;
        ok(store_message_chunk(field.store, id, field.scanners[0].id, (int)number, data + at,
                               length, &has, &error));
    }
    ok(store_message_complete(field.store, id, field.scanners[0].id, info, LARGE, &error));
    start();
    add_mail(field.scanners[0].id, id);
    await(scene, LEFT, 0);
    assert_int_equal(field.scanners[0].content.length, LARGE);
    assert_memory_equal(field.scanners[0].content.data, data, LARGE);
}

static void who_may_have_it_is_asked_again_and_no_other(void **state)
{
    struct scene *scene = *state;
    field.scanners[0].forgets_reply = true;
    add_mail(field.scanners[0].id, NULL);
    start();
    await(scene, FAILED, 1);
    field.scanners[0].away = true;
    for (int i = 0; i < 3; i++) {
        make_due(scene);
        await(scene, "SELECT count(*) FROM outbox WHERE next_attempt > now()", 1);
        usleep(50000);
    }
    assert_int_equal(total(ends), 1);
    assert_int_equal(total(begins), 1);
    field.scanners[0].away = false;
    make_due(scene);
    await(scene, LEFT, 0);
    assert_int_equal(total(ends), 1); /* it said that it knows it */
    assert_int_equal(total(begins), 2);
}

static void a_scanner_that_is_gone_for_good_lets_the_mail_go(void **state)
{
    struct scene *scene = *state;
    field.scanners[0].forgets_reply = true;
    add_mail(field.scanners[0].id, NULL);
    start();
    await(scene, FAILED, 1);
    ok(store_scanner_remove(field.store, field.scanners[0].id, "admin", &error));
    make_due(scene);
    await(scene, LEFT, 0);
    assert_int_equal(total(ends), 2);
}

static void without_a_scanner_the_reason_is_kept(void **state)
{
    struct scene *scene = *state;
    count_of(scene, "WITH old AS (UPDATE scanner SET seen_at = now() - interval '5 minutes'"
                    " RETURNING 1) SELECT count(*) FROM old");
    add_mail(NULL, NULL);
    start();
    await(scene, "SELECT count(*) FROM outbox WHERE problem LIKE '%no scanner%'", 1);
}

#define field_test(function) cmocka_unit_test_setup_teardown(function, open_field, close_field)

int main(void)
{
    const struct CMUnitTest tests[] = {
        field_test(a_mail_goes_at_once_to_the_scanner_that_should_send_it),
        field_test(another_sends_it_where_that_one_is_silent),
        field_test(a_large_message_goes_in_pieces),
        field_test(who_may_have_it_is_asked_again_and_no_other),
        field_test(a_scanner_that_is_gone_for_good_lets_the_mail_go),
        field_test(without_a_scanner_the_reason_is_kept),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

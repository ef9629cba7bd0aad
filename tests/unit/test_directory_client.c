/* The mta's client of the directory process against a peer that answers as the test says. */
#include "scanner/mta/directory_client.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/timestamp.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct scene {
    char folder[64], path[96];
    struct event_base *base;
    struct directory_client *client;
    int listener, peer; /* -1: none */
};

static void listen_again(struct scene *scene)
{
    struct error error = {0};
    scene->listener = ipc_listen(scene->path, SOCK_SEQPACKET, 0600, &error);
    assert_true(scene->listener >= 0);
    assert_int_equal(fcntl(scene->listener, F_SETFL, O_NONBLOCK), 0);
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    strcpy(scene->folder, "/tmp/gatehouse-directory-client-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof(scene->path), "%s/directory.sock", scene->folder);
    scene->peer = -1;
    listen_again(scene);
    scene->base = event_base_new();
    scene->client = directory_client_new(scene->base, scene->path);
    *state = scene;
    return 0;
}

static void close_peer(struct scene *scene)
{
    if (scene->peer >= 0)
        close(scene->peer);
    scene->peer = -1;
}

static void close_listener(struct scene *scene)
{
    if (scene->listener >= 0)
        close(scene->listener);
    scene->listener = -1;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    directory_client_free(scene->client);
    event_base_free(scene->base);
    close_peer(scene);
    close_listener(scene);
    unlink(scene->path);
    rmdir(scene->folder);
    free(scene);
    return 0;
}

/* --- both ends --- */

struct given {
    struct directory_answer answer;
    int count;
};

static void on_answer(void *argument, const struct directory_answer *answer)
{
    struct given *given = argument;
    given->answer = *answer;
    given->count++;
}

static void run_for(struct scene *scene, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    do
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
    while (timestamp_monotonic_ms() < end && usleep(1000) == 0);
}

static void wait_for(struct scene *scene, const struct given *given, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    while (given->count == 0 && timestamp_monotonic_ms() < end)
        run_for(scene, 5);
    assert_int_equal(given->count, 1);
}

/* The next question that the client sends, as the object of `kind`. */
static json_t *take_question(struct scene *scene, const char *kind)
{
    int64_t end = timestamp_monotonic_ms() + 5000;
    int none = -1;
    while (timestamp_monotonic_ms() < end) {
        run_for(scene, 2);
        if (scene->peer < 0)
            scene->peer = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        json_t *frame = scene->peer >= 0 ? ipc_packet_receive(scene->peer, &none, NULL) : NULL;
        if (!frame)
            continue;
        json_t *question = json_incref(json_object_get(frame, kind));
        json_decref(frame);
        assert_non_null(question);
        return question;
    }
    fail_msg("no question of %s comes", kind);
    return NULL;
}

static void say(struct scene *scene, const char *text)
{
    assert_true(send(scene->peer, text, strlen(text), MSG_NOSIGNAL) > 0);
}

static void answer(struct scene *scene, const json_t *question, const char *rest)
{
    char text[512];
    snprintf(text, sizeof(text), "{\"answer\":{\"id\":%lld,%s}}",
             (long long)json_integer_value(json_object_get(question, "id")), rest);
    say(scene, text);
}

static const char *text_of(const json_t *question, const char *name)
{
    return json_string_value(json_object_get(question, name));
}

/* --- behaviour --- */

static void answers_find_their_questions_in_any_order(void **state)
{
    struct scene *scene = *state;
    struct given first = {0}, second = {0}, third = {0};
    directory_ask_recipient(scene->client, "a@example.com", on_answer, &first);
    directory_ask_recipient(scene->client, "b@example.com", on_answer, &second);
    directory_ask_password(scene->client, "c", "secret", on_answer, &third);
    assert_int_equal(first.count + second.count + third.count, 0);
    cleanup_json json_t *a = take_question(scene, "recipient");
    cleanup_json json_t *b = take_question(scene, "recipient");
    cleanup_json json_t *c = take_question(scene, "password");
    assert_string_equal(text_of(a, "address"), "a@example.com");
    assert_string_equal(text_of(c, "user"), "c");
    assert_string_equal(text_of(c, "password"), "secret");
    answer(scene, c, "\"status\":\"known\",\"user\":\"carol\"");
    answer(scene, b, "\"status\":\"unknown\"");
    wait_for(scene, &third, 2000);
    wait_for(scene, &second, 2000);
    assert_int_equal(first.count, 0);
    answer(scene, a,
           "\"status\":\"known\",\"route\":\"mail.example.net:26\",\"address\":\"x@example.net\","
           "\"groups\":[\"g\"],\"reason\":\"\"");
    wait_for(scene, &first, 2000);
    assert_int_equal(first.answer.status, DIRECTORY_KNOWN);
    assert_string_equal(first.answer.route, "mail.example.net:26");
    assert_string_equal(first.answer.address, "x@example.net");
    assert_int_equal(second.answer.status, DIRECTORY_UNKNOWN);
    assert_string_equal(third.answer.user, "carol");
}

static void every_status_is_understood(void **state)
{
    static const struct {
        const char *text;
        enum directory_status status;
    } cases[] = {{"known", DIRECTORY_KNOWN},
                 {"unknown", DIRECTORY_UNKNOWN},
                 {"not_asked", DIRECTORY_NOT_ASKED},
                 {"unavailable", DIRECTORY_UNAVAILABLE}};
    struct scene *scene = *state;
    for (size_t i = 0; i < 4; i++) {
        struct given given = {0};
        char text[64];
        directory_ask_recipient(scene->client, "a@example.com", on_answer, &given);
        cleanup_json json_t *question = take_question(scene, "recipient");
        snprintf(text, sizeof(text), "\"status\":\"%s\"", cases[i].text);
        answer(scene, question, text);
        wait_for(scene, &given, 2000);
        assert_int_equal(given.answer.status, cases[i].status);
    }
}

static void special_characters_arrive_as_they_are(void **state)
{
    static const char text[] = "\"\\\x01\t/\xc3\xa9\xe2\x82\xac{}'";
    struct scene *scene = *state;
    struct given given = {0};
    directory_ask_password(scene->client, text, text, on_answer, &given);
    cleanup_json json_t *question = take_question(scene, "password");
    assert_string_equal(text_of(question, "user"), text);
    assert_string_equal(text_of(question, "password"), text);
}

static void what_cannot_be_asked_is_unavailable(void **state)
{
    struct scene *scene = *state;
    struct given bytes = {0}, length = {0};
    char password[2000];
    memset(password, 'x', sizeof(password) - 1);
    password[sizeof(password) - 1] = '\0';
    directory_ask_recipient(scene->client, "\xff@example.com", on_answer, &bytes);
    directory_ask_password(scene->client, "a", password, on_answer, &length);
    assert_int_equal(bytes.count + length.count, 0);
    wait_for(scene, &bytes, 500);
    wait_for(scene, &length, 500);
    assert_int_equal(bytes.answer.status, DIRECTORY_UNAVAILABLE);
    assert_int_equal(length.answer.status, DIRECTORY_UNAVAILABLE);
}

static void a_question_that_is_forgotten_is_not_answered(void **state)
{
    struct scene *scene = *state;
    struct given forgotten = {0}, kept = {0};
    struct directory_question *question =
        directory_ask_recipient(scene->client, "a@example.com", on_answer, &forgotten);
    directory_ask_recipient(scene->client, "b@example.com", on_answer, &kept);
    cleanup_json json_t *a = take_question(scene, "recipient");
    cleanup_json json_t *b = take_question(scene, "recipient");
    directory_forget(question);
    answer(scene, a, "\"status\":\"known\"");
    answer(scene, b, "\"status\":\"known\"");
    wait_for(scene, &kept, 2000);
    assert_int_equal(forgotten.count, 0);
}

static void a_process_that_stays_away_is_no_unknown_recipient(void **state)
{
    struct scene *scene = *state;
    struct given given = {0};
    close_listener(scene);
    unlink(scene->path);
    int64_t began = timestamp_monotonic_ms();
    directory_ask_recipient(scene->client, "a@example.com", on_answer, &given);
    wait_for(scene, &given, 5000);
    assert_int_equal(given.answer.status, DIRECTORY_UNAVAILABLE);
    assert_in_range(timestamp_monotonic_ms() - began, 0, 3500);
}

static void a_recipient_is_asked_again_over_the_next_connection_and_a_password_is_not(void **state)
{
    struct scene *scene = *state;
    struct given recipient = {0}, password = {0};
    directory_ask_recipient(scene->client, "a@example.com", on_answer, &recipient);
    directory_ask_password(scene->client, "a", "secret", on_answer, &password);
    json_decref(take_question(scene, "recipient"));
    json_decref(take_question(scene, "password"));
    close_peer(scene);
    cleanup_json json_t *again = take_question(scene, "recipient");
    assert_string_equal(text_of(again, "address"), "a@example.com");
    assert_int_equal(password.count, 1);
    assert_int_equal(password.answer.status, DIRECTORY_UNAVAILABLE);
    answer(scene, again, "\"status\":\"known\"");
    wait_for(scene, &recipient, 2000);
    assert_int_equal(recipient.answer.status, DIRECTORY_KNOWN);
}

static void a_question_is_lost_twice_and_then_given_up(void **state)
{
    struct scene *scene = *state;
    struct given given = {0};
    directory_ask_recipient(scene->client, "a@example.com", on_answer, &given);
    for (int i = 0; i < 2; i++) {
        json_decref(take_question(scene, "recipient"));
        close_peer(scene);
    }
    wait_for(scene, &given, 2000);
    assert_int_equal(given.answer.status, DIRECTORY_UNAVAILABLE);
}

static void a_peer_that_talks_nonsense_loses_the_connection_and_nothing_else(void **state)
{
    static const char *const nonsense[] = {
        "x",
        "{}",
        "{\"answer\":7}",
        "{\"answer\":{\"id\":1}}",
        "{\"answer\":{\"id\":\"1\",\"status\":\"known\"}}",
        "{\"answer\":{\"id\":1,\"status\":\"perhaps\"}}",
        "{\"answer\":{\"id\":-1,\"status\":\"known\"}}",
    };
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        struct given given = {0};
        directory_ask_recipient(scene->client, "a@example.com", on_answer, &given);
        json_decref(take_question(scene, "recipient"));
        say(scene, nonsense[i]);
        run_for(scene, 20);
        close_peer(scene);
        cleanup_json json_t *again = take_question(scene, "recipient");
        answer(scene, again, "\"status\":\"known\"");
        wait_for(scene, &given, 2000);
        assert_int_equal(given.answer.status, DIRECTORY_KNOWN);
    }
}

static void an_answer_that_nobody_waits_for_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct given given = {0};
    directory_ask_recipient(scene->client, "a@example.com", on_answer, &given);
    cleanup_json json_t *question = take_question(scene, "recipient");
    say(scene, "{\"answer\":{\"id\":4711,\"status\":\"unknown\"}}");
    answer(scene, question, "\"status\":\"known\"");
    answer(scene, question, "\"status\":\"unknown\"");
    wait_for(scene, &given, 2000);
    run_for(scene, 20);
    assert_int_equal(given.count, 1);
    assert_int_equal(given.answer.status, DIRECTORY_KNOWN);
}

/* Whether `text` stands anywhere in this process's heap. */
static bool is_in_heap(const char *text, size_t length)
{
    char line[256], path[64];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    cleanup_fd int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_non_null(maps);
    assert_true(memory >= 0);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %63s", &begin, &end, path) != 3 ||
            strcmp(path, "[heap]") != 0)
            continue;
        char *copy = malloc(end - begin);
        ssize_t size = pread(memory, copy, end - begin, (off_t)begin);
        found = found || (size > 0 && memmem(copy, (size_t)size, text, length));
        explicit_bzero(copy, end - begin);
        free(copy);
    }
    fclose(maps);
    return found;
}

static void a_password_that_was_sent_is_nowhere_in_memory(void **state)
{
    struct scene *scene = *state;
    struct given given = {0};
    char password[] = "Xq7-needle-in-no-haystack-";
    char part[40];
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its heap is elsewhere, and keeps what is freed */
#endif
    directory_ask_password(scene->client, "a", password, on_answer, &given);
    memcpy(part, password, 26);
    assert_true(is_in_heap(part, 26)); /* it waits to be sent */
    int64_t end = timestamp_monotonic_ms() + 2000;
    /* Taken without the JSON library, whose copies would be ours. */
    while (scene->peer < 0 && timestamp_monotonic_ms() < end) {
        run_for(scene, 2);
        scene->peer = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    run_for(scene, 50);
    char packet[512];
    ssize_t length = recv(scene->peer, packet, sizeof(packet), 0);
    assert_true(length > 0 && memmem(packet, (size_t)length, part, 26));
    assert_false(is_in_heap(part, 26));
}

#define scene_test(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(answers_find_their_questions_in_any_order),
        scene_test(every_status_is_understood),
        scene_test(special_characters_arrive_as_they_are),
        scene_test(what_cannot_be_asked_is_unavailable),
        scene_test(a_question_that_is_forgotten_is_not_answered),
        scene_test(a_process_that_stays_away_is_no_unknown_recipient),
        scene_test(a_recipient_is_asked_again_over_the_next_connection_and_a_password_is_not),
        scene_test(a_question_is_lost_twice_and_then_given_up),
        scene_test(a_peer_that_talks_nonsense_loses_the_connection_and_nothing_else),
        scene_test(an_answer_that_nobody_waits_for_changes_nothing),
        scene_test(a_password_that_was_sent_is_nowhere_in_memory),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Listeners, the number of sessions, shutting down, and speed. What is said within a session stands
 * in tests/smtp. */
#include "smtp_scene.h"
#include "smtp_scene_directory.h"

#include "common/ip.h"
#include "common/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 4000

static int open_scene(void **state)
{
    *state = scene_new();
    return 0;
}

static int close_scene(void **state)
{
    scene_free(*state);
    return 0;
}

static void expect(struct scene_client *client, const char *start)
{
    char line[1024];
    if (!client_line(client, line, sizeof(line), WAIT_MS))
        fail_msg("\"%s\" does not come", start);
    if (strncmp(line, start, strlen(start)) != 0)
        fail_msg("\"%s\" instead of \"%s\"", line, start);
}

static void say(struct scene_client *client, const char *text)
{
    client_send(client, text, strlen(text));
}

static void wait_for_sessions(struct scene *scene, size_t count)
{
    int64_t end = timestamp_monotonic_ms() + WAIT_MS;
    while (smtp_server_sessions(scene->mta.smtp_server) != count && timestamp_monotonic_ms() < end)
        scene_turn(scene);
    assert_int_equal(smtp_server_sessions(scene->mta.smtp_server), count);
}

static void set(json_t *document, const char *server, const char *name, json_t *value)
{
    json_t *object = json_object_get(json_object_get(document, "smtp"), server);
    assert_int_equal(json_object_set_new(object, name, value), 0);
}

static void configure(struct scene *scene, json_t *document)
{
    struct error error = {0};
    if (!scene_configure(scene, document, &error))
        fail_msg("%s: %s", error.where, error.message);
}

/* --- the number of sessions --- */

static void one_session_too_many_is_turned_away(void **state)
{
    struct scene *scene = *state;
    struct scene_client clients[3];
    json_t *document = scene_document(scene);
    set(document, "inbound", "max_sessions", json_integer(2));
    configure(scene, document);
    for (int i = 0; i < 3; i++)
        client_open(&clients[i], scene, scene->inbound, false);
    expect(&clients[0], "220 ");
    expect(&clients[1], "220 ");
    expect(&clients[2], "421 4.7.0 mx.example.org too many sessions, try again later");
    assert_true(client_closed(&clients[2], WAIT_MS));
    client_close(&clients[0]);
    wait_for_sessions(scene, 1);
    client_close(&clients[2]);
    client_open(&clients[2], scene, scene->inbound, false);
    expect(&clients[2], "220 ");
    client_close(&clients[1]);
    client_close(&clients[2]);
}

static void one_session_too_many_from_an_address_is_turned_away(void **state)
{
    struct scene *scene = *state;
    struct scene_client clients[2], other, outbound;
    json_t *document = scene_document(scene);
    set(document, "inbound", "max_sessions_per_ip", json_integer(1));
    configure(scene, document);
    client_open(&clients[0], scene, scene->inbound, false);
    expect(&clients[0], "220 ");
    client_open(&clients[1], scene, scene->inbound, false);
    expect(&clients[1], "421 4.7.0 mx.example.org too many sessions from your address");
    assert_true(client_closed(&clients[1], WAIT_MS));
    client_open(&other, scene, scene->inbound6, true);
    expect(&other, "220 ");
    client_open(&outbound, scene, scene->outbound, false);
    expect(&outbound, "220 ");
    client_close(&other);
    client_close(&outbound);
    client_close(&clients[0]);
    client_close(&clients[1]);
}

static void the_place_of_a_session_that_ended_is_free(void **state)
{
    struct scene *scene = *state;
    json_t *document = scene_document(scene);
    set(document, "inbound", "max_sessions_per_ip", json_integer(1));
    configure(scene, document);
    for (int i = 0; i < 200; i++) {
        struct scene_client client;
        client_open(&client, scene, scene->inbound, false);
        expect(&client, "220 ");
        say(&client, "QUIT\r\n");
        expect(&client, "221 ");
        client_close(&client);
        wait_for_sessions(scene, 0);
    }
}

/* --- configuration --- */

static void a_session_goes_on_with_the_configuration_that_it_began_with(void **state)
{
    struct scene *scene = *state;
    struct scene_client before, after;
    json_t *document = scene_document(scene);
    client_open(&before, scene, scene->inbound, false);
    expect(&before, "220 mx.example.org");
    json_object_set_new(document, "host_name", json_string("new.example.org"));
    json_object_set_new(document, "domains", json_array());
    configure(scene, document);
    client_open(&after, scene, scene->inbound, false);
    expect(&after, "220 new.example.org");
    say(&before, "HELO x\r\n");
    expect(&before, "250 mx.example.org");
    say(&before, "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    expect(&before, "250 ");
    expect(&before, "250 ");
    say(&after, "HELO x\r\n");
    expect(&after, "250 new.example.org");
    say(&after, "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    expect(&after, "250 ");
    expect(&after, "550 ");
    client_close(&before);
    client_close(&after);
}

static json_t *rates(const char *name, int limit)
{
    return json_pack("{s:i}", name, limit);
}

static void a_session_that_runs_ends_when_its_direction_takes_nothing_more(void **state)
{
    struct scene *scene = *state;
    struct scene_client client, late;
    json_t *document = scene_document(scene);
    client_open(&client, scene, scene->inbound, false);
    expect(&client, "220 ");
    say(&client, "HELO x\r\n");
    expect(&client, "250 ");
    say(&client, "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    expect(&client, "250 ");
    expect(&client, "250 ");
    set(document, "inbound", "accept", json_false());
    configure(scene, document);
    client_open(&late, scene, scene->inbound, false);
    expect(&late, "421 4.3.2 mx.example.org does not accept messages at this time");
    say(&client, "DATA\r\n");
    expect(&client, "354 ");
    say(&client, "x\r\n.\r\n");
    expect(&client, "250 2.0.0 Ok: queued as ");
    say(&client, "MAIL FROM:<>\r\n");
    expect(&client, "421 4.3.2 mx.example.org does not accept messages at this time");
    assert_true(client_closed(&client, WAIT_MS));
    client_close(&client);
    client_close(&late);
    configure(scene, scene_document(scene));
    client_open(&client, scene, scene->inbound, false);
    expect(&client, "220 ");
    client_close(&client);
}

static void what_was_counted_outlives_a_change_of_the_configuration(void **state)
{
    struct scene *scene = *state;
    struct scene_client client;
    json_t *document = scene_document(scene);
    set(document, "inbound", "rates", rates("connections_per_minute", 2));
    configure(scene, json_deep_copy(document));
    for (int i = 0; i < 2; i++) {
        client_open(&client, scene, scene->inbound, false);
        expect(&client, "220 ");
        client_close(&client);
    }
    json_object_set_new(document, "host_name", json_string("new.example.org"));
    configure(scene, document);
    client_open(&client, scene, scene->inbound, false);
    expect(&client, "421 4.7.0 new.example.org too many connections from your address");
    client_close(&client);
    client_open(&client, scene, scene->inbound6, true);
    expect(&client, "220 ");
    client_close(&client);
}

static json_t *behind_proxy(struct scene *scene)
{
    json_t *document = scene_document(scene);
    json_t *smtp = json_object_get(document, "smtp");
    json_t *inbound = json_object_get(smtp, "inbound");
    json_t *listener = json_array_get(json_object_get(inbound, "listeners"), 0);
    json_object_set_new(listener, "proxy_protocol", json_true());
    set(document, "inbound", "proxy_networks", json_pack("[s]", "127.0.0.0/8"));
    return document;
}

/* A byte now and then must not hold a connection for ever. */
static void a_proxy_header_that_drips_in_is_cut_off(void **state)
{
    struct scene *scene = *state;
    struct scene_client client;
    static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x10\0";
    configure(scene, behind_proxy(scene));
    client_open(&client, scene, scene->inbound, false);
    int64_t start = timestamp_monotonic_ms();
    for (size_t i = 0; i < 40 && !client_closed(&client, 250); i++)
        client_send(&client, i < sizeof(header) - 1 ? &header[i] : "x", 1);
    assert_true(client.closed);
    assert_in_range(timestamp_monotonic_ms() - start, 4000, 8000);
    assert_int_equal(smtp_server_sessions(scene->mta.smtp_server), 0);
    client_close(&client);
}

static void connections_behind_a_proxy_have_a_limit_before_their_header(void **state)
{
    struct scene *scene = *state;
    struct scene_client clients[3];
    json_t *document = behind_proxy(scene);
    set(document, "inbound", "max_sessions", json_integer(2));
    configure(scene, document);
    for (int i = 0; i < 3; i++)
        client_open(&clients[i], scene, scene->inbound, false);
    assert_true(client_closed(&clients[2], WAIT_MS));
    assert_false(client_closed(&clients[0], 50));
    for (int i = 0; i < 3; i++)
        client_close(&clients[i]);
}

static void a_shutdown_closes_what_waits_for_its_proxy_header(void **state)
{
    struct scene *scene = scene_new();
    struct scene_client client;
    (void)state;
    configure(scene, behind_proxy(scene));
    client_open(&client, scene, scene->inbound, false);
    assert_false(client_closed(&client, 50));
    smtp_server_free(scene->mta.smtp_server);
    scene->mta.smtp_server = NULL;
    assert_true(client_closed(&client, WAIT_MS));
    client_close(&client);
    scene_free(scene);
}

static void a_shutdown_does_not_wait_for_the_directory(void **state)
{
    struct scene *scene = scene_new();
    struct scene_client client;
    json_t *document = scene_document(scene);
    (void)state;
    assert_true(scene_directory_line("(hold)"));
    json_object_set_new(json_array_get(json_object_get(document, "domains"), 0), "recipients",
                        json_string("reject"));
    configure(scene, document);
    client_open(&client, scene, scene->inbound, false);
    expect(&client, "220 ");
    say(&client, "HELO x\r\n");
    expect(&client, "250 ");
    say(&client, "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    expect(&client, "250 ");
    while (scene_directory_waiting() == 0)
        scene_turn(scene);
    int64_t start = timestamp_monotonic_ms();
    smtp_server_free(scene->mta.smtp_server);
    scene->mta.smtp_server = NULL;
    assert_in_range(timestamp_monotonic_ms() - start, 0, 3000);
    assert_int_equal(scene_directory_waiting(), 0);
    expect(&client, "421 4.3.2 ");
    client_close(&client);
    assert_string_equal(scene->events->text, "aborted inbound from=<> size=0");
    scene_free(scene);
}

static bool can_connect(struct scene *scene, unsigned port)
{
    struct sockaddr_storage to;
    struct ip_address address;
    ip_parse("127.0.0.1", &address);
    socklen_t size = ip_to_sockaddr(&address, (uint16_t)port, &to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (struct sockaddr *)&to, size) == 0;
    close(fd);
    for (int i = 0; i < 3; i++)
        scene_turn(scene);
    return connected;
}

static void a_listener_that_left_the_configuration_is_closed_and_its_sessions_stay(void **state)
{
    struct scene *scene = *state;
    struct scene_client client;
    json_t *document = scene_document(scene);
    client_open(&client, scene, scene->outbound, false);
    expect(&client, "220 ");
    set(document, "outbound", "listeners", json_array());
    configure(scene, document);
    assert_false(can_connect(scene, scene->outbound));
    assert_true(can_connect(scene, scene->inbound));
    say(&client, "NOOP\r\n");
    expect(&client, "250 ");
    client_close(&client);
    configure(scene, scene_document(scene));
    assert_true(can_connect(scene, scene->outbound));
}

static void a_listener_may_move_from_inbound_to_outbound(void **state)
{
    struct scene *scene = *state;
    struct scene_client client;
    json_t *document = scene_document(scene);
    json_t *smtp = json_object_get(document, "smtp");
    json_t *inbound = json_incref(json_object_get(json_object_get(smtp, "inbound"), "listeners"));
    json_t *outbound = json_object_get(json_object_get(smtp, "outbound"), "listeners");
    set(document, "inbound", "listeners", json_incref(outbound));
    set(document, "outbound", "listeners", inbound);
    configure(scene, document);
    client_open(&client, scene, scene->inbound, false);
    expect(&client, "220 ");
    say(&client, "HELO x\r\n");
    expect(&client, "250 ");
    say(&client, "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n");
    expect(&client, "250 ");
    expect(&client, "550 5.7.1 ");
    client_close(&client);
}

static void a_listener_that_cannot_open_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    json_t *document = scene_document(scene);
    char where[32];
    struct sockaddr_storage address;
    struct ip_address loopback;
    uint16_t port = 0;
    ip_parse("127.0.0.1", &loopback);
    socklen_t size = ip_to_sockaddr(&loopback, 0, &address);
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(taken, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(taken, 1), 0);
    getsockname(taken, (struct sockaddr *)&address, &size);
    ip_from_sockaddr((struct sockaddr *)&address, &loopback, &port);
    set(document, "inbound", "listeners",
        json_pack("[{s:s,s:i}]", "address", "127.0.0.1", "port", (int)port));
    set(document, "outbound", "listeners", json_array());
    assert_false(scene_configure(scene, document, &error));
    snprintf(where, sizeof(where), "127.0.0.1:%u", (unsigned)port);
    assert_string_equal(error.where, where);
    close(taken);
    assert_true(can_connect(scene, scene->inbound));
    assert_true(can_connect(scene, scene->outbound));
}

static void a_new_certificate_is_used_by_the_next_session(void **state)
{
    struct scene *scene = *state;
    struct scene_client client;
    json_t *document = scene_document(scene);
    json_object_set(json_object_get(document, "smtp"), "tls", scene->certificate);
    set(document, "inbound", "listeners",
        json_pack("[{s:s,s:i,s:b}]", "address", "127.0.0.1", "port", (int)scene->inbound,
                  "implicit_tls", 1));
    configure(scene, document);
    client_open(&client, scene, scene->inbound, false);
    assert_true(client_tls(&client));
    expect(&client, "220 ");
    configure(scene, scene_document(scene));
    say(&client, "NOOP\r\n");
    expect(&client, "250 ");
    client_close(&client);
    client_open(&client, scene, scene->inbound, false);
    expect(&client, "220 ");
    client_close(&client);
}

/* --- shutting down --- */

static void a_shutdown_tells_every_session(void **state)
{
    struct scene *scene = scene_new();
    struct scene_client clients[5];
    (void)state;
    for (int i = 0; i < 5; i++) {
        client_open(&clients[i], scene, scene->inbound, false);
        expect(&clients[i], "220 ");
    }
    say(&clients[1], "HELO x\r\n");
    expect(&clients[1], "250 ");
    say(&clients[1], "MAIL FROM:<a@sender.example>\r\n");
    expect(&clients[1], "250 ");
    smtp_server_free(scene->mta.smtp_server);
    scene->mta.smtp_server = NULL;
    for (int i = 0; i < 5; i++) {
        expect(&clients[i], "421 4.3.2 mx.example.org is shutting down");
        assert_true(client_closed(&clients[i], WAIT_MS));
        client_close(&clients[i]);
    }
    assert_string_equal(scene->events->text, "aborted inbound from=<a@sender.example> size=0");
    scene_free(scene);
}

static void on_late(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    scene_answer(argument);
}

static void begin_message(struct scene_client *client)
{
    expect(client, "220 ");
    say(client, "HELO x\r\n");
    expect(client, "250 ");
    say(client, "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
    expect(client, "250 ");
    expect(client, "250 ");
    expect(client, "354 ");
}

static void a_shutdown_waits_for_the_answer_of_the_intake(void **state)
{
    struct scene *scene = scene_new();
    struct scene_client client;
    struct timeval late = {.tv_usec = 200000};
    (void)state;
    scene->hold = true;
    client_open(&client, scene, scene->inbound, false);
    begin_message(&client);
    say(&client, "x\r\n.\r\n");
    while (scene_held(scene) == 0)
        scene_turn(scene);
    event_base_once(scene->mta.base, -1, EV_TIMEOUT, on_late, scene, &late);
    smtp_server_free(scene->mta.smtp_server);
    scene->mta.smtp_server = NULL;
    expect(&client, "250 2.0.0 Ok: queued as ");
    expect(&client, "421 4.3.2 ");
    assert_true(client_closed(&client, WAIT_MS));
    client_close(&client);
    scene_free(scene);
}

static void a_shutdown_does_not_wait_for_ever(void **state)
{
    struct scene *scene = scene_new();
    struct scene_client client;
    (void)state;
    scene->hold = true;
    client_open(&client, scene, scene->inbound, false);
    begin_message(&client);
    say(&client, "x\r\n.\r\n");
    while (scene_held(scene) == 0)
        scene_turn(scene);
    int64_t start = timestamp_monotonic_ms();
    smtp_server_free(scene->mta.smtp_server);
    scene->mta.smtp_server = NULL;
    assert_in_range(timestamp_monotonic_ms() - start, 1000, 10000);
    assert_true(client_closed(&client, WAIT_MS));
    client_close(&client);
    scene_free(scene);
}

/* --- floods, memory and speed --- */

static void a_flood_of_refusals_does_not_flood_the_audit_log(void **state)
{
    struct scene *scene = *state;
    struct scene_client clients[30];
    json_t *document = scene_document(scene);
    set(document, "inbound", "max_errors", json_integer(1000));
    configure(scene, document);
    int64_t start = timestamp_monotonic_ms();
    for (size_t i = 0; i < 30; i++) {
        client_open(&clients[i], scene, scene->inbound, false);
        expect(&clients[i], "220 ");
        say(&clients[i], "HELO x\r\n");
        expect(&clients[i], "250 ");
        for (int j = 0; j < 45; j++)
            say(&clients[i], "MAIL FROM:<>\r\nRCPT TO:<b@foreign.example>\r\nRSET\r\n");
    }
    for (size_t i = 0; i < 30; i++)
        client_close(&clients[i]);
    wait_for_sessions(scene, 0);
    unsigned long seconds = (unsigned long)(timestamp_monotonic_ms() - start) / 1000 + 2;
    assert_in_range(scene->event_count, 100, 200 * seconds);
}

/* A client that sends commands and never reads must not make the replies pile up. */
static void a_client_that_does_not_read_is_not_read_from(void **state)
{
    struct scene *scene = *state;
    struct scene_client client;
    char commands[4096];
    size_t sent = 0;
    for (size_t i = 0; i < sizeof(commands); i += 8)
        memcpy(commands + i, "RCPT x\r\n", 8);
    json_t *document = scene_document(scene);
    set(document, "inbound", "max_errors", json_integer(1000));
    configure(scene, document);
    client_open(&client, scene, scene->inbound, false);
    expect(&client, "220 ");
    for (int quiet = 0; quiet < 2000 && sent < (64u << 20);) {
        ssize_t count = send(client.fd, commands, sizeof(commands), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0)
            sent += (size_t)count;
        else
            quiet++;
        scene_turn(scene);
    }
    assert_true(sent < (64u << 20));
    client_close(&client);
}

#define LOAD_SESSIONS 50
#define LOAD_MS 2000
#define LOAD_BYTES 2048

/* What a client of the load sends at each 354: a message, and the next envelope with it. */
static size_t make_round(char *round, size_t size)
{
    size_t length = (size_t)snprintf(round, size, "Subject: load\r\n\r\n");
    while (length < LOAD_BYTES)
        length += (size_t)snprintf(round + length, size - length, "%062d\r\n", 0);
    length += (size_t)snprintf(round + length, size - length,
                               ".\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\n"
                               "DATA\r\n");
    return length;
}

static int load_connect(unsigned port)
{
    static const char hello[] = "HELO load\r\n";
    static const char first[] =
        "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
    struct sockaddr_storage to;
    struct ip_address address;
    char line[512];
    ip_parse("127.0.0.1", &address);
    socklen_t size = ip_to_sockaddr(&address, (uint16_t)port, &to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, size) != 0 || recv(fd, line, sizeof(line), 0) <= 0 ||
        send(fd, hello, sizeof(hello) - 1, 0) < 0 || recv(fd, line, sizeof(line), 0) <= 0 ||
        send(fd, first, sizeof(first) - 1, 0) < 0)
        _exit(1);
    return fd;
}

/* The other process: keeps the sessions busy until it is killed, or the server goes. */
static void run_load(unsigned port)
{
    struct pollfd clients[LOAD_SESSIONS];
    char round[LOAD_BYTES + 512], replies[4096];
    size_t length = make_round(round, sizeof(round));
    for (int i = 0; i < LOAD_SESSIONS; i++)
        clients[i] = (struct pollfd){.fd = load_connect(port), .events = POLLIN};
    while (poll(clients, LOAD_SESSIONS, -1) > 0) {
        for (int i = 0; i < LOAD_SESSIONS; i++) {
            if (!clients[i].revents)
                continue;
            ssize_t count = recv(clients[i].fd, replies, sizeof(replies), 0);
            if (count <= 0)
                _exit(0);
            if (memmem(replies, (size_t)count, "354 ", 4) &&
                send(clients[i].fd, round, length, 0) != (ssize_t)length)
                _exit(1);
        }
    }
    _exit(0);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The figure is printed; the bound only finds waits, whatever the machine does besides. */
static void many_sessions_are_served_at_once(void **state)
{
    struct scene *scene = *state;
    pid_t load = fork();
    if (load == 0)
        run_load(scene->inbound);
    scene->keep = false;
    wait_for_sessions(scene, LOAD_SESSIONS);
    unsigned long before = scene->message_count;
    double cpu = cpu_seconds();
    int64_t start = timestamp_monotonic_ms();
    struct timeval span = {.tv_sec = LOAD_MS / 1000};
    event_base_loopexit(scene->mta.base, &span);
    event_base_dispatch(scene->mta.base);
    double seconds = (double)(timestamp_monotonic_ms() - start) / 1000;
    unsigned long messages = scene->message_count - before;
    cpu = cpu_seconds() - cpu;
    kill(load, SIGKILL);
    waitpid(load, NULL, 0);
    print_message("%.0f messages a second over %d sessions, %.0f a second of processor time\n",
                  (double)messages / seconds, LOAD_SESSIONS, (double)messages / cpu);
    assert_true(messages > 500);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(one_session_too_many_is_turned_away),
        SCENE_TEST(one_session_too_many_from_an_address_is_turned_away),
        SCENE_TEST(the_place_of_a_session_that_ended_is_free),
        SCENE_TEST(a_session_goes_on_with_the_configuration_that_it_began_with),
        SCENE_TEST(a_listener_that_left_the_configuration_is_closed_and_its_sessions_stay),
        SCENE_TEST(a_listener_may_move_from_inbound_to_outbound),
        SCENE_TEST(a_listener_that_cannot_open_changes_nothing),
        SCENE_TEST(a_new_certificate_is_used_by_the_next_session),
        SCENE_TEST(a_flood_of_refusals_does_not_flood_the_audit_log),
        SCENE_TEST(a_client_that_does_not_read_is_not_read_from),
        SCENE_TEST(many_sessions_are_served_at_once),
        SCENE_TEST(a_session_that_runs_ends_when_its_direction_takes_nothing_more),
        SCENE_TEST(what_was_counted_outlives_a_change_of_the_configuration),
        SCENE_TEST(a_proxy_header_that_drips_in_is_cut_off),
        SCENE_TEST(connections_behind_a_proxy_have_a_limit_before_their_header),
        cmocka_unit_test(a_shutdown_closes_what_waits_for_its_proxy_header),
        cmocka_unit_test(a_shutdown_does_not_wait_for_the_directory),
        cmocka_unit_test(a_shutdown_tells_every_session),
        cmocka_unit_test(a_shutdown_waits_for_the_answer_of_the_intake),
        cmocka_unit_test(a_shutdown_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests_name("smtp_server", tests, NULL, NULL);
}

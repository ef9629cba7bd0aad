/* The directory process, asked as the mta asks it, with a real OpenLDAP server behind it. */
#include "slapd_scene.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/signing.h"
#include "common/timestamp.h"
#include "scanner/directory/directory.h"
#include "scanner/directory/hardening.h"
#include "scanner/directory/memory.h"
#include "scanner/mta/directory_client.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOCAL_PASSWORD "only a local secret"
#define MAIL "(|(mail=%s)(mailLocalAddress=%s))"

static struct slapd_scene slapd;

struct scene {
    char state[64];
    char socket[96], control[96];
    char public_key[SIGNING_KEY_TEXT_SIZE], secret_key[SIGNING_SECRET_TEXT_SIZE];
    int version;
    pid_t process;
    struct event_base *base;
    struct directory_client *client;
};

/* --- configuration --- */

/* A source for `domain` (NULL: all) at `uri`. */
static json_t *source_json(const char *name, const char *uri, const char *domain)
{
    json_t *source = json_pack(
        "{s:s,s:[s],s:s,s:s,s:s,s:i,s:{s:s},s:{s:s},s:{s:s,s:s,s:s},s:{s:s}}", "name", name,
        "servers", uri, "bind_dn", SLAPD_READER, "bind_password", SLAPD_READER_PASSWORD, "base_dn",
        SLAPD_BASE, "timeout_seconds", 2, "authentication", "filter", "(uid=%u)", "recipients",
        "filter", MAIL, "routing", "filter", MAIL, "host_attribute", "mailHost",
        "address_attribute", "mailRoutingAddress", "groups", "filter", "(member=%D)");
    assert_non_null(source);
    if (domain)
        json_object_set_new(source, "domains", json_pack("[s]", domain));
    return source;
}

static void write_text(const struct scene *scene, const char *name, const char *text)
{
    char path[128];
    assert_true(file_join(path, sizeof(path), scene->state, name, NULL));
    assert_true(file_write_atomic(path, text, strlen(text), 0600, NULL));
}

/* Takes over `sources`. A higher version each time. `passes` over 8 MiB: what a hash costs. */
static void write_configuration_with(struct scene *scene, json_t *sources, unsigned passes)
{
    char hash[crypto_pwhash_STRBYTES];
    assert_int_equal(
        crypto_pwhash_str(hash, LOCAL_PASSWORD, strlen(LOCAL_PASSWORD), passes, 8u << 20), 0);
    cleanup_json json_t *document = json_pack(
        "{s:i,s:i,s:s,s:s,s:s,s:{s:{s:[]},s:{s:[]}},s:[],s:{s:[{s:s,s:s}],s:o}}", "format", 1,
        "version", ++scene->version, "scanner_id", "0190a5d8-0000-7000-8000-000000000001",
        "issued_at", "2026-01-01T00:00:00Z", "host_name", "mx.example.com", "smtp", "inbound",
        "listeners", "outbound", "listeners", "domains", "directory", "users", "name",
        "Local.User@example.com", "password_hash", hash, "sources", sources);
    assert_non_null(document);
    cleanup_free char *text = json_dumps(document, 0);
    cleanup_free char *envelope = signing_seal(text, scene->secret_key, NULL);
    assert_non_null(envelope);
    write_text(scene, "config/current.json", envelope);
}

static void write_configuration(struct scene *scene, json_t *sources)
{
    write_configuration_with(scene, sources, 1);
}

static void usual_configuration(struct scene *scene)
{
    write_configuration(scene, json_pack("[o]", source_json("ours", slapd.uri, "example.com")));
}

/* --- the process --- */

static json_t *request(const struct scene *scene, const char *op, struct error *error)
{
    cleanup_json json_t *value = json_pack("{s:s}", "op", op);
    return ipc_request(scene->control, value, 5000, error);
}

static void run_process(const struct scene *scene)
{
    char path[128];
    struct error error = {0};
    snprintf(path, sizeof(path), "%s/log", scene->state);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    log_open("directory");
    memory_wipe_what_is_freed();
    exit(directory_run(scene->state, &error) ? 0 : 1);
}

static void start(struct scene *scene)
{
    int64_t end = timestamp_monotonic_ms() + 10000;
    scene->process = fork();
    assert_true(scene->process >= 0);
    if (scene->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_process(scene);
    }
    for (json_t *reply = NULL; !reply; usleep(10000)) {
        reply = request(scene, "status", NULL);
        json_decref(reply);
        assert_true(timestamp_monotonic_ms() < end);
        if (reply)
            return;
    }
}

static int stop(struct scene *scene, int number)
{
    int status = 0;
    if (scene->process > 0) {
        kill(scene->process, number);
        waitpid(scene->process, &status, 0);
    }
    scene->process = 0;
    return status;
}

static void reload(struct scene *scene)
{
    struct error error = {0};
    cleanup_json json_t *reply = request(scene, "reload", &error);
    if (!reply)
        fail_msg("%s", error.message);
    assert_int_equal(json_integer_value(json_object_get(reply, "version")), scene->version);
}

/* A figure of the first source, or of the cache. */
static int64_t source_figure(const struct scene *scene, const char *name)
{
    cleanup_json json_t *reply = request(scene, "status", NULL);
    const json_t *source = json_array_get(json_object_get(reply, "sources"), 0);
    return json_integer_value(json_object_get(source, name));
}

static int open_scene(void **state)
{
    static const char *const folders[] = {"config", "run"};
    struct scene *scene = calloc(1, sizeof(*scene));
    char path[128];
    assert_non_null(scene);
    slapd_scene_start(&slapd);
    strcpy(scene->state, "/tmp/gatehouse-directory-XXXXXX");
    assert_non_null(mkdtemp(scene->state));
    for (size_t i = 0; i < 2; i++) {
        assert_true(file_join(path, sizeof(path), scene->state, folders[i], NULL));
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_true(signing_new_keys(scene->public_key, scene->secret_key, NULL));
    write_text(scene, "config/configuration.pub", scene->public_key);
    snprintf(scene->socket, sizeof(scene->socket), "%s/run/directory.sock", scene->state);
    snprintf(scene->control, sizeof(scene->control), "%s/run/directory-control.sock", scene->state);
    usual_configuration(scene);
    start(scene);
    scene->base = event_base_new();
    scene->client = directory_client_new(scene->base, scene->socket);
    *state = scene;
    return 0;
}

/* No secret may stand in the log, whatever happened. */
static void check_log(const struct scene *scene)
{
    static const char *const secrets[] = {LOCAL_PASSWORD,  SLAPD_READER_PASSWORD,
                                          "wonderland",    "AddressSanitizer",
                                          "runtime error", "LeakSanitizer"};
    char path[128];
    assert_true(file_join(path, sizeof(path), scene->state, "log", NULL));
    cleanup_free char *text = file_read(path, 1 << 20, NULL, NULL);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        if (strstr(text, secrets[i]))
            fail_msg("the log has %s: %s", secrets[i], text);
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    char command[128];
    int status = stop(scene, SIGTERM);
    directory_client_free(scene->client);
    event_base_free(scene->base);
    check_log(scene);
    snprintf(command, sizeof(command), "rm -rf '%s'", scene->state);
    assert_int_equal(system(command), 0);
    free(scene);
    return status;
}

/* --- asking --- */

struct given {
    struct directory_answer answer;
    size_t *missing; /* how many answers have not come */
    int64_t at;
};

static void on_answer(void *argument, const struct directory_answer *answer)
{
    struct given *given = argument;
    given->answer = *answer;
    given->at = timestamp_monotonic_ms();
    --*given->missing;
}

static void wait_for(const struct scene *scene, const size_t *missing)
{
    int64_t end = timestamp_monotonic_ms() + 70000;
    while (*missing > 0 && timestamp_monotonic_ms() < end)
        event_base_loop(scene->base, EVLOOP_ONCE);
    assert_int_equal(*missing, 0);
}

static struct directory_answer ask_recipient(const struct scene *scene, const char *address)
{
    size_t missing = 1;
    struct given given = {.missing = &missing};
    directory_ask_recipient(scene->client, address, on_answer, &given);
    wait_for(scene, &missing);
    return given.answer;
}

static struct directory_answer ask_password(const struct scene *scene, const char *user,
                                            const char *password)
{
    size_t missing = 1;
    struct given given = {.missing = &missing};
    directory_ask_password(scene->client, user, password, on_answer, &given);
    wait_for(scene, &missing);
    return given.answer;
}

#define assert_recipient(scene, address, expected)                                                 \
    assert_int_equal(ask_recipient(scene, address).status, DIRECTORY_##expected)
#define assert_password(scene, user, password, expected)                                           \
    assert_int_equal(ask_password(scene, user, password).status, DIRECTORY_##expected)

/* --- answers --- */

static void recipients_of_served_domains_are_known_or_unknown(void **state)
{
    const struct scene *scene = *state;
    assert_recipient(scene, "alice@example.com", KNOWN);
    assert_recipient(scene, "alice@EXAMPLE.com", KNOWN);
    assert_recipient(scene, "mallory@example.com", UNKNOWN);
    assert_recipient(scene, "*@example.com", UNKNOWN);
    assert_recipient(scene, "\"a\\\"b\"@example.com", UNKNOWN);
    assert_recipient(scene, "alice@example.org", NOT_ASKED);
    assert_recipient(scene, "alice@[127.0.0.1]", NOT_ASKED);
}

static void a_recipients_route_and_address_come_along(void **state)
{
    const struct scene *scene = *state;
    struct directory_answer answer = ask_recipient(scene, "bob@example.com");
    assert_int_equal(answer.status, DIRECTORY_KNOWN);
    assert_string_equal(answer.route, "[2001:db8::25]:2525");
    assert_string_equal(answer.address, "robert@internal.example.net");
    answer = ask_recipient(scene, "nobody@example.com");
    assert_int_equal(answer.status, DIRECTORY_KNOWN);
    assert_string_equal(answer.route, "");
    assert_recipient(scene, "lost@example.com", UNAVAILABLE);
}

static void local_users_and_those_of_the_directory_sign_in(void **state)
{
    const struct scene *scene = *state;
    struct directory_answer answer = ask_password(scene, "LOCAL.user@example.com", LOCAL_PASSWORD);
    assert_int_equal(answer.status, DIRECTORY_KNOWN);
    assert_string_equal(answer.user, "local.user@example.com");
    answer = ask_password(scene, "Alice", "wonderland");
    assert_int_equal(answer.status, DIRECTORY_KNOWN);
    assert_string_equal(answer.user, "alice");
    assert_password(scene, "bob", "p(a*s)s\\word", KNOWN);
    assert_password(scene, "alice@example.com", "wonderland", KNOWN);
    assert_password(scene, "local.user@example.com", "wrong", UNKNOWN);
    assert_password(scene, "local.user@example.com", "", UNKNOWN);
    assert_password(scene, "alice", "wrong", UNKNOWN);
    assert_password(scene, "alice", "", UNKNOWN);
    assert_password(scene, "nobody", "", UNKNOWN);
    assert_password(scene, "mallory", "wonderland", UNKNOWN);
    assert_password(scene, "*", "wonderland", UNKNOWN);
    assert_password(scene, "", "wonderland", UNKNOWN);
}

static void another_domains_source_does_not_see_a_password(void **state)
{
    struct scene *scene = *state;
    int64_t before = source_figure(scene, "asked");
    assert_password(scene, "alice@example.org", "wonderland", UNKNOWN);
    assert_int_equal(source_figure(scene, "asked"), before);
}

/* The shortest time of a few answers: a busy machine makes them longer only. */
static int64_t shortest(const struct scene *scene, const char *user, const char *password)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 4; i++) {
        int64_t began = timestamp_monotonic_ms();
        ask_password(scene, user, password);
        int64_t took = timestamp_monotonic_ms() - began;
        best = took < best ? took : best;
    }
    return best;
}

static void the_time_of_an_answer_does_not_tell_who_is_a_local_user(void **state)
{
    struct scene *scene = *state;
    write_configuration_with(scene, json_pack("[o]", source_json("ours", slapd.uri, NULL)), 20);
    reload(scene);
    int64_t local = shortest(scene, "local.user@example.com", "wrong");
    assert_true(local > 20);
    assert_in_range(shortest(scene, "mallory", "wrong"), local / 2, local * 3);
    assert_in_range(shortest(scene, "alice", "wrong"), local / 2, local * 3);
    /* Whom the directory knows need not wait, nor who proved it before. */
    assert_in_range(shortest(scene, "alice", "wonderland"), 0, local / 2);
    assert_password(scene, "local.user@example.com", LOCAL_PASSWORD, KNOWN);
    assert_in_range(shortest(scene, "local.user@example.com", LOCAL_PASSWORD), 0, local / 2);
    assert_password(scene, "local.user@example.com", LOCAL_PASSWORD "x", UNKNOWN);
    assert_password(scene, "mallory", LOCAL_PASSWORD, UNKNOWN);
}

static json_t *ask_groups(const struct scene *scene, const char *address)
{
    struct error error = {0};
    int none = -1;
    cleanup_fd int fd = ipc_connect(scene->socket, SOCK_SEQPACKET, &error);
    cleanup_json json_t *question =
        json_pack("{s:{s:i,s:s}}", "groups", "id", 7, "address", address);
    assert_true(ipc_packet_send(fd, question, -1, &error));
    cleanup_json json_t *frame = ipc_packet_receive(fd, &none, &error);
    json_t *answer = json_incref(json_object_get(frame, "answer"));
    assert_int_equal(json_integer_value(json_object_get(answer, "id")), 7);
    return answer;
}

static void groups_are_told_with_their_names(void **state)
{
    const struct scene *scene = *state;
    cleanup_json json_t *alice = ask_groups(scene, "alice@example.com");
    cleanup_json json_t *mallory = ask_groups(scene, "mallory@example.com");
    cleanup_json json_t *foreign = ask_groups(scene, "alice@example.org");
    assert_string_equal(json_string_value(json_object_get(alice, "status")), "known");
    assert_int_equal(json_array_size(json_object_get(alice, "groups")), 2);
    assert_string_equal(json_string_value(json_object_get(mallory, "status")), "unknown");
    assert_string_equal(json_string_value(json_object_get(foreign, "status")), "not_asked");
}

static void a_recipient_is_known_as_soon_as_one_source_knows_it(void **state)
{
    struct scene *scene = *state;
    json_t *dead = source_json("dead", "ldap://127.0.0.1:1", NULL);
    json_object_del(dead, "routing");
    write_configuration(scene, json_pack("[o,o]", dead, source_json("ours", slapd.uri, NULL)));
    reload(scene);
    assert_recipient(scene, "alice@example.com", KNOWN);
    assert_recipient(scene, "mallory@example.com", UNAVAILABLE);
    assert_password(scene, "alice", "wonderland", KNOWN);
    assert_password(scene, "alice", "wrong", UNAVAILABLE);
    assert_password(scene, "local.user@example.com", LOCAL_PASSWORD, KNOWN);
}

/* --- what is remembered --- */

static void what_was_said_holds_while_the_server_is_away(void **state)
{
    struct scene *scene = *state;
    assert_recipient(scene, "bob@example.com", KNOWN);
    assert_recipient(scene, "mallory@example.com", UNKNOWN);
    slapd_scene_stop(&slapd);
    struct directory_answer answer = ask_recipient(scene, "bob@example.com");
    assert_int_equal(answer.status, DIRECTORY_KNOWN);
    assert_string_equal(answer.route, "[2001:db8::25]:2525");
    assert_recipient(scene, "mallory@example.com", UNKNOWN);
    assert_recipient(scene, "alice@example.com", UNAVAILABLE);
    assert_recipient(scene, "mallory2@example.com", UNAVAILABLE);
    assert_password(scene, "alice", "wonderland", UNAVAILABLE);
    assert_password(scene, "local.user@example.com", LOCAL_PASSWORD, KNOWN);
    slapd_scene_start(&slapd);
    assert_recipient(scene, "alice@example.com", KNOWN);
    assert_recipient(scene, "mallory2@example.com", UNKNOWN);
}

static void a_lifetime_of_nothing_remembers_nothing(void **state)
{
    struct scene *scene = *state;
    json_t *source = source_json("ours", slapd.uri, NULL);
    json_object_set_new(source, "cache_seconds", json_integer(0));
    json_object_set_new(source, "negative_cache_seconds", json_integer(1));
    write_configuration(scene, json_pack("[o]", source));
    reload(scene);
    assert_recipient(scene, "alice@example.com", KNOWN);
    assert_recipient(scene, "mallory@example.com", UNKNOWN);
    slapd_scene_stop(&slapd);
    assert_recipient(scene, "alice@example.com", UNAVAILABLE);
    assert_recipient(scene, "mallory@example.com", UNKNOWN);
    usleep(1100000);
    assert_recipient(scene, "mallory@example.com", UNAVAILABLE);
}

static void what_many_want_to_know_at_once_is_asked_once(void **state)
{
    struct scene *scene = *state;
    struct given given[200];
    size_t missing = 200;
    int64_t before = source_figure(scene, "asked");
    for (size_t i = 0; i < 200; i++) {
        given[i].missing = &missing;
        directory_ask_recipient(scene->client, "twin@example.com", on_answer, &given[i]);
    }
    wait_for(scene, &missing);
    /* Once for the recipient, once for its routing, which is ambiguous and so not remembered. */
    assert_int_equal(source_figure(scene, "asked") - before, 2);
}

static void thousands_of_questions_at_once_are_all_answered(void **state)
{
    enum { COUNT = 5000 };
    struct scene *scene = *state;
    struct given *given = calloc(COUNT, sizeof(*given));
    size_t missing = COUNT, known = 0, unknown = 0;
    char address[64];
    for (size_t i = 0; i < COUNT; i++) {
        given[i].missing = &missing;
        snprintf(address, sizeof(address), i % 2 ? "bob@example.com" : "x%zu@example.com", i % 500);
        directory_ask_recipient(scene->client, address, on_answer, &given[i]);
    }
    wait_for(scene, &missing);
    for (size_t i = 0; i < COUNT; i++) {
        known += given[i].answer.status == DIRECTORY_KNOWN ? 1 : 0;
        unknown += given[i].answer.status == DIRECTORY_UNKNOWN ? 1 : 0;
    }
    free(given);
    assert_int_equal(known, COUNT / 2);
    assert_int_equal(unknown, COUNT / 2);
}

/* --- slow servers and reload --- */

static void a_silent_source_holds_up_neither_others_nor_what_is_remembered(void **state)
{
    enum { COUNT = 40 };
    struct scene *scene = *state;
    uint16_t port;
    cleanup_fd int silent = slapd_scene_silent_server(&port);
    char uri[64], address[64];
    struct given given[COUNT];
    size_t missing = COUNT;
    snprintf(uri, sizeof(uri), "ldap://127.0.0.1:%u", port);
    write_configuration(scene, json_pack("[o,o]", source_json("slow", uri, "slow.example"),
                                         source_json("ours", slapd.uri, "example.com")));
    reload(scene);
    assert_recipient(scene, "alice@example.com", KNOWN);
    int64_t began = timestamp_monotonic_ms();
    for (size_t i = 0; i < COUNT; i++) {
        given[i].missing = &missing;
        snprintf(address, sizeof(address), "x%zu@slow.example", i);
        directory_ask_recipient(scene->client, address, on_answer, &given[i]);
    }
    assert_recipient(scene, "alice@example.com", KNOWN);
    assert_recipient(scene, "bob@example.com", KNOWN);
    assert_password(scene, "local.user@example.com", LOCAL_PASSWORD, KNOWN);
    assert_in_range(timestamp_monotonic_ms() - began, 0, 1000);
    assert_int_equal(missing, COUNT);
    wait_for(scene, &missing);
    assert_in_range(timestamp_monotonic_ms() - began, 1800, 3500);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(given[i].answer.status, DIRECTORY_UNAVAILABLE);
}

static void a_reload_leaves_questions_that_run_alone(void **state)
{
    struct scene *scene = *state;
    uint16_t port;
    cleanup_fd int silent = slapd_scene_silent_server(&port);
    char uri[64];
    size_t missing = 2;
    struct given old[2] = {{.missing = &missing}, {.missing = &missing}};
    snprintf(uri, sizeof(uri), "ldap://127.0.0.1:%u", port);
    write_configuration(scene, json_pack("[o]", source_json("slow", uri, NULL)));
    reload(scene);
    directory_ask_recipient(scene->client, "alice@example.com", on_answer, &old[0]);
    directory_ask_password(scene->client, "alice", "wonderland", on_answer, &old[1]);
    event_base_loop(scene->base, EVLOOP_NONBLOCK);
    usleep(100000);
    usual_configuration(scene);
    reload(scene);
    assert_recipient(scene, "alice@example.com", KNOWN);
    assert_int_equal(missing, 2);
    wait_for(scene, &missing);
    assert_int_equal(old[0].answer.status, DIRECTORY_UNAVAILABLE);
    assert_int_equal(old[1].answer.status, DIRECTORY_UNAVAILABLE);
}

static void a_reload_that_changes_no_directory_forgets_nothing(void **state)
{
    struct scene *scene = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/config/current.json", scene->state);
    cleanup_free char *same = file_read(path, 1 << 20, NULL, NULL);
    assert_recipient(scene, "alice@example.com", KNOWN);
    write_text(scene, "config/current.json", same);
    reload(scene);
    slapd_scene_stop(&slapd);
    assert_recipient(scene, "alice@example.com", KNOWN);
    usual_configuration(scene); /* the user's hash has another salt */
    reload(scene);
    assert_recipient(scene, "alice@example.com", UNAVAILABLE);
}

static void a_configuration_that_is_wrong_is_refused_and_the_old_one_stays(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    write_text(scene, "config/current.json", "{\"document\":\"{}\",\"signature\":\"AAAA\"}");
    assert_null(request(scene, "reload", &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_recipient(scene, "alice@example.com", KNOWN);
    assert_null(request(scene, "explode", &error));
}

static void without_a_configuration_nothing_is_unknown(void **state)
{
    struct scene *scene = *state;
    char path[128];
    stop(scene, SIGTERM);
    snprintf(path, sizeof(path), "%s/config/current.json", scene->state);
    assert_int_equal(unlink(path), 0);
    start(scene);
    assert_recipient(scene, "mallory@example.com", UNAVAILABLE);
    assert_password(scene, "local.user@example.com", LOCAL_PASSWORD, UNAVAILABLE);
}

/* --- death --- */

static void a_killed_process_is_no_unknown_recipient_and_its_successor_answers(void **state)
{
    struct scene *scene = *state;
    assert_recipient(scene, "alice@example.com", KNOWN);
    stop(scene, SIGKILL);
    assert_recipient(scene, "mallory@example.com", UNAVAILABLE);
    assert_password(scene, "alice", "wonderland", UNAVAILABLE);
    start(scene);
    assert_recipient(scene, "mallory@example.com", UNKNOWN);
    assert_password(scene, "alice", "wonderland", KNOWN);
}

static void a_question_waits_for_a_process_that_starts_again(void **state)
{
    struct scene *scene = *state;
    size_t missing = 1;
    struct given given = {.missing = &missing};
    stop(scene, SIGTERM);
    directory_ask_recipient(scene->client, "alice@example.com", on_answer, &given);
    event_base_loop(scene->base, EVLOOP_NONBLOCK);
    start(scene);
    wait_for(scene, &missing);
    assert_int_equal(given.answer.status, DIRECTORY_KNOWN);
}

static void it_ends_at_once_though_a_server_is_silent(void **state)
{
    struct scene *scene = *state;
    uint16_t port;
    cleanup_fd int silent = slapd_scene_silent_server(&port);
    char uri[64];
    size_t missing = 1;
    struct given given = {.missing = &missing};
    snprintf(uri, sizeof(uri), "ldap://127.0.0.1:%u", port);
    json_t *source = source_json("slow", uri, NULL);
    json_object_set_new(source, "timeout_seconds", json_integer(60));
    write_configuration(scene, json_pack("[o]", source));
    reload(scene);
    directory_ask_recipient(scene->client, "alice@example.com", on_answer, &given);
    event_base_loop(scene->base, EVLOOP_NONBLOCK);
    usleep(100000);
    int64_t began = timestamp_monotonic_ms();
    assert_int_equal(stop(scene, SIGTERM), 0);
    assert_in_range(timestamp_monotonic_ms() - began, 0, 6000);
    wait_for(scene, &missing);
    assert_int_equal(given.answer.status, DIRECTORY_UNAVAILABLE);
}

static bool line_is(const char *status, const char *name, const char *value)
{
    const char *line = strstr(status, name);
    size_t length = strlen(name);
    return line && strncmp(line + length + strspn(line + length, "\t "), value, strlen(value)) == 0;
}

static void it_has_no_rights_and_leaves_no_core(void **state)
{
    struct scene *scene = *state;
    char path[64], status[8192] = "", limits[4096] = "";
    snprintf(path, sizeof(path), "/proc/%d/status", (int)scene->process);
    cleanup_fd int status_file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(status_file, status, sizeof(status) - 1) > 0);
    assert_true(line_is(status, "CapEff:", "0000000000000000"));
    assert_true(line_is(status, "CapPrm:", "0000000000000000"));
    assert_true(line_is(status, "CapAmb:", "0000000000000000"));
    assert_true(line_is(status, "NoNewPrivs:", "1"));
    assert_true(line_is(status, "Seccomp:", "2"));
    snprintf(path, sizeof(path), "/proc/%d/limits", (int)scene->process);
    cleanup_fd int limit_file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(limit_file, limits, sizeof(limits) - 1) > 0);
    assert_true(line_is(limits, "Max core file size", "0"));
}

static void it_can_start_no_program(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        bool entered = hardening_enter(NULL);
        execl("/bin/true", "true", (char *)NULL);
        _exit(entered && errno == EPERM ? 7 : 8);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 7);
}

static void who_breaks_the_protocol_is_cut_off_alone(void **state)
{
    static const char *const packets[] = {
        "nonsense",
        "[]",
        "{}",
        "{\"recipient\":{}}",
        "{\"recipient\":{\"id\":0,\"address\":\"a@example.com\"}}",
        "{\"recipient\":{\"id\":1,\"address\":7}}",
        "{\"password\":{\"id\":1,\"user\":\"a\",\"password\":\"a\\u0000b\"}}",
        "{\"groups\":[]}",
    };
    struct scene *scene = *state;
    assert_recipient(scene, "alice@example.com", KNOWN);
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        char byte;
        cleanup_fd int fd = ipc_connect(scene->socket, SOCK_SEQPACKET, NULL);
        assert_true(fd >= 0);
        assert_true(send(fd, packets[i], strlen(packets[i]), MSG_NOSIGNAL) > 0);
        assert_true(recv(fd, &byte, 1, 0) <= 0);
    }
    assert_recipient(scene, "bob@example.com", KNOWN);
}

/* --- */

static int open_group(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_true(sodium_init() >= 0);
    slapd_scene_open(&slapd);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    slapd_scene_close(&slapd);
    return 0;
}

#define scene_test(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(recipients_of_served_domains_are_known_or_unknown),
        scene_test(a_recipients_route_and_address_come_along),
        scene_test(local_users_and_those_of_the_directory_sign_in),
        scene_test(another_domains_source_does_not_see_a_password),
        scene_test(the_time_of_an_answer_does_not_tell_who_is_a_local_user),
        scene_test(groups_are_told_with_their_names),
        scene_test(a_recipient_is_known_as_soon_as_one_source_knows_it),
        scene_test(what_was_said_holds_while_the_server_is_away),
        scene_test(a_lifetime_of_nothing_remembers_nothing),
        scene_test(what_many_want_to_know_at_once_is_asked_once),
        scene_test(thousands_of_questions_at_once_are_all_answered),
        scene_test(a_silent_source_holds_up_neither_others_nor_what_is_remembered),
        scene_test(a_reload_leaves_questions_that_run_alone),
        scene_test(a_reload_that_changes_no_directory_forgets_nothing),
        scene_test(a_configuration_that_is_wrong_is_refused_and_the_old_one_stays),
        scene_test(without_a_configuration_nothing_is_unknown),
        scene_test(a_killed_process_is_no_unknown_recipient_and_its_successor_answers),
        scene_test(a_question_waits_for_a_process_that_starts_again),
        scene_test(it_ends_at_once_though_a_server_is_silent),
        scene_test(it_has_no_rights_and_leaves_no_core),
        cmocka_unit_test(it_can_start_no_program),
        scene_test(who_breaks_the_protocol_is_cut_off_alone),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

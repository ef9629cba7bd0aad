/* Requests of the console to processes of scanners: two Control Centers on one database, an agent,
 * and a stand-in mta. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/timestamp.h"
#include "controlcenter/fleet/fleet.h"
#include "controlcenter/store/requests.h"
#include "scanner/agent/agent_private.h"
#include "scanner/agent/enrolment.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "private_postgres.h"

/* --- the stand-in mta: echoes what it was asked --- */

struct mta {
    int listener;
    pthread_t thread;
    atomic_uint requests;
};

static json_t *mta_answer(struct mta *mta, const json_t *request)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    if (strcmp(op, "queue_list") == 0)
        mta->requests++;
    if (json_is_true(json_object_get(request, "huge"))) {
        cleanup_free char *text = malloc((5u << 20) + 1);
        memset(text, 'x', 5u << 20);
        text[5u << 20] = '\0';
        return json_pack("{s:b,s:s}", "ok", 1, "text", text);
    }
    if (json_is_true(json_object_get(request, "refuse")))
        return json_pack("{s:b,s:s}", "ok", 0, "error", "not today");
    if (strcmp(op, "events") == 0)
        return NULL;
    return json_pack("{s:b,s:O,s:s,s:I,s:I,s:I}", "ok", 1, "echo", request, "stream", "s",
                     "last_seq", (json_int_t)0, "acked_seq", (json_int_t)0, "configuration_version",
                     (json_int_t)0);
}

static void *mta_run(void *argument)
{
    struct mta *mta = argument;
    for (;;) {
        cleanup_fd int fd = accept4(mta->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        cleanup_json json_t *request = ipc_receive(fd, 2000, NULL);
        cleanup_json json_t *reply = request ? mta_answer(mta, request) : NULL;
        if (reply)
            ipc_send(fd, reply, 2000, NULL);
    }
}

/* --- Control Centers --- */

struct center {
    struct store *store;
    struct fleet *fleet;
    struct http_router *router;
    struct http_server *server;
    unsigned port;
};

static void center_start(struct center *center, struct store *store)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    struct error error = {0};
    char *key, *certificate;
    center->store = store;
    center->fleet = fleet_new(store, "https://localhost");
    if (!fleet_server_certificate(center->fleet, names, 2, &key, &certificate, &error))
        fail_msg("%s: %s", error.where, error.message);
    center->router = http_router_new(fleet_routes, NULL, NULL, center->fleet);
    struct http_server_options options = {
        .address = "127.0.0.1",
        .key = key,
        .certificate = certificate,
        .client_ca = fleet_ca_certificate(center->fleet),
        .max_connections = 100,
        .body_limit = HTTP_FLEET_BODY_LIMIT,
    };
    center->server = http_server_start(&options, center->router, &error);
    if (!center->server)
        fail_msg("%s: %s", error.where, error.message);
    center->port = http_server_port(center->server);
    free(key);
    free(certificate);
}

static void center_stop(struct center *center)
{
    fleet_stop(center->fleet);
    http_server_stop(center->server);
    http_router_free(center->router);
    fleet_free(center->fleet);
    store_close(center->store);
}

/* --- the scene --- */

static struct private_postgres *postgres;

struct scene {
    char folder[64];
    struct center here, there; /* the scanner is connected to the one there */
    struct mta mta;
    struct node node;
    struct agent *agent;
};

static void make_state(const char *state)
{
    static const char *const folders[] = {"agent", "config", "run"};
    char path[256];
    for (size_t i = 0; i < 3; i++) {
        assert_true(file_join(path, sizeof(path), state, folders[i], NULL));
        assert_true(file_make_folder(path, 0700, NULL));
    }
}

static void enrol(struct scene *scene)
{
    char token[FLEET_TOKEN_SIZE], url[64];
    struct error error = {0};
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", scene->there.port);
    struct enrolment_options options = {
        .state = scene->folder, .url = url, .token = token, .owner = (uid_t)-1};
    if (!fleet_create_token(scene->there.fleet, "mx.example.com", NULL, "test", token, &error) ||
        !enrolment_run(&options, &scene->node, &error))
        fail_msg("%s: %s", error.where, error.message);
}

static void start_agent(struct scene *scene)
{
    struct error error = {0};
    scene->agent = agent_start(scene->folder, &error);
    if (!scene->agent)
        fail_msg("%s: %s", error.where, error.message);
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    char path[256];
    snprintf(scene->folder, sizeof(scene->folder), "/tmp/gatehouse-requests-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    make_state(scene->folder);
    assert_true(file_join(path, sizeof(path), scene->folder, NODE_MTA_SOCKET, NULL));
    scene->mta.listener = ipc_listen(path, SOCK_STREAM, 0600, NULL);
    pthread_create(&scene->mta.thread, NULL, mta_run, &scene->mta);
    center_start(&scene->here, private_postgres_store(postgres, 8));
    center_start(&scene->there, private_postgres_store(postgres, 8));
    enrol(scene);
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    char command[128];
    agent_stop(scene->agent);
    center_stop(&scene->here);
    center_stop(&scene->there);
    shutdown(scene->mta.listener, SHUT_RDWR);
    pthread_join(scene->mta.thread, NULL);
    close(scene->mta.listener);
    snprintf(command, sizeof(command), "rm -rf -- '%s'", scene->folder);
    assert_int_equal(system(command), 0);
    free(scene);
    return 0;
}

static json_t *ask(struct scene *scene, const char *target, json_t *request, int wait_ms,
                   struct error *error)
{
    json_t *reply =
        fleet_ask(scene->here.fleet, scene->node.scanner_id, target, request, wait_ms, error);
    json_decref(request);
    return reply;
}

static int64_t rows(void)
{
    return private_postgres_run(postgres, "SELECT count(*) FROM scanner_request");
}

/* --- tests --- */

static void is_answered_by_way_of_another_control_center(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    start_agent(scene);
    cleanup_json json_t *first =
        ask(scene, "mta", json_pack("{s:s,s:i}", "op", "queue_list", "limit", 7), 20000, &error);
    if (!first)
        fail_msg("%s", error.message);
    const json_t *echo = json_object_get(first, "echo");
    assert_int_equal(json_integer_value(json_object_get(echo, "limit")), 7);
    /* The scanner waits already: from now on it is a matter of milliseconds. */
    int64_t begun = timestamp_monotonic_ms();
    for (int i = 0; i < 20; i++) {
        json_t *reply = ask(scene, "mta", json_pack("{s:s}", "op", "queue_list"), 20000, &error);
        assert_non_null(reply);
        json_decref(reply);
    }
    int64_t each = (timestamp_monotonic_ms() - begun) / 20;
    print_message("%lld ms for a request and its answer\n", (long long)each);
    assert_true(each < 400);
    assert_int_equal(scene->mta.requests, 21);
    assert_int_equal(rows(), 0);
}

static void tells_why_a_process_refused(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    start_agent(scene);
    assert_null(
        ask(scene, "mta", json_pack("{s:s,s:b}", "op", "queue_list", "refuse", 1), 20000, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_string_equal(error.message, "not today");
}

static void passes_on_only_operations_that_it_knows(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    start_agent(scene);
    assert_null(ask(scene, "mta", json_pack("{s:s}", "op", "ack"), 20000, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.message, "does not pass"));
    assert_null(ask(scene, "directory", json_pack("{s:s}", "op", "status"), 20000, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_null(ask(scene, "../evil", json_pack("{s:s}", "op", "status"), 20000, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    /* A process that is not there is an answer too. */
    assert_null(ask(scene, "supervisor", json_pack("{s:s}", "op", "status"), 20000, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static void refuses_a_reply_that_is_too_large(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    start_agent(scene);
    assert_null(
        ask(scene, "mta", json_pack("{s:s,s:b}", "op", "queue_list", "huge", 1), 20000, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.message, "4 MiB"));
}

static void a_scanner_that_is_away_is_told_apart(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    int64_t begun = timestamp_monotonic_ms();
    assert_null(ask(scene, "mta", json_pack("{s:s}", "op", "queue_list"), 700, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    assert_non_null(strstr(error.message, "not connected"));
    int64_t waited = timestamp_monotonic_ms() - begun;
    assert_true(waited >= 700 && waited < 2500);
    /* Nobody waits for it any more, so it is not carried out later. */
    assert_int_equal(rows(), 0);
    start_agent(scene);
    json_decref(ask(scene, "mta", json_pack("{s:s}", "op", "queue_list"), 20000, &error));
    assert_int_equal(scene->mta.requests, 1);
    struct message_id nobody = message_id_new();
    char id[MESSAGE_ID_TEXT_SIZE];
    cleanup_json json_t *request = json_pack("{s:s}", "op", "status");
    assert_null(
        fleet_ask(scene->here.fleet, message_id_text(&nobody, id), "mta", request, 500, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

static void new_id(char id[MESSAGE_ID_TEXT_SIZE])
{
    struct message_id made = message_id_new();
    message_id_text(&made, id);
}

#define LIFE_MS 3000 /* longer than it takes a busy machine to add them all */

static void unanswered_requests_are_limited_and_expire(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    char id[MESSAGE_ID_TEXT_SIZE];
    cleanup_json json_t *request = json_pack("{s:s}", "op", "status");
    for (int i = 0; i < STORE_REQUESTS_MOST; i++) {
        new_id(id);
        assert_true(store_request_add(scene->here.store, id, scene->node.scanner_id, "mta", request,
                                      LIFE_MS, &error));
    }
    new_id(id);
    assert_false(store_request_add(scene->here.store, id, scene->node.scanner_id, "mta", request,
                                   LIFE_MS, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    usleep((LIFE_MS + 100) * 1000);
    assert_true(store_request_add(scene->here.store, id, scene->node.scanner_id, "mta", request,
                                  60000, &error));
    assert_int_equal(rows(), 1);
}

/* What another scanner says about a request is passed over, before and after it was fetched. */
static void only_its_scanner_may_fetch_and_answer_a_request(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    char id[MESSAGE_ID_TEXT_SIZE], other[MESSAGE_ID_TEXT_SIZE];
    struct store_request *requests;
    size_t count;
    struct store *store = scene->here.store;
    const char *own = scene->node.scanner_id;
    cleanup_json json_t *request = json_pack("{s:s}", "op", "status");
    cleanup_json json_t *lie = json_pack("{s:b,s:b}", "ok", 1, "lie", 1);
    cleanup_json json_t *truth = json_pack("{s:b}", "ok", 1);
    new_id(id);
    new_id(other);
    assert_true(store_request_add(store, id, own, "mta", request, 60000, &error));
    assert_true(store_request_take(store, other, 10, &requests, &count, &error));
    assert_int_equal(count, 0);
    store_request_list_free(requests, count);
    assert_true(store_request_answer(store, own, id, lie, &error)); /* not fetched yet */
    assert_null(store_request_reply(store, id, &error));
    assert_true(store_request_take(store, own, 10, &requests, &count, &error));
    assert_int_equal(count, 1);
    assert_string_equal(requests[0].id, id);
    assert_string_equal(requests[0].target, "mta");
    store_request_list_free(requests, count);
    assert_true(store_request_take(store, own, 10, &requests, &count, &error));
    assert_int_equal(count, 0); /* each once */
    store_request_list_free(requests, count);
    assert_true(store_request_answer(store, other, id, lie, &error));
    assert_null(store_request_reply(store, id, &error));
    assert_int_equal(error.code, ERROR_NONE);
    assert_true(store_request_answer(store, own, id, truth, &error));
    assert_true(store_request_answer(store, own, id, lie, &error)); /* the first one counts */
    cleanup_json json_t *reply = store_request_reply(store, id, &error);
    assert_true(json_equal(reply, truth));
}

/* A Control Center of before the requests; the agent takes it for no problem. */
static void an_address_that_is_not_known_is_told_apart(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    char url[64];
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", scene->there.port);
    struct https_client *client = https_client_new(url, scene->folder, NULL, &error);
    assert_non_null(client);
    cleanup_json json_t *body = json_object();
    assert_null(https_client_post(client, "/fleet/of-tomorrow", body, 10, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    https_client_free(client);
}

static void goes_on_when_the_database_was_away(void **state)
{
    struct scene *scene = *state;
    struct error error = {0};
    start_agent(scene);
    json_decref(ask(scene, "mta", json_pack("{s:s}", "op", "queue_list"), 20000, &error));
    private_postgres_kill(postgres);
    assert_null(ask(scene, "mta", json_pack("{s:s}", "op", "queue_list"), 500, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    private_postgres_start(postgres);
    json_t *reply = NULL;
    for (int i = 0; i < 60 && !reply; i++) {
        reply = ask(scene, "mta", json_pack("{s:s}", "op", "queue_list"), 1000, &error);
        if (!reply)
            usleep(100000);
    }
    assert_non_null(reply);
    json_decref(reply);
}

static int open_database(void **state)
{
    (void)state;
    postgres = private_postgres_new(false);
    return 0;
}

static int close_database(void **state)
{
    (void)state;
    private_postgres_free(postgres);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_answered_by_way_of_another_control_center),
        TEST(tells_why_a_process_refused),
        TEST(passes_on_only_operations_that_it_knows),
        TEST(refuses_a_reply_that_is_too_large),
        TEST(a_scanner_that_is_away_is_told_apart),
        TEST(unanswered_requests_are_limited_and_expire),
        TEST(only_its_scanner_may_fetch_and_answer_a_request),
        TEST(an_address_that_is_not_known_is_told_apart),
        TEST(goes_on_when_the_database_was_away),
    };
    return cmocka_run_group_tests(tests, open_database, close_database);
}

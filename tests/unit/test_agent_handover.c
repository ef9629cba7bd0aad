/* Messages on their way from a stand-in mta over the agent to a real Control Center. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/message_id.h"
#include "common/timestamp.h"
#include "controlcenter/fleet/fleet.h"
#include "scanner/agent/agent.h"
#include "scanner/agent/enrolment.h"

#include <pthread.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "private_postgres.h"

#define CHUNK (256 << 10)
#define MESSAGES_MOST 8

static struct store *store;
static struct private_postgres *postgres;

static int open_database(void **argument)
{
    (void)argument;
    postgres = private_postgres_new(false);
    return 0;
}

static int close_database(void **argument)
{
    (void)argument;
    private_postgres_free(postgres);
    return 0;
}

/* --- the stand-in mta --- */

struct message {
    char id[MESSAGE_ID_TEXT_SIZE];
    const char *kind;
    size_t size;
    bool done;
};

static struct {
    int listener;
    pthread_t thread;
    pthread_mutex_t lock;
    struct message messages[MESSAGES_MOST];
    size_t count;
    int pieces;      /* that were asked for */
    int slow_ms;     /* each takes so long */
    bool loses_done; /* the next handover_done is not heard */
} mta = {.lock = PTHREAD_MUTEX_INITIALIZER};

static json_t *mta_list(const char *after)
{
    json_t *list = json_array();
    size_t start = 0;
    for (size_t i = 0; i < mta.count; i++)
        if (!mta.messages[i].done && strcmp(mta.messages[i].id, after) == 0)
            start = i + 1;
    for (size_t i = start; i < mta.count; i++)
        if (!mta.messages[i].done)
            json_array_append_new(list, json_pack("{s:s,s:I,s:{s:s,s:s}}", "id", mta.messages[i].id,
                                                  "size", (json_int_t)mta.messages[i].size, "info",
                                                  "kind", mta.messages[i].kind, "folder", "legal"));
    return json_pack("{s:b,s:o}", "ok", 1, "messages", list);
}

static struct message *mta_find(const json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    for (size_t i = 0; i < mta.count; i++)
        if (strcmp(mta.messages[i].id, id) == 0)
            return &mta.messages[i];
    return NULL;
}

static json_t *mta_content(const struct message *message, const json_t *request)
{
    size_t offset = (size_t)json_integer_value(json_object_get(request, "offset"));
    size_t length = (size_t)json_integer_value(json_object_get(request, "length"));
    if (length > message->size - offset)
        length = message->size - offset;
    cleanup_free unsigned char *data = malloc(length + 1);
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    cleanup_free char *text = malloc(size);
    memset(data, 'x', length);
    sodium_bin2base64(text, size, data, length, sodium_base64_VARIANT_ORIGINAL);
    mta.pieces++;
    return json_pack("{s:b,s:s}", "ok", 1, "data", text);
}

static json_t *mta_done(struct message *message)
{
    if (mta.loses_done) {
        mta.loses_done = false;
        return NULL;
    }
    message->done = true;
    return json_pack("{s:b}", "ok", 1);
}

static json_t *mta_answer(const json_t *request)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    if (strcmp(op, "handover_list") == 0)
        return mta_list(json_string_value(json_object_get(request, "after")));
    if (strcmp(op, "handover_content") == 0)
        return mta_content(mta_find(request), request);
    if (strcmp(op, "handover_done") == 0)
        return mta_done(mta_find(request));
    return NULL;
}

static void *mta_serve(void *argument)
{
    cleanup_fd int fd = (int)(intptr_t)argument;
    cleanup_json json_t *request = ipc_receive(fd, 5000, NULL);
    if (!request)
        return NULL;
    pthread_mutex_lock(&mta.lock);
    int slow = mta.slow_ms;
    cleanup_json json_t *reply = mta_answer(request);
    pthread_mutex_unlock(&mta.lock);
    usleep((useconds_t)slow * 1000 + 1000);
    if (reply)
        ipc_send(fd, reply, 5000, NULL);
    return NULL;
}

static void *mta_accept(void *argument)
{
    (void)argument;
    for (;;) {
        pthread_t thread;
        int fd = accept4(mta.listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        pthread_create(&thread, NULL, mta_serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
}

static void add_message(size_t size, const char *kind)
{
    struct message_id id = message_id_new();
    pthread_mutex_lock(&mta.lock);
    struct message *message = &mta.messages[mta.count++];
    *message = (struct message){.kind = kind, .size = size};
    message_id_text(&id, message->id);
    pthread_mutex_unlock(&mta.lock);
}

static bool is_done(size_t index)
{
    pthread_mutex_lock(&mta.lock);
    bool done = mta.messages[index].done;
    pthread_mutex_unlock(&mta.lock);
    return done;
}

static int pieces(void)
{
    pthread_mutex_lock(&mta.lock);
    int count = mta.pieces;
    pthread_mutex_unlock(&mta.lock);
    return count;
}

/* --- the scene --- */

struct scene {
    char folder[64], state[96];
    struct fleet *fleet;
    struct http_router *router;
    struct http_server *server;
    unsigned port;
};

static void center_start(struct scene *scene)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    struct error error = {0};
    char *key, *certificate;
    scene->fleet = fleet_new(store, "https://localhost");
    assert_true(fleet_server_certificate(scene->fleet, names, 2, &key, &certificate, &error));
    scene->router = http_router_new(fleet_routes, NULL, NULL, scene->fleet);
    struct http_server_options options = {.address = "127.0.0.1",
                                          .port = (uint16_t)scene->port,
                                          .key = key,
                                          .certificate = certificate,
                                          .client_ca = fleet_ca_certificate(scene->fleet),
                                          .max_connections = 100,
                                          .body_limit = HTTP_FLEET_BODY_LIMIT};
    scene->server = http_server_start(&options, scene->router, &error);
    if (!scene->server)
        fail_msg("%s: %s", error.where, error.message);
    scene->port = http_server_port(scene->server);
    free(key);
    free(certificate);
}

static void center_stop(struct scene *scene)
{
    fleet_stop(scene->fleet);
    http_server_stop(scene->server);
    http_router_free(scene->router);
    fleet_free(scene->fleet);
}

static void enrol(struct scene *scene)
{
    static const char *const folders[] = {"agent", "config", "run"};
    char token[FLEET_TOKEN_SIZE], path[256], url[64];
    struct error error = {0};
    struct node node;
    for (size_t i = 0; i < 3; i++) {
        assert_true(file_join(path, sizeof(path), scene->state, folders[i], NULL));
        assert_true(file_make_folder(path, 0700, NULL));
    }
    snprintf(url, sizeof(url), "https://localhost:%u", scene->port);
    assert_true(fleet_create_token(scene->fleet, "mx.test", NULL, "test", token, &error));
    struct enrolment_options options = {
        .state = scene->state, .url = url, .token = token, .owner = (uid_t)-1};
    if (!enrolment_run(&options, &node, &error))
        fail_msg("%s: %s", error.where, error.message);
}

static int open_scene(void **argument)
{
    char path[256];
    struct scene *scene = calloc(1, sizeof(*scene));
    strcpy(scene->folder, "/tmp/gatehouse-handover-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->state, sizeof(scene->state), "%s/state", scene->folder);
    private_postgres_reset(postgres);
    store = private_postgres_store(postgres, 8);
    center_start(scene);
    enrol(scene);
    mta.count = 0;
    mta.pieces = mta.slow_ms = 0;
    mta.loses_done = false;
    assert_true(file_join(path, sizeof(path), scene->state, NODE_MTA_SOCKET, NULL));
    mta.listener = ipc_listen(path, SOCK_STREAM, 0600, NULL);
    assert_true(mta.listener >= 0);
    assert_int_equal(pthread_create(&mta.thread, NULL, mta_accept, NULL), 0);
    *argument = scene;
    return 0;
}

static int close_scene(void **argument)
{
    struct scene *scene = *argument;
    char command[128];
    shutdown(mta.listener, SHUT_RDWR);
    pthread_join(mta.thread, NULL);
    close(mta.listener);
    usleep(100000); /* connections that are being served */
    center_stop(scene);
    store_close(store);
    snprintf(command, sizeof(command), "rm -rf '%s'", scene->folder);
    assert_int_equal(system(command), 0);
    free(scene);
    return 0;
}

static struct agent *start_agent(struct scene *scene)
{
    struct error error = {0};
    struct agent *agent = agent_start(scene->state, &error);
    if (!agent)
        fail_msg("%s: %s", error.where, error.message);
    return agent;
}

#define await(condition)                                                                           \
    do {                                                                                           \
        int64_t end = timestamp_monotonic_ms() + 20000;                                            \
        while (!(condition)) {                                                                     \
            if (timestamp_monotonic_ms() > end)                                                    \
                fail_msg("not in time: %s", #condition);                                           \
            usleep(5000);                                                                          \
        }                                                                                          \
    } while (0)

static int64_t value(const char *sql)
{
    return private_postgres_run(postgres, sql);
}

/* --- the tests --- */

static void messages_become_incidents_and_leave_the_mta(void **argument)
{
    add_message(5, "incident");
    add_message(3 * CHUNK + 1, "incident");
    add_message(0, "incident");
    struct agent *agent = start_agent(*argument);
    await(is_done(0) && is_done(1) && is_done(2));
    assert_int_equal(value("SELECT count(*) FROM incident"), 3);
    assert_int_equal(value("SELECT sum(size) FROM message"), 3 * CHUNK + 6);
    assert_int_equal(pieces(), 5);
    add_message(7, "incident");
    await(is_done(3));
    agent_stop(agent);
}

static void one_that_cannot_be_taken_keeps_no_other_waiting(void **argument)
{
    add_message(5, "parcel");
    add_message(5, "incident");
    add_message(5, "parcel");
    add_message(5, "incident");
    struct agent *agent = start_agent(*argument);
    await(is_done(1) && is_done(3));
    assert_false(is_done(0));
    pthread_mutex_lock(&mta.lock);
    mta.messages[0].kind = "incident";
    pthread_mutex_unlock(&mta.lock);
    await(is_done(0));
    assert_false(is_done(2));
    agent_stop(agent);
}

static void a_transfer_goes_on_where_it_ended_when_the_control_center_is_back(void **argument)
{
    struct scene *scene = *argument;
    mta.slow_ms = 20;
    add_message(40 * CHUNK, "incident");
    struct agent *agent = start_agent(scene);
    await(pieces() >= 10);
    center_stop(scene);
    usleep(200000);
    center_start(scene);
    await(is_done(0));
    agent_stop(agent);
    assert_true(pieces() <= 40 + 6);
    assert_int_equal(value("SELECT count(*) FROM incident"), 1);
    assert_int_equal(value("SELECT size FROM message"), 40 * CHUNK);
}

static void a_transfer_goes_on_where_it_ended_when_the_agent_is_back(void **argument)
{
    struct scene *scene = *argument;
    mta.slow_ms = 20;
    add_message(40 * CHUNK, "incident");
    struct agent *agent = start_agent(scene);
    await(pieces() >= 10);
    agent_stop(agent);
    assert_false(is_done(0));
    agent = start_agent(scene);
    await(is_done(0));
    agent_stop(agent);
    assert_true(pieces() <= 40 + 6);
}

static void what_the_mta_did_not_hear_is_said_again_and_nothing_becomes_two(void **argument)
{
    mta.loses_done = true;
    add_message(2 * CHUNK, "incident");
    struct agent *agent = start_agent(*argument);
    await(is_done(0));
    agent_stop(agent);
    assert_int_equal(value("SELECT count(*) FROM incident"), 1);
    assert_int_equal(value("SELECT count(*) FROM message_chunk"), 2);
}

static void only_scanners_of_the_fleet_hand_messages_over(void **argument)
{
    struct scene *scene = *argument;
    struct agent *agent = start_agent(scene);
    struct store_scanner *scanners;
    size_t count;
    assert_true(store_scanner_list(store, &scanners, &count, NULL));
    assert_true(store_scanner_remove(store, scanners[0].id, "admin", NULL));
    store_scanner_list_free(scanners, count);
    add_message(5, "incident");
    usleep(1500000);
    assert_false(is_done(0));
    assert_int_equal(value("SELECT count(*) FROM message_upload"), 0);
    agent_stop(agent);
}

#define scene_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(messages_become_incidents_and_leave_the_mta),
        scene_test(one_that_cannot_be_taken_keeps_no_other_waiting),
        scene_test(a_transfer_goes_on_where_it_ended_when_the_control_center_is_back),
        scene_test(a_transfer_goes_on_where_it_ended_when_the_agent_is_back),
        scene_test(what_the_mta_did_not_hear_is_said_again_and_nothing_becomes_two),
        scene_test(only_scanners_of_the_fleet_hand_messages_over),
    };
    return cmocka_run_group_tests(tests, open_database, close_database);
}

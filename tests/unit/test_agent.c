/* The agent against a real Control Center (TLS, PostgreSQL) and a stand-in mta. */
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/signing.h"
#include "common/timestamp.h"
#include "common/x509.h"
#include "controlcenter/fleet/fleet.h"
#include "scanner/agent/agent.h"
#include "scanner/agent/configuration.h"
#include "scanner/agent/enrolment.h"
#include "scanner/agent/https_client.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "private_postgres.h"

/* --- the database, one for all tests --- */

static struct store *shared_store;
static struct private_postgres *postgres;

static int open_database(void **argument)
{
    (void)argument;
    postgres = private_postgres_new(false);
    shared_store = private_postgres_store(postgres, 16);
    return 0;
}

static int close_database(void **argument)
{
    (void)argument;
    store_close(shared_store);
    private_postgres_free(postgres);
    return 0;
}

/* --- the stand-in mta --- */

struct mta {
    char state[128];
    int listener;
    pthread_t thread;
    pthread_mutex_t lock;
    int64_t last_seq; /* events 1 to this one exist */
    int64_t acked_seq;
    _Atomic int64_t version; /* configuration that it runs */
    atomic_int reloads;
    char refusal[64]; /* why reloads are refused; "" takes them */
    atomic_bool stopping;
};

struct connection {
    struct mta *mta;
    int fd;
};

static json_t *event(int64_t seq)
{
    char now[TIMESTAMP_TEXT_SIZE], text[MESSAGE_ID_TEXT_SIZE];
    struct message_id id = message_id_new();
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:b,s:s,s:[s],s:i}", "seq",
                     (json_int_t)seq, "at", timestamp_text(timestamp_now_ms(), now), "type",
                     "received", "id", message_id_text(&id, text), "direction", "inbound",
                     "peer_ip", "192.0.2.1", "peer_port", 40000, "helo", "client.example",
                     "protocol", "ESMTP", "tls", 0, "sender", "a@example.org", "recipients",
                     "b@example.com", "size", 100);
}

static json_t *mta_events(struct mta *mta, const json_t *request)
{
    int64_t after = json_integer_value(json_object_get(request, "after"));
    int64_t most = json_integer_value(json_object_get(request, "max"));
    int64_t deadline =
        timestamp_monotonic_ms() + json_integer_value(json_object_get(request, "wait_ms"));
    json_t *array = json_array();
    for (;;) {
        pthread_mutex_lock(&mta->lock);
        int64_t last = mta->last_seq;
        pthread_mutex_unlock(&mta->lock);
        if (last > after || atomic_load(&mta->stopping) || timestamp_monotonic_ms() >= deadline) {
            for (int64_t seq = after + 1; seq <= last && seq <= after + most; seq++)
                json_array_append_new(array, event(seq));
            return json_pack("{s:b,s:s,s:o}", "ok", 1, "stream", "stream-1", "events", array);
        }
        usleep(5000);
    }
}

static int64_t current_version(const char *state)
{
    char current[256], key[256];
    struct error error = {0};
    assert_true(file_join(current, sizeof(current), state, NODE_CONFIGURATION_FILE, NULL));
    assert_true(file_join(key, sizeof(key), state, NODE_CONFIGURATION_KEY_FILE, NULL));
    struct scanner_config *config = config_load(current, key, &error);
    int64_t version = config ? config->version : 0;
    config_free(config);
    return version;
}

static json_t *mta_reload(struct mta *mta)
{
    mta->reloads++;
    int64_t version = current_version(mta->state);
    if (mta->refusal[0] && version != mta->version)
        return json_pack("{s:b,s:s}", "ok", 0, "error", mta->refusal);
    mta->version = version;
    return json_pack("{s:b,s:I}", "ok", 1, "version", (json_int_t)version);
}

static json_t *mta_answer(struct mta *mta, const json_t *request)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    if (strcmp(op, "events") == 0)
        return mta_events(mta, request);
    json_t *reply = NULL;
    pthread_mutex_lock(&mta->lock);
    if (strcmp(op, "status") == 0)
        reply = json_pack("{s:b,s:s,s:I,s:I,s:I}", "ok", 1, "stream", "stream-1", "last_seq",
                          (json_int_t)mta->last_seq, "acked_seq", (json_int_t)mta->acked_seq,
                          "configuration_version", (json_int_t)mta->version);
    else if (strcmp(op, "reload") == 0)
        reply = mta_reload(mta);
    else if (strcmp(op, "ack") == 0) {
        int64_t seq = json_integer_value(json_object_get(request, "seq"));
        if (seq > mta->acked_seq)
            mta->acked_seq = seq;
        reply = json_pack("{s:b}", "ok", 1);
    }
    pthread_mutex_unlock(&mta->lock);
    return reply;
}

static void *mta_serve(void *argument)
{
    struct connection *connection = argument;
    for (;;) {
        cleanup_json json_t *request = ipc_receive(connection->fd, 5000, NULL);
        cleanup_json json_t *reply = request ? mta_answer(connection->mta, request) : NULL;
        if (!reply || !ipc_send(connection->fd, reply, 5000, NULL))
            break;
    }
    close(connection->fd);
    free(connection);
    return NULL;
}

static void *mta_accept(void *argument)
{
    struct mta *mta = argument;
    for (;;) {
        int fd = accept4(mta->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        struct connection *connection = malloc(sizeof(*connection));
        *connection = (struct connection){mta, fd};
        pthread_t thread;
        pthread_create(&thread, NULL, mta_serve, connection);
        pthread_detach(thread);
    }
}

/* From now on reloads are refused for that reason; "" takes them again. */
static void mta_refuse(struct mta *mta, const char *reason)
{
    pthread_mutex_lock(&mta->lock);
    snprintf(mta->refusal, sizeof(mta->refusal), "%s", reason);
    pthread_mutex_unlock(&mta->lock);
}

/* A stand-in that answers on that socket of the state directory as the mta does. */
static void start_at(struct mta *mta, const char *state, const char *socket)
{
    char path[256];
    snprintf(mta->state, sizeof(mta->state), "%s", state);
    pthread_mutex_init(&mta->lock, NULL);
    assert_true(file_join(path, sizeof(path), state, socket, NULL));
    mta->listener = ipc_listen(path, SOCK_STREAM, 0600, NULL);
    assert_true(mta->listener >= 0);
    assert_int_equal(pthread_create(&mta->thread, NULL, mta_accept, mta), 0);
}

static void mta_start(struct mta *mta, const char *state)
{
    start_at(mta, state, NODE_MTA_SOCKET);
}

static void mta_stop(struct mta *mta)
{
    atomic_store(&mta->stopping, true);
    shutdown(mta->listener, SHUT_RDWR);
    pthread_join(mta->thread, NULL);
    close(mta->listener);
    usleep(100000); /* connections that are being served */
}

/* --- the Control Center --- */

struct center {
    struct store *store;
    struct fleet *fleet;
    struct http_router *router;
    struct http_server *server;
    unsigned port;
};

static void center_start(struct center *center, const char *const *names, size_t count)
{
    struct error error = {0};
    char *key, *certificate;
    center->fleet = fleet_new(center->store, "https://localhost");
    assert_true(fleet_server_certificate(center->fleet, names, count, &key, &certificate, &error));
    center->router = http_router_new(fleet_routes, NULL, NULL, center->fleet);
    struct http_server_options options = {
        .address = "127.0.0.1",
        .port = center->port,
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

static void center_start_here(struct center *center)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    center_start(center, names, 2);
}

static void center_stop(struct center *center)
{
    if (!center->server)
        return;
    fleet_stop(center->fleet);
    http_server_stop(center->server);
    http_router_free(center->router);
    fleet_free(center->fleet);
    center->server = NULL;
}

/* --- scenes --- */

struct scene {
    char folder[64];
    char state[96];
    char url[64];
    struct center center;
    struct mta mta;
};

static void run_command(const char *format, const char *argument)
{
    char command[256];
    snprintf(command, sizeof(command), "%s '%s'", format, argument);
    assert_int_equal(system(command), 0);
}

static void make_state(const char *state)
{
    static const char *const folders[] = {"agent", "config", "run"};
    char path[256];
    for (size_t i = 0; i < 3; i++) {
        assert_true(file_join(path, sizeof(path), state, folders[i], NULL));
        assert_true(file_make_folder(path, 0700, NULL));
    }
}

static void new_token(struct scene *scene, char token[FLEET_TOKEN_SIZE])
{
    struct error error = {0};
    if (!fleet_create_token(scene->center.fleet, "mx.example.com", NULL, "test", token, &error))
        fail_msg("%s: %s", error.where, error.message);
}

static bool enrol(struct scene *scene, const char *token, bool force, struct node *node,
                  struct error *error)
{
    struct enrolment_options options = {.state = scene->state,
                                        .url = scene->url,
                                        .token = token,
                                        .force = force,
                                        .owner = (uid_t)-1};
    return enrolment_run(&options, node, error);
}

static void enrol_new(struct scene *scene, struct node *node)
{
    char token[FLEET_TOKEN_SIZE];
    struct error error = {0};
    new_token(scene, token);
    if (!enrol(scene, token, false, node, &error))
        fail_msg("%s: %s", error.where, error.message);
}

static bool exists(const struct scene *scene, const char *name)
{
    char path[256];
    assert_true(file_join(path, sizeof(path), scene->state, name, NULL));
    return access(path, F_OK) == 0;
}

static mode_t mode_of(const struct scene *scene, const char *name)
{
    char path[256];
    struct stat status;
    assert_true(file_join(path, sizeof(path), scene->state, name, NULL));
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void assert_untouched(const struct scene *scene)
{
    static const char *const names[] = {NODE_FILE,
                                        NODE_FILE ".new",
                                        "agent.new",
                                        NODE_KEY_FILE,
                                        NODE_CA_FILE,
                                        NODE_CONFIGURATION_KEY_FILE,
                                        NODE_CONFIGURATION_KEY_FILE ".new"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (exists(scene, names[i]))
            fail_msg("%s was left behind", names[i]);
}

/* Waits until the condition holds, at most `milliseconds`; returns how long it took, or -1. */
#define wait_until(condition, milliseconds)                                                        \
    __extension__({                                                                                \
        int64_t wait_started = timestamp_monotonic_ms(), wait_took = -1;                           \
        while (wait_took < 0 && timestamp_monotonic_ms() - wait_started < (milliseconds)) {        \
            if (condition)                                                                         \
                wait_took = timestamp_monotonic_ms() - wait_started;                               \
            else                                                                                   \
                usleep(5000);                                                                      \
        }                                                                                          \
        wait_took;                                                                                 \
    })

static int64_t wanted_version(struct scene *scene)
{
    int64_t version = -1;
    assert_true(store_configuration_version(scene->center.store, &version, NULL));
    return version;
}

static void change_something(struct scene *scene)
{
    char name[64];
    cleanup_json json_t *route = json_pack("{s:s}", "kind", "mx");
    snprintf(name, sizeof(name), "d%lld.example", (long long)timestamp_now_ms());
    assert_true(store_domain_put(scene->center.store, name, route, true, "test", NULL));
}

/* --- enrolment --- */

static void enrolment_writes_what_the_agent_needs_with_tight_modes(void **argument)
{
    struct scene *scene = *argument;
    struct node node, loaded;
    enrol_new(scene, &node);
    assert_true(node_load(scene->state, &loaded, NULL));
    assert_string_equal(loaded.scanner_id, node.scanner_id);
    assert_string_equal(loaded.url, scene->url);
    assert_int_equal(mode_of(scene, "agent"), 0700);
    assert_int_equal(mode_of(scene, NODE_KEY_FILE), 0600);
    assert_int_equal(mode_of(scene, NODE_CONFIGURATION_KEY_FILE), 0644);
    assert_false(exists(scene, "agent.new"));
}

static void a_used_token_is_refused_and_leaves_nothing_behind(void **argument)
{
    struct scene *scene = *argument;
    char token[FLEET_TOKEN_SIZE], first_state[96];
    struct node node;
    struct error error = {0};
    new_token(scene, token);
    assert_true(enrol(scene, token, false, &node, &error));
    snprintf(first_state, sizeof(first_state), "%s", scene->state);
    snprintf(scene->state, sizeof(scene->state), "%s/second", scene->folder);
    make_state(scene->state);
    assert_false(enrol(scene, token, false, &node, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    assert_untouched(scene);
}

static void an_expired_token_is_refused(void **argument)
{
    struct scene *scene = *argument;
    unsigned char secret[32] = {9}, digest[32], fingerprint[32];
    char text[44], fingerprint_text[44], hash[65], token[FLEET_TOKEN_SIZE];
    struct node node;
    struct error error = {0};
    crypto_hash_sha256(digest, secret, 32);
    sodium_bin2hex(hash, sizeof(hash), digest, 32);
    assert_true(x509_fingerprint(fleet_ca_certificate(scene->center.fleet), fingerprint, NULL));
    sodium_bin2base64(fingerprint_text, 44, fingerprint, 32,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_bin2base64(text, 44, secret, 32, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(token, sizeof(token), "gh1.%s.%s", fingerprint_text, text);
    assert_true(store_enrolment_create(scene->center.store, hash, "late.example.com",
                                       timestamp_now_ms() - 1000, "test", NULL));
    assert_false(enrol(scene, token, false, &node, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    assert_untouched(scene);
}

static atomic_int requests_of_impostor;

static void impostor(struct http_request *request, struct http_response *response)
{
    (void)request, (void)response;
    atomic_fetch_add(&requests_of_impostor, 1);
}

static const struct http_route impostor_routes[] = {
    {HTTP_POST, "/fleet/enroll", HTTP_PUBLIC, impostor},
    {HTTP_OTHER, NULL, HTTP_PUBLIC, NULL},
};

/* A server with a CA of its own, also one that has the same names. */
static void the_token_is_never_sent_to_a_server_of_another_ca(void **argument)
{
    struct scene *scene = *argument;
    static const char *const names[] = {"localhost", "127.0.0.1"};
    char token[FLEET_TOKEN_SIZE];
    struct node node;
    struct error error = {0};
    cleanup_free char *ca_key = x509_new_key(NULL);
    cleanup_free char *ca = x509_new_ca(ca_key, "Gatehouse fleet CA", 10, NULL);
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *request = x509_new_request(key, "localhost", NULL);
    cleanup_free char *leaf =
        x509_sign_request(request, ca_key, ca, "localhost", X509_USE_SERVER, names, 2, 10, NULL);
    cleanup_free char *chain = NULL;
    assert_true(asprintf(&chain, "%s%s", leaf, ca) > 0);
    struct http_router *router = http_router_new(impostor_routes, NULL, NULL, NULL);
    struct http_server_options options = {.address = "127.0.0.1",
                                          .key = key,
                                          .certificate = chain,
                                          .threads = 1,
                                          .max_connections = 10,
                                          .body_limit = 100000};
    struct http_server *server = http_server_start(&options, router, &error);
    assert_non_null(server);
    snprintf(scene->url, sizeof(scene->url), "https://localhost:%u", http_server_port(server));
    new_token(scene, token);
    assert_false(enrol(scene, token, false, &node, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    assert_non_null(strstr(error.message, "made the token"));
    assert_int_equal(atomic_load(&requests_of_impostor), 0);
    assert_untouched(scene);
    http_server_stop(server);
    http_router_free(router);
}

/* The CA is the right one, but the certificate is for somebody else. */
static void a_server_with_another_name_is_refused(void **argument)
{
    struct scene *scene = *argument;
    static const char *const names[] = {"other.example"};
    char token[FLEET_TOKEN_SIZE];
    struct node node;
    struct error error = {0};
    center_stop(&scene->center);
    center_start(&scene->center, names, 1);
    new_token(scene, token);
    assert_false(enrol(scene, token, false, &node, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    assert_untouched(scene);
}

static void an_unreachable_control_center_is_said_so(void **argument)
{
    struct scene *scene = *argument;
    char token[FLEET_TOKEN_SIZE];
    struct node node;
    struct error error = {0};
    new_token(scene, token);
    snprintf(scene->url, sizeof(scene->url), "https://127.0.0.1:9");
    assert_false(enrol(scene, token, false, &node, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    assert_untouched(scene);
}

static void malformed_tokens_and_urls_are_refused_before_anything_is_sent(void **argument)
{
    struct scene *scene = *argument;
    static const char *const urls[] = {
        "http://localhost:8444",  "localhost:8444",      "",
        "https://localhost/path", "https://u@localhost", "https://localhost?x"};
    char token[FLEET_TOKEN_SIZE];
    struct node node;
    struct error error = {0};
    assert_false(enrol(scene, "gh1.abc.def", false, &node, &error));
    assert_string_equal(error.where, "token");
    new_token(scene, token);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        snprintf(scene->url, sizeof(scene->url), "%s", urls[i]);
        assert_false(enrol(scene, token, false, &node, &error));
        assert_string_equal(error.where, "url");
    }
    assert_untouched(scene);
}

static void an_enrolled_scanner_is_enrolled_anew_only_by_force(void **argument)
{
    struct scene *scene = *argument;
    char token[FLEET_TOKEN_SIZE];
    struct node first, second, loaded;
    struct error error = {0};
    enrol_new(scene, &first);
    new_token(scene, token);
    assert_false(enrol(scene, token, false, &second, &error));
    assert_int_equal(error.code, ERROR_EXISTS);
    assert_true(enrol(scene, token, true, &second, &error));
    assert_string_not_equal(first.scanner_id, second.scanner_id);
    assert_true(node_load(scene->state, &loaded, NULL));
    assert_string_equal(loaded.scanner_id, second.scanner_id);
    assert_false(exists(scene, "agent.new"));
    assert_true(exists(scene, NODE_KEY_FILE));
}

static void an_agent_without_enrolment_does_not_start(void **argument)
{
    struct scene *scene = *argument;
    struct error error = {0};
    assert_null(agent_start(scene->state, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

/* --- configuration --- */

static void a_change_in_the_store_reaches_the_scanner_within_a_second(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    struct store_scanner scanner = {0};
    enrol_new(scene, &node);
    struct agent *agent = agent_start(scene->state, NULL);
    assert_non_null(agent);
    assert_true(wait_until(current_version(scene->state) == wanted_version(scene), 5000) >= 0);
    assert_int_equal(mode_of(scene, NODE_CONFIGURATION_FILE), 0640);
    for (int i = 0; i < 3; i++) {
        usleep(200000);
        change_something(scene);
        int64_t wanted = wanted_version(scene);
        assert_true(wait_until(current_version(scene->state) == wanted, 1000) >= 0);
        assert_true(wait_until(scene->mta.version == wanted, 1000) >= 0);
    }
    assert_true(exists(scene, NODE_PREVIOUS_FILE));
    int64_t wanted = wanted_version(scene);
    assert_true(
        wait_until((store_scanner_clear(&scanner),
                    store_scanner_get(scene->center.store, node.scanner_id, &scanner, NULL) &&
                        scanner.configuration_version == wanted),
                   3000) >= 0);
    const json_t *mta = json_object_get(scanner.status, "mta");
    assert_string_equal(json_string_value(json_object_get(mta, "stream")), "stream-1");
    assert_string_equal(json_string_value(json_object_get(scanner.status, "engine")), "unknown");
    store_scanner_clear(&scanner);
    agent_stop(agent);
}

static void a_refused_configuration_is_taken_back_and_the_reason_shown(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    struct store_scanner scanner = {0};
    enrol_new(scene, &node);
    struct agent *agent = agent_start(scene->state, NULL);
    assert_non_null(agent);
    int64_t good = wanted_version(scene);
    assert_true(wait_until(scene->mta.version == good, 5000) >= 0);

    mta_refuse(&scene->mta, "port 25 is taken");
    change_something(scene);
    int64_t bad = wanted_version(scene);
    assert_true(
        wait_until((store_scanner_clear(&scanner),
                    store_scanner_get(scene->center.store, node.scanner_id, &scanner, NULL) &&
                        scanner.failed_version == bad),
                   5000) >= 0);
    assert_non_null(strstr(scanner.failed_reason, "port 25 is taken"));
    assert_int_equal(scanner.configuration_version, good);
    assert_int_equal(current_version(scene->state), good);
    int reloads = atomic_load(&scene->mta.reloads);
    usleep(1500000);
    assert_int_equal(atomic_load(&scene->mta.reloads),
                     reloads); /* it is not sent again and again */

    mta_refuse(&scene->mta, "");
    change_something(scene);
    int64_t better = wanted_version(scene);
    assert_true(wait_until(current_version(scene->state) == better, 3000) >= 0);
    assert_true(
        wait_until((store_scanner_clear(&scanner),
                    store_scanner_get(scene->center.store, node.scanner_id, &scanner, NULL) &&
                        scanner.failed_version == 0),
                   3000) >= 0);
    store_scanner_clear(&scanner);
    agent_stop(agent);
}

static void the_control_center_may_be_away_at_the_start(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    enrol_new(scene, &node);
    center_stop(&scene->center);
    struct agent *agent = agent_start(scene->state, NULL);
    assert_non_null(agent);
    usleep(500000);
    center_start_here(&scene->center);
    int64_t wanted = wanted_version(scene);
    assert_true(wait_until(current_version(scene->state) == wanted, 10000) >= 0);
    agent_stop(agent);
}

/* A document as the Control Center would make it, sealed with `secret`. */
static json_t *seal(const char *scanner_id, int64_t version, int port, const char *secret)
{
    cleanup_json json_t *document =
        json_pack("{s:i,s:I,s:s,s:s,s:s,s:{s:{s:[{s:s,s:i}]},s:{s:[{s:s,s:i}]}},s:[]}", "format", 1,
                  "version", (json_int_t)version, "scanner_id", scanner_id, "issued_at",
                  "2026-01-31T12:00:00.000Z", "host_name", "mx.example.com", "smtp", "inbound",
                  "listeners", "address", "127.0.0.1", "port", port, "outbound", "listeners",
                  "address", "127.0.0.1", "port", 587, "domains");
    cleanup_free char *text = json_text(document);
    cleanup_free char *envelope = signing_seal(text, secret, NULL);
    return json_loads(envelope, 0, NULL);
}

static void assert_refused(struct configuration *configuration, json_t *envelope, const char *word)
{
    struct error error = {0};
    int64_t version = configuration->version;
    assert_false(configuration_take(configuration, envelope, &error));
    assert_non_null(strstr(configuration->failed_reason, word));
    assert_int_equal(configuration->version, version);
    assert_int_equal(current_version(configuration->state), version);
    json_decref(envelope);
}

static void only_newer_documents_for_this_scanner_with_a_good_signature_are_taken(void **argument)
{
    struct scene *scene = *argument;
    static const char id[] = "0190a0b0-0000-7000-8000-000000000001";
    static const char other_id[] = "0190a0b0-0000-7000-8000-000000000002";
    char public[SIGNING_KEY_TEXT_SIZE], secret[SIGNING_SECRET_TEXT_SIZE], path[256];
    char other_public[SIGNING_KEY_TEXT_SIZE], other_secret[SIGNING_SECRET_TEXT_SIZE];
    struct configuration configuration;
    struct error error = {0};

    assert_true(signing_new_keys(public, secret, NULL));
    assert_true(signing_new_keys(other_public, other_secret, NULL));
    assert_true(file_join(path, sizeof(path), scene->state, NODE_CONFIGURATION_KEY_FILE, NULL));
    assert_true(file_write_atomic(path, public, strlen(public), 0644, NULL));
    assert_true(configuration_open(&configuration, scene->state, id, NULL));
    cleanup_json json_t *good = seal(id, 5, 25, secret);
    if (!configuration_take(&configuration, good, &error))
        fail_msg("%s: %s", error.where, error.message);
    assert_int_equal(configuration.version, 5);
    assert_int_equal(scene->mta.version, 5);

    assert_refused(&configuration, seal(id, 6, 25, other_secret), "");
    assert_int_equal(configuration.failed_version, 6);
    assert_refused(&configuration, seal(other_id, 6, 25, secret), "another scanner");
    assert_refused(&configuration, seal(id, 5, 25, secret), "not newer");
    assert_refused(&configuration, seal(id, 4, 25, secret), "not newer");
    assert_refused(&configuration, seal(id, 6, 70000, secret), "smtp.inbound.listeners[0].port");
    assert_refused(&configuration, json_object(), "");

    struct configuration again;
    assert_true(configuration_open(&again, scene->state, id, NULL));
    assert_int_equal(again.version, 5);
}

static void a_change_that_was_cut_off_is_finished_at_the_next_start(void **argument)
{
    struct scene *scene = *argument;
    static const char id[] = "0190a0b0-0000-7000-8000-000000000001";
    char public[SIGNING_KEY_TEXT_SIZE], secret[SIGNING_SECRET_TEXT_SIZE], path[256];
    struct configuration configuration;
    assert_true(signing_new_keys(public, secret, NULL));
    assert_true(file_join(path, sizeof(path), scene->state, NODE_CONFIGURATION_KEY_FILE, NULL));
    assert_true(file_write_atomic(path, public, strlen(public), 0644, NULL));
    cleanup_json json_t *envelope = seal(id, 7, 25, secret);
    cleanup_free char *text = json_text(envelope);
    assert_true(file_join(path, sizeof(path), scene->state, NODE_CONFIGURATION_FILE, NULL));
    assert_true(file_write_atomic(path, text, strlen(text), 0640, NULL));
    scene->mta.version = 6;
    assert_true(configuration_open(&configuration, scene->state, id, NULL));
    assert_int_equal(configuration.version, 7);
    assert_int_equal(scene->mta.version, 7);
}

static void a_process_that_was_away_gets_the_configuration_when_it_is_there(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    enrol_new(scene, &node);
    mta_stop(&scene->mta);
    struct agent *agent = agent_start(scene->state, NULL);
    int64_t wanted = wanted_version(scene);
    assert_true(wait_until(current_version(scene->state) == wanted, 5000) >= 0);
    atomic_store(&scene->mta.stopping, false);
    mta_start(&scene->mta, scene->state);
    assert_true(wait_until(scene->mta.version == wanted, 5000) >= 0);
    agent_stop(agent);
}

static void the_process_that_was_away_gets_it_and_not_only_the_mta(void **argument)
{
    struct scene *scene = *argument;
    struct mta directory = {0};
    struct node node;
    enrol_new(scene, &node);
    struct agent *agent = agent_start(scene->state, NULL);
    int64_t wanted = wanted_version(scene);
    assert_true(wait_until(current_version(scene->state) == wanted, 5000) >= 0);
    start_at(&directory, scene->state, NODE_DIRECTORY_SOCKET);
    assert_true(wait_until(directory.version == wanted, 5000) >= 0);
    agent_stop(agent);
    mta_stop(&directory);
}

/* --- events --- */

static size_t count_messages(struct scene *scene, const char *id)
{
    size_t total = 0, count;
    struct store_audit_query query = {.scanner_id = id, .limit = 1000};
    char before[37] = "";
    do {
        struct store_audit_message *messages = NULL;
        assert_true(store_audit_search(scene->center.store, &query, &messages, &count, NULL));
        if (count) {
            query.before_time = messages[count - 1].at;
            snprintf(before, sizeof(before), "%s", messages[count - 1].id);
            query.before_id = before;
        }
        total += count;
        store_audit_list_free(messages, count);
    } while (count == 1000);
    return total;
}

static int64_t acked(struct mta *mta)
{
    pthread_mutex_lock(&mta->lock);
    int64_t seq = mta->acked_seq;
    pthread_mutex_unlock(&mta->lock);
    return seq;
}

static void add_events(struct mta *mta, int64_t count)
{
    pthread_mutex_lock(&mta->lock);
    mta->last_seq += count;
    pthread_mutex_unlock(&mta->lock);
}

static void every_event_arrives_once_over_restarts_of_the_control_center(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    enrol_new(scene, &node);
    struct agent *agent = agent_start(scene->state, NULL);
    assert_non_null(agent);
    for (int i = 0; i < 3; i++) {
        int64_t before = acked(&scene->mta);
        for (int j = 0; j < 10; j++) {
            add_events(&scene->mta, 60);
            usleep(10000);
        }
        assert_true(wait_until(acked(&scene->mta) > before, 10000) >= 0);
        add_events(&scene->mta, 1000); /* so that some are on their way when it ends */
        center_stop(&scene->center);
        add_events(&scene->mta, 200);
        usleep(200000);
        center_start_here(&scene->center);
    }
    assert_true(wait_until(acked(&scene->mta) == 5400, 30000) >= 0);
    assert_int_equal(count_messages(scene, node.scanner_id), 5400);
    agent_stop(agent);
}

static void every_event_arrives_once_over_a_killed_database(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    enrol_new(scene, &node);
    struct agent *agent = agent_start(scene->state, NULL);
    assert_non_null(agent);
    add_events(&scene->mta, 500);
    assert_true(wait_until(acked(&scene->mta) > 0, 10000) >= 0);
    add_events(&scene->mta, 1500);
    private_postgres_kill(postgres);
    add_events(&scene->mta, 500);
    usleep(1500000);
    private_postgres_start(postgres);
    add_events(&scene->mta, 500);
    assert_true(wait_until(acked(&scene->mta) == 3000, 30000) >= 0);
    assert_int_equal(count_messages(scene, node.scanner_id), 3000);
    agent_stop(agent);
}

static void events_go_on_after_a_restart_of_the_agent(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    enrol_new(scene, &node);
    for (int64_t i = 1; i <= 2; i++) {
        struct agent *agent = agent_start(scene->state, NULL);
        add_events(&scene->mta, 1500);
        assert_true(wait_until(acked(&scene->mta) == 1500 * i, 15000) >= 0);
        agent_stop(agent);
    }
    assert_int_equal(count_messages(scene, node.scanner_id), 3000);
}

static void a_removed_scanner_is_refused_and_keeps_its_events(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    enrol_new(scene, &node);
    assert_true(store_scanner_remove(scene->center.store, node.scanner_id, "test", NULL));
    struct agent *agent = agent_start(scene->state, NULL);
    add_events(&scene->mta, 10);
    usleep(700000);
    assert_int_equal(acked(&scene->mta), 0);
    agent_stop(agent);
}

static void the_agent_stops_soon_while_it_waits(void **argument)
{
    struct scene *scene = *argument;
    struct node node;
    enrol_new(scene, &node);
    struct agent *agent = agent_start(scene->state, NULL);
    int64_t wanted = wanted_version(scene);
    assert_true(wait_until(current_version(scene->state) == wanted, 5000) >= 0);
    usleep(500000);
    int64_t started = timestamp_monotonic_ms();
    agent_stop(agent);
    assert_true(timestamp_monotonic_ms() - started < 3000);
}

/* --- scenes: a Control Center, a state directory and an mta --- */

static int open_scene(void **argument)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    strcpy(scene->folder, "/tmp/gatehouse-agent-XXXXXX");
    if (!mkdtemp(scene->folder))
        return -1;
    snprintf(scene->state, sizeof(scene->state), "%s/state", scene->folder);
    make_state(scene->state);
    scene->center.store = shared_store;
    center_start_here(&scene->center);
    snprintf(scene->url, sizeof(scene->url), "https://localhost:%u", scene->center.port);
    mta_start(&scene->mta, scene->state);
    *argument = scene;
    return 0;
}

static int close_scene(void **argument)
{
    struct scene *scene = *argument;
    mta_stop(&scene->mta);
    center_stop(&scene->center);
    run_command("rm -rf", scene->folder);
    free(scene);
    return 0;
}

#define scene_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(enrolment_writes_what_the_agent_needs_with_tight_modes),
        scene_test(a_used_token_is_refused_and_leaves_nothing_behind),
        scene_test(an_expired_token_is_refused),
        scene_test(the_token_is_never_sent_to_a_server_of_another_ca),
        scene_test(a_server_with_another_name_is_refused),
        scene_test(an_unreachable_control_center_is_said_so),
        scene_test(malformed_tokens_and_urls_are_refused_before_anything_is_sent),
        scene_test(an_enrolled_scanner_is_enrolled_anew_only_by_force),
        scene_test(an_agent_without_enrolment_does_not_start),
        scene_test(a_change_in_the_store_reaches_the_scanner_within_a_second),
        scene_test(a_refused_configuration_is_taken_back_and_the_reason_shown),
        scene_test(the_control_center_may_be_away_at_the_start),
        scene_test(a_process_that_was_away_gets_the_configuration_when_it_is_there),
        scene_test(the_process_that_was_away_gets_it_and_not_only_the_mta),
        scene_test(only_newer_documents_for_this_scanner_with_a_good_signature_are_taken),
        scene_test(a_change_that_was_cut_off_is_finished_at_the_next_start),
        scene_test(every_event_arrives_once_over_restarts_of_the_control_center),
        scene_test(every_event_arrives_once_over_a_killed_database),
        scene_test(events_go_on_after_a_restart_of_the_agent),
        scene_test(a_removed_scanner_is_refused_and_keeps_its_events),
        scene_test(the_agent_stops_soon_while_it_waits),
    };
    return cmocka_run_group_tests(tests, open_database, close_database);
}

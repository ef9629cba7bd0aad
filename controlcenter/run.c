#include "controlcenter/run.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/x509.h"
#include "controlcenter/commands.h"
#include "controlcenter/fleet/fleet.h"
#include "controlcenter/http/http.h"
#include "controlcenter/http/template.h"
#include "controlcenter/incidents/expunger.h"
#include "controlcenter/mail/notifications.h"
#include "controlcenter/mail/outbox.h"
#include "controlcenter/pages/application.h"
#include "controlcenter/store/store.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CONSOLE_THREADS 8
#define CONSOLE_CONNECTIONS 512
#define FASTCGI_THREADS 8
#define FLEET_CONNECTIONS 6144 /* three for each scanner, and some that have just gone */
#define RETRY_SECONDS 2
#define WAITING_DAYS 2

struct console { /* the console by HTTPS and, where it is wanted, by FastCGI */
    struct http_router *router;
    struct http_server *server;
    struct http_fastcgi *fastcgi;
};

struct control_center {
    const struct program_config *config;
    struct store *store;
    struct template_set *templates;
    struct fleet *fleet;
    struct application application;
    char *console_key;
    char *console_certificate;
    struct console console;
    struct http_router *fleet_router;
    struct http_server *fleet_server;
    struct notifications *notifications;
    struct outbox *outbox;
    struct expunger *expunger;
    char problem[641]; /* of the database, as it was logged last */
};

/* --- the console --- */

static void stop_console(struct console *console)
{
    if (console->fastcgi)
        http_fastcgi_stop(console->fastcgi);
    if (console->server)
        http_server_stop(console->server);
    if (console->router)
        http_router_free(console->router);
    *console = (struct console){0};
}

static bool start_console(struct control_center *center, const struct http_guard *guard,
                          const char *key, const char *certificate, struct error *error)
{
    const struct program_config *config = center->config;
    struct console *console = &center->console;
    struct http_server_options options = {
        .address = config->https.address,
        .port = config->https.port,
        .key = key,
        .certificate = certificate,
        .threads = CONSOLE_THREADS,
        .max_connections = CONSOLE_CONNECTIONS,
        .max_connections_per_address = CONSOLE_CONNECTIONS / 8,
        .body_limit = HTTP_BODY_LIMIT,
    };
    console->router = http_router_new(page_routes, guard, config->webroot, &center->application);
    if (!console->router)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    http_router_set_error_page(console->router, page_draw_error);
    console->server = http_server_start(&options, console->router, error);
    if (console->server && config->fastcgi_socket)
        console->fastcgi = http_fastcgi_start(config->fastcgi_socket, FASTCGI_THREADS,
                                              HTTP_BODY_LIMIT, console->router, error);
    if (console->server && (console->fastcgi || !config->fastcgi_socket))
        return true;
    stop_console(console);
    return false;
}

/* --- while the database is away --- */

static bool refuse_all(struct http_request *request, struct http_response *response,
                       enum http_access access)
{
    (void)access;
    http_add_header(response, "Retry-After", "5");
    http_fail(request, response, 503,
              "The database cannot be reached. The Control Center goes on trying.");
    return false;
}

static void release_nothing(void *session)
{
    (void)session;
}

static bool is_nobody(const struct http_request *request)
{
    (void)request;
    return false;
}

static const struct http_guard waiting_guard = {refuse_all, release_nothing, is_nobody};

static bool start_waiting(struct control_center *center, struct error *error)
{
    const struct program_config *config = center->config;
    cleanup_free char *key = x509_new_key(error);
    cleanup_free char *certificate =
        key ? x509_new_self_signed(key, "Gatehouse Control Center", config->names,
                                   config->name_count, WAITING_DAYS, error)
            : NULL;
    return certificate && start_console(center, &waiting_guard, key, certificate, error);
}

/* --- in service --- */

static bool start_fleet_server(struct control_center *center, struct error *error)
{
    const struct program_config *config = center->config;
    cleanup_free char *key = NULL;
    cleanup_free char *certificate = NULL;
    if (!fleet_server_certificate(center->fleet, config->names, config->name_count, &key,
                                  &certificate, error))
        return false;
    struct http_server_options options = {
        .address = config->fleet.address,
        .port = config->fleet.port,
        .key = key,
        .certificate = certificate,
        .client_ca = fleet_ca_certificate(center->fleet),
        .threads = 0,
        .max_connections = FLEET_CONNECTIONS,
        /* a whole fleet may come from one address, but no stranger shuts out the others */
        .max_connections_per_address = FLEET_CONNECTIONS / 2,
        .body_limit = HTTP_FLEET_BODY_LIMIT,
    };
    center->fleet_router = http_router_new(fleet_routes, NULL, NULL, center->fleet);
    if (!center->fleet_router)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    center->fleet_server = http_server_start(&options, center->fleet_router, error);
    return center->fleet_server != NULL;
}

/* How mail names the console where no setting says better. */
static bool start_notifications(struct control_center *center, struct error *error)
{
    const struct program_config *config = center->config;
    char url[400];
    snprintf(url, sizeof(url), "https://%s:%u", config->names[0], config->https.port);
    center->notifications = notifications_start(center->store, url, error);
    return center->notifications != NULL;
}

static bool start_expunger(struct control_center *center, struct error *error)
{
    center->expunger = expunger_start(center->store, error);
    return center->expunger != NULL;
}

static bool start_outbox(struct control_center *center, struct error *error)
{
    center->outbox = outbox_start(center->store, center->fleet, error);
    return center->outbox != NULL;
}

static bool start_service(struct control_center *center, struct error *error)
{
    stop_console(&center->console);
    return start_console(center, &page_guard, center->console_key, center->console_certificate,
                         error) &&
           start_fleet_server(center, error) && start_outbox(center, error) &&
           start_notifications(center, error) &&
           start_expunger(center, error);
}

/* Everything that needs the database before the first request. */
static bool prepare_database(struct control_center *center, struct error *error)
{
    const struct program_config *config = center->config;
    return store_migrate(center->store, config->schema, error) &&
           fleet_prepare(center->fleet, error) &&
           fleet_console_certificate(center->store, config->names, config->name_count,
                                     &center->console_key, &center->console_certificate, error);
}

static bool is_away(const struct error *error)
{
    return error->code == ERROR_UNAVAILABLE || error->code == ERROR_TIMEOUT;
}

/* --- life --- */

/* Each connection is a descriptor, and the usual limit is below what the two ports allow. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* a lower limit is no reason not to start */
}

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigprocmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

/* True once a signal asks for the end; `seconds` < 0 waits for it. */
static bool wait_for_signal(const sigset_t *signals, int seconds)
{
    const struct timespec timeout = {.tv_sec = seconds};
    int received;
    if (seconds < 0)
        return sigwait(signals, &received) == 0;
    return sigtimedwait(signals, NULL, &timeout) > 0;
}

static void note_problem(struct control_center *center, const struct error *error)
{
    char text[641];
    error_text(error, text, sizeof(text));
    if (strcmp(text, center->problem) == 0)
        return;
    memcpy(center->problem, text, sizeof(text));
    log_warning("waiting for the database: %s", text);
}

/* Waits until the database is there and up to date. *stopped: a signal came first. */
static bool wait_for_database(struct control_center *center, const sigset_t *signals, bool *stopped,
                              struct error *error)
{
    *stopped = false;
    while (!prepare_database(center, error)) {
        if (!is_away(error))
            return false;
        note_problem(center, error);
        *error = (struct error){0};
        if (!center->console.server && !start_waiting(center, error))
            return false;
        *stopped = wait_for_signal(signals, RETRY_SECONDS);
        if (*stopped)
            return true;
    }
    return true;
}

static bool open_center(struct control_center *center, struct error *error)
{
    const struct program_config *config = center->config;
    center->store = store_open(config->database, config->connections, error);
    center->templates = center->store ? template_set_load(config->templates, error) : NULL;
    if (!center->templates)
        return false;
    center->fleet = fleet_new(center->store, config->fleet_url);
    if (!center->fleet)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    center->application = (struct application){
        .store = center->store, .templates = center->templates, .fleet = center->fleet};
    return true;
}

/* Polls are let go first, or the fleet port would wait for them. */
static void close_center(struct control_center *center)
{
    expunger_stop(center->expunger);
    notifications_stop(center->notifications);
    if (center->fleet)
        fleet_stop(center->fleet);
    outbox_stop(center->outbox);
    stop_console(&center->console);
    if (center->fleet_server)
        http_server_stop(center->fleet_server);
    if (center->fleet_router)
        http_router_free(center->fleet_router);
    fleet_free(center->fleet);
    free(center->console_key);
    free(center->console_certificate);
    if (center->templates)
        template_set_free(center->templates);
    if (center->store)
        store_close(center->store);
}

static bool serve(struct control_center *center, const sigset_t *signals, struct error *error)
{
    bool stopped;
    if (!open_center(center, error) || !wait_for_database(center, signals, &stopped, error))
        return false;
    if (stopped)
        return true;
    if (!start_service(center, error))
        return false;
    log_info("the console is at https://%s:%u, the fleet port at %s", center->config->names[0],
             center->config->https.port, center->config->fleet_url);
    wait_for_signal(signals, -1);
    return true;
}

int run_control_center(const struct program_config *config)
{
    struct control_center center = {.config = config};
    struct error error = {0};
    sigset_t signals;
    raise_descriptor_limit();
    block_signals(&signals); /* before the first thread, so that only this one takes them */
    bool ok = serve(&center, &signals, &error);
    log_info("stopping");
    close_center(&center);
    return ok ? 0 : command_fail(&error);
}

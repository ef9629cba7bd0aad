/* gatehouse-mta --state DIR: receives, queues and delivers the mail of a scanner. */
#include "common/file.h"
#include "common/log.h"
#include "scanner/mta/config_loader.h"
#include "scanner/mta/control.h"
#include "scanner/mta/delivery.h"
#include "scanner/mta/directory_client.h"
#include "scanner/mta/intake.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/scan_client.h"
#include "scanner/mta/smtp_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 1024
#define REASON_SIZE 700

struct program {
    struct mta mta;
    struct control *control;
    struct config_loader *loader;
    char configuration[PATH_SIZE], key[PATH_SIZE], queue[PATH_SIZE], samples[PATH_SIZE];
    char engine_socket[PATH_SIZE], directory_socket[PATH_SIZE], control_socket[PATH_SIZE];
    bool stopping;
};

static bool make_paths(struct program *program, const char *state, struct error *error)
{
    return file_join(program->configuration, PATH_SIZE, state, "config/current.json", error) &&
           file_join(program->key, PATH_SIZE, state, "config/configuration.pub", error) &&
           file_join(program->queue, PATH_SIZE, state, "queue", error) &&
           file_join(program->samples, PATH_SIZE, state, "samples", error) &&
           file_join(program->engine_socket, PATH_SIZE, state, "run/engine.sock", error) &&
           file_join(program->directory_socket, PATH_SIZE, state, "run/directory.sock", error) &&
           file_join(program->control_socket, PATH_SIZE, state, "run/mta.sock", error);
}

/* --- configuration --- */

/* The parts that need a configuration are made with the first one. */
static bool start_parts(struct program *program, struct error *error)
{
    struct mta *mta = &program->mta;
    if (!mta->delivery && !(mta->delivery = delivery_new(mta, error)))
        return false;
    if (!mta->smtp_server)
        mta->smtp_server = smtp_server_new(mta);
    return smtp_server_configure(mta->smtp_server, error);
}

static bool take_configuration(struct program *program, struct scanner_config *config,
                               struct error *error)
{
    struct mta *mta = &program->mta;
    struct config_ref *before = mta->config;
    bool had_delivery = mta->delivery != NULL;
    mta->config = config_ref_new(config);
    if (!start_parts(program, error)) {
        config_ref_drop(mta->config);
        mta->config = before;
        return false;
    }
    if (before)
        intake_configured(mta->intake, before->config);
    config_ref_drop(before);
    queue_pause(mta->queue, QUEUE_INBOUND, !config->inbound.deliver);
    queue_pause(mta->queue, QUEUE_OUTBOUND, !config->outbound.deliver);
    queue_pause(mta->queue, QUEUE_INTERNAL, !config->outbound.deliver);
    scan_client_set_connections(mta->scan_client, config->engine.workers);
    if (had_delivery)
        delivery_configured(mta->delivery);
    log_info("configuration %lld runs", (long long)config->version);
    return true;
}

static bool take_new_configuration(struct program *program, struct scanner_config *config,
                                   struct error *error)
{
    if (program->mta.config && program->mta.config->config->version == config->version) {
        config_free(config);
        return true;
    }
    return take_configuration(program, config, error);
}

static void on_loaded(void *argument, struct scanner_config *config, const struct error *error,
                      bool is_last)
{
    struct program *program = argument;
    struct error reason = *error;
    char text[REASON_SIZE];
    bool good = config && take_new_configuration(program, config, &reason);
    if (!good)
        log_warning("reload: %s", error_text(&reason, text, sizeof(text)));
    if (is_last)
        control_reloaded(program->control, good ? NULL : &reason);
}

static void reload(void *argument)
{
    struct program *program = argument;
    config_loader_start(program->loader);
}

/* --- queue --- */

static void on_due(void *argument, struct queue_message *message)
{
    struct program *program = argument;
    struct mta *mta = &program->mta;
    if (!mta->config || !mta->delivery)
        return; /* the queue hands it out again */
    if (message->state == QUEUE_TO_BE_SCANNED)
        intake_rescan(mta->intake, message);
    else
        delivery_take(mta->delivery, message);
}

/* --- life --- */

static void on_signal(int number, short events, void *argument)
{
    struct program *program = argument;
    (void)events;
    if (number == SIGHUP) {
        reload(program);
        return;
    }
    log_info("stopping");
    event_base_loopbreak(program->mta.base);
}

static void catch_signals(struct program *program)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct event *event = evsignal_new(program->mta.base, numbers[i], on_signal, program);
        if (!event || event_add(event, NULL) != 0)
            abort();
    }
}

static bool open_program(struct program *program, const char *state, struct error *error)
{
    struct mta *mta = &program->mta;
    struct queue_hooks hooks = {.due = on_due, .argument = program};
    if (!make_paths(program, state, error))
        return false;
    mta->state = state;
    mta->base = event_base_new();
    if (!mta->base)
        return error_set(error, ERROR_INTERNAL, NULL, "the event loop cannot be made");
    catch_signals(program);
    mta->queue = queue_open(program->queue, mta->base, &hooks, error);
    if (!mta->queue)
        return false;
    mta->scan_client = scan_client_new(mta->base, program->engine_socket, 1);
    scan_client_keep_samples(mta->scan_client, program->samples);
    mta->directory = directory_client_new(mta->base, program->directory_socket);
    mta->intake = intake_new(mta);
    program->loader =
        config_loader_new(mta->base, program->configuration, program->key, on_loaded, program);
    program->control = control_open(mta, program->control_socket, reload, program, error);
    return program->control != NULL;
}

static void configure_first(struct program *program)
{
    struct error error = {0};
    char text[REASON_SIZE];
    struct scanner_config *config = config_load(program->configuration, program->key, &error);
    if (!config || !take_configuration(program, config, &error))
        log_warning("waiting for a configuration that can run: %s",
                    error_text(&error, text, sizeof(text)));
}

/* Sessions end first, so that what they stored is committed with the queue. */
static void close_program(struct program *program)
{
    struct mta *mta = &program->mta;
    config_loader_free(program->loader);
    control_free(program->control);
    if (mta->smtp_server)
        smtp_server_free(mta->smtp_server);
    if (mta->delivery)
        delivery_free(mta->delivery);
    intake_free(mta->intake); /* before those whom it asks */
    directory_client_free(mta->directory);
    scan_client_free(mta->scan_client);
    if (mta->queue)
        queue_close(mta->queue);
    config_ref_drop(mta->config);
}

static int usage(FILE *out, int status)
{
    fputs("usage: gatehouse-mta --state DIR\n"
          "Receives, queues and delivers the mail of the scanner whose state is in DIR.\n"
          "Environment: GATEHOUSE_LOG (error, warning, info, debug).\n",
          out);
    return status;
}

int main(int argc, char **argv)
{
    struct program program = {0};
    struct error error = {0};
    char text[REASON_SIZE];
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, EXIT_SUCCESS);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("gatehouse-mta %s\n", GATEHOUSE_VERSION) < 0;
    if (argc != 3 || strcmp(argv[1], "--state") != 0)
        return usage(stderr, 2);
    log_open("mta");
    umask(0027);
    bool good = open_program(&program, argv[2], &error);
    if (good) {
        configure_first(&program);
        log_info("started");
        event_base_dispatch(program.mta.base);
    } else {
        log_error("%s", error_text(&error, text, sizeof(text)));
    }
    close_program(&program);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The process of a dry run. It asks a worker for the verdict first, as the mta does, and gives up
 * all rights before it looks at the message or compiles a filter by itself. */
#include "scanner/engine/dry_run.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "scanner/engine/confined.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/judge.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define EXIT_CANNOT 70
#define SCAN_SECONDS 12
#define JUDGE_US ((int64_t)5 * 1000000)

struct run {
    int file; /* for the answer */
    guchar *data;
    gsize length;
    json_t *result; /* of the scan */
    int cleaned;    /* -1: no clean message */
};

static void __attribute__((noreturn)) finish(const struct run *run, json_t *answer)
{
    bool written = answer && json_dumpfd(answer, run->file, JSON_COMPACT) == 0;
    _exit(written ? 0 : EXIT_CANNOT);
}

static void __attribute__((noreturn)) refuse(const struct run *run, const struct error *error)
{
    char text[700];
    finish(run, json_pack("{s:b,s:s}", "ok", 0, "error", error_text(error, text, sizeof(text))));
}

/* --- the scan --- */

static int connect_to_worker(const char *state, struct error *error)
{
    struct timeval patience = {.tv_sec = SCAN_SECONDS};
    char path[ENGINE_PATH_SIZE];
    int none;
    if (!file_join(path, sizeof(path), state, "run/engine.sock", error))
        return -1;
    int fd = ipc_connect(path, SOCK_SEQPACKET, error);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    cleanup_json json_t *hello = ipc_packet_receive(fd, &none, error);
    if (hello)
        return fd;
    close(fd);
    return -1;
}

static bool send_message(const struct run *run, int fd, struct error *error)
{
    cleanup_json json_t *frame =
        json_pack("{s:{s:s,s:I,s:i,s:[]}}", "scan", "id", "dry-run", "size",
                  (json_int_t)run->length, "seconds", SCAN_SECONDS, "clean");
    cleanup_fd int message = file_memory_open("message", error);
    json_t *clean = json_object_get(json_object_get(frame, "scan"), "clean");
    for (int i = 0; i < CONFIG_VERDICT_COUNT; i++)
        json_array_append_new(clean, json_string(config_verdict_name((enum config_verdict)i)));
    return message >= 0 && file_write_all(message, run->data, run->length, error) &&
           file_memory_seal(message, error) && ipc_packet_send(fd, frame, message, error);
}

static bool scan(struct run *run, const char *state, struct error *error)
{
    cleanup_fd int fd = connect_to_worker(state, error);
    if (fd < 0 || !send_message(run, fd, error))
        return false;
    cleanup_json json_t *frame = ipc_packet_receive(fd, &run->cleaned, error);
    run->result = json_incref(json_object_get(frame, "result"));
    return run->result || !frame ||
           error_set(error, ERROR_PROTOCOL, "engine", "a worker gave no result");
}

/* --- the filters --- */

/* A whole configuration, whose other members do not matter. */
static struct scanner_config *configure(const json_t *policies, struct error *error)
{
    cleanup_json json_t *document =
        json_pack("{s:i,s:i,s:s,s:s,s:s,s:{s:{s:[]},s:{s:[]}},s:[],s:O}", "format", 1, "version", 1,
                  "scanner_id", "00000000-0000-7000-8000-000000000000", "issued_at",
                  "2026-01-01T00:00:00Z", "host_name", "localhost", "smtp", "inbound", "listeners",
                  "outbound", "listeners", "domains", "policies", policies);
    cleanup_free char *text = document ? json_text(document) : NULL;
    return text ? config_parse(text, strlen(text), error) : NULL;
}

static json_t *evaluate(struct run *run, const struct filters *filters, struct envelope *envelope,
                        struct error *error)
{
    struct tree_limits limits = tree_default_limits(JUDGE_US);
    struct judgement judgement;
    struct message *message = message_parse((const char *)run->data, run->length);
    struct tree *tree = message ? tree_build(message, &limits) : NULL;
    struct judge_order order = {.filters = filters,
                                .tree = tree,
                                .result = run->result,
                                .cleaned = run->cleaned,
                                .size = run->length,
                                .stop_us = limits.stop_us + JUDGE_US,
                                .with_trace = true};
    if (!tree || !judge_message(&order, envelope, &judgement, error))
        return NULL; /* the process ends with all of it */
    return json_pack("{s:b,s:O,s:O,s:O,s:O}", "ok", 1, "answer", judgement.answer, "trace",
                     judgement.trace, "result", run->result, "problem",
                     json_object_get(judgement.answer, "problem"));
}

void dry_run_process(const char *state, const json_t *request, int file)
{
    struct run run = {.cleaned = -1};
    struct error error = {0};
    struct filters filters;
    struct envelope envelope;
    run.file = confined_begin(file, DRY_RUN_SECONDS);
    if (run.file < 0)
        _exit(EXIT_CANNOT);
    run.data = g_base64_decode(json_string_value(json_object_get(request, "message")), &run.length);
    if (!scan(&run, state, &error))
        refuse(&run, &error);
    confined_start_libraries();
    if (!confined_enter(state, DRY_RUN_MEMORY, &error))
        refuse(&run, &error);
    struct scanner_config *config = configure(json_object_get(request, "policies"), &error);
    if (!config || !filters_load(&filters, config, &error) ||
        !envelope_parse(json_object_get(request, "envelope"), config->policy, &envelope, &error))
        refuse(&run, &error);
    json_t *answer = evaluate(&run, &filters, &envelope, &error);
    if (!answer)
        refuse(&run, &error);
    finish(&run, answer);
}

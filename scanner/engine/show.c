#include "scanner/engine/show.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"
#include "scanner/engine/generation_load.h"
#include "scanner/engine/malware.h"
#include "scanner/engine/sandbox.h"
#include "scanner/engine/scan.h"
#include "scanner/engine/scratch.h"
#include "scanner/engine/text.h"
#include "scanner/engine/view.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_TEMPLATE "gatehouse-show-XXXXXX"
#define EXIT_CANNOT 70

struct show {
    struct engine_settings settings;
    struct signatures_place place;
    struct generation_load load;
    int file;
    char *data;
    size_t length;
    bool own_state; /* made for this once */
};

/* --- what is written --- */

static const char *kind_name(enum tree_kind kind)
{
    static const char *const names[] = {[TREE_MESSAGE] = "message",
                                        [TREE_MULTIPART] = "multipart",
                                        [TREE_PART] = "part",
                                        [TREE_MEMBER] = "member"};
    return names[kind];
}

static void set_text(json_t *object, const char *name, const char *value)
{
    if (value)
        json_object_set_new(object, name, json_string(value));
}

static void set_flag(json_t *object, const char *name, bool value)
{
    if (value)
        json_object_set_new(object, name, json_true());
}

static json_t *describe(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    char path[TREE_PATH_SIZE];
    json_t *object =
        json_pack("{s:s,s:s,s:i,s:I}", "path", tree_path(tree, index, path), "kind",
                  kind_name(node->kind), "depth", node->depth, "bytes", (json_int_t)node->length);
    set_text(object, "type", *node->type ? node->type : NULL);
    set_text(object, "declared_type", node->declared_type);
    set_text(object, "name", node->name);
    set_flag(object, "attachment", node->attachment);
    set_flag(object, "hidden_name", node->hidden_name);
    set_flag(object, "container", node->container);
    set_flag(object, "encrypted", node->encrypted);
    set_flag(object, "damaged", node->damaged);
    return object;
}

/* Adds the text of the node, as much as there is still room for; returns whether it was cut. */
static bool describe_text(const struct tree *tree, size_t index, struct text_limits *limits,
                          json_t *object)
{
    struct text text;
    text_init(&text, limits);
    if (text_of_node(tree, index, TEXT_VISIBLE, &text)) {
        json_t *urls = json_array();
        for (size_t i = 0; i < text.url_count; i++)
            json_array_append_new(urls, json_string(text.urls[i]));
        json_object_set_new(object, "text",
                            json_stringn(buffer_text(&text.content), text.content.length));
        json_object_set_new(object, "urls", urls);
        set_flag(object, "unreadable", text.unreadable);
        limits->bytes -= text.content.length;
    }
    bool cut = text.cut;
    text_free(&text);
    return cut;
}

static json_t *describe_nodes(const struct tree *tree, int seconds, bool *cut)
{
    struct text_limits limits = text_default_limits((int64_t)seconds * 1000000 / 2);
    json_t *array = json_array();
    *cut = false;
    for (size_t i = 0; i < tree->count; i++) {
        json_t *object = describe(tree, i);
        *cut |= describe_text(tree, i, &limits, object);
        json_array_append_new(array, object);
    }
    return array;
}

static const char *language_of_message(const struct tree *tree, int64_t stop_us)
{
    static const struct envelope nobody = {0};
    const struct view_order order = {
        .tree = tree, .envelope = &nobody, .needs = {.language = true}, .stop_us = stop_us};
    struct view view;
    view_build(&order, &view);
    const char *language = view.message.language;
    view_free(&view);
    return language;
}

static json_t *describe_message(struct show *show)
{
    char limit[TREE_PATH_SIZE + 200];
    bool cut;
    int seconds = show->settings.scan_seconds;
    const struct config_engine_limits *given = &show->settings.limits;
    struct tree_limits limits = tree_default_limits((int64_t)seconds * 1000000 / 3);
    limits.depth = given->depth;
    limits.parts = (size_t)given->parts;
    limits.unpacked_bytes = (uint64_t)given->unpacked_megabytes << 20;
    limits.ratio = (unsigned)given->ratio;
    struct message *message = message_parse(show->data, show->length);
    struct tree *tree = message ? tree_build(message, &limits) : NULL;
    if (!tree)
        return NULL;
    json_t *nodes = describe_nodes(tree, seconds, &cut);
    int64_t stop_us = text_default_limits((int64_t)seconds * 1000000 / 6).stop_us;
    return json_pack("{s:s,s:s,s:b,s:o}", "limit", tree_limit_text(tree, limit, sizeof(limit)),
                     "language", language_of_message(tree, stop_us), "text_cut", cut, "nodes",
                     nodes);
}

/* --- the reader --- */

static bool enter_sandbox(struct show *show, struct error *error)
{
    char scratch[ENGINE_PATH_SIZE];
    struct engine_settings *settings = &show->settings;
    if (!scratch_make(settings->state, getpid(), scratch, error))
        return false;
    scratch_use_memory(scratch, malware_scratch_limit(settings->message_limit), 1);
    struct sandbox sandbox = {.folder = scratch,
                              .memory_limit = settings->memory_limit,
                              .file_limit = settings->message_limit * 4};
    if (cl_engine_set_str(show->load.engine, CL_ENGINE_TMPDIR, scratch) != CL_SUCCESS ||
        setenv("TMPDIR", scratch, 1) != 0)
        return error_set(error, ERROR_INTERNAL, "libclamav", "no folder for temporary files");
    return !settings->sandbox || sandbox_enter(&sandbox, error);
}

static void set_timer(int seconds)
{
    struct itimerval timer = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_reader(struct show *show, int answer)
{
    struct error error = {0};
    char text[700];
    const struct scan_tools tools = {show->load.engine, &show->settings, &show->load.filters};
    struct scan_files files;
    if (!enter_sandbox(show, &error)) {
        log_error("%s", error_text(&error, text, sizeof(text)));
        _exit(EXIT_CANNOT);
    }
    struct scan_request request = {.id = "show",
                                   .size = show->length,
                                   .seconds = show->settings.scan_seconds,
                                   .message = show->file,
                                   .answer = answer};
    set_timer(show->settings.scan_seconds);
    json_t *frame = scan_message(&tools, &request, &files);
    scan_files_close(&files);
    set_timer(show->settings.scan_seconds);
    json_t *shown = frame ? describe_message(show) : NULL;
    if (!shown)
        _exit(EXIT_CANNOT);
    json_object_update(frame, shown);
    if (json_dumpf(frame, stdout, JSON_INDENT(2)) != 0 || puts("") < 0 || fflush(stdout) != 0)
        _exit(EXIT_CANNOT);
    _exit(0);
}

static bool read_in_child(struct show *show, struct error *error)
{
    int status, answer[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, answer) != 0)
        return error_set_errno(error, "engine", "a socket cannot be made");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        run_reader(show, answer[0]);
    close(answer[0]);
    close(answer[1]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return error_set_errno(error, "engine", "a reader cannot be started");
    scratch_remove(show->settings.state, pid);
    if (WIFSIGNALED(status))
        return error_set(error, ERROR_INTERNAL, "engine",
                         "reading the message ended by signal %d%s", WTERMSIG(status),
                         WTERMSIG(status) == SIGALRM ? ": its time was over" : "");
    return WEXITSTATUS(status) == 0 ||
           error_set(error, ERROR_INTERNAL, "engine", "the message cannot be read");
}

/* --- the state and the file --- */

static bool choose_state(struct show *show, const char *state, struct error *error)
{
    char *own = show->settings.state;
    show->own_state = !state;
    if (!state) {
        const char *folder = getenv("TMPDIR");
        int length = snprintf(own, ENGINE_PATH_SIZE, "%s/%s",
                              folder && *folder == '/' ? folder : "/tmp", STATE_TEMPLATE);
        if (length >= ENGINE_PATH_SIZE || !mkdtemp(own)) {
            show->own_state = false;
            return error_set_errno(error, "engine", "no temporary folder can be made");
        }
        return true;
    }
    cleanup_free char *whole = realpath(state, NULL);
    if (!whole || strlen(whole) >= ENGINE_PATH_SIZE)
        return error_set_errno(error, state, "cannot be used");
    memcpy(own, whole, strlen(whole) + 1);
    return true;
}

static void remove_state(const struct show *show)
{
    if (!show->own_state)
        return;
    scratch_clear(show->settings.state);
    rmdir(show->settings.state);
}

static bool read_file(struct show *show, const char *file, struct error *error)
{
    show->file = open(file, O_RDONLY | O_CLOEXEC);
    if (show->file < 0)
        return error_set_errno(error, file, "cannot be opened");
    show->data = file_read(file, show->settings.message_limit, &show->length, error);
    return show->data != NULL;
}

static bool load(struct show *show, struct error *error)
{
    struct generation_start start = {
        .settings = &show->settings, .place = &show->place, .first = true};
    if (!signatures_write_builtin(show->settings.state, error) ||
        !signatures_choose(show->settings.state, &show->place, error) ||
        !generation_load(&start, &show->load, error))
        return false;
    if (*show->load.problem)
        log_warning("%s", show->load.problem);
    return true;
}

bool engine_show(const char *state, const char *file, struct error *error)
{
    struct show *show = g_new0(struct show, 1);
    show->file = -1;
    bool shown = choose_state(show, state, error) && engine_settings_read(&show->settings, error) &&
                 read_file(show, file, error) && load(show, error) && read_in_child(show, error);
    engine_settings_release(&show->settings);
    remove_state(show);
    if (show->file >= 0)
        close(show->file);
    free(show->data);
    g_free(show);
    return shown;
}

#include "scanner/engine/show_message.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/engine/confined.h"
#include "scanner/engine/scratch.h"
#include "scanner/engine/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_CANNOT 70
#define TREE_US ((int64_t)SHOW_MESSAGE_SECONDS * 1000000 / 3)

/* --- in the process of its own --- */

static void set_text(json_t *object, const char *name, const char *value)
{
    if (value && *value)
        json_object_set_new(object, name, json_string(value));
}

static void set_flag(json_t *object, const char *name, bool value)
{
    if (value)
        json_object_set_new(object, name, json_true());
}

static const char *kind_name(enum tree_kind kind)
{
    return kind == TREE_MESSAGE ? "message" : kind == TREE_MEMBER ? "member" : "part";
}

static json_t *describe(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    char path[TREE_PATH_SIZE];
    json_t *object = json_pack("{s:s,s:s,s:I}", "path", tree_path(tree, index, path), "kind",
                               kind_name(node->kind), "bytes", (json_int_t)node->length);
    set_text(object, "type", node->type);
    set_text(object, "declared_type", node->declared_type);
    set_text(object, "name", node->name);
    set_flag(object, "attachment", node->attachment);
    set_flag(object, "encrypted", node->encrypted);
    set_flag(object, "damaged", node->damaged);
    return object;
}

/* JSON writes some characters with six bytes, so the room is counted as it is written. */
static size_t written_size(const json_t *value)
{
    return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* Adds the text of the node while there is room; returns whether some was left out. */
static bool describe_text(const struct tree *tree, size_t index, struct text_limits *limits,
                          json_t *object)
{
    struct text text;
    text_init(&text, limits);
    bool readable = text_of_node(tree, index, TEXT_VISIBLE, &text), cut = text.cut;
    if (readable) {
        json_t *value = json_stringn(buffer_text(&text.content), text.content.length);
        size_t size = written_size(value);
        set_flag(object, "unreadable", text.unreadable);
        if (size <= limits->bytes * 2) {
            limits->bytes -= size / 2 < limits->bytes ? size / 2 : limits->bytes;
            json_object_set_new(object, "text", value);
        } else {
            json_decref(value);
            cut = true;
        }
    }
    text_free(&text);
    return cut;
}

static json_t *describe_tree(const struct tree *tree, size_t text_bytes)
{
    char limit[TREE_PATH_SIZE + 200];
    struct text_limits limits = text_default_limits(TREE_US);
    json_t *parts = json_array();
    size_t left_out = 0, bytes = 0;
    bool cut = false;
    limits.bytes = text_bytes;
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->nodes[i].kind == TREE_MULTIPART)
            continue;
        json_t *object = describe(tree, i);
        bytes += written_size(object);
        if (json_array_size(parts) >= SHOW_MESSAGE_PARTS ||
            bytes + text_bytes * 2 > SHOW_MESSAGE_REPLY) {
            left_out++;
            json_decref(object);
            continue;
        }
        cut |= describe_text(tree, i, &limits, object);
        json_array_append_new(parts, object);
    }
    return json_pack("{s:b,s:s,s:s,s:o,s:b,s:I,s:s}", "ok", 1, "subject", tree->message->subject,
                     "from", tree->message->from, "parts", parts, "text_cut", cut, "parts_left_out",
                     (json_int_t)left_out, "limit", tree_limit_text(tree, limit, sizeof(limit)));
}

static json_t *read_message(const char *base64, size_t text_bytes)
{
    gsize length;
    struct tree_limits limits = tree_default_limits(TREE_US);
    guchar *data = g_base64_decode(base64, &length);
    struct message *message = message_parse((const char *)data, length);
    struct tree *tree = message ? tree_build(message, &limits) : NULL;
    return tree ? describe_tree(tree, text_bytes) : NULL; /* the process ends with all of it */
}

static void __attribute__((noreturn))
run(const char *state, const char *base64, size_t text_bytes, int file)
{
    int own = confined_begin(file, SHOW_MESSAGE_SECONDS);
    confined_start_libraries();
    json_t *answer = own >= 0 && confined_enter(state, SHOW_MESSAGE_MEMORY, NULL)
                         ? read_message(base64, text_bytes)
                         : NULL;
    bool written = answer && json_dumpfd(answer, own, JSON_COMPACT) == 0;
    _exit(written ? 0 : EXIT_CANNOT);
}

/* --- the master's end --- */

static struct show_message *find(struct show_message shows[SHOW_MESSAGES_MOST], pid_t pid)
{
    for (size_t i = 0; i < SHOW_MESSAGES_MOST; i++)
        if (shows[i].pid == pid)
            return &shows[i];
    return NULL;
}

static bool read_request(const json_t *request, const char **base64, int64_t *text_bytes,
                         struct error *error)
{
    return json_get_text(request, NULL, "message", SHOW_MESSAGE_BYTES / 3 * 4 + 4, base64, error) &&
           json_get_integer_or(request, NULL, "text_bytes", 0, SHOW_MESSAGE_TEXT, SHOW_MESSAGE_TEXT,
                               text_bytes, error);
}

bool show_message_start(struct show_message shows[SHOW_MESSAGES_MOST], const char *state,
                        const json_t *request, uint64_t number, struct error *error)
{
    struct show_message *show = find(shows, 0);
    const char *base64;
    int64_t text_bytes;
    if (!read_request(request, &base64, &text_bytes, error))
        return false;
    if (!show)
        return error_set(error, ERROR_LIMIT, NULL, "other messages are being read; try again");
    int file = memfd_create("gatehouse-show", MFD_CLOEXEC);
    pid_t pid = file >= 0 ? fork() : -1;
    if (pid == 0)
        run(state, base64, (size_t)text_bytes, file);
    if (pid < 0) {
        error_set_errno(error, "engine", "a reader cannot be started");
        if (file >= 0)
            close(file);
        return false;
    }
    *show =
        (struct show_message){.pid = pid,
                              .file = file,
                              .number = number,
                              .kill_at_ms = timestamp_monotonic_ms() + SHOW_MESSAGE_SECONDS * 1000};
    return true;
}

static json_t *refusal(int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const char *reason = "the message cannot be read";
    if (number == SIGKILL || number == SIGALRM || number == SIGXCPU)
        reason = "reading the message takes longer than it may";
    else if (number)
        reason = "reading the message made its process fail";
    return json_pack("{s:b,s:s}", "ok", 0, "error", reason);
}

json_t *show_message_ended(struct show_message shows[SHOW_MESSAGES_MOST], const char *state,
                           pid_t pid, int status, uint64_t *number)
{
    struct show_message *show = pid > 0 ? find(shows, pid) : NULL;
    if (!show)
        return NULL;
    bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    json_t *answer = ended_well ? confined_answer(show->file, SHOW_MESSAGE_REPLY) : NULL;
    *number = show->number;
    close(show->file);
    scratch_remove(state, pid);
    *show = (struct show_message){0};
    return answer ? answer : refusal(status);
}

void show_messages_kill_late(const struct show_message shows[SHOW_MESSAGES_MOST])
{
    int64_t now = timestamp_monotonic_ms();
    for (size_t i = 0; i < SHOW_MESSAGES_MOST; i++)
        if (shows[i].pid > 0 && now >= shows[i].kill_at_ms)
            kill(shows[i].pid, SIGKILL);
}

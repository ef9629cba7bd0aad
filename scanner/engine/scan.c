#include "scanner/engine/scan.h"

#include "scanner/engine/clean_file.h"
#include "scanner/engine/given_file.h"
#include "scanner/engine/judge.h"
#include "scanner/engine/last_word.h"
#include "scanner/engine/malware.h"
#include "scanner/engine/message.h"
#include "scanner/engine/suspicious.h"
#include "scanner/engine/tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Per cent of the time after which one thing must end; the rest is for what follows, and for
 * answering before the timer kills. */
#define SCAN_END 90
#define SCAN_END_BEFORE_FILTERS 70
#define FILTERS_END 90
#define WHOLE_MESSAGE "message"
#define TOO_LARGE "the message is larger than the limit"
#define FILTERS_FAILED "looking at the message with the content filters took too long or failed"
#define BEGINNING (1u << 20) /* bytes of a message that is too large */

struct scan {
    const struct scan_tools *tools;
    const struct scan_request *request;
    int64_t begin_us, stop_us; /* libclamav is to end before stop_us */
    struct message *message;   /* NULL where it could not be read */
    struct tree *tree;         /* NULL before it is built */
    struct malware_result result;
    int cleaned; /* descriptor, -1: none */
    uint64_t cleaned_size;
    char not_cleaned[MALWARE_REASON_SIZE]; /* why; "" */
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int milliseconds_left(const struct scan *scan)
{
    int64_t left = (scan->stop_us - now_us()) / 1000;
    return left > 0 ? (int)left : 0;
}

/* --- the message's bytes --- */

static const char *why_not(const struct scan_request *request, uint64_t limit)
{
    struct stat status;
    if (!given_file_is_safe(request->message, &status))
        return "the message is not a read-only file";
    if ((uint64_t)status.st_size != request->size)
        return "the message does not have the size that was announced";
    return request->size > limit ? TOO_LARGE : "";
}

/* The bytes to look at, NULL for none. Of a message that is too large only the beginning, which has
 * the header. Where not all is there, scan->result says why. */
static void *map_message(struct scan *scan, size_t *length)
{
    const struct scan_request *request = scan->request;
    const char *reason = why_not(request, scan->tools->settings->message_limit);
    snprintf(scan->result.reason, sizeof(scan->result.reason), "%s", reason);
    *length = 0;
    if (request->size == 0 || (*reason && strcmp(reason, TOO_LARGE) != 0))
        return NULL;
    size_t wanted = *reason ? BEGINNING : request->size;
    if (wanted > request->size)
        wanted = request->size;
    void *data = mmap(NULL, wanted, PROT_READ, MAP_PRIVATE, request->message, 0);
    if (data == MAP_FAILED) {
        snprintf(scan->result.reason, sizeof(scan->result.reason), "the message cannot be read");
        return NULL;
    }
    *length = wanted;
    return data;
}

/* --- the answer --- */

static json_t *threats(const struct malware_result *result)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < result->find_count; i++) {
        const struct malware_find *find = &result->finds[i];
        const char *part = *find->part ? find->part : WHOLE_MESSAGE;
        json_array_append_new(array, json_pack("{s:s,s:s,s:s}", "name", find->name, "part", part,
                                               "verdict", config_verdict_name(find->verdict)));
    }
    return array;
}

static bool applies(const struct malware_result *result, enum config_verdict verdict)
{
    if (verdict == CONFIG_VERDICT_UNSCANNABLE)
        return *result->reason != '\0';
    for (size_t i = 0; i < result->find_count; i++)
        if (result->finds[i].verdict == verdict)
            return true;
    return false;
}

/* The verdicts that apply, the worst first; none for a clean message. */
static json_t *verdicts(const struct malware_result *result)
{
    json_t *array = json_array();
    for (int i = 0; array && i < CONFIG_VERDICT_COUNT; i++)
        if (applies(result, (enum config_verdict)i))
            json_array_append_new(array, json_string(config_verdict_name((enum config_verdict)i)));
    return array;
}

static json_t *answer(const struct scan *scan)
{
    const struct message *message = scan->message;
    json_t *list = verdicts(&scan->result);
    const char *worst = json_string_value(json_array_get(list, 0));
    return json_pack("{s:{s:s,s:s,s:o,s:o,s:s,s:s,s:s,s:s,s:I,s:I}}", "result", "id",
                     scan->request->id, "verdict", worst ? worst : "clean", "verdicts", list,
                     "threats", threats(&scan->result), "reason", scan->result.reason, "subject",
                     message ? message->subject : "", "from", message ? message->from : "",
                     "message_id", message ? message->message_id : "", "parts",
                     (json_int_t)(message ? message_leaf_count(message) : 0), "elapsed_us",
                     (json_int_t)(now_us() - scan->begin_us));
}

/* --- part by part --- */

static void join_path(char path[MESSAGE_PATH_SIZE * 2], const char *part, const char *member)
{
    snprintf(path, (size_t)MESSAGE_PATH_SIZE * 2, "%s%s%s", part, *member ? "/" : "", member);
}

/* Adds what one part holds to *found, under the part's path. */
static void scan_part(const struct scan *scan, size_t index, struct malware_result *found)
{
    struct malware_result result = {0};
    char part[MESSAGE_PATH_SIZE], path[MESSAGE_PATH_SIZE * 2];
    size_t length;
    char *owned;
    struct malware_scan how = {scan->tools->engine, milliseconds_left(scan), true};
    const char *content = message_part_content(scan->message, index, &length, &owned);
    malware_scan(&how, content, length, &result);
    g_free(owned);
    message_part_path(scan->message, index, part);
    for (size_t i = 0; i < result.find_count; i++) {
        join_path(path, part, result.finds[i].part);
        malware_add_find(found, result.finds[i].name, path);
    }
    if (*result.reason && !*found->reason)
        memcpy(found->reason, result.reason, sizeof(found->reason));
}

static void scan_parts(const struct scan *scan, struct malware_result *found)
{
    for (size_t i = 0; i < scan->message->count && milliseconds_left(scan) > 0; i++)
        if (scan->message->parts[i].kind == MESSAGE_PART_LEAF)
            scan_part(scan, i, found);
}

static bool has_name(const struct malware_result *result, const char *name)
{
    for (size_t i = 0; i < result->find_count; i++)
        if (strcmp(result->finds[i].name, name) == 0)
            return true;
    return false;
}

/* Says in which parts the finds of the whole message stand. What no part shows by itself (a find
 * over the structure of the mail) stays with the message. */
static void name_parts(struct scan *scan)
{
    struct malware_result found = {0};
    scan_parts(scan, &found);
    for (size_t i = 0; i < scan->result.find_count; i++)
        if (!has_name(&found, scan->result.finds[i].name))
            malware_add_find(&found, scan->result.finds[i].name, WHOLE_MESSAGE);
    memcpy(scan->result.finds, found.finds, sizeof(found.finds));
    scan->result.find_count = found.find_count;
}

/* libclamav unpacks a message only where its first lines look like one to it. */
static void scan_unrecognised(struct scan *scan)
{
    scan_parts(scan, &scan->result);
    if (milliseconds_left(scan) == 0 && !*scan->result.reason)
        snprintf(scan->result.reason, sizeof(scan->result.reason), "the time was over");
    if (scan->message->cut && !*scan->result.reason)
        snprintf(scan->result.reason, sizeof(scan->result.reason),
                 "the message has too many parts");
}

/* --- the tree --- */

/* Containers that the tree opens and libclamav does not. */
static bool is_closed_to_clamav(const char *type)
{
    static const char *const types[] = {"application/x-rar",      "application/zstd",
                                        "application/x-lzma",     "application/x-lzip",
                                        "application/x-compress", "application/x-archive",
                                        "application/vnd.ms-tnef"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

static void scan_members(struct scan *scan)
{
    const struct tree *tree = scan->tree;
    char path[TREE_PATH_SIZE], member[TREE_PATH_SIZE + MESSAGE_PATH_SIZE];
    for (size_t i = 1; i < tree->count && milliseconds_left(scan) > 0; i++) {
        const struct tree_node *node = &tree->nodes[i];
        struct malware_result result = {0};
        if (node->kind != TREE_MEMBER || !is_closed_to_clamav(tree->nodes[node->parent].type))
            continue;
        struct malware_scan how = {scan->tools->engine, milliseconds_left(scan), true};
        malware_scan(&how, node->data, node->length, &result);
        for (size_t j = 0; j < result.find_count; j++) {
            snprintf(member, sizeof(member), "%s%s%s", tree_path(tree, i, path),
                     *result.finds[j].part ? "/" : "", result.finds[j].part);
            malware_add_find(&scan->result, result.finds[j].name, member);
        }
        if (*result.reason && !*scan->result.reason)
            memcpy(scan->result.reason, result.reason, sizeof(result.reason));
    }
}

static void set_reason(struct scan *scan, const char *text)
{
    if (*text && !*scan->result.reason)
        malware_set_reason(&scan->result, text);
}

/* Says which limit of the configuration was hit, and where; that goes before what libclamav says of
 * limits of its own, which knows no paths. */
static void tell_limit(struct scan *scan)
{
    char text[TREE_PATH_SIZE + 200];
    tree_limit_text(scan->tree, text, sizeof(text));
    if (*text && g_str_has_prefix(scan->result.reason, MALWARE_LIMIT_PREFIX))
        malware_set_reason(&scan->result, text);
    set_reason(scan, text);
}

/* What could not be opened to its end has not been looked at. */
static void tell_damage(struct scan *scan)
{
    char path[TREE_PATH_SIZE], text[TREE_PATH_SIZE + 100];
    for (size_t i = 0; i < scan->tree->count; i++) {
        if (!scan->tree->nodes[i].damaged || scan->tree->nodes[i].kind == TREE_MULTIPART)
            continue;
        snprintf(text, sizeof(text), "a container is broken or not known to its end (%s)",
                 tree_path(scan->tree, i, path));
        set_reason(scan, text);
        return;
    }
}

static void look_into(struct scan *scan)
{
    const struct config_engine_limits *limits = &scan->tools->settings->limits;
    struct tree_limits of_tree = {.depth = limits->depth,
                                  .parts = (size_t)limits->parts,
                                  .unpacked_bytes = (uint64_t)limits->unpacked_megabytes << 20,
                                  .ratio = (unsigned)limits->ratio,
                                  .stop_us = scan->stop_us};
    scan->tree = tree_build(scan->message, &of_tree);
    if (!scan->tree) {
        set_reason(scan, "out of memory");
        return;
    }
    scan_members(scan);
    suspicious_look(scan->tree, &scan->result);
    tell_limit(scan);
    tell_damage(scan);
}

/* --- the message --- */

/* What is known already stands should looking closer take too long or crash: else a message made
 * for that would turn from infected into unscannable. */
static void look_closer(struct scan *scan)
{
    json_t *known = scan->result.find_count > 0 ? answer(scan) : NULL;
    bool prepared = known && last_word_set(scan->request->answer, known);
    json_decref(known);
    if (scan->result.find_count > 0 && !prepared)
        return;
    if (scan->result.find_count > 0)
        name_parts(scan);
    else if (!*scan->result.reason && !scan->result.taken_as_mail)
        scan_unrecognised(scan);
    look_into(scan);
    if (prepared)
        last_word_clear();
}

static void scan_bytes(struct scan *scan, const void *data, size_t length)
{
    scan->message = message_parse(data, length);
    if (*scan->result.reason)
        return;
    /* Looked at here, for parsing a large message takes some of the time. */
    struct malware_scan how = {scan->tools->engine, milliseconds_left(scan), false};
    malware_scan(&how, data, length, &scan->result);
    for (size_t i = 0; i < scan->result.find_count; i++)
        scan->result.finds[i].part[0] = '\0';
    if (scan->message)
        look_closer(scan);
}

/* --- cleaning --- */

static void scan_piece(void *argument, const void *data, size_t length,
                       struct malware_result *result)
{
    const struct scan *scan = argument;
    struct malware_scan how = {scan->tools->engine, milliseconds_left(scan), true};
    malware_scan(&how, data, length, result);
}

static bool is_to_be_cleaned(const struct scan *scan)
{
    for (size_t i = 0; i < scan->result.find_count; i++)
        if (scan->request->clean & 1u << scan->result.finds[i].verdict)
            return true;
    return false;
}

static void clean(struct scan *scan)
{
    struct error error = {0};
    struct clean_order order = {scan->tree, scan->request->clean, scan_piece, scan};
    if (!scan->tree || !is_to_be_cleaned(scan))
        return;
    json_t *known = answer(scan);
    bool prepared = known && last_word_set(scan->request->answer, known);
    json_decref(known);
    if (!prepared)
        return;
    scan->cleaned = clean_file_write(&order, &scan->cleaned_size, &error);
    last_word_clear();
    if (scan->cleaned < 0)
        snprintf(scan->not_cleaned, sizeof(scan->not_cleaned), "%s", error.message);
}

/* The answer with what cleaning came to. */
static json_t *last_answer(const struct scan *scan)
{
    json_t *frame = answer(scan);
    json_t *result = json_object_get(frame, "result");
    if (scan->cleaned >= 0)
        json_object_set_new(result, "cleaned",
                            json_pack("{s:I}", "size", (json_int_t)scan->cleaned_size));
    else if (*scan->not_cleaned)
        json_object_set_new(result, "not_cleaned", json_string(scan->not_cleaned));
    return frame;
}

/* --- content filters --- */

static json_t *answer_without_filters(const struct scan *scan, const char *problem)
{
    json_t *frame = last_answer(scan);
    json_t *result = json_object_get(frame, "result");
    json_object_set_new(result, "policy", json_false());
    json_object_set_new(result, "policy_problem", json_string(problem));
    return frame;
}

/* What is known should the filters take too long or crash. No file goes with a last word. */
static bool prepare_last_word(const struct scan *scan)
{
    struct scan without = *scan;
    if (without.cleaned >= 0)
        snprintf(without.not_cleaned, sizeof(without.not_cleaned), "%s", FILTERS_FAILED);
    without.cleaned = -1;
    set_reason(&without, FILTERS_FAILED);
    json_t *known = answer_without_filters(&without, FILTERS_FAILED);
    bool prepared = known && last_word_set(scan->request->answer, known);
    json_decref(known);
    return prepared;
}

static bool judge(const struct scan *scan, const json_t *frame, struct judgement *judgement,
                  struct error *error)
{
    const struct scan_request *request = scan->request;
    const struct filters *filters = scan->tools->filters;
    struct envelope envelope;
    struct judge_order order = {
        .filters = filters,
        .tree = scan->tree,
        .result = json_object_get(frame, "result"),
        .cleaned = scan->cleaned,
        .size = request->size,
        .age_ms = request->age_ms,
        .stop_us = scan->begin_us + (int64_t)request->seconds * 1000000 / 100 * FILTERS_END,
    };
    if (!scan->tree)
        return error_set(error, ERROR_INVALID, NULL, "the message could not be looked into");
    if (!envelope_read(request->envelope, filters->config ? filters->config->policy : NULL,
                       &envelope, error))
        return false;
    bool judged = judge_message(&order, &envelope, judgement, error);
    envelope_free(&envelope);
    return judged;
}

static void add_file(struct scan_files *files, int descriptor)
{
    files->descriptors[files->count++] = descriptor;
}

/* Adds what the filters say to the frame and the files, or the frame that says why not. */
static json_t *add_filters(struct scan *scan, json_t *frame, struct scan_files *files)
{
    struct error error = {0};
    struct judgement judgement = {0};
    char problem[MALWARE_REASON_SIZE], text[700];
    bool prepared = prepare_last_word(scan);
    bool judged = prepared ? judge(scan, frame, &judgement, &error)
                           : error_set(&error, ERROR_INTERNAL, NULL, "out of memory");
    int answer_file = judged ? judgement_write(&judgement, &error) : -1;
    if (prepared)
        last_word_clear();
    if (answer_file >= 0) {
        json_t *result = json_object_get(frame, "result");
        json_object_set_new(result, "policy", json_true());
        json_object_set_new(result, "bodies", json_integer((json_int_t)judgement.body_count));
        add_file(files, answer_file);
        for (size_t i = 0; i < judgement.body_count; i++)
            add_file(files, judgement.bodies[i]);
        judgement.body_count = 0;
        judgement_free(&judgement);
        return frame;
    }
    if (judged)
        judgement_free(&judgement);
    json_decref(frame);
    snprintf(problem, sizeof(problem), "the content filters cannot be asked: %s",
             error_text(&error, text, sizeof(text)));
    set_reason(scan, problem);
    return answer_without_filters(scan, problem);
}

/* --- all --- */

json_t *scan_message(const struct scan_tools *tools, const struct scan_request *request,
                     struct scan_files *files)
{
    int64_t begin = now_us();
    int end = request->with_filters ? SCAN_END_BEFORE_FILTERS : SCAN_END;
    struct scan scan = {
        .tools = tools,
        .request = request,
        .cleaned = -1,
        .begin_us = begin,
        .stop_us = begin + (int64_t)request->seconds * 1000000 / 100 * end,
    };
    size_t length;
    *files = (struct scan_files){0};
    void *data = map_message(&scan, &length);
    scan_bytes(&scan, data ? data : "", length);
    clean(&scan);
    json_t *frame = last_answer(&scan);
    if (scan.cleaned >= 0)
        add_file(files, scan.cleaned);
    if (frame && request->with_filters)
        frame = add_filters(&scan, frame, files);
    tree_free(scan.tree);
    message_free(scan.message);
    if (data)
        munmap(data, length);
    return frame;
}

void scan_files_close(struct scan_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        close(files->descriptors[i]);
    files->count = 0;
}

/* Holds the conversations of tests/smtp (see the README there) with a real server. Each session of
 * a file is a test of its own. */
#include "smtp_scene.h"
#include "smtp_scene_directory.h"

#include "common/file.h"
#include "common/timestamp.h"
#include "scanner/mta/bounce_protection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_LIMIT (1u << 20)
#define LINE_SIZE 4096
#define REPLY_MS 4000
#define SILENCE_MS 60

struct session {
    char *name; /* "file: what it shows" */
    const char *file;
    char **lines; /* those of the file, from the session's first on */
    size_t count;
    size_t first; /* its number in the file */
};

static struct scene *scene;

/* --- one session as it goes --- */

struct talk {
    const struct session *session;
    size_t line;
    json_t *document; /* while settings are read */
    struct scene_client client;
    bool connected, no_client;
    unsigned port;
    bool v6;
    struct buffer pending; /* what the client is about to send */
    struct scene_message *message;
    size_t message_used;
    bool counts; /* the server remembers something of the client that the next session must not see
                  */
};

#define FAIL(talk, ...)                                                                            \
    do {                                                                                           \
        char why_[LINE_SIZE * 3];                                                                  \
        snprintf(why_, sizeof(why_), __VA_ARGS__);                                                 \
        fail_msg("%s:%zu: %s", (talk)->session->file, (talk)->session->first + (talk)->line + 1,   \
                 why_);                                                                            \
    } while (0)

/* '*' stands for any run of characters. */
static bool matches(const char *pattern, const char *text)
{
    for (; *pattern && *pattern != '*'; pattern++, text++)
        if (*pattern != *text)
            return false;
    if (!*pattern)
        return !*text;
    while (!matches(pattern + 1, text))
        if (!*text++)
            return false;
    return true;
}

/* \r \n \t \0 \\ \xHH, and \{TEXT*COUNT} for a repetition. */
static void add_unescaped(struct talk *talk, const char *text)
{
    struct buffer *out = &talk->pending;
    for (; *text; text++) {
        char escape = text[0] == '\\' ? text[1] : '\0';
        unsigned byte;
        if (!escape) {
            buffer_add(out, text, 1);
        } else if (escape == '{') {
            const char *star = strchr(text, '*'), *end = star ? strchr(star, '}') : NULL;
            if (!end)
                FAIL(talk, "a repetition is \\{TEXT*COUNT}");
            char *part = strndup(text + 2, (size_t)(star - text) - 2);
            struct talk inner = {.session = talk->session, .line = talk->line};
            add_unescaped(&inner, part);
            for (long left = strtol(star + 1, NULL, 10); left > 0; left--)
                buffer_add(out, inner.pending.data, inner.pending.length);
            buffer_free(&inner.pending);
            free(part);
            text = end;
        } else if (escape == 'x' && sscanf(text + 2, "%2x", &byte) == 1) {
            char raw = (char)byte;
            buffer_add(out, &raw, 1);
            text += 3;
        } else {
            static const char from[] = "rnt0\\", to[] = "\r\n\t\0\\";
            const char *found = strchr(from, escape);
            if (!found)
                FAIL(talk, "unknown escape \\%c", escape);
            buffer_add(out, &to[found - from], 1);
            text++;
        }
    }
}

static void connect_now(struct talk *talk)
{
    struct error error = {0};
    if (talk->connected)
        return;
    if (!scene_configure(scene, talk->document, &error))
        FAIL(talk, "configuration: %s: %s", error.where, error.message);
    talk->document = NULL;
    client_open(&talk->client, scene, talk->port, talk->v6);
    talk->connected = true;
}

static void flush(struct talk *talk)
{
    connect_now(talk);
    if (talk->pending.length)
        client_send(&talk->client, talk->pending.data, talk->pending.length);
    buffer_clear(&talk->pending);
}

/* --- the lines of a file --- */

static void run_set(struct talk *talk, const char *argument)
{
    char path[256] = "", *part, *rest = path;
    const char *value = strchr(argument, ' ');
    if (!value || talk->connected)
        FAIL(talk, "\"set PATH VALUE\" must stand before the first command");
    snprintf(path, sizeof(path), "%.*s", (int)(value - argument), argument);
    json_t *object = talk->document;
    json_t *parsed = strcmp(value, " (certificate)") == 0
                         ? json_incref(scene->certificate)
                         : json_loads(value, JSON_DECODE_ANY, NULL);
    if (!parsed)
        FAIL(talk, "the value is not JSON");
    while ((part = strsep(&rest, ".")) && rest)
        object = json_is_array(object) ? json_array_get(object, strtoul(part, NULL, 10))
                                       : json_object_get(object, part);
    talk->counts |=
        strstr(argument, "rates") || strstr(argument, "harvest") || strstr(argument, "recipients");
    if (json_object_set_new(object, part, parsed) != 0)
        FAIL(talk, "no such place in the configuration");
}

static void run_listener(struct talk *talk, const char *name)
{
    talk->v6 = strcmp(name, "inbound6") == 0;
    talk->port = talk->v6                        ? scene->inbound6
                 : strcmp(name, "outbound") == 0 ? scene->outbound
                                                 : scene->inbound;
}

/* Another connection of the same client. */
static void open_again(struct talk *talk)
{
    client_close(&talk->client);
    client_open(&talk->client, scene, talk->port, talk->v6);
}

/* "{tag:ADDRESS}" is the address as it is when it sends mail that is tagged. */
static char *with_tag(const char *text)
{
    char address[ADDRESS_SIZE], tagged[ADDRESS_SIZE], *changed;
    const char *start = strstr(text, "{tag:"), *end = start ? strchr(start, '}') : NULL;
    if (!end)
        return strdup(text);
    snprintf(address, sizeof(address), "%.*s", (int)(end - start - 5), start + 5);
    assert_true(bounce_tag(scene->mta.config->config, address, timestamp_now_ms(), tagged));
    assert_true(asprintf(&changed, "%.*s%s%s", (int)(start - text), text, tagged, end + 1) > 0);
    return changed;
}

static void run_client(struct talk *talk, const char *text)
{
    bool special = text[0] == '(';
    if (special)
        flush(talk);
    if (strcmp(text, "(end)") == 0)
        shutdown(talk->client.fd, SHUT_WR);
    else if (strcmp(text, "(close)") == 0)
        client_close(&talk->client);
    else if (strcmp(text, "(again)") == 0)
        open_again(talk);
    else if (strcmp(text, "(tls)") == 0)
        assert_true(client_tls(&talk->client));
    else if (special)
        FAIL(talk, "unknown: C: %s", text);
    if (!special) {
        char *line = with_tag(text);
        add_unescaped(talk, line);
        buffer_add_text(&talk->pending, "\r\n");
        free(line);
    }
}

static void run_raw(struct talk *talk, const char *text)
{
    add_unescaped(talk, text);
}

static void expect_line(struct talk *talk, const char *pattern)
{
    char line[LINE_SIZE], wanted[LINE_SIZE];
    const char *place = strstr(pattern, "{client}");
    if (!client_line(&talk->client, line, sizeof(line), REPLY_MS))
        FAIL(talk, "\"%s\" does not come%s", pattern,
             talk->client.closed ? ", the server has closed" : "");
    if (place)
        snprintf(wanted, sizeof(wanted), "%.*s%s%s", (int)(place - pattern), pattern,
                 talk->client.place, place + strlen("{client}"));
    else
        snprintf(wanted, sizeof(wanted), "%s", pattern);
    if (!matches(wanted, line))
        FAIL(talk, "\"%s\" instead of \"%s\"", line, wanted);
}

static void run_server(struct talk *talk, const char *pattern)
{
    char line[LINE_SIZE];
    flush(talk);
    if (strcmp(pattern, "(closed)") == 0) {
        if (!client_closed(&talk->client, REPLY_MS))
            FAIL(talk, "the server does not close, or said more");
    } else if (strcmp(pattern, "(silent)") == 0) {
        if (client_line(&talk->client, line, sizeof(line), SILENCE_MS))
            FAIL(talk, "the server says \"%s\"", line);
        if (talk->client.closed)
            FAIL(talk, "the server closed");
    } else {
        expect_line(talk, pattern);
    }
}

/* The usual beginning of a session. */
static void run_hello(struct talk *talk, const char *name)
{
    char line[LINE_SIZE];
    flush(talk);
    expect_line(talk, "220 mx.example.org ESMTP Gatehouse");
    run_client(talk, name[0] == 'H' ? "HELO client.example" : "EHLO client.example");
    flush(talk);
    do {
        if (!client_line(&talk->client, line, sizeof(line), REPLY_MS))
            FAIL(talk, "no reply to the greeting");
        if (strncmp(line, "250", 3) != 0)
            FAIL(talk, "\"%s\" to the greeting", line);
    } while (line[3] == '-');
}

static void wait_for(struct talk *talk, bool (*there)(const struct talk *talk))
{
    int64_t end = timestamp_monotonic_ms() + REPLY_MS;
    while (!there(talk) && timestamp_monotonic_ms() < end) {
        scene_turn(scene);
        usleep(200);
    }
}

static bool has_message(const struct talk *talk)
{
    return talk->message ? talk->message->next != NULL : scene->messages != NULL;
}

static void run_envelope(struct talk *talk, const char *pattern)
{
    flush(talk);
    wait_for(talk, has_message);
    if (!has_message(talk))
        FAIL(talk, "the intake got no message");
    talk->message = talk->message ? talk->message->next : scene->messages;
    talk->message_used = 0;
    if (!matches(pattern, talk->message->envelope))
        FAIL(talk, "the envelope is \"%s\"", talk->message->envelope);
}

static void run_message(struct talk *talk, const char *pattern)
{
    if (!talk->message)
        FAIL(talk, "\"E:\" comes first");
    struct buffer *body = &talk->message->body;
    const char *start = buffer_text(body) + talk->message_used;
    size_t left = body->length - talk->message_used;
    const char *end = memmem(start, left, "\r\n", 2);
    if (strcmp(pattern, "(end)") == 0) {
        if (left)
            FAIL(talk, "the message goes on: \"%.60s\"", start);
        return;
    }
    if (!end)
        FAIL(talk, "the message has no further line");
    char *line = strndup(start, (size_t)(end - start));
    talk->message_used += (size_t)(end - start) + 2;
    if (!matches(pattern, line))
        FAIL(talk, "the line of the message is \"%.200s\"", line);
    free(line);
}

/* How many bytes of the message are left, and whether it is a file. */
static void run_rest(struct talk *talk, const char *pattern)
{
    char text[64];
    if (!talk->message)
        FAIL(talk, "\"E:\" comes first");
    snprintf(text, sizeof(text), "%zu%s", talk->message->body.length - talk->message_used,
             talk->message->large ? " large" : "");
    if (!matches(pattern, text))
        FAIL(talk, "the rest of the message is \"%s\"", text);
    talk->message_used = talk->message->body.length;
}

static bool has_event(const struct talk *talk)
{
    (void)talk;
    return scene->events != NULL;
}

static void run_event(struct talk *talk, const char *pattern)
{
    flush(talk);
    wait_for(talk, has_event);
    struct scene_event *event = scene->events;
    if (!event)
        FAIL(talk, "nothing was logged");
    if (!matches(pattern, event->text))
        FAIL(talk, "logged was \"%s\"", event->text);
    scene->events = event->next;
    if (!event->next)
        scene->events_end = &scene->events;
    free(event->text);
    free(event);
}

static void run_intake(struct talk *talk, const char *text)
{
    flush(talk);
    if (strcmp(text, "(hold)") == 0)
        scene->hold = true;
    else if (strcmp(text, "(answer)") == 0)
        scene_answer(scene);
    else
        snprintf(scene->reply, sizeof(scene->reply), "%s", text);
}

static void run_directory(struct talk *talk, const char *text)
{
    if (text[0] == '(')
        flush(talk);
    talk->counts |= strncmp(text, "user ", 5) == 0;
    if (!scene_directory_line(text))
        FAIL(talk, "the directory: %s", text);
}

static void run_wait(struct talk *talk, const char *text)
{
    int64_t end = timestamp_monotonic_ms() + strtol(text, NULL, 10);
    flush(talk);
    while (timestamp_monotonic_ms() < end) {
        scene_turn(scene);
        usleep(1000);
    }
}

static void run_disk(struct talk *talk, const char *text)
{
    flush(talk);
    scene->full = strcmp(text, "full") == 0;
    scene->large_fails = strcmp(text, "full for large") == 0;
}

static const struct {
    const char *prefix;
    void (*run)(struct talk *talk, const char *argument);
} kinds[] = {
    {"hello ", run_hello}, {"set ", run_set},      {"listener ", run_listener},
    {"C: ", run_client},   {"C> ", run_raw},       {"S: ", run_server},
    {"E: ", run_envelope}, {"M: ", run_message},   {"R: ", run_rest},
    {"A: ", run_event},    {"I: ", run_intake},    {"W: ", run_wait},
    {"D: ", run_disk},     {"L: ", run_directory},
};

static void run_line(struct talk *talk, const char *line)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t length = strlen(kinds[i].prefix);
        bool empty = strncmp(line, kinds[i].prefix, length - 1) == 0 && !line[length - 1];
        if (empty || strncmp(line, kinds[i].prefix, length) == 0) {
            kinds[i].run(talk, empty ? "" : line + length);
            return;
        }
    }
    if (line[0] && line[0] != '#')
        FAIL(talk, "what is \"%s\"?", line);
}

/* Nothing may be left over that the file does not tell. */
static bool is_empty(const struct talk *talk)
{
    (void)talk;
    return smtp_server_sessions(scene->mta.smtp_server) == 0;
}

static void check_end(struct talk *talk)
{
    char line[LINE_SIZE];
    flush(talk);
    if (talk->client.fd >= 0 && client_line(&talk->client, line, sizeof(line), 0))
        FAIL(talk, "the server also says \"%s\"", line);
    client_close(&talk->client);
    wait_for(talk, is_empty);
    if (!is_empty(talk))
        FAIL(talk, "the server keeps the session");
    if (has_message(talk))
        FAIL(talk, "the intake got another message");
    if (scene->events)
        FAIL(talk, "also logged was \"%s\"", scene->events->text);
}

static struct talk talk; /* outlives a failure */

static void a_session(void **state)
{
    const struct session *session = *state;
    talk = (struct talk){.session = session, .port = scene->inbound, .client.fd = -1};
    scene_clear(scene);
    scene_directory_begin(scene->mta.base);
    scene->reply[0] = '\0';
    scene->hold = scene->full = scene->large_fails = false;
    talk.document = scene_document(scene);
    for (talk.line = 0; talk.line < session->count; talk.line++)
        run_line(&talk, session->lines[talk.line]);
    check_end(&talk);
}

/* After a failure the next session begins anew. */
static int end_session(void **state)
{
    (void)state;
    json_decref(talk.document);
    buffer_free(&talk.pending);
    client_close(&talk.client);
    scene_answer(scene);
    wait_for(&talk, is_empty);
    if (talk.counts)
        scene_restart(scene);
    return 0;
}

/* --- all sessions of all files --- */

struct book {
    struct CMUnitTest *tests;
    struct session *sessions;
    size_t count, capacity;
    char **texts, ***lines;
    size_t file_count;
};

static struct session *add_session(struct book *book)
{
    if (book->count == book->capacity) {
        book->capacity = book->capacity ? book->capacity * 2 : 64;
        book->sessions = reallocarray(book->sessions, book->capacity, sizeof(*book->sessions));
        if (!book->sessions)
            abort();
    }
    return &book->sessions[book->count++];
}

static void add_file(struct book *book, const char *folder, const char *name)
{
    char path[LINE_SIZE];
    struct error error = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    char *text = file_read(path, FILE_LIMIT, NULL, &error), *rest = text, *line;
    if (!text) {
        fprintf(stderr, "%s: %s\n", path, error.message);
        exit(1);
    }
    size_t count = 0, most = 1;
    for (const char *c = text; *c; c++)
        most += *c == '\n';
    char **lines = calloc(most, sizeof(*lines));
    struct session *session = NULL;
    while ((line = strsep(&rest, "\n"))) {
        lines[count++] = line;
        if (strncmp(line, "== ", 3) == 0) {
            session = add_session(book);
            *session =
                (struct session){.file = strdup(name), .lines = &lines[count], .first = count};
            if (asprintf(&session->name, "%s: %s", name, line + 3) < 0)
                abort();
        } else if (session) {
            session->count++;
        }
    }
    book->texts = reallocarray(book->texts, book->file_count + 1, sizeof(*book->texts));
    book->lines = reallocarray(book->lines, book->file_count + 1, sizeof(*book->lines));
    book->texts[book->file_count] = text;
    book->lines[book->file_count++] = lines;
}

static int is_conversation(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".txt") == 0;
}

static void read_book(struct book *book, const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, is_conversation, alphasort);
    for (int i = 0; i < count; i++) {
        add_file(book, folder, names[i]->d_name);
        free(names[i]);
    }
    if (count > 0)
        free(names);
    book->tests = calloc(book->count + 1, sizeof(*book->tests));
    for (size_t i = 0; i < book->count; i++)
        book->tests[i] = (struct CMUnitTest){.name = book->sessions[i].name,
                                             .test_func = a_session,
                                             .teardown_func = end_session,
                                             .initial_state = &book->sessions[i]};
}

static void free_book(struct book *book)
{
    for (size_t i = 0; i < book->count; i++) {
        free(book->sessions[i].name);
        free((char *)book->sessions[i].file);
    }
    for (size_t i = 0; i < book->file_count; i++) {
        free(book->texts[i]);
        free(book->lines[i]);
    }
    free(book->texts);
    free(book->lines);
    free(book->sessions);
    free(book->tests);
}

int main(int argc, char **argv)
{
    const char *root = getenv("SOURCE_ROOT");
    struct book book = {0};
    char folder[LINE_SIZE];
    snprintf(folder, sizeof(folder), "%s/tests/smtp", root ? root : ".");
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    read_book(&book, folder);
    if (book.count == 0) {
        fprintf(stderr, "%s has no conversations\n", folder);
        return 1;
    }
    scene = scene_new();
    int failed = _cmocka_run_group_tests("smtp", book.tests, book.count, NULL, NULL);
    scene_free(scene);
    free_book(&book);
    return failed;
}

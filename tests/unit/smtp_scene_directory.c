#include "smtp_scene_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MOST 32
#define TEXT_SIZE 512

struct directory_question {
    struct directory_question *next, **link;
    struct event *event;
    directory_callback callback;
    void *argument;
    struct directory_answer answer;
};

struct entry {
    char name[TEXT_SIZE], password[TEXT_SIZE]; /* a password: it is a user */
    struct directory_answer answer;
};

static struct {
    struct event_base *base;
    struct entry entries[ENTRIES_MOST];
    size_t count;
    struct directory_question *questions;
    unsigned asked;
    bool away, serves_nothing, hold;
} directory;

void scene_directory_begin(struct event_base *base)
{
    scene_directory_end();
    memset(&directory, 0, sizeof(directory));
    directory.base = base;
}

static void end_question(struct directory_question *question)
{
    *question->link = question->next;
    if (question->next)
        question->next->link = question->link;
    event_free(question->event);
    free(question);
}

void scene_directory_end(void)
{
    while (directory.questions)
        end_question(directory.questions);
}

unsigned scene_directory_waiting(void)
{
    unsigned count = 0;
    for (struct directory_question *question = directory.questions; question;
         question = question->next)
        count++;
    return count;
}

/* --- what it knows --- */

static bool add_known(const char *text)
{
    struct entry *entry = &directory.entries[directory.count++];
    char first[TEXT_SIZE] = "", second[TEXT_SIZE] = "";
    int count = sscanf(text, "%500s %500s %500s", entry->name, first, second);
    const char *words[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        if (strncmp(words[i], "address=", 8) == 0)
            snprintf(entry->answer.address, sizeof(entry->answer.address), "%s", words[i] + 8);
        else if (strncmp(words[i], "route=", 6) == 0)
            snprintf(entry->answer.route, sizeof(entry->answer.route), "%s", words[i] + 6);
        else if (words[i][0])
            return false;
    }
    return count > 0;
}

static bool add_user(const char *text)
{
    struct entry *entry = &directory.entries[directory.count++];
    char name[ADDRESS_SIZE] = "";
    int count = sscanf(text, "%500s %500s %319s", entry->name, entry->password, name);
    snprintf(entry->answer.user, sizeof(entry->answer.user), "%s", name);
    return count >= 2;
}

static void answer_all(void)
{
    directory.hold = false;
    for (struct directory_question *question = directory.questions; question;
         question = question->next)
        event_active(question->event, EV_TIMEOUT, 0);
}

bool scene_directory_line(const char *line)
{
    unsigned asked;
    if (directory.count == ENTRIES_MOST)
        return false;
    if (strncmp(line, "known ", 6) == 0)
        return add_known(line + 6);
    if (strncmp(line, "user ", 5) == 0)
        return add_user(line + 5);
    if (sscanf(line, "(asked %u)", &asked) == 1)
        return directory.asked == asked;
    if (strcmp(line, "away") == 0)
        directory.away = true;
    else if (strcmp(line, "not asked") == 0)
        directory.serves_nothing = true;
    else if (strcmp(line, "(hold)") == 0)
        directory.hold = true;
    else if (strcmp(line, "(answer)") == 0)
        answer_all();
    else
        return false;
    return true;
}

/* --- the client's interface --- */

static void on_question(evutil_socket_t fd, short what, void *argument)
{
    struct directory_question *question = argument;
    struct directory_answer answer = question->answer;
    directory_callback callback = question->callback;
    void *callback_argument = question->argument;
    (void)fd;
    (void)what;
    end_question(question);
    callback(callback_argument, &answer);
}

static struct directory_answer look_up(const char *name, const char *password)
{
    struct directory_answer answer = {.status = DIRECTORY_UNKNOWN};
    if (directory.away)
        answer.status = DIRECTORY_UNAVAILABLE;
    else if (directory.serves_nothing)
        answer.status = DIRECTORY_NOT_ASKED;
    for (size_t i = 0; i < directory.count && answer.status == DIRECTORY_UNKNOWN; i++) {
        const struct entry *entry = &directory.entries[i];
        if (strcmp(entry->name, name) != 0 ||
            strcmp(entry->password, password ? password : "") != 0)
            continue;
        answer = entry->answer;
        answer.status = DIRECTORY_KNOWN;
    }
    return answer;
}

static struct directory_question *ask(const char *name, const char *password,
                                      directory_callback callback, void *argument)
{
    struct directory_question *question = calloc(1, sizeof(*question));
    *question = (struct directory_question){.next = directory.questions,
                                            .link = &directory.questions,
                                            .callback = callback,
                                            .argument = argument,
                                            .answer = look_up(name, password)};
    if (question->next)
        question->next->link = &question->next;
    directory.questions = question;
    directory.asked++;
    question->event = event_new(directory.base, -1, 0, on_question, question);
    if (!directory.hold)
        event_active(question->event, EV_TIMEOUT, 0);
    return question;
}

struct directory_question *directory_ask_recipient(struct directory_client *client,
                                                   const char *address, directory_callback callback,
                                                   void *argument)
{
    (void)client;
    return ask(address, NULL, callback, argument);
}

struct directory_question *directory_ask_password(struct directory_client *client, const char *user,
                                                  const char *password, directory_callback callback,
                                                  void *argument)
{
    (void)client;
    return ask(user, password, callback, argument);
}

void directory_forget(struct directory_question *question)
{
    end_question(question);
}

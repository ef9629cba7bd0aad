#include "scanner/directory/question.h"

#include "common/timestamp.h"
#include "scanner/directory/question_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct questions {
    struct sources *sources; /* held; NULL: none yet */
    struct event *timer;
    TAILQ_HEAD(question_list, question) list; /* by age: all times are alike */
    size_t count;
    uint64_t answered;
};

/* --- life --- */

static void question_free(struct question *question)
{
    struct questions *questions = question->questions;
    lookup_forget(&question->waiter);
    if (question->attempt)
        attempt_abandon(question->attempt);
    TAILQ_REMOVE(&questions->list, question, age);
    questions->count--;
    *question->place = NULL;
    sources_drop(question->sources);
    ldap_groups_free(&question->answer.groups);
    explicit_bzero(question->password, sizeof(question->password));
    free(question);
}

void question_finish(struct question *question, enum question_status status)
{
    question_callback callback = question->callback;
    void *argument = question->argument;
    struct question_answer answer = question->answer;
    answer.status = status;
    question->answer.groups = (struct ldap_groups){0};
    question->questions->answered++;
    question_free(question);
    callback(argument, &answer);
    ldap_groups_free(&answer.groups);
}

void question_cancel(struct question *question)
{
    question_free(question);
}

static void on_late(int fd, short events, void *argument)
{
    struct questions *questions = argument;
    struct question *question;
    (void)fd;
    (void)events;
    while ((question = TAILQ_FIRST(&questions->list))) {
        int64_t left = question->until - timestamp_monotonic_ms();
        if (left > 0) {
            const struct timeval time = timestamp_interval(left);
            event_add(questions->timer, &time);
            return;
        }
        snprintf(question->answer.reason, sizeof(question->answer.reason),
                 "the directory gave no answer in time");
        question_finish(question, QUESTION_UNAVAILABLE);
    }
}

bool question_begin(struct questions *questions, const char *name,
                    void (*step)(struct question *question), struct question **place,
                    question_callback callback, void *argument)
{
    static const struct question_answer unavailable = {
        .status = QUESTION_UNAVAILABLE, .reason = "the directory has no configuration yet"};
    static const struct question_answer unknown = {.status = QUESTION_UNKNOWN};
    const struct timeval time = timestamp_interval(QUESTION_MS);
    *place = NULL;
    if (!questions->sources || !*name || strlen(name) >= ADDRESS_SIZE) {
        callback(argument, questions->sources ? &unknown : &unavailable);
        return false;
    }
    struct question *question = calloc(1, sizeof(*question));
    if (!question)
        abort();
    question->questions = questions;
    question->sources = sources_hold(questions->sources);
    question->step = step;
    question->until = timestamp_monotonic_ms() + QUESTION_MS;
    question->place = place;
    question->callback = callback;
    question->argument = argument;
    snprintf(question->name, sizeof(question->name), "%s", name);
    TAILQ_INSERT_TAIL(&questions->list, question, age);
    questions->count++;
    if (!evtimer_pending(questions->timer, NULL))
        event_add(questions->timer, &time);
    *place = question;
    return true;
}

/* --- what all kinds do --- */

const struct config_directory_source *question_source(const struct question *question)
{
    const struct config_directory *config = sources_config(question->sources);
    return question->source < config->source_count ? &config->sources[question->source] : NULL;
}

void question_note_failure(struct question *question, const struct error *error)
{
    question->has_failed = true;
    error_text(error, question->answer.reason, sizeof(question->answer.reason));
}

enum question_status question_outcome(const struct question *question)
{
    if (question->is_known)
        return QUESTION_KNOWN;
    if (question->has_failed)
        return QUESTION_UNAVAILABLE;
    return question->is_asked ? QUESTION_UNKNOWN : QUESTION_NOT_ASKED;
}

/* The domain in the form of the configuration, in the address as well, so that the same address is
 * remembered once. */
static void normalise(struct question *question)
{
    char *at = strrchr(question->name, '@');
    if (!at)
        return;
    if (domain_normalise(at + 1, true, question->domain))
        snprintf(question->domain, sizeof(question->domain), "%.*s", DOMAIN_SIZE - 1, at + 1);
    else
        snprintf(at + 1, sizeof(question->name) - (size_t)(at + 1 - question->name), "%s",
                 question->domain);
}

/* --- recipients --- */

/* False where nothing else counts: without its routing, mail might go to where it must not. */
static bool take_recipient(struct question *question, const struct lookup_answer *answer)
{
    question->is_asked = true;
    switch (answer->status) {
    case LDAP_ANSWER_KNOWN:
        question->is_known = true;
        question->asks_routing = true;
        return true;
    case LDAP_ANSWER_UNAVAILABLE:
        question_note_failure(question, &answer->error);
        if (question_source(question)->routing_filter)
            return false;
        break;
    case LDAP_ANSWER_UNKNOWN: /* then its routing has nothing to say either */
        break;
    }
    question->source++;
    return true;
}

static bool take_routing(struct question *question, const struct lookup_answer *answer)
{
    question->asks_routing = false;
    question->source++;
    if (answer->status == LDAP_ANSWER_KNOWN) {
        question->is_known = true;
        question->answer.routing = answer->routing;
    } else if (answer->status == LDAP_ANSWER_UNAVAILABLE) {
        question_note_failure(question, &answer->error);
        return false;
    }
    return true;
}

static void on_recipient(struct lookup_waiter *waiter, const struct lookup_answer *answer)
{
    struct question *question =
        (struct question *)((char *)waiter - offsetof(struct question, waiter));
    bool goes_on =
        question->asks_routing ? take_routing(question, answer) : take_recipient(question, answer);
    if (goes_on)
        question->step(question);
    else
        question_finish(question, QUESTION_UNAVAILABLE);
}

static bool has_routing(const struct question *question)
{
    return question->answer.routing.route[0] || question->answer.routing.address[0];
}

static void step_recipient(struct question *question)
{
    const struct config_directory_source *source;
    struct lookups *lookups = sources_lookups(question->sources);
    for (; (source = question_source(question));
         question->source++, question->asks_routing = false) {
        if (!sources_serves(source, question->domain))
            continue;
        if (!question->asks_routing && source->recipients_filter && !question->is_known) {
            lookup_ask(lookups, question->source, LOOKUP_RECIPIENT, question->name,
                       &question->waiter);
            return;
        }
        if (source->routing_filter && !has_routing(question)) {
            question->asks_routing = true;
            lookup_ask(lookups, question->source, LOOKUP_ROUTING, question->name,
                       &question->waiter);
            return;
        }
    }
    question_finish(question, question_outcome(question));
}

void question_recipient(struct questions *questions, const char *address, struct question **place,
                        question_callback callback, void *argument)
{
    if (!question_begin(questions, address, step_recipient, place, callback, argument))
        return;
    struct question *question = *place;
    normalise(question);
    question->waiter.answered = on_recipient;
    step_recipient(question);
}

/* --- groups --- */

static void add_groups(struct question *question, const struct ldap_groups *more)
{
    struct ldap_groups *groups = &question->answer.groups;
    size_t bytes = 0;
    for (size_t i = 0; i < groups->count; i++)
        bytes += strlen(groups->names[i]);
    for (size_t i = 0; i < more->count && groups->count < LDAP_GROUPS_MOST; i++) {
        bytes += strlen(more->names[i]);
        if (bytes > QUESTION_GROUP_BYTES)
            return;
        char *copy = strdup(more->names[i]);
        char **grown = realloc(groups->names, (groups->count + 1) * sizeof(*grown));
        if (!copy || !grown)
            abort();
        groups->names = grown;
        groups->names[groups->count++] = copy;
    }
}

static void on_groups(struct lookup_waiter *waiter, const struct lookup_answer *answer)
{
    struct question *question =
        (struct question *)((char *)waiter - offsetof(struct question, waiter));
    question->is_asked = true;
    question->source++;
    if (answer->status == LDAP_ANSWER_UNAVAILABLE) {
        question_note_failure(question, &answer->error);
        question_finish(question, QUESTION_UNAVAILABLE);
        return;
    }
    question->is_known = question->is_known || answer->status == LDAP_ANSWER_KNOWN;
    add_groups(question, &answer->groups);
    question->step(question);
}

static void step_groups(struct question *question)
{
    const struct config_directory_source *source;
    for (; (source = question_source(question)); question->source++)
        if (source->groups_filter && sources_serves(source, question->domain)) {
            lookup_ask(sources_lookups(question->sources), question->source, LOOKUP_GROUPS,
                       question->name, &question->waiter);
            return;
        }
    question_finish(question, question_outcome(question));
}

void question_groups(struct questions *questions, const char *address, struct question **place,
                     question_callback callback, void *argument)
{
    if (!question_begin(questions, address, step_groups, place, callback, argument))
        return;
    struct question *question = *place;
    normalise(question);
    question->waiter.answered = on_groups;
    step_groups(question);
}

/* --- all of them --- */

struct questions *questions_new(struct event_base *base)
{
    struct questions *questions = calloc(1, sizeof(*questions));
    if (!questions)
        abort();
    TAILQ_INIT(&questions->list);
    questions->timer = evtimer_new(base, on_late, questions);
    if (!questions->timer)
        abort();
    return questions;
}

void questions_free(struct questions *questions)
{
    struct question *question;
    if (!questions)
        return;
    while ((question = TAILQ_FIRST(&questions->list)))
        question_free(question);
    sources_drop(questions->sources);
    event_free(questions->timer);
    free(questions);
}

void questions_use(struct questions *questions, struct sources *sources)
{
    struct sources *before = questions->sources;
    questions->sources = sources ? sources_hold(sources) : NULL;
    sources_drop(before);
}

size_t questions_count(const struct questions *questions)
{
    return questions->count;
}

uint64_t questions_answered(const struct questions *questions)
{
    return questions->answered;
}

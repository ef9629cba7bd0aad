/* Passwords: of local users by Argon2, of the others by the sources. */
#include "common/timestamp.h"
#include "scanner/directory/question_private.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a thread works on; it may outlive its question. */
struct attempt {
    struct work work;
    struct question *question; /* NULL: nobody waits any more */
    struct sources *sources;   /* held */
    size_t source;
    const char *hash; /* of the local user, in the configuration */
    int64_t until;
    char user[ADDRESS_SIZE];
    char password[QUESTION_TEXT_MOST + 1];
    char name[ADDRESS_SIZE];
    enum ldap_answer status;
    struct error error;
};

static void attempt_free(struct attempt *attempt)
{
    sources_drop(attempt->sources);
    explicit_bzero(attempt, sizeof(*attempt));
    free(attempt);
}

void attempt_abandon(struct attempt *attempt)
{
    attempt->question = NULL;
}

static struct attempt *attempt_new(struct question *question,
                                   void (*run)(struct work *work, void *state),
                                   void (*done)(struct work *work))
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (!attempt)
        abort();
    attempt->work = (struct work){.run = run, .done = done};
    attempt->question = question;
    attempt->sources = sources_hold(question->sources);
    attempt->source = question->source;
    attempt->until = question->until;
    snprintf(attempt->user, sizeof(attempt->user), "%s", question->name);
    memcpy(attempt->password, question->password, sizeof(attempt->password));
    question->attempt = attempt;
    return attempt;
}

/* --- sources --- */

static void run_source(struct work *work, void *thread_state)
{
    struct attempt *attempt = (struct attempt *)work;
    attempt->status = LDAP_ANSWER_UNAVAILABLE;
    if (thread_state && timestamp_monotonic_ms() < attempt->until)
        attempt->status = ldap_session_password(thread_state, attempt->user, attempt->password,
                                                attempt->until, attempt->name, &attempt->error);
    else
        error_set(&attempt->error, ERROR_TIMEOUT, NULL, "the password was not checked in time");
}

static void take_source(struct question *question, const struct attempt *attempt)
{
    question->is_asked = true;
    question->source++;
    if (attempt->status == LDAP_ANSWER_UNAVAILABLE)
        question_note_failure(question, &attempt->error);
    if (attempt->status != LDAP_ANSWER_KNOWN) {
        question->step(question);
        return;
    }
    memcpy(question->answer.user, attempt->name, sizeof(question->answer.user));
    question_finish(question, QUESTION_KNOWN);
}

static void on_source_done(struct work *work)
{
    struct attempt *attempt = (struct attempt *)work;
    struct question *question = attempt->question;
    sources_note(attempt->sources, attempt->source, attempt->status, &attempt->error);
    if (question) {
        question->attempt = NULL;
        take_source(question, attempt);
    }
    attempt_free(attempt);
}

static void ask_source(struct question *question)
{
    struct attempt *attempt = attempt_new(question, run_source, on_source_done);
    if (sources_add_work(question->sources, question->source, &attempt->work))
        return;
    attempt->status = LDAP_ANSWER_UNAVAILABLE;
    error_set(&attempt->error, ERROR_LIMIT, NULL, "too many questions wait for the source");
    on_source_done(&attempt->work);
}

/* --- local users --- */

static int compare_user(const void *name, const void *user)
{
    return strcmp(name, ((const struct config_user *)user)->name);
}

static const struct config_user *find_user(const struct question *question)
{
    const struct config_directory *config = sources_config(question->sources);
    char name[ADDRESS_SIZE];
    snprintf(name, sizeof(name), "%s", question->name);
    for (char *at = name; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    return bsearch(name, config->users, config->user_count, sizeof(*config->users), compare_user);
}

static void run_hash(struct work *work, void *thread_state)
{
    struct attempt *attempt = (struct attempt *)work;
    (void)thread_state;
    attempt->status =
        crypto_pwhash_str_verify(attempt->hash, attempt->password, strlen(attempt->password)) == 0
            ? LDAP_ANSWER_KNOWN
            : LDAP_ANSWER_UNKNOWN;
}

static void let_in(struct question *question, const struct config_user *user)
{
    snprintf(question->answer.user, sizeof(question->answer.user), "%s", user->name);
    question_finish(question, QUESTION_KNOWN);
}

static void take_hash(struct question *question, const struct attempt *attempt)
{
    const struct config_user *user = find_user(question);
    if (!user || attempt->status != LDAP_ANSWER_KNOWN) {
        question_finish(question, QUESTION_UNKNOWN);
        return;
    }
    proven_add(sources_proven(question->sources), attempt->hash, attempt->password);
    let_in(question, user);
}

static void on_hash_done(struct work *work)
{
    struct attempt *attempt = (struct attempt *)work;
    struct question *question = attempt->question;
    if (question) {
        question->attempt = NULL;
        take_hash(question, attempt);
    }
    attempt_free(attempt);
}

static void check_hash(struct question *question, const char *hash)
{
    struct attempt *attempt = attempt_new(question, run_hash, on_hash_done);
    attempt->hash = hash;
    if (sources_add_hash(question->sources, &attempt->work))
        return;
    question->attempt = NULL;
    attempt_free(attempt);
    snprintf(question->answer.reason, sizeof(question->answer.reason),
             "too many passwords are being checked");
    question_finish(question, QUESTION_UNAVAILABLE);
}

/* --- the way of a question --- */

/* A name with a domain is no business of a source for other domains. */
static bool may_know(const struct config_directory_source *source, const struct question *question)
{
    return source->authentication_filter &&
           (!question->domain[0] || sources_serves(source, question->domain));
}

/* A name that nobody has costs the same work as that of a local user, so that its answer does not
 * come sooner. Whom a source has let in does not wait for that. */
static void finish_unless_right(struct question *question)
{
    const struct config_directory *config = sources_config(question->sources);
    enum question_status outcome = question_outcome(question);
    if (config->user_count > 0 && outcome != QUESTION_UNAVAILABLE)
        check_hash(question, config->users[0].password_hash);
    else
        question_finish(question, outcome);
}

static void step_sources(struct question *question)
{
    const struct config_directory_source *source;
    for (; (source = question_source(question)); question->source++)
        if (may_know(source, question)) {
            ask_source(question);
            return;
        }
    finish_unless_right(question);
}

void question_password(struct questions *questions, const char *user, const char *password,
                       struct question **place, question_callback callback, void *argument)
{
    static const struct question_answer unknown = {.status = QUESTION_UNKNOWN};
    size_t length = strlen(password);
    if (length == 0 || length > QUESTION_TEXT_MOST) {
        *place = NULL;
        callback(argument, &unknown);
        return;
    }
    if (!question_begin(questions, user, step_sources, place, callback, argument))
        return;
    struct question *question = *place;
    const char *at = strrchr(question->name, '@');
    if (at && domain_normalise(at + 1, true, question->domain))
        snprintf(question->domain, sizeof(question->domain), "%.*s", DOMAIN_SIZE - 1, at + 1);
    memcpy(question->password, password, length + 1);
    const struct config_user *local = find_user(question);
    if (local && proven_has(sources_proven(question->sources), local->password_hash, password))
        let_in(question, local);
    else if (local)
        check_hash(question, local->password_hash);
    else
        step_sources(question);
}

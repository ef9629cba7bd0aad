/* What the kinds of questions share. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_QUESTION_PRIVATE_H
#define GATEHOUSE_SCANNER_DIRECTORY_QUESTION_PRIVATE_H

#include "scanner/directory/question.h"

#include <sys/queue.h>

struct attempt;

struct question {
    TAILQ_ENTRY(question) age;
    struct questions *questions;
    struct sources *sources; /* held */
    struct lookup_waiter waiter;
    void (*step)(struct question *question); /* goes on with the next source */
    int64_t until;
    size_t source; /* the one that is asked, or comes next */
    bool is_asked; /* any source was */
    bool is_known;
    bool has_failed; /* a source could not be asked */
    bool asks_routing;
    char name[ADDRESS_SIZE]; /* the address, its domain normalised, or the user as typed */
    char domain[DOMAIN_SIZE];
    struct attempt *attempt; /* a password under way */
    char password[QUESTION_TEXT_MOST + 1];
    struct question_answer answer;
    struct question **place;
    question_callback callback;
    void *argument;
};

/* A new question; false (and it is answered) where it cannot be asked at all. */
bool question_begin(struct questions *questions, const char *name,
                    void (*step)(struct question *question), struct question **place,
                    question_callback callback, void *argument);
/* Answers and frees it. */
void question_finish(struct question *question, enum question_status status);
/* Notes why a source could not be asked. */
void question_note_failure(struct question *question, const struct error *error);
/* The answer where no source is left. */
enum question_status question_outcome(const struct question *question);
const struct config_directory_source *question_source(const struct question *question);
/* There is no thread any more that tells the question how its attempt ended. */
void attempt_abandon(struct attempt *attempt);

#endif

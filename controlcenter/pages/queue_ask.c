#include "controlcenter/pages/queue_ask.h"

#include "controlcenter/pages/host_status.h"
#include "controlcenter/pages/side_by_side.h"

#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define SILENT_WAIT_MS 1000

struct round {
    struct fleet *fleet;
    struct queue_question *questions;
    int wait_ms;
    int64_t now;
};

static void ask_one(void *argument, size_t index)
{
    struct round *round = argument;
    struct queue_question *question = &round->questions[index];
    bool silent = round->now - question->scanner->seen_at > HOST_SILENT_MS;
    int wait_ms = silent && round->wait_ms > SILENT_WAIT_MS ? SILENT_WAIT_MS : round->wait_ms;
    if (!question->request) {
        error_set(&question->error, ERROR_INTERNAL, NULL, "out of memory");
        return;
    }
    question->reply = fleet_ask(round->fleet, question->scanner->id, "mta", question->request,
                                wait_ms, &question->error);
}

void queue_ask(struct page *page, struct queue_question *questions, size_t count, int wait_ms)
{
    struct round round = {.fleet = page->application->fleet,
                          .questions = questions,
                          .wait_ms = wait_ms,
                          .now = timestamp_now_ms()};
    side_by_side(count, ask_one, &round);
}

void queue_questions_free(struct queue_question *questions, size_t count)
{
    for (size_t i = 0; questions && i < count; i++) {
        json_decref(questions[i].request);
        json_decref(questions[i].reply);
    }
    free(questions);
}

void queue_put_problem(struct page *page, json_t *problems, const struct queue_question *question)
{
    json_t *row = page_add_object(page, problems);
    page_put_text(page, row, "host_name", question->scanner->host_name);
    page_put_text(page, row, "host_id", question->scanner->id);
    if (question->error.code == ERROR_TIMEOUT || question->error.code == ERROR_UNAVAILABLE) {
        page_put_true(page, row, "is_away");
        page_put_time(page, row, "seen_at", question->scanner->seen_at);
    } else {
        page_put_text(page, row, "reason", question->error.message);
    }
}

/* Status, message queues: how far the scanners' jobs are. The address holds all there is to know,
 * so that it can be looked at again, by anybody. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/queue_ask.h"
#include "controlcenter/pages/queue_order.h"

#include <stdlib.h>
#include <string.h>

#define JOBS_MOST 100

struct progress {
    struct page *page;
    struct store_scanner *scanners;
    size_t scanner_count;
    struct queue_question questions[JOBS_MOST];
    size_t count;
    bool running;
};

static const struct store_scanner *find_scanner(const struct progress *progress, const char *text)
{
    for (size_t i = 0; i < progress->scanner_count; i++) {
        const char *id = progress->scanners[i].id;
        size_t length = strlen(id);
        if (strncmp(text, id, length) == 0 && (text[length] == '.' || text[length] == '\0'))
            return &progress->scanners[i];
    }
    return NULL;
}

/* "SCANNER.JOB" */
static void add_job(struct progress *progress, const char *text)
{
    const struct store_scanner *scanner = find_scanner(progress, text);
    const char *dot = strchr(text, '.');
    struct message_id job;
    if (!scanner || !dot || !message_id_parse(dot + 1, &job) || progress->count == JOBS_MOST)
        return;
    progress->questions[progress->count++] = (struct queue_question){
        .scanner = scanner,
        .request = json_pack("{s:s,s:s}", "op", "queue_job", "job", dot + 1),
    };
}

/* Scanners that took no job: named by the parameter of that name. */
static void put_others(struct progress *progress, const char *name)
{
    const struct http_fields *fields = &progress->page->request->query_fields;
    json_t *rows = page_put_array(progress->page, progress->page->data, name);
    for (size_t i = 0; i < fields->count && json_array_size(rows) < JOBS_MOST; i++) {
        if (strcmp(fields->items[i].name, name) != 0)
            continue;
        const struct store_scanner *scanner = find_scanner(progress, fields->items[i].value);
        if (scanner)
            page_put_text(progress->page, page_add_object(progress->page, rows), "host_name",
                          scanner->host_name);
    }
}

static void put_job(struct progress *progress, json_t *rows, const struct queue_question *question)
{
    struct page *page = progress->page;
    static const char *const counts[] = {"matched", "changed", "failed"};
    json_t *row = page_add_object(page, rows);
    bool done = json_is_true(json_object_get(question->reply, "done"));
    page_put_text(page, row, "host_name", question->scanner->host_name);
    if (!question->reply) {
        queue_put_problem(page, page_put_array(page, row, "problem"), question);
        return;
    }
    page_put_true(page, row, done ? "done" : "running");
    progress->running = progress->running || !done;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t count = queue_number(question->reply, counts[i]);
        if (count >= 0)
            page_put_count(page, row, counts[i], count);
    }
}

static void put_action(struct page *page)
{
    const char *action = http_query(page->request, "action");
    for (size_t i = 0; action && queue_actions[i]; i++)
        if (strcmp(action, queue_actions[i]) == 0)
            page_put_true(page, page_put_object(page, page->data, "action"), action);
}

static void put_back_link(struct page *page)
{
    struct form form;
    struct queue_search search;
    form_open(&form, page);
    queue_search_take(&form, form_take_query, &search);
    queue_search_put_link(page, "back", form.wrong ? &(struct queue_search){0} : &search);
}

static void put_progress(struct progress *progress)
{
    struct page *page = progress->page;
    const struct http_fields *fields = &page->request->query_fields;
    for (size_t i = 0; i < fields->count; i++)
        if (strcmp(fields->items[i].name, "job") == 0)
            add_job(progress, fields->items[i].value);
    queue_ask(page, progress->questions, progress->count, QUEUE_WAIT_MS);
    json_t *rows = page_put_array(page, page->data, "jobs");
    for (size_t i = 0; i < progress->count; i++)
        put_job(progress, rows, &progress->questions[i]);
    page_put(page, page->data, "has_jobs", json_boolean(progress->count > 0));
    page_put(page, page->data, "is_running", json_boolean(progress->running));
    put_others(progress, "away");
    put_others(progress, "refused");
    put_action(page);
    put_back_link(page);
}

static void clear(struct progress *progress)
{
    for (size_t i = 0; i < progress->count; i++) {
        json_decref(progress->questions[i].request);
        json_decref(progress->questions[i].reply);
    }
    store_scanner_list_free(progress->scanners, progress->scanner_count);
    free(progress);
}

void page_queue_progress(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct progress *progress = calloc(1, sizeof *progress);
    page_open(&page, request, response, "queues");
    if (!progress)
        error_set(&error, ERROR_INTERNAL, NULL, "out of memory");
    if (progress && store_scanner_list(page.application->store, &progress->scanners,
                                       &progress->scanner_count, &error)) {
        progress->page = &page;
        put_progress(progress);
        page_show(&page, "queues/progress");
    } else {
        page_fail(&page, &error);
    }
    if (progress)
        clear(progress);
}

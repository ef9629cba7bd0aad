/* Status, message queues: what waits on every scanner, and the search over it. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/queue_ask.h"
#include "controlcenter/pages/queue_put.h"
#include "controlcenter/pages/queue_search.h"

#include "common/cleanup.h"
#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 100

struct found {
    struct queue_entry entry;
    const struct store_scanner *scanner;
};

struct search {
    struct page *page;
    struct queue_search conditions;
    const char *after; /* "" from the beginning */
    struct store_scanner *scanners;
    size_t scanner_count;
    struct queue_question *questions; /* the counts of each scanner, then the lists */
    size_t question_count;
    struct found *found;
    size_t found_count;
    size_t shown; /* of what was found */
    bool more;
    char horizon[MESSAGE_ID_TEXT_SIZE]; /* what lies beyond is not known of all; "": all is */
};

/* --- asking --- */

static json_t *list_request(const struct search *search)
{
    json_t *request = json_pack("{s:s,s:o,s:i}", "op", "queue_list", "filter",
                                queue_search_filter(&search->conditions), "limit", PAGE_SIZE);
    if (request && *search->after &&
        json_object_set_new(request, "after", json_string(search->after)) != 0) {
        json_decref(request);
        return NULL;
    }
    return request;
}

static bool is_searched(const struct search *search, const struct store_scanner *scanner)
{
    const char *host = search->conditions.host;
    return !host || strcmp(host, scanner->id) == 0;
}

static bool ask(struct search *search, bool with_lists, struct error *error)
{
    size_t count = search->scanner_count;
    search->questions = calloc(2 * count + 1, sizeof *search->questions);
    if (!search->questions)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    for (size_t i = 0; i < count; i++)
        search->questions[i] = (struct queue_question){
            .scanner = &search->scanners[i], .request = json_pack("{s:s}", "op", "status")};
    for (size_t i = 0; i < count && with_lists; i++)
        if (is_searched(search, &search->scanners[i]))
            search->questions[count + search->question_count++] = (struct queue_question){
                .scanner = &search->scanners[i], .request = list_request(search)};
    search->question_count += count;
    queue_ask(search->page, search->questions, search->question_count, QUEUE_WAIT_MS);
    return true;
}

/* --- putting the lists together --- */

static int compare_found(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    int order = strcmp(left->entry.id, right->entry.id);
    return order ? order : strcmp(left->scanner->id, right->scanner->id);
}

/* A scanner has more messages behind that one. */
static void draw_near(struct search *search, const char *last)
{
    search->more = true;
    if (!*search->horizon || strcmp(last, search->horizon) < 0)
        memcpy(search->horizon, last, MESSAGE_ID_TEXT_SIZE);
}

static bool is_beyond(const struct search *search, size_t index)
{
    return index >= PAGE_SIZE ||
           (*search->horizon && strcmp(search->found[index].entry.id, search->horizon) > 0);
}

static bool add_list(struct search *search, const struct queue_question *question,
                     struct error *error)
{
    size_t count;
    struct queue_entry *entries =
        queue_entries_read(question->reply, search->after, PAGE_SIZE, &count);
    for (size_t i = 0; entries && i < count; i++)
        search->found[search->found_count++] = (struct found){entries[i], question->scanner};
    if (entries && count > 0 && json_is_true(json_object_get(question->reply, "more")))
        draw_near(search, entries[count - 1].id);
    free(entries); /* what they hold has moved */
    return entries || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* Each scanner gave its first ones, so the first ones of all are among them, up to where the first
 * of these lists breaks off. */
static bool merge_lists(struct search *search, struct error *error)
{
    size_t lists = search->question_count - search->scanner_count;
    search->found = calloc(lists * PAGE_SIZE + 1, sizeof *search->found);
    if (!search->found)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    for (size_t i = search->scanner_count; i < search->question_count; i++)
        if (search->questions[i].reply && !add_list(search, &search->questions[i], error))
            return false;
    qsort(search->found, search->found_count, sizeof *search->found, compare_found);
    while (search->shown < search->found_count && !is_beyond(search, search->shown))
        search->shown++;
    search->more = search->more || search->found_count > search->shown;
    return true;
}

static void search_clear(struct search *search)
{
    for (size_t i = 0; i < search->found_count; i++)
        queue_entry_clear(&search->found[i].entry);
    free(search->found);
    queue_questions_free(search->questions, search->question_count);
    store_scanner_list_free(search->scanners, search->scanner_count);
}

/* --- showing --- */

/* Where the scanner does not answer now, what it said last. */
static void put_counts(const struct search *search, json_t *row,
                       const struct queue_question *question)
{
    struct page *page = search->page;
    const json_t *queues = json_object_get(question->reply, "queues");
    struct host_summary summary;
    host_summarise(question->scanner, timestamp_now_ms(), &summary);
    if (question->reply)
        summary.queues =
            (struct host_queues){queue_number(queues, "i_qmsgs"), queue_number(queues, "o_qmsgs"),
                                 queue_number(queues, "d_qmsgs")};
    host_put_queues(page, row, &summary.queues);
    page_put(page, row, "answers", json_boolean(question->reply != NULL));
}

static void put_scanners(const struct search *search)
{
    struct page *page = search->page;
    json_t *rows = page_put_array(page, page->data, "hosts");
    json_t *problems = page_put_array(page, page->data, "problems");
    for (size_t i = 0; i < search->scanner_count; i++) {
        const struct store_scanner *scanner = &search->scanners[i];
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "host_id", scanner->id);
        page_put_text(page, row, "host_name", scanner->host_name);
        page_put(page, row, "chosen",
                 json_boolean(search->conditions.host && is_searched(search, scanner)));
        put_counts(search, row, &search->questions[i]);
    }
    for (size_t i = search->scanner_count; i < search->question_count; i++)
        if (!search->questions[i].reply)
            queue_put_problem(page, problems, &search->questions[i]);
    page_put(page, page->data, "has_hosts", json_boolean(search->scanner_count > 0));
    page_put(page, page->data, "has_problems", json_boolean(json_array_size(problems) > 0));
}

static void put_messages(const struct search *search)
{
    struct page *page = search->page;
    json_t *rows = page_put_array(page, page->data, "messages");
    for (size_t i = 0; i < search->shown; i++) {
        const struct found *found = &search->found[i];
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "host_id", found->scanner->id);
        page_put_text(page, row, "host_name", found->scanner->host_name);
        queue_put_entry(page, row, &found->entry);
        queue_put_recipients(page, row, &found->entry);
        queue_put_outlook(page, row, &found->entry);
    }
    page_put_count(page, page->data, "message_count", (int64_t)search->shown);
    page_put(page, page->data, "has_messages", json_boolean(search->shown > 0));
}

static void put_links(const struct search *search)
{
    struct page *page = search->page;
    struct buffer link = BUFFER_INIT;
    queue_search_put_link(page, "first", &search->conditions);
    if (search->more && search->shown > 0) {
        buffer_add_text(&link, "/queues?");
        queue_search_link(&search->conditions, &link);
        buffer_add_format(&link, "after=%s", search->found[search->shown - 1].entry.id);
        page_put_text(page, page->data, "next", buffer_text(&link));
    }
    page->failed = page->failed || link.failed;
    buffer_free(&link);
    page_put(page, page->data, "is_later", json_boolean(*search->after));
    page_put(page, page->data, "is_search",
             json_boolean(!queue_search_is_empty(&search->conditions)));
}

static const char *take_after(const struct page *page)
{
    const char *after = http_query(page->request, "after");
    struct message_id id;
    return after && message_id_parse(after, &id) ? after : "";
}

static bool look(struct search *search, bool with_lists, struct error *error)
{
    struct store *store = search->page->application->store;
    if (!store_scanner_list(store, &search->scanners, &search->scanner_count, error) ||
        !ask(search, with_lists, error) || !merge_lists(search, error))
        return false;
    put_scanners(search);
    put_messages(search);
    put_links(search);
    return true;
}

void page_queues(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    page_open(&page, request, response, "queues");
    form_open(&form, &page);
    form_set_purpose(&form, "search");
    struct search search = {.page = &page, .after = take_after(&page)};
    queue_search_take(&form, form_take_query, &search.conditions);
    if (form.wrong)
        response->status = 422;
    if (look(&search, !form.wrong, &error))
        page_show(&page, "queues/list");
    else
        page_fail(&page, &error);
    search_clear(&search);
}

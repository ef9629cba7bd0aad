/* Domains, aliases and masquerades as a file: import and export. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/list_file.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT_PAGE 1000
#define REASONS_MOST 1000 /* lines that are named in one answer */

static const char *const modes[] = {"merge", "replace", NULL};

static const struct list_kind *begin(struct page *page, struct http_request *request,
                                     struct http_response *response)
{
    const struct list_kind *kind = list_of_path(request->path);
    page_open(page, request, response, kind->place);
    page_put_true(page, page_put_object(page, page->data, "list"), kind->place);
    page_put_text(page, page->data, "path", kind->path);
    json_t *columns = page_put_array(page, page->data, "columns");
    for (size_t i = 0; i < LIST_COLUMNS_MOST && kind->columns[i]; i++)
        page_put_text(page, page_add_object(page, columns), "name", kind->columns[i]);
    return kind;
}

/* --- export --- */

static bool add_page(struct store *store, const struct list_kind *kind, char after[ADDRESS_SIZE],
                     struct buffer *text, size_t *count, struct error *error)
{
    struct store_entry *entries = NULL;
    if (!store_entry_list(store, kind->list, NULL, after, EXPORT_PAGE, &entries, count, error))
        return false;
    for (size_t i = 0; i < *count; i++)
        list_row_write(kind, &entries[i], text);
    if (*count)
        memcpy(after, entries[*count - 1].key, ADDRESS_SIZE);
    store_entry_list_free(entries, *count);
    return true;
}

void page_list_export(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    char after[ADDRESS_SIZE] = "", disposition[96];
    const struct list_kind *kind = begin(&page, request, response);
    size_t count = EXPORT_PAGE;
    for (size_t i = 0; i < LIST_COLUMNS_MOST && kind->columns[i]; i++)
        csv_add(&response->body, kind->columns[i], i == 0);
    buffer_add_text(&response->body, "\r\n");
    while (count == EXPORT_PAGE)
        if (!add_page(page.application->store, kind, after, &response->body, &count, &error)) {
            page_fail(&page, &error);
            return;
        }
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.csv\"", kind->place);
    http_add_header(response, "Content-Disposition", disposition);
    snprintf(response->content_type, sizeof response->content_type, "text/csv; charset=utf-8");
    json_decref(page.data);
}

/* --- import --- */

static void put_wrong_lines(struct page *page, const struct list_file *file)
{
    json_t *lines = page_put_array(page, page->data, "wrong_lines");
    size_t shown = 0;
    for (size_t i = 0; i < file->count && shown < REASONS_MOST; i++) {
        if (!file->lines[i].reason)
            continue;
        json_t *entry = page_add_object(page, lines);
        page_put_number(page, entry, "line", file->lines[i].line);
        page_put_text(page, entry, "reason", file->lines[i].reason);
        shown++;
    }
    page_put(page, page->data, "has_wrong_lines", json_boolean(file->wrong > 0));
    page_put_count(page, page->data, "wrong_count", (int64_t)file->wrong);
    if (file->wrong > shown)
        page_put_count(page, page->data, "wrong_more", (int64_t)(file->wrong - shown));
}

static void put_change(struct page *page, const struct store_change *change)
{
    page_put_count(page, page->data, "added", change->added);
    page_put_count(page, page->data, "changed", change->changed);
    page_put_count(page, page->data, "removed", change->removed);
    page_put(page, page->data, "removes", json_boolean(change->removed > 0));
}

void page_list_import_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    begin(&page, request, response);
    form_open(&form, &page);
    form_select(&form, "mode", modes[0]);
    page_show(&page, "import/form");
}

static void answer_refused(struct form *form, const struct error *error)
{
    struct page *page = form->page;
    if (error->code == ERROR_INVALID || error->code == ERROR_LIMIT)
        form_refuse_reason(form, "file", 0, error->message);
    if (!form->wrong) {
        page_fail(page, error);
        return;
    }
    page->response->status = 422;
    page_show(page, "import/form");
}

/* Keeps the rows until the administrator has seen what would go. */
static bool show_preview(struct page *page, const struct list_kind *kind, const char *rows,
                         struct error *error)
{
    struct store *store = page->application->store;
    struct store_change change;
    int64_t draft;
    if (!store_entry_import(store, kind->list, rows, true, true, page_administrator(page), &change,
                            error) ||
        !store_draft_create(store, kind->list, rows, page_administrator(page), &draft, error))
        return false;
    put_change(page, &change);
    page_put_number(page, page->data, "draft", draft);
    page_show(page, "import/confirm");
    return true;
}

static bool import_rows(struct page *page, const struct list_kind *kind, const char *rows,
                        bool replace_all, struct error *error)
{
    struct store_change change;
    if (!store_entry_import(page->application->store, kind->list, rows, replace_all, false,
                            page_administrator(page), &change, error))
        return false;
    put_change(page, &change);
    page_show(page, "import/done");
    return true;
}

/* The file that was chosen, or the text that was pasted; NULL after refusing. */
static const char *sent_text(struct form *form, size_t *length)
{
    const struct http_file *file = http_file(form->page->request, "file");
    if (file) {
        *length = file->length;
        return file->data;
    }
    const char *text = form_take_lines(form, "text");
    *length = strlen(text);
    if (*length > 0)
        return text;
    form_refuse(form, "file", "import_missing", NULL);
    return NULL;
}

static void take_file(struct form *form, const struct list_kind *kind, const struct list_file *file,
                      bool replace_all)
{
    struct page *page = form->page;
    struct error error = {0};
    put_wrong_lines(page, file);
    if (file->wrong > 0 && !*form_take(form, "skip"))
        form_refuse(form, "file", "import_wrong_lines", NULL);
    else if (file->wrong == file->count)
        form_refuse(form, "file", "import_empty", NULL);
    if (form->wrong) {
        answer_refused(form, &error);
        return;
    }
    cleanup_free char *rows = list_file_rows(file);
    bool done = rows && (replace_all ? show_preview(page, kind, rows, &error)
                                     : import_rows(page, kind, rows, false, &error));
    if (!done)
        answer_refused(form, &error);
}

void page_list_import(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct list_file file = {0};
    struct error error = {0};
    size_t length = 0;
    const struct list_kind *kind = begin(&page, request, response);
    form_open(&form, &page);
    const char *mode = form_take_word(&form, "mode", modes);
    const char *text = sent_text(&form, &length);
    form_take(&form, "skip");
    bool replace_all = mode == modes[1];
    if (mode && text &&
        list_file_read(&file, kind, page.application->store, text, length, replace_all, &error))
        take_file(&form, kind, &file, replace_all);
    else
        answer_refused(&form, &error);
    list_file_free(&file);
}

void page_list_import_confirm(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const struct list_kind *kind = begin(&page, request, response);
    form_open(&form, &page);
    form_select(&form, "mode", modes[1]);
    int64_t draft = strtoll(request->captures[0], NULL, 10);
    cleanup_free char *rows = store_draft_get(page.application->store, kind->list, draft,
                                              page_administrator(&page), &error);
    if (!rows)
        page_fail(&page, &error);
    else if (!import_rows(&page, kind, rows, true, &error))
        answer_refused(&form, &error);
}

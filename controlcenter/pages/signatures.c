/* Malware, signatures: the custom files, and how the scanners' own are kept up to date. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/signature_updates.h"

#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH "/malware/signatures"
#define PLACE "malware_signatures"

/* --- the list --- */

/* What is in a file, by its name. */
static const char *kind_of(const char *name)
{
    static const struct {
        const char *extension, *kind;
    } kinds[] = {{".hdb", "hashes"},    {".hsb", "hashes"}, {".ndb", "patterns"}, {".ldb", "logic"},
                 {".fp", "exceptions"}, {".yar", "yara"},   {".yara", "yara"}};
    const char *extension = strrchr(name, '.');
    for (size_t i = 0; extension && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(extension, kinds[i].extension) == 0)
            return kinds[i].kind;
    return "patterns";
}

static void put_file(struct page *page, json_t *row, const struct store_signature_file *file)
{
    page_put_number(page, row, "id", file->id);
    page_put_text(page, row, "name", file->name);
    page_put_true(page, page_put_object(page, row, "kind"), kind_of(file->name));
    page_put_size(page, row, "size", file->size);
    page_put_count(page, row, "signatures", file->signatures);
    page_put(page, row, "enabled", json_boolean(file->is_enabled));
    page_put_text(page, row, "changed_by", file->changed_by);
    page_put_time(page, row, "changed_at", file->changed_at);
}

static bool put_files(struct page *page, struct error *error)
{
    struct store_signature_file *files = NULL;
    size_t count = 0;
    if (!store_signature_list(page->application->store, false, &files, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "files");
    for (size_t i = 0; i < count; i++)
        put_file(page, page_add_object(page, rows), &files[i]);
    page_put(page, page->data, "has_files", json_boolean(count > 0));
    store_signature_list_free(files, count);
    return true;
}

void signatures_show(struct page *page)
{
    struct error error = {0};
    if (put_files(page, &error) && signature_updates_put(page, &error))
        page_show(page, "malware/signatures");
    else
        page_fail(page, &error);
}

void page_signatures(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    page_open(&page, request, response, PLACE);
    form_open(&form, &page);
    signatures_show(&page);
}

/* --- upload --- */

static bool take_name(struct form *form)
{
    const char *name = form_take(form, "name");
    if (config_signature_name_valid(name))
        return true;
    form_refuse(form, "name", "signature_name", NULL);
    return false;
}

static bool is_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == 127 || (byte < ' ' && byte != '\n' && byte != '\r' && byte != '\t'))
            return false;
    }
    return utf8_valid(text, length);
}

/* From the file or else from the text area; NULL after refusing it. Borrowed. */
static const char *take_text(struct form *form, const char **field)
{
    const struct http_request *request = form->page->request;
    const struct http_file *file = http_file(request, "file");
    const char *text = file ? file->data : http_form_lines(request, "text");
    size_t length = file ? file->length : text ? strlen(text) : 0;
    *field = file ? "file" : "text";
    if (length == 0)
        form_refuse(form, "file", "signature_missing", NULL);
    else if (length > CONFIG_SIGNATURE_BYTES)
        form_refuse(form, *field, "signature_large",
                    json_pack("{s:i}", "most", CONFIG_SIGNATURE_BYTES >> 20));
    else if (!is_text(text, length))
        form_refuse(form, *field, "signature_binary", NULL);
    else
        return text;
    return NULL;
}

static void refuse_trial(struct form *form, const char *field, const char *name,
                         const struct fleet_signature_trial *trial)
{
    if (trial->file[0] && strcmp(trial->file, name) != 0)
        form_refuse(form, field, "signature_refused_beside",
                    json_pack("{s:s,s:s}", "file", trial->file, "reason", trial->reason));
    else if (trial->line > 0)
        form_refuse(form, field, "signature_refused_line",
                    json_pack("{s:i,s:s,s:s}", "line", trial->line, "reason", trial->reason, "host",
                              trial->host));
    else
        form_refuse(form, field, "signature_refused",
                    json_pack("{s:s,s:s}", "reason", trial->reason, "host", trial->host));
}

/* Has a scanner try it, and refuses the field where that fails. *signatures is their number. */
static bool try_text(struct form *form, const char *field, const char *name, const char *text,
                     int64_t *signatures, struct error *error)
{
    struct fleet_signature_trial trial;
    if (!fleet_try_signatures(form->page->application->fleet, name, text, &trial, error)) {
        if (error->code == ERROR_UNAVAILABLE)
            form_refuse(form, field, "signature_untried",
                        json_pack("{s:s}", "reason", error->message));
        return false;
    }
    *signatures = trial.signatures;
    if (trial.refused)
        refuse_trial(form, field, name, &trial);
    return !trial.refused;
}

static bool store_text(struct form *form, const char *field, const char *text, struct error *error)
{
    struct store_signature_file file = {.text = (char *)text};
    snprintf(file.name, sizeof file.name, "%s", form_take(form, "name"));
    if (!try_text(form, field, file.name, text, &file.signatures, error))
        return false;
    if (store_signature_put(form->page->application->store, &file, page_administrator(form->page),
                            error))
        return true;
    if (error->code == ERROR_LIMIT)
        form_refuse(form, field, "signature_limit", json_pack("{s:s}", "reason", error->message));
    return false;
}

/* What was pasted is not lost where it is refused, unless it is too much to send back. */
#define SHOWN_AGAIN (64u << 10)

void page_signature_upload(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const char *field;
    page_open(&page, request, response, PLACE);
    form_open(&form, &page);
    bool named = take_name(&form);
    const char *text = take_text(&form, &field);
    const char *pasted = http_form_lines(request, "text");
    if (pasted && strlen(pasted) <= SHOWN_AGAIN)
        form_take_lines(&form, "text");
    if (named && text && store_text(&form, field, text, &error)) {
        page_redirect(&page, PATH, "added");
        return;
    }
    if (!form.wrong) {
        page_fail(&page, &error);
        return;
    }
    response->status = 422;
    signatures_show(&page);
}

/* --- one file --- */

static int64_t id_of(const struct http_request *request)
{
    const char *text = request->captures[0];
    size_t length = strlen(text);
    bool is_number = length > 0 && length <= 15 && strspn(text, "0123456789") == length;
    return is_number ? strtoll(text, NULL, 10) : -1;
}

/* One that was off may not go together with what was added meanwhile. */
static bool try_again(struct form *form, int64_t id, struct error *error)
{
    struct store_signature_file file;
    int64_t signatures;
    struct store *store = form->page->application->store;
    if (!store_signature_get(store, id, &file, error))
        return false;
    cleanup_free char *text = store_signature_text(store, id, error);
    return text && try_text(form, "files", file.name, text, &signatures, error);
}

void page_signature_switch(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const char *to = http_form(request, "to");
    bool enable = to && strcmp(to, "on") == 0;
    int64_t id = id_of(request);
    page_open(&page, request, response, PLACE);
    form_open(&form, &page);
    if ((!enable || try_again(&form, id, &error)) &&
        store_signature_enable(page.application->store, id, enable, page_administrator(&page),
                               &error)) {
        page_redirect(&page, PATH, "saved");
    } else if (form.wrong) {
        response->status = 422;
        signatures_show(&page);
    } else {
        page_fail(&page, &error);
    }
}

void page_signature_remove_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct store_signature_file file;
    page_open(&page, request, response, PLACE);
    if (!store_signature_get(page.application->store, id_of(request), &file, &error)) {
        page_fail(&page, &error);
        return;
    }
    put_file(&page, page_put_object(&page, page.data, "file"), &file);
    page_show(&page, "malware/signature_remove");
}

void page_signature_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, PLACE);
    if (store_signature_remove(page.application->store, id_of(request), page_administrator(&page),
                               &error))
        page_redirect(&page, PATH, "removed");
    else
        page_fail(&page, &error);
}

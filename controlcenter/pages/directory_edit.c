/* Protocols, directory: adding, editing and trying one source. */
#include "controlcenter/pages/directory_edit.h"

#include "controlcenter/pages/directory_form.h"
#include "controlcenter/pages/directory_test.h"
#include "controlcenter/pages/handlers.h"

#include "common/cleanup.h"

#include <string.h>

#define TEMPLATE "directory/source"

/* One source in a form: a new one, or one that is stored. */
struct edit {
    struct page page;
    struct form form;
    struct store_directory_source stored; /* id 0: none */
};

static void put_stored(struct edit *edit)
{
    if (!edit->stored.id)
        return;
    page_put_number(&edit->page, edit->page.data, "id", edit->stored.id);
    page_put_text(&edit->page, edit->page.data, "stored_name", edit->stored.name);
    page_put(&edit->page, edit->page.data, "has_password",
             json_boolean(*edit->stored.bind_password));
}

/* False after it has answered that there is no such source. */
static bool open_edit(struct edit *edit, struct http_request *request,
                      struct http_response *response, int64_t id)
{
    struct error error = {0};
    *edit = (struct edit){0};
    page_open(&edit->page, request, response, "directory");
    if (id &&
        !store_directory_source_get(edit->page.application->store, id, &edit->stored, &error)) {
        page_fail(&edit->page, &error);
        return false;
    }
    form_open(&edit->form, &edit->page);
    put_stored(edit);
    return true;
}

static void show(struct edit *edit)
{
    if (edit->form.wrong)
        edit->page.response->status = 422;
    page_show(&edit->page, TEMPLATE);
    store_directory_source_clear(&edit->stored);
}

/* The password to store, NULL to keep the one that is there. It is never put into the form. */
static const char *take_password(const struct edit *edit, const json_t *settings)
{
    const char *typed = http_form(edit->page.request, "bind_password");
    if (!json_object_get(settings, "bind_dn"))
        return ""; /* nobody signs in, so nothing needs to be known */
    return typed && *typed ? typed : edit->stored.id ? NULL : "";
}

static void refuse(struct edit *edit, const struct error *error)
{
    if (error->code == ERROR_INVALID || error->code == ERROR_EXISTS || error->code == ERROR_LIMIT) {
        directory_form_refuse(&edit->form, error);
        show(edit);
        return;
    }
    page_fail(&edit->page, error);
    store_directory_source_clear(&edit->stored);
}

static void save(struct edit *edit, const struct fleet_directory_candidate *candidate)
{
    struct page *page = &edit->page;
    struct error error = {0};
    if (fleet_check_directory(page->application->fleet, candidate, &error) &&
        store_directory_source_put(page->application->store, candidate->id, candidate->name,
                                   candidate->settings, candidate->bind_password,
                                   page_administrator(page), &error)) {
        page_redirect(page, "/directory", candidate->id ? "saved" : "added");
        store_directory_source_clear(&edit->stored);
    } else {
        refuse(edit, &error);
    }
}

static void test(struct edit *edit, const struct fleet_directory_candidate *candidate)
{
    struct error error = {0};
    const char *address = form_take(&edit->form, "address");
    if (directory_test(&edit->page, candidate, address, &error))
        show(edit);
    else
        refuse(edit, &error);
}

static void answer(struct edit *edit)
{
    const char *what = http_form(edit->page.request, "do");
    cleanup_json json_t *settings = directory_form_read(&edit->form);
    struct fleet_directory_candidate candidate = {
        .id = edit->stored.id,
        .name = json_string_value(json_object_get(edit->form.values, "name")),
        .settings = settings,
        .bind_password = take_password(edit, settings)};
    if (what && strcmp(what, "preset") == 0) {
        directory_form_preset(&edit->form, form_take(&edit->form, "preset"));
        show(edit);
    } else if (edit->form.wrong || edit->page.failed) {
        show(edit);
    } else if (what && strcmp(what, "test") == 0) {
        test(edit, &candidate);
    } else {
        save(edit, &candidate);
    }
}

void page_directory_new_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response, 0))
        return;
    directory_form_fill(&edit.form, "", NULL);
    show(&edit);
}

void page_directory_new(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (open_edit(&edit, request, response, 0))
        answer(&edit);
}

void page_directory_source_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response, directory_id(request)))
        return;
    directory_form_fill(&edit.form, edit.stored.name, edit.stored.settings);
    show(&edit);
}

void page_directory_source(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (open_edit(&edit, request, response, directory_id(request)))
        answer(&edit);
}

/* A host's configuration, SMTP: its own settings, and which certificate its servers show. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/smtp_fields.h"

#include "common/cleanup.h"
#include "common/x509_bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host_form {
    struct page page;
    struct form form;
    struct store_scanner scanner;
    json_t *common;      /* the settings of all hosts */
    int64_t certificate; /* that is chosen; 0: the one that was made by itself */
};

/* --- the certificate --- */

/* Those that may be chosen: for all hosts, and answered. */
static bool put_certificates(struct host_form *host, struct error *error)
{
    struct page *page = &host->page;
    struct store_certificate *certificates = NULL;
    size_t count = 0;
    if (!store_certificate_list(page->application->store, &certificates, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "certificates");
    for (size_t i = 0; i < count; i++) {
        const struct store_certificate *certificate = &certificates[i];
        if (certificate->scanner_id[0] || !certificate->certificate[0])
            continue;
        json_t *row = page_add_object(page, rows);
        page_put_number(page, row, "id", certificate->id);
        page_put_text(page, row, "name", certificate->name);
        page_put(page, row, "is_of_host",
                 json_boolean(x509_names_host(certificate->certificate, host->scanner.host_name)));
        page_put(page, row, "chosen", json_boolean(certificate->id == host->certificate));
    }
    store_certificate_list_free(certificates, count);
    return true;
}

static void read_certificate(struct host_form *host)
{
    const char *text = form_take(&host->form, "certificate");
    if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 18)
        form_refuse(&host->form, "certificate", "choose_listed", NULL);
    else
        host->certificate = strtoll(text, NULL, 10);
}

/* --- the page --- */

static bool open_host(struct host_form *host, struct http_request *request,
                      struct http_response *response)
{
    struct page *page = &host->page;
    struct error error = {0};
    *host = (struct host_form){0};
    page_open(page, request, response, "hosts");
    if (!store_scanner_get(page->application->store, request->captures[0], &host->scanner,
                           &error) ||
        !(host->common = smtp_common(page, &error))) {
        store_scanner_clear(&host->scanner);
        page_fail(page, &error);
        return false;
    }
    form_open(&host->form, page);
    host->certificate = host->scanner.certificate_id;
    json_t *object = page_put_object(page, page->data, "host");
    page_put_text(page, object, "id", host->scanner.id);
    page_put_text(page, object, "host_name", host->scanner.host_name);
    return true;
}

static void close_host(struct host_form *host)
{
    store_scanner_clear(&host->scanner);
    json_decref(host->common);
}

static void show(struct host_form *host)
{
    struct error error = {0};
    if (!put_certificates(host, &error)) {
        page_fail(&host->page, &error);
        return;
    }
    smtp_fields_put(&host->form, SMTP_PAGE_HOST, host->common);
    page_show(&host->page, "hosts/settings");
}

void page_host_settings_form(struct http_request *request, struct http_response *response)
{
    struct host_form host;
    if (!open_host(&host, request, response))
        return;
    smtp_fields_fill(&host.form, SMTP_PAGE_HOST, host.scanner.smtp);
    show(&host);
    close_host(&host);
}

static bool save(struct host_form *host, const json_t *smtp, struct error *error)
{
    const struct application *application = host->page.application;
    const char *administrator = page_administrator(&host->page), *id = host->scanner.id;
    return fleet_check_smtp(application->fleet, smtp, error) &&
           (host->certificate == host->scanner.certificate_id ||
            store_scanner_set_certificate(application->store, id, host->certificate, administrator,
                                          error)) &&
           store_scanner_set_smtp(application->store, id, smtp, administrator, error);
}

static void answer(struct host_form *host)
{
    struct page *page = &host->page;
    struct form *form = &host->form;
    struct error error = {0};
    char path[64];
    cleanup_json json_t *smtp =
        json_is_object(host->scanner.smtp) ? json_deep_copy(host->scanner.smtp) : json_object();
    smtp_fields_read(form, SMTP_PAGE_HOST, smtp);
    read_certificate(host);
    if (!form->wrong && !page->failed && save(host, smtp, &error)) {
        snprintf(path, sizeof path, "/hosts/%s", host->scanner.id);
        page_redirect(page, path, "saved");
        return;
    }
    if (error.code == ERROR_INVALID)
        smtp_fields_refuse(form, SMTP_PAGE_HOST, &error);
    else if (error.code == ERROR_NOT_FOUND && strcmp(error.where, "certificate") == 0)
        form_refuse(form, "certificate", "choose_listed", NULL);
    if (form->wrong || page->failed) {
        page->response->status = 422;
        show(host);
    } else {
        page_fail(page, &error);
    }
}

void page_host_settings(struct http_request *request, struct http_response *response)
{
    struct host_form host;
    if (!open_host(&host, request, response))
        return;
    answer(&host);
    close_host(&host);
}

/* Certificates that come from elsewhere: with their key from a file or as text, and the answers of
 * authorities to requests that were made here. */
#include "controlcenter/pages/certificate_put.h"
#include "controlcenter/pages/handlers.h"

#include "common/cleanup.h"
#include "common/x509_bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A secret that was typed is never shown again. */
static const char *take_secret(struct form *form, const char *field)
{
    const char *text = http_form(form->page->request, field);
    return text ? text : "";
}

static bool is_pem(const struct http_file *file)
{
    return strlen(file->data) == file->length && strstr(file->data, "-----BEGIN ") != NULL;
}

/* From the file, or else from the text areas. */
static bool read_bundle(struct form *form, struct x509_bundle *bundle, struct error *error)
{
    const struct http_file *file = http_file(form->page->request, "file");
    const char *password = take_secret(form, "password");
    if (file && !is_pem(file))
        return x509_bundle_from_pkcs12(file->data, file->length, password, bundle, error);
    const char *typed_key = http_form_lines(form->page->request, "key");
    return x509_bundle_from_pem(file ? file->data : form_take_lines(form, "certificate"), typed_key,
                                password, bundle, error);
}

static void refuse(struct form *form, const struct error *error)
{
    if (strcmp(error->where, "password") == 0)
        form_refuse(form, "password", "password_of_file",
                    json_pack("{s:s}", "reason", error->message));
    else
        form_refuse(form, http_file(form->page->request, "file") ? "file" : "certificate",
                    "certificate_refused", json_pack("{s:s}", "reason", error->message));
}

/* --- with its key --- */

void page_certificate_import_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    page_open(&page, request, response, "certificates");
    form_open(&form, &page);
    page_show(&page, "certificates/import");
}

/* The label is the first name where none was typed. */
static void choose_label(const char *typed, const struct x509_details *details, char label[201])
{
    char first[201];
    if (*typed)
        snprintf(label, 201, "%s", typed);
    else if (form_next_line(details->names, first, sizeof first))
        snprintf(label, 201, "%s", first);
    else
        snprintf(label, 201, "%.200s", details->subject[0] ? details->subject : "imported");
}

static bool store(struct form *form, const struct x509_bundle *bundle, int64_t *id,
                  struct error *error)
{
    struct x509_details details;
    char label[201];
    if (!x509_describe(bundle->certificate, &details, error))
        return false;
    choose_label(form_take(form, "label"), &details, label);
    struct store_new_certificate new = {.name = label,
                                        .certificate = bundle->certificate,
                                        .key = bundle->key,
                                        .expires_at = (int64_t)details.not_after * 1000};
    x509_details_clear(&details);
    return store_certificate_add(form->page->application->store, &new,
                                 page_administrator(form->page), id, error);
}

void page_certificate_import(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    struct x509_bundle bundle = {0};
    int64_t id = 0;
    char path[64];
    page_open(&page, request, response, "certificates");
    form_open(&form, &page);
    form_take(&form, "label");
    bool read = read_bundle(&form, &bundle, &error);
    if (!read && error.code == ERROR_INVALID)
        refuse(&form, &error);
    else if (read && !bundle.key)
        form_refuse(&form, "key", "certificate_key_missing", NULL);
    if (read && !form.wrong && store(&form, &bundle, &id, &error)) {
        snprintf(path, sizeof path, "/certificates/%lld", (long long)id);
        page_redirect(&page, path, "certificate_made");
    } else if (form.wrong) {
        response->status = 422;
        page_show(&page, "certificates/import");
    } else {
        page_fail(&page, &error);
    }
    x509_bundle_clear(&bundle);
}

/* --- the answer to a request, or a renewed certificate for the same key --- */

static bool place_answer(struct form *form, int64_t id, struct error *error)
{
    struct store *store_of_page = form->page->application->store;
    const struct http_file *file = http_file(form->page->request, "file");
    struct x509_bundle bundle = {0};
    long long expires = 0;
    cleanup_free char *key = store_certificate_key(store_of_page, id, error);
    if (!key)
        return false;
    const char *text = form_take_lines(form, "certificate");
    bool ok = x509_bundle_from_pem(file ? file->data : text, key, NULL, &bundle, error) &&
              x509_not_after(bundle.certificate, &expires, error) &&
              store_certificate_answer(store_of_page, id, bundle.certificate, expires * 1000,
                                       page_administrator(form->page), error);
    explicit_bzero(key, strlen(key));
    x509_bundle_clear(&bundle);
    return ok;
}

void page_certificate_answer(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    struct store_certificate certificate = {0};
    char path[64];
    page_open(&page, request, response, "certificates");
    if (!certificate_of_address(&page, &certificate))
        return;
    form_open(&form, &page);
    snprintf(path, sizeof path, "/certificates/%lld", (long long)certificate.id);
    if (place_answer(&form, certificate.id, &error)) {
        page_redirect(&page, path, "certificate_made");
    } else if (error.code == ERROR_INVALID) {
        refuse(&form, &error);
        response->status = 422;
        certificate_show(&form, &certificate, "certificates/certificate");
    } else {
        page_fail(&page, &error);
    }
    store_certificate_clear(&certificate);
}

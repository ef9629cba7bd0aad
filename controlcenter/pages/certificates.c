/* Administration, certificates: the list, one of them, and its removal. */
#include "controlcenter/pages/certificate_put.h"
#include "controlcenter/pages/handlers.h"

#include "common/timestamp.h"
#include "common/x509_bundle.h"

void page_certificates(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct store_certificate *certificates = NULL;
    size_t count = 0;
    page_open(&page, request, response, "certificates");
    if (!store_certificate_list(page.application->store, &certificates, &count, &error)) {
        page_fail(&page, &error);
        return;
    }
    int64_t now = timestamp_now_ms();
    json_t *rows = page_put_array(&page, page.data, "certificates");
    for (size_t i = 0; i < count; i++)
        certificate_put(&page, page_add_object(&page, rows), &certificates[i], now);
    store_certificate_list_free(certificates, count);
    page_put(&page, page.data, "has_certificates", json_boolean(count > 0));
    page_show(&page, "certificates/list");
}

/* Whether this system would trust it, which is what other mail servers of its kind do. */
static void put_trust(struct page *page, json_t *row, const struct store_certificate *certificate)
{
    char reason[256];
    if (!certificate->certificate[0])
        return;
    page_put_text(page, row, "distrust",
                  x509_distrust(certificate->certificate, reason, sizeof reason));
    page_put(page, row, "trusted", json_boolean(reason[0] == '\0'));
}

void certificate_show(struct form *form, const struct store_certificate *certificate,
                      const char *template)
{
    struct page *page = form->page;
    json_t *row = page_put_object(page, page->data, "certificate");
    certificate_put(page, row, certificate, timestamp_now_ms());
    page_put_text(page, row, "request", certificate->request);
    page_put_text(page, row, "pem", certificate->certificate);
    put_trust(page, row, certificate);
    page_show(page, template);
}

static void show_certificate(struct http_request *request, struct http_response *response,
                             const char *template)
{
    struct page page;
    struct form form;
    struct store_certificate certificate = {0};
    page_open(&page, request, response, "certificates");
    if (!certificate_of_address(&page, &certificate))
        return;
    form_open(&form, &page);
    certificate_show(&form, &certificate, template);
    store_certificate_clear(&certificate);
}

void page_certificate(struct http_request *request, struct http_response *response)
{
    show_certificate(request, response, "certificates/certificate");
}

void page_certificate_remove_form(struct http_request *request, struct http_response *response)
{
    show_certificate(request, response, "certificates/remove");
}

void page_certificate_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    struct store_certificate certificate = {0};
    page_open(&page, request, response, "certificates");
    if (!certificate_of_address(&page, &certificate))
        return;
    form_open(&form, &page);
    if (store_certificate_remove(page.application->store, certificate.id, page_administrator(&page),
                                 &error)) {
        page_redirect(&page, "/certificates", "removed");
    } else if (error.code == ERROR_EXISTS) {
        form_refuse(&form, "certificate", "certificate_used",
                    json_pack("{s:s}", "reason", error.message));
        response->status = 422;
        certificate_show(&form, &certificate, "certificates/remove");
    } else {
        page_fail(&page, &error);
    }
    store_certificate_clear(&certificate);
}

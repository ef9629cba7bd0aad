#include "controlcenter/pages/certificate_put.h"

#include "common/x509_bundle.h"

#include <stdlib.h>
#include <string.h>

#define HOSTS_SHOWN 5
#define NAMES_SHOWN 5
#define EXPIRING_SHOWN 20

static void put_hosts(struct page *page, json_t *row, const json_t *hosts)
{
    const json_t *host;
    size_t index;
    json_t *array = page_put_array(page, row, "hosts");
    json_array_foreach((json_t *)hosts, index, host)
    {
        if (index < HOSTS_SHOWN)
            page_put(page, page_add_object(page, array), "host", json_incref((json_t *)host));
    }
    page_put(page, row, "in_use", json_boolean(json_array_size(hosts) > 0));
    if (json_array_size(hosts) > HOSTS_SHOWN)
        page_put_count(page, row, "more_hosts", (int64_t)json_array_size(hosts) - HOSTS_SHOWN);
}

static void put_names(struct page *page, json_t *row, const char *names)
{
    char name[256];
    int count = 0;
    json_t *array = page_put_array(page, row, "names");
    while ((names = form_next_line(names, name, sizeof name)))
        if (++count <= NAMES_SHOWN)
            page_put_text(page, page_add_object(page, array), "text", name);
    if (count > NAMES_SHOWN)
        page_put_count(page, row, "more_names", count - NAMES_SHOWN);
}

static const char *state_of(const struct store_certificate *certificate, int64_t now)
{
    if (!certificate->certificate[0])
        return "waiting";
    if (certificate->expires_at <= now)
        return "expired";
    return certificate->expires_at - now < CERTIFICATE_SOON_MS ? "soon" : "valid";
}

void certificate_put(struct page *page, json_t *row, const struct store_certificate *certificate,
                     int64_t now)
{
    struct x509_details details = {0};
    page_put_number(page, row, "id", certificate->id);
    page_put_text(page, row, "name", certificate->name);
    page_put(page, row, "made_by_itself", json_boolean(certificate->scanner_id[0] != '\0'));
    page_put_true(page, page_put_object(page, row, "state"), state_of(certificate, now));
    page_put_time(page, row, "expires_at", certificate->expires_at);
    page_put_time(page, row, "created_at", certificate->created_at);
    put_hosts(page, row, certificate->hosts);
    if (!certificate->certificate[0] || !x509_describe(certificate->certificate, &details, NULL))
        return;
    page_put_text(page, row, "subject", details.subject);
    page_put_text(page, row, "issuer", details.issuer);
    page_put_text(page, row, "key", details.key);
    page_put_text(page, row, "fingerprint", details.fingerprint);
    page_put(page, row, "self_signed", json_boolean(details.self_signed));
    page_put_time(page, row, "not_before", (int64_t)details.not_before * 1000);
    put_names(page, row, details.names);
    x509_details_clear(&details);
}

bool certificate_put_expiring(struct page *page, int64_t now, bool *any, struct error *error)
{
    struct store_certificate *certificates = NULL;
    size_t count = 0;
    if (!store_certificate_expiring(page->application->store, now + CERTIFICATE_SOON_MS,
                                    EXPIRING_SHOWN, &certificates, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "expiring");
    for (size_t i = 0; i < count; i++)
        certificate_put(page, page_add_object(page, rows), &certificates[i], now);
    store_certificate_list_free(certificates, count);
    *any = count > 0;
    return true;
}

bool certificate_of_address(struct page *page, struct store_certificate *certificate)
{
    const char *text = page->request->captures[0];
    size_t length = strlen(text);
    struct error error = {0};
    if (length == 0 || length > 18 || strspn(text, "0123456789") != length)
        error_set(&error, ERROR_NOT_FOUND, "certificate", "there is no such certificate");
    else if (store_certificate_get(page->application->store, strtoll(text, NULL, 10), certificate,
                                   &error))
        return true;
    page_fail(page, &error);
    return false;
}

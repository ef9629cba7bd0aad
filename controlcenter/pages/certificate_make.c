/* Certificates that are made here: self-signed ones, and requests for those of an authority. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"
#include "common/x509_bundle.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MOST 100
#define NAME_SIZE 254
#define COMMON_NAME_MOST 64
#define USUAL_DAYS "1095"
#define DAYS_MOST 3650

struct making {
    const char *label;
    bool is_request, is_rsa;
    int days;
    char names[NAMES_MOST][NAME_SIZE];
    const char *list[NAMES_MOST];
    size_t count;
};

static void put_chosen(struct form *form, const struct making *making)
{
    json_t *chosen = page_put_object(form->page, form->page->data, "chosen");
    page_put_true(form->page, chosen, making->is_request ? "request" : "self_signed");
    page_put_true(form->page, chosen, making->is_rsa ? "rsa" : "ec");
}

void page_certificate_new_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct making making = {0};
    page_open(&page, request, response, "certificates");
    form_open(&form, &page);
    form_set(&form, "days", USUAL_DAYS);
    put_chosen(&form, &making);
    page_show(&page, "certificates/new");
}

/* --- reading the form --- */

static void read_names(struct form *form, struct making *making)
{
    char line[NAME_SIZE];
    const char *text = form_take_lines(form, "names");
    while ((text = form_next_line(text, line, sizeof line))) {
        if (making->count == NAMES_MOST) {
            form_refuse(form, "names", "certificate_names_many",
                        json_pack("{s:i}", "most", NAMES_MOST));
            return;
        }
        snprintf(making->names[making->count], NAME_SIZE, "%s", line);
        making->list[making->count] = making->names[making->count];
        making->count++;
    }
    if (making->count == 0)
        form_refuse(form, "names", "certificate_names_none", NULL);
}

static void read_days(struct form *form, struct making *making)
{
    const char *text = form_take(form, "days");
    char end;
    if (making->is_request)
        return;
    if (sscanf(text, "%4d%c", &making->days, &end) != 1 || making->days < 1 ||
        making->days > DAYS_MOST)
        form_refuse(form, "days", "certificate_days", json_pack("{s:i}", "most", DAYS_MOST));
}

static void read_form(struct form *form, struct making *making)
{
    making->is_request = strcmp(form_take(form, "kind"), "request") == 0;
    making->is_rsa = strcmp(form_take(form, "key"), "rsa") == 0;
    read_names(form, making);
    read_days(form, making);
    making->label = form_take(form, "label");
    if (!*making->label && making->count > 0)
        making->label = making->names[0];
    if (strlen(making->label) > 200)
        form_refuse(form, "label", "certificate_label_long", NULL);
}

/* --- making --- */

static const char *common_name(const struct making *making)
{
    return strlen(making->list[0]) <= COMMON_NAME_MOST ? making->list[0] : "Gatehouse";
}

static bool make(const struct making *making, char **key, char **certificate, char **request,
                 struct error *error)
{
    *key = making->is_rsa ? x509_new_rsa_key(error) : x509_new_key(error);
    if (!*key)
        return false;
    if (making->is_request)
        *request =
            x509_new_server_request(*key, common_name(making), making->list, making->count, error);
    else
        *certificate = x509_new_self_signed(*key, common_name(making), making->list, making->count,
                                            making->days, error);
    return *request || *certificate;
}

static bool store(struct page *page, const struct making *making, const char *key,
                  const char *certificate, const char *request, int64_t *id, struct error *error)
{
    long long expires = 0;
    if (certificate && !x509_not_after(certificate, &expires, error))
        return false;
    struct store_new_certificate new = {.name = making->label,
                                        .certificate = certificate,
                                        .key = key,
                                        .request = request,
                                        .expires_at = expires * 1000};
    return store_certificate_add(page->application->store, &new, page_administrator(page), id,
                                 error);
}

static void refuse(struct form *form, const struct making *making, const struct error *error)
{
    for (size_t i = 0; i < making->count; i++)
        if (strcmp(error->where, making->list[i]) == 0) {
            form_refuse_reason(form, "names", (int)i + 1, error->message);
            return;
        }
    form_refuse_reason(form, "names", 0, error->message);
}

static bool make_and_store(struct form *form, const struct making *making, int64_t *id,
                           struct error *error)
{
    cleanup_free char *key = NULL, *certificate = NULL, *request = NULL;
    bool made = make(making, &key, &certificate, &request, error);
    if (!made && error->code == ERROR_INVALID)
        refuse(form, making, error);
    bool ok = made && store(form->page, making, key, certificate, request, id, error);
    if (key)
        explicit_bzero(key, strlen(key));
    return ok;
}

void page_certificate_new(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct making making = {0};
    struct error error = {0};
    int64_t id = 0;
    char path[64];
    page_open(&page, request, response, "certificates");
    form_open(&form, &page);
    read_form(&form, &making);
    if (!form.wrong && make_and_store(&form, &making, &id, &error)) {
        snprintf(path, sizeof path, "/certificates/%lld", (long long)id);
        page_redirect(&page, path, making.is_request ? "request_made" : "certificate_made");
    } else if (form.wrong) {
        response->status = 422;
        put_chosen(&form, &making);
        page_show(&page, "certificates/new");
    } else {
        page_fail(&page, &error);
    }
}

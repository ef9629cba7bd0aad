/* Protocols, SMTP: the settings that all hosts have in common. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/smtp_fields.h"

#include "common/cleanup.h"

static void show(struct form *form)
{
    page_put_true(form->page, form->page->data, "for_all");
    smtp_fields_put(form, SMTP_PAGE_COMMON, NULL);
    page_show(form->page, "protocols/smtp");
}

static json_t *open_common(struct page *page, struct form *form, struct http_request *request,
                           struct http_response *response)
{
    struct error error = {0};
    page_open(page, request, response, "smtp");
    form_open(form, page);
    json_t *common = smtp_common(page, &error);
    if (!common)
        page_fail(page, &error);
    return common;
}

void page_smtp_common_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    cleanup_json json_t *common = open_common(&page, &form, request, response);
    if (!common)
        return;
    smtp_fields_fill(&form, SMTP_PAGE_COMMON, common);
    show(&form);
}

void page_smtp_common(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    cleanup_json json_t *common = open_common(&page, &form, request, response);
    if (!common)
        return;
    smtp_fields_read(&form, SMTP_PAGE_COMMON, common);
    if (!form.wrong && !page.failed &&
        page_save_setting(&page, SMTP_COMMON_SETTING, common, &error)) {
        page_redirect(&page, "/smtp", "saved");
        return;
    }
    if (error.code == ERROR_INVALID)
        smtp_fields_refuse(&form, SMTP_PAGE_COMMON, &error);
    if (form.wrong || page.failed) {
        response->status = 422;
        show(&form);
    } else {
        page_fail(&page, &error);
    }
}

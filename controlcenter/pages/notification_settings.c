/* Policies: who sends notifications, and where their links lead. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/policy_objects.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "controlcenter/mail/notifications.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MOST 300
#define DAYS_MOST 365

static void show(struct page *page, const struct form *form)
{
    if (form->wrong)
        page->response->status = 422;
    page_show(page, "policies/notifications");
}

void page_notification_settings_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    char days[12];
    page_open(&page, request, response, "policy_templates");
    cleanup_json json_t *settings = page_read_setting(&page, NOTIFICATION_SETTING, &error);
    if (!settings) {
        page_fail(&page, &error);
        return;
    }
    const json_t *stored = json_object_get(settings, "days");
    snprintf(days, sizeof(days), "%d",
             stored ? (int)json_integer_value(stored) : NOTIFICATION_DAYS);
    form_open(&form, &page);
    form_set(&form, "url", json_text_of(settings, "url"));
    form_set(&form, "from", json_text_of(settings, "from"));
    form_set(&form, "days", days);
    show(&page, &form);
}

/* --- saving --- */

static const char *take_url(struct form *form)
{
    static const char start[] = "https://";
    const char *url = form_take(form, "url");
    size_t length = strlen(url);
    if (length > 0 &&
        (length > URL_MOST || strncmp(url, start, sizeof start - 1) != 0 ||
         strpbrk(url, " \"'<>?#\\") || url[length - 1] == '/' || length == sizeof start - 1))
        form_refuse(form, "url", "notification_url_wrong", NULL);
    return url;
}

static const char *take_from(struct form *form)
{
    const char *from = form_take(form, "from");
    const char *reason = *from ? address_check(from, strlen(from), false) : NULL;
    if (reason)
        form_refuse_reason(form, "from", 0, reason);
    return from;
}

static int take_days(struct form *form)
{
    const char *text = form_take(form, "days");
    int days = *text && strspn(text, "0123456789") == strlen(text) ? atoi(text) : 0;
    if (days < 1 || days > DAYS_MOST)
        form_refuse(form, "days", "notification_days_range",
                    json_pack("{s:i,s:i}", "least", 1, "most", DAYS_MOST));
    return days;
}

void page_notification_settings(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    page_open(&page, request, response, "policy_templates");
    form_open(&form, &page);
    const char *url = take_url(&form), *from = take_from(&form);
    int days = take_days(&form);
    if (form.wrong) {
        show(&page, &form);
        return;
    }
    cleanup_json json_t *value = json_pack("{s:s,s:s,s:i}", "url", url, "from", from, "days", days);
    if (value && store_setting_put(page.application->store, NOTIFICATION_SETTING, value,
                                   page_administrator(&page), false, &error))
        page_redirect(&page, "/policies/templates", "kept_settings");
    else
        page_fail(&page, &error);
}

/* Status, outbox: mail of the Control Center that no scanner has taken yet, and why. */
#include "controlcenter/pages/address_rows.h"
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "controlcenter/store/outbox.h"

#define PATH "/outbox"
#define PLACE "outbox"
#define SHOWN_MOST 200
#define RECIPIENTS_MOST 10

static void put_mail(struct page *page, json_t *row, const struct store_outbox_waiting *mail)
{
    page_put_text(page, row, "id", mail->id);
    page_put_text(page, row, "reason", mail->reason);
    page_put_text(page, row, "administrator", mail->administrator);
    page_put_text(page, row, "problem", mail->problem);
    page_put_count(page, row, "attempts", mail->attempts);
    page_put_time(page, row, "created_at", mail->created_at);
    page_put_time(page, row, "next_attempt", mail->next_attempt);
    address_rows_put(page, row, mail->recipients, "recipients", RECIPIENTS_MOST, "further");
}

void page_outbox(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct store_outbox_waiting *waiting = NULL;
    size_t count = 0;
    page_open(&page, request, response, PLACE);
    if (!store_outbox_waiting(page.application->store, NULL, SHOWN_MOST + 1, &waiting, &count,
                              &error)) {
        page_fail(&page, &error);
        return;
    }
    json_t *rows = page_put_array(&page, page.data, "mails");
    for (size_t i = 0; i < count && i < SHOWN_MOST; i++)
        put_mail(&page, page_add_object(&page, rows), &waiting[i]);
    page_put(&page, page.data, "has_mails", json_boolean(count > 0));
    page_put(&page, page.data, "has_more", json_boolean(count > SHOWN_MOST));
    store_outbox_waiting_free(waiting, count);
    page_show(&page, "queues/outbox");
}

void page_outbox_retry(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, PLACE);
    if (store_outbox_retry(page.application->store, &error))
        page_redirect(&page, PATH, NULL);
    else
        page_fail(&page, &error);
}

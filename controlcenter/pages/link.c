/* Mailed links: who holds one may look at one incident, or do one thing about it, once. Looking
 * (GET) never acts, because programs that check mail follow links; a form asks first. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/incident_put.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "controlcenter/incidents/act.h"
#include "controlcenter/mail/mailed_link.h"
#include "controlcenter/store/notifications.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define VIEW "view"
#define COMMENT_MOST 4000
#define LOGGED_A_MINUTE 60 /* links that are none */

struct link_page {
    struct page page;
    struct store_link link;
    struct store_incident incident;
    struct incident_folder folder;
    const struct incident_action *action; /* NULL: a link to look */
};

/* --- what cannot be done --- */

static void note(struct link_page *here, const char *what)
{
    struct error error = {0};
    char text[700];
    if (!store_link_log(here->page.application->store, here->link.id, here->page.request->peer,
                        what, &error))
        log_warning("links: %s", error_text(&error, text, sizeof(text)));
}

/* Says politely why the link does not do (any more) what it was for. */
static void refuse(struct link_page *here, int status, const char *why)
{
    struct page *page = &here->page;
    page->response->status = status;
    page_put_true(page, page_put_object(page, page->data, "refused"), why);
    page_show(page, "links/refused");
}

/* Whoever makes tokens up must not fill the administrators' log. */
static bool may_be_logged(void)
{
    static atomic_llong minute;
    static atomic_int lines;
    long long now = timestamp_monotonic_ms() / 60000;
    if (atomic_exchange(&minute, now) != now)
        atomic_store(&lines, 0);
    return atomic_fetch_add(&lines, 1) < LOGGED_A_MINUTE;
}

static void refuse_stranger(struct link_page *here, const char *why)
{
    struct page *page = &here->page;
    struct error error = {0};
    cleanup_json json_t *detail = json_pack("{s:s}", "reason", why);
    if (may_be_logged())
        store_log_add(page->application->store, "", page->request->peer, "link.refused", detail,
                      &error);
    refuse(here, 404, why);
}

/* --- opening --- */

static bool find_link(struct link_page *here, const char *token)
{
    struct store *store = here->page.application->store;
    struct mailed_link_key key;
    struct error error = {0};
    char hash[MAILED_LINK_HASH_SIZE];
    if (!mailed_link_key_read(store, &key, &error)) {
        page_fail(&here->page, &error);
        return false;
    }
    bool genuine = mailed_link_verify(&key, token);
    explicit_bzero(&key, sizeof(key));
    if (!genuine) {
        refuse_stranger(here, "altered");
        return false;
    }
    mailed_link_hash(token, hash);
    if (store_link_get(store, hash, &here->link, &error))
        return true;
    if (error.code == ERROR_NOT_FOUND)
        refuse_stranger(here, "gone");
    else
        page_fail(&here->page, &error);
    return false;
}

static bool find_incident(struct link_page *here)
{
    struct store *store = here->page.application->store;
    struct error error = {0};
    if (!store_incident_get(store, here->link.incident, &here->incident, &error)) {
        if (error.code == ERROR_NOT_FOUND)
            refuse(here, 404, "gone");
        else
            page_fail(&here->page, &error);
        return false;
    }
    if (!incident_folder_find(store, here->incident.folder, &here->folder, &error)) {
        page_fail(&here->page, &error);
        return false;
    }
    if (strcmp(here->link.action, VIEW) == 0)
        return true;
    here->action = incident_folder_action(&here->folder, here->link.action);
    if (!here->action)
        refuse(here, 410, "no_action");
    return here->action != NULL;
}

/* Whether its time and its one use are left. */
static bool is_valid(struct link_page *here)
{
    const char *why = NULL;
    if (here->link.expires_at < timestamp_now_ms())
        why = "expired";
    else if (here->link.used_at)
        why = "used";
    else if (here->action && strcmp(here->incident.state, STORE_INCIDENT_OPEN) != 0)
        why = "decided";
    if (!why)
        return true;
    note(here, why);
    page_put_time(&here->page, here->page.data, "used_at", here->link.used_at);
    if (strcmp(why, "expired") != 0)
        incident_put(&here->page, page_put_object(&here->page, here->page.data, "incident"),
                     &here->incident);
    refuse(here, 410, why);
    return false;
}

static struct link_page *open_link(struct http_request *request, struct http_response *response)
{
    struct link_page *here = calloc(1, sizeof(*here));
    if (!here) {
        http_fail(request, response, 500, NULL);
        return NULL;
    }
    page_open(&here->page, request, response, NULL);
    if (find_link(here, request->captures[0]) && find_incident(here) && is_valid(here))
        return here;
    store_link_clear(&here->link);
    store_incident_clear(&here->incident);
    free(here);
    return NULL;
}

static void close_link(struct link_page *here)
{
    store_link_clear(&here->link);
    store_incident_clear(&here->incident);
    free(here);
}

/* --- looking --- */

static void put_action(struct link_page *here)
{
    struct page *page = &here->page;
    json_t *action = page_put_object(page, page->data, "action");
    page_put_text(page, action, "name", here->action->name);
    page_put_text(page, page->data, "token", page->request->captures[0]);
    page_put_form_secret(page);
}

static void show(struct link_page *here)
{
    struct page *page = &here->page;
    incident_put(page, page_put_object(page, page->data, "incident"), &here->incident);
    page_put_text(page, page->data, "mailed_to", here->link.mailed_to);
    page_put_time(page, page->data, "expires_at", here->link.expires_at);
    incident_put_content(page, &here->incident);
    if (here->action)
        put_action(here);
    page_show(page, "links/link");
}

void page_link(struct http_request *request, struct http_response *response)
{
    struct link_page *here = open_link(request, response);
    if (!here)
        return;
    note(here, "looked");
    show(here);
    close_link(here);
}

/* --- acting --- */

/* The link is used up before the action, so that two who send it at once do not both act. */
static bool act(struct link_page *here, const char *comment, struct error *error)
{
    struct store *store = here->page.application->store;
    struct error ignored = {0};
    if (!store_link_use(store, here->link.id, here->page.request->peer, error))
        return false;
    if (incident_act(store, here->incident.number, here->action->id, here->link.mailed_to, comment,
                     error))
        return true;
    if (error->code != ERROR_EXISTS)
        store_link_unuse(store, here->link.id, &ignored);
    return false;
}

static void answer(struct link_page *here, bool acted, const struct error *error)
{
    struct page *page = &here->page;
    if (acted) {
        note(here, "acted");
        page_put_text(page, page_put_object(page, page->data, "action"), "name",
                      here->action->name);
        incident_put(page, page_put_object(page, page->data, "incident"), &here->incident);
        page_show(page, "links/done");
    } else if (error->code == ERROR_EXISTS) {
        note(here, "used");
        refuse(here, 410, "used");
    } else if (error->code == ERROR_DENIED) {
        note(here, "expired");
        refuse(here, 410, "expired");
    } else {
        page_fail(page, error);
    }
}

void page_link_act(struct http_request *request, struct http_response *response)
{
    struct link_page *here = open_link(request, response);
    struct error error = {0};
    struct form form;
    if (!here)
        return;
    form_open(&form, &here->page);
    const char *comment = form_take_lines(&form, "comment");
    if (strlen(comment) > COMMENT_MOST)
        form_refuse(&form, "comment", "comment_long", json_pack("{s:i}", "most", COMMENT_MOST));
    if (!here->action) {
        refuse(here, 410, "no_action");
    } else if (form.wrong) {
        response->status = 422;
        show(here);
    } else {
        bool acted = act(here, comment, &error);
        answer(here, acted, &error);
    }
    close_link(here);
}

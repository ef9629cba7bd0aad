/* Incidents for templates. */
#include "controlcenter/pages/incident_put.h"

#include "controlcenter/pages/address_rows.h"

#include <stdlib.h>
#include <string.h>

#define RECIPIENTS_SHOWN 100

const char *const incident_states[] = {"open",   "approved", "rejected", "deleted", "bounced",
                                       "routed", "done",     "expired",  NULL};
static const char *const directions[] = {"inbound", "outbound", "internal", NULL};
static const char *const line_words[] = {"created", "comment", "assign", "approve", "reject",
                                         "delete",  "bounce",  "route",  "expired", NULL};

int64_t incident_number(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= 18 && strspn(text, "0123456789") == length
               ? strtoll(text, NULL, 10)
               : 0;
}

void incident_put(struct page *page, json_t *row, const struct store_incident *incident)
{
    page_put_number(page, row, "number", incident->number);
    page_put_text(page, row, "message_id", incident->message_id);
    page_put_text(page, row, "folder", incident->folder);
    page_put_text(page, row, "folder_name", incident->folder_name);
    page_put(page, row, "is_held", json_boolean(incident->quarantine));
    page_put(page, row, "is_open", json_boolean(strcmp(incident->state, STORE_INCIDENT_OPEN) == 0));
    page_put_time(page, row, "received_at", incident->received_at);
    page_put_word(page, row, "direction", incident->direction, directions);
    page_put_word(page, row, "verdict", incident->verdict, page_verdicts);
    page_put_word(page, row, "state", incident->state, incident_states);
    page_put_text(page, row, "host", incident->host);
    page_put_text(page, row, "sender", incident->sender);
    page_put_text(page, row, "subject", incident->subject);
    page_put_text(page, row, "from", incident->header_from);
    page_put_text(page, row, "recipients_text", incident->recipients_text);
    page_put_text(page, row, "filters_text", incident->filters_text);
    page_put_text(page, row, "decided_by", incident->decided_by);
    page_put_text(page, row, "decision", incident->action);
    page_put_time(page, row, "decided_at", incident->decided_at);
    page_put_text(page, row, "assigned_to", incident->assigned_to);
    page_put_size(page, row, "size", incident->size);
    page_put_count(page, row, "recipient_count", (int64_t)json_array_size(incident->recipients));
    address_rows_put(page, row, incident->recipients, "recipients", RECIPIENTS_SHOWN,
                     "more_recipients");
}

/* --- history and actions --- */

bool incident_put_history(struct page *page, int64_t number, struct error *error)
{
    struct store_incident_line *lines = NULL;
    size_t count = 0;
    if (!store_incident_history(page->application->store, number, &lines, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "history");
    for (size_t i = 0; i < count; i++) {
        json_t *row = page_add_object(page, rows);
        page_put_time(page, row, "at", lines[i].at);
        page_put_text(page, row, "who", lines[i].who);
        page_put_word(page, row, "what", lines[i].what, line_words);
        page_put_text(page, row, "detail", lines[i].detail);
        page_put_text(page, row, "comment", lines[i].comment);
    }
    store_incident_history_free(lines, count);
    return true;
}

void incident_put_actions(struct page *page, const struct incident_folder *folder, bool quarantine)
{
    json_t *rows = page_put_array(page, page->data, "actions");
    for (size_t i = 0; i < folder->action_count; i++) {
        const struct incident_action *action = &folder->actions[i];
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "action_id", action->id);
        page_put_text(page, row, "action_name", action->name);
        page_put(page, row, "stays_open", json_boolean(!incident_action_decides(action)));
        json_t *steps = page_put_array(page, row, "steps");
        bool ends_badly = false;
        for (size_t j = 0; j < action->step_count; j++) {
            json_t *step = page_add_object(page, steps);
            enum incident_step_kind kind = action->steps[j].kind;
            page_put_true(page, step, incident_step_name(kind));
            page_put_text(page, step, "value", action->steps[j].value);
            page_put(page, step, "is_further", json_boolean(j > 0));
            ends_badly = ends_badly || kind == INCIDENT_BOUNCE || kind == INCIDENT_DELETE;
        }
        page_put(page, row, "ends_badly", json_boolean(ends_badly));
    }
    page_put(page, page->data, "has_actions", json_boolean(folder->action_count > 0));
    page_put(page, page->data, "is_held", json_boolean(quarantine));
}

/* The messages that go on by themselves. What is made here is not scanned again: it is delivered,
 * or handed over to the Control Center. Header fields stay, so that "Received" fields go on
 * counting and a copy that comes back ends as any loop does. */
#include "scanner/mta/intake_plan.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COPIES_MOST 100 /* of one message: more are a mistake in the filters */
/* Of one incident, so that its info keeps within QUEUE_HANDOVER_INFO_LIMIT in any case. */
#define INCIDENT_RECIPIENTS_MOST 200

/* --- shares --- */

void intake_plan_dress(const struct intake_plan *plan, size_t share, struct queue_draft *draft,
                       struct queue_draft_recipient *recipients, char **header)
{
    const struct intake_share *from = &plan->outcomes->shares[share];
    const char *route = intake_unit_route(from->unit);
    draft->state = from->waits ? QUEUE_TO_BE_SCANNED : QUEUE_TO_BE_DELIVERED;
    if (from->waits) {
        draft->flags |= from->suspect ? QUEUE_FLAG_SUSPECT : 0;
        return;
    }
    *header = intake_plan_header(from->unit);
    draft->extra_header = *header;
    if (intake_unit_requires_tls(from->unit))
        draft->flags |= QUEUE_FLAG_REQUIRE_TLS;
    for (size_t i = 0; route && i < draft->recipient_count; i++)
        recipients[i].route = route;
}

/* What waits is scanned again as it came. */
static const struct intake_body *share_body(const struct intake_plan *plan,
                                            const struct intake_share *share)
{
    return share->waits ? &plan->original : intake_plan_body(plan, share->unit);
}

static void add_unit(struct intake_further *further, const struct intake_message *message,
                     const struct intake_unit *unit)
{
    for (size_t i = 0; i < unit->recipient_count; i++)
        further->recipients[further->draft.recipient_count++] =
            message->recipients[unit->recipients[i]];
}

static bool add_share(struct intake_plan *plan, const struct intake_message *message, size_t share,
                      struct error *error)
{
    const struct intake_outcomes *outcomes = plan->outcomes;
    struct intake_further *further =
        intake_plan_add(plan, message, INTAKE_SPLIT, outcomes->shares[share].recipient_count);
    further->share = share;
    further->draft.envelope_id = message->envelope_id;
    for (size_t i = 0; i < outcomes->unit_count; i++) {
        further->of_units[i] = outcomes->units[i].share == share;
        if (further->of_units[i])
            add_unit(further, message, &outcomes->units[i]);
    }
    intake_plan_dress(plan, share, &further->draft, further->recipients, &further->header);
    return intake_body_copy(message->queue, share_body(plan, &outcomes->shares[share]), NULL, NULL,
                            &further->draft, error);
}

bool intake_plan_add_shares(struct intake_plan *plan, const struct intake_message *message,
                            struct error *error)
{
    for (size_t i = 0; i < plan->outcomes->share_count; i++)
        if (i != plan->kept && !add_share(plan, message, i, error))
            return false;
    return true;
}

/* --- copies --- */

/* Whether the actions of the unit are carried out now, and not when it has been scanned again. */
static bool acts(const struct intake_unit *unit)
{
    return unit->outcome && unit->fate != INTAKE_DEFER && unit->fate != INTAKE_QUARANTINE;
}

static bool is_copy(enum policy_action_kind kind)
{
    return kind == POLICY_ACTION_ADD_RECIPIENT || kind == POLICY_ACTION_BCC ||
           kind == POLICY_ACTION_FORWARD || kind == POLICY_ACTION_ARCHIVE;
}

/* The copy that another unit asked for already. */
static struct intake_further *find_copy(struct intake_plan *plan,
                                        const struct intake_action *action)
{
    for (size_t i = 0; i < plan->further_count; i++) {
        struct intake_further *further = &plan->further[i];
        if (further->kind == INTAKE_COPY && further->action->kind == action->kind &&
            strcasecmp(further->action->address, action->address) == 0)
            return further;
    }
    return NULL;
}

/* An added recipient is another one: who gets the message anyway does not get it twice. */
static bool gets_it_anyway(const struct intake_plan *plan, const struct intake_message *message,
                           const char *address)
{
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        for (size_t j = 0; unit->fate == INTAKE_DELIVER && j < unit->recipient_count; j++)
            if (strcasecmp(message->recipients[unit->recipients[j]].address, address) == 0)
                return true;
    }
    return false;
}

static bool applies(const struct intake_plan *plan, const struct intake_message *message,
                    const struct intake_unit *unit, const struct intake_action *action)
{
    if (!is_copy(action->kind))
        return false;
    if (action->kind != POLICY_ACTION_ADD_RECIPIENT)
        return true;
    return (unit->fate == INTAKE_DELIVER || unit->fate == INTAKE_REMOVE) &&
           !gets_it_anyway(plan, message, action->address);
}

/* Every recipient of the units that the copy is for. */
static void add_archive_fields(const struct intake_plan *plan, const struct intake_message *message,
                               const struct intake_further *further, struct buffer *fields)
{
    buffer_add_format(fields, "X-Gatehouse-Sender: <%s>\r\n", message->sender);
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        for (size_t j = 0; further->of_units[i] && j < unit->recipient_count; j++)
            buffer_add_format(fields, "X-Gatehouse-Recipient: <%s>\r\n",
                              message->recipients[unit->recipients[j]].address);
    }
}

static bool write_copy(const struct intake_plan *plan, const struct intake_message *message,
                       struct intake_further *further, struct error *error)
{
    const struct intake_unit *unit = intake_further_unit(plan, further);
    struct buffer fields = BUFFER_INIT;
    if (further->action->kind == POLICY_ACTION_FORWARD)
        return intake_forward_write(plan, message, unit, further, error);
    if (further->action->kind == POLICY_ACTION_ARCHIVE)
        add_archive_fields(plan, message, further, &fields);
    further->header = intake_plan_header(unit);
    further->draft.extra_header = further->header;
    bool good = intake_body_copy(message->queue, intake_plan_body(plan, unit), &fields, NULL,
                                 &further->draft, error);
    buffer_free(&fields);
    return good;
}

/* The sender shall not hear of copies that nobody told about: neither by our reports, nor, where
 * the copy is none of the sender's own message, by those of others. */
static void add_copy(struct intake_plan *plan, const struct intake_message *message,
                     const struct intake_action *action, size_t unit)
{
    struct intake_further *further = find_copy(plan, action);
    if (!further) {
        further = intake_plan_add(plan, message, INTAKE_COPY, 1);
        further->action = action;
        further->draft.recipient_count = 1;
        further->recipients[0].address = action->address;
        if (action->kind != POLICY_ACTION_ADD_RECIPIENT)
            further->recipients[0].notify = QUEUE_NOTIFY_NEVER;
        if (action->kind == POLICY_ACTION_FORWARD || action->kind == POLICY_ACTION_ARCHIVE)
            further->draft.sender = "";
    }
    further->of_units[unit] = true;
}

bool intake_plan_add_copies(struct intake_plan *plan, const struct intake_message *message,
                            struct error *error)
{
    size_t first = plan->further_count;
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        for (size_t j = 0; acts(unit) && j < unit->outcome->action_count; j++) {
            const struct intake_action *action = &unit->outcome->actions[j];
            if (!applies(plan, message, unit, action))
                continue;
            if (plan->further_count - first < COPIES_MOST || find_copy(plan, action))
                add_copy(plan, message, action, i);
            else
                log_warning("a filter's copy to %s is left out: the message has %d already",
                            action->address, COPIES_MOST);
        }
    }
    for (size_t i = first; i < plan->further_count; i++)
        if (!write_copy(plan, message, &plan->further[i], error))
            return false;
    return true;
}

/* --- incidents --- */

static json_t *addresses(const struct queue_draft *draft)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < draft->recipient_count; i++)
        json_array_append_new(list, json_string(draft->recipients[i].address));
    return list;
}

static const char *direction_name(enum queue_direction direction)
{
    return direction == QUEUE_INBOUND ? "inbound" : "outbound";
}

/* The `info` of docs/architecture.md. Without the finds where it would be too long with them. */
static char *incident_info(const struct intake_plan *plan, const struct intake_message *message,
                           const struct intake_further *further, bool with_finds)
{
    const struct intake_outcome *outcome = intake_further_unit(plan, further)->outcome;
    const struct intake_action *action = further->action;
    char id[MESSAGE_ID_TEXT_SIZE], at[TIMESTAMP_TEXT_SIZE];
    cleanup_json json_t *info = json_pack(
        "{s:s,s:s,s:s,s:b,s:s,s:o,s:o,s:s,s:o,s:s,s:s,s:s,s:s,s:s,s:s}", "kind", "incident",
        "folder", action->folder, "folder_name", action->folder_name, "quarantine",
        (int)action->quarantine, "message", message_id_text(&message->id, id), "filters",
        intake_outcome_filters(outcome), "finds",
        with_finds ? intake_plan_finds(plan, outcome) : json_array(), "sender", message->sender,
        "recipients", addresses(&further->draft), "subject", intake_plan_text(plan, "subject"),
        "from", intake_plan_text(plan, "from"), "direction", direction_name(message->direction),
        "host", message->config->config->host_name, "received_at",
        timestamp_text(message->received_at, at), "verdict", intake_plan_text(plan, "verdict"));
    if (info && *outcome->header)
        json_object_set_new(info, "header", json_string(outcome->header));
    char *text = info ? json_dumps(info, JSON_COMPACT) : NULL;
    if (!text)
        abort();
    return text;
}

/* What is handed over is what was found something in, and not what the filters made of it: that is
 * the evidence, and who approves it sees what goes on. */
static bool add_incident(struct intake_plan *plan, const struct intake_message *message,
                         size_t index, const struct intake_action *action, size_t first,
                         struct error *error)
{
    const struct intake_unit *unit = &plan->outcomes->units[index];
    struct intake_further *further =
        intake_plan_add(plan, message, INTAKE_INCIDENT, INCIDENT_RECIPIENTS_MOST);
    further->action = action;
    further->of_units[index] = true;
    for (size_t i = first; i < unit->recipient_count && i - first < INCIDENT_RECIPIENTS_MOST; i++)
        further->recipients[further->draft.recipient_count++] =
            message->recipients[unit->recipients[i]];
    further->first_recipient = first;
    further->draft.state = QUEUE_TO_BE_HANDED_OVER;
    further->header = incident_info(plan, message, further, true);
    if (strlen(further->header) > QUEUE_HANDOVER_INFO_LIMIT) {
        free(further->header);
        further->header = incident_info(plan, message, further, false);
    }
    further->draft.extra_header = further->header;
    const struct intake_body *body =
        unit->malware->action == CONFIG_ACTION_CLEAN ? &plan->cleaned : &plan->original;
    return intake_body_copy(message->queue, body, NULL, NULL, &further->draft, error);
}

/* One with very many recipients is several incidents. */
static bool add_incidents(struct intake_plan *plan, const struct intake_message *message,
                          size_t index, const struct intake_action *action, struct error *error)
{
    size_t count = plan->outcomes->units[index].recipient_count;
    for (size_t first = 0; first < count; first += INCIDENT_RECIPIENTS_MOST)
        if (!add_incident(plan, message, index, action, first, error))
            return false;
    return true;
}

/* The folder that holds the message is that of the filter that decided. */
static const struct intake_action *holding_action(const struct intake_outcome *outcome)
{
    const struct intake_action *first = NULL;
    for (size_t i = 0; i < outcome->action_count; i++) {
        const struct intake_action *action = &outcome->actions[i];
        if (action->kind != POLICY_ACTION_INCIDENT || !action->quarantine)
            continue;
        if (action->filter && outcome->decided_by &&
            strcmp(action->filter, outcome->decided_by) == 0)
            return action;
        first = first ? first : action;
    }
    return first;
}

/* Folders that keep copies get one each, whatever becomes of the message. */
static bool is_wanted(const struct intake_unit *unit, const struct intake_action *action)
{
    if (action->kind != POLICY_ACTION_INCIDENT)
        return false;
    return action->quarantine ? unit->fate == INTAKE_HOLD && action == holding_action(unit->outcome)
                              : true;
}

bool intake_plan_add_incidents(struct intake_plan *plan, const struct intake_message *message,
                               struct error *error)
{
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        for (size_t j = 0; acts(unit) && j < unit->outcome->action_count; j++)
            if (is_wanted(unit, &unit->outcome->actions[j]) &&
                !add_incidents(plan, message, i, &unit->outcome->actions[j], error))
                return false;
    }
    return true;
}

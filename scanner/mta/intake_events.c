#include "scanner/mta/intake_plan.h"

#include "common/cleanup.h"
#include "common/utf8.h"
#include "scanner/mta/audit_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_MOST                                                                                 \
    (200u << 10) /* bytes of the event "filters"; the Control Center takes 256 KiB                 \
                  */
#define FINDS_MOST 20
#define FIND_TEXT_MOST 100
#define DETAIL_SIZE (POLICY_DETAIL_SIZE + 300)
#define POLICY_NAME_SIZE 256
#define FAILED_SIZE 600

/* --- indices of the audit log --- */

static uint32_t index_of(const struct intake_message *message, uint32_t position)
{
    return message->indices ? message->indices[position] : position;
}

static uint32_t *indices_of(const struct intake_message *message, const struct intake_unit *unit)
{
    uint32_t *indices = calloc(unit->recipient_count + 1, sizeof(*indices));
    if (!indices)
        abort();
    for (size_t i = 0; i < unit->recipient_count; i++)
        indices[i] = index_of(message, unit->recipients[i]);
    return indices;
}

static json_t *some_indices_json(const struct intake_message *message,
                                 const struct intake_unit *unit, size_t first, size_t count)
{
    json_t *list = json_array();
    for (size_t i = first; list && i < first + count; i++)
        json_array_append_new(list, json_integer(index_of(message, unit->recipients[i])));
    return list;
}

static json_t *indices_json(const struct intake_message *message, const struct intake_unit *unit)
{
    return some_indices_json(message, unit, 0, unit->recipient_count);
}

/* --- filters --- */

/* At most so many bytes, whole characters. */
static json_t *cut_text(const char *text, size_t most)
{
    size_t length = strlen(text);
    if (length > most)
        for (length = most; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    return json_stringn(text, length);
}

static json_t *finds_json(const struct intake_plan *plan)
{
    json_t *list = json_array();
    const json_t *find;
    size_t index;
    if (!plan->answer)
        return list;
    json_array_foreach((json_t *)plan->answer->finds, index, find)
    {
        const char *text = json_string_value(json_object_get(find, "text"));
        json_t *copy = index < FINDS_MOST ? json_copy((json_t *)find) : NULL;
        if (copy && text)
            json_object_set_new(copy, "text", cut_text(text, FIND_TEXT_MOST));
        if (copy)
            json_array_append_new(list, copy);
    }
    return list;
}

static json_t *copies_json(const struct intake_plan *plan, size_t unit)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    json_t *list = json_array();
    for (size_t i = 0; list && i < plan->further_count; i++)
        if (plan->further[i].of_units[unit] && plan->further[i].kind != INTAKE_INCIDENT)
            json_array_append_new(list,
                                  json_string(message_id_text(&plan->further[i].draft.id, id)));
    return list;
}

/* As the fates of this message stand, of which the filters' disposition is a part. */
static const char *disposition_name(const struct intake_unit *unit)
{
    static const char *const names[] = {
        [INTAKE_DELETE] = "delete", [INTAKE_REJECT] = "reject",         [INTAKE_BOUNCE] = "bounce",
        [INTAKE_DEFER] = "defer",   [INTAKE_QUARANTINE] = "quarantine", [INTAKE_HOLD] = "hold",
        [INTAKE_REMOVE] = "delete", [INTAKE_DELIVER] = "deliver"};
    return names[unit->fate];
}

static bool was_met(const struct intake_unit *unit)
{
    return unit->outcome && json_array_size(unit->outcome->filters) > 0;
}

static json_t *outcomes_json(const struct intake_plan *plan, const struct intake_message *message)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        if (was_met(unit))
            json_array_append_new(
                list, json_pack("{s:o,s:s,s:o,s:s*,s:o}", "recipients", indices_json(message, unit),
                                "disposition", disposition_name(unit), "filters",
                                intake_outcome_filters(unit->outcome), "decided_by",
                                unit->outcome->decided_by, "copies", copies_json(plan, i)));
    }
    return list;
}

/* Notifications of what is scanned again are sent when it is decided. */
static json_t *notify_json(const struct intake_plan *plan, const struct intake_message *message)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        bool acts = unit->outcome && unit->fate != INTAKE_DEFER && unit->fate != INTAKE_QUARANTINE;
        for (size_t j = 0; acts && j < unit->outcome->action_count; j++) {
            const struct intake_action *action = &unit->outcome->actions[j];
            if (action->kind == POLICY_ACTION_NOTIFY)
                json_array_append_new(list, json_pack("{s:s,s:O,s:s*,s:o}", "template",
                                                      action->template_id, "to", action->to,
                                                      "filter", action->filter, "recipients",
                                                      indices_json(message, unit)));
        }
    }
    return list;
}

static void write_filters(const struct intake_plan *plan, const struct intake_message *message,
                          struct buffer *events)
{
    const char *problem = plan->answer ? plan->answer->problem : "";
    char failed[FAILED_SIZE];
    if (plan->problem) {
        snprintf(failed, sizeof(failed), "the filters could not be evaluated: %s", plan->problem);
        failed[utf8_scrub(failed, strlen(failed))] = '\0';
        problem = failed;
    }
    cleanup_json json_t *outcomes = outcomes_json(plan, message);
    if (json_array_size(outcomes) == 0 && !*problem)
        return;
    cleanup_json json_t *event =
        json_pack("{s:O,s:o,s:o,s:I}", "outcomes", outcomes, "finds", finds_json(plan), "notify",
                  notify_json(plan, message), "configuration_version",
                  (json_int_t)message->config->config->version);
    if (!event)
        abort();
    if (*problem)
        json_object_set_new(event, "problem", json_string(problem));
    if (json_dumpb(event, NULL, 0, JSON_COMPACT) > EVENT_MOST) {
        json_object_set_new(event, "finds", json_array());
        json_object_set_new(event, "outcomes", json_array());
        json_object_set_new(event, "problem",
                            json_string("what the filters say is too long for the audit log"));
    }
    audit_members(events, &message->id, "filters", event);
}

static void write_incident(const struct intake_plan *plan, const struct intake_message *message,
                           const struct intake_further *further, struct buffer *events)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    const struct intake_unit *unit = intake_further_unit(plan, further);
    const struct intake_action *action = further->action;
    cleanup_json json_t *event = json_pack(
        "{s:s,s:s,s:b,s:o,s:o,s:s}", "folder", action->folder, "folder_name", action->folder_name,
        "quarantine", (int)action->quarantine, "filters", intake_outcome_filters(unit->outcome),
        "recipients",
        some_indices_json(message, unit, further->first_recipient, further->draft.recipient_count),
        "copy", message_id_text(&further->draft.id, id));
    if (!event)
        abort();
    audit_members(events, &message->id, "incident", event);
}

/* --- actions --- */

static const char *action_name(const struct intake_plan *plan, const struct intake_unit *unit)
{
    switch (unit->fate) {
    case INTAKE_REJECT:
        if (plan->is_refused)
            return "reject";
        return intake_unit_bounces(unit) ? "bounce" : "delete";
    case INTAKE_DELIVER:
        return unit->malware->action == CONFIG_ACTION_CLEAN ? "clean" : "deliver";
    default:
        return disposition_name(unit);
    }
}

/* What a malware policy found is told also where a filter decides. */
static void write_malware(struct buffer *events, const struct message_id *id,
                          const struct intake_unit *unit, const char *decided,
                          const uint32_t *indices)
{
    const struct policy_decision *malware = unit->malware;
    if (malware->policy && malware->policy != decided)
        audit_action(events, id, config_action_name(malware->action), malware->policy, indices,
                     unit->recipient_count, malware->detail);
}

static void write_detail(const struct intake_unit *unit, const char *decided, char *detail,
                         size_t size)
{
    detail[0] = '\0';
    if (decided && decided == unit->malware->policy)
        snprintf(detail, size, "%s", unit->malware->detail);
    else if (unit->fate == INTAKE_REJECT || unit->fate == INTAKE_BOUNCE ||
             unit->fate == INTAKE_DEFER)
        intake_unit_reply(unit, detail, size);
    else if (unit->fate == INTAKE_REMOVE)
        snprintf(detail, size, "the filter removed the recipient");
}

/* `origin` is the message that this one goes on from, or NULL. */
static void write_action(const struct intake_plan *plan, const struct message_id *id,
                         const struct intake_unit *unit, const uint32_t *indices,
                         const struct message_id *origin, struct buffer *events)
{
    char name[POLICY_NAME_SIZE], detail[DETAIL_SIZE], other[MESSAGE_ID_TEXT_SIZE];
    const char *policy = intake_unit_policy(unit, name, sizeof(name));
    write_malware(events, id, unit, policy, indices);
    write_detail(unit, policy, detail, sizeof(detail));
    size_t length = strlen(detail);
    if (origin)
        snprintf(detail + length, sizeof(detail) - length, "%sout of message %s",
                 length > 0 ? "; " : "", message_id_text(origin, other));
    audit_action(events, id, action_name(plan, unit), policy, indices, unit->recipient_count,
                 detail);
}

static const struct intake_further *share_message(const struct intake_plan *plan, size_t share)
{
    for (size_t i = 0; i < plan->further_count; i++)
        if (plan->further[i].kind == INTAKE_SPLIT && plan->further[i].share == share)
            return &plan->further[i];
    return NULL;
}

/* The recipients are another message's from now on. */
static void write_move(const struct message_id *id, const struct intake_unit *unit,
                       const struct intake_further *further, const uint32_t *indices,
                       struct buffer *events)
{
    char name[POLICY_NAME_SIZE], detail[DETAIL_SIZE], other[MESSAGE_ID_TEXT_SIZE];
    const char *found = unit->malware->detail;
    bool cleaned = unit->malware->action == CONFIG_ACTION_CLEAN;
    snprintf(detail, sizeof(detail), "%s%s%s as message %s", found, *found ? "; " : "",
             cleaned ? "goes on without it" : "goes on",
             message_id_text(&further->draft.id, other));
    audit_action(events, id, "move", intake_unit_policy(unit, name, sizeof(name)), indices,
                 unit->recipient_count, detail);
}

static void write_bounced(const struct intake_plan *plan, const struct intake_message *message,
                          size_t index, struct buffer *events)
{
    const struct intake_unit *unit = &plan->outcomes->units[index];
    const struct message_id *dsn = NULL;
    char reply[INTAKE_REPLY_SIZE];
    if (plan->is_refused || (unit->fate != INTAKE_REJECT && unit->fate != INTAKE_BOUNCE) ||
        !intake_unit_bounces(unit))
        return;
    for (size_t i = 0; i < plan->further_count; i++)
        if (plan->further[i].kind == INTAKE_REPORT && plan->further[i].of_units[index])
            dsn = &plan->further[i].draft.id;
    intake_unit_reply(unit, reply, sizeof(reply));
    for (size_t i = 0; i < unit->recipient_count; i++) {
        const struct queue_draft_recipient *to = &message->recipients[unit->recipients[i]];
        bool told = dsn && (to->notify == 0 || (to->notify & QUEUE_NOTIFY_FAILURE));
        audit_bounced(events, &message->id, index_of(message, unit->recipients[i]), to->address,
                      reply, told ? dsn : NULL);
    }
}

static void write_unit(const struct intake_plan *plan, const struct intake_message *message,
                       size_t index, struct buffer *events)
{
    const struct intake_unit *unit = &plan->outcomes->units[index];
    cleanup_free uint32_t *indices = indices_of(message, unit);
    const struct intake_further *further =
        unit->share != INTAKE_NO_SHARE ? share_message(plan, unit->share) : NULL;
    if (further)
        write_move(&message->id, unit, further, indices, events);
    else
        write_action(plan, &message->id, unit, indices, NULL, events);
    write_bounced(plan, message, index, events);
}

/* --- messages that go on by themselves --- */

static void announce(const struct intake_message *message, struct intake_further *further)
{
    struct queue_draft *draft = &further->draft;
    bool report = further->kind == INTAKE_REPORT;
    struct transaction transaction = {.direction = draft->direction,
                                      .helo = report ? message->config->config->host_name : "",
                                      .protocol = report ? "" : "internal"};
    struct audit_envelope envelope = {draft->sender, draft->recipients, draft->recipient_count,
                                      draft->large_fd >= 0 ? draft->large_length
                                                           : draft->body.length};
    audit_received(&draft->events, &draft->id, &transaction, &envelope);
}

/* The recipients of the units stand one behind the other. */
static void write_split(const struct intake_plan *plan, const struct intake_message *message,
                        struct intake_further *further)
{
    uint32_t next = 0;
    audit_scanned(&further->draft.events, &further->draft.id, plan->result);
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        cleanup_free uint32_t *indices = calloc(unit->recipient_count + 1, sizeof(*indices));
        if (!indices)
            abort();
        for (size_t j = 0; further->of_units[i] && j < unit->recipient_count; j++)
            indices[j] = next++;
        if (further->of_units[i])
            write_action(plan, &further->draft.id, unit, indices, &message->id,
                         &further->draft.events);
    }
}

static void write_copy(const struct intake_plan *plan, const struct intake_message *message,
                       struct intake_further *further)
{
    static const char *const names[POLICY_ACTIONS] = {[POLICY_ACTION_ADD_RECIPIENT] =
                                                          "added recipient",
                                                      [POLICY_ACTION_BCC] = "blind copy",
                                                      [POLICY_ACTION_FORWARD] = "forwarded",
                                                      [POLICY_ACTION_ARCHIVE] = "archived"};
    char detail[DETAIL_SIZE], policy[POLICY_NAME_SIZE], id[MESSAGE_ID_TEXT_SIZE];
    const uint32_t first = 0;
    const struct intake_action *action = further->action;
    const struct intake_outcome *outcome = intake_further_unit(plan, further)->outcome;
    snprintf(policy, sizeof(policy), "filter: %s",
             intake_outcome_filter_name(outcome, action->filter));
    snprintf(detail, sizeof(detail), "%s, of message %s", names[action->kind],
             message_id_text(&message->id, id));
    audit_action(&further->draft.events, &further->draft.id, "deliver", policy, &first, 1, detail);
}

static void write_further(const struct intake_plan *plan, const struct intake_message *message,
                          struct intake_further *further)
{
    if (further->kind == INTAKE_INCIDENT)
        return; /* it is the Control Center's, which has it from the other message's log */
    announce(message, further);
    if (further->kind == INTAKE_SPLIT)
        write_split(plan, message, further);
    else if (further->kind == INTAKE_COPY)
        write_copy(plan, message, further);
}

void intake_plan_write_events(struct intake_plan *plan, const struct intake_message *message,
                              struct buffer *events)
{
    audit_scanned(events, &message->id, plan->result);
    write_filters(plan, message, events);
    for (size_t i = 0; i < plan->further_count; i++)
        if (plan->further[i].kind == INTAKE_INCIDENT)
            write_incident(plan, message, &plan->further[i], events);
    for (size_t i = 0; i < plan->outcomes->unit_count; i++)
        write_unit(plan, message, i, events);
    for (size_t i = 0; i < plan->further_count; i++)
        write_further(plan, message, &plan->further[i]);
}

/* --- the order of recipients --- */

static json_t *reorder(const json_t *recipients, const uint32_t *indices, size_t count)
{
    size_t size = json_array_size(recipients);
    json_t *list = json_array();
    for (size_t i = 0; i < size; i++)
        json_array_append(list, json_array_get(recipients, i));
    for (size_t i = 0; i < count && i < size; i++)
        json_array_set(list, indices[i], json_array_get(recipients, i));
    return list;
}

void intake_reorder_received(struct buffer *events, const uint32_t *indices, size_t count)
{
    const char *text = buffer_text(events), *end = strchr(text, '\n');
    struct buffer rewritten = BUFFER_INIT;
    cleanup_json json_t *event = end ? json_loadb(text, (size_t)(end - text), 0, NULL) : NULL;
    if (!event)
        abort(); /* it was written by this process */
    json_object_set_new(event, "recipients",
                        reorder(json_object_get(event, "recipients"), indices, count));
    cleanup_free char *line = json_dumps(event, JSON_COMPACT);
    buffer_add_text(&rewritten, line);
    buffer_add(&rewritten, end, events->length - (size_t)(end - text));
    buffer_free(events);
    *events = rewritten;
}

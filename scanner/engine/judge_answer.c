#include "scanner/engine/judge_private.h"

#define TRACE_MOST 5000             /* rows */
#define TRACE_CONDITIONS_MOST 50000 /* of all rows together */

static const char *const dispositions[] = {
    [POLICY_DISPOSE_DELIVER] = "deliver", [POLICY_DISPOSE_DELETE] = "delete",
    [POLICY_DISPOSE_REJECT] = "reject",   [POLICY_DISPOSE_BOUNCE] = "bounce",
    [POLICY_DISPOSE_DEFER] = "defer",     [POLICY_DISPOSE_HOLD] = "hold",
};

/* --- actions --- */

static json_t *incident(const struct policy_set *set, const struct policy_filter *filter,
                        const struct policy_action *action)
{
    for (size_t i = 0; i < set->folder_count; i++) {
        const struct policy_folder *folder = &set->folders[i];
        if (strcmp(folder->id, action->id) == 0)
            return json_pack("{s:s,s:s,s:s,s:b,s:s}", "action", "incident", "folder", folder->id,
                             "folder_name", folder->name, "quarantine", folder->quarantine,
                             "filter", filter->id);
    }
    return NULL;
}

static json_t *notify(const struct policy_filter *filter, const struct policy_action *action)
{
    json_t *to = json_array();
    for (size_t i = 0; i < action->to.count; i++)
        json_array_append_new(to, json_string(action->to.items[i]));
    return json_pack("{s:s,s:s,s:s,s:o}", "action", "notify", "filter", filter->id, "template",
                     action->id, "to", to);
}

/* NULL for what is done already, in the disposition, the body or the header. */
static json_t *action_of(const struct policy_set *set, const struct policy_fired *fired)
{
    const struct policy_filter *filter = &set->filters[fired->filter];
    const struct policy_action *action = &filter->actions[fired->action];
    const char *name = policy_action_kind_name(action->kind);
    switch (action->kind) {
    case POLICY_ACTION_INCIDENT:
        return incident(set, filter, action);
    case POLICY_ACTION_NOTIFY:
        return notify(filter, action);
    case POLICY_ACTION_ADD_RECIPIENT:
    case POLICY_ACTION_BCC:
    case POLICY_ACTION_FORWARD:
    case POLICY_ACTION_ARCHIVE:
        return json_pack("{s:s,s:s}", "action", name, "address", action->address);
    case POLICY_ACTION_ROUTE:
        return json_pack("{s:s,s:s}", "action", name, "host", action->address);
    case POLICY_ACTION_REMOVE_RECIPIENTS:
    case POLICY_ACTION_REQUIRE_TLS:
        return json_pack("{s:s}", "action", name);
    default:
        return NULL;
    }
}

static json_t *actions_of(const struct policy_set *set, const struct policy_outcome *outcome)
{
    json_t *array = json_array();
    for (size_t i = 0; i < outcome->fired_count; i++) {
        json_t *action = action_of(set, &outcome->fired[i]);
        if (action)
            json_array_append_new(array, action);
    }
    return array;
}

/* --- outcomes --- */

static json_t *recipients_of(const struct policy_outcome *outcome, const bool *wants_clean,
                             bool clean)
{
    json_t *array = json_array();
    for (size_t i = 0; i < outcome->recipient_count; i++)
        if (!wants_clean || wants_clean[outcome->recipients[i]] == clean)
            json_array_append_new(array, json_integer(outcome->recipients[i]));
    return array;
}

static json_t *filters_of(const struct policy_set *set, const struct policy_outcome *outcome)
{
    json_t *array = json_array();
    for (size_t i = 0; i < outcome->filter_count; i++) {
        const struct policy_filter *filter = &set->filters[outcome->filters[i]];
        json_array_append_new(array,
                              json_pack("{s:s,s:s}", "id", filter->id, "name", filter->name));
    }
    return array;
}

/* What the sender is told; NULL for nothing. */
static const char *text_of(const struct policy_filter *filter, enum policy_disposition disposition)
{
    enum policy_action_kind kind =
        disposition == POLICY_DISPOSE_REJECT ? POLICY_ACTION_REJECT : POLICY_ACTION_BOUNCE;
    if (disposition != POLICY_DISPOSE_REJECT && disposition != POLICY_DISPOSE_BOUNCE)
        return NULL;
    for (size_t i = 0; i < filter->action_count; i++)
        if (filter->actions[i].kind == kind)
            return filter->actions[i].value;
    return NULL;
}

json_t *judge_answer_outcome(const struct policy_set *set, const struct policy_outcome *outcome,
                             const bool *wants_clean, bool clean)
{
    json_t *recipients = recipients_of(outcome, wants_clean, clean);
    if (json_array_size(recipients) == 0) {
        json_decref(recipients);
        return NULL;
    }
    json_t *object = json_pack("{s:o,s:s,s:o,s:o}", "recipients", recipients, "disposition",
                               dispositions[outcome->disposition], "filters",
                               filters_of(set, outcome), "actions", actions_of(set, outcome));
    if (!object || outcome->decided_by >= set->filter_count)
        return object;
    const struct policy_filter *filter = &set->filters[outcome->decided_by];
    const char *text = text_of(filter, outcome->disposition);
    json_object_set_new(object, "decided_by", json_string(filter->id));
    if (text && *text)
        json_object_set_new(object, "text", json_string(text));
    return object;
}

/* --- finds and trace --- */

json_t *judge_answer_finds(const struct policy_set *set, const struct policy_result *result)
{
    json_t *array = json_array();
    for (size_t i = 0; i < result->find_count; i++) {
        const struct policy_find *find = &result->finds[i];
        const struct policy_filter *filter = &set->filters[find->filter];
        json_array_append_new(
            array, json_pack("{s:s,s:s,s:I,s:s,s:s,s:s,s:I,s:I}", "filter", filter->id, "name",
                             filter->name, "condition", (json_int_t)find->condition, "part",
                             find->part, "field", find->field, "text", find->text, "offset",
                             (json_int_t)find->offset, "length", (json_int_t)find->length));
    }
    return array;
}

static json_t *conditions_of(const struct policy_trace *trace)
{
    static const char *const names[] = {"not_met", "met", "skipped", "limit"};
    json_t *array = json_array();
    for (size_t i = 0; i < trace->condition_count; i++)
        json_array_append_new(array, json_string(names[trace->conditions[i] & 3]));
    return array;
}

static json_t *row_of(const struct policy_set *set, const struct policy_trace *trace)
{
    return json_pack("{s:s,s:I,s:b,s:b,s:o}", "filter", set->filters[trace->filter].id, "recipient",
                     (json_int_t)trace->recipient, "applies", trace->applies, "met", trace->met,
                     "conditions", conditions_of(trace));
}

json_t *judge_answer_trace(const struct policy_set *set, const struct policy_result *result)
{
    json_t *array = json_array();
    bool only_applying = result->trace_count > TRACE_MOST;
    size_t conditions = 0;
    for (size_t i = 0; i < result->trace_count && json_array_size(array) < TRACE_MOST; i++) {
        const struct policy_trace *trace = &result->trace[i];
        if (only_applying && !trace->applies)
            continue;
        conditions += trace->condition_count;
        if (conditions > TRACE_CONDITIONS_MOST)
            break;
        json_array_append_new(array, row_of(set, trace));
    }
    return array;
}

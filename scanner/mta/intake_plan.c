#include "scanner/mta/intake_plan.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/retry.h"

#include <stdlib.h>
#include <string.h>

#define FILTERS_MOST 100        /* that are named of an outcome */
#define BODY_MARGIN (16u << 20) /* that annotations and repacked archives may add */

/* --- the filters' answer --- */

const char *intake_plan_text(const struct intake_plan *plan, const char *member)
{
    const char *text = json_string_value(json_object_get(plan->result, member));
    return text ? text : "";
}

static bool fail_filters(struct intake_plan *plan, const char *reason)
{
    free(plan->problem);
    plan->problem = strdup(*reason ? reason : "the engine did not evaluate them");
    if (!plan->problem)
        abort();
    intake_answer_free(plan->answer);
    plan->answer = NULL;
    return true;
}

static bool is_used(const struct intake_answer *answer, size_t body)
{
    for (size_t i = 0; i < answer->outcome_count; i++)
        if (answer->outcomes[i].body == body)
            return true;
    return false;
}

static bool read_bodies(struct intake_plan *plan, const struct intake_message *message,
                        const struct scan_answer *answer, struct error *error)
{
    plan->body_count = answer->body_count;
    plan->bodies = calloc(answer->body_count + 1, sizeof(*plan->bodies));
    if (!plan->bodies)
        abort();
    for (size_t i = 0; i < answer->body_count; i++)
        plan->bodies[i].large_fd = -1;
    for (size_t i = 0; i < answer->body_count; i++)
        if (is_used(plan->answer, i) &&
            !intake_body_read(message->queue, answer->bodies[i], 2 * message->size + BODY_MARGIN,
                              &plan->bodies[i], error))
            return false;
    return true;
}

/* False where the reason lies with this host. */
static bool read_answer(struct intake_plan *plan, const struct intake_message *message,
                        const struct scan_answer *answer, struct error *error)
{
    struct error reason = {0};
    if (!message->config->has_filters)
        return true;
    if (answer->policy < 0)
        return fail_filters(plan, intake_plan_text(plan, "policy_problem"));
    plan->answer =
        intake_answer_read(answer->policy, message->recipient_count, answer->body_count, &reason);
    if (!plan->answer) {
        log_error("engine: the policy's answer is wrong: %s: %s", reason.where, reason.message);
        return fail_filters(plan, reason.message);
    }
    if (read_bodies(plan, message, answer, &reason))
        return true;
    if (reason.code == ERROR_PROTOCOL)
        return fail_filters(plan, reason.message);
    *error = reason;
    return false;
}

/* Nobody knows what the filters would have said, so the message is none that was scanned. */
static void make_unscannable(struct intake_plan *plan)
{
    json_t *result = json_copy(plan->result), *verdicts = json_array();
    const char *verdict = intake_plan_text(plan, "verdict");
    json_array_extend(verdicts, json_object_get(plan->result, "verdicts"));
    json_array_append_new(verdicts, json_string("unscannable"));
    if (!result || json_object_set_new(result, "verdicts", verdicts) != 0)
        abort();
    if (strcmp(verdict, "clean") == 0) {
        json_object_set_new(result, "verdict", json_string("unscannable"));
        json_object_set_new(result, "reason", json_string(plan->problem));
    }
    json_decref(plan->result);
    plan->result = result;
}

/* --- who keeps the message --- */

static uint32_t attempts_of(const struct intake_message *message, const struct intake_unit *unit)
{
    uint32_t most = 0;
    for (size_t i = 0; message->attempts && i < unit->recipient_count; i++)
        if (message->attempts[unit->recipients[i]] > most)
            most = message->attempts[unit->recipients[i]];
    return most;
}

/* What is kept for later is returned when its lifetime is over, as mail that cannot be delivered.
 */
static void end_delays(struct intake_plan *plan, const struct intake_message *message)
{
    const struct config_delivery *limits = &message->config->config->delivery;
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        struct intake_unit *unit = &plan->outcomes->units[i];
        if (unit->fate == INTAKE_DEFER && !message->in_session &&
            retry_next_attempt(limits, attempts_of(message, unit) + 1, message->received_at,
                               timestamp_now_ms(), 0) == 0)
            unit->fate = INTAKE_BOUNCE;
    }
}

/* A message in the queue never changes: another body or way is that of another message. */
static bool can_stay(const struct intake_message *message, const struct intake_unit *unit)
{
    if (message->in_session)
        return true;
    bool other_body = unit->malware->action == CONFIG_ACTION_CLEAN ||
                      (unit->outcome && unit->outcome->body != INTAKE_BODY_AS_IT_CAME);
    return !other_body && !intake_unit_route(unit) && !intake_unit_requires_tls(unit);
}

/* The first share that is delivered, so that one message of the audit log goes through to its
 * recipients. What waits in the queue already goes on waiting there: it would else be copied with
 * every scan. */
static void choose_kept(struct intake_plan *plan, const struct intake_message *message)
{
    const struct intake_outcomes *outcomes = plan->outcomes;
    size_t waiting = INTAKE_NO_SHARE, delivered = INTAKE_NO_SHARE;
    for (size_t i = outcomes->share_count; i-- > 0;) {
        if (outcomes->shares[i].waits)
            waiting = i;
        else if (can_stay(message, outcomes->shares[i].unit))
            delivered = i;
    }
    bool waits_first = waiting != INTAKE_NO_SHARE && !message->in_session;
    plan->kept = waits_first || delivered == INTAKE_NO_SHARE ? waiting : delivered;
}

static void refuse_in_session(struct intake_plan *plan, const struct intake_message *message)
{
    const struct intake_outcomes *outcomes = plan->outcomes;
    plan->is_refused = message->in_session && (intake_outcomes_all(outcomes, INTAKE_REJECT) ||
                                               intake_outcomes_all(outcomes, INTAKE_DEFER));
    if (plan->is_refused)
        intake_unit_reply(&outcomes->units[0], plan->reply, sizeof(plan->reply));
}

bool intake_plan_keeps(const struct intake_plan *plan, const struct intake_unit *unit)
{
    return unit->share != INTAKE_NO_SHARE && unit->share == plan->kept;
}

/* --- the messages --- */

struct intake_further *intake_plan_add(struct intake_plan *plan,
                                       const struct intake_message *message,
                                       enum intake_further_kind kind, size_t recipients)
{
    struct intake_further *more =
        realloc(plan->further, (plan->further_count + 1) * sizeof(*plan->further));
    if (!more)
        abort();
    plan->further = more;
    struct intake_further *further = &more[plan->further_count++];
    *further = (struct intake_further){.kind = kind, .share = INTAKE_NO_SHARE};
    further->recipients = calloc(recipients + 1, sizeof(*further->recipients));
    further->of_units = calloc(plan->outcomes->unit_count + 1, sizeof(bool));
    if (!further->recipients || !further->of_units)
        abort();
    further->draft = (struct queue_draft){
        .id = message_id_new(),
        .direction = message->direction,
        .state = QUEUE_TO_BE_DELIVERED,
        .flags = message->flags & (uint8_t) ~(QUEUE_FLAG_SUSPECT | QUEUE_FLAG_DELAY_WARNED),
        .received_at = message->received_at,
        .sender = message->sender,
        .recipients = further->recipients,
        .large_fd = -1};
    return further;
}

const struct intake_unit *intake_further_unit(const struct intake_plan *plan,
                                              const struct intake_further *further)
{
    size_t at = 0;
    while (at + 1 < plan->outcomes->unit_count && !further->of_units[at])
        at++;
    return &plan->outcomes->units[at];
}

static const json_t *find_filter(const struct intake_outcome *outcome, const char *id)
{
    const json_t *filter;
    size_t index;
    json_array_foreach((json_t *)outcome->filters, index, filter)
    {
        if (strcmp(json_string_value(json_object_get(filter, "id")), id) == 0)
            return filter;
    }
    return NULL;
}

const char *intake_outcome_filter_name(const struct intake_outcome *outcome, const char *id)
{
    const json_t *filter = id ? find_filter(outcome, id) : NULL;
    if (filter)
        return json_string_value(json_object_get(filter, "name"));
    return outcome->name ? outcome->name : "";
}

json_t *intake_outcome_filters(const struct intake_outcome *outcome)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < FILTERS_MOST; i++)
        json_array_append(list, json_array_get(outcome->filters, i));
    return list;
}

json_t *intake_plan_finds(const struct intake_plan *plan, const struct intake_outcome *outcome)
{
    const json_t *find;
    size_t index;
    json_t *list = json_array();
    json_array_foreach((json_t *)plan->answer->finds, index, find)
    {
        const char *id = json_string_value(json_object_get(find, "filter"));
        if (id && find_filter(outcome, id))
            json_array_append(list, (json_t *)find);
    }
    return list;
}

const struct intake_body *intake_plan_body(const struct intake_plan *plan,
                                           const struct intake_unit *unit)
{
    if (unit->outcome && unit->outcome->body != INTAKE_BODY_AS_IT_CAME)
        return &plan->bodies[unit->outcome->body];
    return unit->malware->action == CONFIG_ACTION_CLEAN ? &plan->cleaned : &plan->original;
}

char *intake_plan_header(const struct intake_unit *unit)
{
    const char *filters = unit->outcome ? unit->outcome->header : "";
    struct buffer header = BUFFER_INIT;
    buffer_add_text(&header, unit->malware->header);
    buffer_add_text(&header, filters);
    if (header.length > 0)
        return buffer_take(&header);
    buffer_free(&header);
    return NULL;
}

/* --- life --- */

/* Whether a message that goes on by itself, or a report, needs the text that came. */
static bool needs_original(const struct intake_plan *plan, const struct intake_message *message)
{
    if (message->in_session)
        return true; /* it is at hand */
    for (size_t i = 0; i < plan->outcomes->unit_count; i++) {
        const struct intake_unit *unit = &plan->outcomes->units[i];
        if (unit->fate != INTAKE_DELETE && !intake_plan_keeps(plan, unit))
            return true;
        if (unit->outcome && unit->outcome->action_count > 0)
            return true;
    }
    return false;
}

static bool read_cleaned(struct intake_plan *plan, const struct intake_message *message,
                         const struct scan_answer *answer, struct error *error)
{
    struct error reason = {0};
    if (!intake_outcomes_clean(plan->outcomes) ||
        intake_body_read_cleaned(message->queue, plan->result, answer->cleaned, message->size,
                                 &plan->cleaned, &reason))
        return true;
    if (reason.code == ERROR_PROTOCOL)
        intake_outcomes_refuse_cleaned(plan->outcomes, reason.message);
    else
        *error = reason;
    return reason.code == ERROR_PROTOCOL;
}

static bool decide(struct intake_plan *plan, const struct intake_message *message,
                   const struct intake_people *people, const struct scan_answer *answer,
                   struct error *error)
{
    if (!read_answer(plan, message, answer, error))
        return false;
    if (plan->problem)
        make_unscannable(plan);
    plan->outcomes = intake_outcomes_new(people, plan->result, message->age_ms, plan->answer,
                                         message->recipient_count, message->left_out);
    if (!read_cleaned(plan, message, answer, error))
        return false;
    end_delays(plan, message);
    refuse_in_session(plan, message);
    if (!plan->is_refused)
        intake_outcomes_share(plan->outcomes);
    choose_kept(plan, message);
    return true;
}

static bool make_messages(struct intake_plan *plan, const struct intake_message *message,
                          struct error *error)
{
    if (needs_original(plan, message) &&
        !message->read_body(message->argument, &plan->original, error))
        return false;
    if (!intake_plan_add_shares(plan, message, error) ||
        !intake_plan_add_copies(plan, message, error) ||
        !intake_plan_add_incidents(plan, message, error))
        return false;
    if (!plan->is_refused)
        intake_plan_add_reports(plan, message);
    return true;
}

struct intake_plan *intake_plan_new(const struct intake_message *message,
                                    const struct intake_people *people,
                                    const struct scan_answer *answer, struct error *error)
{
    struct intake_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        abort();
    plan->original = plan->cleaned = (struct intake_body)INTAKE_BODY_INIT;
    plan->kept = INTAKE_NO_SHARE;
    plan->result = json_incref((json_t *)answer->result);
    if (decide(plan, message, people, answer, error) && make_messages(plan, message, error))
        return plan;
    intake_plan_free(plan);
    return NULL;
}

static void further_free(struct intake_further *further)
{
    buffer_free(&further->draft.body);
    buffer_free(&further->draft.events);
    if (further->draft.large_fd >= 0)
        close(further->draft.large_fd);
    free(further->recipients);
    free(further->header);
    free(further->of_units);
}

void intake_plan_free(struct intake_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->further_count; i++)
        further_free(&plan->further[i]);
    free(plan->further);
    for (size_t i = 0; i < plan->body_count; i++)
        intake_body_free(&plan->bodies[i]);
    free(plan->bodies);
    intake_body_free(&plan->original);
    intake_body_free(&plan->cleaned);
    intake_outcomes_free(plan->outcomes);
    intake_answer_free(plan->answer);
    json_decref(plan->result);
    free(plan->problem);
    free(plan);
}

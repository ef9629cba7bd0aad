#include "scanner/mta/intake_outcomes.h"

#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- malware decisions, one for each group --- */

struct group_decision {
    size_t group;
    size_t decision;
};

struct deciding {
    const struct intake_people *people;
    const json_t *result;
    int64_t age_ms;
    struct group_decision *groups; /* that were decided over */
    size_t group_count;
};

static bool same_decision(const struct policy_decision *a, const struct policy_decision *b)
{
    return a->action == b->action && a->policy == b->policy && a->verdict == b->verdict &&
           a->bounces == b->bounces && a->bypasses_content == b->bypasses_content &&
           a->hours == b->hours && strcmp(a->detail, b->detail) == 0;
}

static size_t add_decision(struct intake_outcomes *outcomes, const struct policy_decision *decision)
{
    for (size_t i = 0; i < outcomes->decision_count; i++)
        if (same_decision(&outcomes->decisions[i], decision))
            return i;
    outcomes->decisions[outcomes->decision_count] = *decision;
    return outcomes->decision_count++;
}

static size_t decision_for(struct intake_outcomes *outcomes, struct deciding *deciding,
                           size_t recipient)
{
    struct policy_decision decision;
    size_t group = intake_people_group(deciding->people, recipient);
    for (size_t i = 0; i < deciding->group_count; i++)
        if (deciding->groups[i].group == group)
            return deciding->groups[i].decision;
    policy_decide(intake_people_config(deciding->people)->config, group,
                  intake_people_direction(deciding->people), deciding->result, deciding->age_ms,
                  &decision);
    size_t index = add_decision(outcomes, &decision);
    deciding->groups[deciding->group_count++] = (struct group_decision){group, index};
    return index;
}

/* How many different groups there can be. */
static size_t groups_most(const struct intake_people *people, size_t recipients)
{
    const struct policy_set *set = intake_people_config(people)->config->policy;
    size_t groups = set ? set->group_count + 1 : 1;
    return groups < recipients ? groups : recipients;
}

/* --- fates --- */

static enum intake_fate malware_fate(const struct policy_decision *decision)
{
    switch (decision->action) {
    case CONFIG_ACTION_DELETE:
        return INTAKE_DELETE;
    case CONFIG_ACTION_REJECT:
        return INTAKE_REJECT;
    case CONFIG_ACTION_QUARANTINE:
        return INTAKE_QUARANTINE;
    default:
        return INTAKE_DELIVER;
    }
}

static const struct intake_action *find_action(const struct intake_outcome *outcome,
                                               enum policy_action_kind kind)
{
    for (size_t i = 0; outcome && i < outcome->action_count; i++)
        if (outcome->actions[i].kind == kind)
            return &outcome->actions[i];
    return NULL;
}

static enum intake_fate filters_fate(const struct intake_outcome *outcome)
{
    static const enum intake_fate fates[] = {
        [POLICY_DISPOSE_DELIVER] = INTAKE_DELIVER, [POLICY_DISPOSE_DELETE] = INTAKE_DELETE,
        [POLICY_DISPOSE_REJECT] = INTAKE_REJECT,   [POLICY_DISPOSE_BOUNCE] = INTAKE_BOUNCE,
        [POLICY_DISPOSE_DEFER] = INTAKE_DEFER,     [POLICY_DISPOSE_HOLD] = INTAKE_HOLD};
    enum intake_fate fate = fates[outcome->disposition];
    if (fate == INTAKE_DELIVER && find_action(outcome, POLICY_ACTION_REMOVE_RECIPIENTS))
        return INTAKE_REMOVE;
    return fate;
}

/* What malware policies delete, refuse or let pass the filters is nothing that filters judge. */
static const struct intake_outcome *outcome_that_counts(const struct policy_decision *decision,
                                                        const struct intake_outcome *outcome)
{
    bool bypassed = decision->bypasses_content || decision->action == CONFIG_ACTION_DELETE ||
                    decision->action == CONFIG_ACTION_REJECT;
    return bypassed ? NULL : outcome;
}

static void add_unit(struct intake_outcomes *outcomes, const struct policy_decision *malware,
                     const struct intake_outcome *outcome, size_t room)
{
    struct intake_unit *unit = &outcomes->units[outcomes->unit_count++];
    unit->malware = malware;
    unit->outcome = outcome_that_counts(malware, outcome);
    unit->fate = malware_fate(malware);
    if (unit->outcome && filters_fate(unit->outcome) < unit->fate)
        unit->fate = filters_fate(unit->outcome);
    unit->share = INTAKE_NO_SHARE;
    unit->recipients = calloc(room, sizeof(*unit->recipients));
    if (!unit->recipients)
        abort();
    if (malware->action == CONFIG_ACTION_QUARANTINE &&
        (outcomes->hours == 0 || malware->hours < outcomes->hours))
        outcomes->hours = malware->hours;
}

/* The units of one outcome begin at `first`; they differ by the malware decision. */
static void add_to_unit(struct intake_outcomes *outcomes, size_t first, size_t decision,
                        const struct intake_outcome *outcome, size_t room, uint32_t recipient)
{
    const struct policy_decision *malware = &outcomes->decisions[decision];
    size_t at = first;
    while (at < outcomes->unit_count && outcomes->units[at].malware != malware)
        at++;
    if (at == outcomes->unit_count)
        add_unit(outcomes, malware, outcome, room);
    struct intake_unit *unit = &outcomes->units[at];
    unit->recipients[unit->recipient_count++] = recipient;
}

static void decide_all(struct intake_outcomes *outcomes, struct deciding *deciding, size_t count,
                       const bool *left_out)
{
    for (size_t i = 0; i < count; i++)
        if (!left_out || !left_out[i])
            add_to_unit(outcomes, 0, decision_for(outcomes, deciding, i), NULL, count, (uint32_t)i);
}

static void decide_outcome(struct intake_outcomes *outcomes, struct deciding *deciding,
                           const struct intake_outcome *outcome, const bool *left_out)
{
    size_t first = outcomes->unit_count;
    for (size_t i = 0; i < outcome->recipient_count; i++) {
        uint32_t recipient = outcome->recipients[i];
        if (!left_out || !left_out[recipient])
            add_to_unit(outcomes, first, decision_for(outcomes, deciding, recipient), outcome,
                        outcome->recipient_count, recipient);
    }
}

/* Each unit has a recipient, and each outcome at most one unit for each decision. */
static size_t units_most(const struct intake_answer *answer, size_t groups, size_t recipients)
{
    size_t most = (answer ? answer->outcome_count : 1) * groups;
    return most < recipients ? most : recipients;
}

struct intake_outcomes *intake_outcomes_new(const struct intake_people *people,
                                            const json_t *result, int64_t age_ms,
                                            const struct intake_answer *answer,
                                            size_t recipient_count, const bool *left_out)
{
    size_t groups = groups_most(people, recipient_count);
    size_t units = units_most(answer, groups, recipient_count);
    struct intake_outcomes *outcomes = calloc(1, sizeof(*outcomes));
    struct deciding deciding = {.people = people, .result = result, .age_ms = age_ms};
    if (!outcomes)
        abort();
    outcomes->decisions = calloc(groups + 1, sizeof(*outcomes->decisions));
    outcomes->units = calloc(units + 1, sizeof(*outcomes->units));
    outcomes->shares = calloc(units + 1, sizeof(*outcomes->shares));
    deciding.groups = calloc(groups + 1, sizeof(*deciding.groups));
    if (!outcomes->decisions || !outcomes->units || !outcomes->shares || !deciding.groups)
        abort();
    if (answer)
        for (size_t i = 0; i < answer->outcome_count; i++)
            decide_outcome(outcomes, &deciding, &answer->outcomes[i], left_out);
    else
        decide_all(outcomes, &deciding, recipient_count, left_out);
    free(deciding.groups);
    return outcomes;
}

void intake_outcomes_free(struct intake_outcomes *outcomes)
{
    if (!outcomes)
        return;
    for (size_t i = 0; i < outcomes->unit_count; i++)
        free(outcomes->units[i].recipients);
    free(outcomes->units);
    free(outcomes->shares);
    free(outcomes->decisions);
    free(outcomes);
}

bool intake_outcomes_clean(const struct intake_outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->unit_count; i++)
        if (outcomes->units[i].malware->action == CONFIG_ACTION_CLEAN)
            return true;
    return false;
}

void intake_outcomes_refuse_cleaned(struct intake_outcomes *outcomes, const char *reason)
{
    for (size_t i = 0; i < outcomes->unit_count; i++)
        if (outcomes->units[i].malware->action == CONFIG_ACTION_CLEAN) {
            outcomes->units[i].outcome = NULL;
            outcomes->units[i].fate = INTAKE_DELETE;
        }
    for (size_t i = 0; i < outcomes->decision_count; i++)
        if (outcomes->decisions[i].action == CONFIG_ACTION_CLEAN)
            policy_refuse_cleaned(&outcomes->decisions[i], reason);
}

bool intake_outcomes_all(const struct intake_outcomes *outcomes, enum intake_fate fate)
{
    for (size_t i = 0; i < outcomes->unit_count; i++)
        if (outcomes->units[i].fate != fate)
            return false;
    return outcomes->unit_count > 0;
}

/* --- shares --- */

const char *intake_unit_route(const struct intake_unit *unit)
{
    const struct intake_action *action = find_action(unit->outcome, POLICY_ACTION_ROUTE);
    return action ? action->host : NULL;
}

bool intake_unit_requires_tls(const struct intake_unit *unit)
{
    return find_action(unit->outcome, POLICY_ACTION_REQUIRE_TLS) != NULL;
}

static const char *header_of(const struct intake_unit *unit)
{
    return unit->outcome ? unit->outcome->header : "";
}

static size_t body_of(const struct intake_unit *unit)
{
    return unit->outcome ? unit->outcome->body : INTAKE_BODY_AS_IT_CAME;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_delivered_alike(const struct intake_unit *a, const struct intake_unit *b)
{
    return a->malware->action == b->malware->action &&
           same_text(a->malware->header, b->malware->header) && body_of(a) == body_of(b) &&
           same_text(header_of(a), header_of(b)) &&
           same_text(intake_unit_route(a), intake_unit_route(b)) &&
           intake_unit_requires_tls(a) == intake_unit_requires_tls(b);
}

static bool waits(const struct intake_unit *unit)
{
    return unit->fate == INTAKE_QUARANTINE || unit->fate == INTAKE_DEFER;
}

static bool fits(const struct intake_share *share, const struct intake_unit *unit)
{
    if (share->waits || waits(unit))
        return share->waits && waits(unit);
    return is_delivered_alike(share->unit, unit);
}

void intake_outcomes_share(struct intake_outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->unit_count; i++) {
        struct intake_unit *unit = &outcomes->units[i];
        size_t at = 0;
        if (unit->fate != INTAKE_DELIVER && !waits(unit))
            continue;
        while (at < outcomes->share_count && !fits(&outcomes->shares[at], unit))
            at++;
        struct intake_share *share = &outcomes->shares[at];
        if (at == outcomes->share_count) {
            *share = (struct intake_share){.unit = unit, .waits = waits(unit)};
            outcomes->share_count++;
        }
        share->recipient_count += unit->recipient_count;
        share->suspect |= unit->fate == INTAKE_QUARANTINE;
        unit->share = at;
    }
}

/* --- words --- */

/* One line of the filter's text, which an administrator wrote; ASCII, since the client may not
 * have said SMTPUTF8 (RFC 6531 section 3.7.4). */
static void add_reply_text(char *reply, size_t size, const char *text)
{
    size_t length = strlen(reply);
    for (; *text && length + 1 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x80 && (c & 0xc0) == 0x80)
            continue; /* one mark for each character */
        reply[length++] = c < ' ' ? ' ' : c < 0x7f ? (char)c : '?';
    }
    reply[length] = '\0';
}

void intake_unit_reply(const struct intake_unit *unit, char *reply, size_t size)
{
    bool defers = unit->fate == INTAKE_DEFER;
    const char *text = unit->outcome ? unit->outcome->text : "";
    snprintf(reply, size, "%s ", defers ? "451 4.7.1" : "554 5.7.1");
    if (*text)
        add_reply_text(reply, size, text);
    else if (defers)
        add_reply_text(reply, size, "Message not accepted now, try again later");
    else
        add_reply_text(reply, size, "Message rejected: its content is not allowed here");
}

bool intake_unit_bounces(const struct intake_unit *unit)
{
    return !unit->malware->policy || unit->malware->bounces;
}

const char *intake_unit_policy(const struct intake_unit *unit, char *name, size_t size)
{
    const struct intake_outcome *outcome = unit->outcome;
    if (!outcome || !outcome->name || filters_fate(outcome) != unit->fate)
        return unit->malware->policy;
    snprintf(name, size, "filter: %s", outcome->name);
    name[utf8_scrub(name, strlen(name))] = '\0';
    return name;
}

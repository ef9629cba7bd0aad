#include "scanner/engine/judge_private.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "scanner/policy/groups.h"
#include "scanner/policy/malware.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 1024

struct judge {
    const struct judge_order *order;
    struct envelope *envelope;
    const struct policy_set *set;
    const struct policy_result *result;
    struct judge_base whole, clean; /* `clean` once it is needed */
    bool *wants_clean;              /* by recipient: the malware policy wants the clean message */
    struct judge_bodies bodies;
    json_t *outcomes;
    struct error *error;
};

/* --- what the malware policy says --- */

struct group_decision {
    bool known, excluded, clean;
};

static struct group_decision decide(const struct judge *judge, size_t group)
{
    struct policy_decision decision;
    policy_decide(judge->order->filters->config, group, judge->envelope->direction,
                  judge->order->result, judge->order->age_ms, &decision);
    bool delivered =
        decision.action == CONFIG_ACTION_DELIVER || decision.action == CONFIG_ACTION_CLEAN;
    return (struct group_decision){true, !delivered || decision.bypasses_content,
                                   decision.action == CONFIG_ACTION_CLEAN};
}

/* Decided once for each group. Outbound the sender's group counts for all recipients. */
static void decide_for_recipients(struct judge *judge)
{
    struct envelope *envelope = judge->envelope;
    size_t groups = judge->set->group_count;
    struct group_decision *decisions = g_new0(struct group_decision, groups + 1);
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        struct policy_person *person = &envelope->recipients[i];
        size_t group =
            envelope->direction == POLICY_OUTBOUND ? envelope->sender.group : person->group;
        struct group_decision *decision = &decisions[group < groups ? group : groups];
        if (!decision->known)
            *decision = decide(judge, group);
        person->excluded |= decision->excluded;
        judge->wants_clean[i] = decision->clean;
    }
    g_free(decisions);
}

/* --- outcomes --- */

/* The message does not go to these recipients, so that nothing in it need be changed. */
static bool is_kept_from_all(const struct policy_outcome *outcome)
{
    return outcome->disposition != POLICY_DISPOSE_DELIVER &&
           outcome->disposition != POLICY_DISPOSE_HOLD;
}

static const struct judge_base *base_for(struct judge *judge, bool clean)
{
    if (!clean)
        return &judge->whole;
    if (!judge->clean.tree && !judge_base_open(judge->order->cleaned, &judge->order->tree->limits,
                                               &judge->clean, judge->error))
        return NULL;
    return &judge->clean;
}

static bool set_content(struct judge *judge, const struct judge_base *base,
                        const struct judge_edits *edits, json_t *outcome)
{
    size_t number;
    if (*edits->header)
        json_object_set_new(outcome, "header", json_string(edits->header));
    if (edits->edits->len == 0)
        return true;
    if (!judge_body(&judge->bodies, base, edits, &number, judge->error))
        return false;
    return json_object_set_new(outcome, "body", json_integer((json_int_t)number)) == 0;
}

/* The outcome with what is changed, for those who get the clean message or the other ones. */
static bool add_changed(struct judge *judge, const struct policy_outcome *outcome, bool clean)
{
    struct judge_edits edits;
    json_t *object = judge_answer_outcome(judge->set, outcome, judge->wants_clean, clean);
    if (!object)
        return true;
    json_array_append_new(judge->outcomes, object);
    const struct judge_base *base = base_for(judge, clean);
    const struct judge_findings findings = {judge->order->filters->program, judge->set,
                                            &judge->whole.view.message, judge->order->stop_us};
    if (!base)
        return false;
    bool done = judge_edits_collect(&findings, outcome, base, &edits, judge->error) &&
                set_content(judge, base, &edits, object);
    judge_edits_free(&edits);
    return done;
}

static bool has_edits(const struct judge *judge, const struct policy_outcome *outcome)
{
    for (size_t i = 0; i < outcome->fired_count; i++) {
        const struct policy_fired *fired = &outcome->fired[i];
        switch (judge->set->filters[fired->filter].actions[fired->action].kind) {
        case POLICY_ACTION_ADD_HEADER:
        case POLICY_ACTION_REMOVE_HEADER:
        case POLICY_ACTION_SUBJECT:
        case POLICY_ACTION_ANNOTATE:
        case POLICY_ACTION_STRIP:
            return true;
        default:
            break;
        }
    }
    return false;
}

static bool add_outcome(struct judge *judge, const struct policy_outcome *outcome)
{
    if (!is_kept_from_all(outcome) && has_edits(judge, outcome))
        return add_changed(judge, outcome, false) && add_changed(judge, outcome, true);
    json_t *object = judge_answer_outcome(judge->set, outcome, NULL, false);
    return !object || json_array_append_new(judge->outcomes, object) == 0;
}

static bool add_outcomes(struct judge *judge)
{
    for (size_t i = 0; i < judge->result->outcome_count; i++)
        if (!add_outcome(judge, &judge->result->outcomes[i]))
            return error_set(judge->error, judge->error->code ? judge->error->code : ERROR_INTERNAL,
                             NULL, "%s",
                             judge->error->code ? judge->error->message : "out of memory");
    return true;
}

/* --- the whole --- */

static void build_view(struct judge *judge)
{
    const struct judge_order *order = judge->order;
    const json_t *value, *verdicts = json_object_get(order->result, "verdicts");
    struct view_order view = {.tree = order->tree,
                              .envelope = judge->envelope,
                              .needs = order->filters->needs,
                              .size = order->size,
                              .stop_us = order->stop_us};
    size_t index;
    json_array_foreach((json_t *)verdicts, index, value)
    {
        enum config_verdict verdict;
        if (config_verdict_parse(json_string_value(value), &verdict))
            view.verdicts |= 1u << verdict;
    }
    judge->whole.tree = order->tree;
    judge->whole.message = order->tree->message;
    view_build(&view, &judge->whole.view);
}

static bool finish(struct judge *judge, struct judgement *judgement)
{
    const char *problem = judge->result->problem;
    if (!problem)
        problem = judge->whole.view.problem;
    judgement->answer =
        json_pack("{s:O,s:o,s:s}", "outcomes", judge->outcomes, "finds",
                  judge_answer_finds(judge->set, judge->result), "problem", problem ? problem : "");
    if (judge->order->with_trace)
        judgement->trace = judge_answer_trace(judge->set, judge->result);
    return judgement->answer || error_set(judge->error, ERROR_INTERNAL, "filters", "out of memory");
}

static bool evaluate(struct judge *judge, struct judgement *judgement)
{
    const struct judge_order *order = judge->order;
    decide_for_recipients(judge);
    build_view(judge);
    struct policy_result *result = policy_evaluate(
        order->filters->program, &judge->whole.view.message, order->stop_us, order->with_trace);
    judge->result = result;
    bool done = result ? add_outcomes(judge) && finish(judge, judgement)
                       : error_set(judge->error, ERROR_INTERNAL, "filters", "out of memory");
    policy_result_free(result);
    return done;
}

bool judge_message(const struct judge_order *order, struct envelope *envelope,
                   struct judgement *judgement, struct error *error)
{
    struct error local = {0};
    *judgement = (struct judgement){0};
    if (!order->filters->program)
        return error_set(error, ERROR_UNAVAILABLE, "filters", "there are none that can be used");
    struct judge judge = {
        .order = order,
        .envelope = envelope,
        .set = order->filters->config->policy,
        .wants_clean = g_new0(bool, envelope->recipient_count),
        .bodies = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL), judgement},
        .outcomes = json_array(),
        .error = &local,
    };
    bool done = evaluate(&judge, judgement);
    json_decref(judge.outcomes);
    g_hash_table_destroy(judge.bodies.known);
    judge_base_close(&judge.whole);
    judge_base_close(&judge.clean);
    g_free(judge.wants_clean);
    if (!done)
        judgement_free(judgement);
    return done || error_set(error, local.code, local.where, "%s", local.message);
}

void judgement_free(struct judgement *judgement)
{
    json_decref(judgement->answer);
    json_decref(judgement->trace);
    for (size_t i = 0; i < judgement->body_count; i++)
        close(judgement->bodies[i]);
    *judgement = (struct judgement){0};
}

int judgement_write(const struct judgement *judgement, struct error *error)
{
    char path[PATH_SIZE];
    const char *folder = getenv("TMPDIR");
    cleanup_free char *text = json_text(judgement->answer);
    snprintf(path, sizeof(path), "%s/answer", folder ? folder : "/tmp");
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !text) {
        error_set_errno(error, "filters", "the answer cannot be written");
        return fd;
    }
    unlink(path);
    if (file_write_all(fd, text, strlen(text), error))
        return fd;
    close(fd);
    return -1;
}

#include "scanner/engine/judge_private.h"

#include <string.h>
#include <strings.h>

struct field {
    const char *name, *value;
};

struct collector {
    const struct judge_findings *findings;
    const struct judge_base *base;
    struct judge_edits *edits;
    GArray *fields; /* that are added, struct field */
};

static enum rewrite_place place_of(const char *name)
{
    if (name && strcmp(name, "begin") == 0)
        return REWRITE_BEGIN;
    return name && strcmp(name, "replace") == 0 ? REWRITE_REPLACE : REWRITE_END;
}

static void add_edit(struct collector *collector, struct rewrite_edit edit)
{
    g_array_append_val(collector->edits->edits, edit);
}

static void add_field(struct collector *collector, const struct policy_action *action)
{
    struct field field = {action->name, action->value};
    g_array_append_val(collector->fields, field);
}

/* Takes away what actions before it added, and what came. */
static void remove_field(struct collector *collector, const struct policy_action *action)
{
    for (guint i = collector->fields->len; i-- > 0;)
        if (strcasecmp(g_array_index(collector->fields, struct field, i).name, action->name) == 0)
            g_array_remove_index(collector->fields, i);
    add_edit(collector, (struct rewrite_edit){.kind = REWRITE_REMOVE_FIELD, .name = action->name});
}

static void annotate(struct collector *collector, const struct policy_action *action)
{
    const struct policy_set *set = collector->findings->set;
    for (size_t i = 0; i < set->annotation_count; i++) {
        const struct policy_annotation *annotation = &set->annotations[i];
        if (strcmp(annotation->id, action->id) != 0)
            continue;
        add_edit(collector,
                 (struct rewrite_edit){.kind = REWRITE_ANNOTATE,
                                       .text = annotation->text,
                                       .html = annotation->html,
                                       .place = annotation->top ? REWRITE_BEGIN : REWRITE_END});
        return;
    }
}

static bool strip(struct collector *collector, const struct policy_fired *fired,
                  struct error *error)
{
    const char **reasons;
    if (!judge_strip(collector->findings, fired, collector->base, collector->edits->owned, &reasons,
                     error))
        return false;
    if (reasons)
        add_edit(collector, (struct rewrite_edit){.kind = REWRITE_STRIP, .reasons = reasons});
    return true;
}

static bool take(struct collector *collector, const struct policy_fired *fired, struct error *error)
{
    const struct policy_action *action =
        &collector->findings->set->filters[fired->filter].actions[fired->action];
    switch (action->kind) {
    case POLICY_ACTION_ADD_HEADER:
        add_field(collector, action);
        return true;
    case POLICY_ACTION_REMOVE_HEADER:
        remove_field(collector, action);
        return true;
    case POLICY_ACTION_SUBJECT:
        add_edit(collector, (struct rewrite_edit){.kind = REWRITE_SUBJECT,
                                                  .text = action->value,
                                                  .place = place_of(action->place)});
        return true;
    case POLICY_ACTION_ANNOTATE:
        annotate(collector, action);
        return true;
    case POLICY_ACTION_STRIP:
        return strip(collector, fired, error);
    default:
        return true; /* done to the envelope */
    }
}

static bool write_fields(const struct collector *collector, struct error *error)
{
    struct buffer header = BUFFER_INIT;
    bool written = true;
    for (guint i = 0; i < collector->fields->len && written; i++) {
        const struct field *field = &g_array_index(collector->fields, struct field, i);
        written = rewrite_add_field(&header, field->name, field->value, error);
    }
    if (written)
        collector->edits->header = g_strndup(buffer_text(&header), header.length);
    buffer_free(&header);
    return written;
}

bool judge_edits_collect(const struct judge_findings *findings,
                         const struct policy_outcome *outcome, const struct judge_base *base,
                         struct judge_edits *edits, struct error *error)
{
    *edits = (struct judge_edits){g_array_new(FALSE, FALSE, sizeof(struct rewrite_edit)),
                                  g_ptr_array_new_with_free_func(g_free), NULL};
    struct collector collector = {findings, base, edits,
                                  g_array_new(FALSE, FALSE, sizeof(struct field))};
    bool done = true;
    for (size_t i = 0; i < outcome->fired_count && done; i++)
        done = take(&collector, &outcome->fired[i], error);
    done = done && write_fields(&collector, error);
    g_array_free(collector.fields, TRUE);
    return done;
}

void judge_edits_free(struct judge_edits *edits)
{
    g_array_free(edits->edits, TRUE);
    g_ptr_array_free(edits->owned, TRUE);
    g_free(edits->header);
}

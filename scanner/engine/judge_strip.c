#include "scanner/engine/judge_private.h"

#include "scanner/policy/attachments.h"

#include <string.h>

struct strip {
    const struct policy_set *set;
    const struct policy_action *action;
    size_t filter;
    struct folding *folding;
    struct attachment_list *list; /* of "list"; NULL: nothing is in it */
    GHashTable *found;            /* paths of "matched" */
};

/* The clean message has other nodes, but what stayed kept its path. */
static bool find_paths(const struct judge_findings *findings, struct strip *strip)
{
    const struct policy_message *message = findings->message;
    bool *matched = g_new0(bool, message->node_count);
    bool found =
        policy_matched_nodes(findings->program, message, strip->filter, findings->stop_us, matched);
    strip->found = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < message->node_count; i++)
        if (matched[i])
            g_hash_table_add(strip->found, (gpointer)message->nodes[i].path);
    g_free(matched);
    return found;
}

static void open_list(struct strip *strip)
{
    const char *id = strip->action->id;
    const struct policy_list *list = id ? policy_find_list(strip->set, id) : NULL;
    strip->folding = list ? folding_new() : NULL;
    strip->list = strip->folding ? attachment_list_new(list, strip->folding) : NULL;
}

static bool is_in_list(const struct strip *strip, const struct policy_node *node)
{
    struct attachment attachment;
    bool has = strip->list && attachment_make(&attachment, node, strip->folding) &&
               attachment_list_has(strip->list, &attachment);
    if (strip->list)
        attachment_free(&attachment);
    return has;
}

static bool is_wanted(const struct strip *strip, const struct policy_node *node)
{
    const char *which = strip->action->place;
    if (!(node->flags & (POLICY_NODE_ATTACHMENT | POLICY_NODE_MEMBER)))
        return false;
    if (strcmp(which, "all") == 0)
        return (node->flags & POLICY_NODE_ATTACHMENT) != 0;
    if (strcmp(which, "list") == 0)
        return is_in_list(strip, node);
    return g_hash_table_contains(strip->found, node->path);
}

/* What goes with a container is not named by itself. */
static bool goes_already(const struct tree *tree, const char *const *reasons, size_t index)
{
    while (index > 0) {
        index = tree->nodes[index].parent;
        if (reasons[index])
            return true;
    }
    return false;
}

static const char *reason_of(const struct strip *strip, GPtrArray *owned)
{
    const char *note = strip->action->value;
    if (note && *note)
        return note;
    char *text = g_strdup_printf("the content filter %s", strip->set->filters[strip->filter].name);
    g_ptr_array_add(owned, text);
    return text;
}

/* NULL where nothing is to go. */
static const char **reasons_for(const struct strip *strip, const struct judge_base *base,
                                GPtrArray *owned)
{
    const struct view *view = &base->view;
    const char **reasons = g_new0(const char *, base->tree->count);
    const char *reason = reason_of(strip, owned);
    bool any = false;
    g_ptr_array_add(owned, reasons);
    for (size_t i = 0; i < view->message.node_count; i++) {
        size_t index = view->indices[i];
        if (!is_wanted(strip, &view->nodes[i]) || goes_already(base->tree, reasons, index))
            continue;
        reasons[index] = reason;
        any = true;
    }
    return any ? reasons : NULL;
}

bool judge_strip(const struct judge_findings *findings, const struct policy_fired *fired,
                 const struct judge_base *base, GPtrArray *owned, const char ***reasons,
                 struct error *error)
{
    const struct policy_set *set = findings->set;
    const struct policy_filter *filter = &set->filters[fired->filter];
    struct strip strip = {
        .set = set, .action = &filter->actions[fired->action], .filter = fired->filter};
    open_list(&strip);
    bool known = strcmp(strip.action->place, "matched") != 0 || find_paths(findings, &strip);
    *reasons = known ? reasons_for(&strip, base, owned) : NULL;
    if (strip.found)
        g_hash_table_destroy(strip.found);
    attachment_list_free(strip.list);
    folding_free(strip.folding);
    return known ||
           error_set(error, ERROR_LIMIT, NULL,
                     "there is no time to look for what the filter %s removes", filter->name);
}

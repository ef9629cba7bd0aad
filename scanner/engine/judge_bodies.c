#include "scanner/engine/judge_private.h"

/* A text with its length before it, so that no two lists of texts read alike. */
static void add_text(GString *key, const char *text)
{
    g_string_append_printf(key, "%d:%s;", text ? (int)strlen(text) : -1, text ? text : "");
}

static void add_edit(GString *key, const struct rewrite_edit *edit, size_t nodes)
{
    g_string_append_printf(key, "%d %d ", (int)edit->kind, (int)edit->place);
    add_text(key, edit->name);
    add_text(key, edit->text);
    add_text(key, edit->html);
    for (size_t i = 0; edit->reasons && i < nodes; i++)
        if (edit->reasons[i]) {
            g_string_append_printf(key, "%zu ", i);
            add_text(key, edit->reasons[i]);
        }
}

/* Everything that the new message is made from. */
static char *key_of(const struct judge_base *base, const struct judge_edits *edits)
{
    GString *key = g_string_new(base->own_message ? "clean " : "whole ");
    for (guint i = 0; i < edits->edits->len; i++)
        add_edit(key, &g_array_index(edits->edits, struct rewrite_edit, i), base->tree->count);
    return g_string_free(key, FALSE);
}

bool judge_body(struct judge_bodies *bodies, const struct judge_base *base,
                const struct judge_edits *edits, size_t *number, struct error *error)
{
    struct judgement *judgement = bodies->judgement;
    struct rewrite rewrite = {base->message, base->tree,
                              (const struct rewrite_edit *)(void *)edits->edits->data,
                              edits->edits->len};
    g_autofree char *key = key_of(base, edits);
    uint64_t size;
    size_t known = GPOINTER_TO_SIZE(g_hash_table_lookup(bodies->known, key));
    if (known) {
        *number = known - 1;
        return true;
    }
    if (judgement->body_count == JUDGE_BODIES)
        return error_set(error, ERROR_LIMIT, "filters",
                         "they write the message anew in more than %d ways", JUDGE_BODIES);
    int fd = rewrite_file_write(&rewrite, &size, error);
    if (fd < 0)
        return false;
    *number = judgement->body_count;
    judgement->bodies[judgement->body_count++] = fd;
    g_hash_table_insert(bodies->known, g_steal_pointer(&key), GSIZE_TO_POINTER(*number + 1));
    return true;
}

#include "scanner/policy/attachments.h"

#include <stdlib.h>
#include <string.h>

struct attachment_list {
    struct globs names, media_types, types;
    struct intern extensions;
};

static void find_base(struct attachment *attachment)
{
    const char *name = attachment->name.data;
    size_t end = attachment->name.length, start;
    while (end > 0 && (name[end - 1] == '.' || name[end - 1] == ' '))
        end--;
    for (start = end; start > 0 && name[start - 1] != '/' && name[start - 1] != '\\';)
        start--;
    attachment->base = name + start;
    attachment->base_length = end - start;
}

bool attachment_make(struct attachment *attachment, const struct policy_node *node,
                     const struct folding *folding)
{
    *attachment = (struct attachment){.node = node};
    const char *name = node->name ? node->name : "";
    const char *declared = node->declared_type ? node->declared_type : "";
    const char *type = node->type ? node->type : "";
    if (!folded_text_make(&attachment->name, folding, name, strlen(name)) ||
        !folded_text_make(&attachment->media_type, folding, declared, strcspn(declared, "; \t")) ||
        !folded_text_make(&attachment->type, folding, type, strlen(type)))
        return false;
    find_base(attachment);
    return true;
}

void attachment_free(struct attachment *attachment)
{
    folded_text_free(&attachment->name);
    folded_text_free(&attachment->media_type);
    folded_text_free(&attachment->type);
}

bool attachment_extensions(const struct attachment *attachment, attachment_extension *each,
                           void *context)
{
    for (size_t i = attachment->base_length; i > 0; i--)
        if (attachment->base[i - 1] == '.' &&
            each(context, attachment->base + i, attachment->base_length - i))
            return true;
    return false;
}

bool globs_make(struct globs *globs, const struct policy_texts *texts,
                const struct folding *folding)
{
    *globs = (struct globs){.items = calloc(texts->count + 1, sizeof *globs->items)};
    if (!globs->items)
        return false;
    for (; globs->count < texts->count; globs->count++) {
        const char *text = texts->items[globs->count];
        if (!folded_text_make(&globs->items[globs->count], folding, text, strlen(text)))
            return false;
    }
    return true;
}

void globs_free(struct globs *globs)
{
    for (size_t i = 0; i < globs->count; i++)
        folded_text_free(&globs->items[i]);
    free(globs->items);
    *globs = (struct globs){0};
}

static size_t character_bytes(const char *text, size_t length)
{
    size_t bytes;
    utf8_decode(text, length, &bytes);
    return bytes;
}

/* Goes back to the last * alone, so that no text takes more than its length times the glob's. */
static bool glob_fits(const char *glob, size_t glob_length, const char *text, size_t length)
{
    size_t g = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < length) {
        if (g < glob_length && glob[g] == '*') {
            star = g++;
            star_text = t;
        } else if (g < glob_length && glob[g] == '?') {
            g++;
            t += character_bytes(text + t, length - t);
        } else if (g < glob_length && glob[g] == text[t]) {
            g++;
            t++;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            star_text += character_bytes(text + star_text, length - star_text);
            t = star_text;
        } else {
            return false;
        }
    }
    while (g < glob_length && glob[g] == '*')
        g++;
    return g == glob_length;
}

bool globs_fit(const struct globs *globs, const char *text, size_t length)
{
    for (size_t i = 0; i < globs->count; i++)
        if (glob_fits(globs->items[i].data, globs->items[i].length, text, length))
            return true;
    return false;
}

bool globs_fit_type(const struct globs *globs, const struct attachment *attachment)
{
    unsigned flags = attachment->node->flags;
    for (size_t i = 0; i < globs->count; i++) {
        const struct folded_text *glob = &globs->items[i];
        if ((flags & POLICY_NODE_ENCRYPTED && strcmp(glob->data, "flag:encrypted") == 0) ||
            (flags & POLICY_NODE_MACROS && strcmp(glob->data, "flag:macros") == 0) ||
            (attachment->type.length > 0 &&
             glob_fits(glob->data, glob->length, attachment->type.data, attachment->type.length)))
            return true;
    }
    return false;
}

static bool add_extensions(struct intern *extensions, const struct policy_texts *texts,
                           const struct folding *folding)
{
    for (size_t i = 0; i < texts->count; i++) {
        struct folded_text folded;
        if (!folded_text_make(&folded, folding, texts->items[i], strlen(texts->items[i])))
            return false;
        uint32_t number = intern_add(extensions, folded.data, folded.length);
        folded_text_free(&folded);
        if (number == INTERN_NONE)
            return false;
    }
    return true;
}

struct attachment_list *attachment_list_new(const struct policy_list *source,
                                            const struct folding *folding)
{
    struct attachment_list *list = calloc(1, sizeof *list);
    if (list && globs_make(&list->names, &source->names, folding) &&
        globs_make(&list->media_types, &source->media_types, folding) &&
        globs_make(&list->types, &source->types, folding) &&
        add_extensions(&list->extensions, &source->extensions, folding))
        return list;
    attachment_list_free(list);
    return NULL;
}

void attachment_list_free(struct attachment_list *list)
{
    if (!list)
        return;
    globs_free(&list->names);
    globs_free(&list->media_types);
    globs_free(&list->types);
    intern_free(&list->extensions);
    free(list);
}

static bool is_listed(void *context, const char *extension, size_t length)
{
    return intern_find(context, extension, length) != INTERN_NONE;
}

bool attachment_list_has(const struct attachment_list *list, const struct attachment *attachment)
{
    struct intern extensions = list->extensions;
    const struct folded_text *name = &attachment->name;
    return attachment_extensions(attachment, is_listed, &extensions) ||
           (name->length > 0 &&
            (globs_fit(&list->names, attachment->base, attachment->base_length) ||
             globs_fit(&list->names, name->data, name->length))) ||
           (attachment->media_type.length > 0 &&
            globs_fit(&list->media_types, attachment->media_type.data,
                      attachment->media_type.length)) ||
           globs_fit_type(&list->types, attachment);
}

/* Attachment lists, and what of an attachment they look at. */
#ifndef GATEHOUSE_SCANNER_POLICY_ATTACHMENTS_H
#define GATEHOUSE_SCANNER_POLICY_ATTACHMENTS_H

#include "common/policy_model.h"
#include "scanner/policy/evaluate.h"
#include "scanner/policy/folding.h"
#include "scanner/policy/intern.h"

#include <stdbool.h>
#include <stddef.h>

/* What is looked at, made once for each part. */
struct attachment {
    const struct policy_node *node;
    struct folded_text name; /* with folders; "" where it has none */
    const char *base;        /* in `name`: behind the last / or \, and without the dots and spaces
                                at its end, which systems drop */
    size_t base_length;
    struct folded_text media_type; /* without parameters */
    struct folded_text type;
};

/* false without memory; free all the same. */
bool attachment_make(struct attachment *attachment, const struct policy_node *node,
                     const struct folding *folding);
void attachment_free(struct attachment *attachment);

/* Calls for each of "exe", "pdf.exe" of "a.pdf.exe"; folded. Ends where `each` says true, which is
 * then what it returns. */
typedef bool attachment_extension(void *context, const char *extension, size_t length);
bool attachment_extensions(const struct attachment *attachment, attachment_extension *each,
                           void *context);

/* Texts with * and ?, folded. */
struct globs {
    struct folded_text *items;
    size_t count;
};
bool globs_make(struct globs *globs, const struct policy_texts *texts,
                const struct folding *folding);
void globs_free(struct globs *globs);
bool globs_fit(const struct globs *globs, const char *text, size_t length);
/* Over types by content; "flag:encrypted" and "flag:macros" fit what has these flags. */
bool globs_fit_type(const struct globs *globs, const struct attachment *attachment);

struct attachment_list;
/* NULL without memory. */
struct attachment_list *attachment_list_new(const struct policy_list *source,
                                            const struct folding *folding);
void attachment_list_free(struct attachment_list *list);
bool attachment_list_has(const struct attachment_list *list, const struct attachment *attachment);

#endif

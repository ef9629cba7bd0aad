/* Filters in plain words. The sentences are those of templates/policies/words/, so that they can be
 * translated; this file says what is to be put into them. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_SUMMARY_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_SUMMARY_H

#include "controlcenter/pages/pages.h"

/* Each adds text of one line. `document` has the names of what is referred to. What is not complete
 * yet (a condition without values in the editor) reads with "…" in its place. */
void policy_condition_words(struct page *page, const json_t *document, const json_t *condition,
                            struct buffer *text);
void policy_action_words(struct page *page, const json_t *document, const json_t *action,
                         struct buffer *text);
/* "If the subject contains “invoice”, then create an incident in Legal and stop." */
void policy_filter_words(struct page *page, const json_t *document, const json_t *filter,
                         struct buffer *text);

/* Renders a template of text (such as "policies/words/filter.txt") and adds it to `text` as one
 * line with single spaces. */
void policy_words(struct page *page, const char *template, const json_t *data, struct buffer *text);

#endif

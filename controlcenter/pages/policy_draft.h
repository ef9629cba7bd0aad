/* The draft of the policies behind a page: read, shown beside what is in force, changed and kept.
 */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_DRAFT_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_DRAFT_H

#include "controlcenter/pages/pages.h"
#include "controlcenter/store/policies.h"

struct policy_draft {
    struct page page;
    json_t *document; /* without the words of dictionaries (store_policy_draft_light); owned */
    int64_t revision; /* that the document has in the store */
};

/* Opens the page (pages.h) and reads the draft. False after it has answered that this cannot be
 * done. Each page ends with one of policy_draft_show, _redirect and _fail, which release it. */
bool policy_draft_open(struct policy_draft *draft, struct http_request *request,
                       struct http_response *response, const char *place);
/* Shows the page with the banner of what is not in force yet; templates see pending.count,
 * pending.several and `revision`. */
void policy_draft_show(struct policy_draft *draft, const char *template);
void policy_draft_redirect(struct policy_draft *draft, const char *path, const char *done);
/* Answers for an error of the store. Where somebody changed the draft meanwhile (ERROR_EXISTS) that
 * is said, with status 409. */
void policy_draft_fail(struct policy_draft *draft, const struct error *error);

/* A document like the draft in which the list is one of its own, whose elements may be replaced and
 * moved (not changed) while the draft stays what it is. The caller owns it. */
json_t *policy_draft_copy(const struct policy_draft *draft, const char *section);
/* Checks the document as every scanner would (ERROR_INVALID, `where` such as
 * "policies.filters[3].name") and puts it in place of the draft, unless somebody else has changed
 * that (ERROR_EXISTS). `what` is the line of the history. */
bool policy_draft_put(struct policy_draft *draft, const json_t *document, const char *what,
                      struct error *error);

/* Changes the document and adds to `what` the line of the history. */
typedef bool (*policy_change)(json_t *document, const void *argument, struct buffer *what,
                              struct error *error);
/* Reads the draft, changes it and puts it back, again where somebody else was faster: for changes
 * that hold whatever the rest of the draft is. */
bool policy_draft_change(struct page *page, policy_change change, const void *argument,
                         struct error *error);

#endif

/* One object of the draft in its form: a filter, a group, or something that filters refer to. The
 * form is opened over the object as it is in the draft; a save tells what somebody else did to it
 * meanwhile. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_EDIT_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_EDIT_H

#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"

struct policy_edit {
    struct policy_draft draft;
    struct form form;
    const char *section;     /* of the document */
    json_t *object;          /* as it is in the form; owned; may be NULL */
    char id[POLICY_ID_SIZE]; /* "" for a new one */
    bool is_new;
};

/* Opens the page with the draft and the form; the address names the object, or none for a new one.
 * False after it has answered that this cannot be done. Each page ends with policy_edit_show, a
 * policy_edit_save that has answered, or, without an object, policy_draft_fail. */
bool policy_edit_open(struct policy_edit *edit, struct http_request *request,
                      struct http_response *response, const char *place, const char *section);
/* The object of the draft, NULL where there is none (any more). Borrowed. */
json_t *policy_edit_stored(const struct policy_edit *edit);
/* Shows the page with what the form was opened over: templates see is_new, and of one that is in
 * the draft id, stored_name and `was`, by which a change of somebody else is seen. */
void policy_edit_show(struct policy_edit *edit, const char *template);

/* Whether somebody else changed or removed the object since the form was opened: then it is in the
 * page's "conflict" (`removed`), with status 409. What was typed stays, and the next save puts it
 * in place of theirs. */
bool policy_edit_conflicts(struct policy_edit *edit);
/* Puts the object into the draft; `word` is how the history calls it, `path` where the list is.
 * True after it has answered. False where the form is to be shown again: for what *error says about
 * the object at *index of its list, or, with ERROR_EXISTS, for what the form then says itself. */
bool policy_edit_save(struct policy_edit *edit, const char *word, const char *path, size_t *index,
                      struct error *error);

#endif

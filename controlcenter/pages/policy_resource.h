/* What content filters refer to, beside groups and folders: attachment lists, dictionaries,
 * patterns, annotations and templates of notifications. One set of pages shows all of them. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_RESOURCE_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_RESOURCE_H

#include "controlcenter/pages/pages.h"

enum resource_input {
    RESOURCE_LINE,  /* one line of text */
    RESOURCE_TEXT,  /* several lines */
    RESOURCE_LINES, /* an array of texts, one a line */
    RESOURCE_WORDS, /* an array of words with weights, one a line: "word" or "word | 3" */
    RESOURCE_CHECK, /* true or false */
    RESOURCE_WORD,  /* one of `words` */
};

#define RESOURCE_FIELDS 6

struct resource_field {
    const char *name; /* of the member and of the form's field */
    enum resource_input input;
    const char *const *words;
    bool usual; /* of RESOURCE_CHECK, where the member is missing */
};

struct resource_kind {
    const char *section; /* of the document */
    const char *path;    /* "/policies/lists" */
    const char *place;   /* in the navigation */
    const char *word;    /* as the history calls one: "attachment list" */
    struct resource_field fields[RESOURCE_FIELDS];
    size_t field_count;
};

/* The kind that a path is of. */
const struct resource_kind *resource_of_path(const char *path);

/* Gatehouse's own ones of that kind as the document would have them: an array, which the caller
 * owns. */
json_t *resource_premium(const struct resource_kind *kind);
/* Gatehouse's own one of that id, which the caller owns; NULL where there is none. */
json_t *resource_find_premium(const struct resource_kind *kind, const char *id);

/* policy_resource_form.c */

/* Fills the form with an object's members. */
void resource_form_put(struct form *form, const struct resource_kind *kind, const json_t *object);
/* Adds a word of a dictionary as the form and its file have it, without line end: "word", or
 * "word | 3" where its weight is another than 1. */
void resource_add_word(struct buffer *text, const json_t *word);
/* Reads the form; `document` and `id` (may be "") are to tell whether the name is taken. The caller
 * owns the object; what is wrong with it is in the form. */
json_t *resource_form_read(struct form *form, const struct resource_kind *kind,
                           const json_t *document, const char *id);
/* Refuses the field that `error` is about, where it is of that object (the index in its list). */
void resource_form_refuse(struct form *form, const struct resource_kind *kind, size_t index,
                          const struct error *error);

#endif

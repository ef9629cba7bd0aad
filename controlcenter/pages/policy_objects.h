/* The lists of the policy document as JSON: filters, groups, and what filters refer to. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_OBJECTS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_OBJECTS_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/json.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_ID_SIZE 65
#define POLICY_HASH_SIZE 65

/* The lists in the order in which the document has them; ends with NULL. */
extern const char *const policy_sections[];

/* The list of that name; made where it is missing. NULL only when memory ran out. Borrowed. */
json_t *policy_section(json_t *document, const char *section);
/* The object of that identity; NULL where there is none. *index (may be NULL) is its place in the
 * list. Borrowed. */
json_t *policy_find(const json_t *document, const char *section, const char *id, size_t *index);
/* The name of what has that identity, "" where nothing has it: also of the premium lists,
 * dictionaries and patterns. Borrowed. */
const char *policy_name_of(const json_t *document, const char *section, const char *id);
/* Whether another object of the list than the one of that identity (may be "") has the name. */
bool policy_name_is_taken(const json_t *document, const char *section, const char *name,
                          const char *id);

/* A new identity that begins like the name, so that people recognise it in files. */
void policy_new_id(const char *name, char id[POLICY_ID_SIZE]);
/* Adds to `name` a name for a copy that nothing in the list has. */
void policy_copy_name(const json_t *document, const char *section, const char *of,
                      struct buffer *name);
/* Two objects with the same content have the same text, whatever the order of their members. */
void policy_hash(const json_t *object, char hash[POLICY_HASH_SIZE]);

/* The names of the filters that refer to something: `section` is what it is one of ("groups",
 * "lists", "dictionaries", "patterns", "annotations", "folders" or "templates"). The caller owns
 * the array of texts. */
json_t *policy_users(const json_t *document, const char *section, const char *id);

/* --- changes, for policy_draft_change --- */

struct policy_place {
    const char *section, *id;
    const char *word;   /* how the history calls such an object: "filter" */
    const char *before; /* of policy_change_move: the identity that it stands before; "": the end */
    int step;           /* of policy_change_step: -1 up, 1 down */
    bool enabled;       /* of policy_change_enabled */
};

/* Each is ERROR_NOT_FOUND where there is no such object. */
bool policy_change_move(json_t *document, const void *place, struct buffer *what,
                        struct error *error);
bool policy_change_step(json_t *document, const void *place, struct buffer *what,
                        struct error *error);
bool policy_change_enabled(json_t *document, const void *place, struct buffer *what,
                           struct error *error);
/* The copy stands behind the object; a filter's copy is disabled. */
bool policy_change_copy(json_t *document, const void *place, struct buffer *what,
                        struct error *error);
/* ERROR_DENIED while filters refer to it. */
bool policy_change_remove(json_t *document, const void *place, struct buffer *what,
                          struct error *error);

#endif

/* One question of another process, from the first source to the answer. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_QUESTION_H
#define GATEHOUSE_SCANNER_DIRECTORY_QUESTION_H

#include "scanner/directory/sources.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUESTION_MS 60000          /* a question that takes longer is answered with "unavailable" */
#define QUESTION_TEXT_MOST 1024    /* bytes of a name or a password */
#define QUESTION_GROUP_BYTES 28000 /* of all groups of an answer, which must fit into a packet */

enum question_status {
    QUESTION_KNOWN,
    QUESTION_UNKNOWN,
    QUESTION_NOT_ASKED,
    QUESTION_UNAVAILABLE,
};

struct question_answer {
    enum question_status status;
    struct ldap_routing routing; /* of a recipient */
    char user[ADDRESS_SIZE];     /* of a password */
    struct ldap_groups groups;
    char reason[640]; /* why it is unavailable; may be empty */
};

typedef void (*question_callback)(void *argument, const struct question_answer *answer);

struct questions; /* all that are under way */
struct question;

/* Their patience is measured on the loop; never NULL. */
struct questions *questions_new(struct event_base *base);
void questions_free(struct questions *questions);
/* What later questions ask. `sources` is held; NULL: all is unavailable. */
void questions_use(struct questions *questions, struct sources *sources);
/* How many are under way, and how many were answered since the start. */
size_t questions_count(const struct questions *questions);
uint64_t questions_answered(const struct questions *questions);

/* Each asks one question. The callback comes once, perhaps within the call, and with a borrowed
 * answer. *place is the question as long as it is under way, then NULL. */
void question_recipient(struct questions *questions, const char *address, struct question **place,
                        question_callback callback, void *argument);
void question_groups(struct questions *questions, const char *address, struct question **place,
                     question_callback callback, void *argument);
/* Local users first, then the sources, as long as none takes the password. */
void question_password(struct questions *questions, const char *user, const char *password,
                       struct question **place, question_callback callback, void *argument);
/* The callback will not come. */
void question_cancel(struct question *question);

#endif

/* Questions to the directory process (run/directory.sock): who a recipient is, whether a password
 * is right, and which groups an address is in. Answers come from the event loop, never from within
 * a function of this header.
 *
 * Where the process is away, or does not answer within the time limit, the answer is
 * DIRECTORY_UNAVAILABLE: a recipient is then answered with 451, never with 550. */
#ifndef GATEHOUSE_SCANNER_MTA_DIRECTORY_CLIENT_H
#define GATEHOUSE_SCANNER_MTA_DIRECTORY_CLIENT_H

#include "common/address.h"

#include <event2/event.h>
#include <stddef.h>

struct directory_client;
struct directory_question;

enum directory_status {
    DIRECTORY_KNOWN,       /* the recipient exists; the password is right */
    DIRECTORY_UNKNOWN,     /* no source knows the recipient; name or password are wrong */
    DIRECTORY_NOT_ASKED,   /* no source serves that question for that domain */
    DIRECTORY_UNAVAILABLE, /* it cannot be said at this time */
};

struct directory_answer {
    enum directory_status status;
    /* Of a recipient, from a source with routing; "" where there is none. */
    char address[ADDRESS_SIZE];  /* where its mail goes instead */
    char route[DOMAIN_SIZE + 8]; /* the next hop, as queue_recipient.route: "HOST", "HOST:PORT" */
    /* Of a user who signed in: the name as the directory has it. */
    char user[ADDRESS_SIZE];
    /* The directory groups of an address (DIRECTORY_KNOWN); borrowed for the call. */
    const char *const *groups;
    size_t group_count;
};

/* Borrowed for the call. */
typedef void (*directory_callback)(void *argument, const struct directory_answer *answer);

/* `path` is that of the socket; it need not exist. */
struct directory_client *directory_client_new(struct event_base *base, const char *path);
/* Nobody is called any more. NULL is allowed. */
void directory_client_free(struct directory_client *client);

/* Each asks one question; the callback comes once, unless the question is forgotten before. */
struct directory_question *directory_ask_recipient(struct directory_client *client,
                                                   const char *address, directory_callback callback,
                                                   void *argument);
/* The password leaves no copy behind in this process. */
struct directory_question *directory_ask_password(struct directory_client *client, const char *user,
                                                  const char *password, directory_callback callback,
                                                  void *argument);
struct directory_question *directory_ask_groups(struct directory_client *client,
                                                const char *address, directory_callback callback,
                                                void *argument);
/* The callback will not come. */
void directory_forget(struct directory_question *question);

#endif

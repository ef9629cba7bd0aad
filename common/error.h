/* Errors as values: what went wrong, and where. */
#ifndef GATEHOUSE_COMMON_ERROR_H
#define GATEHOUSE_COMMON_ERROR_H

#include <stdbool.h>

enum error_code {
    ERROR_NONE = 0,
    ERROR_INVALID, /* input that breaks a rule; `where` names the field or line */
    ERROR_NOT_FOUND,
    ERROR_EXISTS,
    ERROR_DENIED,
    ERROR_LIMIT,    /* a configured limit was reached */
    ERROR_IO,       /* the operating system refused */
    ERROR_NO_SPACE, /* disk full */
    ERROR_TIMEOUT,
    ERROR_UNAVAILABLE, /* a peer (database, socket, server) is away */
    ERROR_PROTOCOL,    /* a peer sent what its protocol does not allow */
    ERROR_INTERNAL,
};

struct error {
    enum error_code code;
    char where[128];   /* file, field, peer or operation; may be empty */
    char message[512]; /* one sentence for a person, no secrets */
};

/* Sets *error (NULL is allowed and ignored) and returns false, so that a function can end with
 * `return error_set(...)`. `where` may be NULL. Over-long text is cut
 * between characters; control characters and bytes that are not UTF-8 become '?', so that errors
 * may go into JSON and logs as they are. `where` and the arguments may point into *error. */
bool error_set(struct error *error, enum error_code code, const char *where, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

/* Like error_set, with the text of errno appended; ENOSPC and EDQUOT become ERROR_NO_SPACE. */
bool error_set_errno(struct error *error, const char *where, const char *what);

/* Puts "where: message" (or the message alone) into text, always NUL-terminated; returns text. */
const char *error_text(const struct error *error, char *text, unsigned long size);

#endif

/* Passwords of local users that were right a while ago, so that a program that signs in for every
 * message does not cost half a second of a processor each time.
 *
 * What is kept is a keyed hash of the password and of the user's password hash in the
 * configuration: it proves nothing after the password was changed, and the key never leaves this
 * process. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_PROVEN_H
#define GATEHOUSE_SCANNER_DIRECTORY_PROVEN_H

#include <stdbool.h>

struct proven;

/* NULL: no memory. */
struct proven *proven_new(void);
void proven_free(struct proven *proven);

/* Whether that password was found right for that password hash. */
bool proven_has(const struct proven *proven, const char *password_hash, const char *password);
void proven_add(struct proven *proven, const char *password_hash, const char *password);

#endif

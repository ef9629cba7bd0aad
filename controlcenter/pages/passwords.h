/* Passwords of administrators: Argon2id of libsodium, a few at a time because each takes 64 MiB. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_PASSWORDS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_PASSWORDS_H

#include "controlcenter/pages/application.h"

#define PASSWORD_LEAST 12  /* characters */
#define PASSWORD_MOST 1024 /* bytes */
#define PASSWORD_HASH_SIZE 129

/* False with ERROR_DENIED where the password is another one, or ERROR_LIMIT where too many are
 * being checked at this moment. `hash` may be NULL: then it takes the same time and is denied. */
bool password_verify(struct application *application, const char *hash, const char *password,
                     struct error *error);
/* False with ERROR_LIMIT as above, or ERROR_INTERNAL where memory ran out. */
bool password_hash(struct application *application, const char *password,
                   char hash[PASSWORD_HASH_SIZE], struct error *error);

/* NULL where the password may be taken, or the sentence of templates/messages.txt that says why
 * not. `old` is the one before. */
const char *password_weakness(const char *password, const char *old, const char *name);

#endif

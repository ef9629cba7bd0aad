/* What a client sends to sign in (RFC 4954): the mechanisms PLAIN (RFC 4616) and LOGIN. Pure text
 * work. Passwords are in here: wipe what was filled with smtp_credentials_wipe. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_AUTH_H
#define GATEHOUSE_SCANNER_MTA_SMTP_AUTH_H

#include "common/address.h"

#include <stdbool.h>
#include <stddef.h>

#define SMTP_PASSWORD_SIZE 1024

struct smtp_credentials {
    char user[ADDRESS_SIZE];
    char password[SMTP_PASSWORD_SIZE];
};

enum smtp_auth_result {
    SMTP_AUTH_READ,
    SMTP_AUTH_MALFORMED, /* no base64, not in the mechanism's form, or too long */
    SMTP_AUTH_FOREIGN,   /* wants to act for somebody else, which nobody may */
};

/* The one response of PLAIN: base64 of "[as-whom] NUL user NUL password". */
enum smtp_auth_result smtp_auth_plain(const char *response, struct smtp_credentials *credentials);
/* The two of LOGIN, base64 of a name and of a password. */
enum smtp_auth_result smtp_auth_user(const char *response, struct smtp_credentials *credentials);
enum smtp_auth_result smtp_auth_password(const char *response,
                                         struct smtp_credentials *credentials);

/* Overwrites names and passwords, so that no later leak shows them. */
void smtp_credentials_wipe(struct smtp_credentials *credentials);

#endif

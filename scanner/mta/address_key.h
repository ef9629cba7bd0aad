/* The one form of an address in which aliases, masquerades and bounce tags compare addresses. */
#ifndef GATEHOUSE_SCANNER_MTA_ADDRESS_KEY_H
#define GATEHOUSE_SCANNER_MTA_ADDRESS_KEY_H

#include "common/address.h"

#include <stdbool.h>
#include <stddef.h>

/* The bytes of a mailbox's local part, quotes included; 0 where the text has no "@" (the null
 * sender, "postmaster"). */
size_t address_local_length(const char *address);

/* The address with its letters (A to Z) in lower case, its domain as A-labels, and its local part
 * without quotes where it needs none (RFC 5321 section 4.1.2: "user"@ and user@ are one mailbox).
 * False where the text is no mailbox or too long. */
bool address_key(const char *address, char key[ADDRESS_SIZE]);

#endif

/* The addresses in a header field such as From or To. */
#ifndef GATEHOUSE_SCANNER_POLICY_HEADER_ADDRESSES_H
#define GATEHOUSE_SCANNER_POLICY_HEADER_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

typedef bool header_address_found(void *context, const char *address);

/* Reads an address list (RFC 5322 section 3.4) out of a decoded value, forgivingly: what has an @
 * between separators, or stands between < and >. The domain is given in lower case as A-labels
 * where that can be done, the local part as it stands. Ends early where `found` says false, which
 * is then what it returns; false without memory too. */
bool header_addresses(const char *value, header_address_found *found, void *context);

#endif

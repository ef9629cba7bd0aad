/* Aliases and masquerading: which addresses an address stands for (RFC 5321 section 3.9), and how
 * addresses of the organisation look to the world. */
#ifndef GATEHOUSE_SCANNER_MTA_ADDRESS_REWRITE_H
#define GATEHOUSE_SCANNER_MTA_ADDRESS_REWRITE_H

#include "common/address.h"
#include "common/buffer.h"
#include "common/config_model.h"

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_REWRITE_MOST 1000 /* addresses that one recipient becomes at most */

struct address_list {
    char **addresses;
    size_t count, capacity;
};
void address_list_free(struct address_list *list);

/* The addresses that mail for `address` goes to: domains that are aliases of others, then aliases,
 * over and over until nothing changes; itself where there is none. An address that was there before
 * is not followed again, so that loops end; none comes twice. False where there would be more than
 * ADDRESS_REWRITE_MOST: the recipient is then refused with 550 5.4.6. */
bool address_expand(const struct scanner_config *config, const char *address,
                    struct address_list *list);

/* Whether an alias (not a domain's) made it: such a recipient is known without a directory. */
bool address_is_alias(const struct scanner_config *config, const char *address);

/* The masqueraded form of `address` into `to`; false where no rule is for it. */
bool address_masquerade(const struct scanner_config *config, const char *address,
                        char to[ADDRESS_SIZE]);

/* Rewrites the addresses of From, Sender, Reply-To, To, Cc and Resent-* in the header of a whole
 * message (RFC 5322, CRLF) by the masquerading rules; comments, names, folding and everything else
 * stay byte for byte. Returns false, and adds nothing to `out`, where nothing is to be changed;
 * else adds the new header section to `out` and sets *header_length to the length of the old one.
 */
bool header_masquerade(const struct scanner_config *config, const char *message, size_t length,
                       struct buffer *out, size_t *header_length);

#endif

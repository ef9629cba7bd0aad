/* Bounce address tags (BATV, draft-levine-smtp-batv-01, "prvs"): a sender of outbound mail carries
 * a tag with a date and a keyed hash, so that a bounce of mail that we never sent is known. */
#ifndef GATEHOUSE_SCANNER_MTA_BOUNCE_PROTECTION_H
#define GATEHOUSE_SCANNER_MTA_BOUNCE_PROTECTION_H

#include "common/address.h"
#include "common/config_model.h"

#include <stdbool.h>
#include <stdint.h>

/* "prvs=KDDDSSSSSS=user@example.com" into `tagged`; false where the mode is off, the sender is the
 * null sender, its domain is not local, it has a tag already or would be too long. `now` in
 * milliseconds since 1970. */
bool bounce_tag(const struct scanner_config *config, const char *sender, int64_t now,
                char tagged[ADDRESS_SIZE]);

enum bounce_tag_state { BOUNCE_TAG_NONE, BOUNCE_TAG_VALID, BOUNCE_TAG_EXPIRED, BOUNCE_TAG_FORGED };

/* What the tag of a recipient says; where it has one, `plain` gets the address without it (also of
 * one that is not valid). */
enum bounce_tag_state bounce_check(const struct scanner_config *config, const char *recipient,
                                   int64_t now, char plain[ADDRESS_SIZE]);

#endif

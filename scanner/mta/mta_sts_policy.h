/* MTA-STS policies and records as text (RFC 8461 section 3). */
#ifndef GATEHOUSE_SCANNER_MTA_MTA_STS_POLICY_H
#define GATEHOUSE_SCANNER_MTA_MTA_STS_POLICY_H

#include "common/address.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MTA_STS_POLICY_LIMIT (64u << 10) /* bytes of a policy */
#define MTA_STS_PATTERNS 100             /* mx lines that are kept of one */
#define MTA_STS_ID_SIZE 33
#define MTA_STS_AGE_MOST 31557600 /* seconds, a year */

enum mta_sts_mode { MTA_STS_NONE, MTA_STS_TESTING, MTA_STS_ENFORCE };

struct mta_sts_policy;

/* Reads a policy; unknown fields are passed over. The caller has the first reference. NULL with
 * *error (ERROR_INVALID). */
struct mta_sts_policy *mta_sts_policy_read(const char *text, size_t length, struct error *error);
struct mta_sts_policy *mta_sts_policy_take(struct mta_sts_policy *policy);
/* NULL is allowed. */
void mta_sts_policy_drop(struct mta_sts_policy *policy);

/* What the policy says; texts are borrowed (RFC 8461, 3.2). */
enum mta_sts_mode mta_sts_mode(const struct mta_sts_policy *policy);
uint32_t mta_sts_max_age(const struct mta_sts_policy *policy); /* seconds */
const char *mta_sts_text(const struct mta_sts_policy *policy); /* as it was read */
/* The mx patterns, in order. */
size_t mta_sts_mx_count(const struct mta_sts_policy *policy);
const char *mta_sts_mx(const struct mta_sts_policy *policy, size_t index);
/* Whether a pattern fits the (normalised) name: "*.example.com" fits one label before it. */
bool mta_sts_has_mx(const struct mta_sts_policy *policy, const char *host);

/* The id of a TXT record "v=STSv1; id=..."; false where it is no such record or malformed. */
bool mta_sts_read_record(const char *text, size_t length, char id[MTA_STS_ID_SIZE]);

#endif

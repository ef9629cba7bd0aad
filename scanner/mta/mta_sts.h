/* MTA-STS (RFC 8461): the policy of a recipient's domain. The record _mta-sts.DOMAIN says whether
 * there is one and which; the policy itself comes from https://mta-sts.DOMAIN and is kept in memory
 * and in a folder (one file a domain), so that an attacker who keeps us from either cannot take it
 * away before its max_age is over. */
#ifndef GATEHOUSE_SCANNER_MTA_MTA_STS_H
#define GATEHOUSE_SCANNER_MTA_MTA_STS_H

#include "scanner/mta/https_client.h"
#include "scanner/mta/mta_sts_policy.h"

struct mta_sts;

struct mta_sts_answer {
    struct mta_sts_policy *policy; /* NULL: none that counts; borrowed for the call */
    const char *problem; /* the domain has one that cannot be had: a result type of RFC 8460 */
    int64_t expires;     /* monotonic milliseconds: ask again then */
};

typedef void (*mta_sts_callback)(void *argument, const struct mta_sts_answer *answer);

/* Reads what the folder holds; it is made where it is missing. Without it policies are kept in
 * memory alone. */
struct mta_sts *mta_sts_new(struct resolver *resolver, struct https_client *https,
                            const char *folder);
/* Close it, then free resolver and client first: who waits is answered by that. NULL is allowed. */
void mta_sts_free(struct mta_sts *sts);
/* From now on nothing is fetched. */
void mta_sts_close(struct mta_sts *sts);
/* `domain` is normalised. The callback may come before the function returns. */
void mta_sts_find(struct mta_sts *sts, const char *domain, mta_sts_callback callback,
                  void *argument);

#endif

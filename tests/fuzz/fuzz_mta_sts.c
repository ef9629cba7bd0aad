/* libFuzzer: MTA-STS policies and records. Whatever they hold, what is kept is bounded, and a
 * policy that is read reads the same again. */
#include "scanner/mta/mta_sts_policy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_policy(const char *text, size_t size)
{
    struct mta_sts_policy *policy = mta_sts_policy_read(text, size, NULL);
    if (!policy)
        return;
    const char *again = mta_sts_text(policy);
    if (mta_sts_mx_count(policy) > MTA_STS_PATTERNS || mta_sts_max_age(policy) > MTA_STS_AGE_MOST ||
        strlen(again) != size)
        abort();
    for (size_t i = 0; i < mta_sts_mx_count(policy); i++)
        if (mta_sts_mx(policy, i)[0] != '*' && !mta_sts_has_mx(policy, mta_sts_mx(policy, i)))
            abort();
    mta_sts_has_mx(policy, "mx.example.com");
    struct mta_sts_policy *other = mta_sts_policy_read(again, strlen(again), NULL);
    if (!other || mta_sts_mx_count(other) != mta_sts_mx_count(policy))
        abort();
    mta_sts_policy_drop(other);
    mta_sts_policy_drop(policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[MTA_STS_ID_SIZE];
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    check_policy(text, size);
    if (mta_sts_read_record(text, size, id) && (id[0] == '\0' || strlen(id) >= sizeof(id)))
        abort();
    free(text);
    return 0;
}

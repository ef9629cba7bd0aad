/* From verdicts to actions: what the policies of the configuration say of a scanned message. */
#ifndef GATEHOUSE_SCANNER_MTA_POLICY_H
#define GATEHOUSE_SCANNER_MTA_POLICY_H

#include "common/config_model.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define POLICY_HEADER_SIZE 512
#define POLICY_DETAIL_SIZE 256

struct policy_decision {
    enum config_action action;
    const char *policy; /* "malware.virus"; NULL: no policy was needed, the message is clean */
    bool bounces;       /* where the message was accepted already, "reject" tells its sender */
    char header[POLICY_HEADER_SIZE]; /* a header field for the delivered message, CRLF; or "" */
    enum config_verdict verdict;     /* that the action is for; of no sense where policy is NULL */
    char detail[POLICY_DETAIL_SIZE]; /* what was found, for the audit log; "" */
    int hours; /* of quarantine: the age at which the message is decided over again */
};

/* Decides over the engine's result object: of all verdicts that apply the one with the strictest
 * action counts (delete, reject, quarantine, clean, deliver). `age_ms` is the message's: a verdict
 * whose time in quarantine is over counts with its `then`. A verdict that is not known is as good
 * as none: the message is unscannable. */
void policy_decide(const struct scanner_config *config, const json_t *result, int64_t age_ms,
                   struct policy_decision *decision);

/* The clean file cannot be taken, so that the message is deleted after all. */
void policy_refuse_cleaned(struct policy_decision *decision, const char *reason);

/* The verdicts of which messages are to be cleaned: bits 1 << enum config_verdict. */
uint32_t policy_cleans(const struct scanner_config *config);

#endif

/* What becomes of each recipient of a scanned message: the malware policy of the recipient's group
 * and what the content filters say, combined. Recipients with the same result are one share. */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_OUTCOMES_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_OUTCOMES_H

#include "scanner/mta/intake_answer.h"
#include "scanner/mta/intake_people.h"
#include "scanner/policy/malware.h"

/* The strictest first. The stricter one of malware policy and content filters counts. */
enum intake_fate {
    INTAKE_DELETE,
    INTAKE_REJECT,
    INTAKE_BOUNCE,
    INTAKE_DEFER,
    INTAKE_QUARANTINE, /* of suspect malware: it is scanned again */
    INTAKE_HOLD,       /* an incident in a quarantine folder */
    INTAKE_REMOVE,     /* a filter removed the recipient; others may be there in its place */
    INTAKE_DELIVER,
};

/* Recipients with the same malware decision and the same outcome of the filters. */
struct intake_unit {
    const struct policy_decision *malware;
    const struct intake_outcome *outcome; /* NULL: no filter was asked, or none counts */
    enum intake_fate fate;
    size_t share;
    uint32_t *recipients; /* positions in the list that was decided over */
    size_t recipient_count;
};

/* Units that go on as one message: to be delivered alike, or to wait for another scan. */
struct intake_share {
    const struct intake_unit *unit; /* the first one; the others are as this one */
    size_t recipient_count;
    bool waits, suspect; /* is to be scanned again; for newer signatures */
};

#define INTAKE_NO_SHARE ((size_t)-1)

struct intake_outcomes {
    struct policy_decision *decisions;
    size_t decision_count;
    struct intake_unit *units;
    size_t unit_count;
    struct intake_share *shares;
    size_t share_count;
    int hours; /* in quarantine: the age at which the message is decided over again; 0: none is */
};

/* Decides over the recipients; `left_out` may be NULL, else those for whom it is true are in no
 * unit. `answer` is NULL where no filter was asked or none could be evaluated. Borrows the answer
 * until it is freed. */
struct intake_outcomes *intake_outcomes_new(const struct intake_people *people,
                                            const json_t *result, int64_t age_ms,
                                            const struct intake_answer *answer,
                                            size_t recipient_count, const bool *left_out);
void intake_outcomes_free(struct intake_outcomes *outcomes);

/* Whether a decision wants the clean file. */
bool intake_outcomes_clean(const struct intake_outcomes *outcomes);
/* The clean file cannot be taken: whom it was for gets nothing. */
void intake_outcomes_refuse_cleaned(struct intake_outcomes *outcomes, const char *reason);

/* Puts the units into shares, after the last change of their fates. */
void intake_outcomes_share(struct intake_outcomes *outcomes);
/* Whether every unit has that fate (and there is one). */
bool intake_outcomes_all(const struct intake_outcomes *outcomes, enum intake_fate fate);

/* The route that a filter gives the unit's recipients, or NULL. */
const char *intake_unit_route(const struct intake_unit *unit);
bool intake_unit_requires_tls(const struct intake_unit *unit);
/* "554 5.7.1 ..." or "451 4.7.1 ...", what the sender is told; into `reply` of so many bytes. */
void intake_unit_reply(const struct intake_unit *unit, char *reply, size_t size);
/* Whether the sender may be told: those of viruses are forged as a rule. */
bool intake_unit_bounces(const struct intake_unit *unit);
/* The policy that decided, as the audit log names it: "malware.virus", "filter: Payroll"; NULL for
 * none. Into `name` where it has to be written. */
const char *intake_unit_policy(const struct intake_unit *unit, char *name, size_t size);

#endif

/* What is to be done with a scanned message: which of its recipients it keeps, which messages go on
 * by themselves, and what the audit log says of it.
 *
 *   intake_plan.c      combines verdict, groups and filters, and chooses who keeps the message
 *   intake_further.c   the messages that go on by themselves: shares, copies, incidents
 *   intake_forward.c   a message that has another one as its attachment
 *   intake_report.c    reports to the sender about recipients that are refused after acceptance
 *   intake_events.c    the events
 *
 * Nothing is stored here: that is intake_batch.h's. */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_PLAN_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_PLAN_H

#include "scanner/mta/intake_body.h"
#include "scanner/mta/intake_outcomes.h"
#include "scanner/mta/scan_client.h"

#define INTAKE_REPLY_SIZE 512

/* The message that was scanned; all of it is borrowed. */
struct intake_message {
    struct queue *queue;
    const struct config_ref *config;
    struct message_id id;
    enum queue_direction direction;
    uint8_t flags;
    int64_t received_at, age_ms;
    const char *sender, *envelope_id;
    const struct queue_draft_recipient *recipients; /* those that were decided over */
    size_t recipient_count;
    const bool *left_out;     /* they are final meanwhile; NULL: none is */
    const uint32_t *indices;  /* of the audit log; NULL: as they stand in the list */
    const uint32_t *attempts; /* scans that ended in "not now"; NULL: none before */
    uint64_t size;
    bool in_session; /* the client waits for the answer, so that the message can still be refused */
    /* The text that came, for a body that is not there yet. */
    bool (*read_body)(void *argument, struct intake_body *body, struct error *error);
    void *argument;
};

enum intake_further_kind { INTAKE_SPLIT, INTAKE_COPY, INTAKE_INCIDENT, INTAKE_REPORT };

/* A message that goes on by itself. */
struct intake_further {
    enum intake_further_kind kind;
    struct queue_draft draft;
    struct queue_draft_recipient *recipients;
    char *header;                       /* of the draft, or NULL */
    bool *of_units;                     /* which units it is for */
    size_t share;                       /* of INTAKE_SPLIT */
    size_t first_recipient;             /* of INTAKE_INCIDENT: of the unit's */
    const struct intake_action *action; /* of INTAKE_COPY and INTAKE_INCIDENT */
};

struct intake_plan {
    json_t *result;               /* the engine's; "unscannable" where the filters failed */
    struct intake_answer *answer; /* NULL: no filter was asked, or see `problem` */
    char *problem;                /* why the filters could not be evaluated, or NULL */
    struct intake_outcomes *outcomes;
    size_t kept; /* the share that keeps the message and its id; INTAKE_NO_SHARE: none does */
    struct intake_body original, cleaned, *bodies;
    size_t body_count;
    struct intake_further *further;
    size_t further_count;
    bool is_refused;               /* by the reply to the client; nothing is stored */
    char reply[INTAKE_REPLY_SIZE]; /* where it is refused */
};

/* NULL with *error where the reason lies with this host, so that the message is to be scanned again
 * later. */
struct intake_plan *intake_plan_new(const struct intake_message *message,
                                    const struct intake_people *people,
                                    const struct scan_answer *answer, struct error *error);
void intake_plan_free(struct intake_plan *plan);

/* The first unit that the message is for. */
const struct intake_unit *intake_further_unit(const struct intake_plan *plan,
                                              const struct intake_further *further);
/* The body that the unit's recipients get. */
const struct intake_body *intake_plan_body(const struct intake_plan *plan,
                                           const struct intake_unit *unit);
/* The fields put before it, or NULL; the caller frees them. */
char *intake_plan_header(const struct intake_unit *unit);
/* Gives a draft what a share of the plan needs: state, flags, routes and header, for `recipients`,
 * which are those of the draft. *header is the caller's to free. */
void intake_plan_dress(const struct intake_plan *plan, size_t share, struct queue_draft *draft,
                       struct queue_draft_recipient *recipients, char **header);
/* Whether the unit's recipients stay with the message. */
bool intake_plan_keeps(const struct intake_plan *plan, const struct intake_unit *unit);

/* Private to intake_plan.c and its neighbours: adds a message with room for so many recipients. */
struct intake_further *intake_plan_add(struct intake_plan *plan,
                                       const struct intake_message *message,
                                       enum intake_further_kind kind, size_t recipients);
bool intake_plan_add_shares(struct intake_plan *plan, const struct intake_message *message,
                            struct error *error);
bool intake_plan_add_copies(struct intake_plan *plan, const struct intake_message *message,
                            struct error *error);
bool intake_plan_add_incidents(struct intake_plan *plan, const struct intake_message *message,
                               struct error *error);
void intake_plan_add_reports(struct intake_plan *plan, const struct intake_message *message);
bool intake_forward_write(const struct intake_plan *plan, const struct intake_message *message,
                          const struct intake_unit *unit, struct intake_further *further,
                          struct error *error);
/* The name of the filter with that id among those that were met; NULL, or an id that is not there:
 * that of the one that decided. */
const char *intake_outcome_filter_name(const struct intake_outcome *outcome, const char *id);
/* The first filters that were met: a new array of at most a hundred. */
json_t *intake_outcome_filters(const struct intake_outcome *outcome);
/* What was found by the filters that were met for the outcome's recipients, and not by those for
 * others: a new array. */
json_t *intake_plan_finds(const struct intake_plan *plan, const struct intake_outcome *outcome);
/* A text of the engine's result, such as the subject, or "". */
const char *intake_plan_text(const struct intake_plan *plan, const char *member);

/* Appends the events of the message (all but `received`) and of those that go on by themselves to
 * their drafts. */
void intake_plan_write_events(struct intake_plan *plan, const struct intake_message *message,
                              struct buffer *events);

/* The event `received` at the start of `events` with its first `count` recipients in another order:
 * that at i stands at indices[i] from now on. */
void intake_reorder_received(struct buffer *events, const uint32_t *indices, size_t count);

#endif

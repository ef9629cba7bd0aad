/* What the content filters say of a message: the policy's answer of an engine worker
 * (docs/architecture.md), checked and typed. The worker read hostile mail: nothing in its answer is
 * believed that does not fit the message. */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_ANSWER_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_ANSWER_H

#include "common/error.h"
#include "common/policy_model.h"
#include "scanner/policy/evaluate.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTAKE_BODY_AS_IT_CAME ((size_t)-1)

/* Text is borrowed from the answer; what a kind does not have is NULL. */
struct intake_action {
    enum policy_action_kind kind;
    const char *address; /* of copies and added recipients */
    const char *host;    /* of a route */
    const char *folder, *folder_name;
    bool quarantine;         /* the incident holds the message */
    const char *template_id; /* of a notification */
    const char *filter;      /* id of the filter that asks for it, or NULL */
    const json_t *to;        /* of a notification */
};

/* What is the same for some recipients. */
struct intake_outcome {
    uint32_t *recipients;
    size_t recipient_count;
    enum policy_disposition disposition;
    const json_t *filters;  /* [{id,name}] that were met, in order */
    const char *decided_by; /* id, or NULL */
    const char *name;   /* of the filter that decided, else of the last one that was met, or NULL */
    const char *text;   /* what the sender is told; "" */
    const char *header; /* fields to be put before the message, or "" */
    size_t body;        /* of the new messages, or INTAKE_BODY_AS_IT_CAME */
    struct intake_action *actions;
    size_t action_count;
};

struct intake_answer {
    json_t *json;
    struct intake_outcome *outcomes; /* every recipient stands in exactly one */
    size_t outcome_count;
    const json_t *finds; /* array */
    const char *problem; /* a limit that a condition ran into; "" */
};

/* Reads the answer from the descriptor. NULL with *error where it is none that fits a message with
 * so many recipients and new bodies. */
struct intake_answer *intake_answer_read(int fd, size_t recipients, size_t bodies,
                                         struct error *error);
void intake_answer_free(struct intake_answer *answer);

#endif

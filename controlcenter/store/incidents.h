/* Content incidents: messages that a filter put into a folder, and what was decided about them.
 * Conventions as in store.h. The body of an incident is store/messages.h's, by its handover id. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_INCIDENTS_H
#define GATEHOUSE_CONTROLCENTER_STORE_INCIDENTS_H

#include "controlcenter/store/outbox.h"
#include "controlcenter/store/store.h"

/* States: "open", then what decided it: "approved", "rejected", "deleted", "bounced", "routed",
 * "done" (an action of the folder's own), "expired" (nobody decided in time). */
#define STORE_INCIDENT_OPEN "open"

struct store_incident {
    int64_t number;
    char handover_id[37], message_id[37]; /* of its body; of the audit trail, "" where unknown */
    char scanner_id[37];
    char folder[65];
    char folder_name[201]; /* as the last incident of the folder said */
    bool quarantine;       /* held; else the message went on when it came */
    int64_t received_at;
    char direction[9], verdict[33], host[256], state[33];
    char *sender, *subject, *header_from;
    char *recipients_text, *filters_text; /* with commas, cut where they are many */
    char *action;                         /* the name of the one that decided; "" */
    int64_t decided_at;
    char *decided_by;
    char assigned_to[65]; /* "" nobody */
    int64_t size;
    json_t *recipients; /* [S] */
    json_t *filters;    /* [{"id","name"}] */
    json_t *finds;      /* as in the policy's answer; NULL in lists */
};

struct store_incident_query {
    const char *folder;   /* id; NULL: any */
    const char *state;    /* one of them, or "closed": all but open; NULL: any */
    const char *text;     /* part of sender, recipients or subject, regardless of case; NULL */
    const char *filter;   /* part of a filter's name; NULL */
    const char *assigned; /* a name; "": nobody; NULL: any */
    int64_t from, until;  /* of the receipt; 0: open */
    int64_t before_time;  /* keyset: those behind that one; 0: from the newest */
    int64_t before_number;
    size_t limit;         /* at most 1000 */
    const json_t *hidden; /* [S] ids of folders that are left out; NULL: none */
};

/* The newest first. ERROR_INVALID: a text of over 1000 bytes. */
bool store_incident_search(struct store *store, const struct store_incident_query *query,
                           struct store_incident **incidents, size_t *count, struct error *error);
void store_incident_list_free(struct store_incident *incidents, size_t count);
/* Clear it with store_incident_clear. */
bool store_incident_get(struct store *store, int64_t number, struct store_incident *incident,
                        struct error *error);
/* The one of a message that was handed over by that id. */
bool store_incident_by_handover(struct store *store, const char *handover_id,
                                struct store_incident *incident, struct error *error);
void store_incident_clear(struct store_incident *incident);

struct store_incident_line {
    int64_t at;
    char what[65]; /* "created", the id of an action, "comment", "assign", "expired" */
    char *who;     /* "" Gatehouse itself */
    char *detail, *comment;
};
/* Its history, the oldest line first. */
bool store_incident_history(struct store *store, int64_t number, struct store_incident_line **lines,
                            size_t *count, struct error *error);
void store_incident_history_free(struct store_incident_line *lines, size_t count);

struct store_incident_folder {
    char id[65];
    char name[201];
    int64_t open, closed, bytes;
    int64_t oldest_at; /* receipt of the oldest; 0: it is empty */
};
/* Those that ever had an incident, by id, but not those of `hidden` ([S], NULL: none). */
bool store_incident_folders(struct store *store, const json_t *hidden,
                            struct store_incident_folder **folders, size_t *count,
                            struct error *error);

/* "folders" of the policies in force, without the rest of them. Caller owns. */
json_t *store_incident_settings(struct store *store, struct error *error);
/* The names of all administrators: [S]. Caller owns. */
json_t *store_incident_administrators(struct store *store, struct error *error);

struct store_incident_decision {
    int64_t number;
    const char *state;  /* that it has afterwards; NULL: it stays open */
    const char *action; /* id, for the history */
    const char *name;   /* of the action, for people */
    const char *detail; /* what was done, for the history; may be NULL */
    const char *who, *comment;
    const struct store_outbox_new *mails; /* what goes with it, in the same transaction */
    size_t mail_count;
};
/* ERROR_EXISTS where somebody decided before, with who and what in the message. */
bool store_incident_decide(struct store *store, const struct store_incident_decision *decision,
                           struct error *error);
bool store_incident_comment(struct store *store, int64_t number, const char *who,
                            const char *comment, struct error *error);
/* To an administrator; "" takes it from everybody. */
bool store_incident_assign(struct store *store, int64_t number, const char *to, const char *who,
                           struct error *error);

/* --- incidents_expunge.c --- */

/* Numbers of at most `limit` incidents of the folder that are held, open and were received before
 * that time, the oldest first: the folder's action at the end of its time is due. */
bool store_incident_overdue(struct store *store, const char *folder, int64_t before, size_t limit,
                            int64_t *numbers, size_t *count, struct error *error);
/* Removes at most `limit` incidents of the folder that were received before that time and are not
 * both held and open. Their bodies go with store_message_expunge. */
bool store_incident_expunge(struct store *store, const char *folder, int64_t before, size_t limit,
                            int64_t *removed, struct error *error);
/* Removes the oldest decided incidents of the folder, then those that were only noted, at most
 * `limit`, until the folder has no more than so many bytes. */
bool store_incident_expunge_over(struct store *store, const char *folder, int64_t bytes,
                                 size_t limit, int64_t *removed, struct error *error);

#endif

/* The Control Center's tables as typed functions. Pages and the fleet know no SQL.
 *
 * Every function takes a connection from the store's pool, works in one transaction and gives it
 * back. Where the database is away it fails at once with ERROR_UNAVAILABLE, and the pool
 * reconnects. Thread-safe. Lists come as arrays that the caller frees with the function named
 * beside them; text members of rows are owned by the list. Times are milliseconds since 1970 UTC; 0
 * means never. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_STORE_H
#define GATEHOUSE_CONTROLCENTER_STORE_STORE_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* Opens a pool of at most `connections` to the libpq connection string (several hosts allowed).
 * Does not fail while the database is away; only on a malformed string. */
struct store *store_open(const char *conninfo, unsigned connections, struct error *error);
void store_close(struct store *store);
/* True where a query works now. */
bool store_ping(struct store *store, struct error *error);
/* Applies the numbered files of `folder` that the database does not have yet, each in a
 * transaction, under an advisory lock. Refuses a database that is newer than the files. */
bool store_migrate(struct store *store, const char *folder, struct error *error);

/* --- settings.c: key to JSON value; the CA, configuration keys and policies live here --- */
/* NULL with ERROR_NOT_FOUND where the key is missing. Caller owns the value. */
json_t *store_setting_get(struct store *store, const char *key, struct error *error);
/* `administrator` (a name) goes to the administrators' log with the old and the new value; keys
 * that begin with "secret.", and "bounce_protection", are logged without values. Where
 * `is_configuration` the version rises.
 */
bool store_setting_put(struct store *store, const char *key, const json_t *value,
                       const char *administrator, bool is_configuration, struct error *error);
/* Puts only where the key is missing; *created says which. For first-start material. */
bool store_setting_create(struct store *store, const char *key, const json_t *value, bool *created,
                          struct error *error);

/* --- administrators.c --- */
struct store_administrator {
    int64_t id;
    char name[65];
    char email[321];
    char password_hash[129]; /* Argon2id string of libsodium */
    bool must_change_password;
    int64_t locked_until;
    int failed_sign_ins;
};
bool store_administrator_count(struct store *store, int64_t *count, struct error *error);
/* ERROR_EXISTS where the name is taken. */
bool store_administrator_create(struct store *store, const char *name, const char *password_hash,
                                bool must_change_password, struct error *error);
bool store_administrator_by_name(struct store *store, const char *name,
                                 struct store_administrator *administrator, struct error *error);
/* Sets hash, clears must_change_password and lock, ends every session of the account but
 * `keep_session` (token hash, may be NULL), and logs it. */
bool store_administrator_set_password(struct store *store, int64_t id, const char *password_hash,
                                      bool must_change_password, const char *keep_session,
                                      struct error *error);
/* Counts a failure (and locks for 15 minutes from the 5th in a row on), or clears the count. */
bool store_administrator_sign_in_result(struct store *store, int64_t id, bool success,
                                        const char *peer, struct error *error);

/* --- sessions.c: kept as SHA-256 of the cookie's token --- */
struct store_session {
    int64_t administrator_id;
    char administrator_name[65];
    char csrf[65];
    bool must_change_password;
    int64_t created_at, seen_at;
    char peer[64];
};
bool store_session_create(struct store *store, const char *token_hash, const char *csrf,
                          int64_t administrator_id, const char *peer, struct error *error);
/* ERROR_NOT_FOUND: unknown, idle for over 30 minutes, or older than 12 hours. Marks it as seen. */
bool store_session_get(struct store *store, const char *token_hash, struct store_session *session,
                       struct error *error);
bool store_session_end(struct store *store, const char *token_hash, struct error *error);

/* --- scanners.c --- */
struct store_scanner {
    char id[37];
    char host_name[256];
    int64_t enrolled_at;
    int64_t seen_at;               /* last poll */
    int64_t configuration_version; /* that it runs */
    int64_t wanted_version;        /* that it should run */
    int64_t failed_version;        /* 0: none */
    char failed_reason[641];
    char software_version[33];
    json_t *status;         /* as sent, validated to be an object; may be NULL */
    json_t *smtp;           /* this host's own settings: the "smtp" member of its configuration */
    int64_t certificate_id; /* of its SMTP servers; 0: the one that was made for it by itself */
};
/* Token: secret's SHA-256 in hex; valid until expires_at; for one enrolment. */
bool store_enrolment_create(struct store *store, const char *secret_hash, const char *host_name,
                            int64_t expires_at, const char *administrator, struct error *error);
/* Uses the token up and creates the scanner with the `smtp` settings. ERROR_DENIED: unknown, used
 * or expired. `host_name` is what the token was made for. */
bool store_enrolment_use(struct store *store, const char *secret_hash, const json_t *smtp,
                         char scanner_id[37], char host_name[256], struct error *error);
bool store_scanner_list(struct store *store, struct store_scanner **scanners, size_t *count,
                        struct error *error);
bool store_scanner_get(struct store *store, const char *id, struct store_scanner *scanner,
                       struct error *error);
void store_scanner_list_free(struct store_scanner *scanners, size_t count);
void store_scanner_clear(struct store_scanner *scanner); /* frees what scanner_get filled */
/* Notes a poll: what it runs, what failed, its status. */
bool store_scanner_seen(struct store *store, const char *id, int64_t configuration_version,
                        int64_t failed_version, const char *failed_reason,
                        const char *software_version, const json_t *status, struct error *error);
bool store_scanner_set_smtp(struct store *store, const char *id, const json_t *smtp,
                            const char *administrator, struct error *error);
/* Its certificate is refused from then on; its audit records stay. */
bool store_scanner_remove(struct store *store, const char *id, const char *administrator,
                          struct error *error);

/* --- certificates.c: of the SMTP servers --- */
struct store_certificate {
    int64_t id;
    char name[201];    /* what administrators call it */
    char *certificate; /* PEM, its chain follows; "" until the request is answered */
    char *request;     /* PEM of the request that waits for its answer; "" */
    int64_t created_at;
    int64_t expires_at;  /* 0: unknown */
    char scanner_id[37]; /* that it was made for by itself; "" */
    json_t *hosts;       /* which use it: [{"id":UUID,"host_name":S}] */
};
/* Ordered by name. */
bool store_certificate_list(struct store *store, struct store_certificate **certificates,
                            size_t *count, struct error *error);
/* Those in use that expire before that time, the first ones first, at most `limit`. */
bool store_certificate_expiring(struct store *store, int64_t before, size_t limit,
                                struct store_certificate **certificates, size_t *count,
                                struct error *error);
void store_certificate_list_free(struct store_certificate *certificates, size_t count);
bool store_certificate_get(struct store *store, int64_t id, struct store_certificate *certificate,
                           struct error *error);
void store_certificate_clear(struct store_certificate *certificate);
/* The private key (PEM); nothing else hands one out. The caller wipes and frees it. */
char *store_certificate_key(struct store *store, int64_t id, struct error *error);
/* What the scanner's servers use; ERROR_NOT_FOUND where none was made yet. The caller frees both.
 */
bool store_certificate_of_scanner(struct store *store, const char *scanner_id, char **certificate,
                                  char **key, struct error *error);
struct store_new_certificate { /* members may be NULL but name and key */
    const char *name, *certificate, *key, *request;
    int64_t expires_at;
    const char *scanner_id; /* made by itself for this one; one each */
};
/* *id is 0 where another Control Center was first to make the one of that scanner. */
bool store_certificate_add(struct store *store, const struct store_new_certificate *new,
                           const char *administrator, int64_t *id, struct error *error);
/* Puts the (checked) answer to its request, or a renewed certificate for the same key, in place;
 * scanners that use it are sent it. */
bool store_certificate_answer(struct store *store, int64_t id, const char *certificate,
                              int64_t expires_at, const char *administrator, struct error *error);
/* ERROR_EXISTS (with the host) while one uses it. */
bool store_certificate_remove(struct store *store, int64_t id, const char *administrator,
                              struct error *error);
/* 0 goes back to the one that is made by itself. ERROR_NOT_FOUND: no such scanner, or no such
 * certificate for all. */
bool store_scanner_set_certificate(struct store *store, const char *scanner_id,
                                   int64_t certificate_id, const char *administrator,
                                   struct error *error);

/* --- entries.c: the lists of addresses that scanners are sent --- */
enum store_list { STORE_DOMAINS, STORE_ALIASES, STORE_MASQUERADES };
/* An element of `domains`, `aliases` or `masquerades` (common/config_model.h): its name, address or
 * from, and the rest of it ({"route","recipients","alias_of"}, {"to":[S]}, {"to":S}). */
struct store_entry {
    char key[320]; /* normalised */
    json_t *value;
};
/* Ordered by key; `search` (part of what it says) may be NULL; at most `limit` after `after`. */
bool store_entry_list(struct store *store, enum store_list list, const char *search,
                      const char *after, size_t limit, struct store_entry **entries, size_t *count,
                      struct error *error);
void store_entry_list_free(struct store_entry *entries, size_t count);
bool store_entry_count(struct store *store, enum store_list list, int64_t *count,
                       struct error *error);
/* NULL with ERROR_NOT_FOUND where there is none. Caller owns the value. */
json_t *store_entry_get(struct store *store, enum store_list list, const char *key,
                        struct error *error);
/* Creates or (where `replace`) changes; ERROR_EXISTS otherwise. A domain always says its
 * "recipients"; ERROR_INVALID at alias_of: no such domain. ERROR_LIMIT: over 100,000 of them. */
bool store_entry_put(struct store *store, enum store_list list, const char *key,
                     const json_t *value, bool replace, const char *administrator,
                     struct error *error);
/* ERROR_DENIED: another domain stands for this one. */
bool store_entry_remove(struct store *store, enum store_list list, const char *key,
                        const char *administrator, struct error *error);

struct store_change {
    int64_t added, changed, removed;
};
/* Writes all entries of the JSON text [{"key":S,"value":V},...], none twice, in one transaction
 * that raises the version once and logs each change; `replace_all` removes what is not among them.
 * `only_count` says what would change, and changes nothing. */
bool store_entry_import(struct store *store, enum store_list list, const char *rows,
                        bool replace_all, bool only_count, const char *administrator,
                        struct store_change *counts, struct error *error);
/* Keeps such a text for its administrator to confirm within the hour. */
bool store_draft_create(struct store *store, enum store_list list, const char *rows,
                        const char *administrator, int64_t *id, struct error *error);
/* The text, which the caller frees; NULL with ERROR_NOT_FOUND where it is not this administrator's,
 * or too old. */
char *store_draft_get(struct store *store, enum store_list list, int64_t id,
                      const char *administrator, struct error *error);

/* --- domains.c: domains as their routes alone --- */
struct store_domain {
    char name[256];
    json_t *route; /* ROUTE of common/config_model.h */
};
/* Ordered by name; `search` (substring) may be NULL; at most `limit` after the name `after`. */
bool store_domain_list(struct store *store, const char *search, const char *after, size_t limit,
                       struct store_domain **domains, size_t *count, struct error *error);
void store_domain_list_free(struct store_domain *domains, size_t count);
bool store_domain_count(struct store *store, int64_t *count, struct error *error);
/* Creates or (where `replace`) changes the route, and leaves the rest; ERROR_EXISTS otherwise. */
bool store_domain_put(struct store *store, const char *name, const json_t *route, bool replace,
                      const char *administrator, struct error *error);
bool store_domain_remove(struct store *store, const char *name, const char *administrator,
                         struct error *error);

/* The version that rises with every change of what scanners are sent, by any Control Center. */
bool store_configuration_version(struct store *store, int64_t *version, struct error *error);
/* Blocks until the version is above `above` or `wait_ms` passed (LISTEN/NOTIFY by one background
 * connection of the store, shared by all waiters). Returns the version now known. */
int64_t store_configuration_wait(struct store *store, int64_t above, int wait_ms);

/* --- audit.c --- */
/* Writes a batch of events of docs/architecture.md, in order, in one transaction; events with a seq
 * at or below the stream's position are passed over; *last_seq is the position afterwards. An event
 * that breaks the form, or whose message another scanner wrote first, is kept in audit_rejected
 * with the reason and does not stop the others. A gap (seq above position + 1) is ERROR_PROTOCOL, a
 * first event without a seq ERROR_INVALID; nothing is written then. */
bool store_audit_write(struct store *store, const char *scanner_id, const char *stream,
                       const json_t *events, int64_t *last_seq, struct error *error);
bool store_audit_position(struct store *store, const char *scanner_id, const char *stream,
                          int64_t *last_seq, struct error *error);

struct store_audit_query {
    const char *sender, *recipient, *subject; /* substrings regardless of case; NULL: any */
    const char *message_id;                   /* UUID or Message-ID header, exact */
    const char *peer_ip;                      /* exact */
    const char *verdict, *outcome;            /* exact; outcome: a recipient's state (below) */
    const char *scanner_id;
    int64_t from, until; /* milliseconds; 0: open */
    int64_t before_time; /* keyset: rows older than this one; 0: from the newest */
    const char *before_id;
    size_t limit; /* messages, at most 1000 */
};
struct store_audit_message { /* one row of the list: one message */
    char id[37];
    int64_t at;
    char scanner_host[256];
    char direction[9], peer_ip[46], verdict[33], action[33];
    char *sender, *subject;
    char *recipients; /* "a@example.com, b@example.com", cut after 3 with the count of the rest */
    char *outcomes;   /* the recipients' states, counted: "2 delivered, 1 deferred" */
    int64_t size;
    int recipient_count;
};
/* States of a recipient: "to be scanned", "quarantined", "queued", "delivered", "deferred",
 * "failed", "bounced", "deleted", "rejected", "refused", "aborted", "held" (in a folder of
 * incidents), "moved" (goes on in another message). A message of which no receipt is known has empty
 * texts. ERROR_INVALID: a condition of no sense; ERROR_TIMEOUT: over 30 s, to be
 * narrowed. */
bool store_audit_search(struct store *store, const struct store_audit_query *query,
                        struct store_audit_message **messages, size_t *count, struct error *error);
void store_audit_list_free(struct store_audit_message *messages, size_t count);
/* Everything of one message as JSON for the page: {"message":{...},"recipients":[{address,state,
 * ...}],"events":[{at,type,...}]} in order. Caller owns. */
json_t *store_audit_message(struct store *store, const char *id, struct error *error);

/* Figures of the dashboard, over the last `hours`: {"received":N,"delivered":N,"virus":N,"spam":N,
 * "rejected":N,"deferred":N,"by_hour":[{"at":MS,"received":N,"virus":N}]}. Caller owns. */
json_t *store_audit_summary(struct store *store, int hours, struct error *error);

/* --- directory.c: LDAP sources, in the order in which scanners ask them --- */
struct store_directory_source {
    int64_t id;
    char name[128];
    /* As in the configuration document, without name and bind_password; purposes that are switched
     * off may stand in a member "disabled". */
    json_t *settings;
    char *bind_password; /* "" for none; never for a browser */
};
bool store_directory_source_list(struct store *store, struct store_directory_source **sources,
                                 size_t *count, struct error *error);
void store_directory_source_list_free(struct store_directory_source *sources, size_t count);
/* Clear it with store_directory_source_clear. */
bool store_directory_source_get(struct store *store, int64_t id,
                                struct store_directory_source *source, struct error *error);
void store_directory_source_clear(struct store_directory_source *source);
/* Changes one, or adds it behind the others (id 0). A `bind_password` of NULL keeps the one that is
 * there. ERROR_EXISTS where the name is another's. */
bool store_directory_source_put(struct store *store, int64_t id, const char *name,
                                const json_t *settings, const char *bind_password,
                                const char *administrator, struct error *error);
/* Exchanges it with the one before it, or the one behind it; the first and the last stay. */
bool store_directory_source_move(struct store *store, int64_t id, bool up,
                                 const char *administrator, struct error *error);
bool store_directory_source_remove(struct store *store, int64_t id, const char *administrator,
                                   struct error *error);

/* --- directory_users.c: local users of SMTP AUTH --- */
#define STORE_USER_NAME_SIZE 320
struct store_directory_user {
    char name[STORE_USER_NAME_SIZE]; /* in lower case */
    bool is_enabled;
    int64_t changed_at;
    char password_hash[129]; /* Argon2id string of libsodium; for scanners alone */
};
/* Ordered by name; `search` (substring) may be NULL; at most `limit` after the name `after`. */
bool store_directory_user_list(struct store *store, const char *search, const char *after,
                               size_t limit, struct store_directory_user **users, size_t *count,
                               struct error *error);
void store_directory_user_list_free(struct store_directory_user *users, size_t count);
/* ERROR_EXISTS where the name (in lower case) is taken. */
bool store_directory_user_add(struct store *store, const char *name, const char *password_hash,
                              const char *administrator, struct error *error);
/* Each: ERROR_NOT_FOUND where there is no such user. */
bool store_directory_user_set_password(struct store *store, const char *name,
                                       const char *password_hash, const char *administrator,
                                       struct error *error);
bool store_directory_user_enable(struct store *store, const char *name, bool enable,
                                 const char *administrator, struct error *error);
bool store_directory_user_remove(struct store *store, const char *name, const char *administrator,
                                 struct error *error);

/* --- signatures.c: custom signatures, files in the formats of libclamav --- */
struct store_signature_file {
    int64_t id;
    char name[65];
    int64_t size; /* bytes */
    int64_t signatures;
    bool is_enabled;
    char changed_by[65];
    int64_t changed_at;
    char *text; /* "" in a list that is not for scanners */
};
/* Ordered by name. `for_scanners`: with their text, and only those that are enabled. */
bool store_signature_list(struct store *store, bool for_scanners,
                          struct store_signature_file **files, size_t *count, struct error *error);
void store_signature_list_free(struct store_signature_file *files, size_t count);
/* Without its text (NULL). */
bool store_signature_get(struct store *store, int64_t id, struct store_signature_file *file,
                         struct error *error);
/* The caller frees it. */
char *store_signature_text(struct store *store, int64_t id, struct error *error);
/* Adds it (name, text, signatures count), enabled, or puts it in the place of the one of that name.
 * ERROR_LIMIT: too many files, or too many bytes in all (common/config_model.h). */
bool store_signature_put(struct store *store, const struct store_signature_file *file,
                         const char *administrator, struct error *error);
bool store_signature_enable(struct store *store, int64_t id, bool enable,
                            const char *administrator, struct error *error);
bool store_signature_remove(struct store *store, int64_t id, const char *administrator,
                            struct error *error);

/* --- log.c: the administrators' log --- */
bool store_log_add(struct store *store, const char *administrator, const char *peer,
                   const char *action, const json_t *detail, struct error *error);

#endif

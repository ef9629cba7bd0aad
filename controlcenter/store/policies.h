/* The policy document of the fleet (common/policy_model.h, without "malware", which is the setting
 * policy.malware): the draft that administrators edit, and the versions that were put in force.
 * Templates have their texts here ("templates":[{"id","name","subject","text","html","language"}]),
 * folders their settings ({"id","name","quarantine","actions":[...],"retention_days":N,
 * "quota_megabytes":N,...}), which scanners are not sent. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_POLICIES_H
#define GATEHOUSE_CONTROLCENTER_STORE_POLICIES_H

#include "controlcenter/store/store.h"

/* The draft: {} at first. *revision rises with every change of it. Caller owns. */
json_t *store_policy_draft(struct store *store, int64_t *revision, struct error *error);
/* The same at once, whatever dictionaries hold: "words" of each is {"hash":S,"count":N} in place of
 * the array. It may be put as it is; the words stay. For pages that show or change other parts. */
json_t *store_policy_draft_light(struct store *store, int64_t *revision, struct error *error);
/* Puts the (checked) draft in place of the one of that revision; ERROR_EXISTS where somebody
 * changed it meanwhile. `what` is one line for the history ("changed filter Payroll"). */
bool store_policy_draft_put(struct store *store, const json_t *draft, int64_t revision,
                            const char *what, const char *administrator, struct error *error);
/* The document in force; NULL with ERROR_NOT_FOUND before the first one. Caller owns. */
json_t *store_policy_active(struct store *store, int64_t *version, struct error *error);
/* The same without words, as a light draft is; equal words have equal hashes. */
json_t *store_policy_active_light(struct store *store, int64_t *version, struct error *error);
/* Puts the draft of that revision in force: a new version, counted from 1; scanners are sent it.
 * ERROR_EXISTS as above. */
bool store_policy_publish(struct store *store, int64_t revision, const char *comment,
                          const char *administrator, int64_t *version, struct error *error);
/* The draft becomes what is in force again. */
bool store_policy_discard(struct store *store, const char *administrator, struct error *error);
/* Of what is in force; 0 before the first one. Costs little, whatever the document holds. */
bool store_policy_active_version(struct store *store, int64_t *version, struct error *error);
/* Whether anything was done to the draft since it was last put in force. */
bool store_policy_is_changed(struct store *store, bool *changed, struct error *error);

struct store_policy_version {
    int64_t version, at;
    char administrator[65];
    char *comment;
    json_t *changes; /* lines of the drafts since the version before: [S] */
};
/* The newest first, at most `limit` below `before` (0: from the newest). */
bool store_policy_versions(struct store *store, int64_t before, size_t limit,
                           struct store_policy_version **versions, size_t *count,
                           struct error *error);
void store_policy_versions_free(struct store_policy_version *versions, size_t count);
/* The document of a version. Caller owns. */
json_t *store_policy_version(struct store *store, int64_t version, struct error *error);

#endif

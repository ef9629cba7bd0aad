/* The draft of the policies, and the versions that were put in force. */
#include "controlcenter/store/policies_internal.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define COMMENT_SIZE 1024
#define WHAT_SIZE 512
#define MOST_VERSIONS 1000
#define MOST_LINES "1000" /* of a version that are shown */

/* Both statements and the words that they lead to are of one moment. */
static const char one_moment[] = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
static const char select_draft[] = "SELECT revision, document FROM policy_draft";
static const char select_active[] =
    "SELECT version, document FROM policy_version ORDER BY version DESC LIMIT 1";
static const char select_version[] =
    "SELECT version, document FROM policy_version WHERE version = $1";
static const char select_newest[] = "SELECT coalesce(max(version), 0) FROM policy_version";
static const char lock_draft[] = "SELECT revision FROM policy_draft FOR UPDATE";
static const char update_draft[] =
    "UPDATE policy_draft SET revision = revision + 1, document = $1::json, words = $2::text[]";
static const char insert_change[] =
    "INSERT INTO policy_change (what, administrator) VALUES ($1, $2)";
static const char insert_version[] =
    "INSERT INTO policy_version (version, document, words, comment, administrator)"
    " SELECT (SELECT coalesce(max(version), 0) + 1 FROM policy_version), document, words, $1, $2"
    " FROM policy_draft RETURNING version";
static const char keep_changes[] = "UPDATE policy_change SET version = $1 WHERE version IS NULL";
static const char forget_changes[] = "DELETE FROM policy_change WHERE version IS NULL";
static const char restore_draft[] =
    "UPDATE policy_draft d SET revision = revision + 1,"
    " document = coalesce((SELECT document FROM policy_version ORDER BY version DESC LIMIT 1),"
    "  '{}'::json),"
    " words = coalesce((SELECT words FROM policy_version ORDER BY version DESC LIMIT 1), '{}')";
static const char select_changed[] =
    "SELECT EXISTS (SELECT 1 FROM policy_change WHERE version IS NULL)";
static const char select_versions[] =
    "SELECT version, to_ms(at), administrator, comment,"
    " coalesce((SELECT json_agg(what ORDER BY id) FROM"
    "  (SELECT id, what FROM policy_change c WHERE c.version = v.version ORDER BY id"
    "   LIMIT " MOST_LINES ") lines), '[]'::json)"
    " FROM policy_version v WHERE $1 = 0 OR version < $1 ORDER BY version DESC LIMIT $2";

/* --- reading --- */

static json_t *read_in(PGconn *connection, const char *sql,
                       const struct store_parameters *parameters, bool whole, int64_t *number,
                       struct error *error)
{
    if (!store_run(connection, one_moment, NULL, error))
        return NULL;
    PGresult *result = store_query(connection, sql, parameters, error);
    json_t *document = NULL;
    if (result && PQntuples(result) == 0) {
        error_set(error, ERROR_NOT_FOUND, "policies", "there is no such version");
    } else if (result) {
        *number = store_integer(result, 0, 0);
        document = store_json(result, 0, 1);
        if (!document)
            store_out_of_memory(error);
    }
    PQclear(result);
    if (document && whole && !policy_words_put_back(connection, document, error)) {
        json_decref(document);
        document = NULL;
    }
    return document;
}

static json_t *read_document(struct store *store, const char *sql,
                             const struct store_parameters *parameters, bool whole, int64_t *number,
                             struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return NULL;
    json_t *document = read_in(transaction.connection, sql, parameters, whole, number, error);
    if (store_finish(&transaction, document != NULL, error))
        return document;
    json_decref(document);
    return NULL;
}

json_t *store_policy_draft(struct store *store, int64_t *revision, struct error *error)
{
    return read_document(store, select_draft, NULL, true, revision, error);
}

json_t *store_policy_draft_light(struct store *store, int64_t *revision, struct error *error)
{
    return read_document(store, select_draft, NULL, false, revision, error);
}

json_t *store_policy_active(struct store *store, int64_t *version, struct error *error)
{
    return read_document(store, select_active, NULL, true, version, error);
}

json_t *store_policy_active_light(struct store *store, int64_t *version, struct error *error)
{
    return read_document(store, select_active, NULL, false, version, error);
}

json_t *store_policy_version(struct store *store, int64_t version, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, version);
    return read_document(store, select_version, &parameters, true, &version, error);
}

bool store_policy_active_version(struct store *store, int64_t *version, struct error *error)
{
    PGresult *result = store_single(store, select_newest, NULL, error);
    if (result)
        *version = store_integer(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

bool store_policy_is_changed(struct store *store, bool *changed, struct error *error)
{
    PGresult *result = store_single(store, select_changed, NULL, error);
    if (result)
        *changed = store_boolean(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

/* --- the draft --- */

/* Nobody else changes the draft until the transaction ends. `revision` 0: whatever it is. */
static bool lock(PGconn *connection, int64_t revision, struct error *error)
{
    PGresult *result = store_query(connection, lock_draft, NULL, error);
    bool is_there = result && PQntuples(result) == 1;
    int64_t found = is_there ? store_integer(result, 0, 0) : 0;
    PQclear(result);
    if (!result)
        return false;
    if (!is_there)
        return error_set(error, ERROR_INTERNAL, "database", "the table policy_draft has no row");
    return revision == 0 || found == revision ||
           error_set(error, ERROR_EXISTS, "policies",
                     "somebody else changed the draft meanwhile; load it again");
}

static bool log_change(PGconn *connection, const char *action, const char *name, const char *text,
                       const char *administrator, struct error *error)
{
    cleanup_json json_t *value = json_pack("{s:s}", name, text);
    struct store_log_line line = {
        .administrator = administrator, .action = action, .object = "policies", .new_value = value};
    return value ? store_log_write(connection, &line, error) : store_out_of_memory(error);
}

static bool put(PGconn *connection, const struct policy_document *document, const char *what,
                const char *administrator, struct error *error)
{
    struct store_parameters texts = {0}, line = {0};
    char clean[WHAT_SIZE];
    store_add_text(&texts, document->text);
    store_add_text(&texts, buffer_text(&document->hashes));
    store_add_text(&line, store_clean(clean, sizeof(clean), what));
    store_add_text(&line, administrator);
    return store_run(connection, update_draft, &texts, error) &&
           store_run(connection, insert_change, &line, error) &&
           policy_words_forget(connection, error) &&
           log_change(connection, "policies.change", "what", clean, administrator, error);
}

bool store_policy_draft_put(struct store *store, const json_t *draft, int64_t revision,
                            const char *what, const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    struct policy_document document = {0};
    if (!json_is_object(draft))
        return error_set(error, ERROR_INVALID, "policies", "must be an object");
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = lock(transaction.connection, revision, error) &&
              policy_document_make(transaction.connection, draft, &document, error) &&
              put(transaction.connection, &document, what, administrator, error);
    policy_document_clear(&document);
    return store_finish(&transaction, ok, error);
}

bool store_policy_discard(struct store *store, const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    PGconn *connection = transaction.connection;
    bool ok = lock(connection, 0, error) && store_run(connection, restore_draft, NULL, error) &&
              store_run(connection, forget_changes, NULL, error) &&
              policy_words_forget(connection, error) &&
              log_change(connection, "policies.discard", "what", "the draft", administrator, error);
    return store_finish(&transaction, ok, error);
}

/* --- versions --- */

static bool publish(struct store_transaction *transaction, const char *comment,
                    const char *administrator, int64_t *version, struct error *error)
{
    struct store_parameters parameters = {0}, number = {0};
    char clean[COMMENT_SIZE];
    store_add_text(&parameters, store_clean(clean, sizeof(clean), comment));
    store_add_text(&parameters, administrator);
    PGresult *result = store_query(transaction->connection, insert_version, &parameters, error);
    if (!result)
        return false;
    *version = store_integer(result, 0, 0);
    PQclear(result);
    store_add_integer(&number, *version);
    return store_run(transaction->connection, keep_changes, &number, error) &&
           log_change(transaction->connection, "policies.publish", "comment", clean, administrator,
                      error) &&
           store_raise_version(transaction, error);
}

bool store_policy_publish(struct store *store, int64_t revision, const char *comment,
                          const char *administrator, int64_t *version, struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = lock(transaction.connection, revision, error) &&
              publish(&transaction, comment, administrator, version, error);
    return store_finish(&transaction, ok, error);
}

static bool read_version(const PGresult *result, int row, struct store_policy_version *version)
{
    version->version = store_integer(result, row, 0);
    version->at = store_integer(result, row, 1);
    store_text(result, row, 2, version->administrator, sizeof(version->administrator));
    version->comment = store_copy(result, row, 3);
    version->changes = store_json(result, row, 4);
    return version->comment && version->changes;
}

bool store_policy_versions(struct store *store, int64_t before, size_t limit,
                           struct store_policy_version **versions, size_t *count,
                           struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, before);
    store_add_integer(&parameters, (int64_t)(limit < MOST_VERSIONS ? limit : MOST_VERSIONS));
    PGresult *result = store_single(store, select_versions, &parameters, error);
    if (!result)
        return false;
    *count = (size_t)PQntuples(result);
    bool ok = (*versions = calloc(*count + 1, sizeof(**versions))) != NULL;
    for (size_t row = 0; row < *count && ok; row++)
        ok = read_version(result, (int)row, &(*versions)[row]);
    PQclear(result);
    if (ok)
        return true;
    store_policy_versions_free(*versions, *count);
    return store_out_of_memory(error);
}

void store_policy_versions_free(struct store_policy_version *versions, size_t count)
{
    for (size_t i = 0; versions && i < count; i++) {
        free(versions[i].comment);
        json_decref(versions[i].changes);
    }
    free(versions);
}

/* The lists of addresses that scanners are sent: domains, aliases and masquerades. They differ in
 * their columns only; here each is a list of keys with a JSON value. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define MOST_ENTRIES 100000     /* of each list; the configuration document takes no more */
#define VALUE_LIMIT (64u << 10) /* bytes of JSON text */

/* The rows of each list as key, value and the further text that a search looks at. */
#define DOMAINS                                                                                    \
    "(SELECT name AS key, jsonb_strip_nulls(jsonb_build_object('route', route, 'alias_of',"        \
    " alias_of, 'recipients', recipients)) AS value, alias_of AS words FROM domain)"
#define ALIASES                                                                                    \
    "(SELECT address AS key, jsonb_build_object('to', targets) AS value, targets::text AS words"   \
    " FROM alias)"
#define MASQUERADES                                                                                \
    "(SELECT sender AS key, jsonb_build_object('to', replacement) AS value, replacement AS words"  \
    " FROM masquerade)"

#define LIST(rows)                                                                                 \
    "SELECT key, value FROM " rows " AS entry WHERE key > $1 AND ($2::text IS NULL OR"             \
    " strpos(key || ' ' || coalesce(lower(words), ''), lower($2)) > 0) ORDER BY key LIMIT $3"
#define GET(rows) "SELECT key, value FROM " rows " AS entry WHERE key = $1"

/* One statement for one entry as for a whole file, so that both are logged alike. $1 are the
 * entries [{"key","value"}], $2 the administrator, $3 whether those that are not among them go, $4
 * the noun of the log. Passwords of routes are not for the log. */
#define CHANGE(rows, remove, insert)                                                               \
    "WITH given AS (SELECT key, value FROM jsonb_to_recordset($1::jsonb) AS r(key text, value"     \
    " jsonb)), work AS (SELECT given.key, given.value AS new, present.value AS old FROM given"     \
    " LEFT JOIN " rows " AS present ON present.key = given.key"                                    \
    " WHERE present.value IS DISTINCT FROM given.value),"                                          \
    " gone AS (SELECT key, value AS old FROM " rows " AS present WHERE $3::boolean AND NOT EXISTS" \
    " (SELECT FROM given WHERE given.key = present.key)),"                                         \
    " removed AS (" remove "), written AS (" insert "),"                                           \
    " logged AS (INSERT INTO administrator_log (administrator, action, object, old_value,"         \
    " new_value) SELECT $2, $4 || CASE WHEN new IS NULL THEN '.remove' WHEN old IS NULL THEN"      \
    " '.create' ELSE '.change' END, key, old #- '{route,password}', new #- '{route,password}'"     \
    " FROM (SELECT key, old, new FROM work UNION ALL SELECT key, old, NULL FROM gone) AS line)"    \
    " SELECT (SELECT count(*) FROM work WHERE old IS NULL),"                                       \
    " (SELECT count(*) FROM work WHERE old IS NOT NULL), (SELECT count(*) FROM gone)"

static const struct list {
    const char *noun; /* in the administrators' log */
    const char *list, *get, *count, *lock, *change;
} lists[] = {
    [STORE_DOMAINS] =
        {
            "domain",
            LIST(DOMAINS),
            GET(DOMAINS),
            "SELECT count(*) FROM domain",
            "LOCK TABLE domain IN SHARE ROW EXCLUSIVE MODE",
            CHANGE(DOMAINS, "DELETE FROM domain USING gone WHERE domain.name = gone.key",
                   "INSERT INTO domain (name, route, alias_of, recipients) SELECT key,"
                   " new->'route', new->>'alias_of', new->>'recipients' FROM work"
                   " ON CONFLICT (name) DO UPDATE SET route = EXCLUDED.route, alias_of ="
                   " EXCLUDED.alias_of, recipients = EXCLUDED.recipients, changed_at = now()"),
        },
    [STORE_ALIASES] =
        {
            "alias",
            LIST(ALIASES),
            GET(ALIASES),
            "SELECT count(*) FROM alias",
            "LOCK TABLE alias IN SHARE ROW EXCLUSIVE MODE",
            CHANGE(ALIASES, "DELETE FROM alias USING gone WHERE alias.address = gone.key",
                   "INSERT INTO alias (address, targets) SELECT key, new->'to' FROM work"
                   " ON CONFLICT (address) DO UPDATE SET targets = EXCLUDED.targets,"
                   " changed_at = now()"),
        },
    [STORE_MASQUERADES] =
        {
            "masquerade",
            LIST(MASQUERADES),
            GET(MASQUERADES),
            "SELECT count(*) FROM masquerade",
            "LOCK TABLE masquerade IN SHARE ROW EXCLUSIVE MODE",
            CHANGE(MASQUERADES,
                   "DELETE FROM masquerade USING gone WHERE masquerade.sender = gone.key",
                   "INSERT INTO masquerade (sender, replacement) SELECT key, new->>'to' FROM work"
                   " ON CONFLICT (sender) DO UPDATE SET replacement = EXCLUDED.replacement,"
                   " changed_at = now()"),
        },
};

static const char delete_domain[] = "DELETE FROM domain WHERE name = $1";
static const char delete_alias[] = "DELETE FROM alias WHERE address = $1";
static const char delete_masquerade[] = "DELETE FROM masquerade WHERE sender = $1";
static const char *const deletions[] = {
    [STORE_DOMAINS] = delete_domain,
    [STORE_ALIASES] = delete_alias,
    [STORE_MASQUERADES] = delete_masquerade,
};
static const char select_alias_domain[] = "SELECT name FROM domain WHERE alias_of = $1 LIMIT 1";

/* --- reading --- */

static bool read_rows(const PGresult *result, struct store_entry **entries, size_t *count,
                      struct error *error)
{
    int rows = PQntuples(result);
    *count = (size_t)rows;
    *entries = calloc(*count + 1, sizeof(**entries));
    if (!*entries)
        return store_out_of_memory(error);
    for (int row = 0; row < rows; row++) {
        struct store_entry *entry = &(*entries)[row];
        store_text(result, row, 0, entry->key, sizeof(entry->key));
        entry->value = store_json(result, row, 1);
        if (!entry->value) {
            store_entry_list_free(*entries, *count);
            return store_out_of_memory(error);
        }
    }
    return true;
}

bool store_entry_list(struct store *store, enum store_list list, const char *search,
                      const char *after, size_t limit, struct store_entry **entries, size_t *count,
                      struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, after ? after : "");
    store_add_text(&parameters, search && *search ? search : NULL);
    store_add_integer(&parameters, limit < MOST_ENTRIES ? (int64_t)limit : MOST_ENTRIES);
    PGresult *result = store_single(store, lists[list].list, &parameters, error);
    bool ok = result && read_rows(result, entries, count, error);
    PQclear(result);
    return ok;
}

void store_entry_list_free(struct store_entry *entries, size_t count)
{
    for (size_t i = 0; entries && i < count; i++)
        json_decref(entries[i].value);
    free(entries);
}

bool store_entry_count(struct store *store, enum store_list list, int64_t *count,
                       struct error *error)
{
    PGresult *result = store_single(store, lists[list].count, NULL, error);
    if (result)
        *count = store_integer(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

static bool not_found(enum store_list list, const char *key, struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "name", "there is no %s %s", lists[list].noun, key);
}

json_t *store_entry_get(struct store *store, enum store_list list, const char *key,
                        struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, key);
    PGresult *result = store_single(store, lists[list].get, &parameters, error);
    json_t *value = result && PQntuples(result) == 1 ? store_json(result, 0, 1) : NULL;
    if (result && !value)
        not_found(list, key, error);
    PQclear(result);
    return value;
}

/* --- changing --- */

static bool lock(struct store_transaction *transaction, enum store_list list, struct error *error)
{
    return store_run(transaction->connection, lists[list].lock, NULL, error);
}

/* *value is the one that is there, or NULL; the list is locked. */
static bool present(struct store_transaction *transaction, enum store_list list, const char *key,
                    json_t **value, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, key);
    PGresult *result = store_query(transaction->connection, lists[list].get, &parameters, error);
    *value = result && PQntuples(result) == 1 ? store_json(result, 0, 1) : NULL;
    PQclear(result);
    return result != NULL;
}

static bool check_count(struct store_transaction *transaction, enum store_list list,
                        struct error *error)
{
    PGresult *result = store_query(transaction->connection, lists[list].count, NULL, error);
    bool known = result != NULL;
    bool few = known && store_integer(result, 0, 0) <= MOST_ENTRIES;
    PQclear(result);
    return few || (known &&
                   error_set(error, ERROR_LIMIT, "name", "there can be %d at most", MOST_ENTRIES));
}

/* Another domain stands for one that is not there, or would not be there any more. */
static bool change_error(const struct error *cause, enum store_list list, struct error *error)
{
    if (cause->code == ERROR_NOT_FOUND && list == STORE_DOMAINS)
        return error_set(error, ERROR_INVALID, "alias_of",
                         "is not in the list of domains, or a domain that others stand for goes");
    if (error)
        *error = *cause;
    return false;
}

/* Writes the entries [{"key","value"}] of `rows`; a version is raised only for a change. */
static bool change(struct store_transaction *transaction, enum store_list list, const char *rows,
                   bool replace_all, const char *administrator, struct store_change *counts,
                   struct error *error)
{
    struct store_parameters parameters = {0};
    struct error local = {0};
    char name[256];
    store_add_text(&parameters, rows);
    store_add_text(&parameters, store_clean(name, sizeof(name), administrator));
    store_add_boolean(&parameters, replace_all);
    store_add_text(&parameters, lists[list].noun);
    PGresult *result =
        store_query(transaction->connection, lists[list].change, &parameters, &local);
    if (!result)
        return change_error(&local, list, error);
    counts->added = store_integer(result, 0, 0);
    counts->changed = store_integer(result, 0, 1);
    counts->removed = store_integer(result, 0, 2);
    PQclear(result);
    if (counts->added > 0 && !check_count(transaction, list, error))
        return false;
    return counts->added + counts->changed + counts->removed == 0 ||
           store_raise_version(transaction, error);
}

bool store_entry_import(struct store *store, enum store_list list, const char *rows,
                        bool replace_all, bool only_count, const char *administrator,
                        struct store_change *counts, struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = lock(&transaction, list, error) &&
              change(&transaction, list, rows, replace_all, administrator, counts, error);
    if (!only_count)
        return store_finish(&transaction, ok, error);
    store_finish(&transaction, false, error);
    return ok;
}

static bool put(struct store_transaction *transaction, enum store_list list, const char *key,
                const json_t *value, bool replace, const char *administrator, struct error *error)
{
    struct store_change counts;
    cleanup_json json_t *old = NULL;
    if (!lock(transaction, list, error) || !present(transaction, list, key, &old, error))
        return false;
    if (old && !replace)
        return error_set(error, ERROR_EXISTS, "name", "the %s %s is there already",
                         lists[list].noun, key);
    cleanup_json json_t *rows = json_pack("[{s:s,s:O}]", "key", key, "value", (json_t *)value);
    cleanup_free char *text = store_json_text(rows, error);
    if (!text)
        return rows ? false : store_out_of_memory(error);
    if (strlen(text) > VALUE_LIMIT)
        return error_set(error, ERROR_LIMIT, "name", "is larger than %u bytes", VALUE_LIMIT);
    return change(transaction, list, text, false, administrator, &counts, error);
}

bool store_entry_put(struct store *store, enum store_list list, const char *key,
                     const json_t *value, bool replace, const char *administrator,
                     struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = put(&transaction, list, key, value, replace, administrator, error);
    return store_finish(&transaction, ok, error);
}

static bool is_stood_for(struct store_transaction *transaction, const char *domain,
                         struct error *error)
{
    struct store_parameters parameters = {0};
    char name[256];
    store_add_text(&parameters, domain);
    PGresult *result =
        store_query(transaction->connection, select_alias_domain, &parameters, error);
    bool stands = !result || PQntuples(result) > 0;
    if (result && stands) {
        store_text(result, 0, 0, name, sizeof(name));
        error_set(error, ERROR_DENIED, "name", "the domain %s stands for it", name);
    }
    PQclear(result);
    return stands;
}

static bool remove_entry(struct store_transaction *transaction, enum store_list list,
                         const char *key, const char *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    char action[64];
    cleanup_json json_t *old = NULL;
    if (!lock(transaction, list, error) || !present(transaction, list, key, &old, error))
        return false;
    if (!old)
        return not_found(list, key, error);
    if (list == STORE_DOMAINS && is_stood_for(transaction, key, error))
        return false;
    snprintf(action, sizeof(action), "%s.remove", lists[list].noun);
    struct store_log_line line = {
        .administrator = administrator, .action = action, .object = key, .old_value = old};
    store_add_text(&parameters, key);
    return store_run(transaction->connection, deletions[list], &parameters, error) &&
           store_log_write(transaction->connection, &line, error);
}

bool store_entry_remove(struct store *store, enum store_list list, const char *key,
                        const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = remove_entry(&transaction, list, key, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

/* --- drafts --- */

static const char purge_drafts[] =
    "DELETE FROM import_draft WHERE created_at < now() - interval '1 hour'";
static const char insert_draft[] = "INSERT INTO import_draft (list, administrator, rows)"
                                   " VALUES ($1, $2, $3::jsonb) RETURNING id";
static const char select_draft[] =
    "SELECT rows::text FROM import_draft WHERE id = $1 AND list = $2 AND administrator = $3"
    " AND created_at >= now() - interval '1 hour'";

bool store_draft_create(struct store *store, enum store_list list, const char *rows,
                        const char *administrator, int64_t *id, struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_transaction transaction;
    store_add_text(&parameters, lists[list].noun);
    store_add_text(&parameters, administrator);
    store_add_text(&parameters, rows);
    if (!store_begin(store, &transaction, error))
        return false;
    PGresult *result = store_run(transaction.connection, purge_drafts, NULL, error)
                           ? store_query(transaction.connection, insert_draft, &parameters, error)
                           : NULL;
    if (result)
        *id = store_integer(result, 0, 0);
    PQclear(result);
    return store_finish(&transaction, result != NULL, error);
}

char *store_draft_get(struct store *store, enum store_list list, int64_t id,
                      const char *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    store_add_text(&parameters, lists[list].noun);
    store_add_text(&parameters, administrator);
    PGresult *result = store_single(store, select_draft, &parameters, error);
    char *rows = result && PQntuples(result) == 1 ? store_copy(result, 0, 0) : NULL;
    if (result && !rows)
        error_set(error, ERROR_NOT_FOUND, "import", "there is no such import any more");
    PQclear(result);
    return rows;
}

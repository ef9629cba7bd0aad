/* Content incidents: one of them, its history, and the folders. */
#include "controlcenter/store/incidents_rows.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define HISTORY_MOST 1000
#define FOLDERS_MOST 2000
#define COMMENT_MOST 4000 /* bytes */

static const char select_incident[] =
    INCIDENT_COLUMNS ", i.finds" INCIDENT_FROM "incident i" INCIDENT_JOINS " WHERE i.number = $1";
static const char select_handover[] = INCIDENT_COLUMNS
    ", i.finds" INCIDENT_FROM "incident i" INCIDENT_JOINS " WHERE i.handover_id = $1";
static const char select_history[] =
    "SELECT to_ms(at), what, who, detail, comment FROM incident_history WHERE incident = $1"
    " ORDER BY id LIMIT $2";
static const char select_folders[] =
    "SELECT f.folder, f.name, f.open, f.closed, f.bytes, to_ms(o.received_at)"
    " FROM incident_folder f LEFT JOIN LATERAL (SELECT received_at FROM incident i"
    " WHERE i.folder = f.folder ORDER BY received_at, number LIMIT 1) o ON true"
    " WHERE" INCIDENT_NOT_HIDDEN("f.folder", "$2") " ORDER BY f.folder LIMIT $1";
static const char select_settings[] =
    "SELECT coalesce(document -> 'folders', '[]'::json) FROM policy_version"
    " ORDER BY version DESC LIMIT 1";
static const char select_administrators[] =
    "SELECT coalesce(json_agg(name ORDER BY lower(name)), '[]'::json) FROM administrator";
static const char insert_line[] =
    "INSERT INTO incident_history (incident, who, what, detail, comment)"
    " VALUES ($1, $2, $3, $4, $5)";
static const char update_assigned[] = "UPDATE incident SET assigned_to = $2 WHERE number = $1";
static const char select_name[] = "SELECT name FROM administrator WHERE lower(name) = lower($1)";

/* --- one --- */

static bool not_found(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "incident", "there is no such incident");
}

static bool get(struct store *store, const char *sql, const struct store_parameters *parameters,
                struct store_incident *incident, struct error *error)
{
    *incident = (struct store_incident){0};
    PGresult *result = store_single(store, sql, parameters, error);
    if (!result)
        return false;
    bool found = PQntuples(result) == 1;
    bool ok = found && store_incident_row(result, 0, incident);
    if (ok)
        incident->finds = store_json(result, 0, INCIDENT_COLUMN_COUNT);
    PQclear(result);
    if (ok)
        return true;
    store_incident_clear(incident);
    return found ? store_out_of_memory(error) : not_found(error);
}

bool store_incident_get(struct store *store, int64_t number, struct store_incident *incident,
                        struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, number);
    return get(store, select_incident, &parameters, incident, error);
}

bool store_incident_by_handover(struct store *store, const char *handover_id,
                                struct store_incident *incident, struct error *error)
{
    struct store_parameters parameters = {0};
    char canonical[37];
    *incident = (struct store_incident){0};
    if (!store_uuid(handover_id, canonical))
        return not_found(error);
    store_add_text(&parameters, canonical);
    return get(store, select_handover, &parameters, incident, error);
}

void store_incident_clear(struct store_incident *incident)
{
    free(incident->sender);
    free(incident->subject);
    free(incident->header_from);
    free(incident->recipients_text);
    free(incident->filters_text);
    free(incident->action);
    free(incident->decided_by);
    json_decref(incident->recipients);
    json_decref(incident->filters);
    json_decref(incident->finds);
    *incident = (struct store_incident){0};
}

/* --- history --- */

static bool read_line(const PGresult *result, int row, struct store_incident_line *line)
{
    line->at = store_integer(result, row, 0);
    store_text(result, row, 1, line->what, sizeof(line->what));
    line->who = store_copy(result, row, 2);
    line->detail = store_copy(result, row, 3);
    line->comment = store_copy(result, row, 4);
    return line->who && line->detail && line->comment;
}

bool store_incident_history(struct store *store, int64_t number, struct store_incident_line **lines,
                            size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, number);
    store_add_integer(&parameters, HISTORY_MOST);
    PGresult *result = store_single(store, select_history, &parameters, error);
    if (!result)
        return false;
    *count = (size_t)PQntuples(result);
    *lines = calloc(*count + 1, sizeof(**lines));
    bool ok = *lines != NULL;
    for (size_t i = 0; ok && i < *count; i++)
        ok = read_line(result, (int)i, &(*lines)[i]);
    PQclear(result);
    if (ok)
        return true;
    store_incident_history_free(*lines, *count);
    return store_out_of_memory(error);
}

void store_incident_history_free(struct store_incident_line *lines, size_t count)
{
    for (size_t i = 0; lines && i < count; i++) {
        free(lines[i].who);
        free(lines[i].detail);
        free(lines[i].comment);
    }
    free(lines);
}

bool store_incident_line_add(PGconn *connection, int64_t number, const char *who, const char *what,
                             const char *detail, const char *comment, struct error *error)
{
    struct store_parameters parameters = {0};
    char clean_who[400], clean_what[65], clean_detail[1000];
    store_add_integer(&parameters, number);
    store_add_text(&parameters, store_clean(clean_who, sizeof(clean_who), who));
    store_add_text(&parameters, store_clean(clean_what, sizeof(clean_what), what));
    store_add_text(&parameters, store_clean(clean_detail, sizeof(clean_detail), detail));
    store_add_text(&parameters, comment ? comment : "");
    return store_run(connection, insert_line, &parameters, error);
}

bool store_incident_check_comment(const char *comment, struct error *error)
{
    return !comment || strlen(comment) <= COMMENT_MOST ||
           error_set(error, ERROR_INVALID, "comment", "has more than %d bytes", COMMENT_MOST);
}

/* --- folders --- */

bool store_incident_folders(struct store *store, const json_t *hidden,
                            struct store_incident_folder **folders, size_t *count,
                            struct error *error)
{
    struct store_parameters parameters = {0};
    char *without = hidden ? json_dumps(hidden, JSON_COMPACT) : NULL;
    if (hidden && !without)
        return store_out_of_memory(error);
    store_add_integer(&parameters, FOLDERS_MOST);
    store_add_text(&parameters, without);
    PGresult *result = store_single(store, select_folders, &parameters, error);
    free(without);
    if (!result)
        return false;
    *count = (size_t)PQntuples(result);
    *folders = calloc(*count + 1, sizeof(**folders));
    for (size_t i = 0; *folders && i < *count; i++) {
        struct store_incident_folder *folder = &(*folders)[i];
        store_text(result, (int)i, 0, folder->id, sizeof(folder->id));
        store_text(result, (int)i, 1, folder->name, sizeof(folder->name));
        folder->open = store_integer(result, (int)i, 2);
        folder->closed = store_integer(result, (int)i, 3);
        folder->bytes = store_integer(result, (int)i, 4);
        folder->oldest_at = store_integer(result, (int)i, 5);
    }
    PQclear(result);
    return *folders || store_out_of_memory(error);
}

/* The JSON of the only row; [] where there is none. */
static json_t *read_array(struct store *store, const char *sql, struct error *error)
{
    PGresult *result = store_single(store, sql, NULL, error);
    if (!result)
        return NULL;
    json_t *array = PQntuples(result) == 1 ? store_json(result, 0, 0) : json_array();
    PQclear(result);
    if (!array)
        store_out_of_memory(error);
    return array;
}

json_t *store_incident_settings(struct store *store, struct error *error)
{
    return read_array(store, select_settings, error);
}

json_t *store_incident_administrators(struct store *store, struct error *error)
{
    return read_array(store, select_administrators, error);
}

/* --- comments and assignment --- */

bool store_incident_comment(struct store *store, int64_t number, const char *who,
                            const char *comment, struct error *error)
{
    struct store_transaction transaction;
    struct error local = {0};
    if (!comment || !*comment)
        return error_set(error, ERROR_INVALID, "comment", "is empty");
    if (!store_incident_check_comment(comment, error) || !store_begin(store, &transaction, error))
        return false;
    bool ok = store_incident_line_add(transaction.connection, number, who, "comment", NULL, comment,
                                      &local);
    if (!ok && local.code == ERROR_NOT_FOUND)
        not_found(&local);
    if (!ok && error)
        *error = local;
    return store_finish(&transaction, ok, error);
}

/* The name as the account has it. */
static bool find_administrator(PGconn *connection, const char *name, char found[65],
                               struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, name);
    PGresult *result = store_query(connection, select_name, &parameters, error);
    bool known = result && PQntuples(result) == 1;
    if (known)
        store_text(result, 0, 0, found, 65);
    else if (result)
        error_set(error, ERROR_INVALID, "assigned", "there is no administrator of that name");
    PQclear(result);
    return known;
}

static bool assign(PGconn *connection, int64_t number, const char *to, const char *who,
                   struct error *error)
{
    struct store_parameters parameters = {0};
    char name[65] = "";
    if (*to && !find_administrator(connection, to, name, error))
        return false;
    store_add_integer(&parameters, number);
    store_add_text(&parameters, name);
    PGresult *result = store_query(connection, update_assigned, &parameters, error);
    bool changed = result && store_changed(result) == 1;
    if (result && !changed)
        not_found(error);
    PQclear(result);
    return changed && store_incident_line_add(connection, number, who, "assign", name, NULL, error);
}

bool store_incident_assign(struct store *store, int64_t number, const char *to, const char *who,
                           struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    return store_finish(&transaction, assign(transaction.connection, number, to, who, error),
                        error);
}

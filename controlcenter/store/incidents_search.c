/* The search over incidents, newest first.
 *
 * The database cannot know how many messages have a text in them. So the newest ones are looked at
 * first, which are enough where many have it; where they are not few have it, and the indexes of
 * words find those. Neither takes long with a million of them. */
#include "controlcenter/store/incidents_rows.h"

#include "common/buffer.h"
#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define INCIDENTS_MOST 1000
#define TEXT_MOST 1000 /* bytes of what is searched */
#define NEAR "20000"   /* incidents that are looked at without the index of words */

/* Conditions that are not asked for vanish when the statement is planned, as its parameters are
 * known by then. */
#define PLACE                                                                                      \
    " WHERE ($1::text IS NULL OR folder = $1)"                                                     \
    " AND ($2::text IS NULL OR CASE WHEN $2 = 'closed' THEN state <> 'open' ELSE state = $2 END)"  \
    " AND ($3::text IS NULL OR assigned_to = $3)"                                                  \
    " AND ($4::timestamptz IS NULL OR received_at >= $4)"                                          \
    " AND ($5::timestamptz IS NULL OR received_at < $5)"                                           \
    " AND ($6::timestamptz IS NULL OR (received_at, number) < ($6, $7::bigint))"                   \
    " AND" INCIDENT_NOT_HIDDEN("folder", "$9")
#define OPEN_PLACE PLACE " AND state = 'open'" /* in the words of the partial index */
#define WORDS                                                                                      \
    " ($10::text IS NULL OR sender ILIKE $10 OR recipients_text ILIKE $10 OR subject ILIKE $10)"   \
    " AND ($11::text IS NULL OR filters_text ILIKE $11)"
#define ORDER " ORDER BY received_at DESC, number DESC"
#define PAGE INCIDENT_JOINS " ORDER BY i.received_at DESC, i.number DESC"

#define WITHOUT_WORDS(place)                                                                       \
    INCIDENT_COLUMNS INCIDENT_FROM "(SELECT * FROM incident" place ORDER " LIMIT $8::bigint) "     \
                                   "i" PAGE
#define AMONG_NEWEST(place)                                                                        \
    INCIDENT_COLUMNS INCIDENT_FROM "(SELECT * FROM (SELECT * FROM incident" place ORDER            \
                                   " LIMIT " NEAR ") near WHERE" WORDS ORDER                       \
                                   " LIMIT $8::bigint) i" PAGE
/* The order cannot come from an index here, so that the planner does not walk one to the end. */
#define BY_WORDS(place)                                                                            \
    INCIDENT_COLUMNS INCIDENT_FROM "(SELECT * FROM incident" place " AND" WORDS                    \
                                   " ORDER BY received_at + interval '0' DESC, number DESC"        \
                                   " LIMIT $8::bigint) i" PAGE

static const char all_incidents[] = WITHOUT_WORDS(PLACE);
static const char open_incidents[] = WITHOUT_WORDS(OPEN_PLACE);
static const char newest_incidents[] = AMONG_NEWEST(PLACE);
static const char newest_open_incidents[] = AMONG_NEWEST(OPEN_PLACE);
static const char incidents_by_words[] = BY_WORDS(PLACE);

struct search {
    const struct store_incident_query *query;
    char *text, *filter; /* patterns of ILIKE; NULL */
    char *hidden;        /* JSON; NULL */
    size_t limit;
};

/* --- rows --- */

bool store_incident_row(const PGresult *result, int row, struct store_incident *to)
{
    to->number = store_integer(result, row, 0);
    store_text(result, row, 1, to->handover_id, sizeof(to->handover_id));
    store_text(result, row, 2, to->message_id, sizeof(to->message_id));
    store_text(result, row, 3, to->scanner_id, sizeof(to->scanner_id));
    store_text(result, row, 4, to->folder, sizeof(to->folder));
    store_text(result, row, 5, to->folder_name, sizeof(to->folder_name));
    to->quarantine = store_boolean(result, row, 6);
    to->received_at = store_integer(result, row, 7);
    store_text(result, row, 8, to->direction, sizeof(to->direction));
    store_text(result, row, 9, to->verdict, sizeof(to->verdict));
    store_text(result, row, 10, to->host, sizeof(to->host));
    store_text(result, row, 11, to->state, sizeof(to->state));
    to->sender = store_copy(result, row, 12);
    to->subject = store_copy(result, row, 13);
    to->header_from = store_copy(result, row, 14);
    to->recipients_text = store_copy(result, row, 15);
    to->filters_text = store_copy(result, row, 16);
    to->action = store_copy(result, row, 17);
    to->decided_at = store_integer(result, row, 18);
    to->decided_by = store_copy(result, row, 19);
    store_text(result, row, 20, to->assigned_to, sizeof(to->assigned_to));
    to->size = store_integer(result, row, 21);
    to->recipients = store_json(result, row, 22);
    to->filters = store_json(result, row, 23);
    return to->sender && to->subject && to->header_from && to->recipients_text &&
           to->filters_text && to->action && to->decided_by && to->recipients && to->filters;
}

void store_incident_list_free(struct store_incident *incidents, size_t count)
{
    for (size_t i = 0; incidents && i < count; i++)
        store_incident_clear(&incidents[i]);
    free(incidents);
}

static bool read_rows(const PGresult *result, struct store_incident **incidents, size_t *count,
                      struct error *error)
{
    size_t rows = (size_t)PQntuples(result);
    *incidents = calloc(rows + 1, sizeof(**incidents));
    bool ok = *incidents != NULL;
    for (*count = 0; ok && *count < rows; (*count)++)
        ok = store_incident_row(result, (int)*count, &(*incidents)[*count]);
    if (ok)
        return true;
    store_incident_list_free(*incidents, *incidents ? rows : 0);
    return store_out_of_memory(error);
}

/* --- what is asked --- */

static bool read_query(struct search *search, const struct store_incident_query *query,
                       struct error *error)
{
    search->query = query;
    search->limit = query->limit < INCIDENTS_MOST ? query->limit : INCIDENTS_MOST;
    search->hidden = query->hidden ? json_dumps(query->hidden, JSON_COMPACT) : NULL;
    if (query->hidden && !search->hidden)
        return store_out_of_memory(error);
    return store_pattern(query->text, "text", TEXT_MOST, &search->text, error) &&
           store_pattern(query->filter, "filter", TEXT_MOST, &search->filter, error);
}

static PGresult *run(struct store *store, const char *sql, const struct search *search,
                     struct error *error)
{
    struct store_parameters parameters = {0};
    const struct store_incident_query *query = search->query;
    store_add_text(&parameters, query->folder);
    store_add_text(&parameters, query->state);
    store_add_text(&parameters, query->assigned);
    store_add_time(&parameters, query->from);
    store_add_time(&parameters, query->until);
    store_add_time(&parameters, query->before_time);
    store_add_integer(&parameters, query->before_number);
    store_add_integer(&parameters, (int64_t)search->limit);
    store_add_text(&parameters, search->hidden);
    if (search->text || search->filter) {
        store_add_text(&parameters, search->text);
        store_add_text(&parameters, search->filter);
    }
    return store_single(store, sql, &parameters, error);
}

static PGresult *find(struct store *store, const struct search *search, struct error *error)
{
    const char *state = search->query->state;
    bool open = state && strcmp(state, STORE_INCIDENT_OPEN) == 0;
    if (!search->text && !search->filter)
        return run(store, open ? open_incidents : all_incidents, search, error);
    PGresult *result = run(store, open ? newest_open_incidents : newest_incidents, search, error);
    if (!result || (size_t)PQntuples(result) >= search->limit)
        return result;
    PQclear(result);
    return run(store, incidents_by_words, search, error);
}

bool store_incident_search(struct store *store, const struct store_incident_query *query,
                           struct store_incident **incidents, size_t *count, struct error *error)
{
    struct search search = {0};
    PGresult *result = read_query(&search, query, error) ? find(store, &search, error) : NULL;
    bool ok = result && read_rows(result, incidents, count, error);
    PQclear(result);
    free(search.text);
    free(search.filter);
    free(search.hidden);
    return ok;
}

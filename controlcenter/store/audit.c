/* Intake of audit events: each seq of a stream once, whoever sends it and however often.
 *
 * The stream's row is locked for the whole transaction, so that what it says and what is written
 * cannot differ. Events that the database does not take, although they keep to the form, are found
 * by halving the run that they stand in. */
#include "controlcenter/store/audit_internal.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define MOST_EVENTS 10000
#define MOST_STREAMS "1000" /* of one scanner */
#define STREAM_LIMIT 64
#define RUN_WEIGHT 20000           /* rows of one run, which has to end before statement_timeout */
#define REJECTED_LIMIT (64u << 10) /* bytes of a rejected event that are kept */

static const char select_position[] =
    "SELECT last_seq FROM audit_stream WHERE scanner_id = $1 AND stream = $2";
static const char insert_stream[] =
    "INSERT INTO audit_stream (scanner_id, stream) SELECT $1::uuid, $2"
    " WHERE (SELECT count(*) FROM audit_stream WHERE scanner_id = $1::uuid) < " MOST_STREAMS
    " ON CONFLICT DO NOTHING";
static const char lock_position[] =
    "SELECT last_seq FROM audit_stream WHERE scanner_id = $1 AND stream = $2 FOR UPDATE";
static const char update_position[] = "UPDATE audit_stream SET last_seq = $3, changed_at = now()"
                                      " WHERE scanner_id = $1 AND stream = $2";
static const char missing_days[] =
    "SELECT array_agg(DISTINCT asked.day) FROM unnest($1::date[]) AS asked (day)"
    " WHERE NOT EXISTS (SELECT FROM audit_day a WHERE a.day = asked.day)";
static const char create_days[] = "SELECT audit_create_days($1::date[])";
static const char insert_rejected[] =
    "INSERT INTO audit_rejected (scanner_id, stream, seq, reason, event)"
    " VALUES ($1, $2, $3, $4, $5)";

struct intake {
    PGconn *connection;
    struct audit_source source;
    struct audit_event *events; /* those that are taken */
    size_t count;
    size_t rejected;
};

/* --- the position --- */

static bool check_source(const char *scanner_id, const char *stream, char canonical[37],
                         struct error *error)
{
    size_t length = strlen(stream);
    if (!store_uuid(scanner_id, canonical))
        return error_set(error, ERROR_INVALID, "scanner", "must be a UUID");
    return (length > 0 && length <= STREAM_LIMIT) ||
           error_set(error, ERROR_INVALID, "stream", "must have 1 to %d bytes", STREAM_LIMIT);
}

static void add_source(struct store_parameters *parameters, const struct audit_source *source)
{
    store_add_text(parameters, source->scanner_id);
    store_add_text(parameters, source->stream);
}

bool store_audit_position(struct store *store, const char *scanner_id, const char *stream,
                          int64_t *last_seq, struct error *error)
{
    struct store_parameters parameters = {0};
    char canonical[37];
    struct audit_source source = {canonical, stream};
    if (!check_source(scanner_id, stream, canonical, error))
        return false;
    add_source(&parameters, &source);
    PGresult *result = store_single(store, select_position, &parameters, error);
    if (result)
        *last_seq = PQntuples(result) ? store_integer(result, 0, 0) : 0;
    PQclear(result);
    return result != NULL;
}

static bool try_lock(const struct intake *intake, bool *locked, int64_t *position,
                     struct error *error)
{
    struct store_parameters parameters = {0};
    add_source(&parameters, &intake->source);
    PGresult *result = store_query(intake->connection, lock_position, &parameters, error);
    *locked = result && PQntuples(result) == 1;
    if (*locked)
        *position = store_integer(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

static bool lock_stream(const struct intake *intake, int64_t *position, struct error *error)
{
    struct store_parameters parameters = {0};
    bool locked;
    if (!try_lock(intake, &locked, position, error))
        return false;
    if (locked)
        return true;
    add_source(&parameters, &intake->source);
    if (!store_run(intake->connection, insert_stream, &parameters, error) ||
        !try_lock(intake, &locked, position, error))
        return false;
    return locked || error_set(error, ERROR_LIMIT, "stream",
                               "the scanner has " MOST_STREAMS " streams already");
}

static bool set_position(const struct intake *intake, int64_t position, struct error *error)
{
    struct store_parameters parameters = {0};
    add_source(&parameters, &intake->source);
    store_add_integer(&parameters, position);
    return store_run(intake->connection, update_position, &parameters, error);
}

/* --- which events are taken --- */

/* An event without a seq has the one after its neighbour's; the first has no neighbour. */
static bool seq_of(const json_t *value, size_t index, int64_t previous, int64_t *seq,
                   struct error *error)
{
    const json_t *member = json_object_get(value, "seq");
    json_int_t number = json_integer_value(member);
    if (json_is_integer(member) && number >= 1)
        *seq = number;
    else if (index > 0)
        *seq = previous + 1;
    else
        return error_set(error, ERROR_INVALID, "events[0].seq", "must be a number from 1 on");
    return true;
}

static bool choose(struct intake *intake, const json_t *events, int64_t *position,
                   struct error *error)
{
    int64_t now = timestamp_now_ms(), seq = 0;
    const json_t *value;
    size_t i;
    json_array_foreach(events, i, value)
    {
        if (!seq_of(value, i, seq, &seq, error))
            return false;
        if (seq <= *position)
            continue;
        if (seq != *position + 1)
            return error_set(error, ERROR_PROTOCOL, "events", "there is a gap: %lld follows %lld",
                             (long long)seq, (long long)*position);
        struct audit_event *event = &intake->events[intake->count++];
        event->seq = seq;
        *position = seq;
        if (!audit_event_read(event, value, now, error))
            return false;
    }
    return true;
}

/* --- partitions --- */

/* "{2026-01-31,2026-02-01}" of the days that the events belong to; a day may stand there twice. */
static bool days_text(const struct intake *intake, struct buffer *text)
{
    char last[11] = "", at[TIMESTAMP_TEXT_SIZE];
    bool ok = buffer_add_text(text, "{");
    for (size_t i = 0; i < intake->count && ok; i++) {
        if (intake->events[i].reason)
            continue;
        timestamp_text(intake->events[i].message_at, at);
        if (strncmp(at, last, 10) == 0)
            continue;
        ok = buffer_add_format(text, "%s%.10s", *last ? "," : "", at);
        memcpy(last, at, 10);
    }
    return ok && buffer_add_text(text, "}");
}

/* Asks first, without a lock: the days are nearly always there. */
static bool create_missing_days(const struct intake *intake, const char *days, struct error *error)
{
    struct store_parameters asked = {0}, missing = {0};
    store_add_text(&asked, days);
    PGresult *result = store_query(intake->connection, missing_days, &asked, error);
    bool ok = result != NULL;
    if (ok && !PQgetisnull(result, 0, 0)) {
        store_add_text(&missing, PQgetvalue(result, 0, 0));
        ok = store_run(intake->connection, create_days, &missing, error);
    }
    PQclear(result);
    return ok;
}

static bool prepare_days(const struct intake *intake, struct error *error)
{
    struct buffer text = BUFFER_INIT;
    bool ok = days_text(intake, &text) ? create_missing_days(intake, buffer_text(&text), error)
                                       : store_out_of_memory(error);
    buffer_free(&text);
    return ok;
}

/* --- writing --- */

static bool reject(struct intake *intake, const struct audit_event *event, const char *reason,
                   struct error *error)
{
    struct store_parameters parameters = {0};
    cleanup_free char *text =
        json_dumps(event->value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (text && strlen(text) > REJECTED_LIMIT)
        text[REJECTED_LIMIT] = '\0';
    intake->rejected++;
    add_source(&parameters, &intake->source);
    store_add_integer(&parameters, event->seq);
    store_add_text(&parameters, reason);
    store_add_text(&parameters, text ? text : "");
    return store_run(intake->connection, insert_rejected, &parameters, error);
}

static bool reject_foreign(struct intake *intake, size_t from, size_t until, struct error *error)
{
    for (size_t i = from; i < until; i++)
        if (intake->events[i].foreign &&
            !reject(intake, &intake->events[i], "id: the message is another scanner's", error))
            return false;
    return true;
}

/* Writes the events from `from` up to `until`, none of which breaks the form. */
static bool write_run(struct intake *intake, size_t from, size_t until, struct error *error)
{
    struct error local = {0};
    bool is_data;
    if (!store_run(intake->connection, "SAVEPOINT run", NULL, error))
        return false;
    if (audit_rows_write(intake->connection, &intake->source, &intake->events[from], until - from,
                         &is_data, &local))
        return store_run(intake->connection, "RELEASE SAVEPOINT run", NULL, error) &&
               reject_foreign(intake, from, until, error);
    if (!is_data) {
        if (error)
            *error = local;
        return false;
    }
    if (!store_run(intake->connection, "ROLLBACK TO SAVEPOINT run", NULL, error) ||
        !store_run(intake->connection, "RELEASE SAVEPOINT run", NULL, error))
        return false;
    if (until - from == 1)
        return reject(intake, &intake->events[from], local.message, error);
    size_t middle = from + (until - from) / 2;
    return write_run(intake, from, middle, error) && write_run(intake, middle, until, error);
}

static size_t weight(const struct audit_event *event)
{
    return 1 + json_array_size(event->recipients);
}

/* The end of the run that begins at `from`: before a broken event, or where it is heavy enough. */
static size_t end_of_run(const struct intake *intake, size_t from)
{
    size_t until = from, total = 0;
    while (until < intake->count && !intake->events[until].reason && total < RUN_WEIGHT)
        total += weight(&intake->events[until++]);
    return until;
}

static bool write_all(struct intake *intake, struct error *error)
{
    size_t at = 0;
    while (at < intake->count) {
        const struct audit_event *event = &intake->events[at];
        size_t until = event->reason ? at + 1 : end_of_run(intake, at);
        if (event->reason ? !reject(intake, event, event->reason, error)
                          : !write_run(intake, at, until, error))
            return false;
        at = until;
    }
    return true;
}

static bool take(struct intake *intake, const json_t *events, int64_t *position,
                 struct error *error)
{
    if (!lock_stream(intake, position, error) || !choose(intake, events, position, error))
        return false;
    return intake->count == 0 || (prepare_days(intake, error) && write_all(intake, error) &&
                                  set_position(intake, *position, error));
}

bool store_audit_write(struct store *store, const char *scanner_id, const char *stream,
                       const json_t *events, int64_t *last_seq, struct error *error)
{
    struct store_transaction transaction;
    char canonical[37];
    int64_t position = 0;
    size_t size = json_array_size(events);
    if (!check_source(scanner_id, stream, canonical, error))
        return false;
    if (!json_is_array(events) || size > MOST_EVENTS)
        return error_set(error, ERROR_INVALID, "events", "must be an array of at most %d",
                         MOST_EVENTS);
    struct intake intake = {.source = {canonical, stream},
                            .events = calloc(size + 1, sizeof(*intake.events))};
    if (!intake.events)
        return store_out_of_memory(error);
    bool ok = store_begin(store, &transaction, error);
    if (ok) {
        intake.connection = transaction.connection;
        ok = store_finish(&transaction, take(&intake, events, &position, error), error);
    }
    for (size_t i = 0; i < intake.count; i++)
        audit_event_clear(&intake.events[i]);
    free(intake.events);
    if (ok && intake.rejected > 0)
        log_warning("%zu of %zu events of scanner %s were kept aside (audit_rejected)",
                    intake.rejected, intake.count, canonical);
    if (ok)
        *last_seq = position;
    return ok;
}

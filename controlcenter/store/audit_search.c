/* Search over the audit trail: newest first, day by day.
 *
 * A search that many messages fit ends in the newest day; one that few fit uses the indexes of each
 * day. Days are taken in growing groups until there are enough messages, so that the planner
 * decides for a bounded number of rows and LIMIT never makes it walk through a month. */
#include "controlcenter/store/audit_internal.h"

#include "common/cleanup.h"
#include "common/ip.h"
#include "common/message_id.h"

#include <stdlib.h>
#include <string.h>

#define MOST_MESSAGES 1000
#define MOST_DAYS_AT_ONCE 32
#define SEARCH_MS 30000
#define TEXT_LIMIT 1000 /* bytes of a search text */

static const char select_days[] =
    "SELECT to_ms(day::timestamp AT TIME ZONE 'UTC') FROM audit_day"
    " WHERE ($1::timestamptz IS NULL OR day >= ($1::timestamptz AT TIME ZONE 'UTC')::date)"
    " AND ($2::timestamptz IS NULL OR day <= ($2::timestamptz AT TIME ZONE 'UTC')::date)"
    " ORDER BY day DESC";

/* The values of the parameters are known when the statement is planned, which makes conditions that
 * are not asked for vanish. That of the recipients can not be one of these: EXISTS is taken up as a
 * join only where it stands by itself. */
#define MATCHING                                                                                   \
    "SELECT m.at, m.id FROM audit_message m"                                                       \
    " WHERE m.at >= $1::timestamptz AND m.at < $2::timestamptz"                                    \
    " AND ($3::timestamptz IS NULL OR (m.at, m.id) < ($3::timestamptz, $4::uuid))"                 \
    " AND ($5::text IS NULL OR m.sender ILIKE $5)"                                                 \
    " AND ($6::text IS NULL OR m.subject ILIKE $6)"                                                \
    " AND ($7::uuid IS NULL OR m.id = $7)"                                                         \
    " AND ($8::text IS NULL OR m.header_message_id IN ($8, '<' || $8 || '>'))"                     \
    " AND ($9::inet IS NULL OR m.peer_ip = $9)"                                                    \
    " AND ($10::text IS NULL OR m.verdict = $10)"                                                  \
    " AND ($11::uuid IS NULL OR m.scanner_id = $11)"
#define MATCHING_RECIPIENT                                                                         \
    " AND EXISTS (SELECT FROM audit_recipient r"                                                   \
    " WHERE r.message_at = m.at AND r.message_id = m.id"                                           \
    " AND r.message_at >= $1::timestamptz AND r.message_at < $2::timestamptz"                      \
    " AND ($13::text IS NULL OR r.address ILIKE $13)"                                              \
    " AND ($14::text IS NULL OR r.state = $14))"
#define NEWEST " ORDER BY m.at DESC, m.id DESC LIMIT $12::bigint"

/* The rows of the page. The recipients are looked at for its messages only. */
#define PAGE_HEAD                                                                                  \
    "SELECT m.id, to_ms(m.at), coalesce(s.host_name, ''), m.direction, host(m.peer_ip),"           \
    " m.verdict, m.action, m.sender, m.subject, m.size, r.count, r.first, o.outcomes FROM ("
#define PAGE_TAIL                                                                                  \
    ") page JOIN audit_message m ON m.at = page.at AND m.id = page.id"                             \
    " AND m.at >= $1::timestamptz AND m.at < $2::timestamptz"                                      \
    " LEFT JOIN scanner s ON s.id = m.scanner_id"                                                  \
    " CROSS JOIN LATERAL (SELECT count(*) AS count,"                                               \
    " array_to_string((array_agg(coalesce(address, '') ORDER BY idx))[1:3], ', ') AS first"        \
    " FROM audit_recipient r WHERE r.message_at = m.at AND r.message_id = m.id"                    \
    " AND r.message_at >= $1::timestamptz AND r.message_at < $2::timestamptz) r"                   \
    " CROSS JOIN LATERAL (SELECT string_agg(n || ' ' || state, ', ' ORDER BY n DESC, state)"       \
    " AS outcomes FROM (SELECT state, count(*) AS n FROM audit_recipient r"                        \
    " WHERE r.message_at = m.at AND r.message_id = m.id"                                           \
    " AND r.message_at >= $1::timestamptz AND r.message_at < $2::timestamptz"                      \
    " GROUP BY state) counted) o ORDER BY m.at DESC, m.id DESC"

static const char search_messages[] = PAGE_HEAD MATCHING NEWEST PAGE_TAIL;
static const char search_recipients[] = PAGE_HEAD MATCHING MATCHING_RECIPIENT NEWEST PAGE_TAIL;

/* --- what is asked, ready for the database --- */

struct search {
    int64_t from, until; /* milliseconds; until is not in it */
    int64_t before_time;
    char before_id[37];
    char *sender, *subject, *recipient; /* patterns of ILIKE */
    const char *verdict, *outcome, *header_message_id;
    char id[37], scanner_id[37], peer_ip[IP_TEXT_SIZE];
    size_t limit;
};

static const char *filled(const char *text)
{
    return text && *text ? text : NULL;
}

static bool read_patterns(struct search *search, const struct store_audit_query *query,
                          struct error *error)
{
    return store_pattern(query->sender, "sender", TEXT_LIMIT, &search->sender, error) &&
           store_pattern(query->subject, "subject", TEXT_LIMIT, &search->subject, error) &&
           store_pattern(query->recipient, "recipient", TEXT_LIMIT, &search->recipient, error);
}

/* A UUID says the message's time, and with it the one day where it can be. */
static bool read_identifiers(struct search *search, const struct store_audit_query *query,
                             struct error *error)
{
    struct ip_address address;
    if (filled(query->message_id) && !store_uuid(query->message_id, search->id))
        search->header_message_id = query->message_id;
    if (filled(query->scanner_id) && !store_uuid(query->scanner_id, search->scanner_id))
        return error_set(error, ERROR_INVALID, "scanner_id", "must be a UUID");
    if (filled(query->before_id) && !store_uuid(query->before_id, search->before_id))
        return error_set(error, ERROR_INVALID, "before_id", "must be a UUID");
    if (!filled(query->peer_ip))
        return true;
    if (!ip_parse(query->peer_ip, &address))
        return error_set(error, ERROR_INVALID, "peer_ip", "must be an IP address");
    ip_text(&address, search->peer_ip);
    return true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a && (a < b || !b) ? a : b;
}

static void read_times(struct search *search, const struct store_audit_query *query)
{
    struct message_id id;
    search->from = query->from;
    search->until = query->until;
    search->before_time = query->before_time;
    /* Nothing at or after the keyset's time + 1 ms can be asked for. */
    if (query->before_time)
        search->until = earlier(query->until, query->before_time + 1);
    if (*search->id && message_id_parse(search->id, &id)) {
        int64_t at = message_id_time_ms(&id);
        search->from = search->from > at ? search->from : at;
        search->until = earlier(search->until, at + 1);
    }
}

/* Without an id the keyset stands before every message of its time. */
static void read_keyset(struct search *search)
{
    if (search->before_time && !*search->before_id)
        strcpy(search->before_id, "00000000-0000-0000-0000-000000000000");
}

static bool read_query(struct search *search, const struct store_audit_query *query,
                       struct error *error)
{
    search->limit = query->limit < MOST_MESSAGES ? query->limit : MOST_MESSAGES;
    search->verdict = filled(query->verdict);
    search->outcome = filled(query->outcome);
    if (!read_patterns(search, query, error) || !read_identifiers(search, query, error))
        return false;
    read_times(search, query);
    read_keyset(search);
    return true;
}

static void search_clear(struct search *search)
{
    free(search->sender);
    free(search->subject);
    free(search->recipient);
}

/* --- the days --- */

#define DAY_MS 86400000LL

static bool list_days(PGconn *connection, const struct search *search, int64_t **days,
                      size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_time(&parameters, search->from);
    store_add_time(&parameters, search->until);
    PGresult *result = store_query(connection, select_days, &parameters, error);
    if (!result)
        return false;
    *count = (size_t)PQntuples(result);
    *days = calloc(*count + 1, sizeof(**days));
    for (size_t i = 0; *days && i < *count; i++)
        (*days)[i] = store_integer(result, (int)i, 0);
    PQclear(result);
    return *days || store_out_of_memory(error);
}

/* --- one statement --- */

static void add_conditions(struct store_parameters *parameters, const struct search *search,
                           int64_t from, int64_t until, size_t limit)
{
    store_add_time(parameters, from);
    store_add_time(parameters, until);
    store_add_time(parameters, search->before_time);
    store_add_text(parameters, filled(search->before_id));
    store_add_text(parameters, search->sender);
    store_add_text(parameters, search->subject);
    store_add_text(parameters, filled(search->id));
    store_add_text(parameters, search->header_message_id);
    store_add_text(parameters, filled(search->peer_ip));
    store_add_text(parameters, search->verdict);
    store_add_text(parameters, filled(search->scanner_id));
    store_add_integer(parameters, (int64_t)limit);
}

static PGresult *search_days(PGconn *connection, const struct search *search, int64_t from,
                             int64_t until, size_t limit, struct error *error)
{
    struct store_parameters parameters = {0};
    bool by_recipient = search->recipient || search->outcome;
    if (search->from > from)
        from = search->from;
    add_conditions(&parameters, search, from, earlier(search->until, until), limit);
    if (by_recipient) {
        store_add_text(&parameters, search->recipient);
        store_add_text(&parameters, search->outcome);
    }
    return store_query(connection, by_recipient ? search_recipients : search_messages, &parameters,
                       error);
}

static char *recipients_text(const PGresult *result, int row, int count)
{
    struct buffer text = BUFFER_INIT;
    buffer_add_text(&text, PQgetvalue(result, row, 11));
    if (count > 3)
        buffer_add_format(&text, " and %d more", count - 3);
    return buffer_take(&text);
}

static bool read_row(const PGresult *result, int row, struct store_audit_message *to)
{
    store_text(result, row, 0, to->id, sizeof(to->id));
    to->at = store_integer(result, row, 1);
    store_text(result, row, 2, to->scanner_host, sizeof(to->scanner_host));
    store_text(result, row, 3, to->direction, sizeof(to->direction));
    store_text(result, row, 4, to->peer_ip, sizeof(to->peer_ip));
    store_text(result, row, 5, to->verdict, sizeof(to->verdict));
    store_text(result, row, 6, to->action, sizeof(to->action));
    to->sender = store_copy(result, row, 7);
    to->subject = store_copy(result, row, 8);
    to->size = store_integer(result, row, 9);
    to->recipient_count = (int)store_integer(result, row, 10);
    to->recipients = recipients_text(result, row, to->recipient_count);
    to->outcomes = store_copy(result, row, 12);
    return to->sender && to->subject && to->recipients && to->outcomes;
}

struct page {
    struct store_audit_message *messages;
    size_t count;
};

static bool add_rows(struct page *page, const PGresult *result, struct error *error)
{
    for (int row = 0; row < PQntuples(result); row++)
        if (!read_row(result, row, &page->messages[page->count++]))
            return store_out_of_memory(error);
    return true;
}

/* --- the search --- */

static bool fill_page(PGconn *connection, const struct search *search, const int64_t *days,
                      size_t day_count, struct page *page, struct error *error)
{
    int64_t deadline = timestamp_monotonic_ms() + SEARCH_MS;
    size_t group = 1;
    for (size_t i = 0; i < day_count && page->count < search->limit; group *= 2) {
        size_t size = group < MOST_DAYS_AT_ONCE ? group : MOST_DAYS_AT_ONCE;
        size_t last = i + size < day_count ? i + size - 1 : day_count - 1;
        if (timestamp_monotonic_ms() > deadline)
            return error_set(error, ERROR_TIMEOUT, "search",
                             "it takes too long: give a shorter time, or more of what you know");
        PGresult *result = search_days(connection, search, days[last], days[i] + DAY_MS,
                                       search->limit - page->count, error);
        bool ok = result && add_rows(page, result, error);
        PQclear(result);
        if (!ok)
            return false;
        i = last + 1;
    }
    return true;
}

static bool run_search(struct store *store, const struct search *search, struct page *page,
                       struct error *error)
{
    struct store_transaction transaction;
    int64_t *days = NULL;
    size_t day_count = 0;
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = list_days(transaction.connection, search, &days, &day_count, error) &&
              fill_page(transaction.connection, search, days, day_count, page, error);
    free(days);
    return store_finish(&transaction, ok, error);
}

bool store_audit_search(struct store *store, const struct store_audit_query *query,
                        struct store_audit_message **messages, size_t *count, struct error *error)
{
    struct search search = {0};
    struct page page = {0};
    bool ok = read_query(&search, query, error);
    if (ok) {
        page.messages = calloc(search.limit + 1, sizeof(*page.messages));
        ok = page.messages ? run_search(store, &search, &page, error) : store_out_of_memory(error);
    }
    search_clear(&search);
    if (!ok) {
        store_audit_list_free(page.messages, page.count);
        return false;
    }
    *messages = page.messages;
    *count = page.count;
    return true;
}

void store_audit_list_free(struct store_audit_message *messages, size_t count)
{
    for (size_t i = 0; messages && i < count; i++) {
        free(messages[i].sender);
        free(messages[i].subject);
        free(messages[i].recipients);
        free(messages[i].outcomes);
    }
    free(messages);
}

#include "controlcenter/store/messages.h"

#include "common/cleanup.h"
#include "controlcenter/store/bytes.h"
#include "controlcenter/store/incidents_internal.h"
#include "controlcenter/store/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define LEVEL 3               /* of the compression */
#define CHUNKS_MOST 4352      /* of a message: 1 GiB, and what header fields add */
#define UPLOADS_MOST 1000     /* of a scanner, that have not come to their end */
#define INFO_LIMIT (1u << 20) /* bytes */

/* Pieces need not be on stable storage before the end of the message is, which syncs them too. */
static const char sync_later[] = "SET LOCAL synchronous_commit TO off";
static const char select_message[] =
    "SELECT chunks, scanner_id = $2, size FROM message WHERE id = $1";
static const char begin_upload[] =
    "INSERT INTO message_upload (id, scanner_id) SELECT $1::uuid, $2::uuid"
    " WHERE (SELECT count(*) FROM message_upload WHERE scanner_id = $2::uuid) < $3"
    " ON CONFLICT (id) DO NOTHING";
static const char lock_upload[] =
    "SELECT chunks, scanner_id = $2, bytes FROM message_upload WHERE id = $1 FOR UPDATE";
static const char insert_chunk[] =
    "INSERT INTO message_chunk (message_id, number, data) VALUES ($1, $2, $3)";
static const char count_chunk[] =
    "UPDATE message_upload SET chunks = chunks + 1, bytes = bytes + $2 WHERE id = $1";
static const char insert_message[] =
    "INSERT INTO message (id, scanner_id, info, size, chunks) VALUES ($1, $2, $3::jsonb, $4, $5)";
static const char end_upload[] = "DELETE FROM message_upload WHERE id = $1";
static const char select_chunk[] =
    "SELECT data FROM message_chunk WHERE message_id = $1 AND number = $2";
static const char select_present[] =
    "SELECT chunks, info FROM message WHERE id = $1 AND expunged_at IS NULL";
static const char take_unused[] =
    "DELETE FROM message_unused WHERE id IN (SELECT id FROM message_unused ORDER BY id LIMIT $1"
    " FOR UPDATE SKIP LOCKED) RETURNING id";
static const char expunge_message[] =
    "UPDATE message m SET expunged_at = now(), info = '{}' WHERE id = $1 AND expunged_at IS NULL"
    " AND NOT EXISTS (SELECT FROM incident i WHERE i.handover_id = m.id)"
    " AND NOT EXISTS (SELECT FROM outbox o WHERE o.message_id = m.id)";
static const char delete_chunks[] = "DELETE FROM message_chunk WHERE message_id = $1";
static const char delete_upload[] =
    "DELETE FROM message_upload WHERE id = (SELECT id FROM message_upload"
    " WHERE begun_at < now() - interval '2 days' ORDER BY begun_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING id";
static const char forget_expunged[] =
    "DELETE FROM message WHERE id IN (SELECT id FROM message"
    " WHERE expunged_at < now() - interval '30 days' ORDER BY expunged_at LIMIT $1"
    " FOR UPDATE SKIP LOCKED)";

/* --- pieces --- */

static char *compress(const void *data, size_t length)
{
    size_t most = ZSTD_compressBound(length);
    cleanup_free void *packed = malloc(most);
    if (!packed)
        return NULL;
    size_t size = ZSTD_compress(packed, most, data, length, LEVEL);
    return ZSTD_isError(size) ? NULL : store_bytes_text(packed, size);
}

/* What is known of a message or of its upload. */
struct known {
    bool found;
    int chunks;
    int64_t bytes;
};

static bool look_up(PGconn *connection, const char *sql, const char *id, const char *scanner_id,
                    struct known *known, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    store_add_text(&parameters, scanner_id);
    PGresult *result = store_query(connection, sql, &parameters, error);
    *known = (struct known){0};
    bool ok = result != NULL;
    if (result && PQntuples(result) == 1) {
        known->found = true;
        known->chunks = (int)store_integer(result, 0, 0);
        known->bytes = store_integer(result, 0, 2);
        if (!store_boolean(result, 0, 1))
            ok = error_set(error, ERROR_DENIED, "id", "the message is another scanner's");
    }
    PQclear(result);
    return ok;
}

static bool open_upload(PGconn *connection, const char *id, const char *scanner_id,
                        struct known *upload, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    store_add_text(&parameters, scanner_id);
    store_add_integer(&parameters, UPLOADS_MOST);
    if (!store_run(connection, begin_upload, &parameters, error) ||
        !look_up(connection, lock_upload, id, scanner_id, upload, error))
        return false;
    return upload->found || error_set(error, ERROR_UNAVAILABLE, "id",
                                      "%d messages of this scanner are unfinished", UPLOADS_MOST);
}

static bool add_chunk(PGconn *connection, const char *id, int number, const void *data,
                      size_t length, struct error *error)
{
    struct store_parameters chunk = {0}, count = {0};
    cleanup_free char *text = compress(data, length);
    if (!text)
        return store_out_of_memory(error);
    store_add_text(&chunk, id);
    store_add_integer(&chunk, number);
    store_add_text(&chunk, text);
    store_add_text(&count, id);
    store_add_integer(&count, (int64_t)length);
    return store_run(connection, insert_chunk, &chunk, error) &&
           store_run(connection, count_chunk, &count, error);
}

static bool put_chunk(PGconn *connection, const char *id, const char *scanner_id, int number,
                      const void *data, size_t length, int *has, struct error *error)
{
    struct known known;
    if (!store_run(connection, sync_later, NULL, error) ||
        !look_up(connection, select_message, id, scanner_id, &known, error))
        return false;
    if (!known.found) {
        if (!open_upload(connection, id, scanner_id, &known, error))
            return false;
        if (known.chunks == number) {
            if (!add_chunk(connection, id, number, data, length, error))
                return false;
            known.chunks++;
        }
    }
    *has = known.chunks;
    return true;
}

static bool canonical_ids(const char *id, const char *scanner_id, char canonical[37],
                          char scanner[37], struct error *error)
{
    return (store_uuid(id, canonical) && store_uuid(scanner_id, scanner)) ||
           error_set(error, ERROR_INVALID, "id", "must be a UUID");
}

bool store_message_chunk(struct store *store, const char *id, const char *scanner_id, int number,
                         const void *data, size_t length, int *has, struct error *error)
{
    struct store_transaction transaction;
    char message[37], scanner[37];
    if (!canonical_ids(id, scanner_id, message, scanner, error))
        return false;
    if (number < 0 || number >= CHUNKS_MOST || length == 0 || length > STORE_MESSAGE_CHUNK)
        return error_set(error, ERROR_LIMIT, "number", "the message is too large");
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = put_chunk(transaction.connection, message, scanner, number, data, length, has, error);
    return store_finish(&transaction, ok, error);
}

/* --- the whole --- */

static bool add_message(PGconn *connection, const char *id, const char *scanner_id,
                        const json_t *info, int64_t size, int chunks, struct error *error)
{
    struct store_parameters parameters = {0};
    cleanup_free char *text = store_json_text(info, error);
    if (!text)
        return false;
    if (strlen(text) > INFO_LIMIT)
        return error_set(error, ERROR_LIMIT, "info", "has over %u bytes", INFO_LIMIT);
    store_add_text(&parameters, id);
    store_add_text(&parameters, scanner_id);
    store_add_text(&parameters, text);
    store_add_integer(&parameters, size);
    store_add_integer(&parameters, chunks);
    return store_run(connection, insert_message, &parameters, error);
}

/* What the message was handed over for. */
static bool pass_on(PGconn *connection, const char *id, const char *scanner_id, const json_t *info,
                    int64_t size, struct error *error)
{
    const char *kind = json_string_value(json_object_get(info, "kind"));
    if (kind && strcmp(kind, "incident") == 0)
        return store_incident_insert(connection, id, scanner_id, info, size, error);
    return error_set(error, ERROR_INVALID, "info.kind", "is not known: %s", kind ? kind : "");
}

static bool complete(PGconn *connection, const char *id, const char *scanner_id, const json_t *info,
                     int64_t size, struct error *error)
{
    struct known known;
    struct store_parameters parameters = {0};
    if (!look_up(connection, select_message, id, scanner_id, &known, error))
        return false;
    if (known.found)
        return true;
    if (!open_upload(connection, id, scanner_id, &known, error))
        return false;
    if (known.bytes != size)
        return error_set(error, ERROR_PROTOCOL, "size", "%lld of %lld bytes are there",
                         (long long)known.bytes, (long long)size);
    store_add_text(&parameters, id);
    return add_message(connection, id, scanner_id, info, size, known.chunks, error) &&
           store_run(connection, end_upload, &parameters, error) &&
           pass_on(connection, id, scanner_id, info, size, error);
}

bool store_message_complete(struct store *store, const char *id, const char *scanner_id,
                            const json_t *info, int64_t size, struct error *error)
{
    struct store_transaction transaction;
    char message[37], scanner[37];
    if (!canonical_ids(id, scanner_id, message, scanner, error) ||
        !store_begin(store, &transaction, error))
        return false;
    bool ok = complete(transaction.connection, message, scanner, info, size, error);
    return store_finish(&transaction, ok, error);
}

/* --- reading --- */

static bool not_found(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "message", "the message is not kept (any more)");
}

/* NULL with *error. `id` is canonical. */
static PGresult *find(struct store *store, const char *id, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    PGresult *result = store_single(store, select_present, &parameters, error);
    if (!result || PQntuples(result) == 1)
        return result;
    PQclear(result);
    not_found(error);
    return NULL;
}

json_t *store_message_info(struct store *store, const char *id, struct error *error)
{
    char canonical[37];
    if (!store_uuid(id, canonical)) {
        not_found(error);
        return NULL;
    }
    PGresult *result = find(store, canonical, error);
    json_t *info = result ? store_json(result, 0, 1) : NULL;
    if (result && !info)
        store_out_of_memory(error);
    PQclear(result);
    return info;
}

static bool unpack(const PGresult *result, char *to, size_t *length, struct error *error)
{
    size_t packed_length;
    cleanup_free char *packed = store_bytes(result, 0, 0, &packed_length);
    if (!packed)
        return store_out_of_memory(error);
    *length = ZSTD_decompress(to, STORE_MESSAGE_CHUNK, packed, packed_length);
    return !ZSTD_isError(*length) ||
           error_set(error, ERROR_IO, "message", "a part of the message is damaged: %s",
                     ZSTD_getErrorName(*length));
}

static bool read_chunk(struct store *store, const char *id, int number, char *to, size_t *length,
                       struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    store_add_integer(&parameters, number);
    PGresult *result = store_single(store, select_chunk, &parameters, error);
    if (!result)
        return false;
    bool ok = PQntuples(result) == 1 ? unpack(result, to, length, error) : not_found(error);
    PQclear(result);
    return ok;
}

/* A statement a piece: nobody holds a connection while the reader sends what it has. */
bool store_message_read(struct store *store, const char *id,
                        bool (*take)(void *argument, const void *data, size_t length),
                        void *argument, struct error *error)
{
    char canonical[37];
    if (!store_uuid(id, canonical))
        return not_found(error);
    PGresult *result = find(store, canonical, error);
    if (!result)
        return false;
    int chunks = (int)store_integer(result, 0, 0);
    PQclear(result);
    cleanup_free char *data = malloc(STORE_MESSAGE_CHUNK);
    if (!data)
        return store_out_of_memory(error);
    for (int number = 0; number < chunks; number++) {
        size_t length;
        if (!read_chunk(store, canonical, number, data, &length, error))
            return false;
        if (!take(argument, data, length))
            break;
    }
    return true;
}

/* --- expunging --- */

static bool run_for(PGconn *connection, const char *sql, const char *id, int64_t *changed,
                    struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    PGresult *result = store_query(connection, sql, &parameters, error);
    *changed = result ? store_changed(result) : 0;
    PQclear(result);
    return result != NULL;
}

/* Unless something refers to it again, or still. */
static bool expunge_one(PGconn *connection, const char *id, int *removed, struct error *error)
{
    int64_t changed, chunks;
    if (!run_for(connection, expunge_message, id, &changed, error) ||
        (changed && !run_for(connection, delete_chunks, id, &chunks, error)))
        return false;
    *removed += changed > 0;
    return true;
}

static bool expunge_unused(PGconn *connection, int limit, int *removed, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, limit);
    PGresult *result = store_query(connection, take_unused, &parameters, error);
    bool ok = result != NULL;
    for (int i = 0; ok && i < PQntuples(result); i++)
        ok = expunge_one(connection, PQgetvalue(result, i, 0), removed, error);
    PQclear(result);
    return ok;
}

/* One that its scanner left behind. */
static bool expunge_upload(PGconn *connection, struct error *error)
{
    int64_t chunks;
    PGresult *result = store_query(connection, delete_upload, NULL, error);
    bool ok =
        result && (PQntuples(result) == 0 ||
                   run_for(connection, delete_chunks, PQgetvalue(result, 0, 0), &chunks, error));
    PQclear(result);
    return ok;
}

bool store_message_expunge(struct store *store, int limit, int *removed, struct error *error)
{
    struct store_transaction transaction;
    struct store_parameters parameters = {0};
    *removed = 0;
    store_add_integer(&parameters, limit);
    if (!store_begin(store, &transaction, error))
        return false;
    PGconn *connection = transaction.connection;
    bool ok = expunge_unused(connection, limit, removed, error) &&
              expunge_upload(connection, error) &&
              store_run(connection, forget_expunged, &parameters, error);
    return store_finish(&transaction, ok, error);
}

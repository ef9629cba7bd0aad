/* How fast events go in, on a cluster that syncs, beside a bare COPY of the same events. */
#include "common/json.h"
#include "test_store_events.h"

#include <libpq-fe.h>

#define BATCHES 20
#define MESSAGES 250 /* of one batch; four events each */
#define EVENTS (MESSAGES * 4)
#define LEAST_PER_SECOND 200 /* far below any machine: only a wait for each event would show */

static int open_durable(void **argument)
{
    (void)argument;
    *scene_postgres() = private_postgres_new(true);
    return 0;
}

/* What most messages make: accepted, scanned, passed on, delivered. */
static void add_messages(struct batch *batch)
{
    char id[37], sender[64], recipient[64], subject[100];
    for (int i = 0; i < MESSAGES; i++) {
        new_id(id);
        snprintf(sender, sizeof(sender), "sender.%.12s@host%d.example.org", id + 24, i % 97);
        snprintf(recipient, sizeof(recipient), "user%d.%.6s@example.com", i, id + 30);
        snprintf(subject, sizeof(subject), "Re: meeting %s about the %d projects", id, i);
        add_received(batch, id, sender, recipient, NULL);
        add_scanned(batch, id, "clean", subject);
        add_action(batch, id, "deliver", 0, -1);
        add_delivery(batch, id, 0, recipient, "delivered", "250 2.0.0 Ok: queued as 4F2A91");
    }
}

static double per_second(int64_t started)
{
    int64_t took = timestamp_monotonic_ms() - started;
    return BATCHES * EVENTS * 1000.0 / (double)(took > 0 ? took : 1);
}

static void copy_batch(PGconn *connection, const json_t *events)
{
    const json_t *event;
    size_t i;
    PGresult *result = PQexec(connection, "COPY bare FROM STDIN (FORMAT csv, QUOTE E'\\x01',"
                                          " DELIMITER E'\\t')");
    assert_int_equal(PQresultStatus(result), PGRES_COPY_IN);
    PQclear(result);
    json_array_foreach(events, i, event)
    {
        char line[200];
        cleanup_free char *text = json_text(event);
        int length = snprintf(line, sizeof(line), "%s\t%s\t" SCANNER "\tstream\t%lld\t%s\t",
                              text_of(event, "id"), text_of(event, "at"),
                              (long long)number_of(event, "seq"), text_of(event, "type"));
        assert_int_equal(PQputCopyData(connection, line, length), 1);
        assert_int_equal(PQputCopyData(connection, text, (int)strlen(text)), 1);
        assert_int_equal(PQputCopyData(connection, "\n", 1), 1);
    }
    assert_int_equal(PQputCopyEnd(connection, NULL), 1);
    result = PQgetResult(connection);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    assert_null(PQgetResult(connection));
}

static void thousands_of_events_a_second_go_in(void **argument)
{
    struct scene *scene = *argument;
    struct batch batches[BATCHES] = {{0}};
    int64_t seq = 0, last;
    for (int i = 0; i < BATCHES; i++) {
        batches[i].seq = seq;
        add_messages(&batches[i]);
        seq = batches[i].seq;
    }

    count_of(scene, "CREATE TABLE bare (id uuid, at timestamptz, scanner uuid, stream text,"
                    " seq bigint, type text, payload jsonb); CREATE INDEX ON bare (id)");
    PGconn *connection = PQconnectdb(private_postgres_conninfo(scene->postgres));
    int64_t started = timestamp_monotonic_ms();
    for (int i = 0; i < BATCHES; i++)
        copy_batch(connection, batches[i].events);
    double bare = per_second(started);
    PQfinish(connection);

    started = timestamp_monotonic_ms();
    for (int i = 0; i < BATCHES; i++) {
        ok(store_audit_write(scene->store, SCANNER, "s", batches[i].events, &last, &error));
        drop_batch(&batches[i]);
    }
    double intake = per_second(started);
    assert_int_equal(last, seq);
    assert_int_equal(count_of(scene, "SELECT count(*) FROM audit_recipient"
                                     " WHERE state = 'delivered'"),
                     BATCHES * MESSAGES);
    print_message("intake: %.0f events/s (%.0f messages/s), bare COPY %.0f rows/s: %.0f %%\n",
                  intake, intake / 4, bare, intake * 100 / bare);
    assert_true(intake > LEAST_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(thousands_of_events_a_second_go_in),
    };
    return cmocka_run_group_tests(tests, open_durable, close_group);
}

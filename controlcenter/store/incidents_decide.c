/* Decisions: state, history and what goes with them are one transaction. */
#include "controlcenter/store/incidents_rows.h"
#include "controlcenter/store/outbox_internal.h"

#include "common/cleanup.h"

#include <string.h>

static const char lock_incident[] =
    "SELECT state, action, decided_by FROM incident WHERE number = $1 FOR UPDATE";
static const char close_incident[] =
    "UPDATE incident SET state = $2, action = $3, decided_by = $4, decided_at = now()"
    " WHERE number = $1";

static bool is_open(PGconn *connection, int64_t number, struct error *error)
{
    struct store_parameters parameters = {0};
    char state[33] = "", action[201] = "", who[321] = "";
    store_add_integer(&parameters, number);
    PGresult *result = store_query(connection, lock_incident, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    if (found) {
        store_text(result, 0, 0, state, sizeof(state));
        store_text(result, 0, 1, action, sizeof(action));
        store_text(result, 0, 2, who, sizeof(who));
    } else if (result) {
        error_set(error, ERROR_NOT_FOUND, "incident", "there is no such incident");
    }
    PQclear(result);
    return found && (strcmp(state, STORE_INCIDENT_OPEN) == 0 ||
                     error_set(error, ERROR_EXISTS, "incident", "it is decided already: %s, by %s",
                               *action ? action : state, *who ? who : "Gatehouse itself"));
}

static bool close_it(PGconn *connection, const struct store_incident_decision *decision,
                     struct error *error)
{
    struct store_parameters parameters = {0};
    char name[201], who[321];
    store_add_integer(&parameters, decision->number);
    store_add_text(&parameters, decision->state);
    store_add_text(&parameters, store_clean(name, sizeof(name), decision->name));
    store_add_text(&parameters, store_clean(who, sizeof(who), decision->who));
    return store_run(connection, close_incident, &parameters, error);
}

static bool send_mails(PGconn *connection, const struct store_incident_decision *decision,
                       struct error *error)
{
    char id[37];
    for (size_t i = 0; i < decision->mail_count; i++)
        if (!store_outbox_insert(connection, &decision->mails[i], id, error))
            return false;
    return true;
}

static bool write_log(PGconn *connection, const struct store_incident_decision *decision,
                      struct error *error)
{
    cleanup_json json_t *detail =
        json_pack("{s:I,s:s*,s:s*}", "incident", (json_int_t)decision->number, "done",
                  decision->detail, "comment", decision->comment);
    char action[64], object[32];
    snprintf(action, sizeof(action), "incident.%.40s", decision->action);
    snprintf(object, sizeof(object), "%lld", (long long)decision->number);
    struct store_log_line line = {
        .administrator = decision->who, .action = action, .object = object, .detail = detail};
    return store_log_write(connection, &line, error);
}

bool store_incident_decide(struct store *store, const struct store_incident_decision *decision,
                           struct error *error)
{
    struct store_transaction transaction;
    if (!store_incident_check_comment(decision->comment, error) ||
        !store_begin(store, &transaction, error))
        return false;
    PGconn *connection = transaction.connection;
    bool ok = is_open(connection, decision->number, error) &&
              send_mails(connection, decision, error) &&
              (!decision->state || close_it(connection, decision, error)) &&
              store_incident_line_add(connection, decision->number, decision->who, decision->action,
                                      decision->detail, decision->comment, error) &&
              write_log(connection, decision, error);
    return store_finish(&transaction, ok, error);
}

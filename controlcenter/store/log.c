/* The administrators' log: who did what, when, with the old and the new value. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"

#include <string.h>

static const char insert_line[] =
    "INSERT INTO administrator_log"
    " (administrator, peer, action, object, old_value, new_value, detail)"
    " VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7::jsonb)";

static bool is_secret(const char *name)
{
    return strcmp(name, "password") == 0 || strcmp(name, "bind_password") == 0;
}

/* Takes the passwords of routes and directories out. */
static void forget_secrets(json_t *value)
{
    const char *name;
    json_t *member;
    size_t index;
    void *next;
    json_object_foreach_safe(value, next, name, member)
    {
        if (is_secret(name))
            json_object_del(value, name);
        else
            forget_secrets(member);
    }
    json_array_foreach(value, index, member)
    {
        forget_secrets(member);
    }
}

/* The JSON text of a value without secrets; NULL for NULL and, with *error, where it cannot be. */
static char *value_text(const json_t *value, struct error *error)
{
    if (!value)
        return NULL;
    cleanup_json json_t *copy = json_deep_copy(value);
    forget_secrets(copy);
    if (!copy)
        store_out_of_memory(error);
    return store_json_text(copy, error);
}

bool store_log_write(PGconn *connection, const struct store_log_line *line, struct error *error)
{
    struct store_parameters parameters = {0};
    char administrator[256], peer[128], action[128], object[512];
    const json_t *const values[] = {line->old_value, line->new_value, line->detail};
    char *texts[3] = {NULL};
    bool ok = true;

    store_add_text(&parameters,
                   store_clean(administrator, sizeof(administrator), line->administrator));
    store_add_text(&parameters, store_clean(peer, sizeof(peer), line->peer));
    store_add_text(&parameters, store_clean(action, sizeof(action), line->action));
    store_add_text(&parameters, store_clean(object, sizeof(object), line->object));
    for (int i = 0; i < 3 && ok; i++) {
        texts[i] = value_text(values[i], error);
        ok = texts[i] || !values[i];
        store_add_text(&parameters, texts[i]);
    }
    ok = ok && store_run(connection, insert_line, &parameters, error);
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    return ok;
}

bool store_log_add(struct store *store, const char *administrator, const char *peer,
                   const char *action, const json_t *detail, struct error *error)
{
    struct store_log_line line = {
        .administrator = administrator, .peer = peer, .action = action, .detail = detail};
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    return store_finish(&transaction, store_log_write(transaction.connection, &line, error), error);
}

#include "controlcenter/commands.h"

#include "common/cleanup.h"
#include "controlcenter/fleet/fleet.h"
#include "controlcenter/pages/endpoint.h"
#include "controlcenter/store/store.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define PASSWORD_LENGTH 20
#define COMMAND_NAME "command line" /* as the administrators' log calls us */

int command_fail(const struct error *error)
{
    char text[640];
    fprintf(stderr, "gatehouse-controlcenter: %s\n", error_text(error, text, sizeof(text)));
    return 1;
}

static struct store *open_store(const struct program_config *config, struct error *error)
{
    struct store *store = store_open(config->database, config->connections, error);
    if (store && store_migrate(store, config->schema, error))
        return store;
    store_close(store);
    return NULL;
}

int command_migrate(const struct program_config *config)
{
    struct error error = {0};
    struct store *store = open_store(config, &error);
    if (!store)
        return command_fail(&error);
    store_close(store);
    printf("the database is up to date\n");
    return 0;
}

/* Letters and digits that cannot be taken for each other; 20 of them are over 110 bits. */
static void make_password(char password[PASSWORD_LENGTH + 1])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    for (size_t i = 0; i < PASSWORD_LENGTH; i++)
        password[i] = letters[randombytes_uniform(sizeof(letters) - 1)];
    password[PASSWORD_LENGTH] = '\0';
}

static bool is_administrator_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-";
    size_t length = strlen(name);
    return length >= 1 && length <= 64 && strspn(name, allowed) == length;
}

static bool hash_password(const char *password, char hash[crypto_pwhash_STRBYTES],
                          struct error *error)
{
    return crypto_pwhash_str(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                             crypto_pwhash_MEMLIMIT_INTERACTIVE) == 0 ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool create_administrator(struct store *store, const char *name, const char *hash,
                                 struct error *error)
{
    return store_administrator_create(store, name, hash, true, error);
}

static bool reset_password(struct store *store, const char *name, const char *hash,
                           struct error *error)
{
    struct store_administrator administrator;
    return store_administrator_by_name(store, name, &administrator, error) &&
           store_administrator_set_password(store, administrator.id, hash, true, NULL, error);
}

/* What both commands do with a fresh password. */
typedef bool set_one_time_password(struct store *store, const char *name, const char *hash,
                                   struct error *error);

static bool give_password(const struct program_config *config, const char *name,
                          set_one_time_password *set, char password[PASSWORD_LENGTH + 1],
                          struct error *error)
{
    char hash[crypto_pwhash_STRBYTES];
    if (!is_administrator_name(name))
        return error_set(error, ERROR_INVALID, "name",
                         "must be 1 to 64 letters, digits or any of ._@+-");
    if (sodium_init() < 0)
        return error_set(error, ERROR_INTERNAL, NULL, "libsodium does not start");
    make_password(password);
    if (!hash_password(password, hash, error))
        return false;
    struct store *store = open_store(config, error);
    bool ok = store && set(store, name, hash, error);
    store_close(store);
    return ok;
}

static int print_password(const struct program_config *config, const char *name,
                          set_one_time_password *set)
{
    char password[PASSWORD_LENGTH + 1];
    struct error error = {0};
    bool ok = give_password(config, name, set, password, &error);
    if (ok)
        printf("administrator: %s\none-time password: %s\n", name, password);
    sodium_memzero(password, sizeof(password));
    return ok ? 0 : command_fail(&error);
}

int command_create_administrator(const struct program_config *config, const char *name)
{
    return print_password(config, name, create_administrator);
}

int command_reset_password(const struct program_config *config, const char *name)
{
    return print_password(config, name, reset_password);
}

static bool set_route(const struct program_config *config, const char *domain,
                      const struct endpoint *relay, struct error *error)
{
    cleanup_json json_t *route = json_pack("{s:s,s:[{s:s,s:i}]}", "kind", "relay", "relays", "host",
                                           relay->host, "port", relay->port);
    if (!route)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    struct store *store = open_store(config, error);
    struct fleet *fleet = store ? fleet_new(store, config->fleet_url) : NULL;
    bool ok = fleet && fleet_check_domain(fleet, domain, route, error) &&
              store_domain_put(store, domain, route, true, COMMAND_NAME, error);
    fleet_free(fleet);
    store_close(store);
    return ok;
}

int command_set_route(const struct program_config *config, const char *domain, const char *relay)
{
    struct endpoint endpoint;
    struct error error = {0};
    bool ok = endpoint_parse(relay, 0, &endpoint)
                  ? set_route(config, domain, &endpoint, &error)
                  : error_set(&error, ERROR_INVALID, "relay", "must be HOST:PORT");
    if (!ok)
        return command_fail(&error);
    printf("mail for %s goes to %s\n", domain, relay);
    return 0;
}

static bool create_token(struct fleet *fleet, const char *host_name, const char *inbound,
                         const char *outbound, char token[FLEET_TOKEN_SIZE], struct error *error)
{
    cleanup_json json_t *smtp =
        inbound || outbound ? fleet_smtp_settings(inbound, outbound, error) : NULL;
    if ((inbound || outbound) && !smtp)
        return false;
    return fleet_create_token(fleet, host_name, smtp, COMMAND_NAME, token, error);
}

int command_create_token(const struct program_config *config, const char *host_name,
                         const char *inbound, const char *outbound)
{
    char token[FLEET_TOKEN_SIZE];
    struct error error = {0};
    struct store *store = open_store(config, &error);
    struct fleet *fleet = store ? fleet_new(store, config->fleet_url) : NULL;
    bool ok = fleet && create_token(fleet, host_name, inbound, outbound, token, &error);
    fleet_free(fleet);
    store_close(store);
    if (!ok)
        return command_fail(&error);
    printf("token: %s\n"
           "valid for %d hours, for one enrolment; on the scanner:\n"
           "gatehouse-scanner enroll --state /var/lib/gatehouse --url %s --token %s\n",
           token, FLEET_TOKEN_SECONDS / 3600, config->fleet_url, token);
    return 0;
}

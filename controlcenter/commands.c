#include "controlcenter/commands.h"

#include "common/cleanup.h"
#include "controlcenter/fleet/fleet.h"
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

static bool create_administrator(const struct program_config *config, const char *name,
                                 const char *password, struct error *error)
{
    char hash[crypto_pwhash_STRBYTES];
    if (!is_administrator_name(name))
        return error_set(error, ERROR_INVALID, "name",
                         "must be 1 to 64 letters, digits or any of ._@+-");
    if (crypto_pwhash_str(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    struct store *store = open_store(config, error);
    if (!store)
        return false;
    bool ok = store_administrator_create(store, name, hash, true, error);
    store_close(store);
    return ok;
}

int command_create_administrator(const struct program_config *config, const char *name)
{
    char password[PASSWORD_LENGTH + 1];
    struct error error = {0};
    if (sodium_init() < 0) {
        error_set(&error, ERROR_INTERNAL, NULL, "libsodium does not start");
        return command_fail(&error);
    }
    make_password(password);
    if (!create_administrator(config, name, password, &error))
        return command_fail(&error);
    printf("administrator: %s\none-time password: %s\n", name, password);
    sodium_memzero(password, sizeof(password));
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

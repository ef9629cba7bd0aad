#include "common/config_private.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/policy_model.h"
#include "common/signing.h"

#include <string.h>

#define KEY_FILE_LIMIT 256
/* In an envelope the document is a JSON string, in which a quote or a newline takes two bytes. */
#define ENVELOPE_LIMIT ((size_t)CONFIG_DOCUMENT_LIMIT * 2 + 4096)

static const char *const action_names[] = {
    [CONFIG_ACTION_DELIVER] = "deliver",       [CONFIG_ACTION_DELETE] = "delete",
    [CONFIG_ACTION_REJECT] = "reject",         [CONFIG_ACTION_CLEAN] = "clean",
    [CONFIG_ACTION_QUARANTINE] = "quarantine",
};
#define ACTION_COUNT (sizeof(action_names) / sizeof(action_names[0]))

const char *config_action_name(enum config_action action)
{
    return action_names[action];
}

bool config_action_parse(const char *name, enum config_action *action)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(name, action_names[i]) != 0)
            continue;
        *action = (enum config_action)i;
        return true;
    }
    return false;
}

static const struct {
    const char *name;
    enum config_action usual;
} verdicts[] = {
    [CONFIG_VERDICT_VIRUS] = {"virus", CONFIG_ACTION_DELETE},
    [CONFIG_VERDICT_WORM] = {"worm", CONFIG_ACTION_DELETE},
    [CONFIG_VERDICT_SPYWARE] = {"spyware", CONFIG_ACTION_DELETE},
    [CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT] = {"suspicious_attachment", CONFIG_ACTION_DELIVER},
    [CONFIG_VERDICT_ENCRYPTED_ATTACHMENT] = {"encrypted_attachment", CONFIG_ACTION_DELIVER},
    [CONFIG_VERDICT_UNSCANNABLE] = {"unscannable", CONFIG_ACTION_DELIVER},
};

const char *config_verdict_name(enum config_verdict verdict)
{
    return verdicts[verdict].name;
}

enum config_action config_verdict_usual_action(enum config_verdict verdict)
{
    return verdicts[verdict].usual;
}

bool config_verdict_parse(const char *name, enum config_verdict *verdict)
{
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++) {
        if (strcmp(name, verdicts[i].name) != 0)
            continue;
        *verdict = (enum config_verdict)i;
        return true;
    }
    return false;
}

static int compare_name(const void *name, const void *domain)
{
    return strcmp(name, ((const struct config_domain *)domain)->name);
}

const struct config_domain *config_find_domain(const struct scanner_config *config,
                                               const char *name)
{
    if (config->domain_count == 0)
        return NULL;
    return bsearch(name, config->domains, config->domain_count, sizeof(*config->domains),
                   compare_name);
}

static void free_server(struct config_smtp_server *server)
{
    free(server->listeners);
    free(server->allowed_networks);
    free(server->proxies.networks);
    free(server->xclient.networks);
}

void config_free(struct scanner_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->domain_count; i++) {
        config_free_route(&config->domains[i].route);
        free(config->domains[i].alias_of);
    }
    free(config->domains);
    config_free_route(&config->default_route);
    config_free_addresses(config);
    config_free_directory(&config->directory);
    config_free_signatures(&config->signatures);
    free_server(&config->inbound);
    free_server(&config->outbound);
    free(config->tls_certificate);
    if (config->tls_key)
        explicit_bzero(config->tls_key, strlen(config->tls_key));
    free(config->tls_key);
    config_free_delivery(&config->delivery);
    policy_set_free(config->policy);
    free(config);
}

static void cut_line_end(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]))
        text[--length] = '\0';
}

struct scanner_config *config_load(const char *envelope_path, const char *key_path,
                                   struct error *error)
{
    size_t length;
    cleanup_free char *key = file_read(key_path, KEY_FILE_LIMIT, NULL, error);
    if (!key)
        return NULL;
    cut_line_end(key);
    cleanup_free char *envelope = file_read(envelope_path, ENVELOPE_LIMIT, &length, error);
    if (!envelope)
        return NULL;
    cleanup_free char *document = signing_open(envelope, length, key, error);
    return document ? config_parse(document, strlen(document), error) : NULL;
}

/* The configuration documents of scanners: built from the settings, validated, signed.
 *
 * What all scanners have in common (domains, policies, routes) is read once for each version and
 * shared between their documents; the long lists of it are also checked once (lists.c). */
#include "controlcenter/fleet/fleet_private.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_ATTEMPTS 5

/* Settings that go into documents, and the member of `shared` that holds them; a missing setting
 * leaves the member out and the model's defaults apply. */
static const struct {
    const char *key;
    const char *member;
} shared_settings[] = {
    {"smtp.common", "smtp"},
    {"default_route", "default_route"},
    {"policy.malware", "malware"},
    {"engine", "engine"},
    {"bounce_protection", "bounce_protection"},
};
#define SHARED_SETTING_COUNT (sizeof(shared_settings) / sizeof(shared_settings[0]))

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- what documents have in common --- */

static bool read_settings(struct fleet *fleet, json_t *shared, struct error *error)
{
    for (size_t i = 0; i < SHARED_SETTING_COUNT; i++) {
        struct error local = {0};
        json_t *value = store_setting_get(fleet->store, shared_settings[i].key, &local);
        if (!value && local.code == ERROR_NOT_FOUND)
            continue;
        if (!value) {
            if (error)
                *error = local;
            return false;
        }
        if (json_object_set_new(shared, shared_settings[i].member, value) != 0)
            return out_of_memory(error);
    }
    return true;
}

/* Where a part would make no valid document "refused" says why: the version is not read again for
 * every scanner that asks. */
static bool keep_refusal(json_t *shared, const struct error *refused, struct error *error)
{
    char reason[700];
    if (refused->code != ERROR_INVALID) {
        if (error)
            *error = *refused;
        return false;
    }
    return json_object_set_new(shared, "refused",
                               json_string(error_text(refused, reason, sizeof(reason)))) == 0 ||
           out_of_memory(error);
}

/* The text of the lists goes along as the member "lists". */
static bool read_lists(struct fleet *fleet, json_t *shared, struct error *error)
{
    struct error refused = {0};
    cleanup_free char *text = fleet_lists_text(fleet, error);
    if (!text)
        return false;
    json_t *lists = json_stringn_nocheck(text, strlen(text));
    if (!lists || json_object_set_new(shared, "lists", lists) != 0)
        return out_of_memory(error);
    return fleet_check_lists(text, &refused) || keep_refusal(shared, &refused, error);
}

static bool read_policies(struct fleet *fleet, json_t *shared, struct error *error)
{
    struct error refused = {0};
    return fleet_read_policies(fleet, shared, &refused) || keep_refusal(shared, &refused, error);
}

static json_t *read_shared(struct fleet *fleet, struct error *error)
{
    cleanup_json json_t *shared = json_object();
    if (!shared) {
        out_of_memory(error);
        return NULL;
    }
    if (!read_settings(fleet, shared, error) || !fleet_read_directory(fleet, shared, error) ||
        !fleet_read_signatures(fleet, shared, error) || !read_lists(fleet, shared, error) ||
        !read_policies(fleet, shared, error))
        return NULL;
    return json_incref(shared);
}

/* The values are read one by one: where the version has risen meanwhile they may not belong
 * together, and are read again. */
static bool refresh_shared(struct fleet *fleet, struct error *error)
{
    int64_t before, after;
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        if (!store_configuration_version(fleet->store, &before, error))
            return false;
        if (fleet->shared && fleet->shared_version == before)
            return true;
        json_t *shared = read_shared(fleet, error);
        if (!shared)
            return false;
        json_decref(fleet->shared);
        fleet->shared = shared;
        fleet->shared_version = before;
        if (!store_configuration_version(fleet->store, &after, error))
            return false;
        if (after == before)
            return true;
    }
    /* Changes come faster than they can be read. What was read last is sent under its version, and
     * the higher version, which is there already, brings the rest. */
    return true;
}

static json_t *borrow_shared(struct fleet *fleet, int64_t *version, struct error *error)
{
    json_t *shared = NULL;
    pthread_mutex_lock(&fleet->shared_lock);
    if (refresh_shared(fleet, error)) {
        shared = json_incref(fleet->shared);
        *version = fleet->shared_version;
    }
    pthread_mutex_unlock(&fleet->shared_lock);
    return shared;
}

/* --- documents --- */

struct document {
    int64_t version;
    const char *scanner_id;
    const char *host_name;
    const json_t *shared;              /* as read_shared makes it */
    const json_t *smtp;                /* the host's own settings; go over the common ones */
    const struct fleet_key_pair *pair; /* of its SMTP servers */
};

static json_t *merge_smtp(const json_t *common, const json_t *own)
{
    json_t *smtp = json_is_object(common) ? json_deep_copy(common) : json_object();
    json_t *copy = json_deep_copy(own);
    int failed = !smtp || !copy || json_object_update_recursive(smtp, copy) != 0;
    json_decref(copy);
    if (failed) {
        json_decref(smtp);
        return NULL;
    }
    return smtp;
}

static json_t *smtp_json(const struct document *document)
{
    const struct fleet_key_pair *pair = document->pair;
    json_t *smtp = merge_smtp(json_object_get(document->shared, "smtp"), document->smtp);
    if (!smtp || json_object_get(smtp, "tls"))
        return smtp;
    if (json_object_set_new(
            smtp, "tls",
            json_pack("{s:s,s:s}", "certificate", pair->certificate, "key", pair->key)) == 0)
        return smtp;
    json_decref(smtp);
    return NULL;
}

static int set_optional(json_t *object, const char *name, json_t *value)
{
    return value ? json_object_set(object, name, value) : 0;
}

static json_t *document_json(const struct document *document)
{
    char now[TIMESTAMP_TEXT_SIZE];
    const json_t *shared = document->shared;
    json_t *malware = json_object_get(shared, "malware");
    cleanup_json json_t *value =
        json_pack("{s:i,s:I,s:s,s:s,s:s,s:o}", "format", CONFIG_FORMAT, "version",
                  (json_int_t)document->version, "scanner_id", document->scanner_id, "issued_at",
                  timestamp_text(timestamp_now_ms(), now), "host_name", document->host_name, "smtp",
                  smtp_json(document));
    if (!value ||
        set_optional(value, "default_route", json_object_get(shared, "default_route")) != 0 ||
        set_optional(value, "engine", json_object_get(shared, "engine")) != 0 ||
        set_optional(value, "directory", json_object_get(shared, "directory")) != 0 ||
        set_optional(value, "signatures", json_object_get(shared, "signatures")) != 0 ||
        set_optional(value, "bounce_protection", json_object_get(shared, "bounce_protection")) !=
            0 ||
        (malware &&
         json_object_set_new(value, "policies", json_pack("{s:O}", "malware", malware)) != 0))
        return NULL;
    return json_incref(value);
}

/* Puts members, which are those of an object without its braces, at the end of a document. */
static char *with_members(const char *text, const char *members, struct error *error)
{
    struct buffer whole = {.limit = CONFIG_DOCUMENT_LIMIT};
    buffer_add(&whole, text, strlen(text) - 1);
    buffer_add_format(&whole, ",%s}", members);
    char *taken = buffer_take(&whole);
    if (!taken)
        error_set(error, ERROR_LIMIT, NULL, "the document is larger than %u bytes",
                  CONFIG_DOCUMENT_LIMIT);
    buffer_free(&whole);
    return taken;
}

/* Puts the policies in force beside "malware", then the lists. */
static char *whole_text(json_t *value, const char *policies, const char *lists, struct error *error)
{
    struct buffer members = {.limit = CONFIG_DOCUMENT_LIMIT};
    cleanup_json json_t *own = json_incref(json_object_get(value, "policies"));
    json_object_del(value, "policies");
    cleanup_free char *text = json_text(value);
    cleanup_free char *malware = own ? json_text(own) : strdup("{}");
    if (!text || !malware) {
        out_of_memory(error);
        return NULL;
    }
    malware[strlen(malware) - 1] = '\0';
    buffer_add_format(&members, "\"policies\":%s%s", malware, own && *policies ? "," : "");
    buffer_add_text(&members, policies);
    buffer_add_text(&members, "},");
    buffer_add_text(&members, lists);
    char *whole = members.failed ? NULL : with_members(text, buffer_text(&members), error);
    if (members.failed)
        error_set(error, ERROR_LIMIT, NULL, "the document is larger than %u bytes",
                  CONFIG_DOCUMENT_LIMIT);
    buffer_free(&members);
    return whole;
}

static bool is_valid(const char *text, struct error *error)
{
    struct scanner_config *config = text ? config_parse(text, strlen(text), error) : NULL;
    config_free(config);
    return config != NULL;
}

/* The text of a document that a scanner will take, with the lists and the policies in force, which
 * were checked already. NULL with the field where it will not. */
static char *document_text(const struct document *document, const char *lists, struct error *error)
{
    if (!json_is_object(document->smtp)) {
        error_set(error, ERROR_INVALID, "smtp", "must be an object");
        return NULL;
    }
    cleanup_json json_t *value = document_json(document);
    cleanup_free char *text = value ? json_text(value) : NULL;
    if (!text) {
        out_of_memory(error);
        return NULL;
    }
    const char *policies = json_string_value(json_object_get(document->shared, "policies"));
    cleanup_free char *without = with_members(text, "\"domains\":[]", error);
    return is_valid(without, error) ? whole_text(value, policies ? policies : "", lists, error)
                                    : NULL;
}

json_t *fleet_envelope(struct fleet *fleet, const struct store_scanner *scanner, int64_t *version,
                       struct error *error)
{
    struct document document = {.scanner_id = scanner->id, .host_name = scanner->host_name};
    cleanup_json json_t *shared = borrow_shared(fleet, version, error);
    cleanup_json json_t *none = json_object();
    if (!shared)
        return NULL;
    const char *refused = json_string_value(json_object_get(shared, "refused"));
    if (refused) {
        error_set(error, ERROR_INVALID, NULL, "%s", refused);
        return NULL;
    }
    document.version = *version;
    document.shared = shared;
    document.smtp = scanner->smtp ? scanner->smtp : none;
    struct fleet_key_pair pair = {0};
    if (!fleet_scanner_certificate(fleet, scanner->id, scanner->host_name, &pair, error))
        return NULL;
    document.pair = &pair;
    const char *lists = json_string_value(json_object_get(shared, "lists"));
    cleanup_free char *text = document_text(&document, lists, error);
    fleet_clear_key_pair(&pair);
    cleanup_free char *envelope =
        text ? signing_seal(text, fleet->configuration_secret, error) : NULL;
    return envelope ? json_parse(envelope, strlen(envelope), "envelope", error) : NULL;
}

/* --- candidates --- */

bool fleet_check_lists(const char *lists, struct error *error)
{
    char id_text[MESSAGE_ID_TEXT_SIZE], now[TIMESTAMP_TEXT_SIZE];
    struct message_id id = message_id_new();
    cleanup_json json_t *value =
        json_pack("{s:i,s:i,s:s,s:s,s:s,s:{s:{s:[]},s:{s:[]}}}", "format", CONFIG_FORMAT, "version",
                  1, "scanner_id", message_id_text(&id, id_text), "issued_at",
                  timestamp_text(timestamp_now_ms(), now), "host_name", "candidate.invalid", "smtp",
                  "inbound", "listeners", "outbound", "listeners");
    cleanup_free char *text = value ? json_text(value) : NULL;
    if (!text)
        return out_of_memory(error);
    cleanup_free char *whole = with_members(text, lists, error);
    return is_valid(whole, error);
}

static bool check(struct fleet *fleet, const json_t *shared, const char *host_name,
                  const json_t *smtp, struct error *error)
{
    char id_text[MESSAGE_ID_TEXT_SIZE];
    struct message_id id = message_id_new();
    struct document document = {.version = 1,
                                .scanner_id = message_id_text(&id, id_text),
                                .host_name = host_name,
                                .shared = shared,
                                .smtp = smtp,
                                .pair = fleet_candidate_pair(fleet, error)};
    if (!document.pair)
        return false;
    cleanup_free char *text = document_text(&document, "\"domains\":[]", error);
    return text != NULL;
}

bool fleet_check_shared(struct fleet *fleet, const json_t *shared, struct error *error)
{
    cleanup_json json_t *smtp = fleet_smtp_settings(NULL, NULL, error);
    return smtp && check(fleet, shared, "candidate.invalid", smtp, error);
}

static bool check_every_scanner(struct fleet *fleet, const json_t *shared, struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    bool ok = true;
    if (!store_scanner_list(fleet->store, &scanners, &count, error))
        return false;
    for (size_t i = 0; i < count && ok; i++)
        if (scanners[i].smtp)
            ok = check(fleet, shared, scanners[i].host_name, scanners[i].smtp, error);
    store_scanner_list_free(scanners, count);
    return ok;
}

bool fleet_check_setting(struct fleet *fleet, const char *key, const json_t *value,
                         struct error *error)
{
    for (size_t i = 0; i < SHARED_SETTING_COUNT; i++) {
        if (strcmp(key, shared_settings[i].key) != 0)
            continue;
        if (!json_is_object(value))
            return error_set(error, ERROR_INVALID, key, "must be an object");
        cleanup_json json_t *shared = json_pack("{s:O}", shared_settings[i].member, value);
        if (!shared)
            return out_of_memory(error);
        return fleet_check_shared(fleet, shared, error) &&
               (strcmp(key, "smtp.common") != 0 || check_every_scanner(fleet, shared, error));
    }
    return error_set(error, ERROR_INVALID, key, "is not a setting of scanners");
}

bool fleet_check_domain(struct fleet *fleet, const char *name, const json_t *route,
                        struct error *error)
{
    (void)fleet;
    struct store_entry entry = {.value = json_pack("{s:O}", "route", route)};
    if (!entry.value)
        return error_set(error, ERROR_INVALID, "domains[0]", "needs a name and a route");
    snprintf(entry.key, sizeof(entry.key), "%s", name);
    bool ok = fleet_check_entries(STORE_DOMAINS, &entry, 1, error);
    json_decref(entry.value);
    return ok;
}

bool fleet_check_smtp(struct fleet *fleet, const json_t *smtp, struct error *error)
{
    struct error local = {0};
    cleanup_json json_t *common = store_setting_get(fleet->store, "smtp.common", &local);
    if (!common && local.code != ERROR_NOT_FOUND) {
        if (error)
            *error = local;
        return false;
    }
    cleanup_json json_t *shared = json_pack("{s:O*}", "smtp", common);
    if (!shared)
        return out_of_memory(error);
    return check(fleet, shared, "candidate.invalid", smtp, error);
}

/* --- the first settings of a scanner --- */

static bool parse_listener(const char *text, const char *name, json_t **listener,
                           struct error *error)
{
    char address[IP_TEXT_SIZE];
    struct ip_address parsed;
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    bool brackets = length > 1 && text[0] == '[' && colon[-1] == ']';
    const char *start = brackets ? text + 1 : text;
    length -= brackets ? 2 : 0;

    if (colon && length > 0 && length < sizeof(address)) {
        char *end;
        long port = strtol(colon + 1, &end, 10);
        memcpy(address, start, length);
        address[length] = '\0';
        if (ip_parse(address, &parsed) && brackets != ip_is_v4(&parsed) && end != colon + 1 &&
            *end == '\0' && port >= 1 && port <= 65535) {
            *listener = json_pack("{s:s,s:i}", "address", address, "port", (int)port);
            return *listener != NULL || out_of_memory(error);
        }
    }
    return error_set(error, ERROR_INVALID, name,
                     "must be IP:PORT or [IPv6]:PORT with a port of 1 to 65535");
}

json_t *fleet_smtp_settings(const char *inbound, const char *outbound, struct error *error)
{
    json_t *in = NULL, *out = NULL;
    if (!parse_listener(inbound ? inbound : "0.0.0.0:25", "inbound", &in, error))
        return NULL;
    if (!parse_listener(outbound ? outbound : "0.0.0.0:587", "outbound", &out, error)) {
        json_decref(in);
        return NULL;
    }
    json_t *smtp =
        json_pack("{s:{s:[o]},s:{s:[o],s:[s,s]}}", "inbound", "listeners", in, "outbound",
                  "listeners", out, "allowed_networks", "127.0.0.0/8", "::1/128");
    if (!smtp)
        out_of_memory(error);
    return smtp;
}

/* smtp.delivery of the configuration document. */
#include "common/config_private.h"

#include "common/cleanup.h"
#include "common/x509_private.h"

#include <stdlib.h>
#include <string.h>

#define MOST_RETRIES 100
#define MOST_DNS_SERVERS 8
#define MOST_POLICIES 100000
#define MOST_CERTIFICATES_BYTES (1u << 20)
#define MOST_RATE 10000000
#define WEEK_SECONDS 604800
#define MONTH_SECONDS 2592000

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define DELIVERY_NUMBER(name, least, most, fallback)                                               \
    {                                                                                              \
#name, least, most, fallback, offsetof(struct config_delivery, name)                       \
    }

/* --- retries --- */

static bool default_retries(struct config_delivery *delivery, struct error *error)
{
    static const int seconds[] = {300, 900, 1800, 3600};
    delivery->retry_seconds = config_allocate(COUNT_OF(seconds), sizeof(int), error);
    if (!delivery->retry_seconds)
        return false;
    memcpy(delivery->retry_seconds, seconds, sizeof(seconds));
    delivery->retry_count = COUNT_OF(seconds);
    return true;
}

static bool read_retries(const json_t *object, const struct json_place *place,
                         struct config_delivery *delivery, struct error *error)
{
    struct json_place list = {.parent = place, .name = "retry_seconds"};
    const json_t *array = NULL;
    if (object &&
        !json_get_array(object, place, "retry_seconds", false, MOST_RETRIES, &array, error))
        return false;
    if (!array)
        return default_retries(delivery, error);
    size_t count = json_array_size(array);
    if (count == 0)
        return json_place_error(&list, NULL, error, "must have at least one element");
    delivery->retry_seconds = config_allocate(count, sizeof(int), error);
    if (!delivery->retry_seconds)
        return false;
    for (size_t i = 0; i < count; i++, delivery->retry_count++) {
        struct json_place element = {.parent = &list, .index = i};
        const json_t *value = json_array_get(array, i);
        json_int_t seconds = json_integer_value(value);
        if (!json_is_integer(value) || seconds < 1 || seconds > WEEK_SECONDS)
            return json_place_error(&element, NULL, error, "must be a whole number from 1 to %d",
                                    WEEK_SECONDS);
        delivery->retry_seconds[i] = (int)seconds;
    }
    return true;
}

/* --- DNS --- */

static bool read_dns_servers(const json_t *object, const struct json_place *place,
                             struct config_delivery *delivery, struct error *error)
{
    struct json_place list = {.parent = place, .name = "dns_servers"};
    const json_t *array = NULL;
    if (object &&
        !json_get_array(object, place, "dns_servers", false, MOST_DNS_SERVERS, &array, error))
        return false;
    size_t count = json_array_size(array);
    delivery->dns_servers = config_allocate(count, sizeof(*delivery->dns_servers), error);
    if (!delivery->dns_servers)
        return false;
    for (size_t i = 0; i < count; i++, delivery->dns_server_count++) {
        struct json_place element = {.parent = &list, .index = i};
        const char *text = json_string_value(json_array_get(array, i));
        if (!text || !ip_parse(text, &delivery->dns_servers[i]))
            return json_place_error(&element, NULL, error, "must be an IP address");
        for (size_t j = 0; j < i; j++)
            if (memcmp(&delivery->dns_servers[i], &delivery->dns_servers[j],
                       sizeof(struct ip_address)) == 0)
                return json_place_error(&element, NULL, error, "the same server stands here twice");
    }
    return true;
}

/* --- TLS --- */

static const char *const tls_names[] = {
    [CONFIG_DELIVERY_TLS_OFF] = "off",
    [CONFIG_DELIVERY_TLS_OPPORTUNISTIC] = "opportunistic",
    [CONFIG_DELIVERY_TLS_REQUIRED] = "required",
    [CONFIG_DELIVERY_TLS_VERIFIED] = "verified",
};

const char *config_delivery_tls_name(enum config_delivery_tls tls)
{
    return tls == CONFIG_DELIVERY_TLS_INHERIT ? "" : tls_names[tls];
}

bool config_delivery_tls_parse(const char *name, enum config_delivery_tls *tls)
{
    for (size_t i = CONFIG_DELIVERY_TLS_OFF; i < COUNT_OF(tls_names); i++) {
        if (strcmp(name, tls_names[i]) != 0)
            continue;
        *tls = (enum config_delivery_tls)i;
        return true;
    }
    return false;
}

bool config_read_delivery_tls(const json_t *object, const struct json_place *place,
                              const char *name, enum config_delivery_tls fallback,
                              enum config_delivery_tls *tls, struct error *error)
{
    const char *text;
    *tls = fallback;
    if (!json_object_get(object, name))
        return true;
    if (!json_get_text(object, place, name, 32, &text, error))
        return false;
    return config_delivery_tls_parse(text, tls) ||
           json_place_error(place, name, error, "must be off, opportunistic, required or verified");
}

static bool read_policy_domain(const json_t *value, const struct json_place *place,
                               char domain[DOMAIN_SIZE], struct error *error)
{
    char normal[DOMAIN_SIZE];
    const char *text;
    if (!json_get_text(value, place, "domain", DOMAIN_SIZE, &text, error))
        return false;
    bool below = *text == '.';
    const char *reason = domain_normalise(text + below, true, normal);
    if (reason)
        return json_place_error(place, "domain", error,
                                "must be a domain, or one behind a dot for all below it: %s",
                                reason);
    if (strlen(normal) + below >= DOMAIN_SIZE)
        return json_place_error(place, "domain", error, "is too long");
    domain[0] = '.';
    memcpy(domain + below, normal, strlen(normal) + 1);
    return true;
}

static bool read_policy(const json_t *value, const struct json_place *place,
                        struct config_tls_policy *policy, struct error *error)
{
    static const char *const known[] = {"domain", "tls", NULL};
    if (!read_policy_domain(value, place, policy->domain, error) ||
        !config_read_delivery_tls(value, place, "tls", CONFIG_DELIVERY_TLS_INHERIT, &policy->tls,
                                  error))
        return false;
    if (policy->tls == CONFIG_DELIVERY_TLS_INHERIT)
        return json_place_error(place, "tls", error, "must be there");
    return config_check_members(value, place, known, error);
}

static bool sort_policies(struct config_delivery *delivery, const struct json_place *list,
                          struct error *error)
{
    size_t count = delivery->tls_policy_count;
    cleanup_free struct config_key *keys = config_allocate(count, sizeof(*keys), error);
    if (!keys)
        return false;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct config_key){delivery->tls_policies[i].domain, i};
    return config_sort_keys(keys, count, list, "domain", error) &&
           config_sort_elements(delivery->tls_policies, count, sizeof(*delivery->tls_policies),
                                keys, error);
}

static bool read_policies(const json_t *object, const struct json_place *place,
                          struct config_delivery *delivery, struct error *error)
{
    struct json_place list = {.parent = place, .name = "tls_policies"};
    const json_t *array = NULL;
    if (!json_get_array(object, place, "tls_policies", false, MOST_POLICIES, &array, error))
        return false;
    size_t count = json_array_size(array);
    delivery->tls_policies = config_allocate(count, sizeof(*delivery->tls_policies), error);
    if (!delivery->tls_policies)
        return false;
    for (size_t i = 0; i < count; i++, delivery->tls_policy_count++) {
        struct json_place element = {.parent = &list, .index = i};
        if (!read_policy(json_array_get(array, i), &element, &delivery->tls_policies[i], error))
            return false;
    }
    return sort_policies(delivery, &list, error);
}

static bool read_certificates(const json_t *object, const struct json_place *place,
                              struct config_delivery *delivery, struct error *error)
{
    struct error reason = {0};
    if (!config_read_text(object, place, "trusted_certificates", MOST_CERTIFICATES_BYTES,
                          &delivery->trusted_certificates, error))
        return false;
    if (!delivery->trusted_certificates)
        return true;
    X509 *first = x509_read_certificate(delivery->trusted_certificates, &reason);
    if (!first)
        return json_place_error(place, "trusted_certificates", error, "%s", reason.message);
    X509_free(first);
    return true;
}

static int compare_policy(const void *domain, const void *policy)
{
    return strcmp(domain, ((const struct config_tls_policy *)policy)->domain);
}

static const struct config_tls_policy *find_policy(const struct config_delivery *delivery,
                                                   const char *domain)
{
    return bsearch(domain, delivery->tls_policies, delivery->tls_policy_count,
                   sizeof(*delivery->tls_policies), compare_policy);
}

enum config_delivery_tls config_find_tls(const struct scanner_config *config, const char *domain)
{
    const struct config_delivery *delivery = &config->delivery;
    const struct config_tls_policy *policy =
        delivery->tls_policy_count ? find_policy(delivery, domain) : NULL;
    while (!policy && delivery->tls_policy_count && (domain = strchr(domain, '.'))) {
        policy = find_policy(delivery, domain);
        domain++;
    }
    if (policy)
        return policy->tls;
    return delivery->tls == CONFIG_DELIVERY_TLS_INHERIT ? CONFIG_DELIVERY_TLS_OPPORTUNISTIC
                                                        : delivery->tls;
}

/* --- reports --- */

static bool read_reports(const json_t *object, const struct json_place *place,
                         struct config_tls_reports *reports, struct error *error)
{
    static const char *const known[] = {"from", "organization", "contact", NULL};
    struct json_place own = {.parent = place, .name = "tls_reports"};
    const json_t *value;
    if (!json_get_object(object, place, "tls_reports", false, &value, error))
        return false;
    if (!value)
        return true;
    if (!config_check_members(value, &own, known, error) ||
        !config_read_text(value, &own, "from", ADDRESS_SIZE, &reports->from, error) ||
        !config_read_text(value, &own, "organization", 256, &reports->organization, error) ||
        !config_read_text(value, &own, "contact", ADDRESS_SIZE, &reports->contact, error))
        return false;
    if (!reports->from || !reports->organization || !reports->contact)
        return json_place_error(&own, NULL, error, "needs from, organization and contact");
    const char *reason = address_check(reports->from, strlen(reports->from), false);
    return !reason || json_place_error(&own, "from", error, "must be a mail address: %s", reason);
}

/* --- all --- */

static bool read_preference(const json_t *object, const struct json_place *place,
                            struct config_delivery *delivery, struct error *error)
{
    static const char *const names[] = {"ipv6", "ipv4", "ipv6_only", "ipv4_only", NULL};
    int choice;
    if (!config_read_choice(object, place, "ip_preference", names, &choice, error))
        return false;
    delivery->ip_preference = (enum config_ip_preference)choice;
    return true;
}

static bool read_flags(const json_t *object, const struct json_place *place,
                       struct config_delivery *delivery, struct error *error)
{
    return json_get_bool_or(object, place, "dns_validates", false, &delivery->dns_validates,
                            error) &&
           json_get_bool_or(object, place, "dane", true, &delivery->dane, error) &&
           json_get_bool_or(object, place, "mta_sts", true, &delivery->mta_sts, error) &&
           config_read_delivery_tls(object, place, "tls", CONFIG_DELIVERY_TLS_OPPORTUNISTIC,
                                    &delivery->tls, error);
}

bool config_read_delivery(const json_t *smtp, const struct json_place *smtp_place,
                          struct config_delivery *delivery, struct error *error)
{
    static const char *const known[] = {"retry_seconds",   "lifetime_seconds",
                                        "connect_seconds", "delay_warning_seconds",
                                        "reply_seconds",   "max_connections",
                                        "dns_servers",     "messages_per_connection",
                                        "dns_validates",   "messages_per_minute",
                                        "ip_preference",   "tls",
                                        "tls_policies",    "dane",
                                        "mta_sts",         "trusted_certificates",
                                        "tls_reports",     NULL};
    static const struct config_number numbers[] = {
        DELIVERY_NUMBER(lifetime_seconds, 1, MONTH_SECONDS, 432000),
        DELIVERY_NUMBER(delay_warning_seconds, 0, MONTH_SECONDS, 14400),
        DELIVERY_NUMBER(connect_seconds, 1, 600, 30),
        DELIVERY_NUMBER(reply_seconds, 1, 3600, 300),
        DELIVERY_NUMBER(max_connections, 1, 1000, 20),
        DELIVERY_NUMBER(messages_per_connection, 1, 100000, 100),
        DELIVERY_NUMBER(messages_per_minute, 0, MOST_RATE, 0),
    };
    struct json_place place = {.parent = smtp_place, .name = "delivery"};
    const json_t *object;
    cleanup_json json_t *none = json_object();
    if (!json_get_object(smtp, smtp_place, "delivery", false, &object, error))
        return false;
    if (!object)
        object = none;
    return config_check_members(object, &place, known, error) &&
           read_retries(object, &place, delivery, error) &&
           config_read_numbers(object, &place, numbers, COUNT_OF(numbers), delivery, error) &&
           read_dns_servers(object, &place, delivery, error) &&
           read_preference(object, &place, delivery, error) &&
           read_flags(object, &place, delivery, error) &&
           read_policies(object, &place, delivery, error) &&
           read_certificates(object, &place, delivery, error) &&
           read_reports(object, &place, &delivery->tls_reports, error);
}

void config_free_delivery(struct config_delivery *delivery)
{
    free(delivery->retry_seconds);
    free(delivery->dns_servers);
    free(delivery->tls_policies);
    free(delivery->trusted_certificates);
    free(delivery->tls_reports.from);
    free(delivery->tls_reports.organization);
    free(delivery->tls_reports.contact);
}

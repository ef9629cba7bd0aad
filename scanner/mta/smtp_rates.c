#include "scanner/mta/smtp_rates.h"

#include "common/timestamp.h"
#include "scanner/mta/rate_table.h"
#include "scanner/mta/smtp_server_peers.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
#define HOUR_MS 3600000
#define ADDRESSES_MOST 200000 /* that each table remembers */
#define SIGN_IN_WINDOW_MS 600000
#define WRONG_PASSWORDS 20 /* of one client address within that window */

enum kind {
    KIND_CONNECTION,
    KIND_CLIENT_MESSAGE,
    KIND_CLIENT_RECIPIENT,
    KIND_UNKNOWN_RECIPIENT,
    KIND_WRONG_PASSWORD,
    KIND_REFUSAL_TOLD,
    KIND_SENDER_MESSAGE,
    KIND_SENDER_RECIPIENT,
    KIND_USER_MESSAGE,
    KIND_USER_RECIPIENT,
    KIND_RECIPIENT_MESSAGE,
    KIND_COUNT,
};

/* Three tables, so that who makes up many senders cannot have a client address forgotten. */
struct smtp_rates {
    struct rate_table *clients, *senders, *recipients;
};

struct smtp_rates *smtp_rates_new(void)
{
    struct smtp_rates *rates = calloc(1, sizeof(*rates));
    if (!rates)
        abort();
    rates->clients = rate_table_new(ADDRESSES_MOST);
    rates->senders = rate_table_new(ADDRESSES_MOST);
    rates->recipients = rate_table_new(ADDRESSES_MOST);
    return rates;
}

void smtp_rates_free(struct smtp_rates *rates)
{
    if (!rates)
        return;
    rate_table_free(rates->clients);
    rate_table_free(rates->senders);
    rate_table_free(rates->recipients);
    free(rates);
}

/* --- names --- */

struct name {
    char text[ADDRESS_SIZE];
};

static struct name lower(const char *text)
{
    struct name name = {0};
    snprintf(name.text, sizeof(name.text), "%s", text);
    for (char *c = name.text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return name;
}

static unsigned kind_of(const struct smtp_rates_client *client, enum kind kind)
{
    return (unsigned)client->direction * KIND_COUNT + (unsigned)kind;
}

static struct rate_key client_key(const struct smtp_rates_client *client, enum kind kind,
                                  struct ip_address *customer)
{
    *customer = smtp_peer_customer(&client->address);
    return (struct rate_key){kind_of(client, kind), customer->bytes, sizeof(customer->bytes)};
}

static struct rate_key name_key(const struct smtp_rates_client *client, enum kind kind,
                                const struct name *name)
{
    return (struct rate_key){kind_of(client, kind), name->text, strlen(name->text)};
}

/* --- rules: all must allow it before any counts it --- */

struct rule {
    struct rate_table *table;
    struct rate_key key;
    int64_t window;
    int limit;        /* 0: none */
    const char *code; /* of the refusal, with a blank behind it; or "" */
    const char *what;
};

static bool exceeds(const struct rule *rule, int64_t now)
{
    return rule->limit > 0 &&
           rate_table_count(rule->table, &rule->key, rule->window, now) >= (uint64_t)rule->limit;
}

static bool apply(const struct rule *rules, size_t count, char reply[SMTP_REPLY_SIZE])
{
    int64_t now = timestamp_monotonic_ms();
    for (size_t i = 0; i < count; i++) {
        const struct rule *rule = &rules[i];
        if (!exceeds(rule, now))
            continue;
        snprintf(reply, SMTP_REPLY_SIZE, "%stoo many %s: the limit is %d within %s", rule->code,
                 rule->what, rule->limit, rule->window == HOUR_MS ? "an hour" : "a minute");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (rules[i].limit > 0)
            rate_table_add(rules[i].table, &rules[i].key, rules[i].window, now);
    return true;
}

/* --- what is counted --- */

static bool is_refused(struct smtp_rates *rates, const struct smtp_rates_client *client)
{
    struct ip_address customer;
    struct rate_key key = client_key(client, KIND_UNKNOWN_RECIPIENT, &customer);
    return client->limits->harvest.unknown_recipients > 0 &&
           rate_table_blocked(rates->clients, &key, timestamp_monotonic_ms()) > 0;
}

bool smtp_rates_connection(struct smtp_rates *rates, const struct smtp_rates_client *client,
                           char reply[SMTP_REPLY_SIZE])
{
    struct ip_address customer;
    struct rule rule = {rates->clients,
                        client_key(client, KIND_CONNECTION, &customer),
                        MINUTE_MS,
                        client->limits->rates.connections_per_minute,
                        "",
                        "connections from your address"};
    if (is_refused(rates, client)) {
        snprintf(reply, SMTP_REPLY_SIZE,
                 "your address named too many unknown recipients and is refused for now");
        return false;
    }
    return apply(&rule, 1, reply);
}

bool smtp_rates_message(struct smtp_rates *rates, const struct smtp_rates_client *client,
                        const char *user, const char *sender, char reply[SMTP_REPLY_SIZE])
{
    const struct config_rates *limits = &client->limits->rates;
    struct ip_address customer;
    struct name name = lower(user ? user : sender);
    struct rule rules[] = {
        {rates->clients, client_key(client, KIND_CLIENT_MESSAGE, &customer), MINUTE_MS,
         limits->messages_per_minute, "450 4.7.1 ", "messages from your address"},
        {rates->senders, name_key(client, user ? KIND_USER_MESSAGE : KIND_SENDER_MESSAGE, &name),
         HOUR_MS, name.text[0] ? limits->sender_messages_per_hour : 0, "450 4.7.1 ",
         user ? "messages from this user" : "messages from this sender"},
    };
    return apply(rules, sizeof(rules) / sizeof(rules[0]), reply);
}

bool smtp_rates_recipient(struct smtp_rates *rates, const struct smtp_rates_client *client,
                          const char *user, const char *sender, const char *recipient,
                          char reply[SMTP_REPLY_SIZE])
{
    const struct config_rates *limits = &client->limits->rates;
    struct ip_address customer;
    struct name name = lower(user ? user : sender), to = lower(recipient);
    struct rule rules[] = {
        {rates->clients, client_key(client, KIND_CLIENT_RECIPIENT, &customer), MINUTE_MS,
         limits->recipients_per_minute, "452 4.5.3 ", "recipients from your address"},
        {rates->senders,
         name_key(client, user ? KIND_USER_RECIPIENT : KIND_SENDER_RECIPIENT, &name), HOUR_MS,
         name.text[0] ? limits->sender_recipients_per_hour : 0, "452 4.5.3 ",
         user ? "recipients of this user" : "recipients of this sender"},
        {rates->recipients, name_key(client, KIND_RECIPIENT_MESSAGE, &to), HOUR_MS,
         limits->recipient_messages_per_hour, "450 4.7.1 ", "messages to this recipient"},
    };
    return apply(rules, sizeof(rules) / sizeof(rules[0]), reply);
}

/* --- harvest, passwords --- */

bool smtp_rates_unknown_recipient(struct smtp_rates *rates, const struct smtp_rates_client *client)
{
    const struct config_harvest *harvest = &client->limits->harvest;
    struct ip_address customer;
    struct rate_key key = client_key(client, KIND_UNKNOWN_RECIPIENT, &customer);
    int64_t now = timestamp_monotonic_ms();
    if (harvest->unknown_recipients == 0 ||
        rate_table_add(rates->clients, &key, harvest->window_seconds * 1000LL, now) <
            (uint64_t)harvest->unknown_recipients)
        return false;
    rate_table_block(rates->clients, &key, now + harvest->block_seconds * 1000LL);
    return true;
}

bool smtp_rates_may_sign_in(struct smtp_rates *rates, const struct smtp_rates_client *client)
{
    struct ip_address customer;
    struct rate_key key = client_key(client, KIND_WRONG_PASSWORD, &customer);
    return rate_table_count(rates->clients, &key, SIGN_IN_WINDOW_MS, timestamp_monotonic_ms()) <
           WRONG_PASSWORDS;
}

void smtp_rates_wrong_password(struct smtp_rates *rates, const struct smtp_rates_client *client)
{
    struct ip_address customer;
    struct rate_key key = client_key(client, KIND_WRONG_PASSWORD, &customer);
    rate_table_add(rates->clients, &key, SIGN_IN_WINDOW_MS, timestamp_monotonic_ms());
}

bool smtp_rates_tell_refusal(struct smtp_rates *rates, const struct smtp_rates_client *client)
{
    struct ip_address customer;
    struct rate_key key = client_key(client, KIND_REFUSAL_TOLD, &customer);
    int64_t now = timestamp_monotonic_ms();
    bool told = rate_table_count(rates->clients, &key, MINUTE_MS, now) > 0;
    if (!told)
        rate_table_add(rates->clients, &key, MINUTE_MS, now);
    return !told;
}

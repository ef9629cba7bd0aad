#include "controlcenter/pages/list_rows.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "controlcenter/pages/endpoint.h"
#include "controlcenter/pages/route_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct list_kind kinds[] = {
    {STORE_DOMAINS,
     "domains",
     "/domains",
     "name",
     false,
     {"name", "route", "relays", "tls", "recipients", "alias_of", "balance", "mx", "user",
      "password"}},
    {STORE_ALIASES, "aliases", "/aliases", "address", false, {"address", "to"}},
    {STORE_MASQUERADES, "masquerades", "/masquerades", "from", true, {"from", "to"}},
};
enum { NAME, ROUTE, RELAYS, TLS, RECIPIENTS, ALIAS_OF, BALANCE, MX, USER, PASSWORD };

const struct list_kind *list_of_path(const char *path)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].path);
        if (strncmp(path, kinds[i].path, length) == 0 && (!path[length] || path[length] == '/'))
            return &kinds[i];
    }
    return &kinds[0];
}

/* --- addresses --- */

static void lower(const char *text, size_t length, char *to)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
}

const char *list_normalise(const char *text, bool subdomains, char normal[ADDRESS_SIZE])
{
    char domain[DOMAIN_SIZE];
    const char *at = strrchr(text, '@');
    if (!at || !at[1])
        return "needs an @ and a domain";
    size_t local = (size_t)(at - text);
    bool below = local == 0 && subdomains && at[1] == '.';
    const char *reason = local ? address_check(text, strlen(text), true) : NULL;
    if (!reason)
        reason = domain_normalise(at + 1 + below, true, domain);
    if (reason)
        return reason;
    if (local + strlen(domain) + 3 > ADDRESS_SIZE)
        return "is too long";
    lower(text, local, normal);
    snprintf(normal + local, ADDRESS_SIZE - local, "@%s%s", below ? "." : "", domain);
    return NULL;
}

static bool separates(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',' || c == ';';
}

json_t *list_split(const char *text)
{
    json_t *array = json_array();
    while (*text) {
        size_t length = 0;
        bool quoted = false;
        for (; text[length] && (quoted || !separates(text[length])); length++) {
            if (text[length] == '\\' && quoted && text[length + 1])
                length++;
            else if (text[length] == '"')
                quoted = !quoted;
        }
        if (length > 0 && json_array_append_new(array, json_stringn(text, length)) != 0) {
            json_decref(array);
            return NULL;
        }
        text += length + (text[length] != '\0');
    }
    return array;
}

void list_join(const json_t *addresses, const char *separator, struct buffer *text)
{
    const json_t *address;
    size_t index;
    json_array_foreach(addresses, index, address)
    {
        buffer_add_text(text, index ? separator : "");
        buffer_add_text(text, json_string_value(address));
    }
}

/* --- columns --- */

static int find_column(const struct list_kind *kind, const char *name)
{
    for (int i = 0; i < LIST_COLUMNS_MOST && kind->columns[i]; i++)
        if (strcasecmp(name, kind->columns[i]) == 0)
            return i;
    return -1;
}

void list_columns_usual(const struct list_kind *kind, struct list_columns *columns)
{
    for (int i = 0; i < LIST_COLUMNS_MOST; i++)
        columns->at[i] = -1;
    for (int i = 0; i < LIST_COLUMNS_MOST && kind->columns[i]; i++)
        columns->at[i] = i;
}

bool list_columns_read(const struct list_kind *kind, const struct csv_row *row,
                       struct list_columns *columns, char *reason)
{
    *reason = '\0';
    if (row->reason || find_column(kind, row->fields[0]) < 0)
        return false;
    for (int i = 0; i < LIST_COLUMNS_MOST; i++)
        columns->at[i] = -1;
    for (size_t i = 0; i < row->count; i++) {
        int column = find_column(kind, row->fields[i]);
        if (column < 0 || columns->at[column] >= 0)
            snprintf(reason, LIST_REASON_SIZE, "has the column “%.64s”, which %s", row->fields[i],
                     column < 0 ? "is not known" : "stands there twice");
        else
            columns->at[column] = (int)i;
    }
    if (!*reason && columns->at[NAME] < 0)
        snprintf(reason, LIST_REASON_SIZE, "has no column “%s”", kind->columns[NAME]);
    return true;
}

static const char *field(const struct list_columns *columns, const struct csv_row *row, int column)
{
    int at = columns->at[column];
    return at >= 0 && (size_t)at < row->count ? row->fields[at] : "";
}

static bool refuse(char reason[LIST_REASON_SIZE], const char *column, const char *text)
{
    snprintf(reason, LIST_REASON_SIZE, "%s: %s", column, text);
    return false;
}

/* --- domains --- */

static json_t *read_relays(const char *text, char reason[LIST_REASON_SIZE])
{
    cleanup_json json_t *texts = list_split(text);
    json_t *relays = json_array();
    const json_t *relay;
    size_t index;
    json_array_foreach(texts, index, relay)
    {
        struct endpoint endpoint;
        if (endpoint_parse(json_string_value(relay), SMTP_PORT, &endpoint) &&
            json_array_append_new(
                relays, json_pack("{s:s,s:i}", "host", endpoint.host, "port", endpoint.port)) == 0)
            continue;
        refuse(reason, "relays", "is not a host, host:port or [IPv6 address]:port");
        json_decref(relays);
        return NULL;
    }
    return relays;
}

static bool is_yes(const char *text)
{
    return strcasecmp(text, "yes") == 0 || strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
}

static bool set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

/* The password that is written, or the one of the domain that is there. */
static json_t *find_password(struct store *store, const char *domain, const char *written)
{
    if (*written)
        return json_string(written);
    cleanup_json json_t *present = store_entry_get(store, STORE_DOMAINS, domain, NULL);
    return json_incref(json_object_get(json_object_get(present, "route"), "password"));
}

static bool read_account(struct store *store, const char *domain, const char *user,
                         const char *written, json_t *route, char reason[LIST_REASON_SIZE])
{
    if (!*user)
        return !*written || refuse(reason, "password", "stands there without a user");
    json_t *password = find_password(store, domain, written);
    if (!password)
        return refuse(reason, "password", "is missing, and none is kept for this domain");
    return set(route, "user", json_string(user)) && set(route, "password", password);
}

static json_t *read_relay_route(struct store *store, const struct list_columns *columns,
                                const struct csv_row *row, const char *domain,
                                char reason[LIST_REASON_SIZE])
{
    const char *tls = field(columns, row, TLS), *balance = field(columns, row, BALANCE);
    const char *mx = field(columns, row, MX);
    json_t *relays = read_relays(field(columns, row, RELAYS), reason);
    if (!relays)
        return NULL;
    json_t *route = json_pack("{s:s,s:o}", "kind", "relay", "relays", relays);
    bool ok = route && (!*tls || set(route, "tls", json_string(tls))) &&
              (!*balance || strcmp(balance, "failover") == 0 ||
               set(route, "balance", json_string(balance))) &&
              (!is_yes(mx) || set(route, "mx", json_true())) &&
              read_account(store, domain, field(columns, row, USER), field(columns, row, PASSWORD),
                           route, reason);
    if (*mx && !is_yes(mx) && strcasecmp(mx, "no") != 0 && strcasecmp(mx, "false") != 0 &&
        strcmp(mx, "0") != 0)
        ok = refuse(reason, "mx", "must be yes or no");
    if (ok)
        return route;
    json_decref(route);
    return NULL;
}

static json_t *read_route(struct store *store, const struct list_columns *columns,
                          const struct csv_row *row, const char *domain,
                          char reason[LIST_REASON_SIZE])
{
    const char *kind = field(columns, row, ROUTE);
    bool relays = *field(columns, row, RELAYS) != '\0';
    if (strcasecmp(kind, "relay") == 0 || (!*kind && relays))
        return read_relay_route(store, columns, row, domain, reason);
    if (*kind && strcasecmp(kind, "mx") != 0)
        refuse(reason, "route", "must be mx or relay");
    else if (relays)
        refuse(reason, "relays", "are for the route relay only");
    return *reason ? NULL : json_pack("{s:s}", "kind", "mx");
}

static json_t *read_domain(struct store *store, const struct list_columns *columns,
                           const struct csv_row *row, char key[ADDRESS_SIZE],
                           char reason[LIST_REASON_SIZE])
{
    char alias_of[DOMAIN_SIZE];
    const char *recipients = field(columns, row, RECIPIENTS);
    const char *target = field(columns, row, ALIAS_OF);
    const char *wrong = domain_normalise(field(columns, row, NAME), true, key);
    if (wrong)
        refuse(reason, "name", wrong);
    else if (*target && (wrong = domain_normalise(target, true, alias_of)))
        refuse(reason, "alias_of", wrong);
    json_t *route = wrong ? NULL : read_route(store, columns, row, key, reason);
    if (!route)
        return NULL;
    return json_pack("{s:o,s:s,s:s*}", "route", route, "recipients",
                     *recipients ? recipients : "any", "alias_of", *target ? alias_of : NULL);
}

/* --- aliases and masquerades --- */

static json_t *read_alias(const struct list_columns *columns, const struct csv_row *row,
                          char key[ADDRESS_SIZE], char reason[LIST_REASON_SIZE])
{
    const char *wrong = list_normalise(field(columns, row, 0), false, key);
    if (wrong) {
        refuse(reason, "address", wrong);
        return NULL;
    }
    return json_pack("{s:o}", "to", list_split(field(columns, row, 1)));
}

static json_t *read_masquerade(const struct list_columns *columns, const struct csv_row *row,
                               char key[ADDRESS_SIZE], char reason[LIST_REASON_SIZE])
{
    char to[ADDRESS_SIZE];
    const char *wrong = list_normalise(field(columns, row, 0), true, key);
    if (wrong) {
        refuse(reason, "from", wrong);
        return NULL;
    }
    wrong = list_normalise(field(columns, row, 1), false, to);
    if (wrong) {
        refuse(reason, "to", wrong);
        return NULL;
    }
    return json_pack("{s:s}", "to", to);
}

bool list_row_read(const struct list_kind *kind, struct store *store,
                   const struct list_columns *columns, const struct csv_row *row,
                   struct store_entry *entry, char reason[LIST_REASON_SIZE])
{
    *reason = '\0';
    *entry = (struct store_entry){0};
    if (kind->list == STORE_DOMAINS)
        entry->value = read_domain(store, columns, row, entry->key, reason);
    else if (kind->list == STORE_ALIASES)
        entry->value = read_alias(columns, row, entry->key, reason);
    else
        entry->value = read_masquerade(columns, row, entry->key, reason);
    if (!entry->value && !*reason)
        snprintf(reason, LIST_REASON_SIZE, "cannot be read");
    return entry->value != NULL;
}

/* --- writing --- */

static void write_relays(const json_t *route, struct buffer *text)
{
    char written[ENDPOINT_TEXT_SIZE];
    const json_t *relay;
    size_t index;
    json_array_foreach(json_object_get(route, "relays"), index, relay)
    {
        const json_t *port = json_object_get(relay, "port");
        buffer_add_text(text, index ? " " : "");
        buffer_add_text(text,
                        endpoint_text(json_text_of(relay, "host"),
                                      port ? (int)json_integer_value(port) : SMTP_PORT, written));
    }
}

static bool write_domain(const struct store_entry *entry, struct buffer *text)
{
    const json_t *route = json_object_get(entry->value, "route");
    struct buffer relays = BUFFER_INIT;
    write_relays(route, &relays);
    const char *fields[] = {
        [NAME] = entry->key,
        [ROUTE] = json_text_of(route, "kind"),
        [RELAYS] = buffer_text(&relays),
        [TLS] = json_text_of(route, "tls"),
        [RECIPIENTS] = json_text_of(entry->value, "recipients"),
        [ALIAS_OF] = json_text_of(entry->value, "alias_of"),
        [BALANCE] = json_text_of(route, "balance"),
        [MX] = json_is_true(json_object_get(route, "mx")) ? "yes" : "",
        [USER] = json_text_of(route, "user"),
        [PASSWORD] = "",
    };
    bool ok = true;
    for (int i = 0; i < LIST_COLUMNS_MOST && ok; i++)
        ok = csv_add(text, fields[i], i == 0);
    buffer_free(&relays);
    return ok;
}

bool list_row_write(const struct list_kind *kind, const struct store_entry *entry,
                    struct buffer *text)
{
    struct buffer to = BUFFER_INIT;
    bool ok;
    if (kind->list == STORE_DOMAINS) {
        ok = write_domain(entry, text);
    } else {
        const json_t *value = json_object_get(entry->value, "to");
        if (kind->list == STORE_ALIASES)
            list_join(value, " ", &to);
        else
            buffer_add_text(&to, json_text_of(entry->value, "to"));
        ok = csv_add(text, entry->key, true) && csv_add(text, buffer_text(&to), false);
    }
    buffer_free(&to);
    return ok && buffer_add_text(text, "\r\n");
}

#include "common/ldap/ldap_connection_private.h"

#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

static bool out_of_memory(struct ldap_connection *connection, struct error *error)
{
    return error_set(error, ERROR_INTERNAL, connection->server, "out of memory");
}

/* Text of the server, checked; NULL where it is none that can be used. */
static char *copy_text(const char *text, size_t length, size_t most)
{
    if (length == 0 || length > most || memchr(text, 0, length))
        return NULL;
    char *copy = strndup(text, length);
    if (copy && utf8_scrub(copy, length) == length && memcmp(copy, text, length) == 0)
        return copy;
    free(copy);
    return NULL;
}

static bool add_value(struct ldap_entry *entry, size_t attribute, const struct berval *value)
{
    char *text = copy_text(value->bv_val, value->bv_len, LDAP_VALUE_MOST);
    if (!text)
        return true;
    struct ldap_value *grown =
        realloc(entry->values, (entry->value_count + 1) * sizeof(*entry->values));
    if (!grown) {
        free(text);
        return false;
    }
    entry->values = grown;
    entry->values[entry->value_count++] = (struct ldap_value){attribute, text};
    return true;
}

static bool read_values(LDAP *ld, LDAPMessage *message, const char *const *attributes,
                        struct ldap_entry *entry)
{
    bool good = true;
    for (size_t i = 0; attributes && attributes[i] && good; i++) {
        struct berval **values = ldap_get_values_len(ld, message, attributes[i]);
        for (size_t j = 0; values && values[j] && good; j++)
            if (entry->value_count < LDAP_VALUES_MOST)
                good = add_value(entry, i, values[j]);
        ldap_value_free_len(values);
    }
    return good;
}

static bool add_entry(struct ldap_connection *connection, const struct ldap_search *search,
                      LDAPMessage *message, struct ldap_entries *entries, struct error *error)
{
    struct ldap_entry *grown = realloc(entries->list, (entries->count + 1) * sizeof(*grown));
    if (!grown)
        return out_of_memory(connection, error);
    entries->list = grown;
    struct ldap_entry *entry = &entries->list[entries->count++];
    char *dn = ldap_get_dn(connection->ld, message);
    *entry = (struct ldap_entry){.dn = dn ? copy_text(dn, strlen(dn), LDAP_DN_MOST) : NULL};
    ldap_memfree(dn);
    if (!entry->dn)
        return error_set(error, ERROR_PROTOCOL, connection->server,
                         "an entry has a name that cannot be used");
    return read_values(connection->ld, message, search->attributes, entry) ||
           out_of_memory(connection, error);
}

static bool end_search(struct ldap_connection *connection, const struct ldap_search *search,
                       LDAPMessage *message, const struct ldap_entries *entries,
                       struct error *error)
{
    int result = LDAP_OTHER;
    int code = ldap_parse_result(connection->ld, message, &result, NULL, NULL, NULL, NULL, 0);
    if (code == LDAP_SUCCESS)
        code = result;
    if (code == LDAP_SUCCESS || (code == LDAP_SIZELIMIT_EXCEEDED && entries->count >= search->most))
        return true;
    return ldap_connection_fail(connection->ld, code, connection->server,
                                "the search did not succeed", error);
}

/* One message of the answer. *done: no more is needed. */
static bool take_message(struct ldap_connection *connection, const struct ldap_search *search,
                         int id, LDAPMessage *message, struct ldap_entries *entries, bool *done,
                         struct error *error)
{
    switch (ldap_msgtype(message)) {
    case LDAP_RES_SEARCH_ENTRY:
        if (entries->count >= search->most) { /* a server that ignores the limit */
            ldap_abandon_ext(connection->ld, id, NULL, NULL);
            *done = true;
            return true;
        }
        return add_entry(connection, search, message, entries, error);
    case LDAP_RES_SEARCH_RESULT:
        *done = true;
        return end_search(connection, search, message, entries, error);
    default: /* references to other servers are not followed */
        return true;
    }
}

static int begin_search(struct ldap_connection *connection, const struct ldap_search *search,
                        int64_t until, int *id)
{
    static char *nothing[] = {LDAP_NO_ATTRS, NULL};
    struct timeval left;
    char **attributes = search->attributes ? (char **)search->attributes : nothing;
    if (!ldap_connection_set_time(connection->ld, until, &left))
        return LDAP_TIMEOUT;
    return ldap_search_ext(connection->ld, search->base ? search->base : "",
                           search->base_alone ? LDAP_SCOPE_BASE : LDAP_SCOPE_SUBTREE,
                           search->filter, attributes, 0, NULL, NULL, &left, (int)search->most, id);
}

bool ldap_connection_search(struct ldap_connection *connection, const struct ldap_search *search,
                            int64_t until, struct ldap_entries *entries, struct error *error)
{
    int id = -1;
    bool done = false, good = true;
    *entries = (struct ldap_entries){0};
    int code = begin_search(connection, search, until, &id);
    while (code == LDAP_SUCCESS && good && !done) {
        LDAPMessage *message = NULL;
        code = ldap_connection_wait(connection->ld, id, until, &message);
        if (code == LDAP_SUCCESS)
            good = take_message(connection, search, id, message, entries, &done, error);
        ldap_msgfree(message);
    }
    if (code != LDAP_SUCCESS)
        return ldap_connection_fail(connection->ld, code, connection->server,
                                    "the search got no answer", error);
    return good;
}

void ldap_entries_free(struct ldap_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        struct ldap_entry *entry = &entries->list[i];
        for (size_t j = 0; j < entry->value_count; j++)
            free(entry->values[j].text);
        free(entry->values);
        free(entry->dn);
    }
    free(entries->list);
    *entries = (struct ldap_entries){0};
}

#include "common/ldap/ldap_filter.h"

#include "common/buffer.h"

#include <string.h>
#include <strings.h>

#define PLAIN                                                                                      \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"                               \
    "@.-_+= ,"

static void add_escaped(struct buffer *filter, const char *value, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (value[i] && strchr(PLAIN, value[i]))
            buffer_add(filter, value + i, 1);
        else
            buffer_add_format(filter, "\\%02x", (unsigned char)value[i]);
    }
}

struct values {
    const char *whole;
    size_t local_length; /* of the part before the last @; the whole where there is none */
    const char *domain;
    const char *dn;
};

/* NULL where the directive is none. */
static const char *find_value(const struct values *values, char directive, size_t *length)
{
    const char *value = NULL;
    switch (directive) {
    case 's':
        value = values->whole;
        break;
    case 'u':
        *length = values->local_length;
        return values->whole;
    case 'd':
        value = values->domain;
        break;
    case 'D':
        value = values->dn ? values->dn : "";
        break;
    default:
        return NULL;
    }
    *length = strlen(value);
    return value;
}

static struct values split(const char *value, const char *dn)
{
    const char *at = strrchr(value, '@');
    return (struct values){.whole = value,
                           .local_length = at ? (size_t)(at - value) : strlen(value),
                           .domain = at ? at + 1 : "",
                           .dn = dn};
}

static enum ldap_filter_result add_directive(struct buffer *filter, const struct values *values,
                                             char directive, struct error *error)
{
    size_t length;
    if (directive == '%') {
        buffer_add(filter, "%", 1);
        return LDAP_FILTER_MADE;
    }
    const char *value = find_value(values, directive, &length);
    if (!value) {
        error_set(error, ERROR_INVALID, "filter", "%% must be followed by s, u, d, D or %%");
        return LDAP_FILTER_REFUSED;
    }
    if (length == 0)
        return LDAP_FILTER_EMPTY_VALUE;
    add_escaped(filter, value, length);
    return LDAP_FILTER_MADE;
}

enum ldap_filter_result ldap_filter_expand(const char *pattern, const char *value, const char *dn,
                                           char **filter, struct error *error)
{
    struct buffer text;
    const struct values values = split(value, dn);
    enum ldap_filter_result result = LDAP_FILTER_MADE;
    buffer_init(&text, LDAP_FILTER_MOST);
    *filter = NULL;
    while (*pattern && result == LDAP_FILTER_MADE) {
        size_t plain = strcspn(pattern, "%");
        buffer_add(&text, pattern, plain);
        pattern += plain;
        if (!*pattern)
            break;
        result = add_directive(&text, &values, pattern[1], error);
        pattern += pattern[1] ? 2 : 1;
    }
    if (result == LDAP_FILTER_MADE && !(*filter = buffer_take(&text))) {
        error_set(error, ERROR_LIMIT, "filter", "it would be longer than %d bytes",
                  LDAP_FILTER_MOST);
        result = LDAP_FILTER_REFUSED;
    }
    buffer_free(&text);
    return result;
}

bool ldap_filter_uses_dn(const char *pattern)
{
    while ((pattern = strchr(pattern, '%')) && pattern[1]) {
        if (pattern[1] == 'D')
            return true;
        pattern += 2;
    }
    return false;
}

/* Whether the `length` bytes of an assertion's value stand for the user. */
static bool compares_user(const char *value, size_t length)
{
    for (size_t i = 0; i + 1 < length; i++) {
        if (value[i] != '%')
            continue;
        if (value[i + 1] == 's' || value[i + 1] == 'u')
            return true;
        i++;
    }
    return false;
}

size_t ldap_filter_attributes(const char *pattern,
                              char attributes[LDAP_FILTER_ATTRIBUTES][LDAP_ATTRIBUTE_SIZE])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t count = 0;
    while ((pattern = strchr(pattern, '(')) && count < LDAP_FILTER_ATTRIBUTES) {
        size_t name = strspn(++pattern, letters), end = strcspn(pattern, "()");
        if (name == 0 || name >= LDAP_ATTRIBUTE_SIZE || pattern[name] != '=' ||
            !compares_user(pattern + name, end - name))
            continue;
        memcpy(attributes[count], pattern, name);
        attributes[count][name] = '\0';
        bool is_new = true;
        for (size_t i = 0; i < count; i++)
            is_new = is_new && strcasecmp(attributes[i], attributes[count]) != 0;
        count += is_new ? 1 : 0;
    }
    return count;
}

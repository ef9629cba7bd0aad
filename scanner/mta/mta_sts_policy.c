#include "scanner/mta/mta_sts_policy.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct mta_sts_policy {
    unsigned references;
    enum mta_sts_mode mode;
    uint32_t max_age;
    size_t mx_count;
    char *mx[MTA_STS_PATTERNS];
    char text[];
};

/* A part of a line or record without the spaces around it. */
struct span {
    const char *at;
    size_t length;
};

static struct span trim(struct span span)
{
    while (span.length > 0 && (*span.at == ' ' || *span.at == '\t')) {
        span.at++;
        span.length--;
    }
    while (span.length > 0 && strchr(" \t\r", span.at[span.length - 1]))
        span.length--;
    return span;
}

static bool is(struct span span, const char *word)
{
    return span.length == strlen(word) && memcmp(span.at, word, span.length) == 0;
}

/* "name<separator>value" */
static bool split(struct span whole, char separator, struct span *name, struct span *value)
{
    const char *at = memchr(whole.at, separator, whole.length);
    if (!at)
        return false;
    *name = trim((struct span){whole.at, (size_t)(at - whole.at)});
    *value = trim((struct span){at + 1, whole.length - (size_t)(at + 1 - whole.at)});
    return true;
}

/* --- policies --- */

struct reading {
    struct mta_sts_policy *policy;
    bool has_version, has_mode, has_age;
};

static bool read_mode(struct reading *reading, struct span value)
{
    static const char *const names[] = {
        [MTA_STS_NONE] = "none", [MTA_STS_TESTING] = "testing", [MTA_STS_ENFORCE] = "enforce"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!is(value, names[i]))
            continue;
        reading->policy->mode = (enum mta_sts_mode)i;
        reading->has_mode = true;
        return true;
    }
    return false;
}

static bool read_age(struct reading *reading, struct span value)
{
    uint64_t number = 0;
    if (value.length == 0 || value.length > 10)
        return false;
    for (size_t i = 0; i < value.length; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(value.at[i] - '0');
    }
    reading->policy->max_age = number < MTA_STS_AGE_MOST ? (uint32_t)number : MTA_STS_AGE_MOST;
    reading->has_age = true;
    return true;
}

static bool read_mx(struct reading *reading, struct span value)
{
    struct mta_sts_policy *policy = reading->policy;
    char text[DOMAIN_SIZE + 2], name[DOMAIN_SIZE];
    bool wild = value.length > 2 && value.at[0] == '*' && value.at[1] == '.';
    if (value.length >= DOMAIN_SIZE)
        return false;
    memcpy(text, value.at, value.length);
    text[value.length] = '\0';
    if (strlen(text) != value.length || domain_normalise(text + (wild ? 2 : 0), true, name) != NULL)
        return false;
    if (policy->mx_count == MTA_STS_PATTERNS)
        return true;
    snprintf(text, sizeof(text), "%s%s", wild ? "*." : "", name);
    policy->mx[policy->mx_count] = strdup(text);
    if (!policy->mx[policy->mx_count])
        abort();
    policy->mx_count++;
    return true;
}

static bool read_line(struct reading *reading, struct span line)
{
    struct span name, value;
    if (trim(line).length == 0)
        return true;
    if (!split(line, ':', &name, &value))
        return false;
    if (is(name, "version")) {
        bool first = !reading->has_version;
        reading->has_version = true;
        return first && is(value, "STSv1");
    }
    if (is(name, "mode"))
        return reading->has_mode || read_mode(reading, value); /* the first one counts */
    if (is(name, "max_age"))
        return reading->has_age || read_age(reading, value);
    return !is(name, "mx") || read_mx(reading, value);
}

static bool read_lines(struct reading *reading, const char *text, size_t length)
{
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t line = end ? (size_t)(end - text) : length;
        if (!read_line(reading, (struct span){text, line}))
            return false;
        text += line + (end != NULL);
        length -= line + (end != NULL);
    }
    return reading->has_version && reading->has_mode && reading->has_age &&
           (reading->policy->mode == MTA_STS_NONE || reading->policy->mx_count > 0);
}

struct mta_sts_policy *mta_sts_policy_read(const char *text, size_t length, struct error *error)
{
    struct reading reading = {0};
    if (length > MTA_STS_POLICY_LIMIT || memchr(text, '\0', length)) {
        error_set(error, ERROR_INVALID, "mta-sts", "the policy is too long or no text");
        return NULL;
    }
    reading.policy = calloc(1, sizeof(*reading.policy) + length + 1);
    if (!reading.policy)
        abort();
    reading.policy->references = 1;
    memcpy(reading.policy->text, text, length);
    if (read_lines(&reading, text, length))
        return reading.policy;
    mta_sts_policy_drop(reading.policy);
    error_set(error, ERROR_INVALID, "mta-sts", "the policy is malformed");
    return NULL;
}

struct mta_sts_policy *mta_sts_policy_take(struct mta_sts_policy *policy)
{
    policy->references++;
    return policy;
}

void mta_sts_policy_drop(struct mta_sts_policy *policy)
{
    if (!policy || --policy->references > 0)
        return;
    for (size_t i = 0; i < policy->mx_count; i++)
        free(policy->mx[i]);
    free(policy);
}

enum mta_sts_mode mta_sts_mode(const struct mta_sts_policy *policy)
{
    return policy->mode;
}

uint32_t mta_sts_max_age(const struct mta_sts_policy *policy)
{
    return policy->max_age;
}

const char *mta_sts_text(const struct mta_sts_policy *policy)
{
    return policy->text;
}

size_t mta_sts_mx_count(const struct mta_sts_policy *policy)
{
    return policy->mx_count;
}

const char *mta_sts_mx(const struct mta_sts_policy *policy, size_t index)
{
    return policy->mx[index];
}

static bool fits(const char *pattern, const char *host)
{
    if (pattern[0] != '*')
        return strcasecmp(pattern, host) == 0;
    const char *rest = strchr(host, '.');
    return rest && rest != host && strcasecmp(pattern + 1, rest) == 0;
}

bool mta_sts_has_mx(const struct mta_sts_policy *policy, const char *host)
{
    for (size_t i = 0; i < policy->mx_count; i++)
        if (fits(policy->mx[i], host))
            return true;
    return false;
}

/* --- records --- */

static bool take_id(struct span value, char id[MTA_STS_ID_SIZE])
{
    if (value.length == 0 || value.length >= MTA_STS_ID_SIZE)
        return false;
    for (size_t i = 0; i < value.length; i++)
        if (!isalnum((unsigned char)value.at[i]))
            return false;
    memcpy(id, value.at, value.length);
    id[value.length] = '\0';
    return true;
}

bool mta_sts_read_record(const char *text, size_t length, char id[MTA_STS_ID_SIZE])
{
    struct span rest = {text, length}, name, value;
    bool first = true;
    id[0] = '\0';
    while (rest.length > 0) {
        const char *end = memchr(rest.at, ';', rest.length);
        size_t part = end ? (size_t)(end - rest.at) : rest.length;
        struct span field = trim((struct span){rest.at, part});
        bool good = split(field, '=', &name, &value);
        if (first && (!good || !is(name, "v") || !is(value, "STSv1")))
            return false;
        if (field.length > 0 && !good)
            return false;
        if (good && is(name, "id") && (id[0] != '\0' || !take_id(value, id)))
            return false;
        first = false;
        rest.at += part + (end != NULL);
        rest.length -= part + (end != NULL);
    }
    return id[0] != '\0';
}

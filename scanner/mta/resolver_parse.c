#include "scanner/mta/resolver_parse.h"

#include <ares.h>
#include <ares_dns.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CNAME_CHAIN 8

struct reader {
    const unsigned char *answer, *at, *end;
    size_t length;
};

struct record {
    char owner[DOMAIN_SIZE];
    int type;
    uint32_t ttl;
    const unsigned char *data;
    size_t data_length;
};

/* Reads a name at `at`; false where it is malformed or too long. *taken is its length on the wire.
 */
static bool read_name(const struct reader *reader, const unsigned char *at, char *name, long *taken)
{
    char *expanded = NULL;
    if (ares_expand_name(at, reader->answer, (int)reader->length, &expanded, taken) != ARES_SUCCESS)
        return false;
    bool fits = strlen(expanded) < DOMAIN_SIZE;
    if (fits)
        memcpy(name, expanded, strlen(expanded) + 1);
    ares_free_string(expanded);
    return fits;
}

/* To the first record of the answer section. */
static bool start(struct reader *reader, const unsigned char *answer, size_t length, char *question)
{
    long taken;
    *reader = (struct reader){answer, answer + NS_HFIXEDSZ, answer + length, length};
    if (length < NS_HFIXEDSZ || length > INT32_MAX || DNS_HEADER_QDCOUNT(answer) != 1 ||
        !read_name(reader, reader->at, question, &taken) ||
        reader->end - reader->at < taken + NS_QFIXEDSZ)
        return false;
    reader->at += taken + NS_QFIXEDSZ;
    return true;
}

static bool next(struct reader *reader, struct record *record)
{
    long taken;
    if (reader->at >= reader->end || !read_name(reader, reader->at, record->owner, &taken) ||
        reader->end - reader->at < taken + NS_RRFIXEDSZ)
        return false;
    reader->at += taken;
    record->type = DNS_RR_TYPE(reader->at);
    record->ttl = DNS_RR_TTL(reader->at);
    record->data_length = DNS_RR_LEN(reader->at);
    record->data = reader->at + NS_RRFIXEDSZ;
    if ((size_t)(reader->end - record->data) < record->data_length)
        return false;
    reader->at = record->data + record->data_length;
    return true;
}

static bool take_mx(const struct reader *reader, const struct record *record,
                    struct resolver_record *to)
{
    char name[DOMAIN_SIZE];
    long taken;
    if (record->data_length < 3 || !read_name(reader, record->data + 2, name, &taken))
        return false;
    to->preference = (uint16_t)DNS__16BIT(record->data);
    if (name[0] == '\0') {
        to->name[0] = '\0';
        return true;
    }
    return domain_normalise(name, false, to->name) == NULL;
}

static bool take_address(const struct record *record, struct resolver_record *to)
{
    if (record->type == ns_t_aaaa && record->data_length == 16) {
        memcpy(to->address.bytes, record->data, 16);
        return !ip_is_v4(&to->address);
    }
    if (record->type != ns_t_a || record->data_length != 4)
        return false;
    memset(to->address.bytes, 0, 10);
    memset(to->address.bytes + 10, 0xff, 2);
    memcpy(to->address.bytes + 12, record->data, 4);
    return true;
}

static bool take_tlsa(const struct record *record, struct resolver_record *to, struct buffer *data)
{
    to->data_length = record->data_length;
    return record->data_length >= 4 && buffer_add(data, record->data, record->data_length);
}

/* The strings of a record are one text (RFC 8461 section 3.1 and others). */
static bool take_text(const struct record *record, struct resolver_record *to, struct buffer *data)
{
    size_t before = data->length;
    for (size_t at = 0; at < record->data_length;) {
        size_t length = record->data[at++];
        if (length > record->data_length - at ||
            (length > 0 && !buffer_add(data, record->data + at, length))) {
            data->length = before;
            return false;
        }
        at += length;
    }
    to->data_length = data->length - before;
    return true;
}

static bool take_data(const struct reader *reader, const struct record *record,
                      struct resolver_record *to, struct buffer *data)
{
    switch (record->type) {
    case ns_t_mx:
        return take_mx(reader, record, to);
    case ns_t_txt:
        return take_text(record, to, data);
    case RESOLVER_TYPE_TLSA:
        return take_tlsa(record, to, data);
    default:
        return take_address(record, to);
    }
}

static void lower_ttl(struct resolver_found *found, uint32_t ttl)
{
    if (ttl < found->ttl)
        found->ttl = ttl;
}

static void take(const struct reader *reader, const struct record *record,
                 struct resolver_found *found)
{
    struct resolver_record *to = &found->records[found->count];
    if (found->count == RESOLVER_RECORDS)
        return;
    memset(to, 0, sizeof(*to));
    if (take_data(reader, record, to, &found->data)) {
        found->count++;
        lower_ttl(found, record->ttl);
    }
}

/* One walk over the answer section for records of `owner`; true where it is an alias instead, which
 * `owner` then names. */
static bool walk(const unsigned char *answer, size_t length, int type, char *owner,
                 struct resolver_found *found)
{
    struct reader reader;
    struct record record;
    char question[DOMAIN_SIZE], alias[DOMAIN_SIZE] = "";
    long taken;
    if (!start(&reader, answer, length, question))
        return false;
    for (unsigned left = DNS_HEADER_ANCOUNT(answer); left > 0 && next(&reader, &record); left--) {
        if (strcasecmp(record.owner, owner) != 0)
            continue;
        if (record.type == type)
            take(&reader, &record, found);
        else if (record.type == ns_t_cname && read_name(&reader, record.data, alias, &taken))
            lower_ttl(found, record.ttl);
    }
    if (alias[0] == '\0')
        return false;
    memcpy(owner, alias, sizeof(alias));
    return true;
}

void resolver_parse(const unsigned char *answer, size_t length, int type,
                    struct resolver_found *found)
{
    struct reader reader;
    char owner[DOMAIN_SIZE];
    if (!start(&reader, answer, length, owner))
        return;
    for (int links = 0; links <= CNAME_CHAIN; links++)
        if (!walk(answer, length, type, owner, found))
            break;
    if (domain_normalise(owner, false, found->canonical) != NULL)
        found->canonical[0] = '\0';
}

uint32_t resolver_parse_absence(const unsigned char *answer, size_t length, uint32_t fallback)
{
    struct reader reader;
    struct record record;
    char question[DOMAIN_SIZE];
    if (!start(&reader, answer, length, question))
        return fallback;
    unsigned left = DNS_HEADER_ANCOUNT(answer) + DNS_HEADER_NSCOUNT(answer);
    for (; left > 0 && next(&reader, &record); left--) {
        if (record.type != ns_t_soa || record.data_length < 22)
            continue;
        uint32_t minimum = DNS__32BIT(record.data + record.data_length - 4);
        return minimum < record.ttl ? minimum : record.ttl;
    }
    return fallback;
}

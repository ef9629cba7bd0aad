#include "scanner/mta/tlsa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tlsa_read(const unsigned char *data, size_t length, struct tlsa_record *record)
{
    if (length < 4)
        return false;
    *record = (struct tlsa_record){.usage = data[0],
                                   .selector = data[1],
                                   .matching = data[2],
                                   .length = length - 3,
                                   .data = data + 3};
    return true;
}

bool tlsa_is_usable(const struct tlsa_record *record)
{
    static const size_t digest_lengths[] = {0, 32, 64};
    if ((record->usage != 2 && record->usage != 3) || record->selector > 1 || record->matching > 2)
        return false;
    return record->matching == 0 || record->length == digest_lengths[record->matching];
}

struct tlsa_set *tlsa_set_new(const char *base, const struct tlsa_record *records, size_t count)
{
    size_t bytes = 0;
    if (count > TLSA_RECORDS)
        count = TLSA_RECORDS;
    for (size_t i = 0; i < count; i++)
        bytes += records[i].length;
    struct tlsa_set *set = calloc(1, sizeof(*set) + bytes);
    if (!set)
        abort();
    unsigned char *to = (unsigned char *)(set + 1);
    snprintf(set->base, sizeof(set->base), "%s", base);
    for (size_t i = 0; i < count; i++) {
        set->records[i] = records[i];
        set->records[i].data = to;
        memcpy(to, records[i].data, records[i].length);
        to += records[i].length;
        set->usable += tlsa_is_usable(&records[i]);
    }
    set->count = count;
    return set;
}

void tlsa_write(const struct tlsa_record *record, struct buffer *out)
{
    buffer_add_format(out, "%u %u %u ", record->usage, record->selector, record->matching);
    for (size_t i = 0; i < record->length; i++)
        buffer_add_format(out, "%02x", record->data[i]);
}

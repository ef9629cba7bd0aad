/* The fields of one header that the tree of parts needs. */
#ifndef GATEHOUSE_SCANNER_ENGINE_MESSAGE_HEADER_H
#define GATEHOUSE_SCANNER_ENGINE_MESSAGE_HEADER_H

#include <stdbool.h>
#include <stddef.h>

struct header_field {
    const char *value; /* borrowed, folded; NULL where the field is missing */
    size_t length;
};

enum header_name {
    HEADER_SUBJECT,
    HEADER_FROM,
    HEADER_MESSAGE_ID,
    HEADER_CONTENT_TYPE,
    HEADER_CONTENT_DISPOSITION,
    HEADER_CONTENT_TRANSFER_ENCODING,
    HEADER_COUNT,
};

struct message_header {
    struct header_field fields[HEADER_COUNT]; /* the first one of each name */
    size_t length;                            /* bytes up to the body, empty line included */
    bool cut; /* longer than MESSAGE_HEADER_LIMIT: later fields were not read */
};

/* Reads the header at the beginning of `length` bytes. Lines that are no field are skipped. */
void message_header_read(const char *data, size_t length, struct message_header *header);

#endif

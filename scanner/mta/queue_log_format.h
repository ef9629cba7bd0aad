/* The bytes of the queue log, little-endian (see queue_log.h). Private to queue_log*.c. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_LOG_FORMAT_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_LOG_FORMAT_H

#include "common/message_id.h"

#include <stdint.h>

#define LOG_SEGMENT_MAGIC 0x31474f4c51534847ull /* "GHSQLOG1" */
#define LOG_RECORD_MAGIC 0x31524847u            /* "GHR1" */
#define LOG_FLAG_LARGE 1u
#define LOG_RECORD_LIMIT (512ull << 20) /* bytes of a whole record */

struct log_segment_header {
    uint64_t magic;
    uint64_t id;
    uint64_t first_seq;
    uint64_t size;
    uint64_t key; /* random, see below */
    uint8_t stream[16];
    uint8_t reserved[4];
    uint32_t crc; /* over what stands before it */
};

struct log_record_header {
    uint32_t magic;
    uint32_t crc; /* over the rest of this header, meta and events */
    uint8_t type;
    uint8_t flags;
    uint16_t reserved;
    uint32_t event_count;
    uint32_t meta_length;
    uint32_t events_length;
    uint32_t body_crc;
    /* Bytes of the segment that were on stable storage when this was written: a damaged place below
     * them has gone bad later; one above them was never acknowledged. */
    uint32_t synced;
    uint64_t body_length; /* of a large body: the file's size */
    uint64_t seq;         /* of the first event, or of the next one where there is none */
    /* The segment's key: a record is valid in its own segment only, and a body cannot hold bytes
     * that recovery would take for a record, because its sender cannot know the key. */
    uint64_t key;
    uint8_t id[16];
};

_Static_assert(sizeof(struct log_segment_header) == 64, "segment header");
_Static_assert(sizeof(struct log_record_header) == 72, "record header");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log is little-endian");

/* Records begin at multiples of 8. */
static inline uint64_t log_align(uint64_t length)
{
    return (length + 7) & ~7ull;
}

#endif

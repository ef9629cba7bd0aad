/* From finds to a clean file: which parts of a message carry what is to be removed, the message
 * without them, and the proof that the scan finds nothing of it any more. */
#ifndef GATEHOUSE_SCANNER_ENGINE_CLEAN_FILE_H
#define GATEHOUSE_SCANNER_ENGINE_CLEAN_FILE_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/engine/malware.h"
#include "scanner/engine/tree.h"

#include <stdint.h>

struct clean_order {
    const struct tree *tree;
    uint32_t verdicts; /* what is removed: bits 1 << enum config_verdict */
    /* Scans `length` bytes for at most the time that is left; adds to the cleared result. */
    void (*scan)(void *argument, const void *data, size_t length, struct malware_result *result);
    void *argument;
};

/* Writes the clean message to a file without a name in TMPDIR. Returns a descriptor that the caller
 * closes, and its size; -1 with *error where it cannot be cleaned. */
int clean_file_write(const struct clean_order *order, uint64_t *size, struct error *error);

/* Writes the bytes to a file without a name in TMPDIR; as above. */
int clean_file_store(const struct buffer *out, struct error *error);

#endif

/* One message into one verdict. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SCAN_H
#define GATEHOUSE_SCANNER_ENGINE_SCAN_H

#include "common/ipc.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/filters.h"

#include <clamav.h>
#include <jansson.h>
#include <stdint.h>

#define SCAN_ID_SIZE 64

struct scan_request {
    char id[SCAN_ID_SIZE];
    uint64_t size;  /* bytes of the message */
    int seconds;    /* time it may take; libclamav is stopped somewhat earlier */
    uint32_t clean; /* verdicts of which the message is to be freed: bits 1 << config_verdict */
    int message;    /* descriptor: read-only regular file, or a memfd that is read-only or sealed */
    bool with_filters;
    int envelope;   /* where with_filters: a file of the same kind; -1: it is missing */
    int64_t age_ms; /* of the message */
    int answer;     /* socket for the last word, should the process die while it names a part */
};

struct scan_tools {
    struct cl_engine *engine;
    const struct engine_settings *settings;
    const struct filters *filters;
};

/* What goes with the result, in the order that docs/architecture.md has: the clean message, the
 * policy's answer, and the messages that were written anew. */
struct scan_files {
    int descriptors[IPC_PACKET_DESCRIPTORS];
    size_t count;
};

/* The frame {"result":...}: new reference, NULL only without memory. Close the files in any case.
 */
json_t *scan_message(const struct scan_tools *tools, const struct scan_request *request,
                     struct scan_files *files);
void scan_files_close(struct scan_files *files);

#endif

/* One message into one verdict. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SCAN_H
#define GATEHOUSE_SCANNER_ENGINE_SCAN_H

#include "scanner/engine/engine.h"

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
    int answer;     /* socket for the last word, should the process die while it names a part */
};

/* The frame {"result":...}: new reference, NULL only without memory. *cleaned is the file without
 * what was to be removed, which the caller closes, or -1. */
json_t *scan_message(struct cl_engine *engine, const struct engine_settings *settings,
                     const struct scan_request *request, int *cleaned);

#endif

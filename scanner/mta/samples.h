/* Messages over which the scanning process ended twice, kept for whoever has to find out why: the
 * diagnostic bundle takes them from here. */
#ifndef GATEHOUSE_SCANNER_MTA_SAMPLES_H
#define GATEHOUSE_SCANNER_MTA_SAMPLES_H

#include "common/error.h"
#include "common/message_id.h"

#include <stdbool.h>
#include <stdint.h>

#define SAMPLES_LIMIT 20            /* files; the oldest goes first */
#define SAMPLES_BYTES (200u << 20)  /* of all together */
#define SAMPLES_LARGEST (50u << 20) /* bytes of one; of a larger one its beginning is kept */

/* Copies the first `size` bytes of `fd` to FOLDER/ID.eml (mode 0600) and makes the folder (0700)
 * where it is missing. False with *error; then nothing was kept. */
bool samples_keep(const char *folder, const struct message_id *id, int fd, uint64_t size,
                  struct error *error);

#endif

/* Whole messages that scanners handed over: of incidents now, of any quarantine. Bodies are
 * compressed (zstd) in chunks, so that a large one is never in memory as a whole. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_MESSAGES_H
#define GATEHOUSE_CONTROLCENTER_STORE_MESSAGES_H

#include "controlcenter/store/store.h"

#define STORE_MESSAGE_CHUNK (256u << 10) /* bytes before compression; the last one may be shorter */

/* Takes chunk `number` (from 0) of message `id` (UUID) of that scanner; one that is there already
 * is passed over, so that a broken transfer goes on where it ended. Returns how many it has. */
bool store_message_chunk(struct store *store, const char *id, const char *scanner_id, int number,
                         const void *data, size_t length, int *has, struct error *error);
/* All chunks are there: writes the row with `info` (docs/architecture.md) and, in the same
 * transaction, what it is handed over for (an incident, store_incident_insert). Done twice it is
 * done once. */
bool store_message_complete(struct store *store, const char *id, const char *scanner_id,
                            const json_t *info, int64_t size, struct error *error);
/* Reads it piece by piece; `take` returns false to stop. */
bool store_message_read(struct store *store, const char *id,
                        bool (*take)(void *argument, const void *data, size_t length),
                        void *argument, struct error *error);
/* {"sender","recipients":[S],"subject",...}: the info it came with. Caller owns. */
json_t *store_message_info(struct store *store, const char *id, struct error *error);
/* Removes bodies of messages that nothing refers to any more, at most `limit`; *removed counts. */
bool store_message_expunge(struct store *store, int limit, int *removed, struct error *error);

#endif

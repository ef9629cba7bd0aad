/* When a deferred recipient is tried again. */
#ifndef GATEHOUSE_SCANNER_MTA_RETRY_H
#define GATEHOUSE_SCANNER_MTA_RETRY_H

#include "common/config_model.h"

#include <stdint.h>

/* Times are milliseconds since 1970. The time of the next attempt after attempt number `attempt`
 * (from 1), or 0 where the message's lifetime is over. Waits follow limits->retry_seconds, longer
 * by up to a tenth so that mail deferred together does not come back together (`random` is any
 * number). The last attempt is at the end of the lifetime. */
int64_t retry_next_attempt(const struct config_delivery *limits, uint32_t attempt,
                           int64_t received_at, int64_t now, uint32_t random);

#endif

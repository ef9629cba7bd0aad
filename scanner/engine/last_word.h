/* A packet that is sent should the process die now. Once a virus is found the verdict must not be
 * lost because naming the part that holds it takes too long or crashes: a message made for that
 * would otherwise turn from infected into unscannable. */
#ifndef GATEHOUSE_SCANNER_ENGINE_LAST_WORD_H
#define GATEHOUSE_SCANNER_ENGINE_LAST_WORD_H

#include <jansson.h>
#include <stdbool.h>

/* From now on a fatal signal (time-out, crash, abort) first sends `packet` on the SOCK_SEQPACKET
 * socket `fd` and then kills the process as before. False where it cannot be prepared. */
bool last_word_set(int fd, const json_t *packet);

/* Back to dying silently. */
void last_word_clear(void);

#endif

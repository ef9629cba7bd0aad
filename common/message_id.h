/* Identifiers of messages and hosts: UUID version 7 (RFC 9562), ordered by time. */
#ifndef GATEHOUSE_COMMON_MESSAGE_ID_H
#define GATEHOUSE_COMMON_MESSAGE_ID_H

#include <stdbool.h>
#include <stdint.h>

struct message_id {
    uint8_t bytes[16];
};

#define MESSAGE_ID_TEXT_SIZE 37 /* with the NUL */

/* A new identifier of now. Unique within and across hosts (74 random bits). Thread-safe. */
struct message_id message_id_new(void);
/* The lower-case text form; `text` has MESSAGE_ID_TEXT_SIZE bytes. Returns text. */
const char *message_id_text(const struct message_id *id, char *text);
/* Parses the text form (either case); false leaves *id alone. */
bool message_id_parse(const char *text, struct message_id *id);
/* Milliseconds since 1970 at which the identifier was made. */
int64_t message_id_time_ms(const struct message_id *id);
bool message_id_equal(const struct message_id *a, const struct message_id *b);

#endif

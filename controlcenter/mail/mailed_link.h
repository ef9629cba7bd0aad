/* Tokens of mailed links: 192 random bits and a signature (HMAC-SHA-256, 128 bits) by a key that
 * the database keeps, so that an altered one is told from one that is gone. */
#ifndef GATEHOUSE_CONTROLCENTER_MAIL_MAILED_LINK_H
#define GATEHOUSE_CONTROLCENTER_MAIL_MAILED_LINK_H

#include "controlcenter/store/store.h"

#define MAILED_LINK_SIZE 65 /* of a token with its NUL */
#define MAILED_LINK_HASH_SIZE 65
#define MAILED_LINK_KEY_BYTES 32

struct mailed_link_key {
    unsigned char bytes[MAILED_LINK_KEY_BYTES];
};

/* The key of this database, made where there is none yet. */
bool mailed_link_key_read(struct store *store, struct mailed_link_key *key, struct error *error);
void mailed_link_make(const struct mailed_link_key *key, char token[MAILED_LINK_SIZE]);
/* Whether the key signed it. */
bool mailed_link_verify(const struct mailed_link_key *key, const char *token);
/* What the database knows it by (SHA-256, in hexadecimal). */
void mailed_link_hash(const char *token, char hash[MAILED_LINK_HASH_SIZE]);

#define MAIL_MARK_SIZE 41 /* with its NUL */

/* What the Message-ID of a notification to that address begins with, so that it is known when it
 * comes back: 96 random bits and a signature (64 bits) over them and the address. */
void mail_mark_make(const struct mailed_link_key *key, const char *address,
                    char mark[MAIL_MARK_SIZE]);
/* Whether a message with that Message-ID is a notification that the key's owner sent to the
 * address; its capitals do not matter. */
bool mail_mark_verify(const struct mailed_link_key *key, const char *address,
                      const char *message_id);

#endif

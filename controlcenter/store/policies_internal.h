/* What the files about policies share. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_POLICIES_INTERNAL_H
#define GATEHOUSE_CONTROLCENTER_STORE_POLICIES_INTERNAL_H

#include "common/buffer.h"
#include "controlcenter/store/policies.h"
#include "controlcenter/store/store_internal.h"

#define POLICY_DOCUMENT_LIMIT (48u << 20) /* bytes with all words; scanners take 64 MiB in all */

/* A document as the tables have it. */
struct policy_document {
    char *text;           /* with hashes in place of words */
    struct buffer hashes; /* an array of PostgreSQL's: "{HASH,HASH}" */
    size_t size;          /* bytes with all words */
};

/* Stores the words of the document, where they are not there yet, inside the transaction. Clear
 * also after a failure. ERROR_LIMIT where the document is too large. */
bool policy_document_make(PGconn *connection, const json_t *whole, struct policy_document *document,
                          struct error *error);
void policy_document_clear(struct policy_document *document);
/* Deletes words that no document has any more. */
bool policy_words_forget(PGconn *connection, struct error *error);
/* Puts the words back into a document of the tables. */
bool policy_words_put_back(PGconn *connection, json_t *document, struct error *error);

#endif

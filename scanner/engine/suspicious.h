/* Attachments that pretend to be something else, or that run when they are opened: told by name and
 * true type, where no signature knows them. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SUSPICIOUS_H
#define GATEHOUSE_SCANNER_ENGINE_SUSPICIOUS_H

#include "scanner/engine/malware.h"
#include "scanner/engine/tree.h"

/* Adds a find "Suspicious...." for each such node, and "Encrypted.Archive" or "Encrypted.Document"
 * for what cannot be looked into without a password. */
void suspicious_look(const struct tree *tree, struct malware_result *result);
/* The same for one node. */
void suspicious_look_at(const struct tree *tree, size_t index, struct malware_result *result);

#endif

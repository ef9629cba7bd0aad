/* People of a message that policies are tried on. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_PERSON_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_PERSON_H

#include <jansson.h>

/* {"address","directory_groups","group"} as envelopes have it (docs/architecture.md) of a line such
 * as "anna@example.com group:sales group:board"; "group" is the first policy group of the document
 * that has the person, or "default". NULL with *reason where the line is none. The caller owns it.
 */
json_t *policy_person(const json_t *document, const char *line, const char **reason);

#endif

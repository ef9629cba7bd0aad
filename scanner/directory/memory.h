/* Passwords pass through libraries that free their buffers as they are. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_MEMORY_H
#define GATEHOUSE_SCANNER_DIRECTORY_MEMORY_H

/* From now on what the JSON and the LDAP library free is wiped before. Once, before either is used.
 */
void memory_wipe_what_is_freed(void);

#endif

/* Shared by the files of the command parser. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_COMMAND_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_SMTP_COMMAND_PRIVATE_H

#include "scanner/mta/smtp_command.h"

/* Writes a refusal; bytes that are not printable ASCII become '?'. Returns false. */
bool smtp_refuse(char reply[SMTP_REPLY_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Cuts "KEYWORD:<path> rest" into path (without brackets and without a source route, which RFC 5321
 * appendix C tells to ignore) and rest. `keyword` is "FROM" or "TO", with its colon left out. */
bool smtp_path_cut(char *argument, const char *keyword, char **path, char **rest,
                   char reply[SMTP_REPLY_SIZE]);

/* Takes the next "NAME" or "NAME=VALUE" off *rest: false at the end. *value is NULL without "=". */
bool smtp_parameter_next(char **rest, char **name, char **value);

/* Decimal digits only, at most 20 of them, no overflow. */
bool smtp_number_parse(const char *text, uint64_t *number);

/* RFC 3461 section 4: printable ASCII, "+" and "=" as "+2B" and "+3D". `utf8` also allows what RFC
 * 6533 adds. */
bool smtp_xtext_valid(const char *text, bool utf8);

#endif

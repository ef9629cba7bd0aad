#include "scanner/mta/smtp_command.h"

#include "scanner/mta/smtp_command_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HELO_LIMIT 255
#define DIGITS_LIMIT 20

static const char *const verb_names[] = {
    [SMTP_EHLO] = "EHLO", [SMTP_HELO] = "HELO",       [SMTP_STARTTLS] = "STARTTLS",
    [SMTP_AUTH] = "AUTH", [SMTP_XCLIENT] = "XCLIENT", [SMTP_MAIL] = "MAIL",
    [SMTP_RCPT] = "RCPT", [SMTP_DATA] = "DATA",       [SMTP_BDAT] = "BDAT",
    [SMTP_RSET] = "RSET", [SMTP_NOOP] = "NOOP",       [SMTP_QUIT] = "QUIT",
    [SMTP_VRFY] = "VRFY", [SMTP_EXPN] = "EXPN",       [SMTP_HELP] = "HELP",
};

bool smtp_refuse(char reply[SMTP_REPLY_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply, SMTP_REPLY_SIZE, format, arguments);
    va_end(arguments);
    for (char *c = reply; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static enum smtp_verb find_verb(const char *name)
{
    for (int verb = 0; verb < SMTP_UNKNOWN; verb++)
        if (strcasecmp(name, verb_names[verb]) == 0)
            return (enum smtp_verb)verb;
    return SMTP_UNKNOWN;
}

void smtp_command_parse(char *line, struct smtp_command *command)
{
    size_t length = strlen(line);
    while (length > 0 && is_blank(line[length - 1]))
        line[--length] = '\0';
    char *argument = line + strcspn(line, " \t");
    while (is_blank(*argument))
        *argument++ = '\0';
    command->verb = find_verb(line);
    command->argument = argument;
}

static bool is_helo_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr(".-_:[]", c);
}

const char *smtp_helo_check(const char *name)
{
    if (strlen(name) > HELO_LIMIT)
        return "the name is longer than 255 bytes";
    for (const char *c = name; *c; c++)
        if (!is_helo_character(*c))
            return "the name has a character that no host name has";
    return NULL;
}

bool smtp_number_parse(const char *text, uint64_t *number)
{
    size_t length = strlen(text);
    *number = 0;
    if (length == 0 || length > DIGITS_LIMIT)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(text[i] - '0'), number))
            return false;
    }
    return true;
}

bool smtp_chunk_parse(char *argument, uint64_t *size, bool *last, char reply[SMTP_REPLY_SIZE])
{
    char *marker = argument + strcspn(argument, " \t");
    while (is_blank(*marker))
        *marker++ = '\0';
    *last = strcasecmp(marker, "LAST") == 0;
    if (*marker && !*last)
        return smtp_refuse(reply, "501 5.5.4 syntax: BDAT size [LAST]");
    if (!smtp_number_parse(argument, size))
        return smtp_refuse(reply, "501 5.5.4 the size of the chunk is not a number");
    return true;
}

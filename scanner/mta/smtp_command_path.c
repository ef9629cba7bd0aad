/* Paths and parameters as MAIL and RCPT have them in common. */
#include "scanner/mta/smtp_command_private.h"

#include "common/utf8.h"

#include <string.h>
#include <strings.h>

/* The '>' that ends a path which begins at `text`: not one inside a quoted local part. */
static char *find_end(char *text)
{
    bool quoted = false;
    for (char *c = text; *c; c++) {
        if (quoted && *c == '\\' && c[1])
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (*c == '>' && !quoted)
            return c;
    }
    return NULL;
}

/* "@one.example,@two.example:user@example.org": the hosts must be domains and are then ignored. */
static bool skip_route(char **path)
{
    char normal[DOMAIN_SIZE];
    char *at = *path;
    if (*at != '@')
        return true;
    for (;;) {
        size_t length = strcspn(at, ",:");
        char end = at[length];
        if (*at != '@' || end == '\0')
            return false;
        at[length] = '\0';
        if (domain_normalise(at + 1, true, normal))
            return false;
        at += length + 1;
        if (end == ':')
            break;
    }
    *path = at;
    return true;
}

bool smtp_path_cut(char *argument, const char *keyword, char **path, char **rest,
                   char reply[SMTP_REPLY_SIZE])
{
    const char *command = keyword[0] == 'F' ? "MAIL" : "RCPT";
    size_t length = strlen(keyword);
    if (strncasecmp(argument, keyword, length) != 0 || argument[length] != ':')
        return smtp_refuse(reply, "501 5.5.4 syntax: %s %s:<address>", command, keyword);
    char *start = argument + length + 1;
    start += strspn(start, " \t");
    if (*start != '<')
        return smtp_refuse(reply, "501 5.5.4 the address must stand in angle brackets");
    char *end = find_end(++start);
    if (!end)
        return smtp_refuse(reply, "501 5.5.4 the angle bracket of the address is not closed");
    if (end[1] && end[1] != ' ' && end[1] != '\t')
        return smtp_refuse(reply, "501 5.5.4 there is text between the address and its parameters");
    *end = '\0';
    *rest = end + 1;
    *path = start;
    if (!skip_route(path))
        return smtp_refuse(reply, "501 5.5.4 the source route of the address is not well formed");
    return true;
}

bool smtp_parameter_next(char **rest, char **name, char **value)
{
    char *at = *rest + strspn(*rest, " \t");
    if (!*at)
        return false;
    *name = at;
    at += strcspn(at, " \t");
    if (*at)
        *at++ = '\0';
    *rest = at;
    *value = strchr(*name, '=');
    if (*value)
        *(*value)++ = '\0';
    return true;
}

static bool is_upper_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

bool smtp_xtext_valid(const char *text, bool utf8)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c >= 0x80 && utf8)
            continue;
        if (*c < '!' || *c > '~' || *c == '=')
            return false;
        if (*c == '+' && (!is_upper_hex(c[1]) || !is_upper_hex(c[2])))
            return false;
    }
    return *text && (!utf8 || utf8_valid(text, strlen(text)));
}

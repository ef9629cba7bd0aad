#include "scanner/mta/address_key.h"

#include <stdio.h>
#include <string.h>

size_t address_local_length(const char *address)
{
    const char *domain = address_domain(address);
    return *domain ? (size_t)(domain - 1 - address) : 0;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Writes the local part in lower case and without quotes and backslashes; the length. */
static size_t unquote(const char *local, size_t length, char *plain)
{
    size_t to = 0;
    for (size_t at = 1; at + 1 < length; at++) {
        if (local[at] == '\\' && at + 2 < length)
            at++;
        plain[to++] = lower(local[at]);
    }
    return to;
}

/* Whether the text could stand before the "@" without quotes; the rest of the mailbox that it makes
 * is only there because address_check wants whole ones. */
static bool is_dot_string(const char *text, size_t length)
{
    char mailbox[ADDRESS_SIZE];
    if (length == 0 || length > sizeof(mailbox) - 2 || text[0] == '"' || memchr(text, '@', length))
        return false;
    memcpy(mailbox, text, length);
    memcpy(mailbox + length, "@x", 2);
    return address_check(mailbox, length + 2, true) == NULL;
}

bool address_key(const char *address, char key[ADDRESS_SIZE])
{
    char domain[DOMAIN_SIZE], plain[ADDRESS_SIZE];
    size_t local = address_local_length(address);
    if (local == 0 || local >= sizeof(plain))
        return false;
    const char *name = address + local + 1;
    if (name[0] != '[' && domain_normalise(name, true, domain))
        return false;
    size_t length = address[0] == '"' ? unquote(address, local, plain) : 0;
    if (!is_dot_string(plain, length))
        for (length = 0; length < local; length++)
            plain[length] = lower(address[length]);
    return snprintf(key, ADDRESS_SIZE, "%.*s@%s", (int)length, plain,
                    name[0] == '[' ? name : domain) < ADDRESS_SIZE;
}

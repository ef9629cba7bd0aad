#include "scanner/mta/smtp_auth.h"

#include "common/utf8.h"

#include <sodium.h>
#include <string.h>

/* The longest response: two names and a password. */
#define DECODED_SIZE (2 * ADDRESS_SIZE + SMTP_PASSWORD_SIZE)

/* Returns the length, or -1. Always ends `to` with a NUL that does not count. */
static long decode(const char *response, char to[DECODED_SIZE])
{
    size_t length = 0;
    if (sodium_base642bin((unsigned char *)to, DECODED_SIZE - 1, response, strlen(response), NULL,
                          &length, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return -1;
    to[length] = '\0';
    return (long)length;
}

/* Names go into the audit log, names and passwords into JSON: UTF-8, as RFC 4616 asks. */
static bool take(const char *text, size_t length, char *to, size_t size)
{
    if (length == 0 || length >= size || memchr(text, '\0', length) || !utf8_valid(text, length))
        return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

static bool take_user(const char *text, size_t length, struct smtp_credentials *credentials)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return take(text, length, credentials->user, sizeof(credentials->user));
}

static bool take_password(const char *text, size_t length, struct smtp_credentials *credentials)
{
    return take(text, length, credentials->password, sizeof(credentials->password));
}

static enum smtp_auth_result read_plain(const char *text, size_t length,
                                        struct smtp_credentials *credentials)
{
    const char *end = text + length;
    const char *user = memchr(text, '\0', length);
    const char *password = user ? memchr(user + 1, '\0', (size_t)(end - user - 1)) : NULL;
    if (!password || !take_user(user + 1, (size_t)(password - user - 1), credentials) ||
        !take_password(password + 1, (size_t)(end - password - 1), credentials))
        return SMTP_AUTH_MALFORMED;
    if (user > text && strcmp(text, credentials->user) != 0)
        return SMTP_AUTH_FOREIGN;
    return SMTP_AUTH_READ;
}

enum smtp_auth_result smtp_auth_plain(const char *response, struct smtp_credentials *credentials)
{
    char text[DECODED_SIZE];
    long length = decode(response, text);
    enum smtp_auth_result result =
        length < 0 ? SMTP_AUTH_MALFORMED : read_plain(text, (size_t)length, credentials);
    sodium_memzero(text, sizeof(text));
    return result;
}

static enum smtp_auth_result read_text(const char *response, struct smtp_credentials *credentials,
                                       bool (*reader)(const char *text, size_t length,
                                                      struct smtp_credentials *credentials))
{
    char text[DECODED_SIZE];
    long length = decode(response, text);
    bool read = length >= 0 && reader(text, (size_t)length, credentials);
    sodium_memzero(text, sizeof(text));
    return read ? SMTP_AUTH_READ : SMTP_AUTH_MALFORMED;
}

enum smtp_auth_result smtp_auth_user(const char *response, struct smtp_credentials *credentials)
{
    return read_text(response, credentials, take_user);
}

enum smtp_auth_result smtp_auth_password(const char *response, struct smtp_credentials *credentials)
{
    return read_text(response, credentials, take_password);
}

void smtp_credentials_wipe(struct smtp_credentials *credentials)
{
    sodium_memzero(credentials, sizeof(*credentials));
}

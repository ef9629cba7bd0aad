#include "controlcenter/pages/passwords.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#define AT_ONCE 4

/* Of a password that nobody knows, with the cost of those that password_hash makes. */
static const char nobodys_hash[crypto_pwhash_STRBYTES] =
    "$argon2id$v=19$m=65536,t=2,p=1$2EGJT7wvARy4OulHVWZpvw$BPgTHTBOfOJNYuH+KmpnlzjWzsgpiBsUymxx0+"
    "cAZm4";

_Static_assert(PASSWORD_HASH_SIZE > crypto_pwhash_STRBYTES, "a hash fits");

static bool begin(struct application *application, struct error *error)
{
    if (atomic_fetch_add(&application->hashing, 1) < AT_ONCE)
        return true;
    atomic_fetch_sub(&application->hashing, 1);
    return error_set(error, ERROR_LIMIT, NULL, "too many passwords are being checked");
}

static void end(struct application *application)
{
    atomic_fetch_sub(&application->hashing, 1);
}

bool password_verify(struct application *application, const char *hash, const char *password,
                     struct error *error)
{
    if (!begin(application, error))
        return false;
    bool same =
        crypto_pwhash_str_verify(hash ? hash : nobodys_hash, password, strlen(password)) == 0;
    end(application);
    return (same && hash) || error_set(error, ERROR_DENIED, NULL, "the password is not right");
}

bool password_hash(struct application *application, const char *password,
                   char hash[PASSWORD_HASH_SIZE], struct error *error)
{
    if (!begin(application, error))
        return false;
    int result =
        crypto_pwhash_str(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE);
    end(application);
    return result == 0 || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_one_character(const char *password)
{
    return strspn(password, (char[]){password[0], '\0'}) == strlen(password);
}

const char *password_weakness(const char *password, const char *old, const char *name)
{
    if (count_characters(password) < PASSWORD_LEAST)
        return "password_short";
    if (strlen(password) > PASSWORD_MOST)
        return "password_long";
    if (strcmp(password, old) == 0)
        return "password_old";
    if (strcasecmp(password, name) == 0)
        return "password_name";
    return is_one_character(password) ? "password_simple" : NULL;
}

#include "scanner/mta/bounce_protection.h"

#include "scanner/mta/address_key.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MILLISECONDS_A_DAY 86400000
#define DAYS_WRAP 1000 /* a tag has three digits for the day */
/* The longest that any configuration lets a tag live. A tag is believed in what it says itself, so
 * that bounces of what was sent before the setting was lowered are still taken. */
#define DAYS_MOST 30
#define HASH_BYTES 3
#define LOCAL_LIMIT 64
#define MAILBOX_LIMIT 254

static const char tag_name[] = "prvs=";
#define TAG_NAME_LENGTH (sizeof(tag_name) - 1)
#define TAG_VALUE_LENGTH (1 + 3 + 2 * HASH_BYTES)
#define TAG_LENGTH (TAG_NAME_LENGTH + TAG_VALUE_LENGTH + 1)

static bool is_local(const struct scanner_config *config, const char *address)
{
    char domain[DOMAIN_SIZE];
    return !domain_normalise(address_domain(address), true, domain) &&
           config_find_domain(config, domain);
}

static const struct config_bounce_key *find_key(const struct scanner_config *config, int number)
{
    for (size_t i = 0; i < config->bounce_protection.key_count; i++)
        if (config->bounce_protection.keys[i].number == number)
            return &config->bounce_protection.keys[i];
    return NULL;
}

static int today(int64_t now)
{
    return (int)(now / MILLISECONDS_A_DAY % DAYS_WRAP);
}

/* The first bytes of HMAC-SHA1 over key number, day and address. The address is in lower case: some
 * mail servers change the case of what they return. False where the library refuses. */
static bool hash_tag(const struct config_bounce_key *key, int day, const char *address,
                     unsigned char hash[HASH_BYTES])
{
    char plain[ADDRESS_SIZE], source[ADDRESS_SIZE + 8];
    unsigned char whole[EVP_MAX_MD_SIZE];
    unsigned int whole_length = 0;
    if (!address_key(address, plain))
        return false;
    int length = snprintf(source, sizeof(source), "%d%03d%s", key->number, day, plain);
    if (!HMAC(EVP_sha1(), key->secret, (int)key->length, (const unsigned char *)source,
              (size_t)length, whole, &whole_length) ||
        whole_length < HASH_BYTES)
        return false;
    memcpy(hash, whole, HASH_BYTES);
    return true;
}

/* --- reading tags --- */

struct tag {
    int key, day;
    unsigned char hash[HASH_BYTES];
};

static bool read_digits(const char *text, size_t count, int *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (text[i] - '0');
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hash(const char *text, unsigned char hash[HASH_BYTES])
{
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* Takes the tag off the address; in a quoted local part it stands inside the quotes. False where
 * there is none. */
static bool read_tag(const char *address, struct tag *tag, char plain[ADDRESS_SIZE])
{
    const char *text = address + (address[0] == '"');
    if (strlen(address) >= ADDRESS_SIZE || strncasecmp(text, tag_name, TAG_NAME_LENGTH) != 0)
        return false;
    const char *value = text + TAG_NAME_LENGTH;
    if (strnlen(value, TAG_VALUE_LENGTH + 1) <= TAG_VALUE_LENGTH ||
        value[TAG_VALUE_LENGTH] != '=' || !read_digits(value, 1, &tag->key) ||
        !read_digits(value + 1, 3, &tag->day) || !read_hash(value + 4, tag->hash))
        return false;
    snprintf(plain, ADDRESS_SIZE, "%s%s", address[0] == '"' ? "\"" : "", text + TAG_LENGTH);
    return address_check(plain, strlen(plain), true) == NULL;
}

/* --- the two questions --- */

bool bounce_tag(const struct scanner_config *config, const char *sender, int64_t now,
                char tagged[ADDRESS_SIZE])
{
    const struct config_bounce_protection *protection = &config->bounce_protection;
    unsigned char hash[HASH_BYTES];
    char plain[ADDRESS_SIZE];
    struct tag tag;
    size_t local = address_local_length(sender);
    if (protection->mode == CONFIG_BOUNCE_OFF || protection->key_count == 0 || local == 0 ||
        local + TAG_LENGTH > LOCAL_LIMIT || strlen(sender) + TAG_LENGTH > MAILBOX_LIMIT ||
        !is_local(config, sender) || read_tag(sender, &tag, plain))
        return false;
    const struct config_bounce_key *key = &protection->keys[0];
    int day = (today(now) + protection->days) % DAYS_WRAP;
    if (!hash_tag(key, day, sender, hash))
        return false;
    bool quoted = sender[0] == '"';
    snprintf(tagged, ADDRESS_SIZE, "%s%s%d%03d%02x%02x%02x=%s", quoted ? "\"" : "", tag_name,
             key->number, day, hash[0], hash[1], hash[2], sender + quoted);
    return true;
}

enum bounce_tag_state bounce_check(const struct scanner_config *config, const char *recipient,
                                   int64_t now, char plain[ADDRESS_SIZE])
{
    unsigned char hash[HASH_BYTES];
    struct tag tag;
    /* The tags of other organisations are theirs. */
    if (!is_local(config, recipient) || !read_tag(recipient, &tag, plain))
        return BOUNCE_TAG_NONE;
    const struct config_bounce_key *key = find_key(config, tag.key);
    if (!key || !hash_tag(key, tag.day, plain, hash) ||
        CRYPTO_memcmp(hash, tag.hash, HASH_BYTES) != 0)
        return BOUNCE_TAG_FORGED;
    int days_left = (tag.day - today(now) + DAYS_WRAP) % DAYS_WRAP;
    return days_left <= DAYS_MOST ? BOUNCE_TAG_VALID : BOUNCE_TAG_EXPIRED;
}

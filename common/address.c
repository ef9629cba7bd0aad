#include "common/address.h"

#include "common/ip.h"
#include "common/utf8.h"

#include <idn2.h>
#include <string.h>
#include <strings.h>

#define LOCAL_LIMIT 64
#define DOMAIN_LIMIT 253 /* RFC 1035's 255 bytes on the wire, as text */
#define U_DOMAIN_LIMIT 255
#define MAILBOX_LIMIT 254 /* RFC 5321's path of 256 without its angle brackets */
#define LABEL_LIMIT 63

static const char not_utf8[] = "the address has characters that are not UTF-8";
static const char needs_utf8[] = "the address has characters outside ASCII";

/* --- domains --- */

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static const char *check_label(const char *label, size_t length)
{
    if (length == 0)
        return "the domain has an empty label";
    if (length > LABEL_LIMIT)
        return "a label of the domain is longer than 63 bytes";
    if (label[0] == '-' || label[length - 1] == '-')
        return "a label of the domain begins or ends with a hyphen";
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(label[i]) && label[i] != '-')
            return "the domain has a character that is not a letter, digit or hyphen";
    return NULL;
}

static const char *check_ascii_domain(const char *text, size_t length)
{
    if (length == 0)
        return "the domain is empty";
    if (length > DOMAIN_LIMIT)
        return "the domain is longer than 253 bytes";
    for (size_t start = 0; start <= length;) {
        const char *dot = memchr(text + start, '.', length - start);
        size_t end = dot ? (size_t)(dot - text) : length;
        const char *reason = check_label(text + start, end - start);
        if (reason)
            return reason;
        start = end + 1;
    }
    return NULL;
}

static void lower_ascii(char *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + ('a' - 'A') : from[i]);
    to[length] = '\0';
}

static const char *normalise_ascii(const char *text, size_t length, char *normal)
{
    const char *reason = check_ascii_domain(text, length);
    if (!reason)
        lower_ascii(normal, text, length);
    return reason;
}

/* What comes out of the mapping is checked once more: UTS #46 maps full-width forms to ASCII. */
static const char *normalise_unicode(const char *text, char *normal)
{
    uint8_t *ascii = NULL;
    int result =
        idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (result != IDN2_OK)
        return "the domain is not a valid internationalised name";
    const char *reason = normalise_ascii((const char *)ascii, strlen((const char *)ascii), normal);
    idn2_free(ascii);
    return reason;
}

const char *domain_normalise(const char *text, bool utf8, char *normal)
{
    size_t length = strnlen(text, U_DOMAIN_LIMIT + 1);
    if (length > U_DOMAIN_LIMIT)
        return "the domain is longer than 253 bytes";
    if (utf8_is_ascii(text, length))
        return normalise_ascii(text, length, normal);
    if (!utf8)
        return "the domain has characters outside ASCII";
    if (!utf8_valid(text, length))
        return "the domain has characters that are not UTF-8";
    return normalise_unicode(text, normal);
}

static const char *check_domain(const char *text, size_t length, bool utf8)
{
    char copy[U_DOMAIN_LIMIT + 1], normal[DOMAIN_SIZE];
    if (utf8_is_ascii(text, length))
        return check_ascii_domain(text, length);
    if (!utf8)
        return needs_utf8;
    if (length > U_DOMAIN_LIMIT)
        return "the domain is longer than 253 bytes";
    if (memchr(text, '\0', length))
        return "the domain has a character that is not a letter, digit or hyphen";
    memcpy(copy, text, length);
    copy[length] = '\0';
    return domain_normalise(copy, true, normal);
}

/* "[192.0.2.1]" and "[IPv6:2001:db8::1]"; no other tag was ever registered. */
static const char *check_literal(const char *text, size_t length)
{
    static const char tag[] = "IPv6:";
    static const char reason[] = "the address literal is not an IP address";
    char inside[IP_TEXT_SIZE];
    struct ip_address address;
    if (length < 2 || text[length - 1] != ']')
        return "the address literal is not closed";
    text++;
    length -= 2;
    bool v6 = length >= sizeof(tag) - 1 && strncasecmp(text, tag, sizeof(tag) - 1) == 0;
    if (v6) {
        text += sizeof(tag) - 1;
        length -= sizeof(tag) - 1;
    }
    if (length >= sizeof(inside) || memchr(text, '\0', length))
        return reason;
    memcpy(inside, text, length);
    inside[length] = '\0';
    return ip_parse(inside, &address) && !strchr(inside, ':') == !v6 ? NULL : reason;
}

/* --- local parts --- */

static bool is_atom_character(char c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Steps over one character outside ASCII. C1 control characters are refused: nobody's mailbox has
 * them, and terminals obey them. */
static const char *step_unicode(const char *text, size_t length, bool utf8, size_t *at)
{
    if (!utf8)
        return needs_utf8;
    size_t step = utf8_sequence(text + *at, length - *at);
    if (step == 0)
        return not_utf8;
    if (step == 2 && (unsigned char)text[*at] == 0xc2 && (unsigned char)text[*at + 1] < 0xa0)
        return "the address has a control character";
    *at += step;
    return NULL;
}

static const char *scan_dot_string(const char *text, size_t length, bool utf8, size_t *end)
{
    bool after_dot = true;
    size_t at = 0;
    while (at < length && text[at] != '@') {
        if (text[at] == '.') {
            if (after_dot)
                return "the local part has a dot in the wrong place";
            after_dot = true;
            at++;
            continue;
        }
        after_dot = false;
        if ((unsigned char)text[at] >= 0x80) {
            const char *reason = step_unicode(text, length, utf8, &at);
            if (reason)
                return reason;
        } else if (is_atom_character(text[at])) {
            at++;
        } else {
            return "the local part has a character that needs quotes or is not allowed";
        }
    }
    *end = at;
    if (at == 0)
        return "the local part is empty";
    return after_dot ? "the local part has a dot in the wrong place" : NULL;
}

static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

static const char *scan_quoted_string(const char *text, size_t length, bool utf8, size_t *end)
{
    size_t at = 1;
    while (at < length && text[at] != '"') {
        const char *reason = NULL;
        if ((unsigned char)text[at] >= 0x80) {
            reason = step_unicode(text, length, utf8, &at);
        } else if (!is_printable(text[at])) {
            reason = "the local part has a control character";
        } else if (text[at] == '\\') {
            if (at + 1 >= length || !is_printable(text[at + 1]))
                reason = "the local part has a backslash before nothing printable";
            at += 2;
        } else {
            at++;
        }
        if (reason)
            return reason;
    }
    if (at >= length)
        return "the quotes of the local part are not closed";
    *end = at + 1;
    return NULL;
}

/* --- mailboxes --- */

const char *address_check(const char *text, size_t length, bool utf8)
{
    size_t end = 0;
    if (length == 0)
        return "the address is empty";
    if (length > MAILBOX_LIMIT)
        return "the address is longer than 254 bytes";
    const char *reason = text[0] == '"' ? scan_quoted_string(text, length, utf8, &end)
                                        : scan_dot_string(text, length, utf8, &end);
    if (reason)
        return reason;
    if (end > LOCAL_LIMIT)
        return "the local part is longer than 64 bytes";
    if (end >= length || text[end] != '@')
        return "the address has no domain";
    text += end + 1;
    length -= end + 1;
    if (length == 0)
        return "the address has no domain";
    return text[0] == '[' ? check_literal(text, length) : check_domain(text, length, utf8);
}

const char *address_domain(const char *address)
{
    /* Neither domains nor address literals hold an "@", but quoted local parts may. */
    const char *at = strrchr(address, '@');
    return at ? at + 1 : "";
}

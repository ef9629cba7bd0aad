#include "scanner/mta/tls_report_record.h"

#include <string.h>
#include <strings.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The address of a mailto: URL (RFC 6068), without its header fields. */
static bool read_mail(const char *text, size_t length, char to[TLS_REPORT_URL_SIZE])
{
    size_t count = 0;
    const char *fields = memchr(text, '?', length);
    const char *end = fields ? fields : text + length;
    while (text < end) {
        int high = *text == '%' && end - text > 2 ? hex(text[1]) : -1;
        int low = high >= 0 ? hex(text[2]) : -1;
        if (count + 1 >= ADDRESS_SIZE)
            return false;
        to[count++] = low >= 0 ? (char)(high << 4 | low) : *text;
        text += low >= 0 ? 3 : 1;
    }
    to[count] = '\0';
    return strlen(to) == count && address_check(to, count, false) == NULL;
}

static bool read_url(const char *text, size_t length, char to[TLS_REPORT_URL_SIZE])
{
    if (length >= TLS_REPORT_URL_SIZE)
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] == 0x7f)
            return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

static bool read_target(const char *text, size_t length, struct tls_report_target *target)
{
    target->is_mail = length > 7 && strncasecmp(text, "mailto:", 7) == 0;
    if (target->is_mail)
        return read_mail(text + 7, length - 7, target->text);
    return length > 8 && strncasecmp(text, "https://", 8) == 0 &&
           read_url(text, length, target->text);
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && strchr(" \t", **text)) {
        ++*text;
        --*length;
    }
    while (*length > 0 && strchr(" \t", (*text)[*length - 1]))
        --*length;
}

static size_t read_targets(const char *text, size_t length, struct tls_report_target *targets)
{
    size_t count = 0;
    while (length > 0 && count < TLS_REPORT_TARGETS) {
        const char *comma = memchr(text, ',', length);
        size_t part = comma ? (size_t)(comma - text) : length;
        const char *at = text;
        size_t size = part;
        trim(&at, &size);
        count += read_target(at, size, &targets[count]);
        text += part + (comma != NULL);
        length -= part + (comma != NULL);
    }
    return count;
}

size_t tls_report_read_record(const char *text, size_t length,
                              struct tls_report_target targets[TLS_REPORT_TARGETS])
{
    static const char version[] = "v=TLSRPTv1";
    size_t count = 0;
    if (length < sizeof(version) || memcmp(text, version, sizeof(version) - 1) != 0)
        return 0;
    text += sizeof(version) - 1;
    length -= sizeof(version) - 1;
    trim(&text, &length);
    if (length == 0 || *text != ';')
        return 0;
    while (length > 0 && count == 0) {
        const char *at = ++text, *end = memchr(text, ';', --length);
        size_t part = end ? (size_t)(end - text) : length, size = part;
        trim(&at, &size);
        if (size > 4 && strncmp(at, "rua=", 4) == 0)
            count = read_targets(at + 4, size - 4, targets);
        text += part;
        length -= part;
    }
    return count;
}

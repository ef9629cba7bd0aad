/* XCLIENT: a front server (a proxy or a filter that this network trusts) says who its client is. */
#include "scanner/mta/smtp_command_private.h"

#include "common/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* In place; the text is valid xtext. */
static void decode_xtext(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '+') {
            *to++ = (char)(hex_value(from[1]) * 16 + hex_value(from[2]));
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/* Both say that the value is not known (for now). */
static bool is_unknown(const char *value)
{
    return strcasecmp(value, "[UNAVAILABLE]") == 0 || strcasecmp(value, "[TEMPUNAVAIL]") == 0;
}

static bool read_address(struct smtp_xclient *xclient, const char *value)
{
    xclient->has_address = true;
    if (is_unknown(value))
        return true;
    if (strncasecmp(value, "IPV6:", 5) == 0)
        return strchr(value + 5, ':') && ip_parse(value + 5, &xclient->address);
    return !strchr(value, ':') && ip_parse(value, &xclient->address);
}

static bool read_port(struct smtp_xclient *xclient, const char *value)
{
    uint64_t port = 0;
    xclient->has_port = true;
    if (!is_unknown(value) && (!smtp_number_parse(value, &port) || port > UINT16_MAX))
        return false;
    xclient->port = (uint16_t)port;
    return true;
}

/* The client's name in the DNS: nothing here goes by it. */
static bool read_name(struct smtp_xclient *xclient, const char *value)
{
    (void)xclient;
    return is_unknown(value) || !smtp_helo_check(value);
}

static bool read_helo(struct smtp_xclient *xclient, const char *value)
{
    if (is_unknown(value))
        return true;
    if (!*value || smtp_helo_check(value))
        return false;
    snprintf(xclient->helo, sizeof(xclient->helo), "%s", value);
    return true;
}

static bool read_protocol(struct smtp_xclient *xclient, const char *value)
{
    xclient->extended = strcasecmp(value, "ESMTP") == 0;
    return xclient->extended || strcasecmp(value, "SMTP") == 0 || is_unknown(value);
}

static bool read_login(struct smtp_xclient *xclient, const char *value)
{
    size_t length = strlen(value);
    xclient->has_login = true;
    if (is_unknown(value) || length == 0)
        return true;
    if (length >= sizeof(xclient->login) || !utf8_valid(value, length))
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
            return false;
    memcpy(xclient->login, value, length + 1);
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct smtp_xclient *xclient, const char *value);
} attributes[] = {{"ADDR", read_address}, {"PORT", read_port},      {"NAME", read_name},
                  {"HELO", read_helo},    {"PROTO", read_protocol}, {"LOGIN", read_login}};

static bool read_attribute(struct smtp_xclient *xclient, unsigned *seen, const char *name,
                           char *value, char reply[SMTP_REPLY_SIZE])
{
    for (size_t i = 0; i < COUNT_OF(attributes); i++) {
        if (strcasecmp(name, attributes[i].name) != 0)
            continue;
        if (*seen & 1u << i)
            return smtp_refuse(reply, "501 5.5.4 %s stands twice", attributes[i].name);
        *seen |= 1u << i;
        if (!value || (*value && !smtp_xtext_valid(value, false)))
            return smtp_refuse(reply, "501 5.5.4 %s must be xtext", attributes[i].name);
        decode_xtext(value);
        if (!attributes[i].read(xclient, value))
            return smtp_refuse(reply, "501 5.5.4 the value of %s is not valid", attributes[i].name);
        return true;
    }
    return smtp_refuse(reply, "501 5.5.4 unknown attribute %.40s", name);
}

bool smtp_xclient_parse(char *argument, struct smtp_xclient *xclient, char reply[SMTP_REPLY_SIZE])
{
    char *name, *value;
    unsigned seen = 0;
    *xclient = (struct smtp_xclient){0};
    while (smtp_parameter_next(&argument, &name, &value))
        if (!read_attribute(xclient, &seen, name, value, reply))
            return false;
    return seen || smtp_refuse(reply, "501 5.5.4 syntax: XCLIENT attribute=value ...");
}

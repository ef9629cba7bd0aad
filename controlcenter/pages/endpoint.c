#include "controlcenter/pages/endpoint.h"

#include <stdio.h>
#include <string.h>

static bool parse_port(const char *text, int *port)
{
    size_t length = strlen(text);
    if (length < 1 || length > 5 || strspn(text, "0123456789") != length)
        return false;
    *port = 0;
    for (; *text; text++)
        *port = *port * 10 + (*text - '0');
    return *port >= 1 && *port <= 65535;
}

/* The length of the host and, in *port, what stands behind it: NULL where nothing does. */
static bool split(const char **host, size_t *length, const char **port)
{
    const char *text = *host;
    if (text[0] == '[') {
        const char *end = strchr(text, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return false;
        *host = text + 1;
        *length = (size_t)(end - text) - 1;
        *port = end[1] ? end + 2 : NULL;
        return true;
    }
    const char *first = strchr(text, ':'), *last = strrchr(text, ':');
    bool bare_ipv6 = first != last;
    *length = bare_ipv6 || !first ? strlen(text) : (size_t)(first - text);
    *port = bare_ipv6 || !first ? NULL : first + 1;
    return true;
}

bool endpoint_parse(const char *text, int default_port, struct endpoint *endpoint)
{
    const char *host = text, *port;
    size_t length;
    if (!split(&host, &length, &port) || length == 0 || length >= sizeof endpoint->host)
        return false;
    memcpy(endpoint->host, host, length);
    endpoint->host[length] = '\0';
    endpoint->port = default_port;
    return port ? parse_port(port, &endpoint->port) : default_port > 0;
}

const char *endpoint_text(const char *host, int port, char *text)
{
    snprintf(text, ENDPOINT_TEXT_SIZE, strchr(host, ':') ? "[%.255s]:%d" : "%.255s:%d", host, port);
    return text;
}

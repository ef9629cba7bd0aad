#include "common/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define V4_PREFIX 96 /* bits of ::ffff:0:0 before the IPv4 address */

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v4(const void *bytes, struct ip_address *address)
{
    memcpy(address->bytes, mapped, sizeof(mapped));
    memcpy(address->bytes + sizeof(mapped), bytes, 4);
}

bool ip_parse(const char *text, struct ip_address *address)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1) {
        set_v4(bytes, address);
        return true;
    }
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return false;
    memcpy(address->bytes, bytes, sizeof(bytes));
    return true;
}

bool ip_is_v4(const struct ip_address *address)
{
    return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

const char *ip_text(const struct ip_address *address, char *text)
{
    text[0] = '\0';
    if (ip_is_v4(address))
        inet_ntop(AF_INET, address->bytes + sizeof(mapped), text, IP_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, address->bytes, text, IP_TEXT_SIZE);
    return text;
}

/* Copies, because a generic socket address need not be aligned for its family. */
bool ip_from_sockaddr(const struct sockaddr *from, struct ip_address *address, uint16_t *port)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    in_port_t network_port;
    switch (from->sa_family) {
    case AF_INET:
        memcpy(&v4, from, sizeof(v4));
        set_v4(&v4.sin_addr, address);
        network_port = v4.sin_port;
        break;
    case AF_INET6:
        memcpy(&v6, from, sizeof(v6));
        memcpy(address->bytes, &v6.sin6_addr, sizeof(address->bytes));
        network_port = v6.sin6_port;
        break;
    default:
        return false;
    }
    if (port)
        *port = ntohs(network_port);
    return true;
}

socklen_t ip_to_sockaddr(const struct ip_address *address, uint16_t port,
                         struct sockaddr_storage *to)
{
    memset(to, 0, sizeof(*to));
    if (ip_is_v4(address)) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&v4.sin_addr, address->bytes + sizeof(mapped), 4);
        memcpy(to, &v4, sizeof(v4));
        return sizeof(v4);
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&v6.sin6_addr, address->bytes, sizeof(address->bytes));
    memcpy(to, &v6, sizeof(v6));
    return sizeof(v6);
}

static bool parse_prefix(const char *text, unsigned most, unsigned *prefix)
{
    unsigned value = 0;
    if (*text == '\0' || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
        if (value > most)
            return false;
    }
    *prefix = value;
    return true;
}

static bool host_bits_zero(const struct ip_network *network)
{
    for (unsigned bit = network->prefix; bit < 128; bit++)
        if (network->address.bytes[bit / 8] & (0x80 >> bit % 8))
            return false;
    return true;
}

bool ip_network_parse(const char *text, struct ip_network *network)
{
    char address[IP_TEXT_SIZE];
    struct ip_network parsed;
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!ip_parse(address, &parsed.address))
        return false;
    bool dotted_only = !strchr(address, ':');
    unsigned prefix = dotted_only ? 32 : 128;
    if (slash && !parse_prefix(slash + 1, prefix, &prefix))
        return false;
    parsed.prefix = (uint8_t)(dotted_only ? prefix + V4_PREFIX : prefix);
    if (!host_bits_zero(&parsed))
        return false;
    *network = parsed;
    return true;
}

bool ip_network_contains(const struct ip_network *network, const struct ip_address *address)
{
    unsigned whole = network->prefix / 8, rest = network->prefix % 8;
    /* IPv4 is written inside IPv6 here, but ::/0 means every IPv6 address, not every address. */
    if (network->prefix < V4_PREFIX && ip_is_v4(address))
        return false;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

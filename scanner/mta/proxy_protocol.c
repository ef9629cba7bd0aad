#include "scanner/mta/proxy_protocol.h"

#include <string.h>

static const unsigned char signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                            0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { AT_COMMAND = 12, AT_FAMILY = 13, AT_LENGTH = 14 };
enum { VERSION_LOCAL = 0x20, VERSION_PROXY = 0x21 };
enum { TCP_OVER_IPV4 = 0x11, TCP_OVER_IPV6 = 0x21 };
enum { IPV4_LENGTH = 12, IPV6_LENGTH = 36 };

static unsigned number_at(const struct proxy_header *header, size_t at)
{
    return (unsigned)header->bytes[at] << 8 | header->bytes[at + 1];
}

static bool begins_well(const struct proxy_header *header)
{
    size_t length = header->received < sizeof(signature) ? header->received : sizeof(signature);
    return memcmp(header->bytes, signature, length) == 0;
}

bool proxy_header_wants(const struct proxy_header *header, size_t *wants)
{
    size_t whole = PROXY_HEAD_SIZE;
    if (!begins_well(header))
        return false;
    if (header->received >= PROXY_HEAD_SIZE)
        whole += number_at(header, AT_LENGTH);
    *wants = whole - header->received;
    return true;
}

void proxy_header_add(struct proxy_header *header, const void *data, size_t length)
{
    if (header->received < sizeof(header->bytes)) {
        size_t room = sizeof(header->bytes) - header->received;
        memcpy(header->bytes + header->received, data, length < room ? length : room);
    }
    header->received += length;
}

static void read_ipv4(const struct proxy_header *header, struct ip_address *client, uint16_t *port)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(client->bytes, mapped, sizeof(mapped));
    memcpy(client->bytes + sizeof(mapped), header->bytes + PROXY_HEAD_SIZE, 4);
    *port = (uint16_t)number_at(header, PROXY_HEAD_SIZE + 8);
}

static void read_ipv6(const struct proxy_header *header, struct ip_address *client, uint16_t *port)
{
    memcpy(client->bytes, header->bytes + PROXY_HEAD_SIZE, sizeof(client->bytes));
    *port = (uint16_t)number_at(header, PROXY_HEAD_SIZE + 32);
}

bool proxy_header_read(const struct proxy_header *header, enum proxy_source *source,
                       struct ip_address *client, uint16_t *port)
{
    unsigned length = number_at(header, AT_LENGTH);
    if (header->bytes[AT_COMMAND] == VERSION_LOCAL) {
        *source = PROXY_LOCAL;
        return true;
    }
    *source = PROXY_CLIENT;
    if (header->bytes[AT_COMMAND] != VERSION_PROXY)
        return false;
    if (header->bytes[AT_FAMILY] == TCP_OVER_IPV4 && length >= IPV4_LENGTH)
        read_ipv4(header, client, port);
    else if (header->bytes[AT_FAMILY] == TCP_OVER_IPV6 && length >= IPV6_LENGTH)
        read_ipv6(header, client, port);
    else
        return false;
    return true;
}

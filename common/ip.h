/* IP addresses and networks, IPv4 and IPv6 alike. */
#ifndef GATEHOUSE_COMMON_IP_H
#define GATEHOUSE_COMMON_IP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define IP_TEXT_SIZE 46

struct ip_address {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct ip_network {
    struct ip_address address;
    uint8_t prefix; /* 0 to 128 over the 16 bytes */
};

bool ip_parse(const char *text, struct ip_address *address);
bool ip_is_v4(const struct ip_address *address);
/* "192.0.2.1" or "2001:db8::1"; `text` has IP_TEXT_SIZE bytes. Returns text. */
const char *ip_text(const struct ip_address *address, char *text);
/* From a socket address; *port may be NULL. False for other families. */
bool ip_from_sockaddr(const struct sockaddr *from, struct ip_address *address, uint16_t *port);
/* To a socket address; returns its length. */
socklen_t ip_to_sockaddr(const struct ip_address *address, uint16_t port,
                         struct sockaddr_storage *to);
/* "192.0.2.0/24", "2001:db8::/32" or a single address; host bits must be zero. */
bool ip_network_parse(const char *text, struct ip_network *network);
/* An IPv4 address is in IPv4 networks only: ::/0 means all of IPv6, 0.0.0.0/0 all of IPv4. */
bool ip_network_contains(const struct ip_network *network, const struct ip_address *address);

#endif

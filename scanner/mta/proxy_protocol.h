/* The header that a load balancer puts before a connection's own bytes: PROXY protocol version 2
 * (binary), for TCP over IPv4 and IPv6. Pure work on bytes. */
#ifndef GATEHOUSE_SCANNER_MTA_PROXY_PROTOCOL_H
#define GATEHOUSE_SCANNER_MTA_PROXY_PROTOCOL_H

#include "common/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_HEAD_SIZE 16    /* bytes before the addresses; they say how many follow */
#define PROXY_ADDRESS_SIZE 36 /* bytes of the longest addresses that are read */

enum proxy_source {
    PROXY_CLIENT, /* the header names the client */
    PROXY_LOCAL,  /* the balancer itself, which looks whether we are there */
};

/* A header that comes in pieces. Zeroed at the beginning. */
struct proxy_header {
    unsigned char bytes[PROXY_HEAD_SIZE + PROXY_ADDRESS_SIZE];
    size_t received; /* bytes of the header so far; those over sizeof(bytes) are thrown away */
};

/* How many more bytes of the connection belong to the header: 0 when it is whole. False where what
 * came is no such header; it is known by its first bytes already. */
bool proxy_header_wants(const struct proxy_header *header, size_t *wants);
/* Takes at most that many bytes. */
void proxy_header_add(struct proxy_header *header, const void *data, size_t length);
/* Reads a whole header. False for what is neither LOCAL nor a client of TCP over IPv4 or IPv6.
 * *client and *port are set for PROXY_CLIENT alone. What follows the addresses (TLVs, a checksum
 * among them) is not looked at. */
bool proxy_header_read(const struct proxy_header *header, enum proxy_source *source,
                       struct ip_address *client, uint16_t *port);

#endif

#include "scanner/mta/smtp_server_peers.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096 /* a power of two */
#define IPV6_CUSTOMER_BYTES 8

struct smtp_peer {
    struct smtp_peer *next;
    struct ip_address address;
    unsigned sessions;
};

struct smtp_peers {
    uint64_t seed; /* clients must not be able to choose a bucket */
    struct smtp_peer *buckets[BUCKETS];
};

struct smtp_peers *smtp_peers_new(void)
{
    struct smtp_peers *peers = calloc(1, sizeof(*peers));
    if (!peers || RAND_bytes((unsigned char *)&peers->seed, sizeof(peers->seed)) != 1)
        abort();
    return peers;
}

void smtp_peers_free(struct smtp_peers *peers)
{
    for (size_t i = 0; peers && i < BUCKETS; i++) {
        while (peers->buckets[i]) {
            struct smtp_peer *next = peers->buckets[i]->next;
            free(peers->buckets[i]);
            peers->buckets[i] = next;
        }
    }
    free(peers);
}

bool smtp_networks_contain(const struct config_networks *networks, const struct ip_address *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (ip_network_contains(&networks->networks[i], address))
            return true;
    return false;
}

struct ip_address smtp_peer_customer(const struct ip_address *address)
{
    struct ip_address customer = *address;
    if (!ip_is_v4(address))
        memset(customer.bytes + IPV6_CUSTOMER_BYTES, 0,
               sizeof(customer.bytes) - IPV6_CUSTOMER_BYTES);
    return customer;
}

static struct smtp_peer **bucket_of(struct smtp_peers *peers, const struct ip_address *address)
{
    uint64_t high, low;
    memcpy(&high, address->bytes, sizeof(high));
    memcpy(&low, address->bytes + sizeof(high), sizeof(low));
    uint64_t mixed = (high ^ peers->seed) * 0x9e3779b97f4a7c15ull;
    mixed = (mixed ^ (mixed >> 32) ^ low) * 0xd6e8feb86659fd93ull;
    return &peers->buckets[(mixed >> 32) & (BUCKETS - 1)];
}

struct smtp_peer *smtp_peers_enter(struct smtp_peers *peers, const struct ip_address *address)
{
    struct ip_address customer = smtp_peer_customer(address);
    struct smtp_peer **bucket = bucket_of(peers, &customer);
    struct smtp_peer *peer = *bucket;
    while (peer && memcmp(&peer->address, &customer, sizeof(customer)) != 0)
        peer = peer->next;
    if (!peer) {
        peer = calloc(1, sizeof(*peer));
        if (!peer)
            abort();
        *peer = (struct smtp_peer){.next = *bucket, .address = customer};
        *bucket = peer;
    }
    peer->sessions++;
    return peer;
}

unsigned smtp_peer_sessions(const struct smtp_peer *peer)
{
    return peer->sessions;
}

void smtp_peers_leave(struct smtp_peers *peers, struct smtp_peer *peer)
{
    if (--peer->sessions > 0)
        return;
    struct smtp_peer **link = bucket_of(peers, &peer->address);
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    free(peer);
}

/* Which client an address is, and how many sessions each has now. An IPv6 client is its /64, since
 * that is what one customer has to choose addresses from. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_SERVER_PEERS_H
#define GATEHOUSE_SCANNER_MTA_SMTP_SERVER_PEERS_H

#include "common/config_model.h"
#include "common/ip.h"

struct smtp_peer;
struct smtp_peers;

/* The address that stands for the client: an IPv6 one with the last 64 bits zero. */
struct ip_address smtp_peer_customer(const struct ip_address *address);

/* Nobody connected yet; never NULL. */
struct smtp_peers *smtp_peers_new(void);
void smtp_peers_free(struct smtp_peers *peers);

/* Whether the address is in one of the networks. */
bool smtp_networks_contain(const struct config_networks *networks,
                           const struct ip_address *address);

/* The client's entry, with one session more. */
struct smtp_peer *smtp_peers_enter(struct smtp_peers *peers, const struct ip_address *address);
/* Sessions that the entry counts. */
unsigned smtp_peer_sessions(const struct smtp_peer *peer);
/* One session less; the entry goes with its last one. */
void smtp_peers_leave(struct smtp_peers *peers, struct smtp_peer *peer);

#endif

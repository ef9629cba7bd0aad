/* The inside of the SMTP servers, for smtp_server*.c. The parts:
 *
 *   smtp_server.c            listeners, taking a configuration, life
 *   smtp_server_sessions.c   who may begin a session, and the sessions that are open
 *   smtp_server_proxy.c      connections whose PROXY header has not come yet
 *   smtp_server_peers.c      how many sessions each client has
 */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_SERVER_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_SMTP_SERVER_PRIVATE_H

#include "scanner/mta/smtp_rates.h"
#include "scanner/mta/smtp_server.h"
#include "scanner/mta/smtp_server_peers.h"
#include "scanner/mta/smtp_session.h"

struct listener;
struct entry;   /* a session as the server keeps it */
struct proxied; /* a connection that waits for its PROXY header */

struct smtp_server {
    struct mta *mta;
    struct listener *listeners;
    struct entry *entries;
    struct proxied *proxied;
    size_t sessions[2]; /* by direction */
    size_t proxied_count;
    struct smtp_peers *peers[2]; /* by direction */
    struct smtp_rates *rates;
    struct smtp_event_budget budget;
    struct tls_context *tls; /* NULL: no certificate */
};

/* A connection that was accepted, and what its listener is. */
struct smtp_connection {
    struct smtp_server *server;
    struct config_listener place;
    enum queue_direction direction;
    int fd;
    struct ip_address peer; /* of the socket, or as the PROXY header says */
    uint16_t peer_port;
};

/* The running configuration of that direction. */
const struct config_smtp_server *smtp_server_limits(const struct smtp_server *server,
                                                    enum queue_direction direction);

/* --- smtp_server_sessions.c --- */

/* Begins a session with the client, or turns it away. Takes the descriptor over. */
void smtp_server_begin(const struct smtp_connection *connection);
/* Tells every session to end, and ends it at once. */
void smtp_server_stop_sessions(struct smtp_server *server);
void smtp_server_end_sessions(struct smtp_server *server);

/* --- smtp_server_proxy.c --- */

/* Reads the PROXY header, where the socket's peer may send one, and begins the session then; every
 * other connection is closed. Takes the descriptor over. */
void smtp_server_await_proxy(const struct smtp_connection *connection);
void smtp_server_end_proxied(struct smtp_server *server);

#endif

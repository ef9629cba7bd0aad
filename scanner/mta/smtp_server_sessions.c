/* Who may begin a session, and the sessions that are open. */
#include "scanner/mta/smtp_server_private.h"

#include "common/log.h"
#include "scanner/mta/audit_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct entry {
    struct entry *next, **link;
    struct smtp_server *server;
    struct smtp_session *session;
    struct smtp_peer *peer;
    enum queue_direction direction;
};

/* --- the list --- */

static void on_gone(void *argument)
{
    struct entry *entry = argument;
    struct smtp_server *server = entry->server;
    smtp_peers_leave(server->peers[entry->direction], entry->peer);
    server->sessions[entry->direction]--;
    *entry->link = entry->next;
    if (entry->next)
        entry->next->link = entry->link;
    free(entry);
}

static struct entry *new_entry(struct smtp_server *server, enum queue_direction direction,
                               struct smtp_peer *peer)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        abort();
    *entry = (struct entry){.next = server->entries,
                            .link = &server->entries,
                            .server = server,
                            .peer = peer,
                            .direction = direction};
    if (entry->next)
        entry->next->link = &entry->next;
    server->entries = entry;
    server->sessions[direction]++;
    return entry;
}

void smtp_server_stop_sessions(struct smtp_server *server)
{
    struct entry *next;
    for (struct entry *entry = server->entries; entry; entry = next) {
        next = entry->next;
        smtp_session_stop(entry->session);
    }
}

void smtp_server_end_sessions(struct smtp_server *server)
{
    while (server->entries)
        smtp_session_free(server->entries->session);
}

/* --- who is turned away --- */

/* One write into an empty socket buffer: nothing is kept for a client that is one too many. */
static void turn_away(const struct smtp_connection *connection, const char *reply)
{
    char line[SMTP_REPLY_SIZE + 2];
    int length = snprintf(line, sizeof(line), "%s\r\n", reply);
    if (send(connection->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("a client that was turned away had gone already");
    close(connection->fd);
}

/* The audit log hears of a client that is refused by what it did, once a minute. */
static void record_refusal(struct smtp_server *server, const struct smtp_rates_client *client,
                           uint16_t port, const char *reply)
{
    struct transaction transaction = {.direction = client->direction,
                                      .peer = client->address,
                                      .peer_port = port,
                                      .helo = "",
                                      .protocol = "SMTP"};
    struct audit_envelope envelope = {0};
    struct message_id id = message_id_new();
    struct buffer events = BUFFER_INIT;
    char peer[IP_TEXT_SIZE];
    if (!smtp_rates_tell_refusal(server->rates, client))
        return;
    log_warning("refused a connection of %s: %s", ip_text(&client->address, peer), reply);
    if (!smtp_event_budget_take(&server->budget))
        return;
    audit_refused(&events, &id, &transaction, &envelope, reply);
    queue_log_only(server->mta->queue, &id, &events, NULL, NULL);
}

/* Balancers and front servers speak for many clients, which are counted when they are named. */
static bool is_front(const struct config_smtp_server *limits, const struct ip_address *address)
{
    return smtp_networks_contain(&limits->proxies, address) ||
           smtp_networks_contain(&limits->xclient, address);
}

/* The limits that count clients. Fills `reply` where the client is refused. */
static bool is_within_rates(struct smtp_server *server, enum queue_direction direction,
                            const struct ip_address *address, uint16_t port,
                            char reply[SMTP_REPLY_SIZE])
{
    char reason[SMTP_REPLY_SIZE];
    struct smtp_rates_client client = {direction, smtp_server_limits(server, direction), *address};
    if (is_front(client.limits, address) || smtp_rates_connection(server->rates, &client, reason))
        return true;
    snprintf(reply, SMTP_REPLY_SIZE, "421 4.7.0 %s %s", server->mta->config->config->host_name,
             reason);
    record_refusal(server, &client, port, reply);
    return false;
}

static struct smtp_peer *enter_peer(struct smtp_server *server, enum queue_direction direction,
                                    const struct ip_address *address, char reply[SMTP_REPLY_SIZE])
{
    const struct config_smtp_server *limits = smtp_server_limits(server, direction);
    struct smtp_peer *peer = smtp_peers_enter(server->peers[direction], address);
    if (is_front(limits, address) ||
        smtp_peer_sessions(peer) <= (unsigned)limits->max_sessions_per_ip)
        return peer;
    smtp_peers_leave(server->peers[direction], peer);
    snprintf(reply, SMTP_REPLY_SIZE, "421 4.7.0 %s too many sessions from your address",
             server->mta->config->config->host_name);
    return NULL;
}

/* The client's place, or NULL with the reply that turns it away. */
static struct smtp_peer *admit(const struct smtp_connection *connection,
                               char reply[SMTP_REPLY_SIZE])
{
    struct smtp_server *server = connection->server;
    enum queue_direction direction = connection->direction;
    const struct config_smtp_server *limits = smtp_server_limits(server, direction);
    const char *host = server->mta->config->config->host_name;
    if (!limits->accept) {
        snprintf(reply, SMTP_REPLY_SIZE, "421 4.3.2 %s does not accept messages at this time",
                 host);
        return NULL;
    }
    if (server->sessions[direction] >= (size_t)limits->max_sessions) {
        snprintf(reply, SMTP_REPLY_SIZE, "421 4.7.0 %s too many sessions, try again later", host);
        return NULL;
    }
    if (!is_within_rates(server, direction, &connection->peer, connection->peer_port, reply))
        return NULL;
    return enter_peer(server, direction, &connection->peer, reply);
}

/* --- beginning --- */

/* XCLIENT: the session is another client's from now on. */
static bool on_move(void *argument, const struct ip_address *address, uint16_t port,
                    char reply[SMTP_REPLY_SIZE])
{
    struct entry *entry = argument;
    struct smtp_server *server = entry->server;
    if (!is_within_rates(server, entry->direction, address, port, reply))
        return false;
    struct smtp_peer *peer = enter_peer(server, entry->direction, address, reply);
    if (!peer)
        return false;
    smtp_peers_leave(server->peers[entry->direction], entry->peer);
    entry->peer = peer;
    return true;
}

void smtp_server_begin(const struct smtp_connection *connection)
{
    struct smtp_server *server = connection->server;
    enum queue_direction direction = connection->direction;
    bool implicit = connection->place.implicit_tls;
    char reply[SMTP_REPLY_SIZE];
    struct smtp_peer *peer = admit(connection, reply);
    if (!peer) {
        turn_away(connection, reply);
        return;
    }
    struct entry *entry = new_entry(server, direction, peer);
    bool offers_tls = implicit || smtp_server_limits(server, direction)->tls != CONFIG_TLS_OFF;
    struct smtp_session_options options = {.mta = server->mta,
                                           .fd = connection->fd,
                                           .peer = connection->peer,
                                           .peer_port = connection->peer_port,
                                           .direction = direction,
                                           .tls = offers_tls ? server->tls : NULL,
                                           .implicit_tls = implicit,
                                           .rates = server->rates,
                                           .budget = &server->budget,
                                           .move = on_move,
                                           .gone = on_gone,
                                           .argument = entry};
    entry->session = smtp_session_new(&options);
}

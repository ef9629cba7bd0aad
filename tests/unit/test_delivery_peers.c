#include "test_delivery_peers.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* --- SMTP --- */

struct peer_connection {
    struct peer_connection *next, **link;
    struct peer *peer;
    struct bufferevent *stream;
    bool in_content, closing, start_tls, secure, last_chunk;
    unsigned messages, recipients, auth_lines;
    size_t chunk_left;
};

static void connection_free(struct peer_connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    connection->peer->open--;
    bufferevent_free(connection->stream);
    free(connection);
}

static void on_written(struct bufferevent *stream, void *argument);
static void on_input(struct bufferevent *stream, void *argument);
static void on_stream_event(struct bufferevent *stream, short events, void *argument);

static void finish(struct peer_connection *connection)
{
    connection->closing = true;
    bufferevent_disable(connection->stream, EV_READ);
    if (evbuffer_get_length(bufferevent_get_output(connection->stream)) == 0)
        connection_free(connection);
}

/* False where the connection is over (or says nothing any more). */
static bool reply(struct peer_connection *connection, const char *text, const char *usual)
{
    if (!text)
        text = usual;
    if (strcmp(text, PEER_CLOSE) == 0) {
        finish(connection);
        return false;
    }
    if (strcmp(text, PEER_SILENT) == 0) {
        bufferevent_disable(connection->stream, EV_READ);
        return false;
    }
    if (strcmp(text, PEER_ENDLESS) == 0) {
        for (int i = 0; i < 2000; i++)
            evbuffer_add_printf(bufferevent_get_output(connection->stream), "250-on and on\r\n");
        return true;
    }
    bufferevent_write(connection->stream, text, strlen(text));
    return true;
}

static bool begins(const char *line, const char *verb)
{
    return strncasecmp(line, verb, strlen(verb)) == 0;
}

static bool take_recipient(struct peer_connection *connection, const char *line)
{
    struct peer *peer = connection->peer;
    if (peer->bad_recipient && strstr(line, peer->bad_recipient))
        return reply(connection, peer->bad_reply, "550 5.1.1 nobody\r\n");
    if (peer->recipients_a_message && connection->recipients >= peer->recipients_a_message)
        return reply(connection, "452 4.5.3 too many recipients\r\n", "");
    connection->recipients++;
    return reply(connection, peer->rcpt, "250 2.1.5 ok\r\n");
}

static bool take_data(struct peer_connection *connection)
{
    const char *text = connection->peer->data ? connection->peer->data : "354 go on\r\n";
    connection->in_content = begins(text, "354");
    buffer_clear(&connection->peer->message);
    return reply(connection, text, "");
}

/* AUTH PLAIN comes in one line, AUTH LOGIN in three. */
static bool take_auth(struct peer_connection *connection, const char *line)
{
    if (begins(line, "AUTH LOGIN"))
        connection->auth_lines = 3;
    if (connection->auth_lines > 0 && --connection->auth_lines > 0)
        return reply(connection, "334 \r\n", "");
    return reply(connection, connection->peer->auth, "235 2.7.0 signed in\r\n");
}

static bool take_bdat(struct peer_connection *connection, const char *line)
{
    char last[8] = "";
    if (sscanf(line, "%*s %zu %7s", &connection->chunk_left, last) < 1)
        return reply(connection, "501 5.5.4 what\r\n", "");
    connection->last_chunk = last[0] != '\0';
    if (connection->recipients > 0 && connection->peer->chunks++ == 0)
        buffer_clear(&connection->peer->message);
    return true;
}

static bool take_starttls(struct peer_connection *connection)
{
    reply(connection, connection->peer->starttls, "220 go on\r\n");
    connection->start_tls = true;
    return false;
}

static bool take_command(struct peer_connection *connection, const char *line)
{
    struct peer *peer = connection->peer;
    buffer_add_format(&peer->commands, "%s\n", line);
    if (begins(line, "EHLO")) {
        const char *usual = peer->tls && !connection->secure
                                ? "250-peer\r\n250-STARTTLS\r\n250 PIPELINING\r\n"
                                : PEER_EHLO_ALL;
        return reply(connection, peer->ehlo, usual);
    }
    if (begins(line, "HELO"))
        return reply(connection, peer->helo, "250 peer\r\n");
    if (begins(line, "STARTTLS"))
        return take_starttls(connection);
    if (begins(line, "AUTH") || connection->auth_lines > 0)
        return take_auth(connection, line);
    if (begins(line, "BDAT"))
        return take_bdat(connection, line);
    connection->recipients = begins(line, "RCPT") ? connection->recipients : 0;
    if (begins(line, "MAIL"))
        return reply(connection, peer->mail, "250 2.1.0 ok\r\n");
    if (begins(line, "RCPT"))
        return take_recipient(connection, line);
    if (begins(line, "DATA"))
        return take_data(connection);
    if (begins(line, "RSET"))
        return reply(connection, peer->rset, "250 2.0.0 ok\r\n");
    if (begins(line, "QUIT")) {
        reply(connection, peer->quit, "221 2.0.0 bye\r\n");
        finish(connection);
        return false;
    }
    return reply(connection, NULL, "500 5.5.2 what\r\n");
}

static bool take_message(struct peer_connection *connection)
{
    struct peer *peer = connection->peer;
    peer->messages++;
    connection->messages++;
    if (!reply(connection, peer->content, "250 2.0.0 taken\r\n"))
        return false;
    if (peer->messages_a_connection && connection->messages >= peer->messages_a_connection) {
        if (peer->announce_close)
            reply(connection, "421 4.3.2 enough\r\n", "");
        finish(connection);
        return false;
    }
    return true;
}

/* As much of a chunk as is there. */
static bool take_chunk(struct peer_connection *connection, struct evbuffer *input)
{
    struct peer *peer = connection->peer;
    char piece[16384];
    while (connection->chunk_left > 0) {
        size_t most =
            connection->chunk_left < sizeof(piece) ? connection->chunk_left : sizeof(piece);
        int count = evbuffer_remove(input, piece, most);
        if (count <= 0)
            return false;
        connection->chunk_left -= (size_t)count;
        if (connection->recipients > 0)
            buffer_add(&peer->message, piece, (size_t)count);
    }
    if (connection->recipients == 0)
        return reply(connection, "503 5.5.1 no recipients\r\n", "");
    return connection->last_chunk ? take_message(connection)
                                  : reply(connection, peer->chunk, "250 2.0.0 go on\r\n");
}

static bool take_content_line(struct peer_connection *connection, const char *line, size_t length)
{
    struct peer *peer = connection->peer;
    if (strcmp(line, ".") != 0) {
        buffer_add(&peer->message, line, length);
        buffer_add_text(&peer->message, "\n");
        return true;
    }
    connection->in_content = false;
    return take_message(connection);
}

static void secure_stream(struct peer_connection *connection)
{
    struct peer *peer = connection->peer;
    connection->start_tls = false;
    if (peer->break_tls) {
        bufferevent_write(connection->stream, "no TLS here\r\n", 13);
        finish(connection);
        return;
    }
    connection->secure = true;
    connection->stream =
        bufferevent_openssl_filter_new(peer->base, connection->stream, SSL_new(peer->tls),
                                       BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    assert(connection->stream);
    bufferevent_setcb(connection->stream, on_input, on_written, on_stream_event, connection);
    bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

static void on_written(struct bufferevent *stream, void *argument)
{
    struct peer_connection *connection = argument;
    (void)stream;
    if (connection->closing)
        connection_free(connection);
    else if (connection->start_tls)
        secure_stream(connection);
}

static void on_input(struct bufferevent *stream, void *argument)
{
    struct peer_connection *connection = argument;
    struct evbuffer *input = bufferevent_get_input(stream);
    size_t length;
    char *line;
    bool more = connection->chunk_left == 0 || take_chunk(connection, input);
    while (more && (line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
        bool chunk = !connection->in_content && begins(line, "BDAT");
        more = connection->in_content ? take_content_line(connection, line, length)
                                      : take_command(connection, line);
        free(line);
        if (more && chunk)
            more = take_chunk(connection, input);
    }
}

static void on_stream_event(struct bufferevent *stream, short events, void *argument)
{
    (void)stream;
    if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        connection_free(argument);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *argument)
{
    struct peer *peer = argument;
    struct peer_connection *connection = calloc(1, sizeof(*connection));
    (void)listener;
    (void)address;
    (void)length;
    assert(connection);
    connection->peer = peer;
    connection->stream = bufferevent_socket_new(peer->base, fd, BEV_OPT_CLOSE_ON_FREE);
    connection->next = peer->list;
    connection->link = &peer->list;
    if (connection->next)
        connection->next->link = &connection->next;
    peer->list = connection;
    peer->connections++;
    peer->open++;
    if (peer->open > peer->most_open)
        peer->most_open = peer->open;
    bufferevent_setcb(connection->stream, on_input, on_written, on_stream_event, connection);
    bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
    if (peer->sessions_at_once > 0 && peer->open > peer->sessions_at_once) {
        reply(connection, "421 4.7.0 too many sessions\r\n", "");
        finish(connection);
        return;
    }
    reply(connection, peer->greeting, "220 peer ESMTP\r\n");
}

void peer_open(struct peer *peer, struct event_base *base, const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char host[64];
    unsigned port = 0;
    memset(peer, 0, sizeof(*peer));
    if (address && sscanf(address, "%63[0-9.]:%u", host, &port) == 2)
        inet_pton(AF_INET, host, &at.sin_addr);
    at.sin_port = htons((uint16_t)port);
    peer->base = base;
    peer->listener =
        evconnlistener_new_bind(base, on_accept, peer, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                512, (struct sockaddr *)&at, sizeof(at));
    assert(peer->listener);
    socklen_t length = sizeof(at);
    getsockname(evconnlistener_get_fd(peer->listener), (struct sockaddr *)&at, &length);
    peer->port = ntohs(at.sin_port);
}

void peer_close(struct peer *peer)
{
    if (peer->listener)
        evconnlistener_free(peer->listener);
    while (peer->list)
        connection_free(peer->list);
    buffer_free(&peer->commands);
    buffer_free(&peer->message);
}

SSL_CTX *peer_tls_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert(context && key && certificate);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"peer", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    assert(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert(SSL_CTX_use_certificate(context, certificate) == 1);
    assert(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

/* --- certificates --- */

static X509 *new_certificate(EVP_PKEY *key, const char *name, int days)
{
    static long serial;
    X509 *certificate = X509_new();
    assert(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400L * (days < 0 ? 30 : 1));
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * days);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    return certificate;
}

static void add_extension(X509 *certificate, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
    assert(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

void authority_open(struct authority *authority)
{
    static unsigned number;
    char name[64];
    snprintf(name, sizeof(name), "private authority %u", ++number);
    authority->key = EVP_EC_gen("P-256");
    assert(authority->key);
    authority->certificate = new_certificate(authority->key, name, 10);
    X509_set_issuer_name(authority->certificate, X509_get_subject_name(authority->certificate));
    add_extension(authority->certificate, NID_basic_constraints, "critical,CA:TRUE");
    assert(X509_sign(authority->certificate, authority->key, EVP_sha256()) > 0);
}

void authority_close(struct authority *authority)
{
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

SSL_CTX *authority_issue(const struct authority *authority, const char *host, int days)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char names[300];
    assert(context && key);
    X509 *certificate = new_certificate(key, host, days);
    X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate));
    snprintf(names, sizeof(names), "DNS:%s", host);
    add_extension(certificate, NID_subject_alt_name, names);
    assert(X509_sign(certificate, authority->key, EVP_sha256()) > 0);
    assert(SSL_CTX_use_certificate(context, certificate) == 1);
    assert(SSL_CTX_use_PrivateKey(context, key) == 1);
    assert(SSL_CTX_add1_chain_cert(context, authority->certificate) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

char *authority_pem(const struct authority *authority)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *data;
    assert(memory && PEM_write_bio_X509(memory, authority->certificate) == 1);
    long length = BIO_get_mem_data(memory, &data);
    char *text = strndup(data, (size_t)length);
    BIO_free(memory);
    return text;
}

const char *tlsa_text(const X509 *certificate, int usage, int selector, char text[TLSA_TEXT_SIZE])
{
    unsigned char digest[32], *der = NULL;
    int length = selector == 0 ? i2d_X509((X509 *)certificate, &der)
                               : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    assert(length > 0);
    EVP_Q_digest(NULL, "SHA256", NULL, der, (size_t)length, digest, NULL);
    OPENSSL_free(der);
    int at = snprintf(text, TLSA_TEXT_SIZE, "%d %d 1 ", usage, selector);
    for (size_t i = 0; i < sizeof(digest); i++)
        at += snprintf(text + at, TLSA_TEXT_SIZE - (size_t)at, "%02x", digest[i]);
    return text;
}

/* --- DNS --- */

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_MX = 15, TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_TLSA = 52 };

struct packet {
    unsigned char bytes[4096];
    size_t length;
};

static void put(struct packet *packet, const void *data, size_t length)
{
    assert(packet->length + length <= sizeof(packet->bytes));
    memcpy(packet->bytes + packet->length, data, length);
    packet->length += length;
}

static void put_number(struct packet *packet, uint32_t number, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        put(packet, &(unsigned char){(unsigned char)(number >> (8 * i))}, 1);
}

static void put_name(struct packet *packet, const char *name)
{
    while (*name) {
        size_t length = strcspn(name, ".");
        put_number(packet, (uint32_t)length, 1);
        put(packet, name, length);
        name += length + (name[length] == '.');
    }
    put_number(packet, 0, 1);
}

static int type_number(const char *type)
{
    static const struct {
        const char *name;
        int number;
    } types[] = {{"A", TYPE_A},       {"CNAME", TYPE_CNAME}, {"MX", TYPE_MX},
                 {"AAAA", TYPE_AAAA}, {"TXT", TYPE_TXT},     {"TLSA", TYPE_TLSA}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(type, types[i].name) == 0)
            return types[i].number;
    return 0;
}

static void put_tlsa(struct packet *packet, const char *data)
{
    unsigned usage, selector, matching, byte;
    int at;
    if (sscanf(data, "%u %u %u %n", &usage, &selector, &matching, &at) < 3)
        return;
    put_number(packet, usage, 1);
    put_number(packet, selector, 1);
    put_number(packet, matching, 1);
    for (; sscanf(data + at, "%2x", &byte) == 1; at += 2)
        put_number(packet, byte, 1);
}

static void put_text(struct packet *packet, const char *data)
{
    for (size_t left = strlen(data); left > 0;) {
        size_t length = left < 100 ? left : 100; /* strings of a record are joined */
        put_number(packet, (uint32_t)length, 1);
        put(packet, data, length);
        data += length;
        left -= length;
    }
}

static void put_record(struct packet *packet, const struct dns_record *record)
{
    int type = type_number(record->type);
    unsigned char address[16];
    put_name(packet, record->name);
    put_number(packet, (uint32_t)type, 2);
    put_number(packet, 1, 2);
    put_number(packet, record->ttl ? record->ttl : 60, 4);
    size_t at = packet->length;
    put_number(packet, 0, 2);
    if (type == TYPE_A && inet_pton(AF_INET, record->data, address) == 1)
        put(packet, address, 4);
    if (type == TYPE_AAAA && inet_pton(AF_INET6, record->data, address) == 1)
        put(packet, address, 16);
    if (type == TYPE_MX)
        put_number(packet, record->preference, 2);
    if (type == TYPE_MX || type == TYPE_CNAME)
        put_name(packet, record->data);
    if (type == TYPE_TXT)
        put_text(packet, record->data);
    if (type == TYPE_TLSA)
        put_tlsa(packet, record->data);
    packet->bytes[at] = (unsigned char)((packet->length - at - 2) >> 8);
    packet->bytes[at + 1] = (unsigned char)(packet->length - at - 2);
}

struct question {
    char name[256];
    int type;
    size_t end; /* in the packet */
};

static bool read_question(const unsigned char *bytes, size_t length, struct question *question)
{
    size_t at = 12, to = 0;
    while (at < length && bytes[at] != 0) {
        size_t label = bytes[at++];
        if (label > 63 || at + label >= length || to + label + 1 >= sizeof(question->name))
            return false;
        if (to > 0)
            question->name[to++] = '.';
        memcpy(question->name + to, bytes + at, label);
        to += label;
        at += label;
    }
    question->name[to] = '\0';
    if (at + 5 > length)
        return false;
    question->type = bytes[at + 1] << 8 | bytes[at + 2];
    question->end = at + 5;
    return true;
}

/* Adds the answers for a name; an alias's target is answered too. Returns their count. */
static unsigned put_answers(struct packet *packet, const struct dns_record *records,
                            const char *name, int type, bool *exists, bool *fails)
{
    unsigned count = 0;
    for (const struct dns_record *record = records; record->name; record++) {
        if (strcasecmp(record->name, name) != 0)
            continue;
        *exists = true;
        *fails = *fails || strcmp(record->type, "FAIL") == 0;
        int number = type_number(record->type);
        if (number != type && number != TYPE_CNAME)
            continue;
        put_record(packet, record);
        count++;
        if (number == TYPE_CNAME)
            count += put_answers(packet, records, record->data, type, exists, fails);
    }
    return count;
}

static void on_query(evutil_socket_t fd, short events, void *argument)
{
    struct dns_server *server = argument;
    struct sockaddr_in from;
    socklen_t from_length = sizeof(from);
    unsigned char query[1024];
    struct question question;
    struct packet packet = {.length = 0};
    bool exists = false, fails = false;
    (void)events;
    ssize_t length = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_length);
    if (length < 12 || !read_question(query, (size_t)length, &question))
        return;
    server->queries++;
    put(&packet, query, question.end);
    unsigned count =
        put_answers(&packet, server->records, question.name, question.type, &exists, &fails);
    packet.bytes[2] = 0x81;
    bool secure = server->secure && (query[3] & 0x20) &&
                  !(server->insecure_name && strcasecmp(server->insecure_name, question.name) == 0);
    packet.bytes[3] = (unsigned char)(0x80 | (secure ? 0x20 : 0) | (fails ? 2 : exists ? 0 : 3));
    memset(packet.bytes + 6, 0, 6);
    packet.bytes[7] = (unsigned char)count;
    sendto(fd, packet.bytes, packet.length, 0, (struct sockaddr *)&from, from_length);
}

void dns_open(struct dns_server *server, struct event_base *base, const struct dns_record *records)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);
    char port[16];
    *server = (struct dns_server){.records = records};
    server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert(server->fd >= 0 && bind(server->fd, (struct sockaddr *)&at, length) == 0);
    getsockname(server->fd, (struct sockaddr *)&at, &length);
    server->port = ntohs(at.sin_port);
    server->event = event_new(base, server->fd, EV_READ | EV_PERSIST, on_query, server);
    event_add(server->event, NULL);
    snprintf(port, sizeof(port), "%u", (unsigned)server->port);
    setenv("GATEHOUSE_DNS_PORT", port, 1);
}

void dns_close(struct dns_server *server)
{
    if (!server->event)
        return;
    event_free(server->event);
    close(server->fd);
    unsetenv("GATEHOUSE_DNS_PORT");
    server->event = NULL;
}

/* A name server with a table of records. */
#include "test_delivery_peers.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

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
    put_number(packet, record->ttl == DNS_TTL_NONE ? 0 : record->ttl ? record->ttl : 60, 4);
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
    setenv("GATEHOUSE_MX_AT_LOOPBACK", "1", 1);
}

void dns_close(struct dns_server *server)
{
    if (!server->event)
        return;
    event_free(server->event);
    close(server->fd);
    unsetenv("GATEHOUSE_DNS_PORT");
    unsetenv("GATEHOUSE_MX_AT_LOOPBACK");
    server->event = NULL;
}

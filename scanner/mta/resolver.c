#include "scanner/mta/resolver.h"

#include "common/timestamp.h"
#include "scanner/mta/resolver_parse.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_ENTRIES 20000
#define CACHE_BUCKETS 8192 /* a power of two */
#define TTL_LONGEST 86400  /* seconds */
#define TTL_ABSENT_LONGEST 300
#define TTL_NO_ANSWER 5
#define TTL_HOSTS_FILE 60
#define QUERY_MS 2500 /* for the first of the tries; c-ares doubles it */
#define QUERY_TRIES 3
#define EDNS_BYTES 1232
#define HEADER_BYTES 12
#define AD_BIT 0x20 /* in the fourth byte of the header */

enum kind { KIND_ADDRESSES, KIND_MX, KIND_TLSA, KIND_TEXT };

/* A socket of c-ares that the loop watches. */
struct watch {
    struct watch *next;
    struct resolver *resolver;
    ares_channel channel;
    ares_socket_t socket;
    struct event *read, *write;
};

struct waiter {
    struct waiter *next;
    resolver_callback callback;
    void *argument;
};

struct entry {
    struct resolver *resolver;
    struct entry *hash_next;
    struct entry *older, *newer; /* by last use */
    enum kind kind;
    unsigned pending; /* queries under way; the entry stays */
    struct waiter *waiters, **waiters_end;
    struct resolver_answer *answer; /* NULL: none yet */
    /* Gathered while pending: */
    struct resolver_found *found;
    bool no_name, no_answer, insecure;
    uint32_t absence_ttl;
    char name[];
};

struct query {
    struct entry *entry;
    int type;
};

struct resolver {
    struct event_base *base;
    ares_channel channel;
    struct event *timer;
    struct watch *watches;
    struct entry *buckets[CACHE_BUCKETS];
    struct entry *oldest, *newest;
    size_t entries;
    bool closing;
};

static const struct resolver_answer no_answer = {.status = RESOLVER_NO_ANSWER};

static void on_timer(evutil_socket_t fd, short events, void *argument);
static void send_query(struct entry *entry, int type);
static void begin(struct entry *entry);

/* --- c-ares on the loop --- */

static void arm_timer(struct resolver *resolver)
{
    struct timeval time;
    if (ares_timeout(resolver->channel, NULL, &time))
        evtimer_add(resolver->timer, &time);
    else
        evtimer_del(resolver->timer);
}

static void on_socket(evutil_socket_t fd, short events, void *argument)
{
    struct watch *watch = argument;
    struct resolver *resolver = watch->resolver; /* the watch may be gone after this */
    ares_process_fd(watch->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
                    events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    arm_timer(resolver);
}

static void on_timer(evutil_socket_t fd, short events, void *argument)
{
    struct resolver *resolver = argument;
    (void)fd;
    (void)events;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timer(resolver);
}

static void watch_free(struct watch *watch)
{
    if (watch->read)
        event_free(watch->read);
    if (watch->write)
        event_free(watch->write);
    free(watch);
}

static struct watch *watch_new(struct resolver *resolver, ares_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        abort();
    watch->resolver = resolver;
    watch->channel = resolver->channel;
    watch->socket = socket;
    watch->read = event_new(resolver->base, socket, EV_READ | EV_PERSIST, on_socket, watch);
    watch->write = event_new(resolver->base, socket, EV_WRITE | EV_PERSIST, on_socket, watch);
    if (!watch->read || !watch->write)
        abort();
    watch->next = resolver->watches;
    resolver->watches = watch;
    return watch;
}

static void on_socket_state(void *argument, ares_socket_t socket, int readable, int writable)
{
    struct resolver *resolver = argument;
    struct watch **link = &resolver->watches;
    while (*link && (*link)->socket != socket)
        link = &(*link)->next;
    struct watch *watch = *link;
    if (!readable && !writable) {
        if (watch) {
            *link = watch->next;
            watch_free(watch);
        }
        return;
    }
    if (!watch)
        watch = watch_new(resolver, socket);
    if (readable)
        event_add(watch->read, NULL);
    else
        event_del(watch->read);
    if (writable)
        event_add(watch->write, NULL);
    else
        event_del(watch->write);
}

/* --- servers --- */

static uint16_t other_port(void)
{
    const char *text = getenv("GATEHOUSE_DNS_PORT");
    long port = text ? strtol(text, NULL, 10) : 0;
    return port > 0 && port < 65536 ? (uint16_t)port : 0;
}

static int set_servers(ares_channel channel, const struct ip_address *servers, size_t count)
{
    struct ares_addr_node nodes[8];
    size_t used = count < 8 ? count : 8;
    memset(nodes, 0, sizeof(nodes));
    for (size_t i = 0; i < used; i++) {
        nodes[i].next = i + 1 < used ? &nodes[i + 1] : NULL;
        nodes[i].family = ip_is_v4(&servers[i]) ? AF_INET : AF_INET6;
        if (nodes[i].family == AF_INET)
            memcpy(&nodes[i].addr.addr4, servers[i].bytes + 12, 4);
        else
            memcpy(&nodes[i].addr.addr6, servers[i].bytes, 16);
    }
    return used > 0 ? ares_set_servers(channel, nodes) : ARES_SUCCESS;
}

static bool open_channel(struct resolver *resolver, const struct ip_address *servers,
                         size_t server_count, ares_channel *channel, struct error *error)
{
    struct ares_options options = {.flags = ARES_FLAG_EDNS,
                                   .timeout = QUERY_MS,
                                   .tries = QUERY_TRIES,
                                   .ednspsz = EDNS_BYTES,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = resolver};
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
               ARES_OPT_SOCK_STATE_CB;
    if (other_port() > 0) {
        options.udp_port = options.tcp_port = other_port();
        mask |= ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT;
    }
    int result = ares_init_options(channel, &options, mask);
    if (result != ARES_SUCCESS)
        return error_set(error, ERROR_INTERNAL, "dns", "%s", ares_strerror(result));
    result = set_servers(*channel, servers, server_count);
    if (result == ARES_SUCCESS)
        return true;
    ares_destroy(*channel);
    return error_set(error, ERROR_INTERNAL, "dns", "%s", ares_strerror(result));
}

bool resolver_set_servers(struct resolver *resolver, const struct ip_address *servers,
                          size_t server_count, struct error *error)
{
    ares_channel channel, before = resolver->channel;
    if (!open_channel(resolver, servers, server_count, &channel, error))
        return false;
    resolver->channel = channel;
    if (before)
        ares_destroy(before);
    arm_timer(resolver);
    return true;
}

/* --- cache --- */

static struct entry **bucket_of(struct resolver *resolver, const char *name, enum kind kind)
{
    uint32_t hash = 2166136261u + (uint32_t)kind; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return &resolver->buckets[(hash ^ hash >> 16) & (CACHE_BUCKETS - 1)];
}

static void use_unlink(struct resolver *resolver, struct entry *entry)
{
    *(entry->older ? &entry->older->newer : &resolver->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &resolver->newest) = entry->older;
}

static void use_link(struct resolver *resolver, struct entry *entry)
{
    entry->older = resolver->newest;
    entry->newer = NULL;
    *(resolver->newest ? &resolver->newest->newer : &resolver->oldest) = entry;
    resolver->newest = entry;
}

static void found_free(struct entry *entry)
{
    if (entry->found)
        buffer_free(&entry->found->data);
    free(entry->found);
    entry->found = NULL;
}

static void entry_free(struct entry *entry)
{
    free(entry->answer);
    found_free(entry);
    free(entry);
}

static void entry_drop(struct resolver *resolver, struct entry *entry)
{
    struct entry **link = bucket_of(resolver, entry->name, entry->kind);
    while (*link != entry)
        link = &(*link)->hash_next;
    *link = entry->hash_next;
    use_unlink(resolver, entry);
    resolver->entries--;
    entry_free(entry);
}

static void make_room(struct resolver *resolver)
{
    struct entry *entry = resolver->oldest;
    while (entry && resolver->entries >= CACHE_ENTRIES) {
        struct entry *newer = entry->newer;
        if (entry->pending == 0 && !entry->waiters)
            entry_drop(resolver, entry);
        entry = newer;
    }
}

static struct entry *entry_of(struct resolver *resolver, const char *name, enum kind kind)
{
    struct entry **bucket = bucket_of(resolver, name, kind);
    for (struct entry *entry = *bucket; entry; entry = entry->hash_next) {
        if (entry->kind != kind || strcmp(entry->name, name) != 0)
            continue;
        use_unlink(resolver, entry);
        use_link(resolver, entry);
        return entry;
    }
    make_room(resolver);
    struct entry *entry = calloc(1, sizeof(*entry) + strlen(name) + 1);
    if (!entry)
        abort();
    memcpy(entry->name, name, strlen(name) + 1);
    entry->resolver = resolver;
    entry->kind = kind;
    entry->waiters_end = &entry->waiters;
    entry->hash_next = *bucket;
    *bucket = entry;
    use_link(resolver, entry);
    resolver->entries++;
    return entry;
}

/* --- answers --- */

static uint32_t at_most(uint32_t number, uint32_t limit)
{
    return number < limit ? number : limit;
}

/* A name that exists for one kind of address and "does not" for the other, exists; what is not
 * known of one may be had later, so nothing is absent then. */
static enum resolver_status status_of(const struct entry *entry)
{
    if (entry->found->count > 0)
        return RESOLVER_FOUND;
    if (entry->no_answer)
        return RESOLVER_NO_ANSWER;
    return entry->no_name ? RESOLVER_NO_NAME : RESOLVER_NO_DATA;
}

static uint32_t ttl_of(const struct entry *entry, enum resolver_status status)
{
    if (status == RESOLVER_FOUND && !entry->no_answer)
        return at_most(entry->found->ttl, TTL_LONGEST);
    if (status == RESOLVER_FOUND || status == RESOLVER_NO_ANSWER)
        return TTL_NO_ANSWER;
    return entry->absence_ttl;
}

static struct resolver_answer *make_answer(const struct entry *entry)
{
    const struct resolver_found *found = entry->found;
    size_t count = found->count;
    size_t records = count * sizeof(found->records[0]);
    struct resolver_answer *answer = malloc(sizeof(*answer) + records + found->data.length);
    if (!answer)
        abort();
    answer->status = status_of(entry);
    answer->secure = !entry->insecure && !entry->no_answer;
    snprintf(answer->canonical, sizeof(answer->canonical), "%s",
             found->canonical[0] ? found->canonical : entry->name);
    answer->expires = timestamp_monotonic_ms() + 1000 * (int64_t)ttl_of(entry, answer->status);
    answer->count = count;
    memcpy(answer->records, found->records, records);
    unsigned char *data = (unsigned char *)answer->records + records;
    memcpy(data, buffer_text(&found->data), found->data.length);
    for (size_t i = 0; i < count; i++) {
        answer->records[i].data = data;
        data += answer->records[i].data_length;
    }
    return answer;
}

/* Callers may ask again for the same name, whose entry must not change under them. */
static void release(struct entry *entry)
{
    if (--entry->pending == 0 && entry->waiters)
        begin(entry);
}

static void finish(struct entry *entry)
{
    struct waiter *waiter = entry->waiters;
    free(entry->answer);
    entry->answer = make_answer(entry);
    found_free(entry);
    entry->waiters = NULL;
    entry->waiters_end = &entry->waiters;
    entry->pending = 1; /* stays while the waiters are called */
    struct resolver_answer *answer = entry->answer;
    while (waiter) {
        struct waiter *next = waiter->next;
        waiter->callback(waiter->argument, answer);
        free(waiter);
        waiter = next;
    }
    release(entry);
}

/* What the header of an answer says. */
static void note(struct entry *entry, int type, int status, const unsigned char *answer,
                 size_t length)
{
    int code = status == ARES_SUCCESS && length >= HEADER_BYTES ? answer[3] & 0x0f : ns_r_servfail;
    entry->insecure |= code == ns_r_servfail || !(answer[3] & AD_BIT);
    switch (code) {
    case ns_r_noerror:
    case ns_r_nxdomain:
        entry->no_name = entry->no_name || code == ns_r_nxdomain;
        resolver_parse(answer, length, type, entry->found);
        entry->absence_ttl =
            at_most(entry->absence_ttl, resolver_parse_absence(answer, length, TTL_ABSENT_LONGEST));
        break;
    default:
        entry->no_answer = true;
    }
}

static void on_answer(void *argument, int status, int timeouts, unsigned char *answer, int length)
{
    struct query *query = argument;
    struct entry *entry = query->entry;
    int type = query->type;
    (void)timeouts;
    free(query);
    if (entry->resolver->closing)
        return;
    entry->pending--;
    if (status == ARES_EDESTRUCTION) { /* other servers were set */
        send_query(entry, type);
        return;
    }
    note(entry, type, status, answer, length > 0 ? (size_t)length : 0);
    if (entry->pending == 0)
        finish(entry);
}

/* --- queries --- */

static void send_query(struct entry *entry, int type)
{
    struct query *query = malloc(sizeof(*query));
    if (!query)
        abort();
    query->entry = entry;
    query->type = type;
    entry->pending++;
    unsigned char *packet = NULL;
    int length = 0;
    int result = ares_create_query(entry->name, ns_c_in, type, (unsigned short)arc4random(), 1,
                                   &packet, &length, EDNS_BYTES);
    if (result != ARES_SUCCESS) {
        on_answer(query, result, 0, NULL, 0);
        return;
    }
    packet[3] |= AD_BIT;
    ares_send(entry->resolver->channel, packet, length, on_answer, query);
    ares_free_string(packet);
}

static void take_host(struct entry *entry, int family)
{
    struct hostent *host = NULL;
    struct resolver_found *found = entry->found;
    if (ares_gethostbyname_file(entry->resolver->channel, entry->name, family, &host) !=
        ARES_SUCCESS)
        return;
    for (char **at = host->h_addr_list; *at && found->count < RESOLVER_RECORDS; at++) {
        struct ip_address *address = &found->records[found->count].address;
        memset(address->bytes, 0, sizeof(address->bytes));
        if (host->h_addrtype == AF_INET6) {
            memcpy(address->bytes, *at, 16);
        } else {
            memset(address->bytes + 10, 0xff, 2);
            memcpy(address->bytes + 12, *at, 4);
        }
        found->count++;
        found->ttl = TTL_HOSTS_FILE;
    }
    ares_free_hostent(host);
}

static void send_queries(struct entry *entry)
{
    switch (entry->kind) {
    case KIND_MX:
        send_query(entry, ns_t_mx);
        break;
    case KIND_TLSA:
        send_query(entry, RESOLVER_TYPE_TLSA);
        break;
    case KIND_TEXT:
        send_query(entry, ns_t_txt);
        break;
    default:
        send_query(entry, ns_t_aaaa);
        send_query(entry, ns_t_a);
    }
}

static void begin(struct entry *entry)
{
    entry->found = calloc(1, sizeof(*entry->found));
    if (!entry->found)
        abort();
    entry->found->ttl = UINT32_MAX;
    entry->absence_ttl = TTL_ABSENT_LONGEST;
    entry->no_name = entry->no_answer = entry->insecure = false;
    if (entry->kind == KIND_ADDRESSES) {
        take_host(entry, AF_INET6);
        take_host(entry, AF_INET);
    }
    if (entry->found->count > 0) {
        entry->insecure = true;
        finish(entry);
        return;
    }
    entry->pending++; /* so that an answer at once does not finish it before all was asked */
    send_queries(entry);
    if (--entry->pending == 0)
        finish(entry);
    else
        arm_timer(entry->resolver);
}

static void find(struct resolver *resolver, const char *name, enum kind kind,
                 resolver_callback callback, void *argument)
{
    if (resolver->closing) {
        callback(argument, &no_answer);
        return;
    }
    struct entry *entry = entry_of(resolver, name, kind);
    if (entry->answer && (timestamp_monotonic_ms() < entry->answer->expires)) {
        entry->pending++;
        callback(argument, entry->answer);
        release(entry);
        return;
    }
    struct waiter *waiter = calloc(1, sizeof(*waiter));
    if (!waiter)
        abort();
    waiter->callback = callback;
    waiter->argument = argument;
    *entry->waiters_end = waiter;
    entry->waiters_end = &waiter->next;
    if (entry->pending == 0)
        begin(entry);
}

void resolver_find_mx(struct resolver *resolver, const char *name, resolver_callback callback,
                      void *argument)
{
    find(resolver, name, KIND_MX, callback, argument);
}

void resolver_find_addresses(struct resolver *resolver, const char *name,
                             resolver_callback callback, void *argument)
{
    find(resolver, name, KIND_ADDRESSES, callback, argument);
}

void resolver_find_tlsa(struct resolver *resolver, const char *name, resolver_callback callback,
                        void *argument)
{
    find(resolver, name, KIND_TLSA, callback, argument);
}

void resolver_find_text(struct resolver *resolver, const char *name, resolver_callback callback,
                        void *argument)
{
    find(resolver, name, KIND_TEXT, callback, argument);
}

/* --- life --- */

struct resolver *resolver_new(struct event_base *base, const struct ip_address *servers,
                              size_t server_count, struct error *error)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        free(resolver);
        error_set(error, ERROR_INTERNAL, "dns", "no memory for the resolver");
        return NULL;
    }
    resolver->base = base;
    resolver->timer = evtimer_new(base, on_timer, resolver);
    if (!resolver->timer || !resolver_set_servers(resolver, servers, server_count, error)) {
        resolver_free(resolver);
        return NULL;
    }
    return resolver;
}

static void disappoint_waiters(struct entry *entry)
{
    while (entry->waiters) {
        struct waiter *waiter = entry->waiters;
        entry->waiters = waiter->next;
        waiter->callback(waiter->argument, &no_answer);
        free(waiter);
    }
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    resolver->closing = true;
    if (resolver->channel)
        ares_destroy(resolver->channel);
    if (resolver->timer)
        event_free(resolver->timer);
    for (struct entry *entry = resolver->oldest; entry; entry = entry->newer)
        disappoint_waiters(entry);
    for (struct entry *entry = resolver->oldest, *newer; entry; entry = newer) {
        newer = entry->newer;
        entry_free(entry);
    }
    free(resolver);
    ares_library_cleanup();
}

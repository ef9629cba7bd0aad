#include "scanner/mta/https_client.h"

#include "common/timestamp.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 50
#define CONNECT_SECONDS 20
#define ADDRESSES 4 /* of a name that are tried */

struct transfer {
    struct transfer *next, **link;
    struct https_client *client;
    https_callback callback;
    void *argument;
    CURL *handle;
    struct curl_slist *addresses, *connect_to, *headers;
    struct buffer answer;
    char *body;
    char host[DOMAIN_SIZE], problem[CURL_ERROR_SIZE];
    unsigned port;
    bool looking_up, running;
};

struct https_client {
    struct event_base *base;
    struct resolver *resolver;
    CURLM *multi;
    struct event *timer;
    struct transfer *transfers;
    bool closing;
};

/* --- ends --- */

static void transfer_free(struct transfer *transfer)
{
    *transfer->link = transfer->next;
    if (transfer->next)
        transfer->next->link = transfer->link;
    if (transfer->running)
        curl_multi_remove_handle(transfer->client->multi, transfer->handle);
    curl_easy_cleanup(transfer->handle);
    curl_slist_free_all(transfer->addresses);
    curl_slist_free_all(transfer->connect_to);
    curl_slist_free_all(transfer->headers);
    buffer_free(&transfer->answer);
    free(transfer->body);
    free(transfer);
}

static void finish(struct transfer *transfer, const struct https_answer *answer)
{
    transfer->callback(transfer->argument, answer);
    transfer_free(transfer);
}

static void fail(struct transfer *transfer, const char *problem)
{
    finish(transfer, &(struct https_answer){.problem = problem, .body = ""});
}

static void finish_with(struct transfer *transfer, CURLcode result)
{
    struct https_answer answer = {.body = buffer_text(&transfer->answer),
                                  .length = transfer->answer.length};
    if (result == CURLE_OK) {
        curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &answer.status);
        char *type = NULL;
        curl_easy_getinfo(transfer->handle, CURLINFO_CONTENT_TYPE, &type);
        answer.content_type = type;
    } else {
        answer.certificate_failed = result == CURLE_PEER_FAILED_VERIFICATION;
        answer.problem = transfer->problem[0] ? transfer->problem : curl_easy_strerror(result);
    }
    finish(transfer, &answer);
}

static void take_finished(struct https_client *client)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
        struct transfer *transfer = NULL;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        finish_with(transfer, result);
    }
}

/* --- libcurl on the loop --- */

static void on_socket(evutil_socket_t fd, short events, void *argument)
{
    struct https_client *client = argument;
    int running;
    curl_multi_socket_action(client->multi, fd,
                             (events & EV_READ ? CURL_CSELECT_IN : 0) |
                                 (events & EV_WRITE ? CURL_CSELECT_OUT : 0),
                             &running);
    take_finished(client);
}

static void on_timer(evutil_socket_t fd, short events, void *argument)
{
    struct https_client *client = argument;
    int running;
    (void)fd;
    (void)events;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(client);
}

static int on_watch(CURL *handle, curl_socket_t socket, int what, void *argument, void *known)
{
    struct https_client *client = argument;
    struct event *event = known;
    (void)handle;
    if (event)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        short kinds = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                              (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
        event = event_new(client->base, socket, kinds, on_socket, client);
        if (!event)
            abort();
        event_add(event, NULL);
    }
    curl_multi_assign(client->multi, socket, event);
    return 0;
}

static int on_timeout(CURLM *multi, long milliseconds, void *argument)
{
    struct https_client *client = argument;
    (void)multi;
    if (milliseconds < 0) {
        evtimer_del(client->timer);
        return 0;
    }
    struct timeval time = timestamp_interval(milliseconds);
    evtimer_add(client->timer, &time);
    return 0;
}

static size_t on_answer_bytes(char *data, size_t size, size_t count, void *argument)
{
    struct transfer *transfer = argument;
    return buffer_add(&transfer->answer, data, size * count) ? size * count : 0;
}

/* --- requests --- */

static unsigned other_port(unsigned port)
{
    const char *text = getenv("GATEHOUSE_HTTPS_PORT");
    long other = text ? strtol(text, NULL, 10) : 0;
    return other > 0 && other < 65536 ? (unsigned)other : port;
}

static void add_to(struct curl_slist **list, const char *text)
{
    struct curl_slist *more = curl_slist_append(*list, text);
    if (!more)
        abort();
    *list = more;
}

/* "HOST:PORT:ADDRESS,ADDRESS" */
static void set_addresses(struct transfer *transfer, const struct resolver_answer *answer)
{
    struct buffer text = BUFFER_INIT;
    char ip[IP_TEXT_SIZE], to[DOMAIN_SIZE + 16];
    buffer_add_format(&text, "%s:%u:", transfer->host, transfer->port);
    for (size_t i = 0; i < answer->count && i < ADDRESSES; i++) {
        const struct ip_address *address = &answer->records[i].address;
        buffer_add_format(&text, ip_is_v4(address) ? "%s%s" : "%s[%s]", i > 0 ? "," : "",
                          ip_text(address, ip));
    }
    add_to(&transfer->addresses, buffer_text(&text));
    buffer_free(&text);
    snprintf(to, sizeof(to), "::%s:%u", transfer->host, transfer->port);
    add_to(&transfer->connect_to, to);
    curl_easy_setopt(transfer->handle, CURLOPT_RESOLVE, transfer->addresses);
    curl_easy_setopt(transfer->handle, CURLOPT_CONNECT_TO, transfer->connect_to);
}

static void on_addresses(void *argument, const struct resolver_answer *answer)
{
    struct transfer *transfer = argument;
    transfer->looking_up = false;
    if (answer->status != RESOLVER_FOUND || transfer->client->closing) {
        fail(transfer, "the name of the server is not found");
        return;
    }
    set_addresses(transfer, answer);
    transfer->running =
        curl_multi_add_handle(transfer->client->multi, transfer->handle) == CURLM_OK;
    if (!transfer->running)
        fail(transfer, "the request cannot be started");
}

/* Host and port of the URL. */
static bool read_url(struct transfer *transfer, const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL, *port = NULL;
    bool good = parts && strncmp(url, "https://", 8) == 0 &&
                curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                domain_normalise(host, true, transfer->host) == NULL;
    transfer->port = good ? other_port((unsigned)strtoul(port, NULL, 10)) : 0;
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return good;
}

static void set_body(struct transfer *transfer, const struct https_request *request)
{
    char type[128];
    transfer->body = malloc(request->body_length + 1);
    if (!transfer->body)
        abort();
    memcpy(transfer->body, request->body, request->body_length);
    snprintf(type, sizeof(type), "Content-Type: %s", request->content_type);
    add_to(&transfer->headers, type);
    curl_easy_setopt(transfer->handle, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(transfer->handle, CURLOPT_POSTFIELDSIZE, (long)request->body_length);
    curl_easy_setopt(transfer->handle, CURLOPT_POSTFIELDS, transfer->body);
}

static void set_up(struct transfer *transfer, const struct https_request *request)
{
    CURL *handle = transfer->handle;
    const char *authorities = getenv("GATEHOUSE_HTTPS_CA");
    curl_easy_setopt(handle, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(handle, CURLOPT_URL, request->url);
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "Gatehouse");
    curl_easy_setopt(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT, (long)request->seconds);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, transfer->problem);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_answer_bytes);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, transfer);
    if (authorities) {
        curl_easy_setopt(handle, CURLOPT_CAINFO, authorities);
        curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
    }
    if (request->content_type)
        set_body(transfer, request);
}

void https_client_send(struct https_client *client, const struct https_request *request,
                       https_callback callback, void *argument)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer || !(transfer->handle = curl_easy_init()))
        abort();
    transfer->client = client;
    transfer->callback = callback;
    transfer->argument = argument;
    transfer->answer.limit = request->answer_limit;
    transfer->next = client->transfers;
    transfer->link = &client->transfers;
    if (transfer->next)
        transfer->next->link = &transfer->next;
    client->transfers = transfer;
    if (!read_url(transfer, request->url)) {
        fail(transfer, "the URL is none of HTTPS");
        return;
    }
    set_up(transfer, request);
    transfer->looking_up = true;
    resolver_find_addresses(client->resolver, transfer->host, on_addresses, transfer);
}

/* --- life --- */

struct https_client *https_client_new(struct event_base *base, struct resolver *resolver,
                                      struct error *error)
{
    struct https_client *client = calloc(1, sizeof(*client));
    if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        error_set(error, ERROR_INTERNAL, "https", "libcurl cannot be set up");
        return NULL;
    }
    client->base = base;
    client->resolver = resolver;
    client->multi = curl_multi_init();
    client->timer = evtimer_new(base, on_timer, client);
    if (!client->multi || !client->timer)
        abort();
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_watch);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS);
    return client;
}

/* Those whose name is being looked up end with the resolver. */
void https_client_close(struct https_client *client)
{
    if (!client)
        return;
    client->closing = true;
    for (struct transfer *transfer = client->transfers, *next; transfer; transfer = next) {
        next = transfer->next;
        if (!transfer->looking_up)
            fail(transfer, "the mta is being stopped");
    }
}

void https_client_free(struct https_client *client)
{
    if (!client)
        return;
    curl_multi_cleanup(client->multi);
    event_free(client->timer);
    free(client);
    curl_global_cleanup();
}

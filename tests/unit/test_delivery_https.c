#include "test_delivery_https.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_request(struct evhttp_request *request, void *argument)
{
    struct https_server *server = argument;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evbuffer_new(), *input = evhttp_request_get_input_buffer(request);
    const char *host = evhttp_request_get_host(request);
    size_t length = evbuffer_get_length(input);
    server->requests++;
    snprintf(server->host, sizeof(server->host), "%s", host ? host : "");
    snprintf(server->path, sizeof(server->path), "%s", evhttp_request_get_uri(request));
    buffer_clear(&server->posted);
    buffer_add(&server->posted, evbuffer_pullup(input, -1), length);
    evhttp_add_header(headers, "Content-Type",
                      server->content_type ? server->content_type : "text/plain");
    if (server->location)
        evhttp_add_header(headers, "Location", server->location);
    evbuffer_add(body, server->answer, strlen(server->answer));
    evhttp_send_reply(request, server->status ? server->status : 200, "as told", body);
    evbuffer_free(body);
}

static struct bufferevent *on_connection(struct event_base *base, void *argument)
{
    const struct https_server *server = argument;
    return bufferevent_openssl_socket_new(base, -1, SSL_new(server->tls), BUFFEREVENT_SSL_ACCEPTING,
                                          BEV_OPT_CLOSE_ON_FREE);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert(file);
    fputs(text, file);
    fclose(file);
}

void https_open(struct https_server *server, struct event_base *base,
                const struct authority *authority, const char *name, const char *folder)
{
    struct sockaddr_in at;
    socklen_t length = sizeof(at);
    char port[16], *pem = authority_pem(authority);
    memset(server, 0, sizeof(*server));
    server->answer = "";
    server->tls = authority_issue(authority, name, 10);
    server->http = evhttp_new(base);
    evhttp_set_bevcb(server->http, on_connection, server);
    evhttp_set_gencb(server->http, on_request, server);
    struct evhttp_bound_socket *socket =
        evhttp_bind_socket_with_handle(server->http, "127.0.0.1", 0);
    assert(socket);
    getsockname(evhttp_bound_socket_get_fd(socket), (struct sockaddr *)&at, &length);
    server->port = ntohs(at.sin_port);
    snprintf(port, sizeof(port), "%u", (unsigned)server->port);
    snprintf(server->authority_file, sizeof(server->authority_file), "%s/authority.pem", folder);
    write_file(server->authority_file, pem);
    setenv("GATEHOUSE_HTTPS_PORT", port, 1);
    setenv("GATEHOUSE_HTTPS_CA", server->authority_file, 1);
    free(pem);
}

void https_stop(struct https_server *server)
{
    if (server->http)
        evhttp_free(server->http);
    server->http = NULL;
}

void https_close(struct https_server *server)
{
    https_stop(server);
    SSL_CTX_free(server->tls);
    buffer_free(&server->posted);
    unlink(server->authority_file);
    unsetenv("GATEHOUSE_HTTPS_PORT");
    unsetenv("GATEHOUSE_HTTPS_CA");
}

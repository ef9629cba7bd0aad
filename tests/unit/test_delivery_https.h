/* An HTTPS server of the test, on its own event loop's turn: policies of MTA-STS and reports. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_DELIVERY_HTTPS_H
#define GATEHOUSE_TESTS_UNIT_TEST_DELIVERY_HTTPS_H

#include "common/buffer.h"
#include "test_delivery_peers.h"

#include <event2/http.h>

struct https_server {
    /* How it behaves; may be changed at any time. */
    int status; /* 0: 200 */
    const char *content_type, *answer, *location;

    /* What it saw. */
    unsigned requests;
    char host[256], path[256];
    struct buffer posted;

    uint16_t port;
    struct evhttp *http;
    SSL_CTX *tls;
    char authority_file[96];
};

/* Serves at 127.0.0.1 and a free port as `name`; requests of the mta go there, and trust the
 * authority (environment variables of https_client.h). `folder` holds a file. */
void https_open(struct https_server *server, struct event_base *base,
                const struct authority *authority, const char *name, const char *folder);
/* Leaves the variables, so that requests find nobody. */
void https_stop(struct https_server *server);
void https_close(struct https_server *server);

#endif

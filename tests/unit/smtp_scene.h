/* The scene of the tests of the SMTP server: a real server on the loopback, with doubles for what
 * stands behind it (intake, queue, audit log), and a client on the same thread. */
#ifndef GATEHOUSE_TESTS_SMTP_SCENE_H
#define GATEHOUSE_TESTS_SMTP_SCENE_H

#include "common/buffer.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/smtp_server.h"

#include <jansson.h>
#include <openssl/ssl.h>
#include <stdbool.h>

/* What the server handed over. */
struct scene_message {
    struct scene_message *next;
    char *envelope; /* "inbound ESMTP helo=... from=<...> to=<...>..." */
    struct buffer body;
    bool large; /* it came as a file */
};

struct scene_event {
    struct scene_event *next;
    char *text; /* "refused from=<...> to=<...> reply", "aborted from=<...> to=<...>" */
};

struct scene {
    struct mta mta;
    json_t *document;
    json_t *certificate;                  /* "smtp.tls" of a document that has TLS */
    unsigned inbound, inbound6, outbound; /* ports */
    struct scene_message *messages, **messages_end;
    struct scene_event *events, **events_end;
    unsigned long message_count, event_count;
    char reply[512];  /* of the intake; "" for "250 2.0.0 Ok: queued as ID" */
    bool hold;        /* the intake does not answer yet */
    bool keep;        /* messages are kept to be looked at */
    bool full;        /* the disk is */
    bool large_fails; /* no file can be made for a large body */
};

/* One at a time. The document is the base that a test changes and then configures. */
struct scene *scene_new(void);
void scene_free(struct scene *scene);
json_t *scene_document(const struct scene *scene);
/* A new server, which remembers nothing of clients. Configure it then. */
void scene_restart(struct scene *scene);
/* Takes the document (stolen) into use; false with *error. */
bool scene_configure(struct scene *scene, json_t *document, struct error *error);
/* The intake answers what it holds. */
void scene_answer(struct scene *scene);
size_t scene_held(const struct scene *scene);
/* Forgets messages and events. */
void scene_clear(struct scene *scene);
/* One turn of the loop, without waiting. */
void scene_turn(struct scene *scene);

/* --- the client --- */

struct scene_client {
    struct scene *scene;
    int fd;
    SSL *ssl;
    struct buffer input;
    size_t used;
    bool closed;    /* by the server */
    char place[80]; /* its own "IP:PORT" as EHLO tells it */
};

/* Connects without a turn of the loop: what is sent now comes before the greeting. */
void client_open(struct scene_client *client, struct scene *scene, unsigned port, bool v6);
/* Sends all, turning the loop while the socket is full; stops early where the server closed. */
void client_send(struct scene_client *client, const char *data, size_t length);
/* The next line without CRLF into `line`; false where none comes within `milliseconds`, or the
 * server closed. A line that does not end in CRLF alone fails the test. */
bool client_line(struct scene_client *client, char *line, size_t size, int milliseconds);
/* Whether the server closes within that time, with no further line before. */
bool client_closed(struct scene_client *client, int milliseconds);
/* A TLS handshake; false where it fails. */
bool client_tls(struct scene_client *client);
void client_close(struct scene_client *client);

#endif

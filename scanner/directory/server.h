/* run/directory.sock: questions of the other processes (docs/architecture.md). */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_SERVER_H
#define GATEHOUSE_SCANNER_DIRECTORY_SERVER_H

#include "common/error.h"
#include "scanner/directory/question.h"

struct server;

/* NULL with *error. */
struct server *server_open(struct event_base *base, struct questions *questions, const char *path,
                           struct error *error);
/* Closes all connections and removes the socket. NULL is allowed. */
void server_close(struct server *server);

#endif

/* What enrolment wrote down about this scanner, and where its files are. */
#ifndef GATEHOUSE_SCANNER_AGENT_NODE_H
#define GATEHOUSE_SCANNER_AGENT_NODE_H

#include "common/error.h"

#include <stdbool.h>

/* Below the state directory. The private key and the certificates are the agent's alone; the public
 * key of configurations is for every process that reads one. */
#define NODE_FILE "node.json"
#define NODE_KEY_FILE "agent/key.pem"
#define NODE_CERTIFICATE_FILE "agent/certificate.pem"
#define NODE_CA_FILE "agent/ca.pem"
#define NODE_CONFIGURATION_KEY_FILE "config/configuration.pub"
#define NODE_CONFIGURATION_FILE "config/current.json"
#define NODE_PREVIOUS_FILE "config/previous.json"
/* Where freshclam puts its databases. */
#define NODE_SIGNATURES_FOLDER "signatures/clamav"
#define NODE_MTA_SOCKET "run/mta.sock"
#define NODE_ENGINE_SOCKET "run/engine-control.sock"
#define NODE_DIRECTORY_SOCKET "run/directory-control.sock"
#define NODE_SUPERVISOR_SOCKET "run/supervisor.sock"

#define NODE_PATH_SIZE 1024

/* node.json: {"scanner_id":UUID,"url":S,"host_name":S}. Its presence means "enrolled". */
struct node {
    char scanner_id[37];
    char url[512]; /* "https://control.example.com:8444", no path */
    char host_name[256];
};

/* Reads STATE/node.json. ERROR_NOT_FOUND: this state directory is not enrolled. */
bool node_load(const char *state, struct node *node, struct error *error);
bool node_save(const char *path, const struct node *node, struct error *error);

/* Checks "https://HOST[:PORT]" (no user, path, query or fragment). */
bool node_check_url(const char *url, struct error *error);

#endif

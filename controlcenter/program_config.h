/* The Control Center's own configuration file: where its database is and where it listens.
 *
 * {"database":CONNINFO,"connections":N [16],
 *  "https":{"address":IP ["0.0.0.0"],"port":N [8443]},
 *  "fleet":{"address":IP ["0.0.0.0"],"port":N [8444],"names":[S,...] [this host's name]},
 *  "fastcgi":{"socket":S},
 *  "templates":DIR,"webroot":DIR,"schema":DIR}
 *
 * names: the DNS names and IP addresses by which scanners reach the fleet port (and browsers the
 * console); the first is the one in enrolment commands. fastcgi may be left out. */
#ifndef GATEHOUSE_CONTROLCENTER_PROGRAM_CONFIG_H
#define GATEHOUSE_CONTROLCENTER_PROGRAM_CONFIG_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define PROGRAM_NAME_MOST 32

struct program_listener {
    const char *address;
    unsigned port;
};

struct program_config { /* texts belong to `source` or `host_name` */
    const char *database;
    unsigned connections;
    struct program_listener https;
    struct program_listener fleet;
    const char *names[PROGRAM_NAME_MOST + 4];
    size_t name_count;          /* at least 1 */
    const char *fastcgi_socket; /* NULL: none */
    const char *templates;
    const char *webroot;
    const char *schema;
    char fleet_url[320]; /* "https://NAME:PORT" */
    char host_name[256];
    json_t *source;
};

/* False with *error that names the file and the member. Clear in either case. */
bool program_config_load(const char *path, struct program_config *config, struct error *error);
void program_config_clear(struct program_config *config);

#endif

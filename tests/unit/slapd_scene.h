/* A private OpenLDAP server on loopback with a small directory, for tests of directory sources. */
#ifndef GATEHOUSE_TESTS_UNIT_SLAPD_SCENE_H
#define GATEHOUSE_TESTS_UNIT_SLAPD_SCENE_H

#include "common/config_model.h"

#include <stdint.h>
#include <sys/types.h>

#define SLAPD_BASE "dc=example,dc=com"
#define SLAPD_READER "cn=reader,dc=example,dc=com" /* alone may read */
#define SLAPD_READER_PASSWORD "reader's secret"

struct slapd_scene {
    char folder[64];
    uint16_t port, tls_port;
    char uri[64], tls_uri[64]; /* ldap://127.0.0.1:PORT, ldaps://... */
    char *ca;                  /* PEM of who signed the server's certificate */
    char *other_ca;            /* of somebody else */
    pid_t pid;                 /* 0: not running */
};

/* Makes the directory; the server is not started. Fails the test where that cannot be done. */
void slapd_scene_open(struct slapd_scene *scene);
/* Starts it again on the same ports, and waits until it answers. */
void slapd_scene_start(struct slapd_scene *scene);
void slapd_scene_stop(struct slapd_scene *scene);
void slapd_scene_close(struct slapd_scene *scene);

/* A port on loopback where nobody listens. */
uint16_t slapd_scene_free_port(void);
/* A socket on loopback that takes connections (by its backlog) and never answers. */
int slapd_scene_silent_server(uint16_t *port);

/* A parsed configuration with these sources (a JSON array). The caller frees it. */
struct scanner_config *slapd_scene_config(const char *sources);

#endif

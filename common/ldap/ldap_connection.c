#include "common/ldap/ldap_connection.h"

#include "common/ldap/ldap_connection_private.h"
#include "common/ldap/ldap_tls.h"
#include "common/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LDAP_URI_SIZE 600

/* --- errors and time --- */

bool ldap_connection_fail(LDAP *ld, int code, const char *server, const char *what,
                          struct error *error)
{
    char *detail = NULL;
    ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &detail);
    bool has_detail = detail && *detail;
    error_set(error, code == LDAP_TIMEOUT ? ERROR_TIMEOUT : ERROR_UNAVAILABLE, server,
              "%s: %s%s%s%s", what, ldap_err2string(code), has_detail ? " (" : "",
              has_detail ? detail : "", has_detail ? ")" : "");
    ldap_memfree(detail);
    return false;
}

bool ldap_connection_set_time(LDAP *ld, int64_t until, struct timeval *left)
{
    int64_t milliseconds = until - timestamp_monotonic_ms();
    if (milliseconds <= 0)
        return false;
    *left = timestamp_interval(milliseconds);
    return ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, left) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_TIMEOUT, left) == LDAP_OPT_SUCCESS;
}

int ldap_connection_wait(LDAP *ld, int id, int64_t until, LDAPMessage **message)
{
    struct timeval left;
    int code = LDAP_TIMEOUT;
    *message = NULL;
    if (!ldap_connection_set_time(ld, until, &left)) {
        ldap_abandon_ext(ld, id, NULL, NULL);
        return LDAP_TIMEOUT;
    }
    int type = ldap_result(ld, id, LDAP_MSG_ONE, &left, message);
    if (type > 0)
        return LDAP_SUCCESS;
    if (type < 0)
        ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &code);
    ldap_abandon_ext(ld, id, NULL, NULL);
    return code == LDAP_SUCCESS ? LDAP_SERVER_DOWN : code;
}

/* --- opening --- */

/* libldap calls this once TCP is there. From here on nothing but waiting for an answer takes time,
 * and no message has no end. */
static int on_connected(LDAP *ld, Sockbuf *sockbuf, LDAPURLDesc *server, struct sockaddr *address,
                        struct ldap_conncb *callback)
{
    ber_len_t most = LDAP_MESSAGE_MOST;
    (void)ld;
    (void)server;
    (void)address;
    (void)callback;
    ber_sockbuf_ctrl(sockbuf, LBER_SB_OPT_SET_MAX_INCOMING, &most);
    return ber_sockbuf_ctrl(sockbuf, LBER_SB_OPT_SET_NONBLOCK, sockbuf) == 1 ? 0 : -1;
}

static void on_disconnected(LDAP *ld, Sockbuf *sockbuf, struct ldap_conncb *callback)
{
    (void)ld;
    (void)sockbuf;
    (void)callback;
}

static bool set_options(struct ldap_connection *connection, struct error *error)
{
    LDAP *ld = connection->ld;
    int version = LDAP_VERSION3, never = LDAP_DEREF_NEVER;
    connection->callback = (struct ldap_conncb){.lc_add = on_connected, .lc_del = on_disconnected};
    if (ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
        ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
        ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON) == LDAP_OPT_SUCCESS &&
        ldap_set_option(ld, LDAP_OPT_DEREF, &never) == LDAP_OPT_SUCCESS &&
        ldap_set_option(ld, LDAP_OPT_CONNECT_CB, &connection->callback) == LDAP_OPT_SUCCESS)
        return true;
    return error_set(error, ERROR_INTERNAL, connection->server, "an option cannot be set");
}

static bool shake_hands(struct ldap_connection *connection, struct error *error)
{
    struct error reason = {0};
    if (ldap_tls_start(connection->ld, connection->host, connection->source->ca,
                       connection->open_until, &reason))
        return true;
    return error_set(error, reason.code, connection->server, "%s", reason.message);
}

static bool start_tls(struct ldap_connection *connection, struct error *error)
{
    LDAP *ld = connection->ld;
    LDAPMessage *message = NULL;
    int id, result = LDAP_OTHER;
    int code = ldap_start_tls(ld, NULL, NULL, &id);
    if (code == LDAP_SUCCESS)
        code = ldap_connection_wait(ld, id, connection->open_until, &message);
    if (code == LDAP_SUCCESS)
        code = ldap_parse_result(ld, message, &result, NULL, NULL, NULL, NULL, 1);
    if (code == LDAP_SUCCESS)
        code = result;
    if (code != LDAP_SUCCESS)
        return ldap_connection_fail(ld, code, connection->server, "TLS cannot be started", error);
    return shake_hands(connection, error);
}

static bool connect_to(struct ldap_connection *connection, enum ldap_stage *stage,
                       struct error *error)
{
    LDAP *ld = connection->ld;
    struct timeval left;
    *stage = LDAP_STAGE_CONNECT;
    if (!set_options(connection, error))
        return false;
    if (!ldap_connection_set_time(ld, connection->open_until, &left))
        return error_set(error, ERROR_TIMEOUT, connection->server, "no time is left to connect");
    int code = ldap_connect(ld);
    if (code != LDAP_SUCCESS)
        return ldap_connection_fail(ld, code, connection->server, "no connection", error);
    *stage = LDAP_STAGE_TLS;
    if (connection->is_tls)
        return shake_hands(connection, error);
    return !connection->source->start_tls || start_tls(connection, error);
}

/* --- binding --- */

/* The result of a bind as the server gave it; LDAP_SERVER_DOWN, LDAP_TIMEOUT and such where there
 * is none. */
static int bind_as(struct ldap_connection *connection, const char *dn, const char *password)
{
    LDAP *ld = connection->ld;
    LDAPMessage *message;
    struct berval credentials = {.bv_val = (char *)password, .bv_len = strlen(password)};
    int id, result = LDAP_OTHER;
    int code = ldap_sasl_bind(ld, dn, LDAP_SASL_SIMPLE, &credentials, NULL, NULL, &id);
    if (code == LDAP_SUCCESS)
        code = ldap_connection_wait(ld, id, connection->open_until, &message);
    if (code == LDAP_SUCCESS)
        code = ldap_parse_result(ld, message, &result, NULL, NULL, NULL, NULL, 1);
    return code == LDAP_SUCCESS ? result : code;
}

static bool bind_source(struct ldap_connection *connection, struct error *error)
{
    const struct config_directory_source *source = connection->source;
    if (!source->bind_dn || !*source->bind_dn)
        return true;
    if (!source->bind_password || !*source->bind_password)
        return error_set(error, ERROR_INVALID, connection->server,
                         "the bind DN has no password: servers take that for nobody's name");
    int code = bind_as(connection, source->bind_dn, source->bind_password);
    return code == LDAP_SUCCESS || ldap_connection_fail(connection->ld, code, connection->server,
                                                        "the server refuses the bind", error);
}

/* --- life --- */

/* libldap opens a connection without TLS in any case: ldap_tls.h adds it. */
static bool read_address(struct ldap_connection *connection, char uri[LDAP_URI_SIZE],
                         struct error *error)
{
    LDAPURLDesc *parsed = NULL;
    bool good = ldap_url_parse(connection->server, &parsed) == LDAP_URL_SUCCESS;
    if (good && parsed->lud_host && *parsed->lud_host) {
        bool is_ipv6 = strchr(parsed->lud_host, ':') != NULL;
        connection->is_tls = strcasecmp(parsed->lud_scheme, "ldaps") == 0;
        int port = parsed->lud_port ? parsed->lud_port : connection->is_tls ? 636 : 389;
        snprintf(connection->host, sizeof(connection->host), "%s", parsed->lud_host);
        snprintf(uri, LDAP_URI_SIZE, is_ipv6 ? "ldap://[%s]:%d" : "ldap://%s:%d", parsed->lud_host,
                 port);
    } else {
        good = false;
    }
    ldap_free_urldesc(parsed);
    return good || error_set(error, ERROR_INVALID, connection->server,
                             "the server's address cannot be used");
}

static struct ldap_connection *connection_new(const struct config_directory_source *source,
                                              const char *server, int64_t until,
                                              struct error *error)
{
    struct ldap_connection *connection = calloc(1, sizeof(*connection));
    char uri[LDAP_URI_SIZE];
    if (!connection) {
        error_set(error, ERROR_INTERNAL, server, "out of memory");
        return NULL;
    }
    connection->source = source;
    connection->server = server;
    connection->open_until = until;
    if (read_address(connection, uri, error)) {
        int code = ldap_initialize(&connection->ld, uri);
        if (code == LDAP_SUCCESS)
            return connection;
        error_set(error, ERROR_INVALID, server, "the server's address cannot be used: %s",
                  ldap_err2string(code));
    }
    free(connection);
    return NULL;
}

struct ldap_connection *ldap_connection_open(const struct config_directory_source *source,
                                             const char *server, int64_t until,
                                             enum ldap_stage *stage, struct error *error)
{
    enum ldap_stage local;
    stage = stage ? stage : &local;
    *stage = LDAP_STAGE_CONNECT;
    struct ldap_connection *connection = connection_new(source, server, until, error);
    if (!connection)
        return NULL;
    if (connect_to(connection, stage, error)) {
        *stage = LDAP_STAGE_BIND;
        if (bind_source(connection, error)) {
            *stage = LDAP_STAGE_OPEN;
            return connection;
        }
    }
    ldap_connection_close(connection);
    return NULL;
}

void ldap_connection_close(struct ldap_connection *connection)
{
    if (!connection)
        return;
    ldap_unbind_ext(connection->ld, NULL, NULL);
    free(connection);
}

/* What servers say to a wrong password, to an entry without one, and to an account that is locked
 * or switched off. */
static bool is_refusal(int code)
{
    switch (code) {
    case LDAP_INVALID_CREDENTIALS:
    case LDAP_INAPPROPRIATE_AUTH:
    case LDAP_INSUFFICIENT_ACCESS:
    case LDAP_NO_SUCH_OBJECT:
    case LDAP_CONSTRAINT_VIOLATION:
    case LDAP_UNWILLING_TO_PERFORM:
        return true;
    default:
        return false;
    }
}

enum ldap_bind ldap_connection_try_password(const struct config_directory_source *source,
                                            const char *server, const char *dn,
                                            const char *password, int64_t until,
                                            struct error *error)
{
    enum ldap_stage stage;
    enum ldap_bind result = LDAP_BIND_FAILED;
    if (!*dn || !*password)
        return LDAP_BIND_WRONG;
    struct ldap_connection *connection = connection_new(source, server, until, error);
    if (!connection)
        return LDAP_BIND_FAILED;
    if (connect_to(connection, &stage, error)) {
        int code = bind_as(connection, dn, password);
        if (code == LDAP_SUCCESS)
            result = LDAP_BIND_DONE;
        else if (is_refusal(code))
            result = LDAP_BIND_WRONG;
        else
            ldap_connection_fail(connection->ld, code, server, "the password cannot be checked",
                                 error);
    }
    ldap_connection_close(connection);
    return result;
}

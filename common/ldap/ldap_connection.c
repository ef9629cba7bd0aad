#include "common/ldap/ldap_connection.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ldap/ldap_connection_private.h"
#include "common/timestamp.h"

#include <string.h>
#include <sys/socket.h>

/* Where distributions keep the certificates that a system trusts. */
static const char *const system_certificates[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
};

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

/* libldap calls this between TCP and TLS: from here on a server that stops in the middle of a
 * record cannot hold us, nor can one send us a message without end. */
static int on_connected(LDAP *ld, Sockbuf *sockbuf, LDAPURLDesc *server, struct sockaddr *address,
                        struct ldap_conncb *callback)
{
    struct ldap_connection *connection = callback->lc_arg;
    ber_len_t most = LDAP_MESSAGE_MOST;
    int64_t left = connection->open_until - timestamp_monotonic_ms();
    struct timeval time = timestamp_interval(left > 0 ? left : 1);
    int fd = -1;
    (void)ld;
    (void)server;
    (void)address;
    connection->connected = true;
    ber_sockbuf_ctrl(sockbuf, LBER_SB_OPT_SET_MAX_INCOMING, &most);
    if (ber_sockbuf_ctrl(sockbuf, LBER_SB_OPT_GET_FD, &fd) == 1) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
    }
    return 0;
}

static void on_disconnected(LDAP *ld, Sockbuf *sockbuf, struct ldap_conncb *callback)
{
    (void)ld;
    (void)sockbuf;
    (void)callback;
}

static const char *find_system_certificates(void)
{
    size_t count = sizeof(system_certificates) / sizeof(system_certificates[0]);
    for (size_t i = 0; i < count; i++)
        if (access(system_certificates[i], R_OK) == 0)
            return system_certificates[i];
    return system_certificates[0];
}

/* libldap takes certificates from a file alone: one in memory serves. */
static bool put_certificates(const char *pem, int *fd, char path[64], struct error *error)
{
    if (!pem) {
        snprintf(path, 64, "%s", find_system_certificates());
        return true;
    }
    *fd = file_memory_open("gatehouse-directory-ca", error);
    snprintf(path, 64, "/proc/self/fd/%d", *fd);
    return *fd >= 0 && file_write_all(*fd, pem, strlen(pem), error);
}

static bool set_tls(LDAP *ld, const char *path)
{
    int demand = LDAP_OPT_X_TLS_HARD, oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, client = 0;
    return ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, path) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest) == LDAP_OPT_SUCCESS &&
           ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client) == LDAP_OPT_SUCCESS;
}

static bool uses_tls(const struct ldap_connection *connection)
{
    return connection->source->start_tls || strncasecmp(connection->server, "ldaps:", 6) == 0;
}

static bool set_options(struct ldap_connection *connection, struct error *error)
{
    LDAP *ld = connection->ld;
    int version = LDAP_VERSION3, never = LDAP_DEREF_NEVER;
    cleanup_fd int fd = -1;
    char path[64];
    connection->callback = (struct ldap_conncb){
        .lc_add = on_connected, .lc_del = on_disconnected, .lc_arg = connection};
    if (ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_DEREF, &never) != LDAP_OPT_SUCCESS ||
        ldap_set_option(ld, LDAP_OPT_CONNECT_CB, &connection->callback) != LDAP_OPT_SUCCESS)
        return error_set(error, ERROR_INTERNAL, connection->server, "an option cannot be set");
    if (!uses_tls(connection))
        return true;
    return put_certificates(connection->source->ca, &fd, path, error) &&
           (set_tls(ld, path) ||
            error_set(error, ERROR_INVALID, connection->server,
                      "TLS cannot be set up: the certificates to trust cannot be used"));
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
    if (code == LDAP_SUCCESS)
        code = ldap_install_tls(ld);
    return code == LDAP_SUCCESS ||
           ldap_connection_fail(ld, code, connection->server, "TLS cannot be started", error);
}

static bool connect_to(struct ldap_connection *connection, enum ldap_stage *stage,
                       struct error *error)
{
    LDAP *ld = connection->ld;
    struct timeval left;
    *stage = LDAP_STAGE_CONNECT;
    if (!set_options(connection, error)) {
        *stage = LDAP_STAGE_TLS;
        return false;
    }
    if (!ldap_connection_set_time(ld, connection->open_until, &left))
        return error_set(error, ERROR_TIMEOUT, connection->server, "no time is left to connect");
    int code = ldap_connect(ld);
    if (connection->connected)
        *stage = LDAP_STAGE_TLS;
    if (code != LDAP_SUCCESS)
        return ldap_connection_fail(
            ld, code, connection->server,
            connection->connected ? "TLS cannot be started" : "no connection", error);
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

static struct ldap_connection *connection_new(const struct config_directory_source *source,
                                              const char *server, int64_t until,
                                              struct error *error)
{
    struct ldap_connection *connection = calloc(1, sizeof(*connection));
    if (!connection) {
        error_set(error, ERROR_INTERNAL, server, "out of memory");
        return NULL;
    }
    connection->source = source;
    connection->server = server;
    connection->open_until = until;
    int code = ldap_initialize(&connection->ld, server);
    if (code == LDAP_SUCCESS)
        return connection;
    error_set(error, ERROR_INVALID, server, "the address cannot be used: %s",
              ldap_err2string(code));
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

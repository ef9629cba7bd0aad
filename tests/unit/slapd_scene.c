#include "slapd_scene.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/timestamp.h"
#include "common/x509.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define START_MS 30000

static const char configuration[] =
    "include /etc/ldap/schema/core.schema\n"
    "include /etc/ldap/schema/cosine.schema\n"
    "include /etc/ldap/schema/inetorgperson.schema\n"
    "include /etc/ldap/schema/misc.schema\n"
    "modulepath /usr/lib/ldap\n"
    "moduleload back_mdb\n"
    "pidfile %1$s/pid\n"
    "TLSCACertificateFile %1$s/ca.pem\n"
    "TLSCertificateFile %1$s/certificate.pem\n"
    "TLSCertificateKeyFile %1$s/key.pem\n"
    "database mdb\n"
    "maxsize 16777216\n"
    "suffix \"dc=example,dc=com\"\n"
    "directory %1$s/data\n"
    "access to attrs=userPassword by anonymous auth by * none\n"
    "access to * by dn.exact=\"cn=reader,dc=example,dc=com\" read by anonymous auth by * none\n";

static const char entries[] =
    "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: Example\n\n"
    "dn: cn=reader,dc=example,dc=com\nobjectClass: organizationalRole\n"
    "objectClass: simpleSecurityObject\nuserPassword: reader's secret\n\n"
    "dn: uid=alice,dc=example,dc=com\nobjectClass: inetOrgPerson\n"
    "objectClass: inetLocalMailRecipient\ncn: Alice\nsn: Smith\nmail: Alice@example.com\n"
    "mailLocalAddress: a.smith@example.com\nmailHost: Mail1.Example.net\n"
    "userPassword: wonderland\n\n"
    "dn: uid=bob,dc=example,dc=com\nobjectClass: inetOrgPerson\n"
    "objectClass: inetLocalMailRecipient\ncn: Bob\nsn: Jones\nmail: bob@example.com\n"
    "mailHost: [2001:db8::25]:2525\nmailRoutingAddress: robert@internal.example.net\n"
    "userPassword: p(a*s)s\\word\n\n"
    "dn: cn=Smith\\, (Jo)*,dc=example,dc=com\nobjectClass: inetOrgPerson\ncn: Smith, (Jo)*\n"
    "sn: Smith\nuid: jo\nmail: jo@example.com\nuserPassword: jo\n\n"
    "dn: uid=nobody,dc=example,dc=com\nobjectClass: inetOrgPerson\ncn: Nobody\nsn: Nobody\n"
    "mail: nobody@example.com\n\n"
    "dn: uid=lost,dc=example,dc=com\nobjectClass: inetOrgPerson\n"
    "objectClass: inetLocalMailRecipient\ncn: Lost\nsn: Lost\nmail: lost@example.com\n"
    "mailHost: no host at all\n\n"
    "dn: uid=twin1,dc=example,dc=com\nobjectClass: inetOrgPerson\ncn: Twin\nsn: One\n"
    "mail: twin@example.com\nuserPassword: twin\n\n"
    "dn: uid=twin2,dc=example,dc=com\nobjectClass: inetOrgPerson\ncn: Twin\nsn: Two\n"
    "mail: twin@example.com\nuserPassword: twin\n\n"
    "dn: cn=sales,dc=example,dc=com\nobjectClass: groupOfNames\n"
    "member: uid=alice,dc=example,dc=com\nmember: cn=Smith\\, (Jo)*,dc=example,dc=com\n\n"
    "dn: cn=staff,dc=example,dc=com\nobjectClass: groupOfNames\n"
    "member: uid=alice,dc=example,dc=com\nmember: uid=bob,dc=example,dc=com\n\n";

/* --- ports --- */

static int bind_loopback(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

uint16_t slapd_scene_free_port(void)
{
    uint16_t port;
    close(bind_loopback(&port));
    return port;
}

int slapd_scene_silent_server(uint16_t *port)
{
    int fd = bind_loopback(port);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static bool answers(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* --- files --- */

static void write_file(const struct slapd_scene *scene, const char *name, const char *text)
{
    char path[128];
    assert_true(file_join(path, sizeof(path), scene->folder, name, NULL));
    assert_true(file_write_atomic(path, text, strlen(text), 0600, NULL));
}

static void write_certificates(struct slapd_scene *scene)
{
    static const char *const names[] = {"127.0.0.1"};
    cleanup_free char *ca_key = x509_new_key(NULL), *key = x509_new_key(NULL);
    cleanup_free char *request = x509_new_request(key, "slapd", NULL);
    scene->ca = x509_new_ca(ca_key, "Directory CA", 2, NULL);
    scene->other_ca = x509_new_ca(key, "Other CA", 2, NULL);
    cleanup_free char *certificate =
        x509_sign_request(request, ca_key, scene->ca, "slapd", X509_USE_SERVER, names, 1, 2, NULL);
    assert_non_null(certificate);
    write_file(scene, "ca.pem", scene->ca);
    write_file(scene, "certificate.pem", certificate);
    write_file(scene, "key.pem", key);
}

static pid_t run(const struct slapd_scene *scene, const char *const *arguments)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char path[128];
    snprintf(path, sizeof(path), "%s/log", scene->folder);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, 1);
    dup2(log, 2);
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    execv(arguments[0], (char *const *)arguments);
    _exit(127);
}

/* --- life --- */

void slapd_scene_open(struct slapd_scene *scene)
{
    char text[4096], path[128], ldif[128];
    int status = -1;
    *scene = (struct slapd_scene){.port = slapd_scene_free_port()};
    do
        scene->tls_port = slapd_scene_free_port();
    while (scene->tls_port == scene->port);
    strcpy(scene->folder, "/tmp/gatehouse-slapd-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->uri, sizeof(scene->uri), "ldap://127.0.0.1:%u", scene->port);
    snprintf(scene->tls_uri, sizeof(scene->tls_uri), "ldaps://127.0.0.1:%u", scene->tls_port);
    write_certificates(scene);
    snprintf(text, sizeof(text), configuration, scene->folder);
    write_file(scene, "slapd.conf", text);
    write_file(scene, "entries.ldif", entries);
    assert_true(file_join(path, sizeof(path), scene->folder, "data", NULL));
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/slapd.conf", scene->folder);
    snprintf(ldif, sizeof(ldif), "%s/entries.ldif", scene->folder);
    const char *const arguments[] = {"/usr/sbin/slapadd", "-f", path, "-l", ldif, NULL};
    waitpid(run(scene, arguments), &status, 0);
    if (status != 0)
        fail_msg("slapadd ended with %d: see %s/log", status, scene->folder);
}

void slapd_scene_start(struct slapd_scene *scene)
{
    char path[128], addresses[160];
    int64_t end = timestamp_monotonic_ms() + START_MS;
    snprintf(path, sizeof(path), "%s/slapd.conf", scene->folder);
    snprintf(addresses, sizeof(addresses), "%s/ %s/", scene->uri, scene->tls_uri);
    const char *const arguments[] = {"/usr/sbin/slapd", "-f", path, "-h",
                                     addresses,         "-d", "0",  NULL};
    if (scene->pid)
        return;
    scene->pid = run(scene, arguments);
    while (!answers(scene->port) || !answers(scene->tls_port)) {
        if (timestamp_monotonic_ms() > end)
            fail_msg("slapd does not start: see %s/log", scene->folder);
        usleep(20000);
    }
}

void slapd_scene_stop(struct slapd_scene *scene)
{
    if (!scene->pid)
        return;
    kill(scene->pid, SIGKILL);
    waitpid(scene->pid, NULL, 0);
    scene->pid = 0;
}

void slapd_scene_close(struct slapd_scene *scene)
{
    char command[128];
    slapd_scene_stop(scene);
    free(scene->ca);
    free(scene->other_ca);
    snprintf(command, sizeof(command), "rm -rf '%s'", scene->folder);
    assert_int_equal(system(command), 0);
}

struct scanner_config *slapd_scene_config(const char *sources)
{
    static const char form[] =
        "{\"format\":1,\"version\":1,\"scanner_id\":\"0190a5d8-0000-7000-8000-000000000001\","
        "\"issued_at\":\"2026-01-01T00:00:00Z\",\"host_name\":\"mx.example.com\","
        "\"smtp\":{\"inbound\":{\"listeners\":[]},\"outbound\":{\"listeners\":[]}},"
        "\"domains\":[],\"directory\":{\"sources\":%s}}";
    struct error error = {0};
    size_t size = strlen(sources) + sizeof(form);
    cleanup_free char *text = malloc(size);
    assert_non_null(text);
    snprintf(text, size, form, sources);
    struct scanner_config *config = config_parse(text, strlen(text), &error);
    if (!config)
        fail_msg("%s: %s", error.where, error.message);
    return config;
}

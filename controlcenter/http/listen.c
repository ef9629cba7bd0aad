#include "controlcenter/http/listen.h"

#include "common/ip.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static bool take_address(int fd, const struct ip_address *ip, unsigned port)
{
    struct sockaddr_storage to;
    socklen_t length = ip_to_sockaddr(ip, (uint16_t)port, &to);
    int on = 1, off = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return false;
    if (to.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)
        return false;
    return bind(fd, (struct sockaddr *)&to, length) == 0 && listen(fd, SOMAXCONN) == 0;
}

static unsigned bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    struct ip_address ip;
    uint16_t port = 0;
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0)
        ip_from_sockaddr((struct sockaddr *)&address, &ip, &port);
    return port;
}

int http_listen(const char *address, unsigned port, unsigned *bound, struct error *error)
{
    char where[128];
    struct ip_address ip;
    snprintf(where, sizeof where, "%.100s port %u", address, port);
    if (port > 65535 || !ip_parse(address, &ip)) {
        error_set(error, ERROR_INVALID, where, "this is not an IP address with a port");
        return -1;
    }
    int family = ip_is_v4(&ip) ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || !take_address(fd, &ip, port)) {
        error_set_errno(error, where, "cannot listen");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *bound = bound_port(fd);
    return fd;
}

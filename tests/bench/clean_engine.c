/* Stands in for gatehouse-engine in measurements without scanning: it answers every scan with
 * "clean" at once, without a look at the message.
 *
 * usage: clean-engine --state DIR */
#include "common/ipc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 66

enum kind { WORKER_LISTENER, CONTROL_LISTENER, WORKER, CONTROL };

struct stand_in {
    struct pollfd polls[CONNECTIONS];
    enum kind kinds[CONNECTIONS];
    nfds_t count;
    long long scans;
};

static void add(struct stand_in *stand_in, int fd, enum kind kind)
{
    if (stand_in->count == CONNECTIONS) {
        close(fd);
        return;
    }
    stand_in->kinds[stand_in->count] = kind;
    stand_in->polls[stand_in->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void drop(struct stand_in *stand_in, nfds_t at)
{
    close(stand_in->polls[at].fd);
    stand_in->count--;
    stand_in->polls[at] = stand_in->polls[stand_in->count];
    stand_in->kinds[at] = stand_in->kinds[stand_in->count];
}

static bool send_text(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) >= 0;
}

static void accept_one(struct stand_in *stand_in, int listener, enum kind kind)
{
    static const char hello[] =
        "{\"hello\":{\"pid\":1,\"signatures\":{\"source\":\"none\",\"version\":0,"
        "\"count\":0,\"built_at\":\"2026-01-01T00:00:00Z\"}}}";
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    add(stand_in, fd, kind);
    if (kind == WORKER)
        send_text(fd, hello);
}

/* Takes the descriptor that comes with the order and closes it, as the engine would in the end. */
static bool receive_order(int fd, char *order, size_t size)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } rights;
    struct iovec part = {order, size - 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &rights,
                             .msg_controllen = sizeof(rights)};
    ssize_t length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (length <= 0)
        return false;
    order[length] = 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS) {
        int body;
        memcpy(&body, CMSG_DATA(header), sizeof(body));
        close(body);
    }
    return true;
}

static bool answer_order(struct stand_in *stand_in, int fd)
{
    char order[1024], answer[512];
    if (!receive_order(fd, order, sizeof(order)))
        return false;
    const char *id = strstr(order, "\"id\"");
    id = id ? strchr(id + 4, '"') : NULL;
    if (!id)
        return false;
    snprintf(answer, sizeof(answer),
             "{\"result\":{\"id\":\"%.36s\",\"verdict\":\"clean\",\"threats\":[],\"reason\":\"\","
             "\"subject\":\"not looked at\",\"from\":\"\",\"message_id\":\"\",\"parts\":1,"
             "\"elapsed_us\":0}}",
             id + 1);
    stand_in->scans++;
    return send_text(fd, answer);
}

static bool answer_control(const struct stand_in *stand_in, int fd)
{
    struct error error = {0};
    json_t *request = ipc_receive(fd, 1000, &error);
    json_t *reply =
        json_pack("{s:b,s:{s:s,s:i,s:i,s:s},s:{s:i,s:i},s:i,s:I,s:b,s:s,s:b}", "ok", 1,
                  "signatures", "source", "none", "version", 0, "count", 0, "built_at",
                  "2026-01-01T00:00:00Z", "workers", "count", 2, "busy", 0, "generation", 1,
                  "scans", (json_int_t)stand_in->scans, "loading", 0, "problem", "", "changed", 0);
    bool good = request && reply && ipc_send(fd, reply, 1000, &error);
    json_decref(request);
    json_decref(reply);
    return good;
}

static void serve(struct stand_in *stand_in, nfds_t at)
{
    int fd = stand_in->polls[at].fd;
    bool good = true;
    switch (stand_in->kinds[at]) {
    case WORKER_LISTENER:
        accept_one(stand_in, fd, WORKER);
        break;
    case CONTROL_LISTENER:
        accept_one(stand_in, fd, CONTROL);
        break;
    case WORKER:
        good = answer_order(stand_in, fd);
        break;
    case CONTROL:
        good = answer_control(stand_in, fd);
        break;
    }
    if (!good)
        drop(stand_in, at);
}

static void listen_at(struct stand_in *stand_in, const char *state, const char *name, int type,
                      enum kind kind)
{
    struct error error = {0};
    char path[1024];
    snprintf(path, sizeof(path), "%s/run/%s", state, name);
    int fd = ipc_listen(path, type, 0660, &error);
    if (fd < 0) {
        fprintf(stderr, "clean-engine: %s: %s\n", path, error.message);
        exit(1);
    }
    add(stand_in, fd, kind);
}

int main(int argc, char **argv)
{
    struct stand_in stand_in = {0};
    if (argc != 3 || strcmp(argv[1], "--state") != 0)
        return 2;
    signal(SIGHUP, SIG_IGN);
    listen_at(&stand_in, argv[2], "engine.sock", SOCK_SEQPACKET, WORKER_LISTENER);
    listen_at(&stand_in, argv[2], "engine-control.sock", SOCK_STREAM, CONTROL_LISTENER);
    while (poll(stand_in.polls, stand_in.count, -1) > 0)
        for (nfds_t at = stand_in.count; at-- > 0;)
            if (stand_in.polls[at].revents)
                serve(&stand_in, at);
    return 0;
}

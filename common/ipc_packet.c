#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Room to see, and close, what a peer must not send. */
#define MOST_DESCRIPTORS (IPC_PACKET_DESCRIPTORS + 8)

static bool would_block(struct error *error)
{
    return error_set(error, ERROR_TIMEOUT, NULL, "the socket would block");
}

static bool transfer_error(const char *what, struct error *error)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return would_block(error);
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
        return error_set(error, ERROR_UNAVAILABLE, NULL, "the peer closed the connection");
    return error_set_errno(error, NULL, what);
}

static void attach_descriptors(struct msghdr *message, void *control, const int *descriptors,
                               size_t count)
{
    message->msg_control = control;
    message->msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), descriptors, sizeof(int) * count);
}

bool ipc_packet_send_descriptors(int fd, const json_t *value, const int *descriptors, size_t count,
                                 struct error *error)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * IPC_PACKET_DESCRIPTORS)] = {0};
    cleanup_free char *text = json_is_object(value) ? json_text(value) : NULL;
    if (!text)
        return error_set(error, ERROR_INTERNAL, NULL, "a packet could not be written as JSON");
    struct iovec body = {.iov_base = text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1};
    if (body.iov_len > IPC_PACKET_LIMIT)
        return error_set(error, ERROR_LIMIT, NULL, "a packet must have at most %u bytes",
                         IPC_PACKET_LIMIT);
    if (count > IPC_PACKET_DESCRIPTORS)
        return error_set(error, ERROR_LIMIT, NULL, "a packet must have at most %d descriptors",
                         IPC_PACKET_DESCRIPTORS);
    if (count > 0)
        attach_descriptors(&message, control, descriptors, count);
    while (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return transfer_error("cannot send", error);
    return true;
}

bool ipc_packet_send(int fd, const json_t *value, int fd_to_send, struct error *error)
{
    return ipc_packet_send_descriptors(fd, value, &fd_to_send, fd_to_send >= 0 ? 1 : 0, error);
}

/* Takes the first `room` descriptors of a packet and closes the others; returns how many came. */
static size_t take_descriptors(struct msghdr *message, int *descriptors, size_t room)
{
    size_t count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++, count++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
            if (count < room)
                descriptors[count] = fd;
            else
                close(fd);
        }
    }
    return count;
}

static json_t *parse_packet(const struct msghdr *message, size_t length, bool too_many,
                            struct error *error)
{
    struct error local = {0};
    const char *wrong = NULL;
    json_t *value = NULL;
    if (message->msg_flags & MSG_TRUNC)
        wrong = "too long";
    else if (too_many || message->msg_flags & MSG_CTRUNC)
        wrong = "more descriptors than it may have";
    else if (!(value = json_parse(message->msg_iov->iov_base, length, NULL, &local)))
        wrong = local.message;
    else if (!json_is_object(value))
        wrong = "not an object";
    if (!wrong)
        return value;
    error_set(error, ERROR_PROTOCOL, NULL, "the peer sent a bad packet: %s", wrong);
    json_decref(value);
    return NULL;
}

json_t *ipc_packet_receive_descriptors(int fd, int *descriptors, size_t room, size_t *count,
                                       struct error *error)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MOST_DESCRIPTORS)];
    cleanup_free char *text = malloc(IPC_PACKET_LIMIT);
    struct iovec body = {.iov_base = text, .iov_len = IPC_PACKET_LIMIT};
    struct msghdr message = {.msg_iov = &body,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t length;
    *count = 0;
    if (!text) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    while ((length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        ;
    if (length < 0) {
        transfer_error("cannot receive", error);
        return NULL;
    }
    size_t came = take_descriptors(&message, descriptors, room);
    *count = came < room ? came : room;
    json_t *value = NULL;
    if (length == 0)
        error_set(error, ERROR_UNAVAILABLE, NULL, "the peer closed the connection");
    else
        value = parse_packet(&message, (size_t)length, came > room, error);
    for (; !value && *count > 0; --*count)
        close(descriptors[*count - 1]);
    return value;
}

json_t *ipc_packet_receive(int fd, int *received_fd, struct error *error)
{
    size_t count;
    json_t *value = ipc_packet_receive_descriptors(fd, received_fd, 1, &count, error);
    if (count == 0)
        *received_fd = -1;
    return value;
}

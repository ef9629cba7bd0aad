#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MOST_DESCRIPTORS 8 /* room to see, and close, what a peer must not send */

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

static void attach_descriptor(struct msghdr *message, void *control, size_t size, int fd)
{
    message->msg_control = control;
    message->msg_controllen = size;
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
}

bool ipc_packet_send(int fd, const json_t *value, int fd_to_send, struct error *error)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    cleanup_free char *text = json_is_object(value) ? json_text(value) : NULL;
    if (!text)
        return error_set(error, ERROR_INTERNAL, NULL, "a packet could not be written as JSON");
    struct iovec body = {.iov_base = text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1};
    if (body.iov_len > IPC_PACKET_LIMIT)
        return error_set(error, ERROR_LIMIT, NULL, "a packet must have at most %u bytes",
                         IPC_PACKET_LIMIT);
    if (fd_to_send >= 0)
        attach_descriptor(&message, control, sizeof(control), fd_to_send);
    while (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return transfer_error("cannot send", error);
    return true;
}

/* Takes the first descriptor of a packet and closes the others; returns how many came. */
static size_t take_descriptors(struct msghdr *message, int *first)
{
    size_t count = 0;
    *first = -1;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++, count++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
            if (count == 0)
                *first = fd;
            else
                close(fd);
        }
    }
    return count;
}

static json_t *parse_packet(const struct msghdr *message, size_t length, size_t descriptors,
                            struct error *error)
{
    struct error local = {0};
    const char *wrong = NULL;
    json_t *value = NULL;
    if (message->msg_flags & MSG_TRUNC)
        wrong = "too long";
    else if (descriptors > 1 || message->msg_flags & MSG_CTRUNC)
        wrong = "more than one descriptor";
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

json_t *ipc_packet_receive(int fd, int *received_fd, struct error *error)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MOST_DESCRIPTORS)];
    cleanup_free char *text = malloc(IPC_PACKET_LIMIT);
    struct iovec body = {.iov_base = text, .iov_len = IPC_PACKET_LIMIT};
    struct msghdr message = {.msg_iov = &body,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t length;
    *received_fd = -1;
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
    size_t descriptors = take_descriptors(&message, received_fd);
    json_t *value = NULL;
    if (length == 0)
        error_set(error, ERROR_UNAVAILABLE, NULL, "the peer closed the connection");
    else
        value = parse_packet(&message, (size_t)length, descriptors, error);
    if (!value && *received_fd >= 0) {
        close(*received_fd);
        *received_fd = -1;
    }
    return value;
}

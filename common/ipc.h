/* JSON frames over unix sockets between the processes of a host (see docs/architecture.md). */
#ifndef GATEHOUSE_COMMON_IPC_H
#define GATEHOUSE_COMMON_IPC_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPC_FRAME_LIMIT (16u << 20)  /* most bytes of one frame on a stream socket */
#define IPC_PACKET_LIMIT (64u << 10) /* most bytes of one packet on a seqpacket socket */

#define IPC_HEAD_SIZE 4 /* bytes before a frame on a stream socket: its length */

/* The head of a frame of `length` bytes, big-endian, and back; for those who do not block. */
void ipc_head_write(unsigned char head[IPC_HEAD_SIZE], size_t length);
size_t ipc_head_read(const unsigned char head[IPC_HEAD_SIZE]);

/* Opens a listening unix socket of `type` (SOCK_STREAM or SOCK_SEQPACKET) at `path`, replacing a
 * stale one, with file mode `mode`; close-on-exec. Returns the descriptor or -1; ERROR_EXISTS where
 * another process still listens there after half a second. */
int ipc_listen(const char *path, int type, unsigned mode, struct error *error);

/* Connects to it without waiting for room in its backlog; close-on-exec, blocking. Returns the
 * descriptor or -1 (ERROR_UNAVAILABLE). */
int ipc_connect(const char *path, int type, struct error *error);

/* Stream frames, blocking: a 4-byte big-endian length and JSON text. timeout_ms < 0 waits for ever.
 * The receiver owns the returned value. NULL: ERROR_TIMEOUT, ERROR_UNAVAILABLE (peer closed),
 * ERROR_PROTOCOL (not a frame, or not an object). The sockets may be non-blocking as well. */
bool ipc_send(int fd, const json_t *value, int timeout_ms, struct error *error);
json_t *ipc_receive(int fd, int timeout_ms, struct error *error);

/* One request and its reply over a fresh connection to `path`. A reply with "ok":false becomes
 * ERROR_INVALID with its text. The caller owns the reply. */
json_t *ipc_request(const char *path, const json_t *request, int timeout_ms, struct error *error);

#define IPC_PACKET_DESCRIPTORS 16 /* most descriptors with one packet */

/* Packets (SOCK_SEQPACKET) with at most one descriptor. `fd_to_send` < 0 sends none;
 * *received_fd is -1 where none came and is owned by the caller otherwise. On a non-blocking socket
 * ERROR_TIMEOUT means that it would block. */
bool ipc_packet_send(int fd, const json_t *value, int fd_to_send, struct error *error);
json_t *ipc_packet_receive(int fd, int *received_fd, struct error *error);

/* The same with `count` descriptors, none of them below 0; more than IPC_PACKET_DESCRIPTORS are
 * ERROR_LIMIT. */
bool ipc_packet_send_descriptors(int fd, const json_t *value, const int *descriptors, size_t count,
                                 struct error *error);
/* Takes up to `room` (at most IPC_PACKET_DESCRIPTORS) descriptors, which the caller owns: *count of
 * them, in the order in which they were sent. A packet with more is ERROR_PROTOCOL. Without a
 * packet there are none. */
json_t *ipc_packet_receive_descriptors(int fd, int *descriptors, size_t room, size_t *count,
                                       struct error *error);

#endif

/* Whole files, and frames over unix sockets. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/gatehouse-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    const char *const arguments[] = {"rm", "-rf", "--", folder, NULL};
    pid_t child = fork();
    if (child == 0) {
        execv("/bin/rm", (char *const *)arguments);
        _exit(127);
    }
    return waitpid(child, NULL, 0) == child ? 0 : -1;
}

/* A name in the folder of the test; two can be in use at a time. */
static const char *in_folder(const char *name)
{
    static char paths[2][PATH_MAX];
    static int next;
    char *path = paths[next++ % 2];
    assert_true(file_join(path, PATH_MAX, folder, name, NULL));
    return path;
}

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *open = opendir(path);
    while (readdir(open))
        count++;
    closedir(open);
    return count - 2;
}

/* --- files --- */

static void a_file_is_replaced_whole_with_the_exact_mode(void **state)
{
    struct stat status;
    size_t length;
    const char *path = in_folder("replaced");
    (void)state;
    mode_t kept = umask(077);
    assert_true(file_write_atomic(path, "first", 5, 0644, NULL));
    assert_true(file_write_atomic(path, "a\0b", 3, 0640, NULL));
    umask(kept);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    cleanup_free char *text = file_read(path, 100, &length, NULL);
    assert_int_equal(length, 3);
    assert_memory_equal(text, "a\0b", 4);
    assert_int_equal(count_entries(folder), 1);
    unlink(path);
}

/* The size limit of files stands in for a full disk: write(2) fails midway. */
static void a_failed_write_leaves_the_old_file_and_nothing_beside_it(void **state)
{
    const char *path = in_folder("kept");
    static char large[100000];
    (void)state;
    assert_true(file_write_atomic(path, "old", 3, 0600, NULL));
    pid_t child = fork();
    if (child == 0) {
        struct error error = {0};
        struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        bool written = file_write_atomic(path, large, sizeof(large), 0600, &error);
        _exit(!written && error.code == ERROR_IO && strcmp(error.where, path) == 0 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    cleanup_free char *text = file_read(path, 100, NULL, NULL);
    assert_string_equal(text, "old");
    assert_int_equal(count_entries(folder), 1);
    unlink(path);
}

static void a_full_disk_is_reported_as_no_space(void **state)
{
    struct error error = {0};
    (void)state;
    cleanup_fd int fd = open("/dev/full", O_WRONLY);
    assert_false(file_write_all(fd, "x", 1, &error));
    assert_int_equal(error.code, ERROR_NO_SPACE);
}

static void reading_says_what_is_wrong(void **state)
{
    struct error error = {0};
    char path[PATH_MAX];
    (void)state;
    assert_null(file_read(in_folder("missing"), 10, NULL, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_null(file_read(folder, 10, NULL, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_true(file_join(path, sizeof(path), folder, "fifo", NULL));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(file_read(path, 10, NULL, &error));
    assert_int_equal(error.code, ERROR_IO);
    unlink(path);
}

static void a_file_is_read_up_to_the_limit_and_not_beyond(void **state)
{
    struct error error = {0};
    size_t length;
    const char *path = in_folder("limit");
    (void)state;
    assert_true(file_write_atomic(path, "1234567890", 10, 0600, NULL));
    cleanup_free char *whole = file_read(path, 10, &length, &error);
    assert_string_equal(whole, "1234567890");
    assert_null(file_read(path, 9, NULL, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_true(file_write_atomic(path, "", 0, 0600, NULL));
    cleanup_free char *empty = file_read(path, 0, &length, &error);
    assert_string_equal(empty, "");
    assert_int_equal(length, 0);
    unlink(path);
}

/* Files of /proc claim to be empty. */
static void a_file_that_lies_about_its_size_is_read_and_still_limited(void **state)
{
    struct error error = {0};
    size_t length = 0;
    (void)state;
    cleanup_free char *text = file_read("/proc/self/status", 100000, &length, &error);
    assert_non_null(text);
    assert_true(length > 100);
    assert_null(file_read("/proc/self/status", 20, NULL, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void folders_are_made_with_their_parents(void **state)
{
    struct stat status;
    struct error error = {0};
    const char *path = in_folder("a//b/c/");
    (void)state;
    mode_t kept = umask(077);
    assert_true(file_make_folder(path, 0750, NULL));
    assert_true(file_make_folder(path, 0700, NULL));
    umask(kept);
    assert_int_equal(stat(in_folder("a/b"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0750);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0750);
    assert_true(file_write_atomic(in_folder("a/file"), "", 0, 0600, NULL));
    assert_false(file_make_folder(in_folder("a/file"), 0700, &error));
    assert_int_equal(error.code, ERROR_EXISTS);
    assert_false(file_make_folder(in_folder("a/file/b"), 0700, &error));
    assert_false(file_make_folder("", 0700, &error));
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    struct error error = {0};
    char path[8];
    (void)state;
    assert_true(file_join(path, sizeof(path), "/a/", "b", NULL));
    assert_string_equal(path, "/a/b");
    assert_true(file_join(path, sizeof(path), "/abc", "de", NULL));
    assert_false(file_join(path, sizeof(path), "/abc", "def", &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

/* --- stream frames --- */

static void make_pair(int type, int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
}

static void close_pair(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static void *receive_one(void *fd)
{
    return ipc_receive(*(int *)fd, 5000, NULL);
}

static void a_frame_larger_than_the_socket_buffer_arrives_whole(void **state)
{
    int ends[2];
    pthread_t thread;
    void *received = NULL;
    (void)state;
    make_pair(SOCK_STREAM, ends);
    cleanup_free char *large = malloc(8 << 20);
    memset(large, 'x', 8 << 20);
    cleanup_json json_t *frame = json_pack("{s:s%}", "text", large, (size_t)(8 << 20));
    pthread_create(&thread, NULL, receive_one, &ends[1]);
    assert_true(ipc_send(ends[0], frame, 5000, NULL));
    pthread_join(thread, &received);
    assert_true(json_equal(frame, received));
    json_decref(received);
    close_pair(ends);
}

static void a_frame_over_the_limit_is_not_sent(void **state)
{
    int ends[2];
    struct error error = {0};
    (void)state;
    make_pair(SOCK_STREAM, ends);
    cleanup_free char *large = malloc(IPC_FRAME_LIMIT);
    memset(large, 'x', IPC_FRAME_LIMIT);
    cleanup_json json_t *frame = json_pack("{s:s%}", "text", large, (size_t)IPC_FRAME_LIMIT);
    assert_false(ipc_send(ends[0], frame, 100, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    close_pair(ends);
}

static void expect_stream_error(const void *bytes, size_t length, bool close_after,
                                enum error_code wanted)
{
    int ends[2];
    struct error error = {0};
    make_pair(SOCK_STREAM, ends);
    assert_int_equal(write(ends[0], bytes, length), length);
    if (close_after)
        shutdown(ends[0], SHUT_WR);
    assert_null(ipc_receive(ends[1], 50, &error));
    assert_int_equal(error.code, wanted);
    close_pair(ends);
}

static void bad_frames_are_protocol_errors(void **state)
{
    (void)state;
    expect_stream_error("\0\0\0\0", 4, false, ERROR_PROTOCOL);
    expect_stream_error("\xff\xff\xff\xff{}", 6, false, ERROR_PROTOCOL);
    expect_stream_error("\x01\0\0\x01{}", 6, false, ERROR_PROTOCOL);
    expect_stream_error("\0\0\0\2{x", 6, false, ERROR_PROTOCOL);
    expect_stream_error("\0\0\0\2[]", 6, false, ERROR_PROTOCOL);
    expect_stream_error("\0\0\0\3{}x", 7, false, ERROR_PROTOCOL);
    expect_stream_error("\0\0\0\2{", 5, false, ERROR_TIMEOUT);
    expect_stream_error("\0\0\0", 3, false, ERROR_TIMEOUT);
    expect_stream_error("\0\0\0\2{", 5, true, ERROR_UNAVAILABLE);
    expect_stream_error("", 0, true, ERROR_UNAVAILABLE);
}

static void sending_to_nobody_fails_and_does_not_kill(void **state)
{
    int ends[2];
    struct error error = {0};
    (void)state;
    make_pair(SOCK_STREAM, ends);
    close(ends[1]);
    cleanup_json json_t *frame = json_object();
    assert_false(ipc_send(ends[0], frame, 100, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    close(ends[0]);
}

static void a_peer_that_does_not_read_runs_into_the_timeout(void **state)
{
    int ends[2];
    struct error error = {0};
    (void)state;
    make_pair(SOCK_STREAM, ends);
    cleanup_free char *large = malloc(4 << 20);
    memset(large, 'x', 4 << 20);
    cleanup_json json_t *frame = json_pack("{s:s%}", "text", large, (size_t)(4 << 20));
    assert_false(ipc_send(ends[0], frame, 50, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    close_pair(ends);
}

/* --- listening and requests --- */

struct server {
    int listener;
    const char *reply; /* NULL: closes without one */
};

static void *serve_one(void *argument)
{
    struct server *server = argument;
    cleanup_fd int fd = accept(server->listener, NULL, NULL);
    cleanup_json json_t *request = ipc_receive(fd, 2000, NULL);
    cleanup_json json_t *reply = server->reply ? json_loads(server->reply, 0, NULL) : NULL;
    if (reply)
        ipc_send(fd, reply, 2000, NULL);
    return NULL;
}

static json_t *ask(const char *reply, struct error *error)
{
    pthread_t thread;
    const char *path = in_folder("ask.sock");
    struct server server = {.listener = ipc_listen(path, SOCK_STREAM, 0600, error), .reply = reply};
    assert_true(server.listener >= 0);
    cleanup_json json_t *request = json_pack("{s:s}", "op", "status");
    pthread_create(&thread, NULL, serve_one, &server);
    json_t *answer = ipc_request(path, request, 2000, error);
    pthread_join(thread, NULL);
    close(server.listener);
    return answer;
}

static void a_request_gets_its_reply_or_the_reason(void **state)
{
    struct error error = {0};
    (void)state;
    cleanup_json json_t *good = ask("{\"ok\":true,\"version\":7}", &error);
    assert_int_equal(json_integer_value(json_object_get(good, "version")), 7);
    assert_null(ask("{\"ok\":false,\"error\":\"no such op\"}", &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_string_equal(error.message, "no such op");
    assert_non_null(strstr(error.where, "ask.sock"));
    assert_null(ask("{\"ok\":false}", &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_null(ask("{\"version\":7}", &error));
    assert_int_equal(error.code, ERROR_PROTOCOL);
    assert_null(ask(NULL, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
}

static void a_request_to_nobody_is_unavailable(void **state)
{
    struct error error = {0};
    (void)state;
    cleanup_json json_t *request = json_object();
    assert_null(ipc_request(in_folder("nobody.sock"), request, 100, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
}

static void a_request_that_nobody_answers_runs_into_the_timeout(void **state)
{
    struct error error = {0};
    const char *path = in_folder("silent.sock");
    (void)state;
    cleanup_fd int listener = ipc_listen(path, SOCK_STREAM, 0600, NULL);
    cleanup_json json_t *request = json_object();
    assert_null(ipc_request(path, request, 50, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    unlink(path);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    struct error error = {0};
    struct stat status;
    const char *path = in_folder("stale.sock");
    (void)state;
    mode_t kept = umask(077);
    int first = ipc_listen(path, SOCK_SEQPACKET, 0660, &error);
    umask(kept);
    assert_true(first >= 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(ipc_listen(path, SOCK_SEQPACKET, 0660, &error), -1);
    assert_int_equal(error.code, ERROR_EXISTS);
    close(first);
    int second = ipc_listen(path, SOCK_SEQPACKET, 0660, &error);
    assert_true(second >= 0);
    int client = ipc_connect(path, SOCK_SEQPACKET, &error);
    assert_true(client >= 0);
    assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
    assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
    close(client);
    close(second);
    unlink(path);
}

static void a_file_in_the_place_of_a_socket_is_left_alone(void **state)
{
    struct error error = {0};
    const char *path = in_folder("precious");
    (void)state;
    assert_true(file_write_atomic(path, "data", 4, 0600, NULL));
    assert_int_equal(ipc_listen(path, SOCK_STREAM, 0600, &error), -1);
    assert_int_equal(error.code, ERROR_EXISTS);
    cleanup_free char *text = file_read(path, 10, NULL, NULL);
    assert_string_equal(text, "data");
}

static void a_socket_path_that_is_too_long_is_refused_clearly(void **state)
{
    struct error error = {0};
    char path[200];
    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(ipc_listen(path, SOCK_STREAM, 0600, &error), -1);
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_int_equal(ipc_connect(path, SOCK_STREAM, &error), -1);
    assert_int_equal(error.code, ERROR_LIMIT);
}

/* --- packets --- */

static void a_packet_carries_a_descriptor(void **state)
{
    int ends[2], pipes[2], received = -1;
    char byte = 0;
    (void)state;
    make_pair(SOCK_SEQPACKET, ends);
    assert_int_equal(pipe(pipes), 0);
    cleanup_json json_t *packet = json_pack("{s:i}", "size", 7);
    assert_true(ipc_packet_send(ends[0], packet, pipes[1], NULL));
    assert_true(ipc_packet_send(ends[0], packet, -1, NULL));
    cleanup_json json_t *first = ipc_packet_receive(ends[1], &received, NULL);
    assert_true(json_equal(packet, first));
    assert_true(received >= 0);
    assert_true(fcntl(received, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(received, "y", 1), 1);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(received);
    cleanup_json json_t *second = ipc_packet_receive(ends[1], &received, NULL);
    assert_true(json_equal(packet, second));
    assert_int_equal(received, -1);
    close_pair(pipes);
    close_pair(ends);
}

static void packets_have_a_limit_at_both_ends(void **state)
{
    int ends[2], received;
    struct error error = {0};
    static char large[IPC_PACKET_LIMIT + 100];
    (void)state;
    make_pair(SOCK_SEQPACKET, ends);
    memset(large, ' ', sizeof(large));
    memcpy(large, "{}", 2);
    assert_int_equal(send(ends[0], large, IPC_PACKET_LIMIT, 0), IPC_PACKET_LIMIT);
    json_decref(ipc_packet_receive(ends[1], &received, &error));
    assert_int_equal(error.code, ERROR_NONE);
    assert_int_equal(send(ends[0], large, IPC_PACKET_LIMIT + 1, 0), IPC_PACKET_LIMIT + 1);
    assert_null(ipc_packet_receive(ends[1], &received, &error));
    assert_int_equal(error.code, ERROR_PROTOCOL);
    cleanup_json json_t *packet = json_pack("{s:s%}", "text", large, (size_t)IPC_PACKET_LIMIT);
    assert_false(ipc_packet_send(ends[0], packet, -1, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    close_pair(ends);
}

static size_t open_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

static void send_descriptors(int fd, const char *text, size_t count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {0};
    struct iovec body = {.iov_base = (char *)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &body,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (size_t i = 0; i < count; i++)
        memcpy(CMSG_DATA(head) + i * sizeof(int), &fd, sizeof(fd));
    assert_int_equal(sendmsg(fd, &message, 0), strlen(text));
}

static void descriptors_that_are_not_wanted_are_closed(void **state)
{
    static const struct {
        const char *text;
        size_t count;
    } packets[] = {{"{}", 2}, {"{}", 8}, {"{}", 16}, {"nonsense", 1}, {"[]", 1}};
    int ends[2];
    (void)state;
    make_pair(SOCK_SEQPACKET, ends);
    size_t before = open_descriptors();
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        struct error error = {0};
        int received = 99;
        send_descriptors(ends[0], packets[i].text, packets[i].count);
        assert_null(ipc_packet_receive(ends[1], &received, &error));
        assert_int_equal(error.code, ERROR_PROTOCOL);
        assert_int_equal(received, -1);
        assert_int_equal(open_descriptors(), before);
    }
    close_pair(ends);
}

static void a_packet_carries_sixteen_descriptors_in_order(void **state)
{
    int ends[2], sent[IPC_PACKET_DESCRIPTORS + 1], received[IPC_PACKET_DESCRIPTORS];
    struct error error = {0};
    size_t count, before = open_descriptors();
    char byte;
    (void)state;
    make_pair(SOCK_SEQPACKET, ends);
    for (size_t i = 0; i < IPC_PACKET_DESCRIPTORS + 1; i++) {
        sent[i] = file_memory_open("sent", NULL);
        assert_true(file_write_all(sent[i], &(char){(char)('a' + i)}, 1, NULL));
    }
    cleanup_json json_t *packet = json_object();
    assert_false(
        ipc_packet_send_descriptors(ends[0], packet, sent, IPC_PACKET_DESCRIPTORS + 1, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    for (size_t round = 0; round < 2; round++)
        assert_true(
            ipc_packet_send_descriptors(ends[0], packet, sent, IPC_PACKET_DESCRIPTORS, NULL));
    cleanup_json json_t *first =
        ipc_packet_receive_descriptors(ends[1], received, IPC_PACKET_DESCRIPTORS, &count, NULL);
    assert_non_null(first);
    assert_int_equal(count, IPC_PACKET_DESCRIPTORS);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pread(received[i], &byte, 1, 0), 1);
        assert_int_equal(byte, 'a' + i);
        close(received[i]);
    }
    assert_null(ipc_packet_receive_descriptors(ends[1], received, IPC_PACKET_DESCRIPTORS - 1,
                                               &count, &error));
    assert_int_equal(error.code, ERROR_PROTOCOL);
    assert_int_equal(count, 0);
    for (size_t i = 0; i < IPC_PACKET_DESCRIPTORS + 1; i++)
        close(sent[i]);
    close_pair(ends);
    assert_int_equal(open_descriptors(), before);
}

static void a_packet_socket_says_when_it_would_block_or_is_closed(void **state)
{
    int ends[2], received;
    struct error error = {0};
    (void)state;
    make_pair(SOCK_SEQPACKET, ends);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    assert_null(ipc_packet_receive(ends[1], &received, &error));
    assert_int_equal(error.code, ERROR_TIMEOUT);
    cleanup_json json_t *packet = json_object();
    error.code = ERROR_NONE;
    for (int i = 0; i < 100000 && ipc_packet_send(ends[0], packet, -1, &error); i++)
        ;
    assert_int_equal(error.code, ERROR_TIMEOUT);
    close(ends[1]);
    assert_false(ipc_packet_send(ends[0], packet, -1, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    close(ends[0]);
    make_pair(SOCK_SEQPACKET, ends);
    close(ends[0]);
    assert_null(ipc_packet_receive(ends[1], &received, &error));
    assert_int_equal(error.code, ERROR_UNAVAILABLE);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_whole_with_the_exact_mode),
        cmocka_unit_test(a_failed_write_leaves_the_old_file_and_nothing_beside_it),
        cmocka_unit_test(a_full_disk_is_reported_as_no_space),
        cmocka_unit_test(reading_says_what_is_wrong),
        cmocka_unit_test(a_file_is_read_up_to_the_limit_and_not_beyond),
        cmocka_unit_test(a_file_that_lies_about_its_size_is_read_and_still_limited),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(a_path_that_does_not_fit_is_refused),
        cmocka_unit_test(a_frame_larger_than_the_socket_buffer_arrives_whole),
        cmocka_unit_test(a_frame_over_the_limit_is_not_sent),
        cmocka_unit_test(bad_frames_are_protocol_errors),
        cmocka_unit_test(sending_to_nobody_fails_and_does_not_kill),
        cmocka_unit_test(a_peer_that_does_not_read_runs_into_the_timeout),
        cmocka_unit_test(a_request_gets_its_reply_or_the_reason),
        cmocka_unit_test(a_request_to_nobody_is_unavailable),
        cmocka_unit_test(a_request_that_nobody_answers_runs_into_the_timeout),
        cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_file_in_the_place_of_a_socket_is_left_alone),
        cmocka_unit_test(a_socket_path_that_is_too_long_is_refused_clearly),
        cmocka_unit_test(a_packet_carries_a_descriptor),
        cmocka_unit_test(packets_have_a_limit_at_both_ends),
        cmocka_unit_test(a_packet_carries_sixteen_descriptors_in_order),
        cmocka_unit_test(descriptors_that_are_not_wanted_are_closed),
        cmocka_unit_test(a_packet_socket_says_when_it_would_block_or_is_closed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

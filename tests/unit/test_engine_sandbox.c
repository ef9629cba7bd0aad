/* What a sandboxed process can no longer do. Each attempt runs in a child, as a forbidden call
 * kills. */
#include "scanner/engine/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MEMORY_LIMIT (UINT64_C(256) << 20)
#define FILE_LIMIT (UINT64_C(1) << 20)
#define DONE 7       /* the attempt succeeded */
#define REFUSED 8    /* it failed with an error */
#define NO_SANDBOX 9 /* the sandbox could not be entered */

static char folder[] = "/tmp/gatehouse-sandbox-XXXXXX";

/* The wait status of a child that enters the sandbox and tries. */
static int try_inside(int (*attempt)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct sandbox sandbox = {folder, MEMORY_LIMIT, FILE_LIMIT};
        _exit(sandbox_enter(&sandbox, NULL) ? attempt() : NO_SANDBOX);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_exit(int (*attempt)(void), int code)
{
    int status = try_inside(attempt);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void expect_death(int (*attempt)(void))
{
    int status = try_inside(attempt);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* --- files --- */

static int open_passwd(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0 ? DONE : errno == EACCES ? REFUSED : 0;
}

static int open_itself(void)
{
    return open("/proc/self/maps", O_RDONLY) >= 0 ? DONE : REFUSED;
}

static int write_outside(void)
{
    return open("/tmp/gatehouse-sandbox-escape", O_WRONLY | O_CREAT, 0600) >= 0 ? DONE : REFUSED;
}

static int list_root(void)
{
    return open("/", O_RDONLY | O_DIRECTORY) >= 0 ? DONE : REFUSED;
}

static void files_outside_the_scratch_folder_cannot_be_opened(void **state)
{
    (void)state;
    if (!sandbox_has_landlock()) {
        print_message("no Landlock in this kernel: not tested\n");
        skip();
    }
    expect_exit(open_passwd, REFUSED);
    expect_exit(open_itself, REFUSED);
    expect_exit(write_outside, REFUSED);
    expect_exit(list_root, REFUSED);
}

static int use_scratch(void)
{
    char path[128], moved[128], text[4] = "";
    snprintf(path, sizeof(path), "%s/inner", folder);
    if (mkdir(path, 0700) != 0)
        return 1;
    snprintf(path, sizeof(path), "%s/inner/file", folder);
    snprintf(moved, sizeof(moved), "%s/inner/moved", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || write(fd, "abc", 3) != 3 || pread(fd, text, 3, 0) != 3 || close(fd) != 0)
        return 2;
    if (rename(path, moved) != 0 || unlink(moved) != 0)
        return 3;
    snprintf(path, sizeof(path), "%s/inner", folder);
    return rmdir(path) == 0 ? DONE : 4;
}

static void the_scratch_folder_can_be_used(void **state)
{
    (void)state;
    expect_exit(use_scratch, DONE);
}

static int change_mode_outside(void)
{
    return chmod("/tmp/gatehouse-sandbox-mode", 0777) == 0 ? DONE : REFUSED;
}

static void a_change_of_mode_has_no_effect(void **state)
{
    (void)state;
    struct stat status;
    int fd = open("/tmp/gatehouse-sandbox-mode", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    expect_exit(change_mode_outside, DONE);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    close(fd);
    unlink("/tmp/gatehouse-sandbox-mode");
}

/* --- calls --- */

static int make_inet_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? DONE : REFUSED;
}

static int make_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? DONE : REFUSED;
}

static int make_socket_pair(void)
{
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 ? DONE : REFUSED;
}

static void sockets_cannot_be_made(void **state)
{
    (void)state;
    expect_death(make_inet_socket);
    expect_death(make_unix_socket);
    expect_death(make_socket_pair);
}

static int execute(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return REFUSED;
}

static int make_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child > 0 ? DONE : REFUSED;
}

static int trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? DONE : REFUSED;
}

static int signal_others(void)
{
    return kill(getppid(), 0) == 0 ? DONE : REFUSED;
}

static int become_root(void)
{
    return setuid(0) == 0 ? DONE : REFUSED;
}

static void programs_and_processes_are_out_of_reach(void **state)
{
    (void)state;
    expect_death(execute);
    expect_death(make_process);
    expect_death(trace);
    expect_death(signal_others);
    expect_death(become_root);
}

static int map_executable(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? DONE : REFUSED;
}

static int make_executable(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(memory, 4096, PROT_READ | PROT_EXEC) == 0 ? DONE : REFUSED;
}

static void memory_cannot_be_made_executable(void **state)
{
    (void)state;
    expect_exit(map_executable, REFUSED);
    expect_exit(make_executable, REFUSED);
}

static void *idle(void *argument)
{
    return argument;
}

static int make_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, idle, NULL) == 0 && pthread_join(thread, NULL) == 0
               ? DONE
               : REFUSED;
}

static void threads_can_be_made(void **state)
{
    (void)state;
    expect_exit(make_thread, DONE);
}

static int abort_itself(void)
{
    abort();
}

static void a_process_can_abort(void **state)
{
    (void)state;
    int status = try_inside(abort_itself);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* --- limits --- */

static int map_more_than_the_limit(void)
{
    void *memory =
        mmap(NULL, 2 * MEMORY_LIMIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? DONE : REFUSED;
}

static int map_less_than_the_limit(void)
{
    void *memory =
        mmap(NULL, MEMORY_LIMIT / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? DONE : REFUSED;
}

static void memory_is_limited(void **state)
{
    (void)state;
    expect_exit(map_more_than_the_limit, REFUSED);
    expect_exit(map_less_than_the_limit, DONE);
}

static int write_a_large_file(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/large", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    return fd >= 0 && pwrite(fd, "x", 1, (off_t)FILE_LIMIT) == 1 ? DONE : REFUSED;
}

static void files_are_limited(void **state)
{
    (void)state;
    int status = try_inside(write_a_large_file);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXFSZ);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
#ifdef __SANITIZE_ADDRESS__
    print_message("a sanitizer needs calls that the sandbox forbids: not tested\n");
    return 77; /* meson: skipped */
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_outside_the_scratch_folder_cannot_be_opened),
        cmocka_unit_test(the_scratch_folder_can_be_used),
        cmocka_unit_test(a_change_of_mode_has_no_effect),
        cmocka_unit_test(sockets_cannot_be_made),
        cmocka_unit_test(programs_and_processes_are_out_of_reach),
        cmocka_unit_test(memory_cannot_be_made_executable),
        cmocka_unit_test(threads_can_be_made),
        cmocka_unit_test(a_process_can_abort),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(files_are_limited),
    };
    return cmocka_run_group_tests_name("engine: sandbox", tests, make_folder, remove_folder);
}

#include "scanner/supervisor/spawn.h"

#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
    dprintf(STDERR_FILENO, "supervisor: %s: %s\n", what, strerror(errno));
    _exit(126);
}

/* An ambient capability outlives exec without a capability on the file (capabilities(7)). */
static void keep_bind_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    data[0].permitted = data[0].effective = data[0].inheritable = 1u << CAP_NET_BIND_SERVICE;
    if (syscall(SYS_capset, &header, data) != 0)
        fail("cannot keep the right to bind low ports");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) != 0)
        fail("cannot pass on the right to bind low ports");
}

static void become_user(const struct spawn *spawn)
{
    const struct accounts *accounts = spawn->accounts;
    uid_t user = accounts->users[spawn->role];
    if (!accounts->separate)
        return;
    if (spawn->bind_low_ports && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        fail("cannot keep capabilities");
    if (setgroups(0, NULL) != 0 ||
        setresgid(accounts->group, accounts->group, accounts->group) != 0 ||
        setresuid(user, user, user) != 0)
        fail("cannot change the user");
    if (spawn->bind_low_ports)
        keep_bind_capability();
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_output(int error_output)
{
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(error_output, STDOUT_FILENO) < 0 ||
        dup2(error_output, STDERR_FILENO) < 0)
        _exit(126);
    if (null > STDERR_FILENO)
        close(null);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* a lower limit is no reason not to start */
}

static void run_child(const struct spawn *spawn, pid_t parent)
{
    set_output(spawn->error_output);
    raise_descriptor_limit();
    become_user(spawn);
    /* After the change of user, which clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        fail("cannot be tied to the supervisor");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail("cannot give up rights");
    if (getppid() != parent)
        _exit(126);
    reset_signals();
    execl(spawn->path, spawn->path, "--state", spawn->state, (char *)NULL);
    fail(spawn->path);
}

pid_t spawn_process(const struct spawn *spawn, struct error *error)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0)
        run_child(spawn, parent);
    if (child < 0)
        error_set_errno(error, spawn->path, "cannot be started");
    return child;
}

static bool try_program(const char *folder, const char *name, char path[SPAWN_PATH_SIZE])
{
    return file_join(path, SPAWN_PATH_SIZE, folder, name, NULL) && access(path, X_OK) == 0;
}

bool spawn_find_program(const char *name, const char *folder, char path[SPAWN_PATH_SIZE],
                        struct error *error)
{
    char own[SPAWN_PATH_SIZE], sibling[SPAWN_PATH_SIZE + 32];
    const char *libexec = getenv("GATEHOUSE_LIBEXEC");
    if (libexec && *libexec) {
        if (try_program(libexec, name, path))
            return true;
        return error_set(error, ERROR_NOT_FOUND, libexec,
                         "GATEHOUSE_LIBEXEC has no program %s in it", name);
    }
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (length <= 0)
        return error_set_errno(error, "/proc/self/exe", "cannot be read");
    own[length] = '\0';
    *strrchr(own, '/') = '\0';
    snprintf(sibling, sizeof(sibling), "%s/../%s", own, folder);
    if (try_program(own, name, path) || try_program(sibling, name, path))
        return true;
    snprintf(sibling, sizeof(sibling), "%s/../libexec/gatehouse", own);
    return try_program(sibling, name, path) ||
           error_set(error, ERROR_NOT_FOUND, own,
                     "%s is not beside gatehouse-scanner; GATEHOUSE_LIBEXEC can name its folder",
                     name);
}

/* The system calls that a worker may make. */
#include "scanner/engine/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* What libclamav, GMime, the C library and the frames need; arguments do not matter. A call that
 * takes a path is bounded by Landlock. */
static const int allowed[] = {
    /* the connection to the mta */
    SCMP_SYS(accept4),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(shutdown),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    /* files of the scratch folder and the descriptor of the message */
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(ftruncate),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(getcwd),
    SCMP_SYS(umask),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    /* threads, which image decoding in libclamav may use, and locks */
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(gettid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(membarrier),
    /* signals and time */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(setitimer),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(times),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    /* about itself */
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrusage),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrandom),
};

struct refusal {
    int call;
    int number; /* errno; 0: the call seems to have worked */
};

/* What libraries try and do well without: answered, not deadly. Changes of mode and times are said
 * to have worked: no path outside is safe from them, and unpackers give up where they fail. clone3
 * passes its flags in memory, where a filter cannot see them; the C library then falls back to
 * clone. */
static const struct refusal refused[] = {
    {SCMP_SYS(chmod), 0},           {SCMP_SYS(fchmod), 0},
    {SCMP_SYS(fchmodat), 0},        {SCMP_SYS(utimensat), 0},
    {SCMP_SYS(utime), 0},           {SCMP_SYS(utimes), 0},
    {SCMP_SYS(clone3), ENOSYS},     {SCMP_SYS(ioctl), ENOTTY},
    {SCMP_SYS(chown), EPERM},       {SCMP_SYS(fchown), EPERM},
    {SCMP_SYS(fchownat), EPERM},    {SCMP_SYS(readlink), EACCES},
    {SCMP_SYS(readlinkat), EACCES}, {SCMP_SYS(prlimit64), EPERM},
    {SCMP_SYS(getrlimit), EPERM},   {SCMP_SYS(statfs), EACCES},
    {SCMP_SYS(fstatfs), EACCES},    {SCMP_SYS(fadvise64), ENOSYS},
    {SCMP_SYS(sendfile), ENOSYS},   {SCMP_SYS(copy_file_range), ENOSYS},
};

static bool add_allowed(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0) != 0)
            return false;
    return true;
}

static bool add_refused(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)refused[i].number), refused[i].call,
                             0) != 0)
            return false;
    return true;
}

/* Memory is never executable from now on. */
static bool add_memory(scmp_filter_ctx filter)
{
    const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) != 0 ||
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), calls[i], 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)) != 0)
            return false;
    return true;
}

/* Threads of this process, signals to itself (abort), and the time-out of an answer. */
static bool add_own(scmp_filter_ctx filter)
{
    const scmp_datum_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    const scmp_datum_t own = (scmp_datum_t)getpid();
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_EQ, own)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
                            SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET),
                            SCMP_A2(SCMP_CMP_EQ, SO_SNDTIMEO)) == 0;
}

bool sandbox_restrict_calls(struct error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return error_set(error, ERROR_INTERNAL, "sandbox", "no seccomp filter can be made");
    bool ready = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
                 seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0 &&
                 add_allowed(filter) && add_refused(filter) && add_memory(filter) &&
                 add_own(filter);
    int code = ready ? seccomp_load(filter) : -EINVAL;
    seccomp_release(filter);
    if (code == 0)
        return true;
    errno = -code;
    return error_set_errno(error, "sandbox", "the seccomp filter cannot be set");
}

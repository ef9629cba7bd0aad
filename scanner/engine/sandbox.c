#include "scanner/engine/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTOR_LIMIT 512
#define PROCESS_LIMIT 1024 /* counts all of the user; the seccomp filter allows threads only */
#define CAPABILITIES 64

/* --- rights --- */

static void drop_bounding_set(void)
{
    for (int capability = 0; capability < CAPABILITIES; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0,
              0); /* EPERM without CAP_SETPCAP: nothing to drop */
}

static bool drop_rights(struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    if (setgroups(0, NULL) != 0 && errno != EPERM)
        return error_set_errno(error, "sandbox", "supplementary groups cannot be dropped");
    drop_bounding_set();
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0)
        return error_set_errno(error, "sandbox", "capabilities cannot be dropped");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set_errno(error, "sandbox", "new privileges cannot be forbidden");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set_errno(error, "sandbox", "tracing cannot be forbidden");
    return true;
}

/* --- resources --- */

static bool set_limit(int resource, rlim_t value, struct error *error)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0)
        return error_set_errno(error, "sandbox", "a resource limit cannot be read");
    if (limit.rlim_max != RLIM_INFINITY && value > limit.rlim_max)
        value = limit.rlim_max;
    limit = (struct rlimit){value, value};
    return setrlimit(resource, &limit) == 0 ||
           error_set_errno(error, "sandbox", "a resource limit cannot be set");
}

static uint64_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool limit_resources(const struct sandbox *sandbox, struct error *error)
{
    uint64_t mapped = mapped_bytes();
    if (sandbox->memory_limit > 0 && mapped == 0)
        return error_set(error, ERROR_IO, "/proc/self/statm", "cannot be read");
    return set_limit(RLIMIT_CORE, 0, error) && set_limit(RLIMIT_NPROC, PROCESS_LIMIT, error) &&
           set_limit(RLIMIT_NOFILE, DESCRIPTOR_LIMIT, error) &&
           set_limit(RLIMIT_FSIZE, sandbox->file_limit, error) &&
           set_limit(RLIMIT_MEMLOCK, 0, error) && set_limit(RLIMIT_MSGQUEUE, 0, error) &&
           set_limit(RLIMIT_RTPRIO, 0, error) &&
           (sandbox->memory_limit == 0 ||
            set_limit(RLIMIT_AS, mapped + sandbox->memory_limit, error));
}

bool sandbox_enter(const struct sandbox *sandbox, struct error *error)
{
    return drop_rights(error) && limit_resources(sandbox, error) &&
           sandbox_restrict_files(sandbox->folder, error) && sandbox_restrict_calls(error);
}

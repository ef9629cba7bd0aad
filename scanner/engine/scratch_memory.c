/* Temporary files in memory: a tmpfs that only the worker sees and that ends with it. On a disk the
 * folder that libclamav makes and removes for each scan costs more than the scan of a usual
 * message, and waits for the journal that the queue's own syncs keep busy. */
#include "scanner/engine/scratch.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysinfo.h>

#define INODES 100000 /* libclamav unpacks 10000 files of one message at most */

static bool write_text(const char *path, const char *text)
{
    cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && file_write_all(fd, text, strlen(text), NULL);
}

static bool write_map(const char *path, long id)
{
    char text[64];
    snprintf(text, sizeof(text), "%ld %ld 1", id, id);
    return write_text(path, text);
}

/* Who may not mount may do so in a user namespace, where the kernel gives these to everybody. */
static bool leave_namespaces(void)
{
    long user = (long)geteuid(), group = (long)getegid();
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_map("/proc/self/uid_map", user) &&
           write_text("/proc/self/setgroups", "deny") && write_map("/proc/self/gid_map", group);
}

static bool mount_on(const char *path, uint64_t bytes)
{
    char options[96];
    snprintf(options, sizeof(options), "mode=0700,size=%llu,nr_inodes=%d",
             (unsigned long long)bytes, INODES);
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("gatehouse-scratch", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) ==
               0;
}

static bool has_memory(uint64_t bytes)
{
    struct sysinfo system;
    return sysinfo(&system) == 0 && bytes <= (uint64_t)system.totalram * system.mem_unit / 2;
}

void scratch_use_memory(const char *path, uint64_t bytes, int workers)
{
    if (!has_memory(bytes * (uint64_t)workers))
        log_debug("%s: stays on disk, as this machine has little memory", path);
    else if (!leave_namespaces() || !mount_on(path, bytes))
        log_debug("%s: stays on disk: %s", path, strerror(errno));
}

/* Landlock (Documentation/userspace-api/landlock.rst): the system calls by number and the constants
 * by value, because the headers of the build machine may be older than the kernel that runs. */
#include "scanner/engine/sandbox.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>

#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE 445
#define CALL_RESTRICT_SELF 446
#define CREATE_RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_DIR (1ull << 4)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_DIR (1ull << 7)
#define FS_MAKE_REG (1ull << 8)
#define FS_REFER (1ull << 13)    /* since version 2 */
#define FS_TRUNCATE (1ull << 14) /* since version 3 */

struct ruleset {
    uint64_t handled_files;
    uint64_t handled_network; /* since version 4 */
    uint64_t scoped;          /* since version 6 */
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static long landlock_version(void)
{
    return syscall(CALL_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
}

bool sandbox_has_landlock(void)
{
    return landlock_version() > 0;
}

static uint64_t file_rights(long version)
{
    int count = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
    return (1ull << count) - 1;
}

static struct ruleset everything(long version)
{
    return (struct ruleset){
        .handled_files = file_rights(version),
        .handled_network = version >= 4 ? 3 : 0, /* bind and connect of TCP */
        .scoped = version >= 6 ? 3 : 0,          /* abstract unix sockets and signals */
    };
}

static size_t ruleset_size(long version)
{
    if (version >= 6)
        return sizeof(struct ruleset);
    return version >= 4 ? offsetof(struct ruleset, scoped) : sizeof(uint64_t);
}

static bool allow_folder(int ruleset, int folder, uint64_t handled)
{
    struct path_beneath rule = {
        .allowed = handled & (FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_DIR |
                              FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE),
        .parent = folder,
    };
    return syscall(CALL_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
}

bool sandbox_restrict_files(const char *folder, struct error *error)
{
    long version = landlock_version();
    if (version <= 0)
        return true;
    struct ruleset rules = everything(version);
    cleanup_fd int ruleset = (int)syscall(CALL_CREATE_RULESET, &rules, ruleset_size(version), 0);
    cleanup_fd int beneath = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (beneath < 0)
        return error_set_errno(error, folder, "cannot be opened");
    if (ruleset < 0 || !allow_folder(ruleset, beneath, rules.handled_files) ||
        syscall(CALL_RESTRICT_SELF, ruleset, 0) != 0)
        return error_set_errno(error, "sandbox", "Landlock cannot be set");
    return true;
}

#include "scanner/supervisor/accounts.h"

#include "common/cleanup.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define PATH_SIZE 1024
#define OWNER_STARTER (-1)

static const char *const user_names[ROLE_COUNT] = {
    [ROLE_MTA] = "gatehouse-mta",
    [ROLE_ENGINE] = "gatehouse-engine",
    [ROLE_DIRECTORY] = "gatehouse-directory",
    [ROLE_AGENT] = "gatehouse-agent",
};

static const struct {
    const char *name;
    mode_t mode;
    int owner; /* a role, or OWNER_STARTER */
} folders[] = {
    {"agent", 0700, ROLE_AGENT},     {"config", 0750, ROLE_AGENT},
    {"queue", 0700, ROLE_MTA},       {"signatures", 0750, ROLE_ENGINE},
    {"scratch", 0700, ROLE_ENGINE},  {"run", 0770, OWNER_STARTER},
    {"log", 0750, OWNER_STARTER},    {"mta-sts", 0700, ROLE_MTA},
    {"tls-reports", 0700, ROLE_MTA}, {"signatures/clamav", 0750, ROLE_AGENT},
    {"samples", 0700, ROLE_MTA},
};

static bool find_separate(struct accounts *accounts)
{
    const struct group *group = getgrnam("gatehouse");
    if (!group)
        return false;
    accounts->group = group->gr_gid;
    for (int role = 0; role < ROLE_COUNT; role++) {
        const struct passwd *user = getpwnam(user_names[role]);
        if (!user || user->pw_uid == 0)
            return false;
        accounts->users[role] = user->pw_uid;
    }
    return true;
}

static void use_starter(struct accounts *accounts)
{
    accounts->separate = false;
    accounts->group = getegid();
    for (int role = 0; role < ROLE_COUNT; role++)
        accounts->users[role] = geteuid();
}

bool accounts_find(struct accounts *accounts, struct error *error)
{
    const char *allow = getenv("GATEHOUSE_ALLOW_ROOT");
    *accounts = (struct accounts){0};
    if (geteuid() != 0) {
        use_starter(accounts);
        return true;
    }
    if (find_separate(accounts)) {
        accounts->separate = true;
        return true;
    }
    if (!allow || strcmp(allow, "1") != 0)
        return error_set(error, ERROR_NOT_FOUND, NULL,
                         "the users gatehouse-mta, gatehouse-engine, gatehouse-directory and "
                         "gatehouse-agent and the group gatehouse do not exist: make them with "
                         "tools/create-users, or start as another user than root");
    use_starter(accounts);
    return true;
}

/* Works on descriptors: a service's user must not be able to turn a folder of its own into a link
 * that leads us elsewhere. */
static bool make_folder(const struct accounts *accounts, int state, const char *name, mode_t mode,
                        int owner, struct error *error)
{
    if (mkdirat(state, name, mode) != 0 && errno != EEXIST)
        return error_set_errno(error, name, "the folder cannot be made");
    cleanup_fd int fd = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, name, "the folder cannot be opened");
    if (accounts->separate) {
        uid_t user = owner == OWNER_STARTER ? geteuid() : accounts->users[owner];
        if (fchown(fd, user, accounts->group) != 0)
            return error_set_errno(error, name, "the folder cannot be given to its user");
    }
    return fchmod(fd, mode) == 0 ||
           error_set_errno(error, name, "the mode of the folder cannot be set");
}

/* The services' users must be able to pass through the state directory. */
static bool open_passage(const struct accounts *accounts, int state, struct error *error)
{
    struct stat status;
    if (!accounts->separate)
        return true;
    return (fstat(state, &status) == 0 &&
            fchmod(state, (status.st_mode & 07777) | S_IXGRP | S_IXOTH) == 0) ||
           error_set_errno(error, "state", "the mode of the folder cannot be set");
}

bool accounts_make_state(const struct accounts *accounts, const char *state, struct error *error)
{
    if (!file_make_folder(state, 0755, error))
        return false;
    cleanup_fd int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(error, state, "cannot be opened");
    if (!open_passage(accounts, fd, error))
        return false;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (!make_folder(accounts, fd, folders[i].name, folders[i].mode, folders[i].owner, error))
            return false;
    return true;
}

int accounts_lock_state(const char *state, struct error *error)
{
    char path[PATH_SIZE], holder[32] = "";
    if (!file_join(path, sizeof(path), state, "supervisor.lock", error))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        error_set_errno(error, path, "cannot be opened");
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        bool taken = errno == EWOULDBLOCK;
        if (!taken) {
            error_set_errno(error, path, "cannot be locked");
        } else {
            ssize_t length = pread(fd, holder, sizeof(holder) - 1, 0);
            holder[length > 0 ? strspn(holder, "0123456789") : 0] = '\0';
            error_set(error, ERROR_EXISTS, state,
                      "another supervisor runs with this state directory (process %s)",
                      holder[0] ? holder : "unknown");
        }
        close(fd);
        return -1;
    }
    int length = snprintf(holder, sizeof(holder), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)length, 0) != length) {
        error_set_errno(error, path, "cannot be written");
        close(fd);
        return -1;
    }
    return fd;
}

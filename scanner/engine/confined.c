#include "scanner/engine/confined.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "scanner/engine/charset.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/sandbox.h"
#include "scanner/engine/scratch.h"
#include "scanner/engine/type.h"

#include <fcntl.h>
#include <gmime/gmime.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES ((uint64_t)256 << 20)

static bool limit_time(int seconds)
{
    struct rlimit limit = {(rlim_t)seconds, (rlim_t)seconds};
    sigset_t none;
    sigemptyset(&none);
    signal(SIGALRM, SIG_DFL);
    alarm((unsigned)seconds);
    return sigprocmask(SIG_SETMASK, &none, NULL) == 0 && setrlimit(RLIMIT_CPU, &limit) == 0;
}

static int keep_only(int file)
{
    int high = fcntl(file, F_DUPFD_CLOEXEC, 100);
    if (high < 0 || close_range(3, 99, 0) != 0)
        return -1;
    int low = fcntl(high, F_DUPFD_CLOEXEC, 3);
    return low >= 0 && close_range((unsigned)low + 1, ~0U, 0) == 0 ? low : -1;
}

int confined_begin(int file, int seconds)
{
    bool limited = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && limit_time(seconds);
    return limited ? keep_only(file) : -1;
}

void confined_start_libraries(void)
{
    g_mime_init();
    setlocale(LC_CTYPE, "C.UTF-8"); /* names in archives are of every script */
    charset_preload();
    tzset();
    type_preload(NULL); /* without it fewer types are told */
}

bool confined_enter(const char *state, uint64_t memory, struct error *error)
{
    const char *off = getenv("GATEHOUSE_ENGINE_SANDBOX"); /* tests under a sanitizer */
    char folder[ENGINE_PATH_SIZE];
    if (!scratch_make(state, getpid(), folder, error))
        return false;
    struct sandbox sandbox = {.folder = folder, .memory_limit = memory, .file_limit = FILE_BYTES};
    if (setenv("TMPDIR", folder, 1) != 0)
        return error_set_errno(error, folder, "cannot be used");
    return (off && strcmp(off, "off") == 0) || sandbox_enter(&sandbox, error);
}

json_t *confined_answer(int file, size_t most)
{
    off_t size = lseek(file, 0, SEEK_END);
    if (size <= 0 || (size_t)size > most)
        return NULL;
    cleanup_free char *text = malloc((size_t)size);
    if (!text || pread(file, text, (size_t)size, 0) != size)
        return NULL;
    json_t *answer = json_parse(text, (size_t)size, NULL, NULL);
    if (json_is_object(answer))
        return answer;
    json_decref(answer);
    return NULL;
}

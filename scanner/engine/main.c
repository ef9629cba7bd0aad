/* gatehouse-engine --state DIR: the scanning engine of a scanner. */
#include "common/log.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *out, int status)
{
    fputs(
        "usage: gatehouse-engine --state DIR\n"
        "       gatehouse-engine [--state DIR] --show FILE\n"
        "Scans messages for the mta of the scanner whose state is in DIR.\n"
        "--show FILE prints what the engine sees in one message (RFC 5322) as JSON: the result\n"
        "that the mta would get, the tree of its parts and of the members of archives with their\n"
        "true types, the limit that was hit, the language, and the text and addresses of each\n"
        "part. It is read in the sandbox and under the limits of a worker; the configuration and\n"
        "the custom signatures are those of DIR, or the defaults.\n"
        "Environment: GATEHOUSE_SIGNATURES (folder of libclamav databases, default\n"
        "/var/lib/clamav), GATEHOUSE_ENGINE_MEMORY (MiB for each worker, default 2048),\n"
        "GATEHOUSE_LOG (error, warning, info, debug).\n",
        out);
    return status;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    char text[700];
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, EXIT_SUCCESS);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("gatehouse-engine %s\n", GATEHOUSE_VERSION) < 0;
    bool with_state = argc >= 3 && strcmp(argv[1], "--state") == 0;
    int next = with_state ? 3 : 1;
    bool show = argc == next + 2 && strcmp(argv[next], "--show") == 0;
    if (!show && (!with_state || argc != 3))
        return usage(stderr, 2);
    log_open("engine");
    if (show ? engine_show(with_state ? argv[2] : NULL, argv[next + 1], &error)
             : engine_run(argv[2], &error))
        return EXIT_SUCCESS;
    log_error("%s", error_text(&error, text, sizeof(text)));
    return EXIT_FAILURE;
}

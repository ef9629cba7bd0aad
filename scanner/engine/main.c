/* gatehouse-engine --state DIR: the scanning engine of a scanner. */
#include "common/log.h"
#include "scanner/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *out, int status)
{
    fputs("usage: gatehouse-engine --state DIR\n"
          "Scans messages for the mta of the scanner whose state is in DIR.\n"
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
    if (argc != 3 || strcmp(argv[1], "--state") != 0)
        return usage(stderr, 2);
    log_open("engine");
    if (engine_run(argv[2], &error))
        return EXIT_SUCCESS;
    log_error("%s", error_text(&error, text, sizeof(text)));
    return EXIT_FAILURE;
}

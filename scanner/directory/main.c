/* gatehouse-directory --state DIR: asks the directories of a scanner's configuration. */
#include "common/log.h"
#include "scanner/directory/directory.h"
#include "scanner/directory/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int usage(FILE *out, int status)
{
    fputs("usage: gatehouse-directory --state DIR\n"
          "Tells the other processes of the scanner whose state is in DIR which recipients are\n"
          "known, and whether passwords are right.\n"
          "Environment: GATEHOUSE_LOG (error, warning, info, debug).\n",
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
        return printf("gatehouse-directory %s\n", GATEHOUSE_VERSION) < 0;
    if (argc != 3 || strcmp(argv[1], "--state") != 0)
        return usage(stderr, 2);
    log_open("directory");
    umask(0027);
    memory_wipe_what_is_freed();
    if (directory_run(argv[2], &error))
        return EXIT_SUCCESS;
    log_error("%s", error_text(&error, text, sizeof(text)));
    return EXIT_FAILURE;
}

/* gatehouse-agent --state DIR: the channel to the Control Center. */
#include "common/log.h"
#include "scanner/agent/agent.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static const char *read_state(int argc, char **argv)
{
    static const struct option options[] = {{"state", required_argument, NULL, 's'}, {0}};
    const char *state = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 's')
            return NULL;
        state = optarg;
    }
    return optind == argc ? state : NULL;
}

/* Blocked before the first thread starts, so that only main takes them. */
static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigprocmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct error error = {0};
    char text[640];
    sigset_t signals;
    int received = 0;
    const char *state = read_state(argc, argv);

    if (!state) {
        fprintf(stderr, "usage: gatehouse-agent --state DIR\n");
        return 2;
    }
    log_open("agent");
    umask(0027);
    block_signals(&signals);
    struct agent *agent = agent_start(state, &error);
    if (!agent) {
        log_error("cannot start: %s", error_text(&error, text, sizeof(text)));
        return 1;
    }
    log_info("started");
    sigwait(&signals, &received);
    log_info("stopping");
    agent_stop(agent);
    return 0;
}

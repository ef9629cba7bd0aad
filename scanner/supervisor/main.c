/* gatehouse-scanner: `run` supervises the processes of a scanner, `enroll` makes one. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/log.h"
#include "scanner/agent/enrolment.h"
#include "scanner/supervisor/accounts.h"
#include "scanner/supervisor/supervisor.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ASK_MS 2000

struct arguments {
    const char *state;
    const char *url;
    const char *token;
    bool force;
};

static int usage(void)
{
    fprintf(stderr,
            "usage: gatehouse-scanner run --state DIR\n"
            "       gatehouse-scanner enroll --state DIR --url https://HOST:8444 --token TOKEN "
            "[--force]\n");
    return 2;
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"state", required_argument, NULL, 's'},
                                            {"url", required_argument, NULL, 'u'},
                                            {"token", required_argument, NULL, 't'},
                                            {"force", no_argument, NULL, 'f'},
                                            {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            arguments->state = optarg;
        else if (option == 'u')
            arguments->url = optarg;
        else if (option == 't')
            arguments->token = optarg;
        else if (option == 'f')
            arguments->force = true;
        else
            return false;
    }
    return arguments->state && optind == argc;
}

static int fail(const struct error *error)
{
    char text[640];
    fprintf(stderr, "gatehouse-scanner: %s\n", error_text(error, text, sizeof(text)));
    return 1;
}

/* The processes get an absolute path, whatever folder we were started in. */
static char *absolute_state(const char *state, struct error *error)
{
    if (!file_make_folder(state, 0755, error))
        return NULL;
    char *path = realpath(state, NULL);
    if (!path)
        error_set_errno(error, state, "cannot be found");
    return path;
}

static int run(const char *state)
{
    struct accounts accounts;
    struct error error = {0};
    log_open("supervisor");
    return accounts_find(&accounts, &error) && supervisor_run(state, &accounts, &error)
               ? 0
               : fail(&error);
}

/* A supervisor that runs already has an agent with the old identity. */
static void restart_agent(const char *state)
{
    char path[1024];
    cleanup_json json_t *request = json_pack("{s:s,s:s}", "op", "restart", "service", "agent");
    if (file_join(path, sizeof(path), state, NODE_SUPERVISOR_SOCKET, NULL))
        json_decref(ipc_request(path, request, ASK_MS, NULL));
}

static int enroll(const char *state, const struct arguments *arguments)
{
    struct accounts accounts;
    struct node node;
    struct error error = {0};
    if (!accounts_find(&accounts, &error) || !accounts_make_state(&accounts, state, &error))
        return fail(&error);
    struct enrolment_options options = {
        .state = state,
        .url = arguments->url,
        .token = arguments->token,
        .force = arguments->force,
        .owner = accounts.separate ? accounts.users[ROLE_AGENT] : (uid_t)-1,
        .group = accounts.group,
    };
    if (!enrolment_run(&options, &node, &error))
        return fail(&error);
    restart_agent(state);
    printf("enrolled with %s as scanner %s\n", node.url, node.scanner_id);
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct error error = {0};
    const char *command = argc > 1 ? argv[1] : "";
    bool is_enroll = strcmp(command, "enroll") == 0;

    if ((!is_enroll && strcmp(command, "run") != 0) ||
        !read_arguments(argc - 1, argv + 1, &arguments) ||
        is_enroll != (arguments.url && arguments.token))
        return usage();
    umask(0022); /* folders and files say their own modes; the agent's users read node.json */
    cleanup_free char *state = absolute_state(arguments.state, &error);
    if (!state)
        return fail(&error);
    return is_enroll ? enroll(state, &arguments) : run(state);
}

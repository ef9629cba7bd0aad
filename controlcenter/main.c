/* gatehouse-controlcenter: the management plane. */
#include "common/log.h"
#include "controlcenter/commands.h"
#include "controlcenter/run.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OPERANDS_MOST 2

struct arguments {
    const char *config;
    const char *inbound;
    const char *outbound;
    const char *operands[OPERANDS_MOST]; /* such as NAME or HOSTNAME */
};

static int do_run(const struct program_config *config, const struct arguments *arguments)
{
    (void)arguments;
    return run_control_center(config);
}

static int do_migrate(const struct program_config *config, const struct arguments *arguments)
{
    (void)arguments;
    return command_migrate(config);
}

static int do_create_administrator(const struct program_config *config,
                                   const struct arguments *arguments)
{
    return command_create_administrator(config, arguments->operands[0]);
}

static int do_create_token(const struct program_config *config, const struct arguments *arguments)
{
    return command_create_token(config, arguments->operands[0], arguments->inbound,
                                arguments->outbound);
}

static int do_reset_password(const struct program_config *config, const struct arguments *arguments)
{
    return command_reset_password(config, arguments->operands[0]);
}

static int do_set_route(const struct program_config *config, const struct arguments *arguments)
{
    return command_set_route(config, arguments->operands[0], arguments->operands[1]);
}

static const struct command {
    const char *name;
    int operand_count;
    bool takes_listeners;
    int (*run)(const struct program_config *config, const struct arguments *arguments);
    const char *usage;
} commands[] = {
    {"run", 0, false, do_run, ""},
    {"migrate", 0, false, do_migrate, ""},
    {"create-administrator", 1, false, do_create_administrator, " NAME"},
    {"reset-password", 1, false, do_reset_password, " NAME"},
    {"set-route", 2, false, do_set_route, " DOMAIN HOST:PORT"},
    {"create-token", 1, true, do_create_token,
     " HOSTNAME [--inbound IP:PORT] [--outbound IP:PORT]"},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static int usage(void)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stderr, "%s gatehouse-controlcenter %s --config FILE%s\n",
                i == 0 ? "usage:" : "      ", commands[i].name, commands[i].usage);
    return 2;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static bool read_arguments(int argc, char **argv, const struct command *command,
                           struct arguments *arguments)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"inbound", required_argument, NULL, 'i'},
                                            {"outbound", required_argument, NULL, 'o'},
                                            {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c')
            arguments->config = optarg;
        else if (option == 'i' && command->takes_listeners)
            arguments->inbound = optarg;
        else if (option == 'o' && command->takes_listeners)
            arguments->outbound = optarg;
        else
            return false;
    }
    if (!arguments->config || argc - optind != command->operand_count)
        return false;
    for (int i = 0; i < command->operand_count; i++)
        arguments->operands[i] = argv[optind + i];
    return true;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct program_config config;
    struct error error = {0};
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;

    if (!command || !read_arguments(argc - 1, argv + 1, command, &arguments))
        return usage();
    log_open("controlcenter");
    umask(0027);
    int status = program_config_load(arguments.config, &config, &error)
                     ? command->run(&config, &arguments)
                     : command_fail(&error);
    program_config_clear(&config);
    return status;
}

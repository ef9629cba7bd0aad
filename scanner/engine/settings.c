#include "scanner/engine/engine.h"

#include "common/config_model.h"
#include "common/file.h"
#include "scanner/engine/custom_signatures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_WORKERS 2
#define DEFAULT_SCAN_SECONDS 60
#define DEFAULT_MESSAGE_LIMIT (50u << 20)
#define DEFAULT_MEMORY_MIB 2048
#define LEAST_MEMORY_MIB 128
#define DEFAULT_WORKER_SCANS 50000
#define MOST_MEMORY_MIB (1 << 20)
/* The mta adds trace fields to what the sender's SIZE was checked against. */
#define TRACE_ALLOWANCE (1u << 20)

static void set_defaults(struct engine_settings *settings)
{
    settings->workers = DEFAULT_WORKERS;
    settings->scan_seconds = DEFAULT_SCAN_SECONDS;
    settings->message_limit = DEFAULT_MESSAGE_LIMIT + TRACE_ALLOWANCE;
    settings->memory_limit = (uint64_t)DEFAULT_MEMORY_MIB << 20;
    settings->limits = (struct config_engine_limits){.depth = 20,
                                                     .parts = 10000,
                                                     .unpacked_megabytes = 256,
                                                     .ratio = 1000,
                                                     .memory_megabytes = DEFAULT_MEMORY_MIB};
    settings->sandbox = true;
    settings->worker_scans = DEFAULT_WORKER_SCANS;
}

static bool read_environment(struct engine_settings *settings, struct error *error)
{
    const char *memory = getenv("GATEHOUSE_ENGINE_MEMORY");
    const char *sandbox = getenv("GATEHOUSE_ENGINE_SANDBOX");
    const char *scans = getenv("GATEHOUSE_ENGINE_SCANS");
    if (sandbox && strcmp(sandbox, "off") == 0)
        settings->sandbox = false;
    if (scans && atoi(scans) > 0)
        settings->worker_scans = (uint64_t)atoi(scans);
    if (!memory || !*memory)
        return true;
    char *end;
    errno = 0;
    long long mebibytes = strtoll(memory, &end, 10);
    if (errno != 0 || *end || mebibytes < LEAST_MEMORY_MIB || mebibytes > MOST_MEMORY_MIB)
        return error_set(error, ERROR_INVALID, "GATEHOUSE_ENGINE_MEMORY",
                         "must be a number of MiB from %d to %d", LEAST_MEMORY_MIB,
                         MOST_MEMORY_MIB);
    settings->memory_limit = (uint64_t)mebibytes << 20;
    return true;
}

static int clamp(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

static void take_configuration(struct engine_settings *settings,
                               const struct scanner_config *config)
{
    int64_t largest = config->inbound.max_message_bytes;
    if (config->outbound.max_message_bytes > largest)
        largest = config->outbound.max_message_bytes;
    settings->workers = clamp(config->engine.workers, 1, ENGINE_WORKERS_LIMIT);
    settings->scan_seconds = clamp(config->engine.scan_seconds, 1, ENGINE_SCAN_SECONDS_LIMIT);
    settings->limits = config->engine.limits;
    settings->policy_fingerprint = config->policy_fingerprint;
    if (!getenv("GATEHOUSE_ENGINE_MEMORY"))
        settings->memory_limit = (uint64_t)config->engine.limits.memory_megabytes << 20;
    if (largest > 0)
        settings->message_limit = (uint64_t)largest + TRACE_ALLOWANCE;
}

bool engine_settings_read(struct engine_settings *settings, struct error *error)
{
    char envelope[ENGINE_PATH_SIZE], key[ENGINE_PATH_SIZE];
    struct error local = {0};
    set_defaults(settings);
    if (!read_environment(settings, error) ||
        !file_join(envelope, sizeof(envelope), settings->state, "config/current.json", error) ||
        !file_join(key, sizeof(key), settings->state, "config/configuration.pub", error))
        return false;
    struct scanner_config *config = config_load(envelope, key, &local);
    if (!config && local.code == ERROR_NOT_FOUND)
        return true;
    if (!config)
        return error_set(error, local.code, local.where, "%s", local.message);
    take_configuration(settings, config);
    settings->config = config;
    return custom_signatures_write(settings->state, &config->signatures, error);
}

void engine_settings_release(struct engine_settings *settings)
{
    config_free(settings->config);
    settings->config = NULL;
}

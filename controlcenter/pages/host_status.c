#include "controlcenter/pages/host_status.h"
#include "controlcenter/pages/host_flow.h"
#include "controlcenter/pages/signature_updates.h"

#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_MOST (INT64_C(1) << 53)
#define TEXT_MOST 300
#define SERVICES_MOST 16
#define SOURCES_MOST 16
#define OLD_SIGNATURES_MS (INT64_C(7) * 86400000)

/* The members of a status that a process of the host answers. */
static const char *const processes[] = {"mta", "engine", "supervisor"};
#define PROCESS_COUNT (sizeof processes / sizeof *processes)

static const char *const service_states[] = {"running", "stopped", "stopping", "waiting", NULL};

/* --- single values --- */

static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_object(value) ? value : NULL;
}

static int64_t number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    json_int_t count = json_integer_value(value);
    return json_is_integer(value) && count >= 0 && count <= NUMBER_MOST ? count : -1;
}

static void put_count(struct page *page, json_t *to, const char *name, const json_t *from)
{
    int64_t value = number(from, name);
    if (value >= 0)
        page_put_count(page, to, name, value);
}

static void put_number(struct page *page, json_t *to, const char *name, const json_t *from)
{
    int64_t value = number(from, name);
    if (value >= 0)
        page_put_number(page, to, name, value);
}

/* One line of at most TEXT_MOST bytes. */
static const char *clean_text(const char *value, char text[TEXT_MOST + 1])
{
    size_t length = strnlen(value, TEXT_MOST);
    while (value[length] && length > 0 && ((unsigned char)value[length] & 0xc0) == 0x80)
        length--;
    memcpy(text, value, length);
    text[utf8_scrub(text, length)] = '\0';
    return text;
}

static const char *text_member(const json_t *object, const char *name, char text[TEXT_MOST + 1])
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? clean_text(value, text) : "";
}

static bool time_member(const json_t *object, const char *name, int64_t *time)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value && timestamp_parse(value, time) && *time > 0;
}

/* --- reading --- */

static enum host_state state_of(const struct store_scanner *scanner, int64_t now)
{
    if (scanner->seen_at == 0)
        return HOST_NEVER_SEEN;
    return now - scanner->seen_at > HOST_SILENT_MS ? HOST_SILENT : HOST_ONLINE;
}

static enum host_configuration configuration_of(const struct store_scanner *scanner)
{
    if (scanner->configuration_version == scanner->wanted_version)
        return HOST_CONFIGURATION_CURRENT;
    return scanner->failed_version == scanner->wanted_version ? HOST_REFUSED
                                                              : HOST_CONFIGURATION_SENT;
}

static void read_queues(const json_t *status, struct host_queues *queues)
{
    const json_t *from = member(member(status, "mta"), "queues");
    *queues = (struct host_queues){number(from, "i_qmsgs"), number(from, "o_qmsgs"),
                                   number(from, "d_qmsgs")};
}

static bool signatures_missing(const json_t *engine)
{
    const char *source = json_string_value(json_object_get(member(engine, "signatures"), "source"));
    bool loading = json_is_true(json_object_get(engine, "loading"));
    if (!engine || (!source && loading))
        return false;
    return !source || strcmp(source, "builtin") == 0;
}

static bool signatures_old(const json_t *engine, int64_t now)
{
    int64_t built_at;
    return time_member(member(engine, "signatures"), "built_at", &built_at) &&
           now - built_at > OLD_SIGNATURES_MS;
}

static bool is_partly_unknown(const json_t *status)
{
    for (size_t i = 0; i < PROCESS_COUNT; i++)
        if (!member(status, processes[i]))
            return true;
    return false;
}

static bool has_text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value && *value;
}

/* A service that the administrator stopped is no problem; one that is waiting has ended and will be
 * started again. */
static bool has_waiting_service(const json_t *status)
{
    const json_t *services = member(member(status, "supervisor"), "services"), *service;
    const char *name;
    json_object_foreach((json_t *)services, name, service)
    {
        const char *state = json_string_value(json_object_get(service, "state"));
        if (state && strcmp(state, "waiting") == 0)
            return true;
    }
    return false;
}

static bool is_silent(const json_t *source)
{
    return json_is_false(json_object_get(source, "answers"));
}

/* A directory source that gave no answer when it was asked last: mail for its recipients waits. */
static bool has_silent_source(const json_t *status)
{
    const json_t *sources = json_object_get(member(status, "directory"), "sources");
    for (size_t i = 0; i < json_array_size(sources) && i < SOURCES_MOST; i++)
        if (is_silent(json_array_get(sources, i)))
            return true;
    return false;
}

void host_summarise(const struct store_scanner *scanner, int64_t now, struct host_summary *summary)
{
    const json_t *status = scanner->status;
    *summary = (struct host_summary){.state = state_of(scanner, now),
                                     .configuration = configuration_of(scanner),
                                     .queues = {-1, -1, -1}};
    summary->needs_attention = summary->state != HOST_ONLINE ||
                               summary->configuration == HOST_REFUSED ||
                               !host_flow_is_normal(scanner->smtp);
    if (summary->state != HOST_ONLINE)
        return;
    read_queues(status, &summary->queues);
    summary->signatures_missing = signatures_missing(member(status, "engine"));
    summary->signatures_old =
        !summary->signatures_missing && signatures_old(member(status, "engine"), now);
    summary->is_partly_unknown = is_partly_unknown(status);
    summary->has_problem = has_text(member(status, "engine"), "problem") ||
                           has_text(member(status, "events"), "problem") ||
                           has_waiting_service(status) || has_silent_source(status);
    summary->needs_attention = summary->needs_attention || summary->signatures_missing ||
                               summary->signatures_old || summary->is_partly_unknown ||
                               summary->has_problem;
}

/* --- showing --- */

static void put_queue(struct page *page, json_t *object, const char *name, int64_t count)
{
    if (count >= 0)
        page_put_count(page, object, name, count);
}

void host_put_queues(struct page *page, json_t *object, const struct host_queues *queues)
{
    put_queue(page, object, "i_qmsgs", queues->inbound);
    put_queue(page, object, "o_qmsgs", queues->outbound);
    put_queue(page, object, "d_qmsgs", queues->delivery);
}

static void put_signatures(struct page *page, json_t *row, const json_t *engine,
                           const struct host_summary *summary)
{
    const json_t *signatures = member(engine, "signatures");
    json_t *to = page_put_object(page, row, "signatures");
    int64_t built_at;
    if (summary->signatures_missing)
        page_put_true(page, to, signatures ? "only_test" : "none");
    else if (signatures)
        page_put_true(page, to, "loaded");
    else if (json_is_true(json_object_get(engine, "loading")))
        page_put_true(page, to, "loading");
    else
        page_put_true(page, to, "unknown");
    put_number(page, to, "version", signatures);
    put_count(page, to, "count", signatures);
    if (!time_member(signatures, "built_at", &built_at))
        return;
    page_put_time(page, to, "built_at", built_at);
    page_put(page, to, "old", json_boolean(summary->signatures_old));
}

static void put_engine(struct page *page, json_t *row, const json_t *engine)
{
    const json_t *workers = member(engine, "workers");
    char text[TEXT_MOST + 1];
    json_t *to = page_put_object(page, row, "engine");
    put_count(page, to, "count", workers);
    put_count(page, to, "busy", workers);
    put_count(page, to, "scans", engine);
    put_number(page, to, "generation", engine);
    page_put_text(page, to, "problem", text_member(engine, "problem", text));
}

static void put_mta(struct page *page, json_t *row, const json_t *mta,
                    const struct host_queues *queues)
{
    json_t *to = page_put_object(page, row, "mta");
    int64_t free_bytes = number(mta, "disk_free_bytes");
    host_put_queues(page, to, queues);
    put_count(page, to, "sessions", mta);
    put_number(page, to, "configuration_version", mta);
    if (free_bytes >= 0)
        page_put_size(page, to, "disk_free", free_bytes);
}

static void put_events(struct page *page, json_t *row, const json_t *status)
{
    char text[TEXT_MOST + 1];
    const json_t *events = member(status, "events");
    int64_t last = number(member(status, "mta"), "last_seq"), sent = number(events, "sent_seq");
    json_t *to = page_put_object(page, row, "events");
    page_put_text(page, to, "problem", text_member(events, "problem", text));
    if (last >= 0 && sent >= 0)
        page_put_count(page, to, "waiting", last > sent ? last - sent : 0);
}

static void put_service(struct page *page, json_t *services, const char *name,
                        const json_t *service)
{
    char text[TEXT_MOST + 1];
    int64_t since;
    json_t *row = page_add_object(page, services);
    page_put_text(page, row, "name", clean_text(name, text));
    page_put_word(page, row, "state", text_member(service, "state", text), service_states);
    if (time_member(service, "since", &since))
        page_put_time(page, row, "since", since);
    put_count(page, row, "restarts", service);
    put_number(page, row, "pid", service);
}

static void put_services(struct page *page, json_t *row, const json_t *status)
{
    const json_t *services = member(member(status, "supervisor"), "services"), *service;
    const char *name;
    json_t *array = page_put_array(page, row, "services");
    json_object_foreach((json_t *)services, name, service)
    {
        if (json_array_size(array) < SERVICES_MOST)
            put_service(page, array, name, service);
    }
    page_put(page, row, "has_services", json_boolean(json_array_size(array) > 0));
}

static void put_source(struct page *page, json_t *sources, const json_t *source)
{
    char text[TEXT_MOST + 1];
    json_t *row = page_add_object(page, sources);
    page_put_text(page, row, "name", text_member(source, "name", text));
    page_put(page, row, "is_silent", json_boolean(is_silent(source)));
    put_count(page, row, "asked", source);
    put_count(page, row, "failed", source);
    put_count(page, row, "waiting", source);
}

static void put_directory(struct page *page, json_t *row, const json_t *directory)
{
    const json_t *sources = json_object_get(directory, "sources");
    json_t *array = page_put_array(page, row, "sources");
    for (size_t i = 0; i < json_array_size(sources) && i < SOURCES_MOST; i++)
        put_source(page, array, json_array_get(sources, i));
    page_put(page, row, "has_sources", json_boolean(json_array_size(array) > 0));
}

static void put_silent_processes(struct page *page, json_t *row, const json_t *status)
{
    json_t *array = page_put_array(page, row, "silent_processes");
    for (size_t i = 0; i < PROCESS_COUNT; i++)
        if (!member(status, processes[i]))
            page_put_text(page, page_add_object(page, array), "name", processes[i]);
}

static void put_configuration(struct page *page, json_t *row, const struct store_scanner *scanner,
                              enum host_configuration configuration)
{
    static const char *const names[] = {[HOST_CONFIGURATION_CURRENT] = "current",
                                        [HOST_CONFIGURATION_SENT] = "sent",
                                        [HOST_REFUSED] = "refused"};
    json_t *to = page_put_object(page, row, "configuration");
    page_put_true(page, to, names[configuration]);
    if (scanner->configuration_version > 0)
        page_put_number(page, to, "running", scanner->configuration_version);
    page_put_number(page, to, "wanted", scanner->wanted_version);
    page_put_text(page, to, "reason", scanner->failed_reason);
    if (scanner->failed_version > 0)
        page_put_number(page, to, "failed", scanner->failed_version);
}

void host_put(struct page *page, json_t *row, const struct store_scanner *scanner, int64_t now)
{
    static const char *const states[] = {
        [HOST_NEVER_SEEN] = "never_seen", [HOST_SILENT] = "silent", [HOST_ONLINE] = "online"};
    struct host_summary summary;
    const json_t *status = scanner->status;
    host_summarise(scanner, now, &summary);
    page_put_text(page, row, "id", scanner->id);
    page_put_text(page, row, "host_name", scanner->host_name);
    page_put_text(page, row, "software", scanner->software_version);
    page_put_time(page, row, "enrolled_at", scanner->enrolled_at);
    page_put_time(page, row, "seen_at", scanner->seen_at);
    page_put_true(page, page_put_object(page, row, "state"), states[summary.state]);
    page_put(page, row, "has_problem", json_boolean(summary.has_problem));
    page_put(page, row, "needs_attention", json_boolean(summary.needs_attention));
    put_configuration(page, row, scanner, summary.configuration);
    host_flow_put(page, row, scanner->smtp);
    /* What a silent host said last is not what is so now. */
    if (summary.state == HOST_ONLINE)
        put_silent_processes(page, row, status);
    else
        status = NULL;
    put_mta(page, row, member(status, "mta"), &summary.queues);
    put_engine(page, row, member(status, "engine"));
    put_signatures(page, row, member(status, "engine"), &summary);
    put_events(page, row, status);
    put_services(page, row, status);
    put_directory(page, row, member(status, "directory"));
    signature_update_put(page, row, member(status, "updates"));
}

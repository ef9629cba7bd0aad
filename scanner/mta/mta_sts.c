#include "scanner/mta/mta_sts.h"

#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ENTRIES 10000
#define BUCKETS 4096                          /* a power of two */
#define FETCH_SECONDS 60                      /* RFC 8461 section 3.3 */
#define FETCH_AGAIN_MS (5 * 60 * 1000)        /* after a failure */
#define REFRESH_MS (24 * 3600 * 1000LL)       /* although the id is the same */
#define EXPIRES_MS (3600 * 1000)              /* for those who asked */
#define FILE_LIMIT (8 * MTA_STS_POLICY_LIMIT) /* with all that JSON escapes */
#define PATH_SIZE 1024

struct entry {
    struct entry *next;
    char id[MTA_STS_ID_SIZE];
    int64_t fetched_at; /* milliseconds since 1970, as retry_at */
    int64_t retry_at;   /* not fetched before */
    const char *problem;
    struct mta_sts_policy *policy; /* NULL: it could not be had */
    char domain[];
};

struct mta_sts {
    struct resolver *resolver;
    struct https_client *https;
    char folder[PATH_SIZE]; /* "": none */
    struct entry *buckets[BUCKETS];
    size_t entries;
    bool closing;
};

struct request {
    struct mta_sts *sts;
    mta_sts_callback callback;
    void *argument;
    int64_t record_expires;
    char id[MTA_STS_ID_SIZE];
    char domain[DOMAIN_SIZE];
};

/* --- table --- */

static struct entry **place_of(struct mta_sts *sts, const char *domain)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = domain; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    struct entry **link = &sts->buckets[(hash ^ hash >> 16) & (BUCKETS - 1)];
    while (*link && strcmp((*link)->domain, domain) != 0)
        link = &(*link)->next;
    return link;
}

static bool is_valid(const struct entry *entry, int64_t now)
{
    return entry && entry->policy && entry->fetched_at <= now &&
           now - entry->fetched_at < 1000 * (int64_t)mta_sts_max_age(entry->policy);
}

static bool path_of(const struct mta_sts *sts, const char *domain, char path[PATH_SIZE])
{
    return sts->folder[0] != '\0' && file_join(path, PATH_SIZE, sts->folder, domain, NULL);
}

static void remove_entry(struct mta_sts *sts, struct entry **link)
{
    struct entry *entry = *link;
    char path[PATH_SIZE];
    if (entry->policy && path_of(sts, entry->domain, path))
        unlink(path);
    *link = entry->next;
    mta_sts_policy_drop(entry->policy);
    free(entry);
    sts->entries--;
}

static void remove_useless(struct mta_sts *sts)
{
    int64_t now = timestamp_now_ms();
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry **link = &sts->buckets[i]; *link;) {
            if (is_valid(*link, now))
                link = &(*link)->next;
            else
                remove_entry(sts, link);
        }
}

/* NULL where the table is full. */
static struct entry *entry_of(struct mta_sts *sts, const char *domain)
{
    struct entry **link = place_of(sts, domain);
    if (*link)
        return *link;
    if (sts->entries >= ENTRIES)
        remove_useless(sts);
    if (sts->entries >= ENTRIES)
        return NULL;
    struct entry *entry = calloc(1, sizeof(*entry) + strlen(domain) + 1);
    if (!entry)
        abort();
    memcpy(entry->domain, domain, strlen(domain) + 1);
    link = place_of(sts, domain);
    *link = entry;
    sts->entries++;
    return entry;
}

/* --- files --- */

static void save(const struct mta_sts *sts, const struct entry *entry)
{
    char path[PATH_SIZE], text[600];
    struct error error = {0};
    if (!path_of(sts, entry->domain, path))
        return;
    json_t *object =
        json_pack("{s:s,s:I,s:s}", "id", entry->id, "fetched_at", (json_int_t)entry->fetched_at,
                  "policy", mta_sts_text(entry->policy));
    char *content = object ? json_text(object) : NULL;
    if (content && !file_write_atomic(path, content, strlen(content), 0600, &error))
        log_warning("mta-sts: a policy cannot be kept: %s", error_text(&error, text, sizeof(text)));
    free(content);
    json_decref(object);
}

static bool take_file(struct mta_sts *sts, const char *domain, const json_t *object)
{
    const char *id, *text;
    int64_t fetched_at;
    if (!json_get_text(object, NULL, "id", MTA_STS_ID_SIZE - 1, &id, NULL) ||
        !json_get_integer(object, NULL, "fetched_at", 0, INT64_MAX, &fetched_at, NULL) ||
        !json_get_text(object, NULL, "policy", MTA_STS_POLICY_LIMIT, &text, NULL))
        return false;
    struct mta_sts_policy *policy = mta_sts_policy_read(text, strlen(text), NULL);
    struct entry *entry = policy ? entry_of(sts, domain) : NULL;
    if (!entry) {
        mta_sts_policy_drop(policy);
        return false;
    }
    snprintf(entry->id, sizeof(entry->id), "%s", id);
    entry->fetched_at = fetched_at;
    entry->policy = policy;
    return true;
}

static void load(struct mta_sts *sts, const char *domain)
{
    char path[PATH_SIZE], normal[DOMAIN_SIZE];
    size_t length;
    if (domain_normalise(domain, false, normal) != NULL || !path_of(sts, domain, path))
        return;
    char *content = file_read(path, FILE_LIMIT, &length, NULL);
    json_t *object = content ? json_parse(content, length, NULL, NULL) : NULL;
    if (!object || !take_file(sts, normal, object))
        unlink(path);
    json_decref(object);
    free(content);
}

static void load_folder(struct mta_sts *sts)
{
    DIR *folder = opendir(sts->folder);
    if (!folder)
        return;
    for (struct dirent *at; (at = readdir(folder)) != NULL && sts->entries < ENTRIES;)
        if (at->d_name[0] != '.')
            load(sts, at->d_name);
    closedir(folder);
    remove_useless(sts);
}

/* --- answers --- */

static void answer(struct request *request, const char *problem)
{
    struct mta_sts *sts = request->sts;
    struct entry *entry = *place_of(sts, request->domain);
    int64_t now = timestamp_monotonic_ms();
    struct mta_sts_answer result = {.problem = problem, .expires = now + EXPIRES_MS};
    if (is_valid(entry, timestamp_now_ms()))
        result.policy = mta_sts_policy_take(entry->policy);
    if (problem)
        result.expires = now + FETCH_AGAIN_MS;
    if (request->record_expires < result.expires)
        result.expires = request->record_expires;
    request->callback(request->argument, &result);
    mta_sts_policy_drop(result.policy);
    free(request);
}

/* --- policies --- */

static const char *store(struct request *request, const struct https_answer *got)
{
    bool is_text = got->content_type && strncasecmp(got->content_type, "text/plain", 10) == 0;
    struct mta_sts_policy *policy =
        is_text ? mta_sts_policy_read(got->body, got->length, NULL) : NULL;
    struct entry *entry = policy ? entry_of(request->sts, request->domain) : NULL;
    if (!policy)
        return "sts-policy-invalid";
    if (!entry) {
        mta_sts_policy_drop(policy);
        return "sts-policy-fetch-error";
    }
    mta_sts_policy_drop(entry->policy);
    entry->policy = policy;
    entry->fetched_at = timestamp_now_ms();
    entry->retry_at = 0;
    entry->problem = NULL;
    snprintf(entry->id, sizeof(entry->id), "%s", request->id);
    save(request->sts, entry);
    return NULL;
}

static const char *problem_of(struct request *request, const struct https_answer *got)
{
    if (got->status == 200)
        return store(request, got);
    return got->certificate_failed ? "sts-webpki-invalid" : "sts-policy-fetch-error";
}

static void on_policy(void *argument, const struct https_answer *got)
{
    struct request *request = argument;
    const char *problem = problem_of(request, got);
    if (problem) {
        log_info("mta-sts: the policy of %s cannot be had: %s%s%s", request->domain, problem,
                 got->problem ? ": " : "", got->problem ? got->problem : "");
        struct entry *entry = entry_of(request->sts, request->domain);
        if (entry) {
            entry->retry_at = timestamp_now_ms() + FETCH_AGAIN_MS;
            entry->problem = problem;
        }
    }
    answer(request, problem);
}

static void fetch(struct request *request)
{
    char url[DOMAIN_SIZE + 64];
    snprintf(url, sizeof(url), "https://mta-sts.%s/.well-known/mta-sts.txt", request->domain);
    struct https_request get = {
        .url = url, .answer_limit = MTA_STS_POLICY_LIMIT, .seconds = FETCH_SECONDS};
    https_client_send(request->sts->https, &get, on_policy, request);
}

/* --- records --- */

/* Of several records none counts (RFC 8461 section 3.1). */
static bool find_id(const struct resolver_answer *got, char id[MTA_STS_ID_SIZE])
{
    size_t records = 0;
    char last[MTA_STS_ID_SIZE];
    id[0] = '\0';
    for (size_t i = 0; i < got->count; i++) {
        const struct resolver_record *record = &got->records[i];
        if (record->data_length < 8 || memcmp(record->data, "v=STSv1", 7) != 0)
            continue;
        records++;
        if (mta_sts_read_record((const char *)record->data, record->data_length, last))
            memcpy(id, last, sizeof(last));
    }
    return records == 1 && id[0] != '\0';
}

static void on_record(void *argument, const struct resolver_answer *got)
{
    struct request *request = argument;
    struct mta_sts *sts = request->sts;
    const struct entry *entry = *place_of(sts, request->domain);
    int64_t now = timestamp_now_ms();
    request->record_expires = got->expires;
    if (!find_id(got, request->id) || sts->closing) {
        answer(request, NULL);
        return;
    }
    bool is_new = !is_valid(entry, now) || strcmp(entry->id, request->id) != 0 ||
                  now - entry->fetched_at >= REFRESH_MS;
    if (!is_new)
        answer(request, NULL);
    else if (entry && now < entry->retry_at)
        answer(request, entry->problem);
    else
        fetch(request);
}

void mta_sts_find(struct mta_sts *sts, const char *domain, mta_sts_callback callback,
                  void *argument)
{
    char name[DOMAIN_SIZE + 16];
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        abort();
    request->sts = sts;
    request->callback = callback;
    request->argument = argument;
    snprintf(request->domain, sizeof(request->domain), "%s", domain);
    snprintf(name, sizeof(name), "_mta-sts.%s", domain);
    resolver_find_text(sts->resolver, name, on_record, request);
}

/* --- life --- */

struct mta_sts *mta_sts_new(struct resolver *resolver, struct https_client *https,
                            const char *folder)
{
    struct mta_sts *sts = calloc(1, sizeof(*sts));
    struct error error = {0};
    char text[600];
    if (!sts)
        abort();
    sts->resolver = resolver;
    sts->https = https;
    if (file_make_folder(folder, 0700, &error))
        snprintf(sts->folder, sizeof(sts->folder), "%s", folder);
    else
        log_warning("mta-sts: policies are not kept over a restart: %s",
                    error_text(&error, text, sizeof(text)));
    load_folder(sts);
    return sts;
}

void mta_sts_close(struct mta_sts *sts)
{
    sts->closing = true;
}

void mta_sts_free(struct mta_sts *sts)
{
    if (!sts)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *entry = sts->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            mta_sts_policy_drop(entry->policy);
            free(entry);
        }
    free(sts);
}

#include "scanner/mta/tls_report_private.h"

#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOMAINS 10000 /* of a day */
#define POLICIES 20   /* of a domain */
#define DETAILS 50    /* kinds of failures of a policy */
#define SAVE_MS (300 * 1000)
#define FILE_LIMIT (64u << 20)
#define DATE_SIZE 11 /* "2026-01-31" */

/* --- files --- */

static const char *date_of(int64_t day, char text[DATE_SIZE])
{
    char whole[TIMESTAMP_TEXT_SIZE];
    snprintf(text, DATE_SIZE, "%.10s", timestamp_text(day * TLS_REPORT_DAY_MS, whole));
    return text;
}

static bool path_of(const struct tls_reports *reports, int64_t day, char path[TLS_REPORT_PATH])
{
    char date[DATE_SIZE], name[DATE_SIZE + 8];
    snprintf(name, sizeof(name), "%s.json", date_of(day, date));
    return reports->folder[0] != '\0' &&
           file_join(path, TLS_REPORT_PATH, reports->folder, name, NULL);
}

json_t *tls_report_load(const struct tls_reports *reports, int64_t day)
{
    char path[TLS_REPORT_PATH];
    size_t length;
    char *content = path_of(reports, day, path) ? file_read(path, FILE_LIMIT, &length, NULL) : NULL;
    json_t *domains = content ? json_parse(content, length, NULL, NULL) : NULL;
    free(content);
    if (json_is_object(domains))
        return domains;
    json_decref(domains);
    return json_object();
}

void tls_report_save(const struct tls_reports *reports, int64_t day, const json_t *domains)
{
    char path[TLS_REPORT_PATH], text[600];
    struct error error = {0};
    char *content = path_of(reports, day, path) ? json_text(domains) : NULL;
    if (content && !file_write_atomic(path, content, strlen(content), 0600, &error))
        log_warning("tls reports: the counts cannot be kept: %s",
                    error_text(&error, text, sizeof(text)));
    free(content);
}

void tls_report_remove(const struct tls_reports *reports, int64_t day)
{
    char path[TLS_REPORT_PATH];
    if (path_of(reports, day, path))
        unlink(path);
}

static bool day_of_file(const char *name, int64_t *day)
{
    char text[TIMESTAMP_TEXT_SIZE];
    int64_t time;
    if (strlen(name) != DATE_SIZE - 1 + 5 || strcmp(name + DATE_SIZE - 1, ".json") != 0)
        return false;
    snprintf(text, sizeof(text), "%.10sT00:00:00Z", name);
    if (!timestamp_parse(text, &time))
        return false;
    *day = time / TLS_REPORT_DAY_MS;
    return true;
}

bool tls_report_find_old(const struct tls_reports *reports, int64_t before, int64_t *day)
{
    DIR *folder = reports->folder[0] ? opendir(reports->folder) : NULL;
    int64_t other;
    bool found = false;
    for (struct dirent *at; folder && (at = readdir(folder)) != NULL;) {
        if (!day_of_file(at->d_name, &other) || other >= before || (found && other >= *day))
            continue;
        *day = other;
        found = true;
    }
    if (folder)
        closedir(folder);
    return found;
}

/* --- policies of a domain --- */

static void append_text(json_t *array, const char *text, size_t length)
{
    json_t *string = json_stringn(text, length);
    if (string)
        json_array_append_new(array, string);
}

static json_t *lines_of(const char *text)
{
    json_t *array = json_array();
    while (*text) {
        size_t length = strcspn(text, "\r\n");
        if (length > 0)
            append_text(array, text, length);
        text += length;
        text += strspn(text, "\r\n");
    }
    return array;
}

static json_t *records_of(const struct tlsa_set *set)
{
    json_t *array = json_array();
    for (size_t i = 0; i < set->count; i++) {
        struct buffer text = BUFFER_INIT;
        tlsa_write(&set->records[i], &text);
        append_text(array, buffer_text(&text), text.length);
        buffer_free(&text);
    }
    return array;
}

static json_t *patterns_of(const struct mta_sts_policy *policy)
{
    json_t *array = json_array();
    for (size_t i = 0; i < mta_sts_mx_count(policy); i++)
        json_array_append_new(array, json_string(mta_sts_mx(policy, i)));
    return array;
}

static json_t *describe_policy(const struct tls_report_session *session)
{
    static const char *const types[] = {[TLS_REPORT_NO_POLICY] = "no-policy-found",
                                        [TLS_REPORT_STS] = "sts",
                                        [TLS_REPORT_TLSA] = "tlsa"};
    json_t *policy = json_object();
    json_object_set_new(policy, "policy-type", json_string(types[session->policy]));
    if (session->policy == TLS_REPORT_STS && session->sts) {
        json_object_set_new(policy, "policy-string", lines_of(mta_sts_text(session->sts)));
        json_object_set_new(policy, "mx-host", patterns_of(session->sts));
    } else if (session->policy == TLS_REPORT_TLSA) {
        if (session->tlsa)
            json_object_set_new(policy, "policy-string", records_of(session->tlsa));
        if (session->host)
            json_object_set_new(policy, "mx-host", json_pack("[s]", session->host));
    }
    json_object_set_new(policy, "policy-domain", json_string(session->domain));
    return policy;
}

/* The entry of the session's policy, borrowed; NULL where there are too many. */
static json_t *entry_of(json_t *policies, const struct tls_report_session *session)
{
    json_t *policy = describe_policy(session), *entry;
    size_t index;
    json_array_foreach(policies, index, entry)
    {
        if (!json_equal(json_object_get(entry, "policy"), policy))
            continue;
        json_decref(policy);
        return entry;
    }
    if (json_array_size(policies) >= POLICIES) {
        json_decref(policy);
        return NULL;
    }
    entry = json_pack("{s:o,s:{s:i,s:i},s:[]}", "policy", policy, "summary",
                      "total-successful-session-count", 0, "total-failure-session-count", 0,
                      "failure-details");
    json_array_append_new(policies, entry);
    return entry;
}

/* --- counts --- */

static void add_one(json_t *object, const char *name)
{
    json_t *count = json_object_get(object, name);
    json_integer_set(count, json_integer_value(count) + 1);
}

static json_t *describe_failure(const struct tls_report_session *session)
{
    char ip[IP_TEXT_SIZE];
    json_t *detail = json_object();
    json_object_set_new(detail, "result-type", json_string(session->failure));
    if (session->own_address)
        json_object_set_new(detail, "sending-mta-ip",
                            json_string(ip_text(session->own_address, ip)));
    if (session->host)
        json_object_set_new(detail, "receiving-mx-hostname", json_string(session->host));
    if (session->address)
        json_object_set_new(detail, "receiving-ip", json_string(ip_text(session->address, ip)));
    return detail;
}

static bool is_same_failure(const json_t *detail, const json_t *other)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)other, name, value)
    {
        if (!json_equal(json_object_get(detail, name), value))
            return false;
    }
    return json_object_size(detail) == json_object_size(other) + 1;
}

static void count_failure(json_t *details, const struct tls_report_session *session)
{
    json_t *wanted = describe_failure(session), *detail;
    size_t index;
    json_array_foreach(details, index, detail)
    {
        if (!is_same_failure(detail, wanted))
            continue;
        add_one(detail, "failed-session-count");
        json_decref(wanted);
        return;
    }
    json_object_set_new(wanted, "failed-session-count", json_integer(1));
    if (json_array_size(details) < DETAILS)
        json_array_append(details, wanted);
    json_decref(wanted);
}

static json_t *policies_of(struct tls_reports *reports, const char *domain)
{
    json_t *policies = json_object_get(reports->domains, domain);
    if (!policies && json_object_size(reports->domains) < DOMAINS) {
        policies = json_array();
        json_object_set_new(reports->domains, domain, policies);
    }
    return policies;
}

static bool is_wanted(const struct tls_reports *reports)
{
    return reports->mta->config->config->delivery.tls_reports.from != NULL;
}

/* The counts of the day before stay in its file. */
static void begin_day(struct tls_reports *reports, int64_t day)
{
    if (reports->changed)
        tls_report_save(reports, reports->day, reports->domains);
    json_decref(reports->domains);
    reports->day = day;
    reports->domains = tls_report_load(reports, day);
    reports->changed = false;
}

void tls_reports_count(struct tls_reports *reports, const struct tls_report_session *session,
                       int64_t now)
{
    if (!is_wanted(reports))
        return;
    if (now / TLS_REPORT_DAY_MS != reports->day)
        begin_day(reports, now / TLS_REPORT_DAY_MS);
    json_t *policies = policies_of(reports, session->domain);
    json_t *entry = policies ? entry_of(policies, session) : NULL;
    if (!entry)
        return;
    reports->changed = true;
    add_one(json_object_get(entry, "summary"),
            session->failure ? "total-failure-session-count" : "total-successful-session-count");
    if (session->failure)
        count_failure(json_object_get(entry, "failure-details"), session);
}

void tls_reports_tick(struct tls_reports *reports, int64_t now)
{
    if (now / TLS_REPORT_DAY_MS != reports->day)
        begin_day(reports, now / TLS_REPORT_DAY_MS);
    if (reports->changed && now - reports->saved_at >= SAVE_MS) {
        tls_report_save(reports, reports->day, reports->domains);
        reports->changed = false;
        reports->saved_at = now;
    }
    tls_report_send_tick(reports, now);
}

/* --- life --- */

struct tls_reports *tls_reports_new(struct mta *mta, struct resolver *resolver,
                                    struct https_client *https, const char *folder)
{
    struct tls_reports *reports = calloc(1, sizeof(*reports));
    struct error error = {0};
    char text[600];
    if (!reports)
        abort();
    reports->mta = mta;
    reports->resolver = resolver;
    reports->https = https;
    if (file_make_folder(folder, 0700, &error))
        snprintf(reports->folder, sizeof(reports->folder), "%s", folder);
    else
        log_warning("tls reports: counts are not kept over a restart: %s",
                    error_text(&error, text, sizeof(text)));
    reports->saved_at = timestamp_now_ms();
    begin_day(reports, reports->saved_at / TLS_REPORT_DAY_MS);
    return reports;
}

void tls_reports_close(struct tls_reports *reports)
{
    reports->closing = true;
}

void tls_reports_free(struct tls_reports *reports)
{
    if (!reports)
        return;
    if (reports->changed)
        tls_report_save(reports, reports->day, reports->domains);
    if (reports->old_domains) /* what is still to be sent */
        tls_report_save(reports, reports->old_day, reports->old_domains);
    json_decref(reports->domains);
    json_decref(reports->old_domains);
    free(reports);
}

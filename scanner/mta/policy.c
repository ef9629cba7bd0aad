#include "scanner/mta/policy.h"

#include <stdio.h>
#include <string.h>

#define HEADER_NAME "X-Gatehouse-Verdict"
#define TEXT_MOST 160 /* bytes of a signature's name or a reason in the header field */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* The first threat of that verdict, else the first of all. */
static const json_t *threat_of(const json_t *result, enum config_verdict verdict)
{
    const json_t *threats = json_object_get(result, "threats"), *threat;
    size_t index;
    json_array_foreach((json_t *)threats, index, threat)
    {
        if (strcmp(text_of(threat, "verdict"), config_verdict_name(verdict)) == 0)
            return threat;
    }
    return json_array_get(threats, 0);
}

/* What was found: the threat's name and part, or the reason. */
static void describe(const json_t *result, enum config_verdict verdict, char *detail, size_t size)
{
    const json_t *threat = verdict == CONFIG_VERDICT_UNSCANNABLE && *text_of(result, "reason")
                               ? NULL
                               : threat_of(result, verdict);
    const char *part = text_of(threat, "part");
    if (threat)
        snprintf(detail, size, "%s%s%s", text_of(threat, "name"), *part ? " in " : "", part);
    else
        snprintf(detail, size, "%s", text_of(result, "reason"));
}

/* Names from signatures and mail, made safe for an unstructured header field (RFC 5322 2.2). */
static void add_safely(char *to, size_t size, const char *text)
{
    size_t length = strlen(to);
    size_t end = length + TEXT_MOST < size - 1 ? length + TEXT_MOST : size - 1;
    for (; *text && length < end; text++, length++) {
        unsigned char c = (unsigned char)*text;
        to[length] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    to[length] = 0;
}

static void write_header(struct policy_decision *decision, const char *verdict)
{
    char line[POLICY_HEADER_SIZE - 3];
    snprintf(line, sizeof(line), HEADER_NAME ": %s%s", verdict, *decision->detail ? "; " : "");
    add_safely(line, sizeof(line), decision->detail);
    snprintf(decision->header, sizeof(decision->header), "%s\r\n", line);
}

/* The name of each verdict's policy, as the audit log has it. */
static const char *const policy_names[] = {
    [CONFIG_VERDICT_VIRUS] = "malware.virus",
    [CONFIG_VERDICT_WORM] = "malware.worm",
    [CONFIG_VERDICT_SPYWARE] = "malware.spyware",
    [CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT] = "malware.suspicious_attachment",
    [CONFIG_VERDICT_ENCRYPTED_ATTACHMENT] = "malware.encrypted_attachment",
    [CONFIG_VERDICT_UNSCANNABLE] = "malware.unscannable",
};

/* Who sends a virus forges the sender as a rule, so that a bounce would hit somebody else. */
static bool sender_is_forged(enum config_verdict verdict)
{
    return verdict == CONFIG_VERDICT_VIRUS || verdict == CONFIG_VERDICT_WORM;
}

/* How much an action keeps from the recipients. */
static int strictness(enum config_action action)
{
    switch (action) {
    case CONFIG_ACTION_DELETE:
        return 4;
    case CONFIG_ACTION_REJECT:
        return 3;
    case CONFIG_ACTION_QUARANTINE:
        return 2;
    case CONFIG_ACTION_CLEAN:
        return 1;
    default:
        return 0;
    }
}

static enum config_verdict read_verdict(const json_t *value)
{
    const char *name = json_string_value(value);
    enum config_verdict verdict;
    return name && config_verdict_parse(name, &verdict) ? verdict : CONFIG_VERDICT_UNSCANNABLE;
}

static enum config_action action_for(const struct config_malware_policy *policy, int64_t age_ms)
{
    bool is_over =
        policy->action == CONFIG_ACTION_QUARANTINE && age_ms >= policy->hours * INT64_C(3600000);
    return is_over ? policy->then : policy->action;
}

/* A verdict that applies: the strictest action counts; of equal ones that of the first verdict,
 * which is the worst: an archive that is infected and encrypted must not pass as an encrypted one.
 */
static void weigh(const struct scanner_config *config, enum config_verdict verdict, int64_t age_ms,
                  struct policy_decision *decision)
{
    const struct config_malware_policy *policy = &config->malware[verdict];
    enum config_action action = action_for(policy, age_ms);
    bool waits = action == CONFIG_ACTION_QUARANTINE;
    if (waits && (decision->hours == 0 || policy->hours < decision->hours))
        decision->hours = policy->hours;
    if (decision->policy && strictness(action) <= strictness(decision->action))
        return;
    decision->action = action;
    decision->verdict = verdict;
    decision->policy = policy_names[verdict];
}

void policy_refuse_cleaned(struct policy_decision *decision, const char *reason)
{
    size_t length = strlen(decision->detail);
    decision->action = CONFIG_ACTION_DELETE;
    decision->header[0] = 0;
    snprintf(decision->detail + length, sizeof(decision->detail) - length,
             "; it could not be cleaned: %s", *reason ? reason : "the engine did not do it");
}

static void set_header(struct policy_decision *decision)
{
    char words[64];
    bool cleaned = decision->action == CONFIG_ACTION_CLEAN;
    decision->header[0] = 0;
    snprintf(words, sizeof(words), "%s%s", config_verdict_name(decision->verdict),
             cleaned ? " removed" : "");
    if (cleaned || decision->action == CONFIG_ACTION_DELIVER)
        write_header(decision, words);
}

void policy_decide(const struct scanner_config *config, const json_t *result, int64_t age_ms,
                   struct policy_decision *decision)
{
    const json_t *value;
    size_t index;
    *decision = (struct policy_decision){.action = CONFIG_ACTION_DELIVER};
    if (strcmp(text_of(result, "verdict"), "clean") == 0)
        return;
    weigh(config, read_verdict(json_object_get(result, "verdict")), age_ms, decision);
    json_array_foreach(json_object_get(result, "verdicts"), index, value)
    {
        weigh(config, read_verdict(value), age_ms, decision);
    }
    decision->bounces = !sender_is_forged(decision->verdict);
    describe(result, decision->verdict, decision->detail, sizeof(decision->detail));
    set_header(decision);
    if (decision->action == CONFIG_ACTION_CLEAN && !json_object_get(result, "cleaned"))
        policy_refuse_cleaned(decision, text_of(result, "not_cleaned"));
}

uint32_t policy_cleans(const struct scanner_config *config)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++)
        if (config->malware[i].action == CONFIG_ACTION_CLEAN)
            bits |= 1u << i;
    return bits;
}

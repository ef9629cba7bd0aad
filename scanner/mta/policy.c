#include "scanner/mta/policy.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define HEADER_NAME "X-Gatehouse-Verdict"
#define TEXT_MOST 160 /* bytes of a signature's name or a reason in the header field */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* What was found: the first threat's name and part, or the reason. */
static void describe(const json_t *result, char *detail, size_t size)
{
    const json_t *threat = json_array_get(json_object_get(result, "threats"), 0);
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

static const struct {
    const char *verdict, *policy;
    bool bounces;
    size_t action; /* where it stands in struct scanner_config */
} policies[] = {
    {"virus", "malware.virus", false, offsetof(struct scanner_config, virus_action)},
    {"unscannable", "malware.unscannable", true,
     offsetof(struct scanner_config, unscannable_action)},
};
#define POLICY_COUNT (sizeof(policies) / sizeof(policies[0]))

void policy_decide(const struct scanner_config *config, const json_t *result,
                   struct policy_decision *decision)
{
    const char *verdict = text_of(result, "verdict");
    size_t i = 0;
    *decision = (struct policy_decision){.action = CONFIG_ACTION_DELIVER};
    if (strcmp(verdict, "clean") == 0)
        return;
    while (i < POLICY_COUNT - 1 && strcmp(verdict, policies[i].verdict) != 0)
        i++; /* the last one is for everything else */
    decision->policy = policies[i].policy;
    decision->bounces = policies[i].bounces;
    memcpy(&decision->action, (const char *)config + policies[i].action, sizeof(decision->action));
    describe(result, decision->detail, sizeof(decision->detail));
    if (decision->action == CONFIG_ACTION_DELIVER)
        write_header(decision, policies[i].verdict);
}

/* Actions of filters. */
#include "common/policy_private.h"

#include "common/address.h"
#include "common/ip.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_REPLY 400 /* bytes; a reply line has 512 (RFC 5321 section 4.5.3.1.5) */
#define MOST_ROUTE 300
#define MOST_NOTIFIED 100

typedef bool (*read_function)(const struct policy_reader *reader, const json_t *value,
                              const struct json_place *place, struct policy_action *action,
                              struct error *error);

/* --- texts --- */

/* What may stand in a reply (RFC 5321 section 4.2). */
static char *reply(const char *text, const char **reason)
{
    if (strlen(text) > MOST_REPLY) {
        *reason = "must have at most 400 bytes";
        return NULL;
    }
    for (const char *at = text; *at; at++) {
        if ((*at >= ' ' && *at < 0x7f) || *at == '\t')
            continue;
        *reason = "must be one line of printable ASCII characters";
        return NULL;
    }
    return policy_line(text, reason);
}

static char *lines(const char *text, const char **reason)
{
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at >= ' ' || strchr("\t\r\n", *at))
            continue;
        *reason = "must have no control characters";
        return NULL;
    }
    char *copy = strdup(text);
    if (!copy)
        *reason = "no memory is left";
    return copy;
}

static bool read_optional(const json_t *value, const struct json_place *place, const char *name,
                          policy_normalise normalise, char **text, struct error *error)
{
    if (json_object_get(value, name))
        return policy_read_normal(value, place, name, normalise, text, error);
    *text = strdup("");
    return *text || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool keep_choice(const json_t *value, const struct json_place *place, const char *name,
                        const char *const *names, char **text, struct error *error)
{
    int choice;
    if (!json_object_get(value, name))
        return json_place_error(place, name, error, "is missing");
    if (!config_read_choice(value, place, name, names, &choice, error))
        return false;
    *text = strdup(names[choice]);
    return *text || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- routes, as scanner/mta/destination.h says --- */

static bool is_port(const char *text)
{
    size_t length = strspn(text, "0123456789");
    return length >= 1 && length <= 5 && text[length] == '\0' && atoi(text) >= 1 &&
           atoi(text) <= 65535;
}

static bool is_host(const char *text, bool may_be_address)
{
    char host[DOMAIN_SIZE], normal[DOMAIN_SIZE];
    struct ip_address address;
    bool bracketed = text[0] == '[';
    const char *start = text + bracketed;
    const char *end = bracketed ? strchr(text, ']') : strchrnul(text, ':');
    if (!end || end == start || end - start >= DOMAIN_SIZE)
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    end += bracketed;
    if (*end && (*end != ':' || !is_port(end + 1)))
        return false;
    return ip_parse(host, &address) ? may_be_address
                                    : !bracketed && domain_normalise(host, true, normal) == NULL;
}

static char *route(const char *text, const char **reason)
{
    struct ip_address address;
    bool is_mx = strncasecmp(text, "mx:", 3) == 0;
    if (strlen(text) <= MOST_ROUTE && (strcasecmp(text, "mx") == 0 || ip_parse(text, &address) ||
                                       is_host(is_mx ? text + 3 : text, !is_mx)))
        return policy_plain(text, reason);
    *reason = "must be HOST, HOST:PORT, [ADDRESS]:PORT, mx or mx:DOMAIN";
    return NULL;
}

/* --- the actions --- */

static bool read_reply(const struct policy_reader *reader, const json_t *value,
                       const struct json_place *place, struct policy_action *action,
                       struct error *error)
{
    (void)reader;
    return read_optional(value, place, "text",
                         action->kind == POLICY_ACTION_REJECT ? reply : policy_line, &action->value,
                         error);
}

static bool read_incident(const struct policy_reader *reader, const json_t *value,
                          const struct json_place *place, struct policy_action *action,
                          struct error *error)
{
    return policy_read_reference(reader, value, place, "folder", POLICY_SORT_FOLDER, &action->id,
                                 error);
}

static bool read_header(const struct policy_reader *reader, const json_t *value,
                        const struct json_place *place, struct policy_action *action,
                        struct error *error)
{
    (void)reader;
    return policy_read_normal(value, place, "name", policy_header_name, &action->name, error) &&
           (action->kind == POLICY_ACTION_REMOVE_HEADER ||
            policy_read_normal(value, place, "value", policy_line, &action->value, error));
}

static bool read_subject(const struct policy_reader *reader, const json_t *value,
                         const struct json_place *place, struct policy_action *action,
                         struct error *error)
{
    static const char *const places[] = {"begin", "end", "replace", NULL};
    (void)reader;
    return policy_read_normal(value, place, "text", policy_line, &action->value, error) &&
           keep_choice(value, place, "place", places, &action->place, error);
}

static bool read_annotate(const struct policy_reader *reader, const json_t *value,
                          const struct json_place *place, struct policy_action *action,
                          struct error *error)
{
    return policy_read_reference(reader, value, place, "id", POLICY_SORT_ANNOTATION, &action->id,
                                 error);
}

static bool read_strip(const struct policy_reader *reader, const json_t *value,
                       const struct json_place *place, struct policy_action *action,
                       struct error *error)
{
    static const char *const which[] = {"matched", "all", "list", NULL};
    if (!keep_choice(value, place, "which", which, &action->place, error) ||
        !read_optional(value, place, "note", lines, &action->value, error))
        return false;
    if (strcmp(action->place, "list") == 0)
        return policy_read_reference(reader, value, place, "id", POLICY_SORT_LIST, &action->id,
                                     error);
    return !json_object_get(value, "id") ||
           json_place_error(place, "id", error, "is of a list alone");
}

static bool read_address(const struct policy_reader *reader, const json_t *value,
                         const struct json_place *place, struct policy_action *action,
                         struct error *error)
{
    (void)reader;
    return policy_read_normal(value, place, "address", policy_mailbox, &action->address, error);
}

static bool read_route(const struct policy_reader *reader, const json_t *value,
                       const struct json_place *place, struct policy_action *action,
                       struct error *error)
{
    (void)reader;
    return policy_read_normal(value, place, "host", route, &action->address, error);
}

static char *notified(const char *text, const char **reason)
{
    if (strcmp(text, "sender") == 0 || strcmp(text, "recipients") == 0)
        return policy_plain(text, reason);
    return policy_mailbox(text, reason);
}

static bool read_notify(const struct policy_reader *reader, const json_t *value,
                        const struct json_place *place, struct policy_action *action,
                        struct error *error)
{
    return policy_read_reference(reader, value, place, "template", POLICY_SORT_TEMPLATE,
                                 &action->id, error) &&
           policy_read_texts(value, place, "to", true, MOST_NOTIFIED, notified, &action->to, error);
}

static const struct {
    const char *members[5]; /* beside "action" */
    read_function read;     /* NULL: it has none */
} kinds[POLICY_ACTIONS] = {
    [POLICY_ACTION_REJECT] = {{"text"}, read_reply},
    [POLICY_ACTION_BOUNCE] = {{"text"}, read_reply},
    [POLICY_ACTION_INCIDENT] = {{"folder"}, read_incident},
    [POLICY_ACTION_ADD_HEADER] = {{"name", "value"}, read_header},
    [POLICY_ACTION_REMOVE_HEADER] = {{"name"}, read_header},
    [POLICY_ACTION_SUBJECT] = {{"text", "place"}, read_subject},
    [POLICY_ACTION_ANNOTATE] = {{"id"}, read_annotate},
    [POLICY_ACTION_STRIP] = {{"which", "id", "note"}, read_strip},
    [POLICY_ACTION_ADD_RECIPIENT] = {{"address"}, read_address},
    [POLICY_ACTION_BCC] = {{"address"}, read_address},
    [POLICY_ACTION_FORWARD] = {{"address"}, read_address},
    [POLICY_ACTION_ARCHIVE] = {{"address"}, read_address},
    [POLICY_ACTION_ROUTE] = {{"host"}, read_route},
    [POLICY_ACTION_NOTIFY] = {{"template", "to"}, read_notify},
};

bool policy_read_action(const struct policy_reader *reader, const json_t *value,
                        const struct json_place *place, struct policy_action *action,
                        struct error *error)
{
    const char *name, *known[6] = {"action"};
    if (!json_get_text(value, place, "action", POLICY_TEXT_MOST, &name, error))
        return false;
    if (!policy_action_kind_parse(name, &action->kind))
        return json_place_error(place, "action", error, "there is no action %s", name);
    memcpy(known + 1, kinds[action->kind].members, sizeof(kinds[action->kind].members));
    return config_check_members(value, place, known, error) &&
           (!kinds[action->kind].read ||
            kinds[action->kind].read(reader, value, place, action, error));
}

#include "scanner/mta/intake_answer.h"

#include "common/buffer.h"
#include "common/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_LIMIT (16u << 20)
#define OUTCOMES_MOST 100000
#define ACTIONS_MOST 10000
#define NAMES_MOST 10000
#define TEXT_MOST 4096
#define HEADER_MOST (64u << 10)

/* --- the file --- */

static json_t *read_json(int fd, struct error *error)
{
    struct buffer text = {.limit = ANSWER_LIMIT + 1};
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > ANSWER_LIMIT) {
        error_set(error, ERROR_PROTOCOL, "engine", "the policy's answer is no file of likely size");
        return NULL;
    }
    while (text.length < (size_t)status.st_size) {
        size_t left = (size_t)status.st_size - text.length;
        char *to = buffer_reserve(&text, left);
        ssize_t count = to ? pread(fd, to, left, (off_t)text.length) : -1;
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        text.length += (size_t)count;
    }
    json_t *value = json_parse(buffer_text(&text), text.length, "policy", error);
    buffer_free(&text);
    return value;
}

/* --- actions --- */

static const struct {
    const char *name;
    enum policy_action_kind kind;
} kinds[] = {
    {"incident", POLICY_ACTION_INCIDENT},
    {"add_recipient", POLICY_ACTION_ADD_RECIPIENT},
    {"remove_recipients", POLICY_ACTION_REMOVE_RECIPIENTS},
    {"bcc", POLICY_ACTION_BCC},
    {"forward", POLICY_ACTION_FORWARD},
    {"archive", POLICY_ACTION_ARCHIVE},
    {"route", POLICY_ACTION_ROUTE},
    {"require_tls", POLICY_ACTION_REQUIRE_TLS},
    {"notify", POLICY_ACTION_NOTIFY},
};

static bool read_kind(const json_t *object, const struct json_place *place,
                      enum policy_action_kind *kind, struct error *error)
{
    const char *name;
    if (!json_get_text(object, place, "action", 64, &name, error))
        return false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(name, kinds[i].name) == 0) {
            *kind = kinds[i].kind;
            return true;
        }
    return json_place_error(place, "action", error, "is none that the mta carries out");
}

static bool needs_address(enum policy_action_kind kind)
{
    return kind == POLICY_ACTION_ADD_RECIPIENT || kind == POLICY_ACTION_BCC ||
           kind == POLICY_ACTION_FORWARD || kind == POLICY_ACTION_ARCHIVE;
}

static bool read_action(const json_t *object, const struct json_place *place,
                        struct intake_action *action, struct error *error)
{
    if (!json_is_object(object))
        return json_place_error(place, NULL, error, "must be an object");
    if (!read_kind(object, place, &action->kind, error) ||
        !json_get_text_or(object, place, "filter", 64, NULL, &action->filter, error))
        return false;
    if (needs_address(action->kind))
        return json_get_text(object, place, "address", 320, &action->address, error);
    switch (action->kind) {
    case POLICY_ACTION_ROUTE:
        return json_get_text(object, place, "host", 300, &action->host, error);
    case POLICY_ACTION_INCIDENT:
        return json_get_text(object, place, "folder", 64, &action->folder, error) &&
               json_get_text_or(object, place, "folder_name", 200, action->folder,
                                &action->folder_name, error) &&
               json_get_bool_or(object, place, "quarantine", false, &action->quarantine, error);
    case POLICY_ACTION_NOTIFY:
        return json_get_text(object, place, "template", 64, &action->template_id, error) &&
               json_get_array(object, place, "to", true, NAMES_MOST, &action->to, error);
    default:
        return true;
    }
}

static bool read_actions(const json_t *object, const struct json_place *place,
                         struct intake_outcome *outcome, struct error *error)
{
    const struct json_place list = {.parent = place, .name = "actions"};
    const json_t *array, *value;
    size_t index;
    if (!json_get_array(object, place, "actions", false, ACTIONS_MOST, &array, error))
        return false;
    outcome->actions = calloc(json_array_size(array) + 1, sizeof(*outcome->actions));
    if (!outcome->actions)
        abort();
    json_array_foreach((json_t *)array, index, value)
    {
        const struct json_place here = {.parent = &list, .index = index};
        if (!read_action(value, &here, &outcome->actions[outcome->action_count++], error))
            return false;
    }
    return true;
}

/* --- outcomes --- */

static bool read_disposition(const json_t *object, const struct json_place *place,
                             enum policy_disposition *disposition, struct error *error)
{
    static const char *const names[] = {
        [POLICY_DISPOSE_DELIVER] = "deliver", [POLICY_DISPOSE_DELETE] = "delete",
        [POLICY_DISPOSE_REJECT] = "reject",   [POLICY_DISPOSE_BOUNCE] = "bounce",
        [POLICY_DISPOSE_DEFER] = "defer",     [POLICY_DISPOSE_HOLD] = "hold"};
    const char *name;
    if (!json_get_text(object, place, "disposition", 32, &name, error))
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *disposition = (enum policy_disposition)i;
            return true;
        }
    return json_place_error(place, "disposition", error, "is none that is known");
}

/* Each recipient may stand in one outcome alone. */
static bool read_recipients(const json_t *object, const struct json_place *place,
                            struct intake_outcome *outcome, bool *taken, size_t count,
                            struct error *error)
{
    const json_t *array, *value;
    size_t index;
    if (!json_get_array(object, place, "recipients", true, count, &array, error))
        return false;
    outcome->recipients = calloc(json_array_size(array) + 1, sizeof(*outcome->recipients));
    if (!outcome->recipients)
        abort();
    json_array_foreach((json_t *)array, index, value)
    {
        json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
        if (number < 0 || (size_t)number >= count || taken[number])
            return json_place_error(place, "recipients", error,
                                    "must name recipients of the message, none twice");
        taken[number] = true;
        outcome->recipients[outcome->recipient_count++] = (uint32_t)number;
    }
    return true;
}

static bool read_filters(const json_t *object, const struct json_place *place,
                         struct intake_outcome *outcome, struct error *error)
{
    const json_t *value;
    size_t index;
    if (!json_get_array(object, place, "filters", true, NAMES_MOST, &outcome->filters, error) ||
        !json_get_text_or(object, place, "decided_by", 64, NULL, &outcome->decided_by, error))
        return false;
    json_array_foreach((json_t *)outcome->filters, index, value)
    {
        const char *id, *name;
        if (!json_get_text(value, place, "id", 64, &id, error) ||
            !json_get_text(value, place, "name", 200, &name, error))
            return false;
        if (!outcome->name || !outcome->decided_by || strcmp(id, outcome->decided_by) == 0)
            outcome->name = name;
    }
    return true;
}

static bool read_body(const json_t *object, const struct json_place *place,
                      struct intake_outcome *outcome, size_t bodies, struct error *error)
{
    int64_t body;
    outcome->body = INTAKE_BODY_AS_IT_CAME;
    if (!json_object_get(object, "body"))
        return true;
    if (!json_get_integer(object, place, "body", 0, (int64_t)bodies - 1, &body, error))
        return false;
    outcome->body = (size_t)body;
    return true;
}

/* Whole lines, none of which ends the header. */
static bool read_header(const json_t *object, const struct json_place *place,
                        struct intake_outcome *outcome, struct error *error)
{
    if (!json_get_text_or(object, place, "header", HEADER_MOST, "", &outcome->header, error))
        return false;
    const char *header = outcome->header;
    size_t length = strlen(header);
    if (length == 0 || (length > 2 && strcmp(header + length - 2, "\r\n") == 0 &&
                        header[0] != '\r' && !strstr(header, "\r\n\r\n")))
        return true;
    return json_place_error(place, "header", error, "must be whole header fields");
}

/* A message that is held has a place where it is. */
static bool check_hold(const struct intake_outcome *outcome, const struct json_place *place,
                       struct error *error)
{
    bool is_held = outcome->disposition != POLICY_DISPOSE_HOLD;
    for (size_t i = 0; i < outcome->action_count; i++)
        is_held |=
            outcome->actions[i].kind == POLICY_ACTION_INCIDENT && outcome->actions[i].quarantine;
    return is_held || json_place_error(place, "actions", error, "must name a quarantine folder");
}

static bool read_outcome(const json_t *object, const struct json_place *place,
                         struct intake_outcome *outcome, bool *taken, size_t recipients,
                         size_t bodies, struct error *error)
{
    if (!json_is_object(object))
        return json_place_error(place, NULL, error, "must be an object");
    return read_recipients(object, place, outcome, taken, recipients, error) &&
           read_disposition(object, place, &outcome->disposition, error) &&
           read_filters(object, place, outcome, error) &&
           json_get_text_or(object, place, "text", TEXT_MOST, "", &outcome->text, error) &&
           read_header(object, place, outcome, error) &&
           read_body(object, place, outcome, bodies, error) &&
           read_actions(object, place, outcome, error) && check_hold(outcome, place, error);
}

static bool read_outcomes(struct intake_answer *answer, bool *taken, size_t recipients,
                          size_t bodies, struct error *error)
{
    const struct json_place list = {.name = "outcomes"};
    const json_t *array, *value;
    size_t index;
    if (!json_get_array(answer->json, NULL, "outcomes", true, OUTCOMES_MOST, &array, error) ||
        !json_get_array(answer->json, NULL, "finds", false, 1000, &answer->finds, error) ||
        !json_get_text_or(answer->json, NULL, "problem", TEXT_MOST, "", &answer->problem, error))
        return false;
    answer->outcomes = calloc(json_array_size(array) + 1, sizeof(*answer->outcomes));
    if (!answer->outcomes)
        abort();
    json_array_foreach((json_t *)array, index, value)
    {
        const struct json_place place = {.parent = &list, .index = index};
        if (!read_outcome(value, &place, &answer->outcomes[answer->outcome_count++], taken,
                          recipients, bodies, error))
            return false;
    }
    for (size_t i = 0; i < recipients; i++)
        if (!taken[i])
            return error_set(error, ERROR_PROTOCOL, "outcomes", "recipient %zu has none", i);
    return true;
}

struct intake_answer *intake_answer_read(int fd, size_t recipients, size_t bodies,
                                         struct error *error)
{
    cleanup_free bool *taken = calloc(recipients + 1, sizeof(*taken));
    struct intake_answer *answer = calloc(1, sizeof(*answer));
    if (!taken || !answer)
        abort();
    answer->json = read_json(fd, error);
    if (answer->json && read_outcomes(answer, taken, recipients, bodies, error))
        return answer;
    intake_answer_free(answer);
    return NULL;
}

void intake_answer_free(struct intake_answer *answer)
{
    if (!answer)
        return;
    for (size_t i = 0; i < answer->outcome_count; i++) {
        free(answer->outcomes[i].recipients);
        free(answer->outcomes[i].actions);
    }
    free(answer->outcomes);
    json_decref(answer->json);
    free(answer);
}

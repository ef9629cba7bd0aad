#include "scanner/mta/intake_people.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/mta/address_key.h"
#include "scanner/mta/directory_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct person {
    struct intake_people *people;
    char *address; /* in the form in which policies compare; "" the null sender */
    char **directory_groups;
    size_t directory_group_count;
    size_t group;
    struct directory_question *question; /* under way */
};

struct intake_people {
    struct config_ref *config;
    enum policy_direction direction;
    struct person *persons; /* the sender, then the recipients; NULL: everybody is in the default
                               group, and nobody asks who they are */
    size_t count;           /* of recipients */
    size_t open;            /* questions under way */
    bool failed;
    struct event *end; /* of the questions: their time is over, or they are answered */
    void (*done)(void *argument, bool known);
    void *argument;
};

static void find_group(struct person *person)
{
    person->group = policy_groups_find(person->people->config->groups, person->address,
                                       (const char *const *)person->directory_groups,
                                       person->directory_group_count);
}

static void init_person(struct intake_people *people, struct person *person, const char *address)
{
    char key[ADDRESS_SIZE];
    person->people = people;
    person->address = strdup(address_key(address, key) ? key : address);
    if (!person->address)
        abort();
    find_group(person);
}

struct intake_people *intake_people_new(struct config_ref *config, enum queue_direction direction,
                                        const char *sender,
                                        const struct queue_draft_recipient *recipients,
                                        size_t count)
{
    struct intake_people *people = calloc(1, sizeof(*people));
    if (!people)
        abort();
    people->config = config_ref_take(config);
    people->direction = direction == QUEUE_INBOUND ? POLICY_INBOUND : POLICY_OUTBOUND;
    people->count = count;
    if (!config->groups)
        return people;
    people->persons = calloc(count + 1, sizeof(*people->persons));
    if (!people->persons)
        abort();
    init_person(people, &people->persons[0], sender);
    for (size_t i = 0; i < count; i++)
        init_person(people, &people->persons[i + 1], recipients[i].address);
    return people;
}

static void forget_groups(struct person *person)
{
    for (size_t i = 0; i < person->directory_group_count; i++)
        free(person->directory_groups[i]);
    free(person->directory_groups);
    person->directory_groups = NULL;
    person->directory_group_count = 0;
}

void intake_people_free(struct intake_people *people)
{
    if (!people)
        return;
    for (size_t i = 0; people->persons && i <= people->count; i++) {
        struct person *person = &people->persons[i];
        if (person->question)
            directory_forget(person->question);
        forget_groups(person);
        free(person->address);
    }
    if (people->end)
        event_free(people->end);
    free(people->persons);
    config_ref_drop(people->config);
    free(people);
}

/* --- directory groups --- */

bool intake_people_need_directory(const struct intake_people *people)
{
    return people->config->groups && policy_groups_need_directory(people->config->groups);
}

static void on_end(evutil_socket_t fd, short events, void *argument)
{
    struct intake_people *people = argument;
    bool known = people->open == 0 && !people->failed;
    (void)fd;
    (void)events;
    for (size_t i = 0; i <= people->count; i++) {
        if (people->persons[i].question)
            directory_forget(people->persons[i].question);
        people->persons[i].question = NULL;
    }
    people->open = 0;
    people->done(people->argument, known);
}

static void keep_groups(struct person *person, const struct directory_answer *answer)
{
    forget_groups(person);
    person->directory_groups =
        answer->group_count > 0 ? calloc(answer->group_count, sizeof(char *)) : NULL;
    if (answer->group_count > 0 && !person->directory_groups)
        abort();
    for (size_t i = 0; i < answer->group_count; i++) {
        char *name = strdup(answer->groups[i]);
        if (!name)
            abort();
        person->directory_groups[person->directory_group_count++] = name;
    }
    find_group(person);
}

static void on_groups(void *argument, const struct directory_answer *answer)
{
    struct person *person = argument;
    struct intake_people *people = person->people;
    person->question = NULL;
    people->open--;
    if (answer->status == DIRECTORY_UNAVAILABLE)
        people->failed = true;
    else
        keep_groups(person, answer);
    if (people->open == 0 || people->failed)
        event_active(people->end, EV_TIMEOUT, 0);
}

void intake_people_ask(struct intake_people *people, struct mta *mta, int wait_ms,
                       void (*done)(void *argument, bool known), void *argument)
{
    const struct timeval time = timestamp_interval(wait_ms);
    people->done = done;
    people->argument = argument;
    people->end = evtimer_new(mta->base, on_end, people);
    if (!people->end)
        abort();
    event_add(people->end, &time);
    for (size_t i = 0; i <= people->count; i++) {
        struct person *person = &people->persons[i];
        if (!*person->address)
            continue;
        people->open++;
        person->question = directory_ask_groups(mta->directory, person->address, on_groups, person);
    }
    if (people->open == 0)
        event_active(people->end, EV_TIMEOUT, 0);
}

/* --- what was found --- */

const struct config_ref *intake_people_config(const struct intake_people *people)
{
    return people->config;
}

enum policy_direction intake_people_direction(const struct intake_people *people)
{
    return people->direction;
}

size_t intake_people_group(const struct intake_people *people, size_t recipient)
{
    if (!people->persons)
        return POLICY_DEFAULT_GROUP;
    return people->persons[people->direction == POLICY_INBOUND ? recipient + 1 : 0].group;
}

/* Sessions take no address that is not UTF-8. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    return value ? value : json_string("?");
}

static json_t *person_json(const struct person *person)
{
    const struct policy_set *set = person->people->config->config->policy;
    const char *group =
        person->group == POLICY_DEFAULT_GROUP ? "default" : set->groups[person->group].id;
    json_t *names = json_array();
    for (size_t i = 0; names && i < person->directory_group_count; i++)
        json_array_append_new(names, text_json(person->directory_groups[i]));
    return json_pack("{s:o,s:o,s:s}", "address", text_json(person->address), "directory_groups",
                     names, "group", group);
}

static char *envelope_text(const struct intake_people *people)
{
    json_t *recipients = json_array();
    for (size_t i = 0; recipients && i < people->count; i++)
        json_array_append_new(recipients, person_json(&people->persons[i + 1]));
    cleanup_json json_t *envelope = json_pack(
        "{s:s,s:o,s:o}", "direction", people->direction == POLICY_INBOUND ? "inbound" : "outbound",
        "sender", person_json(&people->persons[0]), "recipients", recipients);
    char *text = envelope ? json_text(envelope) : NULL;
    if (!text)
        abort();
    return text;
}

int intake_people_envelope(const struct intake_people *people, struct error *error)
{
    cleanup_free char *text = envelope_text(people);
    int fd = file_memory_open("envelope", error);
    if (fd < 0 || (file_write_all(fd, text, strlen(text), error) && file_memory_seal(fd, error)))
        return fd;
    close(fd);
    return -1;
}

/* Random filters and messages of few words, so that much is found. */
#include "tests/unit/policy_plain.h"

#include "common/config_model.h"
#include "scanner/policy/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(source, array) ((array)[random_below(source, COUNT_OF(array))])

static const char *const words[] = {
    "alpha",
    "Alpha",
    "beta",
    "key",
    "\xe2\x84\xaa"
    "ey",
    "KEYS",
    "a",
    "aa",
    "aaa",
    "ab",
    "stra\xc3\x9f"
    "e",
    "STRA\xe1\xba\x9e"
    "E",
    "\xc5\xbf"
    "kip",
    "skip",
    "\xc3\xa9t\xc3\xa9",
    "\xc3\x89T\xc3\x89",
    "\xe7\xa7\x98\xe5\xaf\x86",
    "\xe7\xa7\x98",
    "\xce\xa3\xce\xaf\xcf\x83\xcf\x82",
    "\xcf\x83\xce\xaf\xcf\x83\xcf\x83",
    "\xd0\x9f\xd1\x80\xd0\xb8",
    "\xd0\xbf\xd1\x80\xd0\xb8",
    "\xc8\xbax",
    "\xe2\xb1\xa5x",
    "1234",
    "12",
    "4111 1111 1111 1111",
    "4111111111111112",
    "123-45-6789",
    "x_y",
    "o'k",
    "$5",
    "i",
    "\xe3\x82\xab\xe3\x83\xbc\xe3\x83\x89",
    "\xe0\xb9\x84\xe0\xb8\x97\xe0\xb8\xa2",
    "\xf0\x90\x90\x80z",
    "\xf0\x90\x90\xa8z",
    "e\xcc\x81t",
    "\xef\xbd\x8b\xef\xbc\xa5y",
    "k\xe2\x80\x8b"
    "ey",
    "\xc2\xad",
    "a b",
    "\xe7\xa7\x98 \xe5\xaf\x86",
    "key\n",
    "\xef\xbd\xb6",
    "\xe1\xb2\x90\xe1\xb2\x91",
    "\xe1\x83\x90\xe1\x83\x91",
};
static const char *const gaps[] = {" ",
                                   " ",
                                   " ",
                                   "",
                                   "-",
                                   "\n",
                                   ", ",
                                   ".",
                                   "\xe3\x80\x80",
                                   "_",
                                   "\r\n\t",
                                   "\xe2\x80\x8b",
                                   "\xc2\xad \xc2\xa0",
                                   "  ",
                                   "\x01"};
static const char *const expressions[] = {
    "\\bkey\\b",
    "[a-z]+[0-9]{2,}",
    "^a",
    "[a-z]$",
    "(?:a|b)+",
    "(?<=a)a",
    "a(?!a)",
    "\\p{Lu}\\w*",
    "[^a-z\\s]{3}",
    "(\\w)\\1",
    "[k-s]{3}",
    "(?i)ALPHA",
    "[[:alpha:]]{3}",
    "a*",
    "^$",
    "\\x{e9}t",
    "\\Ba",
    "\\S+@\\S+",
    "a{2,40}",
    "\\D{5}",
    "[\\W_]+",
    "\xc3\x89",
    "[\xc3\xa0-\xc3\xbf]",
    "k",
    "\\d{3}-\\d\\d",
    "(?>a+)b",
    "a++",
    "s",
    "[^k]e",
    "\xcf\x83",
    "\\w+ \\w+",
    "(?<n>a)(b|c)",
    "\\p{Han}",
    "[\\p{Ll}]{2}",
    "(?=.*key)a",
    "[A-F]",
    "[^[:space:]a]{2}",
    "(a|\xe7\xa7\x98)",
    "a?",
    "(?s)a.b",
    "a.b",
    "\\x41",
    "[\\x41-\\x5a]{2}",
    "\\Qa\\E",
    "\\R",
    "^.{3}$",
    "\xe1\xb2\x90",
    "(?-i)Alpha",
    "e\\b.",
    "\\s\\S",
    "[a\\]]",
    "a|",
    "\\b",
    "(?:key){1,2}",
    "[\\d\\-]{4}",
    "\\x{212a}",
};
static const char *const mailboxes[] = {
    "ann@example.com",        "Bob@Sub.example.com", "carl@example.org", "dora@a.b.example.org", "",
    "k\xc3\xa9y@example.net",
};
static const char *const address_values[] = {
    "ann@example.com", "bob@sub.example.com", "@example.com",    "@.example.com",
    "@example.org",    "@.example.org",       "@.b.example.org", "@.org",
};
static const char *const group_names[] = {"staff", "Board", "\xc3\x89quipe"};
static const char *const file_names[] = {
    "a.exe", "dir/B.PDF", "alpha.tar.gz", "key", "x.exe.", "d\\c.docx", ".hidden", "\xc3\x89.Zip",
};
static const char *const types[] = {"application/pdf", "application/zip", "text/html",
                                    "application/x-dosexec"};
static const char *const declared_types[] = {"Application/PDF; x=y", "text/plain",
                                             "application/octet-stream"};
static const char *const type_globs[] = {"application/*", "text/*", "*zip", "application/p?f", "*"};
static const char *const extensions[] = {"exe", "pdf", "gz", "tar.gz", "hidden", "zip"};
static const char *const name_globs[] = {"*.exe", "dir/*", "?ey", "*\xc3\xa9*", "a*.*z"};
static const char *const languages[] = {"en", "ja", "unknown"};
static const char *const header_names[] = {"Subject", "X-One", "x-two", "From", "To", "Cc"};

uint32_t random_below(struct random_source *source, uint32_t limit)
{
    source->state ^= source->state << 13;
    source->state ^= source->state >> 7;
    source->state ^= source->state << 17;
    return (uint32_t)((source->state >> 16) % limit);
}

static bool chance(struct random_source *source, uint32_t of_hundred)
{
    return random_below(source, 100) < of_hundred;
}

static void *keep(struct random_source *source, void *block)
{
    if (source->count == source->room) {
        source->room = source->room * 2 + 256;
        source->blocks = realloc(source->blocks, source->room * sizeof *source->blocks);
    }
    if (!block || !source->blocks)
        abort();
    return source->blocks[source->count++] = block;
}

static void *make(struct random_source *source, size_t count, size_t size)
{
    return keep(source, calloc(count + 1, size));
}

static char *copy(struct random_source *source, const char *text)
{
    return keep(source, strdup(text));
}

void random_forget(struct random_source *source)
{
    while (source->count > 0)
        free(source->blocks[--source->count]);
    free(source->blocks);
    source->blocks = NULL;
    source->room = 0;
}

static struct policy_texts some(struct random_source *source, const char *const *from,
                                size_t choices, size_t most)
{
    struct policy_texts texts = {make(source, most, sizeof(char *)),
                                 1 + random_below(source, (uint32_t)most)};
    for (size_t i = 0; i < texts.count; i++)
        texts.items[i] = copy(source, from[random_below(source, (uint32_t)choices)]);
    return texts;
}
#define SOME(source, array, most) some(source, array, COUNT_OF(array), most)

/* Some words with gaps between them, letters of ASCII in either case. */
static char *text(struct random_source *source, uint32_t most)
{
    char made[2048] = "";
    uint32_t count = random_below(source, most + 1);
    for (uint32_t i = 0; i < count; i++) {
        strncat(made, PICK(source, words), sizeof made - strlen(made) - 1);
        if (i + 1 < count || chance(source, 20))
            strncat(made, PICK(source, gaps), sizeof made - strlen(made) - 1);
    }
    bool shout = chance(source, 20);
    for (char *at = made; *at; at++)
        if (((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z')) &&
            (shout || chance(source, 5)))
            *at = (char)(*at ^ 0x20);
    return copy(source, made);
}

static const enum policy_operation text_operations[] = {
    POLICY_CONTAINS, POLICY_CONTAINS, POLICY_EQUALS,        POLICY_BEGINS,
    POLICY_ENDS,     POLICY_MATCHES,  POLICY_IN_DICTIONARY, POLICY_HAS_PATTERN,
};
static const enum policy_operation attachment_operations[] = {
    POLICY_IN_LIST, POLICY_TYPE, POLICY_MEDIA_TYPE, POLICY_EXTENSION, POLICY_ENCRYPTED,
};

static void choose_operation(struct random_source *source, struct policy_condition *condition)
{
    enum policy_field field = condition->field;
    condition->number = chance(source, 70) ? 1 : 1 + random_below(source, 4);
    if (field == POLICY_ATTACHMENT) {
        condition->operation = PICK(source, attachment_operations);
        condition->every = chance(source, 40);
    } else if (field >= POLICY_MESSAGE_SIZE && field <= POLICY_RECIPIENT_COUNT) {
        condition->operation = chance(source, 50) ? POLICY_ABOVE : POLICY_BELOW;
        condition->number = random_below(source, 5);
    } else if (field > POLICY_RECIPIENT_COUNT) {
        condition->operation = POLICY_IS;
    } else {
        condition->operation = PICK(source, text_operations);
        if (field == POLICY_HEADER && chance(source, 25))
            condition->operation = POLICY_EXISTS;
        if (field >= POLICY_SENDER && field <= POLICY_TO && chance(source, 50))
            condition->operation = POLICY_ADDRESS;
        if ((field == POLICY_SENDER || field == POLICY_RECIPIENT) && chance(source, 20))
            condition->operation = POLICY_IN_GROUP;
    }
}

static void choose_values(struct random_source *source, const struct policy_set *set,
                          struct policy_condition *condition)
{
    static const char *const verdicts[] = {"virus", "clean", "unscannable"};
    static const char *const directions[] = {"inbound", "outbound"};
    switch (condition->operation) {
    case POLICY_MATCHES:
        condition->values = SOME(source, expressions, 3);
        break;
    case POLICY_IN_DICTIONARY:
        condition->id = set->dictionaries[random_below(source, (uint32_t)set->dictionary_count)].id;
        break;
    case POLICY_HAS_PATTERN:
        condition->id = set->patterns[random_below(source, (uint32_t)set->pattern_count)].id;
        break;
    case POLICY_IN_LIST:
        condition->id = set->lists[random_below(source, (uint32_t)set->list_count)].id;
        break;
    case POLICY_ADDRESS:
        condition->values = SOME(source, address_values, 4);
        break;
    case POLICY_IN_GROUP:
        condition->values = SOME(source, group_names, 2);
        break;
    case POLICY_TYPE:
    case POLICY_MEDIA_TYPE:
        condition->values = SOME(source, type_globs, 2);
        break;
    case POLICY_EXTENSION:
        condition->values = SOME(source, extensions, 3);
        break;
    case POLICY_IS:
        condition->values = condition->field == POLICY_LANGUAGE  ? SOME(source, languages, 2)
                            : condition->field == POLICY_VERDICT ? SOME(source, verdicts, 2)
                                                                 : SOME(source, directions, 2);
        break;
    case POLICY_CONTAINS:
    case POLICY_EQUALS:
    case POLICY_BEGINS:
    case POLICY_ENDS:
        condition->values =
            chance(source, 70) ? SOME(source, words, 4) : SOME(source, mailboxes, 3);
        for (size_t i = 0; i < condition->values.count; i++)
            if (chance(source, 20))
                condition->values.items[i] = text(source, 2);
        break;
    default:
        break;
    }
}

static void choose_condition(struct random_source *source, const struct policy_set *set,
                             struct policy_condition *condition)
{
    condition->field = chance(source, 60) ? random_below(source, POLICY_ATTACHMENT_NAME + 1)
                                          : random_below(source, POLICY_FIELDS);
    condition->negated = chance(source, 25);
    condition->match_case = chance(source, 25);
    condition->tags = chance(source, 40);
    if (condition->field == POLICY_HEADER)
        condition->header = copy(source, PICK(source, header_names));
    choose_operation(source, condition);
    choose_values(source, set, condition);
}

static void choose_filter(struct random_source *source, const struct policy_set *set,
                          struct policy_filter *filter)
{
    static const char *const groups[] = {"g0", "g1", "default"};
    static char *folders[] = {"hold", "note"};
    filter->id = filter->name = "f";
    filter->enabled = chance(source, 92);
    filter->directions[POLICY_INBOUND] = chance(source, 90);
    filter->directions[POLICY_OUTBOUND] = chance(source, 90);
    if (chance(source, 20))
        filter->groups = SOME(source, groups, 2);
    filter->any = chance(source, 50);
    filter->condition_count = 1 + random_below(source, PLAIN_CONDITIONS - 1);
    filter->conditions = make(source, filter->condition_count, sizeof *filter->conditions);
    for (size_t i = 0; i < filter->condition_count; i++)
        choose_condition(source, set, &filter->conditions[i]);
    filter->action_count = random_below(source, 4);
    filter->actions = make(source, filter->action_count, sizeof *filter->actions);
    for (size_t i = 0; i < filter->action_count; i++) {
        filter->actions[i].kind = random_below(source, POLICY_ACTIONS);
        filter->actions[i].id = PICK(source, folders);
    }
    filter->then = chance(source, 25) ? POLICY_STOP : POLICY_CONTINUE;
}

static void choose_resources(struct random_source *source, struct policy_set *set)
{
    static char *ids[] = {"r0", "r1", "r2"};
    static struct policy_group groups[] = {{.id = "g0", .name = "G"}, {.id = "g1", .name = "G"}};
    static struct policy_folder folders[] = {{"hold", "Hold", true}, {"note", "Note", false}};
    static const char *const list_types[] = {"application/pdf", "flag:encrypted", "flag:macros",
                                             "text/*"};
    set->groups = groups;
    set->group_count = COUNT_OF(groups);
    set->folders = folders;
    set->folder_count = COUNT_OF(folders);
    set->dictionary_count = set->list_count = set->pattern_count = COUNT_OF(ids);
    set->dictionaries = make(source, COUNT_OF(ids), sizeof *set->dictionaries);
    set->lists = make(source, COUNT_OF(ids), sizeof *set->lists);
    set->patterns = make(source, COUNT_OF(ids), sizeof *set->patterns);
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct policy_dictionary *dictionary = &set->dictionaries[i];
        *dictionary = (struct policy_dictionary){.id = ids[i],
                                                 .name = ids[i],
                                                 .word_count = 1 + random_below(source, 6),
                                                 .whole_words = chance(source, 60),
                                                 .match_case = chance(source, 30)};
        dictionary->words = make(source, dictionary->word_count, sizeof *dictionary->words);
        for (size_t w = 0; w < dictionary->word_count; w++) {
            char *word = chance(source, 80) ? copy(source, PICK(source, words)) : text(source, 2);
            dictionary->words[w] = (struct policy_word){*word ? word : copy(source, "aa"),
                                                        (int)(1 + random_below(source, 3))};
        }
        set->lists[i] = (struct policy_list){.id = ids[i], .name = ids[i]};
        if (chance(source, 50))
            set->lists[i].names = SOME(source, name_globs, 2);
        if (chance(source, 50))
            set->lists[i].extensions = SOME(source, extensions, 2);
        if (chance(source, 30))
            set->lists[i].media_types = SOME(source, type_globs, 2);
        if (chance(source, 30))
            set->lists[i].types = SOME(source, list_types, 2);
        set->patterns[i] = (struct policy_pattern){
            .id = ids[i],
            .name = ids[i],
            .expression = copy(source, PICK(source, expressions)),
            .check = chance(source, 70) ? POLICY_CHECK_NONE : POLICY_CHECK_LUHN};
        if (set->patterns[i].check == POLICY_CHECK_LUHN)
            set->patterns[i].expression = copy(source, "[0-9](?:[ -]?[0-9]){11,18}");
    }
}

struct policy_set *random_set(struct random_source *source)
{
    struct policy_set *set = make(source, 1, sizeof *set);
    choose_resources(source, set);
    set->filter_count = 1 + random_below(source, PLAIN_FILTERS);
    set->filters = make(source, set->filter_count, sizeof *set->filters);
    for (size_t i = 0; i < set->filter_count; i++)
        choose_filter(source, set, &set->filters[i]);
    return set;
}

static struct policy_person person(struct random_source *source)
{
    static const size_t groups[] = {0, 1, POLICY_DEFAULT_GROUP};
    struct policy_person person = {.address = copy(source, PICK(source, mailboxes)),
                                   .group = PICK(source, groups),
                                   .excluded = chance(source, 10)};
    if (chance(source, 50)) {
        struct policy_texts names = SOME(source, group_names, 2);
        person.directory_groups = (const char *const *)names.items;
        person.directory_group_count = names.count;
    }
    return person;
}

static char *address_field(struct random_source *source)
{
    char made[256];
    snprintf(made, sizeof made, "%s%s%s, \"x, y\" <%s> (note)", chance(source, 30) ? "<" : "",
             mailboxes[random_below(source, 4)], chance(source, 30) ? ">" : "",
             mailboxes[random_below(source, 4)]);
    return copy(source, made);
}

static void choose_headers(struct random_source *source, struct policy_message *message)
{
    struct policy_header *headers = make(source, 8, sizeof *headers);
    message->header_count = random_below(source, 7);
    for (size_t i = 0; i < message->header_count; i++) {
        headers[i].name = copy(source, PICK(source, header_names));
        bool addresses = strchr("FTC", headers[i].name[0]) != NULL;
        headers[i].value = addresses ? address_field(source) : text(source, 6);
    }
    message->headers = headers;
}

static struct policy_node node(struct random_source *source, size_t number)
{
    char path[32];
    snprintf(path, sizeof path, "part%zu", number);
    struct policy_node node = {
        .path = copy(source, path),
        .name = chance(source, 60) ? copy(source, PICK(source, file_names)) : NULL,
        .type = PICK(source, types),
        .declared_type = chance(source, 70) ? PICK(source, declared_types) : NULL,
        .size = random_below(source, 6),
        .flags = random_below(source, 32)};
    if (chance(source, 80)) {
        node.visible = text(source, 12);
        node.visible_length = strlen(node.visible);
    }
    if (chance(source, 30)) {
        node.with_tags = text(source, 12);
        node.with_tags_length = strlen(node.with_tags);
    }
    return node;
}

struct policy_message *random_message(struct random_source *source)
{
    struct policy_message *message = make(source, 1, sizeof *message);
    struct policy_person *recipients = make(source, PLAIN_RECIPIENTS, sizeof *recipients);
    struct policy_node *nodes = make(source, 5, sizeof *nodes);
    message->direction = random_below(source, 2);
    message->sender = person(source);
    message->recipients = recipients;
    message->recipient_count = 1 + random_below(source, PLAIN_RECIPIENTS);
    for (size_t i = 0; i < message->recipient_count; i++)
        recipients[i] = person(source);
    message->size = random_below(source, 6);
    choose_headers(source, message);
    message->node_count = random_below(source, 6);
    for (size_t i = 0; i < message->node_count; i++)
        nodes[i] = node(source, i);
    message->nodes = nodes;
    message->language = PICK(source, languages);
    message->verdicts = chance(source, 50)   ? 0
                        : chance(source, 50) ? 1u << CONFIG_VERDICT_VIRUS
                                             : 1u << CONFIG_VERDICT_UNSCANNABLE;
    return message;
}

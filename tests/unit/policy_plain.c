/* The content filters, plain and slow. */
#include "tests/unit/policy_plain.h"

#include "common/config_model.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- searches --- */

#define KNOWN 16384

struct known {
    char *pattern;
    uint32_t options;
    pcre2_code *code;
};
static struct known known[KNOWN];
static size_t known_count;
static pcre2_match_data *match_data;

void plain_end(void)
{
    for (size_t i = 0; i < KNOWN; i++) {
        free(known[i].pattern);
        pcre2_code_free(known[i].code);
        known[i] = (struct known){0};
    }
    known_count = 0;
    pcre2_match_data_free(match_data);
    match_data = NULL;
}

static pcre2_code *code_of(const char *pattern, uint32_t options)
{
    size_t slot = options;
    for (const char *at = pattern; *at; at++)
        slot = slot * 31 + (unsigned char)*at;
    if (known_count > KNOWN / 2)
        plain_end();
    for (slot %= KNOWN; known[slot].pattern; slot = (slot + 1) % KNOWN)
        if (known[slot].options == options && strcmp(known[slot].pattern, pattern) == 0)
            return known[slot].code;
    int number;
    PCRE2_SIZE place;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     options | PCRE2_UTF, &number, &place, NULL);
    if (!code) {
        fprintf(stderr, "%s\n", pattern);
        abort();
    }
    known[slot] = (struct known){strdup(pattern), options, code};
    known_count++;
    return code;
}

static bool search(const char *pattern, uint32_t options, uint32_t how, const char *text,
                   size_t length, size_t from, size_t *start, size_t *end)
{
    pcre2_code *code = code_of(pattern, options);
    if (!match_data)
        match_data = pcre2_match_data_create(20, NULL);
    if (pcre2_match(code, (PCRE2_SPTR)text, length, from, how, match_data, NULL) < 0)
        return false;
    *start = pcre2_get_ovector_pointer(match_data)[0];
    *end = pcre2_get_ovector_pointer(match_data)[1];
    return true;
}

static bool is_like(const char *pattern, const char *text)
{
    size_t start, end;
    return search(pattern, PCRE2_CASELESS | PCRE2_DOTALL, 0, text, strlen(text), 0, &start, &end);
}

static size_t after(const char *text, size_t length, size_t place)
{
    do
        place++;
    while (place < length && ((unsigned char)text[place] & 0xc0) == 0x80);
    return place;
}

/* --- how a text is set --- */

#define WHITE                                                                                      \
    "[\\x09-\\x0d \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"  \
    "\\x{2800}\\x{3000}]"
#define UNSEEN                                                                                     \
    "[\\x01-\\x08\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\xad\\x{34f}\\x{61c}\\x{115f}\\x{1160}\\x{"     \
    "17b4}"                                                                                        \
    "\\x{17b5}\\x{180b}-\\x{180f}\\x{200b}-\\x{200f}\\x{202a}-\\x{202e}\\x{2060}-\\x{206f}"        \
    "\\x{3164}\\x{fe00}-\\x{fe0f}\\x{feff}\\x{ffa0}\\x{fff0}-\\x{fff8}\\x{1bca0}-\\x{1bca3}"       \
    "\\x{1d173}-\\x{1d17a}\\x{e0000}-\\x{e0fff}]"
#define EAST                                                                                       \
    "(?![\\x{3000}\\x{3164}])[\\x{2e80}-\\x{9fff}\\x{f900}-\\x{faff}\\x{ff61}-\\x{ff9f}"           \
    "\\x{20000}-\\x{3ffff}]"

/* A text without what does not count in how it is set, and the place in it of each of its bytes. */
struct loose {
    char data[4096];
    size_t places[4096];
};

static bool is_at(const char *pattern, const char *text, size_t from, size_t *end)
{
    size_t start;
    return search(pattern, 0, PCRE2_ANCHORED, text, strlen(text), from, &start, end);
}

static void loosen(struct loose *loose, const char *text)
{
    size_t length = strlen(text), made = 0, end;
    for (size_t at = 0; at < length; at = end) {
        if (is_at("(?:" UNSEEN ")*" WHITE "(?:" UNSEEN "|" WHITE ")*", text, at, &end)) {
            size_t start, next, last = made;
            bool joined = is_at(EAST, text, end, &next);
            while (last > 0 && ((unsigned char)loose->data[--last] & 0xc0) == 0x80)
                continue;
            loose->data[made] = '\0';
            joined = joined && made > 0 &&
                     search(EAST, 0, PCRE2_ANCHORED, loose->data, made, last, &start, &next);
            if (!joined) {
                loose->places[made] = at;
                loose->data[made++] = ' ';
            }
            continue;
        }
        if (is_at(UNSEEN, text, at, &end))
            continue;
        end = after(text, length, at);
        if (end - at == 3 && is_at("[\\x{ff01}-\\x{ff5e}]", text, at, &end)) {
            loose->places[made] = at;
            loose->data[made++] =
                (char)(((text[at + 1] & 0x3f) << 6 | (text[at + 2] & 0x3f)) - 0xee0);
            continue;
        }
        for (size_t i = at; i < end; i++) {
            loose->places[made] = i;
            loose->data[made++] = text[i];
        }
    }
    loose->data[made] = '\0';
    loose->places[made] = length;
}

/* --- the texts of a condition --- */

struct plain_text {
    const char *part, *field, *data;
    const struct loose *loose; /* what is searched in place of `data`, or NULL */
};
struct plain_texts {
    struct plain_text items[64];
    size_t count;
    char addresses[32][128];
    size_t address_count;
};

static void add(struct plain_texts *texts, const char *part, const char *field, const char *data)
{
    if (data)
        texts->items[texts->count++] = (struct plain_text){part, field, data, NULL};
}

/* What is neither quoted nor a comment and has an @ within. */
static void add_addresses(struct plain_texts *texts, const char *field, const char *value)
{
    static const char pattern[] =
        "(?:\"[^\"]*\"|\\([^)]*\\))(*SKIP)(*FAIL)|[^\\s<>,()\"]+@[^\\s<>,()\"]+";
    size_t start, end, from = 0;
    while (search(pattern, 0, 0, value, strlen(value), from, &start, &end)) {
        char *address = texts->addresses[texts->address_count++];
        snprintf(address, sizeof texts->addresses[0], "%.*s", (int)(end - start), value + start);
        for (char *at = strchr(address, '@'); *at; at++)
            *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
        add(texts, "", field, address);
        from = end;
    }
}

static bool is_attachment(const struct policy_node *node)
{
    return node->flags & (POLICY_NODE_ATTACHMENT | POLICY_NODE_MEMBER);
}

static void add_nodes(struct plain_texts *texts, const struct policy_condition *condition,
                      const struct policy_message *message)
{
    enum policy_field field = condition->field;
    for (size_t i = 0; i < message->node_count; i++) {
        const struct policy_node *node = &message->nodes[i];
        bool body = node->flags & POLICY_NODE_BODY, tags = condition->tags;
        const char *seen = tags && field != POLICY_ATTACHMENT_TEXT && node->with_tags
                               ? node->with_tags
                               : node->visible;
        if (field == POLICY_ATTACHMENT_NAME && is_attachment(node))
            add(texts, node->path, "attachment_name", node->name);
        if ((field == POLICY_BODY || field == POLICY_ANY_TEXT) && body)
            add(texts, node->path, "body", seen);
        if ((field == POLICY_ATTACHMENT_TEXT || field == POLICY_ANY_TEXT) && !body &&
            is_attachment(node))
            add(texts, node->path, "attachment_text", seen);
    }
}

static void collect(struct plain_texts *texts, const struct policy_condition *condition,
                    const struct policy_message *message, size_t recipient)
{
    static char header_field[80];
    texts->count = texts->address_count = 0;
    enum policy_field field = condition->field;
    for (size_t i = 0; i < message->header_count; i++) {
        const char *name = message->headers[i].name, *value = message->headers[i].value;
        if ((field == POLICY_SUBJECT || field == POLICY_ANY_TEXT) &&
            strcasecmp(name, "subject") == 0)
            add(texts, "", "subject", value);
        if (field == POLICY_HEADER && strcasecmp(name, condition->header) == 0) {
            snprintf(header_field, sizeof header_field, "header %s", condition->header);
            add(texts, "", header_field, value);
        }
        if (field == POLICY_FROM && strcasecmp(name, "from") == 0)
            add_addresses(texts, "from", value);
        if (field == POLICY_TO && (strcasecmp(name, "to") == 0 || strcasecmp(name, "cc") == 0))
            add_addresses(texts, "to", value);
    }
    if (field == POLICY_SENDER)
        add(texts, "", "sender", message->sender.address);
    if (field == POLICY_RECIPIENT)
        add(texts, "", "recipient", message->recipients[recipient].address);
    add_nodes(texts, condition, message);
}

/* --- occurrences --- */

struct occurrences {
    struct plain_find *finds; /* NULL: only counted */
    size_t *find_count;
    size_t left;
    size_t filter, condition;
    int64_t count;
};

static void occur(struct occurrences *o, const struct plain_text *text, size_t start, size_t end,
                  int weight)
{
    o->count += weight;
    if (!o->finds || o->left == 0 || *o->find_count == PLAIN_FINDS)
        return;
    o->left--;
    if (text->loose) {
        start = text->loose->places[start];
        end = text->loose->places[end];
    }
    struct plain_find *find = &o->finds[(*o->find_count)++];
    *find = (struct plain_find){o->filter, o->condition, text->part, "", "", start, end - start};
    snprintf(find->field, sizeof find->field, "%s", text->field);
    size_t length = end - start;
    while (length > 200)
        do
            length--;
        while (((unsigned char)text->data[start + length] & 0xc0) == 0x80);
    memcpy(find->text, text->data + start, length);
    find->text[length] = '\0';
}

static const char *searched(const struct plain_text *text)
{
    return text->loose ? text->loose->data : text->data;
}

static bool luhn(const char *text, size_t length)
{
    int digits[40], count = 0, sum = 0, different = 0;
    for (size_t i = 0; i < length; i++)
        if (text[i] >= '0' && text[i] <= '9' && count < 40)
            digits[count++] = text[i] - '0';
    for (int i = 0; i < count; i++) {
        int digit = digits[i] * ((count - i) % 2 == 0 ? 2 : 1);
        sum += digit / 10 + digit % 10;
        different += digits[i] != digits[0];
    }
    return count >= 12 && count <= 19 && sum % 10 == 0 && different > 0;
}

static uint32_t options_of(const struct policy_condition *condition)
{
    return (condition->match_case ? 0 : PCRE2_CASELESS) |
           (condition->operation == POLICY_MATCHES || condition->operation == POLICY_HAS_PATTERN
                ? PCRE2_UCP | PCRE2_MULTILINE
                : 0);
}

static bool next_of(const struct policy_condition *condition, const char *pattern, bool checked,
                    const char *text, size_t from, size_t *start, size_t *end)
{
    size_t length = strlen(text);
    while (from <= length &&
           search(pattern, options_of(condition), 0, text, length, from, start, end)) {
        if (!checked || luhn(text + *start, *end - *start))
            return true;
        from = after(text, length, *start);
    }
    return false;
}

/* The first of all values' finds, the longest of those that begin there; again behind it. */
static void sweep(const struct policy_condition *condition, char patterns[][600], size_t count,
                  bool checked, const struct plain_text *text, struct occurrences *o)
{
    size_t from = 0, length = strlen(searched(text));
    for (;;) {
        size_t best_start = SIZE_MAX, best_end = 0, start, end;
        for (size_t i = 0; i < count; i++)
            if (next_of(condition, patterns[i], checked, searched(text), from, &start, &end) &&
                (start < best_start || (start == best_start && end > best_end))) {
                best_start = start;
                best_end = end;
            }
        if (best_start == SIZE_MAX)
            return;
        occur(o, text, best_start, best_end, 1);
        from = best_end > best_start ? best_end : after(searched(text), length, best_end);
    }
}

static void whole(const struct policy_condition *condition, const struct plain_text *text,
                  struct occurrences *o)
{
    size_t best_start = SIZE_MAX, best_end = 0, start, end, length = strlen(searched(text));
    static struct loose loose;
    for (size_t i = 0; i < condition->values.count; i++) {
        const char *value = condition->values.items[i];
        char pattern[600];
        loosen(&loose, value);
        if (*value && !loose.data[0])
            continue;
        value = loose.data;
        if (!*value && (*text->data || condition->operation != POLICY_EQUALS))
            continue;
        snprintf(pattern, sizeof pattern, "%s%s%s%s%s",
                 condition->operation == POLICY_ENDS ? "" : "\\A", *value ? "\\Q" : "", value,
                 *value ? "\\E" : "", condition->operation == POLICY_BEGINS ? "" : "\\z");
        if (search(pattern, options_of(condition), 0, searched(text), length, 0, &start, &end) &&
            (best_start == SIZE_MAX || end - start > best_end - best_start)) {
            best_start = start;
            best_end = end;
        }
    }
    if (best_start != SIZE_MAX)
        occur(o, text, best_start, best_end, 1);
}

static const struct policy_dictionary *dictionary_of(const struct policy_set *set, const char *id)
{
    for (size_t i = 0; i < set->dictionary_count; i++)
        if (strcmp(set->dictionaries[i].id, id) == 0)
            return &set->dictionaries[i];
    abort();
}

#define SPACED                                                                                     \
    "(?![\\p{Han}\\p{Hiragana}\\p{Katakana}\\p{Thai}\\p{Lao}\\p{Khmer}\\p{Myanmar}"                \
    "\\x{30fc}\\x{ff70}])[\\p{L}\\p{N}\\p{M}_]"

static bool boundary(const char *text, size_t place)
{
    size_t start, end;
    return search("(?<!" SPACED ")|(?!" SPACED ")", 0, PCRE2_ANCHORED, text, strlen(text), place,
                  &start, &end);
}

static void weigh(const struct policy_dictionary *dictionary, const struct plain_text *text,
                  struct occurrences *o)
{
    static struct loose word;
    const char *data = searched(text);
    size_t length = strlen(data), start, end;
    for (size_t at = 0; at < length;) {
        size_t best = 0, best_word = 0;
        for (size_t w = 0; w < dictionary->word_count; w++) {
            char pattern[600];
            loosen(&word, dictionary->words[w].text);
            if (!word.data[0])
                continue;
            snprintf(pattern, sizeof pattern, "\\Q%.500s\\E", word.data);
            if (search(pattern, dictionary->match_case ? 0 : PCRE2_CASELESS, PCRE2_ANCHORED, data,
                       length, at, &start, &end) &&
                end > best &&
                (!dictionary->whole_words || (boundary(data, at) && boundary(data, end)))) {
                best = end;
                best_word = w;
            }
        }
        if (best > 0)
            occur(o, text, at, best, dictionary->words[best_word].weight);
        at = best > 0 ? best : after(data, length, at);
    }
}

static bool fits_address(const struct policy_texts *values, const char *address)
{
    for (size_t i = 0; i < values->count; i++) {
        const char *value = values->items[i];
        char pattern[600];
        if (strncmp(value, "@.", 2) == 0)
            snprintf(pattern, sizeof pattern, "@.+\\.\\Q%s\\E\\z", value + 2);
        else
            snprintf(pattern, sizeof pattern, "%s\\Q%s\\E\\z", *value == '@' ? "" : "\\A", value);
        if (is_like(pattern, address))
            return true;
    }
    return false;
}

static bool in_group(const struct policy_texts *values, const struct policy_person *person)
{
    for (size_t i = 0; i < values->count; i++)
        for (size_t g = 0; g < person->directory_group_count; g++) {
            char pattern[600];
            snprintf(pattern, sizeof pattern, "\\A\\Q%s\\E\\z", values->items[i]);
            if (is_like(pattern, person->directory_groups[g]))
                return true;
        }
    return false;
}

static void search_values(const struct policy_set *set, const struct policy_condition *condition,
                          const struct plain_text *text, struct occurrences *o)
{
    static char patterns[8][600];
    size_t count = 0;
    bool checked = false;
    if (condition->operation == POLICY_HAS_PATTERN) {
        for (size_t i = 0; i < set->pattern_count; i++)
            if (strcmp(set->patterns[i].id, condition->id) == 0) {
                snprintf(patterns[count++], sizeof patterns[0], "%s", set->patterns[i].expression);
                checked = set->patterns[i].check == POLICY_CHECK_LUHN;
            }
    } else {
        bool literal = condition->operation == POLICY_CONTAINS;
        static struct loose loose;
        for (size_t i = 0; i < condition->values.count; i++) {
            const char *value = condition->values.items[i];
            loosen(&loose, value);
            if (literal ? loose.data[0] : value[0])
                snprintf(patterns[count++], sizeof patterns[0], literal ? "\\Q%.500s\\E" : "%.500s",
                         literal ? loose.data : value);
        }
    }
    sweep(condition, patterns, count, checked, text, o);
}

static void occurrences(const struct policy_set *set, const struct policy_condition *condition,
                        const struct policy_message *message, size_t recipient,
                        struct occurrences *o)
{
    static struct plain_texts texts;
    static struct loose loose;
    bool as_is = condition->operation == POLICY_MATCHES ||
                 condition->operation == POLICY_HAS_PATTERN ||
                 condition->operation >= POLICY_EXISTS;
    collect(&texts, condition, message, recipient);
    const struct policy_person *person =
        condition->field == POLICY_SENDER ? &message->sender : &message->recipients[recipient];
    for (size_t i = 0; i < texts.count; i++) {
        struct plain_text *text = &texts.items[i];
        size_t length = strlen(text->data);
        if (!as_is) {
            loosen(&loose, text->data);
            text->loose = &loose;
        }
        switch (condition->operation) {
        case POLICY_EXISTS:
            occur(o, text, 0, length, 1);
            break;
        case POLICY_ADDRESS:
            if (fits_address(&condition->values, text->data))
                occur(o, text, 0, length, 1);
            break;
        case POLICY_IN_GROUP:
            if (in_group(&condition->values, person))
                occur(o, text, 0, length, 1);
            break;
        case POLICY_IN_DICTIONARY:
            weigh(dictionary_of(set, condition->id), text, o);
            break;
        case POLICY_EQUALS:
        case POLICY_BEGINS:
        case POLICY_ENDS:
            whole(condition, text, o);
            break;
        default:
            search_values(set, condition, text, o);
        }
    }
}

/* --- attachments --- */

static bool fits_glob(const struct policy_texts *globs, const char *text)
{
    for (size_t i = 0; i < globs->count; i++) {
        char pattern[600] = "\\A";
        for (const char *at = globs->items[i]; *at; at++) {
            char piece[16];
            snprintf(piece, sizeof piece,
                     *at == '*'                     ? ".*"
                     : *at == '?'                   ? "."
                     : strchr(".+()[]{}\\^$|", *at) ? "\\%c"
                                                    : "%c",
                     *at);
            strcat(pattern, piece);
        }
        strcat(pattern, "\\z");
        if (is_like(pattern, text))
            return true;
    }
    return false;
}

static bool fits_extension(const struct policy_texts *values, const char *name)
{
    for (size_t i = 0; i < values->count; i++) {
        char pattern[600];
        snprintf(pattern, sizeof pattern, "\\.\\Q%s\\E[. ]*\\z", values->items[i]);
        if (is_like(pattern, name))
            return true;
    }
    return false;
}

static bool fits_type(const struct policy_texts *values, const struct policy_node *node)
{
    for (size_t i = 0; i < values->count; i++)
        if ((strcmp(values->items[i], "flag:encrypted") == 0 &&
             node->flags & POLICY_NODE_ENCRYPTED) ||
            (strcmp(values->items[i], "flag:macros") == 0 && node->flags & POLICY_NODE_MACROS))
            return true;
    return fits_glob(values, node->type);
}

static bool in_list(const struct policy_list *list, const struct policy_node *node,
                    const char *declared)
{
    const char *name = node->name ? node->name : "";
    char base[256];
    size_t start, end;
    search("[^/\\\\]*?(?=[. ]*\\z)", 0, 0, name, strlen(name), 0, &start, &end);
    snprintf(base, sizeof base, "%.*s", (int)(end - start), name + start);
    return (node->name && (fits_glob(&list->names, name) || fits_glob(&list->names, base))) ||
           fits_extension(&list->extensions, name) ||
           (*declared && fits_glob(&list->media_types, declared)) || fits_type(&list->types, node);
}

static bool attachment_fits(const struct policy_set *set, const struct policy_condition *condition,
                            const struct policy_node *node)
{
    char declared[128] = "";
    if (node->declared_type)
        snprintf(declared, sizeof declared, "%.*s", (int)strcspn(node->declared_type, "; \t"),
                 node->declared_type);
    switch (condition->operation) {
    case POLICY_IN_LIST:
        for (size_t i = 0; i < set->list_count; i++)
            if (strcmp(set->lists[i].id, condition->id) == 0)
                return in_list(&set->lists[i], node, declared);
        abort();
    case POLICY_TYPE:
        return fits_type(&condition->values, node);
    case POLICY_MEDIA_TYPE:
        return *declared && fits_glob(&condition->values, declared);
    case POLICY_EXTENSION:
        return node->name && fits_extension(&condition->values, node->name);
    default:
        return node->flags & POLICY_NODE_ENCRYPTED;
    }
}

static bool attachments_fit(const struct policy_set *set, const struct policy_condition *condition,
                            const struct policy_message *message)
{
    size_t fitting = 0, all = 0;
    for (size_t i = 0; i < message->node_count; i++) {
        const struct policy_node *node = &message->nodes[i];
        bool counts = condition->every ? node->flags & POLICY_NODE_ATTACHMENT : is_attachment(node);
        all += counts;
        fitting += counts && attachment_fits(set, condition, node);
    }
    return condition->every ? all > 0 && fitting == all : fitting > 0;
}

/* --- conditions and filters --- */

static bool number_fits(const struct policy_condition *condition,
                        const struct policy_message *message)
{
    int64_t value = 0;
    if (condition->field == POLICY_MESSAGE_SIZE)
        value = (int64_t)message->size;
    if (condition->field == POLICY_RECIPIENT_COUNT)
        value = (int64_t)message->recipient_count;
    for (size_t i = 0; i < message->node_count; i++) {
        if (!(message->nodes[i].flags & POLICY_NODE_ATTACHMENT))
            continue;
        int64_t size = (int64_t)message->nodes[i].size;
        if (condition->field == POLICY_ATTACHMENT_COUNT)
            value++;
        if (condition->field == POLICY_ATTACHMENT_SIZE && size > value)
            value = size;
    }
    return condition->operation == POLICY_ABOVE ? value > condition->number
                                                : value < condition->number;
}

static bool is_code(const struct policy_condition *condition, const struct policy_message *message)
{
    for (size_t i = 0; i < condition->values.count; i++) {
        const char *value = condition->values.items[i];
        enum config_verdict verdict;
        if ((condition->field == POLICY_LANGUAGE && strcmp(value, message->language) == 0) ||
            (condition->field == POLICY_DIRECTION &&
             (strcmp(value, "outbound") == 0) == (message->direction == POLICY_OUTBOUND)))
            return true;
        if (condition->field == POLICY_VERDICT &&
            (strcmp(value, "clean") == 0
                 ? message->verdicts == 0
                 : config_verdict_parse(value, &verdict) && message->verdicts >> verdict & 1))
            return true;
    }
    return false;
}

static bool condition_met(const struct policy_set *set, const struct policy_condition *condition,
                          const struct policy_message *message, size_t recipient)
{
    struct occurrences o = {0};
    bool met;
    if (condition->field == POLICY_ATTACHMENT) {
        met = attachments_fit(set, condition, message);
    } else if (condition->operation == POLICY_IS) {
        met = is_code(condition, message);
    } else if (condition->operation == POLICY_ABOVE || condition->operation == POLICY_BELOW) {
        met = number_fits(condition, message);
    } else {
        occurrences(set, condition, message, recipient, &o);
        met = o.count >= condition->number;
    }
    return met != condition->negated;
}

static bool in_groups(const struct policy_set *set, const struct policy_filter *filter,
                      const struct policy_message *message, size_t recipient)
{
    size_t group = message->direction == POLICY_OUTBOUND ? message->sender.group
                                                         : message->recipients[recipient].group;
    const char *id = group < set->group_count ? set->groups[group].id : "default";
    for (size_t i = 0; i < filter->groups.count; i++)
        if (strcmp(filter->groups.items[i], id) == 0)
            return true;
    return filter->groups.count == 0;
}

static void mark_attachments(const struct policy_set *set, const struct policy_condition *condition,
                             const struct policy_message *message, struct occurrences *o)
{
    for (size_t i = 0; i < message->node_count; i++) {
        const struct policy_node *node = &message->nodes[i];
        bool counts = condition->every ? node->flags & POLICY_NODE_ATTACHMENT : is_attachment(node);
        const char *shown = node->name ? node->name : node->type;
        if (!counts || !attachment_fits(set, condition, node))
            continue;
        struct plain_text text = {node->path, "attachment", shown, NULL};
        size_t before = *o->find_count;
        occur(o, &text, 0, strlen(shown), 1);
        if (*o->find_count > before)
            o->finds[before].length = 0;
    }
}

static void mark(const struct policy_set *set, const struct policy_message *message, size_t number,
                 struct plain_result *result)
{
    const struct policy_filter *filter = &set->filters[number];
    for (size_t c = 0; c < filter->condition_count; c++) {
        const struct policy_condition *condition = &filter->conditions[c];
        struct occurrences o = {result->finds, &result->find_count, 20, number, c, 0};
        if (condition->negated ||
            (condition->field > POLICY_ATTACHMENT_NAME && condition->field != POLICY_ATTACHMENT))
            continue;
        for (size_t r = 0; r < message->recipient_count; r++) {
            if (!result->met[number][r] || !result->conditions[number][r][c])
                continue;
            if (condition->field == POLICY_ATTACHMENT)
                mark_attachments(set, condition, message, &o);
            else
                occurrences(set, condition, message, r, &o);
            if (condition->field != POLICY_RECIPIENT)
                break;
        }
    }
}

void plain_evaluate(const struct policy_set *set, const struct policy_message *message,
                    struct plain_result *result)
{
    bool done[PLAIN_RECIPIENTS] = {false};
    memset(result, 0, sizeof *result);
    for (size_t r = 0; r < message->recipient_count; r++)
        done[r] = message->recipients[r].excluded;
    for (size_t f = 0; f < set->filter_count; f++) {
        const struct policy_filter *filter = &set->filters[f];
        for (size_t r = 0; r < message->recipient_count; r++) {
            if (done[r] || !filter->enabled || !filter->directions[message->direction] ||
                !in_groups(set, filter, message, r))
                continue;
            size_t met = 0;
            for (size_t c = 0; c < filter->condition_count; c++) {
                result->conditions[f][r][c] =
                    condition_met(set, &filter->conditions[c], message, r);
                met += result->conditions[f][r][c];
            }
            result->looked_at[f][r] = true;
            result->met[f][r] = filter->any ? met > 0 : met == filter->condition_count;
            done[r] = result->met[f][r] && filter->then == POLICY_STOP;
        }
        mark(set, message, f, result);
    }
}

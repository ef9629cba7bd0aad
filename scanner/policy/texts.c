#include "common/utf8.h"
#include "scanner/policy/clock.h"
#include "scanner/policy/header_addresses.h"
#include "scanner/policy/run.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_ADDRESSES_MOST 10000 /* of one message */
#define KEY_MOST 2048               /* bytes; a longer text is no key */

bool run_bit(const uint64_t *bits, size_t number)
{
    return bits[number / 64] >> number % 64 & 1;
}

bool run_is_late(struct run *run)
{
    run->late = run->late || monotonic_us() >= run->stop_us;
    return run->late;
}

static bool set_bit(uint64_t *bits, size_t number)
{
    uint64_t bit = UINT64_C(1) << number % 64;
    bool fresh = !(bits[number / 64] & bit);
    bits[number / 64] |= bit;
    return fresh;
}

static void wake(struct run *run, const struct waking *waking, size_t id)
{
    for (uint32_t i = waking->starts[id]; i < waking->starts[id + 1]; i++)
        set_bit(run->candidates, waking->filters[i]);
}

/* A copy without bytes that are not UTF-8; places stay the same. */
static char *make_valid(const char *data, size_t length)
{
    char *copy = malloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, data, length);
    copy[length] = '\0';
    for (size_t i = 0; i < length;) {
        size_t bytes = utf8_sequence(copy + i, length - i);
        if (bytes == 0)
            copy[i] = '?';
        i += bytes ? bytes : 1;
    }
    return copy;
}

/* Adds a text; NULL without memory. The data is copied only where `copy`, or where it is not
 * UTF-8. */
static struct text *add_text(struct run *run, unsigned kinds, const char *part, const char *data,
                             size_t length, bool copy)
{
    if (run->text_count == run->text_room) {
        size_t room = run->text_room * 2 + 32;
        struct text *texts = realloc(run->texts, room * sizeof *texts);
        if (!texts)
            return NULL;
        run->texts = texts;
        run->text_room = room;
    }
    struct text *text = &run->texts[run->text_count];
    *text = (struct text){
        .kinds = kinds, .header = INTERN_NONE, .part = part, .data = data, .length = length};
    if (copy || !utf8_valid(data, length)) {
        text->owned = make_valid(data, length);
        if (!text->owned)
            return NULL;
        text->data = text->owned;
    }
    run->text_count++;
    return text;
}

static uint32_t find_key(const struct run *run, char sort, const char *text, size_t length)
{
    char name[KEY_MOST];
    if (length >= sizeof name)
        return INTERN_NONE;
    name[0] = sort;
    memcpy(name + 1, text, length);
    return intern_find(&run->program->keys, name, length + 1);
}

static void see_key(struct run *run, uint32_t key)
{
    if (key != INTERN_NONE && set_bit(run->seen_keys, key))
        wake(run, &run->program->by_key, key);
}

static bool add_key(struct run *run, struct text *text, uint32_t key)
{
    if (key == INTERN_NONE)
        return true;
    if (text->key_count == text->key_room) {
        size_t room = text->key_room * 2 + 4;
        uint32_t *keys = realloc(text->keys, room * sizeof *keys);
        if (!keys)
            return false;
        text->keys = keys;
        text->key_room = room;
    }
    text->keys[text->key_count++] = key;
    see_key(run, key);
    return true;
}

/* The keys of an address: itself, "@" and its domain, "@." and each domain above. */
static bool add_address_keys(struct run *run, struct text *text, char sort)
{
    if (!run_fold(run, text))
        return false;
    const char *address = text->folded.data, *at = strrchr(address, '@');
    size_t length = text->folded.length;
    char above[KEY_MOST];
    if (!add_key(run, text, find_key(run, sort, address, length)))
        return false;
    if (!at)
        return true;
    if (!add_key(run, text, find_key(run, sort, at, length - (size_t)(at - address))))
        return false;
    for (const char *dot = strchr(at, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t rest = length - (size_t)(dot - address);
        if (rest + 1 >= sizeof above)
            continue;
        above[0] = '@';
        memcpy(above + 1, dot, rest);
        if (!add_key(run, text, find_key(run, sort, above, rest + 1)))
            return false;
    }
    return true;
}

static bool add_group_keys(struct run *run, struct text *text, char sort,
                           const struct policy_person *person)
{
    for (size_t i = 0; i < person->directory_group_count; i++) {
        struct folded_text folded;
        const char *name = person->directory_groups[i];
        if (!folded_text_make(&folded, run->program->folding, name, strlen(name)))
            return false;
        bool good = add_key(run, text, find_key(run, sort, folded.data, folded.length));
        folded_text_free(&folded);
        if (!good)
            return false;
    }
    return true;
}

static bool add_person(struct run *run, const struct policy_person *person, unsigned kind,
                       size_t recipient)
{
    const struct policy_program *program = run->program;
    const char *address = person->address ? person->address : "";
    bool sender = kind == TEXT_SENDER;
    if (!(program->all_kinds & kind))
        return true;
    struct text *text = add_text(run, kind, "", address, strlen(address), false);
    if (!text)
        return false;
    text->recipient = (uint32_t)recipient;
    return (!(program->address_kinds & kind) ||
            add_address_keys(run, text, sender ? KEY_SENDER : KEY_RECIPIENT)) &&
           (!(program->group_kinds & kind) ||
            add_group_keys(run, text, sender ? KEY_SENDER_GROUP : KEY_RECIPIENT_GROUP, person));
}

struct address_list {
    struct run *run;
    unsigned kind;
    size_t left;
    bool no_memory;
};

static bool add_header_address(void *context, const char *address)
{
    struct address_list *list = context;
    struct run *run = list->run;
    if (list->left == 0)
        return false;
    list->left--;
    struct text *text = add_text(run, list->kind, "", address, strlen(address), true);
    list->no_memory =
        !text || (run->program->address_kinds & list->kind &&
                  !add_address_keys(run, text, list->kind == TEXT_FROM ? KEY_FROM : KEY_TO));
    return !list->no_memory;
}

static bool add_header_field(struct run *run, const struct policy_header *header,
                             struct address_list *list)
{
    const struct policy_program *program = run->program;
    struct folded_text folded;
    unsigned kinds = strcasecmp(header->name, "Subject") == 0 ? TEXT_SUBJECT : 0;
    if (program->all_kinds & TEXT_HEADER || (kinds & program->all_kinds)) {
        if (!folded_text_make(&folded, program->folding, header->name, strlen(header->name)))
            return false;
        uint32_t key = find_key(run, KEY_HEADER, folded.data, folded.length);
        folded_text_free(&folded);
        kinds = (kinds & program->all_kinds) | (key != INTERN_NONE ? TEXT_HEADER : 0);
        struct text *text =
            kinds ? add_text(run, kinds, "", header->value, strlen(header->value), false) : NULL;
        if (kinds && !text)
            return false;
        if (text)
            text->header = key;
        see_key(run, key);
    }
    bool from = strcasecmp(header->name, "From") == 0;
    bool to = strcasecmp(header->name, "To") == 0 || strcasecmp(header->name, "Cc") == 0;
    list->kind = from ? TEXT_FROM : TEXT_TO;
    if ((from || to) && program->all_kinds & list->kind)
        header_addresses(header->value, add_header_address, list);
    return !list->no_memory;
}

static bool is_attachment(const struct policy_node *node)
{
    return node->flags & (POLICY_NODE_ATTACHMENT | POLICY_NODE_MEMBER);
}

static bool add_node_text(struct run *run, const struct policy_node *node, unsigned kinds,
                          const char *data, size_t length)
{
    kinds &= run->program->all_kinds;
    return !kinds || !data || add_text(run, kinds, node->path, data, length, false);
}

static bool add_node(struct run *run, const struct policy_node *node)
{
    bool body = node->flags & POLICY_NODE_BODY;
    unsigned seen = body ? TEXT_BODY : TEXT_ATTACHMENT;
    unsigned tags = body ? TEXT_BODY_TAGS : TEXT_ATTACHMENT_TAGS;
    if (is_attachment(node) && node->name &&
        !add_node_text(run, node, TEXT_NAME, node->name, strlen(node->name)))
        return false;
    if (!body && !is_attachment(node))
        return true;
    if (!node->with_tags)
        return add_node_text(run, node, seen | tags, node->visible, node->visible_length);
    return add_node_text(run, node, seen, node->visible, node->visible_length) &&
           add_node_text(run, node, tags, node->with_tags, node->with_tags_length);
}

static bool see_extension(void *context, const char *extension, size_t length)
{
    struct run *run = context;
    see_key(run, find_key(run, KEY_EXTENSION, extension, length));
    return false;
}

static bool add_attachments(struct run *run)
{
    const struct policy_message *message = run->message;
    if (!run->program->needs.attachments)
        return true;
    run->attachments = calloc(message->node_count + 1, sizeof *run->attachments);
    if (!run->attachments)
        return false;
    for (size_t i = 0; i < message->node_count; i++) {
        struct attachment *attachment = &run->attachments[run->attachment_count];
        if (!is_attachment(&message->nodes[i]))
            continue;
        run->attachment_count++;
        if (!attachment_make(attachment, &message->nodes[i], run->program->folding))
            return false;
        if (run->program->has_extensions)
            attachment_extensions(attachment, see_extension, run);
    }
    return true;
}

static void wake_by_numbers(struct run *run)
{
    const struct policy_program *program = run->program;
    int64_t numbers[POLICY_FIELDS] = {0};
    static const enum policy_field fields[] = {POLICY_MESSAGE_SIZE, POLICY_ATTACHMENT_SIZE,
                                               POLICY_ATTACHMENT_COUNT, POLICY_RECIPIENT_COUNT,
                                               POLICY_ATTACHMENT};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        numbers[fields[i]] = run_number(run, fields[i]);
    for (size_t i = 0; i < program->number_wait_count; i++) {
        const struct number_wait *wait = &program->number_waits[i];
        int64_t number = numbers[wait->field];
        if ((wait->above ? number > wait->limit : number < wait->limit) != wait->negated)
            set_bit(run->candidates, wait->filter);
    }
}

static bool collect(struct run *run)
{
    const struct policy_message *message = run->message;
    struct address_list list = {.run = run, .left = HEADER_ADDRESSES_MOST};
    for (size_t i = 0; i < message->header_count; i++)
        if (!add_header_field(run, &message->headers[i], &list))
            return false;
    if (!add_person(run, &message->sender, TEXT_SENDER, 0))
        return false;
    for (size_t i = 0; i < message->recipient_count; i++)
        if (!add_person(run, &message->recipients[i], TEXT_RECIPIENT, i))
            return false;
    for (size_t i = 0; i < message->node_count; i++)
        if (!add_node(run, &message->nodes[i]))
            return false;
    return add_attachments(run);
}

bool run_fold(const struct run *run, struct text *text)
{
    return text->folded.data ||
           folded_text_make(&text->folded, run->program->folding, text->data, text->length);
}

bool run_loosen(const struct run *run, struct text *text, bool match_case)
{
    struct folded_text *form = match_case ? &text->cased : &text->loose;
    return form->data ||
           folded_text_loosen(form, run->program->folding, match_case, text->data, text->length);
}

static void free_forms(struct text *text)
{
    folded_text_free(&text->folded);
    folded_text_free(&text->loose);
    folded_text_free(&text->cased);
}

struct looking {
    struct run *run;
    struct text *text;
};

static void on_pattern(void *context, uint32_t pattern)
{
    struct looking *looking = context;
    struct text *text = looking->text;
    uint32_t number = (uint32_t)(text - looking->run->texts) + 1;
    if (looking->run->found_in[pattern] == number)
        return;
    looking->run->found_in[pattern] = number;
    if (set_bit(looking->run->seen_patterns, pattern))
        wake(looking->run, &looking->run->program->by_pattern, pattern);
    if (text->pattern_count == text->pattern_room) {
        size_t room = text->pattern_room * 2 + 16;
        uint32_t *patterns = realloc(text->patterns, room * sizeof *patterns);
        if (!patterns) {
            text->unknown = true;
            return;
        }
        text->patterns = patterns;
        text->pattern_room = room;
    }
    text->patterns[text->pattern_count++] = pattern;
}

static int compare_numbers(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static bool on_word(void *context, size_t dictionary, size_t word, size_t start, size_t end)
{
    struct looking *looking = context;
    struct run *run = looking->run;
    struct text *text = looking->text;
    (void)start;
    (void)end;
    size_t i = 0;
    while (i < text->sum_count && text->sums[i].dictionary != dictionary)
        i++;
    if (i == text->sum_count) {
        struct word_sum *sums = realloc(text->sums, (i + 1) * sizeof *sums);
        if (!sums) {
            text->unweighed = true;
            return false;
        }
        text->sums = sums;
        text->sums[text->sum_count++] = (struct word_sum){(uint32_t)dictionary, 0};
    }
    text->sums[i].weight += run->program->dictionaries[dictionary]->words[word].weight;
    if (set_bit(run->seen_dictionaries, dictionary))
        wake(run, &run->program->by_dictionary, dictionary);
    return true;
}

static void look_at(struct run *run, struct text *text)
{
    const struct policy_program *program = run->program;
    struct looking looking = {run, text};
    bool expressions = text->kinds & program->expression_kinds;
    bool patterns = expressions || text->kinds & program->literal_kinds;
    bool words = text->kinds & program->word_kinds;
    if (!patterns && !words)
        return;
    if (run_is_late(run) || !run_loosen(run, text, false) ||
        (expressions && !run_fold(run, text))) {
        text->unknown = text->unweighed = true;
    } else {
        if (patterns && !patterns_scan(program->patterns, text->data, text->length, &text->loose,
                                       expressions ? &text->folded : NULL, on_pattern, &looking))
            text->unknown = true;
        if (words &&
            !words_find(program->words, text->data, &text->loose, run->stop_us, on_word, &looking))
            text->unweighed = true;
    }
    run->unknown |= text->unknown || text->unweighed;
    if (text->pattern_count > 1)
        qsort(text->patterns, text->pattern_count, sizeof *text->patterns, compare_numbers);
    if (text->pattern_count == 0 && text->sum_count == 0) /* probably not looked at again */
        free_forms(text);
}

bool run_start(struct run *run)
{
    const struct policy_program *program = run->program;
    size_t words = program->filter_count / 64 + 1;
    run->seen_patterns = calloc(patterns_count(program->patterns) / 64 + 1, sizeof(uint64_t));
    run->found_in = calloc(patterns_count(program->patterns) + 1, sizeof *run->found_in);
    run->seen_keys = calloc(program->keys.count / 64 + 1, sizeof(uint64_t));
    run->seen_dictionaries = calloc(program->dictionary_count / 64 + 1, sizeof(uint64_t));
    run->candidates = calloc(words, sizeof(uint64_t));
    run->memo = calloc(program->question_count + 1, 1);
    run->lists = calloc(program->list_count + 1, sizeof *run->lists);
    if (!run->seen_patterns || !run->found_in || !run->seen_keys || !run->seen_dictionaries ||
        !run->candidates || !run->memo || !run->lists)
        return false;
    memcpy(run->candidates, program->always, words * sizeof(uint64_t));
    if (!collect(run))
        return false;
    wake_by_numbers(run);
    for (size_t i = 0; i < run->text_count; i++)
        look_at(run, &run->texts[i]);
    if (run->unknown)
        memset(run->candidates, 0xff, words * sizeof(uint64_t));
    return true;
}

void run_end(struct run *run)
{
    for (size_t i = 0; i < run->text_count; i++) {
        struct text *text = &run->texts[i];
        free_forms(text);
        free(text->owned);
        free(text->patterns);
        free(text->keys);
        free(text->sums);
    }
    for (size_t i = 0; i < run->attachment_count; i++)
        attachment_free(&run->attachments[i]);
    free(run->texts);
    free(run->attachments);
    free(run->seen_patterns);
    free(run->found_in);
    free(run->seen_keys);
    free(run->seen_dictionaries);
    free(run->candidates);
    free(run->memo);
    free(run->lists);
    free(run->problem);
}

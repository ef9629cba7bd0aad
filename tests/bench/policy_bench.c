/* What the content filters cost, by their number and by the words of a dictionary: compiling them,
 * the memory of it, and messages a second of one process.
 *
 * usage: policy-bench [FILTERS WORDS] */
#include "common/buffer.h"
#include "scanner/policy/clock.h"
#include "scanner/policy/evaluate.h"
#include "scanner/policy/groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES = 64, BODY = 4096, VOCABULARY = 20000 };

static uint64_t random_state = 88172645463325252u;

static uint32_t below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % limit;
}

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* The same for the same number. */
static char *word(uint32_t number)
{
    static const char *const syllables[] = {"ka", "lo",  "mi", "ren", "tus", "vor", "be", "stra",
                                            "po", "qui", "ne", "dal", "fer", "ou",  "xi", "gam"};
    char text[64] = "";
    uint32_t rest = number * 2654435761u;
    for (int i = 0; i < 3 || (rest & 1 && i < 6); i++, rest = rest >> 4 | number << 28)
        strcat(text, syllables[rest & 15]);
    snprintf(text + strlen(text), sizeof text - strlen(text), "%x", number % 4096);
    return need(strdup(text));
}

static char *words_of(size_t bytes)
{
    struct buffer text = BUFFER_INIT;
    while (text.length < bytes) {
        char *next = word(below(VOCABULARY));
        buffer_add_format(&text, "%s%s", next, below(12) ? " " : ".\n");
        free(next);
    }
    return need(buffer_take(&text));
}

/* --- filters --- */

static struct policy_texts texts(char *first, char *second)
{
    struct policy_texts made = {need(calloc(2, sizeof(char *))), second ? 2 : 1};
    made.items[0] = first;
    made.items[1] = second;
    return made;
}

/* Before, a word, between, its number, behind. */
static char *phrase(const char *before, uint32_t number, const char *between, const char *behind)
{
    char *text = NULL;
    char *name = word(number);
    if (asprintf(&text, "%s%s%s%u%s", before, name, between, number, behind) < 0)
        abort();
    free(name);
    return text;
}

static struct policy_condition condition(enum policy_field field, enum policy_operation operation,
                                         char *first, char *second)
{
    struct policy_condition made = {.field = field, .operation = operation, .number = 1};
    if (first)
        made.values = texts(first, second);
    return made;
}

/* One of six usual sorts, with words of its own. */
static void make_filter(struct policy_filter *filter, uint32_t i)
{
    static struct policy_action action = {
        .kind = POLICY_ACTION_ADD_HEADER, .name = "X-Filter", .value = "yes"};
    struct policy_condition *c = need(calloc(2, sizeof *c));
    uint32_t n = VOCABULARY + i; /* no word of the messages */
    *filter = (struct policy_filter){.id = "filter",
                                     .name = "Filter",
                                     .enabled = true,
                                     .directions = {true, true},
                                     .conditions = c,
                                     .condition_count = 2,
                                     .actions = &action,
                                     .action_count = 1};
    switch (i % 6) {
    case 0:
        c[0] = condition(POLICY_SUBJECT, POLICY_CONTAINS, phrase("", n, " offer ", ""),
                         phrase("", n + 7, " ", ""));
        c[1] = condition(POLICY_SENDER, POLICY_ADDRESS, strdup("@example.org"), NULL);
        c[1].negated = true;
        break;
    case 1:
        c[0] = condition(POLICY_ANY_TEXT, POLICY_CONTAINS, phrase("project ", n, "", ""),
                         phrase("", n, "-", ""));
        c[1] = condition(POLICY_ATTACHMENT_COUNT, POLICY_ABOVE, NULL, NULL);
        break;
    case 2:
        c[0] = condition(POLICY_RECIPIENT, POLICY_ADDRESS, phrase("", n, ".", "@example.com"),
                         phrase("@", n, "", ".example"));
        c[1] = condition(POLICY_ATTACHMENT, POLICY_EXTENSION, strdup("exe"), strdup("js"));
        break;
    case 3:
        c[0] =
            condition(POLICY_BODY, POLICY_MATCHES, phrase("\\b", n, "[ -]?", "[0-9]{4}\\b"), NULL);
        c[1] = condition(POLICY_MESSAGE_SIZE, POLICY_ABOVE, NULL, NULL);
        break;
    case 4:
        c[0] = condition(POLICY_HEADER, POLICY_CONTAINS, phrase("", n, " mailer ", ""), NULL);
        c[0].header = "X-Mailer";
        c[1] = condition(POLICY_SUBJECT, POLICY_BEGINS, strdup("re:"), NULL);
        c[1].negated = true;
        break;
    default: /* none of its conditions can be waited for */
        c[0] = condition(POLICY_MESSAGE_SIZE, POLICY_ABOVE, NULL, NULL);
        c[0].number = 100000000 + i;
        c[1] = condition(POLICY_SUBJECT, POLICY_CONTAINS, phrase("", n, "", ""), NULL);
        c[1].negated = true;
    }
}

static struct policy_set *set_with(uint32_t filters, uint32_t words)
{
    struct policy_set *set = need(calloc(1, sizeof *set));
    set->filter_count = filters;
    set->filters = need(calloc(filters + 1, sizeof *set->filters));
    for (uint32_t i = 0; i < filters; i++)
        make_filter(&set->filters[i], i);
    if (words == 0)
        return set;
    struct policy_dictionary *dictionary = need(calloc(1, sizeof *dictionary));
    *dictionary = (struct policy_dictionary){
        .id = "words", .name = "Words", .word_count = words, .whole_words = true};
    dictionary->words = need(calloc(words, sizeof *dictionary->words));
    for (uint32_t i = 0; i < words; i++) /* one in a hundred of the messages' */
        dictionary->words[i] = (struct policy_word){word(i * 100), 1};
    set->dictionaries = dictionary;
    set->dictionary_count = 1;
    set->filters[0].condition_count = 1;
    set->filters[0].conditions[0] = condition(POLICY_BODY, POLICY_IN_DICTIONARY, NULL, NULL);
    set->filters[0].conditions[0].id = dictionary->id;
    set->filters[0].conditions[0].number = 1000;
    return set;
}

/* --- messages --- */

static struct policy_message message(void)
{
    static const struct policy_person people[] = {
        {.address = "bob@example.com", .group = POLICY_DEFAULT_GROUP},
        {.address = "carol@example.com", .group = POLICY_DEFAULT_GROUP}};
    struct policy_header *headers = need(calloc(5, sizeof *headers));
    struct policy_node *nodes = need(calloc(2, sizeof *nodes));
    headers[0] = (struct policy_header){"From", "Alice <alice@example.net>"};
    headers[1] = (struct policy_header){"To", "bob@example.com, carol@example.com"};
    headers[2] = (struct policy_header){"Subject", words_of(60)};
    headers[3] = (struct policy_header){"X-Mailer", "Example Mailer 5.0"};
    headers[4] = (struct policy_header){"Received", words_of(150)};
    nodes[0] = (struct policy_node){
        .path = "1", .type = "text/plain", .flags = POLICY_NODE_BODY, .visible = words_of(BODY)};
    nodes[0].visible_length = strlen(nodes[0].visible);
    nodes[1] = (struct policy_node){.path = "report.pdf",
                                    .name = "report.pdf",
                                    .type = "application/pdf",
                                    .size = 50000,
                                    .flags = POLICY_NODE_ATTACHMENT,
                                    .visible = words_of(1024)};
    nodes[1].visible_length = strlen(nodes[1].visible);
    return (struct policy_message){
        .sender = {.address = "alice@example.net", .group = POLICY_DEFAULT_GROUP},
        .recipients = people,
        .recipient_count = 2,
        .size = 60000,
        .headers = headers,
        .header_count = 5,
        .nodes = nodes,
        .node_count = 2,
        .language = "en"};
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double resident_mebibytes(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
        abort();
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

/* In a process of its own, for the sake of the memory. */
static void measure(uint32_t filters, uint32_t words)
{
    struct policy_set *set = set_with(filters, words);
    struct policy_message messages[MESSAGES];
    struct error error = {0};
    for (int i = 0; i < MESSAGES; i++)
        messages[i] = message();
    double memory = resident_mebibytes(), start = processor_seconds();
    struct policy_program *program = policy_compile(set, &error);
    if (!program) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        exit(1);
    }
    double compiled = processor_seconds() - start;
    memory = resident_mebibytes() - memory;
    uint64_t count = 0;
    start = processor_seconds();
    double spent = 0;
    for (; spent < 2; spent = processor_seconds() - start)
        for (int i = 0; i < MESSAGES; i++, count++)
            policy_result_free(policy_evaluate(program, &messages[i], INT64_MAX, false));
    printf("| %u | %u | %.0f/s | %.3f ms | %.2f s | %.0f MiB |\n", filters, words,
           (double)count / spent, spent * 1000 / (double)count, compiled, memory);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    static const struct {
        uint32_t filters, words;
    } runs[] = {{10, 0},    {1000, 0},   {10000, 0},    {10, 10},
                {10, 1000}, {10, 10000}, {10, 1000000}, {10000, 1000000}};
    printf("| filters | words | messages | processor, 1 message | compiling | memory |\n");
    printf("| --- | --- | --- | --- | --- | --- |\n");
    fflush(stdout);
    if (count == 3) {
        measure((uint32_t)atoi(arguments[1]), (uint32_t)atoi(arguments[2]));
        return 0;
    }
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            measure(runs[i].filters, runs[i].words);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
            return 1;
    }
    return 0;
}

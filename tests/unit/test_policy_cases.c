/* Holds the cases of tests/policy: each parses its policies, compiles them, reads its message as
 * the engine does, evaluates, and compares what becomes of each recipient. */
#include "policy_case.h"

#include "common/json.h"
#include "scanner/engine/view.h"
#include "scanner/policy/groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test_engine_archives.h"

#define SECONDS 30

struct line {
    char *text; /* borrowed from the file */
    int number;
};

struct policy_case {
    char *name;
    const char *file;
    GArray *lines; /* of struct line: those of the file's head, of the section, and its own */
};

/* --- a case as it is written --- */

struct expectation {
    char *who; /* "*": everybody */
    char *text;
    bool used;
};

struct scene {
    const struct policy_case *current;
    json_t *policies, *directory_groups; /* ADDRESS: [NAME] */
    struct case_message *message;
    char *sender;
    GPtrArray *recipients, *bypassed;
    GArray *expectations;
    GPtrArray *finds; /* expected, as find_text; NULL: not looked at */
    char *problem;    /* a part of it; NULL: there must be none */
    bool outbound;
    unsigned verdicts;
    guint64 size; /* 0: the message's own */
};

static void open_scene(struct scene *scene, const struct policy_case *current)
{
    *scene = (struct scene){.current = current};
    scene->policies = json_object();
    scene->directory_groups = json_object();
    scene->message = case_message_new();
    scene->sender = g_strdup("sender@partner.example");
    scene->recipients = g_ptr_array_new_with_free_func(g_free);
    scene->bypassed = g_ptr_array_new_with_free_func(g_free);
    scene->expectations = g_array_new(FALSE, TRUE, sizeof(struct expectation));
}

static void close_scene(struct scene *scene)
{
    json_decref(scene->policies);
    json_decref(scene->directory_groups);
    case_message_free(scene->message);
    g_free(scene->sender);
    g_ptr_array_free(scene->recipients, TRUE);
    g_ptr_array_free(scene->bypassed, TRUE);
    for (guint i = 0; i < scene->expectations->len; i++) {
        g_free(g_array_index(scene->expectations, struct expectation, i).who);
        g_free(g_array_index(scene->expectations, struct expectation, i).text);
    }
    g_array_free(scene->expectations, TRUE);
    if (scene->finds)
        g_ptr_array_free(scene->finds, TRUE);
    g_free(scene->problem);
}

/* --- lines --- */

/* => [WHO:] TEXT */
static void read_expectation(struct scene *scene, const char *rest)
{
    const char *colon = strstr(rest, ": ");
    const char *space = strchr(rest, ' ');
    bool named = colon && (!space || colon < space);
    struct expectation expectation = {
        .who = named ? g_strndup(rest, (gsize)(colon - rest)) : g_strdup("*"),
        .text = g_strstrip(g_strdup(named ? colon + 2 : rest)),
    };
    g_array_append_val(scene->expectations, expectation);
}

/* find FIELD [in PART] "TEXT", or find nothing */
static void read_find(struct scene *scene, const struct case_words *words)
{
    if (!scene->finds)
        scene->finds = g_ptr_array_new_with_free_func(g_free);
    if (case_word_is(words, 1, "nothing"))
        return;
    bool in = case_word_is(words, 2, "in");
    g_ptr_array_add(scene->finds,
                    g_strdup_printf("%s in \"%s\" \"%s\"", case_word(words, 1),
                                    in ? case_word(words, 3) : "", case_word(words, in ? 4 : 2)));
}

static void read_recipients(struct scene *scene, const struct case_words *words)
{
    for (size_t i = 1; i < words->count; i++)
        g_ptr_array_add(scene->recipients, g_strdup(case_word(words, i)));
}

static void read_many_recipients(struct scene *scene, const struct case_words *words)
{
    for (int i = 1; i <= atoi(case_word(words, 1)); i++)
        g_ptr_array_add(scene->recipients, g_strdup_printf("r%d@example.org", i));
}

static void read_member(struct scene *scene, const struct case_words *words)
{
    json_t *names = json_array();
    for (size_t i = 2; i < words->count; i++)
        json_array_append_new(names, json_string(case_word(words, i)));
    json_object_set_new(scene->directory_groups, case_word(words, 1), names);
}

static void read_sender(struct scene *scene, const struct case_words *words)
{
    g_free(scene->sender);
    scene->sender = g_strdup(case_word_is(words, 1, "<>") ? "" : case_word(words, 1));
}

static void read_bypass(struct scene *scene, const struct case_words *words)
{
    g_ptr_array_add(scene->bypassed, g_strdup(case_word(words, 1)));
}

static void read_verdicts(struct scene *scene, const struct case_words *words)
{
    for (size_t i = 1; i < words->count; i++) {
        enum config_verdict verdict;
        if (!config_verdict_parse(case_word(words, i), &verdict))
            fail_msg("there is no verdict %s", case_word(words, i));
        scene->verdicts |= 1u << verdict;
    }
}

static void read_outbound(struct scene *scene, const struct case_words *words)
{
    (void)words;
    scene->outbound = true;
}

static void read_size(struct scene *scene, const struct case_words *words)
{
    scene->size = g_ascii_strtoull(case_word(words, 1), NULL, 10);
}

static void read_problem(struct scene *scene, const struct case_words *words)
{
    scene->problem = g_strdup(case_word(words, 1));
}

static bool read_envelope_line(struct scene *scene, const struct case_words *words)
{
    static const struct {
        const char *word;
        void (*read)(struct scene *scene, const struct case_words *words);
    } lines[] = {
        {"from", read_sender},       {"to", read_recipients}, {"recipients", read_many_recipients},
        {"member", read_member},     {"bypass", read_bypass}, {"verdict", read_verdicts},
        {"outbound", read_outbound}, {"size", read_size},     {"find", read_find},
        {"problem", read_problem},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        if (!case_word_is(words, 0, lines[i].word))
            continue;
        lines[i].read(scene, words);
        return true;
    }
    return false;
}

static void read_line(struct scene *scene, const struct line *line)
{
    struct case_words words;
    if (g_str_has_prefix(line->text, "=> ")) {
        read_expectation(scene, line->text + 3);
        return;
    }
    if (case_message_line(scene->message, line->text))
        return;
    case_words_read(line->text, &words);
    if (words.count > 0 && !case_policies_line(scene->policies, &words) &&
        !read_envelope_line(scene, &words))
        fail_msg("%s:%d: what is %s?", scene->current->file, line->number, line->text);
    case_words_free(&words);
}

/* --- what became of it --- */

/* "Boss" of notify Boss, "X-A" of add_header X-A. */
static void add_action(GString *out, const struct policy_action *action)
{
    const char *details[] = {action->place, action->id, action->name, action->address};
    g_string_append_printf(out, "%s%s", out->len ? ", " : "",
                           policy_action_kind_name(action->kind));
    for (size_t i = 0; i < G_N_ELEMENTS(details); i++)
        if (details[i] && *details[i])
            g_string_append_printf(out, " %s", details[i]);
}

static bool is_told(const struct policy_action *action)
{
    return action->kind == POLICY_ACTION_INCIDENT || action->kind > POLICY_ACTION_DELIVER;
}

static char *met_filters(const struct policy_set *set, const struct policy_outcome *outcome)
{
    GString *text = g_string_new("met");
    for (size_t i = 0; i < outcome->filter_count; i++)
        g_string_append_printf(text, " %s", set->filters[outcome->filters[i]].id);
    if (outcome->filter_count == 0)
        g_string_append(text, " nothing");
    return g_string_free(text, FALSE);
}

/* "hold by Contracts; met Contracts Second; does incident Legal, notify Boss" */
static char *outcome_text(const struct policy_set *set, const struct policy_outcome *outcome)
{
    static const char *const dispositions[] = {
        [POLICY_DISPOSE_DELIVER] = "deliver", [POLICY_DISPOSE_DELETE] = "delete",
        [POLICY_DISPOSE_REJECT] = "reject",   [POLICY_DISPOSE_BOUNCE] = "bounce",
        [POLICY_DISPOSE_DEFER] = "defer",     [POLICY_DISPOSE_HOLD] = "hold"};
    GString *text = g_string_new(dispositions[outcome->disposition]);
    g_autoptr(GString) actions = g_string_new(NULL);
    g_autofree char *met = met_filters(set, outcome);
    if (outcome->decided_by != SIZE_MAX)
        g_string_append_printf(text, " by %s", set->filters[outcome->decided_by].id);
    if (outcome->filter_count > 0)
        g_string_append_printf(text, "; %s", met);
    for (size_t i = 0; i < outcome->fired_count; i++) {
        const struct policy_fired *fired = &outcome->fired[i];
        const struct policy_action *action = &set->filters[fired->filter].actions[fired->action];
        if (is_told(action))
            add_action(actions, action);
    }
    if (actions->len > 0)
        g_string_append_printf(text, "; does %s", actions->str);
    return g_string_free(text, FALSE);
}

static const struct policy_outcome *outcome_of(const struct policy_result *result, size_t recipient)
{
    const struct policy_outcome *found = NULL;
    for (size_t i = 0; i < result->outcome_count; i++)
        for (size_t j = 0; j < result->outcomes[i].recipient_count; j++) {
            if (result->outcomes[i].recipients[j] != recipient)
                continue;
            assert_null(found); /* a recipient has one outcome */
            found = &result->outcomes[i];
        }
    assert_non_null(found);
    return found;
}

/* The expectation for a recipient: one that names it, else the one for everybody. */
static struct expectation *expected_for(const struct scene *scene, const char *address)
{
    struct expectation *everybody = NULL;
    for (guint i = 0; i < scene->expectations->len; i++) {
        struct expectation *each = &g_array_index(scene->expectations, struct expectation, i);
        if (strcmp(each->who, address) == 0)
            return each;
        if (strcmp(each->who, "*") == 0)
            everybody = each;
    }
    return everybody;
}

static void compare_recipient(const struct scene *scene, const struct policy_set *set,
                              const struct policy_result *result, guint recipient)
{
    const char *address = scene->recipients->pdata[recipient];
    const struct policy_outcome *outcome = outcome_of(result, recipient);
    struct expectation *expected = expected_for(scene, address);
    if (!expected)
        fail_msg("the case does not say what becomes of %s", address);
    bool met = g_str_has_prefix(expected->text, "met");
    g_autofree char *found = met ? met_filters(set, outcome) : outcome_text(set, outcome);
    expected->used = true;
    if (strcmp(found, expected->text) != 0)
        fail_msg("%s: expected \"%s\", found \"%s\"", address, expected->text, found);
}

static void compare_finds(const struct scene *scene, const struct policy_result *result)
{
    if (!scene->finds)
        return;
    for (size_t i = 0; i < result->find_count; i++) {
        const struct policy_find *find = &result->finds[i];
        g_autofree char *text =
            g_strdup_printf("%s in \"%s\" \"%s\"", find->field, find->part, find->text);
        const char *expected = i < scene->finds->len ? scene->finds->pdata[i] : "no more";
        if (strcmp(text, expected) != 0)
            fail_msg("find %zu: expected %s, found %s", i + 1, expected, text);
    }
    if (result->find_count < scene->finds->len)
        fail_msg("expected %s, found no more",
                 (const char *)scene->finds->pdata[result->find_count]);
}

static void compare(const struct scene *scene, const struct policy_set *set,
                    const struct policy_result *result)
{
    assert_true(scene->expectations->len > 0);
    for (guint i = 0; i < scene->recipients->len; i++)
        compare_recipient(scene, set, result, i);
    for (guint i = 0; i < scene->expectations->len; i++)
        if (!g_array_index(scene->expectations, struct expectation, i).used)
            fail_msg("nobody is %s", g_array_index(scene->expectations, struct expectation, i).who);
    compare_finds(scene, result);
    if (scene->problem ? !result->problem || !strstr(result->problem, scene->problem)
                       : result->problem != NULL)
        fail_msg("the problem is: %s", result->problem ? result->problem : "none");
}

/* --- the way of a message through the engine --- */

static json_t *person(const struct scene *scene, const struct policy_set *set,
                      const struct policy_groups *groups, const char *address)
{
    json_t *object = json_object();
    json_t *names = json_object_get(scene->directory_groups, address);
    size_t count = json_array_size(names);
    const char **list = g_new0(const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        list[i] = json_string_value(json_array_get(names, i));
    size_t group = policy_groups_find(groups, address, list, count);
    json_object_set_new(object, "address", json_string(address));
    json_object_set_new(
        object, "group",
        json_string(group == POLICY_DEFAULT_GROUP ? "default" : set->groups[group].id));
    if (names)
        json_object_set(object, "directory_groups", names);
    for (guint i = 0; i < scene->bypassed->len; i++)
        if (strcmp(scene->bypassed->pdata[i], address) == 0)
            json_object_set_new(object, "bypass", json_true());
    g_free(list);
    return object;
}

static void make_envelope(const struct scene *scene, const struct policy_set *set,
                          struct envelope *envelope)
{
    struct policy_groups *groups = policy_groups_new(set);
    json_t *document = json_object(), *recipients = json_array();
    struct error error = {0};
    json_object_set_new(document, "direction",
                        json_string(scene->outbound ? "outbound" : "inbound"));
    json_object_set_new(document, "sender", person(scene, set, groups, scene->sender));
    for (guint i = 0; i < scene->recipients->len; i++)
        json_array_append_new(recipients, person(scene, set, groups, scene->recipients->pdata[i]));
    json_object_set_new(document, "recipients", recipients);
    if (!envelope_parse(document, set, envelope, &error))
        fail_msg("envelope: %s: %s", error.where, error.message);
    json_decref(document);
    policy_groups_free(groups);
}

static void judge(const struct scene *scene, const struct policy_set *set,
                  const struct policy_program *program, const struct tree *tree)
{
    struct timespec now;
    struct envelope envelope;
    struct view view;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t stop_us = ((int64_t)now.tv_sec + SECONDS) * 1000000;
    make_envelope(scene, set, &envelope);
    struct view_order order = {
        .tree = tree,
        .envelope = &envelope,
        .needs = policy_needs(program),
        .size = scene->size ? scene->size : tree->message->length,
        .verdicts = scene->verdicts,
        .stop_us = stop_us,
    };
    view_build(&order, &view);
    struct policy_result *result = policy_evaluate(program, &view.message, stop_us, false);
    assert_non_null(result);
    compare(scene, set, result);
    policy_result_free(result);
    view_free(&view);
    envelope_free(&envelope);
}

static void judge_message(const struct scene *scene, const struct policy_set *set)
{
    struct error error = {0};
    struct tree_limits limits = tree_default_limits(SECONDS * 1000000);
    struct policy_program *program = policy_compile(set, &error);
    if (!program)
        fail_msg("compiling: %s: %s", error.where, error.message);
    GString *mail = case_message_write(scene->message);
    struct message *message = message_parse(mail->str, mail->len);
    struct tree *tree = tree_build(message, &limits);
    assert_non_null(tree);
    judge(scene, set, program, tree);
    tree_free(tree);
    message_free(message);
    g_string_free(mail, TRUE);
    policy_program_free(program);
}

static void run_case(void **state)
{
    const struct policy_case *current = *state;
    const struct json_place place = {.name = "policies"};
    struct scene scene;
    struct error error = {0};
    open_scene(&scene, current);
    for (guint i = 0; i < current->lines->len; i++)
        read_line(&scene, &g_array_index(current->lines, struct line, i));
    if (scene.recipients->len == 0)
        g_ptr_array_add(scene.recipients, g_strdup("user@example.org"));
    struct policy_set *set = policy_set_parse(scene.policies, &place, &error);
    if (!set)
        fail_msg("%s: %s", error.where, error.message);
    judge_message(&scene, set);
    policy_set_free(set);
    close_scene(&scene);
}

/* --- all cases of all files --- */

struct book {
    GArray *cases; /* of struct policy_case */
    GPtrArray *texts;
};

static void append_lines(GArray *lines, const GArray *more)
{
    g_array_append_vals(lines, more->data, more->len);
}

/* A case begins at "--", or at a "==" section that has none. */
static void end_case(struct book *book, const char *file, const char *section, const char *name,
                     GArray *const parts[3])
{
    struct policy_case added = {.lines = g_array_new(FALSE, FALSE, sizeof(struct line))};
    added.name = name ? g_strdup_printf("%s: %s: %s", file, section, name)
                      : g_strdup_printf("%s: %s", file, section);
    added.file = file;
    for (int i = 0; i < 3; i++)
        append_lines(added.lines, parts[i]);
    g_array_append_val(book->cases, added);
}

/* Cuts a file into its head, sections and cases. */
static void read_file(struct book *book, const char *file, char *text)
{
    GArray *parts[3];
    const char *section = NULL, *name = NULL;
    int number = 0, part = 0;
    bool any = true;
    for (int i = 0; i < 3; i++)
        parts[i] = g_array_new(FALSE, FALSE, sizeof(struct line));
    for (char *at = text, *next; at; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = '\0';
        struct line line = {at, ++number};
        bool begins = g_str_has_prefix(at, "== "), follows = g_str_has_prefix(at, "-- ");
        if ((begins || follows || !next) && section &&
            (name || (begins && !any) || (!next && !any)))
            end_case(book, file, section, name, parts);
        any = begins ? false : any || follows;
        section = begins ? at + 3 : section;
        name = follows ? at + 3 : begins ? NULL : name;
        part = begins ? 1 : follows ? 2 : part;
        if (begins)
            g_array_set_size(parts[1], 0);
        if (begins || follows)
            g_array_set_size(parts[2], 0);
        else if (*at && *at != '#')
            g_array_append_val(parts[part], line);
    }
    for (int i = 0; i < 3; i++)
        g_array_free(parts[i], TRUE);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_book(struct book *book, const char *folder)
{
    GDir *directory = g_dir_open(folder, 0, NULL);
    GPtrArray *names = g_ptr_array_new();
    const char *name;
    while (directory && (name = g_dir_read_name(directory)))
        if (g_str_has_suffix(name, ".txt"))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
        char *text;
        if (!g_file_get_contents(path, &text, NULL, NULL))
            continue;
        g_ptr_array_add(book->texts, text);
        g_ptr_array_add(book->texts, names->pdata[i]);
        read_file(book, names->pdata[i], text);
    }
    g_ptr_array_free(names, TRUE);
    if (directory)
        g_dir_close(directory);
}

static struct CMUnitTest *make_tests(const struct book *book)
{
    struct CMUnitTest *tests = g_new0(struct CMUnitTest, book->cases->len + 1);
    for (guint i = 0; i < book->cases->len; i++) {
        struct policy_case *each = &g_array_index(book->cases, struct policy_case, i);
        tests[i] =
            (struct CMUnitTest){.name = each->name, .test_func = run_case, .initial_state = each};
    }
    return tests;
}

static void free_book(struct book *book)
{
    for (guint i = 0; i < book->cases->len; i++) {
        struct policy_case *each = &g_array_index(book->cases, struct policy_case, i);
        g_free(each->name);
        g_array_free(each->lines, TRUE);
    }
    g_array_free(book->cases, TRUE);
    g_ptr_array_free(book->texts, TRUE);
}

int main(int argc, char **argv)
{
    const char *root = getenv("SOURCE_ROOT");
    struct book book = {g_array_new(FALSE, FALSE, sizeof(struct policy_case)),
                        g_ptr_array_new_with_free_func(g_free)};
    g_autofree char *folder = g_build_filename(root ? root : ".", "tests", "policy", NULL);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    read_book(&book, folder);
    if (book.cases->len == 0) {
        fprintf(stderr, "%s has no cases\n", folder);
        return 1;
    }
    struct CMUnitTest *tests = make_tests(&book);
    int failed =
        _cmocka_run_group_tests("policy", tests, book.cases->len, load_types, release_types);
    g_free(tests);
    free_book(&book);
    return failed;
}

/* What the evaluation of filters searches with: folding, words, widened expressions, addresses in
 * header fields, check digits, attachment lists. */
#include "scanner/policy/attachments.h"
#include "scanner/policy/checks.h"
#include "scanner/policy/folding.h"
#include "scanner/policy/header_addresses.h"
#include "scanner/policy/patterns.h"
#include "scanner/policy/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void check_digits_are_checked(void **state)
{
    static const struct {
        enum policy_check check;
        const char *text;
        bool passes;
    } cases[] = {
        {POLICY_CHECK_NONE, "anything", true},
        {POLICY_CHECK_LUHN, "4111 1111-1111 1111", true},
        {POLICY_CHECK_LUHN, "4111111111111112", false},
        {POLICY_CHECK_LUHN, "0000000000000000", false},
        {POLICY_CHECK_LUHN, "18", false},
        {POLICY_CHECK_LUHN, "378282246310005", true},
        {POLICY_CHECK_IBAN, "DE89 3704 0044 0532 0130 00", true},
        {POLICY_CHECK_IBAN, "gb82west12345698765432", true},
        {POLICY_CHECK_IBAN, "DE88 3704 0044 0532 0130 00", false},
        {POLICY_CHECK_IBAN, "8937 0400 4405 3201 3000", false},
        {POLICY_CHECK_MY_NUMBER, "1234 5678 9018", true},
        {POLICY_CHECK_MY_NUMBER,
         "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x93\xef\xbc\x94\xef\xbc\x95\xef\xbc\x96"
         "\xef\xbc\x97\xef\xbc\x98\xef\xbc\x99\xef\xbc\x90\xef\xbc\x91\xef\xbc\x98",
         true},
        {POLICY_CHECK_MY_NUMBER, "123456789012", false},
        {POLICY_CHECK_US_SSN, "123-45-6789", true},
        {POLICY_CHECK_US_SSN, "666-45-6789", false},
        {POLICY_CHECK_US_SSN, "000-45-6789", false},
        {POLICY_CHECK_US_SSN, "923-45-6789", false},
        {POLICY_CHECK_US_SSN, "123-00-6789", false},
        {POLICY_CHECK_US_SSN, "123-45-0000", false},
        {POLICY_CHECK_EMAIL, "someone@example.com", true},
        {POLICY_CHECK_EMAIL, "someone@@example.com", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (check_passes(cases[i].check, cases[i].text, strlen(cases[i].text)) != cases[i].passes)
            fail_msg("%s is taken for %s", cases[i].text, cases[i].passes ? "wrong" : "right");
}

static bool join(void *context, const char *address)
{
    char *joined = context;
    snprintf(joined + strlen(joined), 500 - strlen(joined), "%s;", address);
    return true;
}

static void addresses_are_read_out_of_header_fields(void **state)
{
    static const struct {
        const char *value, *addresses;
    } cases[] = {
        {"a@b.example", "a@b.example;"},
        {"A Name <A@B.Example>, c@d.example", "A@b.example;c@d.example;"},
        {"\"x@y.example, z\" <a@b.example>", "a@b.example;"},
        {"a@b.example (c@d.example (deeper))", "a@b.example;"},
        {"Team: a@b.example, c@d.example;, e@f.example", "a@b.example;c@d.example;e@f.example;"},
        {"\"a b\"@c.example", "\"a b\"@c.example;"},
        {"Doe, John <j@d.example>", "j@d.example;"},
        {"a@b\xc3\xbc"
         "cher.example",
         "a@xn--bcher-kva.example;"},
        {"<a@b.example", "a@b.example;"},
        {"undisclosed-recipients:;", ""},
        {"nobody, @, a@, @b", ""},
        {"(\\", ""},
        {"\"\\", ""},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char joined[500] = "";
        assert_true(header_addresses(cases[i].value, join, joined));
        assert_string_equal(joined, cases[i].addresses);
    }
}

static void folding_is_unicodes_simple_folding(void **state)
{
    struct folding *folding = folding_new();
    struct folded_text folded;
    static const char text[] = "\xe2\x84\xaa\xc8\xba\xc3\x9f\xe1\xba\x9e\xc4\xb0Z";
    (void)state;
    assert_true(folded_text_make(&folded, folding, text, strlen(text)));
    assert_string_equal(folded.data, "k\xe2\xb1\xa5\xc3\x9f\xc3\x9f\xc4\xb0z");
    static const size_t places[][2] = {{0, 0}, {1, 3}, {4, 5}, {6, 7}, {8, 10}, {10, 12}, {11, 13}};
    for (size_t i = 0; i < COUNT_OF(places); i++)
        assert_int_equal(folded_text_place(&folded, places[i][0]), places[i][1]);
    folded_text_free(&folded);
    folding_free(folding);
}

static void text_is_loosened_with_the_way_back(void **state)
{
    static const struct {
        const char *text, *folded, *cased;
        size_t place, at; /* a place in the folded text, and where it is in the text */
    } cases[] = {
        {"Top  Secret", "top secret", "Top Secret", 4, 5},
        {"Top\r\n\t Secret", "top secret", "Top Secret", 4, 7},
        {"Top\xe3\x80\x80Secret", "top secret", "Top Secret", 4, 6},
        {"Top\xc2\xa0\xe2\x80\x8b Secret", "top secret", "Top Secret", 4, 9},
        {"se\xc2\xad"
         "cr\xe2\x80\x8b"
         "et",
         "secret", "secret", 4, 9},
        {"\xef\xbc\xb3\xef\xbd\x85", "se", "Se", 1, 3},
        {"\xe6\xa9\x9f\r\n\xe5\xaf\x86", "\xe6\xa9\x9f\xe5\xaf\x86", "\xe6\xa9\x9f\xe5\xaf\x86", 3,
         5},
        {"\xe6\xa9\x9f\na", "\xe6\xa9\x9f a", "\xe6\xa9\x9f a", 4, 4},
        {"s\x01x\x7f", "sx", "sx", 2, 4},
        {" a ", " a ", " a ", 3, 3},
        {"\xe2\x80\x8b", "", "", 0, 3},
    };
    struct folding *folding = folding_new();
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct folded_text folded, cased;
        const char *text = cases[i].text;
        assert_true(folded_text_loosen(&folded, folding, false, text, strlen(text)));
        assert_true(folded_text_loosen(&cased, folding, true, text, strlen(text)));
        assert_string_equal(folded.data, cases[i].folded);
        assert_string_equal(cased.data, cases[i].cased);
        assert_int_equal(folded.length, strlen(folded.data));
        assert_int_equal(folded_text_place(&folded, cases[i].place), cases[i].at);
        folded_text_free(&folded);
        folded_text_free(&cased);
    }
    folding_free(folding);
}

/* --- words --- */

static bool list_word(void *context, size_t dictionary, size_t word, size_t start, size_t end)
{
    char *listed = context;
    snprintf(listed + strlen(listed), 500 - strlen(listed), "%zu.%zu@%zu-%zu ", dictionary, word,
             start, end);
    return true;
}

static void check_words(const struct words *words, const struct folding *folding, const char *text,
                        const char *expected)
{
    struct folded_text folded;
    char listed[500] = "";
    assert_true(folded_text_make(&folded, folding, text, strlen(text)));
    assert_true(words_find(words, text, &folded, INT64_MAX, list_word, listed));
    assert_string_equal(listed, expected);
    folded_text_free(&folded);
}

static void the_longest_word_of_each_dictionary_is_found(void **state)
{
    static struct policy_word whole[] = {{"in", 1}, {"in bulk", 1}, {"a", 1}, {"\xe7\xa7\x98", 1}};
    static struct policy_word parts[] = {{"in b", 1}, {"in", 1}, {"bul", 1}};
    static struct policy_word exact[] = {{"In", 1}, {"in", 1}};
    static const struct policy_dictionary dictionaries[] = {
        {.words = whole, .word_count = COUNT_OF(whole), .whole_words = true},
        {.words = parts, .word_count = COUNT_OF(parts)},
        {.words = exact, .word_count = COUNT_OF(exact), .match_case = true, .whole_words = true}};
    static const struct policy_dictionary *const pointers[] = {&dictionaries[0], &dictionaries[1],
                                                               &dictionaries[2]};
    struct folding *folding = folding_new();
    struct words *words = words_new(pointers, 3, folding);
    (void)state;
    check_words(words, folding, "in bulk", "0.1@0-7 1.0@0-4 2.1@0-2 ");
    check_words(words, folding, "IN bul", "1.0@0-4 0.0@0-2 ");
    check_words(words, folding, "In-in", "0.0@0-2 1.1@0-2 2.0@0-2 0.0@3-5 1.1@3-5 2.1@3-5 ");
    check_words(words, folding, "inn bin", "1.1@0-2 1.1@5-7 ");
    check_words(words, folding,
                "a\xe7\xa7\x98"
                "b",
                "0.2@0-1 0.3@1-4 ");
    check_words(words, folding, "", "");
    words_free(words);
    folding_free(folding);
}

static void a_million_words_are_found(void **state)
{
    enum { COUNT = 1000000 };
    struct policy_word *all = calloc(COUNT, sizeof *all);
    char *pool = malloc((size_t)COUNT * 12);
    struct folding *folding = folding_new();
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        all[i] = (struct policy_word){pool + (size_t)i * 12, 1};
        snprintf(all[i].text, 12, "w%x", (unsigned)i);
    }
    struct policy_dictionary dictionary = {.words = all, .word_count = COUNT, .whole_words = true};
    const struct policy_dictionary *pointer = &dictionary;
    struct words *words = words_new(&pointer, 1, folding);
    assert_non_null(words);
    check_words(words, folding, "w0 WF423F wf4240 xw1 w1x wabc",
                "0.0@0-2 0.999999@3-9 0.2748@25-29 ");
    words_free(words);
    folding_free(folding);
    free(pool);
    free(all);
}

/* --- expressions --- */

struct seen {
    bool found[64];
};

static void see(void *context, uint32_t pattern)
{
    ((struct seen *)context)->found[pattern] = true;
}

/* Vectorscan must point to every expression that PCRE2 finds; which ones it may not see at all is
 * known. */
static void no_expression_is_missed_in_the_first_search(void **state)
{
    static const struct {
        const char *expression, *text;
        bool match_case, hidden;
    } cases[] = {
        {"\\bkey\\b",
         "the \xe2\x84\xaa"
         "EY.",
         false, false},
        {"(?<=a)b(?!c)", "abd", false, false},
        {"(?i)abc", "xABC", true, false},
        {"[[:upper:]]{2}", "xAB", true, false},
        {"[^\\W]{3}", "\xc3\xa9\xc3\xa9\xc3\xa9", true, false},
        {"\\p{Lu}\\p{Ll}", "\xc3\x89\xc3\xa9", true, false},
        {"(?P<n>a)++b", "aab", false, false},
        {"a{3,1000}b", "aaaab", false, false},
        {"[\xc3\x80-\xc3\x9f]x", "\xc3\xa9X", false, false},
        {"^a$", "b\na\nc", false, false},
        {"[A-F]{3}", "abc", false, false},
        {"\\x{1c90}", "\xe1\x83\x90", false, false},
        {"a\\Rb", "a\r\nb", false, false},
        {"(a)\\1", "aa", false, true},
        {"a(?-i)B", "AB", false, true},
        {"a*", "b", false, true},
        {"\\Qa.b\\E", "a.b", false, true},
    };
    struct folding *folding = folding_new();
    struct patterns *patterns = patterns_new(folding);
    struct error error = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(
            patterns_add_expression(patterns, cases[i].expression, cases[i].match_case, &error), i);
    assert_true(patterns_compile(patterns, &error));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *text = cases[i].text;
        struct seen seen = {{false}};
        struct folded_text folded;
        size_t start, end;
        assert_true(folded_text_make(&folded, folding, text, strlen(text)));
        assert_true(patterns_scan(patterns, text, strlen(text), &folded, &folded, see, &seen));
        assert_int_equal(expression_find(patterns_expression(patterns, (uint32_t)i),
                                         POLICY_CHECK_NONE, text, strlen(text), 0, &start, &end),
                         EXPRESSION_FOUND);
        if (patterns_is_hidden(patterns, (uint32_t)i) != cases[i].hidden)
            fail_msg("%s is %shidden", cases[i].expression, cases[i].hidden ? "not " : "");
        if (!cases[i].hidden && !seen.found[i])
            fail_msg("%s is missed", cases[i].expression);
        folded_text_free(&folded);
    }
    patterns_free(patterns);
    folding_free(folding);
}

static void a_wrong_expression_is_refused_with_its_place(void **state)
{
    struct error error = {0};
    (void)state;
    assert_null(expression_new("a(b", true, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.message, "character 4"));
}

static void names_of_attachments_are_read_as_systems_do(void **state)
{
    static char *extensions[] = {"exe", "tar.gz"};
    static char *names[] = {"secret*", "in/*.txt"};
    static const struct policy_list list = {.extensions = {extensions, 2}, .names = {names, 2}};
    static const struct {
        const char *name;
        bool listed;
    } cases[] = {
        {"a.EXE", true},    {"a.exe. ", true},  {"a.exe.pdf", false}, {"a.tar.gz", true},
        {"a.gz", false},    {"exe", false},     {".exe", true},       {"x\\Secret.doc", true},
        {"secret/a", true}, {"in/a.txt", true}, {"out/a.txt", false}, {"a.\xef\xbc\xa5xe", false},
    };
    struct folding *folding = folding_new();
    struct attachment_list *compiled = attachment_list_new(&list, folding);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct policy_node node = {.name = cases[i].name, .flags = POLICY_NODE_ATTACHMENT};
        struct attachment attachment;
        assert_true(attachment_make(&attachment, &node, folding));
        if (attachment_list_has(compiled, &attachment) != cases[i].listed)
            fail_msg("%s is %slisted", cases[i].name, cases[i].listed ? "not " : "");
        attachment_free(&attachment);
    }
    attachment_list_free(compiled);
    folding_free(folding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_digits_are_checked),
        cmocka_unit_test(addresses_are_read_out_of_header_fields),
        cmocka_unit_test(folding_is_unicodes_simple_folding),
        cmocka_unit_test(text_is_loosened_with_the_way_back),
        cmocka_unit_test(the_longest_word_of_each_dictionary_is_found),
        cmocka_unit_test(a_million_words_are_found),
        cmocka_unit_test(no_expression_is_missed_in_the_first_search),
        cmocka_unit_test(a_wrong_expression_is_refused_with_its_place),
        cmocka_unit_test(names_of_attachments_are_read_as_systems_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Cases of tests/policy: their lines as policies and as a message; tests/policy/README.md has what
 * they mean. A line that breaks the form fails the running test. */
#ifndef GATEHOUSE_TESTS_UNIT_POLICY_CASE_H
#define GATEHOUSE_TESTS_UNIT_POLICY_CASE_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* --- words --- */

struct case_word {
    char *text;
    bool quoted; /* stood in quotation marks: never an option or keyword */
};

struct case_words {
    struct case_word *items;
    size_t count;
};

/* Cuts a line at white space; "..." is one word, with the escapes undone. */
void case_words_read(const char *line, struct case_words *words);
void case_words_free(struct case_words *words);
/* The word, or "" behind the last one; borrowed. */
const char *case_word(const struct case_words *words, size_t index);
/* Whether the word stands there without quotation marks. */
bool case_word_is(const struct case_words *words, size_t index, const char *text);

/* Undoes \n \r \t \" \\ \xHH and \{TEXT*COUNT} up to `end` (NULL: the NUL). */
GString *case_unescape(const char *text, const char *end);

/* --- policies --- */

/* Adds what the line says to the object `policies`; false where it is no line of policies. */
bool case_policies_line(json_t *policies, const struct case_words *words);

/* --- messages --- */

struct case_message;
struct case_message *case_message_new(void);
void case_message_free(struct case_message *message);
/* False where it is no line of a message. */
bool case_message_line(struct case_message *message, const char *line);
/* The whole message (RFC 5322). */
GString *case_message_write(const struct case_message *message);

/* Bytes that a content such as zip(a.txt="x", b.exe=exe) stands for. */
GByteArray *case_content(const char *expression);

#endif

#include "scanner/engine/verdict.h"

#include <glib.h>
#include <string.h>

static const struct {
    const char *word; /* between dots, at the beginning, or before a dash */
    enum config_verdict verdict;
} words[] = {
    {"PUA", CONFIG_VERDICT_SPYWARE},
    {"PUP", CONFIG_VERDICT_SPYWARE},
    {"Adware", CONFIG_VERDICT_SPYWARE},
    {"Spyware", CONFIG_VERDICT_SPYWARE},
    {"Worm", CONFIG_VERDICT_WORM},
    {"Email-Worm", CONFIG_VERDICT_WORM},
    {"Net-Worm", CONFIG_VERDICT_WORM},
    {"I-Worm", CONFIG_VERDICT_WORM},
    {"Encrypted", CONFIG_VERDICT_ENCRYPTED_ATTACHMENT},
    {"Suspicious", CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT},
};

/* The word of the name that begins at `at`, up to its dot. */
static bool is_word(const char *at, const char *word)
{
    size_t length = strlen(word);
    return g_ascii_strncasecmp(at, word, length) == 0 && (at[length] == '.' || at[length] == '\0');
}

enum config_verdict verdict_of_name(const char *name)
{
    for (const char *at = name; at; at = strchr(at, '.')) {
        at += *at == '.';
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
            if (is_word(at, words[i].word))
                return words[i].verdict;
    }
    return g_str_has_prefix(name, "Heuristics.") ? CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT
                                                 : CONFIG_VERDICT_VIRUS;
}

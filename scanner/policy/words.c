#include "scanner/policy/words.h"

#include "scanner/policy/clock.h"

#include <stdlib.h>
#include <string.h>

#define NO_WORD UINT32_MAX
#define KEY_BYTES 4
#define CHECK_CLOCK_EVERY 65536 /* bytes */

/* Where a word is used. */
struct use {
    uint32_t dictionary, word;
};

/* The words that begin with these bytes (padded with zeros where the word is shorter). */
struct bucket {
    uint32_t key, first, end; /* first == end: empty */
};

struct words {
    const struct folding *folding;
    const struct policy_dictionary *const *dictionaries;
    size_t dictionary_count;
    char *pool;
    size_t *starts;      /* in the pool, one more than there are words */
    uint32_t *begins;    /* the longest word that this one begins with, or NO_WORD */
    uint32_t *first_use; /* one more than there are words */
    struct use *uses;
    uint32_t count;
    struct bucket *buckets;
    size_t bucket_mask;
    bool has_short[KEY_BYTES]; /* whether there are words of so many bytes */
    bool ascii_in_word[128];
    bool anywhere; /* a dictionary's words may begin within a word of the text */
};

struct draft {
    char *text;
    uint32_t length;
    struct use use;
};

static int compare_drafts(const void *left, const void *right)
{
    const struct draft *a = left, *b = right;
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    if (order != 0)
        return order;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    if (a->use.dictionary != b->use.dictionary)
        return a->use.dictionary < b->use.dictionary ? -1 : 1;
    return a->use.word < b->use.word ? -1 : a->use.word > b->use.word;
}

static uint32_t key_of(const char *text, size_t length)
{
    uint32_t key = 0;
    memcpy(&key, text, length < KEY_BYTES ? length : KEY_BYTES);
    return key;
}

static size_t slot_of(const struct words *words, uint32_t key)
{
    return (key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & words->bucket_mask;
}

static const struct bucket *find_bucket(const struct words *words, uint32_t key)
{
    for (size_t slot = slot_of(words, key);; slot = (slot + 1) & words->bucket_mask) {
        const struct bucket *bucket = &words->buckets[slot];
        if (bucket->first == bucket->end)
            return NULL;
        if (bucket->key == key)
            return bucket;
    }
}

static size_t length_of(const struct words *words, uint32_t word)
{
    return words->starts[word + 1] - words->starts[word];
}

/* Drafts of all words; NULL with *failed without memory. */
static struct draft *make_drafts(struct words *words, size_t total, size_t *count, bool *failed)
{
    struct draft *drafts = calloc(total ? total : 1, sizeof *drafts);
    *failed = !drafts;
    *count = 0;
    for (size_t d = 0; d < words->dictionary_count && !*failed; d++) {
        const struct policy_dictionary *dictionary = words->dictionaries[d];
        for (size_t w = 0; w < dictionary->word_count && !*failed; w++) {
            const char *text = dictionary->words[w].text;
            struct folded_text folded;
            if (!*text)
                continue;
            *failed = !folded_text_loosen(&folded, words->folding, false, text, strlen(text));
            if (*failed)
                break;
            if (folded.length == 0) { /* all of it is never seen */
                folded_text_free(&folded);
                continue;
            }
            /* Gives back the room that folding did not need. */
            char *exact = realloc(folded.data, folded.length + 1);
            drafts[(*count)++] = (struct draft){
                exact ? exact : folded.data, (uint32_t)folded.length, {(uint32_t)d, (uint32_t)w}};
            free(folded.shifts);
        }
    }
    return drafts;
}

static bool allocate(struct words *words, size_t count, size_t bytes)
{
    words->pool = malloc(bytes + 1);
    words->starts = calloc(count + 1, sizeof *words->starts);
    words->begins = calloc(count + 1, sizeof *words->begins);
    words->first_use = calloc(count + 1, sizeof *words->first_use);
    words->uses = calloc(count + 1, sizeof *words->uses);
    return words->pool && words->starts && words->begins && words->first_use && words->uses;
}

/* Copies the sorted drafts, equal texts once. */
static void take_drafts(struct words *words, const struct draft *drafts, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct draft *draft = &drafts[i];
        words->uses[i] = draft->use;
        if (i > 0 && drafts[i - 1].length == draft->length &&
            memcmp(drafts[i - 1].text, draft->text, draft->length) == 0)
            continue;
        words->starts[words->count] = at;
        words->first_use[words->count++] = (uint32_t)i;
        memcpy(words->pool + at, draft->text, draft->length);
        at += draft->length;
        if (draft->length < KEY_BYTES)
            words->has_short[draft->length] = true;
    }
    words->starts[words->count] = at;
    words->first_use[words->count] = (uint32_t)count;
}

static void link_beginnings(struct words *words)
{
    for (uint32_t i = 0; i < words->count; i++) {
        /* What this word begins with is the one before it, or what that one begins with. */
        uint32_t candidate = i > 0 ? i - 1 : NO_WORD;
        size_t length = length_of(words, i);
        while (candidate != NO_WORD) {
            size_t shorter = length_of(words, candidate);
            if (shorter < length && memcmp(words->pool + words->starts[candidate],
                                           words->pool + words->starts[i], shorter) == 0)
                break;
            candidate = words->begins[candidate];
        }
        words->begins[i] = candidate;
    }
}

static bool fill_buckets(struct words *words)
{
    size_t distinct = 0, size = 16;
    uint32_t last = 0;
    for (uint32_t i = 0; i < words->count; i++) {
        uint32_t key = key_of(words->pool + words->starts[i], length_of(words, i));
        distinct += i == 0 || key != last;
        last = key;
    }
    while (size < distinct * 2)
        size *= 2;
    words->bucket_mask = size - 1;
    words->buckets = calloc(size, sizeof *words->buckets);
    if (!words->buckets)
        return false;
    for (uint32_t i = 0; i < words->count;) {
        uint32_t key = key_of(words->pool + words->starts[i], length_of(words, i)), end = i + 1;
        while (end < words->count &&
               key_of(words->pool + words->starts[end], length_of(words, end)) == key)
            end++;
        size_t slot = slot_of(words, key);
        while (words->buckets[slot].first != words->buckets[slot].end)
            slot = (slot + 1) & words->bucket_mask;
        words->buckets[slot] = (struct bucket){key, i, end};
        i = end;
    }
    return true;
}

struct words *words_new(const struct policy_dictionary *const *dictionaries, size_t count,
                        const struct folding *folding)
{
    struct words *words = calloc(1, sizeof *words);
    if (!words)
        return NULL;
    *words =
        (struct words){.folding = folding, .dictionaries = dictionaries, .dictionary_count = count};
    size_t total = 0, drafted, bytes = 0;
    for (uint32_t c = 0; c < 128; c++)
        words->ascii_in_word[c] = folding_in_word(folding, c);
    for (size_t i = 0; i < count; i++) {
        total += dictionaries[i]->word_count;
        words->anywhere |= !dictionaries[i]->whole_words;
    }
    bool failed = total >= UINT32_MAX;
    struct draft *drafts = failed ? NULL : make_drafts(words, total, &drafted, &failed);
    for (size_t i = 0; drafts && i < drafted; i++)
        bytes += drafts[i].length;
    failed = failed || !allocate(words, drafted, bytes);
    if (!failed) {
        qsort(drafts, drafted, sizeof *drafts, compare_drafts);
        take_drafts(words, drafts, drafted);
        link_beginnings(words);
        failed = !fill_buckets(words);
    }
    for (size_t i = 0; drafts && i < drafted; i++)
        free(drafts[i].text);
    free(drafts);
    if (failed) {
        words_free(words);
        return NULL;
    }
    return words;
}

void words_free(struct words *words)
{
    if (!words)
        return;
    free(words->pool);
    free(words->starts);
    free(words->begins);
    free(words->first_use);
    free(words->uses);
    free(words->buckets);
    free(words);
}

/* The longest word that the text begins with, or NO_WORD. */
static uint32_t longest_at(const struct words *words, const char *text, size_t length)
{
    const struct bucket *bucket = NULL;
    if (length >= KEY_BYTES)
        bucket = find_bucket(words, key_of(text, KEY_BYTES));
    for (size_t bytes = KEY_BYTES - 1; !bucket && bytes > 0; bytes--)
        if (words->has_short[bytes] && length >= bytes)
            bucket = find_bucket(words, key_of(text, bytes));
    if (!bucket)
        return NO_WORD;
    uint32_t low = bucket->first, high = bucket->end;
    while (low < high) { /* the first one that sorts behind the text */
        uint32_t middle = low + (high - low) / 2;
        size_t bytes = length_of(words, middle);
        int order =
            memcmp(words->pool + words->starts[middle], text, bytes < length ? bytes : length);
        if (order < 0 || (order == 0 && bytes <= length))
            low = middle + 1;
        else
            high = middle;
    }
    /* Where all of them sort behind it, what the first one begins with may still fit. */
    uint32_t word = low > bucket->first ? low - 1 : words->begins[low];
    while (word != NO_WORD) {
        size_t bytes = length_of(words, word);
        if (bytes <= length && memcmp(words->pool + words->starts[word], text, bytes) == 0)
            return word;
        word = words->begins[word];
    }
    return NO_WORD;
}

struct search {
    const struct words *words;
    const char *text;
    const struct folded_text *folded;
    size_t *free_from; /* by dictionary: behind its last find */
    words_found *found;
    void *context;
};

static bool boundary(const struct search *search, size_t place)
{
    const struct folded_text *folded = search->folded;
    if (place == 0 || place >= folded->length)
        return true;
    size_t bytes;
    uint32_t next = utf8_decode(folded->data + place, folded->length - place, &bytes);
    return !folding_in_word(search->words->folding, next) ||
           !folding_in_word(search->words->folding, utf8_before(folded->data, place));
}

static bool same_case(const struct search *search, const char *word, size_t start, size_t end)
{
    const struct folding *folding = search->words->folding;
    size_t from = folded_text_place(search->folded, start);
    size_t length = folded_text_place(search->folded, end) - from;
    struct folded_text found = {0}, wanted = {0};
    bool same = folded_text_loosen(&found, folding, true, search->text + from, length) &&
                folded_text_loosen(&wanted, folding, true, word, strlen(word));
    /* White space that is none by what stands behind it is at the end of the find. */
    if (same && found.length == wanted.length + 1 && found.data[wanted.length] == ' ')
        found.length--;
    same = same && found.length == wanted.length &&
           memcmp(found.data, wanted.data, wanted.length) == 0;
    folded_text_free(&found);
    folded_text_free(&wanted);
    return same;
}

/* Reports the word and the shorter ones that begin at the same place, each dictionary's longest. */
static bool report(const struct search *search, uint32_t word, size_t start, bool begins_word)
{
    const struct words *words = search->words;
    for (; word != NO_WORD; word = words->begins[word]) {
        size_t end = start + length_of(words, word);
        bool whole = begins_word && boundary(search, end);
        for (uint32_t u = words->first_use[word]; u < words->first_use[word + 1]; u++) {
            const struct use *use = &words->uses[u];
            const struct policy_dictionary *dictionary = words->dictionaries[use->dictionary];
            if (search->free_from[use->dictionary] > start || (dictionary->whole_words && !whole) ||
                (dictionary->match_case &&
                 !same_case(search, dictionary->words[use->word].text, start, end)))
                continue;
            search->free_from[use->dictionary] = end;
            if (!search->found(search->context, use->dictionary, use->word, start, end))
                return false;
        }
    }
    return true;
}

static inline bool is_in_word(const struct words *words, const struct folded_text *folded,
                              size_t at, size_t *bytes)
{
    unsigned char byte = (unsigned char)folded->data[at];
    if (byte < 0x80)
        return words->ascii_in_word[byte];
    uint32_t character = utf8_decode(folded->data + at, folded->length - at, bytes);
    return folding_in_word(words->folding, character);
}

bool words_find(const struct words *words, const char *text, const struct folded_text *folded,
                int64_t stop_us, words_found *found, void *context)
{
    struct search search = {.words = words,
                            .text = text,
                            .folded = folded,
                            .free_from = calloc(words->dictionary_count + 1, sizeof(size_t)),
                            .found = found,
                            .context = context};
    if (!search.free_from)
        return false;
    bool in_time = true, within = false; /* the character before is one of a word */
    size_t next_check = CHECK_CLOCK_EVERY;
    for (size_t at = 0; at < folded->length;) {
        size_t bytes = 1;
        bool in_word = is_in_word(words, folded, at, &bytes);
        bool begins_word = !(within && in_word);
        within = in_word;
        if (begins_word || words->anywhere) {
            uint32_t word = longest_at(words, folded->data + at, folded->length - at);
            if (word != NO_WORD && !report(&search, word, at, begins_word))
                break;
        }
        at += bytes;
        if (at >= next_check) {
            next_check = at + CHECK_CLOCK_EVERY;
            in_time = monotonic_us() < stop_us;
            if (!in_time)
                break;
        }
    }
    free(search.free_from);
    return in_time;
}

#include "scanner/policy/run.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_CLOCK_EVERY 64 /* finds */

/* Goes from one find of a value to the next. */
struct seeker {
    const char *literal;         /* NULL: an expression */
    struct folded_text loosened; /* what `literal` is in where the case counts */
    size_t literal_length;
    const struct expression *expression;
    size_t start, end; /* of its find */
    bool fresh;        /* nothing was looked for yet */
    bool done;
};

struct seeking {
    struct run *run;
    const struct program_condition *condition;
    struct text *text;
    const struct folded_text *form; /* of the text that is searched; NULL: itself */
    const char *data;
    size_t length;
    struct seeker *seekers;
    size_t count;
    run_occurrence *found;
    void *context;
    bool ended;
};

bool run_covers(const struct program_condition *condition, const struct text *text,
                size_t recipient)
{
    return condition->kinds & text->kinds &&
           (!(condition->kinds & TEXT_HEADER) || text->header == condition->header) &&
           (!condition->for_recipient || text->recipient == recipient);
}

static bool may_have(const struct run *run, const struct text *text, uint32_t pattern)
{
    if (text->unknown || patterns_is_hidden(run->program->patterns, pattern))
        return true;
    size_t low = 0, high = text->pattern_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (text->patterns[middle] < pattern)
            low = middle + 1;
        else
            high = middle;
    }
    return low < text->pattern_count && text->patterns[low] == pattern;
}

/* Moves the seeker to its first find at or behind `from`; false at a limit. */
static bool seek(const struct seeking *s, struct seeker *seeker, size_t from)
{
    seeker->fresh = false;
    if (from > s->length) {
        seeker->done = true;
        return true;
    }
    if (!seeker->literal) {
        enum expression_answer answer =
            expression_find(seeker->expression, s->condition->check, s->data, s->length, from,
                            &seeker->start, &seeker->end);
        seeker->done = answer != EXPRESSION_FOUND;
        return answer != EXPRESSION_LIMIT;
    }
    const char *at =
        memmem(s->data + from, s->length - from, seeker->literal, seeker->literal_length);
    seeker->done = !at;
    if (at) {
        seeker->start = (size_t)(at - s->data);
        seeker->end = seeker->start + seeker->literal_length;
    }
    return true;
}

/* The find that begins first, the longest of those; NULL at a limit or where there is none. */
static struct seeker *next_find(const struct seeking *s, size_t from, bool *in_limits)
{
    struct seeker *best = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct seeker *seeker = &s->seekers[i];
        if (seeker->done)
            continue;
        if ((seeker->fresh || seeker->start < from) && !seek(s, seeker, from)) {
            *in_limits = false;
            return NULL;
        }
        if (!seeker->done && (!best || seeker->start < best->start ||
                              (seeker->start == best->start && seeker->end > best->end)))
            best = seeker;
    }
    return best;
}

static bool sweep(struct seeking *s)
{
    bool in_limits = true;
    size_t from = 0, finds = 0;
    struct seeker *find;
    while (!s->ended && (find = next_find(s, from, &in_limits))) {
        size_t start = find->start, end = find->end;
        from = end;
        if (start == end) { /* an empty find counts, and the search goes on behind it */
            size_t bytes = 1;
            if (end < s->length)
                utf8_decode(s->data + end, s->length - end, &bytes);
            from = end + bytes;
        }
        if (s->form) {
            start = folded_text_place(s->form, start);
            end = folded_text_place(s->form, end);
        }
        s->ended = !s->found(s->context, s->text, start, end, 1);
        if (++finds % CHECK_CLOCK_EVERY == 0 && run_is_late(s->run))
            return false;
    }
    return in_limits;
}

static void drop_seekers(struct seeking *s)
{
    while (s->count > 0)
        folded_text_free(&s->seekers[--s->count].loosened);
}

/* The seekers of the values that the text may have; false without memory. */
static bool make_seekers(struct seeking *s)
{
    const struct patterns *patterns = s->run->program->patterns;
    const struct policy_condition *source = s->condition->source;
    for (size_t i = 0; i < s->condition->value_count; i++) {
        const struct condition_value *value = &s->condition->values[i];
        if (!may_have(s->run, s->text, value->id))
            continue;
        struct seeker *seeker = &s->seekers[s->count++];
        *seeker = (struct seeker){.fresh = true};
        seeker->expression = patterns_expression(patterns, value->id);
        if (seeker->expression)
            continue;
        if (!source->match_case) {
            seeker->literal = patterns_literal(patterns, value->id, &seeker->literal_length);
        } else {
            const char *text = source->values.items[value->value];
            if (!folded_text_loosen(&seeker->loosened, s->run->program->folding, true, text,
                                    strlen(text)))
                return false;
            seeker->literal = seeker->loosened.data;
            seeker->literal_length = seeker->loosened.length;
        }
        if (seeker->literal_length == 0) { /* all of it is never seen */
            folded_text_free(&seeker->loosened);
            s->count--;
        }
    }
    return true;
}

/* Makes the form of the text in which the seekers look; false without memory. */
static bool choose_form(struct seeking *s)
{
    bool match_case = s->condition->source->match_case;
    s->form = NULL;
    if (s->count > 0 && s->seekers[0].literal) {
        if (!run_loosen(s->run, s->text, match_case))
            return false;
        s->form = match_case ? &s->text->cased : &s->text->loose;
    }
    s->data = s->form ? s->form->data : s->text->data;
    s->length = s->form ? s->form->length : s->text->length;
    return true;
}

static bool fits_whole(const struct seeking *s, const struct seeker *seeker)
{
    size_t length = seeker->literal_length;
    if (length > s->length)
        return false;
    switch (s->condition->source->operation) {
    case POLICY_EQUALS:
        return length == s->length && memcmp(s->data, seeker->literal, length) == 0;
    case POLICY_BEGINS:
        return memcmp(s->data, seeker->literal, length) == 0;
    default:
        return memcmp(s->data + s->length - length, seeker->literal, length) == 0;
    }
}

/* "equals", "begins" and "ends": once for a text, the longest value that fits. */
static bool whole(struct seeking *s)
{
    size_t best = 0;
    bool fits = s->condition->empty_value && s->text->length == 0;
    for (size_t i = 0; i < s->count; i++)
        if (fits_whole(s, &s->seekers[i])) {
            fits = true;
            best = s->seekers[i].literal_length > best ? s->seekers[i].literal_length : best;
        }
    if (!fits)
        return true;
    bool ends = s->condition->source->operation == POLICY_ENDS;
    size_t start = ends ? s->length - best : 0, end = start + best;
    if (s->form) {
        start = folded_text_place(s->form, start);
        end = folded_text_place(s->form, end);
    }
    s->ended = !s->found(s->context, s->text, start, end, 1);
    return true;
}

static bool has_key(const struct program_condition *condition, const struct text *text)
{
    for (size_t k = 0; k < text->key_count; k++) {
        size_t low = 0, high = condition->value_count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (condition->values[middle].id < text->keys[k])
                low = middle + 1;
            else
                high = middle;
        }
        if (low < condition->value_count && condition->values[low].id == text->keys[k])
            return true;
    }
    return false;
}

static bool on_word(void *context, size_t dictionary, size_t word, size_t start, size_t end)
{
    struct seeking *s = context;
    if (dictionary != s->condition->dictionary)
        return true;
    s->ended = !s->found(s->context, s->text, folded_text_place(&s->text->loose, start),
                         folded_text_place(&s->text->loose, end),
                         s->run->program->dictionaries[dictionary]->words[word].weight);
    return !s->ended;
}

static bool in_text(struct seeking *s)
{
    switch (s->condition->source->operation) {
    case POLICY_EXISTS:
        s->ended = !s->found(s->context, s->text, 0, s->text->length, 1);
        return true;
    case POLICY_ADDRESS:
    case POLICY_IN_GROUP:
        if (has_key(s->condition, s->text))
            s->ended = !s->found(s->context, s->text, 0, s->text->length, 1);
        return true;
    case POLICY_IN_DICTIONARY:
        return run_loosen(s->run, s->text, false) &&
               words_find(s->run->program->words, s->text->data, &s->text->loose, s->run->stop_us,
                          on_word, s);
    case POLICY_EQUALS:
    case POLICY_BEGINS:
    case POLICY_ENDS:
        return make_seekers(s) && choose_form(s) && whole(s);
    default:
        return make_seekers(s) && (s->count == 0 || (choose_form(s) && sweep(s)));
    }
}

bool run_occurrences(struct run *run, const struct program_condition *condition, size_t recipient,
                     run_occurrence *found, void *context)
{
    struct seeking seeking = {
        .run = run, .condition = condition, .found = found, .context = context};
    seeking.seekers = calloc(condition->value_count + 1, sizeof *seeking.seekers);
    bool in_limits = seeking.seekers != NULL;
    for (size_t i = 0; i < run->text_count && in_limits && !seeking.ended; i++) {
        if (!run_covers(condition, &run->texts[i], recipient))
            continue;
        seeking.text = &run->texts[i];
        in_limits = in_text(&seeking);
        drop_seekers(&seeking);
    }
    free(seeking.seekers);
    return in_limits;
}

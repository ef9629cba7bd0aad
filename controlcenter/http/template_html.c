/* Follows literal HTML closely enough to know where an escaped value is harmless. */
#include "controlcenter/http/template_private.h"

#include <stdio.h>
#include <string.h>

/* Taken for code, because it may be one of several. */
#define UNKNOWN_ATTRIBUTE "on*"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static void append(char *word, size_t size, char c)
{
    size_t length = strlen(word);
    if (length + 1 < size) {
        word[length] = lower(c);
        word[length + 1] = '\0';
    }
}

/* Keeps the last bytes that were read. */
static void remember(struct html_state *state, char c)
{
    size_t length = strlen(state->recent);
    if (length + 1 == sizeof state->recent) {
        memmove(state->recent, state->recent + 1, length);
        length--;
    }
    state->recent[length] = lower(c);
    state->recent[length + 1] = '\0';
}

static bool recent_ends_with(const struct html_state *state, const char *text)
{
    size_t length = strlen(state->recent), wanted = strlen(text);
    return length >= wanted && strcmp(state->recent + length - wanted, text) == 0;
}

static void end_tag(struct html_state *state)
{
    bool code = strcmp(state->element, "script") == 0 || strcmp(state->element, "style") == 0;
    state->context = code ? HTML_CODE : HTML_TEXT;
    state->recent[0] = '\0';
}

static void feed_open(struct html_state *state, char c)
{
    bool first = state->element[0] == '\0';
    if (first && c != '/' && c != '!' && c != '?' && !is_letter(c)) {
        state->context = c == '<' ? HTML_OPEN : HTML_TEXT;
    } else if (c == '>') {
        end_tag(state);
    } else if (is_space(c) || (c == '/' && !first)) {
        state->context = HTML_TAG;
        state->attribute[0] = '\0';
    } else {
        append(state->element, sizeof state->element, c);
        if (strcmp(state->element, "!--") == 0) {
            state->context = HTML_COMMENT;
            state->recent[0] = '\0';
        }
    }
}

static void feed_tag(struct html_state *state, char c)
{
    if (c == '>') {
        end_tag(state);
    } else if (c == '=') {
        state->context = HTML_VALUE_START;
    } else if (is_space(c) || c == '/') {
        /* A name may be followed by space before its '='. */
        size_t length = strlen(state->attribute);
        if (length + 1 < sizeof state->attribute && length > 0 &&
            state->attribute[length - 1] != ' ')
            append(state->attribute, sizeof state->attribute, ' ');
    } else {
        size_t length = strlen(state->attribute);
        if (length > 0 && state->attribute[length - 1] == ' ')
            state->attribute[0] = '\0';
        append(state->attribute, sizeof state->attribute, c);
    }
}

static void feed_value(struct html_state *state, char c)
{
    char quote = state->context == HTML_DOUBLE_QUOTED ? '"' : '\'';
    if (state->context == HTML_VALUE_START) {
        if (c == '"')
            state->context = HTML_DOUBLE_QUOTED;
        else if (c == '\'')
            state->context = HTML_SINGLE_QUOTED;
        else if (c == '>')
            end_tag(state);
        else if (!is_space(c))
            state->context = HTML_UNQUOTED;
    } else if (state->context == HTML_UNQUOTED) {
        if (c == '>')
            end_tag(state);
        else if (is_space(c))
            state->context = HTML_TAG;
    } else if (c == quote) {
        state->context = HTML_TAG;
    }
    if (state->context == HTML_TAG)
        state->attribute[0] = '\0';
}

static void feed_until_end(struct html_state *state, char c)
{
    remember(state, c);
    if (state->context == HTML_COMMENT) {
        if (recent_ends_with(state, "-->"))
            state->context = HTML_TEXT;
        return;
    }
    bool script = strcmp(state->element, "script") == 0;
    if (recent_ends_with(state, script ? "</script" : "</style")) {
        state->context = HTML_TAG;
        state->element[0] = '\0';
        state->attribute[0] = '\0';
    }
}

void html_feed(struct html_state *state, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        switch (state->context) {
        case HTML_TEXT:
            if (text[i] == '<') {
                state->context = HTML_OPEN;
                state->element[0] = '\0';
            }
            break;
        case HTML_OPEN:
            feed_open(state, text[i]);
            break;
        case HTML_TAG:
            feed_tag(state, text[i]);
            break;
        case HTML_VALUE_START:
        case HTML_UNQUOTED:
        case HTML_DOUBLE_QUOTED:
        case HTML_SINGLE_QUOTED:
            feed_value(state, text[i]);
            break;
        case HTML_COMMENT:
        case HTML_CODE:
            feed_until_end(state, text[i]);
            break;
        }
    }
}

/* Attributes whose value is code, so that quotes do not contain it. */
static bool attribute_is_code(const char *name)
{
    return strncmp(name, "on", 2) == 0 || strncmp(name, "style", 5) == 0 ||
           strncmp(name, "srcdoc", 6) == 0;
}

const char *html_refuses_value(const struct html_state *state)
{
    switch (state->context) {
    case HTML_TEXT:
        return NULL;
    case HTML_DOUBLE_QUOTED:
    case HTML_SINGLE_QUOTED:
        return attribute_is_code(state->attribute) ? "a value in an attribute that is code" : NULL;
    case HTML_OPEN:
        return "a value in the name of an element";
    case HTML_TAG:
        return "a value between the attributes of a tag; use a section";
    case HTML_VALUE_START:
    case HTML_UNQUOTED:
        return "a value in an attribute without quotes";
    case HTML_COMMENT:
        return "a value in an HTML comment";
    case HTML_CODE:
        return "a value in <script> or <style>";
    }
    return "a value in an unknown place";
}

bool html_join(struct html_state *state, const struct html_state *before)
{
    /* "<option{{#on}} selected{{/on}}": whatever follows has to fit the bare name too. */
    if (before->context == HTML_OPEN && state->context == HTML_TAG && before->element[0] != '\0' &&
        strcmp(state->element, before->element) == 0) {
        *state = *before;
        return true;
    }
    if (state->context != before->context)
        return false;
    if (state->context != HTML_TEXT && strcmp(state->element, before->element) != 0)
        return false;
    if (strcmp(state->attribute, before->attribute) != 0)
        snprintf(state->attribute, sizeof state->attribute, "%s", UNKNOWN_ATTRIBUTE);
    return true;
}

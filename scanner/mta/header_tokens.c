#include "scanner/mta/header_tokens.h"

#include <stdbool.h>
#include <string.h>

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

/* White space and the line breaks of folding; 0 bytes where something else stands there. */
static size_t white_space(const char *at, const char *end)
{
    if (*at == ' ' || *at == '\t')
        return 1;
    bool folds = end - at > 2 && at[0] == '\r' && at[1] == '\n' && (at[2] == ' ' || at[2] == '\t');
    return folds ? 3 : 0;
}

/* The end of what is closed by `close`; comments nest. NULL where it is not closed. */
static const char *closing(const char *at, const char *end, char open, char close)
{
    size_t depth = 1; /* a count: nesting needs no stack */
    for (at++; at < end; at++) {
        size_t space = white_space(at, end);
        if (space) {
            at += space - 1;
        } else if (*at == '\\' && at + 1 < end && !is_control(at[1])) {
            at++;
        } else if (is_control(*at)) {
            return NULL;
        } else if (*at == close) {
            if (--depth == 0)
                return at + 1;
        } else if (*at == open) {
            depth++;
        }
    }
    return NULL;
}

/* Steps over comments and white space; false where a comment is not closed. */
static bool skip_white_space(struct header_scanner *scanner)
{
    while (scanner->at < scanner->end) {
        size_t space = white_space(scanner->at, scanner->end);
        if (space == 0 && *scanner->at != '(')
            return true;
        const char *after =
            space ? scanner->at + space : closing(scanner->at, scanner->end, '(', ')');
        if (!after)
            return false;
        scanner->at = after;
    }
    return true;
}

static bool is_atom(char c)
{
    return !is_control(c) && !strchr(" ()<>[]:;@\\,.\"", c);
}

static const char *token_end(const char *at, const char *end, enum header_token_kind *kind)
{
    *kind = HEADER_TOKEN_WORD;
    if (*at == '"')
        return closing(at, end, '"', '"');
    if (*at == '[') {
        *kind = HEADER_TOKEN_LITERAL;
        return closing(at, end, '[', ']');
    }
    if (is_control(*at))
        return NULL;
    if (!is_atom(*at)) {
        *kind = HEADER_TOKEN_SPECIAL;
        return at + 1;
    }
    while (at < end && is_atom(*at))
        at++;
    return at;
}

void header_token_next(struct header_scanner *scanner, struct header_token *token)
{
    bool whole = skip_white_space(scanner);
    *token = (struct header_token){HEADER_TOKEN_END, scanner->at, scanner->at};
    if (whole && scanner->at == scanner->end)
        return;
    const char *end = whole ? token_end(scanner->at, scanner->end, &token->kind) : NULL;
    if (!end) {
        token->kind = HEADER_TOKEN_BROKEN;
        return;
    }
    token->end = scanner->at = end;
}

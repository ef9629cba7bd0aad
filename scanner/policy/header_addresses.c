#include "scanner/policy/header_addresses.h"

#include "common/address.h"
#include "common/buffer.h"

#include <string.h>

#define ADDRESS_MOST 1000 /* bytes; what is longer is none */

/* The text behind a comment whose "(" is at `at`. */
static const char *pass_comment(const char *at)
{
    int depth = 0;
    for (; *at; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*at == '(')
            depth++;
        else if (*at == ')' && --depth == 0)
            return at + 1;
    }
    return at;
}

/* Adds the quoted text at `at`, with its quotes, to the token. */
static const char *take_quoted(const char *at, struct buffer *token)
{
    const char *start = at++;
    while (*at && *at != '"')
        at += *at == '\\' && at[1] ? 2 : 1;
    if (*at)
        at++;
    buffer_add(token, start, (size_t)(at - start));
    return at;
}

static bool give(struct buffer *token, header_address_found *found, void *context)
{
    char domain[DOMAIN_SIZE];
    const char *at = token->failed ? NULL : strrchr(buffer_text(token), '@');
    bool go_on = true;
    if (at && at > token->data && at[1]) {
        size_t local = (size_t)(at + 1 - token->data);
        if (domain_normalise(at + 1, true, domain) == NULL) {
            token->length = local;
            buffer_add_text(token, domain);
        }
        if (!token->failed)
            go_on = found(context, token->data);
    }
    buffer_clear(token);
    return go_on;
}

bool header_addresses(const char *value, header_address_found *found, void *context)
{
    struct buffer token = BUFFER_INIT;
    token.limit = ADDRESS_MOST;
    bool go_on = true;
    const char *at = value;
    while (*at && go_on) {
        if (*at == '(') {
            at = pass_comment(at);
        } else if (*at == '"') {
            at = take_quoted(at, &token);
        } else if (*at == '<' || *at == ':') { /* before it: a name, of a person or of a group */
            buffer_clear(&token);
            at++;
        } else if (*at == ',' || *at == ';' || *at == '>') {
            go_on = give(&token, found, context);
            at++;
        } else {
            if (!strchr(" \t\r\n", *at))
                buffer_add(&token, at, 1);
            at++;
        }
    }
    go_on = go_on && give(&token, found, context);
    buffer_free(&token);
    return go_on;
}

/* The tokens of structured header fields (RFC 5322 section 3.2, RFC 6532): comments and folding
 * white space are stepped over. */
#ifndef GATEHOUSE_SCANNER_MTA_HEADER_TOKENS_H
#define GATEHOUSE_SCANNER_MTA_HEADER_TOKENS_H

enum header_token_kind {
    HEADER_TOKEN_WORD,    /* an atom (without dots) or a quoted string, its quotes included */
    HEADER_TOKEN_LITERAL, /* a domain literal, its brackets included */
    HEADER_TOKEN_SPECIAL, /* one character of ()<>[]:;@\,." */
    HEADER_TOKEN_END,
    HEADER_TOKEN_BROKEN, /* something is not closed, or a control character */
};

struct header_token {
    enum header_token_kind kind;
    const char *start, *end; /* borrowed from the text */
};

struct header_scanner {
    const char *at, *end;
};

/* The next token. After END or BROKEN the same comes again. */
void header_token_next(struct header_scanner *scanner, struct header_token *token);

#endif

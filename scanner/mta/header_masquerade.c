/* Masquerading in the header. The addresses are found by the grammar of RFC 5322 section 3.4, its
 * obsolete forms included, and only their own bytes are replaced. */
#include "scanner/mta/address_rewrite.h"

#include "scanner/mta/address_key.h"
#include "scanner/mta/header_tokens.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

struct rewriter {
    const struct scanner_config *config;
    const char *message;
    size_t copied; /* bytes of the message that are in `out`, changed or not */
    struct buffer *out;
};

/* The words of a mailbox, where they stand and what they are put together. */
struct part {
    struct header_token first, last;
    char text[ADDRESS_SIZE];
    size_t length;
};

struct mailbox {
    struct part local, domain;
};

static bool is_special(const struct header_token *token, char c)
{
    return token->kind == HEADER_TOKEN_SPECIAL && token->start[0] == c;
}

/* Adds a token's text without the folding that a quoted string may have. */
static bool part_add(struct part *part, const struct header_token *token)
{
    if (part->length == 0)
        part->first = *token;
    part->last = *token;
    for (const char *at = token->start; at < token->end; at++) {
        if (*at == '\r' || *at == '\n')
            continue;
        if (part->length == sizeof(part->text) - 1)
            return false;
        part->text[part->length++] = *at;
    }
    part->text[part->length] = '\0';
    return true;
}

/* --- parsing --- */

/* word *("." word): leaves what comes after it in *next. */
static bool parse_dotted(struct header_scanner *scanner, struct part *part,
                         struct header_token *next)
{
    for (;;) {
        if (next->kind != HEADER_TOKEN_WORD || !part_add(part, next))
            return false;
        header_token_next(scanner, next);
        if (!is_special(next, '.'))
            return true;
        if (!part_add(part, next))
            return false;
        header_token_next(scanner, next);
    }
}

static bool parse_domain(struct header_scanner *scanner, struct part *part,
                         struct header_token *next)
{
    if (next->kind != HEADER_TOKEN_LITERAL)
        return parse_dotted(scanner, part, next);
    bool fits = part_add(part, next);
    header_token_next(scanner, next);
    return fits;
}

static bool parse_mailbox(struct header_scanner *scanner, struct mailbox *mailbox,
                          struct header_token *next)
{
    mailbox->local.length = mailbox->domain.length = 0;
    if (!parse_dotted(scanner, &mailbox->local, next) || !is_special(next, '@'))
        return false;
    header_token_next(scanner, next);
    return parse_domain(scanner, &mailbox->domain, next);
}

/* "@a,@b:" before the mailbox: obsolete, and to be ignored (RFC 5322 section 4.4). */
static void skip_route(struct header_scanner *scanner, struct header_token *next)
{
    if (!is_special(next, '@') && !is_special(next, ','))
        return;
    while (next->kind != HEADER_TOKEN_END && next->kind != HEADER_TOKEN_BROKEN &&
           !is_special(next, '>') && !is_special(next, ':'))
        header_token_next(scanner, next);
    if (is_special(next, ':'))
        header_token_next(scanner, next);
}

static bool parse_angle(struct header_scanner *scanner, struct mailbox *mailbox,
                        struct header_token *next)
{
    header_token_next(scanner, next);
    skip_route(scanner, next);
    if (!parse_mailbox(scanner, mailbox, next) || !is_special(next, '>'))
        return false;
    header_token_next(scanner, next);
    return true;
}

static bool ends_element(const struct header_token *token)
{
    return token->kind == HEADER_TOKEN_END || token->kind == HEADER_TOKEN_BROKEN ||
           is_special(token, ',') || is_special(token, ';') || is_special(token, ':');
}

/* One element of a list that begins with *next: true where it is a mailbox. Leaves the end of the
 * element in *next in either case: what cannot be read there is stepped over. */
static bool parse_element(struct header_scanner *scanner, struct mailbox *mailbox,
                          struct header_token *next)
{
    struct header_scanner start = *scanner;
    struct header_token first = *next;
    if (parse_mailbox(scanner, mailbox, next) && ends_element(next) && !is_special(next, ':'))
        return true;
    *scanner = start;
    *next = first;
    while (!ends_element(next) && !is_special(next, '<'))
        header_token_next(scanner, next);
    bool found = is_special(next, '<') && parse_angle(scanner, mailbox, next);
    found = found && ends_element(next) && !is_special(next, ':');
    while (!ends_element(next))
        header_token_next(scanner, next);
    return found;
}

/* Whether the field can be read to its end: quotes, comments and brackets are closed, no control
 * character is in it. */
static bool is_whole(const char *text, const char *end)
{
    struct header_scanner scanner = {.at = text, .end = end};
    struct header_token token;
    do {
        header_token_next(&scanner, &token);
    } while (token.kind != HEADER_TOKEN_END && token.kind != HEADER_TOKEN_BROKEN);
    return token.kind == HEADER_TOKEN_END;
}

/* --- rewriting --- */

static void copy_until(struct rewriter *rewriter, const char *end)
{
    size_t length = (size_t)(end - rewriter->message) - rewriter->copied;
    buffer_add(rewriter->out, rewriter->message + rewriter->copied, length);
    rewriter->copied += length;
}

/* Puts `text` in the place of the part's last token and drops the other ones; comments and folding
 * between them (obsolete, but allowed) stay. The last one, so that no line of white space alone is
 * left at the end. */
static void replace_part(struct rewriter *rewriter, const struct part *part, const char *text,
                         size_t length)
{
    struct header_scanner scanner = {.at = part->first.start, .end = part->last.end};
    struct header_token token;
    for (header_token_next(&scanner, &token); token.kind != HEADER_TOKEN_END;
         header_token_next(&scanner, &token)) {
        copy_until(rewriter, token.start);
        rewriter->copied += (size_t)(token.end - token.start);
    }
    buffer_add(rewriter->out, text, length);
}

static void masquerade_mailbox(struct rewriter *rewriter, const struct mailbox *mailbox)
{
    char address[ADDRESS_SIZE], changed[ADDRESS_SIZE];
    size_t local = mailbox->local.length, domain = mailbox->domain.length;
    if (local + 1 + domain >= sizeof(address))
        return;
    memcpy(address, mailbox->local.text, local);
    address[local] = '@';
    memcpy(address + local + 1, mailbox->domain.text, domain + 1);
    if (address_check(address, local + 1 + domain, true) ||
        !address_masquerade(rewriter->config, address, changed))
        return;
    size_t new_local = address_local_length(changed);
    if (new_local != local || memcmp(changed, address, local) != 0)
        replace_part(rewriter, &mailbox->local, changed, new_local);
    const char *new_domain = changed + new_local + 1;
    if (strcmp(new_domain, mailbox->domain.text) != 0)
        replace_part(rewriter, &mailbox->domain, new_domain, strlen(new_domain));
}

static void masquerade_field(struct rewriter *rewriter, const char *text, const char *end)
{
    struct header_scanner scanner = {.at = text, .end = end};
    struct header_token token;
    struct mailbox mailbox;
    if (!is_whole(text, end))
        return;
    do {
        header_token_next(&scanner, &token);
        if (parse_element(&scanner, &mailbox, &token))
            masquerade_mailbox(rewriter, &mailbox);
    } while (token.kind != HEADER_TOKEN_END);
}

/* --- fields --- */

static bool has_addresses(const char *name, size_t length)
{
    static const char *const names[] = {"From", "Sender", "Reply-To", "To", "Cc", "Bcc"};
    static const char resent[] = "Resent-";
    if (length > sizeof(resent) - 1 && strncasecmp(name, resent, sizeof(resent) - 1) == 0) {
        name += sizeof(resent) - 1;
        length -= sizeof(resent) - 1;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == length && strncasecmp(name, names[i], length) == 0)
            return true;
    return false;
}

/* The end of the field that begins at `at`, without its CRLF; NULL where none ends there. */
static const char *field_end(const char *at, const char *end)
{
    for (const char *line; (line = memmem(at, (size_t)(end - at), "\r\n", 2)); at = line + 2)
        if (line + 2 == end || (line[2] != ' ' && line[2] != '\t'))
            return line;
    return NULL;
}

/* The colon after a field's name, before which white space is allowed (RFC 5322 section 4.5);
 * *name_length is that of the name. NULL where the text is no field. */
static const char *field_colon(const char *at, const char *end, size_t *name_length)
{
    const char *name_end = at;
    while (name_end<end && * name_end> ' ' && *name_end <= '~' && *name_end != ':')
        name_end++;
    const char *colon = name_end;
    while (colon < end && (*colon == ' ' || *colon == '\t'))
        colon++;
    *name_length = (size_t)(name_end - at);
    return name_end > at && colon < end && *colon == ':' ? colon : NULL;
}

bool header_masquerade(const struct scanner_config *config, const char *message, size_t length,
                       struct buffer *out, size_t *header_length)
{
    struct rewriter rewriter = {.config = config, .message = message, .out = out};
    const char *at = message, *end = message + length, *stop, *colon;
    size_t before = out->length, name_length;
    if (config->masquerade_count == 0)
        return false;
    while ((stop = field_end(at, end)) && (colon = field_colon(at, stop, &name_length))) {
        if (has_addresses(at, name_length))
            masquerade_field(&rewriter, colon + 1, stop);
        at = stop + 2;
    }
    if (rewriter.copied == 0)
        return false;
    copy_until(&rewriter, at);
    if (out->failed) {
        out->length = before;
        out->data[before] = '\0';
        return false;
    }
    *header_length = (size_t)(at - message);
    return true;
}

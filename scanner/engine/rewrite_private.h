/* What the files of rewriting share:
 *   rewrite.c           all changes of a message, put together
 *   rewrite_annotate.c  which parts are annotated, and parts that are made for an annotation
 *   rewrite_text.c      a part that is text, with annotations in it
 *   rewrite_html.c      an annotation inside of HTML
 *   rewrite_encode.c    transfer encodings
 *   rewrite_header.c    fields of a header found, replaced and taken out
 *   rewrite_field.c     one field, encoded and folded
 *   rewrite_subject.c   the subject */
#ifndef GATEHOUSE_SCANNER_ENGINE_REWRITE_PRIVATE_H
#define GATEHOUSE_SCANNER_ENGINE_REWRITE_PRIVATE_H

#include "scanner/engine/rewrite.h"

#include <gmime/gmime.h>

#define REWRITE_SIDES 2 /* REWRITE_BEGIN and REWRITE_END */

/* --- fields --- */

#define REWRITE_LINE 78       /* characters of a folded line, RFC 5322 section 2.1.1 */
#define REWRITE_LONG_LINE 998 /* what no line may be longer than */

/* Adds the words of UTF-8 text behind `column` characters of a line, encoded and folded; returns
 * the column where it ends. No line break follows. */
size_t rewrite_add_words(struct buffer *out, const char *text, size_t column);
/* The same as one run of encoded words, with the spaces at its ends. */
size_t rewrite_add_run(struct buffer *out, const char *text, size_t column);
/* A copy without control characters, valid UTF-8; free with g_free. */
char *rewrite_plain_line(const char *text);

/* --- headers: whole fields, the last one ended too, without the empty line --- */

struct rewrite_field {
    size_t begin, end; /* in the header */
    const char *name;
    size_t name_length; /* 0: a line that is no field */
    const char *value;  /* what follows the colon, folded, with its line break */
    size_t value_length;
};

/* Copies the header at the beginning of the data. */
void rewrite_take_header(const char *data, size_t length, struct buffer *header);
/* Walks over the fields; *at begins as 0. False behind the last one. */
bool rewrite_next_field(const struct buffer *header, size_t *at, struct rewrite_field *field);
/* `name` may end in '*': fields that begin so. */
bool rewrite_field_is(const struct rewrite_field *field, const char *name);
bool rewrite_has_field(const struct buffer *header, const char *name);
/* Takes all fields of that name out, into `removed` where that is not NULL. */
void rewrite_remove_fields(struct buffer *header, const char *name, struct buffer *removed);
/* One field of that name, in the place of the first one, else as the last; `value` is put as it is.
 */
void rewrite_set_field(struct buffer *header, const char *name, const char *value);

/* Changes every Subject in `header`; `charset` is what undeclared 8-bit text probably is. Where
 * there is none, one is added. False: the header is full. */
bool rewrite_subject(struct buffer *header, const struct rewrite_edit *edit, const char *charset);

/* --- bodies --- */

/* The annotations of a message, joined; text has lines that end in CRLF but the last one. */
struct rewrite_annotation {
    char *text[REWRITE_SIDES]; /* NULL: none */
    char *html[REWRITE_SIDES]; /* the same in HTML */
};

/* 7BIT where text can go as it is, else what reads better. */
GMimeContentEncoding rewrite_choose_encoding(const char *data, size_t length);
const char *rewrite_encoding_name(GMimeContentEncoding encoding);
/* Everything but base64 and quoted-printable goes as it is. */
void rewrite_encode(const char *data, size_t length, GMimeContentEncoding encoding,
                    struct buffer *out);

/* HTML of plain text. */
void rewrite_html_of_text(const char *text, struct buffer *out);
/* The HTML with the fragment, in ASCII, inside of its body. False where a browser would not show it
 * there. */
bool rewrite_html(const char *content, size_t length, const char *fragment,
                  enum rewrite_place place, struct buffer *out);

/* Whether a part is shown as the text of the message, by its header. */
bool rewrite_is_text(const struct message *message, size_t index);

/* A part that is written anew. */
struct rewrite_part {
    struct buffer header, body;
};
/* Writes the part (rewrite_is_text) with the annotations of the sides that are asked for; *part is
 * empty before, and freed by the caller. False where it cannot hold them without a loss. */
bool rewrite_text_part(const struct message *message, size_t index,
                       const struct rewrite_annotation *annotation, const bool sides[REWRITE_SIDES],
                       struct rewrite_part *part);

/* Bytes in the place of those of a message. */
struct rewrite_splice {
    size_t begin, end;
    struct buffer bytes;
};

/* A message in the making. */
struct rewriter {
    const struct message *message;
    const bool *removed;            /* for each part: it goes; NULL: none */
    struct buffer header;           /* of the message itself */
    struct rewrite_splice *splices; /* of what follows it, in any order */
    size_t splice_count, splice_capacity;
    bool failed; /* no memory */
};

/* A splice without bytes, which the caller adds; NULL without memory. Earlier ones move. */
struct rewrite_splice *rewrite_add_splice(struct rewriter *rewriter, size_t begin, size_t end);

/* Puts the annotations of all edits into the message. */
void rewrite_annotate(struct rewriter *rewriter, const struct rewrite *rewrite);

#endif

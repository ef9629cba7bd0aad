/* PDF (ISO 32000-1) as far as its text needs it: objects found by looking for them, not by the
 * cross-reference table, which hostile and damaged files get wrong. */
#ifndef GATEHOUSE_SCANNER_ENGINE_TEXT_PDF_H
#define GATEHOUSE_SCANNER_ENGINE_TEXT_PDF_H

#include "scanner/engine/text_private.h"

#define PDF_OBJECT_LIMIT 100000
#define PDF_DEPTH_LIMIT 32              /* arrays and dictionaries in each other */
#define PDF_STREAM_LIMIT (16u << 20)    /* bytes of one stream, unpacked */
#define PDF_UNPACKED_LIMIT (128u << 20) /* bytes of all streams together */

/* A piece of a file, borrowed. */
struct pdf_span {
    const char *at, *end;
};

struct pdf_object {
    long number;
    struct pdf_span value;  /* the object without "N G obj" */
    struct pdf_span stream; /* raw bytes; at == NULL: none */
    size_t order;           /* place in the file */
};

struct pdf {
    struct text *text;
    struct pdf_object *objects; /* sorted by number; of one number the last in the file */
    size_t count, sorted;       /* those behind `sorted` are not found yet */
    char **unpacked;            /* object streams, which objects point into */
    size_t unpacked_count;
    size_t bytes; /* unpacked so far */
};

/* Finds the objects of a file. False where it is encrypted. */
bool pdf_open(struct pdf *pdf, const char *data, size_t length, struct text *text);
void pdf_close(struct pdf *pdf);

const struct pdf_object *pdf_object(const struct pdf *pdf, long number);

/* One token or value at span->at, which moves behind it: a name with its '/', a string with its
 * brackets, an array or dictionary as a whole, a number or word. False at the end. */
bool pdf_next(struct pdf_span *span, struct pdf_span *token);
bool pdf_is(struct pdf_span token, const char *word);
long pdf_integer(struct pdf_span token);

/* The value of a key ("/Type") of a dictionary, a reference followed; false where there is none. */
bool pdf_get(const struct pdf *pdf, struct pdf_span dictionary, const char *key,
             struct pdf_span *value);
/* The object that the key refers to, or NULL. */
const struct pdf_object *pdf_get_object(const struct pdf *pdf, struct pdf_span dictionary,
                                        const char *key);
/* What "N G R" stands for, or NULL where the span is none. */
const struct pdf_object *pdf_reference(const struct pdf *pdf, struct pdf_span span);

/* The bytes of a stream unpacked into *out (limit PDF_STREAM_LIMIT, g_malloc); false for filters of
 * pictures and what is broken from its beginning. */
bool pdf_unpack(struct pdf *pdf, const struct pdf_object *object, char **out, size_t *length);

/* --- fonts --- */

struct pdf_font;

/* The font of a dictionary; free with pdf_font_free. */
struct pdf_font *pdf_font_new(struct pdf *pdf, struct pdf_span dictionary);
void pdf_font_free(struct pdf_font *font);
/* Adds the characters of a string, which NULL reads as windows-1252. What the font does not tell is
 * left out. */
void pdf_font_add(const struct pdf_font *font, const char *bytes, size_t length,
                  struct buffer *out);

/* The bytes of a string token; free with g_free. */
char *pdf_string(struct pdf_span token, size_t *length);

#endif

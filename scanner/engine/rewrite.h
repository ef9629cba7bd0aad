/* A message written anew with the changes that filters ask for; what no change is about keeps its
 * bytes. */
#ifndef GATEHOUSE_SCANNER_ENGINE_REWRITE_H
#define GATEHOUSE_SCANNER_ENGINE_REWRITE_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/engine/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rewrite_kind {
    REWRITE_ADD_FIELD,    /* name, text: before the fields that are there, in the order of edits */
    REWRITE_REMOVE_FIELD, /* name: every field of the message's own header with it */
    REWRITE_SUBJECT,      /* text, place */
    REWRITE_ANNOTATE,     /* text, html, place: REWRITE_BEGIN or REWRITE_END */
    REWRITE_STRIP,        /* reasons */
};

enum rewrite_place { REWRITE_BEGIN, REWRITE_END, REWRITE_REPLACE };

/* One change; what its kind does not name is not looked at. Everything is borrowed, UTF-8. */
struct rewrite_edit {
    enum rewrite_kind kind;
    const char *name; /* of a header field: RFC 5322 section 2.2, without the colon */
    const char *text; /* value, text of the subject, or annotation; not encoded */
    const char *html; /* the annotation for HTML: a fragment; NULL or "": made from the text */
    enum rewrite_place place;
    /* For each node of the tree why it is removed, or NULL to keep it; the first of several edits
     * that name a node counts. As in clean.h, a container whose members are to go is not named
     * itself. */
    const char *const *reasons;
};

struct rewrite {
    const struct message *message; /* the one that came, or a clean one that was parsed anew */
    const struct tree *tree;       /* of that message; may be NULL where nothing is stripped */
    const struct rewrite_edit *edits;
    size_t edit_count;
};

/* Adds the whole new message to `out`.
 *
 * Header: values are encoded (RFC 2047) where they are not ASCII and folded at 78. A removal also
 * takes fields that edits before it added. The subject keeps what was there as it was encoded, a
 * space stands between, and nothing is added to one that begins or ends with the text already;
 * where there is none, one is made.
 *
 * Annotations: those of one place are one text, in the order of edits. They go into what is shown
 * as the text of the message, each form of a multipart/alternative its own; plain text keeps its
 * charset where the annotation fits it and becomes UTF-8 else; HTML gets it inside of <body>. A
 * message without such text gets a part of its own, and so does one that is signed or encrypted
 * (multipart/signed, multipart/encrypted, S/MIME, PGP in the text): what was there stands unchanged
 * beside it in a multipart/mixed, so that the signature stays valid.
 *
 * Strip: a text in the place of what was removed says what and why (clean_note.c). Members of
 * archives are taken out as in clean.h; where the tree does not show everything the whole
 * attachment goes. Where something signed was changed the field X-Gatehouse-Note says so.
 *
 * False with *error: a name that cannot be a field's (ERROR_INVALID), `out` is full, or the message
 * has more parts than were parsed and something is to be stripped (ERROR_LIMIT). `out` then holds a
 * part of the message. */
bool rewrite_message(const struct rewrite *rewrite, struct buffer *out, struct error *error);

/* The same to a file without a name in TMPDIR, as clean_file_write: a descriptor that the caller
 * closes, and its size; -1 with *error. */
int rewrite_file_write(const struct rewrite *rewrite, uint64_t *size, struct error *error);

/* Adds one whole header field, encoded and folded as above, ended by CRLF: for fields that are put
 * before a message which is not written anew. Control characters in the text become spaces. False
 * with *error (ERROR_INVALID): `name` cannot be a field's. */
bool rewrite_add_field(struct buffer *out, const char *name, const char *text, struct error *error);

#endif

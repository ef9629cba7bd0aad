/* Mail that the Control Center sends through this scanner: notifications, and messages that
 * administrators release (docs/architecture.md, submit_begin, submit_data and submit_end). Nothing
 * of it is scanned.
 *
 * A message comes in pieces: its envelope, its content, its end. What is not ended within ten
 * minutes is forgotten, as is everything that is not ended when the mta ends; one whose end was
 * answered is on stable storage. An id is taken once (queue_was_submitted): whoever got no answer
 * may submit the message again as often as it likes. */
#ifndef GATEHOUSE_SCANNER_MTA_SUBMISSION_H
#define GATEHOUSE_SCANNER_MTA_SUBMISSION_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/mta/mta.h"

#include <jansson.h>

#define SUBMISSION_UPLOADS_MOST 16
#define SUBMISSION_UPLOAD_MS (600 * 1000)
#define SUBMISSION_DATA_BYTES (1u << 20)  /* of one piece */
#define SUBMISSION_RECIPIENTS_MOST 100000 /* as the queue; the request's size is bounded too */
#define SUBMISSION_HEADER_BYTES (64u << 10)

struct submissions;

/* Borrows `mta`. */
struct submissions *submissions_new(struct mta *mta);
void submissions_free(struct submissions *submissions);

/* {"id","sender","recipients","direction","flags","header","route","reason","administrator"}:
 * `flags` is a list of "require_tls"; `header`, `route`, `flags` and `administrator` may be
 * missing. The reply has "known":true where a message of that id is here already: nothing more is
 * to be sent then. One of the same id that was begun before begins anew. ERROR_LIMIT: too many are
 * under way. ERROR_UNAVAILABLE: no configuration runs, or the end of that message is being written
 * just now. */
bool submission_begin(struct submissions *submissions, const json_t *request, struct buffer *out,
                      struct error *error);
/* {"id","offset","data"}. ERROR_NOT_FOUND: it was not begun, or is forgotten. ERROR_INVALID: the
 * offset is not the size so far. ERROR_NO_SPACE: the disk is full. */
bool submission_data(struct submissions *submissions, const json_t *request, struct buffer *out,
                     struct error *error);
/* {"id","size"}. Where *known comes back true it is on stable storage already, and `done` is not
 * called; else it is called once, from the loop, with what became of the message. False with
 * *error, and no call, where there is something wrong with it; it is forgotten then. */
bool submission_end(struct submissions *submissions, const json_t *request, bool *known,
                    void (*done)(void *argument, enum error_code result), void *argument,
                    struct error *error);
/* Whoever waits with that argument is gone; `done` will not be called. */
void submission_forget(struct submissions *submissions, const void *argument);

#endif

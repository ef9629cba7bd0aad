/* Templates of notifications: {{NAME}} stands for a value.
 *
 * subject, sender, recipients, from, received, size, verdict, direction, host, message_id: of the
 *   message; filter: the name of the one that asked for the notification; matches: what it found,
 *   a line each with the part; mailed_to: to whom this mail goes
 * incident, folder: number and folder of the incident
 * link_view, link_ACTION: addresses that carry their own authority; whoever has one may look at the
 *   incident, or do the action (its id in the folder) once
 * console_view, console_ACTION: addresses that need a sign-in
 *
 * Values are escaped in HTML. Where there is no incident its values are empty. */
#ifndef GATEHOUSE_CONTROLCENTER_MAIL_NOTIFICATION_TEXT_H
#define GATEHOUSE_CONTROLCENTER_MAIL_NOTIFICATION_TEXT_H

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>

#define NOTIFICATION_NAME_SIZE 80
#define NOTIFICATION_TEXT_LINKS 21 /* most different ones with authority in one text */

/* The names above that are not links; ends with NULL. */
extern const char *const notification_names[];

/* A link of the template: kind and action. */
struct notification_link {
    bool needs_sign_in;
    const char *action; /* "view", "approve", ...; borrowed from `name` */
};
/* Whether `name` is one of a link. */
bool notification_link_name(const char *name, struct notification_link *link);

/* Whether each {{NAME}} of the text is known and closed, and there are not too many links.
 * ERROR_INVALID names the first one that is not, and its line; `where` is the template's member. */
bool notification_check(const char *text, const char *where, struct error *error);

/* Adds the value of `name` to `value`; false where that failed. */
typedef bool (*notification_value)(void *argument, const char *name, struct buffer *value,
                                   struct error *error);
/* Adds the text with its values to `out`. `html`: values are escaped, and their line ends become
 * <br>. */
bool notification_render(const char *text, bool html, notification_value value, void *argument,
                         struct buffer *out, struct error *error);

struct notification_mail {
    const char *from;    /* a header field's value: an address, or a name with one */
    const char *to;      /* an address */
    const char *subject; /* UTF-8, one line */
    const char *text;
    const char *html;        /* "" for none */
    const char *mark, *host; /* of the Message-ID: before its @, and behind it */
};
/* Writes the whole message (RFC 5322, MIME, CRLF; base64 of UTF-8), marked as automatic (RFC 3834).
 */
bool notification_write(const struct notification_mail *mail, struct buffer *out);

#endif

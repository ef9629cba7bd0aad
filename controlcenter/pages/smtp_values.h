/* Single values of the SMTP settings: how each kind is written in a form and in JSON. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_SMTP_VALUES_H
#define GATEHOUSE_CONTROLCENTER_PAGES_SMTP_VALUES_H

#include "controlcenter/pages/pages.h"

enum smtp_kind {
    SMTP_LISTENERS, /* one a line: address:port, then "tls" and "proxy" where they hold */
    SMTP_TEXTS,     /* one a line */
    SMTP_NUMBERS,   /* one a line */
    SMTP_NUMBER,
    SMTP_MEGABYTES, /* bytes in JSON */
    SMTP_WORD,      /* of a list that the configuration model knows */
    SMTP_SWITCH,    /* "yes" or "no" */
    SMTP_TEXT,
    SMTP_LINES, /* a text of several lines */
};

/* Whether it is a list, which a form shows as one item a line. */
bool smtp_kind_is_list(enum smtp_kind kind);
/* Adds the value as a form shows it; nothing for NULL or a value of another kind. */
void smtp_value_text(enum smtp_kind kind, const json_t *value, struct buffer *text);
/* Reads the form's field. NULL where it is empty or was refused; but listeners that are left empty
 * are an empty list, for without listeners a server takes no mail, which has to be said. */
json_t *smtp_value_take(struct form *form, const char *field, enum smtp_kind kind);

#endif

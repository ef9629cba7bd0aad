/* The SMTP settings as people edit them: fields between a form and a "smtp" object of
 * common/config_model.h, that of one host or that of all ("smtp.common"). A field that is left
 * empty takes the value of all hosts, or the default. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_SMTP_FIELDS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_SMTP_FIELDS_H

#include "controlcenter/pages/pages.h"

#define SMTP_COMMON_SETTING "smtp.common"

enum smtp_page { /* which fields a page has */
                 SMTP_PAGE_HOST = 1,
                 SMTP_PAGE_COMMON = 2,
                 SMTP_PAGE_SECURITY = 4,
};

/* The values of `smtp` into the form. */
void smtp_fields_fill(struct form *form, enum smtp_page which, const json_t *smtp);
/* The form's values into `smtp`; what cannot be read is refused, and members that the page does not
 * have stay as they are. */
void smtp_fields_read(struct form *form, enum smtp_page which, json_t *smtp);
/* Shows a refusal of the check ("smtp.inbound.listeners[1].port") at its field, or at the first
 * one. */
void smtp_fields_refuse(struct form *form, enum smtp_page which, const struct error *error);
/* What templates/parts/smtp_*.html show: the objects "inbound", "outbound" and "delivery" with a
 * member for each field. Call it last. `common` are the settings of all hosts, or NULL where they
 * are what is edited. */
void smtp_fields_put(struct form *form, enum smtp_page which, const json_t *common);

/* The setting "smtp.common", {} where it is not set. NULL with *error; the caller owns it. */
json_t *smtp_common(struct page *page, struct error *error);

#endif

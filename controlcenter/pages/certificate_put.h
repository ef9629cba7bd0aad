/* Certificates of the SMTP servers as templates show them. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_CERTIFICATE_PUT_H
#define GATEHOUSE_CONTROLCENTER_PAGES_CERTIFICATE_PUT_H

#include "controlcenter/pages/pages.h"

#define CERTIFICATE_SOON_MS (INT64_C(30) * 86400000) /* before its end somebody should know */

/* Fills a row: id, name, hosts, and of the certificate (where it is there) subject, issuer, names,
 * expires_at and one of the flags in `state`: valid, soon, expired or waiting. */
void certificate_put(struct page *page, json_t *row, const struct store_certificate *certificate,
                     int64_t now);
/* The array "expiring" of those in use that end soon or have ended, and whether there are any. */
bool certificate_put_expiring(struct page *page, int64_t now, bool *any, struct error *error);

/* The certificate that the address names. NULL members and false after the page was answered (404,
 * 503). Clear it with store_certificate_clear. */
bool certificate_of_address(struct page *page, struct store_certificate *certificate);

/* Shows one certificate ("certificate" in the template's data); certificates.c. */
void certificate_show(struct form *form, const struct store_certificate *certificate,
                      const char *template);

#endif

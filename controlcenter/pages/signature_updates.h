/* How scanners keep their signatures up to date, as the page of signatures shows it. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_SIGNATURE_UPDATES_H
#define GATEHOUSE_CONTROLCENTER_PAGES_SIGNATURE_UPDATES_H

#include "controlcenter/pages/pages.h"

/* The array "hosts": each scanner's signatures and last update. */
bool signature_updates_put(struct page *page, struct error *error);

/* Shows the page of signatures (signatures.c). */
void signatures_show(struct page *page);

/* What the agent of a scanner says of its updates: "update" of the row, with the flags missing,
 * running and failed and, where known, last_run, last_success and reason. Nothing for NULL. */
void signature_update_put(struct page *page, json_t *row, const json_t *status);

#endif

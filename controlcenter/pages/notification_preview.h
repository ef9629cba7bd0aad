/* What a template of a notification becomes, for its page. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_NOTIFICATION_PREVIEW_H
#define GATEHOUSE_CONTROLCENTER_PAGES_NOTIFICATION_PREVIEW_H

#include "controlcenter/pages/pages.h"

/* Sets "value_names": [{"shown","meaning"}], what may stand in a template. */
void notification_put_names(struct page *page);
/* Sets "preview": subject, text and html with the values of the newest incident; where there is
 * none, names stand for values. */
void notification_put_preview(struct page *page, const json_t *template);

/* notification_usual.c: whether the draft lacks one of the notifications to begin with. */
bool notification_usual_lacks(const json_t *document);

#endif

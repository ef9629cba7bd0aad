/* Lists in the order of their names that are shown a page at a time, and may be searched. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_PAGING_H
#define GATEHOUSE_CONTROLCENTER_PAGES_PAGING_H

#include "controlcenter/pages/pages.h"

#define PAGING_SIZE                                                                                \
    100 /* rows of a page; ask the store for one more, to see whether a page follows */

struct paging {
    struct page *page;
    const char *path;   /* of the list */
    const char *search; /* part of a name, or "" */
    const char *after;  /* the last name of the page before, or "" on the first */
};

/* Takes `search` and `after` from the address of the page (borrowed from its request; what is
 * longer than any name counts as nothing), and puts path, search and is_later for the templates. */
struct paging paging_begin(struct page *page, const char *path);
/* Puts `next`, the address of the page behind the one that ends with `last`. */
void paging_put_next(const struct paging *paging, const char *last);

#endif

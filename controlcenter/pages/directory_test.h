/* Trying a directory source from the Control Center. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_DIRECTORY_TEST_H
#define GATEHOUSE_CONTROLCENTER_PAGES_DIRECTORY_TEST_H

#include "controlcenter/pages/pages.h"

/* Asks each server step by step, and what a scanner would make of `address` ("" for none), and puts
 * the report into the page's data as "test". Takes as long as the source's time limits let it.
 * False with *error where the candidate is no valid source. */
bool directory_test(struct page *page, const struct fleet_directory_candidate *candidate,
                    const char *address, struct error *error);

#endif

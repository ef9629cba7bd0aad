/* What the pages of directory sources share. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_DIRECTORY_EDIT_H
#define GATEHOUSE_CONTROLCENTER_PAGES_DIRECTORY_EDIT_H

#include "controlcenter/pages/pages.h"

/* The source that the path of the request names; -1, which is none's, where it is no number. */
int64_t directory_id(const struct http_request *request);

#endif

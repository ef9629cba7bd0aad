/* Forms with files, for request.c. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_MULTIPART_H
#define GATEHOUSE_CONTROLCENTER_HTTP_MULTIPART_H

#include "controlcenter/http/http.h"

/* Whether a body of that type is a form with files (RFC 7578). */
bool http_is_multipart(const char *content_type);
/* Fills `form` and `files` from the body; 0 or the status to refuse the request with (400, 500). */
int http_parse_multipart(struct http_request *request, const char *content_type);

#endif

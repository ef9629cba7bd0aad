/* Files below the webroot, served as they are. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_STATIC_FILES_H
#define GATEHOUSE_CONTROLCENTER_HTTP_STATIC_FILES_H

#include "controlcenter/http/http.h"

#define STATIC_FILE_LIMIT (16u << 20) /* bytes */

/* Opens the webroot for static_file_serve; close(2) ends it. -1 with *error otherwise. */
int static_files_open(const char *webroot, struct error *error);

/* Answers a GET or HEAD for `name` ("css/console.css", decoded, relative to the webroot): 200, 304
 * by If-None-Match (RFC 9110 section 13.1.2), or a bare 404 or 500. A 304 has the body too, which
 * no transport sends, because its Content-Length has to be that of the 200 (section 8.6). Only
 * regular files are found, and never through a symbolic link or a name that starts with a dot. */
void static_file_serve(int webroot, const char *name, const struct http_request *request,
                       struct http_response *response);

#endif

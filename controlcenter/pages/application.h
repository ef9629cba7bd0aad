/* The console: what main.c puts together and what it serves. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_APPLICATION_H
#define GATEHOUSE_CONTROLCENTER_PAGES_APPLICATION_H

#include "controlcenter/fleet/fleet.h"
#include "controlcenter/http/http.h"
#include "controlcenter/http/template.h"
#include "controlcenter/store/store.h"

#include <stdatomic.h>

/* The context of the console's router; it must outlive the router. Zero what is not named when it
 * is made. The application owns nothing. */
struct application {
    struct store *store;
    struct template_set *templates;
    struct fleet *fleet;
    atomic_int hashing; /* passwords that are being hashed now; the pages' own */
};

/* Every page of the console, for http_router_new with a struct application as the context. */
extern const struct http_route page_routes[];

/* Sessions, protection against forged requests, and the forced change of a password. */
extern const struct http_guard page_guard;

/* For http_router_set_error_page. Works for an empty request and without a database. */
void page_draw_error(struct http_request *request, struct http_response *response, int status,
                     const char *message);

#endif

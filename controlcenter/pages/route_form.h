/* A route (common/config_model.h) as people edit it: by MX, or relays one a line. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_ROUTE_FORM_H
#define GATEHOUSE_CONTROLCENTER_PAGES_ROUTE_FORM_H

#include "controlcenter/pages/pages.h"

#define SMTP_PORT 25

/* Fills the fields "relays", "balance", "relays_mx", "tls" and "user", and the flags kind_mx or
 * kind_relay, from a route; NULL is delivery by MX. The password is not among them, has_password
 * says that there is one. */
void route_form_fill(struct form *form, const json_t *route);
/* Reads the fields into a route that the caller owns; a password that was left empty is that of
 * `present` (may be NULL). NULL where something was refused. */
json_t *route_form_read(struct form *form, const json_t *present);
/* Shows the refusal of a check whose `where` is a place in the route ("domains[0].route.relays[1].
 * host"). False where it is not. */
bool route_form_refuse(struct form *form, const struct error *error);

/* For lists: "mx", or "relays" with an array of {"endpoint":"host:port"}. */
void route_put(struct page *page, json_t *object, const char *name, const json_t *route);

#endif

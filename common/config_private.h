/* What the files of the configuration model share: reading parts of the document. */
#ifndef GATEHOUSE_COMMON_CONFIG_PRIVATE_H
#define GATEHOUSE_COMMON_CONFIG_PRIVATE_H

#include "common/config_model.h"
#include "common/json.h"

/* Refuses members of `object` that are not in `known` (ends with NULL). */
bool config_check_members(const json_t *object, const struct json_place *place,
                          const char *const *known, struct error *error);

/* A whole number of the document and the int of a struct that it goes to. */
struct config_number {
    const char *name;
    int64_t least, most, fallback;
    size_t offset;
};

/* Reads `count` numbers of `object` (NULL: all take their fallbacks) into the struct at `into`. */
bool config_read_numbers(const json_t *object, const struct json_place *place,
                         const struct config_number *numbers, size_t count, void *into,
                         struct error *error);

/* Zeroed memory for `count` elements; never NULL for 0. NULL with *error when memory ran out. */
void *config_allocate(size_t count, size_t size, struct error *error);

/* Reads `smtp` of the document. What was allocated before a failure is freed by config_free. */
bool config_read_smtp(const json_t *document, struct scanner_config *config, struct error *error);

/* Reads `smtp.tls`; without it both texts stay NULL. */
bool config_read_tls(const json_t *smtp, const struct json_place *smtp_place,
                     struct scanner_config *config, struct error *error);
/* Reads `tls` of a server. */
bool config_read_tls_mode(const json_t *server, const struct json_place *place,
                          bool has_certificate, enum config_tls_mode *mode, struct error *error);

/* Reads the route that is the value at `place`. */
bool config_read_route(const json_t *value, const struct json_place *place,
                       struct config_route *route, struct error *error);

/* Reads `domains` of the document: sorted, none twice. */
bool config_read_domains(const json_t *document, struct scanner_config *config,
                         struct error *error);

#endif

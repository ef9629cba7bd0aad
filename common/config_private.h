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

/* A copy of the text of member `name`, or NULL where it is missing; false with *error where it is
 * longer than `most` bytes with its NUL, or when memory ran out. */
bool config_read_text(const json_t *object, const struct json_place *place, const char *name,
                      size_t most, char **text, struct error *error);

/* Reads a TLS demand of deliveries; a missing member takes `fallback`. */
bool config_read_delivery_tls(const json_t *object, const struct json_place *place,
                              const char *name, enum config_delivery_tls fallback,
                              enum config_delivery_tls *tls, struct error *error);

/* Which of `names` (ends with NULL) the member's text is; a missing one is the first. */
bool config_read_choice(const json_t *object, const struct json_place *place, const char *name,
                        const char *const *names, int *choice, struct error *error);

/* An element of a list and its place in the document, to sort lists whose keys may not repeat. */
struct config_key {
    const char *key;
    size_t index;
};
/* Sorts the keys, and refuses a list (`place`) in which one stands twice. `member` names it. */
bool config_sort_keys(struct config_key *keys, size_t count, const struct json_place *place,
                      const char *member, struct error *error);
/* Puts the `count` elements of `size` bytes at `elements` into the order of the keys. */
bool config_sort_elements(void *elements, size_t count, size_t size, const struct config_key *keys,
                          struct error *error);

/* Reads `smtp` of the document. What was allocated before a failure is freed by config_free. */
bool config_read_smtp(const json_t *document, struct scanner_config *config, struct error *error);

/* Reads `smtp.tls`; without it both texts stay NULL. */
bool config_read_tls(const json_t *smtp, const struct json_place *smtp_place,
                     struct scanner_config *config, struct error *error);
/* Reads `smtp.delivery` (config_delivery.c). */
bool config_read_delivery(const json_t *smtp, const struct json_place *smtp_place,
                          struct config_delivery *delivery, struct error *error);
void config_free_delivery(struct config_delivery *delivery);
/* Reads `tls` of a server. */
bool config_read_tls_mode(const json_t *server, const struct json_place *place,
                          bool has_certificate, enum config_tls_mode *mode, struct error *error);

/* Reads the route that is the value at `place`. */
bool config_read_route(const json_t *value, const struct json_place *place,
                       struct config_route *route, struct error *error);

void config_free_route(struct config_route *route);

/* What counts where no policy says otherwise (config_malware.c). */
void config_usual_malware(struct config_malware_policy policies[CONFIG_VERDICT_COUNT]);
/* Reads the policies of the verdicts that `malware` names; the others stay. */
bool config_read_malware(const json_t *malware, const struct json_place *place,
                         struct config_malware_policy policies[CONFIG_VERDICT_COUNT],
                         struct error *error);

/* "user@example.com", "@example.com" or, where `below` allows it, "@.example.com", normalised into
 * `normal` (lower case, A-labels). Returns NULL or the reason (config_addresses.c). */
const char *config_normalise_left(const char *text, bool below, char normal[ADDRESS_SIZE]);

/* Reads `aliases`, `masquerades` and `bounce_protection` (config_addresses.c), after the domains.
 */
bool config_read_addresses(const json_t *document, struct scanner_config *config,
                           struct error *error);
void config_free_addresses(struct scanner_config *config);

/* Reads `directory` (config_directory.c). */
bool config_read_directory(const json_t *document, struct scanner_config *config,
                           struct error *error);
void config_free_directory(struct config_directory *directory);

/* Reads `signatures` (config_signatures.c). */
bool config_read_signatures(const json_t *document, struct scanner_config *config,
                            struct error *error);
void config_free_signatures(struct config_signatures *signatures);

/* Reads `domains` of the document: sorted, none twice. */
bool config_read_domains(const json_t *document, struct scanner_config *config,
                         struct error *error);

#endif

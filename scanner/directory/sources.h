/* The directory's part of one configuration: its users, its sources and the threads that ask them.
 * It lives as long as anybody holds it; a reload puts another one in its place, and questions that
 * are under way end with the one that they began with. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_SOURCES_H
#define GATEHOUSE_SCANNER_DIRECTORY_SOURCES_H

#include "common/config_model.h"
#include "common/error.h"
#include "scanner/directory/lookup.h"
#include "scanner/directory/proven.h"
#include "scanner/directory/work_pool.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct sources;

/* Takes `config` over, also where it fails. */
struct sources *sources_new(struct work_results *results, struct scanner_config *config,
                            struct error *error);
struct sources *sources_hold(struct sources *sources);
/* The last one ends the threads; `config` goes when they are gone. NULL is allowed. */
void sources_drop(struct sources *sources);
/* How many are still there in this process. */
size_t sources_alive(void);

/* What they were made of and what they remember; borrowed, for as long as they are held. */
const struct config_directory *sources_config(const struct sources *sources);
struct lookups *sources_lookups(struct sources *sources);
struct proven *sources_proven(struct sources *sources);
/* Whether both say the same: then the one that runs, with what it remembers, can stay. */
bool sources_same(const struct config_directory *one, const struct config_directory *other);

/* Whether a source is there for addresses of that (normalised) domain. */
bool sources_serves(const struct config_directory_source *source, const char *domain);

/* Work with a `struct ldap_session` as the thread's state. */
bool sources_add_work(struct sources *sources, size_t source, struct work *work);
/* Work without: password hashes, few at a time, as each takes much memory. */
bool sources_add_hash(struct sources *sources, struct work *work);

/* Counts an answer of a source, and logs where it begins or ceases to answer. */
void sources_note(struct sources *sources, size_t source, enum ldap_answer answer,
                  const struct error *error);
/* For the status: [{"name":S,"answers":B,"asked":N,"failed":N,"waiting":N}]. */
json_t *sources_json(struct sources *sources);

#endif

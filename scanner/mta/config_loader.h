/* Reads the configuration on a thread of its own: to parse 100,000 domains takes more than a
 * second, in which no session shall wait. */
#ifndef GATEHOUSE_SCANNER_MTA_CONFIG_LOADER_H
#define GATEHOUSE_SCANNER_MTA_CONFIG_LOADER_H

#include "common/config_model.h"

#include <event2/event.h>

struct config_loader;

/* On the loop's thread: `config` is the receiver's, or NULL with the error. `is_last` says that all
 * that was asked for is read; it is not where somebody asked while this was being read. */
typedef void (*config_loaded)(void *argument, struct scanner_config *config,
                              const struct error *error, bool is_last);

/* Borrows the paths of the envelope and of the key (config_load). */
struct config_loader *config_loader_new(struct event_base *base, const char *envelope,
                                        const char *key, config_loaded loaded, void *argument);
/* Waits for a thread that is at work; `loaded` is not called any more. */
void config_loader_free(struct config_loader *loader);
/* Reads what is there now. */
void config_loader_start(struct config_loader *loader);

#endif

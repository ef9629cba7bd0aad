/* What a scanner says of itself, read with suspicion: whatever is missing, malformed or out of
 * range is unknown, and unknown values are left out of what templates get. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_HOST_STATUS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_HOST_STATUS_H

#include "controlcenter/pages/pages.h"

#define HOST_SILENT_MS 90000 /* a scanner polls every 15 s */

struct host_queues { /* messages; -1: unknown */
    int64_t inbound;
    int64_t outbound;
    int64_t delivery;
};

enum host_state { HOST_NEVER_SEEN, HOST_SILENT, HOST_ONLINE };
enum host_configuration { HOST_CONFIGURATION_CURRENT, HOST_CONFIGURATION_SENT, HOST_REFUSED };

struct host_summary {
    enum host_state state;
    enum host_configuration configuration;
    struct host_queues queues; /* unknown unless the host is online */
    bool signatures_missing;   /* its engine knows the test signature only, or none */
    bool signatures_old;       /* for over a week */
    bool is_partly_unknown;    /* one of its processes does not answer */
    bool has_problem;          /* of its engine, its events or a service that does not run */
    bool needs_attention;      /* any of these, its state, configuration or mail flow */
};

/* Reads the status for decisions, and (where `row` is not NULL) fills a template's object with all
 * there is to show of the host. `now` in milliseconds. */
void host_summarise(const struct store_scanner *scanner, int64_t now, struct host_summary *summary);
void host_put(struct page *page, json_t *row, const struct store_scanner *scanner, int64_t now);
/* The members i_qmsgs, o_qmsgs and d_qmsgs, without those that are unknown. */
void host_put_queues(struct page *page, json_t *object, const struct host_queues *queues);

#endif

/* The master: holds the sockets, starts and replaces generations. Private to the engine. */
#ifndef GATEHOUSE_SCANNER_ENGINE_MASTER_H
#define GATEHOUSE_SCANNER_ENGINE_MASTER_H

#include "common/error.h"
#include "scanner/engine/board.h"
#include "scanner/engine/control.h"
#include "scanner/engine/dry_run.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/show_message.h"
#include "scanner/engine/signatures.h"
#include "scanner/engine/trial.h"

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MASTER_GENERATIONS 4 /* one serves, one loads, the others end */

enum generation_state { GENERATION_NONE, GENERATION_LOADING, GENERATION_ACTIVE, GENERATION_ENDING };

struct generation_entry {
    enum generation_state state;
    uint64_t number;
    pid_t pid;
    int socket; /* -1 once it was told to end */
    struct board *board;
    struct engine_settings settings;
    uint64_t fingerprint; /* of the signature files when it was started */
    json_t *signatures;   /* as in hello; NULL until it serves */
    char failure[700];    /* what it said before it ended; "" */
    int64_t kill_at_ms;   /* when it is no longer waited for */
};

/* A reload is answered when no worker with the old signatures takes a message any more, or when the
 * old generation takes long to end because of the scan that it finishes. */
struct handover {
    uint64_t number; /* of the generation that took over; 0: nothing to answer */
    uint64_t old;    /* the one that ends */
    int64_t answer_at_ms;
};

struct master {
    char state[ENGINE_PATH_SIZE];
    int listener;
    int signals;
    struct control *control;
    struct generation_entry generations[MASTER_GENERATIONS];
    struct handover handover;
    struct trial trials[TRIALS_MOST];
    struct show_message shows[SHOW_MESSAGES_MOST];
    struct dry_run dry_runs[DRY_RUNS_MOST];
    uint64_t next_trial;
    uint64_t next_number; /* of the generation that is started next */
    bool start_wanted;    /* start one as soon as there is room */
    int64_t start_at_ms;  /* and not before */
    int64_t check_at_ms;  /* when the signature folder is looked at next */
    uint64_t
        failed_fingerprint; /* signatures that could not be loaded are not tried every minute */
    uint64_t ended_scans;   /* of generations that are gone */
    char problem[700];      /* what is wrong at present; "" */
    bool stopping;
};

/* The generation in that state, or NULL. */
struct generation_entry *master_find(struct master *master, enum generation_state state);

/* What a request to reload leads to. */
enum reload_outcome {
    RELOAD_UNCHANGED, /* configuration and signatures are those that run */
    RELOAD_STARTED,   /* the generation *number decides how it ends */
    RELOAD_REFUSED,   /* *error */
};

/* Reads the configuration and looks at the signatures; starts a generation where something changed,
 * or `force`. */
enum reload_outcome master_reload(struct master *master, bool force, uint64_t *number,
                                  struct error *error);

/* Starts the wanted generation where there is room and its time has come. */
void master_start_wanted(struct master *master);
/* Takes what a generation that loads said on its socket. */
void master_hear(struct master *master, struct generation_entry *entry);
/* Collects processes that ended. */
void master_reap(struct master *master);
/* Tells every generation to end; at `kill_at_ms` it is killed. */
void master_end_all(struct master *master, int64_t kill_at_ms);
/* Answers those who wait for a reload whose time has come. */
void master_answer_handover(struct master *master);
/* Kills generations that do not end in time. */
void master_kill_late(struct master *master);

/* The reply to the control operation `status`; new reference. */
json_t *master_status(struct master *master);

#endif

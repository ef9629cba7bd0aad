/* A delivery over a real queue in a private folder, with peers; used by the test_delivery*.c. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_DELIVERY_SCENE_H
#define GATEHOUSE_TESTS_UNIT_TEST_DELIVERY_SCENE_H

#include "scanner/mta/delivery.h"
#include "test_delivery_peers.h"

#include <jansson.h>

struct scene {
    char folder[64];
    struct mta mta;
    struct peer peer; /* at relay.example's route */
    struct dns_server dns;
    unsigned accepted;
    json_t *events;                 /* all so far, in order */
    bool holding;                   /* due messages are not delivered */
    enum queue_direction direction; /* of what is sent */
};

struct scene_options {
    const char *delivery;  /* members of smtp.delivery, "" for none */
    const char *listeners; /* of the inbound server: members of the list, or NULL */
    const char *domains;   /* further ones, each with a comma before it */
    const char *members;   /* of the document, each with a comma before it, or NULL */
    const struct dns_record *records;
};

struct scene_message {
    const char *sender;
    const char *recipients[8]; /* until NULL */
    uint8_t notify;
    const char *original; /* of each */
    uint8_t flags;
    const char *envelope_id, *extra_header;
    const char *body;
    int64_t age_ms;
};

/* The domain relay.example goes to scene->peer, all others by MX. */
void scene_open(struct scene *scene, const struct scene_options *options);
/* The same in two steps, for options that name further peers on the same loop. */
void scene_open_on(struct scene *scene, struct event_base *base);
/* ... in a folder that another scene left ("": a new one). */
void scene_open_in(struct scene *scene, struct event_base *base, const char *folder);
void scene_start(struct scene *scene, const struct scene_options *options);
void scene_close(struct scene *scene);
/* Starts queue and delivery again, as after a crash of the process. */
void scene_restart(struct scene *scene, const struct scene_options *options);

/* Queues a message, on stable storage when it returns. */
struct message_id scene_send(struct scene *scene, const struct scene_message *message);
/* A plain one from <from@sender.example>. */
struct message_id scene_send_to(struct scene *scene, const char *recipient);
void scene_send_draft(struct scene *scene, const struct queue_draft_recipient *recipients,
                      size_t count);
/* `count` messages at once. */
void scene_send_many(struct scene *scene, const char *recipient, unsigned count);

/* Runs the loop until `count` events of that type are there (else the test fails), and returns the
 * last of these (borrowed). */
json_t *scene_await(struct scene *scene, const char *type, size_t count);
/* Number of events of the type so far. */
size_t scene_count(struct scene *scene, const char *type);
/* Number of "delivery" events with that outcome. */
size_t scene_count_outcome(struct scene *scene, const char *outcome);
/* Runs the loop for so long. */
void scene_run(struct scene *scene, int milliseconds);
/* Runs the loop until *value >= count. */
void scene_await_number(struct scene *scene, const unsigned *value, unsigned count);
/* Runs the loop until the queue is empty. */
void scene_await_empty(struct scene *scene);

const char *scene_text(const json_t *event, const char *member);
void scene_assert_event(const json_t *event, const char *outcome, const char *reply);
void scene_assert_contains(const char *text, const char *part);

#endif

/* The intake over a real queue, for its tests; the engine is the test. */
#ifndef GATEHOUSE_TESTS_INTAKE_SCENE_H
#define GATEHOUSE_TESTS_INTAKE_SCENE_H

#include "common/timestamp.h"
#include "scanner/mta/config_ref.h"
#include "scanner/mta/intake_private.h"
#include "scanner/mta/scan_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define BODY "Subject: test\r\n\r\nHello.\r\n"
#define CLEAN_BODY "Subject: test\r\n\r\nThis was removed.\r\n"
#define SCANS_MOST 64

/* A scan that intake asked for and that nobody has answered yet. */
struct asked {
    struct message_id id;
    uint32_t clean;
    bool asks_policy;
    char envelope[2048]; /* as it was sent; "" none */
    scan_done done;
    void *argument;
};

struct scene {
    char folder[64];
    struct mta mta;
    struct asked asked[SCANS_MOST];
    size_t asked_count, scans; /* waiting, and so far */
    unsigned due;              /* messages that were to be delivered */
    unsigned answers;          /* of the intake, or accepted by the queue */
    int refuse_at; /* the queue refuses the n-th message from now on (1: the next); 0: none */
    char reply[256];
    json_t *events;
};

#define CLEAN "{\"verdict\":\"clean\",\"verdicts\":[],\"threats\":[]}"
#define VIRUS                                                                                      \
    "{\"verdict\":\"virus\",\"verdicts\":[\"virus\"],\"threats\":[{\"name\":\"Eicar\","            \
    "\"part\":\"a.zip/b.com\",\"verdict\":\"virus\"}]"

extern struct scene scene;

/* What the configuration has in policies.malware, or beside it. */
void configure(const char *malware);
void configure_policies(const char *policies);
void start(void);
void stop(void);
int open_scene(void **state);
int close_scene(void **state);
void turn(int milliseconds);
void await_scan(size_t count);
void await_answers(unsigned count);
struct queue_draft new_draft(int64_t age_ms);
struct message_id queue_one(int64_t age_ms);
struct message_id submit_one(void);
/* Without waiting for its scan. */
struct message_id submit_to(const struct queue_draft_recipient *recipients, size_t count);
void answer(const char *text, int cleaned);
/* Answers with what the filters say, too (`bodies` ends with NULL); `policy` NULL: nothing. */
void answer_filters(const char *result, const char *policy, const char *const *bodies);
int file_with(const char *text);
const char *virus_cleaned(long size);
bool is_suspect(const struct message_id *id);
bool is_going_out(const struct message_id *id);
const json_t *last_event(const char *type, const struct message_id *id);
/* Fails where there is no event of the type about the message that concerns the recipient. */
const json_t *last_event_of(const char *type, const struct message_id *id, int recipient);
size_t count_events(const char *type, const struct message_id *id);
void assert_action(const struct message_id *id, const char *action, const char *detail);
void expect_body(const struct queue_message *message, const char *text);

#define intake_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

#endif

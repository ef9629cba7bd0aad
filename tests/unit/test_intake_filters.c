/* What becomes of messages whose recipients have different policies; the test says what the content
 * filters say. */
#include "intake_scene.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "scanner/mta/directory_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILTER                                                                                     \
    "\"filters\":[{\"id\":\"pay\",\"name\":\"Payroll\",\"conditions\":[{\"field\":\"subject\","    \
    "\"op\":\"contains\",\"values\":[\"pay\"]}],\"actions\":[{\"action\":\"delete\"}]}]"
#define MET "\"filters\":[{\"id\":\"pay\",\"name\":\"Payroll\"}],\"decided_by\":\"pay\""

static const struct queue_draft_recipient people[] = {{.address = "ann@example.test"},
                                                      {.address = "bob@example.test"},
                                                      {.address = "cy@example.test"}};

static int open_filters(void **state)
{
    open_scene(state);
    configure_policies(FILTER);
    return 0;
}

/* Submits to everybody; the filters say `outcomes`. */
static struct message_id submit(const char *outcomes, const char *const *bodies)
{
    char policy[4096];
    struct message_id id = submit_to(people, 3);
    unsigned before = scene.answers;
    await_scan(1);
    snprintf(policy, sizeof(policy), "{\"outcomes\":[%s],\"finds\":[],\"problem\":\"\"}", outcomes);
    answer_filters(CLEAN, policy, bodies);
    await_answers(before + 1);
    return id;
}

static void assert_fate(const struct message_id *id, int recipient, const char *action,
                        const char *policy)
{
    const json_t *event = last_event_of("action", id, recipient);
    const char *told = json_string_value(json_object_get(event, "policy"));
    assert_string_equal(json_string_value(json_object_get(event, "action")), action);
    assert_string_equal(told ? told : "none", policy);
}

static struct queue_message *moved_from(const struct message_id *id, int recipient)
{
    const json_t *event = last_event_of("action", id, recipient);
    const char *detail = json_string_value(json_object_get(event, "detail"));
    struct message_id other;
    assert_string_equal(json_string_value(json_object_get(event, "action")), "move");
    assert_true(message_id_parse(strstr(detail, "as message ") + 11, &other));
    struct queue_message *message = queue_find(scene.mta.queue, &other);
    assert_non_null(message);
    return message;
}

static bool collect(void *argument, struct queue_message *message)
{
    struct queue_message **found = argument;
    while (*found)
        found++;
    *found = message;
    return true;
}

/* The queued message to that address alone. */
static struct queue_message *message_to(const char *address)
{
    struct queue_message *all[32] = {0};
    queue_each(scene.mta.queue, collect, all);
    for (size_t i = 0; all[i]; i++)
        if (all[i]->recipient_count == 1 && strcmp(all[i]->recipients[0].address, address) == 0)
            return all[i];
    fail_msg("there is no message to %s", address);
    return NULL;
}

static size_t queue_size(void)
{
    struct queue_message *all[32] = {0};
    size_t count = 0;
    turn(50);
    queue_each(scene.mta.queue, collect, all);
    while (all[count])
        count++;
    return count;
}

static const char *recipient_of(const struct message_id *id, size_t index)
{
    const json_t *event = last_event("received", id);
    return json_string_value(json_array_get(json_object_get(event, "recipients"), index));
}

/* --- one result for all --- */

static void one_result_for_all_is_one_message(void **state)
{
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[0,1,2],\"disposition\":\"deliver\",\"filters\":[]}", NULL);
    assert_true(is_going_out(&id));
    assert_int_equal(queue_size(), 1);
    assert_int_equal(queue_find(scene.mta.queue, &id)->recipient_count, 3);
    assert_int_equal(count_events("filters", &id), 0);
    assert_memory_equal(scene.reply, "250 2.0.0 Ok: queued as ", 24);
}

static void the_engine_is_told_who_everybody_is(void **state)
{
    (void)state;
    configure_policies("\"groups\":[{\"id\":\"board\",\"name\":\"Board\",\"members\":["
                       "\"bob@example.test\"]}]," FILTER);
    submit_to(people, 2);
    await_scan(1);
    assert_true(scene.asked[0].asks_policy);
    cleanup_json json_t *envelope = json_loads(scene.asked[0].envelope, 0, NULL);
    const json_t *bob = json_array_get(json_object_get(envelope, "recipients"), 1);
    assert_string_equal(json_string_value(json_object_get(envelope, "direction")), "inbound");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(envelope, "sender"), "group")),
        "default");
    assert_string_equal(json_string_value(json_object_get(bob, "address")), "bob@example.test");
    assert_string_equal(json_string_value(json_object_get(bob, "group")), "board");
    answer(CLEAN, -1);
    await_answers(1);
}

static void without_enabled_filters_the_engine_is_asked_nothing(void **state)
{
    (void)state;
    configure_policies("\"groups\":[]");
    submit_to(people, 1);
    await_scan(1);
    assert_false(scene.asked[0].asks_policy);
    answer(CLEAN, -1);
    await_answers(1);
}

/* --- several results --- */

static void each_recipient_gets_the_own_outcome(void **state)
{
    const char *bodies[] = {"Subject: test\r\n\r\nHello, annotated.\r\n", NULL};
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[0],\"disposition\":\"delete\"," MET "},"
               "{\"recipients\":[2],\"disposition\":\"deliver\",\"body\":0," MET "},"
               "{\"recipients\":[1],\"disposition\":\"deliver\",\"filters\":[],"
               "\"header\":\"X-Seen: yes\\r\\n\"}",
               bodies);
    /* The first share that is delivered keeps the message: its recipient is the first one. */
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    assert_int_equal(message->recipient_count, 1);
    assert_string_equal(message->recipients[0].address, "cy@example.test");
    assert_string_equal(recipient_of(&id, 0), "cy@example.test");
    expect_body(message, bodies[0]);
    assert_fate(&id, 0, "deliver", "filter: Payroll");
    assert_string_equal(recipient_of(&id, 1), "ann@example.test");
    assert_fate(&id, 1, "delete", "filter: Payroll");
    assert_string_equal(recipient_of(&id, 2), "bob@example.test");
    struct queue_message *other = moved_from(&id, 2);
    assert_string_equal(other->recipients[0].address, "bob@example.test");
    assert_string_equal(other->extra_header, "X-Seen: yes\r\n");
    expect_body(other, BODY);
    assert_fate(&other->id, 0, "deliver", "none");
    assert_int_equal(queue_size(), 2);
    assert_int_equal(scene.due, 2);
}

static void groups_have_malware_policies_of_their_own(void **state)
{
    (void)state;
    configure_policies(
        "\"malware\":{\"virus\":{\"action\":\"delete\"}},\"groups\":[{\"id\":\"lab\","
        "\"name\":\"Lab\",\"members\":[\"@example.test\"],\"malware\":{\"inbound\":"
        "{\"virus\":{\"action\":\"deliver\"}}}}]");
    const struct queue_draft_recipient to[] = {{.address = "x@other.test"},
                                               {.address = "Ann@Example.Test"}};
    struct message_id id = submit_to(to, 2);
    await_scan(1);
    answer(VIRUS "}", -1);
    await_answers(1);
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    assert_int_equal(message->recipient_count, 1);
    assert_string_equal(message->recipients[0].address, "Ann@Example.Test");
    assert_fate(&id, 0, "deliver", "malware.virus");
    assert_fate(&id, 1, "delete", "malware.virus");
}

static void all_rejected_is_told_in_the_session(void **state)
{
    (void)state;
    struct message_id id = submit("{\"recipients\":[0,1,2],\"disposition\":\"reject\",\"text\":"
                                  "\"No payroll\\r\\nhere\"," MET "}",
                                  NULL);
    assert_string_equal(scene.reply, "554 5.7.1 No payroll  here");
    assert_int_equal(queue_size(), 0);
    assert_fate(&id, 1, "reject", "filter: Payroll");
}

static void some_rejected_are_reported_to_the_sender(void **state)
{
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[1],\"disposition\":\"reject\",\"text\":\"No payroll\"," MET "},"
               "{\"recipients\":[0,2],\"disposition\":\"deliver\",\"filters\":[]}",
               NULL);
    assert_memory_equal(scene.reply, "250 ", 4);
    assert_int_equal(queue_find(scene.mta.queue, &id)->recipient_count, 2);
    assert_string_equal(recipient_of(&id, 2), "bob@example.test");
    assert_fate(&id, 2, "bounce", "filter: Payroll");
    struct queue_message *report = message_to("from@sender.example");
    char body[4096] = "";
    struct error error = {0};
    assert_string_equal(report->sender, "");
    assert_true(queue_read_body(scene.mta.queue, report, 0, body, sizeof(body) - 1, &error) > 0);
    assert_non_null(strstr(body, "Final-Recipient: rfc822; bob@example.test"));
    assert_non_null(strstr(body, "554 5.7.1 No payroll"));
    assert_null(strstr(body, "ann@example.test"));
    assert_string_equal(
        json_string_value(json_object_get(last_event_of("bounced", &id, 2), "address")),
        "bob@example.test");
}

static void all_deferred_is_told_in_the_session(void **state)
{
    (void)state;
    submit("{\"recipients\":[0,1,2],\"disposition\":\"defer\"," MET "}", NULL);
    assert_memory_equal(scene.reply, "451 4.7.1 ", 10);
    assert_int_equal(queue_size(), 0);
}

static void some_deferred_wait_and_are_scanned_again(void **state)
{
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[0],\"disposition\":\"defer\"," MET "},"
               "{\"recipients\":[1,2],\"disposition\":\"deliver\",\"filters\":[]}",
               NULL);
    struct queue_message *waiting = moved_from(&id, 2);
    assert_int_equal(waiting->state, QUEUE_TO_BE_SCANNED);
    await_scan(1);
    answer_filters(CLEAN, "{\"outcomes\":[{\"recipients\":[0],\"disposition\":\"defer\"," MET "}]}",
                   NULL);
    turn(100);
    assert_int_equal(waiting->recipients[0].attempts, 1);
    assert_true(waiting->recipients[0].next_attempt > timestamp_now_ms() + 200000);
    turn(1200);
    assert_int_equal(scene.asked_count, 0);
}

/* --- actions --- */

#define ACTIONS "\"disposition\":\"deliver\"," MET ",\"actions\":"

static void copies_go_on_by_themselves(void **state)
{
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[0,1]," ACTIONS
               "[{\"action\":\"bcc\",\"address\":\"bcc@x.test\",\"filter\":\"pay\"},"
               "{\"action\":\"archive\",\"address\":\"arc@x.test\",\"filter\":\"pay\"},"
               "{\"action\":\"forward\",\"address\":\"fwd@x.test\",\"filter\":\"pay\"},"
               "{\"action\":\"add_recipient\",\"address\":\"add@x.test\",\"filter\":\"pay\"},"
               "{\"action\":\"add_recipient\",\"address\":\"cy@example.test\"}]},"
               "{\"recipients\":[2],\"disposition\":\"deliver\",\"filters\":[]}",
               NULL);
    char body[4096] = "";
    struct error error = {0};
    assert_int_equal(queue_size(), 5); /* they are delivered alike, so that it is one message */
    assert_int_equal(queue_find(scene.mta.queue, &id)->recipient_count, 3);
    assert_string_equal(message_to("bcc@x.test")->sender, "from@sender.example");
    expect_body(message_to("bcc@x.test"), BODY);
    expect_body(message_to("add@x.test"), BODY);
    expect_body(message_to("arc@x.test"), "X-Gatehouse-Sender: <from@sender.example>\r\n"
                                          "X-Gatehouse-Recipient: <ann@example.test>\r\n"
                                          "X-Gatehouse-Recipient: <bob@example.test>\r\n" BODY);
    struct queue_message *forward = message_to("fwd@x.test");
    assert_string_equal(forward->sender, "");
    assert_true(queue_read_body(scene.mta.queue, forward, 0, body, sizeof(body) - 1, &error) > 0);
    assert_non_null(strstr(body, "Content-Type: message/rfc822\r\n"));
    assert_non_null(strstr(body, BODY));
    assert_fate(&forward->id, 0, "deliver", "filter: Payroll");
    turn(50);
    assert_int_equal(scene.asked_count, 0);
}

static void a_forward_counts_the_hops_of_what_it_forwards(void **state)
{
    static const char received[] = "Received: from a\r\n by b; now\r\n";
    (void)state;
    const char *bodies[] = {"Received: from a\r\n by b; now\r\nSubject: x\r\n\r\nHello.\r\n", NULL};
    submit("{\"recipients\":[0,1,2],\"body\":0," ACTIONS
           "[{\"action\":\"forward\",\"address\":\"fwd@x.test\"}]}",
           bodies);
    char body[4096] = "";
    struct error error = {0};
    struct queue_message *forward = message_to("fwd@x.test");
    assert_true(queue_read_body(scene.mta.queue, forward, 0, body, sizeof(body) - 1, &error) > 0);
    assert_memory_equal(body, received, strlen(received));
}

static void routes_and_tls_are_those_of_the_share(void **state)
{
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[0],\"disposition\":\"deliver\",\"filters\":[]},"
               "{\"recipients\":[1,2]," ACTIONS
               "[{\"action\":\"route\",\"host\":\"127.0.0.9:26\"},{\"action\":\"require_tls\"}]}",
               NULL);
    struct queue_message *other = moved_from(&id, 1);
    assert_int_equal(other->recipient_count, 2);
    assert_string_equal(other->recipients[1].route, "127.0.0.9:26");
    assert_true(other->flags & QUEUE_FLAG_REQUIRE_TLS);
    assert_false(queue_find(scene.mta.queue, &id)->flags & QUEUE_FLAG_REQUIRE_TLS);
    assert_null(queue_find(scene.mta.queue, &id)->recipients[0].route);
}

static void removed_recipients_give_way_to_added_ones(void **state)
{
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[0,1,2]," ACTIONS "[{\"action\":\"remove_recipients\"},"
               "{\"action\":\"add_recipient\",\"address\":\"boss@x.test\"}]}",
               NULL);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_int_equal(queue_size(), 1);
    expect_body(message_to("boss@x.test"), BODY);
    assert_fate(&id, 0, "delete", "filter: Payroll");
}

/* --- incidents --- */

#define LEGAL                                                                                      \
    "[{\"action\":\"incident\",\"folder\":\"legal\",\"folder_name\":\"Legal\",\"quarantine\":"     \
    "true,"                                                                                        \
    "\"filter\":\"pay\"}]"

static void what_is_held_is_handed_over(void **state)
{
    (void)state;
    struct message_id id =
        submit("{\"recipients\":[0,2],\"disposition\":\"hold\"," MET ",\"actions\":" LEGAL "},"
               "{\"recipients\":[1],\"disposition\":\"deliver\",\"filters\":[]}",
               NULL);
    assert_int_equal(queue_find(scene.mta.queue, &id)->recipient_count, 1);
    assert_fate(&id, 1, "hold", "filter: Payroll");
    assert_fate(&id, 2, "hold", "filter: Payroll");
    const json_t *event = last_event("incident", &id);
    struct message_id copy;
    assert_true(message_id_parse(json_string_value(json_object_get(event, "copy")), &copy));
    assert_string_equal(json_string_value(json_object_get(event, "folder")), "legal");
    const struct queue_message *held = queue_find(scene.mta.queue, &copy);
    assert_int_equal(held->state, QUEUE_TO_BE_HANDED_OVER);
    expect_body(held, BODY);
    cleanup_json json_t *info = json_loads(held->extra_header, 0, NULL);
    char text[MESSAGE_ID_TEXT_SIZE];
    assert_string_equal(json_string_value(json_object_get(info, "message")),
                        message_id_text(&id, text));
    assert_string_equal(json_string_value(json_array_get(json_object_get(info, "recipients"), 1)),
                        "cy@example.test");
    assert_true(json_is_true(json_object_get(info, "quarantine")));
    assert_int_equal(scene.due, 1);
}

static void an_informational_folder_gets_a_copy(void **state)
{
    (void)state;
    struct message_id id = submit("{\"recipients\":[0,1,2]," ACTIONS
                                  "[{\"action\":\"incident\",\"folder\":\"log\",\"folder_name\":"
                                  "\"Log\",\"quarantine\":false,\"filter\":\"pay\"}]}",
                                  NULL);
    assert_true(is_going_out(&id));
    assert_int_equal(queue_find(scene.mta.queue, &id)->recipient_count, 3);
    assert_int_equal(count_events("incident", &id), 1);
    assert_int_equal(queue_size(), 2);
}

/* --- the audit log --- */

static void the_filters_and_their_notifications_are_on_record(void **state)
{
    (void)state;
    struct message_id id = submit(
        "{\"recipients\":[1]," ACTIONS
        "[{\"action\":\"notify\",\"template\":\"t1\",\"to\":[\"sender\"],\"filter\":\"pay\"}]},"
        "{\"recipients\":[0,2],\"disposition\":\"deliver\",\"filters\":[]}",
        NULL);
    const json_t *event = last_event("filters", &id);
    const json_t *outcome = json_array_get(json_object_get(event, "outcomes"), 0);
    const json_t *notify = json_array_get(json_object_get(event, "notify"), 0);
    assert_int_equal(json_array_size(json_object_get(event, "outcomes")), 1);
    assert_string_equal(json_string_value(json_object_get(outcome, "disposition")), "deliver");
    assert_string_equal(json_string_value(json_object_get(notify, "template")), "t1");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(notify, "recipients"), 0)),
                     1);
    assert_int_equal(queue_size(), 1);
}

/* --- what goes wrong --- */

static void a_failed_engine_leaves_the_malware_policy_alone_to_decide(void **state)
{
    (void)state;
    configure_policies("\"malware\":{\"unscannable\":{\"action\":\"reject\"}}," FILTER);
    struct message_id id = submit_to(people, 3);
    await_scan(1);
    answer_filters("{\"verdict\":\"clean\",\"verdicts\":[],\"threats\":[],\"policy\":false,"
                   "\"policy_problem\":\"no memory\"}",
                   NULL, NULL);
    await_answers(1);
    assert_memory_equal(scene.reply, "554 5.7.1 ", 10);
    assert_fate(&id, 0, "reject", "malware.unscannable");
    assert_string_equal(json_string_value(json_object_get(last_event("filters", &id), "problem")),
                        "the filters could not be evaluated: no memory");
}

static void no_lie_of_an_engine_is_believed(void **state)
{
    static const char *const lies[] = {
        "",
        "[]",
        "{}",
        "{\"outcomes\":[]}",
        "{\"outcomes\":[{\"recipients\":[0,1],\"disposition\":\"deliver\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2,2],\"disposition\":\"deliver\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,3],\"disposition\":\"deliver\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,-1],\"disposition\":\"deliver\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2],\"disposition\":\"eat\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2],\"disposition\":\"hold\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2],\"disposition\":\"deliver\",\"body\":0}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2],\"disposition\":\"deliver\",\"header\":\"X\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2],\"disposition\":\"deliver\",\"header\":"
        "\"X: y\\r\\n\\r\\nZ: y\\r\\n\"}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2],\"disposition\":\"deliver\",\"actions\":"
        "[{\"action\":\"launch\"}]}]}",
        "{\"outcomes\":[{\"recipients\":[0,1,2],\"disposition\":\"deliver\",\"actions\":"
        "[{\"action\":\"bcc\"}]}]}",
    };
    (void)state;
    configure_policies("\"malware\":{\"unscannable\":{\"action\":\"reject\"}}," FILTER);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        submit_to(people, 3);
        await_scan(1);
        answer_filters(CLEAN, lies[i], NULL);
        await_answers((unsigned)i + 1);
        if (strncmp(scene.reply, "554 5.7.1 ", 10) != 0)
            fail_msg("%s got %s", lies[i], scene.reply);
    }
    assert_int_equal(queue_size(), 0);
}

static void a_virus_that_is_deleted_is_nothing_that_filters_act_upon(void **state)
{
    (void)state;
    configure_policies("\"malware\":{\"virus\":{\"action\":\"delete\"}}," FILTER);
    struct message_id id = submit_to(people, 3);
    await_scan(1);
    answer_filters(VIRUS "}",
                   "{\"outcomes\":[{\"recipients\":[0,1,2]," ACTIONS
                   "[{\"action\":\"bcc\",\"address\":\"bcc@x.test\"}]}]}",
                   NULL);
    await_answers(1);
    assert_int_equal(queue_size(), 0);
    assert_fate(&id, 2, "delete", "malware.virus");
}

#define TWO_MORE                                                                                   \
    "{\"recipients\":[0],\"disposition\":\"deliver\",\"filters\":[]},"                             \
    "{\"recipients\":[1]," ACTIONS "[{\"action\":\"bcc\",\"address\":\"bcc@x.test\"}]},"           \
    "{\"recipients\":[2],\"header\":\"X-Y: z\\r\\n\"," ACTIONS "[]}"

/* Of the three messages that come of it any one may find no room: the sender sends it again, so
 * that nothing of it may be delivered. */
static void what_cannot_be_stored_wholly_is_not_delivered_in_part(void **state)
{
    (void)state;
    for (int refused = 1; refused <= 3; refused++) {
        scene.refuse_at = refused;
        submit(TWO_MORE, NULL);
        assert_memory_equal(scene.reply, "452 4.3.1 ", 10);
        assert_int_equal(scene.refuse_at, 0);
        assert_int_equal(queue_size(), 0);
    }
    submit(TWO_MORE, NULL);
    assert_int_equal(queue_size(), 3);
    assert_int_equal(scene.due, 3);
}

static void a_queued_message_of_which_not_all_is_stored_waits_as_it_is(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    scene.refuse_at = 2;
    answer_filters(CLEAN,
                   "{\"outcomes\":[{\"recipients\":[0]," ACTIONS
                   "[{\"action\":\"bcc\",\"address\":\"bcc@x.test\"}]},"
                   "{\"recipients\":[1]," ACTIONS
                   "[{\"action\":\"route\",\"host\":\"127.0.0.9:26\"}]}]}",
                   NULL);
    turn(200);
    assert_int_equal(scene.refuse_at, 0);
    assert_int_equal(queue_size(), 1);
    assert_int_equal(queue_find(scene.mta.queue, &id)->state, QUEUE_TO_BE_SCANNED);
    assert_int_equal(queue_find(scene.mta.queue, &id)->open_recipients, 2);
    assert_int_equal(scene.due, 0);
}

/* The sanitizers tell whether anything is left. */
static void a_stop_while_messages_are_stored_leaves_nothing(void **state)
{
    (void)state;
    queue_one(0);
    await_scan(1);
    answer_filters(CLEAN,
                   "{\"outcomes\":[{\"recipients\":[0]," ACTIONS
                   "[{\"action\":\"bcc\",\"address\":\"bcc@x.test\"}]},"
                   "{\"recipients\":[1],\"disposition\":\"deliver\",\"filters\":[]}]}",
                   NULL);
    submit_to(people, 3);
    answer_filters(CLEAN, "{\"outcomes\":[" TWO_MORE "]}", NULL);
    stop();
    start();
}

/* --- directory groups --- */

#define LAB                                                                                        \
    "\"groups\":[{\"id\":\"lab\",\"name\":\"Lab\",\"members\":[\"group:Chemists\"],"               \
    "\"malware\":{\"inbound\":{\"virus\":{\"action\":\"deliver\"}}}}]"

/* A directory process in which cy alone is a chemist; it answers `most` questions. */
static void be_the_directory(int listener, int most)
{
    int64_t end = timestamp_monotonic_ms() + 10000;
    int peer = -1, none;
    while (most > 0 && timestamp_monotonic_ms() < end) {
        turn(2);
        if (peer < 0)
            peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        cleanup_json json_t *frame = peer >= 0 ? ipc_packet_receive(peer, &none, NULL) : NULL;
        const json_t *question = json_object_get(frame, "groups");
        if (!question)
            continue;
        bool is_cy =
            strcmp(json_string_value(json_object_get(question, "address")), "cy@example.test") == 0;
        cleanup_json json_t *answer =
            json_pack("{s:{s:O,s:s,s:[s]}}", "answer", "id", json_object_get(question, "id"),
                      "status", "known", "groups", is_cy ? "Chemists" : "Poets");
        assert_true(ipc_packet_send(peer, answer, -1, NULL));
        most--;
    }
    assert_int_equal(most, 0);
    turn(50);
    close(peer);
}

static void directory_groups_are_asked_for_before_the_scan(void **state)
{
    char path[128];
    (void)state;
    configure_policies(LAB);
    snprintf(path, sizeof(path), "%s/directory.sock", scene.folder);
    cleanup_fd int listener = ipc_listen(path, SOCK_SEQPACKET, 0600, NULL);
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    scene.mta.directory = directory_client_new(scene.mta.base, path);
    struct message_id id = submit_to(people, 3);
    assert_int_equal(scene.asked_count, 0);
    be_the_directory(listener, 4); /* the sender and three recipients */
    await_scan(1);
    answer(VIRUS "}", -1);
    await_answers(1);
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    assert_int_equal(message->recipient_count, 1);
    assert_string_equal(message->recipients[0].address, "cy@example.test");
    directory_client_free(scene.mta.directory);
    scene.mta.directory = NULL;
}

static void nobody_is_judged_while_the_directory_is_away(void **state)
{
    (void)state;
    configure_policies(LAB);
    scene.mta.directory = directory_client_new(scene.mta.base, "/nonexistent/directory.sock");
    struct message_id id = submit_to(people, 3);
    await_answers(1); /* after the client's 2 s of patience */
    assert_memory_equal(scene.reply, "250 ", 4);
    assert_int_equal(scene.scans, 0);
    assert_int_equal(queue_find(scene.mta.queue, &id)->state, QUEUE_TO_BE_SCANNED);
    turn(2500);
    assert_int_equal(scene.scans, 0);
    directory_client_free(scene.mta.directory);
    scene.mta.directory = NULL;
}

/* --- from the queue --- */

static void a_queued_message_is_divided_too(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer_filters(CLEAN,
                   "{\"outcomes\":[{\"recipients\":[0],\"disposition\":\"reject\"," MET "},"
                   "{\"recipients\":[1]," ACTIONS
                   "[{\"action\":\"route\",\"host\":\"127.0.0.9:26\"}]}]}",
                   NULL);
    turn(200);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_fate(&id, 0, "bounce", "filter: Payroll");
    const struct queue_message *other = moved_from(&id, 1);
    assert_string_equal(other->recipients[0].address, "b@example.test");
    assert_string_equal(other->recipients[0].route, "127.0.0.9:26");
    assert_string_equal(other->envelope_id, "env1");
    message_to("from@sender.example");
}

static void some_go_on_while_others_stay_in_quarantine(void **state)
{
    (void)state;
    configure_policies(
        "\"malware\":{\"virus\":{\"action\":\"deliver\"}},\"groups\":[{\"id\":\"lab\","
        "\"name\":\"Lab\",\"members\":[\"a@example.test\"],\"malware\":{\"inbound\":"
        "{\"virus\":{\"action\":\"quarantine\"}}}}]");
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(200);
    assert_true(is_suspect(&id));
    assert_int_equal(queue_find(scene.mta.queue, &id)->open_recipients, 1);
    assert_string_equal(moved_from(&id, 1)->recipients[0].address, "b@example.test");
    assert_int_equal(scene.asked_count, 0);
    assert_fate(&id, 0, "quarantine", "malware.virus");
}

#define filters_test(function) cmocka_unit_test_setup_teardown(function, open_filters, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        filters_test(one_result_for_all_is_one_message),
        filters_test(the_engine_is_told_who_everybody_is),
        filters_test(without_enabled_filters_the_engine_is_asked_nothing),
        filters_test(each_recipient_gets_the_own_outcome),
        filters_test(groups_have_malware_policies_of_their_own),
        filters_test(all_rejected_is_told_in_the_session),
        filters_test(some_rejected_are_reported_to_the_sender),
        filters_test(all_deferred_is_told_in_the_session),
        filters_test(some_deferred_wait_and_are_scanned_again),
        filters_test(copies_go_on_by_themselves),
        filters_test(a_forward_counts_the_hops_of_what_it_forwards),
        filters_test(routes_and_tls_are_those_of_the_share),
        filters_test(removed_recipients_give_way_to_added_ones),
        filters_test(what_is_held_is_handed_over),
        filters_test(an_informational_folder_gets_a_copy),
        filters_test(the_filters_and_their_notifications_are_on_record),
        filters_test(a_failed_engine_leaves_the_malware_policy_alone_to_decide),
        filters_test(no_lie_of_an_engine_is_believed),
        filters_test(a_virus_that_is_deleted_is_nothing_that_filters_act_upon),
        filters_test(what_cannot_be_stored_wholly_is_not_delivered_in_part),
        filters_test(a_queued_message_of_which_not_all_is_stored_waits_as_it_is),
        filters_test(a_stop_while_messages_are_stored_leaves_nothing),
        filters_test(directory_groups_are_asked_for_before_the_scan),
        filters_test(nobody_is_judged_while_the_directory_is_away),
        filters_test(a_queued_message_is_divided_too),
        filters_test(some_go_on_while_others_stay_in_quarantine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* run/mta.sock: requests are answered one after the other, also those that come together. */
#include "test_mta_line.h"

static void a_request_behind_one_that_waits_needs_no_further_data(void **state)
{
    struct line *line = *state;
    static const char *const requests[] = {
        "{\"op\":\"events\",\"after\":1000,\"max\":10,\"wait_ms\":100}", "{\"op\":\"status\"}",
        "{\"op\":\"queue_list\"}", "{\"op\":\"status\"}", NULL};
    say(line, requests);
    assert_has(line, "events");
    assert_has(line, "queues");
    assert_has(line, "messages");
    assert_has(line, "queues");
}

static void wrong_requests_are_answered_and_the_next_one_served(void **state)
{
    struct line *line = *state;
    static const char *const requests[] = {"{\"op\":\"queue_list\",\"filter\":{\"x\":1}}",
                                           "{\"op\":\"queue_message\",\"id\":\"x\"}",
                                           "{\"op\":\"queue_act\"}",
                                           "{\"op\":\"queue_job\"}",
                                           "{\"op\":\"none\"}",
                                           "[]",
                                           "{\"op\":\"status\"}",
                                           NULL};
    say(line, requests);
    for (int i = 0; i < 6; i++)
        assert_has(line, "error");
    assert_has(line, "queues");
}

static void an_action_and_its_job_go_over_the_socket(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE], request[256];
    struct message_id sent = scene_send_to(&line->scene, "a@relay.example");
    say(line, (const char *const[]){"{\"op\":\"queue_act\",\"action\":\"hold\",\"filter\":{},"
                                    "\"administrator\":\"ada\"}",
                                    NULL});
    cleanup_json json_t *started = hear(line);
    snprintf(request, sizeof(request), "{\"op\":\"queue_job\",\"job\":\"%s\"}",
             json_string_value(json_object_get(started, "job")));
    scene_run(&line->scene, 100);
    say(line, (const char *const[]){request, NULL});
    cleanup_json json_t *job = hear(line);
    assert_true(json_is_true(json_object_get(job, "done")));
    assert_int_equal(json_integer_value(json_object_get(job, "changed")), 1);
    snprintf(request, sizeof(request), "{\"op\":\"queue_message\",\"id\":\"%s\"}",
             message_id_text(&sent, id));
    say(line, (const char *const[]){request, NULL});
    cleanup_json json_t *reply = hear(line);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(reply, "message"), "state")), "held");
}

/* Who goes away while its list is gathered takes nothing along. */
static void a_client_may_go_while_its_list_is_gathered(void **state)
{
    struct line *line = *state;
    char path[128];
    struct error error = {0};
    scene_send_many(&line->scene, "a@relay.example", 2000);
    say(line, (const char *const[]){"{\"op\":\"queue_list\",\"limit\":1000}", NULL});
    event_base_loop(line->scene.mta.base, EVLOOP_ONCE);
    close(line->fd);
    scene_run(&line->scene, 100);
    snprintf(path, sizeof(path), "%s/mta.sock", line->scene.folder);
    line->fd = ipc_connect(path, SOCK_STREAM, &error);
    say(line, (const char *const[]){"{\"op\":\"status\"}", NULL});
    assert_has(line, "queues");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_behind_one_that_waits_needs_no_further_data),
        TEST(wrong_requests_are_answered_and_the_next_one_served),
        TEST(an_action_and_its_job_go_over_the_socket),
        TEST(a_client_may_go_while_its_list_is_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

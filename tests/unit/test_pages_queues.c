/* The pages of the message queues, over scanners whose answers are given here. */
#include "test_pages_scene.h"

#include <pthread.h>
#include <unistd.h>

#define STATUS "{\"mta\":{\"queues\":{\"i_qmsgs\":3,\"o_qmsgs\":1,\"d_qmsgs\":1204}}}"
#define JOB "0190a1b2-3c4d-7e5f-8a9b-0c1d2e3f4a5b"

/* --- the scanners --- */

#define ASKED_MOST 64

struct answer {
    const char *scanner_id; /* NULL: any */
    const char *operation;
    const char *reply; /* NULL: none comes in time */
    const char *refusal;
};

static struct {
    pthread_mutex_t lock;
    const struct answer *answers; /* ends with a NULL operation */
    char *asked[ASKED_MOST];
    size_t asked_count;
} scanners = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(const char *scanner_id, const json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    pthread_mutex_lock(&scanners.lock);
    if (scanners.asked_count < ASKED_MOST &&
        asprintf(&scanners.asked[scanners.asked_count], "%s %s", scanner_id, text) > 0)
        scanners.asked_count++;
    pthread_mutex_unlock(&scanners.lock);
    free(text);
}

json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem);
json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem)
{
    const char *operation = json_string_value(json_object_get(request, "op"));
    (void)fleet;
    assert_string_equal(target, "mta");
    note(scanner_id, request);
    for (const struct answer *answer = scanners.answers; answer && answer->operation; answer++) {
        if (strcmp(answer->operation, operation) != 0 ||
            (answer->scanner_id && strcmp(answer->scanner_id, scanner_id) != 0))
            continue;
        if (answer->refusal)
            error_set(problem, ERROR_INVALID, NULL, "%s", answer->refusal);
        return answer->refusal ? NULL : json_loads(answer->reply, 0, NULL);
    }
    usleep(wait_ms > 300 ? 300000 : (useconds_t)wait_ms * 1000);
    error_set(problem, ERROR_TIMEOUT, NULL, "no answer");
    return NULL;
}

static void forget_asked(void)
{
    for (size_t i = 0; i < scanners.asked_count; i++)
        free(scanners.asked[i]);
    scanners.asked_count = 0;
}

/* How many requests were made that contain the text. */
static size_t asked(const char *text)
{
    size_t count = 0;
    for (size_t i = 0; i < scanners.asked_count; i++)
        count += strstr(scanners.asked[i], text) != NULL;
    return count;
}

static int open_queues(void **state)
{
    scanners.answers = NULL;
    return open_signed_in_console(state);
}

static int close_queues(void **state)
{
    int status = close_console(state);
    forget_asked();
    return status;
}

#define queue_test(function) cmocka_unit_test_setup_teardown(function, open_queues, close_queues)

static void add_two_scanners(struct console *console, char one[37], char two[37])
{
    add_scanner(console, "mx1.example", STATUS, one);
    add_scanner(console, "mx2.example", STATUS, two);
}

#define MESSAGE(id, state, address)                                                                \
    "{\"id\":\"" id "\",\"queue\":\"delivery\",\"direction\":\"inbound\",\"state\":\"" state       \
    "\",\"sender\":\"from@client.example\",\"size\":2048,\"received_at\":"                         \
    "\"2026-01-31T12:00:00.000Z\",\"recipient_count\":1,\"recipients\":[{\"address\":\"" address   \
    "\",\"state\":\"queued\",\"attempts\":7,\"next_attempt\":\"2026-01-31T13:00:00.000Z\","        \
    "\"route\":\"mx:other.example\",\"reply\":\"451 4.3.0 later\"}]}"
#define FIRST "0190a1b2-0000-7000-8000-000000000001"
#define SECOND "0190a1b2-0000-7000-8000-000000000002"
#define THIRD "0190a1b2-0000-7000-8000-000000000003"
#define COUNTS "{\"ok\":true,\"queues\":{\"i_qmsgs\":1,\"o_qmsgs\":2,\"d_qmsgs\":33}}"

/* --- the list --- */

static void the_messages_of_all_scanners_stand_in_one_list(void **state)
{
    struct console *console = *state;
    char one[37], two[37];
    add_two_scanners(console, one, two);
    const struct answer answers[] = {
        {NULL, "status", COUNTS, NULL},
        {one, "queue_list",
         "{\"ok\":true,\"messages\":[" MESSAGE(FIRST, "waiting", "a@x.example") "," MESSAGE(
             THIRD, "held", "c@x.example") "],\"more\":false}",
         NULL},
        {two, "queue_list",
         "{\"ok\":true,\"messages\":[" MESSAGE(SECOND, "active", "b@x.example") "],\"more\":false}",
         NULL},
        {0}};
    scanners.answers = answers;
    get(console, "/queues");
    assert_status(console, 200);
    const char *first = strstr(body_of(console), "a@x.example");
    const char *second = strstr(body_of(console), "b@x.example");
    const char *third = strstr(body_of(console), "c@x.example");
    assert_true(first && second && third && first < second && second < third);
    assert_shows(console, "/audit/" FIRST);
    assert_shows(console, "2026-01-31 13:00:00");
    assert_shows(console, "<td class=\"number\">7</td>");
    assert_shows(console, "451 4.3.0 later");
    assert_shows(console, "mx:other.example");
    assert_shows(console, ">33<");
    assert_hides(console, "does not answer");
}

static void a_scanner_that_is_away_is_named_and_holds_nobody_up(void **state)
{
    struct console *console = *state;
    char one[37], id[37], name[32];
    add_scanner(console, "mx1.example", STATUS, one);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "away%d.example", i);
        add_scanner(console, name, STATUS, id);
    }
    const struct answer answers[] = {
        {one, "status", COUNTS, NULL},
        {one, "queue_list",
         "{\"ok\":true,\"messages\":[" MESSAGE(FIRST, "waiting", "a@x.example") "],\"more\":false}",
         NULL},
        {0}};
    scanners.answers = answers;
    int64_t start = timestamp_monotonic_ms();
    get(console, "/queues");
    assert_true(timestamp_monotonic_ms() - start < 1500); /* sixteen waits of 0.3 s */
    assert_status(console, 200);
    assert_shows(console, "a@x.example");
    assert_shows(console, "Part of this list is missing");
    assert_shows(console, "away7.example");
    assert_shows(console, "1,204"); /* what it said last */
}

static void a_search_goes_to_the_scanners_as_a_filter(void **state)
{
    struct console *console = *state;
    char one[37], two[37];
    add_two_scanners(console, one, two);
    const struct answer answers[] = {
        {NULL, "status", COUNTS, NULL},
        {NULL, "queue_list", "{\"ok\":true,\"messages\":[],\"more\":false}", NULL},
        {0}};
    scanners.answers = answers;
    char path[256];
    snprintf(path, sizeof path,
             "/queues?host=%s&queue=delivery&state=held&sender=a%%26b&domain=x.example", one);
    get(console, path);
    assert_status(console, 200);
    assert_shows(console, "No queued message is like this");
    assert_int_equal(asked("queue_list"), 1);
    assert_int_equal(asked("\"filter\":{\"domain\":\"x.example\",\"queue\":\"delivery\",\"sender\":"
                           "\"a&b\",\"state\":\"held\"}"),
                     1);
    forget_asked();
    get(console, "/queues?state=ill&id=1");
    assert_status(console, 422);
    assert_shows(console, "Choose one of those in the list.");
    assert_shows(console, "Write a whole message id");
    assert_int_equal(asked("queue_list"), 0);
}

/* A list that breaks off early says nothing of what lies behind its end. */
static void the_next_page_leaves_no_message_out(void **state)
{
    struct console *console = *state;
    char one[37], two[37];
    add_two_scanners(console, one, two);
    const struct answer answers[] = {
        {NULL, "status", COUNTS, NULL},
        {one, "queue_list",
         "{\"ok\":true,\"messages\":[" MESSAGE(FIRST, "waiting", "a@x.example") "],\"more\":true}",
         NULL},
        {two, "queue_list",
         "{\"ok\":true,\"messages\":[" MESSAGE(THIRD, "waiting", "c@x.example") "],\"more\":false}",
         NULL},
        {0}};
    scanners.answers = answers;
    get(console, "/queues?domain=x.example");
    assert_shows(console, "a@x.example");
    assert_hides(console, "c@x.example");
    assert_shows(console, "/queues?domain=x.example&amp;after=" FIRST);
    forget_asked();
    get(console, "/queues?domain=x.example&after=" FIRST);
    assert_int_equal(asked("\"after\":\"" FIRST "\""), 2);
    assert_shows(console, "c@x.example");
}

static void what_a_scanner_says_wrongly_is_unknown(void **state)
{
    struct console *console = *state;
    char one[37];
    add_scanner(console, "mx1.example", STATUS, one);
    const struct answer answers[] = {
        {NULL, "status", "{\"ok\":true,\"queues\":{\"i_qmsgs\":-4,\"o_qmsgs\":\"many\"}}", NULL},
        {NULL, "queue_list",
         "{\"ok\":true,\"messages\":[7,null,{\"id\":\"no id\"},{\"id\":\"" FIRST
         "\",\"queue\":\"<b>\",\"state\":4,\"sender\":\"<script>alert(1)</script>\",\"size\":-1,"
         "\"received_at\":\"soon\",\"recipient_count\":1e300,\"recipients\":[5,{\"address\":{},"
         "\"attempts\":-7,\"next_attempt\":12,\"reply\":\"\\u001b[1m\"}]}],\"more\":\"x\"}",
         NULL},
        {0}};
    scanners.answers = answers;
    get(console, "/queues");
    assert_status(console, 200);
    assert_shows(console, "unknown");
    assert_shows(console, "&lt;script&gt;");
    assert_hides(console, "<script>alert");
    assert_hides(console, "\x1b");
    const struct answer garbage[] = {
        {NULL, "status", "{}", NULL}, {NULL, "queue_list", "{\"messages\":{}}", NULL}, {0}};
    scanners.answers = garbage;
    get(console, "/queues");
    assert_status(console, 200);
}

/* --- one message --- */

static void a_message_is_shown_with_its_header_as_text(void **state)
{
    struct console *console = *state;
    char one[37], path[128];
    add_scanner(console, "mx1.example", STATUS, one);
    const struct answer answers[] = {
        {NULL, "queue_message",
         "{\"ok\":true,\"message\":" MESSAGE(
             FIRST, "held", "a@x.example") ",\"header\":"
                                           "\"Subject: <b>hi</b>\\r\\nX: \\u001b[1m\\n\"}",
         NULL},
        {0}};
    scanners.answers = answers;
    snprintf(path, sizeof path, "/queues/%s/" FIRST, one);
    get(console, path);
    assert_status(console, 200);
    assert_shows(console, "Subject: &lt;b&gt;hi&lt;/b&gt;\nX: ?[1m\n");
    assert_shows(console, "a@x.example");
    assert_shows(console, "held");
    const struct answer gone[] = {{NULL, "queue_message", NULL, "the message is not in the queue"},
                                  {0}};
    scanners.answers = gone;
    get(console, path);
    assert_status(console, 404);
    assert_shows(console, "does not hold this message");
    scanners.answers = NULL;
    get(console, path);
    assert_status(console, 503);
    assert_shows(console, "does not answer");
}

/* --- actions --- */

static void an_action_is_confirmed_carried_out_and_logged(void **state)
{
    struct console *console = *state;
    char one[37], two[37], fields[512];
    add_two_scanners(console, one, two);
    const struct answer answers[] = {
        {NULL, "queue_act", "{\"ok\":true,\"job\":\"" JOB "\"}", NULL},
        {NULL, "queue_job", "{\"ok\":true,\"done\":true,\"matched\":1,\"changed\":1,\"failed\":0}",
         NULL},
        {0}};
    scanners.answers = answers;
    snprintf(fields, sizeof fields, "action=delete&scope=selected&m=%s.%s&m=%s.%s&sender=from", one,
             FIRST, one, SECOND);
    post(console, "/queues/confirm", fields);
    assert_status(console, 200);
    assert_shows(console, "2 messages");
    assert_shows(console, "nobody is told");
    assert_int_equal(asked("queue_act"), 0);
    post(console, "/queues/act", fields);
    assert_status(console, 303);
    assert_int_equal(asked("queue_act"), 1);
    assert_int_equal(asked("{\"action\":\"delete\",\"administrator\":\"" NAME "\",\"ids\":[\"" FIRST
                           "\",\"" SECOND "\"],\"op\":\"queue_act\"}"),
                     1);
    assert_int_equal(count_of(console->scene,
                              "SELECT count(*) FROM administrator_log WHERE action = "
                              "'queue.delete' AND administrator = '" NAME
                              "' AND (detail->'hosts'->0->>'count')::int = 2 AND "
                              "detail->'hosts'->0->'ids'->>1 = '" SECOND "'"),
                     1);
    char path[512];
    snprintf(path, sizeof path, "%s", header_of(console, "Location"));
    assert_non_null(strstr(path, JOB));
    get(console, path);
    assert_status(console, 200);
    assert_shows(console, "mx1.example");
    assert_shows(console, "Nothing is under way any more");
    assert_shows(console, "/queues?sender=from");
    assert_hides(console, "http-equiv=\"refresh\"");
}

static void all_that_is_found_is_counted_and_named_by_its_filter(void **state)
{
    struct console *console = *state;
    char one[37], two[37];
    add_two_scanners(console, one, two);
    const struct answer answers[] = {
        {one, "queue_list",
         "{\"ok\":true,\"messages\":[" MESSAGE(FIRST, "waiting", "a@x.example") "," MESSAGE(
             THIRD, "held", "c@x.example") "],\"more\":false}",
         NULL},
        {one, "queue_act", "{\"ok\":true,\"job\":\"" JOB "\"}", NULL},
        {one, "queue_job", "{\"ok\":true,\"done\":false,\"matched\":1}", NULL},
        {0}};
    scanners.answers = answers;
    post(console, "/queues/confirm", "action=flush&scope=all&domain=x.example");
    assert_status(console, 200);
    assert_shows(console, "2 messages");
    assert_shows(console, "it does not answer");
    post(console, "/queues/act", "action=flush&scope=all&domain=x.example");
    assert_status(console, 303);
    assert_int_equal(asked("\"filter\":{\"domain\":\"x.example\"},\"op\":\"queue_act\""), 2);
    char path[512];
    snprintf(path, sizeof path, "%s", header_of(console, "Location"));
    get(console, path);
    assert_shows(console, "mx2.example did not answer");
    assert_shows(console, "http-equiv=\"refresh\"");
    assert_shows(console, "at work");
}

static void a_new_route_is_written_as_the_scanners_read_it(void **state)
{
    static const struct {
        const char *fields, *route;
    } cases[] = {
        {"route_kind=relay&route_to=Mail.Example.com", "mail.example.com:25"},
        {"route_kind=relay&route_to=192.0.2.1:2525", "192.0.2.1:2525"},
        {"route_kind=relay&route_to=[2001:db8::1]:26", "[2001:db8::1]:26"},
        {"route_kind=mx&route_to=", "mx"},
        {"route_kind=mx&route_to=Other.example", "mx:other.example"},
        {"route_kind=mx&route_to=other.example:2525", "mx:other.example:2525"},
        {"route_kind=normal&route_to=", ""},
        {"route_kind=relay&route_to=", NULL},
        {"route_kind=relay&route_to=not+a+host", NULL},
        {"route_kind=relay&route_to=a.example:0", NULL},
        {"route_kind=mx&route_to=[2001:db8::1]:25", NULL},
        {"route_kind=&route_to=a.example", NULL},
    };
    struct console *console = *state;
    char one[37], fields[512], expected[256];
    add_scanner(console, "mx1.example", STATUS, one);
    const struct answer answers[] = {{NULL, "queue_act", "{\"ok\":true,\"job\":\"" JOB "\"}", NULL},
                                     {0}};
    scanners.answers = answers;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        forget_asked();
        snprintf(fields, sizeof fields, "action=reroute&scope=selected&m=%s.%s&%s", one, FIRST,
                 cases[i].fields);
        post(console, "/queues/act", fields);
        if (cases[i].route) {
            snprintf(expected, sizeof expected, "\"route\":\"%s\"", cases[i].route);
            assert_status(console, 303);
            assert_int_equal(asked(expected), 1);
        } else {
            assert_status(console, 422);
            assert_int_equal(asked("queue_act"), 0);
        }
    }
}

static void an_order_for_nothing_or_that_a_scanner_refuses_is_said(void **state)
{
    struct console *console = *state;
    char one[37], fields[256];
    add_scanner(console, "mx1.example", STATUS, one);
    const struct answer answers[] = {{NULL, "queue_act", NULL, "the scanner is busy"}, {0}};
    scanners.answers = answers;
    post(console, "/queues/confirm", "action=hold&scope=selected");
    assert_status(console, 422);
    assert_shows(console, "Select at least one message");
    post(console, "/queues/confirm", "action=explode&scope=all");
    assert_status(console, 422);
    snprintf(fields, sizeof fields, "action=hold&scope=selected&m=%s.%s", one, FIRST);
    post(console, "/queues/act", fields);
    assert_status(console, 422);
    assert_shows(console, "mx1.example refused it: the scanner is busy.");
    forget_asked();
    ask(console, "POST", "/queues/act", fields, NULL);
    assert_status(console, 403);
    assert_int_equal(asked("queue_act"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        queue_test(the_messages_of_all_scanners_stand_in_one_list),
        queue_test(a_scanner_that_is_away_is_named_and_holds_nobody_up),
        queue_test(a_search_goes_to_the_scanners_as_a_filter),
        queue_test(the_next_page_leaves_no_message_out),
        queue_test(what_a_scanner_says_wrongly_is_unknown),
        queue_test(a_message_is_shown_with_its_header_as_text),
        queue_test(an_action_is_confirmed_carried_out_and_logged),
        queue_test(all_that_is_found_is_counted_and_named_by_its_filter),
        queue_test(a_new_route_is_written_as_the_scanners_read_it),
        queue_test(an_order_for_nothing_or_that_a_scanner_refuses_is_said),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

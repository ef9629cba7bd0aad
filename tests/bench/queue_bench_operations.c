#include "queue_bench_operations.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/mta/config_ref.h"
#include "scanner/mta/delivery.h"
#include "scanner/mta/queue_list.h"
#include "scanner/mta/queue_operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT_LIMIT_US 50000 /* a slice is 2 ms */

static const char configuration[] =
    "{\"format\":1,\"version\":1,\"scanner_id\":\"0190a5d8-0000-7000-8000-000000000001\","
    "\"issued_at\":\"2026-01-01T00:00:00Z\",\"host_name\":\"gate.example\",\"smtp\":{"
    "\"inbound\":{\"listeners\":[]},\"outbound\":{\"listeners\":[]},"
    "\"delivery\":{\"dns_servers\":[\"127.0.0.1\"]}},\"domains\":[]}";

struct desk {
    struct mta mta;
    struct event *tick;
    int64_t last, longest; /* microseconds of this thread's own time between two turns */
    size_t listed;
    bool list_ended;
};

static void fail(const char *what, const struct error *error)
{
    fprintf(stderr, "%s: %s %s\n", what, error->where, error->message);
    exit(2);
}

static int64_t own_time_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
    struct desk *desk = argument;
    int64_t now = own_time_us();
    (void)fd;
    (void)what;
    if (desk->last && now - desk->last > desk->longest)
        desk->longest = now - desk->last;
    desk->last = now;
    event_add(desk->tick, &(struct timeval){0});
}

static void on_due(void *argument, struct queue_message *message)
{
    (void)argument;
    (void)message;
}

static void open_desk(struct desk *desk, const char *folder)
{
    struct error error = {0};
    struct queue_hooks hooks = {.due = on_due};
    struct scanner_config *config = config_parse(configuration, strlen(configuration), &error);
    if (!config)
        fail("configuration", &error);
    desk->mta.config = config_ref_new(config);
    desk->mta.base = event_base_new();
    desk->mta.state = folder; /* it is only looked into */
    desk->mta.queue = queue_open(folder, desk->mta.base, &hooks, &error);
    if (!desk->mta.queue)
        fail(folder, &error);
    desk->mta.delivery = delivery_new(&desk->mta, &error);
    if (!desk->mta.delivery)
        fail("delivery", &error);
    for (int direction = QUEUE_INBOUND; direction <= QUEUE_INTERNAL; direction++)
        queue_pause(desk->mta.queue, direction, true);
    event_base_loop(desk->mta.base, EVLOOP_NONBLOCK);
    desk->tick = evtimer_new(desk->mta.base, on_tick, desk);
    event_add(desk->tick, &(struct timeval){0});
}

static void close_desk(struct desk *desk)
{
    event_free(desk->tick);
    delivery_free(desk->mta.delivery);
    queue_close(desk->mta.queue);
    config_ref_drop(desk->mta.config);
    event_base_free(desk->mta.base);
}

static void on_list(void *argument, const char *text, size_t length)
{
    struct desk *desk = argument;
    cleanup_json json_t *reply = json_parse(text, length, NULL, NULL);
    desk->listed = json_array_size(json_object_get(reply, "messages"));
    desk->list_ended = true;
}

static void measure_list(struct desk *desk, const char *what, const char *request, size_t expected)
{
    struct error error = {0};
    cleanup_json json_t *asked = json_parse(request, strlen(request), NULL, &error);
    int64_t begun = timestamp_monotonic_ms();
    desk->list_ended = false;
    if (!queue_list_begin(desk->mta.queue, desk->mta.base, asked, on_list, desk, &error))
        fail(what, &error);
    while (!desk->list_ended)
        event_base_loop(desk->mta.base, EVLOOP_ONCE);
    printf("%s: %lld ms\n", what, (long long)(timestamp_monotonic_ms() - begun));
    if (desk->listed != expected) {
        fprintf(stderr, "%zu messages instead of %zu\n", desk->listed, expected);
        exit(2);
    }
}

static bool is_done(struct queue_operations *operations, const json_t *job, long expected)
{
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    if (!queue_operations_job(operations, job, &out, &error))
        fail("job", &error);
    cleanup_json json_t *reply = json_parse(out.data, out.length, NULL, &error);
    buffer_free(&out);
    bool done = json_is_true(json_object_get(reply, "done"));
    if (done && json_integer_value(json_object_get(reply, "changed")) != expected) {
        fprintf(stderr, "not every message was changed\n");
        exit(2);
    }
    return done;
}

static void measure_reroute(struct desk *desk, long queued)
{
    static const char request[] = "{\"action\":\"reroute\",\"route\":\"[::1]:2525\",\"filter\":{},"
                                  "\"administrator\":\"bench\"}";
    struct queue_operations *operations = queue_operations_new(&desk->mta);
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    cleanup_json json_t *asked = json_parse(request, strlen(request), NULL, &error);
    int64_t begun = timestamp_monotonic_ms();
    if (!queue_operations_act(operations, asked, &out, &error))
        fail("reroute", &error);
    cleanup_json json_t *job = json_parse(out.data, out.length, NULL, &error);
    buffer_free(&out);
    int64_t looked = 0;
    for (bool done = false; !done;) {
        event_base_loop(desk->mta.base, EVLOOP_ONCE);
        if (timestamp_monotonic_ms() - looked < 20)
            continue;
        looked = timestamp_monotonic_ms();
        done = is_done(operations, job, queued);
    }
    printf("reroute of all: %lld ms\n", (long long)(timestamp_monotonic_ms() - begun));
    queue_operations_free(operations);
}

int measure_operations(const char *folder, long queued)
{
    struct desk desk = {0};
    open_desk(&desk, folder);
    measure_list(&desk, "list of the first 1000", "{\"limit\":1000}",
                 queued < 1000 ? (size_t)queued : 1000);
    measure_list(&desk, "search through all for none", "{\"filter\":{\"text\":\"@nowhere\"}}", 0);
    measure_reroute(&desk, queued);
    printf("the event loop was kept for %.1f ms at most (at most %d)\n",
           (double)desk.longest / 1000, KEPT_LIMIT_US / 1000);
    close_desk(&desk);
    return desk.longest > KEPT_LIMIT_US;
}

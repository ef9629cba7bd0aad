/* The process ends as if by kill -9 at every place between two writes, one after the other: no
 * message and no bounce is ever lost. */
#include "scanner/mta/fault.h"
#include "test_delivery_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CRASHES_MOST 500

struct play {
    struct scene scene;
    struct peer reports; /* takes mail for the sender */
};

static void play_open(struct play *play, const char *folder)
{
    char domains[256];
    struct event_base *base = event_base_new();
    scene_open_in(&play->scene, base, folder);
    peer_open(&play->reports, base, NULL);
    snprintf(domains, sizeof(domains),
             ",{\"name\":\"sender.example\",\"route\":{\"kind\":\"relay\",\"relays\":[{\"host\":"
             "\"127.0.0.1\",\"port\":%u}]}}",
             (unsigned)play->reports.port);
    scene_start(&play->scene, &(struct scene_options){.domains = domains});
    play->scene.peer.bad_recipient = "bad@";
}

static void play_close(struct play *play)
{
    peer_close(&play->reports);
    scene_close(&play->scene);
}

/* The child: says through `fd` that the message was accepted, delivers it, and ends at the fault.
 */
static void run_child(const char *folder, unsigned crash, int fd)
{
    struct play play;
    char fault[32];
    snprintf(fault, sizeof(fault), "*:%u", crash);
    fault_arm(fault);
    play_open(&play, folder);
    scene_send(&play.scene,
               &(struct scene_message){.recipients = {"ok@relay.example", "bad@relay.example"}});
    if (write(fd, "a", 1) != 1)
        _exit(1);
    scene_await_empty(&play.scene);
    scene_run(&play.scene, 100);
    _exit(0);
}

static int crash_in_child(const char *folder, unsigned crash, bool *accepted)
{
    int ends[2], status;
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(folder, crash, ends[1]);
    close(ends[1]);
    *accepted = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const json_t *find_event(const struct scene *scene, const char *type, const char *member,
                                const char *value, const char *outcome)
{
    const json_t *event;
    size_t index;
    json_array_foreach(
        scene->events, index,
        event) if (strcmp(scene_text(event, "type"), type) == 0 &&
                   strcmp(scene_text(event, member), value) == 0 &&
                   (!outcome || strcmp(scene_text(event, "outcome"), outcome) == 0)) return event;
    return NULL;
}

static void check_nothing_is_lost(const char *folder)
{
    struct play play;
    play_open(&play, folder);
    scene_await_empty(&play.scene);
    scene_run(&play.scene, 100);
    scene_count(&play.scene, "received"); /* takes the last events in */
    assert_non_null(
        find_event(&play.scene, "delivery", "address", "ok@relay.example", "delivered"));
    const json_t *bounced =
        find_event(&play.scene, "bounced", "address", "bad@relay.example", NULL);
    assert_non_null(bounced);
    const char *report = scene_text(bounced, "dsn");
    assert_non_null(find_event(&play.scene, "received", "id", report, NULL));
    assert_non_null(find_event(&play.scene, "delivery", "id", report, "delivered"));
    play_close(&play);
}

static void test_no_crash_loses_a_message_or_a_bounce(void **state)
{
    unsigned crash = 1, after_acceptance = 0;
    int status = FAULT_STATUS;
    (void)state;
    for (; status == FAULT_STATUS && crash < CRASHES_MOST; crash++) {
        char folder[] = "/tmp/gatehouse-delivery-XXXXXX";
        bool accepted;
        assert_non_null(mkdtemp(folder));
        status = crash_in_child(folder, crash, &accepted);
        assert_true(status == FAULT_STATUS || status == 0);
        after_acceptance += accepted;
        if (accepted) {
            check_nothing_is_lost(folder);
        } else {
            struct play play;
            play_open(&play, folder);
            play_close(&play);
        }
    }
    assert_int_equal(status, 0); /* it ran to its end at last */
    assert_in_range(after_acceptance, 5, crash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_crash_loses_a_message_or_a_bounce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

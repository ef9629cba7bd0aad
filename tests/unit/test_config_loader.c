/* The configuration is read beside the event loop. */
#include "scanner/mta/config_loader.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/signing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scene {
    char folder[64], envelope[128], key[128];
    char public_key[SIGNING_KEY_TEXT_SIZE], secret_key[SIGNING_SECRET_TEXT_SIZE];
    struct event_base *base;
    struct config_loader *loader;
    int calls, last_calls;
    int64_t version; /* of the last configuration; 0: it could not be read */
    int turns;       /* of the loop, while nothing was there yet */
};

static void on_loaded(void *argument, struct scanner_config *config, const struct error *error,
                      bool is_last)
{
    struct scene *scene = argument;
    assert_true(config || error->message[0]);
    scene->calls++;
    scene->last_calls += is_last;
    scene->version = config ? config->version : 0;
    config_free(config);
    if (is_last)
        event_base_loopbreak(scene->base);
}

static void write_version(struct scene *scene, int version, int domains)
{
    struct buffer text = BUFFER_INIT;
    buffer_add_format(&text,
                      "{\"format\":1,\"version\":%d,\"scanner_id\":"
                      "\"018f0000-0000-7000-8000-000000000000\",\"issued_at\":"
                      "\"2026-01-01T00:00:00.000Z\",\"host_name\":\"gate.example\",\"smtp\":"
                      "{\"inbound\":{\"listeners\":[]},\"outbound\":{\"listeners\":[]}},"
                      "\"domains\":[",
                      version);
    for (int i = 0; i < domains; i++)
        buffer_add_format(&text, "%s{\"name\":\"d%d.example\",\"route\":{\"kind\":\"mx\"}}",
                          i ? "," : "", i);
    buffer_add_text(&text, "]}");
    cleanup_free char *envelope = signing_seal(text.data, scene->secret_key, NULL);
    assert_true(file_write_atomic(scene->envelope, envelope, strlen(envelope), 0600, NULL));
    buffer_free(&text);
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    strcpy(scene->folder, "/tmp/gatehouse-loader-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    assert_true(file_join(scene->envelope, 128, scene->folder, "current.json", NULL));
    assert_true(file_join(scene->key, 128, scene->folder, "configuration.pub", NULL));
    assert_true(signing_new_keys(scene->public_key, scene->secret_key, NULL));
    assert_true(
        file_write_atomic(scene->key, scene->public_key, strlen(scene->public_key), 0600, NULL));
    scene->base = event_base_new();
    scene->loader = config_loader_new(scene->base, scene->envelope, scene->key, on_loaded, scene);
    *state = scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    config_loader_free(scene->loader);
    event_base_free(scene->base);
    unlink(scene->envelope);
    unlink(scene->key);
    rmdir(scene->folder);
    free(scene);
    return 0;
}

static void what_is_there_is_read(void **state)
{
    struct scene *scene = *state;
    write_version(scene, 7, 1);
    config_loader_start(scene->loader);
    event_base_dispatch(scene->base);
    assert_int_equal(scene->version, 7);
    assert_int_equal(scene->calls, 1);
    assert_int_equal(scene->last_calls, 1);
}

static void what_cannot_be_read_is_said(void **state)
{
    struct scene *scene = *state;
    config_loader_start(scene->loader);
    event_base_dispatch(scene->base);
    assert_int_equal(scene->version, 0);
    assert_int_equal(scene->last_calls, 1);
}

static void who_asks_meanwhile_gets_what_came_meanwhile(void **state)
{
    struct scene *scene = *state;
    write_version(scene, 1, 5000);
    config_loader_start(scene->loader);
    write_version(scene, 2, 1);
    config_loader_start(scene->loader);
    config_loader_start(scene->loader);
    event_base_dispatch(scene->base);
    assert_int_equal(scene->version, 2);
    assert_int_equal(scene->calls, 2);
    assert_int_equal(scene->last_calls, 1);
}

static void on_turn(evutil_socket_t fd, short what, void *argument)
{
    struct scene *scene = argument;
    (void)fd;
    (void)what;
    scene->turns += scene->calls == 0;
}

static void the_loop_goes_on_while_much_is_read(void **state)
{
    struct scene *scene = *state;
    const struct timeval interval = {.tv_usec = 5000};
    struct event *timer = event_new(scene->base, -1, EV_PERSIST, on_turn, scene);
    write_version(scene, 3, 20000);
    event_add(timer, &interval);
    config_loader_start(scene->loader);
    event_base_dispatch(scene->base);
    assert_int_equal(scene->version, 3);
    assert_true(scene->turns >= 3);
    event_free(timer);
}

static void a_loader_may_end_while_it_reads(void **state)
{
    struct scene *scene = *state;
    write_version(scene, 4, 5000);
    config_loader_start(scene->loader);
    config_loader_free(scene->loader);
    scene->loader = NULL;
    assert_int_equal(scene->calls, 0);
}

#define loader_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        loader_test(what_is_there_is_read),
        loader_test(what_cannot_be_read_is_said),
        loader_test(who_asks_meanwhile_gets_what_came_meanwhile),
        loader_test(the_loop_goes_on_while_much_is_read),
        loader_test(a_loader_may_end_while_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

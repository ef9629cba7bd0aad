/* What the tests of the store share: a database for each test, and checks that show the error. */
#ifndef GATEHOUSE_TESTS_TEST_STORE_SCENE_H
#define GATEHOUSE_TESTS_TEST_STORE_SCENE_H

#include "common/cleanup.h"
#include "common/message_id.h"
#include "common/timestamp.h"
#include "controlcenter/store/store.h"
#include "private_postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct scene {
    struct private_postgres *postgres;
    struct store *store;
};

/* One cluster a program; its database is made empty for each test. */
static inline struct private_postgres **scene_postgres(void)
{
    static struct private_postgres *postgres;
    return &postgres;
}

static inline int open_group(void **argument)
{
    (void)argument;
    *scene_postgres() = private_postgres_new(false);
    return 0;
}

static inline int close_group(void **argument)
{
    (void)argument;
    private_postgres_free(*scene_postgres());
    return 0;
}

static inline int open_scene(void **argument)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->postgres = *scene_postgres();
    private_postgres_reset(scene->postgres);
    scene->store = private_postgres_store(scene->postgres, 4);
    *argument = scene;
    return 0;
}

static inline int close_scene(void **argument)
{
    struct scene *scene = *argument;
    store_close(scene->store);
    free(scene);
    return 0;
}

#define scene_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

/* A call with `&error` as its last argument that has to succeed, or to fail with the code. */
#define ok(call)                                                                                   \
    do {                                                                                           \
        struct error error = {0};                                                                  \
        if (!(call))                                                                               \
            fail_msg("%s: %s: %s", #call, error.where, error.message);                             \
    } while (0)
#define fails(expected, call)                                                                      \
    do {                                                                                           \
        struct error error = {0};                                                                  \
        if (call)                                                                                  \
            fail_msg("%s should fail", #call);                                                     \
        if (error.code != (expected))                                                              \
            fail_msg("%s: code %d: %s: %s", #call, error.code, error.where, error.message);        \
        assert_true(strlen(error.message) > 0);                                                    \
    } while (0)

#define count_of(scene, sql) private_postgres_run((scene)->postgres, (sql))

static inline int64_t version_of(struct scene *scene)
{
    int64_t version = 0;
    ok(store_configuration_version(scene->store, &version, &error));
    return version;
}

#endif

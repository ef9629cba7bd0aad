/* One running engine of a test program: the setup and teardown of its tests. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_ENGINE_RUNNING_H
#define GATEHOUSE_TESTS_UNIT_TEST_ENGINE_RUNNING_H

#include "scanner/engine/engine_test_client.h"

static struct test_engine engine;

static inline int start_engine(void **state)
{
    (void)state;
    test_prepare(&engine);
    test_start(&engine);
    return 0;
}

static inline int stop_engine(void **state)
{
    (void)state;
    test_stop(&engine);
    return 0;
}

#endif

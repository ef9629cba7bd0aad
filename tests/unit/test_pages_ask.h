/* Stands for the scanner that pages ask: it gives the answer that a test chose, and keeps what it
 * was asked. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_PAGES_ASK_H
#define GATEHOUSE_TESTS_UNIT_TEST_PAGES_ASK_H

#include "test_pages_scene.h"

static struct {
    const char *reply; /* NULL: no answer comes */
    char target[32];
    json_t *request; /* the last one */
    int asked;
} scanner;

json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem);
json_t *__wrap_fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                         const json_t *request, int wait_ms, struct error *problem)
{
    (void)fleet, (void)scanner_id, (void)wait_ms;
    scanner.asked++;
    snprintf(scanner.target, sizeof scanner.target, "%s", target);
    json_decref(scanner.request);
    scanner.request = json_deep_copy(request);
    if (scanner.reply)
        return json_loads(scanner.reply, 0, NULL);
    error_set(problem, ERROR_TIMEOUT, NULL, "the scanner did not answer in time");
    return NULL;
}

#endif

/* How often many did something within a time, in bounded memory. */
#include "common/timestamp.h"
#include "scanner/mta/rate_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define WINDOW 60000
#define START (1000 * WINDOW)

static struct rate_key key(const char *name)
{
    return (struct rate_key){1, name, strlen(name)};
}

static uint64_t add(struct rate_table *table, const char *name, int64_t now)
{
    struct rate_key of = key(name);
    return rate_table_add(table, &of, WINDOW, now);
}

static uint64_t count(struct rate_table *table, const char *name, int64_t now)
{
    struct rate_key of = key(name);
    return rate_table_count(table, &of, WINDOW, now);
}

static void each_name_is_counted_for_itself(void **state)
{
    struct rate_table *table = rate_table_new(100);
    struct rate_key other = {2, "a", 1};
    (void)state;
    assert_int_equal(count(table, "a", START), 0);
    assert_int_equal(add(table, "a", START), 1);
    assert_int_equal(add(table, "a", START), 2);
    assert_int_equal(add(table, "b", START), 1);
    assert_int_equal(count(table, "a", START), 2);
    assert_int_equal(count(table, "ab", START), 0);
    assert_int_equal(rate_table_count(table, &other, WINDOW, START), 0);
    rate_table_free(table);
}

static void a_count_fades_over_the_window_and_is_gone_after_it(void **state)
{
    struct rate_table *table = rate_table_new(100);
    (void)state;
    for (int i = 0; i < 100; i++)
        add(table, "a", START);
    assert_int_equal(count(table, "a", START + WINDOW - 1), 100);
    assert_int_equal(count(table, "a", START + WINDOW), 100);
    assert_int_equal(count(table, "a", START + WINDOW + WINDOW / 4), 75);
    assert_int_equal(count(table, "a", START + WINDOW + WINDOW / 2), 50);
    assert_int_equal(count(table, "a", START + 2 * WINDOW), 0);
    rate_table_free(table);
}

/* Who may do 100 a minute and asks all the time gets about that, not twice as much at a border. */
static void the_limit_holds_over_the_border_of_two_windows(void **state)
{
    struct rate_table *table = rate_table_new(100);
    int taken = 0;
    (void)state;
    for (int64_t now = START + WINDOW / 2; now < START + WINDOW * 3 / 2; now += 10) {
        if (count(table, "a", now) < 100) {
            add(table, "a", now);
            taken++;
        }
    }
    assert_in_range(taken, 100, 150);
    taken = 0;
    for (int64_t now = START + WINDOW * 3 / 2; now < START + WINDOW * 5 / 2; now += 10) {
        if (count(table, "a", now) < 100) {
            add(table, "a", now);
            taken++;
        }
    }
    assert_in_range(taken, 80, 120);
    rate_table_free(table);
}

static void a_full_table_forgets_the_one_not_heard_of_for_longest(void **state)
{
    struct rate_table *table = rate_table_new(1000);
    char name[32];
    (void)state;
    add(table, "first", START);
    add(table, "second", START);
    for (int i = 0; i < 998; i++) {
        snprintf(name, sizeof(name), "other %d", i);
        add(table, name, START);
    }
    assert_int_equal(rate_table_size(table), 1000);
    add(table, "first", START); /* heard of again */
    add(table, "one more", START);
    assert_int_equal(rate_table_size(table), 1000);
    assert_int_equal(count(table, "first", START), 2);
    assert_int_equal(count(table, "second", START), 0);
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "flood %d", i);
        add(table, name, START);
    }
    assert_int_equal(rate_table_size(table), 1000);
    rate_table_free(table);
}

static void a_refusal_lasts_until_its_time(void **state)
{
    struct rate_table *table = rate_table_new(100);
    struct rate_key a = key("a"), b = key("b");
    (void)state;
    rate_table_block(table, &a, START + 1000);
    assert_int_equal(rate_table_blocked(table, &a, START), START + 1000);
    assert_int_equal(rate_table_blocked(table, &a, START + 999), START + 1000);
    assert_int_equal(rate_table_blocked(table, &a, START + 1000), 0);
    assert_int_equal(rate_table_blocked(table, &b, START), 0);
    rate_table_free(table);
}

static void counting_is_fast(void **state)
{
    struct rate_table *table = rate_table_new(200000);
    char name[32];
    (void)state;
    int64_t start = timestamp_monotonic_ms();
    for (int i = 0; i < 1000000; i++) {
        snprintf(name, sizeof(name), "%d@example.com", i % 300000);
        add(table, name, START + i);
    }
    int64_t took = timestamp_monotonic_ms() - start;
    print_message("a million counts over 300,000 names in %lld ms\n", (long long)took);
    assert_in_range(took, 0, 20000);
    rate_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_is_counted_for_itself),
        cmocka_unit_test(a_count_fades_over_the_window_and_is_gone_after_it),
        cmocka_unit_test(the_limit_holds_over_the_border_of_two_windows),
        cmocka_unit_test(a_full_table_forgets_the_one_not_heard_of_for_longest),
        cmocka_unit_test(a_refusal_lasts_until_its_time),
        cmocka_unit_test(counting_is_fast),
    };
    return cmocka_run_group_tests_name("rate_table", tests, NULL, NULL);
}

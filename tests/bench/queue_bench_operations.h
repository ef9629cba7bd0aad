/* A part of queue-bench: what administrators do to a full queue. */
#ifndef GATEHOUSE_TESTS_BENCH_QUEUE_BENCH_OPERATIONS_H
#define GATEHOUSE_TESTS_BENCH_QUEUE_BENCH_OPERATIONS_H

/* Lists, searches and reroutes the messages queued in the folder; prints a line for each, with how
 * long the event loop was kept at most. Returns 1 where that is too long. */
int measure_operations(const char *folder, long queued);

#endif

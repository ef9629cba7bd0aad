/* Times: milliseconds since 1970 UTC inside, ISO 8601 outside. */
#ifndef GATEHOUSE_COMMON_TIMESTAMP_H
#define GATEHOUSE_COMMON_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#define TIMESTAMP_TEXT_SIZE 32

int64_t timestamp_now_ms(void);       /* wall clock */
int64_t timestamp_monotonic_ms(void); /* for intervals */
/* An interval (not negative) as timers take it. */
struct timeval timestamp_interval(int64_t milliseconds);
/* "2026-01-31T12:00:00.123Z"; `text` has TIMESTAMP_TEXT_SIZE bytes. Returns text. */
const char *timestamp_text(int64_t milliseconds, char *text);
/* Parses what timestamp_text writes (fraction optional). */
bool timestamp_parse(const char *text, int64_t *milliseconds);
/* RFC 5322 date-time in UTC: "Sat, 31 Jan 2026 12:00:00 +0000". Returns text. */
const char *timestamp_rfc5322(int64_t milliseconds, char *text);

#endif

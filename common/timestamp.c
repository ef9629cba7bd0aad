#include "common/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS_PER_SECOND 1000
#define SECONDS_PER_DAY 86400
#define DAYS_PER_ERA 146097          /* 400 Gregorian years */
#define DAYS_BEFORE_1970 719468      /* from 0000-03-01 */
#define LEAST_MS (-62135596800000LL) /* 0001-01-01 */
#define MOST_MS 253402300799999LL    /* the end of 9999 */

struct moment {
    int year, month, day, hour, minute, second, millisecond, weekday;
};

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / 1000000;
}

int64_t timestamp_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t timestamp_monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

struct timeval timestamp_interval(int64_t milliseconds)
{
    return (struct timeval){.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};
}

static int64_t floor_divide(int64_t value, int64_t by, int64_t *rest)
{
    int64_t quotient = value / by;
    *rest = value % by;
    if (*rest < 0) {
        *rest += by;
        quotient--;
    }
    return quotient;
}

/* Years are counted from March, which puts the leap day last and makes the lengths of the months a
 * linear formula. gmtime_r would take the time zone lock of the C library. */
static void split_date(int64_t days, struct moment *moment)
{
    int64_t day_of_era, rest;
    floor_divide(days + 4, 7, &rest); /* 1970-01-01 was a Thursday */
    moment->weekday = (int)rest;
    int64_t era = floor_divide(days + DAYS_BEFORE_1970, DAYS_PER_ERA, &day_of_era);
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    moment->day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
    moment->month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    moment->year = (int)(year_of_era + era * 400 + (moment->month <= 2));
}

static int64_t days_of_date(int year, int month, int day)
{
    int64_t day_unused;
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t era = floor_divide(march_year, 400, &day_unused);
    int64_t year_of_era = march_year - era * 400;
    int64_t march_month = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * march_month + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_BEFORE_1970;
}

static struct moment split(int64_t milliseconds)
{
    struct moment moment = {0};
    int64_t second_of_day, millisecond;
    if (milliseconds < LEAST_MS)
        milliseconds = LEAST_MS;
    if (milliseconds > MOST_MS)
        milliseconds = MOST_MS;
    int64_t seconds = floor_divide(milliseconds, MS_PER_SECOND, &millisecond);
    split_date(floor_divide(seconds, SECONDS_PER_DAY, &second_of_day), &moment);
    moment.hour = (int)(second_of_day / 3600);
    moment.minute = (int)(second_of_day / 60 % 60);
    moment.second = (int)(second_of_day % 60);
    moment.millisecond = (int)millisecond;
    return moment;
}

static char *put_digits(char *to, int value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + count;
}

const char *timestamp_text(int64_t milliseconds, char *text)
{
    struct moment moment = split(milliseconds);
    char *to = put_digits(text, moment.year, 4);
    *to++ = '-';
    to = put_digits(to, moment.month, 2);
    *to++ = '-';
    to = put_digits(to, moment.day, 2);
    *to++ = 'T';
    to = put_digits(to, moment.hour, 2);
    *to++ = ':';
    to = put_digits(to, moment.minute, 2);
    *to++ = ':';
    to = put_digits(to, moment.second, 2);
    *to++ = '.';
    to = put_digits(to, moment.millisecond, 3);
    *to++ = 'Z';
    *to = '\0';
    return text;
}

const char *timestamp_rfc5322(int64_t milliseconds, char *text)
{
    static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct moment moment = split(milliseconds);
    snprintf(text, TIMESTAMP_TEXT_SIZE, "%s, %d %s %04d %02d:%02d:%02d +0000",
             weekdays[moment.weekday], moment.day, months[moment.month - 1], moment.year,
             moment.hour, moment.minute, moment.second);
    return text;
}

static bool take_digits(const char **text, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *value = *value * 10 + (**text - '0');
    }
    return true;
}

static bool take_character(const char **text, char expected)
{
    return *(*text)++ == expected;
}

static bool take_fraction(const char **text, int *millisecond)
{
    *millisecond = 0;
    if (**text != '.')
        return true;
    (*text)++;
    return take_digits(text, 3, millisecond);
}

static int days_in_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

bool timestamp_parse(const char *text, int64_t *milliseconds)
{
    struct moment m;
    bool shaped = take_digits(&text, 4, &m.year) && take_character(&text, '-') &&
                  take_digits(&text, 2, &m.month) && take_character(&text, '-') &&
                  take_digits(&text, 2, &m.day) && take_character(&text, 'T') &&
                  take_digits(&text, 2, &m.hour) && take_character(&text, ':') &&
                  take_digits(&text, 2, &m.minute) && take_character(&text, ':') &&
                  take_digits(&text, 2, &m.second) && take_fraction(&text, &m.millisecond) &&
                  take_character(&text, 'Z') && *text == '\0';
    if (!shaped || m.year < 1 || m.month < 1 || m.month > 12 || m.day < 1 ||
        m.day > days_in_month(m.year, m.month) || m.hour > 23 || m.minute > 59 || m.second > 59)
        return false;
    int64_t seconds = days_of_date(m.year, m.month, m.day) * SECONDS_PER_DAY + m.hour * 3600 +
                      m.minute * 60 + m.second;
    *milliseconds = seconds * MS_PER_SECOND + m.millisecond;
    return true;
}

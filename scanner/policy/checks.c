#include "scanner/policy/checks.h"

#include "common/address.h"
#include "scanner/policy/folding.h"

#include <string.h>

#define RECORD_MOST 40

/* The letters (in upper case) and digits of the text; more than fit: 0. */
static size_t characters_of(const char *text, size_t length, char record[RECORD_MOST])
{
    size_t count = 0;
    for (size_t i = 0, bytes; i < length; i += bytes) {
        uint32_t c = utf8_decode(text + i, length - i, &bytes);
        if (c >= 0xff01 && c <= 0xff5e)
            c -= 0xff01 - '!';
        if (c >= 'a' && c <= 'z')
            c -= 'a' - 'A';
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z'))
            continue;
        if (count == RECORD_MOST)
            return 0;
        record[count++] = (char)c;
    }
    return count;
}

static bool all_digits(const char *record, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (record[i] < '0' || record[i] > '9')
            return false;
    return true;
}

static bool luhn(const char *record, size_t count)
{
    int sum = 0;
    bool same = true;
    if (count < 12 || count > 19 || !all_digits(record, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        int digit = record[count - 1 - i] - '0';
        same = same && record[i] == record[0];
        if (i % 2 == 1)
            digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    return sum % 10 == 0 && !same;
}

static bool iban(const char *record, size_t count)
{
    if (count < 15 || count > 34 || !all_digits(record + 2, 2) || record[0] < 'A' ||
        record[1] < 'A')
        return false;
    int rest = 0;
    for (size_t i = 0; i < count; i++) {
        char c = record[(i + 4) % count];
        int value = c >= 'A' ? c - 'A' + 10 : c - '0';
        rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
    }
    return rest == 1;
}

static bool my_number(const char *record, size_t count)
{
    if (count != 12 || !all_digits(record, count))
        return false;
    int sum = 0;
    for (int n = 1; n <= 11; n++)
        sum += (record[11 - n] - '0') * (n <= 6 ? n + 1 : n - 5);
    int rest = sum % 11;
    return record[11] - '0' == (rest <= 1 ? 0 : 11 - rest);
}

static bool us_ssn(const char *record, size_t count)
{
    return count == 9 && all_digits(record, count) && memcmp(record, "000", 3) != 0 &&
           memcmp(record, "666", 3) != 0 && record[0] != '9' && memcmp(record + 3, "00", 2) != 0 &&
           memcmp(record + 5, "0000", 4) != 0;
}

bool check_passes(enum policy_check check, const char *text, size_t length)
{
    char record[RECORD_MOST];
    size_t count;
    switch (check) {
    case POLICY_CHECK_LUHN:
        count = characters_of(text, length, record);
        return luhn(record, count);
    case POLICY_CHECK_IBAN:
        count = characters_of(text, length, record);
        return iban(record, count);
    case POLICY_CHECK_MY_NUMBER:
        count = characters_of(text, length, record);
        return my_number(record, count);
    case POLICY_CHECK_US_SSN:
        count = characters_of(text, length, record);
        return us_ssn(record, count);
    case POLICY_CHECK_EMAIL:
        return address_check(text, length, true) == NULL;
    case POLICY_CHECK_NONE:
        break;
    }
    return true;
}

/* Check digits and the like of records that a pattern found. */
#ifndef GATEHOUSE_SCANNER_POLICY_CHECKS_H
#define GATEHOUSE_SCANNER_POLICY_CHECKS_H

#include "common/policy_model.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether the text stands the check. Spaces, hyphens and the like between the characters do not
 * count, and full-width forms (U+FF01 to U+FF5E) are as the ASCII ones.
 * luhn: 12 to 19 digits, not all the same, that add up as ISO/IEC 7812-1 wants. iban: 15 to 34
 * characters with the remainder 1 (ISO 13616). my_number: 12 digits with the check digit of the
 * Japanese ordinance 85 of 2014. us_ssn: 9 digits of a number that may be given out (area neither
 * 000, 666 nor over 899, group not 00, serial not 0000). email: a mailbox of RFC 5321. */
bool check_passes(enum policy_check check, const char *text, size_t length);

#endif

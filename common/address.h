/* Mail addresses and domains (RFC 5321 section 4.1.2, RFC 6531). */
#ifndef GATEHOUSE_COMMON_ADDRESS_H
#define GATEHOUSE_COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_SIZE 320 /* 64 + "@" + 253, NUL, rounded */
#define DOMAIN_SIZE 256

/* Checks a mailbox (`local@domain`, quoted local parts and address literals included) of `length`
 * bytes; `utf8` allows RFC 6531. Returns NULL where it is well formed and a reason otherwise. */
const char *address_check(const char *text, size_t length, bool utf8);

/* The domain of a well-formed mailbox, borrowed; "" where there is none (the null sender). */
const char *address_domain(const char *address);

/* Checks a domain name by RFC 5321 (letters, digits, hyphens, labels of 1 to 63 bytes, 253 in all;
 * `utf8` allows U-labels) and writes it in lower case as A-labels (IDNA 2008, UTS #46) into
 * `normal` (DOMAIN_SIZE bytes). Returns NULL or the reason. */
const char *domain_normalise(const char *text, bool utf8, char *normal);

#endif

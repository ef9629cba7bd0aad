/* Filters of the configuration, with what a stranger says put into them (RFC 4515). */
#ifndef GATEHOUSE_COMMON_LDAP_LDAP_FILTER_H
#define GATEHOUSE_COMMON_LDAP_LDAP_FILTER_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define LDAP_FILTER_MOST 16384 /* bytes of a filter with its values */
#define LDAP_FILTER_ATTRIBUTES 8
#define LDAP_ATTRIBUTE_SIZE 64

enum ldap_filter_result {
    LDAP_FILTER_MADE,
    LDAP_FILTER_EMPTY_VALUE, /* it uses a part that the value does not have: nothing may match */
    LDAP_FILTER_REFUSED,     /* *error says why */
};

/* Puts `value` (an address or a user name) and `dn` (NULL where there is none) in the places of
 * %s, %u, %d and %D. Of each, every byte that is not an ASCII letter, digit or one of "@.-_+= ,"
 * is written as \XX, so that it can neither end an assertion nor be a wildcard. The caller frees
 * *filter. */
enum ldap_filter_result ldap_filter_expand(const char *pattern, const char *value, const char *dn,
                                           char **filter, struct error *error);

/* Whether the pattern has %D. */
bool ldap_filter_uses_dn(const char *pattern);

/* The attributes that are compared with %s or %u, in their order; returns how many. */
size_t ldap_filter_attributes(const char *pattern,
                              char attributes[LDAP_FILTER_ATTRIBUTES][LDAP_ATTRIBUTE_SIZE]);

#endif

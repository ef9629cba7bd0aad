#include "scanner/directory/sources.h"

#include <string.h>

static bool same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

static bool same_texts(char *const *one, size_t one_count, char *const *other, size_t other_count)
{
    for (size_t i = 0; i < one_count && i < other_count; i++)
        if (!same_text(one[i], other[i]))
            return false;
    return one_count == other_count;
}

static bool same_connection(const struct config_directory_source *one,
                            const struct config_directory_source *other)
{
    return same_text(one->name, other->name) && one->start_tls == other->start_tls &&
           same_text(one->ca, other->ca) && same_text(one->bind_dn, other->bind_dn) &&
           same_text(one->bind_password, other->bind_password) &&
           same_text(one->base_dn, other->base_dn) &&
           one->timeout_seconds == other->timeout_seconds &&
           one->cache_seconds == other->cache_seconds &&
           one->negative_cache_seconds == other->negative_cache_seconds &&
           same_texts(one->servers, one->server_count, other->servers, other->server_count);
}

static bool same_filters(const struct config_directory_source *one,
                         const struct config_directory_source *other)
{
    return same_text(one->authentication_filter, other->authentication_filter) &&
           same_text(one->recipients_filter, other->recipients_filter) &&
           same_text(one->routing_filter, other->routing_filter) &&
           same_text(one->routing_host_attribute, other->routing_host_attribute) &&
           same_text(one->routing_address_attribute, other->routing_address_attribute) &&
           same_text(one->groups_filter, other->groups_filter) &&
           same_text(one->groups_name_attribute, other->groups_name_attribute);
}

static bool same_users(const struct config_directory *one, const struct config_directory *other)
{
    for (size_t i = 0; i < one->user_count && i < other->user_count; i++)
        if (!same_text(one->users[i].name, other->users[i].name) ||
            !same_text(one->users[i].password_hash, other->users[i].password_hash))
            return false;
    return one->user_count == other->user_count;
}

bool sources_same(const struct config_directory *one, const struct config_directory *other)
{
    if (one->source_count != other->source_count || !same_users(one, other))
        return false;
    for (size_t i = 0; i < one->source_count; i++) {
        const struct config_directory_source *mine = &one->sources[i], *theirs = &other->sources[i];
        if (!same_connection(mine, theirs) || !same_filters(mine, theirs) ||
            !same_texts(mine->domains, mine->domain_count, theirs->domains, theirs->domain_count))
            return false;
    }
    return true;
}

/* The recipients of a transaction: who may send to whom, and who that is. Nothing is carried from
 * one RCPT to the next but what the envelope holds; while the directory is asked the session waits,
 * and answers in order. */
#include "scanner/mta/smtp_session_private.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/bounce_protection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ORIGINAL_LIMIT 500 /* RFC 3461 section 4.2 */

/* --- whose they are --- */

static bool may_relay(const struct smtp_session *session)
{
    if (session->user && session->limits->auth != CONFIG_AUTH_OFF)
        return true;
    for (size_t i = 0; i < session->limits->allowed_network_count; i++)
        if (ip_network_contains(&session->limits->allowed_networks[i], &session->options.peer))
            return true;
    return false;
}

/* The local domain of the address, or NULL. */
static const struct config_domain *local_domain(const struct smtp_session *session,
                                                const char *address)
{
    char normal[DOMAIN_SIZE];
    return domain_normalise(address_domain(address), true, normal)
               ? NULL
               : config_find_domain(session->config, normal);
}

/* "postmaster" without a domain is the postmaster of this server (RFC 5321 section 4.5.1): of the
 * local domain that its name is in, else of the first one. */
static const struct config_domain *postmaster_domain(const struct scanner_config *config)
{
    for (const char *name = config->host_name; name; name = strchr(name, '.')) {
        name += *name == '.';
        const struct config_domain *domain = config_find_domain(config, name);
        if (domain)
            return domain;
    }
    return config->domain_count ? &config->domains[0] : NULL;
}

static bool complete_postmaster(const struct smtp_session *session,
                                struct smtp_recipient *recipient)
{
    if (strcasecmp(recipient->address, "postmaster") != 0)
        return true;
    const struct config_domain *domain = postmaster_domain(session->config);
    if (domain)
        snprintf(recipient->address, sizeof(recipient->address), "postmaster@%s", domain->name);
    return domain != NULL;
}

/* A bounce is for a sender of ours: the tag that this sender had is taken off again. Fills `reply`
 * where a bounce is of mail that we never sent. Own servers bounce what never left. */
static bool check_bounce(const struct smtp_session *session, char address[ADDRESS_SIZE],
                         char reply[SMTP_REPLY_SIZE])
{
    enum config_bounce_mode mode = session->config->bounce_protection.mode;
    char plain[ADDRESS_SIZE];
    if (!local_domain(session, address))
        return true;
    enum bounce_tag_state tag = bounce_check(session->config, address, timestamp_now_ms(), plain);
    if (tag != BOUNCE_TAG_VALID && mode == CONFIG_BOUNCE_ENFORCE && !session->envelope.sender[0] &&
        session->options.direction == QUEUE_INBOUND && !may_relay(session)) {
        snprintf(reply, SMTP_REPLY_SIZE,
                 "550 5.7.1 <%s>: this is a bounce of a message that was not sent from here",
                 address);
        return false;
    }
    if (tag == BOUNCE_TAG_VALID || (tag != BOUNCE_TAG_NONE && mode != CONFIG_BOUNCE_OFF))
        snprintf(address, ADDRESS_SIZE, "%s", plain);
    return true;
}

/* Writes the address that the recipient has without its tag. Fills `reply` with the refusal and
 * returns false where the recipient is not for us to take. */
static bool admit(struct smtp_session *session, struct smtp_recipient *recipient,
                  char address[ADDRESS_SIZE], char reply[SMTP_REPLY_SIZE])
{
    struct smtp_rates_client client = smtp_session_client(session);
    if (!complete_postmaster(session, recipient)) {
        snprintf(reply, SMTP_REPLY_SIZE, "550 5.1.1 there is no local domain yet");
        return false;
    }
    if (!may_relay(session) && (session->options.direction != QUEUE_INBOUND ||
                                !local_domain(session, recipient->address))) {
        snprintf(reply, SMTP_REPLY_SIZE, "550 5.7.1 <%s>: relaying denied", recipient->address);
        return false;
    }
    memcpy(address, recipient->address, ADDRESS_SIZE);
    return check_bounce(session, address, reply) &&
           smtp_rates_recipient(session->options.rates, &client, session->user,
                                session->envelope.sender, address, reply);
}

/* --- the lookup --- */

void smtp_session_lookup_forget(struct smtp_session *session)
{
    struct smtp_lookup *lookup = session->lookup;
    if (!lookup)
        return;
    address_list_free(&lookup->list);
    free(lookup->original);
    free(lookup);
    session->lookup = NULL;
}

static void keep_refused(struct smtp_session *session, const char *reply)
{
    struct smtp_envelope *envelope = &session->envelope;
    const struct smtp_lookup *lookup = session->lookup;
    free(envelope->refusal);
    envelope->refusal = smtp_session_copy(reply);
    if (envelope->refused.count < SMTP_REFUSED_KEPT)
        smtp_recipients_add(&envelope->refused, lookup->recipient.address, lookup->original,
                            lookup->recipient.notify, NULL);
}

static void refuse(struct smtp_session *session, const char *reply)
{
    smtp_recipients_cut(&session->envelope.recipients, session->lookup->recipients_before);
    keep_refused(session, reply);
    smtp_session_lookup_forget(session);
    smtp_session_reply(session, reply);
}

static void accept_recipient(struct smtp_session *session)
{
    session->envelope.named++;
    smtp_session_lookup_forget(session);
    smtp_session_reply(session, "250 2.1.5 Ok");
}

/* "rfc822;user+2Btag@example.com" (RFC 3461 section 4.2), so that reports name what the sender
 * wrote. False where it would be too long. */
static bool write_original(const char *address, char original[ORIGINAL_LIMIT + 1])
{
    bool ascii = true;
    for (const char *c = address; *c; c++)
        ascii = ascii && (unsigned char)*c < 0x80;
    size_t length = (size_t)snprintf(original, ORIGINAL_LIMIT + 1, ascii ? "rfc822;" : "utf-8;");
    for (const char *c = address; *c; c++) {
        bool plain = (unsigned char)*c > ' ' && *c != '+' && *c != '=' && *c != 0x7f;
        if (length + 3 > ORIGINAL_LIMIT)
            return false;
        length += (size_t)snprintf(original + length, 4, plain ? "%c" : "+%02X", (unsigned char)*c);
    }
    return true;
}

/* Takes the address that is worked on into the envelope, or into the list of those to be deleted.
 * What the directory says of it goes first. */
static void take_address(struct smtp_session *session, struct smtp_recipients *to,
                         const struct directory_answer *answer)
{
    struct smtp_lookup *lookup = session->lookup;
    const char *address = lookup->list.addresses[lookup->at];
    const char *original = lookup->original, *route = NULL;
    char written[ORIGINAL_LIMIT + 1];
    if (answer && answer->address[0] &&
        !address_check(answer->address, strlen(answer->address), true))
        address = answer->address;
    if (answer && answer->route[0])
        route = answer->route;
    if (!original && strcmp(address, lookup->recipient.address) != 0 &&
        write_original(lookup->recipient.address, written))
        original = written;
    smtp_recipients_add(to, address, original, lookup->recipient.notify, route);
}

/* --- asking the directory --- */

static bool source_serves(const struct config_directory_source *source, const char *domain)
{
    for (size_t i = 0; i < source->domain_count; i++)
        if (strcasecmp(source->domains[i], domain) == 0)
            return true;
    return source->domain_count == 0;
}

static bool is_routed(const struct scanner_config *config, const char *domain)
{
    for (size_t i = 0; i < config->directory.source_count; i++)
        if (config->directory.sources[i].routing_filter &&
            source_serves(&config->directory.sources[i], domain))
            return true;
    return false;
}

/* Whether the directory is to be asked about the address that is worked on. */
static bool is_in_question(struct smtp_session *session)
{
    struct smtp_lookup *lookup = session->lookup;
    const struct config_domain *domain = local_domain(session, lookup->list.addresses[lookup->at]);
    lookup->validates = domain && domain->recipients != CONFIG_RECIPIENTS_ANY && !lookup->is_alias;
    return lookup->validates || (domain && is_routed(session->config, domain->name));
}

/* Somebody tries addresses to learn which ones there are. */
static bool is_harvest(struct smtp_session *session)
{
    struct smtp_rates_client client = smtp_session_client(session);
    if (session->options.direction != QUEUE_INBOUND || may_relay(session) ||
        !smtp_rates_unknown_recipient(session->options.rates, &client))
        return false;
    log_warning("%s named %d unknown recipients and is refused for %d seconds", session->peer_text,
                session->limits->harvest.unknown_recipients,
                session->limits->harvest.block_seconds);
    return true;
}

static void end_harvest(struct smtp_session *session)
{
    char reply[SMTP_REPLY_SIZE];
    snprintf(reply, sizeof(reply), "421 4.7.0 %s too many unknown recipients",
             session->config->host_name);
    keep_refused(session, reply);
    smtp_session_log_refused(session, reply);
    smtp_session_clear(session);
    smtp_session_end(session, "%s", reply);
}

/* False where the lookup is over. */
static bool take_unknown(struct smtp_session *session)
{
    struct smtp_lookup *lookup = session->lookup;
    const struct config_domain *domain = local_domain(session, lookup->list.addresses[lookup->at]);
    if (is_harvest(session)) {
        end_harvest(session);
        return false;
    }
    if (domain && domain->recipients == CONFIG_RECIPIENTS_DROP) {
        take_address(session, &session->envelope.dropped, NULL);
        return true;
    }
    char reply[SMTP_REPLY_SIZE];
    snprintf(reply, sizeof(reply), "550 5.1.1 <%s>: there is no such recipient here",
             lookup->recipient.address);
    refuse(session, reply);
    return false;
}

/* False where the lookup is over. */
static bool take_answer(struct smtp_session *session, const struct directory_answer *answer)
{
    struct smtp_lookup *lookup = session->lookup;
    switch (answer->status) {
    case DIRECTORY_UNAVAILABLE:
        refuse(session, "451 4.4.3 recipients cannot be looked up at this time");
        return false;
    case DIRECTORY_UNKNOWN:
        if (lookup->validates)
            return take_unknown(session);
        break;
    case DIRECTORY_KNOWN:
    case DIRECTORY_NOT_ASKED:
        break;
    }
    take_address(session, &session->envelope.recipients, answer);
    return true;
}

static void walk(struct smtp_session *session);

static void on_recipient(void *argument, const struct directory_answer *answer)
{
    struct smtp_session *session = argument;
    smtp_session_answered(session);
    if (take_answer(session, answer)) {
        session->lookup->at++;
        walk(session);
    }
    smtp_session_settle(session);
}

/* Takes one address after the other, until one is in question. */
static void walk(struct smtp_session *session)
{
    struct smtp_lookup *lookup = session->lookup;
    for (; lookup->at < lookup->list.count; lookup->at++) {
        if (is_in_question(session)) {
            smtp_session_ask(session, lookup->list.addresses[lookup->at], NULL, on_recipient);
            return;
        }
        take_address(session, &session->envelope.recipients, NULL);
    }
    accept_recipient(session);
}

/* --- RCPT --- */

static const char *refuse_recipient_now(const struct smtp_session *session)
{
    if (!session->envelope.open)
        return "503 5.5.1 say MAIL first";
    if (session->envelope.chunked)
        return "503 5.5.1 BDAT has begun";
    if (session->envelope.named >= (size_t)session->limits->max_recipients)
        return "452 4.5.3 too many recipients in one transaction";
    return NULL;
}

static void begin_lookup(struct smtp_session *session, const struct smtp_recipient *recipient)
{
    struct smtp_lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        abort();
    *lookup = (struct smtp_lookup){.recipient = *recipient,
                                   .original = smtp_session_copy(recipient->original),
                                   .recipients_before = session->envelope.recipients.count};
    lookup->recipient.original = NULL; /* it stands in the input */
    session->lookup = lookup;
}

static void expand(struct smtp_session *session, const char *address)
{
    struct smtp_lookup *lookup = session->lookup;
    if (!address_expand(session->config, address, &lookup->list)) {
        refuse(session, "550 5.4.6 the aliases of this recipient have no end");
        return;
    }
    if (session->envelope.recipients.count + session->envelope.dropped.count + lookup->list.count >
        SMTP_RECIPIENTS_MOST) {
        refuse(session, "452 4.5.3 too many recipients in one transaction");
        return;
    }
    lookup->is_alias = address_is_alias(session->config, address);
    walk(session);
}

void smtp_session_recipient(struct smtp_session *session, char *argument)
{
    bool utf8 = (session->envelope.flags & QUEUE_FLAG_SMTPUTF8) != 0;
    struct smtp_recipient recipient;
    char reply[SMTP_REPLY_SIZE], address[ADDRESS_SIZE];
    const char *refusal = refuse_recipient_now(session);
    if (!refusal && !smtp_recipient_parse(argument, session->extended, utf8, &recipient, reply))
        refusal = reply;
    if (refusal) {
        smtp_session_reply(session, refusal);
        return;
    }
    begin_lookup(session, &recipient);
    if (admit(session, &session->lookup->recipient, address, reply))
        expand(session, address);
    else
        refuse(session, reply);
}

/* Signing in (RFC 4954): within TLS, on the outbound listeners. The directory process says whether
 * a password is right. */
#include "scanner/mta/smtp_session_private.h"

#include "common/log.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WRONG_PASSWORDS 3  /* in one session */
#define WRONG_PAUSE_MS 500 /* before the reply to the first; each further one as much longer */

/* One step of a mechanism: what is asked for, and who reads it. */
struct smtp_auth_step {
    const char *prompt;
    enum smtp_auth_result (*read)(const char *response, struct smtp_credentials *credentials);
    const struct smtp_auth_step *next; /* NULL: the last one */
};

static const struct smtp_auth_step plain_step = {"334 ", smtp_auth_plain, NULL};
static const struct smtp_auth_step password_step = {"334 UGFzc3dvcmQ6", smtp_auth_password, NULL};
static const struct smtp_auth_step user_step = {"334 VXNlcm5hbWU6", smtp_auth_user, &password_step};

static const struct {
    const char *name;
    const struct smtp_auth_step *first;
} mechanisms[] = {{"PLAIN", &plain_step}, {"LOGIN", &user_step}};

bool smtp_session_offers_auth(const struct smtp_session *session)
{
    return session->options.direction == QUEUE_OUTBOUND && session->tls &&
           session->limits->auth != CONFIG_AUTH_OFF;
}

void smtp_session_auth_forget(struct smtp_session *session)
{
    if (session->credentials)
        smtp_credentials_wipe(session->credentials);
    free(session->credentials);
    session->credentials = NULL;
    session->auth_step = NULL;
}

/* --- the verdict --- */

static void end_exchange(struct smtp_session *session, const char *reply)
{
    smtp_session_auth_forget(session);
    session->phase = SMTP_PHASE_COMMAND;
    smtp_session_reply(session, reply);
}

static void tell_wrong(struct smtp_session *session)
{
    end_exchange(session, "535 5.7.8 the name or the password is wrong");
    if (session->wrong_passwords >= WRONG_PASSWORDS && !session->closing)
        smtp_session_end(session, "421 4.7.0 %s too many wrong passwords",
                         session->config->host_name);
}

/* Who guesses is slowed down. */
static void refuse_wrong(struct smtp_session *session)
{
    struct smtp_rates_client client = smtp_session_client(session);
    smtp_rates_wrong_password(session->options.rates, &client);
    session->wrong_passwords++;
    log_info("%s tried to sign in with a wrong name or password", session->peer_text);
    smtp_session_pause(session, (int64_t)session->wrong_passwords * WRONG_PAUSE_MS, tell_wrong);
}

static void on_password(void *argument, const struct directory_answer *answer)
{
    struct smtp_session *session = argument;
    smtp_session_answered(session);
    if (answer->status == DIRECTORY_KNOWN) {
        const char *user = answer->user[0] ? answer->user : session->credentials->user;
        session->user = smtp_session_copy(user);
        end_exchange(session, "235 2.7.0 signed in");
    } else if (answer->status == DIRECTORY_UNKNOWN) {
        refuse_wrong(session);
    } else {
        end_exchange(session, "454 4.7.0 passwords cannot be checked at this time");
    }
    smtp_session_settle(session);
}

static void ask(struct smtp_session *session)
{
    struct smtp_rates_client client = smtp_session_client(session);
    struct smtp_credentials *credentials = session->credentials;
    if (!smtp_rates_may_sign_in(session->options.rates, &client)) {
        smtp_session_auth_forget(session);
        smtp_session_end(session, "421 4.7.0 %s too many wrong passwords from your address",
                         session->config->host_name);
        return;
    }
    smtp_session_ask(session, credentials->user, credentials->password, on_password);
    OPENSSL_cleanse(credentials->password, sizeof(credentials->password));
}

/* --- the exchange --- */

static void prompt(struct smtp_session *session, const struct smtp_auth_step *step)
{
    session->auth_step = step;
    session->phase = SMTP_PHASE_RESPONSE;
    smtp_session_reply(session, step->prompt);
}

static void take_response(struct smtp_session *session, const char *response)
{
    const struct smtp_auth_step *step = session->auth_step;
    switch (step->read(response, session->credentials)) {
    case SMTP_AUTH_MALFORMED:
        end_exchange(session, "501 5.5.2 the response is not well formed");
        break;
    case SMTP_AUTH_FOREIGN:
        refuse_wrong(session);
        break;
    case SMTP_AUTH_READ:
        if (step->next)
            prompt(session, step->next);
        else
            ask(session);
        break;
    }
}

void smtp_session_auth_response(struct smtp_session *session, const char *line)
{
    if (!line)
        end_exchange(session, "500 5.5.6 the response is too long or no text");
    else if (strcmp(line, "*") == 0)
        end_exchange(session, "501 5.7.0 cancelled");
    else
        take_response(session, line);
}

static const char *refuse_auth_now(const struct smtp_session *session)
{
    if (!smtp_session_offers_auth(session))
        return "502 5.5.1 AUTH is not offered here";
    if (!session->stream.ssl)
        return "538 5.7.11 say STARTTLS first: passwords go encrypted only";
    if (!session->extended)
        return "503 5.5.1 say EHLO first";
    if (session->user)
        return "503 5.5.1 you have signed in already";
    if (session->envelope.open)
        return "503 5.5.1 a transaction is open";
    return NULL;
}

static const struct smtp_auth_step *find_mechanism(const char *name)
{
    for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
        if (strcasecmp(name, mechanisms[i].name) == 0)
            return mechanisms[i].first;
    return NULL;
}

static void begin_exchange(struct smtp_session *session, const struct smtp_auth_step *first)
{
    session->credentials = calloc(1, sizeof(*session->credentials));
    if (!session->credentials)
        abort();
    session->auth_step = first;
}

void smtp_session_auth(struct smtp_session *session, char *argument)
{
    const char *refusal = refuse_auth_now(session);
    char *initial = argument + strcspn(argument, " \t");
    session->had_secrets = true;
    if (*initial)
        *initial++ = '\0';
    initial += strspn(initial, " \t");
    const struct smtp_auth_step *first = find_mechanism(argument);
    if (!refusal && !*argument)
        refusal = "501 5.5.4 syntax: AUTH mechanism [response]";
    if (!refusal && !first)
        refusal = "504 5.5.4 that mechanism is not offered here";
    if (refusal) {
        smtp_session_reply(session, refusal);
    } else {
        begin_exchange(session, first);
        if (*initial)
            take_response(session, strcmp(initial, "=") == 0 ? "" : initial);
        else
            prompt(session, first);
    }
    OPENSSL_cleanse(initial, strlen(initial));
}

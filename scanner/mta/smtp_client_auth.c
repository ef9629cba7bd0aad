/* Signing in at a smarthost (RFC 4954): PLAIN and LOGIN, within TLS alone or to this host itself.
 */
#include "scanner/mta/smtp_client_private.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define SECRET_MOST 1000 /* bytes of user and password together */
#define ENCODED_SIZE ((SECRET_MOST + 4) * 4 / 3 + 8)
#define ECHO_LENGTH 8 /* so much of it in a reply is no chance */

static void end_unauthenticated(struct smtp_client *client, const char *what, const char *reply)
{
    snprintf(client->problem, sizeof(client->problem), "451 4.7.8 [internal] %s %s%s%s",
             client->host, what, reply ? ": " : "", reply ? reply : "");
    smtp_client_end(client, SMTP_CLIENT_AUTH, 451, client->problem);
}

/* base64 of `length` bytes into `text` (ENCODED_SIZE bytes). */
static void encode(const char *data, size_t length, char *text)
{
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)data, (int)length);
}

static size_t plain_response(const struct smtp_client *client, char *to)
{
    size_t user = strlen(client->user), password = strlen(client->password);
    to[0] = '\0';
    memcpy(to + 1, client->user, user + 1);
    memcpy(to + 1 + user + 1, client->password, password);
    return user + password + 2;
}

static void say_secret(struct smtp_client *client, enum smtp_client_stage stage, const char *before,
                       const char *data, size_t length)
{
    char encoded[ENCODED_SIZE];
    encode(data, length, encoded);
    smtp_client_say(client, stage, before, encoded);
    explicit_bzero(encoded, sizeof(encoded));
}

void smtp_client_auth_start(struct smtp_client *client)
{
    char response[SECRET_MOST + 2];
    if (!client->stream.ssl && !client->is_loopback) {
        end_unauthenticated(client, "offers no TLS, without which no password is sent", NULL);
    } else if (strlen(client->user) + strlen(client->password) > SECRET_MOST) {
        end_unauthenticated(client, "cannot be given so long a user name and password", NULL);
    } else if (client->extensions.auth_plain) {
        say_secret(client, STAGE_AUTH, "AUTH PLAIN", response, plain_response(client, response));
        explicit_bzero(response, sizeof(response));
    } else if (client->extensions.auth_login) {
        smtp_client_say(client, STAGE_AUTH_USER, "AUTH LOGIN", "");
    } else {
        end_unauthenticated(client, "offers neither AUTH PLAIN nor AUTH LOGIN", NULL);
    }
}

static bool repeats(const char *text, const char *data, size_t length)
{
    char encoded[ENCODED_SIZE];
    encode(data, length, encoded);
    if (strlen(encoded) > ECHO_LENGTH)
        encoded[ECHO_LENGTH] = '\0';
    bool found = strstr(text, encoded) != NULL;
    explicit_bzero(encoded, sizeof(encoded));
    return found;
}

/* A server that repeats what it did not understand would otherwise put the password into logs. */
static bool reply_is_quotable(const struct smtp_client *client)
{
    char response[SECRET_MOST + 2];
    size_t length = plain_response(client, response);
    const char *text = client->reply.text;
    bool quotable = !repeats(text, response, length) &&
                    !repeats(text, client->password, strlen(client->password)) &&
                    (client->password[0] == '\0' || !strstr(text, client->password));
    explicit_bzero(response, sizeof(response));
    return quotable;
}

static void on_refusal(struct smtp_client *client)
{
    char code[8];
    snprintf(code, sizeof(code), "%d", client->reply.code);
    end_unauthenticated(client,
                        client->reply.code / 100 == 4
                            ? "does not let the route's user sign in at this time"
                            : "does not accept the route's user name and password",
                        reply_is_quotable(client) ? client->reply.text : code);
}

void smtp_client_auth_reply(struct smtp_client *client)
{
    int code = client->reply.code;
    if (client->stage == STAGE_AUTH && code / 100 == 2)
        smtp_client_become_ready(client);
    else if (client->stage == STAGE_AUTH_USER && code == 334)
        say_secret(client, STAGE_AUTH_PASSWORD, "", client->user, strlen(client->user));
    else if (client->stage == STAGE_AUTH_PASSWORD && code == 334)
        say_secret(client, STAGE_AUTH, "", client->password, strlen(client->password));
    else
        on_refusal(client);
}

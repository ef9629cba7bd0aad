/* libFuzzer: what a client sends to sign in, and XCLIENT. The first byte chooses who reads it. What
 * was accepted must be fit for the directory's JSON and for the audit log. */
#include "common/utf8.h"
#include "scanner/mta/smtp_auth.h"
#include "scanner/mta/smtp_command.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_name(const char *name, size_t size)
{
    size_t length = strnlen(name, size);
    check(length < size && utf8_valid(name, length));
    for (size_t i = 0; i < length; i++)
        check((unsigned char)name[i] >= ' ' && name[i] != 0x7f);
}

static void check_credentials(enum smtp_auth_result result, struct smtp_credentials *credentials)
{
    if (result == SMTP_AUTH_READ) {
        size_t length = strnlen(credentials->password, sizeof(credentials->password));
        check_name(credentials->user, sizeof(credentials->user));
        check(length < sizeof(credentials->password) && utf8_valid(credentials->password, length));
    }
    smtp_credentials_wipe(credentials);
}

static void try_xclient(char *argument)
{
    struct smtp_xclient xclient;
    char reply[SMTP_REPLY_SIZE];
    if (!smtp_xclient_parse(argument, &xclient, reply)) {
        check(strncmp(reply, "501 5.5.4 ", 10) == 0);
        for (const char *c = reply; *c; c++)
            check(*c >= ' ' && *c <= '~');
        return;
    }
    check_name(xclient.login, sizeof(xclient.login));
    check(!smtp_helo_check(xclient.helo));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_credentials credentials = {0};
    if (size < 1 || size > SMTP_COMMAND_LIMIT)
        return 0;
    /* An exact allocation, so that a read past the line shows. */
    char *line = malloc(size);
    memcpy(line, data + 1, size - 1);
    line[size - 1] = '\0';
    switch (data[0] % 4) {
    case 0:
        check_credentials(smtp_auth_plain(line, &credentials), &credentials);
        break;
    case 1:
        check_credentials(smtp_auth_user(line, &credentials), &credentials);
        break;
    case 2:
        check_credentials(smtp_auth_password(line, &credentials), &credentials);
        break;
    default:
        try_xclient(line);
        break;
    }
    free(line);
    return 0;
}

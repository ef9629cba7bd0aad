/* Command lines of SMTP clients: every refusal is one reply line, every acceptance is bounded. */
#include "scanner/mta/smtp_command.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const char *reply)
{
    size_t length = strnlen(reply, SMTP_REPLY_SIZE);
    if (length < 5 || length >= SMTP_REPLY_SIZE || (reply[0] != '4' && reply[0] != '5'))
        abort();
    for (size_t i = 0; i < length; i++)
        if (reply[i] < ' ' || reply[i] > '~')
            abort();
}

static void check_address(const char *address)
{
    if (strcmp(address, "") != 0 && strchr(address, '@') &&
        address_check(address, strlen(address), true))
        abort();
}

static void check_command(struct smtp_command *command, bool extended)
{
    char reply[SMTP_REPLY_SIZE] = "";
    struct smtp_mail mail = {0};
    struct smtp_recipient recipient = {0};
    uint64_t chunk;
    bool last, ok = true;
    if (command->verb == SMTP_MAIL) {
        ok = smtp_mail_parse(command->argument, extended, &mail, reply);
        if (ok)
            check_address(mail.sender);
    } else if (command->verb == SMTP_RCPT) {
        ok = smtp_recipient_parse(command->argument, extended, extended, &recipient, reply);
        if (ok)
            check_address(recipient.address);
    } else if (command->verb == SMTP_BDAT) {
        ok = smtp_chunk_parse(command->argument, &chunk, &last, reply);
    } else if (command->verb == SMTP_EHLO) {
        smtp_helo_check(command->argument);
    }
    if (!ok)
        check_reply(reply);
}

/* The first byte chooses EHLO or HELO; the session never gives a line with NUL, CR or LF. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_command command;
    if (size < 1 || size > SMTP_COMMAND_LIMIT || memchr(data, '\0', size) ||
        memchr(data, '\r', size) || memchr(data, '\n', size))
        return 0;
    char *line = malloc(size);
    if (!line)
        return 0;
    memcpy(line, data + 1, size - 1);
    line[size - 1] = '\0';
    smtp_command_parse(line, &command);
    check_command(&command, data[0] & 1);
    free(line);
    return 0;
}

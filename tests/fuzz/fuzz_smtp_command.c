/* libFuzzer: one line of an SMTP client through the whole command parser. The first byte chooses
 * EHLO or HELO before it, and SMTPUTF8. What was accepted must be fit for the rest of the mta. */
#include "common/utf8.h"
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

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* A refusal is one line of printable ASCII with a code and an enhanced code. */
static void check_reply(const char *reply)
{
    check(reply[0] == '5' && reply[3] == ' ' && reply[4] == '5' && reply[5] == '.');
    check(strlen(reply) < SMTP_REPLY_SIZE && is_printable(reply));
}

/* Addresses go into trace fields and into the commands of the next server. */
static void check_address(const char *address, bool utf8)
{
    size_t length = strlen(address);
    check(length < ADDRESS_SIZE && strpbrk(address, "\r\n") == NULL);
    check(utf8 ? utf8_valid(address, length) : is_printable(address));
}

static void try_mail(char *argument, bool extended)
{
    struct smtp_mail mail;
    char reply[SMTP_REPLY_SIZE];
    if (!smtp_mail_parse(argument, extended, &mail, reply)) {
        check_reply(reply);
        return;
    }
    check_address(mail.sender, true);
    check(extended || (!mail.flags && !mail.size && !mail.envelope_id));
    check(!mail.envelope_id || (strlen(mail.envelope_id) <= 100 && is_printable(mail.envelope_id)));
}

static void try_recipient(char *argument, bool extended, bool utf8)
{
    struct smtp_recipient recipient;
    char reply[SMTP_REPLY_SIZE];
    if (!smtp_recipient_parse(argument, extended, utf8, &recipient, reply)) {
        check_reply(reply);
        return;
    }
    check_address(recipient.address, utf8);
    check(recipient.address[0] != '\0');
    check(!recipient.original || strlen(recipient.original) <= 500);
}

static void try_chunk(char *argument)
{
    char reply[SMTP_REPLY_SIZE];
    uint64_t size;
    bool last;
    if (!smtp_chunk_parse(argument, &size, &last, reply))
        check_reply(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_command command;
    if (size < 1 || size > SMTP_COMMAND_LIMIT)
        return 0;
    bool extended = data[0] & 1, utf8 = data[0] & 2;
    /* An exact allocation, so that a read past the line shows. */
    char *line = malloc(size);
    memcpy(line, data + 1, size - 1);
    line[size - 1] = '\0';
    /* The session lets no line with such bytes come so far. */
    if (memchr(line, '\0', size - 1) || strpbrk(line, "\r\n")) {
        free(line);
        return 0;
    }
    smtp_command_parse(line, &command);
    switch (command.verb) {
    case SMTP_MAIL:
        try_mail(command.argument, extended);
        break;
    case SMTP_RCPT:
        try_recipient(command.argument, extended, utf8);
        break;
    case SMTP_BDAT:
        try_chunk(command.argument);
        break;
    case SMTP_EHLO:
        check(smtp_helo_check(command.argument) || is_printable(command.argument));
        break;
    default:
        break;
    }
    free(line);
    return 0;
}

/* MAIL and RCPT: the address, and one table of parameters each. */
#include "scanner/mta/smtp_command_private.h"

#include "scanner/mta/queue.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ENVELOPE_ID_LIMIT 100 /* RFC 3461 section 4.4 */
#define ORIGINAL_LIMIT 500    /* RFC 3461 section 4.2 */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- parameters of MAIL --- */

static bool read_size(struct smtp_mail *mail, const char *value, char reply[SMTP_REPLY_SIZE])
{
    if (!smtp_number_parse(value, &mail->size))
        return smtp_refuse(reply, "501 5.5.4 SIZE must be a number");
    return true;
}

static bool read_body(struct smtp_mail *mail, const char *value, char reply[SMTP_REPLY_SIZE])
{
    if (strcasecmp(value, "8BITMIME") == 0)
        mail->flags |= QUEUE_FLAG_8BITMIME;
    else if (strcasecmp(value, "7BIT") != 0)
        return smtp_refuse(reply, "501 5.5.4 BODY must be 7BIT or 8BITMIME");
    return true;
}

static bool read_utf8(struct smtp_mail *mail, const char *value, char reply[SMTP_REPLY_SIZE])
{
    if (value)
        return smtp_refuse(reply, "501 5.5.4 SMTPUTF8 takes no value");
    mail->flags |= QUEUE_FLAG_SMTPUTF8;
    return true;
}

static bool read_return(struct smtp_mail *mail, const char *value, char reply[SMTP_REPLY_SIZE])
{
    if (strcasecmp(value, "FULL") == 0)
        mail->flags |= QUEUE_FLAG_RET_FULL;
    else if (strcasecmp(value, "HDRS") == 0)
        mail->flags |= QUEUE_FLAG_RET_HDRS;
    else
        return smtp_refuse(reply, "501 5.5.4 RET must be FULL or HDRS");
    return true;
}

static bool read_envelope_id(struct smtp_mail *mail, const char *value, char reply[SMTP_REPLY_SIZE])
{
    if (strlen(value) > ENVELOPE_ID_LIMIT || !smtp_xtext_valid(value, false))
        return smtp_refuse(reply, "501 5.5.4 ENVID must be xtext of at most 100 characters");
    mail->envelope_id = value;
    return true;
}

struct mail_parameter {
    const char *name;
    bool needs_value;
    bool (*read)(struct smtp_mail *mail, const char *value, char reply[SMTP_REPLY_SIZE]);
};

static const struct mail_parameter mail_parameters[] = {
    {"SIZE", true, read_size},  {"BODY", true, read_body},         {"SMTPUTF8", false, read_utf8},
    {"RET", true, read_return}, {"ENVID", true, read_envelope_id},
};

/* --- parameters of RCPT --- */

static bool read_notify_word(const char *word, size_t length, uint8_t *notify)
{
    static const struct {
        const char *name;
        uint8_t bit;
    } words[] = {{"NEVER", QUEUE_NOTIFY_NEVER},
                 {"SUCCESS", QUEUE_NOTIFY_SUCCESS},
                 {"FAILURE", QUEUE_NOTIFY_FAILURE},
                 {"DELAY", QUEUE_NOTIFY_DELAY}};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strlen(words[i].name) == length && strncasecmp(word, words[i].name, length) == 0) {
            *notify |= words[i].bit;
            return true;
        }
    }
    return false;
}

static bool read_notify(struct smtp_recipient *recipient, const char *value, bool utf8,
                        char reply[SMTP_REPLY_SIZE])
{
    uint8_t notify = 0;
    bool ok = true;
    (void)utf8;
    for (const char *word = value; ok; word++) {
        size_t length = strcspn(word, ",");
        ok = read_notify_word(word, length, &notify);
        word += length;
        if (!*word)
            break;
    }
    if (!ok || ((notify & QUEUE_NOTIFY_NEVER) && notify != QUEUE_NOTIFY_NEVER))
        return smtp_refuse(reply,
                           "501 5.5.4 NOTIFY must be NEVER, or some of SUCCESS,FAILURE,DELAY");
    recipient->notify = notify;
    return true;
}

static bool is_address_type(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= 'A' && text[i] <= 'Z') &&
            !(text[i] >= '0' && text[i] <= '9') && text[i] != '-')
            return false;
    return length > 0;
}

static bool read_original(struct smtp_recipient *recipient, const char *value, bool utf8,
                          char reply[SMTP_REPLY_SIZE])
{
    const char *address = strchr(value, ';');
    if (strlen(value) > ORIGINAL_LIMIT || !address ||
        !is_address_type(value, (size_t)(address - value)) || !smtp_xtext_valid(address + 1, utf8))
        return smtp_refuse(reply, "501 5.5.4 ORCPT must be a type, a semicolon and an xtext "
                                  "address, at most 500 characters");
    recipient->original = value;
    return true;
}

struct recipient_parameter {
    const char *name;
    bool (*read)(struct smtp_recipient *recipient, const char *value, bool utf8,
                 char reply[SMTP_REPLY_SIZE]);
};

static const struct recipient_parameter recipient_parameters[] = {
    {"NOTIFY", read_notify},
    {"ORCPT", read_original},
};

/* --- both --- */

/* Checks an address; what SMTPUTF8 alone allows has its own code (RFC 6531 section 3.5). */
static bool check_address(const char *path, bool utf8, const char *code, const char *whose,
                          char reply[SMTP_REPLY_SIZE])
{
    for (const char *c = path; *c && !utf8; c++)
        if ((unsigned char)*c >= 0x80)
            return smtp_refuse(reply, "553 5.6.7 %s: characters outside ASCII need SMTPUTF8",
                               whose);
    const char *reason = address_check(path, strlen(path), utf8);
    return !reason || smtp_refuse(reply, "501 %s %s: %s", code, whose, reason);
}

static bool refuse_parameter(const char *name, char reply[SMTP_REPLY_SIZE])
{
    return smtp_refuse(reply, "555 5.5.4 parameter %.64s is not recognized", name);
}

static bool first_time(unsigned *seen, size_t index, const char *name, char reply[SMTP_REPLY_SIZE])
{
    if (*seen & (1u << index))
        return smtp_refuse(reply, "501 5.5.4 parameter %.64s is given twice", name);
    *seen |= 1u << index;
    return true;
}

static bool read_mail_parameter(struct smtp_mail *mail, unsigned *seen, const char *name,
                                const char *value, char reply[SMTP_REPLY_SIZE])
{
    for (size_t i = 0; i < COUNT_OF(mail_parameters); i++) {
        const struct mail_parameter *parameter = &mail_parameters[i];
        if (strcasecmp(name, parameter->name) != 0)
            continue;
        if (!first_time(seen, i, parameter->name, reply))
            return false;
        if (parameter->needs_value && (!value || !*value))
            return smtp_refuse(reply, "501 5.5.4 parameter %s needs a value", parameter->name);
        return parameter->read(mail, value, reply);
    }
    return refuse_parameter(name, reply);
}

bool smtp_mail_parse(char *argument, bool extended, struct smtp_mail *mail,
                     char reply[SMTP_REPLY_SIZE])
{
    char *path, *rest, *name, *value;
    unsigned seen = 0;
    *mail = (struct smtp_mail){0};
    if (!smtp_path_cut(argument, "FROM", &path, &rest, reply))
        return false;
    while (smtp_parameter_next(&rest, &name, &value)) {
        if (!extended)
            return refuse_parameter(name, reply);
        if (!read_mail_parameter(mail, &seen, name, value, reply))
            return false;
    }
    if (!*path)
        return true;
    if (!check_address(path, (mail->flags & QUEUE_FLAG_SMTPUTF8) != 0, "5.1.7", "sender", reply))
        return false;
    snprintf(mail->sender, sizeof(mail->sender), "%s", path);
    return true;
}

static bool read_recipient_parameter(struct smtp_recipient *recipient, unsigned *seen, bool utf8,
                                     const char *name, const char *value,
                                     char reply[SMTP_REPLY_SIZE])
{
    for (size_t i = 0; i < COUNT_OF(recipient_parameters); i++) {
        const struct recipient_parameter *parameter = &recipient_parameters[i];
        if (strcasecmp(name, parameter->name) != 0)
            continue;
        if (!first_time(seen, i, parameter->name, reply))
            return false;
        if (!value || !*value)
            return smtp_refuse(reply, "501 5.5.4 parameter %s needs a value", parameter->name);
        return parameter->read(recipient, value, utf8, reply);
    }
    return refuse_parameter(name, reply);
}

bool smtp_recipient_parse(char *argument, bool extended, bool utf8,
                          struct smtp_recipient *recipient, char reply[SMTP_REPLY_SIZE])
{
    char *path, *rest, *name, *value;
    unsigned seen = 0;
    *recipient = (struct smtp_recipient){0};
    if (!smtp_path_cut(argument, "TO", &path, &rest, reply))
        return false;
    while (smtp_parameter_next(&rest, &name, &value)) {
        if (!extended)
            return refuse_parameter(name, reply);
        if (!read_recipient_parameter(recipient, &seen, utf8, name, value, reply))
            return false;
    }
    if (strcasecmp(path, "postmaster") != 0 &&
        !check_address(path, utf8, "5.1.3", "recipient", reply))
        return false;
    snprintf(recipient->address, sizeof(recipient->address), "%s", path);
    return true;
}

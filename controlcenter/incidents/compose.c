#include "controlcenter/incidents/compose.h"

#include "common/message_id.h"
#include "common/timestamp.h"
#include "controlcenter/store/messages.h"

#include <string.h>

#define BODY_MOST (128u << 20)
#define HEADER_MOST (64u << 10) /* bytes of the header that a bounce returns */
#define RECIPIENTS_MOST 1000    /* that are named */

struct reading {
    struct buffer *body;
    size_t most;
};

static bool take(void *argument, const void *data, size_t length)
{
    struct reading *reading = argument;
    size_t room = reading->most - reading->body->length;
    buffer_add(reading->body, data, length < room ? length : room);
    return reading->body->length < reading->most && !reading->body->failed;
}

bool incident_read_body(struct store *store, const struct store_incident *incident, size_t most,
                        struct buffer *body, struct error *error)
{
    struct reading reading = {body, most < BODY_MOST ? most : BODY_MOST};
    if (most > BODY_MOST && incident->size > (int64_t)BODY_MOST)
        return error_set(error, ERROR_LIMIT, "message", "it has over %u MiB", BODY_MOST >> 20);
    if (!store_message_read(store, incident->handover_id, take, &reading, error))
        return false;
    return !body->failed || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- parts of a header --- */

/* Addresses and names came by mail: nothing in them may end the line. */
static void add_clean(struct buffer *to, const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x20 && *text != 0x7f)
            buffer_add(to, text, 1);
}

static const char *domain_of(const struct store_incident *incident)
{
    return *incident->host ? incident->host : "gatehouse.invalid";
}

static void add_head(struct buffer *mail, const struct store_incident *incident,
                     const char *address, const char *subject, const char *content_type,
                     char boundary[MESSAGE_ID_TEXT_SIZE])
{
    char date[TIMESTAMP_TEXT_SIZE];
    struct message_id id = message_id_new();
    message_id_text(&id, boundary);
    buffer_add_text(mail, "From: Gatehouse <MAILER-DAEMON@");
    add_clean(mail, domain_of(incident));
    buffer_add_text(mail, ">\r\nTo: <");
    add_clean(mail, address);
    buffer_add_format(mail, ">\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@", subject,
                      timestamp_rfc5322(timestamp_now_ms(), date), boundary);
    add_clean(mail, domain_of(incident));
    buffer_add_format(mail,
                      ">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: %s; boundary=\"%s\"\r\n\r\n",
                      content_type, boundary);
}

static void add_text_part(struct buffer *mail, const char *boundary)
{
    buffer_add_format(mail,
                      "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: 8bit\r\n\r\n",
                      boundary);
}

/* Text that an administrator wrote, with the line ends of mail. */
static void add_lines(struct buffer *mail, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            buffer_add_text(mail, "\r\n");
        else if (*text != '\r')
            buffer_add(mail, text, 1);
    }
}

static void add_recipients(struct buffer *to, const struct store_incident *incident,
                           const char *before, const char *after)
{
    const json_t *recipient;
    size_t index;
    json_array_foreach(incident->recipients, index, recipient)
    {
        if (index >= RECIPIENTS_MOST || !json_is_string(recipient))
            break;
        buffer_add_text(to, before);
        add_clean(to, json_string_value(recipient));
        buffer_add_text(to, after);
    }
}

/* --- the mails --- */

bool incident_compose_forward(const struct store_incident *incident, const struct buffer *body,
                              const char *address, struct buffer *mail)
{
    char boundary[MESSAGE_ID_TEXT_SIZE], subject[64];
    snprintf(subject, sizeof(subject), "Incident %lld", (long long)incident->number);
    add_head(mail, incident, address, subject, "multipart/mixed", boundary);
    add_text_part(mail, boundary);
    buffer_add_format(mail, "The message of incident %lld is attached.\r\n\r\nSender: ",
                      (long long)incident->number);
    add_clean(mail, *incident->sender ? incident->sender : "<>");
    buffer_add_text(mail, "\r\n");
    add_recipients(mail, incident, "Recipient: ", "\r\n");
    buffer_add_format(mail,
                      "\r\n--%s\r\nContent-Type: message/rfc822\r\n"
                      "Content-Disposition: attachment; filename=\"incident-%lld.eml\"\r\n\r\n",
                      boundary, (long long)incident->number);
    buffer_add(mail, body->data, body->length);
    buffer_add_format(mail, "\r\n--%s--\r\n", boundary);
    return !mail->failed;
}

static size_t header_length(const struct buffer *body)
{
    size_t most = body->length < HEADER_MOST ? body->length : HEADER_MOST;
    const char *end = most ? memmem(body->data, most, "\r\n\r\n", 4) : NULL;
    if (end)
        return (size_t)(end - body->data) + 2;
    while (most > 0 && body->data[most - 1] != '\n')
        most--;
    return most;
}

bool incident_compose_bounce(const struct store_incident *incident, const struct buffer *body,
                             const char *text, struct buffer *mail)
{
    char boundary[MESSAGE_ID_TEXT_SIZE], date[TIMESTAMP_TEXT_SIZE];
    size_t length = header_length(body);
    add_head(mail, incident, incident->sender, "Your message was not delivered",
             "multipart/report; report-type=delivery-status", boundary);
    add_text_part(mail, boundary);
    buffer_add_text(mail, "Your message was looked at and is not delivered to\r\n\r\n");
    add_recipients(mail, incident, "  ", "\r\n");
    buffer_add_text(mail, "\r\n");
    add_lines(mail, text);
    buffer_add_format(mail,
                      "\r\n--%s\r\nContent-Type: message/delivery-status\r\n\r\n"
                      "Reporting-MTA: dns; ",
                      boundary);
    add_clean(mail, domain_of(incident));
    buffer_add_format(mail, "\r\nArrival-Date: %s\r\n",
                      timestamp_rfc5322(incident->received_at, date));
    add_recipients(mail, incident, "\r\nFinal-Recipient: rfc822; ",
                   "\r\nAction: failed\r\nStatus: 5.7.1\r\n");
    buffer_add_format(mail, "\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n\r\n", boundary);
    buffer_add(mail, body->data, length);
    buffer_add_format(mail, "\r\n--%s--\r\n", boundary);
    return !mail->failed;
}

bool incident_compose_envelope(const struct store_incident *incident, struct buffer *header)
{
    buffer_add_text(header, "X-Gatehouse-Sender: <");
    add_clean(header, incident->sender);
    buffer_add_text(header, ">\r\n");
    add_recipients(header, incident, "X-Gatehouse-Recipient: <", ">\r\n");
    buffer_add_format(header, "X-Gatehouse-Incident: %lld\r\n", (long long)incident->number);
    return !header->failed;
}

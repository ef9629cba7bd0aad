#include "scanner/mta/intake_plan.h"

#include "common/cleanup.h"
#include "common/timestamp.h"
#include "common/utf8.h"
#include "scanner/mta/bounce.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT (64u << 10) /* bytes of a header that are sent back */
#define WHOLE_LIMIT (256u << 10) /* bytes of a message that is sent back whole */
#define RECIPIENTS_MOST 1000     /* of one report */

/* Whether the sender is told about the recipients of the unit. */
static bool is_told(const struct intake_message *message, const struct intake_unit *unit)
{
    bool fails = unit->fate == INTAKE_REJECT || unit->fate == INTAKE_BOUNCE;
    return fails && *message->sender && intake_unit_bounces(unit);
}

static bool wants(const struct queue_draft_recipient *recipient)
{
    return recipient->notify == 0 || (recipient->notify & QUEUE_NOTIFY_FAILURE);
}

static size_t header_length(const char *content, size_t length)
{
    const char *end = length > 0 ? memmem(content, length, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - content) + 2 : length;
}

static size_t describe(const struct intake_message *message, const struct intake_unit *unit,
                       const char *reply, struct bounce_recipient *recipients, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < unit->recipient_count && count < room; i++) {
        const struct queue_draft_recipient *from = &message->recipients[unit->recipients[i]];
        if (wants(from))
            recipients[count++] = (struct bounce_recipient){.address = from->address,
                                                            .original = from->original,
                                                            .reply = reply,
                                                            .own_reason = true,
                                                            .attempted_at = timestamp_now_ms()};
    }
    return count;
}

static bool needs_utf8(const struct bounce_report *report)
{
    bool ascii = utf8_is_ascii(report->to, strlen(report->to));
    for (size_t i = 0; ascii && i < report->recipient_count; i++)
        ascii = utf8_is_ascii(report->recipients[i].address, strlen(report->recipients[i].address));
    return !ascii;
}

/* False where the report does not fit, as one about very many recipients: then nobody is told. */
static bool write_report(const struct intake_plan *plan, const struct intake_message *message,
                         struct intake_further *further, struct bounce_report *report)
{
    bool whole = (message->flags & QUEUE_FLAG_RET_FULL) && plan->original.length <= WHOLE_LIMIT;
    size_t most = whole ? (size_t)plan->original.length : HEADER_LIMIT;
    cleanup_free char *content = malloc(most + 1);
    if (!content)
        abort();
    size_t length = intake_body_start(&plan->original, content, most);
    report->content = content;
    report->content_whole = whole;
    report->content_length = whole ? length : header_length(content, length);
    report->utf8 = (message->flags & QUEUE_FLAG_SMTPUTF8) && needs_utf8(report);
    further->draft.body.limit = QUEUE_LOG_INLINE_LIMIT;
    if (!bounce_write(report, &further->draft.body))
        return false;
    const struct buffer *body = &further->draft.body;
    further->draft.flags =
        (uint8_t)((utf8_is_ascii(body->data, body->length) ? 0 : QUEUE_FLAG_8BITMIME) |
                  (report->utf8 ? QUEUE_FLAG_SMTPUTF8 : 0));
    return true;
}

static void drop_last(struct intake_plan *plan)
{
    struct intake_further *further = &plan->further[--plan->further_count];
    buffer_free(&further->draft.body);
    free(further->recipients);
    free(further->of_units);
}

static void add_report(struct intake_plan *plan, const struct intake_message *message, size_t index)
{
    const struct intake_unit *unit = &plan->outcomes->units[index];
    size_t room = unit->recipient_count < RECIPIENTS_MOST ? unit->recipient_count : RECIPIENTS_MOST;
    cleanup_free struct bounce_recipient *recipients = calloc(room + 1, sizeof(*recipients));
    char reply[INTAKE_REPLY_SIZE];
    if (!recipients)
        abort();
    intake_unit_reply(unit, reply, sizeof(reply));
    size_t count = describe(message, unit, reply, recipients, room);
    if (count == 0)
        return;
    struct intake_further *further = intake_plan_add(plan, message, INTAKE_REPORT, 1);
    struct bounce_report report = {.kind = BOUNCE_FAILED,
                                   .id = further->draft.id,
                                   .reporting_host = message->config->config->host_name,
                                   .to = message->sender,
                                   .envelope_id = message->envelope_id,
                                   .arrived_at = message->received_at,
                                   .now = timestamp_now_ms(),
                                   .recipients = recipients,
                                   .recipient_count = count};
    further->of_units[index] = true;
    further->recipients[0] =
        (struct queue_draft_recipient){.address = message->sender, .notify = QUEUE_NOTIFY_NEVER};
    further->draft.recipient_count = 1;
    further->draft.direction = QUEUE_INTERNAL;
    further->draft.received_at = report.now;
    further->draft.sender = "";
    if (!write_report(plan, message, further, &report))
        drop_last(plan);
}

void intake_plan_add_reports(struct intake_plan *plan, const struct intake_message *message)
{
    for (size_t i = 0; i < plan->outcomes->unit_count; i++)
        if (is_told(message, &plan->outcomes->units[i]))
            add_report(plan, message, i);
}

#include "controlcenter/incidents/act.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "controlcenter/incidents/compose.h"
#include "controlcenter/store/messages.h"

#include <stdlib.h>
#include <string.h>

/* What one action makes: its mails, and all that they point to. */
struct work {
    struct store *store;
    const struct store_incident *incident;
    const char *action, *who;
    const char **recipients; /* of the incident */
    size_t recipient_count;
    const char *addresses[INCIDENT_STEPS_MOST]; /* of single copies */
    struct buffer texts[INCIDENT_STEPS_MOST];   /* of new mails, or header fields */
    struct store_outbox_new mails[INCIDENT_STEPS_MOST];
    size_t mail_count;
    struct buffer body; /* empty until it is needed */
    struct buffer done; /* in words */
    char reason[96];
};

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static void say(struct work *work, const char *text)
{
    if (work->done.length > 0)
        buffer_add_text(&work->done, "; ");
    buffer_add_text(&work->done, text);
}

static bool read_body(struct work *work, struct error *error)
{
    return work->body.length > 0 ||
           incident_read_body(work->store, work->incident, SIZE_MAX, &work->body, error);
}

/* A mail as the outbox takes it; what differs is the caller's. */
static struct store_outbox_new *add_mail(struct work *work)
{
    struct store_outbox_new *mail = &work->mails[work->mail_count++];
    *mail = (struct store_outbox_new){
        .sender = "",
        .inbound = strcmp(work->incident->direction, "outbound") != 0,
        .reason = work->reason,
        .administrator = work->who,
        .scanner_id = work->incident->scanner_id,
    };
    return mail;
}

static void address_to(struct work *work, struct store_outbox_new *mail, const char *address)
{
    size_t slot = work->mail_count - 1;
    work->addresses[slot] = address;
    mail->recipients = &work->addresses[slot];
    mail->recipient_count = 1;
}

/* --- steps --- */

/* The fields that the filters put before the message, had it not been held. */
static bool add_filters_header(struct work *work, struct store_outbox_new *mail,
                               struct error *error)
{
    struct buffer *header = &work->texts[work->mail_count - 1];
    cleanup_json json_t *info = store_message_info(work->store, work->incident->handover_id, error);
    const char *text = json_string_value(json_object_get(info, "header"));
    if (!info || !text || !*text)
        return info != NULL;
    if (!buffer_add_text(header, text))
        return out_of_memory(error);
    mail->header = header->data;
    return true;
}

static bool deliver(struct work *work, const struct incident_step *step, struct error *error)
{
    struct store_outbox_new *mail = add_mail(work);
    mail->sender = work->incident->sender;
    mail->recipients = work->recipients;
    mail->recipient_count = work->recipient_count;
    mail->message_id = work->incident->handover_id;
    mail->route = step->kind == INCIDENT_ROUTE ? step->value : NULL;
    say(work, "delivered");
    if (mail->route)
        buffer_add_format(&work->done, " by %s", mail->route);
    return add_filters_header(work, mail, error);
}

static bool bounce(struct work *work, const struct incident_step *step, struct error *error)
{
    if (!*work->incident->sender) {
        say(work, "deleted, as there is no sender to tell");
        return true;
    }
    if (!read_body(work, error))
        return false;
    struct buffer *text = &work->texts[work->mail_count];
    if (!incident_compose_bounce(work->incident, &work->body, step->value, text))
        return out_of_memory(error);
    struct store_outbox_new *mail = add_mail(work);
    address_to(work, mail, work->incident->sender);
    mail->inbound = !mail->inbound; /* it goes back where the message came from */
    mail->message = text->data;
    mail->message_length = text->length;
    say(work, "returned to the sender");
    return true;
}

static bool delete_it(struct work *work, const struct incident_step *step, struct error *error)
{
    (void)step, (void)error;
    say(work, "deleted");
    return true;
}

static bool forward(struct work *work, const struct incident_step *step, struct error *error)
{
    if (!read_body(work, error))
        return false;
    struct buffer *text = &work->texts[work->mail_count];
    if (!incident_compose_forward(work->incident, &work->body, step->value, text))
        return out_of_memory(error);
    struct store_outbox_new *mail = add_mail(work);
    address_to(work, mail, step->value);
    mail->message = text->data;
    mail->message_length = text->length;
    say(work, "forwarded to ");
    return buffer_add_text(&work->done, step->value) || out_of_memory(error);
}

static bool archive(struct work *work, const struct incident_step *step, struct error *error)
{
    struct buffer *header = &work->texts[work->mail_count];
    if (!incident_compose_envelope(work->incident, header))
        return out_of_memory(error);
    struct store_outbox_new *mail = add_mail(work);
    address_to(work, mail, step->value);
    mail->message_id = work->incident->handover_id;
    mail->header = header->data;
    say(work, "archived to ");
    return buffer_add_text(&work->done, step->value) || out_of_memory(error);
}

static bool (*const runners[])(struct work *, const struct incident_step *, struct error *) = {
    [INCIDENT_DELIVER] = deliver, [INCIDENT_BOUNCE] = bounce,   [INCIDENT_DELETE] = delete_it,
    [INCIDENT_ROUTE] = deliver,   [INCIDENT_FORWARD] = forward, [INCIDENT_ARCHIVE] = archive,
};

/* A message that went on when it came cannot be delivered or returned any more. */
static bool is_too_late(const struct store_incident *incident, enum incident_step_kind kind)
{
    return !incident->quarantine &&
           (kind == INCIDENT_DELIVER || kind == INCIDENT_ROUTE || kind == INCIDENT_BOUNCE);
}

static bool run_steps(struct work *work, const struct incident_action *action, struct error *error)
{
    for (size_t i = 0; i < action->step_count; i++) {
        const struct incident_step *step = &action->steps[i];
        if (is_too_late(work->incident, step->kind))
            say(work, "noted: the message went on when it came");
        else if (!runners[step->kind](work, step, error))
            return false;
    }
    return !work->done.failed || out_of_memory(error);
}

/* --- the decision --- */

static const char *state_after(const struct incident_action *action)
{
    static const char *const states[][2] = {{"approve", "approved"}, {"reject", "rejected"},
                                            {"delete", "deleted"},   {"bounce", "bounced"},
                                            {"route", "routed"},     {"expired", "expired"}};
    if (!incident_action_decides(action))
        return NULL;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i][0], action->id) == 0)
            return states[i][1];
    return "done";
}

static bool open_work(struct work *work, struct error *error)
{
    const json_t *recipient;
    size_t index;
    work->recipients = calloc(json_array_size(work->incident->recipients) + 1, sizeof(char *));
    if (!work->recipients)
        return out_of_memory(error);
    json_array_foreach(work->incident->recipients, index, recipient)
        work->recipients[work->recipient_count++] = json_string_value(recipient);
    snprintf(work->reason, sizeof(work->reason), "incident.%s", work->action);
    return true;
}

static void close_work(struct work *work)
{
    for (size_t i = 0; i < INCIDENT_STEPS_MOST; i++)
        buffer_free(&work->texts[i]);
    buffer_free(&work->body);
    buffer_free(&work->done);
    free(work->recipients);
}

static bool carry_out(struct store *store, const struct store_incident *incident,
                      const struct incident_action *action, const char *who, const char *comment,
                      struct error *error)
{
    struct work work = {
        .store = store, .incident = incident, .action = action->id, .who = who ? who : ""};
    bool ok = open_work(&work, error) && run_steps(&work, action, error);
    struct store_incident_decision decision = {
        .number = incident->number,
        .state = state_after(action),
        .action = action->id,
        .name = action->name,
        .detail = buffer_text(&work.done),
        .who = work.who,
        .comment = comment,
        .mails = work.mails,
        .mail_count = work.mail_count,
    };
    ok = ok && store_incident_decide(store, &decision, error);
    close_work(&work);
    return ok;
}

static bool is_decided(const struct store_incident *incident, struct error *error)
{
    if (strcmp(incident->state, STORE_INCIDENT_OPEN) == 0)
        return false;
    error_set(error, ERROR_EXISTS, "incident", "it is decided already: %s, by %s",
              *incident->action ? incident->action : incident->state,
              *incident->decided_by ? incident->decided_by : "Gatehouse itself");
    return true;
}

bool incident_act(struct store *store, int64_t number, const char *action, const char *who,
                  const char *comment, struct error *error)
{
    struct store_incident incident;
    if (!store_incident_get(store, number, &incident, error))
        return false;
    struct incident_folder *folder = calloc(1, sizeof(*folder));
    const struct incident_action *found = NULL;
    bool ok = !is_decided(&incident, error) && (folder || out_of_memory(error)) &&
              incident_folder_find(store, incident.folder, folder, error);
    if (ok)
        found = incident_folder_action(folder, action);
    if (ok && !found)
        error_set(error, ERROR_NOT_FOUND, "action", "the folder has no action of that name");
    ok = found && carry_out(store, &incident, found, who, comment, error);
    free(folder);
    store_incident_clear(&incident);
    return ok;
}

bool incident_expire(struct store *store, int64_t number, const struct incident_folder *folder,
                     struct error *error)
{
    struct incident_action action = {.id = "expired", .step_count = 1};
    struct store_incident incident;
    action.steps[0].kind = folder->expiry_delivers ? INCIDENT_DELIVER : INCIDENT_DELETE;
    snprintf(action.name, sizeof(action.name), "time over");
    if (!store_incident_get(store, number, &incident, error))
        return false;
    bool ok = carry_out(store, &incident, &action, "", NULL, error);
    store_incident_clear(&incident);
    return ok;
}

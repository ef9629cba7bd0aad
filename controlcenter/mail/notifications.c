#include "controlcenter/mail/notifications.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/stop.h"
#include "common/timestamp.h"
#include "controlcenter/mail/notification_compose.h"
#include "controlcenter/store/policies.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKEN_AT_ONCE 20
#define LEASE_SECONDS 60
#define PAUSE_MS 1000
#define AGAIN_MS 3000         /* while the message of the incident is on its way */
#define FAILED_AGAIN_MS 60000 /* after the database or a template failed */
#define INCIDENT_WAIT_MS (48 * INT64_C(3600000))
#define KEPT_MS (30 * INT64_C(86400000)) /* of what was sent, and of expired links */
#define EXPUNGE_EVERY_MS 3600000
#define EXPUNGED_AT_ONCE 1000
#define DAY_MS INT64_C(86400000)
#define URL_MOST 500

struct notifications {
    struct store *store;
    char *url;
    struct mailed_link_key key;
    bool has_key;
    int64_t expunge_at; /* monotonic */
    pthread_t thread;
    struct stop stop;
};

/* Everything that one notification needs. */
struct sending {
    struct notifications *notifications;
    const struct store_notification *notification;
    json_t *settings, *policies, *message;
    struct store_incident incident;
    bool has_incident;
};

/* --- what became of it --- */

static void put_off(struct sending *sending, int64_t milliseconds, const char *problem)
{
    struct error error = {0};
    char text[700];
    if (!store_notification_put_off(sending->notifications->store, sending->notification->id,
                                    timestamp_now_ms() + milliseconds, problem, &error))
        log_warning("notifications: %s", error_text(&error, text, sizeof(text)));
}

static void give_up(struct sending *sending, const char *problem)
{
    struct error error = {0};
    char text[700];
    log_warning("a notification about message %s is not sent: %s",
                sending->notification->message_id, problem);
    if (!store_notification_give_up(sending->notifications->store, sending->notification->id,
                                    problem, &error))
        log_warning("notifications: %s", error_text(&error, text, sizeof(text)));
}

static void fail(struct sending *sending, const struct error *error)
{
    char text[700];
    error_text(error, text, sizeof(text));
    if (error->code == ERROR_EXISTS)
        return; /* another Control Center was faster */
    if (error->code == ERROR_UNAVAILABLE || error->code == ERROR_TIMEOUT)
        put_off(sending, FAILED_AGAIN_MS, text);
    else
        give_up(sending, text);
}

/* --- the incident --- */

static bool names_filter(const json_t *event, const char *filter)
{
    const json_t *item;
    size_t index;
    json_array_foreach(json_object_get(event, "filters"), index, item)
    {
        if (strcmp(json_text_of(item, "id"), filter) == 0)
            return true;
    }
    return false;
}

/* The id by which the message is handed over for an incident of that filter; "" for none. */
static const char *incident_copy(const json_t *message, const char *filter)
{
    const json_t *event;
    const char *copy = "";
    size_t index;
    json_array_foreach(json_object_get(message, "events"), index, event)
    {
        if (strcmp(json_text_of(event, "type"), "incident") == 0 && names_filter(event, filter))
            copy = json_text_of(event, "copy");
    }
    return copy;
}

/* False where the incident is expected and is not there yet, or on an error. */
static bool find_incident(struct sending *sending)
{
    const struct store_notification *notification = sending->notification;
    const char *copy = incident_copy(sending->message, notification->filter);
    struct error error = {0};
    if (!*copy)
        return true;
    sending->has_incident =
        store_incident_by_handover(sending->notifications->store, copy, &sending->incident, &error);
    if (sending->has_incident)
        return true;
    if (error.code == ERROR_NOT_FOUND &&
        timestamp_now_ms() - notification->created_at > INCIDENT_WAIT_MS)
        return true;
    if (error.code == ERROR_NOT_FOUND)
        put_off(sending, AGAIN_MS, "the message of the incident has not come yet");
    else
        fail(sending, &error);
    return false;
}

/* --- to whom --- */

struct addresses {
    const char *items[NOTIFICATION_MAILS]; /* borrowed */
    size_t count;
};

static void add_address(struct addresses *addresses, const char *address)
{
    if (!*address || !strchr(address, '@') || strpbrk(address, "\r\n<> ") ||
        addresses->count == NOTIFICATION_MAILS)
        return;
    for (size_t i = 0; i < addresses->count; i++)
        if (strcasecmp(addresses->items[i], address) == 0)
            return;
    addresses->items[addresses->count++] = address;
}

static json_int_t index_of(const json_t *recipient)
{
    return json_integer_value(json_object_get(recipient, "index"));
}

/* They stand in the order of their indices; some of them may be unknown. */
static const json_t *find_recipient(const json_t *recipients, json_int_t wanted)
{
    const json_t *recipient = json_array_get(recipients, (size_t)wanted);
    size_t i;
    if (recipient && index_of(recipient) == wanted)
        return recipient;
    json_array_foreach((json_t *)recipients, i, recipient)
    {
        if (index_of(recipient) == wanted)
            return recipient;
    }
    return NULL;
}

static void add_recipients(const struct sending *sending, struct addresses *addresses)
{
    const json_t *recipients = json_object_get(sending->message, "recipients"), *wanted;
    size_t i;
    json_array_foreach(sending->notification->recipients, i, wanted)
    {
        add_address(addresses, json_text_of(find_recipient(recipients, json_integer_value(wanted)),
                                            "address"));
    }
}

static void find_addresses(const struct sending *sending, struct addresses *addresses)
{
    const json_t *to;
    size_t index;
    json_array_foreach(sending->notification->send_to, index, to)
    {
        const char *word = json_string_value(to);
        if (strcmp(word, "sender") == 0)
            add_address(addresses,
                        json_text_of(json_object_get(sending->message, "message"), "sender"));
        else if (strcmp(word, "recipients") == 0)
            add_recipients(sending, addresses);
        else
            add_address(addresses, word);
    }
}

/* A notification that comes back, such as by a mailbox that passes everything on, often meets the
 * filter again that it was about. Another one to the same address would come back as well, and so
 * for ever. */
static void remove_those_it_came_from(const struct sending *sending, struct addresses *addresses)
{
    const char *id = json_text_of(json_object_get(sending->message, "message"), "message_id");
    size_t kept = 0;
    for (size_t i = 0; i < addresses->count; i++)
        if (!mail_mark_verify(&sending->notifications->key, addresses->items[i], id))
            addresses->items[kept++] = addresses->items[i];
    addresses->count = kept;
}

/* --- the mails --- */

static const json_t *find_template(const struct sending *sending)
{
    const json_t *template;
    size_t index;
    json_array_foreach(json_object_get(sending->policies, "templates"), index, template)
    {
        if (strcmp(json_text_of(template, "id"), sending->notification->template) == 0)
            return template;
    }
    return NULL;
}

/* Mails and links of all addresses, as the store takes them. */
struct outgoing {
    struct notification_result *results;
    struct store_outbox_new *mails;
    struct store_link_new *links;
    size_t count, link_count;
};

static bool outgoing_open(struct outgoing *outgoing, size_t count, struct error *error)
{
    *outgoing = (struct outgoing){
        .results = calloc(count, sizeof(*outgoing->results)),
        .mails = calloc(count, sizeof(*outgoing->mails)),
        .links = calloc(count, NOTIFICATION_LINKS * sizeof(*outgoing->links)),
    };
    return (outgoing->results && outgoing->mails && outgoing->links) ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static void outgoing_free(struct outgoing *outgoing)
{
    for (size_t i = 0; i < outgoing->count; i++)
        notification_result_clear(&outgoing->results[i]);
    free(outgoing->results);
    free(outgoing->mails);
    free(outgoing->links);
}

static bool add_mail(struct outgoing *outgoing, const struct notification_context *context,
                     const struct sending *sending, const char *const *address, struct error *error)
{
    size_t index = outgoing->count++;
    struct notification_result *result = &outgoing->results[index];
    if (!notification_compose(context, *address, result, error))
        return false;
    outgoing->mails[index] =
        (struct store_outbox_new){.sender = "",
                                  .recipients = address,
                                  .recipient_count = 1,
                                  .message = buffer_text(&result->mail),
                                  .message_length = result->mail.length,
                                  .reason = "notification",
                                  .administrator = "",
                                  .scanner_id = sending->notification->scanner_id};
    for (size_t i = 0; i < result->link_count; i++)
        outgoing->links[outgoing->link_count++] = result->links[i];
    return true;
}

static void send_to(struct sending *sending, const struct notification_context *context,
                    const struct addresses *addresses)
{
    struct outgoing outgoing;
    struct error error = {0};
    bool made = outgoing_open(&outgoing, addresses->count, &error);
    for (size_t i = 0; i < addresses->count && made; i++)
        made = add_mail(&outgoing, context, sending, &addresses->items[i], &error);
    made = made && store_notification_sent(sending->notifications->store, sending->notification->id,
                                           outgoing.mails, outgoing.count, outgoing.links,
                                           outgoing.link_count, &error);
    outgoing_free(&outgoing);
    if (!made)
        fail(sending, &error);
}

static int64_t link_time(const json_t *settings)
{
    const json_t *days = json_object_get(settings, "days");
    return timestamp_now_ms() +
           (json_is_integer(days) ? json_integer_value(days) : NOTIFICATION_DAYS) * DAY_MS;
}

static void compose_all(struct sending *sending, const struct addresses *addresses)
{
    const char *url = json_text_of(sending->settings, "url"),
               *from = json_text_of(sending->settings, "from");
    const char *host = json_text_of(json_object_get(sending->message, "message"), "scanner_host");
    char usual_from[400];
    snprintf(usual_from, sizeof(usual_from), "Gatehouse <postmaster@%s>",
             *host ? host : "localhost");
    struct notification_context context = {
        .template = find_template(sending),
        .message = sending->message,
        .filter = sending->notification->filter,
        .incident = sending->has_incident ? &sending->incident : NULL,
        .key = &sending->notifications->key,
        .url = *url ? url : sending->notifications->url,
        .from = *from ? from : usual_from,
        .host = *host ? host : "localhost",
        .links_expire_at = link_time(sending->settings),
    };
    if (!context.template)
        give_up(sending, "its template is not there any more");
    else
        send_to(sending, &context, addresses);
}

static void send_one(struct sending *sending)
{
    struct store *store = sending->notifications->store;
    struct error error = {0};
    struct addresses addresses = {.count = 0};
    int64_t version;
    sending->policies = store_policy_active_light(store, &version, &error);
    sending->message = sending->policies
                           ? store_audit_message(store, sending->notification->message_id, &error)
                           : NULL;
    if (!sending->message) {
        fail(sending, &error);
        return;
    }
    sending->settings = store_setting_get(store, NOTIFICATION_SETTING, &error);
    if (!sending->settings && error.code != ERROR_NOT_FOUND) {
        fail(sending, &error);
        return;
    }
    if (!find_incident(sending))
        return;
    find_addresses(sending, &addresses);
    remove_those_it_came_from(sending, &addresses);
    if (addresses.count == 0)
        give_up(sending, "it has nobody to go to");
    else
        compose_all(sending, &addresses);
}

/* --- the thread --- */

static bool send_due(struct notifications *notifications)
{
    struct store_notification *list;
    struct error error = {0};
    size_t count;
    if (!notifications->has_key)
        notifications->has_key =
            mailed_link_key_read(notifications->store, &notifications->key, &error);
    if (!notifications->has_key || !store_notification_take(notifications->store, LEASE_SECONDS,
                                                            TAKEN_AT_ONCE, &list, &count, &error))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct sending sending = {.notifications = notifications, .notification = &list[i]};
        send_one(&sending);
        json_decref(sending.settings);
        json_decref(sending.policies);
        json_decref(sending.message);
        if (sending.has_incident)
            store_incident_clear(&sending.incident);
    }
    store_notification_list_free(list, count);
    return count == TAKEN_AT_ONCE;
}

static void expunge(struct notifications *notifications)
{
    int64_t removed, before = timestamp_now_ms() - KEPT_MS;
    struct error error = {0};
    if (timestamp_monotonic_ms() < notifications->expunge_at)
        return;
    notifications->expunge_at = timestamp_monotonic_ms() + EXPUNGE_EVERY_MS;
    while (store_notification_expunge(notifications->store, before, EXPUNGED_AT_ONCE, &removed,
                                      &error) &&
           removed == EXPUNGED_AT_ONCE)
        ;
    while (store_link_expunge(notifications->store, before, EXPUNGED_AT_ONCE, &removed, &error) &&
           removed == EXPUNGED_AT_ONCE)
        ;
}

static void *run(void *argument)
{
    struct notifications *notifications = argument;
    do {
        while (send_due(notifications))
            ;
        expunge(notifications);
    } while (!stop_wait(&notifications->stop, PAUSE_MS));
    return NULL;
}

static void release(struct notifications *notifications)
{
    explicit_bzero(&notifications->key, sizeof(notifications->key));
    free(notifications->url);
    free(notifications);
}

struct notifications *notifications_start(struct store *store, const char *url, struct error *error)
{
    struct notifications *notifications = calloc(1, sizeof(*notifications));
    if (notifications)
        notifications->url = strndup(url, URL_MOST);
    if (!notifications || !notifications->url) {
        free(notifications);
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    notifications->store = store;
    if (!stop_open(&notifications->stop, error)) {
        release(notifications);
        return NULL;
    }
    if (pthread_create(&notifications->thread, NULL, run, notifications) == 0)
        return notifications;
    error_set(error, ERROR_INTERNAL, NULL, "cannot start a thread");
    stop_close(&notifications->stop);
    release(notifications);
    return NULL;
}

void notifications_stop(struct notifications *notifications)
{
    if (!notifications)
        return;
    stop_request(&notifications->stop);
    pthread_join(notifications->thread, NULL);
    stop_close(&notifications->stop);
    release(notifications);
}

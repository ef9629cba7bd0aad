#include "controlcenter/mail/notification_compose.h"

#include "common/json.h"
#include "common/timestamp.h"
#include "controlcenter/mail/notification_text.h"

#include <stdio.h>
#include <string.h>

#define MAIL_LIMIT (1u << 20) /* bytes of a part before it is encoded */
#define MATCH_LINES 20

struct making {
    const struct notification_context *context;
    const char *address;
    struct notification_result *result;
    char tokens[NOTIFICATION_LINKS][MAILED_LINK_SIZE]; /* of the result's links */
};

/* --- values --- */

static const json_t *message_of(const struct making *making)
{
    return json_object_get(making->context->message, "message");
}

static void add_recipients(const struct making *making, struct buffer *value)
{
    const json_t *recipient;
    size_t index;
    json_array_foreach(json_object_get(making->context->message, "recipients"), index, recipient)
    {
        buffer_add_format(value, "%s%s", index ? ", " : "", json_text_of(recipient, "address"));
    }
}

/* Events of a type, the newest last. */
static const json_t *last_event(const struct making *making, const char *type)
{
    const json_t *event, *last = NULL;
    size_t index;
    json_array_foreach(json_object_get(making->context->message, "events"), index, event)
    {
        if (strcmp(json_text_of(event, "type"), type) == 0)
            last = event;
    }
    return last;
}

static void add_matches(const struct making *making, struct buffer *value)
{
    const json_t *finds = json_object_get(last_event(making, "filters"), "finds"), *find;
    size_t index, lines = 0;
    json_array_foreach((json_t *)finds, index, find)
    {
        const char *part = json_text_of(find, "part"), *field = json_text_of(find, "field");
        if (strcmp(json_text_of(find, "filter"), making->context->filter) != 0 ||
            lines == MATCH_LINES)
            continue;
        buffer_add_format(value, "%s%s: %s", lines++ ? "\n" : "", *part ? part : field,
                          json_text_of(find, "text"));
    }
}

static void add_filter_name(const struct making *making, struct buffer *value)
{
    const json_t *outcome, *filter;
    size_t i, k;
    json_array_foreach(json_object_get(last_event(making, "filters"), "outcomes"), i, outcome)
    {
        json_array_foreach(json_object_get(outcome, "filters"), k, filter)
        {
            if (strcmp(json_text_of(filter, "id"), making->context->filter) == 0) {
                buffer_add_text(value, json_text_of(filter, "name"));
                return;
            }
        }
    }
    buffer_add_text(value, making->context->filter);
}

static void add_size(const struct making *making, struct buffer *value)
{
    double bytes = (double)json_integer_value(json_object_get(message_of(making), "size"));
    if (bytes < 1000)
        buffer_add_format(value, "%.0f B", bytes);
    else if (bytes < 1e6)
        buffer_add_format(value, "%.1f kB", bytes / 1e3);
    else
        buffer_add_format(value, "%.1f MB", bytes / 1e6);
}

static void add_time(const struct making *making, struct buffer *value)
{
    char text[TIMESTAMP_TEXT_SIZE];
    int64_t at = json_integer_value(json_object_get(message_of(making), "received_at"));
    timestamp_text(at, text);
    buffer_add_format(value, "%.10s %.8s UTC", text, text + 11);
}

/* Words of the message that people read, in the language of the template. */
static const char *translate(const struct making *making, const char *word)
{
    static const char *const japanese[][2] = {
        {"inbound", "受信"},
        {"outbound", "送信"},
        {"internal", "内部"},
        {"clean", "問題なし"},
        {"virus", "ウイルス"},
        {"worm", "ワーム"},
        {"spyware", "スパイウェア"},
        {"suspicious_attachment", "不審な添付ファイル"},
        {"encrypted_attachment", "暗号化された添付ファイル"},
        {"unscannable", "検査不能"},
    };
    if (strcmp(json_text_of(making->context->template, "language"), "ja") != 0)
        return word;
    for (size_t i = 0; i < sizeof(japanese) / sizeof(japanese[0]); i++)
        if (strcmp(japanese[i][0], word) == 0)
            return japanese[i][1];
    return word;
}

static void add_word(const struct making *making, const char *word, struct buffer *value)
{
    const char *translated = translate(making, word);
    for (; *translated; translated++)
        buffer_add(value, *translated == '_' ? " " : translated, 1);
}

/* --- links --- */

static bool make_link(struct making *making, const char *action, struct error *error)
{
    const struct notification_context *context = making->context;
    struct notification_result *result = making->result;
    size_t index = result->link_count;
    if (index == NOTIFICATION_LINKS)
        return error_set(error, ERROR_LIMIT, NULL, "there are over %d links", NOTIFICATION_LINKS);
    mailed_link_make(context->key, making->tokens[index]);
    snprintf(result->actions[index], sizeof(result->actions[index]), "%s", action);
    result->links[index] = (struct store_link_new){.incident = context->incident->number,
                                                   .action = result->actions[index],
                                                   .mailed_to = making->address,
                                                   .expires_at = context->links_expire_at};
    mailed_link_hash(making->tokens[index], result->links[index].token_hash);
    result->link_count++;
    return true;
}

/* What stands twice in a mail, in its text and in its HTML, is one link. */
static bool add_mailed_link(struct making *making, const char *action, struct buffer *value,
                            struct error *error)
{
    const struct notification_result *result = making->result;
    size_t index = 0;
    if (!making->context->key)
        return buffer_add_format(value, "%s/link/…", making->context->url);
    while (index < result->link_count && strcmp(result->actions[index], action) != 0)
        index++;
    if (index == result->link_count && !make_link(making, action, error))
        return false;
    buffer_add_format(value, "%s/link/%s", making->context->url, making->tokens[index]);
    return true;
}

static bool add_link(struct making *making, const struct notification_link *link,
                     struct buffer *value, struct error *error)
{
    const struct notification_context *context = making->context;
    if (!context->incident)
        return true;
    if (!link->needs_sign_in)
        return add_mailed_link(making, link->action, value, error);
    buffer_add_format(value, "%s/incidents/%lld", context->url,
                      (long long)context->incident->number);
    if (strcmp(link->action, "view") != 0)
        buffer_add_format(value, "?action=%s", link->action);
    return true;
}

/* --- by name --- */

static void add_message_value(const struct making *making, const char *name, struct buffer *value)
{
    const json_t *message = message_of(making);
    if (strcmp(name, "recipients") == 0)
        add_recipients(making, value);
    else if (strcmp(name, "received") == 0)
        add_time(making, value);
    else if (strcmp(name, "size") == 0)
        add_size(making, value);
    else if (strcmp(name, "verdict") == 0 || strcmp(name, "direction") == 0)
        add_word(making, json_text_of(message, name), value);
    else if (strcmp(name, "host") == 0)
        buffer_add_text(value, json_text_of(message, "scanner_host"));
    else if (strcmp(name, "message_id") == 0)
        buffer_add_text(value, json_text_of(message, "id"));
    else
        buffer_add_text(value, json_text_of(message, name)); /* subject, sender, from */
}

static bool add_value(void *argument, const char *name, struct buffer *value, struct error *error)
{
    struct making *making = argument;
    const struct store_incident *incident = making->context->incident;
    struct notification_link link;
    if (notification_link_name(name, &link))
        return add_link(making, &link, value, error);
    if (strcmp(name, "filter") == 0)
        add_filter_name(making, value);
    else if (strcmp(name, "matches") == 0)
        add_matches(making, value);
    else if (strcmp(name, "mailed_to") == 0)
        buffer_add_text(value, making->address);
    else if (strcmp(name, "incident") == 0 && incident)
        buffer_add_format(value, "%lld", (long long)incident->number);
    else if (strcmp(name, "folder") == 0 && incident)
        buffer_add_text(value, incident->folder_name);
    else
        add_message_value(making, name, value);
    return true;
}

bool notification_compose(const struct notification_context *context, const char *address,
                          struct notification_result *result, struct error *error)
{
    struct making making = {.context = context, .address = address, .result = result};
    struct buffer subject = {.limit = MAIL_LIMIT}, text = {.limit = MAIL_LIMIT};
    struct buffer html = {.limit = MAIL_LIMIT};
    *result = (struct notification_result){0};
    bool made = notification_render(json_text_of(context->template, "subject"), false, add_value,
                                    &making, &subject, error) &&
                notification_render(json_text_of(context->template, "text"), false, add_value,
                                    &making, &text, error) &&
                notification_render(json_text_of(context->template, "html"), true, add_value,
                                    &making, &html, error);
    if (made) {
        char mark[MAIL_MARK_SIZE];
        mail_mark_make(context->key, address, mark);
        struct notification_mail mail = {.from = context->from,
                                         .to = address,
                                         .subject = buffer_text(&subject),
                                         .text = buffer_text(&text),
                                         .html = buffer_text(&html),
                                         .mark = mark,
                                         .host = context->host};
        made = notification_write(&mail, &result->mail) ||
               error_set(error, ERROR_LIMIT, NULL, "the notification is too long");
    }
    buffer_free(&subject);
    buffer_free(&text);
    buffer_free(&html);
    return made;
}

bool notification_preview(const struct notification_context *context, const char *text, bool html,
                          struct buffer *out, struct error *error)
{
    struct making making = {.context = context, .address = "you@example.com"};
    return notification_render(text, html, add_value, &making, out, error);
}

void notification_result_clear(struct notification_result *result)
{
    buffer_free(&result->mail);
}

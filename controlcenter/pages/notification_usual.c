/* Notifications to begin with: to who reviews held messages, and to their senders. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/notification_preview.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"

#define SECTION "templates"
#define PATH "/policies/templates"

struct usual {
    const char *id, *name, *language, *subject, *text, *html;
};

static const struct usual usual[] = {
    {"review", "To the reviewer", "en", "Held for review: {{subject}}",
     "A message was held and waits for a decision.\n\n"
     "Subject: {{subject}}\nSender: {{sender}}\nRecipients: {{recipients}}\n"
     "Received: {{received}}\nFilter: {{filter}}\n\nWhat matched:\n{{matches}}\n\n"
     "Look at it: {{link_view}}\nApprove it: {{link_approve}}\nReject it: {{link_reject}}\n\n"
     "Each link was made for you alone and decides once; a page asks before anything is done.\n",
     "<p>A message was held and waits for a decision.</p>\n"
     "<table>\n<tr><th align=\"left\">Subject</th><td>{{subject}}</td></tr>\n"
     "<tr><th align=\"left\">Sender</th><td>{{sender}}</td></tr>\n"
     "<tr><th align=\"left\">Recipients</th><td>{{recipients}}</td></tr>\n"
     "<tr><th align=\"left\">Received</th><td>{{received}}</td></tr>\n"
     "<tr><th align=\"left\">Filter</th><td>{{filter}}</td></tr>\n"
     "<tr><th align=\"left\">What matched</th><td>{{matches}}</td></tr>\n</table>\n"
     "<p><a href=\"{{link_view}}\">Look at it</a> · <a href=\"{{link_approve}}\">Approve it</a> · "
     "<a href=\"{{link_reject}}\">Reject it</a></p>\n"
     "<p>Each link was made for you alone and decides once; a page asks before anything is "
     "done.</p>\n"},
    {"held", "To the sender", "en", "Your message is held: {{subject}}",
     "Your message to {{recipients}} of {{received}} is held until somebody has looked at it.\n\n"
     "Subject: {{subject}}\n\nThere is nothing that you need to do.\n",
     ""},
    {"review_ja", "確認者へ", "ja", "確認待ちのメール: {{subject}}",
     "メールが保留され、確認を待っています。\n\n"
     "件名: {{subject}}\n送信者: {{sender}}\n宛先: {{recipients}}\n受信日時: {{received}}\n"
     "フィルター: {{filter}}\n\n一致した箇所:\n{{matches}}\n\n"
     "内容を見る: {{link_view}}\n承認する: {{link_approve}}\n却下する: {{link_reject}}\n\n"
     "リンクはあなた専用で、一度だけ使えます。実行前に確認ページが表示されます。\n",
     "<p>メールが保留され、確認を待っています。</p>\n"
     "<table>\n<tr><th align=\"left\">件名</th><td>{{subject}}</td></tr>\n"
     "<tr><th align=\"left\">送信者</th><td>{{sender}}</td></tr>\n"
     "<tr><th align=\"left\">宛先</th><td>{{recipients}}</td></tr>\n"
     "<tr><th align=\"left\">受信日時</th><td>{{received}}</td></tr>\n"
     "<tr><th align=\"left\">フィルター</th><td>{{filter}}</td></tr>\n"
     "<tr><th align=\"left\">一致した箇所</th><td>{{matches}}</td></tr>\n</table>\n"
     "<p><a href=\"{{link_view}}\">内容を見る</a> ・ <a href=\"{{link_approve}}\">承認する</a> ・ "
     "<a href=\"{{link_reject}}\">却下する</a></p>\n"
     "<p>リンクはあなた専用で、一度だけ使えます。実行前に確認ページが表示されます。</p>\n"},
    {"held_ja", "送信者へ", "ja", "メールを保留しました: {{subject}}",
     "{{recipients}} 宛のメール（{{received}}）は、確認が終わるまで保留されています。\n\n"
     "件名: {{subject}}\n\nお客様の操作は必要ありません。\n",
     ""},
};

static bool has_one(const json_t *document, const struct usual *one)
{
    return policy_find(document, SECTION, one->id, NULL) ||
           policy_name_is_taken(document, SECTION, one->name, "");
}

bool notification_usual_lacks(const json_t *document)
{
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (!has_one(document, &usual[i]))
            return true;
    return false;
}

static bool add_one(json_t *document, const struct usual *one)
{
    if (has_one(document, one))
        return true;
    json_t *object =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "id", one->id, "name", one->name, "language",
                  one->language, "subject", one->subject, "text", one->text, "html", one->html);
    return json_array_append_new(policy_section(document, SECTION), object) == 0;
}

/* What the draft has already stays as it is. */
static bool add_usual(json_t *document, const void *argument, struct buffer *what,
                      struct error *error)
{
    bool added = true;
    (void)argument;
    for (size_t i = 0; i < sizeof usual / sizeof *usual && added; i++)
        added = add_one(document, &usual[i]);
    return (added && buffer_add_text(what, "added the usual notifications")) ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

void page_notifications_usual(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "policy_templates");
    if (policy_draft_change(&page, add_usual, NULL, &error))
        page_redirect(&page, PATH, "kept");
    else
        page_fail(&page, &error);
}

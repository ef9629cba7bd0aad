/* The page of mail that no scanner has taken yet. */
#include "test_pages_scene.h"

#include "controlcenter/store/outbox.h"

static void add_mail(struct console *console, const char *problem)
{
    static const char *const recipients[] = {"<b>@example.com", "c@example.com"};
    struct store_outbox_new mail = {.sender = "",
                                    .recipients = recipients,
                                    .recipient_count = 2,
                                    .message = "Subject: x\r\n\r\n",
                                    .message_length = 14,
                                    .reason = "incident.approve",
                                    .administrator = "ada"};
    struct store_outbox_mail *mails;
    size_t count;
    char id[37];
    ok(store_outbox_add(console->scene->store, &mail, id, &error));
    ok(store_outbox_take(console->scene->store, 1, &mails, &count, &error));
    store_outbox_list_free(mails, count);
    ok(store_outbox_failed(console->scene->store, id, problem, 600, &error));
}

static void what_waits_is_shown_with_the_reason(void **state)
{
    struct console *console = *state;
    get(console, "/outbox");
    assert_status(console, 200);
    assert_shows(console, "nothing waits");
    assert_hides(console, "Try all now");
    add_mail(console, "no scanner is <connected>");
    get(console, "/outbox");
    assert_shows(console, "&lt;b&gt;@example.com");
    assert_shows(console, "c@example.com");
    assert_shows(console, "incident.approve");
    assert_shows(console, "by ada");
    assert_shows(console, "no scanner is &lt;connected&gt;");
}

static void all_may_be_tried_at_once(void **state)
{
    struct console *console = *state;
    add_mail(console, "no scanner");
    get(console, "/outbox");
    assert_int_equal(
        count_of(console->scene, "SELECT count(*) FROM outbox WHERE next_attempt <= now()"), 0);
    post(console, "/outbox", "");
    assert_leads_to(console, "/outbox");
    assert_int_equal(
        count_of(console->scene, "SELECT count(*) FROM outbox WHERE next_attempt <= now()"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        signed_in_page_test(what_waits_is_shown_with_the_reason),
        signed_in_page_test(all_may_be_tried_at_once),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}

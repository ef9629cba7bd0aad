/* Audit events and policy decisions of the mta. */
#include "common/cleanup.h"
#include "common/json.h"
#include "scanner/mta/audit_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The one line that was written, parsed. */
static json_t *parse(struct buffer *out)
{
    struct error error = {0};
    assert_false(out->failed);
    assert_int_equal(out->data[out->length - 1], '\n');
    assert_ptr_equal(memchr(out->data, '\n', out->length), out->data + out->length - 1);
    json_t *value = json_parse(out->data, out->length - 1, NULL, &error);
    if (!value)
        fail_msg("%s: %s", error.message, out->data);
    buffer_free(out);
    return value;
}

static const char *text_of(const json_t *value, const char *name)
{
    const char *text = json_string_value(json_object_get(value, name));
    return text ? text : "(none)";
}

static void hostile_text_becomes_valid_json_on_one_line(void **state)
{
    static const char hostile[] = "a\"\\\r\n\t\x01\xff\xc3\xa9</script>\x7f";
    struct queue_draft_recipient recipient = {.address = hostile};
    struct transaction transaction = {.direction = QUEUE_INBOUND, .helo = hostile};
    struct audit_envelope envelope = {hostile, &recipient, 1, 7};
    struct message_id id = message_id_new();
    struct buffer out = BUFFER_INIT;
    (void)state;
    assert_true(ip_parse("2001:db8::1", &transaction.peer));
    transaction.protocol = "ESMTP";
    audit_refused(&out, &id, &transaction, &envelope, hostile);
    cleanup_json json_t *value = parse(&out);
    assert_string_equal(text_of(value, "type"), "refused");
    assert_string_equal(text_of(value, "helo"), "a\"\\   ??\xc3\xa9</script>?");
    assert_string_equal(text_of(value, "peer_ip"), "2001:db8::1");
    assert_true(json_is_null(json_object_get(value, "tls")));
    assert_int_equal(json_array_size(json_object_get(value, "recipients")), 1);
}

static void very_long_text_is_cut_and_stays_valid(void **state)
{
    struct message_id id = message_id_new();
    struct buffer out = BUFFER_INIT;
    cleanup_free char *text = malloc(100001);
    (void)state;
    memset(text, '"', 100000);
    text[100000] = 0;
    audit_bounced(&out, &id, 3, text, text, NULL);
    cleanup_json json_t *value = parse(&out);
    assert_true(strlen(text_of(value, "reply")) <= 4000);
    assert_int_equal(json_integer_value(json_object_get(value, "recipient")), 3);
}

static void a_delivery_tells_its_peer_and_next_attempt(void **state)
{
    struct message_id id = message_id_new();
    struct buffer out = BUFFER_INIT;
    struct audit_delivery delivery = {.address = "b@example.test",
                                      .attempt = 2,
                                      .outcome = "deferred",
                                      .reply = "451 4.3.0 later",
                                      .next_attempt = 1700000000000};
    (void)state;
    audit_delivery(&out, &id, &delivery);
    cleanup_json json_t *value = parse(&out);
    assert_string_equal(text_of(value, "next_attempt"), "2023-11-14T22:13:20.000Z");
    assert_true(json_is_null(json_object_get(value, "host")));
    assert_null(json_object_get(value, "port"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_becomes_valid_json_on_one_line),
        cmocka_unit_test(very_long_text_is_cut_and_stays_valid),
        cmocka_unit_test(a_delivery_tells_its_peer_and_next_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

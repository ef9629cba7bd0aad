/* The content of a message as it comes: in whatever pieces, it ends at the same byte, with the same
 * fault and the same body. */
#include "smtp_scene.h"

#include "scanner/mta/smtp_receive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct queue *const nowhere = (struct queue *)1; /* the doubles do not look at it */

struct result {
    size_t used;
    bool ended;
    enum smtp_receive_fault fault;
    struct buffer body;
};

/* Feeds the content cut at `first` and `second`. */
static struct result receive(const char *content, size_t length, size_t first, size_t second,
                             bool dotted)
{
    size_t ends[] = {first, second, length};
    struct smtp_receive receiver;
    struct result result = {0};
    smtp_receive_begin(&receiver, nowhere, "", 1u << 20, 0, dotted);
    for (size_t i = 0; i < COUNT_OF(ends) && !result.ended; i++)
        result.used += smtp_receive_data(&receiver, content + result.used, ends[i] - result.used,
                                         &result.ended);
    smtp_receive_finish(&receiver);
    result.fault = receiver.fault;
    buffer_add(&result.body, receiver.body.data, receiver.body.length);
    smtp_receive_drop(&receiver);
    return result;
}

static void check_every_cut(const char *content, size_t length, bool dotted)
{
    struct result whole = receive(content, length, length, length, dotted);
    for (size_t first = 0; first <= length; first++) {
        for (size_t second = first; second <= length; second++) {
            struct result cut = receive(content, length, first, second, dotted);
            if (cut.used != whole.used || cut.ended != whole.ended || cut.fault != whole.fault ||
                cut.body.length != whole.body.length ||
                memcmp(buffer_text(&cut.body), buffer_text(&whole.body), cut.body.length) != 0)
                fail_msg("cut at %zu and %zu: %s", first, second, content);
            buffer_free(&cut.body);
        }
    }
    buffer_free(&whole.body);
}

static void the_pieces_of_the_network_do_not_matter(void **state)
{
    static const char *const contents[] = {
        "Subject: x\r\n\r\n..x\r\n.\r\nQUIT\r\n",
        "x\n.\n\r\n.\r\n",
        "x\r\n.\n.\r\n.\r\n",
        "x\r.\r\r\n.\r\n",
        "x\r\n.\r\r\n.\r\n",
        "\r\r\n\r\n.\r\n",
        ".\r\n",
        "..\r\n.\r\n.\r\n",
        ".\rx\r\n.\r\n",
        "Received: a\r\nreceived:b\r\n\r\nReceived: c\r\n.\r\n",
        "no end\r",
        "no end\r\n.",
        "no end\r\n.\r",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        check_every_cut(contents[i], strlen(contents[i]), true);
        check_every_cut(contents[i], strlen(contents[i]), false);
    }
}

/* Every text of up to seven of the bytes that matter: it ends at the first CRLF "." CRLF (or "."
 * CRLF at the start), nowhere else, and a line end that is not CRLF is never accepted. */
static void no_mix_of_line_ends_and_dots_makes_another_end(void **state)
{
    static const char bytes[] = {'\r', '\n', '.', 'x', '\0'};
    (void)state;
    for (size_t length = 1; length <= 7; length++) {
        size_t count = 1;
        for (size_t i = 0; i < length; i++)
            count *= COUNT_OF(bytes);
        for (size_t number = 0; number < count; number++) {
            char text[2 + 8] = "\r\n";
            size_t left = number;
            for (size_t i = 0; i < length; i++, left /= COUNT_OF(bytes))
                text[2 + i] = bytes[left % COUNT_OF(bytes)];
            const char *end = memmem(text, length + 2, "\r\n.\r\n", 5);
            struct result result = receive(text + 2, length, length, length, true);
            assert_int_equal(result.ended, end != NULL);
            if (end)
                assert_int_equal(result.used, (size_t)(end + 5 - (text + 2)));
            for (size_t i = 0; result.fault == SMTP_RECEIVE_FINE && i < result.body.length; i++) {
                bool after_cr = i > 0 && result.body.data[i - 1] == '\r';
                assert_int_equal(result.body.data[i] == '\n', after_cr);
                assert_int_not_equal(result.body.data[i], '\0');
            }
            buffer_free(&result.body);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pieces_of_the_network_do_not_matter),
        cmocka_unit_test(no_mix_of_line_ends_and_dots_makes_another_end),
    };
    return cmocka_run_group_tests_name("smtp_receive", tests, NULL, NULL);
}

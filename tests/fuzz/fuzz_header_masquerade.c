/* Masquerading of any bytes: the new header has as many lines as the old one, and nothing is left
 * in it that the same rules would change. */
#include "scanner/mta/address_rewrite.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config_masquerade rules[] = {
    {.from = "@.in.example", .to = "@out.example"},
    {.from = "@in.example", .to = "@out.example"},
    {.from = "a@in.example", .to = "alpha@out.example"},
};
static const struct scanner_config config = {.masquerades = rules, .masquerade_count = 3};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static size_t count_lines(const char *text, size_t length)
{
    size_t lines = 0;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *message = (const char *)data;
    struct buffer out = BUFFER_INIT, again = BUFFER_INIT;
    size_t length = 0;
    if (header_masquerade(&config, message, size, &out, &length)) {
        check(length <= size && length > 0);
        check(count_lines(out.data, out.length) == count_lines(message, length));
        check(!header_masquerade(&config, out.data, out.length, &again, &length));
    } else {
        check(out.length == 0);
    }
    buffer_free(&out);
    buffer_free(&again);
    return 0;
}

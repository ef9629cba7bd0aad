/* libFuzzer: records that ask for TLS reports. Whatever they hold, an address is one that may stand
 * in a command and a header, and a URL has no spaces. */
#include "scanner/mta/tls_report_record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct tls_report_target *target)
{
    size_t length = strnlen(target->text, sizeof(target->text));
    if (length == 0 || length >= sizeof(target->text))
        abort();
    if (target->is_mail && address_check(target->text, length, false) != NULL)
        abort();
    for (size_t i = 0; i < length; i++)
        if (target->text[i] == '\r' || target->text[i] == '\n' ||
            (!target->is_mail && target->text[i] == ' '))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_report_target targets[TLS_REPORT_TARGETS];
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    size_t count = tls_report_read_record(text, size, targets);
    if (count > TLS_REPORT_TARGETS)
        abort();
    for (size_t i = 0; i < count; i++)
        check(&targets[i]);
    free(text);
    return 0;
}

/* RTF: its text stays UTF-8 and within its limits, in time. */
#include "fuzz_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_text(data, size, "text/rtf", false);
    return 0;
}

/* The XML of an Office document: its text stays UTF-8 and within its limits, in time. */
#include "fuzz_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_text(data, size, "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
              true);
    return 0;
}

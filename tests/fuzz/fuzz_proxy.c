/* libFuzzer: a PROXY header from the network, in one piece and in pieces. Both must read alike, and
 * never more may be wanted than the header says. The first byte chooses the pieces. */
#include "scanner/mta/proxy_protocol.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

struct reading {
    bool whole, read;
    size_t used;
    enum proxy_source source;
    struct ip_address client;
    uint16_t port;
};

static struct reading read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct reading reading = {0};
    struct proxy_header header = {0};
    size_t wants;
    while (proxy_header_wants(&header, &wants)) {
        check(wants <= PROXY_HEAD_SIZE + UINT16_MAX);
        if (wants == 0) {
            reading.whole = true;
            break;
        }
        size_t part = wants < piece ? wants : piece;
        if (part > size - reading.used)
            part = size - reading.used;
        if (part == 0)
            break;
        proxy_header_add(&header, data + reading.used, part);
        reading.used += part;
    }
    if (reading.whole)
        reading.read = proxy_header_read(&header, &reading.source, &reading.client, &reading.port);
    return reading;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct reading once = read_in_pieces(data + 1, size - 1, size);
    struct reading pieces = read_in_pieces(data + 1, size - 1, data[0] % 64 + 1u);
    check(once.whole == pieces.whole && once.read == pieces.read);
    if (once.whole)
        check(once.used == pieces.used && once.port == pieces.port &&
              memcmp(&once.client, &pieces.client, sizeof(once.client)) == 0);
    return 0;
}

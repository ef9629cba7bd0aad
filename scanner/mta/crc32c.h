/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), by the processor's instruction where it has one. */
#ifndef GATEHOUSE_SCANNER_MTA_CRC32C_H
#define GATEHOUSE_SCANNER_MTA_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);
/* The same without the instruction. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length);

#endif

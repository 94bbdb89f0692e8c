/* digest.h - SHA-256 and SHA-1 (FIPS 180-4) of a stream, as the hub names files by them. */
#ifndef CEI_HUB_DIGEST_H
#define CEI_HUB_DIGEST_H

#include <stddef.h>
#include <stdint.h>

typedef enum cei_digest_kind { CEI_SHA1, CEI_SHA256 } cei_digest_kind;

enum { CEI_SHA1_DIGITS = 40, CEI_SHA256_DIGITS = 64, CEI_DIGEST_SIZE = 65 };

typedef struct cei_digest {
    cei_digest_kind kind;
    uint32_t state[8]; /* five of SHA-1 */
    uint64_t bytes;
    uint8_t block[64]; /* [bytes % 64] of them are waiting */
} cei_digest;

void cei_digest_begin(cei_digest *digest, cei_digest_kind kind);
void cei_digest_add(cei_digest *digest, const void *data, size_t size);

/* Hexadecimal digits in lower case, and a NUL. */
void cei_digest_end(cei_digest *digest, char hex[CEI_DIGEST_SIZE]);

#endif

/* digest.c - SHA-1 and SHA-256, from FIPS 180-4: section 4 has the functions and constants, 6 the rounds. Relies on
 * nothing. SHA-1 protects nobody from forgery any more; it is what git, and so the hub, names small files by. */
#include "hub/digest.h"

#include <string.h>

/* The first 32 bits of the fractions of the cube roots of the first 64 primes (4.2.2). */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t left(uint32_t x, unsigned n) { return x << n | x >> (32 - n); }
static uint32_t right(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return z ^ (x & (y ^ z)); }
static uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | (z & (x | y)); }

/* The eight words change places from round to round: a is s[(0 - turn) % 8], b is s[(1 - turn) % 8], and so on, so that
 * nothing is moved. Rounds are done by eight for the compiler to know all places. */
static inline void round_sha256(uint32_t s[8], unsigned turn, uint32_t added) {
#define WORD(n) s[((n)-turn) & 7]
    uint32_t a = WORD(0U), e = WORD(4U);
    uint32_t one = WORD(7U) + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + choose(e, WORD(5U), WORD(6U)) + added;
    uint32_t two = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + majority(a, WORD(1U), WORD(2U));
    WORD(3U) += one;
    WORD(7U) = one + two;
#undef WORD
}

static void mix_sha256(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++) w[i] = big_endian(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (right(a, 7) ^ right(a, 18) ^ a >> 3) + w[i - 7] + (right(b, 17) ^ right(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (unsigned i = 0; i < 64; i += 8)
        for (unsigned j = 0; j < 8; j++) round_sha256(s, j, constants[i + j] + w[i + j]);
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

static uint32_t sha1_function(int round, uint32_t x, uint32_t y, uint32_t z) {
    static const uint32_t added[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t mixed = round < 20 ? choose(x, y, z) : round >= 40 && round < 60 ? majority(x, y, z) : x ^ y ^ z;
    return mixed + added[round / 20];
}

static void mix_sha1(uint32_t state[5], const uint8_t *block) {
    uint32_t w[80], s[5];
    for (int i = 0; i < 16; i++) w[i] = big_endian(block + 4 * i);
    for (int i = 16; i < 80; i++) w[i] = left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 80; i++) {
        uint32_t next = left(s[0], 5) + sha1_function(i, s[1], s[2], s[3]) + s[4] + w[i];
        memmove(s + 1, s, 4 * sizeof *s);
        s[2] = left(s[2], 30);
        s[0] = next;
    }
    for (int i = 0; i < 5; i++) state[i] += s[i];
}

void cei_digest_begin(cei_digest *digest, cei_digest_kind kind) {
    static const uint32_t sha256[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    static const uint32_t sha1[8] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    *digest = (cei_digest){.kind = kind};
    memcpy(digest->state, kind == CEI_SHA256 ? sha256 : sha1, sizeof digest->state);
}

static void mix(cei_digest *digest, const uint8_t *block) {
    if (digest->kind == CEI_SHA256) {
        mix_sha256(digest->state, block);
    } else {
        mix_sha1(digest->state, block);
    }
}

void cei_digest_add(cei_digest *digest, const void *data, size_t size) {
    const uint8_t *from = data;
    while (size > 0) {
        size_t used = digest->bytes % sizeof digest->block, room = sizeof digest->block - used;
        size_t taken = size < room ? size : room;
        if (taken == sizeof digest->block) {
            mix(digest, from);
        } else {
            memcpy(digest->block + used, from, taken);
            if (taken == room) mix(digest, digest->block);
        }
        digest->bytes += taken;
        from += taken;
        size -= taken;
    }
}

void cei_digest_end(cei_digest *digest, char hex[CEI_DIGEST_SIZE]) {
    /* A bit, zeros up to the last eight bytes of a block, and there the number of bits (5.1.1). */
    static const uint8_t padding[64] = {0x80};
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(digest->bytes * 8 >> (56 - 8 * i));
    cei_digest_add(digest, padding, 1 + (119 - digest->bytes % 64) % 64);
    cei_digest_add(digest, length, sizeof length);
    int words = digest->kind == CEI_SHA256 ? 8 : 5;
    for (int i = 0; i < words * 8; i++) hex[i] = "0123456789abcdef"[digest->state[i / 8] >> (28 - i % 8 * 4) & 15];
    hex[words * 8] = '\0';
}

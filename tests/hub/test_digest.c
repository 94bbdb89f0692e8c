/* test_digest.c - SHA-1 and SHA-256 against the examples of FIPS 180 and RFC 6234, in one piece and in all others. */
#include "hub/digest.h"

#include "support/support.h"

#include <stdlib.h>
#include <string.h>

typedef struct example {
    const char *text;
    size_t repeated;
    const char *sha1, *sha256;
} example;

static const char long_text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

static const example examples[] = {
    {"", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709",
     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d",
     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {long_text, 1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    {"0123456701234567012345670123456701234567012345670123456701234567", 10, "dea356a2cddd90c7a7ecedc5ebb563934f460452",
     "594847328451bdfa85056225462cc1d867d877fb388df0ce35f25ab5562bfbb5"},
};

static void expect_sum(cei_digest *digest, const char *want) {
    char sum[CEI_DIGEST_SIZE];
    cei_digest_end(digest, sum);
    assert_string_equal(sum, want);
}

static void test_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        const example *one = &examples[i];
        cei_digest sha1, sha256;
        cei_digest_begin(&sha1, CEI_SHA1);
        cei_digest_begin(&sha256, CEI_SHA256);
        for (size_t n = 0; n < one->repeated; n++) {
            cei_digest_add(&sha1, one->text, strlen(one->text));
            cei_digest_add(&sha256, one->text, strlen(one->text));
        }
        expect_sum(&sha1, one->sha1);
        expect_sum(&sha256, one->sha256);
    }
}

/* Every length around a block's, in pieces of every length. */
static void test_pieces(void **state) {
    (void)state;
    char data[200], want[CEI_DIGEST_SIZE];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 37);
    for (size_t size = 0; size <= sizeof data; size++) {
        cei_digest digest;
        cei_digest_begin(&digest, CEI_SHA256);
        cei_digest_add(&digest, data, size);
        cei_digest_end(&digest, want);
        for (size_t piece = 1; piece < 130; piece += 9) {
            cei_digest_begin(&digest, CEI_SHA256);
            for (size_t at = 0; at < size; at += piece)
                cei_digest_add(&digest, data + at, size - at < piece ? size - at : piece);
            expect_sum(&digest, want);
        }
    }
}

/* What `git hash-object` says of a file with "hello\n". */
static void test_git(void **state) {
    (void)state;
    cei_digest digest;
    cei_digest_begin(&digest, CEI_SHA1);
    cei_digest_add(&digest, "blob 6\0hello\n", 13);
    expect_sum(&digest, "ce013625030ba8dba906f756967f9e9ca394464a");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples), cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_git)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

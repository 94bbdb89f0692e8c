/* fuzz.h - what a fuzz target defines, and how it says that a promise is broken. */
#ifndef CE_FUZZ_H
#define CE_FUZZ_H

#include <crossenc/status.h>

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Called with each input; returns 0. Named by libFuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, which is a finding, unless condition holds. */
static inline void fuzz_require(bool condition) {
    if (!condition) abort();
}

/* A failure has its own status and a message; no reader runs out of memory on inputs of a fuzzer's size. */
static inline void fuzz_check_error(ce_status status, const ce_error *error) {
    if (status == CE_OK) return;
    fuzz_require(status == error->status && error->message[0] != '\0');
    fuzz_require(status != CE_ERR_MEMORY && status != CE_ERR_ARGUMENT);
}

#endif

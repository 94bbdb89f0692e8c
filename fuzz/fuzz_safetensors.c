/* fuzz_safetensors.c - formats/header.c: what it accepts holds together, and can be read to the last byte. */
#include "fuzz.h"

#include "formats/header.h"

#include <string.h>

/* The accepted tensors lie in the file one behind the other up to its end. */
static void check_tensors(const cei_header *header, const uint8_t *data, size_t size) {
    uint64_t sum = 0;
    const uint8_t *end = data + size;
    for (size_t i = 0; i < header->count; i++) {
        const cei_tensor *tensor = &header->tensors[i];
        fuzz_require(tensor->rank >= 0 && tensor->rank <= CEI_MAX_RANK && tensor->name && tensor->dtype);
        fuzz_require(tensor->data >= data + 8 && tensor->data <= end &&
                     tensor->bytes <= (uint64_t)(end - tensor->data));
        for (uint64_t k = 0; k < tensor->bytes; k++) sum += tensor->data[k];
        if (i > 0) fuzz_require(tensor->data == tensor[-1].data + tensor[-1].bytes);
        if (i + 1 == header->count) fuzz_require(tensor->data + tensor->bytes == end);
    }
    volatile uint64_t kept = sum; /* so that the reads stay */
    (void)kept;
}

static void check_file(const uint8_t *data, size_t size) {
    ce_error error = {CE_OK, ""};
    cei_header header;
    ce_status status = cei_header_parse(data, size, "file", &header, &error);
    fuzz_check_error(status, &error);
    fuzz_require(status == CE_OK || (header.count == 0 && !header.tensors && !header.names));
    check_tensors(&header, data, size);
    cei_header_free(&header);
}

/* The same bytes with the length that the header would have if it ended with the last brace: mutations that change
 * its size are then not all refused for that alone. */
static void check_with_length(const uint8_t *data, size_t size) {
    size_t end = size;
    while (end > 8 && data[end - 1] != '}') end--;
    if (end <= 8) return;
    uint8_t *copy = malloc(size);
    fuzz_require(copy != NULL);
    memcpy(copy, data, size);
    for (int i = 0; i < 8; i++) copy[i] = (uint8_t)((uint64_t)(end - 8) >> 8 * i);
    check_file(copy, size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_file(data, size);
    check_with_length(data, size);
    return 0;
}

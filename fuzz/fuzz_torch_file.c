/* fuzz_torch_file.c - a file of torch.save, and its pickle alone: tensors that lie in the file and can be read to their
 * last byte, or an error. */
#include "fuzz.h"

#include "formats/pickle.h"
#include "formats/torch_file.h"

#include <string.h>

static void check_tensors(const cei_header *header, const uint8_t *data, size_t size) {
    uint64_t sum = 0;
    const uint8_t *end = data + size;
    for (size_t i = 0; i < header->count; i++) {
        const cei_tensor *tensor = &header->tensors[i];
        fuzz_require(tensor->rank >= 0 && tensor->rank <= CEI_MAX_RANK && tensor->name && tensor->dtype);
        fuzz_require(tensor->data > data && tensor->data <= end && tensor->bytes <= (uint64_t)(end - tensor->data));
        if (i > 1000) continue; /* they may all be one storage */
        for (uint64_t k = 0; k < tensor->bytes; k++) sum += tensor->data[k];
    }
    volatile uint64_t kept = sum; /* so that the reads stay */
    (void)kept;
}

static void check_pickle(const uint8_t *data, size_t size) {
    cei_pickle pickle;
    ce_error error = {CE_OK, ""};
    size_t used = 0;
    ce_status status = cei_pickle_read(data, size, "pickle", &pickle, &used, &error);
    fuzz_check_error(status, &error);
    fuzz_require(used <= size);
    for (size_t i = 0; i < pickle.count; i++) {
        const cei_pickle_tensor *tensor = &pickle.tensors[i];
        fuzz_require(tensor->storage < pickle.storage_count);
        const uint64_t held = pickle.storages[tensor->storage].count;
        fuzz_require(tensor->first <= held && tensor->count <= held - tensor->first);
    }
    cei_pickle_free(&pickle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cei_header header;
    ce_error error = {CE_OK, ""};
    ce_status status = cei_torch_parse(data, size, "file", &header, &error);
    fuzz_check_error(status, &error);
    fuzz_require(status == CE_OK || (header.count == 0 && !header.tensors && !header.names));
    check_tensors(&header, data, size);
    cei_header_free(&header);
    check_pickle(data, size);
    return 0;
}

/* values.h - reads what a checkpoint says it has, for targets that change what is read. */
#ifndef CE_FUZZ_VALUES_H
#define CE_FUZZ_VALUES_H

#include "fuzz.h"

#include "base/memory.h"
#include "formats/checkpoint.h"

/* Each vector and matrix that is not too large for it, to its last value. */
static inline void fuzz_read_values(const cei_checkpoint *checkpoint) {
    for (size_t i = 0; i < cei_checkpoint_count(checkpoint); i++) {
        const cei_tensor *tensor = cei_checkpoint_at(checkpoint, i);
        cei_values values;
        const bool is_matrix = tensor->rank == 2;
        const size_t rows = is_matrix ? (size_t)tensor->shape[0] : 1;
        const size_t columns = is_matrix ? (size_t)tensor->shape[1] : tensor->rank == 1 ? (size_t)tensor->shape[0] : 0;
        if (tensor->rank < 1 || tensor->rank > 2 || tensor->count > 1 << 16) continue;
        if (cei_checkpoint_values(checkpoint, tensor->name, rows, columns, &values, NULL) != CE_OK) continue;
        float *all = cei_alloc(rows * columns, sizeof *all);
        fuzz_require(all != NULL);
        cei_values_read(&values, 0, rows, all);
        cei_free(all);
    }
}

#endif

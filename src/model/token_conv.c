/* token_conv.c - the matrix and the neighbours of a convolution over tokens. */
#include "model/token_conv.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

ce_status cei_token_conv_check(const cei_config *config, ce_error *error) {
    const size_t kernel = config->conv_kernel_size, hidden = config->hidden_size;
    if (kernel == 0) return CE_OK;
    if (kernel % 2 == 0)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: conv_kernel_size is %zu, and must be odd", config->path,
                        kernel);
    if (hidden % config->conv_groups != 0)
        return cei_fail(error, CE_ERR_MODEL, "%s: hidden_size %zu is not a multiple of conv_groups %zu", config->path,
                        hidden, config->conv_groups);
    return CE_OK;
}

cei_weight cei_token_conv_shape(const cei_token_conv *conv, size_t hidden) {
    return (cei_weight){.role = CEI_ROLE_MATRIX,
                        .rows = hidden,
                        .columns = conv->kernel * hidden,
                        .format = CEI_FORMAT_FLOAT32,
                        .exact = true};
}

/* Row `row` of the matrix [hidden, kernel * hidden] of that of the checkpoint [hidden, hidden / groups, kernel]. */
static void unfold_row(const cei_token_conv *conv, size_t hidden, size_t row, const float *from, float *to) {
    const size_t width = hidden / conv->groups, first = row / width * width;
    memset(to, 0, conv->kernel * hidden * sizeof *to);
    for (size_t k = 0; k < conv->kernel; k++)
        for (size_t i = 0; i < width; i++) to[k * hidden + first + i] = from[i * conv->kernel + k];
}

ce_status cei_token_conv_derive(const cei_token_conv *conv, const cei_derivation *derivation, const cei_weight *to,
                                ce_error *error) {
    const cei_weight *table = &derivation->weights[conv->weight];
    const size_t rows = cei_min_size(derivation->rows, 64);
    int32_t numbers[64];
    float *values = cei_alloc(rows, table->columns * sizeof *values);
    float *staging = cei_alloc(rows, to->columns * sizeof *staging);
    ce_status status = values && staging ? CE_OK : cei_fail_memory(error, "the convolution's matrix", 0);
    for (size_t first = 0; first < to->rows && status == CE_OK; first += rows) {
        const size_t count = cei_min_size(rows, to->rows - first);
        for (size_t r = 0; r < count; r++) numbers[r] = (int32_t)(first + r);
        status = cei_derivation_read(derivation, table, numbers, count, values, error);
        if (status != CE_OK) break;
        for (size_t r = 0; r < count; r++)
            unfold_row(conv, to->rows, first + r, values + r * table->columns, staging + r * to->columns);
        status = cei_derivation_write(derivation, to, first, count, staging, error);
    }
    cei_free(values);
    cei_free(staging);
    return status;
}

/* The neighbour at place k of the kernel around token t of a sequence [first, end); none is the row behind all. */
static int32_t neighbour(size_t t, size_t k, size_t half, size_t first, size_t end, size_t none) {
    return (int32_t)(t + k < first + half || t + k >= end + half ? none : t + k - half);
}

ce_status cei_token_conv_send(const cei_token_conv *conv, cei_stream *stream, const cei_batch *batch, cei_slice to,
                              ce_error *error) {
    int32_t part[256];
    size_t filled = 0;
    for (size_t s = 0; s < batch->sequences; s++) {
        const size_t first = (size_t)batch->offsets[s], end = (size_t)batch->offsets[s + 1];
        for (size_t i = 0; i < (end - first) * conv->kernel; i++) {
            const size_t t = first + i / conv->kernel;
            part[filled++] = neighbour(t, i % conv->kernel, conv->kernel / 2, first, end, batch->tokens);
            if (filled < sizeof part / sizeof *part) continue;
            ce_status status = cei_write(stream, to, part, sizeof part, error);
            if (status != CE_OK) return status;
            to.offset += sizeof part;
            filled = 0;
        }
    }
    return cei_write(stream, to, part, filled * sizeof *part, error);
}

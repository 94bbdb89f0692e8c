/* embed.cu - (scale word + type) + position, as far as they are there. A block a token; a row that a table lacks gives
 * NaN, and is not read. */
#include "device/cuda/kernels/values.h"

CEI_INLINE float cei_table_at(const cei_values_args *table, int row, unsigned column) {
    return (unsigned)row < table->rows ? cei_value_at(table, (unsigned)row, column) : CEI_NAN;
}

CEI_KERNEL(cei_k_embed, CEI_PLAIN_THREADS, cei_embed_kernel_args) {
    const unsigned token = cei_block_x(), columns = a.word.columns;
    const int id = a.ids[token], type = a.has_type ? a.types[token] : 0;
    const int position = a.has_position ? a.positions[token] : 0;
    float *out = a.out + (unsigned long long)token * columns;
    for (unsigned i = cei_thread(); i < columns; i += CEI_PLAIN_THREADS) {
        float sum = cei_table_at(&a.word, id, i);
        if (a.scale != 0) sum *= a.scale;
        if (a.has_type) sum += cei_table_at(&a.type, type, i);
        out[i] = a.has_position ? sum + cei_table_at(&a.position, position, i) : sum;
    }
}

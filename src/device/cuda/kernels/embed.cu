/* embed.cu - (scale word + type) + position, as far as they are there. A block a token; a row that a table lacks gives
 * NaN, and is not read. Where columns are whole fours, as every model's are, a thread has two fours of each table on
 * their way before it adds any. */
#include "device/cuda/kernels/values.h"

enum { CEI_EMBED_FOURS = 2, CEI_EMBED_STEP = CEI_PLAIN_THREADS * 4 /* columns that a block reads at once */ };

/* What a thread has of a row, as it is held. */
typedef struct cei_embed_part {
    bool is_there;
    float scale; /* of INT8 */
    unsigned raw[CEI_EMBED_FOURS][4];
} cei_embed_part;

/* Four values as they are held, in one load: of 16 bytes, 8 or 4. */
CEI_INLINE void cei_embed_read(const cei_values_args *table, unsigned long long at, unsigned raw[4]) {
    if (table->format == CEI_VALUES_FLOAT32) {
        float four[4];
        cei_read_four((const float *)table->values + at, four);
        CEI_UNROLL
        for (unsigned k = 0; k < 4; k++) raw[k] = cei_bits_of(four[k]);
    } else if (table->format != CEI_VALUES_INT8) {
        const cei_two_words pairs = ((const cei_two_words *)table->values)[at / 4];
        raw[0] = pairs.word[0], raw[1] = pairs.word[1];
    } else {
        raw[0] = ((const unsigned *)table->values)[at / 4];
    }
}

/* Begins to read the thread's columns of a row, from `first` on. */
CEI_INLINE void cei_embed_fetch(const cei_values_args *table, int row, unsigned first, cei_embed_part *part) {
    part->is_there = (unsigned)row < table->rows;
    if (part->is_there && table->format == CEI_VALUES_INT8) part->scale = table->scales[row];
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_EMBED_FOURS; i++) {
        const unsigned column = first + i * CEI_EMBED_STEP + cei_thread() * 4;
        if (part->is_there && column < table->columns)
            cei_embed_read(table, (unsigned long long)(unsigned)row * table->stride + column, part->raw[i]);
    }
}

/* Value k of the part's four i. */
CEI_INLINE float cei_embed_value(const cei_embed_part *part, unsigned format, unsigned i, unsigned k) {
    if (!part->is_there) return CEI_NAN;
    if (format == CEI_VALUES_FLOAT32) return cei_of_bits(part->raw[i][k]);
    if (format == CEI_VALUES_BFLOAT16) return cei_of_bits(part->raw[i][k / 2] >> k % 2 * 16 << 16);
    if (format == CEI_VALUES_FLOAT16) return cei_of_half(part->raw[i][k / 2] >> k % 2 * 16 & 0xFFFF);
    return part->scale * (float)(signed char)(part->raw[i][0] >> 8 * k);
}

CEI_INLINE void cei_embed_fours(const cei_embed_kernel_args *a, int id, int type, int position, float *out) {
    cei_embed_part word = {false, 0, {{0}}}, of_type = {false, 0, {{0}}}, of_position = {false, 0, {{0}}};
    for (unsigned first = 0; first < a->word.columns; first += CEI_EMBED_FOURS * CEI_EMBED_STEP) {
        cei_embed_fetch(&a->word, id, first, &word);
        if (a->has_type) cei_embed_fetch(&a->type, type, first, &of_type);
        if (a->has_position) cei_embed_fetch(&a->position, position, first, &of_position);
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_EMBED_FOURS; i++) {
            const unsigned column = first + i * CEI_EMBED_STEP + cei_thread() * 4;
            cei_four_floats sum;
            CEI_UNROLL
            for (unsigned k = 0; k < 4; k++) {
                sum.value[k] = cei_embed_value(&word, a->word.format, i, k);
                if (a->scale != 0) sum.value[k] *= a->scale;
                if (a->has_type) sum.value[k] += cei_embed_value(&of_type, a->type.format, i, k);
                if (a->has_position) sum.value[k] += cei_embed_value(&of_position, a->position.format, i, k);
            }
            if (column < a->word.columns) *(cei_four_floats *)(void *)(out + column) = sum;
        }
    }
}

CEI_INLINE float cei_table_at(const cei_values_args *table, int row, unsigned column) {
    return (unsigned)row < table->rows ? cei_value_at(table, (unsigned)row, column) : CEI_NAN;
}

CEI_INLINE void cei_embed_columns(const cei_embed_kernel_args *a, int id, int type, int position, float *out) {
    for (unsigned i = cei_thread(); i < a->word.columns; i += CEI_PLAIN_THREADS) {
        float sum = cei_table_at(&a->word, id, i);
        if (a->scale != 0) sum *= a->scale;
        if (a->has_type) sum += cei_table_at(&a->type, type, i);
        out[i] = a->has_position ? sum + cei_table_at(&a->position, position, i) : sum;
    }
}

CEI_KERNEL(cei_k_embed, CEI_PLAIN_THREADS, cei_embed_kernel_args) {
    const unsigned token = cei_block_x();
    const int id = a.ids[token], type = a.has_type ? a.types[token] : 0;
    const int position = a.has_position ? a.positions[token] : 0;
    float *out = a.out + (unsigned long long)token * a.word.columns;
    if (a.in_fours)
        cei_embed_fours(&a, id, type, position, out);
    else
        cei_embed_columns(&a, id, type, position, out);
}

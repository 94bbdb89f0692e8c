/* gather.cu - rows by their number. A block a row; one that x lacks gives NaN, and is not read. Where columns are whole
 * fours, as every model's are, a thread has four of them on their way before it writes any. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"

enum { CEI_GATHER_FOURS = 4, CEI_GATHER_STEP = CEI_PLAIN_THREADS * 4 /* columns that a block reads at once */ };

CEI_INLINE void cei_gather_fours(const float *from, bool is_there, unsigned columns, float *out) {
    for (unsigned first = cei_thread() * 4; first < columns; first += CEI_GATHER_FOURS * CEI_GATHER_STEP) {
        cei_four_floats fours[CEI_GATHER_FOURS];
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_GATHER_FOURS; i++) {
            const cei_four_floats none = {{CEI_NAN, CEI_NAN, CEI_NAN, CEI_NAN}};
            const unsigned column = first + i * CEI_GATHER_STEP;
            fours[i] = none;
            if (is_there && column < columns) cei_read_four(from + column, fours[i].value);
        }
        CEI_UNROLL
        for (unsigned i = 0; i < CEI_GATHER_FOURS; i++) {
            const unsigned column = first + i * CEI_GATHER_STEP;
            if (column < columns) *(cei_four_floats *)(void *)(out + column) = fours[i];
        }
    }
}

CEI_KERNEL(cei_k_gather, CEI_PLAIN_THREADS, cei_gather_kernel_args) {
    const unsigned row = (unsigned)a.rows[cei_block_x()];
    const bool is_there = row < a.x_rows;
    const float *from = a.x + (unsigned long long)row * a.columns;
    float *out = a.out + (unsigned long long)cei_block_x() * a.columns;
    if (a.in_fours)
        cei_gather_fours(from, is_there, a.columns, out);
    else
        for (unsigned i = cei_thread(); i < a.columns; i += CEI_PLAIN_THREADS) out[i] = is_there ? from[i] : CEI_NAN;
}

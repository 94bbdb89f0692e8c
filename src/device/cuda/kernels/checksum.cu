/* checksum.cu - the sums of device/checksum.h, over rows of a weight: A of the values' bits, B of each times its place,
 * counted from 1. Sums modulo 2^64 may be taken in any order: a block leaves its own, and the host adds them up. */
#include "device/cuda/kernels/values.h"

CEI_KERNEL(cei_k_checksum, CEI_LINEAR_THREADS, cei_checksum_kernel_args) {
    CEI_SHARED unsigned long long sums[CEI_LINEAR_THREADS][2];
    const unsigned long long count = (unsigned long long)a.count * a.weight.columns;
    const unsigned long long step = (unsigned long long)CEI_LINEAR_THREADS * a.blocks;
    unsigned long long total = 0, weighted = 0;
    for (unsigned long long i = cei_block_x() * CEI_LINEAR_THREADS + cei_thread(); i < count; i += step) {
        const unsigned row = (unsigned)(i / a.weight.columns), column = (unsigned)(i % a.weight.columns);
        const unsigned long long bits = cei_bits_of(cei_value_at(&a.weight, a.first + row, column));
        total += bits;
        weighted += (i + 1) * bits;
    }
    sums[cei_thread()][0] = total;
    sums[cei_thread()][1] = weighted;
    cei_barrier();
    if (cei_thread() >= 2) return;
    unsigned long long sum = 0;
    for (unsigned i = 0; i < CEI_LINEAR_THREADS; i++) sum += sums[i][cei_thread()];
    a.sums[cei_block_x() * 2 + cei_thread()] = sum;
}

/* measure.cu - what the device could do at most: products on registers, and reading of its memory. Each thread does
 * `rounds` times CEI_MEASURE_CHAINS operations that wait for none of each other; what comes out is written, so that
 * nothing is left out. */
#include "device/cuda/kernels/args.h"
#include "device/cuda/kernels/gpu.h"
#include "device/cuda/kernels/rounding.h"

CEI_INLINE float *cei_own_result(const cei_measure_kernel_args *a) {
    return a->out + (unsigned long long)cei_block_x() * CEI_LINEAR_THREADS + cei_thread();
}

/* Sums tend to 2: none overflows. */
CEI_KERNEL(cei_k_measure_float32, CEI_LINEAR_THREADS, cei_measure_kernel_args) {
    float sums[CEI_MEASURE_CHAINS], total = 0;
    CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) sums[i] = (float)(i + cei_thread());
    for (unsigned round = 0; round < a.rounds; round++) CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) sums[i] = cei_fma(sums[i], a.factor, 1);
    CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) total += sums[i];
    *cei_own_result(&a) = total;
}

CEI_KERNEL(cei_k_measure_int8, CEI_LINEAR_THREADS, cei_measure_kernel_args) {
    int sums[CEI_MEASURE_CHAINS], total = 0;
    CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) sums[i] = i;
    for (unsigned round = 0; round < a.rounds; round++) CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) sums[i] = cei_dot4((int)round, (int)cei_thread(), sums[i]);
    CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) total ^= sums[i];
    *cei_own_result(&a) = (float)total;
}

#ifdef CEI_TENSOR
CEI_KERNEL(cei_k_measure_tensor_bfloat16, CEI_LINEAR_THREADS, cei_measure_kernel_args) {
    const unsigned x[4] = {cei_thread(), 0, 0, 0}, y[2] = {cei_thread(), 0}; /* numbers next to 0 */
    float sums[CEI_MEASURE_CHAINS][4] = {{0}}, total = 0;
    for (unsigned round = 0; round < a.rounds; round++) CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) cei_multiply_bfloat16(x, y, sums[i]);
    CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) total += sums[i][0] + sums[i][1] + sums[i][2] + sums[i][3];
    *cei_own_result(&a) = total;
}

CEI_KERNEL(cei_k_measure_tensor_int8, CEI_LINEAR_THREADS, cei_measure_kernel_args) {
    const unsigned x[4] = {cei_thread(), 0, 0, 0}, y[2] = {cei_thread(), 0};
    int sums[CEI_MEASURE_CHAINS][4] = {{0}}, total = 0;
    for (unsigned round = 0; round < a.rounds; round++) CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) cei_multiply_int8(x, y, sums[i]);
    CEI_UNROLL
    for (int i = 0; i < CEI_MEASURE_CHAINS; i++) total ^= sums[i][0] ^ sums[i][1] ^ sums[i][2] ^ sums[i][3];
    *cei_own_result(&a) = (float)total;
}
#endif

#ifdef CEI_GROUPS
/* Tiles of small whole numbers in no order, since the chip is quicker where it multiplies zeros: bytes from -3 to 3, or
 * the bfloat16 of the same. */
CEI_INLINE cei_shared cei_measured_tiles(bool is_bfloat16) {
    const cei_shared tiles = cei_launched_memory();
    unsigned char *memory = cei_of_shared(tiles);
    unsigned bits = cei_thread() + 1;
    for (unsigned i = cei_thread(); i < 3 * CEI_TILE_BYTES / 2; i += CEI_LINEAR_THREADS) {
        bits = bits * 1664525u + 1013904223u;
        const int low = (int)(bits >> 16 & 0xFF) % 7 - 3, high = (int)(bits >> 24) % 7 - 3;
        ((unsigned short *)(void *)memory)[i] =
            (unsigned short)(is_bfloat16 ? cei_round_bfloat16((float)low)
                                         : (unsigned)((low & 0xFF) | (high & 0xFF) << 8));
    }
    cei_fence_for_copies();
    cei_barrier();
    return tiles;
}

CEI_KERNEL(cei_k_measure_group_bfloat16, CEI_LINEAR_THREADS, cei_measure_kernel_args) {
    float sums[CEI_LARGE_TILE / 2] = {0}, total = 0;
    const cei_shared tiles = cei_measured_tiles(true);
    for (unsigned round = 0; round < a.rounds * CEI_MEASURE_CHAINS; round++) {
        cei_group_bfloat16_128(tiles, tiles + CEI_TILE_BYTES, sums);
        cei_group_wait_float_64(sums);
    }
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_LARGE_TILE / 2; i++) total += sums[i];
    *cei_own_result(&a) = total;
}

CEI_KERNEL(cei_k_measure_group_int8, CEI_LINEAR_THREADS, cei_measure_kernel_args) {
    int sums[CEI_LARGE_TILE / 2] = {0}, total = 0;
    const cei_shared tiles = cei_measured_tiles(false);
    for (unsigned round = 0; round < a.rounds * CEI_MEASURE_CHAINS; round++) {
        cei_group_int8_128(tiles, tiles + CEI_TILE_BYTES, sums);
        cei_group_wait_int_64(sums);
    }
    CEI_UNROLL
    for (unsigned i = 0; i < CEI_LARGE_TILE / 2; i++) total ^= sums[i];
    *cei_own_result(&a) = (float)total;
}
#endif

/* Threads next to each other read next to each other. */
CEI_KERNEL(cei_k_measure_reading, CEI_LINEAR_THREADS, cei_reading_kernel_args) {
    const unsigned long long threads = (unsigned long long)a.blocks * CEI_LINEAR_THREADS;
    unsigned total = 0;
    for (unsigned long long i = (unsigned long long)cei_block_x() * CEI_LINEAR_THREADS + cei_thread(); i < a.count;
         i += threads) {
        const cei_four_words four = a.data[i];
        total += four.word[0] + four.word[1] + four.word[2] + four.word[3];
    }
    a.out[(unsigned long long)cei_block_x() * CEI_LINEAR_THREADS + cei_thread()] = total;
}

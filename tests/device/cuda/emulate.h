/* emulate.h - CUDA's words for the host's compiler: kernels run as they are, a fiber a thread, a block at a time.
 *
 * A fiber runs until it meets a barrier, where the next one goes on: so a thread that needs what another has not
 * written yet reads garbage, as on a GPU, and a barrier that not all threads meet is found. Shared memory is static,
 * filled with NaNs before each block. Included by kernels/gpu.h. */
#ifndef CE_TEST_EMULATE_H
#define CE_TEST_EMULATE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define CEI_INLINE static inline __attribute__((unused))
#define CEI_OUTLINE CEI_INLINE
#define CEI_SHARED static __attribute__((section("cei_shared")))
#define CEI_UNROLL
#define CEI_KERNEL(name, threads, arguments) \
    void name(arguments a);                  \
    void name(arguments a)
#define CEI_KERNEL_BLOCKS(name, threads, blocks, arguments) CEI_KERNEL(name, threads, arguments)

unsigned cei_thread(void);
unsigned cei_block_x(void);
unsigned cei_block_y(void);
void cei_barrier(void);
float cei_shuffle_xor(float value, unsigned mask);

CEI_INLINE int cei_dot4(int x, int y, int sum) {
    for (int shift = 0; shift < 32; shift += 8)
        sum += (int)(signed char)((unsigned)x >> shift) * (int)(signed char)((unsigned)y >> shift);
    return sum;
}

/* What mma.m16n8k16 and mma.m16n8k32 do with a warp's fragments; each lane waits for the others. */
#define CEI_TENSOR
void cei_multiply_bfloat16(const unsigned x[4], const unsigned y[2], float sums[4]);
void cei_multiply_half(const unsigned x[4], const unsigned y[2], float sums[4]);
unsigned cei_pack_halves(float low, float high);
unsigned cei_pack_bfloat16(float low, float high);
unsigned cei_clamp_halves(unsigned pair);
void cei_multiply_int8(const unsigned x[4], const unsigned y[2], int sums[4]);

/* cp.async and ldmatrix. A copy is made when its thread waits for it, and not before. */
typedef unsigned char *cei_shared;
CEI_INLINE cei_shared cei_shared_of(void *memory) { return (cei_shared)memory; }
CEI_INLINE cei_shared cei_address_here(cei_shared at) { return at; }
void cei_copy_chunk(cei_shared to, const void *from, bool inside);
void cei_copy_commit(void);
void cei_copy_wait(int but);
void cei_load_matrices(cei_shared row, unsigned words[4]);
void cei_load_transposed(cei_shared row, unsigned words[4]);

/* stmatrix. */
void cei_store_matrices(cei_shared row, const unsigned words[4]);
CEI_INLINE void cei_read_words(cei_shared from, unsigned words[4]) { memcpy(words, from, 4 * sizeof *words); }
void cei_warp_barrier(void);

/* mbarrier, cp.async.bulk and wgmma. A bulk copy is made at once, and products when their 128 threads wait for them, so
 * that a copy into a stage that is still read is seen. */
#define CEI_GROUPS
cei_shared cei_launched_memory(void);
CEI_INLINE unsigned char *cei_of_shared(cei_shared at) { return at; }
CEI_INLINE void cei_fence_for_copies(void) {}
void cei_signal_begin(cei_shared signal, unsigned arrivals);
CEI_INLINE void cei_signal_begun(void) {}
void cei_signal_arrive(cei_shared signal);
void cei_signal_expect(cei_shared signal, unsigned bytes);
void cei_signal_wait(cei_shared signal, unsigned parity);
void cei_copy_tile(cei_shared to, const void *from, unsigned bytes, cei_shared signal);
#define CEI_TAKE_REGISTERS(count) ((void)0)
#define CEI_LEAVE_REGISTERS(count) ((void)0)
#define CEI_GROUP_FUNCTIONS(name, type)                                     \
    void cei_group_##name##_64(cei_shared x, cei_shared y, type sums[32]);  \
    void cei_group_##name##_128(cei_shared x, cei_shared y, type sums[64]); \
    void cei_group_##name##_256(cei_shared x, cei_shared y, type sums[128]);
CEI_GROUP_FUNCTIONS(bfloat16, float)
CEI_GROUP_FUNCTIONS(float16, float)
CEI_GROUP_FUNCTIONS(int8, int)
void emulate_group_wait(unsigned but, const void *sums);
#define CEI_GROUP_WAIT_FUNCTIONS(type, count)                                                          \
    CEI_INLINE void cei_group_wait_##type##_##count(type sums[count]) { emulate_group_wait(0, sums); } \
    CEI_INLINE void cei_group_wait_but_last_##type##_##count(type sums[count]) { emulate_group_wait(1, sums); }
CEI_GROUP_WAIT_FUNCTIONS(float, 32)
CEI_GROUP_WAIT_FUNCTIONS(float, 64)
CEI_GROUP_WAIT_FUNCTIONS(float, 128)
CEI_GROUP_WAIT_FUNCTIONS(int, 32)
CEI_GROUP_WAIT_FUNCTIONS(int, 64)
CEI_GROUP_WAIT_FUNCTIONS(int, 128)

CEI_INLINE float cei_fma(float x, float y, float z) { return fmaf(x, y, z); }
CEI_INLINE void cei_read_four(const void *from, float to[4]) {
    for (int i = 0; i < 4; i++) to[i] = ((const float *)from)[i];
}
CEI_INLINE float cei_fma_within(float x, float y, float z) {
    const float sum = fmaf(x, y, z);
    return sum > 1 ? 1 : sum > 0 ? sum : 0; /* also of a NaN */
}
CEI_INLINE void cei_write_words(void *to, const unsigned words[4]) { memcpy(to, words, 4 * sizeof *words); }
CEI_INLINE float cei_exp2(float x) { return exp2f(x); }
CEI_INLINE float cei_reciprocal(float x) { return 1 / x; }
CEI_INLINE float cei_greater(float x, float y) { return fmaxf(x, y); }
CEI_INLINE float cei_smaller(float x, float y) { return fminf(x, y); }
CEI_INLINE float cei_sqrt(float x) { return sqrtf(x); }
CEI_INLINE double cei_sqrt_double(double x) { return sqrt(x); }

/* Runs a kernel of blocks_x by blocks_y blocks. False if it broke a rule: a barrier, a shuffle or a product that some
 * threads of the block, warp or group did not meet, a signal that is never given, a copy that nobody waited for, or
 * that is not aligned. One at a time. */
typedef void (*emulate_fn)(const void *arguments);
bool emulate(emulate_fn kernel, const void *arguments, unsigned threads, unsigned blocks_x, unsigned blocks_y);

/* A kernel that was compiled for the host. */
typedef struct emulate_kernel {
    const char *name;
    emulate_fn run;
    size_t size;              /* of its arguments */
    unsigned threads, shared; /* shared: bytes that a launch gives to a block */
} emulate_kernel;

const emulate_kernel *emulate_find(const char *name); /* NULL if there is none */

#endif

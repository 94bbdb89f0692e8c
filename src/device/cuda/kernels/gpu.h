/* gpu.h - the few words of CUDA that kernels use, for three compilers: nvcc, clang without any toolkit, and the host's
 * compiler, under which tests run kernels (CEI_EMULATED; tests/device/cuda/emulate.h gives the same words there).
 *
 * Kernels are written in the common part of C11 and C++14. They may use what is below and nothing of CUDA's headers or
 * of libdevice, so that a result does not depend on who compiled them. Contraction is off: a fused multiply-add is
 * written as cei_fma. */
#ifndef CEI_CUDA_GPU_H
#define CEI_CUDA_GPU_H

enum { CEI_WARP = 32 };

#if defined(CEI_EMULATED)
#include "device/cuda/emulate.h"
#else

#if defined(__NVCC__)
#define CEI_INLINE static __device__ __forceinline__
#define CEI_OUTLINE static __device__ __noinline__
#define CEI_SHARED __shared__
#define CEI_KERNEL(name, threads, arguments) extern "C" __global__ void __launch_bounds__(threads) name(arguments a)
CEI_INLINE unsigned cei_thread(void) { return threadIdx.x; }
CEI_INLINE unsigned cei_block_x(void) { return blockIdx.x; }
CEI_INLINE unsigned cei_block_y(void) { return blockIdx.y; }
CEI_INLINE float cei_shuffle_xor(float value, unsigned mask) { return __shfl_xor_sync(0xFFFFFFFFu, value, mask); }
CEI_INLINE float cei_fma(float x, float y, float z) { return __fmaf_rn(x, y, z); }
CEI_INLINE float cei_sqrt(float x) { return __fsqrt_rn(x); }
CEI_INLINE double cei_sqrt_double(double x) { return __dsqrt_rn(x); }
#else
#define CEI_INLINE static __attribute__((device, always_inline)) inline
#define CEI_OUTLINE static __attribute__((device, noinline))
#define CEI_SHARED static __attribute__((shared))
#define CEI_KERNEL(name, threads, arguments) \
    extern "C" __attribute__((global, launch_bounds(threads))) void name(arguments a)
CEI_INLINE unsigned cei_thread(void) { return __nvvm_read_ptx_sreg_tid_x(); }
CEI_INLINE unsigned cei_block_x(void) { return __nvvm_read_ptx_sreg_ctaid_x(); }
CEI_INLINE unsigned cei_block_y(void) { return __nvvm_read_ptx_sreg_ctaid_y(); }
CEI_INLINE float cei_shuffle_xor(float value, unsigned mask) {
    return __nvvm_shfl_sync_bfly_f32(-1, value, (int)mask, CEI_WARP - 1);
}
CEI_INLINE float cei_fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
CEI_INLINE float cei_sqrt(float x) { return __builtin_sqrtf(x); }
CEI_INLINE double cei_sqrt_double(double x) { return __builtin_sqrt(x); }
#endif

/* Before a loop of constant length, whose arrays are to be registers. */
#define CEI_UNROLL _Pragma("unroll")

/* The sum of sum and the products of four pairs of signed bytes, exactly. */
CEI_INLINE int cei_dot4(int x, int y, int sum) {
    int result;
    __asm__("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
    return result;
}

#ifdef CEI_TENSOR
/* An address in shared memory, in bytes. */
typedef unsigned cei_shared;

CEI_INLINE cei_shared cei_shared_of(const void *memory) {
    cei_shared at;
    __asm__("{ .reg .u64 whole; cvta.to.shared.u64 whole, %1; cvt.u32.u64 %0, whole; }" : "=r"(at) : "l"(memory));
    return at;
}

/* Begins to copy 16 bytes into shared memory, or zeros without reading; both are aligned. They are there when the
 * thread has waited for them. */
CEI_INLINE void cei_copy_chunk(cei_shared to, const void *from, bool inside) {
    __asm__ volatile("{ .reg .u64 global; cvta.to.global.u64 global, %1; "
                     "cp.async.cg.shared.global [%0], [global], 16, %2; }" ::"r"(to),
                     "l"(from), "r"(inside ? 16 : 0)
                     : "memory");
}

/* What was begun since the last commit is one group; then waits until all groups but the last few, at most 2, are
 * there.
 */
CEI_INLINE void cei_copy_commit(void) { __asm__ volatile("cp.async.commit_group;" ::: "memory"); }
CEI_INLINE void cei_copy_wait(int but) {
    if (but == 0)
        __asm__ volatile("cp.async.wait_group 0;" ::: "memory");
    else if (but == 1)
        __asm__ volatile("cp.async.wait_group 1;" ::: "memory");
    else
        __asm__ volatile("cp.async.wait_group 2;" ::: "memory");
}

/* Four matrices of 8 rows of 16 bytes: lane i says where row i % 8 of matrix i / 8 is, and gets word i % 4 of row i / 4
 * of each (ldmatrix). */
CEI_INLINE void cei_load_matrices(cei_shared row, unsigned words[4]) {
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                     : "r"(row)
                     : "memory");
}

/* The same of two-byte numbers, each matrix transposed. */
CEI_INLINE void cei_load_transposed(cei_shared row, unsigned words[4]) {
    __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                     : "r"(row)
                     : "memory");
}

/* sums += X Y^T for tiles X [16, 16] and Y [8, 16] of bfloat16, sums [16, 8] in float32, spread over a warp as the PTX
 * manual has it for mma.m16n8k16. */
CEI_INLINE void cei_multiply_bfloat16(const unsigned x[4], const unsigned y[2], float sums[4]) {
    __asm__("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
            : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
}

/* The same of halves. */
CEI_INLINE void cei_multiply_half(const unsigned x[4], const unsigned y[2], float sums[4]) {
    __asm__("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
            : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
}

/* Two numbers rounded to half precision, to nearest, ties to even. */
CEI_INLINE unsigned cei_pack_halves(float low, float high) {
    unsigned pair;
    __asm__("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/* The same of signed bytes, X [16, 32] and Y [8, 32], exactly: mma.m16n8k32. */
CEI_INLINE void cei_multiply_int8(const unsigned x[4], const unsigned y[2], int sums[4]) {
    __asm__("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
            : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
}
#endif

/* All threads of a block wait for each other here; what they wrote before is seen behind it. */
CEI_INLINE void cei_barrier(void) { __syncthreads(); }

#endif

typedef union cei_float_bits {
    float value;
    unsigned bits;
} cei_float_bits;

CEI_INLINE float cei_of_bits(unsigned bits) {
    cei_float_bits whole;
    whole.bits = bits;
    return whole.value;
}

CEI_INLINE unsigned cei_bits_of(float value) {
    cei_float_bits whole;
    whole.value = value;
    return whole.bits;
}

#define CEI_NAN cei_of_bits(0x7FC00000u)
#define CEI_INFINITY cei_of_bits(0x7F800000u)

/* The sum over the lanes of a warp, in a fixed order; each lane has it. */
CEI_INLINE float cei_warp_sum(float value) {
    for (unsigned mask = CEI_WARP / 2; mask > 0; mask /= 2) value += cei_shuffle_xor(value, mask);
    return value;
}

#endif

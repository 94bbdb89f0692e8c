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
#define CEI_LAUNCHED(name) extern __shared__ __align__(1024) unsigned char name[]
#define CEI_KERNEL(name, threads, arguments) extern "C" __global__ void __launch_bounds__(threads) name(arguments a)
#define CEI_KERNEL_BLOCKS(name, threads, blocks, arguments) \
    extern "C" __global__ void __launch_bounds__(threads, blocks) name(arguments a)
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
#define CEI_LAUNCHED(name) extern __attribute__((shared, aligned(1024))) unsigned char name[]
#define CEI_KERNEL(name, threads, arguments) \
    extern "C" __attribute__((global, launch_bounds(threads))) void name(arguments a)
#define CEI_KERNEL_BLOCKS(name, threads, blocks, arguments) \
    extern "C" __attribute__((global, launch_bounds(threads, blocks))) void name(arguments a)
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

/* CEI_KERNEL_BLOCKS is a kernel that takes so few registers that at least `blocks` fit a multiprocessor. */

/* Before a loop of constant length, whose arrays are to be registers. */
#define CEI_UNROLL _Pragma("unroll")

/* The sum of sum and the products of four pairs of signed bytes, exactly. */
CEI_INLINE int cei_dot4(int x, int y, int sum) {
    int result;
    __asm__("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(x), "r"(y), "r"(sum));
    return result;
}

/* Four floats of global memory, 16 bytes that are aligned and read at once: what a struct's copy is not for certain. */
CEI_INLINE void cei_read_four(const void *from, float to[4]) {
    __asm__ volatile("{ .reg .u64 global; cvta.to.global.u64 global, %4; ld.global.v4.f32 {%0, %1, %2, %3}, [global]; }"
                     : "=f"(to[0]), "=f"(to[1]), "=f"(to[2]), "=f"(to[3])
                     : "l"(from));
}

/* 16 bytes of global memory, aligned and written at once. */
CEI_INLINE void cei_write_words(void *to, const unsigned words[4]) {
    __asm__ volatile(
        "{ .reg .u64 global; cvta.to.global.u64 global, %0; st.global.v4.b32 [global], {%1, %2, %3, %4}; }" ::"l"(to),
        "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
        : "memory");
}

/* 2^x, to some 2^-22 of it; 0 where it is no normal number. */
CEI_INLINE float cei_exp2(float x) {
    float result;
    __asm__("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

/* 1 / x of 1 <= x < 2^64, rounded as a division is, whose way for other numbers would be a branch. */
CEI_INLINE float cei_reciprocal(float x) {
    float y;
    __asm__("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return cei_fma(y, cei_fma(-x, y, 1), y);
}

/* x y + z, where that is between 0 and 1, else the nearer of them; 0 of a NaN. */
CEI_INLINE float cei_fma_within(float x, float y, float z) {
    float result;
    __asm__("fma.rn.sat.f32 %0, %1, %2, %3;" : "=f"(result) : "f"(x), "f"(y), "f"(z));
    return result;
}

/* The greater, the smaller; of a NaN and a number the number. */
CEI_INLINE float cei_greater(float x, float y) {
    float result;
    __asm__("max.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(y));
    return result;
}
CEI_INLINE float cei_smaller(float x, float y) {
    float result;
    __asm__("min.f32 %0, %1, %2;" : "=f"(result) : "f"(x), "f"(y));
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

/* The same address, of which a compiler knows nothing: sums with it are taken where they stand, as parts of
 * instructions, and not in front of a loop, where each would take a register. */
CEI_INLINE cei_shared cei_address_here(cei_shared at) {
    __asm__ volatile("" : "+r"(at));
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

/* The same to bfloat16. */
CEI_INLINE unsigned cei_pack_bfloat16(float low, float high) {
    unsigned pair;
    __asm__("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/* Halves that are infinite become the greatest number of their sign. */
CEI_INLINE unsigned cei_clamp_halves(unsigned pair) {
    __asm__("min.NaN.f16x2 %0, %0, %1;" : "+r"(pair) : "r"(0x7BFF7BFFu));
    __asm__("max.NaN.f16x2 %0, %0, %1;" : "+r"(pair) : "r"(0xFBFFFBFFu));
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

#ifdef CEI_GROUPS
/* Memory that the launch gives to a block, from a multiple of 1024 bytes on: so much lies in front of a block's shared
 * memory for the system, and kernels that have it have no other. */
CEI_INLINE cei_shared cei_launched_memory(void) {
    CEI_LAUNCHED(memory);
    return cei_shared_of(memory);
}

/* The same as a pointer; what was written through it is seen by copies and products behind this and a barrier. */
CEI_INLINE unsigned char *cei_of_shared(cei_shared at) {
    unsigned char *memory;
    __asm__("{ .reg .u64 whole; cvt.u64.u32 whole, %1; cvta.shared.u64 %0, whole; }" : "=l"(memory) : "r"(at));
    return memory;
}
CEI_INLINE void cei_fence_for_copies(void) { __asm__ volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/* The counterpart of cei_load_matrices: lane i gives word i % 4 of row i / 4 of each matrix (stmatrix). */
CEI_INLINE void cei_store_matrices(cei_shared row, const unsigned words[4]) {
    __asm__ volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row), "r"(words[0]),
                     "r"(words[1]), "r"(words[2]), "r"(words[3])
                     : "memory");
}

/* 16 bytes of shared memory, aligned and read at once. */
CEI_INLINE void cei_read_words(cei_shared from, unsigned words[4]) {
    __asm__ volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                     : "r"(from)
                     : "memory");
}

/* All lanes of a warp wait for each other here; what they wrote into memory before is seen behind it. */
CEI_INLINE void cei_warp_barrier(void) { __asm__ volatile("bar.warp.sync 0xFFFFFFFF;" ::: "memory"); }

/* A warp group's threads have so many registers from here on, a multiple of 8: more than they began with, once others
 * have left theirs; or fewer. A constant. */
#define CEI_TAKE_REGISTERS(count) __asm__ volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"((int)(count)))
#define CEI_LEAVE_REGISTERS(count) __asm__ volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"((int)(count)))

/* A signal in shared memory (mbarrier) is given when so many threads have arrived and the bytes that were expected are
 * there; then it begins anew, and what was waited for is the other parity. One thread begins them, in front of a
 * barrier of the block. */
CEI_INLINE void cei_signal_begin(cei_shared signal, unsigned arrivals) {
    __asm__ volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(signal), "r"(arrivals) : "memory");
}
CEI_INLINE void cei_signal_begun(void) {
    __asm__ volatile("fence.mbarrier_init.release.cluster; fence.proxy.async.shared::cta;" ::: "memory");
}
CEI_INLINE void cei_signal_arrive(cei_shared signal) {
    __asm__ volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(signal) : "memory");
}
CEI_INLINE void cei_signal_expect(cei_shared signal, unsigned bytes) {
    __asm__ volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(signal), "r"(bytes) : "memory");
}
CEI_INLINE void cei_signal_wait(cei_shared signal, unsigned parity) {
    unsigned done = 0;
    while (!done)
        __asm__ volatile("{ .reg .pred given; mbarrier.try_wait.parity.shared::cta.b64 given, [%1], %2; "
                         "selp.u32 %0, 1, 0, given; }"
                         : "=r"(done)
                         : "r"(signal), "r"(parity)
                         : "memory");
}

/* Begins to copy bytes, a multiple of 16, that lie in a row on both sides; the signal gets them (cp.async.bulk). */
CEI_INLINE void cei_copy_tile(cei_shared to, const void *from, unsigned bytes, cei_shared signal) {
    __asm__ volatile(
        "{ .reg .u64 global; cvta.to.global.u64 global, %1; "
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [global], %2, [%3]; }" ::"r"(to),
        "l"(from), "r"(bytes), "r"(signal)
        : "memory");
}

/* What a warp group is told of a tile of rows of 128 bytes, whose chunks of 16 bytes lie at c ^ row % 8: 128-byte
 * swizzle, 1024 bytes from eight rows to the next (the PTX manual's matrix descriptor). */
CEI_INLINE unsigned long long cei_describe_tile(cei_shared tile) {
    return (unsigned long long)(tile >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

#define CEI_0_31                                                             \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define CEI_32_63                                                                      \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define CEI_64_95                                                                      \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define CEI_96_127                                                                                 \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define CEI_0_63 CEI_0_31 ", " CEI_32_63
#define CEI_0_127 CEI_0_63 ", " CEI_64_95 ", " CEI_96_127
#define CEI_EIGHT(how, s, i) \
    how(s[i]), how(s[i + 1]), how(s[i + 2]), how(s[i + 3]), how(s[i + 4]), how(s[i + 5]), how(s[i + 6]), how(s[i + 7])
#define CEI_OPERANDS_32(how, s, i) \
    CEI_EIGHT(how, s, i), CEI_EIGHT(how, s, i + 8), CEI_EIGHT(how, s, i + 16), CEI_EIGHT(how, s, i + 24)
#define CEI_OPERANDS_64(how, s, i) CEI_OPERANDS_32(how, s, i), CEI_OPERANDS_32(how, s, i + 32)
#define CEI_OPERANDS_128(how, s, i) CEI_OPERANDS_64(how, s, i), CEI_OPERANDS_64(how, s, i + 64)

/* Four products in a row over 32 bytes each, which are begun as one group: x and w are operands of that number. */
#define CEI_GROUP_PRODUCT(what, sums, x, w, tail) \
    "wgmma.mma_async.sync.aligned." what " {" sums "}, x" x ", w" w ", 1" tail ";"
#define CEI_GROUP_PRODUCTS(what, sums, x, w, tail)                                                   \
    "{ .reg .b64 x1, x2, x3, w1, w2, w3, x0, w0; mov.b64 x0, " x "; mov.b64 w0, " w ";"              \
    "add.s64 x1, x0, 2; add.s64 x2, x0, 4; add.s64 x3, x0, 6; add.s64 w1, w0, 2; add.s64 w2, w0, 4;" \
    "add.s64 w3, w0, 6; wgmma.fence.sync.aligned;" CEI_GROUP_PRODUCT(what, sums, "0", "0", tail)     \
        CEI_GROUP_PRODUCT(what, sums, "1", "1", tail) CEI_GROUP_PRODUCT(what, sums, "2", "2", tail)  \
            CEI_GROUP_PRODUCT(what, sums, "3", "3", tail) "wgmma.commit_group.sync.aligned; }"

/* sums += X Y^T for a tile X [64, 128 bytes] and Y [64, 128 or 256, 128 bytes] in shared memory, of bfloat16, float16
 * or signed bytes, by the 128 threads of a warp group; sums [64, as many as Y] are spread over them as the PTX manual
 * has it for wgmma. It is begun; it is done, and the sums may be looked at, behind cei_group_wait_*. */
#define CEI_GROUP_FUNCTION(name, type, constraint, width, what, tail, columns, count, numbers, x_operand, y_operand) \
    CEI_INLINE void cei_group_##name##_##columns(cei_shared x, cei_shared y, type sums[count]) {                     \
        __asm__ volatile(CEI_GROUP_PRODUCTS("m64n" #columns "k" width what, numbers, x_operand, y_operand, tail)     \
                         : CEI_OPERANDS_##count(constraint, sums, 0)                                                 \
                         : "l"(cei_describe_tile(x)), "l"(cei_describe_tile(y))                                      \
                         : "memory");                                                                                \
    }
#define CEI_GROUP_FUNCTIONS(name, type, constraint, width, what, tail)                             \
    CEI_GROUP_FUNCTION(name, type, constraint, width, what, tail, 64, 32, CEI_0_31, "%32", "%33")  \
    CEI_GROUP_FUNCTION(name, type, constraint, width, what, tail, 128, 64, CEI_0_63, "%64", "%65") \
    CEI_GROUP_FUNCTION(name, type, constraint, width, what, tail, 256, 128, CEI_0_127, "%128", "%129")
CEI_GROUP_FUNCTIONS(bfloat16, float, "+f", "16", ".f32.bf16.bf16", ", 1, 1, 0, 0")
CEI_GROUP_FUNCTIONS(float16, float, "+f", "16", ".f32.f16.f16", ", 1, 1, 0, 0")
CEI_GROUP_FUNCTIONS(int8, int, "+r", "32", ".s32.s8.s8", "")

/* Waits until all products that the warp group has begun are done, but for the last ones, whose sums these are; or
 * until all are. */
#define CEI_GROUP_WAIT_FUNCTIONS(type, constraint, count)                                                           \
    CEI_INLINE void cei_group_wait_##type##_##count(type sums[count]) {                                             \
        __asm__ volatile("wgmma.wait_group.sync.aligned 0;" : CEI_OPERANDS_##count(constraint, sums, 0)::"memory"); \
    }                                                                                                               \
    CEI_INLINE void cei_group_wait_but_last_##type##_##count(type sums[count]) {                                    \
        __asm__ volatile("wgmma.wait_group.sync.aligned 1;" : CEI_OPERANDS_##count(constraint, sums, 0)::"memory"); \
    }
CEI_GROUP_WAIT_FUNCTIONS(float, "+f", 32)
CEI_GROUP_WAIT_FUNCTIONS(float, "+f", 64)
CEI_GROUP_WAIT_FUNCTIONS(float, "+f", 128)
CEI_GROUP_WAIT_FUNCTIONS(int, "+r", 32)
CEI_GROUP_WAIT_FUNCTIONS(int, "+r", 64)
CEI_GROUP_WAIT_FUNCTIONS(int, "+r", 128)
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
    CEI_UNROLL
    for (unsigned mask = CEI_WARP / 2; mask > 0; mask /= 2) value += cei_shuffle_xor(value, mask);
    return value;
}

#endif

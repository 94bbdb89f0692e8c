/* features.c - what the processor can do, and which kernels that gives. Relies on CPUID and XCR0 on x86-64, where
 * feature bits and the maker's name decide: hypervisors mask model numbers. */
#include "device/cpu/kernels.h"

#include <crossenc/model.h>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Register state that the operating system saves: XCR0 (Intel SDM vol. 1, 13.3). */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xE6, XCR0_AMX = 0x60000 };

static uint64_t read_xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* AMX's registers must be asked for, by each process (linux/Documentation/arch/x86/xstate.rst). */
#if defined(__linux__)
enum { ARCH_GET_XCOMP_SUPP = 0x1021, ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

static bool can_request_amx(void) {
    uint64_t supported = 0;
    return syscall(SYS_arch_prctl, ARCH_GET_XCOMP_SUPP, &supported) == 0 && supported >> XFEATURE_XTILEDATA & 1;
}

bool cei_cpu_request_amx(void) { return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0; }
#else
static bool can_request_amx(void) { return false; }
bool cei_cpu_request_amx(void) { return false; }
#endif

/* Bits of leaf 7: EBX, ECX, EDX of its subleaf 0, EAX of its subleaf 1. */
typedef struct leaf_7 {
    unsigned b, c, d, a1;
} leaf_7;

static leaf_7 read_leaf_7(void) {
    leaf_7 found = {0};
    unsigned most, b, c, d;
    if (!__get_cpuid_count(7, 0, &most, &found.b, &found.c, &found.d)) return (leaf_7){0};
    if (most >= 1) __get_cpuid_count(7, 1, &found.a1, &b, &c, &d);
    return found;
}

/* The tiers that stand on AVX-512. */
static uint64_t detect_avx512(const leaf_7 *has, uint64_t state) {
    const unsigned base = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    const bool vnni = has->c >> 11 & 1, bf16 = has->a1 >> 5 & 1, tiles = has->d >> 24 & 1;
    if ((has->b & base) != base || (state & XCR0_AVX512) != XCR0_AVX512) return 0;
    const uint64_t found = CE_CPU_AVX512 | (vnni ? CE_CPU_AVX512_VNNI : 0) | (bf16 ? CE_CPU_AVX512_BF16 : 0);
    if (!tiles || !bf16 || (state & XCR0_AMX) != XCR0_AMX || !can_request_amx()) return found;
    const uint64_t int8 = CE_CPU_AMX_INT8 | CE_CPU_AMX_FLOAT32;
    return found | (has->d >> 22 & 1 ? CE_CPU_AMX_BF16 : 0) | (has->d >> 25 & 1 ? int8 : 0);
}

uint64_t cei_cpu_detect(void) {
    unsigned a, b, c, d;
    const unsigned fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (fma | osxsave | avx)) != (fma | osxsave | avx)) return 0;
    const uint64_t state = read_xcr0();
    const leaf_7 has = read_leaf_7();
    if ((state & XCR0_AVX) != XCR0_AVX || !(has.b >> 5 & 1)) return 0;
    return CE_CPU_AVX2 | (c & f16c ? CE_CPU_F16C : 0) | (has.a1 >> 4 & 1 ? CE_CPU_AVX_VNNI : 0) |
           detect_avx512(&has, state);
}

/* Intel's processors take VDPBF16PS at half the rate of float32's multiply-adds, AMD's at the same: there the float32
 * product of widened weights is the faster one. The maker stays true where hypervisors mask the model. */
static bool has_fast_bf16(void) {
    unsigned a, b = 0, c = 0, d = 0;
    __get_cpuid(0, &a, &b, &c, &d);
    return !(b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx);
}

#else

uint64_t cei_cpu_detect(void) { return 0; }
bool cei_cpu_request_amx(void) { return false; }

#endif

#if defined(__x86_64__)

/* The best of those that are usable; what they stand on is there. */
static void choose_x86_64(uint64_t usable, cei_cpu_kernels *kernels) {
    cei_cpu_fill_avx2(kernels);
    if (usable & CE_CPU_AVX512) cei_cpu_fill_avx512(kernels);
    cei_cpu_fill_avx2_int8(kernels);
    if (usable & CE_CPU_F16C) cei_cpu_fill_f16c(kernels);
    if (!(usable & CE_CPU_AVX512)) {
        if (usable & CE_CPU_AVX_VNNI) cei_cpu_fill_avxvnni(kernels);
        kernels->tiers = usable & (CE_CPU_AVX2 | CE_CPU_F16C | CE_CPU_AVX_VNNI);
        return;
    }
    if (usable & CE_CPU_AVX512_VNNI) cei_cpu_fill_avx512vnni(kernels);
    if (usable & CE_CPU_AVX512_BF16 && has_fast_bf16()) cei_cpu_fill_avx512bf16(kernels);
    if (usable & CE_CPU_AMX_BF16) {
        cei_cpu_fill_amx_bf16(kernels);
        cei_cpu_fill_amx_attention(kernels);
        cei_cpu_fill_amx_rounded(kernels);
    }
    if (usable & CE_CPU_AMX_INT8) cei_cpu_fill_amx_int8(kernels);
    if (usable & CE_CPU_AMX_FLOAT32 && usable & CE_CPU_AMX_INT8) {
        cei_cpu_fill_amx_float32(kernels);
        if (usable & CE_CPU_AMX_BF16) cei_cpu_fill_amx_pieces(kernels);
    }
    kernels->tiers = usable & ~CE_CPU_AVX_VNNI;
    if (!kernels->digits.multiply) kernels->tiers &= ~CE_CPU_AMX_FLOAT32;
    if (!has_fast_bf16()) kernels->tiers &= ~CE_CPU_AVX512_BF16;
}

#endif

void cei_cpu_choose_kernels(uint64_t disable, cei_cpu_kernels *kernels) {
    const uint64_t usable = cei_cpu_detect() & ~disable;
    cei_cpu_fill_c(kernels);
#if defined(__x86_64__)
    /* AVX-512's table stands on AVX2's: without that tier there is neither. */
    if (usable & CE_CPU_AVX2) choose_x86_64(usable, kernels);
#else
    (void)usable;
#endif
}

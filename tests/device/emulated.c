/* emulated.c - see emulated.h. */
#include "device/emulated.h"

/* Fill functions of src/device/cpu by the names that they have in ce_emulated. */
void emulated_fill_avx512(cei_cpu_kernels *kernels);
void emulated_fill_avxvnni(cei_cpu_kernels *kernels);
void emulated_fill_avx512vnni(cei_cpu_kernels *kernels);
void emulated_fill_avx512bf16(cei_cpu_kernels *kernels);
void emulated_fill_amx_bf16(cei_cpu_kernels *kernels);
void emulated_fill_amx_attention(cei_cpu_kernels *kernels);
void emulated_fill_amx_int8(cei_cpu_kernels *kernels);
void emulated_fill_amx_float32(cei_cpu_kernels *kernels);
void emulated_fill_amx_pieces(cei_cpu_kernels *kernels);
void emulated_fill_amx_rounded(cei_cpu_kernels *kernels);

/* Portable C for panels of 16, as far as products in int8 go: its float32 kernels take panels of 8. */
static void fill_avxvnni(cei_cpu_kernels *kernels) {
    cei_cpu_fill_c(kernels);
    kernels->panel = 16;
    emulated_fill_avxvnni(kernels);
}

static void fill_avx512(cei_cpu_kernels *kernels) {
    cei_cpu_fill_c(kernels);
    emulated_fill_avx512(kernels);
    emulated_fill_avx512vnni(kernels);
    emulated_fill_avx512bf16(kernels);
}

static void fill_amx(cei_cpu_kernels *kernels) {
    cei_cpu_fill_c(kernels);
    emulated_fill_avx512(kernels);
    emulated_fill_amx_bf16(kernels);
    emulated_fill_amx_attention(kernels);
    emulated_fill_amx_int8(kernels);
    emulated_fill_amx_float32(kernels);
    emulated_fill_amx_pieces(kernels);
    emulated_fill_amx_rounded(kernels);
}

tier emulated_tiers[EMULATED_TIERS] = {
    {"AVX-VNNI, emulated", 0, 0, fill_avxvnni, NULL},
    {"AVX-512 VNNI and BF16, emulated", 0, 0, fill_avx512, NULL},
    {"AMX, emulated", 0, 0, fill_amx, NULL},
};

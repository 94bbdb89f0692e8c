/* neon_int8.tmpl.h - the rest of an int8 tier of AArch64: the preparing of rows and the table.
 *
 * Included once by a tier's file, after neon_low.tmpl.h and after it has defined GROUP, STEP and
 *     peak          as in kernels.h
 * and it defines fill_int8. Relies on neon_int8.h. */

static void prepare(const float *x, size_t x_stride, size_t rows, size_t depth, void *a, size_t a_stride,
                    cei_row_scale *scales) {
    for (size_t r = 0; r < rows; r++, x += x_stride) {
        scales[r] = find_scale(x, depth);
        prepare_row(x, depth, (depth + STEP - 1) / STEP * STEP, (uint8_t *)a + r * a_stride, scales[r]);
    }
}

static void fill_int8(cei_cpu_kernels *kernels) {
    kernels->int8 = (cei_cpu_low){
        .group = GROUP, .step = STEP, .element = 1, .prepare = prepare, .multiply = multiply, .peak = peak};
}

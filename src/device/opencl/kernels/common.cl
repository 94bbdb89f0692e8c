/* common.cl - what the kernels share: how slices and weights are read, and sums over the items of a work-group.
 *
 * Comes before all others in the one program. Numbers of formats, functions and poolings are macros that program.c
 * makes of the enums of device.h. Every slice is a pair of arguments, the buffer and the bytes in front of it. No
 * product is fused with a sum but by multiply_add, and no order of additions depends on the sizes of work-groups:
 * ITEMS, the only size that a sum's order depends on, is the same on every device. */
#pragma OPENCL FP_CONTRACT OFF

typedef global const uchar *bytes;

#define FLOATS(base, at) ((global const float *)((base) + (at)))
#define RESULTS(base, at) ((global float *)((base) + (at)))
#define INTEGERS(base, at) ((global const int *)((base) + (at)))

/* Fused where the device has the instruction: one choice for a device, made when the program is built. */
#ifdef HAS_FMA
#define multiply_add(a, b, c) fma((a), (b), (c))
#else
#define multiply_add(a, b, c) ((a) * (b) + (c))
#endif

/* The scales of an INT8 weight's rows lie behind its values, at the next multiple of 4. */
static inline float weight_scale(bytes weight, ulong values, ulong row) {
    return ((global const float *)(weight + (values + 3) / 4 * 4))[row];
}

/* The float32 that a binary16 is, to the bit, as rounding.h has it: vload_half need not keep a NaN's. */
static inline uint bits_of_half(uint half_bits) {
    const uint magnitude = (half_bits & 0x7FFF) << 13, exponent = magnitude & 0x0F800000, least = 113 << 23;
    if (exponent == 0) /* a difference of normal numbers */
        return as_uint(as_float(magnitude + least) - as_float(least)) | (half_bits & 0x8000) << 16;
    return (magnitude + (exponent == 0x0F800000 ? 224u << 23 : 112u << 23)) | (half_bits & 0x8000) << 16;
}

/* Value i of a weight without its row's scale: for INT8 an integer. */
static inline float weight_value(bytes weight, uint format, ulong i) {
    if (format == FORMAT_BFLOAT16) return as_float((uint)((global const ushort *)weight)[i] << 16);
    if (format == FORMAT_FLOAT16) return vload_half(i, (global const half *)weight);
    if (format == FORMAT_INT8) return (float)((global const char *)weight)[i];
    return ((global const float *)weight)[i];
}

/* The bits of value column of a row [columns] as float32: one rounding for INT8, and none else, for NaNs neither. */
static inline uint weight_bits(bytes weight, uint format, ulong rows, ulong columns, ulong row, ulong column) {
    const ulong i = row * columns + column;
    if (format == FORMAT_FLOAT32) return ((global const uint *)weight)[i];
    if (format == FORMAT_BFLOAT16) return (uint)((global const ushort *)weight)[i] << 16;
    if (format == FORMAT_FLOAT16) return bits_of_half(((global const ushort *)weight)[i]);
    return as_uint(weight_scale(weight, rows * columns, row) * weight_value(weight, format, i));
}

/* Where an item's work is in operations on each column of each row: work-groups go along the rows, in one dimension,
 * as the second is short on some devices. */
static inline ulong row_of_item(uint columns) { return get_group_id(0) / ((columns + ITEMS - 1) / ITEMS); }
static inline uint column_of_item(uint columns) {
    return get_group_id(0) % ((columns + ITEMS - 1) / ITEMS) * ITEMS + get_local_id(0);
}

/* The sum of one value of each of the ITEMS items of a work-group, as a tree, in all of them. */
static inline float sum_of_items(float value, local float *parts) {
    const uint item = get_local_id(0);
    parts[item] = value;
    for (uint half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_of) parts[item] += parts[item + half_of];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const float sum = parts[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

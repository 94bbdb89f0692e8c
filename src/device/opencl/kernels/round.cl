/* round.cl - how each row of activations is rounded for an INT8 weight: cei_row_scale of rounding.h, as floats. A
 * work-group is a row. */
static inline float extreme_of_items(float value, local float *parts) {
    const uint item = get_local_id(0);
    parts[item] = value;
    for (uint half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_of) parts[item] = parts[item + half_of] > parts[item] ? parts[item + half_of] : parts[item];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const float most = parts[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}

/* scales [rows]: (scale, zero); scale 0 for a row of zeros, and for one that has no finite range. */
kernel void row_scales(bytes x, ulong x_at, uint columns, global float2 *scales) {
    local float parts[ITEMS];
    const ulong row = get_group_id(0);
    global const float *values = FLOATS(x, x_at) + row * columns;
    float largest = 0, least = 0;
    for (uint i = get_local_id(0); i < columns; i += ITEMS) {
        largest = values[i] > largest ? values[i] : largest;
        least = values[i] < least ? values[i] : least;
    }
    largest = extreme_of_items(largest, parts);
    least = -extreme_of_items(-least, parts);
    const float scale = (largest - least) / 255.0f;
    const int counts = scale >= FLT_MIN && scale <= FLT_MAX;
    if (get_local_id(0) == 0)
        scales[row] = counts ? (float2)(scale, rint(-least * (1.0f / scale))) : (float2)(0.0f, 0.0f);
}

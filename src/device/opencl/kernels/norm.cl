/* norm.cl - out = gain (v - mean(v)) / sqrt(var(v) + epsilon) (+ bias), kept = v = x (+ residual); or, of an RMS norm,
 * out = (gain + base) v / sqrt(mean(v^2) + epsilon). A work-group is a head of a row, which has all columns or, side by
 * side, as many as there are heads; rows begin stride columns apart. An item reads and writes the same columns only, and writes a column when it is read for the last time, so that
 * out and kept may each be x or residual. */
kernel void norm(bytes x, ulong x_at, bytes residual, ulong residual_at, uint has_residual, bytes gain, ulong gain_at,
                 bytes bias, ulong bias_at, uint has_bias, uint heads, ulong stride, uint columns, float epsilon,
                 uint is_rms, float base, global uchar *out, ulong out_at,
                 global uchar *kept, ulong kept_at, uint has_kept) {
    local float parts[ITEMS];
    const ulong begin = get_group_id(0) / heads * stride + get_group_id(0) % heads * columns;
    global const float *row = FLOATS(x, x_at) + begin, *added = FLOATS(residual, residual_at) + begin;
    float sum = 0;
    for (uint i = get_local_id(0); i < columns; i += ITEMS) sum += has_residual ? row[i] + added[i] : row[i];
    const float mean = is_rms ? 0.0f : sum_of_items(sum, parts) / (float)columns;
    sum = 0;
    for (uint i = get_local_id(0); i < columns; i += ITEMS) {
        const float off = (has_residual ? row[i] + added[i] : row[i]) - mean;
        sum = multiply_add(off, off, sum);
    }
    const float scale = 1.0f / sqrt(sum_of_items(sum, parts) / (float)columns + epsilon);
    for (uint i = get_local_id(0); i < columns; i += ITEMS) {
        const float value = has_residual ? row[i] + added[i] : row[i];
        const float shift = has_bias ? FLOATS(bias, bias_at)[i] : 0.0f;
        if (has_kept) RESULTS(kept, kept_at)[begin + i] = value;
        RESULTS(out, out_at)[begin + i] = multiply_add((value - mean) * scale, FLOATS(gain, gain_at)[i] + base, shift);
    }
}

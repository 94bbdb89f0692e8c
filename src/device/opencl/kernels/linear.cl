/* linear.cl - out = function(x W^T + bias) by tiles in local memory: a work-group computes TILE_ROWS rows by
 * TILE_COLUMNS columns, an item ROWS rows by one vector of columns, DEPTH terms of the sums at a time.
 *
 * Compiled once for each tile of tiles.c; program.c defines LINEAR (the kernel's name), GROUP_X, GROUP_Y, ROWS, DEPTH,
 * WIDTH (columns of an item) and VECTOR, VECTOR_LOAD, VECTOR_STORE for it. Every tile adds the terms of a sum one by
 * one, from the first on; what lies outside the matrices is 0 in local memory, which changes no bit of a sum that
 * begins at 0. For an INT8 weight, both factors are integers, and the scales of the two rows come last. */
#define TILE_ROWS (GROUP_Y * ROWS)
#define TILE_COLUMNS (GROUP_X * WIDTH)
#define GROUP (GROUP_X * GROUP_Y)

kernel __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1))) void LINEAR(
    bytes x, ulong x_at, bytes weight, ulong weight_at, uint format, global const float2 *scales, bytes bias,
    ulong bias_at, uint has_bias, uint rows, uint in, uint columns, uint function, global uchar *out, ulong out_at) {
    local float xs[DEPTH * TILE_ROWS], ws[DEPTH * TILE_COLUMNS];
    const uint item = get_local_id(1) * GROUP_X + get_local_id(0);
    const uint first_row = get_group_id(1) * TILE_ROWS, first_column = get_group_id(0) * TILE_COLUMNS;
    const uint own_row = get_local_id(1) * ROWS, own_column = get_local_id(0) * WIDTH;
    global const float *values = FLOATS(x, x_at);
    VECTOR sums[ROWS];
    for (uint i = 0; i < ROWS; i++) sums[i] = (VECTOR)(0.0f);
    for (uint from = 0; from < in; from += DEPTH) {
        for (uint i = item; i < DEPTH * TILE_ROWS; i += GROUP) {
            const uint row = first_row + i / DEPTH, k = from + i % DEPTH;
            float value = 0.0f;
            if (row < rows && k < in) {
                value = values[(ulong)row * in + k];
                if (format == FORMAT_INT8) {
                    const float2 s = scales[row];
                    const float inverse = s.x > 0.0f ? 1.0f / s.x : 0.0f;
                    value = clamp(rint(value * inverse) + s.y, 0.0f, 255.0f) - s.y;
                }
            }
            xs[i % DEPTH * TILE_ROWS + i / DEPTH] = value;
        }
        for (uint i = item; i < DEPTH * TILE_COLUMNS; i += GROUP) {
            const uint column = first_column + i / DEPTH, k = from + i % DEPTH;
            ws[i % DEPTH * TILE_COLUMNS + i / DEPTH] =
                column < columns && k < in ? weight_value(weight + weight_at, format, (ulong)column * in + k) : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint k = 0; k < DEPTH; k++) {
            const VECTOR w = VECTOR_LOAD(0, ws + k * TILE_COLUMNS + own_column);
            for (uint i = 0; i < ROWS; i++)
                sums[i] = multiply_add((VECTOR)(xs[k * TILE_ROWS + own_row + i]), w, sums[i]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    for (uint i = 0; i < ROWS; i++) {
        const uint row = first_row + own_row + i;
        if (row >= rows) break;
        float found[WIDTH];
        VECTOR_STORE(sums[i], 0, found);
        for (uint j = 0; j < WIDTH; j++) {
            const uint column = first_column + own_column + j;
            if (column >= columns) break;
            float sum = found[j];
            if (format == FORMAT_INT8)
                sum *= scales[row].x * weight_scale(weight + weight_at, (ulong)columns * in, column);
            if (has_bias) sum += FLOATS(bias, bias_at)[column];
            RESULTS(out, out_at)[(ulong)row * columns + column] = apply_function(function, sum);
        }
    }
}

#undef TILE_ROWS
#undef TILE_COLUMNS
#undef GROUP

/* pool.cl - how the rows of a sequence become one. An item is a column of a sequence, and takes rows in their order. */
static inline float pool_sum(global const float *x, uint columns, uint rows, uint skipped, uint pooling) {
    float sum = 0, weights = 0;
    for (uint i = skipped; i < rows; i++) {
        const float weight = pooling == POOL_WEIGHTED ? (float)(i + 1) : 1.0f;
        sum = multiply_add(weight, x[(ulong)i * columns], sum);
        weights += weight;
    }
    if (pooling == POOL_MEAN_SQRT) weights = sqrt(weights);
    return weights == 0.0f ? 0.0f : sum / weights;
}

static inline float pool_most(global const float *x, uint columns, uint rows, uint skipped) {
    float most = -INFINITY;
    for (uint i = skipped; i < rows; i++)
        if (!(x[(ulong)i * columns] <= most)) most = x[(ulong)i * columns]; /* a NaN stays */
    return most;
}

kernel void pool(bytes x, ulong x_at, bytes offsets, ulong offsets_at, uint columns, uint pooling, uint skipped,
                 global uchar *out, ulong out_at, ulong stride) {
    const uint column = column_of_item(columns);
    const ulong sequence = row_of_item(columns);
    if (column >= columns) return;
    const uint first = INTEGERS(offsets, offsets_at)[sequence];
    const uint rows = INTEGERS(offsets, offsets_at)[sequence + 1] - first;
    global const float *values = FLOATS(x, x_at) + (ulong)first * columns + column;
    float pooled = 0.0f;
    if (rows > 0) {
        if (pooling == POOL_FIRST)
            pooled = values[skipped < rows ? (ulong)skipped * columns : 0];
        else if (pooling == POOL_LAST)
            pooled = skipped < rows ? values[(ulong)(rows - 1) * columns] : 0.0f;
        else if (pooling == POOL_MAX)
            pooled = pool_most(values, columns, rows, skipped);
        else
            pooled = pool_sum(values, columns, rows, skipped, pooling);
    }
    RESULTS(out, out_at)[sequence * stride + column] = pooled;
}

/* normalize.cl - out = x / max(|x|, 1e-12). A work-group is a row; an item reads and writes the same columns only, so
 * that out may be x. */
kernel void normalize_rows(bytes x, ulong x_at, uint columns, global uchar *out, ulong out_at) {
    local float parts[ITEMS];
    const ulong begin = (ulong)get_group_id(0) * columns;
    global const float *row = FLOATS(x, x_at) + begin;
    float sum = 0;
    for (uint i = get_local_id(0); i < columns; i += ITEMS) sum = multiply_add(row[i], row[i], sum);
    const float length = sqrt(sum_of_items(sum, parts));
    for (uint i = get_local_id(0); i < columns; i += ITEMS)
        RESULTS(out, out_at)[begin + i] = row[i] / (length > 1e-12f ? length : 1e-12f);
}

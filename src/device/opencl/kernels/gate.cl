/* gate.cl - out = function(a) b. An item is a column of a row. */
kernel void gate(bytes a, ulong a_at, ulong a_stride, bytes b, ulong b_at, ulong b_stride, uint columns, uint function,
                 global uchar *out, ulong out_at) {
    const uint column = column_of_item(columns);
    const ulong row = row_of_item(columns);
    if (column >= columns) return;
    const float value = apply_function(function, FLOATS(a, a_at)[row * a_stride + column]);
    RESULTS(out, out_at)[row * columns + column] = value * FLOATS(b, b_at)[row * b_stride + column];
}

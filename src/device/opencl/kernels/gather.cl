/* gather.cl - out[i] = x[rows[i]]. An item is a column of a row. */
kernel void gather(bytes x, ulong x_at, bytes rows, ulong rows_at, uint columns, global uchar *out, ulong out_at) {
    const uint column = column_of_item(columns);
    const ulong row = row_of_item(columns);
    if (column >= columns) return;
    RESULTS(out, out_at)[row * columns + column] =
        FLOATS(x, x_at)[(ulong)INTEGERS(rows, rows_at)[row] * columns + column];
}

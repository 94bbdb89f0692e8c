/* embed.cl - out[t] = ((scale) word[ids[t]] (+ type[types[t]])) (+ position[positions[t]]). An item is a column of a token. */
static inline float table_value(bytes table, uint format, ulong rows, uint columns, int row, uint column) {
    return as_float(weight_bits(table, format, rows, columns, (ulong)row, column));
}

kernel void embed(bytes ids, ulong ids_at, bytes positions, ulong positions_at, bytes types, ulong types_at, bytes word,
                  ulong word_at, uint word_rows, uint word_format, bytes position, ulong position_at,
                  uint position_rows, uint position_format, bytes type, ulong type_at, uint type_rows, uint type_format,
                  uint has_types, uint has_positions, float scale, uint columns,
                  global uchar *out, ulong out_at) {
    const uint column = column_of_item(columns);
    const ulong token = row_of_item(columns);
    if (column >= columns) return;
    float sum =
        table_value(word + word_at, word_format, word_rows, columns, INTEGERS(ids, ids_at)[token], column);
    if (scale != 0.0f) sum *= scale;
    if (has_types)
        sum += table_value(type + type_at, type_format, type_rows, columns, INTEGERS(types, types_at)[token], column);
    if (has_positions)
        sum += table_value(position + position_at, position_format, position_rows, columns,
                           INTEGERS(positions, positions_at)[token], column);
    RESULTS(out, out_at)[token * columns + column] = sum;
}

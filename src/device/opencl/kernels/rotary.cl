/* rotary.cl - turns columns i and i + half of each head by the angles of the row's position, in place. An item is such
 * a pair, which nobody else touches. */
kernel void rotary(bytes positions, ulong positions_at, bytes angles, ulong angles_at, uint pairs, uint half_of,
                   global uchar *x, ulong x_at, ulong stride) {
    const uint pair = column_of_item(pairs), i = pair % half_of;
    const ulong row = row_of_item(pairs);
    if (pair >= pairs) return;
    global const float *angle = FLOATS(angles, angles_at) + (ulong)INTEGERS(positions, positions_at)[row] * 2 * half_of;
    global float *first = RESULTS(x, x_at) + row * stride + pair / half_of * 2 * half_of + i;
    const float a = first[0], b = first[half_of], cosine = angle[i], sine = angle[half_of + i];
    first[0] = multiply_add(a, cosine, -(b * sine));
    first[half_of] = multiply_add(b, cosine, a * sine);
}

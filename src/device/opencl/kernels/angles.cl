/* angles.cl - the cosines and sines of p frequencies[i]. An item is a frequency at a position. The products are rounded
 * before anything else is done with them; they are large at far positions, where OpenCL's own functions hold their
 * accuracy and its native ones would not. */
kernel void angles(global const float *frequencies, uint half_of, global uchar *out, ulong out_at) {
    const uint i = column_of_item(half_of);
    const ulong position = row_of_item(half_of);
    if (i >= half_of) return;
    global float *row = RESULTS(out, out_at) + position * 2 * half_of;
    const float angle = (float)position * frequencies[i];
    row[i] = cos(angle);
    row[half_of + i] = sin(angle);
}

/* measure.cl - what the device could do at most: multiply-adds on registers, and reading of its memory. */
enum { CHAINS = 8 };

/* Each item does rounds * CHAINS * 8 multiply-adds. */
kernel void multiply_adds(uint rounds, float factor, global float *out) {
    float8 sums[CHAINS];
    for (uint i = 0; i < CHAINS; i++) sums[i] = (float8)((float)(i + get_local_id(0)));
    for (uint r = 0; r < rounds; r++)
        for (uint i = 0; i < CHAINS; i++) sums[i] = multiply_add(sums[i], (float8)(factor), (float8)(1.0f));
    float8 sum = sums[0];
    for (uint i = 1; i < CHAINS; i++) sum += sums[i];
    out[get_global_id(0)] = sum.s0 + sum.s1 + sum.s2 + sum.s3 + sum.s4 + sum.s5 + sum.s6 + sum.s7;
}

/* Items next to each other read next to each other; or, as suits a processor, each reads a piece of its own. */
kernel void read_all(global const uint4 *data, ulong count, uint apart, global uint *out) {
    const ulong items = get_global_size(0), item = get_global_id(0), piece = (count + items - 1) / items;
    const ulong end = apart ? min(count, (item + 1) * piece) : count, step = apart ? 1 : items;
    uint4 sum = (uint4)(0);
    for (ulong i = apart ? item * piece : item; i < end; i += step) sum += data[i];
    out[get_global_id(0)] = sum.x + sum.y + sum.z + sum.w;
}

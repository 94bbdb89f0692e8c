/* checksum.cl - the two sums of checksum.h over rows of a weight. Each work-group leaves its part, which the host adds:
 * modulo 2^64 the order of additions is free. */
kernel void checksum(bytes weight, ulong weight_at, uint format, ulong rows, ulong columns, ulong first, ulong count,
                     global ulong *sums) {
    local ulong a_parts[ITEMS], b_parts[ITEMS];
    const uint item = get_local_id(0);
    ulong a = 0, b = 0;
    for (ulong i = get_global_id(0); i < count; i += get_global_size(0)) {
        const ulong bits = weight_bits(weight + weight_at, format, rows, columns, first + i / columns, i % columns);
        a += bits;
        b += (i + 1) * bits;
    }
    a_parts[item] = a;
    b_parts[item] = b;
    for (uint half_of = ITEMS / 2; half_of > 0; half_of /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_of) {
            a_parts[item] += a_parts[item + half_of];
            b_parts[item] += b_parts[item + half_of];
        }
    }
    if (item == 0) {
        sums[2 * get_group_id(0)] = a_parts[0];
        sums[2 * get_group_id(0) + 1] = b_parts[0];
    }
}

/* attention.cl - softmax(scale Q K^T) V of a packed batch, streaming over keys: of the scores, a block of QUERIES by
 * KEYS is held at a time, with the greatest score and the sum of exponentials so far (Milakov and Gimelshein 2018).
 * A query sees the keys that are at most `window` away and, where it is causal, none behind it; other blocks are not
 * visited. `shared` heads of queries, one after the other, read one head of keys and values.
 *
 * Compiled for QUERIES many and 1, with RELATIVE and without; program.c defines ATTENTION (the kernel's name), QUERIES
 * and RELATIVE: scores have the terms of distance.cl. KEYS, the keys of a block, is part of the arithmetic and the same
 * everywhere: blocks begin at multiples of KEYS from a sequence's first token, so that a query's result depends on its
 * sequence alone. QUERIES changes no bit: a block of keys that a query does not see, but its neighbours do, multiplies
 * by 1 and adds 0. A work-group of ITEMS items is a block of queries of one head. */
#define COLUMNS 32                       /* of the heads, that are multiplied at a time */
#define STRIDE (COLUMNS + 1)             /* of keys in local memory, against conflicts of banks */
#define PASSES (QUERIES * KEYS / ITEMS > 0 ? QUERIES * KEYS / ITEMS : 1)

/* memory holds queries [QUERIES, size], then sums [QUERIES, size]. */
kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void ATTENTION(
    bytes q, ulong q_at, ulong q_stride, bytes k, ulong k_at, ulong k_stride, bytes v, ulong v_at, ulong v_stride,
    bytes offsets, ulong offsets_at, uint first_only, uint last_only, uint size, uint shared, uint window,
    uint is_causal, float scale, float cap, global uchar *out, ulong out_at,
#ifdef RELATIVE
    bytes k_rows, ulong k_rows_at, bytes k_places, ulong k_places_at, uint k_per_head, bytes q_rows, ulong q_rows_at,
    bytes q_places, ulong q_places_at, uint q_per_head, bytes biases, ulong biases_at, bytes b_places,
    ulong b_places_at, uint b_per_head, uint longest,
#endif
    local float *memory) {
    local float keys[KEYS * STRIDE], scores[QUERIES * KEYS], most[QUERIES], total[QUERIES], factor[QUERIES];
    const uint item = get_local_id(0), head = get_group_id(1), sequence = get_group_id(2);
    const uint first = INTEGERS(offsets, offsets_at)[sequence];
    const uint length = INTEGERS(offsets, offsets_at)[sequence + 1] - first;
    const uint is_one = first_only || last_only, asked = is_one ? min(length, 1u) : length;
    const uint place_of_group = get_group_id(0) * QUERIES, key_head = head / shared;
    if (place_of_group >= asked) return; /* all items of the group alike */
    const uint begin = last_only ? length - 1 : place_of_group, count = min((uint)QUERIES, asked - place_of_group);
    const ulong row = (is_one ? sequence : first) + place_of_group, hidden = (ulong)get_num_groups(1) * size;
    global const float *own_q = FLOATS(q, q_at) + row * q_stride + head * size;
    global const float *own_k = FLOATS(k, k_at) + first * k_stride + key_head * size;
    global const float *own_v = FLOATS(v, v_at) + first * v_stride + key_head * size;
    local float *queries = memory, *sums = memory + QUERIES * size;
#ifdef RELATIVE
    const distances of_keys = distances_of(k_rows, k_rows_at, k_places, k_places_at, k_per_head, head, size, longest);
    const distances of_queries =
        distances_of(q_rows, q_rows_at, q_places, q_places_at, q_per_head, head, size, longest);
    const distances of_biases = distances_of(biases, biases_at, b_places, b_places_at, b_per_head, head, 1, longest);
#endif
    for (uint i = item; i < QUERIES * size; i += ITEMS) {
        queries[i] = i / size < count ? own_q[i / size * q_stride + i % size] : 0.0f;
        sums[i] = 0.0f;
    }
    for (uint i = item; i < QUERIES; i += ITEMS) {
        most[i] = -INFINITY;
        total[i] = 0.0f;
    }
    const uint last = begin + count - 1, reach = is_causal ? 0 : window;
    const uint end = length - last > reach ? last + reach + 1 : length;
    for (uint t = (begin > window ? begin - window : 0) / KEYS * KEYS; t < end; t += KEYS) {
        const uint here = min((uint)KEYS, end - t);
        float dots[PASSES], more[PASSES];
        for (uint p = 0; p < PASSES; p++) dots[p] = more[p] = 0.0f;
        for (uint c = 0; c < size; c += COLUMNS) {
            const uint wide = min((uint)COLUMNS, size - c);
            barrier(CLK_LOCAL_MEM_FENCE);
            for (uint i = item; i < KEYS * COLUMNS; i += ITEMS) {
                const uint key = i / COLUMNS, column = i % COLUMNS;
                keys[key * STRIDE + column] =
                    key < here && column < wide ? own_k[(t + key) * k_stride + c + column] : 0.0f;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            for (uint p = 0; p < PASSES; p++) {
                const uint query = item / KEYS + p * (ITEMS / KEYS);
                if (query >= QUERIES) break;
                local const float *own_query = queries + query * size + c, *own_key = keys + item % KEYS * STRIDE;
                for (uint i = 0; i < wide; i++) dots[p] = multiply_add(own_query[i], own_key[i], dots[p]);
#ifdef RELATIVE
                if (query >= count || item % KEYS >= here) continue; /* their distance may be none of the batch */
                const int distance = (int)(t + item % KEYS) - (int)(begin + query);
                more[p] = add_distance(more[p], of_keys, distance, own_query, c, wide, size);
                more[p] = add_distance(more[p], of_queries, -distance, own_key, c, wide, size);
                if (c == 0 && of_biases.is_there) more[p] += of_biases.rows[of_biases.places[distance]];
#endif
            }
        }
        for (uint p = 0; p < PASSES; p++) {
            const uint query = item / KEYS + p * (ITEMS / KEYS), place = begin + query, key = t + item % KEYS;
            const uint apart = key > place ? key - place : place - key;
            const uint is_seen = apart <= window && !(is_causal && key > place);
            float score = (dots[p] + more[p]) * scale;
            if (cap > 0.0f) score = cap * tanh(score / cap);
            if (query < QUERIES) scores[query * KEYS + item % KEYS] = is_seen ? score : -INFINITY;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = item; i < QUERIES; i += ITEMS) {
            float greatest = most[i];
            for (uint j = 0; j < here; j++) greatest = fmax(greatest, scores[i * KEYS + j]);
            factor[i] = most[i] == greatest ? 1.0f : exp(most[i] - greatest); /* both -infinity: nothing seen yet */
            most[i] = greatest;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = item; i < QUERIES * KEYS; i += ITEMS)
            scores[i] = scores[i] == -INFINITY ? 0.0f : exp(scores[i] - most[i / KEYS]);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = item; i < QUERIES; i += ITEMS) {
            float sum = total[i] * factor[i];
            for (uint j = 0; j < here; j++) sum += scores[i * KEYS + j];
            total[i] = sum;
        }
        for (uint c = item; c < size; c += ITEMS) {
            float mixed[QUERIES];
            for (uint i = 0; i < QUERIES; i++) mixed[i] = sums[i * size + c] * factor[i];
            for (uint j = 0; j < here; j++) {
                const float value = own_v[(t + j) * v_stride + c];
                for (uint i = 0; i < QUERIES; i++) mixed[i] = multiply_add(scores[i * KEYS + j], value, mixed[i]);
            }
            for (uint i = 0; i < QUERIES; i++) sums[i * size + c] = mixed[i];
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = item; i < count * size; i += ITEMS)
        RESULTS(out, out_at)[(row + i / size) * hidden + head * size + i % size] = sums[i] / total[i / size];
}

#undef COLUMNS
#undef STRIDE
#undef PASSES
#undef ATTENTION
#undef QUERIES
#undef RELATIVE

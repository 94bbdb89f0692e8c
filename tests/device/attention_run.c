/* attention_run.c - one call of attention, and its first and last tokens alone. */
#include "device/attention_run.h"

#include "device/ref/ref.h"

#include <stdlib.h>
#include <string.h>

size_t columns_of(const attention_case *c) { return (c->heads + 2 * c->key_heads) * c->size; }
size_t tokens_of(const attention_case *c) { return (size_t)c->offsets[c->sequences]; }
size_t length_of(const attention_case *c, size_t sequence) {
    return (size_t)(c->offsets[sequence + 1] - c->offsets[sequence]);
}

static size_t longest_of(const attention_case *c) {
    size_t longest = 0;
    for (size_t s = 0; s < c->sequences; s++) longest = cei_max_size(longest, length_of(c, s));
    return longest;
}

/* The first or the last token of each sequence alone gives what it gives among all. */
static void check_one(bench *b, cei_attention_args args, const attention_case *c, bool last, const float *all) {
    const size_t hidden = c->heads * c->size, count = c->sequences * hidden;
    float *q = random_floats(count, 1), *found = random_floats(count, 1);
    for (size_t s = 0; s < c->sequences; s++) {
        const size_t row = (size_t)c->offsets[s] + (last && length_of(c, s) ? length_of(c, s) - 1 : 0);
        if (length_of(c, s)) memcpy(q + s * hidden, c->qkv + row * columns_of(c), hidden * sizeof *q);
    }
    args.first_only = !last;
    args.last_only = last;
    args.q = (cei_strided){bench_put(b, q, count * sizeof *q), hidden};
    args.out = bench_reserve(b, count * sizeof *found);
    expect_ok(cei_attention(b->stream, &args, &b->error), &b->error);
    bench_get(b, args.out, found, count);
    for (size_t s = 0; s < c->sequences; s++) {
        const size_t row = (size_t)c->offsets[s] + (last && length_of(c, s) ? length_of(c, s) - 1 : 0);
        if (length_of(c, s)) expect_same_bits(found + s * hidden, all + row * hidden, hidden, "one token alone");
    }
    free(q), free(found);
}

void run_attention(const tier *of, unsigned threads, const attention_case *c, float *out) {
    const size_t hidden = c->heads * c->size, tokens = tokens_of(c);
    bench b = bench_open(of, threads, (cei_stream_limits){tokens, longest_of(c), c->size, columns_of(c), false});
    if (of == &reference_tier) cei_ref_round_attention(b.device, c->precision >= CE_PRECISION_BFLOAT16);
    cei_attention_args args = {.tokens = tokens,
                               .sequences = c->sequences,
                               .longest = longest_of(c),
                               .offsets = bench_put(&b, c->offsets, (c->sequences + 1) * sizeof *c->offsets),
                               .heads = c->heads,
                               .key_heads = c->key_heads,
                               .head_size = c->size,
                               .window = c->window,
                               .causal = c->causal,
                               .scale = c->scale,
                               .cap = c->cap,
                               .out = bench_reserve(&b, tokens * hidden * sizeof *out),
                               .precision = c->precision};
    cei_attention_take_qkv(&args, bench_put(&b, c->qkv, tokens * columns_of(c) * sizeof *out));
    expect_ok(cei_attention(b.stream, &args, &b.error), &b.error);
    bench_get(&b, args.out, out, tokens * hidden);
    check_one(&b, args, c, false, out);
    check_one(&b, args, c, true, out);
    bench_close(&b);
}

/* attention_run.h - plain attention over packed sequences, as tests ask a device for it. */
#ifndef CE_TEST_ATTENTION_RUN_H
#define CE_TEST_ATTENTION_RUN_H

#include "device/bench.h"

typedef struct attention_case {
    size_t sequences, heads, key_heads, size, window;
    bool causal;
    float scale, cap;
    const int32_t *offsets;
    const float *qkv; /* [tokens, columns_of] */
    ce_precision precision;
    bool is_rounded; /* are queries, keys and values bfloat16 already? */
} attention_case;

size_t columns_of(const attention_case *c);
size_t tokens_of(const attention_case *c);
size_t length_of(const attention_case *c, size_t sequence);

/* out [tokens, heads * size]. The reference rounds where the precision is low. Fails unless the first and the last
 * token of each sequence give alone what they give among all. */
void run_attention(const tier *of, unsigned threads, const attention_case *c, float *out);

#endif

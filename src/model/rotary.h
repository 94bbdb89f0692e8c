/* rotary.h - the frequencies of rotary positions (Su et al. 2021), scaled or not, as transformers computes them. */
#ifndef CEI_ROTARY_H
#define CEI_ROTARY_H

#include <crossenc/status.h>

#include <stdbool.h>
#include <stddef.h>

typedef enum cei_rope_kind {
    CEI_ROPE_PLAIN,
    CEI_ROPE_LINEAR,
    CEI_ROPE_DYNAMIC, /* scaled behind the last position that a model has: here as if it were not */
    CEI_ROPE_YARN,    /* Peng et al. 2023 */
    CEI_ROPE_LONG,    /* Ding et al. 2024; its long factors are for texts that are longer than original */
    CEI_ROPE_LLAMA3,
    CEI_ROPE_NTK /* NewModel's */
} cei_rope_kind;

/* What a config says of scaling: rope_scaling, or rope_parameters. Numbers that are not there are 0. */
typedef struct cei_rope_scaling {
    cei_rope_kind kind;
    double factor;
    double attention_factor;        /* 0: follows from factor */
    double mscale, mscale_all_dim;  /* of YARN, as are the next three */
    double beta_fast, beta_slow;    /* 32 and 1 if absent */
    bool truncate;                  /* true if absent */
    double low_factor, high_factor; /* low_freq_factor, high_freq_factor of LLAMA3 */
    bool is_mixed;                  /* NTK has a mixed_b */
    double mixed_b;
    size_t original;       /* original_max_position_embeddings; max_position_embeddings if absent */
    double *short_factors; /* [short_count] of LONG, the config's own */
    size_t short_count;
} cei_rope_scaling;

/* Frequencies [size / 2] of heads of so many columns, each step rounded to float32 as the reference rounds it, and
 * *factor, by which cosines and sines are multiplied. positions is max_position_embeddings. short_count is size / 2. */
void cei_rotary_frequencies(const cei_rope_scaling *scaling, double theta, size_t size, size_t positions,
                            float *frequencies, float *factor);

#endif

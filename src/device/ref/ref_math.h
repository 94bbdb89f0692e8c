/* ref_math.h - the operations on one row at a time, in plain C: what device.h says, as formulas.
 *
 * Used by the reference device and by the simulated one. A float32 sum of products runs in 16 partial sums, so that
 * compilers can vectorize it and its rounding error is small; other sums run in double. */
#ifndef CEI_REF_MATH_H
#define CEI_REF_MATH_H

#include "device/device.h"

/* out = (word + type) + position, [columns] each; type and position may be NULL. */
void cei_ref_embed_row(const float *word, const float *type, const float *position, size_t columns, float *out);

/* row *= scale, [columns]; scale 0 is none. */
void cei_ref_scale_row(float scale, size_t columns, float *row);

/* sum = v = x + residual, out = gain (v - mean(v)) / sqrt(var(v) + epsilon) + bias; residual and bias may be NULL, sum
 * may be x, residual or out, out x or residual. [columns] each. */
void cei_ref_norm_row(const float *x, const float *residual, const float *gain, const float *bias, size_t columns,
                      float epsilon, float *sum, float *out);

/* The same of an RMS norm: out = (gain + base) v / sqrt(mean(v^2) + epsilon). */
void cei_ref_rms_norm_row(const float *x, const float *residual, const float *gain, float base, size_t columns,
                          float epsilon, float *sum, float *out);

/* Norms one row by what args say. */
void cei_ref_norm(const cei_norm_args *args, const float *x, const float *residual, const float *gain,
                  const float *bias, float *sum, float *out);

/* Rounds activations x [rows, columns] in place as a product with a weight of such a format may. */
void cei_ref_round_activations(cei_format format, float *x, size_t rows, size_t columns);

/* The sum of a[i] b[i]. */
float cei_ref_dot(const float *a, const float *b, size_t count);

/* An elementwise function, from the C library's. */
float cei_ref_function(cei_function function, float x);

/* Attention over operands in this memory; offsets are sound. rounds: as cei_device_rounds_attention says. scores
 * [args->longest] is scratch memory. */
void cei_ref_attention(const cei_attention_args *args, bool rounds, const int32_t *offsets, const float *q,
                       const float *k, const float *v, float *scores, float *out);

/* out [2 half] = the angles of a position: cosines, then sines. */
void cei_ref_angles_row(size_t position, const float *frequencies, size_t half, float *out);

/* Turns the heads of one row, x [heads, 2 half], by the angles of its position. */
void cei_ref_rotate_row(const float *angles, size_t heads, size_t half, float *x);

/* out = function(a) b, [columns]. */
void cei_ref_gate_row(cei_function function, const float *a, const float *b, size_t columns, float *out);

/* Where the weights and places of relative attention are in this memory: weights row-major; NULL is none. */
typedef struct cei_ref_distances {
    const float *weight;
    const int32_t *places;
} cei_ref_distances;

/* The same with distances: of keys, queries and bias, in this order. */
void cei_ref_attention_relative(const cei_attention_relative_args *args, bool rounds, const int32_t *offsets,
                                const float *q, const float *k, const float *v, const cei_ref_distances distances[3],
                                float *scores, float *out);

/* Pools all sequences of a batch in this memory; offsets are sound, out's rows begin args->out.stride floats apart. */
void cei_ref_pool(const cei_pool_args *args, const int32_t *offsets, const float *x, float *out);

/* out = x / max(|x|, 1e-12), [columns]; out may be x. */
void cei_ref_normalize_row(const float *x, size_t columns, float *out);

#endif

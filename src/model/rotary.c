/* rotary.c - frequencies of rotary positions: those of the first paper, and what is done to them for longer texts.
 *
 * At far positions a rounding of a frequency is more than all others (docs/architecture.md): so the order of operations
 * and what is held in single precision are the reference's. */
#include "model/rotary.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* theta^(2 i / size). */
static float power_of(double theta, size_t i, size_t size) {
    return (float)pow(theta, (double)((float)(2 * i) / (float)size));
}

static void find_plain(double theta, size_t size, float *frequencies) {
    for (size_t i = 0; i < size / 2; i++) frequencies[i] = 1.0f / power_of(theta, i, size);
}

/* ---- YaRN --------------------------------------------------------------------------------------------------- */

/* The pair of columns that turns so many times over the original length. */
static double turning_pair(double turns, double theta, size_t size, size_t original) {
    return (double)size * log((double)original / (turns * 2 * pi)) / (2 * log(theta));
}

/* Between the quick pairs, which stay as they are, and the slow ones, which are divided by the factor, is a ramp. */
static void find_yarn(const cei_rope_scaling *scaling, double theta, size_t size, float *frequencies) {
    double low = turning_pair(scaling->beta_fast, theta, size, scaling->original);
    double high = turning_pair(scaling->beta_slow, theta, size, scaling->original);
    if (scaling->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)(size - 1));
    if (low == high) high += 0.001;
    for (size_t i = 0; i < size / 2; i++) {
        const float power = power_of(theta, i, size), slow = 1.0f / ((float)scaling->factor * power);
        const float ramp = fminf(fmaxf(((float)i - (float)low) / (float)(high - low), 0.0f), 1.0f), kept = 1.0f - ramp;
        frequencies[i] = slow * (1.0f - kept) + 1.0f / power * kept;
    }
}

static double yarn_scale(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1; }

static double yarn_factor(const cei_rope_scaling *scaling) {
    if (scaling->mscale == 0 || scaling->mscale_all_dim == 0) return yarn_scale(scaling->factor, 1);
    return yarn_scale(scaling->factor, scaling->mscale) / yarn_scale(scaling->factor, scaling->mscale_all_dim);
}

/* ---- the others --------------------------------------------------------------------------------------------- */

static void find_long(const cei_rope_scaling *scaling, double theta, size_t size, float *frequencies) {
    for (size_t i = 0; i < size / 2; i++)
        frequencies[i] = 1.0f / ((float)scaling->short_factors[i] * power_of(theta, i, size));
}

static double long_factor(const cei_rope_scaling *scaling, size_t positions) {
    const double factor = scaling->factor > 0 ? scaling->factor : (double)positions / (double)scaling->original;
    return factor <= 1 ? 1 : sqrt(1 + log(factor) / log((double)scaling->original));
}

/* Long waves are divided by the factor, short ones stay; those between are mixed. */
static float llama3_frequency(const cei_rope_scaling *scaling, float plain) {
    const double original = (double)scaling->original;
    const float length = (float)(2 * pi) / plain, factor = (float)scaling->factor;
    if (length > (float)(original / scaling->low_factor)) return plain / factor;
    if (length < (float)(original / scaling->high_factor)) return plain;
    const float share =
        ((float)original / length - (float)scaling->low_factor) / (float)(scaling->high_factor - scaling->low_factor);
    return (1.0f - share) * plain / factor + share * plain;
}

/* One base for all lengths, with a last division; or, mixed, a factor that grows with the pair. */
static void find_ntk(const cei_rope_scaling *scaling, double theta, size_t size, float *frequencies) {
    const double factor = scaling->factor, half = (double)size / 2;
    find_plain(scaling->is_mixed ? theta : theta * factor, size, frequencies);
    const float slope = scaling->is_mixed ? logf((float)factor) / (float)pow(half, scaling->mixed_b) : 0;
    for (size_t i = 0; i < size / 2; i++) {
        const float place = (float)pow((double)(i + 1), (double)(float)scaling->mixed_b);
        frequencies[i] /= scaling->is_mixed ? expf(slope * place) : (float)pow(factor, 2 / (double)size);
    }
}

void cei_rotary_frequencies(const cei_rope_scaling *scaling, double theta, size_t size, size_t positions,
                            float *frequencies, float *factor) {
    double attention = 1;
    find_plain(theta, size, frequencies);
    switch (scaling->kind) {
    case CEI_ROPE_LINEAR:
        for (size_t i = 0; i < size / 2; i++) frequencies[i] /= (float)scaling->factor;
        break;
    case CEI_ROPE_YARN:
        find_yarn(scaling, theta, size, frequencies);
        attention = scaling->attention_factor > 0 ? scaling->attention_factor : yarn_factor(scaling);
        break;
    case CEI_ROPE_LONG:
        find_long(scaling, theta, size, frequencies);
        attention = scaling->attention_factor > 0 ? scaling->attention_factor : long_factor(scaling, positions);
        break;
    case CEI_ROPE_LLAMA3:
        for (size_t i = 0; i < size / 2; i++) frequencies[i] = llama3_frequency(scaling, frequencies[i]);
        break;
    case CEI_ROPE_NTK: find_ntk(scaling, theta, size, frequencies); break;
    case CEI_ROPE_PLAIN:
    case CEI_ROPE_DYNAMIC: break;
    }
    *factor = (float)attention;
}

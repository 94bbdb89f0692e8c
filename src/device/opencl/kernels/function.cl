/* function.cl - the elementwise functions of linear layers. GELU is taken of erfc, which loses nothing where 1 + erf
 * would cancel; the precision is that of the driver's own functions. */
static inline float apply_function(uint function, float x) {
    switch (function) {
    case FN_GELU: return 0.5f * x * erfc(-0.70710678118654752440f * x);
    case FN_GELU_TANH: {
        /* x/2 (1 + tanh(z)) = x / (1 + exp(-2 z)) */
        const float z = 0.79788456080286535588f * (x + 0.044715f * x * x * x);
        return x / (1.0f + exp(-2.0f * z));
    }
    case FN_GELU_QUICK: return x / (1.0f + exp(-1.702f * x));
    case FN_RELU: return x < 0.0f ? 0.0f : x;
    case FN_SILU: return x / (1.0f + exp(-x));
    case FN_TANH: return tanh(x);
    case FN_SIGMOID: return 1.0f / (1.0f + exp(-x));
    default: return x;
    }
}

/* activation.c - from logits to scores, computed in double and rounded once, so that it adds nothing to the error. */
#include "score/predict.h"

#include <math.h>

/* exp(x_i - max) / sum, over one row. */
static void softmax(float *row, size_t labels) {
    double most = row[0], sum = 0;
    for (size_t i = 1; i < labels; i++) most = row[i] > most ? row[i] : most;
    for (size_t i = 0; i < labels; i++) sum += exp(row[i] - most);
    for (size_t i = 0; i < labels; i++) row[i] = (float)(exp(row[i] - most) / sum);
}

static float activate(float x, ce_activation activation) {
    switch (activation) {
    case CE_ACTIVATION_SIGMOID: return (float)(1 / (1 + exp(-(double)x)));
    case CE_ACTIVATION_TANH: return (float)tanh(x);
    case CE_ACTIVATION_RELU: return x > 0 || isnan(x) ? x : 0;
    default: return x;
    }
}

void cei_activate(float *row, size_t labels, ce_activation activation, bool apply_softmax) {
    if (activation == CE_ACTIVATION_SOFTMAX)
        softmax(row, labels);
    else
        for (size_t i = 0; i < labels; i++) row[i] = activate(row[i], activation);
    if (apply_softmax && labels > 1) softmax(row, labels);
}

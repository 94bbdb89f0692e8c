/* transformer_compare.c - whether two models compute the same of the same weights: for a writer that reads what it
 * wrote. Where positions begin is not compared, for a form may cut the table instead; nor are terms of distance that
 * need weights of their own, which are compared as weights. */
#include "model/transformer_network.h"

#include <string.h>

static bool same_rotary(const cei_rotary *a, const cei_rotary *b, size_t count) {
    if (!a->frequencies != !b->frequencies || a->window != b->window || a->factor != b->factor) return false;
    return !a->frequencies || memcmp(a->frequencies, b->frequencies, count * sizeof *a->frequencies) == 0;
}

static bool same_layers(const cei_transformer *a, const cei_transformer *b) {
    for (size_t i = 0; i < a->layer_count; i++)
        if (a->layers[i].is_local != b->layers[i].is_local) return false;
    return true;
}

static bool same_forms(const cei_transformer *a, const cei_transformer *b) {
    return a->causal == b->causal && a->norms_heads == b->norms_heads && a->norms_after == b->norms_after &&
           a->pre_norm == b->pre_norm && a->gated == b->gated && a->gate_is_second == b->gate_is_second &&
           a->projects == b->projects && a->adds_positions == b->adds_positions && a->bias.kind == b->bias.kind;
}

static bool same_sizes(const cei_transformer *a, const cei_transformer *b) {
    return a->base.hidden == b->base.hidden && a->intermediate == b->intermediate && a->heads == b->heads &&
           a->key_heads == b->key_heads && a->layer_count == b->layer_count && a->base.head_size == b->base.head_size &&
           a->embedding == b->embedding && a->base.types == b->base.types;
}

const char *cei_transformer_compare(const cei_network *one, const cei_network *other) {
    const cei_transformer *a = (const cei_transformer *)one, *b = (const cei_transformer *)other;
    const size_t angles = a->base.head_size / 2;
    if (!same_sizes(a, b)) return "the sizes of its layers";
    if (!same_forms(a, b)) return "the form of its layers";
    if (a->base.positions != b->base.positions) return "how many positions it has";
    if (a->epsilon != b->epsilon) return "the epsilon of its norms";
    if (a->function != b->function) return "the function of its feed-forward";
    if (a->scale != b->scale || a->cap != b->cap || a->word_scale != b->word_scale) return "what scores are scaled by";
    if (!same_rotary(&a->rotary[0], &b->rotary[0], angles) || !same_rotary(&a->rotary[1], &b->rotary[1], angles))
        return "its rotary positions or windows";
    return same_layers(a, b) ? NULL : "which layers have a window";
}

static bool same_head_layer(const cei_head_layer *a, const cei_head_layer *b) {
    return a->kind == b->kind && a->has_bias == b->has_bias && a->function == b->function && a->epsilon == b->epsilon &&
           a->columns == b->columns;
}

const char *cei_head_compare(const cei_head *a, const cei_head *b) {
    bool same = a->pooling_count == b->pooling_count && a->layer_count == b->layer_count;
    for (size_t i = 0; i < a->pooling_count && same; i++) same = a->poolings[i] == b->poolings[i];
    if (!same || a->passes != b->passes) return "its pooling";
    for (size_t i = 0; i < a->layer_count && same; i++) same = same_head_layer(&a->layers[i], &b->layers[i]);
    if (!same || a->outputs != b->outputs || a->subtracts != b->subtracts) return "the layers of its head";
    return a->includes_prompt == b->includes_prompt ? NULL : "whether a prompt counts in pooling";
}

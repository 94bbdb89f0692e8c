/* encoding.c - loads tiny bi-encoders and calls them; anything that goes wrong here fails the running test. */
#include "score/encoding.h"

#include <math.h>

char *encoding_folder;

int encoding_set_up(void **state) {
    (void)state;
    const tiny_encoder shape = encoding_shape("[\"cls\", \"mean\"]", 2, ENCODING_DIMENSION);
    encoding_folder = test_make_folder();
    tiny_encoder_write(&shape, encoding_folder);
    return 0;
}

int encoding_tear_down(void **state) {
    (void)state;
    test_remove_folder(encoding_folder);
    return 0;
}

tiny_encoder encoding_shape(const char *pooling, size_t poolings, size_t dimension) {
    tiny_encoder shape = tiny_encoder_default();
    shape.pooling = pooling;
    shape.poolings = poolings;
    shape.dimension = dimension;
    return shape;
}

ce_load_options encoding_options(unsigned threads, size_t batch_tokens, size_t max_length) {
    return (ce_load_options){.size = sizeof(ce_load_options),
                             .device = "cpu",
                             .threads = threads,
                             .batch_tokens = batch_tokens,
                             .max_length = max_length};
}

ce_encoder *encoding_load_from(const char *path, const ce_load_options *options) {
    ce_encoder *encoder = NULL;
    ce_error error;
    expect_ok(ce_encoder_load(path, options, &encoder, &error), &error);
    return encoder;
}

ce_encoder *encoding_load(unsigned threads, size_t batch_tokens, size_t max_length) {
    const ce_load_options options = encoding_options(threads, batch_tokens, max_length);
    return encoding_load_from(encoding_folder, &options);
}

ce_encoder *encoding_load_shape(const tiny_encoder *shape) {
    const ce_load_options options = encoding_options(1, 0, 0);
    char *own = test_make_folder();
    tiny_encoder_write(shape, own);
    ce_encoder *encoder = encoding_load_from(own, &options);
    test_remove_folder(own);
    return encoder;
}

void encoding_plain(ce_encoder *encoder, const ce_text *some, size_t count, float *embeddings) {
    ce_error error;
    expect_ok(ce_encode(encoder, some, count, NULL, embeddings, &error), &error);
}

void encoding_run(ce_encoder *encoder, const ce_text *some, size_t count, const ce_encode_options *options,
                  float *embeddings) {
    ce_error error;
    expect_ok(ce_encode(encoder, some, count, options, embeddings, &error), &error);
}

double encoding_length(const float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* encode.c - two questions and the passages that are nearest to them: the smallest whole program with a bi-encoder.
 *
 *     ./encode MODEL-FOLDER
 *
 * The folder is that of a bi-encoder; none comes with crossenc. */
#include <crossenc/crossenc.h>

#include <stdio.h>
#include <stdlib.h>

static const char *const PASSAGES[] = {
    "A firm yellow banana ripens within days when it lies beside apples.",
    "Berlin has a population of 3.5 million registered inhabitants.",
    "New York City is famous for its theatres and museums.",
};
static const char *const QUESTIONS[] = {"How many people live in Berlin?", "How do I make fruit ripe?"};
enum { PASSAGE_COUNT = 3, QUESTION_COUNT = 2 };

/* Embeddings of length 1, so that a product is the cosine. */
static float *encode(ce_encoder *encoder, size_t dimension, const char *const *strings, size_t count, ce_error *error) {
    ce_text texts[PASSAGE_COUNT];
    ce_encode_options options = {.size = sizeof options, .normalize = true};
    float *embeddings = calloc(count, dimension * sizeof *embeddings);
    for (size_t i = 0; i < count; i++) texts[i] = ce_text_of(strings[i]);
    if (embeddings && ce_encode(encoder, texts, count, &options, embeddings, error) == CE_OK) return embeddings;
    free(embeddings);
    return NULL;
}

static void show_nearest(const char *question, const float *embedding, const float *passages, size_t dimension) {
    size_t best = 0;
    double most = -2;
    for (size_t i = 0; i < PASSAGE_COUNT; i++) {
        double product = 0;
        for (size_t k = 0; k < dimension; k++) product += (double)embedding[k] * (double)passages[i * dimension + k];
        if (product <= most) continue;
        most = product;
        best = i;
    }
    printf("%s\n  %.4f  %s\n", question, most, PASSAGES[best]);
}

int main(int argc, char **argv) {
    ce_error error = {0};
    ce_encoder *encoder = NULL;
    ce_encoder_info info = {.size = sizeof info};
    float *passages = NULL, *questions = NULL;
    int result = 1;

    if (argc < 2) return fprintf(stderr, "usage: encode MODEL-FOLDER\n"), 2;
    if (ce_encoder_load(argv[1], NULL, &encoder, &error) != CE_OK) goto done;
    if (ce_encoder_describe(encoder, &info, &error) != CE_OK) goto done;
    passages = encode(encoder, info.truncate_dim, PASSAGES, PASSAGE_COUNT, &error);
    questions = encode(encoder, info.truncate_dim, QUESTIONS, QUESTION_COUNT, &error);
    if (!passages || !questions) goto done;
    for (size_t i = 0; i < QUESTION_COUNT; i++)
        show_nearest(QUESTIONS[i], questions + i * info.truncate_dim, passages, info.truncate_dim);
    result = 0;
done:
    if (result != 0) fprintf(stderr, "encode: %s: %s\n", ce_status_name(error.status), error.message);
    free(passages);
    free(questions);
    ce_encoder_free(encoder); /* NULL is fine */
    return result;
}

/* consumer.c - what a user's first program does: version, default model, one score. */
#include <crossenc/crossenc.h>

#include <stdio.h>
#include <string.h>

int main(void) {
    if (strcmp(ce_version(), CE_VERSION_STRING) != 0) return 2;
    char path[4096];
    ce_error error = {0};
    ce_load_options options = {.size = sizeof options, .device = "cpu", .threads = 1};
    ce_model *model = NULL;
    ce_pair pair = {ce_text_of("how many people live in Berlin?"),
                    ce_text_of("Berlin has a population of 3.5 million registered inhabitants.")};
    float score = 0;
    if (ce_default_model_path(path, sizeof path, &error) == CE_OK &&
        ce_model_load(path, &options, &model, &error) == CE_OK)
        (void)ce_predict(model, &pair, 1, NULL, &score, &error);
    ce_model_free(model);
    if (error.status != CE_OK) {
        fprintf(stderr, "consumer: %s\n", error.message);
        return 1;
    }
    printf("%s %s %.6f\n", ce_version(), path, (double)score);
    return 0;
}

/* rank.c - ranks a few documents for a query: the smallest whole program.
 *
 *     ./rank [MODEL-FOLDER]
 *
 * Without a folder it takes the model that comes with crossenc. */
#include <crossenc/crossenc.h>

#include <stdio.h>

static const char *const DOCUMENTS[] = {
    "A firm yellow banana ripens within days when it lies beside apples.",
    "Berlin has a population of 3.5 million registered inhabitants.",
    "New York City is famous for its theatres and museums.",
    "Berlin is well known for its museums and its night life.",
};
enum { COUNT = sizeof DOCUMENTS / sizeof DOCUMENTS[0] };

static ce_status rank_documents(ce_model *model, ce_error *error) {
    /* A ce_text is a pointer and a length, so texts may lie anywhere and need not end in NUL. */
    ce_text documents[COUNT];
    for (size_t i = 0; i < COUNT; i++) documents[i] = ce_text_of(DOCUMENTS[i]);

    ce_text query = ce_text_of("How many people live in Berlin?");
    ce_ranked ranked[COUNT]; /* room for the answer is the caller's */
    size_t count = 0;
    ce_status status = ce_rank(model, query, documents, COUNT, 0, NULL, ranked, &count, error);
    if (status != CE_OK) return status;

    for (size_t i = 0; i < count; i++) printf("%.6f  %s\n", (double)ranked[i].score, DOCUMENTS[ranked[i].index]);
    return CE_OK;
}

int main(int argc, char **argv) {
    ce_error error = {0}; /* filled by the call that fails */
    ce_model *model = NULL;
    char folder[4096];
    int result = 1;

    if (argc < 2 && ce_default_model_path(folder, sizeof folder, &error) != CE_OK) goto done;
    if (ce_model_load(argc < 2 ? folder : argv[1], NULL, &model, &error) != CE_OK) goto done;
    if (rank_documents(model, &error) != CE_OK) goto done;
    result = 0;
done:
    if (result != 0) fprintf(stderr, "rank: %s: %s\n", ce_status_name(error.status), error.message);
    ce_model_free(model); /* NULL is fine */
    return result;
}

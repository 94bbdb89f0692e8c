/* fuzz_adapter.c - the weights of an adapter over a checkpoint that has two matrices and their biases: each can be read
 * to its last value then, in whatever shape the adapter gives it, or there is an error. */
#include "folder.h"
#include "fuzz.h"
#include "values.h"

#include "formats/adapter.h"

#include <stdio.h>
#include <string.h>

static void make_model(void) {
    static const char header[] = "{\"bert.a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                 "\"bert.a.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
                                 "\"classifier.weight\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[32,36]}}";
    static bool made;
    char file[512] = {(char)(sizeof header - 1), (char)((sizeof header - 1) >> 8)};
    if (made) return;
    made = true;
    memcpy(file + 8, header, sizeof header - 1);
    fuzz_folder_write("model.safetensors", file, 8 + sizeof header - 1 + 36);
}

static ce_status scale_of(const void *user, const char *module, size_t rank, float *scale, ce_error *error) {
    (void)user, (void)error;
    fuzz_require(module != NULL && rank > 0);
    *scale = 1 / (float)rank;
    return CE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    make_model();
    fuzz_folder_write("adapter_model.safetensors", data, size);
    ce_error error = {CE_OK, ""};
    cei_checkpoint *checkpoint = NULL;
    size_t rows = 0;
    fuzz_require(cei_checkpoint_open(fuzz_folder(), &checkpoint, &error) == CE_OK);
    ce_status status = cei_checkpoint_adapt(checkpoint, fuzz_folder(), scale_of, NULL, &error);
    fuzz_check_error(status, &error);
    if (status == CE_OK) fuzz_read_values(checkpoint);
    for (size_t i = 0; status == CE_OK && cei_checkpoint_added(checkpoint, i); i++)
        fuzz_require(cei_checkpoint_find(checkpoint, cei_checkpoint_added(checkpoint, i)) != NULL);
    cei_checkpoint_close(checkpoint);
    fuzz_check_error(cei_adapter_rows(fuzz_folder(), "classifier.weight", &rows, &error), &error);
    return 0;
}

/* fuzz_safetensors_index.c - the index of a sharded checkpoint: a folder with two good shards, and the input as index.
 *
 * An index that is accepted names only tensors that the shards have. */
#include "folder.h"
#include "fuzz.h"

#include "formats/checkpoint.h"

#include <stdio.h>
#include <string.h>

/* A shard with one float32 of that name. */
static void write_shard(const char *name, const char *tensor) {
    char header[128], file[256] = {0};
    int length =
        snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    file[0] = (char)length;
    memcpy(file + 8, header, (size_t)length);
    fuzz_folder_write(name, file, 8 + (size_t)length + 4);
}

static void make_folder(void) {
    static bool made;
    if (made) return;
    made = true;
    write_shard("a.safetensors", "x");
    write_shard("b.safetensors", "y");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    make_folder();
    fuzz_folder_write("model.safetensors.index.json", data, size);
    ce_error error = {CE_OK, ""};
    cei_checkpoint *checkpoint = NULL;
    ce_status status = cei_checkpoint_open(fuzz_folder(), &checkpoint, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (checkpoint != NULL));
    if (checkpoint) fuzz_require(cei_checkpoint_find(checkpoint, "x") || cei_checkpoint_find(checkpoint, "y"));
    cei_checkpoint_close(checkpoint);
    return 0;
}

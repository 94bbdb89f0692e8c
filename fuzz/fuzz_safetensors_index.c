/* fuzz_safetensors_index.c - the index of a sharded checkpoint: a folder with two good shards, and the input as index.
 *
 * An index that is accepted names only tensors that the shards have. */
#include "fuzz.h"

#include "formats/safetensors.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void write_file(const char *name, const void *data, size_t size) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    fuzz_require(file != NULL);
    fuzz_require(fwrite(data, 1, size, file) == size);
    fuzz_require(fclose(file) == 0);
}

/* A shard with one float32 of that name. */
static void write_shard(const char *name, const char *tensor) {
    char header[128], file[256] = {0};
    int length =
        snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    file[0] = (char)length;
    memcpy(file + 8, header, (size_t)length);
    write_file(name, file, 8 + (size_t)length + 4);
}

static void remove_folder(void) {
    static const char *const names[] = {"a.safetensors", "b.safetensors", "model.safetensors.index.json"};
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void make_folder(void) {
    const char *memory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/crossenc-fuzz-XXXXXX", memory);
    fuzz_require(mkdtemp(folder) != NULL);
    atexit(remove_folder);
    write_shard("a.safetensors", "x");
    write_shard("b.safetensors", "y");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!folder[0]) make_folder();
    write_file("model.safetensors.index.json", data, size);
    ce_error error = {CE_OK, ""};
    cei_checkpoint *checkpoint = NULL;
    ce_status status = cei_checkpoint_open(folder, &checkpoint, &error);
    fuzz_check_error(status, &error);
    fuzz_require((status == CE_OK) == (checkpoint != NULL));
    if (checkpoint) fuzz_require(cei_checkpoint_find(checkpoint, "x") || cei_checkpoint_find(checkpoint, "y"));
    cei_checkpoint_close(checkpoint);
    return 0;
}

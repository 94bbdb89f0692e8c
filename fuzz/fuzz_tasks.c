/* fuzz_tasks.c - a checkpoint that may have adapters of its own for tasks, with the second of them laid over it: each
 * matrix can be read to its last value then, or there is an error. */
#include "folder.h"
#include "fuzz.h"
#include "values.h"

#include "formats/tasks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_folder_write("model.safetensors", data, size);
    for (size_t task = 0; task <= 2; task += 2) {
        ce_error error = {CE_OK, ""};
        cei_checkpoint *checkpoint = NULL;
        if (cei_checkpoint_open(fuzz_folder(), &checkpoint, &error) != CE_OK) return 0;
        ce_status status = cei_checkpoint_take_task(checkpoint, task, 0.5f, &error);
        fuzz_check_error(status, &error);
        if (status == CE_OK) fuzz_read_values(checkpoint);
        cei_checkpoint_close(checkpoint);
    }
    return 0;
}

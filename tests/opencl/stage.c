/* stage.c - see stage.h. */
#include "opencl/stage.h"

#include "device/device.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

shim_state *stage_open(void) {
    shim_state *(*get)(void) = NULL;
    setenv("CROSSENC_OPENCL_LIBRARY", CE_OPENCL_SHIM, 1);
    void *library = dlopen(CE_OPENCL_SHIM, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *found = library ? dlsym(library, "shim_state_of_library") : NULL;
    if (!found) fail_msg("%s: %s", CE_OPENCL_SHIM, dlerror());
    memcpy(&get, &found, sizeof get);
    stage_calm(get());
    return get();
}

void stage_require_device(void) {
    cei_device_id id;
    ce_error error = {0};
    if (cei_device_resolve("opencl:0", 0, &id, &error) == CE_OK) return;
    print_message("SKIP: %s\n", error.message);
    skip();
}

void stage_calm(shim_state *shim) {
    const shim_state before = *shim;
    *shim = (shim_state){.waits = before.waits, .objects = before.objects, .written = before.written};
    memcpy(shim->calls, before.calls, sizeof shim->calls);
}

/* api.c - finds the OpenCL library. Relies on the dynamic linker; must not start or open a device. */
#include "device/opencl/api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

static const char default_library[] = "libOpenCL.so.1";

typedef struct function_place {
    const char *name;
    size_t offset; /* in cei_opencl_api */
} function_place;

#define PLACE_OF(name) {#name, offsetof(cei_opencl_api, name)},
static const function_place functions[] = {CEI_OPENCL_FUNCTIONS(PLACE_OF)};

const char *cei_opencl_setting(const char *name) { return getauxval(AT_SECURE) ? NULL : getenv(name); }

/* Pointers to functions are copied as bytes: ISO C has no conversion from void *. */
static const char *find_functions(cei_opencl_api *api, void *library) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(library, functions[i].name);
        if (!function) return functions[i].name;
        memcpy((char *)api + functions[i].offset, &function, sizeof function);
    }
    return NULL;
}

bool cei_opencl_load(cei_opencl_api *api, char *reason, size_t size) {
    *api = (cei_opencl_api){0};
    const char *chosen = cei_opencl_setting("CROSSENC_OPENCL_LIBRARY");
    const char *path = chosen ? chosen : default_library;
    if (!*path) {
        snprintf(reason, size, "OpenCL is switched off: CROSSENC_OPENCL_LIBRARY is set, and empty; unset it");
        return false;
    }
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *why = dlerror();
        snprintf(reason, size, "%.120s; install the OpenCL loader (Debian: ocl-icd-libopencl1) and the device's driver",
                 why ? why : path);
        return false;
    }
    const char *missing = find_functions(api, library);
    dlclose(library); /* NODELETE: what was found stays */
    if (missing) snprintf(reason, size, "%.120s has no %s: OpenCL 1.2 or later is needed", path, missing);
    return !missing;
}

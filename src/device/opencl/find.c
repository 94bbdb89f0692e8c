/* find.c - which OpenCL devices there are, and what each says of itself. Must not open one: no context, no memory. */
#include "device/opencl/opencl.h"

#include <stdio.h>
#include <string.h>

enum { MOST_PLATFORMS = 32 };

/* Extensions, whose numbers are not in all headers. */
enum { FREE_MEMORY_AMD = 0x4039, NO_PLATFORM = -1001 };

/* ---- asking ---------------------------------------------------------------------------------------------------- */

uint64_t cei_opencl_number(const cei_opencl_api *api, cl_device_id device, cl_device_info what) {
    uint64_t number = 0; /* of 4 or 8 bytes: the machine is little-endian, or the device is refused */
    return api->clGetDeviceInfo(device, what, sizeof number, &number, NULL) == CL_SUCCESS ? number : 0;
}

void cei_opencl_text(const cei_opencl_api *api, cl_device_id device, cl_device_info what, char *text, size_t size) {
    char whole[8192] = ""; /* a text that does not fit is not given at all */
    if (api->clGetDeviceInfo(device, what, sizeof whole - 1, whole, NULL) != CL_SUCCESS) whole[0] = '\0';
    snprintf(text, size, "%s", whole + strspn(whole, " "));
}

static bool has_extension(const cei_opencl_api *api, cl_device_id device, const char *name) {
    char all[8192];
    cei_opencl_text(api, device, CL_DEVICE_EXTENSIONS, all, sizeof all);
    const size_t length = strlen(name);
    for (const char *at = all; (at = strstr(at, name)); at += length)
        if ((at == all || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return false;
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

static int rank_of(cl_device_type type) {
    if (type & CL_DEVICE_TYPE_GPU) return 0;
    if (type & CL_DEVICE_TYPE_ACCELERATOR) return 1;
    return type & CL_DEVICE_TYPE_CPU ? 3 : 2;
}

/* Adds a platform's devices behind all that are no worse. */
static void add_devices(const cei_opencl_api *api, cl_platform_id platform, cei_opencl_list *list) {
    cl_device_id found[CEI_OPENCL_MOST];
    cl_uint count = 0;
    if (api->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, CEI_OPENCL_MOST, found, &count) != CL_SUCCESS) return;
    for (cl_uint i = 0; i < count && i < CEI_OPENCL_MOST && list->count < CEI_OPENCL_MOST; i++) {
        const cei_opencl_choice one = {platform, found[i], cei_opencl_number(api, found[i], CL_DEVICE_TYPE)};
        size_t at = list->count++;
        for (; at > 0 && rank_of(list->all[at - 1].type) > rank_of(one.type); at--) list->all[at] = list->all[at - 1];
        list->all[at] = one;
    }
}

void cei_opencl_find(const cei_opencl_api *api, cei_opencl_list *list, char *reason, size_t size) {
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_uint count = 0;
    const cl_int code = api->clGetPlatformIDs(MOST_PLATFORMS, platforms, &count);
    list->count = 0;
    if (code != CL_SUCCESS && code != NO_PLATFORM) {
        snprintf(reason, size, "the OpenCL library finds no driver (error %d); install the device's driver anew",
                 (int)code);
        return;
    }
    if (code == NO_PLATFORM || count == 0) {
        snprintf(reason, size,
                 "the OpenCL library has no driver (/etc/OpenCL/vendors names none that works); install the device's: "
                 "that of its vendor, or Debian's pocl-opencl-icd for the processor");
        return;
    }
    for (cl_uint i = 0; i < count && i < MOST_PLATFORMS; i++) add_devices(api, platforms[i], list);
    if (list->count > 0) return;
    char name[80] = "";
    if (api->clGetPlatformInfo(platforms[0], CL_PLATFORM_NAME, sizeof name - 1, name, NULL) != CL_SUCCESS)
        name[0] = '\0';
    snprintf(reason, size,
             "the OpenCL driver %s finds no device; see that it is there, that its kernel module is loaded, and that "
             "this user may open it (/dev/dri: groups video and render)",
             name);
}

/* ---- describing ------------------------------------------------------------------------------------------------ */

/* "OpenCL 1.2 ...": is it at least 1.2? */
static bool is_new_enough(const char *version) {
    int major = 0, minor = 0;
    return sscanf(version, "OpenCL %d.%d", &major, &minor) == 2 && (major > 1 || (major == 1 && minor >= 2));
}

/* Why the device can't be used, or NULL. */
static const char *find_fault(const cei_opencl_api *api, cl_device_id device, const char *version) {
    char profile[64];
    cei_opencl_text(api, device, CL_DEVICE_PROFILE, profile, sizeof profile);
    if (!cei_opencl_number(api, device, CL_DEVICE_AVAILABLE))
        return "its driver says that it is not available; see the system's log, or take another device";
    if (!is_new_enough(version)) return "its driver has OpenCL before 1.2; a newer driver is needed";
    if (!cei_opencl_number(api, device, CL_DEVICE_COMPILER_AVAILABLE))
        return "its driver has no compiler; the vendor's full driver is needed";
    if (strcmp(profile, "FULL_PROFILE") != 0)
        return "its driver has the embedded profile of OpenCL, and not the full one";
    if (!cei_opencl_number(api, device, CL_DEVICE_ENDIAN_LITTLE))
        return "it is big-endian, which crossenc is not made for";
    if (cei_opencl_number(api, device, CL_DEVICE_MAX_WORK_GROUP_SIZE) < CEI_OPENCL_ITEMS)
        return "its work-groups have less than 64 items, which the kernels need";
    return NULL;
}

static const char *type_name(cl_device_type type) {
    static const char *const names[] = {"gpu", "accelerator", "other", "cpu"};
    return names[rank_of(type)];
}

/* "gpu OpenCL-3.0 driver-535.104": one word each. */
static void list_features(const cei_opencl_api *api, const cei_opencl_choice *choice, const char *version,
                          ce_device_info *info) {
    char driver[64];
    int major = 0, minor = 0;
    (void)sscanf(version, "OpenCL %d.%d", &major, &minor);
    cei_opencl_text(api, choice->device, CL_DRIVER_VERSION, driver, sizeof driver);
    for (char *c = driver; *c; c++) *c = *c == ' ' ? '_' : *c;
    snprintf(info->features, sizeof info->features, "%s OpenCL-%d.%d driver-%s%s", type_name(choice->type), major,
             minor, driver,
             cei_opencl_number(api, choice->device, CL_DEVICE_HOST_UNIFIED_MEMORY) ? " shared-memory" : "");
}

/* OpenCL has no question for free memory: what is not held here counts as free, but where AMD's extension knows it. */
static void find_memory(const cei_opencl_api *api, cl_device_id device, uint64_t held, ce_device_info *info) {
    size_t kib[2] = {0}; /* all, the largest piece */
    info->memory_total = cei_opencl_number(api, device, CL_DEVICE_GLOBAL_MEM_SIZE);
    info->memory_free = info->memory_total - (held < info->memory_total ? held : info->memory_total);
    if (has_extension(api, device, "cl_amd_device_attribute_query") &&
        api->clGetDeviceInfo(device, FREE_MEMORY_AMD, sizeof kib, kib, NULL) == CL_SUCCESS &&
        (uint64_t)kib[0] * 1024 < info->memory_free)
        info->memory_free = (uint64_t)kib[0] * 1024;
}

void cei_opencl_describe(const cei_opencl_api *api, const cei_opencl_choice *choice, uint64_t held,
                         ce_device_info *info) {
    char version[128];
    *info = (ce_device_info){.float32 = true, .bfloat16 = true, .int8 = true, .float16 = true};
    cei_opencl_text(api, choice->device, CL_DEVICE_NAME, info->name, sizeof info->name);
    cei_opencl_text(api, choice->device, CL_DEVICE_VERSION, version, sizeof version);
    list_features(api, choice, version, info);
    find_memory(api, choice->device, held, info);
    const char *fault = find_fault(api, choice->device, version);
    if (fault) snprintf(info->reason, sizeof info->reason, "%s", fault);
    info->usable = !fault;
}

/* program.c - programs of kernels: put together from the files of kernels/, built when the device is opened, so that
 * what does not compile shows there and not in a request; and kept as the driver's binary (cache.c).
 *
 * linear.cl and attention.cl are templates, which may come several times with other macros in front. No option lets
 * the compiler change a result. */
#include "device/opencl/opencl.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

enum { MOST_TEXTS = 40, DEFINES = 512, OPTIONS = 1024, KEY = 4096, MOST_LOG = 1 << 20, LOG_LINES = 40 };

/* The program's texts in their order. */
typedef struct program_text {
    const char *texts[MOST_TEXTS];
    size_t sizes[MOST_TEXTS];
    cl_uint count;
    char tiles[CEI_OPENCL_TILES][DEFINES]; /* macros in front of linear.cl */
    char options[OPTIONS];
} program_text;

/* ---- the text ------------------------------------------------------------------------------------------------------
 */

static void add(program_text *program, const char *text, size_t size) {
    program->texts[program->count] = text;
    program->sizes[program->count++] = size;
}

static const char *define_tile(const cei_opencl_tile *tile, char text[DEFINES]) {
    snprintf(text, DEFINES,
             "#undef LINEAR\n#undef GROUP_X\n#undef GROUP_Y\n#undef ROWS\n#undef WIDTH\n#undef DEPTH\n"
             "#undef VECTOR\n#undef VECTOR_LOAD\n#undef VECTOR_STORE\n"
             "#define LINEAR %s\n#define GROUP_X %u\n#define GROUP_Y %u\n#define ROWS %u\n#define WIDTH %u\n"
             "#define DEPTH %u\n#define VECTOR float%u\n#define VECTOR_LOAD vload%u\n#define VECTOR_STORE vstore%u\n",
             tile->name, tile->group_x, tile->group_y, tile->rows, tile->width, tile->depth, tile->width, tile->width,
             tile->width);
    return text;
}

static void add_linear(program_text *program, const cei_opencl_source *source, unsigned tile) {
    const char *defines = define_tile(&cei_opencl_tiles[tile], program->tiles[tile]);
    add(program, defines, strlen(defines));
    add(program, source->text, source->size);
}

/* Macros in front of each attention.cl, which undefines them behind itself. */
static const char *const attentions[] = {"#define ATTENTION attention\n#define QUERIES MOST_QUERIES\n",
                                         "#define ATTENTION attention_one\n#define QUERIES 1\n",
                                         "#define ATTENTION relative\n#define QUERIES MOST_QUERIES\n#define RELATIVE\n",
                                         "#define ATTENTION relative_one\n#define QUERIES 1\n#define RELATIVE\n"};
enum { ATTENTIONS = sizeof attentions / sizeof *attentions };

static void add_attention(program_text *program, const cei_opencl_source *source) {
    for (size_t i = 0; i < ATTENTIONS; i++) {
        add(program, attentions[i], strlen(attentions[i]));
        add(program, source->text, source->size);
    }
}

/* The numbers that kernels share with device.h and opencl.h, as options. */
static void define_numbers(const cei_opencl_device *device, char options[OPTIONS]) {
    static const struct {
        const char *name;
        int value;
    } numbers[] = {{"ITEMS", CEI_OPENCL_ITEMS},
                   {"KEYS", CEI_OPENCL_KEYS},
                   {"MOST_QUERIES", CEI_OPENCL_QUERIES},
                   {"FORMAT_FLOAT32", CEI_FORMAT_FLOAT32},
                   {"FORMAT_BFLOAT16", CEI_FORMAT_BFLOAT16},
                   {"FORMAT_FLOAT16", CEI_FORMAT_FLOAT16},
                   {"FORMAT_INT8", CEI_FORMAT_INT8},
                   {"FN_GELU", CEI_FN_GELU},
                   {"FN_GELU_TANH", CEI_FN_GELU_TANH},
                   {"FN_GELU_QUICK", CEI_FN_GELU_QUICK},
                   {"FN_RELU", CEI_FN_RELU},
                   {"FN_SILU", CEI_FN_SILU},
                   {"FN_TANH", CEI_FN_TANH},
                   {"FN_SIGMOID", CEI_FN_SIGMOID},
                   {"POOL_FIRST", CEI_POOL_FIRST},
                   {"POOL_MAX", CEI_POOL_MAX},
                   {"POOL_MEAN_SQRT", CEI_POOL_MEAN_SQRT},
                   {"POOL_WEIGHTED", CEI_POOL_WEIGHTED},
                   {"POOL_LAST", CEI_POOL_LAST}};
    const uint64_t can = cei_opencl_number(&device->api, device->choice.device, CL_DEVICE_SINGLE_FP_CONFIG);
    int length = snprintf(options, OPTIONS, "-cl-std=CL1.2%s%s", can & CL_FP_FMA ? " -D HAS_FMA" : "",
                          can & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT ? " -cl-fp32-correctly-rounded-divide-sqrt" : "");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        length += snprintf(options + length, OPTIONS - (size_t)length, " -D %s=%d", numbers[i].name, numbers[i].value);
}

static bool is_named(const cei_opencl_source *source, const char *name) { return strcmp(source->name, name) == 0; }

/* Which files a program is made of; common.cl is in all. */
static bool belongs(const cei_opencl_source *source, cei_opencl_part part) {
    switch (part) {
    case CEI_OPENCL_PROBE: return is_named(source, "function") || is_named(source, "linear");
    case CEI_OPENCL_MEASURE: return is_named(source, "measure");
    default: return !is_named(source, "measure");
    }
}

static void put_together(const cei_opencl_device *device, cei_opencl_part part, program_text *program) {
    program->count = 0;
    define_numbers(device, program->options);
    for (const cei_opencl_source *source = cei_opencl_sources; source->name; source++) {
        if (!is_named(source, "common") && !belongs(source, part)) continue;
        if (is_named(source, "attention"))
            add_attention(program, source);
        else if (!is_named(source, "linear"))
            add(program, source->text, source->size);
        else
            for (unsigned tile = 0; tile < CEI_OPENCL_TILES; tile++)
                if (part == CEI_OPENCL_PROBE ? cei_opencl_tile_suits(device, tile) : tile == device->tile)
                    add_linear(program, source, tile);
    }
}

/* The texts of all programs. */
static uint64_t hash_sources(void) {
    uint64_t hash = CEI_OPENCL_HASH;
    for (const cei_opencl_source *source = cei_opencl_sources; source->name; source++)
        hash = cei_opencl_hash(hash, source->text, source->size);
    for (size_t i = 0; i < CEI_OPENCL_TILES; i++) {
        char defines[DEFINES];
        define_tile(&cei_opencl_tiles[i], defines);
        hash = cei_opencl_hash(hash, defines, strlen(defines));
    }
    for (size_t i = 0; i < ATTENTIONS; i++) hash = cei_opencl_hash(hash, attentions[i], strlen(attentions[i]));
    return hash;
}

/* All that a binary, and the choice of a tile, depend on. */
static ce_status make_key(const cei_opencl_device *device, cei_opencl_cached *cached, ce_error *error) {
    const cei_opencl_api *api = &device->api;
    cl_device_id id = device->choice.device;
    char name[128], vendor[128], version[128], driver[128], platform[256] = "", options[OPTIONS], key[KEY];
    define_numbers(device, options);
    cei_opencl_text(api, id, CL_DEVICE_NAME, name, sizeof name);
    cei_opencl_text(api, id, CL_DEVICE_VENDOR, vendor, sizeof vendor);
    cei_opencl_text(api, id, CL_DEVICE_VERSION, version, sizeof version);
    cei_opencl_text(api, id, CL_DRIVER_VERSION, driver, sizeof driver);
    if (api->clGetPlatformInfo(device->choice.platform, CL_PLATFORM_VERSION, sizeof platform - 1, platform, NULL) !=
        CL_SUCCESS)
        platform[0] = '\0';
    const int size = snprintf(key, sizeof key, "crossenc " CE_VERSION_STRING "\n%s\n%s\n%s\n%s\n%s\n%s\n%016llx\n",
                              platform, vendor, name, version, driver, options, (unsigned long long)hash_sources());
    cached->key = cei_copy_string(key, (size_t)size);
    cached->key_size = (size_t)size;
    return cached->key ? CE_OK : cei_fail_memory(error, "the kernels", (size_t)size);
}

/* ---- building ------------------------------------------------------------------------------------------------------
 */

/* Each line of what the compiler said, to the log; its beginning is in the error. */
static void log_lines(const cei_log *log, char *text) {
    size_t lines = 0;
    for (char *line = text, *next; line && *line && lines < LOG_LINES; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        if (*line) cei_log_line(log, CE_LOG_WARNING, "opencl: %s", line);
        lines += *line != '\0';
    }
}

static ce_status fail_build(const cei_opencl_device *device, cl_program program, cl_int code, ce_error *error) {
    const cei_opencl_api *api = &device->api;
    cl_device_id id = device->choice.device;
    size_t size = 0;
    char *text = NULL;
    if (code != CL_BUILD_PROGRAM_FAILURE) return cei_opencl_fail(device, code, "building the kernels", error);
    if (api->clGetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) == CL_SUCCESS && size <= MOST_LOG)
        text = cei_alloc_zeroed(size + 1, 1);
    if (text && api->clGetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, size, text, NULL) != CL_SUCCESS)
        text[0] = '\0';
    const ce_status status =
        cei_fail(error, CE_ERR_DEVICE_FAULT,
                 "opencl:%d: its driver cannot compile the kernels; update it, or take another device; it says: %.240s",
                 device->base.id.index, text && *text ? text : "nothing");
    if (text) log_lines(&device->log, text);
    cei_free(text);
    return status;
}

ce_status cei_opencl_build(const cei_opencl_device *device, cei_opencl_part part, cl_program *out, ce_error *error) {
    const cei_opencl_api *api = &device->api;
    program_text text;
    cl_int code;
    *out = NULL;
    put_together(device, part, &text);
    cl_program program = api->clCreateProgramWithSource(device->context, text.count, text.texts, text.sizes, &code);
    if (code != CL_SUCCESS) return cei_opencl_fail(device, code, "building the kernels", error);
    code = api->clBuildProgram(program, 1, &device->choice.device, text.options, NULL, NULL);
    if (code != CL_SUCCESS) {
        const ce_status status = fail_build(device, program, code, error);
        (void)api->clReleaseProgram(program);
        return status;
    }
    *out = program;
    return CE_OK;
}

/* From the cache; false, with no program, if the driver will not have it. */
static bool build_binary(cei_opencl_device *device, const cei_opencl_cached *cached) {
    const cei_opencl_api *api = &device->api;
    char options[OPTIONS];
    const unsigned char *binary = cached->binary;
    cl_int code, status = CL_SUCCESS;
    if (cached->tile >= CEI_OPENCL_TILES) return false;
    define_numbers(device, options);
    device->program = api->clCreateProgramWithBinary(device->context, 1, &device->choice.device, &cached->binary_size,
                                                     &binary, &status, &code);
    if (code == CL_SUCCESS && status == CL_SUCCESS)
        code = api->clBuildProgram(device->program, 1, &device->choice.device, options, NULL, NULL);
    if (code == CL_SUCCESS && status == CL_SUCCESS) {
        device->tile = (unsigned)cached->tile;
        return true;
    }
    cei_log_line(&device->log, CE_LOG_INFO, "kernels are built anew: the driver does not take the binary of the cache");
    if (device->program) (void)api->clReleaseProgram(device->program);
    device->program = NULL;
    return false;
}

/* Keeps the binary for the next time, if the driver gives one. */
static void keep(cei_opencl_device *device, cei_opencl_cached *cached) {
    const cei_opencl_api *api = &device->api;
    size_t size = 0;
    if (api->clGetProgramInfo(device->program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS ||
        size == 0)
        return;
    cei_free(cached->binary);
    cached->binary = cei_alloc(size, 1);
    cached->binary_size = size;
    cached->tile = device->tile;
    if (cached->binary && api->clGetProgramInfo(device->program, CL_PROGRAM_BINARIES, sizeof cached->binary,
                                                &cached->binary, NULL) == CL_SUCCESS)
        cei_opencl_cache_write(&device->log, cached);
}

ce_status cei_opencl_program_make(cei_opencl_device *device, ce_error *error) {
    cei_opencl_cached cached = {0};
    ce_status status = make_key(device, &cached, error);
    if (status != CE_OK) return status;
    if (!cei_opencl_cache_read(&device->log, &cached) || !build_binary(device, &cached)) {
        status = cei_opencl_tile_choose(device, error);
        if (status == CE_OK) status = cei_opencl_build(device, CEI_OPENCL_OPERATIONS, &device->program, error);
        if (status == CE_OK) keep(device, &cached);
    }
    cei_opencl_cached_free(&cached);
    return status;
}

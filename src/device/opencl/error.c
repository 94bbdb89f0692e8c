/* error.c - what went wrong, from the codes of OpenCL. */
#include "device/opencl/opencl.h"

#include "base/error.h"

/* Names of the codes that a working program meets; others are given as numbers. */
static const char *name_of(cl_int code) {
    switch (code) {
    case CL_DEVICE_NOT_AVAILABLE: return "CL_DEVICE_NOT_AVAILABLE";
    case CL_MEM_OBJECT_ALLOCATION_FAILURE: return "CL_MEM_OBJECT_ALLOCATION_FAILURE";
    case CL_OUT_OF_RESOURCES: return "CL_OUT_OF_RESOURCES";
    case CL_OUT_OF_HOST_MEMORY: return "CL_OUT_OF_HOST_MEMORY";
    case CL_BUILD_PROGRAM_FAILURE: return "CL_BUILD_PROGRAM_FAILURE";
    case CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST: return "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST";
    case CL_INVALID_COMMAND_QUEUE: return "CL_INVALID_COMMAND_QUEUE";
    case CL_INVALID_CONTEXT: return "CL_INVALID_CONTEXT";
    case CL_INVALID_WORK_GROUP_SIZE: return "CL_INVALID_WORK_GROUP_SIZE";
    default: return "an error of OpenCL";
    }
}

/* Objects that were made and not freed are invalid only where the driver has given them up. */
static bool means_lost(const cei_opencl_device *device, cl_int code) {
    return code == CL_DEVICE_NOT_AVAILABLE || code == CL_INVALID_CONTEXT || code == CL_INVALID_COMMAND_QUEUE ||
           code == CL_INVALID_DEVICE || !cei_opencl_number(&device->api, device->choice.device, CL_DEVICE_AVAILABLE);
}

ce_status cei_opencl_fail(const cei_opencl_device *device, cl_int code, const char *what, ce_error *error) {
    const int index = device->base.id.index;
    if (code == CL_OUT_OF_HOST_MEMORY)
        return cei_fail(error, CE_ERR_MEMORY, "opencl:%d: %s: the driver has no host memory (%s)", index, what,
                        name_of(code));
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE)
        return cei_fail(error, CE_ERR_DEVICE_MEMORY,
                        "opencl:%d has too little memory for %s (%s): total %llu, of which this model holds %llu; free "
                        "some, or take another device",
                        index, what, name_of(code), (unsigned long long)device->total,
                        (unsigned long long)atomic_load(&device->held));
    if (means_lost(device, code))
        return cei_fail(error, CE_ERR_DEVICE_LOST,
                        "opencl:%d is lost: %s failed (%s, %d); place the model again, or on another device", index,
                        what, name_of(code), (int)code);
    return cei_fail(error, CE_ERR_DEVICE_FAULT,
                    "opencl:%d: %s failed (%s, %d); try again, and if it fails again, take another device", index, what,
                    name_of(code), (int)code);
}

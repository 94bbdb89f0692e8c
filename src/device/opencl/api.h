/* api.h - the functions of OpenCL 1.2 that the driver calls, found at run time: crossenc is linked with no OpenCL
 * library, and works where there is none.
 *
 * Nothing is kept between calls: each load finds the library anew, which is cheap once it is in the process, where it
 * then stays (drivers do not survive being unloaded). */
#ifndef CEI_OPENCL_API_H
#define CEI_OPENCL_API_H

#include <stdbool.h>
#include <stddef.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_icd.h>

#define CEI_OPENCL_FUNCTIONS(f)                                                                                      \
    f(clGetPlatformIDs) f(clGetPlatformInfo) f(clGetDeviceIDs) f(clGetDeviceInfo) f(clCreateContext)                 \
        f(clReleaseContext) f(clCreateCommandQueue) f(clReleaseCommandQueue) f(clCreateBuffer) f(clReleaseMemObject) \
            f(clCreateProgramWithSource) f(clCreateProgramWithBinary) f(clBuildProgram) f(clGetProgramBuildInfo)     \
                f(clGetProgramInfo) f(clReleaseProgram) f(clCreateKernel) f(clReleaseKernel) f(clSetKernelArg)       \
                    f(clGetKernelWorkGroupInfo) f(clEnqueueNDRangeKernel) f(clEnqueueWriteBuffer)                    \
                        f(clEnqueueReadBuffer) f(clEnqueueFillBuffer) f(clFinish)

#define CEI_OPENCL_FIELD(name) cl_api_##name name;
typedef struct cei_opencl_api {
    CEI_OPENCL_FUNCTIONS(CEI_OPENCL_FIELD)
} cei_opencl_api;

/* Finds the library and its functions: libOpenCL.so.1, or the one that CROSSENC_OPENCL_LIBRARY names; an empty value is
 * none. false: it can't be used, and reason [size] says why and what to do. */
bool cei_opencl_load(cei_opencl_api *api, char *reason, size_t size);

/* An environment variable, but NULL in a program that runs with the rights of another user than the caller's. */
const char *cei_opencl_setting(const char *name);

/* vendors.c: could any driver have a device that auto takes? Asked of the files that name drivers, so that none is
 * started for nothing. The second looks at the files of one folder alone. */
bool cei_opencl_may_suit_auto(void);
bool cei_opencl_folder_suits_auto(const char *folder);

#endif

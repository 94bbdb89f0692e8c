/* module.cu - all kernels in one translation unit, which becomes one image. Must hold nothing of its own. */
#include "device/cuda/kernels/attention.cu"
#include "device/cuda/kernels/checksum.cu"
#include "device/cuda/kernels/embed.cu"
#include "device/cuda/kernels/gather.cu"
#include "device/cuda/kernels/linear.cu"
#include "device/cuda/kernels/norm.cu"
#include "device/cuda/kernels/normalize.cu"
#include "device/cuda/kernels/pool.cu"

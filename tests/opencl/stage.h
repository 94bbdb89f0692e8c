/* stage.h - what the tests of opencl:0 through the shim share: its state, and a skip where there is no device. */
#ifndef CE_TEST_OPENCL_STAGE_H
#define CE_TEST_OPENCL_STAGE_H

#include "opencl/shim.h"
#include "support/support.h"

/* Leads the driver to the shim, whose state is zeroed; its counts go on. NULL, with a message, if it can't be loaded.
 */
shim_state *stage_open(void);

/* Ends the test as skipped, with the reason, where this machine has no OpenCL device. */
void stage_require_device(void);

/* Plans nothing any more; counts stay. */
void stage_calm(shim_state *shim);

#endif

/* cuda_scene.c - the scene of the tests of placement in front of cuda:N, on the stand-in's machine. The devices behind
 * are not listed, so that the tests meet sim:N alone. */
#include "device/cuda/fake_cuda.h"
#include "device/sim/sim.h"

extern const struct cei_driver cei_cuda_driver;
void scene_choose_backing(void);

void scene_choose_backing(void) {
    fake_reset();
    fake_hide();
    cei_sim_set_backing(&cei_cuda_driver);
}

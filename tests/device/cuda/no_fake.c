/* no_fake.c - what cuda_cases.h uses of the stand-in, where the driver is the real one: nothing is planned or counted.
 */
#include "device/cuda/fake_cuda.h"

bool fake_is_here(void) { return false; }
void fake_reset(void) {}
void fake_hide(void) {}
void fake_set_capability(int major, int minor) { (void)major, (void)minor; }
void fake_set_processors(int count) { (void)count; }
void fake_fail(fake_call call, uint64_t nth, cei_cuda_result result) { (void)call, (void)nth, (void)result; }
uint64_t fake_ran(const char *kernel) {
    (void)kernel;
    return 0;
}
fake_held fake_holds(void) { return (fake_held){0}; }
uint64_t fake_misuses(const char **what) {
    (void)what;
    return 0;
}
int fake_depth(void) { return 0; }

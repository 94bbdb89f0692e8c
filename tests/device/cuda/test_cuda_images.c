/* The kernels as they are embedded: which image a chip gets, what comes out of the packing, and what does not. */
#include "device/cuda/cuda_cases.h"
#include "device/cuda/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cei_cuda_image *image_for(int capability, bool is_cubin) {
    static const cei_cuda_image images[] = {{90, false, true, 90, 1, 1, NULL}, {80, false, false, 80, 1, 1, NULL},
                                            {70, false, false, 0, 1, 1, NULL}, {90, true, true, 90, 1, 1, NULL},
                                            {89, true, false, 80, 1, 1, NULL}, {80, true, false, 80, 1, 1, NULL},
                                            {75, true, false, 0, 1, 1, NULL},  {0, false, false, 0, 0, 0, NULL}};
    return cei_cuda_image_for(images, capability, is_cubin);
}

static void test_choice(void **state) {
    (void)state;
    /* PTX runs on all that is later, a cubin within its major capability. */
    assert_null(image_for(61, false));
    assert_int_equal(image_for(72, false)->capability, 70);
    assert_int_equal(image_for(80, false)->capability, 80);
    assert_int_equal(image_for(89, false)->capability, 80);
    assert_int_equal(image_for(90, false)->capability, 90);
    assert_int_equal(image_for(100, false)->capability, 80); /* 9.0a is for 9.0 alone */
    assert_int_equal(image_for(121, false)->capability, 80);
    assert_null(image_for(70, true));
    assert_int_equal(image_for(75, true)->capability, 75);
    assert_int_equal(image_for(86, true)->capability, 80);
    assert_int_equal(image_for(89, true)->capability, 89);
    assert_int_equal(image_for(90, true)->capability, 90);
    assert_null(image_for(100, true));
}

static unsigned char *unpacked(const cei_cuda_image *image) {
    unsigned char *bytes = malloc(image->size);
    assert_non_null(bytes);
    assert_true(cei_cuda_unpack(image, bytes));
    return bytes;
}

static void test_embedded_images(void **state) {
    (void)state;
    bool has_ptx = false;
    for (const cei_cuda_image *image = cei_cuda_images; image->size > 0; image++) {
        unsigned char *bytes = unpacked(image);
        assert_true(image->packed < image->size / 2);
        assert_int_equal(image->level, image->capability < 80 ? 0 : image->is_exact ? 90 : 80);
        if (image->is_cubin) {
            assert_memory_equal(bytes, "\177ELF", 4);
        } else {
            char target[32];
            has_ptx = true;
            snprintf(target, sizeof target, ".target sm_%d%s\n", image->capability, image->is_exact ? "a" : "");
            assert_int_equal(strlen((const char *)bytes), image->size - 1);
            assert_non_null(strstr((const char *)bytes, target));
        }
        free(bytes);
    }
    assert_true(has_ptx);
}

/* What no packer made is refused, and nothing is read or written outside. */
static void test_damaged_images(void **state) {
    (void)state;
    enum { SIZE = 64 };
    static const unsigned char wrong[][8] = {
        {2, 'a', 'b', 9, 3},             /* from before the beginning */
        {2, 'a', 'b', 9, 0},             /* from nowhere */
        {2, 'a', 'b', 127, 1},           /* too much of it */
        {7, 'a', 'b'},                   /* bytes that end too early */
        {255, 255, 255, 255, 255, 1},    /* a number too long */
        {2, 'a', 'b', 62, 2, 0, 0},      /* all there, and more */
        {2, 'a', 'b', 61, 2, 1, 'c', 0}, /* the same */
    };
    static const size_t sizes[] = {5, 5, 5, 3, 6, 7, 8};
    unsigned char bytes[SIZE];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_false(cei_cuda_unpack(&(cei_cuda_image){80, false, false, 80, sizes[i], SIZE, wrong[i]}, bytes));
    assert_true(cei_cuda_unpack(&(cei_cuda_image){80, false, false, 80, 7, SIZE, wrong[6]}, bytes));
    assert_true(bytes[0] == 'a' && bytes[61] == 'b' && bytes[62] == 'a' && bytes[63] == 'c');
    cei_cuda_image whole = cei_cuda_images[0];
    unsigned char *room = malloc(whole.size);
    assert_non_null(room);
    for (whole.packed = 0; whole.packed < cei_cuda_images[0].packed; whole.packed += whole.packed / 7 + 1)
        assert_false(cei_cuda_unpack(&whole, room));
    free(room);
}

static void test_a_cubin_that_the_driver_refuses(void **state) {
    (void)state;
    const cei_device_options options = {0};
    cei_device *device = NULL;
    ce_error error = {0};
    if (!cuda_has_cubin()) {
        print_message("SKIP: this build embeds no cubins (CE_CUDA_CUBINS)\n");
        skip();
    }
    for (int taken = 0; taken < 2; taken++) {
        fake_reset();
        fake_set_cubins(taken);
        expect_ok(cei_device_open((cei_device_id){"cuda", 0}, &options, &device, &error), &error);
        assert_int_equal(fake_count(FAKE_module_load), taken ? 1 : 2);
        cei_device_close(device);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cuda_test(test_choice),
        cuda_test(test_embedded_images),
        cuda_test(test_damaged_images),
        cuda_test(test_a_cubin_that_the_driver_refuses),
    };
    return cmocka_run_group_tests_name("images of cuda", tests, NULL, NULL);
}

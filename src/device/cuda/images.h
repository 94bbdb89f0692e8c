/* images.h - the kernels as the build embeds them: PTX of some capabilities, which the driver compiles for any later
 * chip, and where the build was asked for them cubins, which it takes as they are. All are packed: see
 * tools/pack_images.c. */
#ifndef CEI_CUDA_IMAGES_H
#define CEI_CUDA_IMAGES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cei_cuda_image {
    int capability;      /* the least that it runs on: 70 is 7.0 */
    bool is_cubin;       /* for chips of this major capability alone */
    bool is_exact;       /* for chips of this capability alone: it has instructions that no later one keeps (9.0a) */
    int level;           /* the kernels that it has: those of cei_cuda_kernels that need no more than this capability */
    size_t packed, size; /* bytes, as they lie here and unpacked; 0 ends a list */
    const unsigned char *bytes;
} cei_cuda_image;

/* From the greatest capability down, cubins and PTX by themselves, ended by one of size 0. */
extern const cei_cuda_image cei_cuda_images[];

/* The best PTX, or cubin, of a list for a chip, the first that suits it; NULL if there is none. */
const cei_cuda_image *cei_cuda_image_for(const cei_cuda_image *images, int capability, bool is_cubin);

/* Unpacks into memory of image->size bytes. False for bytes that no packer made. */
bool cei_cuda_unpack(const cei_cuda_image *image, unsigned char *to);

#endif

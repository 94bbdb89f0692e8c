/* zip.h - the files of a ZIP archive that are stored as they are, found and checked, without a copy.
 *
 * For archives that PyTorch writes: compressed and encrypted entries, and archives in parts, are refused. Sizes and
 * offsets of 64 bits (ZIP64) are read. */
#ifndef CEI_ZIP_H
#define CEI_ZIP_H

#include <crossenc/status.h>

/* A file of the archive: its name, which has no NUL behind, and its bytes, both in the archive. */
typedef struct cei_zip_entry {
    const char *name;
    size_t name_size;
    const uint8_t *data;
    size_t size;
} cei_zip_entry;

/* Zeroed is empty. */
typedef struct cei_zip {
    cei_zip_entry *entries; /* sorted by name, of which none comes twice */
    size_t count;
} cei_zip;

/* Reads the list of an archive of size bytes, which has to outlive it. Takes less memory than the archive has bytes.
 * path is for messages. Errors: FORMAT, UNSUPPORTED (naming what), MEMORY. */
ce_status cei_zip_open(const uint8_t *data, size_t size, const char *path, cei_zip *zip, ce_error *error);
void cei_zip_close(cei_zip *zip);

/* The file prefix + name; NULL if there is none. */
const cei_zip_entry *cei_zip_find(const cei_zip *zip, const char *prefix, size_t prefix_size, const char *name,
                                  size_t name_size);

#endif

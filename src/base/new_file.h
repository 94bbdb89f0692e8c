/* new_file.h - files that are written: under a name that was free or from where they stopped, at any offset, and
 * whole on disk when finished. */
#ifndef CEI_NEW_FILE_H
#define CEI_NEW_FILE_H

#include <crossenc/status.h>

/* Zeroed is closed. path is the caller's. */
typedef struct cei_new_file {
    const char *path;
    int descriptor;
    bool is_open;
} cei_new_file;

/* Makes a file where there is none, with the permissions that a new file gets. Errors: IO, NOT_FOUND (its folder). */
ce_status cei_new_file_create(cei_new_file *file, const char *path, ce_error *error);

/* Opens a file that may be there already, or makes it; *bytes is what it has. No link is followed. Errors: IO (it is no
 * regular file, ...), NOT_FOUND (its folder). */
ce_status cei_new_file_resume(cei_new_file *file, const char *path, uint64_t *bytes, ce_error *error);

/* Reads bytes at offset that were written before. Errors: IO (there are fewer). */
ce_status cei_new_file_read(const cei_new_file *file, uint64_t offset, void *data, size_t bytes, ce_error *error);

/* Makes the file so short. Errors: IO. */
ce_status cei_new_file_cut(const cei_new_file *file, uint64_t bytes, ce_error *error);

/* Makes the file so long, and has the system find the room now where it can. Errors: IO (the disk is full, ...). */
ce_status cei_new_file_reserve(const cei_new_file *file, uint64_t bytes, ce_error *error);

/* Threads may write to different places at the same time. Errors: IO. */
ce_status cei_new_file_write(const cei_new_file *file, uint64_t offset, const void *data, size_t bytes,
                             ce_error *error);

/* Waits until all is on disk, and closes. Errors: IO, which may tell of a write before. */
ce_status cei_new_file_finish(cei_new_file *file, ce_error *error);

/* Closes a file that is not finished; it stays where it is. */
void cei_new_file_close(cei_new_file *file);

/* A whole new file of these bytes, on disk. Errors: those of the above. */
ce_status cei_new_file_save(const char *path, const void *data, size_t bytes, ce_error *error);

#endif

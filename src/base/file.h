/* file.h - files: mapped, read whole, joined paths. */
#ifndef CEI_FILE_H
#define CEI_FILE_H

#include <crossenc/status.h>

/* Which file it is and whether it has changed since: device, inode, size, time of change. */
typedef struct cei_file_identity {
    uint64_t device, inode, size;
    int64_t changed_s, changed_ns;
} cei_file_identity;

bool cei_same_file(const cei_file_identity *a, const cei_file_identity *b);

/* The identity of the file that path names now. Errors: NOT_FOUND, IO. */
ce_status cei_file_identify(const char *path, cei_file_identity *identity, ce_error *error);

/* A file mapped read-only, private. Zeroed is empty. Reading data is safe as long as nobody shortens the file. */
typedef struct cei_map {
    const uint8_t *data; /* NULL if size is 0 */
    size_t size;
    cei_file_identity identity;
} cei_map;

/* Maps a regular file. Errors: NOT_FOUND, IO (a folder, no permission, ...), MEMORY. */
ce_status cei_map_open(cei_map *map, const char *path, ce_error *error);
void cei_map_close(cei_map *map);

/* Tells the system that data[offset, offset + size) was read and won't be soon: its pages leave this process. */
void cei_map_release(const cei_map *map, size_t offset, size_t size);

/* Reads a whole file of at most limit bytes into memory, with a NUL behind that is not counted.
 * The caller frees *data. Errors: NOT_FOUND, IO, MEMORY, FORMAT (larger than limit). */
ce_status cei_read_file(const char *path, size_t limit, char **data, size_t *size, ce_error *error);

/* folder/name, to be freed; NULL if there is no memory. */
char *cei_join_path(const char *folder, const char *name);

/* CE_OK if path is a folder; else NOT_FOUND or IO with a message. */
ce_status cei_check_folder(const char *path, ce_error *error);

/* Is there a file (of any kind) of that name? */
bool cei_file_exists(const char *path);

/* The same of folder/name. Errors: MEMORY. */
ce_status cei_file_find(const char *folder, const char *name, bool *found, ce_error *error);

#endif

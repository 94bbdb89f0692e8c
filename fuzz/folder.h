/* folder.h - a folder of this process for targets whose reader takes one; removed when the process ends. */
#ifndef CE_FUZZ_FOLDER_H
#define CE_FUZZ_FOLDER_H

#include <stddef.h>

/* The folder's path; it is made, empty, at the first call. */
const char *fuzz_folder(void);

void fuzz_folder_add(const char *name); /* a folder inside it */
void fuzz_folder_write(const char *name, const void *data, size_t size);
void fuzz_folder_remove(const char *name); /* a file, if it is there */

#endif

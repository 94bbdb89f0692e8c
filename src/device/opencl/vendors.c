/* vendors.c - whether any of this machine's OpenCL drivers could have a device that auto takes, by the files that name
 * them: a driver that is started to be asked takes up to a third of a second. Starts and loads nothing.
 *
 * The files are those of the loaders' convention (cl_khr_icd): each NAME.icd in a folder holds the name or the path of
 * a driver's library. A false yes costs time alone; no is said only where each driver is known to be for processors. */
#include "device/opencl/api.h"

#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static const char vendors_folder[] = "/etc/OpenCL/vendors";

enum { MOST_BYTES = 4096 /* of a file: a path */ };

/* PoCL drives other devices too where it is told to; Intel's library for processors is not that for its GPUs. */
static bool is_for_processors(const char *library) {
    if (strstr(library, "pocl")) return !cei_opencl_setting("POCL_DEVICES");
    return strstr(library, "intelocl") != NULL;
}

static bool names_other(const char *folder, const char *file) {
    char path[512];
    char *library = NULL;
    size_t size;
    const int length = snprintf(path, sizeof path, "%s/%s", folder, file);
    if (length < 0 || (size_t)length >= sizeof path) return true;
    if (cei_read_file(path, MOST_BYTES, &library, &size, NULL) != CE_OK) return true;
    const bool is_other = !is_for_processors(library);
    cei_free(library);
    return is_other;
}

static bool ends_in_icd(const char *name) {
    const size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".icd") == 0;
}

bool cei_opencl_folder_suits_auto(const char *folder) {
    bool found = false;
    DIR *drivers = opendir(folder);
    if (!drivers) return true; /* the loader may look elsewhere */
    for (const struct dirent *entry; !found && (entry = readdir(drivers));)
        found = ends_in_icd(entry->d_name) && names_other(folder, entry->d_name);
    closedir(drivers);
    return found;
}

bool cei_opencl_may_suit_auto(void) {
    static const char *const elsewhere[] = {"CROSSENC_OPENCL_LIBRARY", "OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH",
                                            "OCL_ICD_FILENAMES"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (cei_opencl_setting(elsewhere[i])) return true;
    return cei_opencl_folder_suits_auto(vendors_folder);
}

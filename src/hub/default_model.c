/* default_model.c - where the model is that comes with crossenc.
 *
 * An installed library or program finds it from its own place, ../share/crossenc/models/NAME, so that a prefix may be
 * moved as a whole; a build folder has the same layout. Which file this code was loaded from is read in
 * /proc/self/maps, the same way for the shared library and for a program that holds the static one.
 * Relies on /proc (without it the folder given at install time remains); must not load or open the model. */
#include <crossenc/model.h>

#include "base/error.h"
#include "base/file.h"
#include "hub/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096, LEVELS = 2 };

/* Is it a model's folder, as far as can be told without reading it? */
static bool is_model(const char *folder) {
    char config[PATH_SIZE + 16];
    int length = snprintf(config, sizeof config, "%s/config.json", folder);
    return length > 0 && (size_t)length < sizeof config && cei_file_exists(config);
}

/* The path in a line of /proc/self/maps if that mapping holds address, without its newline; else NULL.
 * Such a line is "from-to perms offset device inode   path", the numbers in hexadecimal. */
static char *path_of_mapping(char *line, uintptr_t address) {
    uintptr_t from = 0, to = 0;
    int at = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &from, &to, &at) < 2 || at == 0) return NULL;
    if (address < from || address >= to || line[at] != '/') return NULL;
    line[at + (int)strcspn(line + at, "\n")] = '\0';
    return line + at;
}

/* The file that this function was loaded from, into path [PATH_SIZE]. */
static bool find_own_file(char *path) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) return false;
    char line[PATH_SIZE + 128];
    bool found = false;
    while (!found && fgets(line, sizeof line, maps)) {
        const char *file = path_of_mapping(line, (uintptr_t)&find_own_file);
        if (file) found = snprintf(path, PATH_SIZE, "%s", file) < PATH_SIZE;
    }
    fclose(maps);
    return found;
}

/* Looks above the folder of this code: lib/../DATA, and one level more for lib/TRIPLET/../../DATA. */
static bool find_beside_own_file(char *folder) {
    char own[PATH_SIZE];
    if (!find_own_file(own)) return false;
    for (int level = 0; level <= LEVELS; level++) {
        char *slash = strrchr(own, '/');
        if (!slash) return false;
        *slash = '\0';
        if (level == 0) continue;
        int length = snprintf(folder, PATH_SIZE, "%s/" CE_DEFAULT_MODEL_RELATIVE, own);
        if (length > 0 && length < PATH_SIZE && is_model(folder)) return true;
    }
    return false;
}

ce_status ce_default_model_path(char *path, size_t size, ce_error *error) {
    if (!path) return cei_fail(error, CE_ERR_ARGUMENT, "ce_default_model_path: path is NULL");
    const char *named = getenv("CROSSENC_DEFAULT_MODEL");
    if (named && *named) {
        if (is_model(named)) return cei_hub_give_path(named, path, size, error);
        return cei_fail(
            error, CE_ERR_NOT_FOUND,
            "CROSSENC_DEFAULT_MODEL names %s, where there is no config.json: set it to a model's folder, or "
            "unset it for the model that comes with crossenc",
            named);
    }
    char folder[PATH_SIZE];
    if (find_beside_own_file(folder)) return cei_hub_give_path(folder, path, size, error);
    if (is_model(CE_DEFAULT_MODEL_INSTALLED)) return cei_hub_give_path(CE_DEFAULT_MODEL_INSTALLED, path, size, error);
    return cei_fail(error, CE_ERR_NOT_FOUND,
                    "the model that comes with crossenc is not beside the library nor in %s: name a model, or set "
                    "CROSSENC_DEFAULT_MODEL to a model's folder",
                    CE_DEFAULT_MODEL_INSTALLED);
}

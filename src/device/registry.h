/* registry.h - kinds of devices in order of preference, ended by a NULL kind. */
#ifndef CEI_REGISTRY_H
#define CEI_REGISTRY_H

#include "device/table.h"

typedef struct cei_known_kind {
    const char *kind;
    const cei_driver *driver; /* NULL: this build lacks it */
    const char *missing;      /* why, for people */
} cei_known_kind;

extern const cei_known_kind cei_known_kinds[];

#endif

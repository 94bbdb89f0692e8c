/* lock.h - one process at a time: flock on a file that stays, as the Python package filelock does it. */
#ifndef CEI_HUB_LOCK_H
#define CEI_HUB_LOCK_H

#include "hub/client.h"

/* Zeroed is not held. */
typedef struct cei_hub_lock {
    int descriptor; /* one more than the system's; 0 is none */
} cei_hub_lock;

/* Waits for the lock while client's caller has no wish to end, making its folder. Errors: IO, CANCELLED, MEMORY. */
ce_status cei_hub_lock_take(cei_hub_lock *lock, const char *path, const cei_hub_client *client, ce_error *error);
void cei_hub_lock_release(cei_hub_lock *lock);

#endif

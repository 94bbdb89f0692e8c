/* config_rotary.h - the part of config.json that says how rotary positions turn and which layers have a window. */
#ifndef CEI_CONFIG_ROTARY_H
#define CEI_CONFIG_ROTARY_H

#include "base/json.h"
#include "model/config.h"

/* Fills the fields of rotary positions; the number of layers has been read. Errors: FORMAT, UNSUPPORTED (positions that
 * are scaled), MEMORY. */
ce_status cei_config_read_rotary(const json_t *root, const char *path, cei_config *config, ce_error *error);

#endif

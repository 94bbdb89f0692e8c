/* naming.h - other names for the tensors of a checkpoint whose format has names, or an order, of its own. */
#ifndef CEI_NAMING_H
#define CEI_NAMING_H

#include "formats/checkpoint.h"

enum { CEI_MOST_NAMES = 3, CEI_NAME_SIZE = 160 };

/* What becomes of a tensor: it keeps its name (count 0), has another, or is cut by its rows into so many of equal
 * height. */
typedef struct cei_naming {
    char names[CEI_MOST_NAMES][CEI_NAME_SIZE];
    size_t count;
    size_t pairs; /* of the tensor, as in cei_values, as is what follows; 0 where its rows are no whole heads */
    bool is_more;
} cei_naming;

/* Says what becomes of a tensor; to is zeroed. user is the caller's. */
typedef void (*cei_naming_fn)(const void *user, const cei_tensor *tensor, cei_naming *to);

#endif

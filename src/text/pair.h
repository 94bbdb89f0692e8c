/* pair.h - how two texts are joined: special tokens around them, and which type each token is of. */
#ifndef CEI_PAIR_H
#define CEI_PAIR_H

#include "text/components.h"

typedef enum cei_pair_item_kind { CEI_PAIR_SPECIAL, CEI_PAIR_QUERY, CEI_PAIR_DOCUMENT } cei_pair_item_kind;

typedef struct cei_pair_item {
    cei_pair_item_kind kind;
    int32_t id; /* of a special token */
    int32_t type_id;
} cei_pair_item;

/* The items in order; query and document are each there once, or the query alone where one text is encoded. */
#define CEI_PAIR_MAX_ITEMS 32
typedef struct cei_pair_template {
    cei_pair_item items[CEI_PAIR_MAX_ITEMS];
    size_t count;
} cei_pair_template;

/* [CLS] query [SEP] document [SEP], with type 1 from the document on. */
cei_pair_template cei_pair_bert(int32_t cls, int32_t sep);

/* [CLS] query [SEP]: the template of one text, which has no document. */
cei_pair_template cei_single_bert(int32_t cls, int32_t sep);

/* <s> query </s></s> document </s>, all of type 0; and <s> query </s>. */
cei_pair_template cei_pair_roberta(int32_t cls, int32_t sep);
cei_pair_template cei_single_roberta(int32_t cls, int32_t sep);

size_t cei_pair_specials(const cei_pair_template *pair);
size_t cei_pair_types(const cei_pair_template *pair); /* 1 + the largest type id */

void cei_pair_join(const cei_pair_template *pair, const int32_t *query, size_t query_kept, const int32_t *document,
                   size_t document_kept, int32_t *ids, int32_t *type_ids);

#endif

/* golden.h - what the golden tests share: comparing with the reference, and texts by reference. */
#ifndef CE_TEST_GOLDEN_H
#define CE_TEST_GOLDEN_H

#include "support/support.h"

#include <crossenc/crossenc.h>

#include <jansson.h>

/* The bound on float32 results against the reference: |got - want| <= 1e-4 + 1e-4 |want|. */
#define GOLDEN_BOUND 1e-4

/* |got - want| / (1 + |want|); infinite if got is not finite. */
double golden_deviation(float got, double want);

/* The device that models are loaded onto: CE_GOLDEN_DEVICE, or the cpu. */
const char *golden_device(void);

/* Skips the test, with the reason, where this machine has no such device. */
void golden_require_device(void);

/* Runs only cases whose names match CE_GOLDEN_FILTER, if that is set. */
void golden_filter(void);

/* Loads a model onto that device with a thread for each core, failing the test if that fails. max_length 0 is its own.
 */
ce_model *golden_load(const char *folder, size_t max_length);
ce_model *golden_load_in(ce_precision precision, const char *folder, size_t max_length);

/* Reads a JSON file, failing the test if it is not one. The caller json_decref()s. */
json_t *golden_read_json(const char *path);

/* A string of JSON, which may contain NULs. */
ce_text golden_text(const json_t *string);

/* Texts by name, {"Sd:123": "...", ...}, as tools/golden/real_golden.py names them. The caller json_decref()s. */
json_t *golden_texts_create(void);
void golden_texts_add_collection(json_t *texts, const char *prefix, const char *folder); /* prefix "S": Sq:, Sd: */
void golden_texts_add_wikiqa(json_t *texts, const char *path);
void golden_texts_add_sentences(json_t *texts, const char *folder);

/* The text that reference stands for: names parted by "+", each perhaps ending in "/N" for its first N words, "-" for
 * the empty text, or a quote before the text itself. The caller frees. */
char *golden_texts_find(const json_t *texts, const char *reference);

#endif

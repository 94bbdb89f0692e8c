/* normalizer.h - the first component of a tokenizer: text in, text out. */
#ifndef CEI_NORMALIZER_H
#define CEI_NORMALIZER_H

#include "text/bytes.h"
#include "text/marks.h"

#include <stdint.h>

typedef enum cei_normalizer_kind {
    CEI_NORMALIZER_BERT,
    CEI_NORMALIZER_NFD,
    CEI_NORMALIZER_NFC,
    CEI_NORMALIZER_NFKD,
    CEI_NORMALIZER_NFKC,
    CEI_NORMALIZER_LOWERCASE,
    CEI_NORMALIZER_STRIP_ACCENTS,
    CEI_NORMALIZER_REPLACE,
    CEI_NORMALIZER_PREPEND,
    CEI_NORMALIZER_STRIP,
    CEI_NORMALIZER_NMT,
    CEI_NORMALIZER_CHARSMAP
} cei_normalizer_kind;

typedef struct cei_bert_options {
    bool clean_text;           /* drop control characters, make each white space a blank */
    bool handle_chinese_chars; /* put each ideograph between blanks */
    bool strip_accents;        /* decompose (NFD) and drop nonspacing marks */
    bool lowercase;
} cei_bert_options;

typedef struct cei_normalizer_step {
    cei_normalizer_kind kind;
    cei_bert_options bert; /* of CEI_NORMALIZER_BERT, as is what follows */
    char ascii[128];       /* what becomes of an ASCII character, */
    uint8_t kept[128];     /* and whether it stays: 1 or 0 */

    int replace;         /* of CEI_NORMALIZER_REPLACE: a cei_replace_pattern, */
    char *pattern;       /* and its string, the step's own */
    size_t pattern_size; /* not 0 */
    char *content;       /* what is put there; of CEI_NORMALIZER_PREPEND too */
    size_t content_size;
    bool strip_left, strip_right;  /* of CEI_NORMALIZER_STRIP */
    struct cei_charsmap *charsmap; /* of CEI_NORMALIZER_CHARSMAP */
} cei_normalizer_step;

/* The steps run one after the other. No step leaves the text as it is. */
#define CEI_NORMALIZER_MAX_STEPS 8
typedef struct cei_normalizer {
    cei_normalizer_step steps[CEI_NORMALIZER_MAX_STEPS];
    size_t count;
} cei_normalizer;

/* Memory that a thread needs for normalizing. Zeroed is empty. */
typedef struct cei_normalizer_scratch {
    cei_bytes output[2]; /* steps write to them by turns */
    cei_marks marks;
} cei_normalizer_scratch;

void cei_normalizer_free(cei_normalizer *normalizer); /* empty afterwards */
void cei_normalizer_step_free(cei_normalizer_step *step);

cei_normalizer_step cei_normalizer_bert(cei_bert_options options);

/* Normalizes well-formed UTF-8. *out is text itself or belongs to scratch, until the next call.
 * Linear in size. false if there is no memory. */
bool cei_normalize(const cei_normalizer *normalizer, const char *text, size_t size, cei_normalizer_scratch *scratch,
                   const char **out, size_t *out_size);

void cei_normalizer_scratch_free(cei_normalizer_scratch *scratch);

/* One step: appends what text becomes to out. Each is in a file of its own. */
typedef bool (*cei_normalizer_fn)(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                                  cei_bytes *out);
bool cei_normalize_bert(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                        cei_bytes *out);
bool cei_normalize_form(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                        cei_bytes *out);

#endif

/* text_steps.h - the normalizer's steps that put strings in the place of others. */
#ifndef CEI_TEXT_STEPS_H
#define CEI_TEXT_STEPS_H

#include "text/normalizer.h"

#include <crossenc/status.h>

/* The patterns of "Replace" that are known. */
typedef enum cei_replace_pattern {
    CEI_REPLACE_STRING,      /* of step->pattern */
    CEI_REPLACE_BLANKS,      /* " {2,}" */
    CEI_REPLACE_SPACES,      /* "\s{2,}|[\n\r\t]" */
    CEI_REPLACE_ANY_SPACE,   /* "\s+" */
    CEI_REPLACE_EDGE_BLANKS, /* "\A +| +\z" */
    CEI_REPLACE_FIRST_MARK   /* "\A" and SentencePiece's mark */
} cei_replace_pattern;

/* Which of them a regular expression is; false if it is none. */
bool cei_replace_find_pattern(const char *regex, cei_replace_pattern *pattern);

/* Appends a step that puts content in the place of what is found: of pattern, for CEI_REPLACE_STRING. Errors: MEMORY.
 */
ce_status cei_replace_push(cei_normalizer *normalizer, cei_replace_pattern replace, const char *pattern,
                           const char *content, ce_error *error);

bool cei_normalize_replace(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                           cei_bytes *out);
bool cei_normalize_prepend(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                           cei_bytes *out);
bool cei_normalize_strip(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                         cei_bytes *out);
bool cei_normalize_nmt(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                       cei_bytes *out);
bool cei_normalize_charsmap(const cei_normalizer_step *step, const char *text, size_t size, cei_marks *marks,
                            cei_bytes *out);

#endif

/* gguf_config.h - what the translators of a GGUF file's keys share. Only src/model/gguf_config*.c include this. */
#ifndef CEI_GGUF_CONFIG_H
#define CEI_GGUF_CONFIG_H

#include "model/gguf.h"

enum { CEI_KEY_SIZE = 160 };

/* The file being translated. */
typedef struct cei_translation {
    cei_gguf_model *model;
    const char *architecture; /* the prefix of keys */
    cei_json_out *out;
    size_t fields;
    bool bi_encoder;
    ce_error *error;
} cei_translation;

/* ---- the file's side: names are without the prefix ---- */

const char *cei_translation_key(const cei_translation *work, const char *name, char key[CEI_KEY_SIZE]);

/* Absent, *value stays. Errors: FORMAT. */
ce_status cei_translation_get_size(const cei_translation *work, const char *name, size_t *value);
ce_status cei_translation_get_real(const cei_translation *work, const char *name, double *value);

/* Absent or 0 is FORMAT. */
ce_status cei_translation_require_size(const cei_translation *work, const char *name, size_t *value);

bool cei_translation_has_tensor(const cei_translation *work, const char *name);
size_t cei_translation_rows(const cei_translation *work, const char *name); /* of a matrix; 0 if it is not there */

/* ---- the config's side ---- */

void cei_translation_put_key(cei_translation *work, const char *key);
void cei_translation_put_size(cei_translation *work, const char *key, size_t value);
/* A number that is a real to Python too: "30.0". The second without a key. */
void cei_translation_put_real(cei_translation *work, const char *key, double value);
void cei_translation_write_real(cei_translation *work, double value);
void cei_translation_put_bool(cei_translation *work, const char *key, bool value);
void cei_translation_put_text(cei_translation *work, const char *key, cei_gguf_text text);
void cei_translation_put_string(cei_translation *work, const char *key, const char *text);

/* The names that these have in most configs. */
extern const char *const cei_usual_sizes[4];

/* The sizes of hidden states, layers, heads and feed-forward under these names, and vocab_size. Errors: FORMAT, MODEL
 * (there are no word embeddings). */
ce_status cei_translation_put_sizes(cei_translation *work, const char *const keys[4]);

/* A number that is a float32 in the file, as the shortest decimal that is meant by it; usual where there is none. */
ce_status cei_translation_put_float(cei_translation *work, const char *name, const char *key, double usual);

/* ---- gguf_config_decoder.c ---- */

/* What is a decoder's beside architectures, model_type and labels. Errors: FORMAT, MODEL, UNSUPPORTED (by name). */
ce_status cei_gguf_put_decoder(cei_translation *work);

/* Is the file a re-ranker's that answers "yes" or "no", whose rows, in that order, CEI_GGUF_WORDS has? Errors: FORMAT.
 */
ce_status cei_gguf_find_words(const cei_translation *work, bool *found);

#endif

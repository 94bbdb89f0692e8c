/* charsmap.h - the replacements of characters that SentencePiece compiled into a model, which the normalizer
 * "Precompiled" carries: a double-array trie over UTF-8, and the texts that its values point into. */
#ifndef CEI_CHARSMAP_H
#define CEI_CHARSMAP_H

#include "text/bytes.h"

#include <crossenc/status.h>
#include <stdint.h>

typedef struct cei_charsmap cei_charsmap;

/* Reads size bytes as SentencePiece compiles them. path is for messages. Errors: FORMAT, MEMORY. */
ce_status cei_charsmap_read(const void *data, size_t size, const char *path, cei_charsmap **charsmap, ce_error *error);

/* The same from the base64 text of tokenizer.json. */
ce_status cei_charsmap_create(const char *base64, size_t size, const char *path, cei_charsmap **charsmap,
                              ce_error *error);
void cei_charsmap_free(cei_charsmap *charsmap); /* NULL is fine */

/* Appends the bytes that the charsmap was read from, but for three at most behind the trie. false if there is no
 * memory. */
bool cei_charsmap_write(const cei_charsmap *charsmap, cei_bytes *out);

/* Appends the normalized text to out. Linear in size. false if there is no memory. */
bool cei_charsmap_apply(const cei_charsmap *charsmap, const char *text, size_t size, cei_bytes *out);

#endif

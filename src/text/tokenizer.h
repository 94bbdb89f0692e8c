/* tokenizer.h - from a text to token ids, and from two texts to the sequence that the encoder reads.
 *
 * A tokenizer is immutable and shared by threads; what a thread needs to work is a cei_token_buffer of its own. */
#ifndef CEI_TOKENIZER_H
#define CEI_TOKENIZER_H

#include "text/bytes.h"

#include <crossenc/text.h>

typedef struct cei_tokenizer cei_tokenizer;

/* Reads tokenizer.json if it is there, else vocab.txt, vocab.json with merges.txt, or a SentencePiece model; then
 * tokenizer_config.json and special_tokens_map.json by the reference's rules of precedence. Errors: NOT_FOUND, IO,
 * FORMAT, UNSUPPORTED (naming the component), MEMORY. */
ce_status cei_tokenizer_load(const char *folder, cei_tokenizer **tokenizer, ce_error *error);
void cei_tokenizer_free(cei_tokenizer *tokenizer); /* NULL is fine */

/* Puts texts into lower case before all else, unless the tokenizer does so already. Call before the tokenizer is
 * shared. Errors: UNSUPPORTED (its normalizer has no room for another step). */
ce_status cei_tokenizer_lowercase(cei_tokenizer *tokenizer, ce_error *error);

const char *cei_tokenizer_kind(const cei_tokenizer *tokenizer);       /* "WordPiece" */
size_t cei_tokenizer_vocab_size(const cei_tokenizer *tokenizer);      /* 1 + the largest id */
size_t cei_tokenizer_max_length(const cei_tokenizer *tokenizer);      /* model_max_length; SIZE_MAX if none is set */
size_t cei_tokenizer_pair_specials(const cei_tokenizer *tokenizer);   /* special tokens that a pair gets: 3 */
size_t cei_tokenizer_single_specials(const cei_tokenizer *tokenizer); /* and those that one text gets: 2 */
bool cei_tokenizer_single_closes(const cei_tokenizer *tokenizer);     /* is the last of those behind the text? */
size_t cei_tokenizer_pair_types(const cei_tokenizer *tokenizer);      /* 1 + the largest type id of a pair: 2 */
size_t cei_tokenizer_single_types(const cei_tokenizer *tokenizer);    /* and that of one text: 1 */

/* The named special tokens, in the order in which new ones get ids. */
enum { CEI_ROLE_BOS, CEI_ROLE_EOS, CEI_ROLE_UNK, CEI_ROLE_SEP, CEI_ROLE_PAD, CEI_ROLE_CLS, CEI_ROLE_MASK, CEI_ROLES };

/* The key that a role has in files: "bos_token". */
const char *cei_tokenizer_role_key(size_t role);

/* The token of a role; NULL if it has none. */
const char *cei_tokenizer_role(const cei_tokenizer *tokenizer, size_t role);

/* The id of a token of the vocabulary or an added one; -1 if there is none. */
int32_t cei_tokenizer_find(const cei_tokenizer *tokenizer, const char *token);

/* Token ids of one text, without special tokens, and the scratch memory for making them. Zeroed is empty. A buffer
 * serves one tokenizer: its scratch memory knows words of that one. */
typedef struct cei_token_buffer {
    int32_t *ids;
    size_t count;
    size_t capacity;
    void *scratch; /* the tokenizer's own */
    size_t scratch_size;
} cei_token_buffer;
void cei_token_buffer_free(cei_token_buffer *buffer);

/* Of a text that a caller gives. Errors: ARGUMENT, if it has bytes and no data. */
ce_status cei_text_given(ce_text text, ce_error *error);

/* Makes a text well-formed, in the room that the caller frees, if policy allows, or says where it isn't. Errors: TEXT
 * (byte offset), MEMORY. */
ce_status cei_text_check(ce_text *text, ce_utf8_policy policy, cei_bytes *room, ce_error *error);

/* Encodes one text; buffer's ids are replaced. Special and added tokens that stand in the text become their ids. Memory
 * is kept for the next text, so that steady use allocates nothing. Linear in the text's size. Errors: TEXT (byte
 * offset), MEMORY. */
ce_status cei_tokenizer_encode(const cei_tokenizer *tokenizer, ce_text text, ce_utf8_policy utf8,
                               cei_token_buffer *buffer, ce_error *error);

/* How many tokens of each text are kept when both together may have budget of them, by the reference's longest_first.
 * Of a pair that may have max_length tokens in all, budget is max_length - cei_tokenizer_pair_specials. */
void cei_truncate_pair(size_t query_tokens, size_t document_tokens, size_t budget, size_t *query_kept,
                       size_t *document_kept);

/* Writes the pair with its special tokens: query_kept + document_kept + pair_specials ids and as many type ids. */
void cei_tokenizer_join(const cei_tokenizer *tokenizer, const int32_t *query, size_t query_kept,
                        const int32_t *document, size_t document_kept, int32_t *ids, int32_t *type_ids);

/* Writes one text with its special tokens: kept + single_specials ids and as many type ids. */
void cei_tokenizer_wrap(const cei_tokenizer *tokenizer, const int32_t *text, size_t kept, int32_t *ids,
                        int32_t *type_ids);

#endif

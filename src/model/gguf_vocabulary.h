/* gguf_vocabulary.h - the vocabulary of a GGUF file, as its translators share it: what the keys hold, with what they
 * leave out. Only src/model/gguf_*.c include this. */
#ifndef CEI_GGUF_VOCABULARY_H
#define CEI_GGUF_VOCABULARY_H

#include "model/gguf.h"

typedef enum cei_gguf_kind {
    CEI_VOCABULARY_WORDPIECE,
    CEI_VOCABULARY_BYTE_LEVEL,
    CEI_VOCABULARY_UNIGRAM,
    CEI_VOCABULARY_PIECES /* byte pair encoding over the pieces of SentencePiece */
} cei_gguf_kind;

/* Types of tokens, by the format's numbers, which are those of SentencePiece. */
enum { CEI_TOKEN_NORMAL = 1, CEI_TOKEN_CONTROL = 3, CEI_TOKEN_USER_DEFINED = 4, CEI_TOKEN_UNUSED = 5 };

/* Special tokens by what they are for. */
enum {
    CEI_VOCABULARY_BOS,
    CEI_VOCABULARY_EOS,
    CEI_VOCABULARY_UNK,
    CEI_VOCABULARY_SEP,
    CEI_VOCABULARY_PAD,
    CEI_VOCABULARY_MASK,
    CEI_VOCABULARY_CLS,
    CEI_VOCABULARY_ROLES
};

/* How tokenizer.ggml.pre cuts words. */
typedef struct cei_gguf_cutting {
    const char *pre;
    bool nfc, one_separator, ignores_merges;
    const char *regex; /* in JSON; NULL: GPT-2's */
    bool begins;       /* a decoder's texts begin with a token, unless the file says otherwise */
    bool finds_raw;    /* all added tokens are looked for before the text is normalized */
} cei_gguf_cutting;

/* Zeroed is empty; tokens are its own, all else is the file's. */
typedef struct cei_gguf_vocabulary {
    const cei_gguf_tokenizer *to;
    const cei_gguf *file;
    cei_json_out *out; /* what is being written */
    ce_error *error;
    cei_gguf_kind kind;
    const cei_gguf_cutting *cutting; /* of BYTE_LEVEL */
    cei_gguf_text *tokens;           /* [count] */
    size_t count;
    const cei_gguf_value *types, *scores, *merges, *charsmap; /* NULL: there are none */
    size_t roles[CEI_VOCABULARY_ROLES];                       /* ids; SIZE_MAX: there is none */
    bool lowercase, strip_accents, add_bos, add_eos, add_space;
    bool add_sep; /* a second separator between the texts of a pair, as RoBERTa has it */
} cei_gguf_vocabulary;

/* Reads what to->file says, for to. Errors: UNSUPPORTED (a kind, a way to cut, by name), FORMAT, MEMORY. */
ce_status cei_gguf_vocabulary_read(const cei_gguf_tokenizer *to, cei_gguf_vocabulary *work, ce_error *error);
void cei_gguf_vocabulary_free(cei_gguf_vocabulary *work);

/* The key of a role in tokenizer_config.json: "bos_token". */
const char *cei_gguf_role_name(size_t role);

int cei_gguf_token_type(const cei_gguf_vocabulary *work, size_t id);

/* Is it one that has a role, or the type of those? */
bool cei_gguf_token_is_special(const cei_gguf_vocabulary *work, size_t id);

/* gguf_pieces.c: the vocabulary as the file of a SentencePiece model, into out. Errors: FORMAT, MEMORY. */
ce_status cei_gguf_put_pieces(const cei_gguf_vocabulary *work, cei_json_out *out);

#endif

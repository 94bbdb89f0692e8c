/* components.h - the parts that a tokenizer is put together from, behind small tables.
 *
 *     text -> added tokens -> normalizer -> added tokens -> pre-tokenizer -> model -> ids
 *
 * A kind of tokenizer adds a pre-tokenizer or a model here; cei_tokenizer_encode knows only these interfaces. */
#ifndef CEI_COMPONENTS_H
#define CEI_COMPONENTS_H

#include "text/bytes.h"
#include "text/tokenizer.h"

/* Ids are below this: room for any known vocabulary, and memory by id stays small. */
#define CEI_TOKEN_ID_LIMIT (1 << 24)

/* A piece of normalized text that the model turns into tokens by itself. */
typedef struct cei_word {
    const char *data;
    size_t size;
    size_t characters;
} cei_word;

/* Cuts text into words from *position on, which it moves; up to capacity of them. Returns how many; 0 at the end. */
typedef size_t (*cei_pre_tokenizer_fn)(const char *text, size_t size, size_t *position, cei_word *words,
                                       size_t capacity);

/* BERT's: white space parts words and is dropped, each punctuation character is a word. pre_tokenizer.c */
size_t cei_pre_tokenize_bert(const char *text, size_t size, size_t *position, cei_word *words, size_t capacity);

/* Memory that a model needs for encoding, of one thread. Zeroed is empty. */
typedef struct cei_model_scratch {
    void *cache;      /* words of the model of that kind and fingerprint, in a form of its own */
    const char *kind; /* as a pointer: models of one kind share it */
    uint64_t owner;   /* a model's address could come again */
    cei_bytes work;   /* nothing in it outlives a call */
} cei_model_scratch;

/* Sees to it that scratch has a cache of count entries of size bytes, zeroed if it was another model's or none; NULL if
 * there is no memory. encode.c */
void *cei_model_cache(cei_model_scratch *scratch, const char *kind, uint64_t fingerprint, size_t count, size_t size);

/* Room for so many more ids; false if there is no memory. encode.c */
bool cei_token_buffer_reserve(cei_token_buffer *buffer, size_t room);

typedef struct cei_token_model_ops {
    const char *kind;
    /* Appends the words' ids to the buffer; false if there is no memory. */
    bool (*encode)(const void *state, const cei_word *words, size_t count, cei_model_scratch *scratch,
                   cei_token_buffer *buffer);
    /* The id of a token of the vocabulary, or -1. */
    int32_t (*find)(const void *state, const char *token, size_t size);
    void (*free)(void *state);
} cei_token_model_ops;

typedef struct cei_token_model {
    const cei_token_model_ops *ops; /* NULL if there is none yet */
    void *state;
    size_t token_count; /* tokens: the first id behind them, for added ones */
    int32_t largest_id;
} cei_token_model;

#endif

/* crossenc/encoder.h - a bi-encoder: one embedding for each text, to be compared with others.
 *
 * A ce_encoder is what Sentence Transformers calls a SentenceTransformer: a transformer, a pooling of its tokens into
 * one vector, and what comes after it (dense layers, layer norm, normalization to length 1), as modules.json says. It
 * is placed, moved and checked exactly as a ce_model (crossenc/model.h): when ce_encoder_load returns CE_OK, the
 * weights are on the device that the caller named, verified, and nowhere else. It may be used by any number of threads
 * at once, and an embedding has the same bits alone and in any batch, with any number of threads. */
#ifndef CROSSENC_ENCODER_H
#define CROSSENC_ENCODER_H

#include <crossenc/model.h>
#include <crossenc/text.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ce_encoder ce_encoder;

/* How two embeddings are compared; more is more alike. */
typedef enum ce_similarity {
    CE_SIMILARITY_DEFAULT = 0,   /* the model's own, else cosine */
    CE_SIMILARITY_COSINE = 1,    /* a.b / (|a| |b|) */
    CE_SIMILARITY_DOT = 2,       /* a.b */
    CE_SIMILARITY_EUCLIDEAN = 3, /* -|a - b| */
    CE_SIMILARITY_MANHATTAN = 4  /* -sum |a_i - b_i| */
} ce_similarity;

/* "cosine", "dot", "euclidean", "manhattan"; "default" for 0; NULL for a value that is no ce_similarity. */
CE_API const char *ce_similarity_name(ce_similarity similarity);

/* Loads the folder of a bi-encoder and places it.
 *
 * path     a folder as Sentence Transformers saves it (modules.json and what it names), or a transformer alone, or one
 *          that was saved as another kind of model (a CrossEncoder): both get mean pooling, as in the reference, and a
 *          warning
 * options  as for ce_model_load; NULL is all defaults. num_labels and activation must be 0, and there is
 *          include_prompt. max_length 0 is the
 *          folder's max_seq_length, else the smaller of the tokenizer's and the model's
 * encoder  receives the encoder; NULL on failure
 *
 * Modules that are understood: Transformer, Pooling (cls, max, mean, mean_sqrt_len_tokens, weightedmean, lasttoken, and
 * several at once), Dense, LayerNorm, Normalize, Dropout. Any other is CE_ERR_UNSUPPORTED by name.
 * Errors: those of ce_model_load. Thread-safe. */
CE_API ce_status ce_encoder_load(const char *path, const ce_load_options *options, ce_encoder **encoder,
                                 ce_error *error);

/* Releases everything; no call may be in flight. NULL is fine. */
CE_API void ce_encoder_free(ce_encoder *encoder);

/* As their namesakes for a ce_model, with the same errors. Thread-safe. */
CE_API ce_status ce_encoder_place(ce_encoder *encoder, ce_error *error);
CE_API ce_status ce_encoder_to(ce_encoder *encoder, const char *device, ce_error *error);
CE_API ce_status ce_encoder_check(ce_encoder *encoder, ce_health *health, ce_error *error);
CE_API ce_status ce_encoder_placement(const ce_encoder *encoder, ce_placement_report *report, ce_error *error);
CE_API ce_status ce_encoder_placement_at(const ce_encoder *encoder, size_t index, ce_placement_report *report,
                                         ce_error *error);

/* What the encoder is. Strings are the encoder's and live as long. */
typedef struct ce_encoder_info {
    size_t size; /* set by the caller: sizeof(ce_encoder_info) */
    const char *path;
    const char *architecture; /* "BertModel" */
    const char *tokenizer;    /* "WordPiece" */
    const char *pooling;      /* "mean"; several are concatenated in this order: "cls, mean" */
    const char *weight_dtype; /* as in the files: "F32", "F16", "BF16", "I8", or several: "I8, F32" */
    size_t dimension;         /* values of a whole embedding */
    size_t truncate_dim;      /* values that are kept unless a call says otherwise; dimension if all */
    size_t max_length;        /* tokens of a text, special ones included */
    size_t special_tokens;    /* of a text: the least that max_length may be */
    size_t max_positions;
    size_t vocab_size;
    size_t hidden_size, layers, heads, intermediate_size;
    uint64_t parameters;
    bool normalized;            /* embeddings have length 1, before truncation */
    bool include_prompt;        /* the tokens of a prompt count in pooling */
    ce_similarity similarity;   /* that the folder names; CE_SIMILARITY_DEFAULT if it names none */
    size_t prompts;             /* named prompts: see ce_encoder_prompt_at */
    const char *default_prompt; /* the name of the prompt that texts get unless a call says otherwise; NULL is none */
    const char *weight_format;  /* of the files: "safetensors", "PyTorch" or "GGUF" */
} ce_encoder_info;

/* Fills info. Thread-safe. Errors: CE_ERR_ARGUMENT. */
CE_API ce_status ce_encoder_describe(const ce_encoder *encoder, ce_encoder_info *info, ce_error *error);

/* The name and the text of prompt index, in the order of the folder's file; false if index is not below the number of
 * prompts. Either pointer may be NULL. The encoder's own strings. Thread-safe. */
CE_API bool ce_encoder_prompt_at(const ce_encoder *encoder, size_t index, const char **name, const char **text);

/* The text of a named prompt; NULL if there is none of that name. The encoder's own string. Thread-safe. */
CE_API const char *ce_encoder_prompt(const ce_encoder *encoder, const char *name);

/* One text, encoded, with its tokens. All memory is lent for the call of the function that gets it. */
typedef struct ce_encoded {
    size_t index;                  /* of the text in the caller's array */
    size_t tokens;                 /* special ones included, after truncation */
    const int32_t *ids, *type_ids; /* [tokens] */
    const float *token_embeddings; /* [tokens, hidden_size] what the transformer gave, before pooling */
    const float *embedding;        /* [dimension of the call] as it is written to the call's embeddings */
} ce_encoded;

/* Receives each text of a call once, in no particular order, from the thread that makes the call. Return false to stop
 * the call with CE_ERR_CANCELLED. Must not call back into the same encoder. */
typedef bool (*ce_encoded_fn)(void *user, const ce_encoded *encoded);

/* What a call did, beside its embeddings. */
typedef struct ce_encode_report {
    size_t size; /* set by the caller: sizeof(ce_encode_report) */
    uint64_t texts;
    uint64_t tokens;          /* encoded, special ones included; padding is never computed */
    uint64_t truncated;       /* texts that lost tokens */
    uint64_t first_truncated; /* index of the first of them, if truncated > 0 */
    uint64_t prompt_tokens;   /* at the beginning of each text: as ce_text_tokens.prompt */
} ce_encode_report;

/* How to encode. Zero every field but size for the defaults. */
typedef struct ce_encode_options {
    size_t size;           /* sizeof(ce_encode_options) as the caller was compiled */
    const ce_text *prompt; /* put before each text as it is; NULL is the encoder's default prompt, an empty text none */
    size_t truncate_dim;   /* keep the first so many values; 0 is the folder's own, a number above dimension is all */
    bool normalize;        /* scale what is kept to length 1 */
    ce_utf8_policy utf8;   /* default: strict */
    ce_encoded_fn each;    /* also wants the tokens of each text; NULL is not */
    void *each_user;
    ce_encode_report *report; /* filled if not NULL */
    ce_progress_fn progress;  /* texts done; NULL is none */
    void *progress_user;
    size_t max_length; /* tokens of a text, special ones included, in this call: from the special ones alone to the
                          max_length that the encoder was loaded with, which 0 stands for */
} ce_encode_options;

/* Encodes texts.
 *
 * texts       [count]; may be NULL if count is 0
 * embeddings  [count, dimension], row-major, in input order, where dimension is truncate_dim or the encoder's,
 * whichever is less; may be NULL if options->each is set. On failure its content is unspecified
 *
 * Texts longer than max_length lose tokens at the end, and are counted in the report; the first one of a call is also
 * logged. An embedding of zeros stays one when it is normalized, as in the reference.
 * Errors: CE_ERR_ARGUMENT, CE_ERR_TEXT, CE_ERR_MEMORY, CE_ERR_CANCELLED, CE_ERR_DEVICE_*; of a deferred encoder also
 * those of placing it. Thread-safe. */
CE_API ce_status ce_encode(ce_encoder *encoder, const ce_text *texts, size_t count, const ce_encode_options *options,
                           float *embeddings, ce_error *error);

/* The token ids of one text as the encoder reads them: behind its prompt, with special tokens and after truncation.
 *
 * options        its prompt, max_length and utf8 are read; NULL is all defaults
 * ids, type_ids  [capacity] each; type_ids may be NULL; both may be NULL if capacity is 0
 * tokens         receives how many there are, which may exceed capacity
 *
 * Errors: CE_ERR_ARGUMENT, CE_ERR_TEXT, CE_ERR_MEMORY. Thread-safe. */
CE_API ce_status ce_encoder_tokenize(const ce_encoder *encoder, ce_text text, const ce_encode_options *options,
                                     int32_t *ids, int32_t *type_ids, size_t capacity, ce_text_tokens *tokens,
                                     ce_error *error);

/* Smaller forms of embeddings, as Sentence Transformers' quantize_embeddings makes them. */
typedef enum ce_embedding_type {
    CE_EMBEDDING_FLOAT32 = 0,
    CE_EMBEDDING_INT8 = 1,   /* that of UINT8, less 128 */
    CE_EMBEDDING_UINT8 = 2,  /* floor((x - low) / step) within 0..255, step = (high - low) / 255, or 1 if that is 0 */
    CE_EMBEDDING_BINARY = 3, /* that of UBINARY, each byte less 128 */
    CE_EMBEDDING_UBINARY = 4 /* a bit a value, x > 0, the first one highest, the last byte filled with zeros */
} ce_embedding_type;

/* "float32", "int8", "uint8", "binary", "ubinary"; NULL for a value that is no ce_embedding_type. */
CE_API const char *ce_embedding_type_name(ce_embedding_type type);

/* Bytes of one embedding of dimension values in a form; 0 on overflow or for a value that is no ce_embedding_type. */
CE_API size_t ce_embedding_bytes(ce_embedding_type type, size_t dimension);

/* The least and the greatest value of each column: ranges [2, dimension] of embeddings [count, dimension]. NaN counts
 * for nothing. Errors: CE_ERR_ARGUMENT (NULL; no embeddings). Thread-safe. */
CE_API ce_status ce_embedding_ranges(const float *embeddings, size_t count, size_t dimension, float *ranges,
                                     ce_error *error);

/* Makes the smaller form of embeddings [count, dimension].
 *
 * ranges     [2, dimension] for INT8 and UINT8; not read for other types, and may be NULL
 * quantized  [count, ce_embedding_bytes(type, dimension)] bytes
 *
 * Errors: CE_ERR_ARGUMENT. Thread-safe. */
CE_API ce_status ce_embedding_quantize(const float *embeddings, size_t count, size_t dimension, ce_embedding_type type,
                                       const float *ranges, void *quantized, ce_error *error);

#ifdef __cplusplus
}
#endif
#endif

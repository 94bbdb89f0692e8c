/* gguf.h - a model in one GGUF file, in the words of a model folder.
 *
 * A GGUF file has keys and tensor names of its own, which say what config.json, the tokenizer's files and the names of
 * Hugging Face say of the same model. They are translated here, at one place, into the texts of such files and into
 * such names: all else reads these as it reads a folder's, and a converted model is a folder that has them.
 *
 * Read are the architectures bert (BERT, RoBERTa and XLM-RoBERTa, whose positions converters cut so that they begin at
 * 0, and DistilBERT, which has no token types), nomic-bert, modern-bert and jina-bert-v2, and of decoders qwen2, qwen3,
 * llama, gemma, gemma2 and gemma3. What a file does not say is as the
 * published models have it: gelu, no dropout. Memory of the texts: 8 times the bytes of the file's metadata.
 *
 * Four keys are crossenc's own, for what no other key says; gguf_put.h writes them where they count:
 *   crossenc.activation_fn                 of scores, as config.json has it: "torch.nn.Identity"
 *   crossenc.max_length                    tokens that are read of a text or pair, where context_length is more
 *   crossenc.normalize                     a bi-encoder's embeddings are scaled to length 1
 *   crossenc.config_sentence_transformers  the text of that file, in JSON: prompts, and a bi-encoder's similarity */
#ifndef CEI_MODEL_GGUF_H
#define CEI_MODEL_GGUF_H

#include "base/json_write.h"
#include "formats/gguf.h"
#include "formats/naming.h"
#include "model/config.h"
#include "text/spec.h"

#define CEI_GGUF_ACTIVATION "crossenc.activation_fn"
#define CEI_GGUF_MAX_LENGTH "crossenc.max_length"
#define CEI_GGUF_NORMALIZE "crossenc.normalize"
#define CEI_GGUF_SETTINGS "crossenc.config_sentence_transformers"

/* How converters name the tensors of one kind of model. */
typedef struct cei_gguf_form cei_gguf_form;

/* Zeroed is empty. */
typedef struct cei_gguf_model {
    cei_gguf file;
    const cei_gguf_form *form;
    const char *pooling;    /* of a bi-encoder: "cls", "mean", "lasttoken" */
    size_t hidden, context; /* columns of the states; tokens of a sequence */
    size_t max_length;      /* that are read of them */
    size_t types;           /* token types that have embeddings */
    bool normalizes;        /* of a bi-encoder: embeddings are scaled to length 1 */
    cei_gguf_text settings; /* the text of config_sentence_transformers.json, or none */
    cei_json_out config, tokenizer_json,
        tokenizer_config; /* the texts of these files, the second empty if this is not: */
    cei_json_out chat;    /* a chat template; empty: there is none */
    bool chat_is_flat;    /* made for contents that are texts, whatever it looks like */
    cei_json_out pieces;  /* the bytes of tokenizer.model */
} cei_gguf_model;

/* gguf.c: the GGUF file that path names: itself, or the one file of that kind in a folder without config.json, which is
 * then a new string; *file is NULL if path is no such thing. Errors: MEMORY, UNSUPPORTED (several such files). */
ce_status cei_gguf_find_file(const char *path, char **file, ce_error *error);

/* Reads a file and translates it; a bi-encoder's classification head is not looked at. Errors: those of cei_gguf_open;
 * UNSUPPORTED (an architecture, a tokenizer, a file in parts, by name), MODEL (half a classification head, a tensor
 * that is not there), FORMAT. */
ce_status cei_gguf_model_open(const char *file, bool bi_encoder, cei_gguf_model *model, ce_error *error);
void cei_gguf_model_close(cei_gguf_model *model);

/* Its tokenizer, as files that end with the model. */
cei_tokenizer_files cei_gguf_tokenizer_files(const cei_gguf_model *model);

/* Is the file a bi-encoder's: has it no classification head, nor part of one? Errors: those of cei_gguf_open. */
ce_status cei_gguf_is_bi_encoder(const char *file, bool *is, ce_error *error);

/* The weights under the names, and in the order, of a folder's; config is that of the file. Errors: those of the
 * checkpoint. */
ce_status cei_gguf_open_weights(const char *file, const cei_config *config, bool bi_encoder,
                                struct cei_checkpoint **checkpoint, ce_error *error);

/* ---- the parts ---- */

/* gguf_names.c: the form of an architecture; NULL if it is not known. And of a config, its own or a folder's. */
const cei_gguf_form *cei_gguf_form_find(cei_gguf_text architecture, bool has_types);
const cei_gguf_form *cei_gguf_form_of(const cei_config *config);

/* gguf_names.c: has a tensor of a file a place in such models? */
bool cei_gguf_is_known(const cei_gguf_form *form, const cei_tensor *tensor);

/* The rows of two words in the matrix of logits, as converters cut them out of a re-ranker; a folder has no such. */
#define CEI_GGUF_WORDS "cls.output.weight"

/* What frequencies of rotary positions are divided by, where they are scaled as Llama 3.1's. gguf_config_decoder.c: by
 * what frequency i is, of heads of so many columns. */
#define CEI_GGUF_DIVISORS "rope_freqs.weight"
double cei_gguf_divisor(const cei_rope_scaling *scaling, double base, size_t size, size_t i);

/* The chat template of a causal model. */
#define CEI_GGUF_CHAT_TEMPLATE "tokenizer.chat_template"

/* How such a re-ranker asks, with {query} and {document} in it. */
#define CEI_GGUF_RERANK_TEMPLATE "tokenizer.chat_template.rerank"

/* gguf_names.c: what becomes of a folder's tensor in a file: its one name there, and how its values lie there, in heads
 * of so many columns; false if it has none. */
bool cei_gguf_name_back(const cei_gguf_form *form, size_t head_size, const char *name, cei_naming *to);

/* gguf_names.c: the columns of a head of queries, by the config of a model of that form. */
size_t cei_gguf_head_size(const cei_config *config);

struct cei_gguf_form {
    const char *architecture; /* general.architecture */
    const char *model_type, *encoder, *classifier;
    const char *causal;              /* the class that gives logits of words; NULL: there is none */
    const char *prefix;              /* of the encoder's names in a cross-encoder */
    const char *const (*whole)[2];   /* names that are there once: in the file, in a folder; the last one is NULL */
    const char *layer;               /* "encoder.layer" */
    const char *const (*parts)[2];   /* names of a layer */
    const char *qkv[CEI_MOST_NAMES]; /* what a tensor of queries, keys and values is; one name: it stays whole; none: it
                                        is not known */
    const char *const (*head)[2];    /* of the head, without prefix */
    const char *position;            /* position_embedding_type of the config, where it tells forms apart; or NULL */
    const char *up_alone;            /* what "ffn_up" is where it is not one with the gate; NULL: as parts says */
    bool is_authors;                 /* names are those of the authors' code, by the config: cei_config */
    bool is_decoder;
    bool is_paired; /* rows of queries and keys lie in pairs: cei_values */
    bool is_more;   /* so do gains of norms, with 1 added */
};

/* Is it known of such models what each tensor of a file would do? Then one that is not is refused. */
static inline bool cei_gguf_is_strict(const cei_gguf_form *form) { return form->is_decoder || form->position; }

/* gguf_config.c: fills all but the tokenizer's texts. Errors: as open. */
ce_status cei_gguf_write_config(cei_gguf_model *model, bool bi_encoder, ce_error *error);

/* gguf_chat.c: the text of the file's chat template, a re-ranker's own before that of the chat model; nothing if there
 * is none. Errors: FORMAT, MEMORY. */
ce_status cei_gguf_write_chat(const cei_gguf *file, cei_json_out *out, bool *is_flat, ce_error *error);

/* gguf_tokenizer.c: the tokenizer's texts. context is how many tokens a text may have; has_types says whether the model
 * tells the two texts of a pair apart. Errors: UNSUPPORTED, FORMAT, MEMORY. */
typedef struct cei_gguf_tokenizer {
    const cei_gguf *file;
    size_t context;
    bool has_types, is_decoder, is_gemma;
    const cei_json_out *chat; /* what goes into tokenizer_config.json as chat_template; NULL or empty: nothing */
    cei_json_out *tokenizer_json, *tokenizer_config, *pieces; /* the first or the last stays empty */
} cei_gguf_tokenizer;
ce_status cei_gguf_write_tokenizer(const cei_gguf_tokenizer *to, ce_error *error);

#endif

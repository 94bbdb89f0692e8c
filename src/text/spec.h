/* spec.h - what the files of a tokenizer say, between reading them and putting the tokenizer together.
 *
 * Strings are borrowed from the JSON trees and file contents that they were read from. */
#ifndef CEI_SPEC_H
#define CEI_SPEC_H

#include "base/json.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/metaspace.h"
#include "text/normalizer.h"
#include "text/pair.h"
#include "text/sentencepiece_model.h"
#include "text/split.h"
#include "text/unigram.h"
#include "text/wordpiece.h"

/* One file: its path for messages, and its bytes. data is NULL if the folder lacks it. */
typedef struct cei_tokenizer_file {
    const char *path;
    const char *data;
    size_t size;
} cei_tokenizer_file;

typedef struct cei_tokenizer_files {
    cei_tokenizer_file tokenizer_json;
    cei_tokenizer_file vocab_txt; /* read if there is no tokenizer.json; if that is not there either, these two: */
    cei_tokenizer_file vocab_json, merges_txt;
    cei_tokenizer_file pieces;       /* and then a SentencePiece model, whatever its name */
    cei_tokenizer_file model_config; /* the model's config.json, which may name the tokenizer's class */
    cei_tokenizer_file tokenizer_config;
    cei_tokenizer_file special_tokens_map;
    cei_tokenizer_file added_tokens;
} cei_tokenizer_files;

/* Reads a tokenizer from the bytes of its files; cei_tokenizer_load without the file system. */
ce_status cei_tokenizer_parse(const cei_tokenizer_files *files, cei_tokenizer **tokenizer, ce_error *error);

/* Tokens in the order in which they get ids. Zeroed is empty. */
typedef struct cei_added_list {
    cei_added_token *items;
    size_t count, capacity;
} cei_added_list;

typedef enum cei_model_kind { CEI_MODEL_WORDPIECE, CEI_MODEL_UNIGRAM, CEI_MODEL_BPE } cei_model_kind;

typedef struct cei_tokenizer_spec {
    const char *path;          /* of the file with the vocabulary */
    cei_vocabulary vocabulary; /* of the model; without slots until it is read */
    cei_model_kind kind;
    cei_wordpiece_options wordpiece;
    cei_unigram_options unigram;
    cei_sentencepiece sentencepiece; /* of a SentencePiece model; without pieces where another file is read */
    bool exact_scores;               /* scores of pieces are read as Python reads numbers: piece_score.h */
    cei_bpe_options bpe;
    cei_merges merges; /* of BPE */
    bool has_merges;   /* they were read before the rest of the file */
    cei_normalizer normalizer;
    cei_splits splits;                 /* what cuts words; where there are none: */
    cei_pre_tokenizer_fn pre_tokenize; /* and where that is NULL: */
    cei_metaspace metaspace;
    cei_added_list added;
    char *sentinels; /* the names of T5's sentinels, which tokens lend; NULL if there are none */
    cei_pair_template pair, single;
    const char *cls, *sep; /* templates of these two replace pair and single; NULL for both as they are */
    bool roberta_pairs;    /* they are RoBERTa's, else BERT's */
    bool ends_are_told;    /* begin goes before each text and end behind it; NULL for none; nothing else counts */
    const char *begin, *end;
    bool with_type_ids;   /* the model is given type ids; else they are all 0 */
    bool left_truncation; /* tokenizer.json asks for it */
    size_t max_length;
    const char *roles[CEI_ROLES]; /* the tokens of the named roles; NULL for none */
} cei_tokenizer_spec;

/* Gives what a tokenizer's files say to use, which may take from it; all is freed behind it. The second reads the files
 * of a folder, as cei_tokenizer_load does, and gives those. Errors: those of cei_tokenizer_load, and use's. */
typedef ce_status (*cei_spec_fn)(void *user, cei_tokenizer_spec *spec, ce_error *error);
ce_status cei_tokenizer_read(const cei_tokenizer_files *files, cei_spec_fn use, void *user, ce_error *error);
typedef ce_status (*cei_files_fn)(void *user, const cei_tokenizer_files *files, ce_error *error);
ce_status cei_tokenizer_read_folder(const char *folder, cei_files_fn use, void *user, ce_error *error);

/* tokenizer_compare.c: do two tokenizers give every text the same ids, but for tokens "[PADn]" of number n that one has
 * beside the other's, and scores in float32? *difference names what they differ in first; NULL: nothing. Takes both
 * vocabularies. Errors: those of building a tokenizer. */
ce_status cei_tokenizer_compare(cei_tokenizer_spec *one, cei_tokenizer_spec *other, const char **difference,
                                ce_error *error);

/* tokenizer_compare.c: merge number i of a list, by the ids of its two tokens; -1 for one that is none. */
typedef struct cei_merge_walk {
    const cei_tokenizer_spec *spec;
    size_t next, at; /* the merge, and where its text begins */
} cei_merge_walk;
bool cei_merge_walk_next(cei_merge_walk *walk, int32_t *left, int32_t *right); /* false at the end */

/* tokenizer_json.c: fills what tokenizer.json, an object, decides. Errors: FORMAT, UNSUPPORTED (naming the component),
 * MEMORY. */
ce_status cei_tokenizer_json_read(const json_t *root, cei_tokenizer_spec *spec, ce_error *error);

/* split_json.c: a pre_tokenizer of tokenizer.json. Errors: FORMAT, UNSUPPORTED (naming the component). */
ce_status cei_split_json_read(const json_t *object, cei_tokenizer_spec *spec, ce_error *error);

/* tokenizer_json.c: the string "type" of a component that is called name in messages. Errors: FORMAT. */
ce_status cei_component_type(const json_t *component, const char *name, const cei_tokenizer_spec *spec,
                             const char **type, ce_error *error);

/* bpe_json.c: the model "BPE" of tokenizer.json but for its vocabulary; and vocab.json with merges.txt. Errors: FORMAT,
 * UNSUPPORTED, MEMORY. */
ce_status cei_bpe_json_read(const json_t *model, cei_tokenizer_spec *spec, ce_error *error);
ce_status cei_bpe_files_read(const cei_tokenizer_files *files, cei_tokenizer_spec *spec, ce_error *error);

/* tokenizer_json.c: the model's vocabulary, an object of tokens and ids, unless it was read before. Errors: FORMAT,
 * MEMORY. */
ce_status cei_vocabulary_json_read(json_t *tokens, cei_tokenizer_spec *spec, ce_error *error);

/* vocab_file.c: fills vocabulary from a vocab.txt, one token a line. Errors: FORMAT, MEMORY. */
ce_status cei_vocab_file_read(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, ce_error *error);

/* The files beside tokenizer.json and vocab.txt: objects, or NULL where there is no such file. */
typedef struct cei_tokenizer_settings {
    json_t *config, *specials, *added, *model;
    const char *config_path, *specials_path, *added_path, *model_path;
} cei_tokenizer_settings;

/* tokenizer_config.c: is the class one that takes little but the vocabulary from tokenizer.json? */
bool cei_tokenizer_config_rebuilds(const cei_tokenizer_settings *settings);

/* tokenizer_config.c: applies the settings to what tokenizer.json (has_json) or the files without it gave, by the
 * reference's rules. Errors: FORMAT, UNSUPPORTED, MEMORY. */
ce_status cei_tokenizer_config_apply(const cei_tokenizer_settings *settings, bool has_json, cei_tokenizer_spec *spec,
                                     ce_error *error);

/* added_json.c: a token as a JSON object {"content", "lstrip", ...} or a string, which is a special token. */
ce_status cei_added_json_read(const json_t *value, bool special, const char *path, cei_added_token *token,
                              ce_error *error);
ce_status cei_added_list_push(cei_added_list *list, const cei_added_token *token, ce_error *error);
void cei_added_list_sort(cei_added_list *list, size_t from); /* by id; those of one id stay in order */

/* added_json.c: an id in a JSON value. Errors: FORMAT (no integer, negative, CEI_TOKEN_ID_LIMIT or more). */
ce_status cei_token_id_read(const json_t *value, const char *token, const char *path, int32_t *id, ce_error *error);

#endif

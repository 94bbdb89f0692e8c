/* tokenizer.c - a tokenizer's files, its life, and what can be asked of it. */
#include "text/tokenizer.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/sentencepiece_spec.h"
#include "text/tokenizer_parts.h"
#include "text/vocab_json.h"

/* No known tokenizer comes near this; a larger file is a mistake. */
#define FILE_LIMIT ((size_t)256 << 20)

/* Parses a file that holds an object; *root stays NULL if there is no such file. */
static ce_status parse_object(const cei_tokenizer_file *file, json_t **root, ce_error *error) {
    *root = NULL;
    if (!file->data) return CE_OK;
    ce_status status = cei_json_parse(file->data, file->size, file->path, root, error);
    if (status == CE_OK && !json_is_object(*root))
        status = cei_fail(error, CE_ERR_FORMAT, "%s holds no JSON object", file->path);
    return status;
}

/* tokenizer.json: its vocabulary by the quick way if that works, all else by the parser. */
static ce_status parse_tokenizer_json(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, json_t **root,
                                      ce_error *error) {
    cei_bytes rest = {0};
    cei_tokenizer_file what = *file;
    ce_status status = cei_vocab_json_take(file, spec, &rest, error);
    if (rest.size > 0) what = (cei_tokenizer_file){file->path, rest.data, rest.size};
    if (status == CE_OK) status = parse_object(&what, root, error);
    if (status == CE_OK) status = cei_tokenizer_json_read(*root, spec, error);
    cei_free(rest.data);
    return status;
}

static ce_status read_vocabulary(const cei_tokenizer_files *files, cei_tokenizer_spec *spec, json_t **root,
                                 ce_error *error) {
    if (files->tokenizer_json.data) return parse_tokenizer_json(&files->tokenizer_json, spec, root, error);
    if (files->vocab_txt.data) return cei_vocab_file_read(&files->vocab_txt, spec, error);
    return files->pieces.data ? cei_sentencepiece_spec_read(&files->pieces, spec, error)
                              : cei_bpe_files_read(files, spec, error);
}

static const char *main_path(const cei_tokenizer_files *files) {
    if (files->tokenizer_json.data) return files->tokenizer_json.path;
    if (files->vocab_txt.data || (!files->pieces.data && !files->vocab_json.data)) return files->vocab_txt.path;
    return files->pieces.data ? files->pieces.path : files->vocab_json.path;
}

static ce_status read_spec(const cei_tokenizer_files *files, cei_tokenizer_settings *settings, cei_tokenizer_spec *spec,
                           json_t **root, ce_error *error) {
    bool has_json = files->tokenizer_json.data != NULL;
    ce_status status = parse_object(&files->tokenizer_config, &settings->config, error);
    if (status == CE_OK) status = parse_object(&files->special_tokens_map, &settings->specials, error);
    if (status == CE_OK) status = parse_object(&files->added_tokens, &settings->added, error);
    if (status == CE_OK) status = parse_object(&files->model_config, &settings->model, error);
    spec->exact_scores = cei_tokenizer_config_rebuilds(settings);
    if (status == CE_OK) status = read_vocabulary(files, spec, root, error);
    return status == CE_OK ? cei_tokenizer_config_apply(settings, has_json, spec, error) : status;
}

ce_status cei_tokenizer_read(const cei_tokenizer_files *files, cei_spec_fn use, void *user, ce_error *error) {
    cei_tokenizer_spec spec = {.path = main_path(files), .wordpiece = {"[UNK]", "##", 100}};
    cei_tokenizer_settings settings = {.config_path = files->tokenizer_config.path,
                                       .specials_path = files->special_tokens_map.path,
                                       .added_path = files->added_tokens.path,
                                       .model_path = files->model_config.path};
    json_t *root = NULL;
    ce_status status = read_spec(files, &settings, &spec, &root, error);
    if (status == CE_OK) status = use(user, &spec, error);
    cei_vocabulary_free(&spec.vocabulary);
    cei_normalizer_free(&spec.normalizer);
    cei_free(spec.unigram.scores);
    cei_merges_free(&spec.merges);
    cei_sentencepiece_free(&spec.sentencepiece);
    cei_free(spec.added.items);
    cei_free(spec.sentinels);
    json_decref(root);
    json_decref(settings.config);
    json_decref(settings.specials);
    json_decref(settings.added);
    json_decref(settings.model);
    return status;
}

static ce_status build(void *user, cei_tokenizer_spec *spec, ce_error *error) {
    return cei_tokenizer_build(spec, user, error);
}

ce_status cei_tokenizer_parse(const cei_tokenizer_files *files, cei_tokenizer **tokenizer, ce_error *error) {
    *tokenizer = NULL;
    return cei_tokenizer_read(files, build, tokenizer, error);
}

/* A file of the folder, in memory that release_file gives back. One that is not there has no data. */
typedef struct loaded_file {
    char *path, *data;
    size_t size;
} loaded_file;

static ce_status load_file(const char *folder, const char *name, loaded_file *file, ce_error *error) {
    file->path = cei_join_path(folder, name);
    if (!file->path) return cei_fail_memory(error, "a path", 0);
    if (!cei_file_exists(file->path)) return CE_OK;
    return cei_read_file(file->path, FILE_LIMIT, &file->data, &file->size, error);
}

enum {
    TOKENIZER_JSON,
    VOCAB_TXT,
    VOCAB_JSON,
    MERGES_TXT,
    PIECES,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS_MAP,
    ADDED_TOKENS,
    MODEL_CONFIG,
    FILES
};

/* Files of a vocabulary are not needed where a better one was there. */
static bool is_needed(const loaded_file files[FILES], size_t file) {
    if (file < VOCAB_TXT || file > PIECES) return true;
    if (files[TOKENIZER_JSON].data || (file > VOCAB_TXT && files[VOCAB_TXT].data)) return false;
    return file != PIECES || !files[VOCAB_JSON].data || !files[MERGES_TXT].data;
}

/* A SentencePiece model, by the first of the names that it goes by. */
static ce_status load_pieces(const char *folder, loaded_file *file, ce_error *error) {
    static const char *const names[] = {"sentencepiece.bpe.model", "spm.model", "spiece.model", "tokenizer.model"};
    ce_status status = CE_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == CE_OK && !file->data; i++) {
        cei_free(file->path);
        status = load_file(folder, names[i], file, error);
    }
    return status;
}

static ce_status load_files(const char *folder, loaded_file files[FILES], ce_error *error) {
    static const char *const names[FILES] = {
        "tokenizer.json",          "vocab.txt",         "vocab.json", "merges.txt", NULL, "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "config.json"};
    ce_status status = cei_check_folder(folder, error);
    for (size_t i = 0; i < FILES && status == CE_OK; i++) {
        if (!is_needed(files, i)) continue;
        status = i == PIECES ? load_pieces(folder, &files[i], error) : load_file(folder, names[i], &files[i], error);
    }
    if (status != CE_OK || files[TOKENIZER_JSON].data || files[VOCAB_TXT].data || files[PIECES].data) return status;
    if (files[VOCAB_JSON].data && files[MERGES_TXT].data) return CE_OK;
    return cei_fail(error, CE_ERR_NOT_FOUND,
                    "%s has neither tokenizer.json nor vocab.txt, nor vocab.json and merges.txt, nor a SentencePiece"
                    " model (sentencepiece.bpe.model, spm.model, spiece.model, tokenizer.model)",
                    folder);
}

static cei_tokenizer_file borrow(const loaded_file *file) {
    return (cei_tokenizer_file){file->path, file->data, file->size};
}

ce_status cei_tokenizer_read_folder(const char *folder, cei_files_fn use, void *user, ce_error *error) {
    loaded_file files[FILES] = {{0}};
    ce_status status = load_files(folder, files, error);
    if (status == CE_OK) {
        const cei_tokenizer_files all = {.tokenizer_json = borrow(&files[TOKENIZER_JSON]),
                                         .vocab_txt = borrow(&files[VOCAB_TXT]),
                                         .vocab_json = borrow(&files[VOCAB_JSON]),
                                         .merges_txt = borrow(&files[MERGES_TXT]),
                                         .pieces = borrow(&files[PIECES]),
                                         .model_config = borrow(&files[MODEL_CONFIG]),
                                         .tokenizer_config = borrow(&files[TOKENIZER_CONFIG]),
                                         .special_tokens_map = borrow(&files[SPECIAL_TOKENS_MAP]),
                                         .added_tokens = borrow(&files[ADDED_TOKENS])};
        status = use(user, &all, error);
    }
    for (size_t i = 0; i < FILES; i++) {
        cei_free(files[i].path);
        cei_free(files[i].data);
    }
    return status;
}

static ce_status parse_files(void *user, const cei_tokenizer_files *files, ce_error *error) {
    return cei_tokenizer_parse(files, user, error);
}

ce_status cei_tokenizer_load(const char *folder, cei_tokenizer **tokenizer, ce_error *error) {
    *tokenizer = NULL;
    return cei_tokenizer_read_folder(folder, parse_files, tokenizer, error);
}

void cei_tokenizer_free(cei_tokenizer *tokenizer) {
    if (!tokenizer) return;
    if (tokenizer->model.ops) tokenizer->model.ops->free(tokenizer->model.state);
    cei_added_tokens_free(&tokenizer->added);
    cei_normalizer_free(&tokenizer->normalizer);
    for (size_t role = 0; role < CEI_ROLES; role++) cei_free(tokenizer->roles[role]);
    cei_free(tokenizer);
}

const char *cei_tokenizer_kind(const cei_tokenizer *tokenizer) { return tokenizer->model.ops->kind; }

size_t cei_tokenizer_vocab_size(const cei_tokenizer *tokenizer) { return tokenizer->vocab_size; }

const char *cei_tokenizer_role(const cei_tokenizer *tokenizer, size_t role) { return tokenizer->roles[role]; }

int32_t cei_tokenizer_find(const cei_tokenizer *tokenizer, const char *token) {
    const size_t size = strlen(token);
    const cei_added_token *added = cei_added_tokens_find(&tokenizer->added, token, size);
    return added ? added->id : tokenizer->model.ops->find(tokenizer->model.state, token, size);
}

size_t cei_tokenizer_max_length(const cei_tokenizer *tokenizer) { return tokenizer->max_length; }

size_t cei_tokenizer_pair_specials(const cei_tokenizer *tokenizer) { return cei_pair_specials(&tokenizer->pair); }

size_t cei_tokenizer_single_specials(const cei_tokenizer *tokenizer) { return cei_pair_specials(&tokenizer->single); }

bool cei_tokenizer_single_closes(const cei_tokenizer *tokenizer) {
    const cei_pair_template *single = &tokenizer->single;
    return single->count > 0 && single->items[single->count - 1].kind == CEI_PAIR_SPECIAL;
}

size_t cei_tokenizer_pair_types(const cei_tokenizer *tokenizer) { return cei_pair_types(&tokenizer->pair); }

size_t cei_tokenizer_single_types(const cei_tokenizer *tokenizer) { return cei_pair_types(&tokenizer->single); }

void cei_tokenizer_join(const cei_tokenizer *tokenizer, const int32_t *query, size_t query_kept,
                        const int32_t *document, size_t document_kept, int32_t *ids, int32_t *type_ids) {
    cei_pair_join(&tokenizer->pair, query, query_kept, document, document_kept, ids, type_ids);
}

void cei_tokenizer_wrap(const cei_tokenizer *tokenizer, const int32_t *text, size_t kept, int32_t *ids,
                        int32_t *type_ids) {
    cei_pair_join(&tokenizer->single, text, kept, NULL, 0, ids, type_ids);
}

ce_status cei_tokenizer_lowercase(cei_tokenizer *tokenizer, ce_error *error) {
    cei_normalizer *normalizer = &tokenizer->normalizer;
    for (size_t i = 0; i < normalizer->count; i++) {
        const cei_normalizer_step *step = &normalizer->steps[i];
        if (step->kind == CEI_NORMALIZER_LOWERCASE || (step->kind == CEI_NORMALIZER_BERT && step->bert.lowercase))
            return CE_OK;
    }
    if (normalizer->count == CEI_NORMALIZER_MAX_STEPS)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "the tokenizer's normalizer has more than %d steps",
                        CEI_NORMALIZER_MAX_STEPS - 1);
    memmove(normalizer->steps + 1, normalizer->steps, normalizer->count * sizeof *normalizer->steps);
    normalizer->steps[0] = (cei_normalizer_step){.kind = CEI_NORMALIZER_LOWERCASE};
    normalizer->count++;
    return CE_OK;
}

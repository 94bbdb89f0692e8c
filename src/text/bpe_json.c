/* bpe_json.c - the model "BPE" as tokenizer.json has it, and as the older pair vocab.json and merges.txt. */
#include "base/error.h"
#include "text/spec.h"
#include "text/vocab_json.h"

/* Dropout leaves out merges at random: for training only. */
static ce_status check_dropout(const json_t *model, const cei_tokenizer_spec *spec, ce_error *error) {
    double dropout = 0;
    ce_status status = cei_json_double(model, "dropout", spec->path, &dropout, error);
    if (status != CE_OK || dropout == 0) return status;
    return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the model's \"dropout\" is %g, and only 0 is supported", spec->path,
                    dropout);
}

ce_status cei_bpe_json_read(const json_t *model, cei_tokenizer_spec *spec, ce_error *error) {
    cei_bpe_options *options = &spec->bpe;
    const char *path = spec->path;
    ce_status status = check_dropout(model, spec, error);
    if (status == CE_OK) status = cei_json_bool(model, "byte_fallback", path, &options->byte_fallback, error);
    if (status == CE_OK) status = cei_json_string(model, "unk_token", path, &options->unknown, error);
    if (status == CE_OK) status = cei_json_string(model, "continuing_subword_prefix", path, &options->prefix, error);
    if (status == CE_OK) status = cei_json_string(model, "end_of_word_suffix", path, &options->suffix, error);
    if (status == CE_OK) status = cei_json_bool(model, "fuse_unk", path, &options->fuse_unknown, error);
    if (status == CE_OK) status = cei_json_bool(model, "ignore_merges", path, &options->ignore_merges, error);
    if (status != CE_OK || spec->has_merges) return status;
    return cei_merges_read_json(json_object_get(model, "merges"), path, &spec->merges, error);
}

/* By the quick reader if it can, else by the parser. */
static ce_status read_vocab_json(const cei_tokenizer_file *file, cei_tokenizer_spec *spec, ce_error *error) {
    json_t *root = NULL;
    ce_status status = cei_vocab_json_read(file, spec, error);
    if (status == CE_OK && !spec->vocabulary.slots)
        status = cei_json_parse(file->data, file->size, file->path, &root, error);
    if (status == CE_OK) status = cei_vocabulary_json_read(root, spec, error);
    json_decref(root);
    return status;
}

ce_status cei_bpe_files_read(const cei_tokenizer_files *files, cei_tokenizer_spec *spec, ce_error *error) {
    const cei_tokenizer_file *merges = &files->merges_txt;
    spec->kind = CEI_MODEL_BPE;
    spec->splits = (cei_splits){.steps = {{CEI_SPLIT_GPT2, 0, false}}, .count = 1, .byte_level = true};
    ce_status status = read_vocab_json(&files->vocab_json, spec, error);
    return status == CE_OK ? cei_merges_read_text(merges->data, merges->size, merges->path, &spec->merges, error)
                           : status;
}

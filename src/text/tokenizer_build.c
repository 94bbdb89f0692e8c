/* tokenizer_build.c - from what the files say to a tokenizer: ids of added tokens, their search tries, the templates.
 */
#include "base/error.h"
#include "text/tokenizer_parts.h"

static bool same_token(const cei_added_token *a, const cei_added_token *b) {
    return a->special == b->special && a->normalized == b->normalized && a->single_word == b->single_word &&
           a->lstrip == b->lstrip && a->rstrip == b->rstrip;
}

/* The id of an added token: that of the vocabulary, else the next one behind it. What the files say of it does not
 * count, in the reference neither. */
static int32_t choose_id(const cei_tokenizer *tokenizer, const cei_added_token *token, int32_t largest_added) {
    int32_t id = tokenizer->model.ops->find(tokenizer->model.state, token->content, token->size);
    if (id >= 0) return id;
    int32_t count = (int32_t)tokenizer->model.token_count;
    return largest_added >= count ? largest_added + 1 : count;
}

static ce_status add_token(cei_tokenizer *tokenizer, const cei_added_token *from, const char *path,
                           int32_t *largest_added, ce_error *error) {
    cei_added_token token = *from;
    const cei_added_token *old = cei_added_tokens_find(&tokenizer->added, token.content, token.size);
    if (token.size == 0 || (old && (token.fallback || same_token(old, &token)))) return CE_OK;
    if (old && token.overrides) {
        cei_added_tokens_replace(&tokenizer->added, &token);
        return CE_OK;
    }
    if (old)
        return cei_fail(error, CE_ERR_FORMAT, "%s: the added token \"%.60s\" is there twice, with different flags",
                        path, token.content);
    if (token.size > CEI_ADDED_MAX_SIZE)
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the added token \"%.60s...\" has %zu bytes, and may have %d",
                        path, token.content, token.size, CEI_ADDED_MAX_SIZE);
    token.id = choose_id(tokenizer, &token, *largest_added);
    if (token.id >= CEI_TOKEN_ID_LIMIT)
        return cei_fail(error, CE_ERR_FORMAT, "%s: there is no id left for the added token \"%.60s\"", path,
                        token.content);
    if (token.id > *largest_added) *largest_added = token.id;
    if (!cei_added_tokens_add(&tokenizer->added, &token)) return cei_fail_memory(error, "the added tokens", 0);
    return CE_OK;
}

/* Of two that look alike in normalized text the first listed wins; in the reference, either, from run to run. */
static ce_status index_tokens(cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec, cei_normalizer_scratch *scratch,
                              ce_error *error) {
    for (size_t i = 0; i < spec->added.count; i++) {
        const cei_added_token *from = &spec->added.items[i];
        const cei_added_token *token = cei_added_tokens_find(&tokenizer->added, from->content, from->size);
        if (!token) continue;
        const char *form = from->content;
        size_t size = from->size;
        if (token->normalized && !cei_normalize(&tokenizer->normalizer, form, size, scratch, &form, &size))
            return cei_fail_memory(error, "the added tokens", 0);
        if (size == 0)
            return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the normalizer leaves nothing of the added token \"%.60s\"",
                            spec->path, from->content);
        if (!cei_added_tokens_index(&tokenizer->added, (size_t)(token - tokenizer->added.tokens), form, size))
            return cei_fail_memory(error, "the added tokens", 0);
    }
    return CE_OK;
}

static ce_status add_all(cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec, ce_error *error) {
    ce_status status = CE_OK;
    int32_t largest = -1;
    cei_normalizer_scratch scratch = {0};
    for (size_t i = 0; i < spec->added.count && status == CE_OK; i++)
        status = add_token(tokenizer, &spec->added.items[i], spec->path, &largest, error);
    if (status == CE_OK) status = index_tokens(tokenizer, spec, &scratch, error);
    cei_normalizer_scratch_free(&scratch);
    int32_t last = largest > tokenizer->model.largest_id ? largest : tokenizer->model.largest_id;
    tokenizer->vocab_size = (size_t)last + 1;
    return status;
}

/* Drops types that the model is not given. */
static ce_status check_template(const cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec,
                                cei_pair_template *texts, ce_error *error) {
    for (size_t i = 0; i < texts->count; i++) {
        cei_pair_item *item = &texts->items[i];
        if (!spec->with_type_ids) item->type_id = 0;
        if (item->kind == CEI_PAIR_SPECIAL && (size_t)item->id >= tokenizer->vocab_size)
            return cei_fail(error, CE_ERR_FORMAT, "%s: the post_processor uses id %d, which no token has", spec->path,
                            (int)item->id);
    }
    return CE_OK;
}

/* Puts a token at the end of a template, if it has a name. */
static ce_status push_named(const cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec, const char *name,
                            int32_t type, cei_pair_template *texts, ce_error *error) {
    if (!name) return CE_OK;
    const cei_added_token *token = cei_added_tokens_find(&tokenizer->added, name, strlen(name));
    if (!token) return cei_fail(error, CE_ERR_FORMAT, "%s: there is no token \"%.60s\"", spec->path, name);
    texts->items[texts->count++] = (cei_pair_item){CEI_PAIR_SPECIAL, token->id, type};
    return CE_OK;
}

/* A text between the tokens that go around each. */
static ce_status push_told(const cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec, bool document,
                           cei_pair_template *texts, ce_error *error) {
    ce_status status = push_named(tokenizer, spec, spec->begin, document, texts, error);
    texts->items[texts->count++] = (cei_pair_item){document ? CEI_PAIR_DOCUMENT : CEI_PAIR_QUERY, 0, document};
    return status == CE_OK ? push_named(tokenizer, spec, spec->end, document, texts, error) : status;
}

static ce_status set_told(cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec, ce_error *error) {
    tokenizer->single = tokenizer->pair = (cei_pair_template){.count = 0};
    ce_status status = push_told(tokenizer, spec, false, &tokenizer->single, error);
    tokenizer->pair = tokenizer->single;
    return status == CE_OK ? push_told(tokenizer, spec, true, &tokenizer->pair, error) : status;
}

static ce_status set_templates(cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec, ce_error *error) {
    tokenizer->pair = spec->pair;
    tokenizer->single = spec->single;
    if (spec->ends_are_told) {
        ce_status told = set_told(tokenizer, spec, error);
        if (told != CE_OK) return told;
    }
    if (spec->cls && spec->sep) {
        const cei_added_token *cls = cei_added_tokens_find(&tokenizer->added, spec->cls, strlen(spec->cls));
        const cei_added_token *sep = cei_added_tokens_find(&tokenizer->added, spec->sep, strlen(spec->sep));
        if (!cls || !sep)
            return cei_fail(error, CE_ERR_FORMAT, "%s: there is no token \"%.60s\" or \"%.60s\"", spec->path, spec->cls,
                            spec->sep);
        tokenizer->pair = spec->roberta_pairs ? cei_pair_roberta(cls->id, sep->id) : cei_pair_bert(cls->id, sep->id);
        tokenizer->single = cei_single_bert(cls->id, sep->id);
    }
    ce_status status = check_template(tokenizer, spec, &tokenizer->pair, error);
    return status == CE_OK ? check_template(tokenizer, spec, &tokenizer->single, error) : status;
}

static ce_status copy_roles(cei_tokenizer *tokenizer, const cei_tokenizer_spec *spec, ce_error *error) {
    for (size_t role = 0; role < CEI_ROLES; role++) {
        if (!spec->roles[role]) continue;
        tokenizer->roles[role] = cei_copy_string(spec->roles[role], strlen(spec->roles[role]));
        if (!tokenizer->roles[role]) return cei_fail_memory(error, "the special tokens", 0);
    }
    return CE_OK;
}

/* The model, which takes the spec's vocabulary. */
static ce_status create_model(cei_tokenizer_spec *spec, cei_token_model *model, ce_error *error) {
    const bool bpe = spec->kind == CEI_MODEL_BPE, unigram = spec->kind == CEI_MODEL_UNIGRAM;
    if (!bpe && spec->splits.byte_level)
        return cei_fail(error, CE_ERR_UNSUPPORTED,
                        "%s: the pre_tokenizer \"ByteLevel\" with the model \"%s\" is not supported by this build",
                        spec->path, unigram ? "Unigram" : "WordPiece");
    spec->bpe.byte_level = spec->splits.byte_level;
    if (bpe) return cei_bpe_create(&spec->vocabulary, &spec->merges, &spec->bpe, spec->path, model, error);
    return unigram ? cei_unigram_create(&spec->vocabulary, &spec->unigram, spec->path, model, error)
                   : cei_wordpiece_create(&spec->vocabulary, &spec->wordpiece, spec->path, model, error);
}

ce_status cei_tokenizer_build(cei_tokenizer_spec *spec, cei_tokenizer **tokenizer, ce_error *error) {
    cei_tokenizer *made = cei_alloc_zeroed(1, sizeof *made);
    if (!made) return cei_fail_memory(error, "the tokenizer", sizeof *made);
    made->normalizer = spec->normalizer;
    spec->normalizer.count = 0;
    made->pre_tokenize = spec->pre_tokenize;
    made->splits = spec->splits;
    made->metaspace = spec->metaspace;
    made->max_length = spec->max_length;
    ce_status status = create_model(spec, &made->model, error);
    if (status == CE_OK) status = add_all(made, spec, error);
    if (status == CE_OK) status = set_templates(made, spec, error);
    if (status == CE_OK) status = copy_roles(made, spec, error);
    if (status == CE_OK) {
        *tokenizer = made;
        return CE_OK;
    }
    cei_tokenizer_free(made);
    return status;
}

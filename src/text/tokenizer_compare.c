/* tokenizer_compare.c - whether two tokenizers are the same, by what their files say and what was built of that.
 *
 * For writers of other forms, which compare what they wrote, read again, with what it was made of: so nothing has to be
 * known twice of what a form cannot say. What decides no id (names of roles) is not looked at. */
#include "base/error.h"
#include "text/byte_level.h"
#include "text/charsmap.h"
#include "text/text_steps.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"
#include "text/utf8.h"

#include <stdio.h>

/* ---- vocabularies -------------------------------------------------------------------------------------------- */

static cei_word token_at(const cei_vocabulary *vocabulary, size_t slot) {
    const cei_vocabulary_slot *found = &vocabulary->slots[slot];
    return (cei_word){vocabulary->bytes.data + found->offset, found->size, 0};
}

static bool is_padding(cei_word token, int32_t id) {
    char name[24];
    snprintf(name, sizeof name, "[PAD%d]", (int)id);
    return token.size == strlen(name) && memcmp(token.data, name, token.size) == 0;
}

/* The contents of added tokens, so that they can be looked up. */
static bool index_added(const cei_added_list *list, cei_vocabulary *index) {
    bool good = cei_vocabulary_create(index, list->count);
    for (size_t i = 0; i < list->count && good; i++)
        good = cei_vocabulary_add(index, list->items[i].content, list->items[i].size, (int32_t)i);
    return good;
}

/* Is each token of one in the other, with its id? An added one need not be. */
static bool is_held(const cei_vocabulary *one, const cei_vocabulary *other, const cei_vocabulary *added) {
    for (size_t i = 0; i < one->slot_count; i++) {
        const int32_t id = one->slots[i].id;
        const cei_word token = token_at(one, i);
        if (id < 0 || token.size == 0) continue; /* the latter is found in no text */
        const int32_t found = cei_vocabulary_find(other, token.data, token.size);
        if (found == id || (found < 0 && is_padding(token, id))) continue;
        if (found >= 0 || cei_vocabulary_find(added, token.data, token.size) < 0) return false;
    }
    return true;
}

static ce_status same_vocabulary(const cei_tokenizer_spec *one, const cei_tokenizer_spec *other, bool *same,
                                 ce_error *error) {
    cei_vocabulary added[2] = {{0}};
    ce_status status = index_added(&one->added, &added[0]) && index_added(&other->added, &added[1])
                           ? CE_OK
                           : cei_fail_memory(error, "the added tokens", 0);
    *same = status == CE_OK && is_held(&one->vocabulary, &other->vocabulary, &added[1]) &&
            is_held(&other->vocabulary, &one->vocabulary, &added[0]);
    cei_vocabulary_free(&added[0]);
    cei_vocabulary_free(&added[1]);
    return status;
}

/* Has a vocabulary each byte, as its alphabet writes it or by its number, so that no character is unknown? */
static bool has_bytes(const cei_tokenizer_spec *spec) {
    uint16_t alphabet[256];
    cei_byte_level_alphabet(alphabet);
    for (unsigned i = 0; i < 256; i++) {
        char token[8];
        size_t size = cei_utf8_put(token, alphabet[i]);
        if (!spec->splits.byte_level) size = (size_t)snprintf(token, sizeof token, "<0x%02X>", i);
        if (cei_vocabulary_find(&spec->vocabulary, token, size) < 0) return false;
    }
    return spec->splits.byte_level || spec->bpe.byte_fallback;
}

/* ---- models -------------------------------------------------------------------------------------------------- */

bool cei_merge_walk_next(cei_merge_walk *walk, int32_t *left, int32_t *right) {
    const cei_merges *merges = &walk->spec->merges;
    const size_t i = walk->next++;
    if (merges->known_count > 0) {
        if (i >= merges->known_count) return false;
        *left = merges->known[i].left;
        *right = merges->known[i].right;
        return true;
    }
    if (i >= merges->count) return false;
    const char *text = merges->text.data + walk->at;
    const cei_merge_sizes sizes = merges->sizes[i];
    *left = cei_vocabulary_find(&walk->spec->vocabulary, text, sizes.left);
    *right = cei_vocabulary_find(&walk->spec->vocabulary, text + sizes.left, sizes.right);
    walk->at += (size_t)sizes.left + sizes.right;
    return true;
}

static bool same_merges(const cei_tokenizer_spec *one, const cei_tokenizer_spec *other) {
    cei_merge_walk a = {.spec = one}, b = {.spec = other};
    int32_t left[2] = {0}, right[2] = {0};
    for (;;) {
        const bool more = cei_merge_walk_next(&a, &left[0], &right[0]);
        if (cei_merge_walk_next(&b, &left[1], &right[1]) != more) return false;
        if (!more || left[0] != left[1] || right[0] != right[1]) return !more;
    }
}

static bool same_bpe(const cei_tokenizer_spec *one, const cei_tokenizer_spec *other) {
    const cei_bpe_options *a = &one->bpe, *b = &other->bpe;
    const bool same_unknown = cei_same_string(a->unknown, b->unknown) && a->fuse_unknown == b->fuse_unknown;
    return (same_unknown || has_bytes(one)) && cei_same_string(a->prefix, b->prefix) &&
           cei_same_string(a->suffix, b->suffix) && a->byte_fallback == b->byte_fallback &&
           a->ignore_merges == b->ignore_merges && same_merges(one, other);
}

static bool same_unigram(const cei_unigram_options *a, const cei_unigram_options *b) {
    if (a->unknown != b->unknown || a->byte_fallback != b->byte_fallback || a->count > b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if ((float)a->scores[i] != (float)b->scores[i]) return false;
    return true;
}

static bool same_wordpiece(const cei_wordpiece_options *a, const cei_wordpiece_options *b) {
    return cei_same_string(a->unknown, b->unknown) && cei_same_string(a->prefix, b->prefix) &&
           a->max_characters == b->max_characters;
}

static bool same_model(const cei_tokenizer_spec *one, const cei_tokenizer_spec *other) {
    if (one->kind != other->kind) return false;
    switch (one->kind) {
    case CEI_MODEL_WORDPIECE: return same_wordpiece(&one->wordpiece, &other->wordpiece);
    case CEI_MODEL_UNIGRAM: return same_unigram(&one->unigram, &other->unigram);
    default: return same_bpe(one, other);
    }
}

/* ---- before the model ---------------------------------------------------------------------------------------- */

static ce_status same_charsmap(const cei_charsmap *one, const cei_charsmap *other, bool *same, ce_error *error) {
    cei_bytes a = {0}, b = {0};
    ce_status status = cei_charsmap_write(one, &a) && cei_charsmap_write(other, &b)
                           ? CE_OK
                           : cei_fail_memory(error, "a charsmap", a.size);
    *same = status == CE_OK && a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
    cei_free(a.data);
    cei_free(b.data);
    return status;
}

static bool same_bytes(const char *one, size_t size, const char *other, size_t other_size) {
    return size == other_size && (size == 0 || memcmp(one, other, size) == 0);
}

static ce_status same_step(const cei_normalizer_step *a, const cei_normalizer_step *b, bool *same, ce_error *error) {
    const cei_bert_options *x = &a->bert, *y = &b->bert;
    *same = a->kind == b->kind && x->clean_text == y->clean_text && x->strip_accents == y->strip_accents &&
            x->handle_chinese_chars == y->handle_chinese_chars && x->lowercase == y->lowercase &&
            a->replace == b->replace && same_bytes(a->pattern, a->pattern_size, b->pattern, b->pattern_size) &&
            same_bytes(a->content, a->content_size, b->content, b->content_size) && a->strip_left == b->strip_left &&
            a->strip_right == b->strip_right;
    return *same && a->kind == CEI_NORMALIZER_CHARSMAP ? same_charsmap(a->charsmap, b->charsmap, same, error) : CE_OK;
}

static bool is_white(const char *text, size_t size) {
    for (size_t at = 0; at < size;)
        if (!cei_unicode_is(cei_utf8_next(text, &at), CEI_UNICODE_WHITE)) return false;
    return true;
}

/* Does a step put white space in the place of white space, or take it from the ends of a text, and nothing else? */
static bool is_about_white(const cei_normalizer_step *step) {
    if (step->kind == CEI_NORMALIZER_STRIP) return true;
    if (step->kind != CEI_NORMALIZER_REPLACE || step->replace == CEI_REPLACE_FIRST_MARK) return false;
    if (step->replace == CEI_REPLACE_STRING && !is_white(step->pattern, step->pattern_size)) return false;
    return is_white(step->content, step->content_size) &&
           (step->content_size > 0 || step->replace == CEI_REPLACE_EDGE_BLANKS);
}

/* Are words what is between white space, wherever that is, and however much? A mark before the first word alone asks
 * whether a text begins with it, and an added token may have some in its name. */
static bool parts_at_white(const cei_tokenizer_spec *spec) {
    const cei_metaspace *metaspace = &spec->metaspace;
    for (size_t i = 0; i < spec->added.count; i++)
        for (size_t at = 0; at < spec->added.items[i].size;)
            if (cei_unicode_is(cei_utf8_next(spec->added.items[i].content, &at), CEI_UNICODE_WHITE)) return false;
    return spec->splits.count == 0 && !spec->pre_tokenize && metaspace->split_white &&
           metaspace->prepend != CEI_PREPEND_FIRST;
}

/* The steps of a normalizer but for last ones that change no word: published files of XLM-RoBERTa's kin collapse
 * blanks, and then drop them. Where they collapse into marks it is another thing: U+0085 is white space that their
 * charsmap leaves, so that a mark before it stays alone. */
static size_t count_steps(const cei_tokenizer_spec *spec) {
    size_t count = spec->normalizer.count;
    if (!parts_at_white(spec)) return count;
    while (count > 0 && is_about_white(&spec->normalizer.steps[count - 1])) count--;
    return count;
}

static ce_status same_normalizer(const cei_tokenizer_spec *one, const cei_tokenizer_spec *other, bool *same,
                                 ce_error *error) {
    const size_t count = count_steps(one);
    ce_status status = CE_OK;
    *same = count == count_steps(other);
    for (size_t i = 0; i < count && *same && status == CE_OK; i++)
        status = same_step(&one->normalizer.steps[i], &other->normalizer.steps[i], same, error);
    return status;
}

static bool same_metaspace(const cei_metaspace *a, const cei_metaspace *b) {
    return a->split_white == b->split_white && a->mark == b->mark && a->split == b->split && a->prepend == b->prepend &&
           same_bytes(a->replacement, a->replacement_size, b->replacement, b->replacement_size);
}

static bool same_splits(const cei_tokenizer_spec *one, const cei_tokenizer_spec *other) {
    const cei_splits *a = &one->splits, *b = &other->splits;
    if (a->count != b->count || a->byte_level != b->byte_level) return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->steps[i].kind != b->steps[i].kind || a->steps[i].digits != b->steps[i].digits ||
            a->steps[i].prefix_space != b->steps[i].prefix_space)
            return false;
    return a->count > 0 || (one->pre_tokenize == other->pre_tokenize &&
                            (one->pre_tokenize || same_metaspace(&one->metaspace, &other->metaspace)));
}

/* ---- what is built ------------------------------------------------------------------------------------------- */

/* Whether they are looked for before or behind the normalizer is one where there is none. */
static bool same_added(const cei_tokenizer *one, const cei_tokenizer *other) {
    const bool normalizes = one->normalizer.count > 0;
    if (one->added.count != other->added.count) return false;
    for (size_t i = 0; i < one->added.names.slot_count; i++) {
        if (one->added.names.slots[i].id < 0) continue;
        const cei_word name = token_at(&one->added.names, i);
        const cei_added_token *a = &one->added.tokens[one->added.names.slots[i].id];
        const cei_added_token *b = cei_added_tokens_find(&other->added, name.data, name.size);
        if (!b || a->id != b->id || a->single_word != b->single_word || a->lstrip != b->lstrip ||
            a->rstrip != b->rstrip || (normalizes && a->normalized != b->normalized))
            return false;
    }
    return true;
}

static bool same_template(const cei_pair_template *a, const cei_pair_template *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const cei_pair_item *x = &a->items[i], *y = &b->items[i];
        const bool is_special = x->kind == CEI_PAIR_SPECIAL;
        if (x->kind != y->kind || x->type_id != y->type_id || (is_special && x->id != y->id)) return false;
    }
    return true;
}

static ce_status compare_built(cei_tokenizer_spec *one, cei_tokenizer_spec *other, const char **difference,
                               ce_error *error) {
    cei_tokenizer *a = NULL, *b = NULL;
    ce_status status = cei_tokenizer_build(one, &a, error);
    if (status == CE_OK) status = cei_tokenizer_build(other, &b, error);
    if (status == CE_OK && !same_added(a, b)) *difference = "its added tokens";
    if (status == CE_OK && !*difference &&
        !(same_template(&a->pair, &b->pair) && same_template(&a->single, &b->single)))
        *difference = "the special tokens around texts";
    cei_tokenizer_free(a);
    cei_tokenizer_free(b);
    return status;
}

ce_status cei_tokenizer_compare(cei_tokenizer_spec *one, cei_tokenizer_spec *other, const char **difference,
                                ce_error *error) {
    bool same = false, same_tokens = false;
    ce_status status = same_normalizer(one, other, &same, error);
    if (status == CE_OK) status = same_vocabulary(one, other, &same_tokens, error);
    *difference = !same                                            ? "its normalizer"
                  : !same_splits(one, other)                       ? "what cuts words"
                  : !same_tokens                                   ? "its vocabulary"
                  : !same_model(one, other)                        ? "its model's settings, scores or merges"
                  : one->left_truncation != other->left_truncation ? "the side that is truncated"
                                                                   : NULL;
    return status == CE_OK && !*difference ? compare_built(one, other, difference, error) : status;
}

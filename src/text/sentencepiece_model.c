/* sentencepiece_model.c - reads ModelProto: pieces, the trainer's and the normalizer's specifications.
 *
 * Defaults of fields are those of SentencePiece's description of the format. A message that comes
 * twice is merged, as the format wants it; a field of another type than the description's is damage. */
#include "text/sentencepiece_model.h"

#include "base/error.h"
#include "text/components.h"
#include "text/protobuf.h"
#include "text/sentencepiece_fields.h"
#include "text/utf8.h"

#include <math.h>

/* A string of the file, before it has its NUL. */
typedef struct name {
    const char *data;
    size_t size;
} name;

typedef struct reader {
    const char *path;
    cei_sentencepiece *model;
    ce_error *error;
    int64_t type, unknown, bos, eos;
    bool suffix;
    name unknown_name, bos_name, eos_name;
} reader;

static ce_status damaged(const reader *in, const char *what) {
    return cei_fail(in->error, CE_ERR_FORMAT, "%s is no SentencePiece model, or damaged: %s", in->path, what);
}

/* Is the field what the description says? */
static bool is_a(const cei_protobuf_field *field, cei_protobuf_type type, bool *good) {
    *good = *good && field->type == type;
    return field->type == type;
}

static void read_flag(const cei_protobuf_field *field, bool *value, bool *good) {
    if (is_a(field, CEI_PROTOBUF_VARINT, good)) *value = field->value != 0;
}

/* An int32: a negative one is written in 64 bits. */
static void read_number(const cei_protobuf_field *field, int64_t *value, bool *good) {
    if (is_a(field, CEI_PROTOBUF_VARINT, good)) *value = (int32_t)(uint32_t)field->value;
}

static void read_name(const cei_protobuf_field *field, name *value, bool *good) {
    if (is_a(field, CEI_PROTOBUF_BYTES, good)) *value = (name){field->data, field->size};
}

/* ---- pieces ---- */

static void read_piece_field(const cei_protobuf_field *field, cei_piece *piece, bool *good) {
    name text = {piece->text, piece->size};
    int64_t kind = piece->kind;
    const uint32_t bits = (uint32_t)field->value;
    switch (field->number) {
    case CEI_PIECE_TEXT_FIELD:
        read_name(field, &text, good);
        *good = *good && text.size <= UINT32_MAX;
        piece->text = text.data;
        piece->size = (uint32_t)text.size;
        break;
    case CEI_PIECE_SCORE_FIELD:
        if (is_a(field, CEI_PROTOBUF_FIXED32, good)) memcpy(&piece->score, &bits, sizeof bits);
        break;
    case CEI_PIECE_KIND_FIELD:
        read_number(field, &kind, good);
        *good = *good && kind >= CEI_PIECE_NORMAL && kind <= CEI_PIECE_BYTE;
        piece->kind = (cei_piece_kind)kind;
        break;
    default: break;
    }
}

static ce_status read_piece(reader *in, const cei_protobuf_field *message) {
    cei_sentencepiece *model = in->model;
    cei_protobuf fields = cei_protobuf_start(message->data, message->size);
    cei_protobuf_field field;
    cei_piece piece = {.kind = CEI_PIECE_NORMAL};
    bool good = message->type == CEI_PROTOBUF_BYTES;
    while (good && cei_protobuf_next(&fields, &field)) read_piece_field(&field, &piece, &good);
    if (!good || fields.bad || piece.size == 0 || !isfinite(piece.score) ||
        cei_utf8_check(piece.text, piece.size, NULL) < piece.size)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s is no SentencePiece model, or damaged: piece %zu", in->path,
                        model->count);
    if (model->count >= CEI_TOKEN_ID_LIMIT)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s has more than %d pieces", in->path, CEI_TOKEN_ID_LIMIT);
    void *pieces = model->pieces;
    bool grown = cei_grow(&pieces, &model->capacity, model->count + 1, sizeof *model->pieces);
    model->pieces = pieces;
    if (!grown) return cei_fail_memory(in->error, "the vocabulary", 0);
    model->pieces[model->count++] = piece;
    return CE_OK;
}

/* ---- specifications ---- */

static void read_trainer_field(reader *in, const cei_protobuf_field *field, bool *good) {
    switch (field->number) {
    case CEI_TRAINER_TYPE_FIELD: read_number(field, &in->type, good); break;
    case CEI_TRAINER_SUFFIX_FIELD: read_flag(field, &in->suffix, good); break;
    case CEI_TRAINER_BYTE_FALLBACK_FIELD: read_flag(field, &in->model->byte_fallback, good); break;
    case CEI_TRAINER_UNKNOWN_FIELD: read_number(field, &in->unknown, good); break;
    case CEI_TRAINER_BOS_FIELD: read_number(field, &in->bos, good); break;
    case CEI_TRAINER_EOS_FIELD: read_number(field, &in->eos, good); break;
    case CEI_TRAINER_UNKNOWN_NAME_FIELD: read_name(field, &in->unknown_name, good); break;
    case CEI_TRAINER_BOS_NAME_FIELD: read_name(field, &in->bos_name, good); break;
    case CEI_TRAINER_EOS_NAME_FIELD: read_name(field, &in->eos_name, good); break;
    default: break;
    }
}

static void read_normalizer_field(reader *in, const cei_protobuf_field *field, bool *good) {
    cei_sentencepiece *model = in->model;
    name charsmap = {model->charsmap, model->charsmap_size};
    switch (field->number) {
    case CEI_NORMALIZER_CHARSMAP_FIELD: read_name(field, &charsmap, good); break;
    case CEI_NORMALIZER_PREFIX_FIELD: read_flag(field, &model->prefix, good); break;
    case CEI_NORMALIZER_COLLAPSE_FIELD: read_flag(field, &model->collapse_blanks, good); break;
    case CEI_NORMALIZER_MARK_FIELD: read_flag(field, &model->mark_blanks, good); break;
    default: break;
    }
    model->charsmap = charsmap.size > 0 ? charsmap.data : NULL;
    model->charsmap_size = charsmap.size;
}

static ce_status read_specification(reader *in, const cei_protobuf_field *message,
                                    void (*read)(reader *, const cei_protobuf_field *, bool *), const char *what) {
    cei_protobuf fields = cei_protobuf_start(message->data, message->size);
    cei_protobuf_field field;
    bool good = message->type == CEI_PROTOBUF_BYTES;
    while (good && cei_protobuf_next(&fields, &field)) read(in, &field, &good);
    return good && !fields.bad ? CE_OK : damaged(in, what);
}

static ce_status read_field(reader *in, const cei_protobuf_field *field) {
    switch (field->number) {
    case CEI_MODEL_PIECES_FIELD: return read_piece(in, field);
    case CEI_MODEL_TRAINER_FIELD:
        return read_specification(in, field, read_trainer_field, "the trainer's specification");
    case CEI_MODEL_NORMALIZER_FIELD:
        return read_specification(in, field, read_normalizer_field, "the normalizer's specification");
    default: return CE_OK;
    }
}

/* ---- names ---- */

static bool has_name(const cei_piece *piece) {
    return piece->kind == CEI_PIECE_CONTROL || piece->kind == CEI_PIECE_USER_DEFINED;
}

/* Copies a name to where there is room for it and a NUL. */
static const char *keep(cei_bytes *names, const char *data, size_t size) {
    char *kept = names->data + names->size;
    memcpy(kept, data, size);
    kept[size] = '\0';
    names->size += size + 1;
    return kept;
}

static ce_status keep_names(reader *in) {
    cei_sentencepiece *model = in->model;
    size_t size = in->unknown_name.size + in->bos_name.size + in->eos_name.size + 3;
    for (size_t i = 0; i < model->count; i++)
        if (has_name(&model->pieces[i])) size += (size_t)model->pieces[i].size + 1;
    if (!cei_bytes_reserve(&model->names, size)) return cei_fail_memory(in->error, "the vocabulary", size);
    for (size_t i = 0; i < model->count; i++) {
        cei_piece *piece = &model->pieces[i];
        if (has_name(piece)) piece->text = keep(&model->names, piece->text, piece->size);
    }
    model->unknown_name = keep(&model->names, in->unknown_name.data, in->unknown_name.size);
    model->bos_name = keep(&model->names, in->bos_name.data, in->bos_name.size);
    model->eos_name = keep(&model->names, in->eos_name.data, in->eos_name.size);
    return CE_OK;
}

/* ---- the file ---- */

/* Words and characters are the types 3 and 4. */
static ce_status check(reader *in) {
    cei_sentencepiece *model = in->model;
    if (model->count == 0) return damaged(in, "it has no pieces");
    if (in->type != CEI_SENTENCEPIECE_UNIGRAM && in->type != CEI_SENTENCEPIECE_BPE)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s has a model of type %lld, and this build knows Unigram (1) and BPE (2)", in->path,
                        (long long)in->type);
    if (in->suffix)
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s marks blanks behind words (treat_whitespace_as_suffix), which this build does not",
                        in->path);
    if (in->unknown < 0 || (uint64_t)in->unknown >= model->count)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: the unk_id is %lld, and there are %zu pieces", in->path,
                        (long long)in->unknown, model->count);
    model->type = (cei_sentencepiece_type)in->type;
    model->unknown = (size_t)in->unknown;
    model->has_bos = in->bos >= 0;
    model->has_eos = in->eos >= 0;
    return CE_OK;
}

ce_status cei_sentencepiece_read(const char *data, size_t size, const char *path, cei_sentencepiece *model,
                                 ce_error *error) {
    reader in = {path, model, error, CEI_SENTENCEPIECE_UNIGRAM, 0, 1, 2, false, {"<unk>", 5}, {"<s>", 3}, {"</s>", 4}};
    cei_protobuf fields = cei_protobuf_start(data, size);
    cei_protobuf_field field;
    ce_status status = CE_OK;
    *model = (cei_sentencepiece){.prefix = true, .collapse_blanks = true, .mark_blanks = true};
    while (status == CE_OK && cei_protobuf_next(&fields, &field)) status = read_field(&in, &field);
    if (status == CE_OK && fields.bad) status = damaged(&in, "it breaks off");
    if (status == CE_OK) status = check(&in);
    if (status == CE_OK) status = keep_names(&in);
    if (status != CE_OK) cei_sentencepiece_free(model);
    return status;
}

void cei_sentencepiece_free(cei_sentencepiece *model) {
    cei_free(model->pieces);
    cei_free(model->names.data);
    *model = (cei_sentencepiece){0};
}

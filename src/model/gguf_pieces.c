/* gguf_pieces.c - from the vocabulary in a GGUF file to the file of a SentencePiece model, which it was made of.
 *
 * Written are a message ModelProto of Protocol Buffers with a piece for each token, of the type that it has, and what
 * the reader asks of the specifications; their other fields stay what the format has for them. */
#include "model/gguf_vocabulary.h"

#include "base/error.h"
#include "base/memory.h"
#include "text/sentencepiece_fields.h"
#include "text/sentencepiece_model.h"

#include <math.h>
#include <string.h>

/* Kinds of values, of the format. */
enum { VARINT = 0, BYTES = 2, FIXED32 = 5 };
enum { NONE = -1 };

static void put_varint(cei_json_out *out, uint64_t number) {
    do {
        const char byte = (char)((number & 0x7F) | (number > 0x7F ? 0x80 : 0));
        cei_json_put_bytes(out, &byte, 1);
        number >>= 7;
    } while (number > 0);
}

static void put_field(cei_json_out *out, unsigned number, unsigned kind) { put_varint(out, number << 3 | kind); }

/* A negative number is written in 64 bits. */
static void put_number(cei_json_out *out, unsigned field, int64_t number) {
    put_field(out, field, VARINT);
    put_varint(out, (uint64_t)number);
}

static void put_bytes(cei_json_out *out, unsigned field, const char *data, size_t size) {
    put_field(out, field, BYTES);
    put_varint(out, size);
    cei_json_put_bytes(out, data, size);
}

static void put_float(cei_json_out *out, unsigned field, float value) {
    uint32_t bits;
    char little[sizeof bits];
    memcpy(&bits, &value, sizeof bits);
    for (size_t i = 0; i < sizeof bits; i++) little[i] = (char)(bits >> 8 * i & 0xFF);
    put_field(out, field, FIXED32);
    cei_json_put_bytes(out, little, sizeof little);
}

/* A message in a message: its size comes first, so it is made apart. message is emptied. */
static void put_message(cei_json_out *out, unsigned field, cei_json_out *message) {
    out->is_short = out->is_short || message->is_short;
    put_bytes(out, field, message->data, message->size);
    message->size = 0;
}

static ce_status put_piece(const cei_gguf_vocabulary *work, size_t id, cei_json_out *piece) {
    const double score = cei_gguf_number_at(work->scores, id);
    const int kind = cei_gguf_token_type(work, id);
    if (!isfinite(score) || kind < CEI_PIECE_NORMAL || kind > CEI_PIECE_BYTE || work->tokens[id].size == 0)
        return cei_fail(work->error, CE_ERR_FORMAT,
                        "%s: token %zu is no piece: it is empty, or its score or type is none", work->file->path, id);
    put_bytes(piece, CEI_PIECE_TEXT_FIELD, work->tokens[id].data, work->tokens[id].size);
    put_float(piece, CEI_PIECE_SCORE_FIELD, (float)score);
    put_number(piece, CEI_PIECE_KIND_FIELD, kind);
    return CE_OK;
}

static int64_t id_of(const cei_gguf_vocabulary *work, size_t role) {
    return work->roles[role] == SIZE_MAX ? NONE : (int64_t)work->roles[role];
}

static bool has_bytes(const cei_gguf_vocabulary *work) {
    for (size_t id = 0; id < work->count; id++)
        if (cei_gguf_token_type(work, id) == CEI_PIECE_BYTE) return true;
    return false;
}

static void put_trainer(const cei_gguf_vocabulary *work, cei_json_out *trainer) {
    const int64_t unknown = id_of(work, CEI_VOCABULARY_UNK);
    put_number(trainer, CEI_TRAINER_TYPE_FIELD, CEI_SENTENCEPIECE_BPE);
    put_number(trainer, CEI_TRAINER_BYTE_FALLBACK_FIELD, has_bytes(work));
    put_number(trainer, CEI_TRAINER_UNKNOWN_FIELD, unknown == NONE ? 0 : unknown);
    put_number(trainer, CEI_TRAINER_BOS_FIELD, id_of(work, CEI_VOCABULARY_BOS));
    put_number(trainer, CEI_TRAINER_EOS_FIELD, id_of(work, CEI_VOCABULARY_EOS));
}

static void put_normalizer(const cei_gguf_vocabulary *work, cei_json_out *normalizer) {
    put_number(normalizer, CEI_NORMALIZER_PREFIX_FIELD, work->add_space);
    put_number(normalizer, CEI_NORMALIZER_COLLAPSE_FIELD, 0);
    put_number(normalizer, CEI_NORMALIZER_MARK_FIELD, 1);
}

ce_status cei_gguf_put_pieces(const cei_gguf_vocabulary *work, cei_json_out *out) {
    cei_json_out message = {0};
    ce_status status = CE_OK;
    for (size_t id = 0; id < work->count && status == CE_OK; id++) {
        status = put_piece(work, id, &message);
        put_message(out, CEI_MODEL_PIECES_FIELD, &message);
    }
    put_trainer(work, &message);
    put_message(out, CEI_MODEL_TRAINER_FIELD, &message);
    put_normalizer(work, &message);
    put_message(out, CEI_MODEL_NORMALIZER_FIELD, &message);
    cei_free(message.data);
    return status;
}

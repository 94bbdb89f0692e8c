/* sentencepiece_model.h - what a SentencePiece model file says: pieces with scores and kinds, and how text is
 * normalized and trained.
 *
 * The file is a message ModelProto of Protocol Buffers; fields that decide nothing here are stepped over. */
#ifndef CEI_SENTENCEPIECE_MODEL_H
#define CEI_SENTENCEPIECE_MODEL_H

#include "text/bytes.h"

#include <crossenc/status.h>
#include <stdint.h>

/* The numbers are the format's. */
typedef enum cei_piece_kind {
    CEI_PIECE_NORMAL = 1,
    CEI_PIECE_UNKNOWN = 2,
    CEI_PIECE_CONTROL = 3,      /* never in a text by itself: "<s>" */
    CEI_PIECE_USER_DEFINED = 4, /* found in a text before all else, and never cut */
    CEI_PIECE_UNUSED = 5,
    CEI_PIECE_BYTE = 6 /* "<0x0A>" */
} cei_piece_kind;

/* text lies in the file, but that of control and user-defined pieces has a NUL behind it. */
typedef struct cei_piece {
    const char *text;
    uint32_t size; /* not 0 */
    float score;   /* finite */
    cei_piece_kind kind;
} cei_piece;

typedef enum cei_sentencepiece_type { CEI_SENTENCEPIECE_UNIGRAM = 1, CEI_SENTENCEPIECE_BPE = 2 } cei_sentencepiece_type;

/* Zeroed is empty. Most of what it points to lies in the file. */
typedef struct cei_sentencepiece {
    cei_piece *pieces; /* by id */
    size_t count, capacity;
    cei_bytes names;
    cei_sentencepiece_type type;
    size_t unknown;        /* the id of the unknown piece */
    bool has_bos, has_eos; /* are there pieces for the beginning and the end? */
    const char *bos_name, *eos_name, *unknown_name;
    bool byte_fallback;                        /* unknown characters become pieces of bytes */
    bool prefix, collapse_blanks, mark_blanks; /* a blank before all, single ones, and each written as a mark */
    const char *charsmap;                      /* compiled; NULL if there is none */
    size_t charsmap_size;
} cei_sentencepiece;

/* Reads a file of size bytes at data, which has to outlive the model. Takes at most 12 times the file's size. path is
 * for messages. Errors: FORMAT, UNSUPPORTED (neither Unigram nor BPE, or blanks behind words), MEMORY. */
ce_status cei_sentencepiece_read(const char *data, size_t size, const char *path, cei_sentencepiece *model,
                                 ce_error *error);
void cei_sentencepiece_free(cei_sentencepiece *model);

#endif

/* crossenc/convert.h - a model folder in another precision, made ahead, or of a GGUF file; and GGUF files.
 *
 * A model can be loaded in any precision from any of these forms; a form of that precision is smaller on disk and
 * sooner loaded. The folder that is made has all that crossenc reads:
 *
 *     model.safetensors   float32   every tensor F32
 *                         bfloat16  matrices and tables BF16, rounded to nearest; vectors and the classifier F32
 *                         float16   the same as F16; a number that rounds beyond 65,504 is an error
 *                         int8      matrices and tables of at least two rows and 4,096 values, the classifier's aside,
 *                                   as NAME I8 [rows, columns] and NAME.scale F32 [rows], weight = scale * value;
 *                                   the rest F32. The scale of a row is searched for a small squared error. What is
 *                                   I8 already stays as it is
 *                         of a GGUF file the values that its types stand for
 *     other files         copied, those that are there: config.json, the tokenizer's files, modules.json,
 *                         config_sentence_transformers.json, README.md, LICENSE and their like; of a GGUF file
 *                         config.json, tokenizer.json and tokenizer_config.json as it says them, and of a bi-encoder
 *                         modules.json and its pooling
 *     folders of modules  of a bi-encoder, under their names ("1_Pooling"): config.json, and of Dense and LayerNorm
 *                         model.safetensors, F32 in every precision
 *
 * Tensors have the names that Hugging Face gives them now; those that the model does not read are left out (a
 * bi-encoder's pooler, a classifier that embeddings are made without). Other programs read all forms but int8, whose
 * scales they do not know.
 *
 * Where the name to be made ends with ".gguf", it becomes one GGUF file with the tokenizer inside, as llama.cpp has
 * them: of the models that are read from such files (docs/models.md), as long as the file can say all that the model
 * is, which is found by reading it again. Vectors, positions, token types and the classifier are F32 in it, the rest of
 * ce_gguf_type. */
#ifndef CROSSENC_CONVERT_H
#define CROSSENC_CONVERT_H

#include <crossenc/model.h>
#include <crossenc/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The type of matrices in a GGUF file. */
typedef enum ce_gguf_type {
    CE_GGUF_DEFAULT = 0, /* by the precision: F32, BF16, F16, or Q8_0 for int8 */
    CE_GGUF_F32 = 1,
    CE_GGUF_F16 = 2,
    CE_GGUF_BF16 = 3,
    CE_GGUF_Q8_0 = 4 /* blocks of 32 integers with a scale; F16 where rows are no whole blocks */
} ce_gguf_type;

/* "F32", "F16", "BF16", "Q8_0"; "default" for 0; NULL for a value that is no ce_gguf_type. */
CE_API const char *ce_gguf_type_name(ce_gguf_type type);

/* How to convert. Zero every field but size for the defaults. */
typedef struct ce_convert_options {
    size_t size;            /* sizeof(ce_convert_options) as the caller was compiled */
    ce_precision precision; /* of the weights that are written; default: float32 */
    ce_kind kind;           /* what is read from the folder; default: what it says that it is. A transformer alone, or
                               a cross-encoder, taken for a bi-encoder, becomes a transformer alone */
    bool overwrite; /* replace a GGUF file, or a model folder, that is there. A folder with a folder in it that is not a
                       module's, or with files and neither config.json nor modules.json, is not replaced; nor is a link
                     */
    unsigned threads; /* as in ce_load_options */
    ce_log_fn log;    /* NULL is silence */
    void *log_user;
    ce_progress_fn progress; /* NULL is none; in bytes of weights that were read */
    void *progress_user;
    const char *adapter;    /* as in ce_load_options: what is written is the model with it */
    ce_gguf_type gguf_type; /* of a GGUF file, in place of the precision */
} ce_convert_options;

/* How far a conversion came. */
typedef enum ce_convert_stage {
    CE_CONVERT_READING = 0, /* what failed is the model that was to be read */
    CE_CONVERT_WRITING = 1, /* what failed is the folder, or file, that was to be written */
    CE_CONVERT_DONE = 2
} ce_convert_stage;

typedef struct ce_convert_report {
    size_t size;            /* set by the caller: sizeof(ce_convert_report) */
    ce_convert_stage stage; /* set on failure too */
    ce_precision precision;
    ce_kind kind;             /* that it was read as */
    uint32_t tensors;         /* that the model reads; an int8 tensor and its scales are one */
    uint32_t tensors_rounded; /* of them, those whose values changed */
    uint32_t tensors_dropped; /* in the files, and not written */
    uint32_t files;           /* that were copied */
    uint64_t bytes_before;    /* weights in the model's files */
    uint64_t bytes_after;     /* weights in the new files */
    double largest_error;     /* |w - w'| / |w| (Euclidean norms) of the tensor that changed most, and its name; */
    char largest_error_tensor[128]; /* 0 and "" if none changed */
    ce_gguf_type gguf_type;         /* of a GGUF file; DEFAULT: it is a folder */
} ce_convert_report;

/* Reads the model in the folder from, and makes the folder to, or the GGUF file, of it.
 *
 * The model is checked as ce_model_load checks it, and so is the new folder before it gets its name: a known input runs
 * through the portable reference, reading the new file. to appears whole or not at all: files are written in a folder
 * ".crossenc-..." beside it, which is removed on failure, put on disk, and renamed. An old folder stays until then;
 * where the file system can exchange two names, there is no moment without one of them. Host memory is bounded: weights
 * are streamed in blocks.
 *
 * from     as the path of ce_model_load, or of ce_encoder_load
 * to       a path that is free, in a folder that exists; one that ends with ".gguf", in any case, is that of a file
 * options  NULL is all defaults
 * report   may be NULL
 *
 * Errors: those of ce_model_load, or ce_encoder_load, without a device's; IO (to is there, cannot be written, no room);
 * ARGUMENT (to is from; a gguf_type for a folder, or beside a precision); MODEL (weights with NaN or infinity);
 * UNSUPPORTED (what a GGUF file cannot say, by name); CANCELLED. Thread-safe. */
CE_API ce_status ce_convert(const char *from, const char *to, const ce_convert_options *options,
                            ce_convert_report *report, ce_error *error);

#ifdef __cplusplus
}
#endif
#endif

/* crossenc/model.h - a model, and where it is.
 *
 * A ce_model is a config, a tokenizer and weights that are placed on one device. It is immutable but for its
 * placement, and may be used by any number of threads at once.
 *
 *              ce_model_load                      ce_model_to
 *    (none) ----------------> PLACING --ok--> READY ----------> MOVING --ok--> READY on the other device
 *                               | fail                             | fail
 *                               v                                  v
 *                          error, nothing held               READY where it was; the error says why
 *
 * - When ce_model_load returns CE_OK, the weights are on the device that the caller named, and this is verified:
 *   each tensor's checksum, computed on the device, equals that of the file, and a known input gave through every
 *   operation what the portable reference gives. No other copy of the weights stays in host memory.
 * - Nothing moves a model but ce_model_to. A move is a transaction: calls in flight finish on the old placement,
 *   and after any failure the model works on as before.
 * - CE_PLACE_DEFERRED resolves and probes the device, and holds nothing there until ce_model_place or first use.
 * - Where several devices are named (crossenc/device.h), each holds a replica, of which all of this is true. A load or
 *   a move that fails on one of them fails whole. One that is lost later takes the calls along that it worked on, and
 *   the model goes on with the others until ce_model_place brings it back; without any it is LOST. */
#ifndef CROSSENC_MODEL_H
#define CROSSENC_MODEL_H

#include <crossenc/device.h>
#include <crossenc/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ce_model ce_model;

/* What is applied to the logits. The names are those of torch.nn. */
typedef enum ce_activation {
    CE_ACTIVATION_DEFAULT = 0,  /* the model's own: from its config, else Sigmoid for one label, else Identity */
    CE_ACTIVATION_IDENTITY = 1, /* raw logits */
    CE_ACTIVATION_SIGMOID = 2,  /* 1 / (1 + exp(-x)) */
    CE_ACTIVATION_TANH = 3,
    CE_ACTIVATION_RELU = 4,   /* max(x, 0) */
    CE_ACTIVATION_SOFTMAX = 5 /* exp(x_i) / sum_j exp(x_j) over the labels of one pair */
} ce_activation;

typedef enum ce_place_mode {
    CE_PLACE_EAGER = 0,   /* on the device when ce_model_load returns */
    CE_PLACE_DEFERRED = 1 /* on the device at first use or at ce_model_place */
} ce_place_mode;

typedef enum ce_model_state {
    CE_STATE_DEFERRED = 0, /* nothing held on the device yet */
    CE_STATE_PLACING = 1,
    CE_STATE_READY = 2,
    CE_STATE_MOVING = 3, /* works on the old device while the new placement is built */
    CE_STATE_LOST = 4    /* the device went away; ce_model_place or ce_model_to bring the model back */
} ce_model_state;

/* Whether pooling takes the tokens of a prompt in with those of the text. It is said at load, for what the network has
 * to compute depends on it. */
typedef enum ce_include_prompt {
    CE_INCLUDE_PROMPT_DEFAULT = 0, /* what the folder says, else yes */
    CE_INCLUDE_PROMPT_YES = 1,
    CE_INCLUDE_PROMPT_NO = 2
} ce_include_prompt;

/* How to load. Zero every field but size for the defaults:
 *     ce_load_options options = {.size = sizeof options};  */
typedef struct ce_load_options {
    size_t size;              /* sizeof(ce_load_options) as the caller was compiled */
    const char *device;       /* NULL is "auto"; one, or several with commas between: see crossenc/device.h */
    ce_place_mode place;      /* default: eager */
    ce_precision precision;   /* default: float32 */
    unsigned threads;         /* CPU threads that one call may use, the caller's included; 1 starts none (but for
                                 several devices, each of which is served by one more);
                                 0 is all that this process may use (affinity and cgroup quota) */
    const char *cpus;         /* CPUs to bind those threads to, "0-3,8": the second thread to the second of them, and
                                 so on; the caller's own thread is never bound. threads 0 is then their number.
                                 NULL binds none, which lets the system choose */
    size_t max_length;        /* tokens of a pair, special ones included; 0 is the model's own limit.
                                 At most the number of positions of the model */
    size_t num_labels;        /* 0 is the config's; else the classifier head must have as many rows */
    ce_activation activation; /* applied by predict and rank unless a call says otherwise. DEFAULT is UNSUPPORTED of a
                                 model whose files name another class of torch.nn */
    size_t batch_tokens;      /* tokens that are encoded together; 0 is a good value. Scores don't depend on it */
    uint64_t cpu_disable;     /* CE_CPU_* tiers not to use; 0 is none. For tests and bug reports */
    ce_log_fn log;            /* NULL is silence */
    void *log_user;
    ce_include_prompt include_prompt; /* of a bi-encoder: do a prompt's tokens count in pooling? */
    const char *adapter;              /* LoRA adapter (PEFT) to lay over the model: a folder, or a name that
                                         ce_model_find finds; or one of the model's own, by the task that its config
                                         names among lora_adaptations. NULL is none, or the one that path itself has */
} ce_load_options;

/* Instruction-set tiers of the cpu device, for ce_load_options.cpu_disable. Those of x86-64: the others stand on the
 * first two, and multiply in bfloat16 or int8, or read float16: without AVX2 there is none, without AVX512 none of
 * AVX-512 or AMX. To use AMX is to ask the system for its registers, which the process then has for good:
 * docs/architecture.md. */
#define CE_CPU_AVX2 ((uint64_t)1 << 0)
#define CE_CPU_AVX512 ((uint64_t)1 << 1)
#define CE_CPU_AVX_VNNI ((uint64_t)1 << 2)    /* int8 */
#define CE_CPU_AVX512_VNNI ((uint64_t)1 << 3) /* int8 */
#define CE_CPU_AVX512_BF16 ((uint64_t)1 << 4) /* bfloat16 */
#define CE_CPU_AMX_BF16 ((uint64_t)1 << 5)    /* bfloat16 */
#define CE_CPU_AMX_INT8 ((uint64_t)1 << 6)    /* int8 */
#define CE_CPU_F16C ((uint64_t)1 << 7)        /* float16: how weights are widened, to the same bits without it */
#define CE_CPU_AMX_FLOAT32                                                               \
    ((uint64_t)1 << 8) /* float32, by exact sums of integers; stands on CE_CPU_AMX_INT8. \
                          Attention too, by bfloat16, if CE_CPU_AMX_BF16 is there */

/* Those of 64-bit ARM. The others stand on NEON: without it there is none. */
#define CE_CPU_NEON ((uint64_t)1 << 32)         /* the baseline there */
#define CE_CPU_NEON_DOTPROD ((uint64_t)1 << 33) /* int8, by FEAT_DotProd */
#define CE_CPU_NEON_I8MM ((uint64_t)1 << 34)    /* int8, by FEAT_I8MM */
#define CE_CPU_NEON_BF16 ((uint64_t)1 << 35)    /* bfloat16, by FEAT_BF16 */

/* What the model in a folder is for. */
typedef enum ce_kind {
    CE_KIND_DEFAULT = 0,       /* what the folder says: ce_kind_find */
    CE_KIND_CROSS_ENCODER = 1, /* scores pairs: a ce_model */
    CE_KIND_BI_ENCODER = 2     /* gives each text an embedding: a ce_encoder (crossenc/encoder.h) */
} ce_kind;

/* "default", "cross-encoder", "bi-encoder"; NULL for a value that is no ce_kind. */
CE_API const char *ce_kind_name(ce_kind kind);

/* What a folder says that its model is: a bi-encoder if it has modules.json, unless config_sentence_transformers.json
 * names another model_type than SentenceTransformer; else a cross-encoder. Reads these two files alone. A GGUF file is
 * a cross-encoder if it has a classification head, or a part of one.
 *
 * kind  receives CE_KIND_CROSS_ENCODER or CE_KIND_BI_ENCODER
 *
 * Errors: ARGUMENT, NOT_FOUND (no such folder), IO, FORMAT, MEMORY. Thread-safe. */
CE_API ce_status ce_kind_find(const char *path, ce_kind *kind, ce_error *error);

/* Loads a model from a folder as Hugging Face lays it out: config.json, model.safetensors (or
 * model.safetensors.index.json and its shards; where neither is there, pytorch_model.bin or its index and shards, of
 * which nothing is run), tokenizer.json, or vocab.txt, or vocab.json and
 * merges.txt, or a SentencePiece model (sentencepiece.bpe.model, spm.model, spiece.model, tokenizer.model), and, if
 * there, tokenizer_config.json and special_tokens_map.json. Or from a GGUF file, or a folder that has one and no
 * config.json: docs/models.md says which models such files hold. Or from the folder of a LoRA adapter
 * (adapter_config.json and adapter_model.safetensors or .bin), which names the model that it changes.
 *
 * path     UTF-8 or any bytes that the file system takes; not NULL
 * options  NULL is all defaults
 * model    receives the model, owned by the caller (ce_model_free); NULL on failure
 *
 * Errors: any. On failure nothing is held, on any device or in host memory. Thread-safe. */
CE_API ce_status ce_model_load(const char *path, const ce_load_options *options, ce_model **model, ce_error *error);

/* Releases the model and what it holds on its device. NULL is fine. No call on the model may be in flight. */
CE_API void ce_model_free(ce_model *model);

/* The folder of the model that comes with crossenc, for those who name none: the environment variable
 * CROSSENC_DEFAULT_MODEL if set, else the folder beside the installed library or in the source tree.
 * Writes a NUL-terminated path of at most size bytes. Errors: CE_ERR_NOT_FOUND, CE_ERR_ARGUMENT (too small). */
CE_API ce_status ce_default_model_path(char *path, size_t size, ce_error *error);

/* Places a deferred or lost model on its device, as ce_model_load would have, and the replica of a device that was lost
 * where others work on. CE_OK at once if nothing is missing.
 * Errors: those of placing. On failure the model is as it was. Thread-safe. */
CE_API ce_status ce_model_place(ce_model *model, ce_error *error);

/* Moves the model to another device and stays there. The new placement is built and verified beside the old
 * one, then swapped in; calls in flight finish on the old one, whose memory is released after the last of them.
 * Naming the device where a READY model is does nothing; of several, replicas stay on those that are named again. A
 * deferred model changes its target and stays deferred.
 * Weights are read from the model's files if they are unchanged since load, else from the old device.
 * Errors: those of placing. On failure the model is where it was and works as before. Thread-safe; moves queue. */
CE_API ce_status ce_model_to(ce_model *model, const char *device, ce_error *error);

/* A model's health: the known input again, on the device, and what the device says of itself. */
typedef struct ce_health {
    size_t size; /* set by the caller: sizeof(ce_health) */
    ce_model_state state;
    double milliseconds;   /* the check's own time */
    uint64_t memory_free;  /* bytes free on the device now; 0 if unknown. Of several devices, on that with the least */
    uint64_t memory_total; /* bytes */
} ce_health;

/* Runs the known input again, on each device, and compares the bits with those at placement; cheap enough for a health
 * route. health may be NULL. A deferred model is probed, not placed. One device of several that was lost is
 * CE_ERR_DEVICE_LOST, in state READY. Errors: CE_ERR_DEVICE_LOST, CE_ERR_DEVICE_FAULT, CE_ERR_VERIFY, CE_ERR_MEMORY.
 * Thread-safe. */
CE_API ce_status ce_model_check(ce_model *model, ce_health *health, ce_error *error);

/* Where the model is, how it came there and what was checked. Times are wall-clock milliseconds. */
typedef struct ce_placement_report {
    size_t size; /* set by the caller: sizeof(ce_placement_report) */
    ce_model_state state;
    char requested[CE_DEVICE_LIST_SIZE]; /* what the caller asked for: "auto" */
    char device[CE_DEVICE_ID_SIZE];      /* what that resolved to: "cpu" */
    char device_name[96];
    ce_precision precision;
    uint64_t generation;       /* placements so far: 0 deferred, 1 after load, +1 with each move */
    uint64_t file_bytes;       /* weights in the files */
    uint64_t weight_bytes;     /* weights on the device; planned ones if deferred */
    uint64_t workspace_bytes;  /* on the device beside the weights, now; planned if deferred */
    uint64_t host_bytes;       /* weight bytes held in host memory apart from the device's: 0 */
    uint32_t tensors;          /* tensors that the model reads */
    uint32_t tensors_verified; /* of them, those whose checksum was computed on the device and agrees */
    uint32_t tensors_unused;   /* tensors in the files that the model does not read */
    bool self_tested;          /* the known input ran end to end and agrees */
    double self_test_error;    /* largest deviation of its logits from the reference's, |a - b| / (1 + |b|); of a
                                  bi-encoder's values, |a - b| / (r + |b|), r the root mean square of the embedding */
    double self_test_bound;    /* the most that is allowed */
    bool fell_back;            /* "auto" passed over a device that failed; see fallback_reason */
    char fallback_reason[256];
    double resolve_ms, open_ms, upload_ms, verify_ms, self_test_ms, total_ms;
    uint64_t staging_bytes; /* of host memory that held weights on their way to the device, at most, pages of the files
                               included; what a driver takes for itself is not known */
    uint32_t devices;       /* that the model is on, or is to be: each has a report of its own */
} ce_placement_report;

/* Fills report; of a model on several devices, with what holds for the first that has a replica. Never waits for a
 * placing or moving in progress. Thread-safe. Errors: CE_ERR_ARGUMENT. */
CE_API ce_status ce_model_placement(const ce_model *model, ce_placement_report *report, ce_error *error);

/* The same of one device, from 0 in the order in which they were named. While others work on, the state of one that was
 * lost is LOST. Errors: CE_ERR_ARGUMENT (also: no such device; a move may have made them fewer). Thread-safe. */
CE_API ce_status ce_model_placement_at(const ce_model *model, size_t index, ce_placement_report *report,
                                       ce_error *error);

/* What the model is. Strings are the model's and live as long. */
typedef struct ce_model_info {
    size_t size; /* set by the caller: sizeof(ce_model_info) */
    const char *path;
    const char *architecture; /* "BertForSequenceClassification" */
    const char *tokenizer;    /* "WordPiece" */
    size_t num_labels;
    size_t max_length;     /* tokens of a pair, special ones included */
    size_t special_tokens; /* of a pair: the least that max_length may be */
    size_t max_positions;
    size_t vocab_size;
    size_t hidden_size, layers, heads, intermediate_size;
    uint64_t parameters;
    ce_activation activation;   /* never CE_ACTIVATION_DEFAULT */
    const char *weight_dtype;   /* as in the files: "F32", "F16", "BF16", "I8", or several: "I8, F32" */
    const char *weight_format;  /* of those files: "safetensors", "PyTorch" or "GGUF" */
    size_t prompts;             /* named prompts: see ce_model_prompt_at */
    const char *default_prompt; /* the name of the prompt that pairs get unless a call says otherwise; NULL is none */
    bool chat_template;         /* pairs become prompts by the model's chat template; else they are joined */
} ce_model_info;

/* Fills info. Thread-safe. Errors: CE_ERR_ARGUMENT. */
CE_API ce_status ce_model_describe(const ce_model *model, ce_model_info *info, ce_error *error);

/* The name and the text of prompt index, in the order of the folder's file; false if index is not below the number of
 * prompts. Either pointer may be NULL. The model's own strings. Thread-safe. */
CE_API bool ce_model_prompt_at(const ce_model *model, size_t index, const char **name, const char **text);

/* The text of a named prompt; NULL if there is none of that name. The model's own string. Thread-safe. */
CE_API const char *ce_model_prompt(const ce_model *model, const char *name);

/* The name of label index (id2label), or NULL if index is not below num_labels. The model's own string. */
CE_API const char *ce_model_label(const ce_model *model, size_t index);

/* "Identity", "Sigmoid", ...; never NULL. */
CE_API const char *ce_activation_name(ce_activation activation);

#ifdef __cplusplus
}
#endif
#endif

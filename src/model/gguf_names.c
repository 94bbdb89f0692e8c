/* gguf_names.c - the names of tensors in GGUF files and in model folders, one table for each kind of model. */
#include "model/gguf.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

typedef const char *const names[2];

static names bert_whole[] = {{"token_embd", "embeddings.word_embeddings"},
                             {"position_embd", "embeddings.position_embeddings"},
                             {"token_types", "embeddings.token_type_embeddings"},
                             {"token_embd_norm", "embeddings.LayerNorm"},
                             {"cls", "pooler.dense"},
                             {NULL, NULL}};
static names bert_parts[] = {{"attn_q", "attention.self.query"},
                             {"attn_k", "attention.self.key"},
                             {"attn_v", "attention.self.value"},
                             {"attn_output", "attention.output.dense"},
                             {"attn_output_norm", "attention.output.LayerNorm"},
                             {"ffn_up", "intermediate.dense"},
                             {"ffn_down", "output.dense"},
                             {"layer_output_norm", "output.LayerNorm"},
                             {NULL, NULL}};
static names bert_head[] = {{"cls.output", "classifier"}, {NULL, NULL}};
static names roberta_head[] = {{"cls", "classifier.dense"}, {"cls.output", "classifier.out_proj"}, {NULL, NULL}};

static names distilbert_whole[] = {{"token_embd", "embeddings.word_embeddings"},
                                   {"position_embd", "embeddings.position_embeddings"},
                                   {"token_embd_norm", "embeddings.LayerNorm"},
                                   {NULL, NULL}};
static names distilbert_parts[] = {{"attn_q", "attention.q_lin"},
                                   {"attn_k", "attention.k_lin"},
                                   {"attn_v", "attention.v_lin"},
                                   {"attn_output", "attention.out_lin"},
                                   {"attn_output_norm", "sa_layer_norm"},
                                   {"ffn_up", "ffn.lin1"},
                                   {"ffn_down", "ffn.lin2"},
                                   {"layer_output_norm", "output_layer_norm"},
                                   {NULL, NULL}};
static names distilbert_head[] = {{"cls", "pre_classifier"}, {"cls.output", "classifier"}, {NULL, NULL}};

static names nomic_whole[] = {{"token_embd", "embeddings.word_embeddings"},
                              {"token_types", "embeddings.token_type_embeddings"},
                              {"token_embd_norm", "embeddings.LayerNorm"},
                              {NULL, NULL}};
static names nomic_parts[] = {{"attn_q", "self_attn.q_proj"},
                              {"attn_k", "self_attn.k_proj"},
                              {"attn_v", "self_attn.v_proj"},
                              {"attn_output", "self_attn.o_proj"},
                              {"attn_output_norm", "post_attention_layernorm"},
                              {"ffn_gate", "mlp.gate_proj"},
                              {"ffn_up", "mlp.up_proj"},
                              {"ffn_down", "mlp.down_proj"},
                              {"layer_output_norm", "post_mlp_layernorm"},
                              {NULL, NULL}};
static names nomic_authors_whole[] = {{"token_embd", "embeddings.word_embeddings"},
                                      {"token_types", "embeddings.token_type_embeddings"},
                                      {"token_embd_norm", "emb_ln"},
                                      {NULL, NULL}};
static names nomic_authors_parts[] = {{"attn_output", "attn.out_proj"},
                                      {"attn_output_norm", "norm1"},
                                      {"ffn_gate", "mlp.fc12"},
                                      {"ffn_up", "mlp.fc11"},
                                      {"ffn_down", "mlp.fc2"},
                                      {"layer_output_norm", "norm2"},
                                      {NULL, NULL}};
static names no_head[] = {{NULL, NULL}};

static names modern_whole[] = {{"token_embd", "embeddings.tok_embeddings"},
                               {"token_embd_norm", "embeddings.norm"},
                               {"output_norm", "final_norm"},
                               {NULL, NULL}};
static names modern_parts[] = {{"attn_norm", "attn_norm"}, {"attn_output", "attn.Wo"}, {"ffn_norm", "mlp_norm"},
                               {"ffn_up", "mlp.Wi"},       {"ffn_down", "mlp.Wo"},     {NULL, NULL}};
static names modern_head[] = {
    {"cls", "head.dense"}, {"cls.norm", "head.norm"}, {"cls.output", "classifier"}, {NULL, NULL}};

static names jina_whole[] = {{"token_embd", "embeddings.word_embeddings"},
                             {"token_types", "embeddings.token_type_embeddings"},
                             {"token_embd_norm", "embeddings.LayerNorm"},
                             {"cls", "pooler.dense"},
                             {NULL, NULL}};
static names jina_parts[] = {{"attn_q", "attention.self.query"},
                             {"attn_k", "attention.self.key"},
                             {"attn_v", "attention.self.value"},
                             {"attn_output", "attention.output.dense"},
                             {"attn_output_norm", "attention.output.LayerNorm"},
                             {"ffn_gate", "mlp.gated_layers_w"},
                             {"ffn_up", "mlp.gated_layers"},
                             {"ffn_down", "mlp.wo"},
                             {"layer_output_norm", "mlp.layernorm"},
                             {NULL, NULL}};

#define DECODER_PARTS                                                                                       \
    {"attn_norm", "input_layernorm"}, {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},       \
        {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"}, {"ffn_gate", "mlp.gate_proj"}, \
        {"ffn_up", "mlp.up_proj"}, {                                                                        \
        "ffn_down", "mlp.down_proj"                                                                         \
    }
#define NORM_BEFORE \
    { "ffn_norm", "post_attention_layernorm" }
#define NORMS_AROUND                                                                                  \
    {"post_attention_norm", "post_attention_layernorm"}, {"ffn_norm", "pre_feedforward_layernorm"}, { \
        "post_ffw_norm", "post_feedforward_layernorm"                                                 \
    }
#define HEAD_NORMS \
    {"attn_q_norm", "self_attn.q_norm"}, { "attn_k_norm", "self_attn.k_norm" }

static names decoder_whole[] = {{"token_embd", "embed_tokens"}, {"output_norm", "norm"}, {NULL, NULL}};
static names decoder_head[] = {{"cls.output", "score"}, {"output", "lm_head"}, {NULL, NULL}};
static names decoder_parts[] = {DECODER_PARTS, NORM_BEFORE, {NULL, NULL}};
static names qwen3_parts[] = {DECODER_PARTS, NORM_BEFORE, HEAD_NORMS, {NULL, NULL}};
static names gemma2_parts[] = {DECODER_PARTS, NORMS_AROUND, {NULL, NULL}};
static names gemma3_parts[] = {DECODER_PARTS, NORMS_AROUND, HEAD_NORMS, {NULL, NULL}};

#define SELF_ATTENTION \
    { "attention.self.query", "attention.self.key", "attention.self.value" }

#define CLASSES(name) .encoder = name "Model", .classifier = name "ForSequenceClassification"

/* RoBERTa and its kin, whose names are BERT's but for the prefix and the head. They are only written: a file says of
 * itself that it is BERT's. */
#define ROBERTA(type, name)                                                                                     \
    {                                                                                                           \
        .architecture = "bert", .model_type = (type), CLASSES(name), .prefix = "roberta.", .whole = bert_whole, \
        .layer = "encoder.layer", .parts = bert_parts, .qkv = SELF_ATTENTION, .head = roberta_head              \
    }

#define DECODER(name, type, class, its_causal, its_parts)                                                      \
    .architecture = (name), .model_type = (type), CLASSES(class), .causal = its_causal "ForCausalLM",          \
    .prefix = "model.", .whole = decoder_whole, .layer = "layers", .parts = (its_parts), .head = decoder_head, \
    .is_decoder = true

static const cei_gguf_form forms[] = {
    {.architecture = "bert",
     .model_type = "bert",
     CLASSES("Bert"),
     .prefix = "bert.",
     .whole = bert_whole,
     .layer = "encoder.layer",
     .parts = bert_parts,
     .qkv = SELF_ATTENTION,
     .head = bert_head},
    {.architecture = "bert",
     .model_type = "distilbert",
     CLASSES("DistilBert"),
     .prefix = "distilbert.",
     .whole = distilbert_whole,
     .layer = "transformer.layer",
     .parts = distilbert_parts,
     .qkv = {"attention.q_lin", "attention.k_lin", "attention.v_lin"},
     .head = distilbert_head},
    {.architecture = "nomic-bert",
     .model_type = "nomic_bert",
     CLASSES("NomicBert"),
     .prefix = "nomic_bert.",
     .whole = nomic_whole,
     .layer = "layers",
     .parts = nomic_parts,
     .qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
     .head = no_head},
    {.architecture = "modern-bert",
     .model_type = "modernbert",
     CLASSES("ModernBert"),
     .prefix = "model.",
     .whole = modern_whole,
     .layer = "layers",
     .parts = modern_parts,
     .qkv = {"attn.Wqkv"},
     .head = modern_head},
    {.architecture = "jina-bert-v2",
     .model_type = "bert",
     CLASSES("JinaBert"),
     .prefix = "bert.",
     .whole = jina_whole,
     .layer = "encoder.layer",
     .parts = jina_parts,
     .qkv = SELF_ATTENTION,
     .head = bert_head,
     .position = "alibi",
     .up_alone = "mlp.gated_layers_v"},
    {DECODER("qwen2", "qwen2", "Qwen2", "Qwen2", decoder_parts)},
    {DECODER("qwen3", "qwen3", "Qwen3", "Qwen3", qwen3_parts)},
    {DECODER("llama", "llama", "Llama", "Llama", decoder_parts), .is_paired = true},
    {DECODER("gemma", "gemma", "Gemma", "Gemma", decoder_parts), .is_more = true},
    {DECODER("gemma2", "gemma2", "Gemma2", "Gemma2", gemma2_parts), .is_more = true},
    {DECODER("gemma3", "gemma3_text", "Gemma3Text", "Gemma3", gemma3_parts), .is_more = true},
    ROBERTA("roberta", "Roberta"),
    ROBERTA("xlm-roberta", "XLMRoberta"),
    ROBERTA("camembert", "Camembert"),
    {.architecture = "nomic-bert", /* as its authors' code names it: written, and read as transformers' */
     .model_type = "nomic_bert",
     CLASSES("NomicBert"),
     .prefix = "bert.",
     .whole = nomic_authors_whole,
     .layer = "encoder.layers",
     .parts = nomic_authors_parts,
     .qkv = {"attn.Wqkv"},
     .head = no_head,
     .is_authors = true},
    {DECODER("llama", "mistral", "Mistral", "Mistral", decoder_parts), .is_paired = true}, /* written as Llama's too */
};
enum { FORMS = sizeof forms / sizeof forms[0], DISTILBERT = 1 };

const cei_gguf_form *cei_gguf_form_find(cei_gguf_text architecture, bool has_types) {
    for (size_t i = 0; i < FORMS; i++)
        if (cei_gguf_text_is(architecture, forms[i].architecture))
            return i == 0 && !has_types ? &forms[DISTILBERT] : &forms[i];
    return NULL;
}

const cei_gguf_form *cei_gguf_form_of(const cei_config *config) {
    const bool is_alibi = strcmp(config->position_embedding, "alibi") == 0;
    for (size_t i = 0; i < FORMS; i++)
        if (strcmp(config->model_type, forms[i].model_type) == 0 && (forms[i].position != NULL) == is_alibi &&
            forms[i].is_authors == config->is_authors)
            return &forms[i];
    return NULL;
}

/* ---- naming -------------------------------------------------------------------------------------------------- */

/* What names, and the order of rows, depend on. */
typedef struct naming_rule {
    const cei_gguf_form *form;
    const char *prefix;
    size_t inner;     /* rows of a feed-forward's matrix */
    size_t head_size; /* columns of a head of queries */
    bool reads_words; /* the rows of two words keep their name, as no folder has them */
} naming_rule;

static const char *look_up(names *table, cei_gguf_text stem) {
    for (; (*table)[0]; table++)
        if (cei_gguf_text_is(stem, (*table)[0])) return (*table)[1];
    return NULL;
}

static void set_name(cei_naming *to, const char *prefix, const char *stem, const char *kind) {
    snprintf(to->names[to->count++], CEI_NAME_SIZE, "%s%s%s", prefix, stem, kind);
}

/* What a tensor of a layer is, by its stem; NULL if nothing is known of it. */
static const char *name_stem(const naming_rule *rule, cei_gguf_text stem, const cei_tensor *tensor) {
    const bool is_alone = rule->form->up_alone && cei_gguf_text_is(stem, "ffn_up") && tensor->shape[0] == rule->inner;
    return is_alone ? rule->form->up_alone : look_up(rule->form->parts, stem);
}

/* How rows of queries and keys lie in a file: in pairs of heads of so many columns, or not. */
static size_t pairs_of(const cei_gguf_form *form, size_t head_size, cei_gguf_text stem) {
    const bool turns = cei_gguf_text_is(stem, "attn_q") || cei_gguf_text_is(stem, "attn_k");
    return form->is_paired && turns ? head_size : 0;
}

/* Are a file's values of the tensor one more, by the end of its name before kind? */
static bool is_more(const cei_gguf_form *form, const char *name, const char *kind) {
    return form->is_more && kind - name >= 4 && strncmp(kind - 4, "norm", 4) == 0;
}

static void name_part(const naming_rule *rule, cei_gguf_text index, cei_gguf_text stem, const char *kind,
                      const cei_tensor *tensor, cei_naming *to) {
    const cei_gguf_form *form = rule->form;
    char prefix[CEI_NAME_SIZE / 2];
    snprintf(prefix, sizeof prefix, "%s%s.%.*s.", rule->prefix, form->layer, (int)index.size, index.data);
    const char *name = name_stem(rule, stem, tensor);
    if (name) set_name(to, prefix, name, kind);
    for (size_t i = 0; cei_gguf_text_is(stem, "attn_qkv") && i < CEI_MOST_NAMES && form->qkv[i]; i++)
        set_name(to, prefix, form->qkv[i], kind);
    to->pairs = pairs_of(form, rule->head_size, stem);
}

/* "blk.3.attn_q.weight", "token_embd.weight", "cls.output.bias". What is not known keeps its name. */
static void name_tensor(const void *user, const cei_tensor *tensor, cei_naming *to) {
    static const char block[] = "blk.";
    const naming_rule *rule = user;
    const char *name = tensor->name, *kind = strrchr(name, '.');
    if (!kind || (strcmp(kind, ".weight") != 0 && strcmp(kind, ".bias") != 0)) return;
    if (rule->reads_words && strcmp(name, CEI_GGUF_WORDS) == 0) return;
    to->is_more = is_more(rule->form, name, kind);
    if (strncmp(name, block, sizeof block - 1) == 0) {
        const char *index = name + sizeof block - 1;
        const size_t digits = strspn(index, "0123456789");
        if (digits == 0 || digits > 6 || index[digits] != '.' || index + digits >= kind) return;
        const cei_gguf_text stem = {index + digits + 1, (size_t)(kind - index - digits - 1)};
        name_part(rule, (cei_gguf_text){index, digits}, stem, kind, tensor, to);
        return;
    }
    const cei_gguf_text stem = {name, (size_t)(kind - name)};
    const char *whole = look_up(rule->form->whole, stem), *head = look_up(rule->form->head, stem);
    if (whole) set_name(to, rule->prefix, whole, kind);
    if (!whole && head) set_name(to, "", head, kind);
}

bool cei_gguf_is_known(const cei_gguf_form *form, const cei_tensor *tensor) {
    const naming_rule rule = {.form = form, .prefix = ""};
    cei_naming to = {.count = 0};
    if (form->is_paired && strcmp(tensor->name, CEI_GGUF_DIVISORS) == 0) return true;
    name_tensor(&rule, tensor, &to);
    return to.count > 0;
}

/* ---- the way back -------------------------------------------------------------------------------------------- */

/* What a table's second names are in the file. */
static const char *look_back(names *table, cei_gguf_text stem) {
    for (; (*table)[0]; table++)
        if (cei_gguf_text_is(stem, (*table)[1])) return (*table)[0];
    return NULL;
}

/* Text behind a beginning that it has; else NULL. */
static const char *behind(const char *text, const char *beginning) {
    const size_t length = strlen(beginning);
    return strncmp(text, beginning, length) == 0 ? text + length : NULL;
}

/* "3.attention.self.query.weight", where kind is the end of it. */
static bool name_back_part(const cei_gguf_form *form, size_t head_size, const char *part, const char *kind,
                           cei_naming *to) {
    const size_t digits = strspn(part, "0123456789");
    if (digits == 0 || part[digits] != '.' || part + digits >= kind) return false;
    const cei_gguf_text stem = {part + digits + 1, (size_t)(kind - part - digits - 1)};
    const char *name = form->qkv[0] && !form->qkv[1] && cei_gguf_text_is(stem, form->qkv[0])
                           ? "attn_qkv"
                           : look_back(form->parts, stem);
    if (!name) return false;
    snprintf(to->names[to->count++], CEI_NAME_SIZE, "blk.%.*s.%s%s", (int)digits, part, name, kind);
    to->pairs = pairs_of(form, head_size, (cei_gguf_text){name, strlen(name)});
    return true;
}

/* One that is there once, under inner without the encoder's prefix. */
static bool name_back_whole(const cei_gguf_form *form, const char *name, const char *inner, const char *kind,
                            cei_naming *to) {
    const char *found = look_back(form->whole, (cei_gguf_text){inner, (size_t)(kind - inner)});
    if (!found) found = look_back(form->head, (cei_gguf_text){name, (size_t)(kind - name)});
    if (found) snprintf(to->names[to->count++], CEI_NAME_SIZE, "%s%s", found, kind);
    return found != NULL;
}

bool cei_gguf_name_back(const cei_gguf_form *form, size_t head_size, const char *name, cei_naming *to) {
    const char *inner = behind(name, form->prefix), *kind = strrchr(name, '.');
    *to = (cei_naming){.count = 0};
    if (!kind || (strcmp(kind, ".weight") != 0 && strcmp(kind, ".bias") != 0)) return false;
    if (!inner) inner = name;
    const char *part = behind(inner, form->layer);
    const bool found = part && *part == '.' ? name_back_part(form, head_size, part + 1, kind, to)
                                            : name_back_whole(form, name, inner, kind, to);
    if (found) to->is_more = is_more(form, to->names[0], strrchr(to->names[0], '.'));
    return found;
}

size_t cei_gguf_head_size(const cei_config *config) {
    if (config->decoder.head_size > 0) return config->decoder.head_size;
    return config->heads ? config->hidden_size / config->heads : 0;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

ce_status cei_gguf_open_weights(const char *file, const cei_config *config, bool bi_encoder,
                                cei_checkpoint **checkpoint, ce_error *error) {
    const cei_gguf_form *form = cei_gguf_form_of(config);
    size_t stem;
    const naming_rule rule = {.form = form,
                              .prefix = bi_encoder ? "" : form->prefix,
                              .inner = config->intermediate_size,
                              .head_size = cei_gguf_head_size(config),
                              .reads_words = cei_ends_with(config->architecture, "ForCausalLM", &stem)};
    return cei_checkpoint_open_gguf(file, name_tensor, &rule, checkpoint, error);
}

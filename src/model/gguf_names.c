/* gguf_names.c - the names of tensors in GGUF files and in model folders, one table for each kind of model. */
#include "model/gguf.h"

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
static names no_head[] = {{NULL, NULL}};

static names modern_whole[] = {{"token_embd", "embeddings.tok_embeddings"},
                               {"token_embd_norm", "embeddings.norm"},
                               {"output_norm", "final_norm"},
                               {NULL, NULL}};
static names modern_parts[] = {{"attn_norm", "attn_norm"}, {"attn_output", "attn.Wo"}, {"ffn_norm", "mlp_norm"},
                               {"ffn_up", "mlp.Wi"},       {"ffn_down", "mlp.Wo"},     {NULL, NULL}};
static names modern_head[] = {
    {"cls", "head.dense"}, {"cls.norm", "head.norm"}, {"cls.output", "classifier"}, {NULL, NULL}};

/* RoBERTa and its kin, whose names are BERT's but for the prefix and the head. */
#define ROBERTA(type)                                                                            \
    {                                                                                            \
        "bert", type, "", "", "roberta.", bert_whole, "encoder.layer", bert_parts,               \
            {"attention.self.query", "attention.self.key", "attention.self.value"}, roberta_head \
    }

static const cei_gguf_form forms[] = {
    {"bert",
     "bert",
     "BertModel",
     "BertForSequenceClassification",
     "bert.",
     bert_whole,
     "encoder.layer",
     bert_parts,
     {"attention.self.query", "attention.self.key", "attention.self.value"},
     bert_head},
    {"bert",
     "distilbert",
     "DistilBertModel",
     "DistilBertForSequenceClassification",
     "distilbert.",
     distilbert_whole,
     "transformer.layer",
     distilbert_parts,
     {"attention.q_lin", "attention.k_lin", "attention.v_lin"},
     distilbert_head},
    {"nomic-bert",
     "nomic_bert",
     "NomicBertModel",
     "NomicBertForSequenceClassification",
     "nomic_bert.",
     nomic_whole,
     "layers",
     nomic_parts,
     {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
     no_head},
    {"modern-bert",
     "modernbert",
     "ModernBertModel",
     "ModernBertForSequenceClassification",
     "model.",
     modern_whole,
     "layers",
     modern_parts,
     {"attn.Wqkv"},
     modern_head},
    /* These are only written: a file says of itself that it is BERT's. */
    ROBERTA("roberta"),
    ROBERTA("xlm-roberta"),
    ROBERTA("camembert"),
};
enum { FORMS = sizeof forms / sizeof forms[0], DISTILBERT = 1 };

static bool is_text(cei_gguf_text text, const char *name) {
    return text.size == strlen(name) && memcmp(text.data, name, text.size) == 0;
}

const cei_gguf_form *cei_gguf_form_find(cei_gguf_text architecture, bool has_types) {
    for (size_t i = 0; i < FORMS; i++)
        if (is_text(architecture, forms[i].architecture)) return i == 0 && !has_types ? &forms[DISTILBERT] : &forms[i];
    return NULL;
}

const cei_gguf_form *cei_gguf_form_of(const char *model_type) {
    for (size_t i = 0; i < FORMS; i++)
        if (strcmp(model_type, forms[i].model_type) == 0) return &forms[i];
    return NULL;
}

/* ---- naming -------------------------------------------------------------------------------------------------- */

/* What names depend on. */
typedef struct naming_rule {
    const cei_gguf_form *form;
    const char *prefix;
} naming_rule;

static const char *look_up(names *table, cei_gguf_text stem) {
    for (; (*table)[0]; table++)
        if (is_text(stem, (*table)[0])) return (*table)[1];
    return NULL;
}

static void set_name(cei_naming *to, const char *prefix, const char *stem, const char *kind) {
    snprintf(to->names[to->count++], CEI_NAME_SIZE, "%s%s%s", prefix, stem, kind);
}

static void name_part(const naming_rule *rule, cei_gguf_text index, cei_gguf_text stem, const char *kind,
                      cei_naming *to) {
    const cei_gguf_form *form = rule->form;
    char prefix[CEI_NAME_SIZE / 2];
    snprintf(prefix, sizeof prefix, "%s%s.%.*s.", rule->prefix, form->layer, (int)index.size, index.data);
    const char *name = look_up(form->parts, stem);
    if (name) set_name(to, prefix, name, kind);
    for (size_t i = 0; is_text(stem, "attn_qkv") && i < CEI_MOST_NAMES && form->qkv[i]; i++)
        set_name(to, prefix, form->qkv[i], kind);
}

/* "blk.3.attn_q.weight", "token_embd.weight", "cls.output.bias". What is not known keeps its name. */
static void name_tensor(const void *user, const cei_tensor *tensor, cei_naming *to) {
    static const char block[] = "blk.";
    const naming_rule *rule = user;
    const char *name = tensor->name, *kind = strrchr(name, '.');
    if (!kind || (strcmp(kind, ".weight") != 0 && strcmp(kind, ".bias") != 0)) return;
    if (strncmp(name, block, sizeof block - 1) == 0) {
        const char *index = name + sizeof block - 1;
        const size_t digits = strspn(index, "0123456789");
        if (digits == 0 || digits > 6 || index[digits] != '.' || index + digits >= kind) return;
        const cei_gguf_text stem = {index + digits + 1, (size_t)(kind - index - digits - 1)};
        name_part(rule, (cei_gguf_text){index, digits}, stem, kind, to);
        return;
    }
    const cei_gguf_text stem = {name, (size_t)(kind - name)};
    const char *whole = look_up(rule->form->whole, stem), *head = look_up(rule->form->head, stem);
    if (whole) set_name(to, rule->prefix, whole, kind);
    if (!whole && head) set_name(to, "", head, kind);
}

/* ---- the way back -------------------------------------------------------------------------------------------- */

/* What a table's second names are in the file. */
static const char *look_back(names *table, cei_gguf_text stem) {
    for (; (*table)[0]; table++)
        if (is_text(stem, (*table)[1])) return (*table)[0];
    return NULL;
}

/* Text behind a beginning that it has; else NULL. */
static const char *behind(const char *text, const char *beginning) {
    const size_t length = strlen(beginning);
    return strncmp(text, beginning, length) == 0 ? text + length : NULL;
}

/* "3.attention.self.query.weight", where kind is the end of it. */
static bool name_back_part(const cei_gguf_form *form, const char *part, const char *kind, char out[CEI_NAME_SIZE]) {
    const size_t digits = strspn(part, "0123456789");
    if (digits == 0 || part[digits] != '.' || part + digits >= kind) return false;
    const cei_gguf_text stem = {part + digits + 1, (size_t)(kind - part - digits - 1)};
    const char *name = !form->qkv[1] && is_text(stem, form->qkv[0]) ? "attn_qkv" : look_back(form->parts, stem);
    if (name) snprintf(out, CEI_NAME_SIZE, "blk.%.*s.%s%s", (int)digits, part, name, kind);
    return name != NULL;
}

bool cei_gguf_name_back(const cei_gguf_form *form, const char *name, char out[CEI_NAME_SIZE]) {
    const char *inner = behind(name, form->prefix), *kind = strrchr(name, '.');
    if (!kind || (strcmp(kind, ".weight") != 0 && strcmp(kind, ".bias") != 0)) return false;
    if (!inner) inner = name;
    const char *part = behind(inner, form->layer);
    if (part && *part == '.') return name_back_part(form, part + 1, kind, out);
    const char *found = look_back(form->whole, (cei_gguf_text){inner, (size_t)(kind - inner)});
    if (!found) found = look_back(form->head, (cei_gguf_text){name, (size_t)(kind - name)});
    if (found) snprintf(out, CEI_NAME_SIZE, "%s%s", found, kind);
    return found != NULL;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

ce_status cei_gguf_open_weights(const char *file, const char *model_type, bool bi_encoder, cei_checkpoint **checkpoint,
                                ce_error *error) {
    const cei_gguf_form *form = cei_gguf_form_of(model_type);
    const naming_rule rule = {form, bi_encoder ? "" : form->prefix};
    return cei_checkpoint_open_gguf(file, name_tensor, &rule, checkpoint, error);
}

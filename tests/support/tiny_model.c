/* tiny_model.c - writes small random BERTs: config, vocabulary, safetensors, modules. Relies on support.h for files. */
#include "support/tiny_model.h"

#include "formats/rounding.h"
#include "support/support.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One tensor of the model: [rows, columns], a vector if rows is 0. Values are center + spread * uniform(-1, 1). */
typedef struct tiny_tensor {
    char name[96];
    size_t rows, columns;
    float center, spread;
} tiny_tensor;

enum { MOST_TENSORS = 256 };

typedef struct tensor_list {
    tiny_tensor all[MOST_TENSORS];
    size_t count;
} tensor_list;

tiny_model tiny_model_default(void) {
    return (tiny_model){.vocab = 200,
                        .hidden = 32,
                        .layers = 2,
                        .heads = 4,
                        .intermediate = 64,
                        .positions = 64,
                        .types = 2,
                        .labels = 1,
                        .hidden_act = "gelu",
                        .dtype = "F32",
                        .seed = 1};
}

/* ---- tensors ------------------------------------------------------------------------------------------------- */

static void add(tensor_list *list, size_t rows, size_t columns, float center, float spread, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

static void add(tensor_list *list, size_t rows, size_t columns, float center, float spread, const char *format, ...) {
    assert_true(list->count < MOST_TENSORS);
    tiny_tensor *tensor = &list->all[list->count++];
    *tensor = (tiny_tensor){.rows = rows, .columns = columns, .center = center, .spread = spread};
    va_list args;
    va_start(args, format);
    vsnprintf(tensor->name, sizeof tensor->name, format, args);
    va_end(args);
}

static void add_dense(tensor_list *list, size_t out, size_t in, const char *name) {
    add(list, out, in, 0.0f, 1.5f / sqrtf((float)in), "%s.weight", name);
    add(list, 0, out, 0.0f, 0.1f, "%s.bias", name);
}

static void add_norm(tensor_list *list, size_t columns, const char *name) {
    add(list, 0, columns, 1.0f, 0.2f, "%s.weight", name);
    add(list, 0, columns, 0.0f, 0.1f, "%s.bias", name);
}

static void add_layer(tensor_list *list, const tiny_model *model, size_t layer) {
    static const char *const dense[] = {"attention.self.query", "attention.self.key", "attention.self.value",
                                        "attention.output.dense"};
    size_t hidden = model->hidden;
    char name[80];
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "bert.encoder.layer.%zu.%s", layer, dense[i]);
        add_dense(list, hidden, hidden, name);
    }
    snprintf(name, sizeof name, "bert.encoder.layer.%zu.attention.output.LayerNorm", layer);
    add_norm(list, hidden, name);
    snprintf(name, sizeof name, "bert.encoder.layer.%zu.intermediate.dense", layer);
    add_dense(list, model->intermediate, hidden, name);
    snprintf(name, sizeof name, "bert.encoder.layer.%zu.output.dense", layer);
    add_dense(list, hidden, model->intermediate, name);
    snprintf(name, sizeof name, "bert.encoder.layer.%zu.output.LayerNorm", layer);
    add_norm(list, hidden, name);
}

static tensor_list *list_tensors(const tiny_model *model) {
    tensor_list *list = calloc(1, sizeof *list);
    assert_non_null(list);
    add(list, model->vocab, model->hidden, 0.0f, 1.0f, "bert.embeddings.word_embeddings.weight");
    add(list, model->positions, model->hidden, 0.0f, 0.5f, "bert.embeddings.position_embeddings.weight");
    add(list, model->types, model->hidden, 0.0f, 0.5f, "bert.embeddings.token_type_embeddings.weight");
    add_norm(list, model->hidden, "bert.embeddings.LayerNorm");
    for (size_t i = 0; i < model->layers; i++) add_layer(list, model, i);
    add_dense(list, model->hidden, model->hidden, "bert.pooler.dense");
    add_dense(list, model->labels, model->hidden, "classifier");
    return list;
}

static size_t rows_of(const tiny_tensor *tensor) { return tensor->rows ? tensor->rows : 1; }

/* A mix of the three numbers, uniform over 32 bits (the finalizer of MurmurHash3). */
static uint32_t hash(uint32_t seed, size_t tensor, size_t index) {
    uint32_t h = seed * 0x9E3779B9u ^ (uint32_t)tensor * 0x85EBCA6Bu ^ (uint32_t)index * 0xC2B2AE35u;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    return h ^ h >> 16;
}

static float value_of(const tiny_model *model, const tiny_tensor *tensor, size_t number, size_t index) {
    float uniform = (float)(hash(model->seed, number, index) >> 8) / 8388608.0f - 1.0f;
    return tensor->center + tensor->spread * uniform;
}

size_t tiny_model_tensors(const tiny_model *model) {
    tensor_list *list = list_tensors(model);
    size_t count = list->count;
    free(list);
    return count;
}

static size_t count_values(const tensor_list *list) {
    size_t total = 0;
    for (size_t i = 0; i < list->count; i++) total += rows_of(&list->all[i]) * list->all[i].columns;
    return total;
}

size_t tiny_model_parameters(const tiny_model *model) {
    tensor_list *list = list_tensors(model);
    size_t total = count_values(list);
    free(list);
    return total;
}

void tiny_model_word_row(const tiny_model *model, size_t row, float *out) {
    tensor_list *list = list_tensors(model);
    for (size_t i = 0; i < model->hidden; i++) out[i] = value_of(model, &list->all[0], 0, row * model->hidden + i);
    free(list);
}

/* ---- safetensors --------------------------------------------------------------------------------------------- */

/* Bytes that grow. */
typedef struct bytes {
    unsigned char *data;
    size_t size, capacity;
} bytes;

static void append(bytes *to, const void *data, size_t size) {
    if (to->size + size > to->capacity) {
        to->capacity = 2 * (to->size + size);
        to->data = realloc(to->data, to->capacity);
        assert_non_null(to->data);
    }
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void append_text(bytes *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append_text(bytes *to, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(length >= 0 && (size_t)length < sizeof text);
    append(to, text, (size_t)length);
}

static void declare(bytes *header, const char *name, const char *suffix, const char *dtype, const tiny_tensor *tensor,
                    size_t begin, size_t end) {
    append_text(header, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", header->size > 1 ? "," : "", name, suffix, dtype);
    if (*suffix)
        append_text(header, "%zu", tensor->rows);
    else if (tensor->rows)
        append_text(header, "%zu,%zu", tensor->rows, tensor->columns);
    else
        append_text(header, "%zu", tensor->columns);
    append_text(header, "],\"data_offsets\":[%zu,%zu]}", begin, end);
}

static void append_f16(bytes *data, float value) {
    const uint16_t half = cei_round_float16(value);
    append(data, &half, sizeof half);
}

static void append_bf16(bytes *data, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t high = (uint16_t)(bits >> 16);
    append(data, &high, sizeof high);
}

/* Values of a matrix as int8 with a scale for each row, which is written as a tensor of its own. */
static void write_int8(const tiny_model *model, const tiny_tensor *tensor, size_t number, bytes *header, bytes *data) {
    size_t begin = data->size;
    float scale = tensor->spread / 127.0f;
    for (size_t i = 0; i < tensor->rows; i++) append(data, &scale, sizeof scale);
    declare(header, tensor->name, ".scale", "F32", tensor, begin, data->size);
    begin = data->size;
    for (size_t i = 0; i < tensor->rows * tensor->columns; i++) {
        int8_t value = (int8_t)lrintf(value_of(model, tensor, number, i) / scale);
        append(data, &value, sizeof value);
    }
    declare(header, tensor->name, "", "I8", tensor, begin, data->size);
}

static void write_tensor(const tiny_model *model, const tiny_tensor *tensor, size_t number, bytes *header,
                         bytes *data) {
    bool int8 = strcmp(model->dtype, "I8") == 0, bf16 = strcmp(model->dtype, "BF16") == 0;
    bool f16 = strcmp(model->dtype, "F16") == 0;
    if (int8 && tensor->rows) {
        write_int8(model, tensor, number, header, data);
        return;
    }
    size_t begin = data->size;
    if (model->hollow) {
        data->size += rows_of(tensor) * tensor->columns * sizeof(float);
        declare(header, tensor->name, "", "F32", tensor, begin, data->size);
        return;
    }
    for (size_t i = 0; i < rows_of(tensor) * tensor->columns; i++) {
        float value = value_of(model, tensor, number, i);
        if (bf16)
            append_bf16(data, value);
        else if (f16)
            append_f16(data, value);
        else
            append(data, &value, sizeof value);
    }
    declare(header, tensor->name, "", int8 ? "F32" : model->dtype, tensor, begin, data->size);
}

/* seeded says what the values depend on beside the tensor's number and shape. */
static void write_weights(const tiny_model *seeded, const tensor_list *list, const char *folder) {
    bytes header = {0}, data = {0}, file = {0};
    append_text(&header, "{");
    for (size_t i = 0; i < list->count; i++) write_tensor(seeded, &list->all[i], i, &header, &data);
    append_text(&header, "}");
    while (header.size % 8) append_text(&header, " ");
    uint64_t length = header.size;
    append(&file, &length, sizeof length); /* little-endian, as the machines that tests run on */
    append(&file, header.data, header.size);
    if (!seeded->hollow) append(&file, data.data, data.size);
    test_write_file(folder, "model.safetensors", file.data, file.size);
    if (seeded->hollow)
        assert_int_equal(truncate(test_path(folder, "model.safetensors"), (off_t)(file.size + data.size)), 0);
    free(header.data);
    free(data.data);
    free(file.data);
}

/* ---- the other files ----------------------------------------------------------------------------------------- */

static void write_config(const tiny_model *model, const char *folder) {
    bytes text = {0};
    append_text(&text, "{\"architectures\": [\"BertForSequenceClassification\"], \"model_type\": \"bert\",\n");
    append_text(&text, "\"vocab_size\": %zu, \"hidden_size\": %zu, \"num_hidden_layers\": %zu,\n", model->vocab,
                model->hidden, model->layers);
    append_text(&text, "\"num_attention_heads\": %zu, \"intermediate_size\": %zu,\n", model->heads,
                model->intermediate);
    append_text(&text, "\"max_position_embeddings\": %zu, \"type_vocab_size\": %zu,\n", model->positions, model->types);
    append_text(&text, "\"hidden_act\": \"%s\", \"layer_norm_eps\": 1e-12,\n\"id2label\": {", model->hidden_act);
    for (size_t i = 0; i < model->labels; i++) append_text(&text, "%s\"%zu\": \"LABEL_%zu\"", i ? ", " : "", i, i);
    append_text(&text, "}}\n");
    test_write_file(folder, "config.json", text.data, text.size);
    free(text.data);
}

static void write_vocabulary(const tiny_model *model, const char *folder) {
    bytes text = {0};
    append_text(&text, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (const char *c = "abcdefghijklmnopqrstuvwxyz0123456789"; *c; c++) append_text(&text, "%c\n##%c\n", *c, *c);
    size_t written = 5 + 2 * 36;
    assert_true(model->vocab >= written);
    for (size_t i = 0; written + i < model->vocab; i++) append_text(&text, "word%zu\n", i);
    test_write_file(folder, "vocab.txt", text.data, text.size);
    text.size = 0;
    append_text(&text, "{\"do_lower_case\": true, \"model_max_length\": %zu}\n", model->positions);
    test_write_file(folder, "tokenizer_config.json", text.data, text.size);
    free(text.data);
}

void tiny_model_write(const tiny_model *model, const char *folder) {
    write_config(model, folder);
    write_vocabulary(model, folder);
    tensor_list *list = list_tensors(model);
    write_weights(model, list, folder);
    free(list);
}

char *tiny_model_folder(const tiny_model *model) {
    char *folder = test_make_folder();
    tiny_model_write(model, folder);
    return folder;
}

void tiny_model_write_tokenizer(const char *folder, bool with_cls) {
    static const char settings[] = "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"model_max_length\": 64}\n";
    static const char a[] = "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}";
    bytes text = {0};
    append_text(&text, "{\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"vocab\": "
                       "{\"[UNK]\": 1, \"[CLS]\": 2, \"word0\": 77, \"word1\": 78}}, \"normalizer\": null, "
                       "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}");
    if (with_cls)
        append_text(
            &text,
            ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": "
            "\"[CLS]\", \"type_id\": 0}}, %s], \"pair\": [%s, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], "
            "\"special_tokens\": {\"[CLS]\": {\"id\": \"[CLS]\", \"ids\": [2], \"tokens\": [\"[CLS]\"]}}}",
            a, a);
    append_text(&text, "}\n");
    test_write_file(folder, "tokenizer.json", text.data, text.size);
    test_write_file(folder, "tokenizer_config.json", settings, sizeof settings - 1);
    free(text.data);
}

/* ---- bi-encoders --------------------------------------------------------------------------------------------- */

tiny_encoder tiny_encoder_default(void) {
    return (tiny_encoder){
        .transformer = tiny_model_default(), .pooling = "\"mean\"", .poolings = 1, .include_prompt = true};
}

static size_t pooled_columns(const tiny_encoder *encoder) { return encoder->poolings * encoder->transformer.hidden; }

static tensor_list list_dense(const tiny_encoder *encoder) {
    tensor_list list = {.count = 0};
    if (encoder->dimension) add_dense(&list, encoder->dimension, pooled_columns(encoder), "linear");
    return list;
}

static tensor_list list_norm(const tiny_encoder *encoder) {
    tensor_list list = {.count = 0};
    if (encoder->dimension) add_norm(&list, encoder->dimension, "norm");
    return list;
}

/* A module's folder: its config, and its weights if it has any. */
static void write_module(const tiny_encoder *encoder, const char *folder, const char *name, const tensor_list *list,
                         bytes config) {
    char inner[1024];
    snprintf(inner, sizeof inner, "%s/%s", folder, name);
    test_make_inner(folder, name);
    test_write_file(inner, "config.json", config.data, config.size);
    if (list) write_weights(&encoder->transformer, list, inner);
    free(config.data);
}

static void write_pooling(const tiny_encoder *encoder, const char *folder) {
    bytes config = {0};
    append_text(&config, "{\"embedding_dimension\": %zu, \"pooling_mode\": %s, \"include_prompt\": %s}\n",
                encoder->transformer.hidden, encoder->pooling, encoder->include_prompt ? "true" : "false");
    write_module(encoder, folder, "1_Pooling", NULL, config);
}

static void write_layers(const tiny_encoder *encoder, const char *folder) {
    const tensor_list dense = list_dense(encoder), norm = list_norm(encoder);
    bytes dense_config = {0}, norm_config = {0};
    append_text(&dense_config,
                "{\"in_features\": %zu, \"out_features\": %zu, \"bias\": true, "
                "\"activation_function\": \"torch.nn.modules.activation.Tanh\"}\n",
                pooled_columns(encoder), encoder->dimension);
    append_text(&norm_config, "{\"dimension\": %zu}\n", encoder->dimension);
    write_module(encoder, folder, "2_Dense", &dense, dense_config);
    write_module(encoder, folder, "3_LayerNorm", &norm, norm_config);
}

static void append_module(bytes *list, const char *kind, const char *path) {
    append_text(list, "%s{\"path\": \"%s\", \"type\": \"sentence_transformers.models.%s\"}", list->size > 1 ? ", " : "",
                path, kind);
}

static void write_modules(const tiny_encoder *encoder, const char *folder) {
    bytes list = {0};
    append_text(&list, "[");
    append_module(&list, "Transformer", "");
    append_module(&list, "Pooling", "1_Pooling");
    if (encoder->dimension) {
        append_module(&list, "Dense", "2_Dense");
        append_module(&list, "LayerNorm", "3_LayerNorm");
        append_module(&list, "Normalize", "4_Normalize");
    }
    append_text(&list, "]\n");
    test_write_file(folder, "modules.json", list.data, list.size);
    free(list.data);
}

void tiny_encoder_write(const tiny_encoder *encoder, const char *folder) {
    static const char settings[] = "{\"prompts\": {\"query\": \"word1 word2 \", \"passage\": \"\"}}\n";
    tiny_model_write(&encoder->transformer, folder);
    write_modules(encoder, folder);
    write_pooling(encoder, folder);
    if (encoder->dimension) write_layers(encoder, folder);
    test_write_file(folder, "config_sentence_transformers.json", settings, sizeof settings - 1);
}

size_t tiny_encoder_tensors(const tiny_encoder *encoder) {
    return tiny_model_tensors(&encoder->transformer) - TINY_ENCODER_UNUSED + list_dense(encoder).count +
           list_norm(encoder).count;
}

size_t tiny_encoder_parameters(const tiny_encoder *encoder) {
    const tiny_model *model = &encoder->transformer;
    const tensor_list dense = list_dense(encoder), norm = list_norm(encoder);
    const size_t unread = (model->hidden + 1) * (model->hidden + model->labels); /* of pooler and classifier */
    return tiny_model_parameters(model) - unread + count_values(&dense) + count_values(&norm);
}

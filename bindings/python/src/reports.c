/* reports.c - the library's structs as dictionaries, field by field under their own names. */
#include "extension.h"

static const char *state_name(ce_model_state state) {
    static const char *const names[] = {"deferred", "placing", "ready", "moving", "lost"};
    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "unknown";
}

PyObject *placement_report(const ce_placement_report *r) {
    return Py_BuildValue(
        "{s:s,s:s,s:s,s:s,s:s,s:K,s:K,s:K,s:K,s:K,s:I,s:I,s:I,s:N,s:d,s:d,s:N,s:s,s:d,s:d,s:d,s:d,s:d,s:d,s:K,s:I}",
        "state", state_name(r->state), "requested", r->requested, "device", r->device, "device_name", r->device_name,
        "precision", ce_precision_name(r->precision), "generation", (unsigned long long)r->generation, "file_bytes",
        (unsigned long long)r->file_bytes, "weight_bytes", (unsigned long long)r->weight_bytes, "workspace_bytes",
        (unsigned long long)r->workspace_bytes, "host_bytes", (unsigned long long)r->host_bytes, "tensors",
        (unsigned)r->tensors, "tensors_verified", (unsigned)r->tensors_verified, "tensors_unused",
        (unsigned)r->tensors_unused, "self_tested", PyBool_FromLong(r->self_tested), "self_test_error",
        r->self_test_error, "self_test_bound", r->self_test_bound, "fell_back", PyBool_FromLong(r->fell_back),
        "fallback_reason", r->fallback_reason, "resolve_ms", r->resolve_ms, "open_ms", r->open_ms, "upload_ms",
        r->upload_ms, "verify_ms", r->verify_ms, "self_test_ms", r->self_test_ms, "total_ms", r->total_ms,
        "staging_bytes", (unsigned long long)r->staging_bytes, "devices", (unsigned)r->devices);
}

PyObject *health_report(const ce_health *h) {
    return Py_BuildValue("{s:s,s:d,s:K,s:K}", "state", state_name(h->state), "milliseconds", h->milliseconds,
                         "memory_free", (unsigned long long)h->memory_free, "memory_total",
                         (unsigned long long)h->memory_total);
}

/* A str; "replace", as a config may hold any bytes. NULL gives an empty one. */
static PyObject *string_of(const char *text) {
    if (!text) text = "";
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *labels_of(const ce_model *model, size_t count) {
    PyObject *labels = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; labels && i < count; i++) {
        PyObject *label = string_of(ce_model_label(model, i));
        if (!label || PyList_SetItem(labels, (Py_ssize_t)i, label) < 0) Py_CLEAR(labels);
    }
    return labels;
}

PyObject *model_description(const ce_model *model, const ce_model_info *i) {
    PyObject *labels = labels_of(model, i->num_labels);
    if (!labels) return NULL;
    return Py_BuildValue("{s:s,s:s,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:K,s:s,s:s,s:N}", "architecture",
                         i->architecture, "tokenizer", i->tokenizer, "num_labels", (Py_ssize_t)i->num_labels,
                         "max_length", (Py_ssize_t)i->max_length, "special_tokens", (Py_ssize_t)i->special_tokens,
                         "max_positions", (Py_ssize_t)i->max_positions, "vocab_size", (Py_ssize_t)i->vocab_size,
                         "hidden_size", (Py_ssize_t)i->hidden_size, "layers", (Py_ssize_t)i->layers, "heads",
                         (Py_ssize_t)i->heads, "intermediate_size", (Py_ssize_t)i->intermediate_size, "parameters",
                         (unsigned long long)i->parameters, "activation", ce_activation_name(i->activation),
                         "weight_dtype", i->weight_dtype, "labels", labels);
}

/* The named prompts, in their order. */
static PyObject *prompts_of(const ce_encoder *encoder) {
    const char *name, *text;
    PyObject *prompts = PyDict_New();
    for (size_t i = 0; prompts && ce_encoder_prompt_at(encoder, i, &name, &text); i++) {
        PyObject *key = string_of(name), *value = string_of(text);
        if (!key || !value || PyDict_SetItem(prompts, key, value) < 0) Py_CLEAR(prompts);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return prompts;
}

PyObject *encoder_description(const ce_encoder *encoder, const ce_encoder_info *i) {
    PyObject *prompts = prompts_of(encoder);
    if (!prompts) return NULL;
    const char *similarity = i->similarity == CE_SIMILARITY_DEFAULT ? NULL : ce_similarity_name(i->similarity);
    return Py_BuildValue(
        "{s:s,s:s,s:s,s:s,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:K,s:N,s:N,s:z,s:N,s:N}", "architecture",
        i->architecture, "tokenizer", i->tokenizer, "pooling", i->pooling, "weight_dtype", i->weight_dtype, "dimension",
        (Py_ssize_t)i->dimension, "truncate_dim", (Py_ssize_t)i->truncate_dim, "max_length", (Py_ssize_t)i->max_length,
        "special_tokens", (Py_ssize_t)i->special_tokens, "max_positions", (Py_ssize_t)i->max_positions, "vocab_size",
        (Py_ssize_t)i->vocab_size, "hidden_size", (Py_ssize_t)i->hidden_size, "layers", (Py_ssize_t)i->layers, "heads",
        (Py_ssize_t)i->heads, "intermediate_size", (Py_ssize_t)i->intermediate_size, "parameters",
        (unsigned long long)i->parameters, "normalized", PyBool_FromLong(i->normalized), "include_prompt",
        PyBool_FromLong(i->include_prompt), "similarity", similarity, "default_prompt",
        i->default_prompt ? string_of(i->default_prompt) : Py_BuildValue(""), "prompts", prompts);
}

PyObject *device_description(const ce_device_info *i) {
    return Py_BuildValue("{s:s,s:s,s:N,s:s,s:s,s:K,s:K,s:N,s:N,s:N,s:N}", "id", i->id, "name", i->name, "usable",
                         PyBool_FromLong(i->usable), "reason", i->reason, "features", i->features, "memory_total",
                         (unsigned long long)i->memory_total, "memory_free", (unsigned long long)i->memory_free,
                         "float32", PyBool_FromLong(i->float32), "bfloat16", PyBool_FromLong(i->bfloat16), "int8",
                         PyBool_FromLong(i->int8), "float16", PyBool_FromLong(i->float16));
}

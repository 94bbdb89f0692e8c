/* encoder.c - the type Encoder: a ce_encoder (placed.c), which makes an embedding of each text. */
#include "extension.h"

static ce_status load(placed_object *self, const char *path, const ce_load_options *options, ce_error *error) {
    ce_encoder_info info = {.size = sizeof info};
    ce_status status = ce_encoder_load(path, options, &self->encoder, error);
    if (status == CE_OK) status = ce_encoder_describe(self->encoder, &info, error);
    self->columns = info.dimension;
    return status;
}

static PyObject *encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)kwargs;
    return placed_create(type, args, load);
}

/* A call, and what it is asked for. */
typedef struct encoding {
    text_list texts;
    ce_text prompt;
    ce_encode_options options;
    progress_watch watch;
    PyObject *rows; /* what keep_row collects, a list; NULL if embeddings alone are wanted */
    size_t columns, hidden_size;
} encoding;

static PyObject *copy(const void *values, size_t count, size_t size) {
    return PyByteArray_FromStringAndSize(values, (Py_ssize_t)(count * size));
}

/* Keeps what the library lends of one text: (index, ids, type ids, token embeddings, embedding). */
static bool keep_row(void *user, const ce_encoded *text) {
    const encoding *call = user;
    PyGILState_STATE lock = PyGILState_Ensure();
    PyObject *row = Py_BuildValue("(nNNNN)", (Py_ssize_t)text->index, copy(text->ids, text->tokens, sizeof(int32_t)),
                                  copy(text->type_ids, text->tokens, sizeof(int32_t)),
                                  copy(text->token_embeddings, text->tokens * call->hidden_size, sizeof(float)),
                                  copy(text->embedding, call->columns, sizeof(float)));
    bool is_fine = row && PyList_Append(call->rows, row) == 0;
    Py_XDECREF(row);
    PyGILState_Release(lock);
    return is_fine;
}

/* Encodes into a new bytearray of float32 [texts, columns], or into rows. */
static PyObject *encode(PyObject *object, encoding *call, bool wants_rows) {
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    ce_encoder_info info = {.size = sizeof info};
    ce_status status = ce_encoder_describe(self->encoder, &info, &error);
    if (call->options.truncate_dim > self->columns) call->options.truncate_dim = self->columns;
    call->columns = call->options.truncate_dim;
    call->hidden_size = info.hidden_size;
    float *values = NULL;
    PyObject *result = wants_rows ? PyList_New(0) : new_floats(call->texts.count, call->columns, &values);
    if (status == CE_OK && result) {
        call->rows = result;
        call->options.each = wants_rows ? keep_row : NULL;
        call->options.each_user = call;
        PyThreadState *thread = PyEval_SaveThread();
        status = ce_encode(self->encoder, call->texts.texts, call->texts.count, &call->options, values, &error);
        PyEval_RestoreThread(thread);
    }
    return placed_end(object, status, &error, result);
}

static PyObject *parse_and_encode(PyObject *object, PyObject *args, bool wants_rows) {
    PyObject *list, *progress;
    Py_ssize_t prompt_size, dimension, max_length;
    int normalize;
    encoding call = {.options = {.size = sizeof(ce_encode_options), .progress = forward_progress}};
    if (!PyArg_ParseTuple(args, "Oy#npnO", &list, &call.prompt.data, &prompt_size, &dimension, &normalize, &max_length,
                          &progress))
        return NULL;
    if (dimension < 1) {
        PyErr_SetString(PyExc_ValueError, "an embedding must keep a value at least");
        return NULL;
    }
    call.prompt.size = (size_t)prompt_size;
    call.watch.progress = progress == Py_None ? NULL : progress;
    call.options.prompt = &call.prompt;
    call.options.truncate_dim = (size_t)dimension;
    call.options.normalize = normalize;
    call.options.max_length = (size_t)max_length; /* a negative one is too large for any model */
    call.options.progress_user = &call.watch;
    if (text_list_create(placed_state(object), list, KIND_TEXTS, &call.texts) < 0) return NULL;
    PyObject *result = encode(object, &call, wants_rows);
    text_list_free(&call.texts);
    return result;
}

static PyObject *encoder_encode(PyObject *object, PyObject *args) { return parse_and_encode(object, args, false); }
static PyObject *encoder_encode_rows(PyObject *object, PyObject *args) { return parse_and_encode(object, args, true); }

/* The tokens of one text, which cannot be more than max_length. */
static PyObject *tokenize(const ce_encoder *encoder, ce_text text, const ce_encode_options *options, size_t max_length,
                          ce_status *status, ce_error *error) {
    ce_text_tokens tokens = {0};
    PyObject *result = NULL;
    int32_t *ids = PyMem_Calloc(2 * max_length, sizeof *ids);
    if (!ids) return PyErr_NoMemory();
    *status = ce_encoder_tokenize(encoder, text, options, ids, ids + max_length, max_length, &tokens, error);
    if (*status == CE_OK)
        result = Py_BuildValue("(NNn)", copy(ids, tokens.count, sizeof *ids),
                               copy(ids + max_length, tokens.count, sizeof *ids), (Py_ssize_t)tokens.prompt);
    PyMem_Free(ids);
    return result;
}

static PyObject *encoder_tokenize(PyObject *object, PyObject *args) {
    ce_text text, prompt;
    Py_ssize_t text_size, prompt_size, max_length;
    if (!PyArg_ParseTuple(args, "y#y#n", &text.data, &text_size, &prompt.data, &prompt_size, &max_length)) return NULL;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    text.size = (size_t)text_size;
    prompt.size = (size_t)prompt_size;
    const ce_encode_options options = {.size = sizeof options, .prompt = &prompt, .max_length = (size_t)max_length};
    ce_error error = {0};
    ce_encoder_info info = {.size = sizeof info};
    PyObject *result = NULL;
    ce_status status = ce_encoder_describe(self->encoder, &info, &error);
    if (status == CE_OK) result = tokenize(self->encoder, text, &options, info.max_length, &status, &error);
    return placed_end(object, status, &error, result);
}

static PyObject *encoder_describe(PyObject *object, PyObject *none) {
    (void)none;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    ce_encoder_info info = {.size = sizeof info};
    ce_status status = ce_encoder_describe(self->encoder, &info, &error);
    return placed_end(object, status, &error, status == CE_OK ? encoder_description(self->encoder, &info) : NULL);
}

static PyMethodDef methods[] = {
    {"encode", encoder_encode, METH_VARARGS,
     "encode(texts, prompt, dimension, normalize, max_length, progress) -> bytearray of float32 [texts, dimension]."},
    {"encode_rows", encoder_encode_rows, METH_VARARGS,
     "encode_rows(texts, prompt, dimension, normalize, max_length, progress) -> list of (index, ids, type_ids, "
     "token_embeddings, embedding), in any order."},
    {"tokenize", encoder_tokenize, METH_VARARGS,
     "tokenize(text, prompt, max_length) -> (ids, type_ids, tokens of the prompt): ce_encoder_tokenize."},
    {"describe", encoder_describe, METH_NOARGS, "describe() -> dict: ce_encoder_describe, and the prompts."},
    PLACED_METHODS,
    {NULL, NULL, 0, NULL}};

PyObject *encoder_type_create(PyObject *module) {
    return placed_type_create(module, "crossenc._crossenc.Encoder", encoder_new, methods);
}

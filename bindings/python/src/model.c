/* model.c - the type Model: a ce_model (placed.c), which scores pairs of texts. */
#include "extension.h"

static ce_status load(placed_object *self, const char *path, const ce_load_options *options, ce_error *error) {
    ce_model_info info = {.size = sizeof info};
    ce_status status = ce_model_load(path, options, &self->model, error);
    if (status == CE_OK) status = ce_model_describe(self->model, &info, error);
    self->columns = info.num_labels;
    return status;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)kwargs;
    return placed_create(type, args, load);
}

/* Scores into a new bytearray of float32 [pairs, labels]. */
static PyObject *score(PyObject *object, const text_list *pairs, const ce_score_options *options) {
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    float *values = NULL;
    ce_error error = {0};
    PyObject *scores = new_floats(pairs->count, self->columns, &values);
    ce_status status = CE_OK;
    if (scores) {
        PyThreadState *thread = PyEval_SaveThread();
        status = ce_predict(self->model, pairs->pairs, pairs->count, options, values, &error);
        PyEval_RestoreThread(thread);
    }
    return placed_end(object, status, &error, scores);
}

static PyObject *model_predict(PyObject *object, PyObject *args) {
    PyObject *list, *progress;
    const char *activation;
    int softmax;
    Py_ssize_t prompt_size, max_length, chat_size;
    ce_text prompt, chat;
    ce_score_options options = {.size = sizeof options, .prompt = &prompt};
    if (!PyArg_ParseTuple(args, "Oy#zpnz#O", &list, &prompt.data, &prompt_size, &activation, &softmax, &max_length,
                          &chat.data, &chat_size, &progress) ||
        find_activation(activation, &options.activation) < 0)
        return NULL;
    progress_watch watch = {.progress = progress == Py_None ? NULL : progress};
    prompt.size = (size_t)prompt_size;
    chat.size = (size_t)chat_size;
    if (chat.data) options.chat_settings = &chat;
    options.apply_softmax = softmax;
    options.max_length = (size_t)max_length; /* a negative one is too large for any model */
    options.progress = forward_progress;
    options.progress_user = &watch;

    text_list pairs;
    if (text_list_create(placed_state(object), list, KIND_PAIRS, &pairs) < 0) return NULL;
    PyObject *scores = score(object, &pairs, &options);
    text_list_free(&pairs);
    return scores;
}

static PyObject *model_describe(PyObject *object, PyObject *none) {
    (void)none;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    ce_model_info info = {.size = sizeof info};
    ce_status status = ce_model_describe(self->model, &info, &error);
    return placed_end(object, status, &error, status == CE_OK ? model_description(self->model, &info) : NULL);
}

static PyMethodDef methods[] = {
    {"predict", model_predict, METH_VARARGS,
     "predict(pairs, prompt, activation, apply_softmax, max_length, chat_settings, progress) -> bytearray of float32 "
     "[pairs, labels]."},
    {"describe", model_describe, METH_NOARGS, "describe() -> dict: ce_model_describe, and the labels' names."},
    PLACED_METHODS,
    {NULL, NULL, 0, NULL}};

PyObject *model_type_create(PyObject *module) {
    return placed_type_create(module, "crossenc._crossenc.Model", model_new, methods);
}

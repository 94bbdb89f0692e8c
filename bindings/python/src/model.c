/* model.c - the type Model: a ce_model that lives as long as the object and the calls on it.
 *
 * The interpreter's lock is given away while the library loads, scores, moves and frees. Fields are read and written
 * with the lock held only, which is what orders close() and calls in flight: whoever comes last frees. A child process
 * has the object and not the threads of its model, so every call there is refused and nothing is freed. */
#include "extension.h"

#include <unistd.h>

typedef struct model_object {
    PyObject_HEAD ce_model *model; /* NULL once closed */
    PyObject *log;                 /* must not refer to this object: it is not followed by the garbage collector */
    size_t labels;
    long process; /* that loaded it */
    unsigned long calls;
    bool is_closing;
} model_object;

static model_object *self_of(PyObject *object) { return (model_object *)object; }
static module_state *state_of(PyObject *object) { return PyType_GetModuleState(Py_TYPE(object)); }

static void release(model_object *self) {
    ce_model *model = self->model;
    self->model = NULL;
    if (!model || self->process != (long)getpid()) return;
    PyThreadState *thread = PyEval_SaveThread();
    ce_model_free(model);
    PyEval_RestoreThread(thread);
}

/* The model for a call, which end() ends; NULL with an exception if there can be none. */
static ce_model *begin(PyObject *object) {
    model_object *self = self_of(object);
    if (self->process != (long)getpid()) {
        PyErr_Format(PyExc_RuntimeError,
                     "this model was loaded by process %ld, and its threads did not follow into this one (%ld), which "
                     "was forked: load it here, or send it here pickled, which opens it anew; multiprocessing's "
                     "\"spawn\" and \"forkserver\" do so",
                     self->process, (long)getpid());
        return NULL;
    }
    if (!self->model || self->is_closing) {
        PyErr_SetString(PyExc_ValueError, "the model is closed");
        return NULL;
    }
    self->calls++;
    return self->model;
}

static void end(PyObject *object) {
    model_object *self = self_of(object);
    if (--self->calls == 0 && self->is_closing) release(self);
}

int find_precision(const char *name, ce_precision *precision) {
    for (int i = CE_PRECISION_DEFAULT; name && ce_precision_name((ce_precision)i); i++)
        if (strcmp(name, ce_precision_name((ce_precision)i)) == 0) return *precision = (ce_precision)i, 0;
    if (!name) return *precision = CE_PRECISION_DEFAULT, 0;
    PyErr_Format(PyExc_ValueError, "no precision is called \"%s\": there are \"float32\", \"bfloat16\" and \"int8\"",
                 name);
    return -1;
}

static int find_activation(const char *name, ce_activation *activation) {
    *activation = CE_ACTIVATION_DEFAULT;
    if (!name) return 0;
    for (int i = CE_ACTIVATION_IDENTITY; i <= CE_ACTIVATION_SOFTMAX; i++)
        if (strcmp(name, ce_activation_name((ce_activation)i)) == 0) return *activation = (ce_activation)i, 0;
    PyErr_Format(PyExc_ValueError, "the library has no activation \"%s\"", name);
    return -1;
}

/* Loads into self, which has its log already. */
static int load(PyObject *object, const char *path, ce_load_options *options) {
    model_object *self = self_of(object);
    ce_error error = {0};
    options->log = self->log == Py_None ? NULL : forward_log;
    options->log_user = self->log;
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_model_load(path, options, &self->model, &error);
    PyEval_RestoreThread(thread);
    if (status != CE_OK) return raise_error(state_of(object), &error), -1;
    ce_model_info info = {.size = sizeof info};
    if (ce_model_describe(self->model, &info, &error) != CE_OK) return raise_error(state_of(object), &error), -1;
    self->labels = info.num_labels;
    return 0;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)kwargs;
    const char *path, *precision;
    int deferred = 0;
    unsigned threads = 0;
    Py_ssize_t max_length = 0, num_labels = 0;
    PyObject *log;
    ce_load_options options = {.size = sizeof options};
    if (!PyArg_ParseTuple(args, "yzpzIznnO", &path, &options.device, &deferred, &precision, &threads, &options.cpus,
                          &max_length, &num_labels, &log) ||
        find_precision(precision, &options.precision) < 0)
        return NULL;
    if (max_length < 0 || num_labels < 0) {
        PyErr_SetString(PyExc_ValueError, "max_length and num_labels cannot be negative");
        return NULL;
    }
    options.place = deferred ? CE_PLACE_DEFERRED : CE_PLACE_EAGER;
    options.threads = threads;
    options.max_length = (size_t)max_length;
    options.num_labels = (size_t)num_labels;

    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *object = allocate(type, 0);
    if (!object) return NULL;
    self_of(object)->process = (long)getpid();
    Py_INCREF(log);
    self_of(object)->log = log;
    if (load(object, path, &options) < 0) Py_CLEAR(object);
    return object;
}

static void model_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    freefunc give_back = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self_of(object));
    Py_XDECREF(self_of(object)->log);
    give_back(object);
    Py_DECREF(type);
}

static PyObject *model_close(PyObject *object, PyObject *none) {
    (void)none;
    model_object *self = self_of(object);
    self->is_closing = true;
    if (self->calls == 0) release(self);
    return Py_BuildValue(""); /* None */
}

/* Scores into a new bytearray of float32 [count, labels]. */
static PyObject *score(PyObject *object, ce_model *model, const text_pairs *pairs, ce_score_options *options) {
    size_t labels = self_of(object)->labels;
    if (labels > 0 && pairs->count > (size_t)PY_SSIZE_T_MAX / labels / sizeof(float)) return PyErr_NoMemory();
    PyObject *scores = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(pairs->count * labels * sizeof(float)));
    if (!scores) return NULL;
    float *values = (void *)PyByteArray_AsString(scores);
    ce_error error = {0};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_predict(model, pairs->pairs, pairs->count, options, values, &error);
    PyEval_RestoreThread(thread);
    if (status == CE_OK && !PyErr_Occurred()) return scores;
    Py_DECREF(scores);
    /* A progress callback or a signal that stopped the call says more than that it was stopped. */
    return PyErr_Occurred() ? NULL : raise_error(state_of(object), &error);
}

static PyObject *model_predict(PyObject *object, PyObject *args) {
    PyObject *list, *progress;
    const char *activation;
    int softmax;
    ce_score_options options = {.size = sizeof options};
    if (!PyArg_ParseTuple(args, "OzpO", &list, &activation, &softmax, &progress) ||
        find_activation(activation, &options.activation) < 0)
        return NULL;
    progress_watch watch = {.progress = progress == Py_None ? NULL : progress};
    options.apply_softmax = softmax;
    options.progress = forward_progress;
    options.progress_user = &watch;

    text_pairs pairs;
    if (text_pairs_create(state_of(object), list, &pairs) < 0) return NULL;
    ce_model *model = begin(object);
    PyObject *scores = NULL;
    if (model) {
        scores = score(object, model, &pairs, &options);
        end(object);
    }
    text_pairs_free(&pairs);
    return scores;
}

static PyObject *finish(PyObject *object, ce_status status, const ce_error *error) {
    end(object);
    if (status != CE_OK) return raise_error(state_of(object), error);
    return Py_BuildValue(""); /* None */
}

static PyObject *model_to(PyObject *object, PyObject *args) {
    const char *device;
    if (!PyArg_ParseTuple(args, "s", &device)) return NULL;
    ce_model *model = begin(object);
    if (!model) return NULL;
    ce_error error = {0};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_model_to(model, device, &error);
    PyEval_RestoreThread(thread);
    return finish(object, status, &error);
}

static PyObject *model_place(PyObject *object, PyObject *none) {
    (void)none;
    ce_model *model = begin(object);
    if (!model) return NULL;
    ce_error error = {0};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_model_place(model, &error);
    PyEval_RestoreThread(thread);
    return finish(object, status, &error);
}

static PyObject *model_check(PyObject *object, PyObject *none) {
    (void)none;
    ce_model *model = begin(object);
    if (!model) return NULL;
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_model_check(model, &health, &error);
    PyEval_RestoreThread(thread);
    end(object);
    return status == CE_OK ? health_report(&health) : raise_error(state_of(object), &error);
}

static PyObject *model_placement(PyObject *object, PyObject *none) {
    (void)none;
    ce_model *model = begin(object);
    if (!model) return NULL;
    ce_error error = {0};
    ce_placement_report report = {.size = sizeof report};
    ce_status status = ce_model_placement(model, &report, &error);
    PyObject *result = status == CE_OK ? placement_report(&report) : raise_error(state_of(object), &error);
    end(object);
    return result;
}

static PyObject *model_describe(PyObject *object, PyObject *none) {
    (void)none;
    ce_model *model = begin(object);
    if (!model) return NULL;
    ce_error error = {0};
    ce_model_info info = {.size = sizeof info};
    ce_status status = ce_model_describe(model, &info, &error);
    PyObject *result = status == CE_OK ? model_description(model, &info) : raise_error(state_of(object), &error);
    end(object);
    return result;
}

static PyMethodDef methods[] = {
    {"predict", model_predict, METH_VARARGS,
     "predict(pairs, activation, apply_softmax, progress) -> bytearray of float32 [pairs, labels]."},
    {"to", model_to, METH_VARARGS, "to(device): ce_model_to."},
    {"place", model_place, METH_NOARGS, "place(): ce_model_place."},
    {"check", model_check, METH_NOARGS, "check() -> dict: ce_model_check."},
    {"placement", model_placement, METH_NOARGS, "placement() -> dict: ce_model_placement."},
    {"describe", model_describe, METH_NOARGS, "describe() -> dict: ce_model_describe, and the labels' names."},
    {"close", model_close, METH_NOARGS, "close(): frees the model, after the calls in flight."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)model_new},
    {Py_tp_dealloc, (void *)model_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc,
     (void *)(uintptr_t) "Model(path, device, deferred, precision, threads, cpus, max_length, num_labels, log)"},
    {0, NULL}};

static PyType_Spec spec = {
    .name = "crossenc._crossenc.Model",
    .basicsize = sizeof(model_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

PyObject *model_type_create(PyObject *module) { return PyType_FromModuleAndSpec(module, &spec, NULL); }

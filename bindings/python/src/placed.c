/* placed.c - what the types Model and Encoder share: a ce_model or a ce_encoder that lives as long as the object and
 * the calls on it.
 *
 * The interpreter's lock is given away while the library loads, computes, moves and frees. Fields are read and written
 * with the lock held only, which is what orders close() and calls in flight: whoever comes last frees. A child process
 * has the object and not the threads of its model, so every call there is refused and nothing is freed. */
#include "extension.h"

#include <unistd.h>

static placed_object *self_of(PyObject *object) { return (placed_object *)object; }
module_state *placed_state(PyObject *object) { return PyType_GetModuleState(Py_TYPE(object)); }

static void release(placed_object *self) {
    ce_model *model = self->model;
    ce_encoder *encoder = self->encoder;
    self->model = NULL;
    self->encoder = NULL;
    if ((!model && !encoder) || self->process != (long)getpid()) return;
    PyThreadState *thread = PyEval_SaveThread();
    ce_model_free(model);
    ce_encoder_free(encoder);
    PyEval_RestoreThread(thread);
}

placed_object *placed_begin(PyObject *object) {
    placed_object *self = self_of(object);
    if (self->process != (long)getpid()) {
        PyErr_Format(PyExc_RuntimeError,
                     "this model was loaded by process %ld, and its threads did not follow into this one (%ld), which "
                     "was forked: load it here, or send it here pickled, which opens it anew; multiprocessing's "
                     "\"spawn\" and \"forkserver\" do so",
                     self->process, (long)getpid());
        return NULL;
    }
    if ((!self->model && !self->encoder) || self->is_closing) {
        PyErr_SetString(PyExc_ValueError, "the model is closed");
        return NULL;
    }
    self->calls++;
    return self;
}

PyObject *placed_end(PyObject *object, ce_status status, const ce_error *error, PyObject *result) {
    placed_object *self = self_of(object);
    /* A progress callback or a signal that stopped the call says more than that it was stopped. */
    if (status != CE_OK && !PyErr_Occurred()) raise_error(placed_state(object), error);
    if (PyErr_Occurred()) Py_CLEAR(result);
    if (--self->calls == 0 && self->is_closing) release(self);
    return result;
}

int find_precision(const char *name, ce_precision *precision) {
    for (int i = CE_PRECISION_DEFAULT; name && ce_precision_name((ce_precision)i); i++)
        if (strcmp(name, ce_precision_name((ce_precision)i)) == 0) return *precision = (ce_precision)i, 0;
    if (!name) return *precision = CE_PRECISION_DEFAULT, 0;
    PyErr_Format(PyExc_ValueError,
                 "no precision is called \"%s\": there are \"float32\", \"bfloat16\", \"float16\" and \"int8\"", name);
    return -1;
}

int find_activation(const char *name, ce_activation *activation) {
    *activation = CE_ACTIVATION_DEFAULT;
    if (!name) return 0;
    for (int i = CE_ACTIVATION_IDENTITY; i <= CE_ACTIVATION_SOFTMAX; i++)
        if (strcmp(name, ce_activation_name((ce_activation)i)) == 0) return *activation = (ce_activation)i, 0;
    PyErr_Format(PyExc_ValueError, "the library has no activation \"%s\"", name);
    return -1;
}

static int parse(PyObject *args, const char **path, ce_load_options *options, PyObject **log) {
    const char *precision, *activation;
    int deferred = 0, include_prompt = 0;
    Py_ssize_t max_length = 0, num_labels = 0;
    if (!PyArg_ParseTuple(args, "yzpzIznnizO", path, &options->device, &deferred, &precision, &options->threads,
                          &options->cpus, &max_length, &num_labels, &include_prompt, &activation, log) ||
        find_precision(precision, &options->precision) < 0 || find_activation(activation, &options->activation) < 0)
        return -1;
    if (max_length < 0 || num_labels < 0) {
        PyErr_SetString(PyExc_ValueError, "max_length and num_labels cannot be negative");
        return -1;
    }
    options->place = deferred ? CE_PLACE_DEFERRED : CE_PLACE_EAGER;
    options->max_length = (size_t)max_length;
    options->num_labels = (size_t)num_labels;
    options->include_prompt = (ce_include_prompt)include_prompt;
    options->log = *log == Py_None ? NULL : forward_log;
    options->log_user = *log;
    return 0;
}

PyObject *placed_create(PyTypeObject *type, PyObject *args, placed_load_fn load) {
    const char *path;
    PyObject *log;
    ce_load_options options = {.size = sizeof options};
    if (parse(args, &path, &options, &log) < 0) return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *object = allocate(type, 0);
    if (!object) return NULL;
    placed_object *self = self_of(object);
    self->process = (long)getpid();
    Py_INCREF(log);
    self->log = log;
    ce_error error = {0};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = load(self, path, &options, &error);
    PyEval_RestoreThread(thread);
    if (status == CE_OK) return object;
    raise_error(placed_state(object), &error);
    Py_DECREF(object);
    return NULL;
}

static void placed_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    freefunc give_back = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self_of(object));
    Py_XDECREF(self_of(object)->log);
    give_back(object);
    Py_DECREF(type);
}

PyObject *new_floats(size_t rows, size_t columns, float **values) {
    if (columns > 0 && rows > (size_t)PY_SSIZE_T_MAX / columns / sizeof(float)) return PyErr_NoMemory();
    PyObject *floats = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(rows * columns * sizeof(float)));
    if (floats) *values = (void *)PyByteArray_AsString(floats);
    return floats;
}

/* ---- methods */

static PyObject *none_object(void) { return Py_BuildValue(""); }

PyObject *placed_close(PyObject *object, PyObject *none) {
    (void)none;
    placed_object *self = self_of(object);
    self->is_closing = true;
    if (self->calls == 0) release(self);
    return none_object();
}

PyObject *placed_to(PyObject *object, PyObject *args) {
    const char *device;
    if (!PyArg_ParseTuple(args, "s", &device)) return NULL;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status =
        self->encoder ? ce_encoder_to(self->encoder, device, &error) : ce_model_to(self->model, device, &error);
    PyEval_RestoreThread(thread);
    return placed_end(object, status, &error, none_object());
}

PyObject *placed_place(PyObject *object, PyObject *none) {
    (void)none;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = self->encoder ? ce_encoder_place(self->encoder, &error) : ce_model_place(self->model, &error);
    PyEval_RestoreThread(thread);
    return placed_end(object, status, &error, none_object());
}

PyObject *placed_check(PyObject *object, PyObject *none) {
    (void)none;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    ce_health health = {.size = sizeof health};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status =
        self->encoder ? ce_encoder_check(self->encoder, &health, &error) : ce_model_check(self->model, &health, &error);
    PyEval_RestoreThread(thread);
    return placed_end(object, status, &error, status == CE_OK ? health_report(&health) : NULL);
}

PyObject *placed_placement(PyObject *object, PyObject *none) {
    (void)none;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    ce_placement_report report = {.size = sizeof report};
    ce_status status = self->encoder ? ce_encoder_placement(self->encoder, &report, &error)
                                     : ce_model_placement(self->model, &report, &error);
    return placed_end(object, status, &error, status == CE_OK ? placement_report(&report) : NULL);
}

/* Appends the report of device index to list; *devices receives how many there are. */
static ce_status append_report(const placed_object *self, size_t index, PyObject *list, size_t *devices,
                               ce_error *error) {
    ce_placement_report report = {.size = sizeof report};
    ce_status status = self->encoder ? ce_encoder_placement_at(self->encoder, index, &report, error)
                                     : ce_model_placement_at(self->model, index, &report, error);
    if (status != CE_OK) return status;
    PyObject *entry = placement_report(&report);
    if (entry) PyList_Append(list, entry);
    Py_XDECREF(entry);
    *devices = report.devices;
    return CE_OK;
}

PyObject *placed_placements(PyObject *object, PyObject *none) {
    (void)none;
    placed_object *self = placed_begin(object);
    if (!self) return NULL;
    ce_error error = {0};
    ce_status status = CE_OK;
    PyObject *list = PyList_New(0);
    size_t devices = 1;
    for (size_t i = 0; list && i < devices && status == CE_OK && !PyErr_Occurred(); i++)
        status = append_report(self, i, list, &devices, &error);
    if (status == CE_ERR_ARGUMENT) status = CE_OK; /* a move made them fewer in the meantime */
    return placed_end(object, status, &error, list);
}

PyObject *placed_type_create(PyObject *module, const char *name, newfunc create, PyMethodDef *methods) {
    PyType_Slot slots[] = {
        {Py_tp_new, (void *)create},
        {Py_tp_dealloc, (void *)placed_dealloc},
        {Py_tp_methods, methods},
        {Py_tp_doc, (void *)(uintptr_t) "(path, device, deferred, precision, threads, cpus, max_length, num_labels, "
                                        "include_prompt, log)"},
        {0, NULL}};
    PyType_Spec spec = {.name = name, .basicsize = sizeof(placed_object), .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
    return PyType_FromModuleAndSpec(module, &spec, NULL);
}

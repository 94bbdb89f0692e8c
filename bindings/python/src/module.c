/* module.c - the extension module _crossenc: its functions, its exceptions, and the types Model (model.c) and Encoder
 * (encoder.c).
 * Private to the package crossenc, whose Python files check arguments and have the documentation. */
#include "extension.h"

enum { MAX_DEVICES = 64, PATH_SIZE = 4096 };

static PyObject *module_version(PyObject *module, PyObject *none) {
    (void)module, (void)none;
    return PyUnicode_FromString(ce_version());
}

static PyObject *module_devices(PyObject *module, PyObject *none) {
    (void)none;
    ce_error error = {0};
    size_t count = 0;
    ce_device_info *infos = PyMem_Calloc(MAX_DEVICES, sizeof *infos);
    if (!infos) return PyErr_NoMemory();
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_devices(infos, MAX_DEVICES, &count, &error);
    PyEval_RestoreThread(thread);
    PyObject *list = status == CE_OK ? PyList_New(0) : raise_error(PyModule_GetState(module), &error);
    for (size_t i = 0; list && i < count && i < MAX_DEVICES; i++) {
        PyObject *device = device_description(&infos[i]);
        if (!device || PyList_Append(list, device) < 0) Py_CLEAR(list);
        Py_XDECREF(device);
    }
    PyMem_Free(infos);
    return list;
}

static PyObject *module_default_model(PyObject *module, PyObject *none) {
    (void)none;
    ce_error error = {0};
    char path[PATH_SIZE];
    if (ce_default_model_path(path, sizeof path, &error) != CE_OK)
        return raise_error(PyModule_GetState(module), &error);
    return PyUnicode_DecodeFSDefault(path);
}

static PyObject *module_convert(PyObject *module, PyObject *args) {
    const char *from, *to, *precision;
    unsigned threads = 0;
    int is_bi_encoder;
    PyObject *log;
    progress_watch watch = {0}; /* for Ctrl-C */
    ce_convert_options options = {.size = sizeof options, .progress = forward_progress, .progress_user = &watch};
    if (!PyArg_ParseTuple(args, "yyzIpO", &from, &to, &precision, &threads, &is_bi_encoder, &log) ||
        find_precision(precision, &options.precision) < 0)
        return NULL;
    options.threads = threads;
    options.kind = is_bi_encoder ? CE_KIND_BI_ENCODER : CE_KIND_CROSS_ENCODER;
    options.log = log == Py_None ? NULL : forward_log;
    options.log_user = log;
    ce_error error = {0};
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_convert(from, to, &options, NULL, &error);
    PyEval_RestoreThread(thread);
    if (PyErr_Occurred()) return NULL;
    if (status != CE_OK) return raise_error(PyModule_GetState(module), &error);
    return Py_BuildValue(""); /* None */
}

static PyMethodDef functions[] = {
    {"version", module_version, METH_NOARGS, "version() -> str: the library's version."},
    {"devices", module_devices, METH_NOARGS, "devices() -> list[dict]: ce_devices."},
    {"default_model_path", module_default_model, METH_NOARGS, "default_model_path() -> str: ce_default_model_path."},
    {"convert", module_convert, METH_VARARGS, "convert(path, to, precision, threads, is_bi_encoder, log): ce_convert."},
    {"find_model", hub_find, METH_VARARGS, "find_model(name, cache, revision, organization) -> bytes: ce_model_find."},
    {"pull_model", hub_pull, METH_VARARGS,
     "pull_model(name, cache, revision, organization, token, need_token, log) -> bytes: ce_hub_pull."},
    {NULL, NULL, 0, NULL}};

/* Adds what the state holds to the module, which takes a reference of its own. */
static int add_type(PyObject *module, const char *name, PyObject *type) {
    if (!type) return -1;
    Py_INCREF(type);
    if (PyModule_AddObject(module, name, type) == 0) return 0;
    Py_DECREF(type);
    return -1;
}

static int module_exec(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    if (errors_create(state, module) < 0) return -1;
    state->model_type = model_type_create(module);
    if (add_type(module, "Model", state->model_type) < 0) return -1;
    state->encoder_type = encoder_type_create(module);
    return add_type(module, "Encoder", state->encoder_type);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    module_state *state = PyModule_GetState(module);
    Py_VISIT(state->model_type);
    Py_VISIT(state->encoder_type);
    Py_VISIT(state->device_error);
    Py_VISIT(state->model_error);
    Py_VISIT(state->input_error);
    return 0;
}

static int module_clear(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->model_type);
    Py_CLEAR(state->encoder_type);
    Py_CLEAR(state->device_error);
    Py_CLEAR(state->model_error);
    Py_CLEAR(state->input_error);
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)module_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "crossenc._crossenc",
    .m_doc = "crossenc's C library, as thinly as it goes.",
    .m_size = sizeof(module_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__crossenc(void);

PyMODINIT_FUNC PyInit__crossenc(void) { return PyModuleDef_Init(&definition); }

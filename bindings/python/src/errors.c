/* errors.c - which exception a status becomes. Relies on nothing but Python; never changes a message of the library. */
#include "extension.h"

static PyObject *new_exception(PyObject *module, const char *name, const char *doc, PyObject *base) {
    char full[64];
    PyOS_snprintf(full, sizeof full, "crossenc.%s", name);
    PyObject *exception = PyErr_NewExceptionWithDoc(full, doc, base, NULL);
    if (!exception) return NULL;
    Py_INCREF(exception);
    if (PyModule_AddObject(module, name, exception) < 0) {
        Py_DECREF(exception);
        Py_CLEAR(exception);
    }
    return exception;
}

int errors_create(module_state *state, PyObject *module) {
    PyObject *both = PyTuple_Pack(2, PyExc_TypeError, PyExc_ValueError);
    if (!both) return -1;
    state->input_error = new_exception(
        module, "InputError",
        "What was given is not what can be read: str, or pairs of them. A TypeError and a ValueError.", both);
    Py_DECREF(both);
    state->device_error = new_exception(
        module, "DeviceError",
        "A device is unknown, absent, full, faulty or lost; or what is on it is not what was in the file.",
        PyExc_RuntimeError);
    state->model_error = new_exception(module, "ModelError", "A model's files are malformed, or contradict each other.",
                                       PyExc_ValueError);
    return state->input_error && state->device_error && state->model_error ? 0 : -1;
}

static PyObject *exception_of(const module_state *state, ce_status status) {
    switch (status) {
    case CE_ERR_ARGUMENT: return PyExc_ValueError;
    case CE_ERR_MEMORY: return PyExc_MemoryError;
    case CE_ERR_NOT_FOUND: return PyExc_FileNotFoundError;
    case CE_ERR_IO: return PyExc_OSError;
    case CE_ERR_FORMAT:
    case CE_ERR_MODEL: return state->model_error;
    case CE_ERR_UNSUPPORTED: return PyExc_NotImplementedError;
    case CE_ERR_TEXT: return state->input_error;
    case CE_ERR_DEVICE_NAME:
    case CE_ERR_DEVICE_ABSENT:
    case CE_ERR_DEVICE_MEMORY:
    case CE_ERR_DEVICE_FAULT:
    case CE_ERR_DEVICE_LOST:
    case CE_ERR_VERIFY: return state->device_error;
    case CE_OK:
    case CE_ERR_CANCELLED: break;
    }
    return PyExc_RuntimeError;
}

PyObject *raise_error(const module_state *state, const ce_error *error) {
    PyObject *type = exception_of(state, error->status);
    PyObject *exception = NULL, *status = NULL;
    PyObject *message = PyUnicode_DecodeUTF8(error->message, (Py_ssize_t)strlen(error->message), "replace");
    if (message) exception = PyObject_CallFunctionObjArgs(type, message, NULL);
    if (exception) status = PyUnicode_FromString(ce_status_name(error->status));
    if (status && PyObject_SetAttrString(exception, "status", status) == 0) PyErr_SetObject(type, exception);
    Py_XDECREF(status);
    Py_XDECREF(exception);
    Py_XDECREF(message);
    return NULL;
}

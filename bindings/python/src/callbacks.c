/* callbacks.c - the library's log and progress, handed to Python. The library calls from the thread that made the call,
 * which has given the interpreter's lock away and takes it back for the moment. */
#include "extension.h"

#include <time.h>

/* How often a call without a progress bar looks whether Ctrl-C was pressed. */
enum { SIGNAL_INTERVAL_NS = 50 * 1000 * 1000 };

static uint64_t now(void) {
    struct timespec time = {0};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* What goes wrong in the log must not stop a call: it is reported as Python reports errors of destructors. */
void forward_log(void *user, ce_log_level level, const char *message) {
    PyObject *type, *value, *traceback;
    PyObject *log = user;
    PyGILState_STATE lock = PyGILState_Ensure();
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    PyObject *result = text ? PyObject_CallFunction(log, "iO", (int)level, text) : NULL;
    if (!result) PyErr_WriteUnraisable(log);
    Py_XDECREF(result);
    Py_XDECREF(text);
    PyErr_Restore(type, value, traceback);
    PyGILState_Release(lock);
}

/* False if Python wants to stop, the reason being the exception that is set. */
bool forward_progress(void *user, uint64_t done, uint64_t total) {
    progress_watch *watch = user;
    uint64_t time = now();
    if (!watch->progress && time < watch->next_signal) return true;
    watch->next_signal = time + SIGNAL_INTERVAL_NS;

    PyGILState_STATE lock = PyGILState_Ensure();
    bool is_fine = PyErr_CheckSignals() == 0;
    if (is_fine && watch->progress) {
        PyObject *result =
            PyObject_CallFunction(watch->progress, "KK", (unsigned long long)done, (unsigned long long)total);
        is_fine = result != NULL;
        Py_XDECREF(result);
    }
    PyGILState_Release(lock);
    return is_fine;
}

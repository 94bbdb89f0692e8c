/* extension.h - what the files of the extension module _crossenc share. Relies on Python's stable interface of 3.9 and
 * on crossenc's public headers; the package's Python files do what needs no C.
 *
 * Functions that return PyObject * or int follow Python's custom: NULL or -1 with an exception set. All are called with
 * the interpreter's lock held. */
#ifndef CROSSENC_PYTHON_EXTENSION_H
#define CROSSENC_PYTHON_EXTENSION_H

/* Python's slots hold functions as void *, which ISO C does not promise and POSIX does. */
#pragma GCC diagnostic ignored "-Wpedantic"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#include <crossenc/crossenc.h>

/* The module's own objects, one set an interpreter. */
typedef struct module_state {
    PyObject *model_type;
    PyObject *device_error; /* RuntimeError: devices, and what is on them */
    PyObject *model_error;  /* ValueError: a model's files are malformed or contradict each other */
    PyObject *input_error;  /* TypeError and ValueError: what was given is not pairs of texts */
} module_state;

/* errors.c */
int errors_create(module_state *state, PyObject *module);
/* Raises the exception that belongs to error->status, with the library's message and the attribute status. */
PyObject *raise_error(const module_state *state, const ce_error *error);

/* texts.c: pairs of texts as the library reads them. */
typedef struct text_pairs {
    ce_pair *pairs; /* [count]; point into owned */
    size_t count;
    PyObject *owned; /* a list of bytes */
} text_pairs;

/* Encodes a list of (query, document) in lists or tuples. On success text_pairs_free releases what pairs holds. */
int text_pairs_create(const module_state *state, PyObject *list, text_pairs *pairs);
void text_pairs_free(text_pairs *pairs);

/* callbacks.c: from the library into Python, from a thread that gave the interpreter's lock away. */
typedef struct progress_watch {
    PyObject *progress;   /* called with (done, total), or NULL */
    uint64_t next_signal; /* when to look for signals again: monotonic nanoseconds */
} progress_watch;

void forward_log(void *user, ce_log_level level, const char *message); /* user: a callable (level, message) */
bool forward_progress(void *user, uint64_t done, uint64_t total);      /* user: a progress_watch */

/* reports.c: the library's structs as dictionaries. */
PyObject *placement_report(const ce_placement_report *report);
PyObject *health_report(const ce_health *health);
PyObject *model_description(const ce_model *model, const ce_model_info *info);
PyObject *device_description(const ce_device_info *info);

/* model.c */
int find_precision(const char *name, ce_precision *precision); /* NULL is the default */
PyObject *model_type_create(PyObject *module);

#endif

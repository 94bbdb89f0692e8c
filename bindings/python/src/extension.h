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
    PyObject *encoder_type;
    PyObject *device_error; /* RuntimeError: devices, and what is on them */
    PyObject *model_error;  /* ValueError: a model's files are malformed or contradict each other */
    PyObject *input_error;  /* TypeError and ValueError: what was given is not texts, or pairs of them */
} module_state;

/* errors.c */
int errors_create(module_state *state, PyObject *module);
/* Raises the exception that belongs to error->status, with the library's message and the attribute status. */
PyObject *raise_error(const module_state *state, const ce_error *error);

/* texts.c: texts, or pairs of them, as the library reads them. */
typedef enum text_kind { KIND_TEXTS, KIND_PAIRS } text_kind;

typedef struct text_list {
    text_kind kind;
    size_t count;
    ce_text *texts;  /* [count] of KIND_TEXTS; point into owned, as those of pairs */
    ce_pair *pairs;  /* [count] of KIND_PAIRS */
    PyObject *owned; /* a list of bytes */
} text_list;

/* Encodes a list of str, or of (query, document) in lists or tuples. On success text_list_free releases what it holds.
 */
int text_list_create(const module_state *state, PyObject *list, text_kind kind, text_list *texts);
void text_list_free(text_list *texts);

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
PyObject *encoder_description(const ce_encoder *encoder, const ce_encoder_info *info);
PyObject *device_description(const ce_device_info *info);

/* placed.c: what Model and Encoder share. */
int find_precision(const char *name, ce_precision *precision);    /* NULL is the default */
int find_activation(const char *name, ce_activation *activation); /* the same */

typedef struct placed_object {
    PyObject_HEAD ce_model *model; /* one of these two; neither once closed */
    ce_encoder *encoder;
    PyObject *log;  /* must not refer to this object: it is not followed by the garbage collector */
    size_t columns; /* labels of a pair, or values of a whole embedding */
    long process;   /* that loaded it */
    unsigned long calls;
    bool is_closing;
} placed_object;

/* Loads into self->model or self->encoder and sets self->columns. Called without the interpreter's lock. */
typedef ce_status (*placed_load_fn)(placed_object *self, const char *path, const ce_load_options *options,
                                    ce_error *error);

/* A type whose methods are its own and PLACED_METHODS; name and methods live as long as the program. */
PyObject *placed_type_create(PyObject *module, const char *name, newfunc create, PyMethodDef *methods);
/* A new object of type, from (path, device, deferred, precision, threads, cpus, max_length, num_labels,
 * include_prompt, activation, log). */
PyObject *placed_create(PyTypeObject *type, PyObject *args, placed_load_fn load);
module_state *placed_state(PyObject *object);

/* A call on the model begins; NULL with an exception if there can be none. */
placed_object *placed_begin(PyObject *object);
/* It ends: result, or NULL with an exception if status is an error or a callback left one. Takes the result over. */
PyObject *placed_end(PyObject *object, ce_status status, const ce_error *error, PyObject *result);

/* A new bytearray of float32 [rows, columns], and where its values are. */
PyObject *new_floats(size_t rows, size_t columns, float **values);

#define PLACED_METHODS                                                                             \
    {"to", placed_to, METH_VARARGS, "to(device): ce_model_to."},                                   \
        {"place", placed_place, METH_NOARGS, "place(): ce_model_place."},                          \
        {"check", placed_check, METH_NOARGS, "check() -> dict: ce_model_check."},                  \
        {"placement", placed_placement, METH_NOARGS, "placement() -> dict: ce_model_placement."},  \
        {"placements", placed_placements, METH_NOARGS,                                             \
         "placements() -> list of dict: ce_model_placement_at, for each device."},                 \
    {                                                                                              \
        "close", placed_close, METH_NOARGS, "close(): frees the model, after the calls in flight." \
    }

PyObject *placed_to(PyObject *object, PyObject *args);
PyObject *placed_place(PyObject *object, PyObject *none);
PyObject *placed_check(PyObject *object, PyObject *none);
PyObject *placed_placement(PyObject *object, PyObject *none);
PyObject *placed_placements(PyObject *object, PyObject *none);
PyObject *placed_close(PyObject *object, PyObject *none);

/* hub.c */
PyObject *hub_find(PyObject *module, PyObject *args);
PyObject *hub_pull(PyObject *module, PyObject *args);

/* model.c, encoder.c */
PyObject *model_type_create(PyObject *module);
PyObject *encoder_type_create(PyObject *module);

#endif

/* hub.c - models by name: ce_model_find and ce_hub_pull. Relies on the package's Python files for what an argument of
 * theirs means; paths come and go as bytes, as the file system has them. */
#include "extension.h"

enum { FOLDER_SIZE = 4096 };

/* A path that may be empty for none. */
static const char *optional(const char *path) { return *path ? path : NULL; }

/* find_model(name, cache, revision, organization) */
PyObject *hub_find(PyObject *module, PyObject *args) {
    const char *name, *cache;
    ce_hub_options options = {.size = sizeof options};
    if (!PyArg_ParseTuple(args, "yyzz", &name, &cache, &options.revision, &options.organization)) return NULL;
    options.cache = optional(cache);
    ce_error error = {0};
    char folder[FOLDER_SIZE];
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_model_find(name, &options, folder, sizeof folder, &error);
    PyEval_RestoreThread(thread);
    return status == CE_OK ? PyBytes_FromString(folder) : raise_error(PyModule_GetState(module), &error);
}

/* pull_model(name, cache, revision, organization, token, need_token, log) */
PyObject *hub_pull(PyObject *module, PyObject *args) {
    const char *name, *cache;
    int need_token;
    PyObject *log;
    progress_watch watch = {0}; /* for Ctrl-C */
    ce_hub_options options = {
        .size = sizeof options, .log = forward_log, .progress = forward_progress, .progress_user = &watch};
    if (!PyArg_ParseTuple(args, "yyzzzpO", &name, &cache, &options.revision, &options.organization, &options.token,
                          &need_token, &log))
        return NULL;
    options.cache = optional(cache);
    options.need_token = need_token;
    options.log_user = log;
    ce_error error = {0};
    char folder[FOLDER_SIZE];
    PyThreadState *thread = PyEval_SaveThread();
    ce_status status = ce_hub_pull(name, &options, folder, sizeof folder, NULL, &error);
    PyEval_RestoreThread(thread);
    if (PyErr_Occurred()) return NULL;
    return status == CE_OK ? PyBytes_FromString(folder) : raise_error(PyModule_GetState(module), &error);
}

/* texts.c - Python's pairs of str as the library's pairs of UTF-8. The bytes are copies that a text_pairs owns, so that
 * nothing the caller does to its lists matters while the interpreter's lock is given away. */
#include "extension.h"

static bool is_pair(PyObject *item) { return PyList_Check(item) || PyTuple_Check(item); }

/* Borrowed; item is a list or a tuple. */
static PyObject *member(PyObject *item, Py_ssize_t index) {
    return PyList_Check(item) ? PyList_GetItem(item, index) : PyTuple_GetItem(item, index);
}

static int wrong(const module_state *state, Py_ssize_t index, const char *what, PyObject *found) {
    PyObject *type = PyObject_GetAttrString((PyObject *)Py_TYPE(found), "__name__");
    if (!type) return -1;
    PyErr_Format(state->input_error, "pair %zd: %s, not %U: give pairs (query, document) of two str", index, what,
                 type);
    Py_DECREF(type);
    return -1;
}

/* Replaces the UnicodeEncodeError of a lone surrogate by one that says which text it was in. */
static int not_encodable(const module_state *state, Py_ssize_t index, const char *which) {
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return -1;
    PyErr_Clear();
    PyErr_Format(state->input_error,
                 "pair %zd: the %s has a surrogate (U+D800 to U+DFFF), which is half a character and no text: remove "
                 "it, for instance with text.encode('utf-8', 'replace').decode()",
                 index, which);
    return -1;
}

static int add_text(const module_state *state, text_pairs *pairs, PyObject *text, Py_ssize_t index, const char *which,
                    ce_text *out) {
    PyObject *bytes = PyUnicode_AsUTF8String(text);
    if (!bytes) return not_encodable(state, index, which);
    *out = (ce_text){PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)};
    int status = PyList_Append(pairs->owned, bytes);
    Py_DECREF(bytes);
    return status;
}

/* previous is the query of the pair before, whose bytes serve again if it is the same object: the library then sees at
 * once that it has the tokens already. */
static int add_pair(const module_state *state, text_pairs *pairs, PyObject *item, Py_ssize_t index,
                    PyObject **previous) {
    if (!is_pair(item)) return wrong(state, index, "expected a list or a tuple", item);
    Py_ssize_t length = PyObject_Size(item);
    if (length != 2) {
        PyErr_Format(state->input_error, "pair %zd has %zd members: give pairs (query, document) of two str%s", index,
                     length, length > 2 ? "; for one query and many documents there is rank(query, documents)" : "");
        return -1;
    }
    PyObject *query = member(item, 0), *document = member(item, 1);
    if (!query || !document) return -1;
    if (!PyUnicode_Check(query)) return wrong(state, index, "the query must be str", query);
    if (!PyUnicode_Check(document)) return wrong(state, index, "the document must be str", document);

    ce_pair *pair = &pairs->pairs[index];
    if (query == *previous)
        pair->query = pairs->pairs[index - 1].query;
    else if (add_text(state, pairs, query, index, "query", &pair->query) < 0)
        return -1;
    *previous = query;
    return add_text(state, pairs, document, index, "document", &pair->document);
}

int text_pairs_create(const module_state *state, PyObject *list, text_pairs *pairs) {
    *pairs = (text_pairs){0};
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "pairs must be a list");
        return -1;
    }
    Py_ssize_t count = PyList_Size(list);
    pairs->count = (size_t)count;
    pairs->pairs = PyMem_Calloc(pairs->count, sizeof *pairs->pairs);
    pairs->owned = PyList_New(0);
    if (!pairs->pairs) PyErr_NoMemory();
    if (!pairs->pairs || !pairs->owned) goto fail;
    PyObject *previous = NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GetItem(list, i);
        if (!item || add_pair(state, pairs, item, i, &previous) < 0) goto fail;
    }
    return 0;
fail:
    text_pairs_free(pairs);
    return -1;
}

void text_pairs_free(text_pairs *pairs) {
    Py_XDECREF(pairs->owned);
    PyMem_Free(pairs->pairs);
    *pairs = (text_pairs){0};
}

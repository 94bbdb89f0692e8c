/* texts.c - Python's str, and pairs of them, as the library's UTF-8. The bytes are copies that a text_list owns, so
 * that nothing the caller does to its lists matters while the interpreter's lock is given away. */
#include "extension.h"

/* How messages call an item of a list, and what they ask for. */
static const char *const nouns[] = {[KIND_TEXTS] = "text", [KIND_PAIRS] = "pair"};
static const char *const wishes[] = {
    [KIND_TEXTS] = "give a list of str", [KIND_PAIRS] = "give pairs (query, document) of two str"};

static bool is_pair(PyObject *item) { return PyList_Check(item) || PyTuple_Check(item); }

/* Borrowed; item is a list or a tuple. */
static PyObject *member(PyObject *item, Py_ssize_t index) {
    return PyList_Check(item) ? PyList_GetItem(item, index) : PyTuple_GetItem(item, index);
}

static int wrong(const module_state *state, text_kind kind, Py_ssize_t index, const char *what, PyObject *found) {
    PyObject *type = PyObject_GetAttrString((PyObject *)Py_TYPE(found), "__name__");
    if (!type) return -1;
    PyErr_Format(state->input_error, "%s %zd: %s, not %U: %s", nouns[kind], index, what, type, wishes[kind]);
    Py_DECREF(type);
    return -1;
}

/* Replaces the UnicodeEncodeError of a lone surrogate by one that says which text it was in. */
static int not_encodable(const module_state *state, text_kind kind, Py_ssize_t index, const char *which) {
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) return -1;
    PyErr_Clear();
    PyErr_Format(state->input_error,
                 "%s %zd: %s has a surrogate (U+D800 to U+DFFF), which is half a character and no text: remove it, for "
                 "instance with text.encode('utf-8', 'replace').decode()",
                 nouns[kind], index, which);
    return -1;
}

static int add_text(const module_state *state, text_list *texts, PyObject *text, Py_ssize_t index, const char *which,
                    ce_text *out) {
    PyObject *bytes = PyUnicode_AsUTF8String(text);
    if (!bytes) return not_encodable(state, texts->kind, index, which);
    *out = (ce_text){PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes)};
    int status = PyList_Append(texts->owned, bytes);
    Py_DECREF(bytes);
    return status;
}

/* previous is the query of the pair before, whose bytes serve again if it is the same object: the library then sees at
 * once that it has the tokens already. */
static int add_pair(const module_state *state, text_list *texts, PyObject *item, Py_ssize_t index,
                    PyObject **previous) {
    if (!is_pair(item)) return wrong(state, KIND_PAIRS, index, "expected a list or a tuple", item);
    Py_ssize_t length = PyObject_Size(item);
    if (length != 2) {
        PyErr_Format(state->input_error, "pair %zd has %zd members: %s%s", index, length, wishes[KIND_PAIRS],
                     length > 2 ? "; for one query and many documents there is rank(query, documents)" : "");
        return -1;
    }
    PyObject *query = member(item, 0), *document = member(item, 1);
    if (!query || !document) return -1;
    if (!PyUnicode_Check(query)) return wrong(state, KIND_PAIRS, index, "the query must be str", query);
    if (!PyUnicode_Check(document)) return wrong(state, KIND_PAIRS, index, "the document must be str", document);

    ce_pair *pair = &texts->pairs[index];
    if (query == *previous)
        pair->query = texts->pairs[index - 1].query;
    else if (add_text(state, texts, query, index, "the query", &pair->query) < 0)
        return -1;
    *previous = query;
    return add_text(state, texts, document, index, "the document", &pair->document);
}

static int add_single(const module_state *state, text_list *texts, PyObject *item, Py_ssize_t index) {
    if (!PyUnicode_Check(item)) return wrong(state, KIND_TEXTS, index, "expected str", item);
    return add_text(state, texts, item, index, "it", &texts->texts[index]);
}

static int allocate(text_list *texts) {
    texts->owned = PyList_New(0);
    if (!texts->owned) return -1;
    if (texts->kind == KIND_PAIRS) texts->pairs = PyMem_Calloc(texts->count, sizeof *texts->pairs);
    if (texts->kind == KIND_TEXTS) texts->texts = PyMem_Calloc(texts->count, sizeof *texts->texts);
    if (texts->pairs || texts->texts) return 0;
    PyErr_NoMemory();
    return -1;
}

int text_list_create(const module_state *state, PyObject *list, text_kind kind, text_list *texts) {
    *texts = (text_list){.kind = kind};
    if (!PyList_Check(list)) {
        PyErr_Format(PyExc_TypeError, "%ss must be a list", nouns[kind]);
        return -1;
    }
    texts->count = (size_t)PyList_Size(list);
    if (allocate(texts) < 0) goto fail;
    PyObject *previous = NULL;
    for (Py_ssize_t i = 0; i < (Py_ssize_t)texts->count; i++) {
        PyObject *item = PyList_GetItem(list, i);
        if (!item) goto fail;
        int added = kind == KIND_PAIRS ? add_pair(state, texts, item, i, &previous) : add_single(state, texts, item, i);
        if (added < 0) goto fail;
    }
    return 0;
fail:
    text_list_free(texts);
    return -1;
}

void text_list_free(text_list *texts) {
    Py_XDECREF(texts->owned);
    PyMem_Free(texts->pairs);
    PyMem_Free(texts->texts);
    *texts = (text_list){0};
}

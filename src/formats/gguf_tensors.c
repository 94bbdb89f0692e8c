/* gguf_tensors.c - the tensors that a GGUF file claims, checked. Must not read a value of them. */
#include "formats/gguf_parts.h"

#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_TENSOR = 8 + 4 + 4 + 8, /* the length of a name, how many sizes, a type, where it begins */
    MOST_SIZES = 4                /* of GGML's tensors */
};

/* GGML's numbers of types: those that are read, and the names of the others. */
static const struct ggml_type {
    uint32_t number;
    const char *name;
    int dtype; /* -1: it is not read */
} types[] = {
    {0, "F32", CEI_DTYPE_F32},
    {1, "F16", CEI_DTYPE_F16},
    {2, "Q4_0", CEI_DTYPE_Q4_0},
    {3, "Q4_1", CEI_DTYPE_Q4_1},
    {6, "Q5_0", CEI_DTYPE_Q5_0},
    {7, "Q5_1", CEI_DTYPE_Q5_1},
    {8, "Q8_0", CEI_DTYPE_Q8_0},
    {9, "Q8_1", -1},
    {10, "Q2_K", -1},
    {11, "Q3_K", -1},
    {12, "Q4_K", CEI_DTYPE_Q4_K},
    {13, "Q5_K", CEI_DTYPE_Q5_K},
    {14, "Q6_K", CEI_DTYPE_Q6_K},
    {15, "Q8_K", -1},
    {16, "IQ2_XXS", -1},
    {17, "IQ2_XS", -1},
    {18, "IQ3_XXS", -1},
    {19, "IQ1_S", -1},
    {20, "IQ4_NL", -1},
    {21, "IQ3_S", -1},
    {22, "IQ2_S", -1},
    {23, "IQ4_XS", -1},
    {24, "I8", -1},
    {25, "I16", -1},
    {26, "I32", -1},
    {27, "I64", -1},
    {28, "F64", -1},
    {29, "IQ1_M", -1},
    {30, "BF16", CEI_DTYPE_BF16},
    {34, "TQ1_0", -1},
    {35, "TQ2_0", -1},
    {39, "MXFP4", -1},
    {40, "NVFP4", -1},
};

uint32_t cei_gguf_number_of(cei_dtype dtype) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == (int)dtype) return types[i].number;
    return UINT32_MAX;
}

static ce_status find_type(const cei_gguf_reader *in, const cei_tensor *tensor, uint32_t number, cei_dtype *dtype) {
    const char *name = "unknown";
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].number != number) continue;
        if (types[i].dtype >= 0) return *dtype = (cei_dtype)types[i].dtype, CE_OK;
        name = types[i].name;
    }
    return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                    "%s: tensor \"%.96s\" is of type %s (%u); crossenc reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, "
                    "Q5_1, Q4_K, Q5_K and Q6_K: take a file of one of these",
                    in->path, tensor->name, name, (unsigned)number);
}

/* The format has the length of a row first. */
static ce_status read_shape(cei_gguf_reader *in, cei_tensor *tensor) {
    uint64_t rank = 0;
    ce_status status = cei_gguf_read_number(in, 4, "a tensor", &rank);
    if (status != CE_OK) return status;
    if (rank < 1 || rank > MOST_SIZES)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: tensor \"%.96s\" has %u sizes, and may have 1 to %d", in->path,
                        tensor->name, (unsigned)rank, MOST_SIZES);
    tensor->rank = (int)rank;
    tensor->count = 1;
    for (size_t i = (size_t)rank; i-- > 0 && status == CE_OK;) {
        status = cei_gguf_read_number(in, 8, "a tensor", &tensor->shape[i]);
        if (status != CE_OK) break;
        if (tensor->shape[i] > 0 && tensor->count > UINT64_MAX / tensor->shape[i])
            return cei_fail(in->error, CE_ERR_FORMAT, "%s: the sizes of tensor \"%.96s\" overflow", in->path,
                            tensor->name);
        tensor->count *= tensor->shape[i];
    }
    return status;
}

/* Bytes of the tensor: its rows are whole blocks. */
static ce_status count_bytes(const cei_gguf_reader *in, cei_dtype dtype, cei_tensor *tensor) {
    const uint64_t block = cei_dtype_block(dtype), size = cei_dtype_size(dtype);
    const uint64_t columns = tensor->shape[tensor->rank - 1], blocks = tensor->count / block;
    if (columns % block != 0)
        return cei_fail(in->error, CE_ERR_FORMAT,
                        "%s: rows of tensor \"%.96s\" have %" PRIu64 " values, which are not whole blocks of %s",
                        in->path, tensor->name, columns, cei_dtype_name(dtype));
    if (blocks > UINT64_MAX / size)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: the sizes of tensor \"%.96s\" overflow", in->path, tensor->name);
    tensor->bytes = blocks * size;
    return CE_OK;
}

/* Leaves the offset, from where data begin, in *begin. */
static ce_status read_tensor(cei_gguf_reader *in, cei_tensor *tensor, uint64_t *begin) {
    uint64_t number = 0;
    cei_dtype dtype = CEI_DTYPE_F32;
    ce_status status = read_shape(in, tensor);
    if (status == CE_OK) status = cei_gguf_read_number(in, 4, "a tensor", &number);
    if (status == CE_OK) status = find_type(in, tensor, (uint32_t)number, &dtype);
    if (status == CE_OK) status = count_bytes(in, dtype, tensor);
    tensor->dtype = cei_dtype_name(dtype);
    return status == CE_OK ? cei_gguf_read_number(in, 8, "a tensor", begin) : status;
}

/* Bytes of all names with a NUL behind each: a walk before the reading, since names point into one block. */
static ce_status measure_names(cei_gguf_reader in, uint64_t count, size_t *bytes) {
    ce_status status = CE_OK;
    *bytes = 1;
    for (uint64_t i = 0; i < count && status == CE_OK; i++) {
        cei_gguf_text name;
        uint64_t rank = 0;
        status = cei_gguf_read_text(&in, "a tensor", &name);
        if (status == CE_OK) status = cei_gguf_check_name(&in, "the name of a tensor", name);
        if (status == CE_OK) status = cei_gguf_read_number(&in, 4, "a tensor", &rank);
        if (status != CE_OK) return status;
        *bytes += name.size + 1;
        const uint64_t rest = rank * 8 + 4 + 8;
        if (rest > in.size - in.at) return cei_gguf_cut(&in, "a tensor");
        in.at += (size_t)rest;
    }
    return status;
}

/* ---- where the bytes are --------------------------------------------------------------------------------------- */

static ce_status find_data(cei_gguf_reader *in, const cei_gguf *gguf, size_t *alignment) {
    *alignment = CEI_GGUF_ALIGNMENT;
    ce_status status = cei_gguf_size(gguf, "general.alignment", 1 << 20, alignment, in->error);
    if (status != CE_OK) return status;
    if (*alignment < 8 || (*alignment & (*alignment - 1)) != 0)
        return cei_fail(in->error, CE_ERR_FORMAT, "%s: \"general.alignment\" is %zu, and must be a power of two from 8",
                        in->path, *alignment);
    const size_t beyond = in->at % *alignment;
    const size_t padding = beyond ? *alignment - beyond : 0;
    /* A file without tensors, a vocabulary, may end before. */
    in->at += cei_min_size(padding, in->size - in->at);
    return CE_OK;
}

static ce_status place(const cei_gguf_reader *in, size_t alignment, uint64_t begin, cei_tensor *tensor) {
    const uint64_t all = in->size - in->at;
    if (begin % alignment != 0)
        return cei_fail(in->error, CE_ERR_FORMAT,
                        "%s: tensor \"%.96s\" begins at byte %" PRIu64 ", which is not aligned to %zu", in->path,
                        tensor->name, begin, alignment);
    if (begin > all || tensor->bytes > all - begin)
        return cei_fail(in->error, CE_ERR_FORMAT,
                        "%s: tensor \"%.96s\" of %" PRIu64 " bytes begins at byte %" PRIu64
                        " of the data, of which the file has %" PRIu64 ": it is truncated or damaged; fetch it again",
                        in->path, tensor->name, tensor->bytes, begin, all);
    tensor->data = in->data + in->at + begin;
    return CE_OK;
}

/* A tensor in an order. */
typedef struct ordered {
    const cei_tensor *tensor;
} ordered;

static int compare_names(const void *left, const void *right) {
    return strcmp(((const ordered *)left)->tensor->name, ((const ordered *)right)->tensor->name);
}

/* By place; an empty tensor lies before the one that begins where it lies. */
static int compare_places(const void *left, const void *right) {
    const cei_tensor *a = ((const ordered *)left)->tensor, *b = ((const ordered *)right)->tensor;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

/* No name comes twice, and no byte belongs to two tensors. */
static ce_status check_all(const cei_gguf_reader *in, const cei_gguf *gguf) {
    const size_t count = gguf->tensor_count;
    ce_status status = CE_OK;
    ordered *order = cei_alloc(count, sizeof *order);
    if (!order) return cei_fail_memory(in->error, in->path, count * sizeof *order);
    for (size_t i = 0; i < count; i++) order[i].tensor = &gguf->tensors[i];
    if (count > 0) qsort(order, count, sizeof *order, compare_names);
    for (size_t i = 1; i < count && status == CE_OK; i++)
        if (compare_names(&order[i - 1], &order[i]) == 0)
            status = cei_fail(in->error, CE_ERR_FORMAT, "%s has the tensor \"%.96s\" twice", in->path,
                              order[i].tensor->name);
    if (count > 0) qsort(order, count, sizeof *order, compare_places);
    for (size_t i = 1; i < count && status == CE_OK; i++) {
        const cei_tensor *before = order[i - 1].tensor, *behind = order[i].tensor;
        if ((uint64_t)(behind->data - before->data) < before->bytes)
            status = cei_fail(in->error, CE_ERR_FORMAT, "%s: tensors \"%.96s\" and \"%.96s\" overlap", in->path,
                              before->name, behind->name);
    }
    cei_free(order);
    return status;
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

static ce_status allocate(const cei_gguf_reader *in, uint64_t count, uint64_t **begins, cei_gguf *gguf) {
    size_t bytes = 0;
    if (count > (in->size - in->at) / LEAST_TENSOR) return cei_gguf_cut(in, "the list of tensors");
    ce_status status = measure_names(*in, count, &bytes);
    if (status != CE_OK) return status;
    gguf->tensors = cei_alloc_zeroed((size_t)count, sizeof *gguf->tensors);
    gguf->names = cei_alloc(bytes, 1);
    *begins = cei_alloc((size_t)count, sizeof **begins);
    return gguf->tensors && gguf->names && *begins ? CE_OK : cei_fail_memory(in->error, in->path, bytes);
}

static ce_status read_all(cei_gguf_reader *in, uint64_t count, uint64_t *begins, cei_gguf *gguf) {
    char *names = gguf->names;
    ce_status status = CE_OK;
    for (size_t i = 0; i < count && status == CE_OK; i++) {
        cei_tensor *tensor = &gguf->tensors[gguf->tensor_count++];
        cei_gguf_text name;
        status = cei_gguf_read_text(in, "a tensor", &name);
        if (status != CE_OK) return status;
        if (name.size) memcpy(names, name.data, name.size);
        names[name.size] = '\0';
        tensor->name = names;
        names += name.size + 1;
        status = read_tensor(in, tensor, &begins[i]);
    }
    return status;
}

ce_status cei_gguf_read_tensors(cei_gguf_reader *in, uint64_t count, cei_gguf *gguf) {
    uint64_t *begins = NULL;
    size_t alignment = 0;
    ce_status status = allocate(in, count, &begins, gguf);
    if (status == CE_OK) status = read_all(in, count, begins, gguf);
    if (status == CE_OK) status = find_data(in, gguf, &alignment);
    for (size_t i = 0; i < gguf->tensor_count && status == CE_OK; i++)
        status = place(in, alignment, begins[i], &gguf->tensors[i]);
    if (status == CE_OK) status = check_all(in, gguf);
    cei_free(begins);
    return status;
}

ce_status cei_gguf_header(const uint8_t *data, size_t size, const char *path, cei_header *header, ce_error *error) {
    cei_gguf gguf;
    *header = (cei_header){0};
    ce_status status = cei_gguf_parse(data, size, path, &gguf, error);
    if (status != CE_OK) return status;
    *header = (cei_header){.tensors = gguf.tensors, .count = gguf.tensor_count, .names = gguf.names};
    gguf.tensors = NULL;
    gguf.names = NULL;
    cei_gguf_close(&gguf);
    return CE_OK;
}

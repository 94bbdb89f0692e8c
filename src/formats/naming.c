/* naming.c - renames the tensors of a header, and cuts those that hold several. Must not look at values. */
#include "formats/naming.h"

#include "base/error.h"
#include "base/memory.h"
#include "formats/header.h"

#include <string.h>

/* Into how many a tensor is cut: all of its first size is shared out, in whole blocks. */
static size_t pieces_of(const cei_tensor *tensor, const cei_naming *naming) {
    const uint64_t count = naming->count, rows = tensor->rank > 0 ? tensor->shape[0] : 1;
    if (count < 2) return 1;
    const bool is_even = rows % count == 0 && tensor->bytes % count == 0;
    return is_even && (tensor->rank > 1 || tensor->bytes == 4 * tensor->count) ? naming->count : 1;
}

/* Piece i of a tensor. */
static cei_tensor piece_of(const cei_tensor *tensor, size_t pieces, size_t i) {
    cei_tensor piece = *tensor;
    if (pieces == 1) return piece;
    piece.shape[0] /= pieces;
    piece.count /= pieces;
    piece.bytes /= pieces;
    piece.data += i * piece.bytes;
    return piece;
}

/* The tensors that one becomes, appended; their names are written at *names, which moves on. */
static void append(cei_header *to, char **names, const cei_tensor *tensor, const cei_naming *naming) {
    const size_t pieces = pieces_of(tensor, naming);
    for (size_t i = 0; i < pieces; i++) {
        const char *name = naming->count ? naming->names[i] : tensor->name;
        const size_t bytes = strlen(name) + 1;
        cei_tensor *piece = &to->tensors[to->count++];
        *piece = piece_of(tensor, pieces, i);
        piece->name = memcpy(*names, name, bytes);
        piece->pairs = naming->pairs;
        piece->is_more = naming->is_more;
        *names += bytes;
    }
}

/* How many tensors there will be, and the bytes of their names. */
static void measure(const cei_header *header, cei_naming_fn name, const void *user, size_t *count, size_t *bytes) {
    *count = *bytes = 0;
    for (size_t i = 0; i < header->count; i++) {
        cei_naming naming = {.count = 0};
        name(user, &header->tensors[i], &naming);
        const size_t pieces = pieces_of(&header->tensors[i], &naming);
        *count += pieces;
        for (size_t k = 0; k < pieces; k++)
            *bytes += strlen(naming.count ? naming.names[k] : header->tensors[i].name) + 1;
    }
}

ce_status cei_header_rename(cei_header *header, cei_naming_fn name, const void *user, ce_error *error) {
    size_t count, bytes;
    measure(header, name, user, &count, &bytes);
    cei_header renamed = {.tensors = cei_alloc(count, sizeof *renamed.tensors), .names = cei_alloc(bytes, 1)};
    if (!renamed.tensors || !renamed.names) {
        cei_header_free(&renamed);
        return cei_fail_memory(error, "the names of tensors", bytes);
    }
    char *names = renamed.names;
    for (size_t i = 0; i < header->count; i++) {
        cei_naming naming = {.count = 0};
        name(user, &header->tensors[i], &naming);
        append(&renamed, &names, &header->tensors[i], &naming);
    }
    cei_header_free(header);
    *header = renamed;
    return CE_OK;
}

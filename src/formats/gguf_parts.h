/* gguf_parts.h - what the readers and the writer of a GGUF file share, and the file as a checkpoint reads it. Only
 * src/formats includes this. */
#ifndef CEI_GGUF_PARTS_H
#define CEI_GGUF_PARTS_H

#include "formats/gguf.h"
#include "formats/header.h"

/* Where data begin, unless general.alignment says otherwise. */
enum { CEI_GGUF_ALIGNMENT = 32 };

/* A place in the file. */
typedef struct cei_gguf_reader {
    const uint8_t *data;
    size_t size, at;
    const char *path;
    ce_error *error;
} cei_gguf_reader;

/* The failure of something that goes beyond the end. */
ce_status cei_gguf_cut(const cei_gguf_reader *in, const char *what);
#ifdef __clang_analyzer__ /* as in base/error.h: a failure is never CE_OK */
#define cei_gguf_cut(in, what) ((void)cei_gguf_cut((in), (what)), CE_ERR_FORMAT)
#endif

/* An integer of so many bytes, or a string; what is for messages. Errors: FORMAT. */
ce_status cei_gguf_read_number(cei_gguf_reader *in, size_t bytes, const char *what, uint64_t *number);
ce_status cei_gguf_read_text(cei_gguf_reader *in, const char *what, cei_gguf_text *text);

/* Is it UTF-8 without a NUL? Errors: FORMAT. */
ce_status cei_gguf_check_name(const cei_gguf_reader *in, const char *what, cei_gguf_text name);

/* By bytes, as strcmp. */
int cei_gguf_compare(cei_gguf_text a, cei_gguf_text b);

/* gguf_tensors.c: the tensors, of which the file claims count, and which follow the metadata. Errors: FORMAT,
 * UNSUPPORTED, MEMORY. */
ce_status cei_gguf_read_tensors(cei_gguf_reader *in, uint64_t count, cei_gguf *gguf);

/* gguf_tensors.c: GGML's number of a type; UINT32_MAX if it has none. */
uint32_t cei_gguf_number_of(cei_dtype dtype);

/* gguf_tensors.c: the tensors of a file alone, as cei_header_parse gives those of safetensors. */
ce_status cei_gguf_header(const uint8_t *data, size_t size, const char *path, cei_header *header, ce_error *error);

#endif

/* encode.c - crossenc encode: texts in, embeddings out, in the same order: JSON lines, or an array for NumPy.
 *
 * Work is done in chunks. Of int8 and uint8 the range of each value is taken over all embeddings, which are therefore
 * kept until the end. */
#include "encode.h"

#include "chunks.h"
#include "commands.h"
#include "format.h"
#include "records.h"
#include "scorer.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* The header of a .npy file, version 1.0, padded so that it need not grow when the number of rows is known. */
enum { NPY_HEADER = 128 };

typedef struct encode_job {
    const cli_settings *settings;
    cli_reader reader;
    cli_format format;
    cli_embedding_format to;
    ce_embedding_type type;
    cli_arena arena;
    cli_document documents[CLI_CHUNK_PAIRS];
    ce_text texts[CLI_CHUNK_PAIRS];
    size_t dimension;
    float *embeddings;  /* [CLI_CHUNK_PAIRS, dimension]; of int8 and uint8 [count, dimension] */
    size_t capacity;    /* rows that there is room for */
    unsigned char *row; /* one quantized embedding */
    cli_arena ids;      /* of all documents, if embeddings are kept */
    ce_text *kept_ids;
    size_t id_capacity;
    size_t count; /* texts so far */
    cli_scorer scorer;
    cli_output output;
} encode_job;

/* Are embeddings written at the end? */
static bool keeps_all(const encode_job *job) {
    return job->type == CE_EMBEDDING_INT8 || job->type == CE_EMBEDDING_UINT8;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static cli_status open_input(encode_job *job, cli_error *error) {
    const cli_settings *settings = job->settings;
    if (settings->argument_count > 1) {
        return cli_fail(error, CLI_USAGE, "encode reads one file; texts are its lines. See 'crossenc encode --help'");
    }
    const char *path = settings->argument_count ? settings->arguments[0] : NULL;
    job->format = cli_format_of((cli_format)settings->format, path, CLI_FORMAT_LINES);
    cli_status status = cli_reader_open(&job->reader, path, settings->utf8 == CE_UTF8_REPLACE, error);
    if (status == CLI_OK && !settings->quiet && isatty(job->reader.fd)) {
        fprintf(stderr, "crossenc: reading texts from the terminal, one a line; Ctrl-D ends them\n");
    }
    return status;
}

static cli_embedding_format choose_format(const cli_settings *settings) {
    const char *ending = settings->output ? strrchr(settings->output, '.') : NULL;
    if (settings->to != CLI_TO_AUTO) return (cli_embedding_format)settings->to;
    return !settings->json && ending && strcasecmp(ending, ".npy") == 0 ? CLI_TO_NPY : CLI_TO_JSONL;
}

/* The number of rows comes first in a .npy file and is known last. */
static cli_status open_output(encode_job *job, cli_error *error) {
    const cli_settings *settings = job->settings;
    job->to = choose_format(settings);
    job->type = (ce_embedding_type)settings->type;
    cli_status status = cli_output_open(&job->output, settings->output, (cli_color)settings->color, error);
    if (status != CLI_OK || job->to == CLI_TO_JSONL || job->output.target) return status;
    return cli_fail(error, CLI_USAGE, "npy needs a file that can be written anywhere: --output FILE.npy");
}

static cli_status open_all(encode_job *job, cli_error *error) {
    cli_status status = open_input(job, error);
    if (status == CLI_OK) status = open_output(job, error);
    if (status == CLI_OK) status = cli_scorer_open_encoder(&job->scorer, job->settings, CE_PLACE_EAGER, error);
    if (status != CLI_OK) return status;
    const size_t asked = job->settings->truncate_dim, own = job->scorer.encoder_info.truncate_dim;
    const size_t whole = job->scorer.encoder_info.dimension;
    job->dimension = asked ? (asked < whole ? asked : whole) : own;
    job->capacity = CLI_CHUNK_PAIRS;
    job->embeddings = reallocarray(NULL, job->dimension, CLI_CHUNK_PAIRS * sizeof *job->embeddings);
    job->row = malloc(ce_embedding_bytes(CE_EMBEDDING_FLOAT32, job->dimension));
    return job->embeddings && job->row ? CLI_OK : cli_fail_memory(error);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static size_t columns_of(const encode_job *job) {
    const size_t bytes = ce_embedding_bytes(job->type, job->dimension);
    return job->type == CE_EMBEDDING_FLOAT32 ? job->dimension : bytes;
}

static void make_npy_header(const encode_job *job, char header[NPY_HEADER]) {
    static const char *const types[] = {"<f4", "|i1", "|u1", "|i1", "|u1"};
    memset(header, ' ', NPY_HEADER);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)(NPY_HEADER - 10);
    header[9] = 0;
    int used = snprintf(header + 10, NPY_HEADER - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu), }",
                        types[job->type], job->count, columns_of(job));
    header[10 + used] = ' ';
    header[NPY_HEADER - 1] = '\n';
}

static void write_npy_row(encode_job *job, const float *embedding) {
    if (job->type != CE_EMBEDDING_FLOAT32) {
        cli_write(&job->output, (const char *)job->row, columns_of(job));
        return;
    }
    for (size_t i = 0; i < job->dimension; i++) { /* little-endian on any machine */
        uint32_t bits;
        memcpy(&bits, &embedding[i], sizeof bits);
        const char bytes[] = {(char)bits, (char)(bits >> 8), (char)(bits >> 16), (char)(bits >> 24)};
        cli_write(&job->output, bytes, sizeof bytes);
    }
}

static void write_json_row(encode_job *job, const float *embedding, ce_text id) {
    cli_output *output = &job->output;
    const bool is_signed = job->type == CE_EMBEDDING_INT8 || job->type == CE_EMBEDDING_BINARY;
    char text[CLI_NUMBER_SIZE];
    cli_write_string(output, "{");
    if (id.data) {
        cli_write_string(output, "\"id\":");
        cli_write_json(output, id);
        cli_write_string(output, ",");
    }
    cli_write_string(output, "\"embedding\":[");
    for (size_t i = 0; i < columns_of(job); i++) {
        if (i) cli_write_string(output, ",");
        if (job->type == CE_EMBEDDING_FLOAT32)
            cli_write_string(output, cli_format_json_score(embedding[i], text));
        else
            cli_print(output, "%d", is_signed ? (int)(signed char)job->row[i] : (int)job->row[i]);
    }
    cli_write_string(output, "]}\n");
}

static void write_row(encode_job *job, const float *embedding, const float *ranges, ce_text id) {
    if (job->type != CE_EMBEDDING_FLOAT32)
        (void)ce_embedding_quantize(embedding, 1, job->dimension, job->type, ranges, job->row, NULL);
    if (job->to == CLI_TO_NPY)
        write_npy_row(job, embedding);
    else
        write_json_row(job, embedding, id);
}

/* ---- chunks -------------------------------------------------------------------------------------------------- */

static cli_status parse_line(void *argument, ce_text line, size_t index, size_t *bytes, cli_error *error) {
    encode_job *job = argument;
    cli_document *document = &job->documents[index];
    if (job->format == CLI_FORMAT_LINES) cli_scorer_note_format(&job->scorer, &job->reader, line);
    cli_status status = cli_parse_document(job->format, line, &job->reader, &job->arena, document, error);
    job->texts[index] = document->text;
    *bytes = document->text.size;
    return status;
}

/* Room for a chunk behind the embeddings that are kept, and its ids. */
static cli_status keep_chunk(encode_job *job, size_t count, cli_error *error) {
    if (!cli_grow(&job->embeddings, &job->capacity, job->count + count, job->dimension * sizeof *job->embeddings) ||
        !cli_grow(&job->kept_ids, &job->id_capacity, job->count + count, sizeof *job->kept_ids))
        return cli_fail_memory(error);
    for (size_t i = 0; i < count; i++) {
        const ce_text id = job->documents[i].id;
        ce_text *kept = &job->kept_ids[job->count + i];
        *kept = id;
        if (id.data) *kept = cli_arena_copy(&job->ids, id);
        if (id.data && !kept->data) return cli_fail_memory(error);
    }
    return CLI_OK;
}

static cli_status encode_chunk(void *argument, size_t count, cli_error *error) {
    encode_job *job = argument;
    const bool keeps = keeps_all(job);
    cli_status status = keeps ? keep_chunk(job, count, error) : CLI_OK;
    if (status != CLI_OK) return status;
    float *embeddings = job->embeddings + (keeps ? job->count * job->dimension : 0);
    status = cli_scorer_encode(&job->scorer, job->texts, count, embeddings, error);
    if (status != CLI_OK) return status;
    if (job->output.is_terminal) cli_progress_clear(&job->scorer.progress);
    for (size_t i = 0; i < count && !keeps; i++)
        write_row(job, embeddings + i * job->dimension, NULL, job->documents[i].id);
    job->count += count;
    cli_arena_reset(&job->arena);
    return keeps ? CLI_OK : cli_output_flush(&job->output, error);
}

static cli_status write_kept(encode_job *job, cli_error *error) {
    float *ranges = reallocarray(NULL, 2 * job->dimension, sizeof *ranges);
    if (!ranges) return cli_fail_memory(error);
    if (job->count > 0) (void)ce_embedding_ranges(job->embeddings, job->count, job->dimension, ranges, NULL);
    for (size_t i = 0; i < job->count; i++)
        write_row(job, job->embeddings + i * job->dimension, ranges, job->kept_ids[i]);
    free(ranges);
    return cli_output_flush(&job->output, error);
}

static cli_status run(encode_job *job, cli_error *error) {
    char header[NPY_HEADER];
    make_npy_header(job, header);
    if (job->to == CLI_TO_NPY) cli_write(&job->output, header, sizeof header);
    const cli_chunks chunks = {&job->reader, &job->scorer, job, parse_line, encode_chunk};
    cli_status status = cli_chunks_run(&chunks, error);
    if (status == CLI_OK && keeps_all(job)) status = write_kept(job, error);
    if (status == CLI_OK && job->to == CLI_TO_NPY) {
        make_npy_header(job, header);
        status = cli_output_patch(&job->output, header, sizeof header, 0, error);
    }
    return status == CLI_OK ? cli_output_commit(&job->output, error) : status;
}

static void note(encode_job *job) {
    char first[64];
    snprintf(first, sizeof first, "line %llu", (unsigned long long)job->scorer.first_truncated + 1);
    cli_scorer_note_truncation(&job->scorer, first);
    if (job->output.target) cli_scorer_note_speed(&job->scorer, "text");
}

cli_status cli_encode(const cli_settings *settings, cli_error *error) {
    encode_job *job = calloc(1, sizeof *job);
    if (!job) return cli_fail_memory(error);
    job->settings = settings;
    cli_status status = open_all(job, error);
    if (status == CLI_OK) {
        status = run(job, error);
        note(job);
    }
    cli_scorer_close(&job->scorer);
    cli_output_close(&job->output);
    cli_arena_free(&job->arena);
    cli_arena_free(&job->ids);
    cli_reader_close(&job->reader);
    free(job->embeddings);
    free(job->kept_ids);
    free(job->row);
    free(job);
    return status;
}

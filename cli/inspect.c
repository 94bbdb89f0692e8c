/* inspect.c - crossenc inspect: the model, its tokenizer and files, and where it is or would be placed.
 *
 * Without --place the model is loaded deferred: files are read and the device is resolved and probed, but nothing is
 * held there. */
#include "commands.h"
#include "format.h"
#include "memory.h"
#include "scorer.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A file of the model's folder. */
typedef struct model_file {
    char *name;
    uint64_t bytes;
} model_file;

typedef struct inspection {
    ce_model_info info;
    const ce_encoder_info *encoder; /* NULL for a cross-encoder */
    ce_placement_report reports[CE_MOST_DEVICES];
    size_t report_count; /* at least 1 */
    model_file *files;
    size_t file_count, file_capacity;
} inspection;

static const char *state_name(ce_model_state state) {
    switch (state) {
    case CE_STATE_DEFERRED: return "deferred";
    case CE_STATE_PLACING: return "placing";
    case CE_STATE_READY: return "ready";
    case CE_STATE_MOVING: return "moving";
    case CE_STATE_LOST: return "lost";
    }
    return "unknown";
}

/* inner is the folder of a module in the model's, or "". */
static bool add_file(inspection *found, int folder, const char *inner, const char *name) {
    struct stat status;
    char path[PATH_MAX];
    if (fstatat(folder, name, &status, 0) != 0 || !S_ISREG(status.st_mode)) return true;
    if (!cli_grow(&found->files, &found->file_capacity, found->file_count + 1, sizeof *found->files)) return false;
    const char *slash = strrchr(name, '/');
    snprintf(path, sizeof path, "%s%s%s", inner, *inner ? "/" : "", slash ? slash + 1 : name);
    model_file file = {strdup(path), (uint64_t)status.st_size};
    if (!file.name) return false;
    found->files[found->file_count++] = file;
    return true;
}

static int by_name(const void *left, const void *right) {
    return strcmp(((const model_file *)left)->name, ((const model_file *)right)->name);
}

/* Modules of Sentence Transformers are in folders such as 1_Pooling. */
static bool is_module(const char *name) { return *name >= '0' && *name <= '9' && strchr(name, '_'); }

static cli_status list_folder(inspection *found, const char *inner, cli_error *error) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", found->info.path, inner);
    DIR *folder = opendir(path);
    cli_status status = CLI_OK;
    if (!folder) return add_file(found, AT_FDCWD, "", found->info.path) ? CLI_OK : cli_fail_memory(error); /* GGUF */
    for (struct dirent *entry; status == CLI_OK && (entry = readdir(folder));) {
        if (!*inner && is_module(entry->d_name)) status = list_folder(found, entry->d_name, error);
        if (status == CLI_OK && !add_file(found, dirfd(folder), inner, entry->d_name)) status = cli_fail_memory(error);
    }
    closedir(folder);
    return status;
}

/* The files of the folder, or the one file, whatever they are for: what is there explains what was read. */
static cli_status list_files(inspection *found, cli_error *error) {
    const cli_status status = list_folder(found, "", error);
    if (found->file_count > 1) qsort(found->files, found->file_count, sizeof *found->files, by_name);
    return status;
}

static void write_pair(cli_output *output, const char *key, const char *value) {
    cli_print(output, "\"%s\":", key);
    cli_write_json(output, ce_text_of(value ? value : ""));
    cli_write_string(output, ",");
}

static void write_number(cli_output *output, const char *key, uint64_t value) {
    cli_print(output, "\"%s\":%" PRIu64 ",", key, value);
}

static void write_labels(cli_output *output, const ce_model *model, size_t count) {
    cli_write_string(output, "\"labels\":[");
    for (size_t i = 0; i < count; i++) {
        const char *label = ce_model_label(model, i);
        if (i) cli_write_string(output, ",");
        cli_write_json(output, ce_text_of(label ? label : ""));
    }
    cli_write_string(output, "],");
}

static void write_files(cli_output *output, const inspection *found) {
    cli_write_string(output, "\"files\":[");
    for (size_t i = 0; i < found->file_count; i++) {
        cli_write_string(output, i ? ",{\"name\":" : "{\"name\":");
        cli_write_json(output, ce_text_of(found->files[i].name));
        cli_print(output, ",\"bytes\":%" PRIu64 "}", found->files[i].bytes);
    }
    cli_write_string(output, "],");
}

static void write_prompts(cli_output *output, const ce_encoder *encoder) {
    const char *name, *text;
    cli_write_string(output, "\"prompts\":{");
    for (size_t i = 0; ce_encoder_prompt_at(encoder, i, &name, &text); i++) {
        if (i) cli_write_string(output, ",");
        cli_write_json(output, ce_text_of(name));
        cli_write_string(output, ":");
        cli_write_json(output, ce_text_of(text));
    }
    cli_write_string(output, "},");
}

static void write_encoder(cli_output *output, const ce_encoder *encoder, const ce_encoder_info *info) {
    write_pair(output, "pooling", info->pooling);
    write_number(output, "dimension", info->dimension);
    write_number(output, "truncate_dim", info->truncate_dim);
    cli_print(output, "\"normalized\":%s,\"include_prompt\":%s,", info->normalized ? "true" : "false",
              info->include_prompt ? "true" : "false");
    write_pair(output, "similarity", ce_similarity_name(info->similarity));
    write_prompts(output, encoder);
    write_pair(output, "default_prompt", info->default_prompt);
}

static void write_model(cli_output *output, const cli_scorer *scorer, const inspection *found) {
    const ce_model_info *info = &found->info;
    write_pair(output, "path", info->path);
    write_pair(output, "kind", ce_kind_name(found->encoder ? CE_KIND_BI_ENCODER : CE_KIND_CROSS_ENCODER));
    write_pair(output, "architecture", info->architecture);
    write_pair(output, "tokenizer", info->tokenizer);
    if (found->encoder) {
        write_encoder(output, scorer->encoder, found->encoder);
    } else {
        write_labels(output, scorer->model, info->num_labels);
        write_pair(output, "activation", ce_activation_name(info->activation));
    }
    write_number(output, "max_length", info->max_length);
    write_number(output, "max_positions", info->max_positions);
    write_number(output, "vocab_size", info->vocab_size);
    write_number(output, "hidden_size", info->hidden_size);
    write_number(output, "layers", info->layers);
    write_number(output, "heads", info->heads);
    write_number(output, "intermediate_size", info->intermediate_size);
    write_number(output, "parameters", info->parameters);
    write_pair(output, "weight_dtype", info->weight_dtype);
    write_pair(output, "weight_format", info->weight_format);
}

static void write_times(cli_output *output, const ce_placement_report *report) {
    cli_print(output, "\"milliseconds\":{\"resolve\":%.3f,\"open\":%.3f,\"upload\":%.3f,\"verify\":%.3f,",
              report->resolve_ms, report->open_ms, report->upload_ms, report->verify_ms);
    cli_print(output, "\"self_test\":%.3f,\"total\":%.3f}", report->self_test_ms, report->total_ms);
}

static void write_placement(cli_output *output, const ce_placement_report *report) {
    cli_write_string(output, "{");
    write_pair(output, "state", state_name(report->state));
    write_pair(output, "requested", report->requested);
    write_pair(output, "device", report->device);
    write_pair(output, "device_name", report->device_name);
    write_pair(output, "precision", ce_precision_name(report->precision));
    write_number(output, "generation", report->generation);
    write_number(output, "file_bytes", report->file_bytes);
    write_number(output, "weight_bytes", report->weight_bytes);
    write_number(output, "workspace_bytes", report->workspace_bytes);
    write_number(output, "host_bytes", report->host_bytes);
    write_number(output, "staging_bytes", report->staging_bytes);
    write_number(output, "tensors", report->tensors);
    write_number(output, "tensors_verified", report->tensors_verified);
    write_number(output, "tensors_unused", report->tensors_unused);
    cli_print(output, "\"self_tested\":%s,", report->self_tested ? "true" : "false");
    cli_print(output, "\"self_test_error\":%.9g,\"self_test_bound\":%.9g,", report->self_test_error,
              report->self_test_bound);
    cli_print(output, "\"fell_back\":%s,", report->fell_back ? "true" : "false");
    write_pair(output, "fallback_reason", report->fallback_reason);
    write_times(output, report);
    cli_write_string(output, "}");
}

static void write_json(cli_output *output, const cli_scorer *scorer, const inspection *found) {
    cli_write_string(output, "{");
    write_model(output, scorer, found);
    write_files(output, found);
    cli_write_string(output, "\"placement\":");
    write_placement(output, &found->reports[0]);
    cli_write_string(output, ",\"placements\":[");
    for (size_t i = 0; i < found->report_count; i++) {
        if (i) cli_write_string(output, ",");
        write_placement(output, &found->reports[i]);
    }
    cli_write_string(output, "]}\n");
}

static void write_head(cli_output *output, const char *title) {
    cli_print(output, "%s%s%s\n", cli_style(output, CLI_BOLD), title, cli_style(output, CLI_RESET));
}

/* One line: a dim name, and what follows. */
static void write_name(cli_output *output, const char *name) {
    cli_print(output, "  %s%-14s%s", cli_style(output, CLI_DIM), name, cli_style(output, CLI_RESET));
}

static void show(cli_output *output, const char *name, const char *value) {
    write_name(output, name);
    cli_write_plain(output, ce_text_of(value ? value : ""), 0);
    cli_write_string(output, "\n");
}

static void show_labels(cli_output *output, const ce_model *model, size_t count) {
    write_name(output, "labels");
    cli_print(output, "%zu:", count);
    for (size_t i = 0; i < count && i < 12; i++) {
        const char *label = ce_model_label(model, i);
        cli_write_string(output, i ? ", " : " ");
        cli_write_plain(output, ce_text_of(label ? label : ""), 0);
    }
    cli_write_string(output, count > 12 ? ", …\n" : "\n");
}

static void show_encoder(cli_output *output, const ce_encoder *encoder, const ce_encoder_info *info) {
    const char *name;
    write_name(output, "embeddings");
    cli_print(output, "%zu values", info->truncate_dim);
    if (info->truncate_dim < info->dimension) cli_print(output, " of %zu", info->dimension);
    cli_print(output, ", pooled by %s%s\n", info->pooling, info->normalized ? ", of length 1" : "");
    show(output, "similarity", info->similarity ? ce_similarity_name(info->similarity) : "cosine (none is named)");
    write_name(output, "prompts");
    for (size_t i = 0; ce_encoder_prompt_at(encoder, i, &name, NULL) && i < 12; i++) {
        cli_write_string(output, i ? ", " : "");
        cli_write_plain(output, ce_text_of(name), 0);
    }
    cli_write_string(output, info->prompts > 12 ? ", …" : info->prompts ? "" : "none");
    if (info->default_prompt) cli_write_string(output, "; the default is ");
    cli_write_plain(output, ce_text_of(info->default_prompt), 0);
    cli_write_string(output, "\n");
}

static void show_model(cli_output *output, const cli_scorer *scorer, const inspection *found) {
    const ce_model_info *info = &found->info;
    char count[CLI_NUMBER_SIZE];
    write_head(output, "Model");
    show(output, cli_path_kind(info->path), info->path);
    show(output, "kind", ce_kind_name(found->encoder ? CE_KIND_BI_ENCODER : CE_KIND_CROSS_ENCODER));
    show(output, "architecture", info->architecture);
    write_name(output, "size");
    cli_print(output, "%zu layers, hidden %zu, %zu heads, feed-forward %zu\n", info->layers, info->hidden_size,
              info->heads, info->intermediate_size);
    write_name(output, "parameters");
    cli_print(output, "%s, stored as %s in %s\n", cli_format_count(info->parameters, count), info->weight_dtype,
              info->weight_format);
    if (found->encoder) {
        show_encoder(output, scorer->encoder, found->encoder);
    } else {
        show_labels(output, scorer->model, info->num_labels);
        show(output, "activation", ce_activation_name(info->activation));
    }
    write_name(output, "tokenizer");
    cli_print(output, "%s, %s tokens\n", info->tokenizer, cli_format_count(info->vocab_size, count));
    write_name(output, "max length");
    cli_print(output, "%zu tokens of %zu positions\n\n", info->max_length, info->max_positions);
}

static void show_files(cli_output *output, const inspection *found) {
    size_t widest = 0;
    for (size_t i = 0; i < found->file_count; i++) {
        size_t columns = cli_plain_columns(ce_text_of(found->files[i].name));
        if (columns > widest) widest = columns;
    }
    write_head(output, "Files");
    for (size_t i = 0; i < found->file_count; i++) {
        char bytes[CLI_NUMBER_SIZE];
        ce_text name = ce_text_of(found->files[i].name);
        cli_write_string(output, "  ");
        cli_write_plain(output, name, 0);
        cli_print(output, "%*s  %10s\n", (int)(widest - cli_plain_columns(name)), "",
                  cli_format_bytes(found->files[i].bytes, bytes));
    }
    cli_write_string(output, "\n");
}

static void show_bytes(cli_output *output, const ce_placement_report *report) {
    char weights[CLI_NUMBER_SIZE], workspace[CLI_NUMBER_SIZE], files[CLI_NUMBER_SIZE], host[CLI_NUMBER_SIZE];
    write_name(output, "memory");
    cli_print(output, "%s of weights and %s of workspace on the device%s\n",
              cli_format_bytes(report->weight_bytes, weights), cli_format_bytes(report->workspace_bytes, workspace),
              report->state == CE_STATE_DEFERRED ? ", once placed" : "");
    write_name(output, "");
    cli_print(output, "%s in files, %s of copies in host memory", cli_format_bytes(report->file_bytes, files),
              cli_format_bytes(report->host_bytes, host));
    if (report->staging_bytes)
        cli_print(output, ", at most %s on the way", cli_format_bytes(report->staging_bytes, host));
    cli_write_string(output, "\n");
}

static void show_checks(cli_output *output, const ce_placement_report *report) {
    const char *reset = cli_style(output, CLI_RESET);
    bool is_whole = report->tensors_verified == report->tensors;
    write_name(output, "verified");
    cli_print(output, "%s%" PRIu32 " of %" PRIu32 " tensors by checksum%s\n",
              cli_style(output, is_whole ? CLI_GREEN : CLI_RED), report->tensors_verified, report->tensors, reset);
    write_name(output, "self-test");
    cli_print(output, "%s%s%s, deviation %.2g of at most %.2g\n",
              cli_style(output, report->self_tested ? CLI_GREEN : CLI_RED), report->self_tested ? "passed" : "not run",
              reset, report->self_test_error, report->self_test_bound);
    write_name(output, "time");
    cli_print(output, "%.1f ms: resolve %.1f, open %.1f, upload %.1f, verify %.1f, self-test %.1f\n", report->total_ms,
              report->resolve_ms, report->open_ms, report->upload_ms, report->verify_ms, report->self_test_ms);
}

static void show_placement(cli_output *output, const ce_placement_report *report) {
    bool is_ready = report->state == CE_STATE_READY;
    write_head(output, is_ready ? "Placement" : "Placement plan");
    write_name(output, "device");
    cli_print(output, "%s%s%s%s%s", cli_style(output, CLI_GREEN), report->device, cli_style(output, CLI_RESET),
              report->device_name[0] ? ", " : "", report->device_name);
    cli_print(output, " (asked for: %s)\n", report->requested);
    if (report->fell_back) show(output, "passed over", report->fallback_reason);
    show(output, "state", state_name(report->state));
    show_bytes(output, report);
    if (is_ready) {
        show_checks(output, report);
    } else {
        write_name(output, "tensors");
        cli_print(output, "%" PRIu32 " to upload and verify", report->tensors);
        if (report->tensors_unused) cli_print(output, ", %" PRIu32 " not used", report->tensors_unused);
        cli_write_string(output, "\n");
    }
}

static cli_status look(inspection *found, const cli_scorer *scorer, cli_error *error) {
    ce_error why = {0};
    ce_status status = CE_OK;
    found->encoder = scorer->encoder ? &scorer->encoder_info : NULL;
    found->info = scorer->info;
    do {
        ce_placement_report *report = &found->reports[found->report_count];
        report->size = sizeof *report;
        status = scorer->encoder ? ce_encoder_placement_at(scorer->encoder, found->report_count, report, &why)
                                 : ce_model_placement_at(scorer->model, found->report_count, report, &why);
        found->report_count++;
    } while (status == CE_OK && found->report_count < found->reports[0].devices);
    if (status != CE_OK) return cli_fail_call(error, status, &why);
    return list_files(found, error);
}

static void write_text(cli_output *output, const cli_scorer *scorer, const inspection *found) {
    show_model(output, scorer, found);
    show_files(output, found);
    for (size_t i = 0; i < found->report_count; i++) {
        if (i) cli_write_string(output, "\n");
        show_placement(output, &found->reports[i]);
    }
}

static cli_status run(const cli_settings *settings, cli_output *output, cli_error *error) {
    cli_scorer scorer = {0};
    inspection found = {0};
    cli_status status = cli_output_open(output, NULL, (cli_color)settings->color, error);
    if (status == CLI_OK) {
        status = cli_scorer_open_any(&scorer, settings, settings->place ? CE_PLACE_EAGER : CE_PLACE_DEFERRED, error);
    }
    if (status == CLI_OK) status = look(&found, &scorer, error);
    if (status == CLI_OK) {
        if (settings->json)
            write_json(output, &scorer, &found);
        else
            write_text(output, &scorer, &found);
        status = cli_output_commit(output, error);
    }
    for (size_t i = 0; i < found.file_count; i++) free(found.files[i].name);
    free(found.files);
    cli_scorer_close(&scorer);
    return status;
}

cli_status cli_inspect(const cli_settings *settings, cli_error *error) {
    if (settings->argument_count > 0) {
        return cli_fail(error, CLI_USAGE, "inspect takes options only; name the model by --model %.80s",
                        settings->arguments[0]);
    }
    cli_output *output = calloc(1, sizeof *output);
    if (!output) return cli_fail_memory(error);
    cli_status status = run(settings, output, error);
    cli_output_close(output);
    free(output);
    return status;
}

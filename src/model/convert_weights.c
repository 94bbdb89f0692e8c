/* convert_weights.c - the tensors of a model, streamed into files of another precision, or into a GGUF file.
 *
 * A tensor of which the model reads some rows alone, as of words' logits, is written whole, and once.
 * A tensor is read in waves of rows: the pool's threads convert them, then the calling thread adds up their errors, in
 * the order of the rows, and writes. So memory is bounded, and the bytes and the report don't depend on threads. Pages
 * of the source are given back with each wave. */
#include "base/error.h"
#include "base/memory.h"
#include "formats/blocks.h"
#include "formats/quantize.h"
#include "formats/safetensors_write.h"
#include "model/convert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    WAVE_VALUES = 1 << 20, /* or one row, if that is more */
    TASK_VALUES = 1 << 14, /* of work without a search */
    FEWEST_INT8 = 4096     /* values of a tensor that is worth scales */
};

/* As in the default model. */
static const char int8_form[] =
    "weight-only int8: NAME I8 [rows, columns], NAME.scale F32 [rows], weight = scale * value";
static const char scale_suffix[] = ".scale";
static const char weights_name[] = "model.safetensors";

/* Of a GGUF file: its name in the folder that it is made in, and a table in it. */
static const char gguf_name[] = "model.gguf", position_table[] = "position_embd.weight";

/* What became of a row. */
typedef struct row_result {
    double changed, size; /* sums of squares: of the differences, and of the values */
    bool is_bad;          /* it has what no weight may be, or what the new form does not hold */
} row_result;

/* A part of the plan, and the tensors that it becomes. */
typedef struct target {
    size_t values, scales; /* indices into tensors; scales only if I8 */
    bool is_written;       /* else another part's tensor has its rows; values is then where the next part's are */
    size_t pairs;          /* as in cei_values, of the tensor that is written, as is what follows */
    bool is_more;
    size_t row; /* of the tensor, where the part's rows begin */
} target;

typedef struct conversion {
    const cei_convert_source *source;
    ce_convert_report *report;
    cei_new_tensor *tensors;
    target *targets; /* [parts] */
    char **names;    /* [parts] of the scales, or of the tensor in a GGUF file, or NULL */
    size_t tensor_count;
    float *divisors;      /* of the last tensor, CEI_GGUF_DIVISORS; NULL: there is none */
    cei_new_file file;    /* that is being written */
    uint64_t done, total; /* bytes of the source */
    /* of a wave */
    float *staging;      /* [rows, columns] as float32 */
    uint8_t *out;        /* [rows, columns] as they are written */
    float *scales;       /* [rows] */
    row_result *results; /* [rows] */
    /* the part that is being converted */
    size_t part, first, count, task_rows; /* rows of the wave */
    cei_values values;
    cei_dtype to;
} conversion;

/* ---- what is written ----------------------------------------------------------------------------------------- */

/* As encoders call it, and decoders. */
static bool is_classifier(const cei_part *part) {
    return strncmp(part->name, "classifier", strlen("classifier")) == 0 || strcmp(part->name, "score.weight") == 0;
}

/* Where the folder of a module ends in the name of its tensor ("2_Dense/linear.weight"); NULL for the transformer's. */
static const char *module_end(const cei_part *part) { return strchr(part->name, '/'); }

/* Other programs add small tables to the states as float32. */
static bool is_added(const char *name) {
    return strcmp(name, position_table) == 0 || strcmp(name, "token_types.weight") == 0;
}

/* As converters have it: where rows are no whole blocks, the largest type without them that is smaller than F32. */
static cei_dtype choose_gguf_type(const cei_convert_gguf *gguf, const char *name, const cei_values *values) {
    if (is_added(name)) return CEI_DTYPE_F32;
    return values->columns % cei_dtype_block(gguf->type) == 0 ? gguf->type : CEI_DTYPE_F16;
}

static cei_dtype choose_dtype(const conversion *work, size_t index, const char *name, const cei_values *values) {
    const cei_plan *plan = &work->source->model->blueprint.plan;
    const cei_part *part = &plan->parts[index];
    const ce_precision precision = work->report->precision;
    if (plan->weights[part->weight].role == CEI_ROLE_VECTOR || is_classifier(part) || module_end(part))
        return CEI_DTYPE_F32;
    if (work->source->gguf) return choose_gguf_type(work->source->gguf, name, values);
    if (precision == CE_PRECISION_BFLOAT16) return CEI_DTYPE_BF16;
    if (precision == CE_PRECISION_FLOAT16) return CEI_DTYPE_F16;
    if (precision != CE_PRECISION_INT8) return CEI_DTYPE_F32;
    const bool is_large = values->rows >= 2 && values->rows * values->columns >= FEWEST_INT8;
    return is_large || values->dtype == CEI_DTYPE_I8 ? CEI_DTYPE_I8 : CEI_DTYPE_F32;
}

static ce_status add_scales(conversion *work, size_t index, size_t rows, ce_error *error) {
    const cei_part *part = &work->source->model->blueprint.plan.parts[index];
    const size_t length = strlen(part->name);
    char *name = cei_alloc(length + sizeof scale_suffix, 1);
    work->names[index] = name;
    if (!name) return cei_fail_memory(error, part->name, 0);
    memcpy(name, part->name, length);
    memcpy(name + length, scale_suffix, sizeof scale_suffix);
    work->targets[index].scales = work->tensor_count;
    work->tensors[work->tensor_count++] =
        (cei_new_tensor){.name = name, .dtype = CEI_DTYPE_F32, .rank = 1, .shape = {rows}};
    return CE_OK;
}

/* Is the part a word's row of the matrix of logits, and goes into a file without the rest of it? */
static bool is_word(const conversion *work, size_t index) {
    const cei_part *part = &work->source->model->blueprint.plan.parts[index];
    return work->source->gguf && work->source->gguf->rerank.data && part->of > 0;
}

/* The tensor's name where it is written. */
static ce_status name_part(conversion *work, size_t index, const char **name, ce_error *error) {
    const ce_model *model = work->source->model;
    const cei_part *part = &model->blueprint.plan.parts[index];
    const char *slash = module_end(part);
    cei_naming to;
    *name = slash ? slash + 1 : part->name;
    if (!work->source->gguf) return CE_OK;
    if (!cei_gguf_name_back(work->source->gguf->form, cei_gguf_head_size(&model->config), part->name, &to))
        return cei_fail(error, CE_ERR_UNSUPPORTED, "%s: the tensor %s has no name in GGUF files of %s", model->path,
                        part->name, work->source->gguf->form->architecture);
    work->targets[index].pairs = to.pairs;
    work->targets[index].is_more = to.is_more;
    *name = work->names[index] = cei_copy_string(to.names[0], strlen(to.names[0]));
    return *name ? CE_OK : cei_fail_memory(error, part->name, 0);
}

/* A part's values as they are written: in a GGUF file positions begin at 0. */
static ce_status find_values(const conversion *work, size_t index, cei_values *values, ce_error *error) {
    const cei_blueprint *blueprint = &work->source->model->blueprint;
    if (is_word(work, index)) return cei_plan_values(&blueprint->plan, index, work->source->checkpoint, values, error);
    ce_status status = cei_plan_whole_values(&blueprint->plan, index, work->source->checkpoint, values, error);
    const bool is_cut = work->source->gguf && work->names[index] && strcmp(work->names[index], position_table) == 0;
    if (status != CE_OK || !is_cut || blueprint->network->padding_id < 0) return status;
    const size_t before =
        (size_t)blueprint->network->padding_id + 1; /* fewer than there are rows: a load has seen it */
    *values = cei_values_rows(values, before, values->rows - before);
    return CE_OK;
}

/* Words' rows are one tensor, which the first of them makes. */
static ce_status add_word(conversion *work, size_t index, ce_error *error) {
    const cei_plan *plan = &work->source->model->blueprint.plan;
    const cei_part *part = &plan->parts[index];
    cei_values values;
    ce_status status = cei_plan_values(plan, index, work->source->checkpoint, &values, error);
    if (status != CE_OK) return status;
    if (part->first == 0)
        work->tensors[work->tensor_count++] =
            (cei_new_tensor){.name = CEI_GGUF_WORDS,
                             .rank = 2,
                             .shape = {plan->weights[part->weight].rows, values.columns},
                             .dtype = CEI_DTYPE_F32};
    work->targets[index] = (target){.values = work->tensor_count - 1, .is_written = true, .row = part->first};
    work->total += cei_values_bytes(&values, values.rows);
    return CE_OK;
}

/* Decides what a part becomes; zeros that no tensor has become nothing. */
static ce_status add_part(conversion *work, size_t index, ce_error *error) {
    const cei_plan *plan = &work->source->model->blueprint.plan;
    const cei_part *part = &plan->parts[index];
    target *to = &work->targets[index];
    cei_values values;
    if (is_word(work, index)) return add_word(work, index, error);
    *to = (target){.values = work->tensor_count, .is_written = *part->name && !cei_plan_reads_before(plan, index)};
    if (!to->is_written) return CE_OK;
    const char *name = NULL;
    ce_status status = name_part(work, index, &name, error);
    if (status == CE_OK) status = find_values(work, index, &values, error);
    if (status != CE_OK) return status;
    const bool is_vector = plan->weights[part->weight].role == CEI_ROLE_VECTOR;
    cei_new_tensor tensor = {.name = name, .rank = is_vector ? 1 : 2, .shape = {values.rows, values.columns}};
    if (is_vector) tensor.shape[0] = values.columns;
    tensor.dtype = choose_dtype(work, index, name, &values);
    work->total += cei_values_bytes(&values, values.rows);
    work->tensors[work->tensor_count++] = tensor;
    return tensor.dtype == CEI_DTYPE_I8 ? add_scales(work, index, values.rows, error) : CE_OK;
}

/* Of a GGUF file, the tensor that no part of the plan is. */
static ce_status add_divisors(conversion *work, ce_error *error) {
    const cei_convert_source *source = work->source;
    size_t size = 0;
    if (!source->gguf) return CE_OK;
    ce_status status = cei_gguf_find_divisors(source->model, source->gguf->form, &work->divisors, &size, error);
    if (status == CE_OK && size > 0)
        work->tensors[work->tensor_count++] =
            (cei_new_tensor){.name = CEI_GGUF_DIVISORS, .dtype = CEI_DTYPE_F32, .rank = 1, .shape = {size}};
    return status;
}

static ce_status list_tensors(conversion *work, ce_error *error) {
    const size_t parts = work->source->model->blueprint.plan.part_count;
    work->tensors = cei_alloc_zeroed(2 * parts + 1, sizeof *work->tensors);
    work->targets = cei_alloc_zeroed(parts, sizeof *work->targets);
    work->names = cei_alloc_zeroed(parts, sizeof *work->names);
    if (!work->tensors || !work->targets || !work->names) return cei_fail_memory(error, "the new file's tensors", 0);
    ce_status status = CE_OK;
    for (size_t i = 0; i < parts && status == CE_OK; i++) status = add_part(work, i, error);
    return status == CE_OK ? add_divisors(work, error) : status;
}

static size_t wave_rows(size_t rows, size_t columns) {
    size_t most = WAVE_VALUES / (columns ? columns : 1);
    if (most == 0) most = 1;
    return rows < most ? rows : most;
}

static ce_status make_room(conversion *work, ce_error *error) {
    const cei_plan *plan = &work->source->model->blueprint.plan;
    size_t most_values = 0, most_rows = 0;
    for (size_t i = 0; i < plan->part_count; i++) {
        const size_t columns = cei_part_stream_columns(plan, &plan->parts[i]);
        const size_t whole = plan->parts[i].of ? plan->parts[i].of : cei_part_stream_rows(plan, &plan->parts[i]);
        const size_t rows = wave_rows(whole, columns);
        if (rows * columns > most_values) most_values = rows * columns;
        if (rows > most_rows) most_rows = rows;
    }
    work->staging = cei_alloc(most_values, sizeof *work->staging);
    work->out = cei_alloc(most_values, sizeof(float));
    work->scales = cei_alloc(most_rows, sizeof *work->scales);
    work->results = cei_alloc(most_rows, sizeof *work->results);
    if (work->staging && work->out && work->scales && work->results) return CE_OK;
    return cei_fail_memory(error, "converting weights", 2 * most_values * sizeof(float));
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static bool is_finite(const float *row, size_t columns) {
    uint32_t top = 0;
    for (size_t k = 0; k < columns; k++) {
        uint32_t bits;
        memcpy(&bits, row + k, sizeof bits);
        top |= (bits & UINT32_C(0x7F800000)) == UINT32_C(0x7F800000); /* infinity, or NaN */
    }
    return top == 0;
}

static void note(row_result *result, double value, double written) {
    result->changed += (value - written) * (value - written);
    result->size += value * value;
}

/* The same of a row that was written in that type. */
static void note_written(cei_dtype dtype, const float *row, size_t columns, const uint8_t *out, row_result *result) {
    enum { BLOCK = 32 };
    for (size_t k = 0; k < columns; k += BLOCK) {
        const cei_values block = {.dtype = dtype, .rows = 1, .columns = cei_min_size(columns - k, BLOCK), .data = out};
        float values[BLOCK];
        cei_values_read(&block, 0, 1, values);
        for (size_t i = 0; i < block.columns; i++) note(result, row[k + i], values[i]);
        out += cei_values_bytes(&block, 1);
    }
    result->is_bad = !isfinite(result->changed); /* too large for the type */
}

static void round_to_bfloat16(const float *row, size_t columns, uint8_t *out, row_result *result) {
    for (size_t k = 0; k < columns; k++) {
        const float rounded = cei_round_bfloat16(row[k]);
        uint32_t bits;
        memcpy(&bits, &rounded, sizeof bits);
        const uint16_t half = (uint16_t)(bits >> 16);
        memcpy(out + k * sizeof half, &half, sizeof half);
        note(result, row[k], rounded);
    }
    result->is_bad = !isfinite(result->changed); /* too large for bfloat16 */
}

static void round_to_float16(const float *row, size_t columns, uint8_t *out, row_result *result) {
    for (size_t k = 0; k < columns; k++) {
        const uint16_t half = cei_round_float16(row[k]);
        memcpy(out + k * sizeof half, &half, sizeof half);
    }
    note_written(CEI_DTYPE_F16, row, columns, out, result);
}

static void round_to_q8_0(const float *row, size_t columns, uint8_t *out, row_result *result) {
    result->is_bad = !cei_blocks_write_q8_0(row, columns, out);
    if (!result->is_bad) note_written(CEI_DTYPE_Q8_0, row, columns, out, result);
}

static void round_to_int8(const float *row, size_t columns, int8_t *out, float *scale, row_result *result) {
    result->is_bad = !cei_quantize_row(row, columns, out, scale);
    for (size_t k = 0; k < columns && !result->is_bad; k++) note(result, row[k], *scale * (float)out[k]);
}

/* An int8 row that stays as it is. */
static void keep_int8(const cei_values *values, size_t row, uint8_t *out, float *scale, row_result *result) {
    memcpy(out, values->data + row * values->columns, values->columns);
    memcpy(scale, values->scales + row * sizeof *scale, sizeof *scale);
    result->is_bad = !cei_scale_is_sound(*scale);
}

/* Bytes of a row as it is written. */
static size_t row_bytes(const conversion *work) {
    return cei_values_bytes(&(cei_values){.dtype = work->to, .columns = work->values.columns}, 1);
}

/* The row of the source that is written as row row of the wave. */
static size_t row_in_source(const conversion *work, size_t row) {
    const size_t pairs = work->targets[work->part].pairs, at = work->first + row;
    if (pairs < 2) return at;
    const size_t place = at % pairs;
    return at - place + place / 2 + place % 2 * (pairs / 2);
}

static void convert_row(conversion *work, size_t row) {
    const size_t columns = work->values.columns;
    float *values = work->staging + row * columns;
    uint8_t *out = work->out + row * row_bytes(work);
    row_result *result = &work->results[row];
    *result = (row_result){0};
    if (work->to == CEI_DTYPE_I8 && work->values.dtype == CEI_DTYPE_I8) {
        keep_int8(&work->values, work->first + row, out, &work->scales[row], result);
        return;
    }
    cei_values_read(&work->values, row_in_source(work, row), 1, values);
    for (size_t k = 0; work->targets[work->part].is_more && k < columns; k++) values[k] += 1;
    result->is_bad = !is_finite(values, columns);
    if (result->is_bad) return;
    if (work->to == CEI_DTYPE_I8)
        round_to_int8(values, columns, (int8_t *)out, &work->scales[row], result);
    else if (work->to == CEI_DTYPE_BF16)
        round_to_bfloat16(values, columns, out, result);
    else if (work->to == CEI_DTYPE_F16)
        round_to_float16(values, columns, out, result);
    else if (work->to == CEI_DTYPE_Q8_0)
        round_to_q8_0(values, columns, out, result);
    else
        memcpy(out, values, columns * sizeof *values);
}

static void convert_rows(void *argument, size_t task, size_t worker) {
    (void)worker;
    conversion *work = argument;
    const size_t first = task * work->task_rows, left = work->count - first;
    const size_t count = left < work->task_rows ? left : work->task_rows;
    for (size_t i = 0; i < count; i++) convert_row(work, first + i);
}

/* ---- waves --------------------------------------------------------------------------------------------------- */

static ce_status add_results(conversion *work, row_result *sum, ce_error *error) {
    for (size_t i = 0; i < work->count; i++) {
        if (work->results[i].is_bad)
            return cei_fail(error, CE_ERR_MODEL,
                            "%s: row %zu of %s cannot be held as %s: it has NaN or infinity, or needs a number that %s "
                            "does not hold",
                            work->source->model->path, work->first + i,
                            work->source->model->blueprint.plan.parts[work->part].name, cei_dtype_name(work->to),
                            cei_dtype_name(work->to));
        sum->changed += work->results[i].changed;
        sum->size += work->results[i].size;
    }
    return CE_OK;
}

static ce_status write_wave(conversion *work, ce_error *error) {
    const target *to = &work->targets[work->part];
    const size_t bytes = row_bytes(work);
    work->report->stage = CE_CONVERT_WRITING;
    const uint64_t at = work->tensors[to->values].offset + (to->row + work->first) * bytes;
    ce_status status = cei_new_file_write(&work->file, at, work->out, work->count * bytes, error);
    if (status == CE_OK && work->to == CEI_DTYPE_I8)
        status = cei_new_file_write(&work->file, work->tensors[to->scales].offset + work->first * sizeof *work->scales,
                                    work->scales, work->count * sizeof *work->scales, error);
    if (status == CE_OK) work->report->stage = CE_CONVERT_READING;
    return status;
}

static ce_status tell_progress(conversion *work, ce_error *error) {
    const ce_convert_options *options = work->source->options;
    work->done += cei_values_bytes(&work->values, work->count);
    if (!options->progress || options->progress(options->progress_user, work->done, work->total)) return CE_OK;
    return cei_fail(error, CE_ERR_CANCELLED, "cancelled after %llu of %llu bytes of weights",
                    (unsigned long long)work->done, (unsigned long long)work->total);
}

/* The wave's pages of the source are not needed again. */
static void release_wave(const conversion *work) {
    cei_values wave = work->values;
    wave.data += cei_values_bytes(&wave, work->first);
    wave.rows = work->count;
    cei_checkpoint_release(work->source->checkpoint, &wave);
}

static void note_error(conversion *work, const row_result *sum) {
    ce_convert_report *report = work->report;
    if (!(sum->changed > 0)) return;
    const double error = sum->size > 0 ? sqrt(sum->changed / sum->size) : 0;
    report->tensors_rounded++;
    if (!(error > report->largest_error)) return;
    report->largest_error = error;
    snprintf(report->largest_error_tensor, sizeof report->largest_error_tensor, "%s",
             work->source->model->blueprint.plan.parts[work->part].name);
}

static ce_status convert_part(conversion *work, size_t index, ce_error *error) {
    const cei_blueprint *blueprint = &work->source->model->blueprint;
    row_result sum = {0};
    if (!work->targets[index].is_written) return CE_OK;
    work->part = index;
    work->to = work->tensors[work->targets[index].values].dtype;
    ce_status status = find_values(work, index, &work->values, error);
    if (status != CE_OK) return status;
    work->values.heads = 0; /* rows are written in the order in which they were found */
    const size_t rows = work->values.rows, columns = work->values.columns, most = wave_rows(rows, columns);
    const bool is_search = work->to == CEI_DTYPE_I8;
    work->task_rows = is_search || columns >= TASK_VALUES ? 1 : TASK_VALUES / (columns ? columns : 1);
    for (work->first = 0; work->first < rows && status == CE_OK; work->first += work->count) {
        work->count = rows - work->first < most ? rows - work->first : most;
        cei_pool_run(blueprint->pool, (work->count + work->task_rows - 1) / work->task_rows, convert_rows, work);
        release_wave(work);
        status = add_results(work, &sum, error);
        if (status == CE_OK) status = write_wave(work, error);
        if (status == CE_OK) status = tell_progress(work, error);
    }
    if (status == CE_OK) note_error(work, &sum);
    return status;
}

/* ---- files --------------------------------------------------------------------------------------------------- */

/* Parts in a row that go into one file, and the tensors that they become. */
typedef struct part_range {
    size_t first, end;
    cei_new_tensor *tensors;
    size_t count;
    bool is_module;
} part_range;

static bool is_same_file(const cei_part *a, const cei_part *b) {
    const char *one = module_end(a), *other = module_end(b);
    if (!one || !other) return one == other;
    return one - a->name == other - b->name && memcmp(a->name, b->name, (size_t)(one - a->name)) == 0;
}

/* The file that begins with part first: a plan has the parts of a module in a row. */
static part_range range_at(const conversion *work, size_t first) {
    const cei_plan *plan = &work->source->model->blueprint.plan;
    const size_t tensor = work->targets[first].values;
    part_range range = {.first = first, .end = first + 1, .is_module = module_end(&plan->parts[first]) != NULL};
    while (range.end < plan->part_count && is_same_file(&plan->parts[first], &plan->parts[range.end])) range.end++;
    const size_t next = range.end < plan->part_count ? work->targets[range.end].values : work->tensor_count;
    range.tensors = work->tensors + tensor;
    range.count = next - tensor;
    return range;
}

/* The name of the range's file in the model's folder: to be freed; NULL if there is no memory. */
static char *name_file(const conversion *work, const part_range *range) {
    const ce_model *model = work->source->model;
    const cei_part *part = &model->blueprint.plan.parts[range->first];
    if (!range->is_module) return cei_convert_name(cei_modules_transformer(&model->modules), weights_name);
    char *folder = cei_copy_string(part->name, (size_t)(module_end(part) - part->name));
    char *name = folder ? cei_convert_name(folder, weights_name) : NULL;
    cei_free(folder);
    return name;
}

static ce_status create_gguf(conversion *work, const part_range *range, cei_new_folder *folder, ce_error *error) {
    char *path = NULL;
    work->report->stage = CE_CONVERT_WRITING;
    ce_status status = cei_new_folder_add(folder, gguf_name, &path, error);
    if (status == CE_OK)
        status = cei_gguf_create(path, &work->source->gguf->keys, range->tensors, range->count, &work->file, error);
    if (status == CE_OK && work->divisors) /* they are read with the header */
        status = cei_new_file_write(&work->file, work->tensors[work->tensor_count - 1].offset, work->divisors,
                                    work->tensors[work->tensor_count - 1].bytes, error);
    if (status == CE_OK) {
        work->report->stage = CE_CONVERT_READING;
        status = cei_convert_check_gguf(work->source, path, error);
    }
    cei_free(path);
    return status;
}

static ce_status create_file(conversion *work, const part_range *range, cei_new_folder *folder, ce_error *error) {
    const cei_new_metadata metadata[] = {{"crossenc.weights", int8_form}, {"format", "pt"}};
    const size_t skipped = work->report->precision != CE_PRECISION_INT8 || range->is_module;
    char *path = NULL, *name = name_file(work, range);
    work->report->stage = CE_CONVERT_WRITING;
    ce_status status = name ? cei_new_folder_add(folder, name, &path, error) : cei_fail_memory(error, "a file", 0);
    if (status == CE_OK)
        status = cei_safetensors_create(path, range->tensors, range->count, metadata + skipped, 2 - skipped,
                                        &work->file, error);
    if (status == CE_OK) work->report->stage = CE_CONVERT_READING;
    cei_free(path);
    cei_free(name);
    return status;
}

static ce_status finish_file(conversion *work, const part_range *range, ce_error *error) {
    const ce_status status = cei_checkpoint_verify(work->source->checkpoint, error);
    if (status != CE_OK) return status;
    work->report->stage = CE_CONVERT_WRITING;
    for (size_t i = range->first; i < range->end; i++)
        work->report->tensors += work->targets[i].is_written && work->targets[i].row == 0;
    for (size_t i = 0; i < range->count; i++) work->report->bytes_after += range->tensors[i].bytes;
    return cei_new_file_finish(&work->file, error);
}

static ce_status convert_range(conversion *work, const part_range *range, cei_new_folder *folder, ce_error *error) {
    ce_status status =
        work->source->gguf ? create_gguf(work, range, folder, error) : create_file(work, range, folder, error);
    for (size_t i = range->first; i < range->end && status == CE_OK; i++) status = convert_part(work, i, error);
    if (status == CE_OK) status = finish_file(work, range, error);
    cei_new_file_close(&work->file);
    if (status == CE_OK) work->report->stage = CE_CONVERT_READING;
    return status;
}

ce_status cei_convert_weights(const cei_convert_source *source, cei_new_folder *folder, ce_convert_report *report,
                              ce_error *error) {
    const size_t parts = source->model->blueprint.plan.part_count;
    conversion work = {.source = source, .report = report};
    ce_status status = list_tensors(&work, error);
    if (status == CE_OK) status = make_room(&work, error);
    for (size_t first = 0; first < parts && status == CE_OK;) {
        const part_range range = range_at(&work, first);
        status = convert_range(&work, &range, folder, error);
        first = range.end;
    }
    for (size_t i = 0; work.names && i < parts; i++) cei_free(work.names[i]);
    cei_free(work.names);
    cei_free(work.divisors);
    cei_free(work.targets);
    cei_free(work.tensors);
    cei_free(work.staging);
    cei_free(work.out);
    cei_free(work.scales);
    cei_free(work.results);
    return status;
}

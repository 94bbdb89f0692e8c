/* plan.c - the weights of a model and the tensors they are made of. Must not read a value, but for scales. */
#include "model/plan.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* Room for a part of so many zeros. */
static bool grow_zeros(cei_plan *plan, size_t count) {
    if (count <= plan->zero_count) return true;
    cei_free(plan->zeros);
    plan->zeros = cei_alloc_zeroed(count, sizeof *plan->zeros);
    plan->zero_count = plan->zeros ? count : 0;
    return plan->zeros;
}

static ce_status add_part(cei_plan *plan, const char *name, size_t weight, size_t first, size_t rows, ce_error *error) {
    void *parts = plan->parts;
    bool grown = cei_grow(&parts, &plan->part_capacity, plan->part_count + 1, sizeof *plan->parts);
    plan->parts = parts;
    if (!name) grown = grown && grow_zeros(plan, rows);
    char *copy = grown ? cei_copy_string(name ? name : "", name ? strlen(name) : 0) : NULL;
    if (!copy) return cei_fail_memory(error, "the model's plan", 0);
    plan->parts[plan->part_count++] = (cei_part){.name = copy, .weight = weight, .first = first, .rows = rows};
    return CE_OK;
}

ce_status cei_plan_add(cei_plan *plan, cei_role role, size_t columns, size_t count, const char *const *names,
                       const size_t *rows, size_t *index, ce_error *error) {
    void *weights = plan->weights;
    bool grown = cei_grow(&weights, &plan->weight_capacity, plan->weight_count + 1, sizeof *plan->weights);
    plan->weights = weights;
    if (!grown) return cei_fail_memory(error, "the model's plan", 0);
    size_t total = 0, bytes;
    ce_status status = CE_OK;
    for (size_t i = 0; i < count && status == CE_OK; i++) {
        status = add_part(plan, names[i], plan->weight_count, total, rows[i], error);
        if (status == CE_OK && !cei_add_size(total, rows[i], &total))
            status = cei_fail(error, CE_ERR_MODEL, "%s: the config gives it too many rows", names[0]);
    }
    if (status == CE_OK && (!cei_mul_size(total, columns, &bytes) || !cei_mul_size(bytes, 8, &bytes)))
        status = cei_fail(error, CE_ERR_MODEL, "%s: the config gives it too many values", names[0]);
    if (status != CE_OK) return status;
    cei_weight weight = {.role = role, .rows = total, .columns = columns};
    if (role == CEI_ROLE_VECTOR) weight = (cei_weight){.role = role, .rows = 1, .columns = total};
    *index = plan->weight_count;
    plan->weights[plan->weight_count++] = weight;
    return CE_OK;
}

ce_status cei_plan_add_rows(cei_plan *plan, size_t columns, const char *name, size_t height, size_t count,
                            const size_t *rows, size_t *index, ce_error *error) {
    const char *names[CEI_PLAN_ROWS] = {0};
    size_t heights[CEI_PLAN_ROWS] = {0};
    const size_t first = plan->part_count;
    for (size_t i = 0; i < count; i++) {
        if (rows[i] >= height)
            return cei_fail(error, CE_ERR_MODEL, "%s: row %zu is asked for, and it has %zu", name, rows[i], height);
        names[i] = name;
        heights[i] = 1;
    }
    const ce_status status = cei_plan_add(plan, CEI_ROLE_MATRIX, columns, count, names, heights, index, error);
    for (size_t i = 0; i < count && status == CE_OK; i++) {
        plan->parts[first + i].from = rows[i];
        plan->parts[first + i].of = height;
    }
    return status;
}

/* 255 * 127 * 65,536 is just below 2^31: an int8 sum of that depth cannot overflow. */
enum { DEEPEST_INT8 = 1 << 16 };

void cei_plan_round(cei_plan *plan, ce_precision precision) {
    static const cei_format formats[] = {[CE_PRECISION_FLOAT32] = CEI_FORMAT_FLOAT32,
                                         [CE_PRECISION_BFLOAT16] = CEI_FORMAT_BFLOAT16,
                                         [CE_PRECISION_FLOAT16] = CEI_FORMAT_FLOAT16,
                                         [CE_PRECISION_INT8] = CEI_FORMAT_INT8};
    const cei_format format = formats[precision];
    for (size_t i = 0; i < plan->weight_count; i++) {
        cei_weight *weight = &plan->weights[i];
        const bool too_deep = format == CEI_FORMAT_INT8 && weight->columns > DEEPEST_INT8;
        if (weight->role != CEI_ROLE_VECTOR && !weight->exact && !too_deep) weight->format = format;
    }
}

ce_status cei_plan_narrow(cei_plan *plan, const cei_checkpoint *checkpoint, ce_error *error) {
    for (size_t i = 0; i < plan->part_count; i++) {
        cei_weight *weight = &plan->weights[plan->parts[i].weight];
        const bool is_new = i == 0 || plan->parts[i].weight != plan->parts[i - 1].weight;
        if (weight->role != CEI_ROLE_TABLE || weight->exact) continue;
        if (!is_new && weight->format == CEI_FORMAT_FLOAT32) continue; /* an earlier part needs it */
        cei_values values;
        ce_status status = cei_plan_values(plan, i, checkpoint, &values, error);
        if (status != CE_OK) return status;
        const cei_format format = cei_values_own_format(&values);
        weight->format = is_new || weight->format == format ? format : CEI_FORMAT_FLOAT32;
    }
    return CE_OK;
}

/* Before version 2 of BERT's own code, a layer norm's weight and bias were called gamma and beta. Writes the old
 * spelling of name; false if it has none. */
static bool old_spelling(const char *name, char *old, size_t size) {
    static const char *const forms[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                           {"LayerNorm.bias", "LayerNorm.beta"}};
    for (size_t i = 0; i < 2; i++) {
        size_t stem, other = strlen(forms[i][1]);
        if (!cei_ends_with(name, forms[i][0], &stem)) continue;
        if (stem + other + 1 > size) return false;
        memcpy(old, name, stem);
        memcpy(old + stem, forms[i][1], other + 1);
        return true;
    }
    return false;
}

/* The part's tensor under the name that the checkpoint has for it; the plan's name if it has none. */
static const char *name_in(const cei_part *part, const cei_checkpoint *checkpoint, char *old, size_t size) {
    if (cei_checkpoint_find(checkpoint, part->name) || !old_spelling(part->name, old, size)) return part->name;
    return cei_checkpoint_find(checkpoint, old) ? old : part->name;
}

ce_status cei_plan_whole_values(const cei_plan *plan, size_t part, const cei_checkpoint *checkpoint, cei_values *values,
                                ce_error *error) {
    char old[256];
    const cei_part *p = &plan->parts[part];
    if (!*p->name) {
        *values =
            (cei_values){.dtype = CEI_DTYPE_F32, .rows = 1, .columns = p->rows, .data = (const uint8_t *)plan->zeros};
        return CE_OK;
    }
    const ce_status status = cei_checkpoint_values(checkpoint, name_in(p, checkpoint, old, sizeof old),
                                                   p->of ? p->of : cei_part_stream_rows(plan, p),
                                                   cei_part_stream_columns(plan, p), values, error);
    values->heads = p->heads;
    return status;
}

ce_status cei_plan_values(const cei_plan *plan, size_t part, const cei_checkpoint *checkpoint, cei_values *values,
                          ce_error *error) {
    const cei_part *p = &plan->parts[part];
    const ce_status status = cei_plan_whole_values(plan, part, checkpoint, values, error);
    if (status == CE_OK && p->of) *values = cei_values_rows(values, p->from, p->rows);
    return status;
}

size_t cei_part_stream_rows(const cei_plan *plan, const cei_part *part) {
    return plan->weights[part->weight].role == CEI_ROLE_VECTOR ? 1 : part->rows;
}

size_t cei_part_stream_columns(const cei_plan *plan, const cei_part *part) {
    const cei_weight *weight = &plan->weights[part->weight];
    return weight->role == CEI_ROLE_VECTOR ? part->rows : weight->columns;
}

ce_status cei_plan_check(const cei_plan *plan, const cei_checkpoint *checkpoint, ce_error *error) {
    ce_status status = CE_OK;
    for (size_t i = 0; i < plan->part_count && status == CE_OK; i++) {
        cei_values values;
        status = cei_plan_values(plan, i, checkpoint, &values, error);
    }
    return status;
}

uint64_t cei_plan_parameters(const cei_plan *plan) {
    uint64_t parameters = 0;
    for (size_t i = 0; i < plan->weight_count; i++)
        parameters += (uint64_t)plan->weights[i].rows * plan->weights[i].columns;
    return parameters;
}

const char *cei_plan_name(const cei_plan *plan, size_t weight) {
    size_t i = 0;
    while (plan->parts[i].weight != weight) i++;
    return plan->parts[i].name;
}

bool cei_plan_reads_before(const cei_plan *plan, size_t part) {
    if (!plan->parts[part].of) return false;
    for (size_t i = 0; i < part; i++)
        if (strcmp(plan->parts[i].name, plan->parts[part].name) == 0) return true;
    return false;
}

size_t cei_plan_unused(const cei_plan *plan, const cei_checkpoint *checkpoint) {
    size_t used = 0;
    for (size_t i = 0; i < plan->part_count; i++) {
        char old[256];
        if (cei_plan_reads_before(plan, i)) continue;
        const char *name = name_in(&plan->parts[i], checkpoint, old, sizeof old);
        const cei_tensor *tensor = cei_checkpoint_find(checkpoint, name);
        if (tensor) used += strcmp(tensor->dtype, "I8") == 0 ? 2 : 1;
    }
    size_t count = cei_checkpoint_count(checkpoint);
    return used < count ? count - used : 0;
}

void cei_plan_free(cei_plan *plan) {
    for (size_t i = 0; i < plan->part_count; i++) cei_free(plan->parts[i].name);
    cei_free(plan->parts);
    cei_free(plan->weights);
    cei_free(plan->zeros);
    *plan = (cei_plan){0};
}

/* pickle.c - the stack machine of pickle's protocol 2, as far as state dicts need it.
 *
 * Instructions have their letters of the format. Tuples never change, so a value that is one says where its items are;
 * a dict is a number, and its entries are in one list with those of all others. Nothing recurses, each instruction
 * makes at most one value, and a name of the memo is taken only in order, so that memory and time are bounded by the
 * pickle's size. What is made of instructions is checked in pickle_tensor.c. */
#include "formats/pickle_machine.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

enum { PROTOCOL = 2 };

/* ---- errors ---- */

ce_status cei_pickle_damaged(const cei_pickle_machine *in, const char *what) {
    return cei_fail(in->error, CE_ERR_FORMAT, "%s: its pickle is damaged at byte %zu: %s", in->path, in->at, what);
}

static ce_status no_memory(const cei_pickle_machine *in) { return cei_fail_memory(in->error, in->path, 0); }

/* ---- what stands in the pickle ---- */

/* The next size bytes; NULL, and in->at stays, if they are not there. */
static const uint8_t *take(cei_pickle_machine *in, uint64_t size) {
    if (in->size - in->at < size) return NULL;
    const uint8_t *at = in->data + in->at;
    in->at += (size_t)size;
    return at;
}

/* A number of so many bytes, the lowest first. */
static bool take_number(cei_pickle_machine *in, size_t bytes, uint64_t *value) {
    const uint8_t *at = take(in, bytes);
    *value = 0;
    for (size_t i = 0; at && i < bytes; i++) *value |= (uint64_t)at[i] << 8 * i;
    return at != NULL;
}

/* Up to the end of the line. */
static bool take_line(cei_pickle_machine *in, cei_pickle_text *line) {
    const uint8_t *start = in->data + in->at, *end = memchr(start, '\n', in->size - in->at);
    if (!end) return false;
    *line = (cei_pickle_text){(const char *)start, (size_t)(end - start)};
    in->at += line->size + 1;
    return true;
}

/* ---- stack and memo ---- */

static ce_status push(cei_pickle_machine *in, cei_pickle_value value) {
    void *stack = in->stack;
    bool grown = cei_grow(&stack, &in->stack_capacity, in->stack_count + 1, sizeof *in->stack);
    in->stack = stack;
    if (!grown) return no_memory(in);
    in->stack[in->stack_count++] = value;
    return CE_OK;
}

static ce_status push_number(cei_pickle_machine *in, int64_t number) {
    return push(in, (cei_pickle_value){.kind = CEI_PICKLE_NUMBER, .number = number});
}

static ce_status push_kind(cei_pickle_machine *in, cei_pickle_kind kind) {
    return push(in, (cei_pickle_value){.kind = kind});
}

/* Are there so many values above the last mark? */
static bool has(const cei_pickle_machine *in, size_t count) {
    if (in->stack_count < count) return false;
    for (size_t i = 0; i < count; i++)
        if (in->stack[in->stack_count - 1 - i].kind == CEI_PICKLE_MARK) return false;
    return true;
}

/* The place behind the last mark; SIZE_MAX if there is none. */
static size_t last_mark(const cei_pickle_machine *in) {
    for (size_t i = in->stack_count; i > 0; i--)
        if (in->stack[i - 1].kind == CEI_PICKLE_MARK) return i;
    return SIZE_MAX;
}

static ce_status remember(cei_pickle_machine *in, size_t bytes) {
    uint64_t index;
    if (!take_number(in, bytes, &index) || !has(in, 1) || index > in->memo_count)
        return cei_pickle_damaged(in, "a name of its memo");
    void *memo = in->memo;
    if (index == in->memo_count) {
        bool grown = cei_grow(&memo, &in->memo_capacity, in->memo_count + 1, sizeof *in->memo);
        in->memo = memo;
        if (!grown) return no_memory(in);
        in->memo_count++;
    }
    in->memo[index] = in->stack[in->stack_count - 1];
    return CE_OK;
}

static ce_status recall(cei_pickle_machine *in, size_t bytes) {
    uint64_t index;
    if (!take_number(in, bytes, &index) || index >= in->memo_count)
        return cei_pickle_damaged(in, "it asks for what its memo lacks");
    return push(in, in->memo[index]);
}

/* ---- values ---- */

/* Moves the values from first on to the items of tuples and lists. */
static ce_status move_items(cei_pickle_machine *in, size_t first) {
    const size_t count = in->stack_count - first;
    void *items = in->items;
    bool grown = cei_grow(&items, &in->items_capacity, in->items_count + count, sizeof *in->items);
    in->items = items;
    if (!grown) return no_memory(in);
    if (count > 0) memcpy(in->items + in->items_count, in->stack + first, count * sizeof *in->items);
    in->items_count += count;
    in->stack_count = first;
    return CE_OK;
}

/* Makes a tuple of the values from first on. */
static ce_status make_tuple(cei_pickle_machine *in, size_t first) {
    const cei_pickle_value tuple = {.kind = CEI_PICKLE_TUPLE, .items = {in->items_count, in->stack_count - first}};
    ce_status status = move_items(in, first);
    return status == CE_OK ? push(in, tuple) : status;
}

/* The values from first on go to the end of the list below them, or below their mark. Its items lie in a row as long as
 * no others are made between them, as with texts. */
static ce_status append(cei_pickle_machine *in, size_t first, size_t below) {
    const size_t count = in->stack_count - first;
    cei_pickle_value *list = below > 0 ? &in->stack[below - 1] : NULL;
    if (!list || list->kind != CEI_PICKLE_LIST) return cei_pickle_damaged(in, "items are put into what is no list");
    if (list->items.count > 0 && list->items.first + list->items.count != in->items_count)
        return cei_pickle_damaged(in, "a list is longer than lists of names are");
    if (list->items.count == 0) list->items.first = in->items_count;
    list->items.count += count;
    ce_status status = move_items(in, first);
    in->stack_count = below;
    return status;
}

static ce_status append_one(cei_pickle_machine *in) {
    if (!has(in, 2)) return cei_pickle_damaged(in, "an item is not complete");
    return append(in, in->stack_count - 1, in->stack_count - 1);
}

static ce_status append_marked(cei_pickle_machine *in) {
    const size_t first = last_mark(in);
    if (first == SIZE_MAX) return cei_pickle_damaged(in, "items have no beginning");
    return append(in, first, first - 1);
}

static ce_status make_tuple_of(cei_pickle_machine *in, size_t count) {
    if (!has(in, count)) return cei_pickle_damaged(in, "a tuple lacks its items");
    return make_tuple(in, in->stack_count - count);
}

static ce_status make_marked_tuple(cei_pickle_machine *in) {
    const size_t first = last_mark(in);
    if (first == SIZE_MAX) return cei_pickle_damaged(in, "a tuple has no beginning");
    ce_status status = make_tuple(in, first);
    if (status != CE_OK) return status;
    in->stack[first - 1] = in->stack[first]; /* in the mark's place */
    in->stack_count = first;
    return CE_OK;
}

static ce_status make_dict(cei_pickle_machine *in) {
    return push(in, (cei_pickle_value){.kind = CEI_PICKLE_DICT, .index = in->dict_count++});
}

static ce_status push_entry(cei_pickle_machine *in, size_t dict, const cei_pickle_value *pair) {
    void *entries = in->entries;
    bool grown = cei_grow(&entries, &in->entries_capacity, in->entries_count + 1, sizeof *in->entries);
    in->entries = entries;
    if (!grown) return no_memory(in);
    in->entries[in->entries_count++] = (cei_pickle_entry){dict, pair[0], pair[1]};
    return CE_OK;
}

/* Keys and values from first on go into the dict below them, or below their mark. */
static ce_status set_items(cei_pickle_machine *in, size_t first, size_t below) {
    const size_t count = in->stack_count - first;
    if (below == 0 || in->stack[below - 1].kind != CEI_PICKLE_DICT || count % 2 != 0)
        return cei_pickle_damaged(in, "items are put into what is no dict");
    for (size_t i = first; i < in->stack_count; i += 2) {
        ce_status status = push_entry(in, in->stack[below - 1].index, &in->stack[i]);
        if (status != CE_OK) return status;
    }
    in->stack_count = below;
    return CE_OK;
}

static ce_status set_item(cei_pickle_machine *in) {
    if (!has(in, 3)) return cei_pickle_damaged(in, "an item is not complete");
    return set_items(in, in->stack_count - 2, in->stack_count - 2);
}

static ce_status set_marked_items(cei_pickle_machine *in) {
    const size_t first = last_mark(in);
    if (first == SIZE_MAX) return cei_pickle_damaged(in, "items have no beginning");
    return set_items(in, first, first - 1);
}

/* The attributes of a dict, such as the versions of modules, are of no use here. */
static ce_status set_state(cei_pickle_machine *in) {
    if (!has(in, 2) || in->stack[in->stack_count - 2].kind != CEI_PICKLE_DICT)
        return cei_pickle_damaged(in, "attributes are given to what is no dict");
    in->stack_count--;
    return CE_OK;
}

static ce_status push_text(cei_pickle_machine *in) {
    uint64_t size = 0;
    const uint8_t *text = take_number(in, 4, &size) ? take(in, size) : NULL;
    if (!text) return cei_pickle_damaged(in, "a text is cut off");
    return push(in, (cei_pickle_value){.kind = CEI_PICKLE_TEXT, .text = {(const char *)text, (size_t)size}});
}

static ce_status push_integer(cei_pickle_machine *in, size_t bytes) {
    uint64_t number;
    if (!take_number(in, bytes, &number)) return cei_pickle_damaged(in, "a number is cut off");
    return push_number(in, bytes == 4 ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number);
}

/* A number of up to 64 bits; what is longer is no size. */
static ce_status push_long(cei_pickle_machine *in) {
    uint64_t size = 0, number = 0;
    if (!take_number(in, 1, &size)) return cei_pickle_damaged(in, "a number is cut off");
    if (size > 8)
        return take(in, size) ? push_kind(in, CEI_PICKLE_OTHER) : cei_pickle_damaged(in, "a number is cut off");
    if (!take_number(in, (size_t)size, &number)) return cei_pickle_damaged(in, "a number is cut off");
    const bool negative = size > 0 && size < 8 && number >> (8 * size - 1) & 1;
    return push_number(in, (int64_t)(negative ? number | UINT64_MAX << 8 * size : number));
}

static ce_status push_float(cei_pickle_machine *in) {
    return take(in, 8) ? push_kind(in, CEI_PICKLE_OTHER) : cei_pickle_damaged(in, "a number is cut off");
}

static ce_status push_global(cei_pickle_machine *in) {
    cei_pickle_text module, name;
    cei_pickle_value value;
    if (!take_line(in, &module) || !take_line(in, &name)) return cei_pickle_damaged(in, "a name is cut off");
    ce_status status = cei_pickle_find_global(in, module, name, &value);
    return status == CE_OK ? push(in, value) : status;
}

/* Calls what is known, by doing it here. */
static ce_status reduce(cei_pickle_machine *in) {
    if (!has(in, 2)) return cei_pickle_damaged(in, "a call is not complete");
    const cei_pickle_value callee = in->stack[in->stack_count - 2], arguments = in->stack[in->stack_count - 1];
    in->stack_count -= 2;
    if (callee.kind != CEI_PICKLE_GLOBAL || arguments.kind != CEI_PICKLE_TUPLE)
        return cei_pickle_damaged(in, "it calls what cannot be called");
    if (callee.global == CEI_PICKLE_ORDERED_DICT && arguments.items.count == 0) return make_dict(in);
    cei_pickle_value made;
    ce_status status = cei_pickle_rebuild(in, callee.global, &arguments, &made);
    return status == CE_OK ? push(in, made) : status;
}

static ce_status push_storage(cei_pickle_machine *in) {
    cei_pickle_value made;
    if (!has(in, 1)) return cei_pickle_damaged(in, "a storage has no description");
    ce_status status = cei_pickle_add_storage(in, &in->stack[in->stack_count - 1], &made);
    if (status == CE_OK) in->stack[in->stack_count - 1] = made;
    return status;
}

static ce_status check_protocol(cei_pickle_machine *in) {
    uint64_t protocol = 0;
    if (!take_number(in, 1, &protocol)) return cei_pickle_damaged(in, "it is cut off");
    if (protocol == PROTOCOL) return CE_OK;
    return cei_fail(in->error, CE_ERR_UNSUPPORTED, "%s: its pickle is of protocol %u, and crossenc reads %d", in->path,
                    (unsigned)protocol, PROTOCOL);
}

/* ---- the machine ---- */

static ce_status step(cei_pickle_machine *in, uint8_t instruction) {
    switch (instruction) {
    case 0x80: return check_protocol(in);
    case '(': return push_kind(in, CEI_PICKLE_MARK);
    case ')': return make_tuple(in, in->stack_count);
    case '}': return make_dict(in);
    case ']': return push(in, (cei_pickle_value){.kind = CEI_PICKLE_LIST});
    case 'a': return append_one(in);
    case 'e': return append_marked(in);
    case 't': return make_marked_tuple(in);
    case 0x85: return make_tuple_of(in, 1);
    case 0x86: return make_tuple_of(in, 2);
    case 0x87: return make_tuple_of(in, 3);
    case 's': return set_item(in);
    case 'u': return set_marked_items(in);
    case 'b': return set_state(in);
    case 'q': return remember(in, 1);
    case 'r': return remember(in, 4);
    case 'h': return recall(in, 1);
    case 'j': return recall(in, 4);
    case 'X': return push_text(in);
    case 'K': return push_integer(in, 1);
    case 'M': return push_integer(in, 2);
    case 'J': return push_integer(in, 4);
    case 0x8A: return push_long(in);
    case 'G': return push_float(in);
    case 0x88: return push_number(in, 1); /* True */
    case 0x89: return push_number(in, 0); /* False */
    case 'N': return push_kind(in, CEI_PICKLE_OTHER);
    case 'c': return push_global(in);
    case 'R': return reduce(in);
    case 'Q': return push_storage(in);
    default:
        return cei_fail(in->error, CE_ERR_UNSUPPORTED,
                        "%s: its pickle has the instruction 0x%02X, which no state dict needs: save the model as"
                        " safetensors where you trust it",
                        in->path, instruction);
    }
}

/* Runs until the instruction STOP, which leaves one value. */
static ce_status run(cei_pickle_machine *in) {
    for (;;) {
        const uint8_t *instruction = take(in, 1);
        if (!instruction) return cei_pickle_damaged(in, "it breaks off");
        if (*instruction == '.') break;
        ce_status status = step(in, *instruction);
        if (status != CE_OK) return status;
    }
    return in->stack_count == 1 ? CE_OK : cei_pickle_damaged(in, "it ends with more than one value, or none");
}

static void stop(cei_pickle_machine *in) {
    cei_free(in->stack);
    cei_free(in->memo);
    cei_free(in->items);
    cei_free(in->entries);
    cei_free(in->made);
}

ce_status cei_pickle_read(const uint8_t *data, size_t size, const char *path, cei_pickle *pickle, size_t *used,
                          ce_error *error) {
    cei_pickle_machine in = {.data = data, .size = size, .path = path, .error = error, .pickle = pickle};
    *pickle = (cei_pickle){0};
    ce_status status = run(&in);
    if (status == CE_OK) status = cei_pickle_collect(&in, &in.stack[0]);
    *used = in.at;
    stop(&in);
    if (status != CE_OK) cei_pickle_free(pickle);
    return status;
}

ce_status cei_pickle_read_number(const uint8_t *data, size_t size, const char *path, const char *key, int64_t *number,
                                 size_t *used, ce_error *error) {
    cei_pickle unused = {0};
    cei_pickle_machine in = {.data = data, .size = size, .path = path, .error = error, .pickle = &unused};
    *number = -1;
    ce_status status = run(&in);
    if (status == CE_OK && in.stack[0].kind == CEI_PICKLE_NUMBER) *number = in.stack[0].number;
    for (size_t i = 0; status == CE_OK && i < in.entries_count; i++) {
        const cei_pickle_entry *entry = &in.entries[i];
        if (in.stack[0].kind != CEI_PICKLE_DICT || entry->dict != in.stack[0].index) continue;
        const cei_pickle_text text = entry->key.text;
        if (entry->key.kind == CEI_PICKLE_TEXT && entry->value.kind == CEI_PICKLE_NUMBER && text.size == strlen(key) &&
            memcmp(text.data, key, text.size) == 0)
            *number = entry->value.number;
    }
    *used = in.at;
    stop(&in);
    cei_pickle_free(&unused);
    return status;
}

/* The texts of the list that the pickle was. */
static ce_status take_texts(const cei_pickle_machine *in, cei_pickle_text **texts, size_t *count) {
    const cei_pickle_value *list = &in->stack[0];
    if (list->kind != CEI_PICKLE_LIST) return cei_pickle_damaged(in, "it is no list");
    *texts = cei_alloc(list->items.count, sizeof **texts);
    if (!*texts) return no_memory(in);
    for (*count = 0; *count < list->items.count; (*count)++) {
        const cei_pickle_value *value = &in->items[list->items.first + *count];
        if (value->kind != CEI_PICKLE_TEXT) return cei_pickle_damaged(in, "its list has more than texts");
        (*texts)[*count] = value->text;
    }
    return CE_OK;
}

ce_status cei_pickle_read_texts(const uint8_t *data, size_t size, const char *path, cei_pickle_text **texts,
                                size_t *count, size_t *used, ce_error *error) {
    cei_pickle unused = {0};
    cei_pickle_machine in = {.data = data, .size = size, .path = path, .error = error, .pickle = &unused};
    *texts = NULL;
    *count = 0;
    ce_status status = run(&in);
    if (status == CE_OK) status = take_texts(&in, texts, count);
    *used = in.at;
    stop(&in);
    cei_pickle_free(&unused);
    if (status != CE_OK) {
        cei_free(*texts);
        *texts = NULL;
        *count = 0;
    }
    return status;
}

void cei_pickle_free(cei_pickle *pickle) {
    cei_free(pickle->tensors);
    cei_free(pickle->storages);
    *pickle = (cei_pickle){0};
}

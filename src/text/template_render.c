/* template_render.c - runs the statements of a template: output, names, branches, loops, macros.
 *
 * Whatever a template does, it ends: every statement takes a step, and steps, memory and recursion are bounded. */
#include "text/template_render.h"

#include "base/error.h"

static bool run_list(cei_trender *render, cei_tscope *scope, const cei_tnode *list);

/* ---- bounds -------------------------------------------------------------------------------------------------- */

bool cei_trender_fail(cei_trender *render, const cei_tnode *node, const char *format, ...) {
    char message[CE_ERROR_MESSAGE_SIZE];
    va_list args;
    if (render->status != CE_OK) return false;
    va_start(args, format);
    cei_format_message(message, format, args);
    va_end(args);
    render->status = cei_fail(render->error, CE_ERR_MODEL, "%s, line %u: %s", render->tmpl->path,
                              node ? (unsigned)node->line : 0u, message);
    return false;
}

bool cei_trender_step(cei_trender *render, const cei_tnode *node, uint64_t steps) {
    if (steps > render->steps)
        return cei_trender_fail(render, node, "the template takes more than the steps that it may take");
    render->steps -= steps;
    return true;
}

bool cei_trender_enter(cei_trender *render, const cei_tnode *node) {
    if (++render->depth <= CEI_TEMPLATE_RUN_DEPTH) return true;
    return cei_trender_fail(render, node, "more than %d calls and values are nested", CEI_TEMPLATE_RUN_DEPTH);
}

static bool no_memory(cei_trender *render) {
    if (render->status == CE_OK) render->status = cei_fail_memory(render->error, "a prompt", 0);
    return false;
}

void *cei_trender_take(cei_trender *render, const cei_tnode *node, size_t count, size_t size) {
    if (cei_arena_is_full(render->arena, count, size)) {
        cei_trender_fail(render, node, "the template takes more than the %zu bytes that it may take",
                         render->arena->limit);
        return NULL;
    }
    void *piece = cei_arena_take(render->arena, count, size);
    if (!piece) no_memory(render);
    return piece;
}

bool cei_trender_write(cei_trender *render, const cei_tnode *node, ce_text text) {
    if (text.size > render->out_limit - render->out->size)
        return cei_trender_fail(render, node, "the prompt takes more than the %zu bytes that it may take",
                                render->out_limit);
    return cei_bytes_append(render->out, text.data, text.size) || no_memory(render);
}

bool cei_trender_capture(cei_trender *render, const cei_tnode *node, size_t start, cei_tvalue *value) {
    const size_t size = render->out->size - start;
    char *copy = cei_trender_take(render, node, size, 1);
    if (!copy) return false;
    if (size) memcpy(copy, render->out->data + start, size);
    render->out->size = start;
    *value = cei_tvalue_text((ce_text){copy, size});
    return true;
}

/* ---- names --------------------------------------------------------------------------------------------------- */

/* The name's place in this scope alone; NULL if it has none, or after a failure. */
static cei_tname *find_name(cei_trender *render, const cei_tnode *node, const cei_tscope *scope, ce_text name) {
    uint64_t passed = 0;
    cei_tname *found = scope->names;
    for (; found && !cei_same_text(found->name, name); found = found->next) passed++;
    return cei_trender_step(render, node, passed / 8) ? found : NULL;
}

bool cei_tscope_get(cei_trender *render, const cei_tnode *node, const cei_tscope *scope, ce_text name,
                    cei_tvalue *value) {
    *value = cei_tvalue_undefined(name);
    for (; scope; scope = scope->parent) {
        const cei_tname *found = find_name(render, node, scope, name);
        if (render->status != CE_OK) return false;
        if (!found) continue;
        *value = *found->value;
        return true;
    }
    return true;
}

bool cei_tscope_set(cei_trender *render, const cei_tnode *node, cei_tscope *scope, ce_text name,
                    const cei_tvalue *value) {
    cei_tname *place = find_name(render, node, scope, name);
    if (render->status != CE_OK) return false;
    if (!place) {
        place = cei_trender_take(render, node, 1, sizeof *place);
        cei_tvalue *room = place ? cei_trender_take(render, node, 1, sizeof *room) : NULL;
        if (!room) return false;
        *place = (cei_tname){scope->names, name, room};
        scope->names = place;
    }
    *place->value = *value;
    return true;
}

/* ---- loops --------------------------------------------------------------------------------------------------- */

/* Gives an item to the names of a loop. */
static bool set_targets(cei_trender *render, cei_tscope *scope, const cei_tnode *node, const cei_tvalue *item) {
    cei_tlist parts = {item, 1};
    size_t count = 0;
    for (const cei_tnode *target = node->args; target; target = target->next) count++;
    if (count > 1 && !cei_tvalue_items(render, node, item, &parts)) return false;
    if (parts.count != count)
        return cei_trender_fail(render, node, "a loop has %zu names for %zu values", count, parts.count);
    size_t i = 0;
    for (const cei_tnode *target = node->args; target; target = target->next)
        if (!cei_tscope_set(render, node, scope, target->name, &parts.items[i++])) return false;
    return true;
}

/* The items that the loop's condition lets through. */
static bool filter_items(cei_trender *render, cei_tscope *scope, const cei_tnode *node, cei_tlist *items) {
    cei_tvalue *kept = cei_trender_take(render, node, items->count, sizeof *kept), wanted;
    size_t count = 0;
    if (!kept) return false;
    cei_tscope inner = {.parent = scope};
    for (size_t i = 0; i < items->count; i++) {
        if (!set_targets(render, &inner, node, &items->items[i]) ||
            !cei_trender_evaluate(render, &inner, node->d, &wanted))
            return false;
        if (cei_tvalue_is_true(&wanted)) kept[count++] = items->items[i];
    }
    *items = (cei_tlist){kept, count};
    return true;
}

/* One round; *again tells whether another may follow. inner has the loop's own names alone, which rounds share. */
static bool run_round(cei_trender *render, cei_tscope inner, const cei_tnode *node, const cei_tloop *loop,
                      bool *again) {
    if (!cei_trender_step(render, node, 1) || !set_targets(render, &inner, node, &loop->items.items[loop->index]) ||
        !run_list(render, &inner, node->b))
        return false;
    *again = render->flow != CEI_FLOW_BREAK;
    render->flow = CEI_FLOW_ON;
    return true;
}

static bool run_for(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    cei_tvalue over;
    cei_tlist items;
    if (!cei_trender_evaluate(render, scope, node->a, &over) || !cei_tvalue_items(render, node, &over, &items))
        return false;
    if (node->d && !filter_items(render, scope, node, &items)) return false;
    cei_tscope inner = {.parent = scope};
    if (items.count == 0) return run_list(render, &inner, node->c);
    cei_tloop *loop = cei_trender_take(render, node, 1, sizeof *loop); /* a name may keep it */
    if (!loop) return false;
    *loop = (cei_tloop){.items = items};
    const cei_tvalue self = {.kind = CEI_T_LOOP, .loop = loop};
    if (!cei_tscope_set(render, node, &inner, ce_text_of("loop"), &self) ||
        !set_targets(render, &inner, node, &items.items[0]))
        return false;
    for (bool again = true; again && loop->index < items.count; loop->index++)
        if (!run_round(render, inner, node, loop, &again)) return false;
    if (loop->index == items.count) loop->index--;
    return true;
}

/* ---- macros -------------------------------------------------------------------------------------------------- */

/* The argument of a call for the macro's parameter with this number; NULL if it is not given. */
static const cei_tnode *find_argument(const cei_tnode *call, ce_text name, size_t index) {
    for (const cei_tnode *argument = call->args; argument; argument = argument->next)
        if (argument->name.data ? cei_same_text(argument->name, name) : argument->index == index) return argument;
    return NULL;
}

static bool bind_arguments(cei_trender *render, cei_tscope *scope, const cei_tnode *macro, const cei_tnode *call,
                           cei_tscope *inner) {
    size_t index = 0, used = 0, given = 0;
    for (const cei_tnode *parameter = macro->args; parameter; parameter = parameter->next, index++) {
        const cei_tnode *argument = find_argument(call, parameter->name, index);
        cei_tvalue value = cei_tvalue_undefined(parameter->name);
        used += argument != NULL;
        if (argument && !cei_trender_evaluate(render, scope, argument->a, &value)) return false;
        if (!argument && parameter->a && !cei_trender_evaluate(render, inner, parameter->a, &value)) return false;
        if (!cei_trender_step(render, call, 1 + index) || !cei_tscope_set(render, call, inner, parameter->name, &value))
            return false;
    }
    for (const cei_tnode *argument = call->args; argument; argument = argument->next) given++;
    if (used == given) return true;
    return cei_trender_fail(render, call, "the macro \"%.*s\" has no parameter for an argument",
                            (int)cei_min_size(macro->name.size, 60), macro->name.data);
}

bool cei_trender_macro(cei_trender *render, cei_tscope *scope, const cei_tnode *macro, const cei_tnode *call,
                       cei_tvalue *value) {
    cei_tscope inner = {.parent = render->top};
    const size_t start = render->out->size;
    if (!bind_arguments(render, scope, macro, call, &inner) || !run_list(render, &inner, macro->b)) return false;
    render->flow = CEI_FLOW_ON;
    return cei_trender_capture(render, call, start, value);
}

/* ---- statements ---------------------------------------------------------------------------------------------- */

static bool run_output(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    cei_tvalue value;
    ce_text text;
    return cei_trender_evaluate(render, scope, node->a, &value) && cei_tvalue_string(render, node, &value, &text) &&
           cei_trender_write(render, node, text);
}

static bool run_if(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    cei_tvalue value;
    if (!cei_trender_evaluate(render, scope, node->a, &value)) return false;
    return run_list(render, scope, cei_tvalue_is_true(&value) ? node->b : node->c);
}

static bool run_set(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    cei_tvalue value, space;
    if (!cei_trender_evaluate(render, scope, node->a, &value)) return false;
    if (node->kind == CEI_N_SET) return cei_tscope_set(render, node, scope, node->name, &value);
    if (!cei_tscope_get(render, node, scope, node->text, &space)) return false;
    if (space.kind != CEI_T_NAMESPACE)
        return cei_trender_fail(render, node, "\"%.*s\" is %s, and no namespace",
                                (int)cei_min_size(node->text.size, 60), node->text.data, cei_tvalue_kind(&space));
    return cei_tscope_set(render, node, space.space, node->name, &value);
}

static bool run_set_block(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    const size_t start = render->out->size;
    cei_tscope inner = {.parent = scope};
    cei_tvalue value;
    return run_list(render, &inner, node->b) && cei_trender_capture(render, node, start, &value) &&
           cei_tscope_set(render, node, scope, node->name, &value);
}

static bool run_macro(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    const cei_tvalue value = {.kind = CEI_T_MACRO, .macro = node};
    return cei_tscope_set(render, node, scope, node->name, &value);
}

static bool run_scope(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    cei_tscope inner = {.parent = scope};
    return run_list(render, &inner, node->b);
}

static bool run(cei_trender *render, cei_tscope *scope, const cei_tnode *node) {
    switch (node->kind) {
    case CEI_N_TEXT: return cei_trender_write(render, node, node->text);
    case CEI_N_OUTPUT: return run_output(render, scope, node);
    case CEI_N_IF: return run_if(render, scope, node);
    case CEI_N_FOR: return run_for(render, scope, node);
    case CEI_N_SET:
    case CEI_N_SET_NAME: return run_set(render, scope, node);
    case CEI_N_SET_BLOCK: return run_set_block(render, scope, node);
    case CEI_N_MACRO: return run_macro(render, scope, node);
    case CEI_N_SCOPE: return run_scope(render, scope, node);
    default: render->flow = node->kind == CEI_N_BREAK ? CEI_FLOW_BREAK : CEI_FLOW_CONTINUE; return true;
    }
}

static bool run_list(cei_trender *render, cei_tscope *scope, const cei_tnode *list) {
    if (!list) return true;
    if (!cei_trender_enter(render, list)) return false;
    for (; list && render->flow == CEI_FLOW_ON; list = list->next)
        if (!cei_trender_step(render, list, 1) || !run(render, scope, list)) return false;
    render->depth--;
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

/* A map of count keys and values, which the caller fills. */
static cei_tvalue *make_map(cei_trender *render, size_t count, cei_tvalue *map) {
    cei_tvalue *room = cei_trender_take(render, NULL, 2 * count, sizeof *room);
    if (room) *map = (cei_tvalue){.kind = CEI_T_MAP, .map = {room, room + count, count}};
    return room;
}

/* [{"type": "text", "text": content}] */
static bool make_parts(cei_trender *render, ce_text content, cei_tvalue *value) {
    cei_tvalue *part = cei_trender_take(render, NULL, 1, sizeof *part), *room = part ? make_map(render, 2, part) : NULL;
    if (!room) return false;
    room[0] = cei_tvalue_text(ce_text_of("type"));
    room[1] = cei_tvalue_text(ce_text_of("text"));
    room[2] = cei_tvalue_text(ce_text_of("text"));
    room[3] = cei_tvalue_text(content);
    *value = (cei_tvalue){.kind = CEI_T_LIST, .list = {part, 1}};
    return true;
}

static bool make_messages(cei_trender *render, const cei_template_message *messages, size_t count, cei_tvalue *value) {
    cei_tvalue *all = cei_trender_take(render, NULL, count, sizeof *all);
    if (!all) return false;
    for (size_t i = 0; i < count; i++) {
        cei_tvalue *room = make_map(render, 2, &all[i]);
        if (!room) return false;
        room[0] = cei_tvalue_text(ce_text_of("role"));
        room[1] = cei_tvalue_text(ce_text_of("content"));
        room[2] = cei_tvalue_text(messages[i].role);
        room[3] = cei_tvalue_text(messages[i].content);
        if (messages[i].in_parts && !make_parts(render, messages[i].content, &room[3])) return false;
    }
    *value = (cei_tvalue){.kind = CEI_T_LIST, .list = {all, count}};
    return true;
}

void cei_template_memory_free(cei_template_memory *memory) {
    cei_arena_free(&memory->arena);
    cei_free(memory->prompt.data);
    *memory = (cei_template_memory){0};
}

ce_status cei_template_render(const cei_template *tmpl, const cei_template_message *messages, size_t count,
                              cei_template_memory *memory, ce_text *prompt, ce_error *error) {
    size_t bytes = 0, limit;
    for (size_t i = 0; i < count; i++)
        if (!cei_add_size(bytes, messages[i].content.size, &bytes)) return cei_fail_memory(error, "a prompt", 0);
    if (!cei_mul_size(bytes, 64, &limit) || !cei_add_size(limit, CEI_TEMPLATE_BYTES, &limit))
        return cei_fail_memory(error, "a prompt", 0);
    cei_arena_empty(&memory->arena);
    memory->arena.limit = limit;
    memory->prompt.size = 0;
    cei_tscope defined = tmpl->names, top = {.parent = &defined};
    cei_trender render = {.tmpl = tmpl,
                          .arena = &memory->arena,
                          .out = &memory->prompt,
                          .out_limit = limit,
                          .steps = CEI_TEMPLATE_STEPS + (uint64_t)bytes,
                          .top = &top,
                          .error = error};
    cei_tvalue all;
    if (make_messages(&render, messages, count, &all) &&
        cei_tscope_set(&render, NULL, &top, ce_text_of("messages"), &all))
        run_list(&render, &top, tmpl->statements);
    *prompt = (ce_text){memory->prompt.data, memory->prompt.size};
    return render.status;
}

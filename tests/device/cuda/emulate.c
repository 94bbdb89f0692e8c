/* emulate.c - blocks, threads, barriers: see emulate.h. For x86-64, whose stacks it switches by hand, since the C
 * library's way asks the system to save signals at every switch. */
#include "device/cuda/emulate.h"

#include <stdint.h>
#include <string.h>

enum { MOST_THREADS = 384, WARP = 32, GROUP = 128, STACK_BYTES = 32 * 1024 };

typedef enum fiber_state { READY, AT_SHUFFLE, AT_BARRIER, AT_PRODUCT, AT_SIGNAL, DONE } fiber_state;

/* Copies into shared memory that a thread has begun. */
enum { MOST_COPIES = 64, CHUNK = 16 };

typedef struct copies {
    struct {
        unsigned char *to;
        const void *from; /* NULL: zeros */
        unsigned group;
    } rows[MOST_COPIES];
    unsigned count, group;
} copies;

/* An mbarrier, in its eight bytes. */
typedef struct signal_state {
    unsigned char arrivals, left; /* of a phase, and those still to come */
    unsigned short phase;
    int bytes; /* still to come */
} signal_state;

/* Products of a warp group that are begun, by one of its threads: the oldest first. */
enum { MOST_PRODUCTS = 2 };

typedef struct product {
    void (*multiply)(const struct product *own);
    const unsigned char *x, *y;
    void *sums;
    unsigned count;
} product;

static struct {
    void *stack[MOST_THREADS]; /* of fibers that wait */
    fiber_state state[MOST_THREADS];
    float exchanged[MOST_THREADS];
    unsigned fragments[MOST_THREADS][6];
    copies copies[MOST_THREADS];
    const unsigned char *addresses[MOST_THREADS];
    struct {
        const signal_state *signal;
        unsigned parity;
    } awaited[MOST_THREADS];
    product products[MOST_THREADS][MOST_PRODUCTS];
    unsigned begun[MOST_THREADS];
    bool broken;     /* a rule of copies or products */
    void *scheduler; /* its stack, while a fiber runs */
    unsigned current, threads, block_x, block_y;
    emulate_fn kernel;
    const void *arguments;
} machine;

static unsigned char stacks[MOST_THREADS][STACK_BYTES] __attribute__((aligned(64)));

/* The linker's names for the section of shared memory. */
extern unsigned char __start_cei_shared[], __stop_cei_shared[];

unsigned cei_thread(void) { return machine.current; }
unsigned cei_block_x(void) { return machine.block_x; }
unsigned cei_block_y(void) { return machine.block_y; }

/* Saves what the ABI has a function keep, stores the stack pointer at *from, and goes on with the stack to. */
void emulate_switch(void **from, void *to);
__asm__(".text\n"
        ".globl emulate_switch\n"
        ".hidden emulate_switch\n"
        ".type emulate_switch, @function\n"
        "emulate_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size emulate_switch, .-emulate_switch\n");

static void wait_as(fiber_state state) {
    const unsigned self = machine.current;
    machine.state[self] = state;
    emulate_switch(&machine.stack[self], machine.scheduler);
}

void cei_barrier(void) { wait_as(AT_BARRIER); }

/* All lanes give, then all take: the second wait keeps a lane that is ahead from giving anew. */
float cei_shuffle_xor(float value, unsigned mask) {
    const unsigned self = machine.current;
    machine.exchanged[self] = value;
    wait_as(AT_SHUFFLE);
    const float taken = machine.exchanged[self ^ mask];
    wait_as(AT_SHUFFLE);
    return taken;
}

/* Word w of row `row` of the tile X [16, 8 words], or of Y [8, 8 words], from the lanes' fragments: the PTX manual's
 * figures for m16n8k16, and the same for m16n8k32, whose words hold four integers. Lane 4 (row % 8) + w % 4 has it, in
 * the word of its row's and w's halves. */
enum { WORDS = 8, Y = 4 /* the first word of a lane's part of Y */ };

static unsigned x_word(unsigned fragments[WARP][6], unsigned row, unsigned w) {
    return fragments[row % 8 * 4 + w % 4][row / 8 + w / 4 * 2];
}

static unsigned y_word(unsigned fragments[WARP][6], unsigned column, unsigned w) {
    return fragments[column * 4 + w % 4][Y + w / 4];
}

/* Gives a lane's fragments to the warp, and returns those of all. */
static unsigned (*share_fragments(const unsigned x[4], const unsigned y[2]))[6] {
    const unsigned self = machine.current, lane = self % WARP;
    memcpy(machine.fragments[self], x, 4 * sizeof *x);
    memcpy(machine.fragments[self] + Y, y, 2 * sizeof *y);
    wait_as(AT_SHUFFLE);
    return &machine.fragments[self - lane];
}

/* The upper or the lower half of a word, a bfloat16. */
static float half_of(unsigned word, unsigned which) {
    const unsigned bits = word >> which * 16 << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void cei_multiply_bfloat16(const unsigned x[4], const unsigned y[2], float sums[4]) {
    const unsigned lane = machine.current % WARP;
    unsigned(*const fragments)[6] = share_fragments(x, y);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 2 * WORDS; k++)
            sums[i] += half_of(x_word(fragments, lane / 4 + i / 2 * 8, k / 2), k % 2) *
                       half_of(y_word(fragments, lane % 4 * 2 + i % 2, k / 2), k % 2);
    wait_as(AT_SHUFFLE);
}

/* Half precision: 5 bits of exponent, of which 15 is 1, and 10 of fraction. */
static float of_half(unsigned half) {
    const unsigned exponent = half >> 10 & 31, fraction = half & 1023;
    float size = exponent ? ldexpf(1024 + (float)fraction, (int)exponent - 25) : ldexpf((float)fraction, -24);
    if (exponent == 31) size = fraction ? NAN : INFINITY;
    return half >> 15 ? -size : size;
}

static unsigned to_half(float value) {
    int exponent;
    const unsigned sign = signbit(value) ? 0x8000 : 0;
    if (isnan(value)) return 0x7E00;
    (void)frexpf(value, &exponent); /* |value| is 2^exponent times something from 1/2 on */
    const int unit = exponent - 11 < -24 ? -24 : exponent - 11;
    const float units = nearbyintf(ldexpf(fabsf(value), -unit)); /* at most 2048 */
    if (isinf(value) || ldexpf(units, unit) > 65504) return sign | 0x7C00;
    if (units < 1024) return sign | (unsigned)units;
    return sign | (((unsigned)(unit + 24) << 10) + (unsigned)units);
}

unsigned cei_pack_halves(float low, float high) { return to_half(low) | to_half(high) << 16; }

/* To nearest, ties to even; a NaN stays one. */
static unsigned to_bfloat16(float value) {
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return isnan(value) ? 0x7FFF : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

unsigned cei_pack_bfloat16(float low, float high) { return to_bfloat16(low) | to_bfloat16(high) << 16; }

unsigned cei_clamp_halves(unsigned pair) {
    for (int shift = 0; shift < 32; shift += 16)
        if ((pair >> shift & 0x7FFF) == 0x7C00) pair -= 1u << shift; /* the greatest number is in front of infinity */
    return pair;
}

void cei_multiply_half(const unsigned x[4], const unsigned y[2], float sums[4]) {
    const unsigned lane = machine.current % WARP;
    unsigned(*const fragments)[6] = share_fragments(x, y);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 2 * WORDS; k++)
            sums[i] += of_half(x_word(fragments, lane / 4 + i / 2 * 8, k / 2) >> k % 2 * 16 & 0xFFFF) *
                       of_half(y_word(fragments, lane % 4 * 2 + i % 2, k / 2) >> k % 2 * 16 & 0xFFFF);
    wait_as(AT_SHUFFLE);
}

void cei_multiply_int8(const unsigned x[4], const unsigned y[2], int sums[4]) {
    const unsigned lane = machine.current % WARP;
    unsigned(*const fragments)[6] = share_fragments(x, y);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned w = 0; w < WORDS; w++)
            sums[i] = cei_dot4((int)x_word(fragments, lane / 4 + i / 2 * 8, w),
                               (int)y_word(fragments, lane % 4 * 2 + i % 2, w), sums[i]);
    wait_as(AT_SHUFFLE);
}

void cei_copy_chunk(cei_shared to, const void *from, bool inside) {
    copies *own = &machine.copies[machine.current];
    if (own->count == MOST_COPIES || (uintptr_t)to % CHUNK || (uintptr_t)from % CHUNK) {
        machine.broken = true;
        return;
    }
    own->rows[own->count].to = to;
    own->rows[own->count].from = inside ? from : NULL;
    own->rows[own->count++].group = own->group;
}

void cei_copy_commit(void) { machine.copies[machine.current].group++; }

void cei_copy_wait(int but) {
    copies *own = &machine.copies[machine.current];
    unsigned kept = 0;
    for (unsigned i = 0; i < own->count; i++) {
        if (own->rows[i].group + (unsigned)but >= own->group)
            own->rows[kept++] = own->rows[i];
        else if (own->rows[i].from)
            memcpy(own->rows[i].to, own->rows[i].from, CHUNK);
        else
            memset(own->rows[i].to, 0, CHUNK);
    }
    own->count = kept;
}

/* Gives the warp the address of a row, and returns those of all. */
static const unsigned char **share_address(const unsigned char *row) {
    const unsigned self = machine.current;
    machine.addresses[self] = row;
    if ((uintptr_t)row % CHUNK) machine.broken = true;
    wait_as(AT_SHUFFLE);
    return &machine.addresses[self - self % WARP];
}

void cei_load_matrices(cei_shared row, unsigned words[4]) {
    const unsigned lane = machine.current % WARP;
    const unsigned char **rows = share_address(row);
    for (unsigned i = 0; i < 4; i++)
        memcpy(&words[i], rows[i * 8 + lane / 4] + lane % 4 * sizeof *words, sizeof *words);
    wait_as(AT_SHUFFLE);
}

void cei_warp_barrier(void) { wait_as(AT_SHUFFLE); }

/* Each lane has its word of each row, and any lane knows where a row is. */
void cei_store_matrices(cei_shared row, const unsigned words[4]) {
    const unsigned lane = machine.current % WARP;
    const unsigned char **rows = share_address(row);
    for (unsigned i = 0; i < 4; i++)
        memcpy((unsigned char *)(uintptr_t)rows[i * 8 + lane / 4] + lane % 4 * sizeof *words, &words[i], sizeof *words);
    wait_as(AT_SHUFFLE);
}

/* A word is two rows' number in one column. */
void cei_load_transposed(cei_shared row, unsigned words[4]) {
    const unsigned lane = machine.current % WARP;
    const unsigned char **rows = share_address(row);
    for (unsigned i = 0; i < 4; i++) {
        unsigned short pair[2];
        for (unsigned k = 0; k < 2; k++)
            memcpy(&pair[k], rows[i * 8 + lane % 4 * 2 + k] + lane / 4 * sizeof *pair, sizeof *pair);
        words[i] = pair[0] | (unsigned)pair[1] << 16;
    }
    wait_as(AT_SHUFFLE);
}

/* ---- warp groups ----------------------------------------------------------------------------------------------- */

enum { LAUNCHED = 227 * 1024, LAUNCHED_ALIGNMENT = 1024, TILE_ROW = 128 };
static unsigned char launched[LAUNCHED] __attribute__((aligned(LAUNCHED_ALIGNMENT), section("cei_shared")));

cei_shared cei_launched_memory(void) { return launched; }

void cei_signal_begin(cei_shared signal, unsigned arrivals) {
    const signal_state begun = {(unsigned char)arrivals, (unsigned char)arrivals, 0, 0};
    memcpy(signal, &begun, sizeof begun);
}

/* Changes what is to come, and begins the next phase if that is nothing. */
static void count_down(cei_shared signal, unsigned arrivals, int bytes) {
    signal_state *state = (signal_state *)(void *)signal;
    if (state->left < arrivals) machine.broken = true;
    state->left = (unsigned char)(state->left - arrivals);
    state->bytes += bytes;
    if (state->left > 0 || state->bytes != 0) return;
    state->left = state->arrivals;
    state->phase++;
}

void cei_signal_arrive(cei_shared signal) { count_down(signal, 1, 0); }
void cei_signal_expect(cei_shared signal, unsigned bytes) { count_down(signal, 1, (int)bytes); }

static bool is_given(unsigned thread) {
    return machine.awaited[thread].signal->phase % 2 != machine.awaited[thread].parity;
}

void cei_signal_wait(cei_shared signal, unsigned parity) {
    const unsigned self = machine.current;
    machine.awaited[self].signal = (const signal_state *)(void *)signal;
    machine.awaited[self].parity = parity;
    if (!is_given(self)) wait_as(AT_SIGNAL);
}

void cei_copy_tile(cei_shared to, const void *from, unsigned bytes, cei_shared signal) {
    if ((uintptr_t)to % CHUNK || (uintptr_t)from % CHUNK || bytes % CHUNK) machine.broken = true;
    memcpy(to, from, bytes);
    count_down(signal, 0, -(int)bytes);
}

/* Where a chunk of a row is in a tile of which eight rows take 1024 bytes, exchanged as 128-byte swizzle does. */
static const void *swizzled(const unsigned char *tile, unsigned row, unsigned chunk) {
    return tile + row * TILE_ROW + (chunk ^ row % 8) * CHUNK;
}

/* The thread's sum i: row 16 w + l / 4 and eight below for warp w and lane l, columns in pairs. */
static unsigned sum_row(unsigned i) {
    return machine.current % GROUP / WARP * 16 + machine.current % WARP / 4 + i / 2 % 2 * 8;
}
static unsigned sum_column(unsigned i) { return i / 4 * 8 + machine.current % 4 * 2 + i % 2; }

static float of_bfloat16(unsigned bits) { return half_of(bits, 0); }

/* value makes a number of its 16 bits. */
static void multiply_16(const product *own, float (*value)(unsigned bits)) {
    float *sums = own->sums;
    for (unsigned i = 0; i < own->count; i++)
        for (unsigned chunk = 0; chunk < TILE_ROW / CHUNK; chunk++) {
            const unsigned short *of_x = swizzled(own->x, sum_row(i), chunk);
            const unsigned short *of_y = swizzled(own->y, sum_column(i), chunk);
            for (unsigned k = 0; k < CHUNK / sizeof *of_x; k++) sums[i] += value(of_x[k]) * value(of_y[k]);
        }
}
static void multiply_bfloat16(const product *own) { multiply_16(own, of_bfloat16); }
static void multiply_float16(const product *own) { multiply_16(own, of_half); }

static void multiply_int8(const product *own) {
    int *sums = own->sums;
    for (unsigned i = 0; i < own->count; i++)
        for (unsigned chunk = 0; chunk < TILE_ROW / CHUNK; chunk++) {
            const signed char *of_x = swizzled(own->x, sum_row(i), chunk);
            const signed char *of_y = swizzled(own->y, sum_column(i), chunk);
            for (unsigned k = 0; k < CHUNK; k++) sums[i] += of_x[k] * of_y[k];
        }
}

/* The group meets here. */
static void begin_product(product own) {
    const unsigned self = machine.current;
    if ((uintptr_t)own.x % LAUNCHED_ALIGNMENT || (uintptr_t)own.y % LAUNCHED_ALIGNMENT) machine.broken = true;
    wait_as(AT_PRODUCT);
    if (machine.begun[self] == MOST_PRODUCTS)
        machine.broken = true;
    else
        machine.products[self][machine.begun[self]++] = own;
}

/* And here, before any of its products is made and behind the last one. */
void emulate_group_wait(unsigned but, const void *sums) {
    const unsigned self = machine.current;
    product *own = machine.products[self];
    wait_as(AT_PRODUCT);
    for (; machine.begun[self] > but; machine.begun[self]--) {
        if (own->sums != sums) machine.broken = true;
        own->multiply(own);
        memmove(own, own + 1, (MOST_PRODUCTS - 1) * sizeof *own);
    }
    wait_as(AT_PRODUCT);
}

#define GROUP_FUNCTION(name, type, columns)                                                   \
    void cei_group_##name##_##columns(cei_shared x, cei_shared y, type sums[(columns) / 2]) { \
        begin_product((product){multiply_##name, x, y, sums, (columns) / 2});                 \
    }
#define GROUP_FUNCTIONS(name, type) \
    GROUP_FUNCTION(name, type, 64) GROUP_FUNCTION(name, type, 128) GROUP_FUNCTION(name, type, 256)
GROUP_FUNCTIONS(bfloat16, float)
GROUP_FUNCTIONS(float16, float)
GROUP_FUNCTIONS(int8, int)

static unsigned count_state(unsigned first, unsigned count, fiber_state state) {
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) found += machine.state[first + i] == state;
    return found;
}

/* Lets threads go on whose group has met, or whose signal was given. */
static bool release(void) {
    bool any = false;
    for (unsigned first = 0; first + GROUP <= machine.threads; first += GROUP) {
        if (count_state(first, GROUP, AT_PRODUCT) != GROUP) continue;
        for (unsigned i = 0; i < GROUP; i++) machine.state[first + i] = READY;
        any = true;
    }
    for (unsigned t = 0; t < machine.threads; t++) {
        if (machine.state[t] != AT_SIGNAL || !is_given(t)) continue;
        machine.state[t] = READY;
        any = true;
    }
    return any;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static void run_fiber(void) {
    machine.kernel(machine.arguments);
    wait_as(DONE);
}

/* A stack on which emulate_switch finds six registers, then the fiber's beginning to return to. */
static void prepare_fiber(unsigned thread) {
    void **top = (void **)(void *)(stacks[thread] + STACK_BYTES);
    void (*begin)(void) = run_fiber;
    *--top = NULL; /* where a call would have left its return address: keeps the stack aligned as the ABI says */
    memcpy(--top, &begin, sizeof begin);
    for (int i = 0; i < 6; i++) *--top = NULL;
    machine.stack[thread] = top;
    machine.state[thread] = READY;
    machine.copies[thread].count = machine.copies[thread].group = machine.begun[thread] = 0;
}

static void resume(unsigned thread) {
    machine.current = thread;
    emulate_switch(&machine.scheduler, machine.stack[thread]);
}

/* Runs a warp until each of its threads waits for others, or is done. */
static bool run_warp(unsigned first, unsigned count) {
    for (;;) {
        for (unsigned i = 0; i < count; i++)
            if (machine.state[first + i] == READY) resume(first + i);
        const unsigned shuffling = count_state(first, count, AT_SHUFFLE);
        if (shuffling == 0) return true;
        if (shuffling != count) return false;
        for (unsigned i = 0; i < count; i++) machine.state[first + i] = READY;
    }
}

/* Did the block keep the rules of copies and products? */
static bool all_is_done(void) {
    for (unsigned t = 0; t < machine.threads; t++)
        if (machine.copies[t].count > 0 || machine.begun[t] > 0) return false;
    return !machine.broken;
}

static bool run_block(void) {
    memset(__start_cei_shared, 0xFF, (size_t)(__stop_cei_shared - __start_cei_shared));
    for (unsigned t = 0; t < machine.threads; t++) prepare_fiber(t);
    for (;;) {
        for (unsigned first = 0; first < machine.threads; first += WARP)
            if (!run_warp(first, WARP)) return false;
        if (release()) continue;
        const unsigned waiting = count_state(0, machine.threads, AT_BARRIER);
        if (count_state(0, machine.threads, DONE) == machine.threads) return all_is_done();
        if (waiting != machine.threads) return false;
        for (unsigned t = 0; t < machine.threads; t++) machine.state[t] = READY;
    }
}

bool emulate(emulate_fn kernel, const void *arguments, unsigned threads, unsigned blocks_x, unsigned blocks_y) {
    if (threads > MOST_THREADS || threads % WARP != 0) return false;
    machine.threads = threads;
    machine.broken = false;
    machine.kernel = kernel;
    machine.arguments = arguments;
    for (machine.block_y = 0; machine.block_y < blocks_y; machine.block_y++)
        for (machine.block_x = 0; machine.block_x < blocks_x; machine.block_x++)
            if (!run_block()) return false;
    return true;
}

/* emulate.c - blocks, threads, barriers: see emulate.h. For x86-64, whose stacks it switches by hand, since the C
 * library's way asks the system to save signals at every switch. */
#include "device/cuda/emulate.h"

#include <stdint.h>
#include <string.h>

enum { MOST_THREADS = 256, WARP = 32, STACK_BYTES = 32 * 1024 };

typedef enum fiber_state { READY, AT_SHUFFLE, AT_BARRIER, DONE } fiber_state;

static struct {
    void *stack[MOST_THREADS]; /* of fibers that wait */
    fiber_state state[MOST_THREADS];
    float exchanged[MOST_THREADS];
    unsigned fragments[MOST_THREADS][6];
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

/* Element (row, k) of the tile X, or (column, k) of Y, from the lanes' fragments: the PTX manual's figures for
 * m16n8k16. Lane 4 (row % 8) + k % 8 / 2 has it, in the word of its row's and k's halves. */
static float element(unsigned fragments[WARP][6], unsigned row, unsigned k, unsigned first) {
    const unsigned lane = row % 8 * 4 + k % 8 / 2, word = first ? first + k / 8 : row / 8 + k / 8 * 2;
    const unsigned bits = fragments[lane][word] >> k % 2 * 16 << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void cei_multiply_bfloat16(const unsigned x[4], const unsigned y[2], float sums[4]) {
    enum { Y = 4 }; /* the first word of a lane's part of Y */
    const unsigned self = machine.current, lane = self % WARP;
    unsigned(*const fragments)[6] = &machine.fragments[self - lane];
    memcpy(fragments[lane], x, 4 * sizeof *x);
    memcpy(fragments[lane] + Y, y, 2 * sizeof *y);
    wait_as(AT_SHUFFLE);
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < 16; k++)
            sums[i] += element(fragments, lane / 4 + i / 2 * 8, k, 0) * element(fragments, lane % 4 * 2 + i % 2, k, Y);
    wait_as(AT_SHUFFLE);
}

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
}

static void resume(unsigned thread) {
    machine.current = thread;
    emulate_switch(&machine.scheduler, machine.stack[thread]);
}

static unsigned count_state(unsigned first, unsigned count, fiber_state state) {
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) found += machine.state[first + i] == state;
    return found;
}

/* Runs a warp until each of its threads is at a barrier or done. */
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

static bool run_block(void) {
    memset(__start_cei_shared, 0xFF, (size_t)(__stop_cei_shared - __start_cei_shared));
    for (unsigned t = 0; t < machine.threads; t++) prepare_fiber(t);
    for (;;) {
        for (unsigned first = 0; first < machine.threads; first += WARP)
            if (!run_warp(first, WARP)) return false;
        const unsigned waiting = count_state(0, machine.threads, AT_BARRIER);
        if (waiting == 0) return true;
        if (waiting != machine.threads) return false;
        for (unsigned t = 0; t < machine.threads; t++) machine.state[t] = READY;
    }
}

bool emulate(emulate_fn kernel, const void *arguments, unsigned threads, unsigned blocks_x, unsigned blocks_y) {
    if (threads > MOST_THREADS || threads % WARP != 0) return false;
    machine.threads = threads;
    machine.kernel = kernel;
    machine.arguments = arguments;
    for (machine.block_y = 0; machine.block_y < blocks_y; machine.block_y++)
        for (machine.block_x = 0; machine.block_x < blocks_x; machine.block_x++)
            if (!run_block()) return false;
    return true;
}

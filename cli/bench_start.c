/* bench_start.c - cold starts: this program again, as a process of its own, from its start to its first score.
 *
 * Relies on Linux's /proc/self/exe. The pair lies in a pipe before the process is started, and the clock stops when the
 * line of its score has arrived: the system's work, loading, verifying and placing the model, and scoring are all in
 * it. The model's files are in the page cache, since this process has read them. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEAST_STARTS = 3, MOST_STARTS = 25, WORDS = 9, WORD_SIZE = PATH_MAX + 32 };

extern char **environ;

/* crossenc predict, or encode, with the settings of this run. */
typedef struct command_line {
    char held[WORDS][WORD_SIZE];
    char *words[WORDS + 1];
} command_line;

static void write_words(command_line *line, const cli_bench_job *bench) {
    const cli_settings *settings = bench->settings;
    size_t count = 0;
    snprintf(line->held[count++], WORD_SIZE, "crossenc");
    snprintf(line->held[count++], WORD_SIZE, bench->scorer.encoder ? "encode" : "predict");
    snprintf(line->held[count++], WORD_SIZE, "--quiet");
    snprintf(line->held[count++], WORD_SIZE, "--model=%s", bench->scorer.info.path);
    snprintf(line->held[count++], WORD_SIZE, "--device=%s",
             bench->placement.devices > 1 ? bench->placement.requested : bench->placement.device);
    snprintf(line->held[count++], WORD_SIZE, "--threads=%zu", settings->threads);
    snprintf(line->held[count++], WORD_SIZE, "--max-length=%zu", settings->max_length);
    snprintf(line->held[count++], WORD_SIZE, "--precision=%s", ce_precision_name(bench->placement.precision));
    snprintf(line->held[count++], WORD_SIZE, "--batch-tokens=%zu", settings->batch_tokens);
    for (size_t i = 0; i < count; i++) line->words[i] = line->held[i];
    line->words[count] = NULL;
}

/* Pipes that end with a process that is started, but for the ends that it is given. */
static bool open_pipe(int ends[2]) {
    if (pipe(ends) != 0) return false;
    return fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0;
}

static void close_end(int *end) {
    if (*end >= 0) close(*end);
    *end = -1;
}

static int spawn(const command_line *line, int in, int out, pid_t *child) {
    posix_spawn_file_actions_t actions;
    int number = posix_spawn_file_actions_init(&actions);
    if (number != 0) return number;
    number = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (number == 0) number = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (number == 0) number = posix_spawn(child, "/proc/self/exe", &actions, NULL, line->words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return number;
}

/* Reads to the end; *seconds is when the first line was whole, negative if none was. */
static void read_score(int from, double *seconds) {
    char text[256];
    *seconds = -1;
    for (;;) {
        const ssize_t got = read(from, text, sizeof text);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return;
        if (*seconds < 0 && memchr(text, '\n', (size_t)got)) *seconds = cli_now();
    }
}

static int wait_for(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs the process between two pipes, the first of which holds its input and is closed by others. */
static cli_status run_process(const command_line *line, int in, int out[2], double *seconds, cli_error *error) {
    pid_t child = 0;
    const double begun = cli_now();
    const int number = spawn(line, in, out[1], &child);
    if (number != 0) return cli_fail(error, CLI_FAILED, "cannot start a process: %s", strerror(number));
    close_end(&out[1]);
    read_score(out[0], seconds);
    const int code = wait_for(child);
    if (code != 0 || *seconds < 0) {
        return cli_fail(error, code > 0 && code <= CLI_OUTPUT ? (cli_status)code : CLI_FAILED,
                        "cold start: '%s %s' ended with status %d", line->words[0], line->words[1], code);
    }
    *seconds -= begun;
    return CLI_OK;
}

/* The pair, or the text that is its document, as a line. */
static bool fill_pipe(int to, const ce_pair *pair) {
    char text[PIPE_BUF];
    const ce_text query = pair->query, document = pair->document;
    const int size = snprintf(text, sizeof text, "%.*s%s%.*s\n", (int)query.size, query.size ? query.data : "",
                              query.size ? "\t" : "", (int)document.size, document.data);
    /* No larger than what a pipe takes at once. */
    return size > 0 && (size_t)size < sizeof text && write(to, text, (size_t)size) == (ssize_t)size;
}

static cli_status start_once(const command_line *line, const ce_pair *pair, double *seconds, cli_error *error) {
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    cli_status status = CLI_OK;
    if (!open_pipe(in) || !open_pipe(out) || !fill_pipe(in[1], pair))
        status = cli_fail(error, CLI_FAILED, "cannot make a pipe for a cold start: %s", strerror(errno));
    close_end(&in[1]);
    if (status == CLI_OK) status = run_process(line, in[0], out, seconds, error);
    for (int i = 0; i < 2; i++) {
        close_end(&in[i]);
        close_end(&out[i]);
    }
    return status;
}

cli_status cli_bench_measure_start(cli_bench_job *bench, const ce_pair *pair, double seconds, cli_error *error) {
    command_line line;
    double samples[MOST_STARTS];
    size_t count = 0;
    cli_status status = CLI_OK;
    write_words(&line, bench);
    const double begun = cli_now();
    while (status == CLI_OK && count < MOST_STARTS && (count < LEAST_STARTS || cli_now() - begun < seconds)) {
        cli_bench_show(bench, "cold start");
        status = start_once(&line, pair, &samples[count++], error);
    }
    if (status != CLI_OK) return status;
    cli_bench_sort(samples, count);
    bench->starts = count;
    bench->start_median = cli_bench_median(samples, count);
    bench->start_least = samples[0];
    bench->start_most = samples[count - 1];
    return CLI_OK;
}

/* test_commands_oom.c - the commands without memory: each allocation fails in turn, alone and with all that follow, and
 * the command must end with its own words and leave nothing behind. Runs the commands in this process, on a small
 * random model, with standard output sent away. */
#include "support/failing_malloc.h"
#include "support/support.h"

#include "../../cli/commands.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Most runs of one command: few enough to take seconds. */
enum { RUNS = 300, MOST_WORDS = 24 };

typedef struct command_line {
    int id;
    cli_status (*run)(const cli_settings *settings, cli_error *error);
    const char *words[MOST_WORDS]; /* behind the command's name, NULL at the end */
} command_line;

/* What a run without memory may end in, as the library's own statuses. */
static ce_status status_of(cli_status status, const cli_error *why, ce_error *error) {
    if (status == CLI_OK) return CE_OK;
    snprintf(error->message, sizeof error->message, "%.500s", why->message);
    error->status = status == CLI_FAILED   ? CE_ERR_MEMORY
                    : status == CLI_DEVICE ? CE_ERR_DEVICE_MEMORY
                                           : CE_ERR_ARGUMENT;
    if (error->status == CE_ERR_ARGUMENT) print_message("exit code %d: %s\n", (int)status, why->message);
    return error->status;
}

static ce_status run_line(void *user, ce_error *error) {
    const command_line *line = user;
    char *words[MOST_WORDS + 1] = {(char[]){"crossenc"}};
    int count = 1;
    for (; line->words[count - 1]; count++) memcpy(&words[count], &line->words[count - 1], sizeof(char *));
    cli_settings settings;
    cli_error why = {{0}};
    cli_status status = cli_options_parse(line->id, "command", count, words, &settings, &why);
    if (status == CLI_OK) {
        int shown = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDOUT_FILENO);
        status = line->run(&settings, &why);
        dup2(shown, STDOUT_FILENO);
        close(shown);
        close(nowhere);
    }
    return status_of(status, &why, error);
}

static char model[4096], encoder[4096], run_file[4096], corpus[4096], queries[4096], qrels[4096], pairs[4096],
    broken[4096], output[4096];

static void try_line(int id, cli_status (*run)(const cli_settings *, cli_error *), const char *const *words) {
    const char *const of_id = id == CLI_ENCODE ? encoder : model;
    command_line line = {id, run, {"--model", of_id, "--threads", "1", "--quiet"}};
    size_t count = id == CLI_DEVICES ? 0 : 5;
    for (; *words; words++) line.words[count++] = *words;
    line.words[count] = NULL;
    failing_malloc_or_skip();
    assert_true(test_some_allocations(run_line, &line, RUNS) > 0);
    assert_int_not_equal(access(output, F_OK), 0);
}

#define TRY(id, run, ...) try_line(id, run, (const char *const[]){__VA_ARGS__, NULL})

static void test_rank(void **state) {
    (void)state;
    TRY(CLI_RANK, cli_rank, "query", "one", "two words", "three");
    TRY(CLI_RANK, cli_rank, "--top-k", "2", "--documents", broken, "--utf8", "replace", "--json", "query");
}

static void test_rerank(void **state) {
    (void)state;
    TRY(CLI_RANK, cli_rank, "--run", run_file, "--corpus", corpus, "--queries", queries, "--top", "3");
}

static void test_predict(void **state) {
    (void)state;
    TRY(CLI_PREDICT, cli_predict, "--json", pairs);
}

static void test_encode(void **state) {
    (void)state;
    TRY(CLI_ENCODE, cli_encode, "--prompt-name", "query", "--format", "lines", pairs);
    TRY(CLI_ENCODE, cli_encode, "--type", "int8", "--truncate-dim", "3", pairs);
}

static void test_eval(void **state) {
    (void)state;
    TRY(CLI_EVAL, cli_eval, "--run", run_file, "--corpus", corpus, "--queries", queries, "--qrels", qrels, "--top",
        "2");
}

/* The parts that start no process and measure nothing for seconds. */
static void test_bench(void **state) {
    (void)state;
    TRY(CLI_BENCH, cli_bench, "--only", "memory", "--json");
}

static void test_others(void **state) {
    (void)state;
    TRY(CLI_INSPECT, cli_inspect, "--place");
    TRY(CLI_TOKENIZE, cli_tokenize, "query", "document");
    TRY(CLI_DEVICES, cli_devices, "--json");
}

/* A folder that is made is removed, for the next run. */
static ce_status run_convert(void *user, ce_error *error) {
    static const char *const names[] = {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"};
    ce_status status = run_line(user, error);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[sizeof output + 32];
        snprintf(path, sizeof path, "%s/%s", output, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(output), status == CE_OK ? 0 : -1);
    return status;
}

static void test_convert(void **state) {
    (void)state;
    command_line line = {CLI_CONVERT, cli_convert, {"--threads", "1", "--precision", "int8", "--json", model, output}};
    failing_malloc_or_skip();
    assert_true(test_some_allocations(run_convert, &line, RUNS) > 0);
}

/* A run that ends without memory must not leave its half of a file. */
static ce_status run_with_output(void *user, ce_error *error) {
    ce_status status = run_line(user, error);
    unlink(output);
    return status;
}

static void test_output_file(void **state) {
    (void)state;
    command_line line = {CLI_PREDICT, cli_predict, {"--model", model, "--threads", "1", "--output", output, pairs}};
    failing_malloc_or_skip();
    test_some_allocations(run_with_output, &line, RUNS);
}

static int make_files(void **state) {
    char *folder = test_make_folder();
    *state = folder;
    snprintf(model, sizeof model, "%s", test_data("golden/models/long-1024"));
    snprintf(encoder, sizeof encoder, "%s", test_data("golden/encoders/mean"));
    snprintf(run_file, sizeof run_file, "%s", test_data("cli/ties/run.trec"));
    snprintf(corpus, sizeof corpus, "%s", test_data("cli/ties/corpus.jsonl"));
    snprintf(queries, sizeof queries, "%s", test_data("cli/ties/queries.jsonl"));
    snprintf(qrels, sizeof qrels, "%s", test_data("cli/ties/qrels.txt"));
    snprintf(pairs, sizeof pairs, "%s/pairs.tsv", folder);
    snprintf(output, sizeof output, "%s/output", folder);
    snprintf(broken, sizeof broken, "%s/broken.tsv", folder);
    static const char text[] = "one\tthe first\ntwo\tthe \xFF\xFE second\nthree\tlast\n";
    static const char clean[] = "one\tthe first\ntwo\tthe second\nthree\tlast\n";
    test_write_file(folder, "broken.tsv", text, sizeof text - 1);
    test_write_file(folder, "pairs.tsv", clean, sizeof clean - 1);
    return 0;
}

static int remove_files(void **state) {
    test_remove_folder(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rank),   cmocka_unit_test(test_rerank),  cmocka_unit_test(test_predict),
        cmocka_unit_test(test_encode), cmocka_unit_test(test_eval),    cmocka_unit_test(test_bench),
        cmocka_unit_test(test_others), cmocka_unit_test(test_convert), cmocka_unit_test(test_output_file),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}

/* options.h - what the command line says. One table, in options.c, holds every option of every command; help, the man
 * page's test and the completions' test follow from it. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "output.h"

/* The commands, as bits: an option says which of them take it. */
enum {
    CLI_RANK = 1,
    CLI_PREDICT = 2,
    CLI_EVAL = 4,
    CLI_DEVICES = 8,
    CLI_INSPECT = 16,
    CLI_TOKENIZE = 32,
    CLI_CONVERT = 64,
    CLI_BENCH = 128,
    CLI_ENCODE = 256,
    CLI_PULL = 512,
    CLI_SCORING = CLI_RANK | CLI_PREDICT | CLI_EVAL,
    CLI_WITH_CROSS_ENCODER = CLI_SCORING | CLI_INSPECT | CLI_TOKENIZE | CLI_BENCH,
    CLI_WITH_MODEL = CLI_WITH_CROSS_ENCODER | CLI_ENCODE,
    CLI_ALL = CLI_WITH_MODEL | CLI_DEVICES | CLI_CONVERT | CLI_PULL
};

/* Zero, NULL and false mean that an option was not given, except where cli_options_parse sets a default. */
typedef struct cli_settings {
    const char *model, *adapter, *device, *cpus;
    size_t threads, max_length, batch_tokens;
    int precision, activation, utf8; /* values of ce_precision, ce_activation, ce_utf8_policy */
    int gguf_type;                   /* a ce_gguf_type */
    bool logits, softmax, deferred, place, force;
    const char *documents, *run, *corpus, *queries, *qrels, *tag, *output, *save_run;
    int format; /* cli_format */
    int color;  /* cli_color */
    size_t top_k, top, cutoff, max_queries, seconds;
    const char *prompt, *prompt_name;
    size_t truncate_dim;
    bool normalize;
    int type; /* ce_embedding_type */
    int to;   /* cli_embedding_format */
    const char *plot;
    int only; /* cli_bench_part */
    bool measure, quick, json, quiet, verbose, help;
    int argument_count; /* what is no option, in order */
    char **arguments;
} cli_settings;

/* Parses what stands behind the command's name: count words at arguments, which are permuted. Errors: USAGE. */
cli_status cli_options_parse(int command, const char *name, int count, char **arguments, cli_settings *settings,
                             cli_error *error);

/* Prints the options of a command, by section, as a part of its help. */
void cli_options_describe(int command, cli_output *output);

#endif

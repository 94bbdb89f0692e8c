/* options.c - the table of options, and reading a command line by it. Relies on getopt_long, which also takes options
 * behind other arguments and unambiguous beginnings of names. */
#include "options.h"

#include "encode.h"
#include "output.h"
#include "records.h"
#include "suggest.h"
#include "wrap.h"

#include <crossenc/model.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

typedef enum option_type {
    TYPE_FLAG,   /* bool */
    TYPE_STRING, /* const char * */
    TYPE_COUNT,  /* size_t */
    TYPE_CHOICE  /* int: the index in choices */
} option_type;

typedef struct option_row {
    const char *section; /* the first row of a section names it */
    char letter;         /* 0 if it has no short form */
    const char *name;
    const char *argument; /* what help calls its value; NULL for a flag */
    int commands;
    option_type type;
    size_t offset;              /* in cli_settings */
    size_t minimum;             /* of a count */
    const char *const *choices; /* names, NULL at the end */
    const char *help;           /* words, whose lines are broken anew */
} option_row;

static const char *const activations[] = {"default", "identity", "sigmoid", "tanh", "relu", "softmax", NULL};
static const char *const precisions[] = {"default", "float32", "bfloat16",
                                         "int8",    "float16", NULL}; /* as ce_precision */
static const char *const gguf_types[] = {"default", "F32", "F16", "BF16", "Q8_0", NULL};
static const char *const policies[] = {"strict", "replace", NULL};
static const char *const formats[] = {"auto", "lines", "tsv", "jsonl", NULL};
static const char *const parts[] = {"all", "throughput", "latency", "cold-start", "memory", NULL};
static const char *const types[] = {"float32", "int8", "uint8", "binary", "ubinary", NULL};
static const char *const embedding_formats[] = {"auto", "jsonl", "npy", NULL};
static const char *const colors[] = {"auto", "always", "never", NULL};

#define FIELD(name) offsetof(cli_settings, name)

static const option_row rows[] = {
    {"Model", 'm', "model", "DIR|NAME", CLI_WITH_CROSS_ENCODER, TYPE_STRING, FIELD(model), 0, NULL,
     "model folder as Hugging Face lays it out, a GGUF file, or the name in a folder of\n"
     "CROSSENC_MODELS, beside the default model, or in the hub's cache, where\n"
     "'crossenc pull' puts them: ORG/NAME[@REVISION] (default: the one that comes\n"
     "with crossenc, or CROSSENC_DEFAULT_MODEL)"},
    {NULL, 'm', "model", "DIR|NAME", CLI_ENCODE, TYPE_STRING, FIELD(model), 0, NULL,
     "folder of a bi-encoder as Sentence Transformers has it, a GGUF file, or a name\n"
     "in a folder of CROSSENC_MODELS or in the hub's cache, where 'crossenc pull' puts\n"
     "them; must be given, for none comes with crossenc"},
    {NULL, 0, "adapter", "DIR|NAME", CLI_WITH_MODEL | CLI_CONVERT, TYPE_STRING, FIELD(adapter), 0, NULL,
     "LoRA adapter, a folder or a name as of a model, to lay over the model (default:\n"
     "none, or the one that the model's folder is)"},
    {NULL, 'd', "device", "DEVICE", CLI_WITH_MODEL, TYPE_STRING, FIELD(device), 0, NULL,
     "where to run: auto, cpu, cuda, cuda:N, opencl, opencl:N (default: auto), or\n"
     "several of one kind, as in cuda:0,cuda:1; 'crossenc devices' says what is there"},
    {NULL, 't', "threads", "N", CLI_WITH_MODEL | CLI_CONVERT, TYPE_COUNT, FIELD(threads), 0, NULL,
     "CPU threads (default: 0, all that this process may use)"},
    {NULL, 0, "cpus", "LIST", CLI_WITH_MODEL, TYPE_STRING, FIELD(cpus), 0, NULL,
     "CPUs to bind threads to, as in 0-3,8 (default: none); gives --threads its default"},
    {NULL, 0, "max-length", "N", CLI_WITH_MODEL, TYPE_COUNT, FIELD(max_length), 0, NULL,
     "tokens of a pair or a text; longer ones are truncated (default: 0, the model's\n"
     "limit)"},
    {NULL, 0, "precision", "NAME", CLI_WITH_MODEL, TYPE_CHOICE, FIELD(precision), 0, precisions,
     "float32 (the default), bfloat16, float16 or int8: how weights are held and\n"
     "multiplied; the lower ones are smaller, and most are faster; their scores differ\n"
     "a little"},
    {NULL, 0, "precision", "NAME", CLI_CONVERT, TYPE_CHOICE, FIELD(precision), 0, precisions,
     "float32 (the default), bfloat16, float16 or int8: how the weights are written"},
    {NULL, 0, "gguf-type", "NAME", CLI_CONVERT, TYPE_CHOICE, FIELD(gguf_type), 0, gguf_types,
     "F32, F16, BF16 or Q8_0: the matrices of a GGUF file (default: by --precision:\n"
     "F32, BF16, F16, Q8_0)"},
    {NULL, 0, "force", NULL, CLI_CONVERT, TYPE_FLAG, FIELD(force), 0, NULL,
     "replace a model folder, or GGUF file, that is there already"},
    {NULL, 0, "batch-tokens", "N", CLI_WITH_MODEL, TYPE_COUNT, FIELD(batch_tokens), 0, NULL,
     "tokens encoded together (default: 0, a good value); scores don't depend on it"},
    {NULL, 0, "deferred", NULL, CLI_SCORING | CLI_ENCODE, TYPE_FLAG, FIELD(deferred), 0, NULL,
     "place the model on the device at the first input, not at the start"},
    {NULL, 0, "place", NULL, CLI_INSPECT, TYPE_FLAG, FIELD(place), 0, NULL,
     "place the model, and show what was verified and how long it took; without\n"
     "it the plan is shown and no device memory is taken"},

    {"Scores", 'a', "activation", "NAME", CLI_SCORING, TYPE_CHOICE, FIELD(activation), 0, activations,
     "default, identity, sigmoid, tanh, relu or softmax (default: the model's own)"},
    {NULL, 'l', "logits", NULL, CLI_SCORING, TYPE_FLAG, FIELD(logits), 0, NULL,
     "raw logits instead of scores: --activation identity"},
    {NULL, 0, "softmax", NULL, CLI_PREDICT, TYPE_FLAG, FIELD(softmax), 0, NULL,
     "softmax over the labels, after the activation"},
    {NULL, 'k', "top-k", "K", CLI_RANK, TYPE_COUNT, FIELD(top_k), 0, NULL,
     "print the K best (default: 0, all); bounds the memory for long inputs"},
    {NULL, 'n', "top", "N", CLI_RANK | CLI_EVAL, TYPE_COUNT, FIELD(top), 0, NULL,
     "with a run: re-rank the N best documents of each query and drop the others\n"
     "(default: 100; 0 is all)"},
    {NULL, 'k', "k", "K", CLI_EVAL, TYPE_COUNT, FIELD(cutoff), 1, NULL,
     "cut-off of nDCG, MRR and recall (default: 10)"},
    {NULL, 0, "max-queries", "N", CLI_EVAL, TYPE_COUNT, FIELD(max_queries), 0, NULL,
     "measure the first N queries of the run only, for a quick look (default:\n"
     "0, all)"},

    {"Prompts", 0, "prompt", "TEXT", CLI_SCORING | CLI_ENCODE | CLI_TOKENIZE, TYPE_STRING, FIELD(prompt), 0, NULL,
     "put TEXT before each text or query, as it is; a model with a chat template\n"
     "gets it as the system's message (default: the model's default prompt, if it\n"
     "has one; \"\" is none)"},
    {NULL, 0, "prompt-name", "NAME", CLI_SCORING | CLI_ENCODE | CLI_TOKENIZE, TYPE_STRING, FIELD(prompt_name), 0, NULL,
     "use the model's prompt of that name, as query or document"},

    {"Embeddings", 0, "truncate-dim", "N", CLI_ENCODE, TYPE_COUNT, FIELD(truncate_dim), 0, NULL,
     "keep the first N values of each embedding (default: 0, what the model says)"},
    {NULL, 0, "normalize", NULL, CLI_ENCODE, TYPE_FLAG, FIELD(normalize), 0, NULL,
     "scale embeddings to length 1, after --truncate-dim"},
    {NULL, 0, "type", "NAME", CLI_ENCODE, TYPE_CHOICE, FIELD(type), 0, types,
     "float32 (the default), int8, uint8, binary or ubinary: how values are written"},

    {"Input", 'D', "documents", "FILE", CLI_RANK, TYPE_STRING, FIELD(documents), 0, NULL,
     "read documents from FILE; - is standard input"},
    {NULL, 'f', "format", "NAME", CLI_RANK | CLI_PREDICT | CLI_ENCODE, TYPE_CHOICE, FIELD(format), 0, formats,
     "lines, tsv or jsonl (default: auto, by the ending of the file's name)"},
    {NULL, 'r', "run", "FILE", CLI_RANK | CLI_EVAL, TYPE_STRING, FIELD(run), 0, NULL,
     "first-stage run in TREC's format; needs --corpus and --queries"},
    {NULL, 'c', "corpus", "FILE", CLI_RANK | CLI_EVAL, TYPE_STRING, FIELD(corpus), 0, NULL,
     "the run's documents, JSON lines: {\"_id\", \"title\", \"text\"}"},
    {NULL, 'q', "queries", "FILE", CLI_RANK | CLI_EVAL, TYPE_STRING, FIELD(queries), 0, NULL,
     "the run's queries, JSON lines: {\"_id\", \"text\"}"},
    {NULL, 'j', "qrels", "FILE", CLI_EVAL, TYPE_STRING, FIELD(qrels), 0, NULL,
     "judgements: query, document, relevance (BEIR), or query, 0, document,\n"
     "relevance (TREC)"},
    {NULL, 0, "utf8", "NAME", CLI_SCORING | CLI_TOKENIZE | CLI_ENCODE, TYPE_CHOICE, FIELD(utf8), 0, policies,
     "bytes that are not UTF-8: strict (an error, the default) or replace (U+FFFD)"},

    {"Measuring", 0, "only", "PART", CLI_BENCH, TYPE_CHOICE, FIELD(only), 0, parts,
     "all, throughput, latency, cold-start or memory (default: all)"},
    {NULL, 0, "seconds", "N", CLI_BENCH, TYPE_COUNT, FIELD(seconds), 0, NULL,
     "measure for about so long, all parts together (default: 0, which is 40);\n"
     "slow models take longer, since each figure needs one repetition"},
    {NULL, 0, "measure", NULL, CLI_DEVICES, TYPE_FLAG, FIELD(measure), 0, NULL,
     "also measure each usable device, about half a second for each: operations a\n"
     "second in each precision, and bytes a second from its memory; opens the devices"},
    {NULL, 0, "quick", NULL, CLI_BENCH, TYPE_FLAG, FIELD(quick), 0, NULL, "--seconds 5: rough figures"},

    {"Output", 0, "json", NULL, CLI_ALL, TYPE_FLAG, FIELD(json), 0, NULL, "JSON, for programs"},
    {NULL, 0, "to", "NAME", CLI_ENCODE, TYPE_CHOICE, FIELD(to), 0, embedding_formats,
     "jsonl or npy (default: auto, by the ending of --output)"},
    {NULL, 'o', "output", "FILE", CLI_RANK | CLI_PREDICT | CLI_ENCODE, TYPE_STRING, FIELD(output), 0, NULL,
     "write results to FILE, which appears whole or, after an error, not at all"},
    {NULL, 'o', "save-run", "FILE", CLI_EVAL, TYPE_STRING, FIELD(save_run), 0, NULL, "write the re-ranked run to FILE"},
    {NULL, 'p', "plot", "FILE", CLI_BENCH, TYPE_STRING, FIELD(plot), 0, NULL,
     "draw throughput and latency into FILE, an SVG, which appears whole"},
    {NULL, 0, "tag", "NAME", CLI_RANK | CLI_EVAL, TYPE_STRING, FIELD(tag), 0, NULL,
     "last column of the run that is written (default: crossenc)"},
    {NULL, 0, "color", "WHEN", CLI_ALL, TYPE_CHOICE, FIELD(color), 0, colors,
     "auto, always or never (default: auto: on a terminal, unless NO_COLOR is set)"},
    {NULL, 'Q', "quiet", NULL, CLI_WITH_MODEL | CLI_CONVERT | CLI_PULL, TYPE_FLAG, FIELD(quiet), 0, NULL,
     "no progress, notes and warnings on standard error"},
    {NULL, 'v', "verbose", NULL, CLI_WITH_MODEL | CLI_CONVERT | CLI_PULL, TYPE_FLAG, FIELD(verbose), 0, NULL,
     "the library's log on standard error"},
    {NULL, 'h', "help", NULL, CLI_ALL, TYPE_FLAG, FIELD(help), 0, NULL, "this help"},
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

static cli_status set_count(const option_row *row, const char *value, size_t *field, cli_error *error) {
    char *end = NULL;
    errno = 0;
    unsigned long long number = *value >= '0' && *value <= '9' ? strtoull(value, &end, 10) : 0;
    if (!end || *end || errno || number > SIZE_MAX || number < row->minimum) {
        return cli_fail(error, CLI_USAGE, "--%s is \"%s\"; expected a whole number, %zu or more", row->name, value,
                        row->minimum);
    }
    *field = (size_t)number;
    return CLI_OK;
}

static cli_status set_choice(const option_row *row, const char *value, int *field, cli_error *error) {
    char names[128] = "";
    for (int i = 0; row->choices[i]; i++) {
        if (strcasecmp(value, row->choices[i]) == 0) {
            *field = i;
            return CLI_OK;
        }
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", row->choices[i]);
    }
    return cli_fail(error, CLI_USAGE, "--%s is \"%s\"; expected one of: %s", row->name, value, names);
}

static cli_status set(const option_row *row, const char *value, cli_settings *settings, cli_error *error) {
    char *field = (char *)settings + row->offset;
    switch (row->type) {
    case TYPE_FLAG: *(bool *)(void *)field = true; return CLI_OK;
    case TYPE_STRING: memcpy(field, &value, sizeof value); return CLI_OK;
    case TYPE_COUNT: return set_count(row, value, (size_t *)(void *)field, error);
    case TYPE_CHOICE: return set_choice(row, value, (int *)(void *)field, error);
    }
    return CLI_OK;
}

/* What getopt_long takes: the rows of one command. Codes are ROW_BASE + row, so that no letter can be one. */
enum { ROW_BASE = 1000 };

static void make_tables(int command, struct option *longs, char *shorts) {
    *shorts++ = ':'; /* tell a missing value from an unknown option */
    for (int i = 0; i < ROW_COUNT; i++) {
        if (!(rows[i].commands & command)) continue;
        *longs++ =
            (struct option){rows[i].name, rows[i].argument ? required_argument : no_argument, NULL, ROW_BASE + i};
        if (!rows[i].letter) continue;
        *shorts++ = rows[i].letter;
        if (rows[i].argument) *shorts++ = ':';
    }
    *longs = (struct option){NULL, 0, NULL, 0};
    *shorts = '\0';
}

static const option_row *row_of(int command, int code) {
    if (code >= ROW_BASE) return &rows[code - ROW_BASE];
    for (int i = 0; i < ROW_COUNT; i++) {
        if ((rows[i].commands & command) && rows[i].letter == code) return &rows[i];
    }
    return NULL;
}

static bool is_of_others(int command, const char *name, int letter) {
    for (int i = 0; i < ROW_COUNT; i++) {
        if (rows[i].commands & command) continue;
        if (name ? strcmp(rows[i].name, name) == 0 : rows[i].letter == letter) return true;
    }
    return false;
}

/* Options that begin so, if there are several: "--top-k, --top". */
static void list_beginnings(int command, const char *typed, char *list, size_t size) {
    for (int i = 0; i < ROW_COUNT && *typed; i++) {
        if (!(rows[i].commands & command) || strncmp(rows[i].name, typed, strlen(typed)) != 0) continue;
        size_t used = strlen(list);
        snprintf(list + used, size - used, "%s--%s", used ? ", " : "", rows[i].name);
    }
}

/* A long name that is not among a command's, or the beginning of several; word is what was typed, with its value. */
static cli_status fail_long(int command, const char *word, const char *name, cli_error *error) {
    char typed[80], beginnings[160] = "";
    cli_suggestion near = {0};
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    list_beginnings(command, typed, beginnings, sizeof beginnings);
    for (int i = 0; i < ROW_COUNT; i++) {
        if (rows[i].commands & command) cli_suggest(&near, typed, rows[i].name);
    }
    if (*beginnings) return cli_fail(error, CLI_USAGE, "--%s may be any of %s: write more of it", typed, beginnings);
    if (is_of_others(command, typed, 0)) {
        return cli_fail(error, CLI_USAGE, "--%s is an option of other commands; see 'crossenc %s --help'", typed, name);
    }
    if (near.name) {
        return cli_fail(error, CLI_USAGE, "there is no option --%s: is it --%s? See 'crossenc %s --help'", typed,
                        near.name, name);
    }
    return cli_fail(error, CLI_USAGE,
                    "there is no option --%s; see 'crossenc %s --help'. Texts that begin with - go behind --", typed,
                    name);
}

static cli_status fail_letter(int command, char letter, const char *name, cli_error *error) {
    if (is_of_others(command, NULL, letter)) {
        return cli_fail(error, CLI_USAGE, "-%c is an option of other commands; see 'crossenc %s --help'", letter, name);
    }
    return cli_fail(error, CLI_USAGE,
                    "there is no option -%c; see 'crossenc %s --help'. Texts that begin with - go behind --", letter,
                    name);
}

/* Why getopt_long stopped: code is ':' for a missing value, else '?'. optopt is a letter; 0 for a long name that is
 * unknown or ambiguous; and the row's code for a long one whose value is missing or too much. */
static cli_status fail_option(int command, int code, const char *name, char *const *words, cli_error *error) {
    char letter[] = {'-', (char)optopt, '\0'};
    const char *option = optopt == 0 || optopt >= ROW_BASE ? words[optind - 1] : letter;
    if (code == ':') {
        return cli_fail(error, CLI_USAGE, "option %.80s needs a value; see 'crossenc %s --help'", option, name);
    }
    if (optopt >= ROW_BASE) {
        return cli_fail(error, CLI_USAGE, "option %.80s takes no value; see 'crossenc %s --help'", option, name);
    }
    return optopt ? fail_letter(command, (char)optopt, name, error) : fail_long(command, option, name, error);
}

static cli_status check(const cli_settings *settings, cli_error *error) {
    if (settings->logits && settings->activation > CE_ACTIVATION_IDENTITY) {
        return cli_fail(error, CLI_USAGE,
                        "--logits asks for no activation, and --activation for one; give one of them");
    }
    if (settings->logits && settings->softmax) {
        return cli_fail(error, CLI_USAGE, "--logits asks for raw logits, and --softmax not; give one of them");
    }
    if (settings->quiet && settings->verbose) {
        return cli_fail(error, CLI_USAGE, "--quiet and --verbose contradict each other; give one of them");
    }
    if (settings->prompt && settings->prompt_name) {
        return cli_fail(error, CLI_USAGE, "--prompt and --prompt-name both say what comes first; give one of them");
    }
    if (settings->json && settings->to == CLI_TO_NPY) {
        return cli_fail(error, CLI_USAGE, "--json asks for JSON, and --to for npy; give one of them");
    }
    if (settings->tag && (!*settings->tag || settings->tag[strcspn(settings->tag, " \t\r\n")])) {
        return cli_fail(error, CLI_USAGE, "--tag is \"%s\"; a run's tag is one word without spaces", settings->tag);
    }
    return CLI_OK;
}

cli_status cli_options_parse(int command, const char *name, int count, char **arguments, cli_settings *settings,
                             cli_error *error) {
    struct option longs[ROW_COUNT + 1];
    char shorts[2 * ROW_COUNT + 2];
    int code;
    *settings = (cli_settings){.top = 100, .cutoff = 10};
    make_tables(command, longs, shorts);
    opterr = 0;
    optind = 1;
    while ((code = getopt_long(count, arguments, shorts, longs, NULL)) != -1) {
        const option_row *row = code == ':' || code == '?' ? NULL : row_of(command, code);
        if (!row) return fail_option(command, code, name, arguments, error);
        cli_status status = set(row, optarg, settings, error);
        if (status != CLI_OK) return status;
    }
    settings->argument_count = count - optind;
    settings->arguments = arguments + optind;
    return check(settings, error);
}

/* On a narrow terminal what an option does stands below its name. */
static void describe_row(const option_row *row, cli_output *output) {
    enum { NARROW = 60, NARROW_INDENT = 8, INDENT = 28 };
    char left[64], letter[8] = "    ";
    const bool is_narrow = output->width < NARROW;
    if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, row->name, row->argument ? " " : "",
             row->argument ? row->argument : "");
    cli_print(output, "  %s%s%s", cli_style(output, CLI_GREEN), left, cli_style(output, CLI_RESET));
    cli_wrap wrap = {output, is_narrow ? NARROW_INDENT : INDENT, 2 + strlen(left)};
    if (is_narrow) cli_wrap_end(&wrap);
    cli_wrap_words(&wrap, ce_text_of(row->help));
    cli_wrap_end(&wrap);
}

void cli_options_describe(int command, cli_output *output) {
    const char *section = NULL, *shown = NULL;
    for (int i = 0; i < ROW_COUNT; i++) {
        if (rows[i].section) section = rows[i].section;
        if (!(rows[i].commands & command)) continue;
        if (section != shown) {
            cli_print(output, "\n%s%s%s\n", cli_style(output, CLI_BOLD), section, cli_style(output, CLI_RESET));
        }
        shown = section;
        describe_row(&rows[i], output);
    }
}

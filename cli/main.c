/* main.c - the command crossenc: finds the command that was asked for, runs it, and says how it ended.
 *
 * The command uses the library's public headers only. Results go to standard output, everything else to standard
 * error; the one place that prints errors is here. */
#include "commands.h"
#include "format.h"
#include "help.h"
#include "suggest.h"

#include <crossenc/status.h>

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct command {
    const char *name;
    int id;
    cli_status (*run)(const cli_settings *settings, cli_error *error);
} command;

static const command commands[] = {
    {"rank", CLI_RANK, cli_rank},          {"predict", CLI_PREDICT, cli_predict},
    {"encode", CLI_ENCODE, cli_encode},    {"eval", CLI_EVAL, cli_eval},
    {"bench", CLI_BENCH, cli_bench},       {"devices", CLI_DEVICES, cli_devices},
    {"inspect", CLI_INSPECT, cli_inspect}, {"tokenize", CLI_TOKENIZE, cli_tokenize},
    {"convert", CLI_CONVERT, cli_convert}, {"pull", CLI_PULL, cli_pull},
};

static const command *find_command(const char *name) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    }
    return NULL;
}

static cli_status fail_unknown(const char *name, cli_error *error) {
    cli_suggestion near = {0};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) cli_suggest(&near, name, commands[i].name);
    cli_suggest(&near, name, "help");
    if (!near.name)
        return cli_fail(error, CLI_USAGE, "there is no command \"%.80s\"; 'crossenc help' lists them", name);
    return cli_fail(error, CLI_USAGE, "there is no command \"%.80s\": is it \"%s\"? 'crossenc help' lists them", name,
                    near.name);
}

static cli_status print_help(int id, int color, cli_error *error) {
    cli_output *output = calloc(1, sizeof *output);
    if (!output) return cli_fail_memory(error);
    cli_status status = cli_output_open(output, NULL, (cli_color)color, error);
    if (status == CLI_OK) {
        cli_help(id, output);
        status = cli_output_commit(output, error);
    }
    cli_output_close(output);
    free(output);
    return status;
}

static cli_status print_version(cli_error *error) {
    cli_output *output = calloc(1, sizeof *output);
    if (!output) return cli_fail_memory(error);
    cli_status status = cli_output_open(output, NULL, CLI_COLOR_NEVER, error);
    if (status == CLI_OK) {
        cli_print(output, "crossenc %s\n", ce_version());
        status = cli_output_commit(output, error);
    }
    cli_output_close(output);
    free(output);
    return status;
}

static cli_status run_command(const command *found, int count, char **arguments, cli_error *error) {
    cli_settings settings;
    cli_status status = cli_options_parse(found->id, found->name, count, arguments, &settings, error);
    if (status != CLI_OK) return status;
    if (settings.help) return print_help(found->id, settings.color, error);
    return found->run(&settings, error);
}

static cli_status help_on(const char *name, cli_error *error) {
    const command *found = name ? find_command(name) : NULL;
    if (name && !found && strcmp(name, "help") != 0) return fail_unknown(name, error);
    return print_help(found ? found->id : 0, CLI_COLOR_AUTO, error);
}

static cli_status dispatch(int count, char **arguments, cli_error *error) {
    if (count < 2) return cli_fail(error, CLI_USAGE, "no command was given; 'crossenc help' lists them");
    const char *name = arguments[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) return print_version(error);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return help_on(NULL, error);
    if (strcmp(name, "help") == 0) return help_on(count > 2 ? arguments[2] : NULL, error);
    const command *found = find_command(name);
    if (found) return run_command(found, count - 1, arguments + 1, error);
    if (name[0] == '-') {
        return cli_fail(error, CLI_USAGE,
                        "options go behind the command, and \"%.80s\" is before it; see 'crossenc help'", name);
    }
    return fail_unknown(name, error);
}

static void say(cli_error *error) {
    cli_make_plain(error->message);
    bool is_color = cli_color_wanted(CLI_COLOR_AUTO, STDERR_FILENO);
    fprintf(stderr, "%scrossenc: error:%s %s\n", is_color ? CLI_BOLD CLI_RED : "", is_color ? CLI_RESET : "",
            error->message);
}

/* A file that is opened must not become standard output because that was closed: results would go into it. */
static void occupy_standard_files(void) {
    static const int flags[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        /* Standard input and output are opened the wrong way round, so that their use fails as it should. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags[fd]) != fd) _exit(CLI_FAILED);
    }
}

int main(int count, char **arguments) {
    cli_error error = {{0}};
    occupy_standard_files();
    cli_output_catch_signals();
    /* How wide characters are; numbers stay those of the C locale. */
    locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (locale) uselocale(locale);
    cli_status status = dispatch(count, arguments, &error);
    if (status != CLI_OK && status != CLI_PIPE) say(&error);
    if (locale) {
        uselocale(LC_GLOBAL_LOCALE);
        freelocale(locale);
    }
    return status;
}
